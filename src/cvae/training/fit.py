"""A whole run: train a model, test its best checkpoint, and leave a run folder."""

import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger

from cvae.config.building import instantiated
from cvae.config.command_line import short
from cvae.config.compose import Config
from cvae.data.base import PairData
from cvae.evaluation.cures import last_of, longer, rise
from cvae.evaluation.figures import png
from cvae.evaluation.image_metrics import examples
from cvae.evaluation.panels import samples
from cvae.evaluation.pictures import pictures_of
from cvae.files import remove_parts, write_whole
from cvae.lines import tell
from cvae.model.cvae import CVAE
from cvae.random import speed_up_training
from cvae.store.checkpoint import Stored, read
from cvae.store.events import curve, forget_events, put_events_in_order
from cvae.store.plain_files import read_list, read_yaml
from cvae.store.run_folder import RunFolder
from cvae.store.settings import CHECKSUM, TEST_CHECKSUM, settings_by_name
from cvae.training.attachments import build_loggers
from cvae.training.checkpointing import (
    BEST_VALUE,
    CheckpointContents,
    WholeCheckpoints,
)
from cvae.training.exact_resume import ExactResume
from cvae.training.loggers import CSV, TensorBoard, known_as, log_words
from cvae.training.module import MONITOR, VALIDATED, TrainingModule, build_training_module
from cvae.training.not_finite import StopWhenDiverged, drawing_pictures
from cvae.training.prepare import Prepared, Resumed
from cvae.training.progress import Progress, RunLog, number, outline, why_ended
from cvae.training.refit import refit
from cvae.training.testing import test
from cvae.training.trainer_options import single_device_trainer


