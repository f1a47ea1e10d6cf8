"""The card of a published model: Markdown with a header, as the Hugging Face hub takes it."""

import json
import math
import shlex
from collections.abc import Mapping
from inspect import getdoc
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from cvae.conditions import Condition
from cvae.config.compose import PLACES, Config, nodes
from cvae.data.user_data import OwnData
from cvae.evaluation.cures import Cure, cure
from cvae.evaluation.metrics.latent import latent_verdict
from cvae.evaluation.nats import COMPARE
from cvae.evaluation.sentences import sentences_of
from cvae.evaluation.tables import formatted
from cvae.evaluation.verdict import ILLNESSES, PREFIX
from cvae.kinds.base import listed
from cvae.model.cvae import CVAE
from cvae.store.checkpoint import TRAINED_ON, Stored
from cvae.store.run_folder import RunFolder

_MEANS = {
    "test/elbo": "evidence lower bound on log p(y|x), nats per target",
    "test/log_likelihood": "its first term, the log-likelihood of y given z",
    "test/negative_cross_entropy": "its first term, minus the cross-entropy of y given z",
    "test/kl": "its second term, KL(q(z|x, y) ‖ p(z|x)), nats per target",
    "test/nll": "−log p(y|x) by importance sampling, nats per target",
    "test/nll_standard_error": "its standard error over targets",
    "test/nll_marginal": "−log p(y), all classes x alike, nats per target",
    "test/bound_bits_per_dim": "−ELBO, bits per dimension",
    "test/nll_bits_per_dim": "NLL, bits per dimension",
    "test/active_units": "dimensions of z that move with y",
    "consistency/mean_image": "share of mean images that a classifier takes for their class",
    "consistency/sampled_pixels": "the same with every pixel drawn",
    "judge/accuracy_grey_images": "what that classifier gets right on real test images",
    "distance/frechet": "Fréchet distance to real images in the classifier's features",
    "distance/frechet_floor": "the same distance between two halves of the real images",
    "references/ged": "squared generalised energy distance to the references, d = 1 − IoU",
}
"""The metrics that a card shows, in this order, and what they are."""
_ASKED = {"path": "path=FILE", "root": "root=DIR"}
"""How a user says where data are, by the setting that the data have."""
_MARKUP = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#~"} | {"&": "&amp;"})


