"""`cvae-export`: a trained model as a web page that works offline, as ONNX, or as a folder."""

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from cvae.commands.interruptions import held_back
from cvae.config.compose import Config, changes
from cvae.errors import InputError, require_at_least, require_seed
from cvae.evaluation.image_metrics import class_consistency, examples
from cvae.evaluation.judge import judge_for, why_no_judge
from cvae.evaluation.nats import COMPARE
from cvae.export.onnx import onnx
from cvae.export.page import Carried, carried, page
from cvae.export.rounding import LARGEST, Precision
from cvae.files import output_file, write_whole
from cvae.kinds import Image
from cvae.kinds.real import Real
from cvae.lines import wrapped
from cvae.model.cvae import CVAE
from cvae.random import drawing_from
from cvae.store.checkpoint import Stored, read
from cvae.store.model_card import is_own, x_in_words
from cvae.store.publish import publish, require_publishable

_PARTS = {
    "prior p(z|x)": "prior",
    "posterior q(z|x, y)": "posterior",
    "likelihood p(y|x, z)": "likelihood",
    "network": "network",
}
_METRICS = {
    "test/elbo": "ELBO",
    "test/nll": "NLL",
}
_HANDWRITTEN = ("Digits", "MNIST", "EMNIST", "KMNIST", "QMNIST")
"""Data whose classes are written by different hands."""
_LEVELS = (100, LARGEST)
"""What bytes count up to: fewer of them make a file smaller, if images stay as close as this."""
_CLOSE = 5.5
_EXAMPLES = 8
"""Conditions of the test data that a page can be asked for, where x is no class."""
_CHUNK, _CHUNKS = 100, 10
"""Mean images of each class that are compared before and after rounding, and how many times."""


@torch.no_grad()
def largest_difference(made: Carried, model: CVAE, rng: torch.Generator) -> float:
    """Return the largest difference, before and after rounding, between means given the same z.

    That of a pixel is in 255ths; that of real numbers in deviations of each in the training data.
    """
    x, rounded, worst = made.x, made.model, 0.0
    y = model.condition.sizes.y
    unit = torch.tensor(255.0 if isinstance(y, Image) else 1.0)
    if isinstance(y, Real) and y.scale:
        unit = 1 / torch.tensor(y.scale)
    for _ in range(_CHUNKS):
        with drawing_from(rng):
            z = model.prior(x).sample(torch.Size([_CHUNK]))
        difference = model.decode(x, z) - rounded.decode(x, z)
        worst = max(worst, (unit * difference.abs()).max().item())
    return worst


def consistency(config: Config, stored: Stored, model: CVAE, rounded: CVAE) -> dict[str, str]:
    """Return the class consistency of the model's images, and of the rounded one's, in words.

    Both draw the same z. Empty where no judge is asked.
    """
    if not (config["images"] and model.condition.asked_by_class):
        return {}
    data = partial(stored.datamodule, config["allow"], **changes(config["data"]))
    try:
        if reason := why_no_judge(data()):
            print(wrapped(f"no judge: {reason}"))
            return {}
        judge, _ = judge_for(data, Path(config["judges"]), "cpu")
    except InputError as error:
        raise InputError(f"{error}; or ask no judge: images=0") from error
    found = [
        class_consistency(
            each, judge, config["images"], torch.Generator().manual_seed(config["seed"])
        )
        for each in (model, rounded)
    ]
    return {
        f"class consistency, {name.partition('/')[2].replace('_', ' ')}": (
            f"{found[1][name]:.2%}; before the weights were rounded {found[0][name]:.2%}"
        )
        for name in found[0]
    }


def about(config: Config, metrics: Mapping[str, float], model: CVAE) -> dict[str, str]:
    """Return what a page says of its model, by name."""
    told = {name: config[group]["_target_"].rpartition(".")[2] for name, group in _PARTS.items()}
    sizes = {key: config["network"].get(key) for key in ("width", "depth")}
    told["network"] += "".join(f", {key} {size}" for key, size in sizes.items() if size)
    told["dimensions of z"] = str(model.generator.latent_dim)
    for key, name in _METRICS.items():
        if key in metrics:
            told[name] = f"{metrics[key]:.2f} nats per test target".replace("-", "−")
    if any(name in told for name in _METRICS.values()):
        told["these nats are"] = COMPARE[model.generator.likelihood.nats_of]
    return told


