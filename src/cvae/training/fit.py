"""A whole run: train a model, test its best checkpoint, and leave a run folder."""

import math
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from cvae.config.building import (
    build_datamodule,
    build_parts,
    instantiated,
    naming,
    require_known_settings,
    require_precision,
    single_device_trainer,
)
from cvae.config.compose import Config, with_absolute_paths
from cvae.data.base import ImageData
from cvae.errors import InputError, require_seed
from cvae.evaluation.figures import image_grid, png
from cvae.evaluation.image_metrics import examples
from cvae.evaluation.nats import tagged_by_nats
from cvae.evaluation.panels import grid
from cvae.files import remove_parts, write_whole
from cvae.model.cvae import CVAE
from cvae.random import speed_up_training
from cvae.runs.checkpoint import PARTS, SECONDS, Stored, newest, read, require_buildable
from cvae.runs.events import put_events_in_order
from cvae.runs.resume_arguments import OF_THE_MACHINE, require_same_data, require_same_settings
from cvae.runs.run_folder import RunFolder
from cvae.training.checkpointing import (
    BEST_VALUE,
    BestCheckpoint,
    CheckpointContents,
    WholeCheckpoints,
)
from cvae.training.exact_resume import ExactResume
from cvae.training.module import MONITOR, TrainingModule, build_training_module
from cvae.training.not_finite import StopWhenDiverged
from cvae.training.refit import refit
from cvae.training.testing import test

_ROWS = 8
"""Draws for each condition in the picture of samples."""


class Resumed(NamedTuple):
    """Where a run resumes: a checkpoint, the steps it has taken, and the seconds they took."""

    path: Path
    step: int
    seconds: float


class Prepared(NamedTuple):
    """A run that has been checked, and all that it starts with."""

    config: Config
    """The resolved configuration, with the seed that it may have drawn."""
    data: ImageData
    """The data, set up for training."""
    model: TrainingModule
    """The model, its weights drawn."""
    callbacks: dict[str, Any]
    """The callbacks of the configuration, by name."""
    resumed: Resumed | None
    """Where the run resumes, or None for a run that begins."""


class Trained(NamedTuple):
    """A finished run: its best model, and its metrics by name."""

    model: CVAE
    metrics: dict[str, float]


def prepare(config: Config) -> Prepared:
    """Build what a run starts with; nothing is written, and what is wrong is said at once.

    Args:
        config: The resolved configuration.

    Raises:
        InputError: If the configuration cannot be trained.
    """
    require_known_settings(config)
    if config["seed"] is not None:
        require_seed("seed", config["seed"])
    require_buildable({name: config[name] for name in PARTS}, config["allow"])
    resumed = newest(RunFolder(Path(config["resume"]))) if config["resume"] else None
    if resumed is not None:
        require_same_settings(config, resumed)
    config = _with_seed(config, resumed)
    torch.manual_seed(config["seed"])  # of the weights
    with naming("data"):
        data = build_datamodule(config)
    with naming("model"):
        model = build_training_module(config, data.sizes)
        model.generator.likelihood.require(data.support)
    _require_refit(config, data)
    with naming("optimizer or scheduler"):
        model.configure_optimizers()
    with naming("callbacks"):
        callbacks = _build_callbacks(config)
    with naming("trainer", "; trainer=cpu runs everywhere"):
        _require_trainer(config["trainer"])
    data.prepare_data()
    data.setup("fit")
    if resumed is not None:
        require_same_data(resumed, data.checksum)
    model.compiled = config["compile"]
    return Prepared(with_absolute_paths(config), data, model, callbacks, _resumed_at(resumed))


def fit(
    prepared: Prepared,
    run_dir: Path,
    further: Sequence[Callback] = (),
    show_progress: bool = True,
) -> Trained:
    """Train, test and write the run's folder.

    Args:
        prepared: What `prepare` returned.
        run_dir: Folder that receives checkpoints, TensorBoard events, metrics and samples.
        further: Callbacks beside those of the configuration.
        show_progress: Whether to show a progress bar, where the configuration has one.

    Raises:
        FloatingPointError: If the training diverges.
    """
    config, data, model, callbacks, resumed = prepared
    folder = RunFolder(run_dir.absolute())
    _set_up_process(config)
    _say_if_damaged(resumed, folder)
    started = time.monotonic() - (resumed.seconds if resumed else 0.0)
    remove_parts(folder.path)
    logger = _begin_log(config, model, folder, resumed)
    if not show_progress:
        callbacks = {name: part for name, part in callbacks.items() if name != "progress"}
    contents = CheckpointContents(config, data.sizes, started)
    own = [StopWhenDiverged(), contents, ExactResume(config["seed"], data)]
    trainer: Trainer = instantiated(config["trainer"], "trainer")(
        logger=logger,
        callbacks=[*own, *callbacks.values(), *further],
        enable_progress_bar=any(isinstance(part, ProgressBar) for part in callbacks.values()),
        default_root_dir=folder.path,
        plugins=[WholeCheckpoints()],
    )
    trainer.fit(model, data, ckpt_path=None if resumed is None else resumed.path, weights_only=True)

    folder.refitted.unlink(missing_ok=True)  # of another training
    refitted = refit(config, folder, data) if config["refit"] else {}
    tested, metrics = _test(config, data, folder)
    last = read(folder.last)  # the training may have been that of other processes
    _end_log(logger, tested, metrics, folder, last.contents["global_step"])
    _draw_samples(config, tested, data, folder)
    best = last.about[BEST_VALUE]
    metrics |= {
        **refitted,
        **({MONITOR: best[MONITOR]} if MONITOR in best else {}),
        "epochs": last.contents["epoch"] + 1,
        "seconds": round(time.monotonic() - started, 1),
    }
    folder.write_metrics(metrics)
    folder.failure.unlink(missing_ok=True)
    return Trained(tested, metrics)