def model_card(
    stored: Stored,
    model: CVAE,
    about: Mapping[str, str],
    captions: Mapping[str, str],
    page: str | None,
    command: str | None,
    title: str | None = None,
) -> str:
    """Return the card, which says nothing that is not in the checkpoint or in the run's folder.

    Args:
        stored: The checkpoint.
        model: Its model.
        about: Facts about it, by name.
        captions: What its pictures show, by their files next to the card; that of its calibration
            goes with the verdict.
        page: The name of the page that shows it in a browser, or None.
        command: The command that trained it, without places of the author's machine; or None.
        title: Its title; None says what the model was trained on.
    """
    config, metrics, trained_on = stored.config, stored.metrics, stored.about.get(TRAINED_ON)
    condition, source = model.condition, resolve_name(config["data"]["_target_"])
    own, y = is_own(config), condition.sizes.y
    verdict, collapse = sentences_of(metrics), None
    if not verdict and {"test/kl", "test/active_units"} <= metrics.keys():
        collapse = latent_verdict(
            metrics["test/kl"], int(metrics["test/active_units"]), model.generator.latent_dim
        )
    templates = Environment(
        loader=PackageLoader("cvae.store", ""), undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters |= {"words": words, "shell": _quoted}
    return templates.get_template("model_card.md.jinja").render(
        conditional=math.prod(condition.x_shape) > 0,
        source=None if own else source.__name__,
        described=None if own else str(getdoc(source)).partition("\n")[0],
        settings=_settings(config["data"]),
        y=y.in_words(),
        columns=listed(y.names) if y.names and not y.names_in_words else None,
        x=x_in_words(condition),
        trained_on=f"{trained_on:,}" if type(trained_on) is int else None,
        title=title,
        latent_dim=model.generator.latent_dim,
        about=about,
        rows=[(n, formatted(n, metrics[n]), m) for n, m in _MEANS.items() if n in metrics],
        nats=COMPARE[model.generator.likelihood.nats_of],
        captions=captions,
        calibration=RunFolder(Path()).calibration.name,
        page=page,
        command=command,
        python=_asked(condition, in_python=True),
        shell=_asked(condition, in_python=False),
        whole=", ".join(map(str, y.shape)),
        verdict=verdict,
        cure=_cure(metrics, config) if verdict else None,
        collapse=collapse,
        classes=_own_classes(config),
        unfinished=bool(metrics) and "epochs" not in metrics,
        own=own,
        place=next((said for name, said in _ASKED.items() if name in config["data"]), None),
        version=stored.writer.removeprefix("cvae "),
    )


def is_own(config: Config) -> bool:
    """Return whether a run's data are its author's own."""
    return issubclass(resolve_name(config["data"]["_target_"]), OwnData)


def _cure(metrics: Mapping[str, float], config: Config) -> Cure | None:
    """Return what to change about the first illness that a setting is known against."""
    found = (one.name for one in ILLNESSES if metrics.get(f"{PREFIX}is/{one.name}"))
    return next((cured for name in found if (cured := cure(name, config))), None)


def _own_classes(config: Config) -> list[str]:
    targets = {str(node["_target_"]) for _, node in nodes(config)}
    return sorted(one for one in targets if not one.startswith(("cvae.", "torch.", "lightning.")))


def words(text: str) -> str:
    """Return text in a line, none of it as markup: names in a checkpoint may come from anyone."""
    return " ".join(_printable(text).split()).translate(_MARKUP)


def _quoted(text: str) -> str:
    return shlex.quote(_printable(text))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _settings(data: Config) -> str:
    hidden = ("_target_", "download", "batch_size", *PLACES)
    kept = {name: value for name, value in data.items() if name not in hidden and value is not None}
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in kept.items())


def x_in_words(condition: Condition) -> list[str]:
    """Return each part of x in words; none where there is no condition."""
    sizes = condition.sizes
    if condition.asked_by_class and not sizes.given:
        return [f"a class: {listed([sizes.name(k) for k in range(sizes.num_classes)])}"]
    if not sizes.given:
        shape = "×".join(map(str, condition.x_shape))
        return [] if condition.x_shape == (0,) else [f"the visible part of the image, {shape}"]
    parts = getattr(condition, "parts", sizes.given)
    return [f"{f'{part.name}: ' if part.name else ''}{part.in_words()}" for part in parts]


class _Asked(NamedTuple):
    """How x is asked for: a line before, and the value; both None where there is no condition."""

    before: str | None
    value: Any


def _asked(condition: Condition, in_python: bool) -> _Asked:
    """Return an x that the model takes, in Python or as the command does."""
    if condition.x_shape == (0,):
        return _Asked(None, None)
    if condition.asked_by_class:
        names = condition.names(condition.encode(None))[:4]
        return _Asked(None, repr(names) if in_python else ",".join(names))
    parts = getattr(condition, "parts", ())
    in_planes = getattr(condition, "planes", False)
    values = {part.name: part.example() for part in parts}
    if not parts or None in values.values() or in_planes:
        shape = ", ".join(map(str, (1, *condition.x_shape)))
        before = f"x = torch.zeros({shape})  # your conditions, (B, …)"
        return _Asked(before, "x") if in_python else _Asked(None, None)
    if len(parts) == 1:
        (only,) = values.values()
        return _Asked(None, repr(only) if in_python else str(only))
    said = ", ".join(f"{name}: {value}" for name, value in values.items())
    return _Asked(None, repr(values) if in_python else f"{{{said}}}")
