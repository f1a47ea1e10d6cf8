"""Writes a model's folder as the Hugging Face hub takes it; `cvae.store.published` reads it."""

import json
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cvae.config.compose import DATA_PLACES, PLACES
from cvae.errors import InputError
from cvae.evaluation.figures import png
from cvae.evaluation.panels import draw
from cvae.evaluation.pictures import pictures_of
from cvae.files import require_own, write_whole
from cvae.model.cvae import CVAE
from cvae.store.checkpoint import KEY, Stored
from cvae.store.model_card import model_card
from cvae.store.plain_files import read_list
from cvae.store.published import CARD, SETTINGS, WEIGHTS, safetensors
from cvae.store.resume_arguments import shown
from cvae.store.run_folder import RunFolder
from cvae.store.settings import OF_THE_MACHINE

PAGE = "index.html"
_OF_THE_AUTHOR = (*OF_THE_MACHINE, "resume", "logger", "allow")
"""Settings that say where and how the author ran it."""
_QUOTES = "'\""
_HERE = RunFolder(Path())
_PICTURES = {
    _HERE.samples.name: "Draws from the model",
    _HERE.latent_plane.name: "Posterior means of test targets, and the prior at two standard "
    "deviations",
    _HERE.calibration.name: "Calibration on the test split: of a true model, coverage is the "
    "diagonal and ranks are flat",
}
"""What each picture of a run shows, by the name of its file."""


def require_publishable(folder: Path) -> None:
    """Refuse a folder that a published model would not be alone in.

    Raises:
        InputError: If it is a file, or the folder of a run.
    """
    run = RunFolder(folder)
    if folder.is_file():
        raise InputError(f"out: '{folder}' is a file; expected a folder, which is made")
    if run.checkpoints.exists() or run.overrides.exists():
        raise InputError(f"out: '{folder}' is the folder of a run; expected another, such as a new")
    safetensors()


def publish(
    stored: Stored,
    model: CVAE,
    folder: Path,
    about: Mapping[str, str],
    page: str | None,
    rng: torch.Generator,
    title: str | None = None,
) -> list[Path]:
    """Write the folder; return its files.

    Args:
        stored: The checkpoint.
        model: Its model, on the CPU.
        folder: Where to write; what an earlier export left there is replaced.
        about: Facts about the model, by name, for its card.
        page: A page that shows it in a browser, or None.
        rng: Source of the draws of a picture, where the run has none.
        title: The card's title; None says what the model was trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).unlink(missing_ok=True)  # what is half written is no model
    pictures = _pictures(stored, model, rng)
    captions = {name: caption for name, (caption, _) in pictures.items()}
    command = _command(stored)
    settings = _settings(stored) | ({"command": command} if command else {})
    file = None if page is None else PAGE
    card = model_card(stored, model, about, captions, file, command, title)
    stored_weights = stored.contents["state_dict"]
    weights = {name: part.clone().contiguous() for name, part in stored_weights.items()}
    files: dict[str, str | bytes] = {
        WEIGHTS: safetensors().save(weights, metadata={"format": "pt"}),
        **({} if page is None else {PAGE: page}),
        **{name: contents for name, (_, contents) in pictures.items()},
        CARD: card,
        SETTINGS: json.dumps(settings, indent=1, allow_nan=False) + "\n",
    }
    for name in {PAGE, *_PICTURES} - files.keys():
        (folder / name).unlink(missing_ok=True)
    for name, contents in files.items():
        write_whole(folder / name, contents)
    return [folder / name for name in files]


def _settings(stored: Stored) -> dict[str, Any]:
    """Return the contents of a checkpoint but its weights and what tells of the machine."""
    about = {name: value for name, value in stored.about.items() if name != "machine"}
    config = {name: value for name, value in about["config"].items() if name not in _OF_THE_AUTHOR}
    config["data"] = config["data"] | {place: None for place in PLACES if place in config["data"]}
    metrics = {name: value for name, value in stored.metrics.items() if math.isfinite(value)}
    kept = {name: stored.contents[name] for name in ("epoch", "global_step")}
    return {**kept, KEY: about | {"config": _without_places(config)}, "metrics": metrics}


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_places(part) for part in value]
    return None if isinstance(value, str) and _holds_place(value) else value


def _holds_place(text: str) -> bool:
    """Return whether an absolute path, or one from a home folder, begins anywhere in a text."""
    return re.search(r"(^|[\s'\"\[{(:,=])(/|~|\\|\w:[/\\]|\$\{oc\.env)", text) is not None


def _command(stored: Stored) -> str | None:
    """Return the command that trained a run, its places replaced by DIR and FILE."""
    folder = RunFolder(stored.path.parent.parent)
    if stored.path.parent != folder.checkpoints or not folder.overrides.is_file():
        known = stored.contents.get("command")
        return shown([known]) if isinstance(known, str) else None
    folder.require_own()
    given = {line.partition("=")[0]: line for line in read_list(folder.overrides)}
    words = ["cvae-train"]
    for key, line in given.items():
        name, _, value = line.partition("=")
        name = name.lstrip("+")
        if name.startswith("hydra") or name.partition(".")[0] in (*_OF_THE_AUTHOR, "sweeps"):
            continue
        if name in DATA_PLACES or _holds_place(value):
            suffix = Path(value.strip(_QUOTES)).suffix
            line = f"{key}={'DIR' if name == 'data.root' else f'FILE{suffix}'}"
        words.append(line)
    return shown([shlex.join(words)])


def _pictures(stored: Stored, model: CVAE, rng: torch.Generator) -> dict[str, tuple[str, bytes]]:
    """Return the caption and the contents of each picture, by the name of its file."""
    run = RunFolder(stored.path.parent.parent)
    source = stored.path.parent  # of a published model, which has them beside it
    if stored.path == run.best_to_use:
        source = run.path
        require_own(source, *(source / name for name in _PICTURES))
    asked, pictures = model.condition, pictures_of(stored.sizes)
    some = asked.needs_examples or pictures.beside_data
    x = " for x of its test split" if some else " for each class"
    captions = dict(_PICTURES)
    if asked.x_shape != (0,):
        captions[run.samples.name] += x
    found = {
        name: (caption, (source / name).read_bytes())
        for name, caption in captions.items()
        if (source / name).is_file()
    }
    samples = run.samples.name
    if samples not in found and not model.condition.needs_examples:
        drawn = draw(model, None, pictures.draws, rng, pictures.mean)
        found[samples] = (captions[samples], png(pictures.samples(drawn)))
    return found
