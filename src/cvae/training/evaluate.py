"""How good a trained model is on its test split, by a configuration of `cvae-evaluate`."""

import json
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cvae import __version__
from cvae.config.building import naming, require_known_settings
from cvae.config.compose import Config, changes
from cvae.data.base import PairData
from cvae.errors import InputError, require_between, require_seed
from cvae.evaluation.cures import rise
from cvae.evaluation.diagnostics.examine import Examination, examine
from cvae.evaluation.image_metrics import against_references, judgement, test_split
from cvae.evaluation.judge import Data, Judge, judge_for, why_no_judge
from cvae.evaluation.sentences import sentences
from cvae.evaluation.verdict import metrics_of
from cvae.files import output_file, write_whole
from cvae.lines import wrapped
from cvae.model.cvae import CVAE
from cvae.store.add_evaluation import add_evaluation
from cvae.store.checkpoint import Stored, read
from cvae.store.events import curve
from cvae.store.plain_files import read_list
from cvae.store.published import is_published
from cvae.store.results import VALIDATION
from cvae.store.resume_arguments import require_same_data, was_trained_on
from cvae.store.run_folder import RunFolder
from cvae.store.unfinished_evaluation import UnfinishedEvaluation, checksum
from cvae.training.module import build_training_module
from cvae.training.testing import bounds, in_scored_pixels
from cvae.training.trainer_options import (
    require_precision,
    require_usable_options,
    single_device_trainer,
)

_MOST = 1_000_000
"""Draws for a target, or for a class, beyond which no digit that is shown changes."""
_Judged = tuple[Judge, PairData]
"""A judge, and the grey images that it knows."""


class Evaluation(NamedTuple):
    """A model, measured.

    Attributes:
        metrics: Its figures by name.
        said: What they say of it, in words.
        found: What they say it of.
        model: The model, on the device that measured it.
        data: Builder of its data.
        title: What it was measured on.
        step: The training step that it is of.
        folder: The run's folder, which the figures belong in; None where there is none.
        out: A file that the figures belong in as well, or None.
        kept: What is kept of the work, for the time that it takes.
    """

    metrics: dict[str, float]
    said: list[str]
    found: Examination
    model: CVAE
    data: Data
    title: str
    step: int
    folder: RunFolder | None
    out: Path | None
    kept: UnfinishedEvaluation

    def write(self) -> list[Path]:
        """Write it into the files that it belongs in, and return them.

        Raises:
            InputError: As `add_evaluation`.
        """
        if self.out is not None:
            write_whole(self.out, json.dumps(self.metrics, indent=2) + "\n")
        if self.folder is not None:
            model, data = self.model.cpu(), self.data()
            add_evaluation(self.folder, model, data, self.metrics, self.said, self.found, self.step)
            self.kept.remove()
        return [*([self.out] if self.out else []), *([self.folder.metrics] if self.folder else [])]


def evaluate(config: Config, show_progress: bool = True) -> Evaluation:
    """Measure a model.

    Args:
        config: The configuration of `cvae-evaluate`, resolved.
        show_progress: Whether to show a progress bar, and to say why there is no judge.

    Raises:
        InputError: If a setting, the checkpoint or the data cannot be used; before any work.
    """
    # What is wrong is said now, rather than after the work.
    _require_sound(config)
    stored = read(config["checkpoint"])
    # Built once for all that asks for the same data: large ones take minutes to be read.
    data = cache(partial(stored.datamodule, config["allow"], **changes(config["data"])))
    whole = config["data"]["split"] == "all"
    if whole:
        _require_new(stored, data)
    else:
        _require_same_splits(stored, data())
    no_judge = "of data that are taken whole" if whole else why_no_judge(data())
    model = stored.built(build_training_module, config["allow"])
    model.compiled = config["compile"]
    folder = None if whole else _folder_to_add_to(config)
    out = None if config["out"] is None else output_file(config["out"], (".json",))
    judged: _Judged | None = None
    if config["images"] and not no_judge:
        judged = judge_for(data, Path(config["judges"]), config["trainer"]["accelerator"])
    elif config["images"] and show_progress:
        print(wrapped(f"no judge: {no_judge}"))

    kept = UnfinishedEvaluation(
        folder.evaluated if folder else None, _bound_to(config, stored, data)
    )
    model.seed, model.keep = config["seed"], kept
    torch.manual_seed(config["seed"])
    trainer = single_device_trainer(config["trainer"])
    metrics = bounds(model, data, trainer, config["samples"], show_progress)
    metrics["samples"] = config["samples"]
    model.to(trainer().strategy.root_device)
    metrics |= kept("images", lambda: _seen(config, model, data, judged))
    split = test_split(in_scored_pixels(model, data))
    x, y = (part.to(model.device) for part in (split.x, split.y))
    found = examine(model, x, y, config["seed"], kept)
    metrics |= metrics_of(found.figures)
    risen = 0.0 if folder is None else _risen(folder, stored)
    said = sentences(found.figures, stored.config, *_started(config), risen, len(y))
    title, step = "all of the data" if whole else "test split", stored.contents["global_step"]
    return Evaluation(metrics, said, found, model, data, title, step, folder, out, kept)