class Trained(NamedTuple):
    """A finished run: its best model, and its metrics by name."""

    model: CVAE
    metrics: dict[str, float]


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
        show_progress: Whether to say on the screen what `run.log` keeps.

    Raises:
        FloatingPointError: If the training diverges.
    """
    config, data, model, callbacks, resumed = prepared
    folder = RunFolder(run_dir.absolute())
    speed_up_training()
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    folder.path.mkdir(parents=True, exist_ok=True)
    _leave_damaged(resumed, folder)
    started = time.monotonic() - (resumed.seconds if resumed else 0.0)
    remove_parts(folder.path, folder.checkpoints)
    for said in (folder.verdict, folder.calibration, folder.latent_plane):
        said.unlink(missing_ok=True)  # of the model that this one takes the place of
    loggers = _begin_log(prepared, folder)
    log = RunLog(folder.log, shown=show_progress)
    bars = [part for part in callbacks.values() if isinstance(part, Progress)]
    for bar in bars:
        bar.run_log = log
    contents = CheckpointContents(config, data.sizes, started)
    own = [StopWhenDiverged(), contents, ExactResume(config["seed"], data)]
    trainer: Trainer = instantiated(config["trainer"], "trainer")(
        logger=list(loggers.values()),
        callbacks=[*own, *callbacks.values(), *further],
        enable_progress_bar=bool(bars),
        default_root_dir=folder.path,
        plugins=[WholeCheckpoints()],
    )
    for line in (f"run: {short(folder.path)}", *outline(model, data, trainer)):
        log.say(line)
    trainer.fit(model, data, ckpt_path=None if resumed is None else resumed.path, weights_only=True)

    folder.refitted.unlink(missing_ok=True)  # of another training
    refitted = refit(config, folder, data) if config["refit"] else {}
    best = read(folder.path)
    tested, metrics = _test(config, data, best)
    last = read(folder.last)  # the training may have been that of other processes
    step, epochs = last.contents["global_step"], last.contents["epoch"] + 1
    best_epoch, reached = best.contents["epoch"] + 1, last.about[BEST_VALUE]
    validated = {**best.contents.get(VALIDATED, {}), **reached}
    del best, last  # each is as large as the weights
    _end_log(config, tested, metrics, folder, step)
    with drawing_pictures(tested, folder.path, step, epochs - 1):
        _draw_samples(config, tested, data, folder)
    monitor, value = next(iter(reached.items()))
    log.say(
        f"best: epoch {best_epoch} of {epochs}, {monitor} {number(value)}; "
        f"ended as {why_ended(trainer, epochs)}"
    )
    _say_what_is_left(log, folder, epochs, trainer)
    log.note(f"test: test/elbo {number(metrics['test/elbo'])}")
    metrics |= {
        **refitted,
        **_validation_elbo(validated, refitted),
        "epochs": epochs,
        "seconds": round(time.monotonic() - started, 1),
    }
    folder.write_metrics(metrics)
    folder.failure.unlink(missing_ok=True)
    folder.previous.unlink(missing_ok=True)
    return Trained(tested, metrics)


# -- before a training -------------------------------------------------------------------------


def _leave_damaged(resumed: Resumed | None, folder: RunFolder) -> None:
    if resumed is not None and resumed.path.name != folder.last.name:
        folder.last.unlink(missing_ok=True)  # which would take the place of the previous one
        tell(f"{folder.last.name} is damaged or missing: resuming from {resumed.path}")


# -- the log, the test and the picture -----------------------------------------------------------


def _begin_log(prepared: Prepared, folder: RunFolder) -> dict[str, Logger]:
    config, data, model, _, resumed = prepared
    step = resumed.step if resumed else 0
    put_events_in_order(folder.path)
    forget_events(folder.path, step)
    settings = settings_by_name(config) | {
        CHECKSUM: f"{data.checksum:08x}",
        TEST_CHECKSUM: f"{data.test_checksum:08x}",
        "nats_of": model.generator.likelihood.nats_of,
        "y_size": math.prod(model.condition.y_shape),
    }
    write_whole(folder.settings, yaml.safe_dump(settings, sort_keys=False))
    loggers = build_loggers(config, folder.path)
    typed = read_list(folder.overrides) if folder.overrides.is_file() else []
    for logger in loggers.values():
        if isinstance(logger, CSV):
            logger.forget(step)
        logger.log_hyperparams(settings)
        if resumed is None:
            log_words(logger, "command", shlex.join(["cvae-train", *typed]))
            log_words(logger, "configuration", yaml.safe_dump(dict(config), sort_keys=False))
    services = {name: run for name, logger in loggers.items() if (run := known_as(logger))}
    if services:
        write_whole(folder.services, json.dumps(services))
    return loggers


def _test(config: Config, data: PairData, best: Stored) -> tuple[TrainingModule, dict[str, float]]:
    model = best.built(build_training_module, config["allow"])
    tester = single_device_trainer(config["trainer"])(enable_progress_bar=False)
    torch.manual_seed(config["seed"])
    return model, test(model, data, tester, samples=0)


def _say_what_is_left(log: RunLog, folder: RunFolder, epochs: int, trainer: Trainer) -> None:
    """Say how to go on with a training that was stopped while it still got better."""
    if epochs != trainer.max_epochs or not (risen := rise([*curve(folder.path, MONITOR).values()])):
        return
    log.say(
        f"still improving when it ended: {MONITOR} rose by {risen:.2g} nats in the "
        f"{last_of(epochs)}; go on by:"
    )
    log.say_whole(longer(short(folder.path), epochs))


def _validation_elbo(
    reached: Mapping[str, float], refitted: Mapping[str, float]
) -> dict[str, float]:
    """Return the validation ELBO of the model that is tested: runs and trials are ranked by it."""
    if MONITOR not in reached:
        return {}
    gained = refitted["refit/before"] - refitted["refit/after"] if refitted else 0.0
    return {MONITOR: reached[MONITOR] + gained}


def _end_log(
    config: Config, model: CVAE, metrics: Mapping[str, float], folder: RunFolder, step: int
) -> None:
    put_events_in_order(folder.path)  # the training has closed its files, and others are opened
    for logger in build_loggers(config, folder.path).values():
        if isinstance(logger, TensorBoard):
            logger.hparams.update(read_yaml(folder.settings))
            logger.log_result(metrics, model.generator.likelihood.nats_of, step)
        else:
            logger.log_metrics(dict(metrics), step)
        logger.finalize("success")


def _draw_samples(config: Config, model: CVAE, data: PairData, folder: RunFolder) -> None:
    model = model.cpu()
    pictures = pictures_of(data.sizes)
    rng = torch.Generator().manual_seed(config["seed"])
    batch = examples(data, pictures.conditions)
    write_whole(folder.samples, png(samples(model, pictures, batch, rng)))