# -- before a training -------------------------------------------------------------------------


def _with_seed(config: Config, resumed: Stored | None) -> Config:
    """Return the configuration with a seed: its own, that of the resumed run, or a drawn one."""
    if config["seed"] is not None:
        return config
    return {**config, "seed": resumed.config["seed"] if resumed else secrets.randbelow(2**32)}


def _set_up_process(config: Config) -> None:
    speed_up_training()
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])


def _require_refit(config: Config, data: ImageData) -> None:
    if config["refit"] is not None:
        with naming("refit"), torch.device("meta"):
            build_parts({**config, "prior": config["refit"]}, data.sizes, prior="refit")


def _build_callbacks(config: Config) -> dict[str, Any]:
    nodes = config["callbacks"].items()
    callbacks = {name: instantiated(node, f"callbacks.{name}") for name, node in nodes}
    if not isinstance(callbacks.get("best"), BestCheckpoint) or "last" not in callbacks:
        raise InputError(
            "callbacks: best and last write the checkpoints that a run is made of; keep them"
        )
    return callbacks


def _require_trainer(options: Config) -> None:
    trainer = instantiated(options, "trainer")(logger=False)
    require_precision(trainer)
    if trainer.max_epochs == 0 or options.get("fast_dev_run"):
        raise InputError(
            "trainer: nothing would be trained and saved; for a short run use "
            "trainer.max_epochs=1 +trainer.limit_train_batches=1"
        )
    spawned = str(options.get("strategy")).startswith(("ddp_spawn", "ddp_fork"))
    if trainer.num_devices * trainer.num_nodes > 1 and not spawned:
        raise InputError(
            "trainer.devices: several processes have to be spawned by the run itself, or each "
            "would run the whole command again; use trainer=ddp trainer.devices=N"
        )


def _say_if_damaged(resumed: Resumed | None, folder: RunFolder) -> None:
    if resumed is not None and resumed.path.name != folder.last.name:
        print(
            f"{folder.last.name} is damaged or missing: resuming from {resumed.path}",
            file=sys.stderr,
        )


def _resumed_at(stored: Stored | None) -> Resumed | None:
    if stored is None:
        return None
    seconds = float(stored.about.get(SECONDS, 0.0))
    return Resumed(stored.path, stored.contents["global_step"], seconds)


# -- the log, the test and the picture -----------------------------------------------------------


def settings_by_name(config: Config) -> dict[str, str | float]:
    """Return what tells one run of a sweep from another, by its name on the command line."""
    named: dict[str, str | float] = {}
    for group, node in config.items():
        if group in ("trainer", "logger", "callbacks", *OF_THE_MACHINE):
            continue
        if isinstance(node, dict):
            named[group] = node["_target_"].rpartition(".")[2]
            node = {f"{group}.{key}": value for key, value in node.items() if key[0] != "_"}
        else:
            node = {group: node}
        named |= {key: value for key, value in node.items() if isinstance(value, str | int | float)}
    return named


def _begin_log(
    config: Config, model: CVAE, folder: RunFolder, resumed: Resumed | None
) -> TensorBoardLogger:
    put_events_in_order(folder.path)
    # TensorBoard hides what was logged after the checkpoint that the run resumes from.
    step = resumed.step if resumed else 0
    logger: TensorBoardLogger = instantiated(config["logger"], "logger")(
        save_dir=folder.path, purge_step=step
    )
    logger.hparams.update(
        settings_by_name(config)
        | {
            "nats_of": model.generator.likelihood.nats_of,
            "target_pixels": math.prod(model.condition.y_shape),
        }
    )
    return logger


def _test(
    config: Config, data: ImageData, folder: RunFolder
) -> tuple[TrainingModule, dict[str, float]]:
    model = read(folder.path).built(build_training_module, config["allow"])
    tester = single_device_trainer(config["trainer"])(enable_progress_bar=False)
    torch.manual_seed(config["seed"])
    return model, test(model, data, tester)


def _end_log(
    logger: TensorBoardLogger,
    model: CVAE,
    metrics: dict[str, float],
    folder: RunFolder,
    step: int,
) -> None:
    put_events_in_order(folder.path)  # the training has closed its file, and another is opened
    tagged = tagged_by_nats(metrics, model.generator.likelihood.nats_of)
    logger.log_hyperparams(dict(logger.hparams), tagged, step=step)
    logger.finalize("success")


def _draw_samples(config: Config, model: CVAE, data: ImageData, folder: RunFolder) -> None:
    model = model.cpu()
    wanted = examples(data) if model.condition.needs_examples else None
    panel = grid(model, wanted, _ROWS, torch.Generator().manual_seed(config["seed"]))
    write_whole(folder.samples, png(image_grid(*panel)))