def _conditions(
    config: Config, stored: Stored, model: CVAE
) -> tuple[Tensor | None, list[str] | None]:
    """Return conditions of the test data and their names, or None for a model of classes."""
    if model.condition.asked_by_class or model.condition.x_shape == (0,):
        return None, None
    if stored.sizes.y.drawn_as == "image":
        return None, None  # which a page refuses
    x, _ = examples(stored.datamodule(config["allow"], **changes(config["data"])), _EXAMPLES)
    names = model.condition.names(x) or [f"example {i + 1}" for i in range(len(x))]
    place = {name: i for i, name in reversed(list(enumerate(names)))}
    kept = sorted(place.values())
    return x[kept], [names[i] for i in kept]


def _page(config: Config, stored: Stored, model: CVAE) -> str:
    """Return the page of a model.

    Raises:
        InputError: If a page cannot show it.
    """
    x, names = _conditions(config, stored, model)
    images = stored.sizes.y.drawn_as == "image"
    for most in _LEVELS if images else [LARGEST]:
        rng = torch.Generator().manual_seed(config["seed"])
        with held_back():
            made = carried(model, config["weights"], rng, most, x)
        difference = largest_difference(made, model, rng)
        if difference < _CLOSE:
            break
    source = stored.config["data"]["_target_"].rpartition(".")[2]
    told = {
        "trained on": "its author's data" if is_own(stored.config) else source,
        "x": "; ".join(x_in_words(model.condition)) or "nothing",
        **about(stored.config, stored.metrics, model),
    }
    unit = " of its deviations in the data" if isinstance(stored.sizes.y, Real) else ""
    rounding = {
        "weights": f"{config['weights']}; no {'pixel' if images else 'number'} of "
        f"{_CHUNK * _CHUNKS} means of each {'condition' if names else 'class'} differs by more "
        f"than {f'{difference:.2f}/255' if images else f'{difference:.2g}{unit}'} from the exact "
        "model's",
        **consistency(config, stored, model, made.model),
    }
    for name, words in rounding.items():
        print(wrapped(f"{name}: {words}"))
    kind = "a VAE" if model.condition.x_shape == (0,) else "a conditional VAE"
    y = source if images else stored.sizes.y.word.replace("_", " ").capitalize()
    title = config["title"] or f"{y} by {kind}"
    noun: Any = "hand" if source in _HANDWRITTEN else "variant"
    return page(made, stored.sizes, title, told | rounding, config["seed"], noun, names)


def _write_page(config: Config, stored: Stored, model: CVAE) -> None:
    out = output_file(config["out"], (".html",))
    text = _page(config, stored, model)
    write_whole(out, text)
    print(f"{out}: {len(text.encode()) / 1e6:.2f} MB")


def _write_onnx(config: Config, stored: Stored, model: CVAE) -> None:
    with held_back():
        files = onnx(model, torch.Generator().manual_seed(config["seed"]))
    out = output_file(config["out"], (".onnx",))
    for name, (contents, difference) in files.items():
        path = out.with_stem(f"{out.stem}_{name}")
        write_whole(path, contents)
        print(wrapped(f"{path}: onnxruntime and torch differ by {difference:.1e} at most"))


def _write_weights(config: Config, stored: Stored, model: CVAE) -> None:
    out = Path(config["out"]).expanduser()
    require_publishable(out)
    try:
        text = _page({**config, "images": 0}, stored, model)
    except InputError as error:
        print(wrapped(f"no page: {str(error).removeprefix('checkpoint: ')}"))
        text = None
    rng, told = torch.Generator().manual_seed(config["seed"]), about(stored.config, {}, model)
    for file in publish(stored, model, out, told, text, rng, config["title"]):
        print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")
    if config["title"] is None and is_own(stored.config):
        print(wrapped("title=... gives the card a title that says what the data are"))
    print(f"upload it: hf upload OWNER/NAME {shlex.quote(str(out))}")


_WRITERS = {"html": _write_page, "onnx": _write_onnx, "weights": _write_weights}


def task(config: Config) -> None:
    """Run `cvae-export`."""
    for key, known in (("format", tuple(_WRITERS)), ("weights", get_args(Precision))):
        if config[key] not in known:
            raise InputError(
                f"{key}: expected {', '.join(known[:-1])} or {known[-1]}, got '{config[key]}'"
            )
    if config["out"].endswith(".onnx") and config["format"] != "onnx":
        raise InputError(f"out: '{config['out']}' is no page; for ONNX, add format=onnx")
    require_at_least("images", config["images"], 0)
    require_seed("seed", config["seed"])
    stored = read(config["checkpoint"])
    _WRITERS[config["format"]](config, stored, stored.model(config["allow"]))
