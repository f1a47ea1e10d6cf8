"""The card of a published model: Markdown with a header, as the Hugging Face hub takes it."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from inspect import getdoc
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
from cvae.kinds import Image, Part, Target
from cvae.kinds.categories import LabelMap, Tokens
from cvae.kinds.counts import Counts
from cvae.kinds.parts import Category, Picture
from cvae.kinds.real import Sequence as Steps
from cvae.kinds.table import Table
from cvae.model.cvae import CVAE

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
_MOST = 30
"""Names of classes or columns that are listed."""


class Shown(NamedTuple):
    """A picture of a card: the name of its file, and what it shows."""

    file: str
    caption: str


def model_card(
    model: CVAE,
    config: Config,
    about: Mapping[str, str],
    metrics: Mapping[str, float],
    pictures: Sequence[Shown],
    calibration: Shown | None,
    page: str | None,
    command: str | None,
    version: str,
    trained_on: int | None = None,
    title: str | None = None,
) -> str:
    """Return the card, which says nothing that is not in the checkpoint or in the run's folder.

    Args:
        model: The trained model.
        config: The configuration that it was trained with.
        about: Facts about it, by name.
        metrics: The run's metrics.
        pictures: Its pictures, in files next to the card.
        calibration: That of its calibration, which goes with the verdict; or None.
        page: The name of the page that shows it in a browser, or None.
        command: The command that trained it, without places of the author's machine; or None.
        version: The version of the program that trained it.
        trained_on: How many pairs it was trained on, where that is known.
        title: Its title; None says what the model was trained on.
    """
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
        y=_of_y(y),
        columns=_listed(y.names) if y.names and not isinstance(y, Table) else None,
        x=x_in_words(condition),
        trained_on=f"{trained_on:,}" if type(trained_on) is int else None,
        title=title,
        latent_dim=model.generator.latent_dim,
        about=about,
        rows=[(n, formatted(n, metrics[n]), m) for n, m in _MEANS.items() if n in metrics],
        nats=COMPARE[model.generator.likelihood.nats_of],
        pictures=pictures,
        calibration=calibration,
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
        version=version,
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


def _of_y(y: Target) -> str:
    sides = "×".join(map(str, y.shape))
    match y:
        case Image(levels=levels):
            grey = f", {levels} levels of a pixel" if levels else ""
            return f"images of {sides} (channels × height × width), pixels in 0 to 1{grey}"
        case LabelMap(categories=count):
            return f"label maps of {sides} pixels (height × width) in {count} categories"
        case Tokens(categories=count):
            return f"sequences of {sides} tokens out of {count}"
        case Counts():
            return f"rows of {sides} counts, whole numbers from 0"
        case Steps():
            return f"sequences of {sides} (steps × numbers), in their own units"
        case Table(described=columns):
            kinds = ", ".join(f"{column.name} ({column.kind})" for column in columns[:_MOST])
            return f"rows of a table with {len(columns)} columns: {kinds}"
    return f"vectors of {sides} numbers, in their own units"


def x_in_words(condition: Condition) -> list[str]:
    """Return each part of x in words; none where there is no condition."""
    sizes = condition.sizes
    if condition.asked_by_class and not sizes.given:
        return [f"a class: {_listed([sizes.name(k) for k in range(sizes.num_classes)])}"]
    if not sizes.given:
        shape = "×".join(map(str, condition.x_shape))
        return [] if condition.x_shape == (0,) else [f"the visible part of the image, {shape}"]
    return [_of_part(part) for part in getattr(condition, "parts", sizes.given)]


def _of_part(part: Part) -> str:
    name, sides = f"{part.name}: " if part.name else "", "×".join(map(str, part.shape))
    if isinstance(part, Category):
        return f"{name}a class: {_listed(part.names or [str(k) for k in range(part.shape[0])])}"
    if isinstance(part, Picture):
        return f"{name}an image of {sides} (channels × height × width)"
    if part.shape == (1,) and part.mean:
        return f"{name}a number, of mean {part.mean[0]:.3g} and deviation {part.scale[0]:.3g}"
    listed = f": {_listed(part.names)}" if part.names else ""
    return f"{name}{sides} numbers{listed}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


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
    if not parts or any(isinstance(part, Picture) for part in parts) or in_planes:
        shape = ", ".join(map(str, (1, *condition.x_shape)))
        before = f"x = torch.zeros({shape})  # your conditions, (B, …)"
        return _Asked(before, "x") if in_python else _Asked(None, None)
    values = {part.name: _example(part) for part in parts}
    if len(parts) == 1:
        (only,) = values.values()
        return _Asked(None, repr(only) if in_python else str(only))
    said = ", ".join(f"{name}: {value}" for name, value in values.items())
    return _Asked(None, repr(values) if in_python else f"{{{said}}}")


def _example(part: Part) -> Any:
    if isinstance(part, Category):
        return part.names[0] if part.names else 0
    means = [float(f"{mean:.3g}") for mean in part.mean or (0.0,) * math.prod(part.shape)]
    return means[0] if part.shape == (1,) else means