def _require_sound(config: Config) -> None:
    require_known_settings(config)
    require_between("samples", config["samples"], 1, _MOST)
    require_between("images", config["images"], 0, _MOST)
    require_usable_options(config["trainer"])
    require_seed("seed", config["seed"])
    for key, usable in (("devices", (None, 1, "1", "auto")), ("limit_test_batches", None)):
        value = config["trainer"].get(key)
        if value == 0 or (usable and value not in usable):
            raise InputError(
                f"trainer.{key}: one device evaluates, and at least one batch; expected 1, "
                f"got {value}"
            )
    with naming("trainer", "; trainer=cpu runs everywhere"):
        require_precision(single_device_trainer(config["trainer"])(), config["trainer"])


def _require_same_splits(stored: Stored, data: PairData) -> None:
    data.prepare_data()
    data.setup("fit")
    require_same_data(stored, data.checksum)


def _require_new(stored: Stored, data: Data) -> None:
    """Refuse data that a model does not take, or that it was trained on."""
    stored.sizes.require_alike(data().sizes)
    if was_trained_on(stored, partial(data, split="test")):
        raise InputError(
            "data.split: the run was trained on these data; expected others, by data.path=FILE or "
            "data.root=DIR, or leave it out for the run's own test split"
        )


def _folder_to_add_to(config: Config) -> RunFolder | None:
    """Return the folder of the run that is evaluated; None where a checkpoint itself is given."""
    path = Path(config["checkpoint"]).expanduser()
    if not path.is_dir() or is_published(path):
        return None
    folder = RunFolder(path)
    folder.require_own()
    folder.read_metrics()  # which must be sound to be added to
    try:
        output_file(str(folder.metrics), (".json",))
    except OSError as error:
        raise InputError(
            f"checkpoint: the folder '{path}' cannot be written to; to leave the run as it "
            f"is, give {folder.best} itself"
        ) from error
    return folder


def _bound_to(config: Config, stored: Stored, data: Data) -> dict[str, Any]:
    """Return all that the figures depend on."""
    data().setup("test")
    return {
        "cvae": __version__,
        "torch": str(torch.__version__),
        "checkpoint": checksum(stored.path),
        "test data": data().test_checksum,
        "settings": {name: config[name] for name in ("samples", "images", "seed", "compile")},
        "data": {name: str(value) for name, value in config["data"].items()},
        "trainer": {name: str(value) for name, value in config["trainer"].items()},
        "threads": torch.get_num_threads(),
    }


def _started(config: Config) -> tuple[str, list[str]]:
    """Return how the run is named, and what it was started with, as far as that is known."""
    folder = RunFolder(Path(config["checkpoint"]).expanduser())
    if not folder.overrides.is_file():
        return config["checkpoint"], []
    folder.require_own()
    return config["checkpoint"], read_list(folder.overrides)


def _risen(folder: RunFolder, stored: Stored) -> float:
    """Return by how much the validation ELBO still rose when all epochs of a run were done."""
    if folder.read_metrics().get("epochs") != stored.config["trainer"].get("max_epochs"):
        return 0.0
    return rise([*curve(folder.path, VALIDATION).values()])


def _seen(config: Config, model: CVAE, data: Data, judged: _Judged | None) -> dict[str, float]:
    """Return what is measured of the images themselves, by a judge and against references."""
    split = test_split(in_scored_pixels(model, data))
    rng = torch.Generator().manual_seed(config["seed"])
    metrics = against_references(model, split, rng)
    if judged is None:
        return metrics
    judge, grey = judged
    rng = torch.Generator().manual_seed(config["seed"])
    metrics |= judgement(
        model, judge.to(model.device), split, test_split(grey), config["images"], rng
    )
    return metrics | {"images": config["images"]}
