"""Trainers of some options, and whether these leave anything to train, validate and test."""

import math
import os
from collections.abc import Callable
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Timer

from cvae.config.building import instantiated, naming
from cvae.config.compose import Config, instantiate
from cvae.data.base import PairData
from cvae.errors import InputError, require_at_least

_OWN = {
    "callbacks": "add one by +callbacks.NAME._target_=CLASS",
    "logger": "a run logs to TensorBoard, in its folder; see logger.*",
    "default_root_dir": "name the run's folder by hydra.run.dir=DIR",
    "enable_progress_bar": "leave the bar out by ~callbacks.progress",
    "enable_checkpointing": "a run is made of its checkpoints",
    "plugins": "a run writes its checkpoints in its own way",
    "limit_predict_batches": "nothing is predicted",
}
"""Options that a run sets itself, so that another value would be ignored; and what to do instead"""
_UNUSABLE = {
    "fast_dev_run": "nothing would be trained and saved; for a short run use "
    "trainer.max_epochs=1 +trainer.limit_train_batches=1",
    "overfit_batches": "the validation would be of the training set; to train on a few batches "
    "use +trainer.limit_train_batches=N",
    "barebones": "nothing would be logged and saved",
}
_ENDS = "give trainer.max_epochs=N, +trainer.max_steps=N or +trainer.max_time=DD:HH:MM:SS"


def require_usable_options(options: Config) -> None:
    """Refuse options of the trainer that would be ignored, or leave no run.

    Args:
        options: The configuration's `trainer`.

    Raises:
        InputError: Naming the first, and what to do instead.
    """
    for key, way_out in _OWN.items():
        if options.get(key) is not None:
            raise InputError(f"trainer.{key}: this is set by the program itself; {way_out}")
    for key, reason in _UNUSABLE.items():
        if options.get(key):
            raise InputError(f"trainer.{key}: {reason}")


def require_precision(trainer: Trainer, options: Config) -> None:
    """Raise an `InputError` for a precision that weights and losses are not kept in.

    Args:
        trainer: The trainer.
        options: What it was built from.
    """
    if str(options.get("precision")).startswith("16") and trainer.precision == "bf16-mixed":
        raise InputError(  # which Lightning would take instead
            f"trainer.precision: a CPU computes no {options['precision']}; expected 32-true or "
            "bf16-mixed"
        )
    if trainer.precision not in ("32-true", "bf16-mixed", "16-mixed"):
        raise InputError(
            f"trainer.precision: expected 32-true, bf16-mixed or 16-mixed, got {trainer.precision}"
        )


def single_device_trainer(options: Config) -> Callable[..., Trainer]:
    """Return a builder of trainers on one device, which write nothing unless asked to.

    Several processes would repeat items to share a split evenly.
    """
    one: dict[str, Any] = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    # Under Slurm, Lightning would load an hpc_ckpt_1.ckpt of the current folder.
    silent = {"logger": False, "enable_checkpointing": False, "default_root_dir": os.devnull}
    return instantiate(options, **one, **silent, _partial_=True)


def checked_trainer(options: Config) -> Trainer:
    """Return a trainer of these options, which writes nothing.

    Raises:
        InputError: If there is no such trainer here, or a run cannot use it.
    """
    require_usable_options(options)
    with naming("trainer", "; trainer=cpu runs everywhere"):
        trainer = instantiated(options, "trainer")
        trainer = trainer(logger=False) if callable(trainer) else trainer
        if not isinstance(trainer, Trainer):
            raise InputError(f"trainer: expected lightning.Trainer, got a {type(trainer).__name__}")
        require_precision(trainer, options)
    spawned = str(options.get("strategy")).startswith(("ddp_spawn", "ddp_fork"))
    if _processes(trainer) > 1 and not spawned:
        raise InputError(
            "trainer.devices: several processes have to be spawned by the run itself, or each "
            "would run the whole command again; use trainer=ddp trainer.devices=N"
        )
    _require_end(trainer, options)
    return trainer


def _processes(trainer: Trainer) -> int:
    return trainer.num_devices * trainer.num_nodes


def _require_end(trainer: Trainer, options: Config) -> None:
    timers = [part for part in trainer.callbacks if isinstance(part, Timer)]  # type: ignore[attr-defined]
    times = [left for timer in timers if (left := timer.time_remaining()) is not None]
    for key, limit in (
        ("max_epochs", trainer.max_epochs),
        ("max_steps", trainer.max_steps),
        ("max_time", min(times, default=1)),
    ):
        if limit is not None and limit != -1 and limit <= 0:
            raise InputError(f"trainer.{key}: {_UNUSABLE['fast_dev_run']}")
    if options.get("max_epochs") in (None, -1) and trainer.max_steps == -1 and not times:
        raise InputError(f"trainer.max_epochs: the training might never end; {_ENDS}")


def require_whole_run(trainer: Trainer, options: Config, data: PairData) -> None:
    """Refuse a training without a batch of training, validation or test.

    The best epoch is the one with the best validation, and what is validated has to be what
    is saved, so an epoch that is validated ends with its validation.

    Args:
        trainer: The trainer.
        options: What it was built from.
        data: The data, all splits of them set up.

    Raises:
        InputError: Naming the option that leaves nothing.
    """
    processes = _processes(trainer)
    batches = {
        split: math.ceil(math.ceil(len(part) / processes) / data.batch_size)
        for split, part in (("train", data.train_set), ("val", data.val_set))
    }
    batches["test"] = math.ceil(len(data.test_set) / data.batch_size)
    for split, there in batches.items():
        key = f"limit_{split}_batches"
        limit = getattr(trainer, key)
        batches[split] = min(there, limit) if isinstance(limit, int) else int(there * limit)
        if batches[split] < 1:
            raise InputError(
                f"trainer.{key}: a run needs at least one batch of each split, and this leaves "
                f"none of {there}; got {limit}"
            )
    accumulated = trainer.accumulate_grad_batches
    require_at_least("trainer.accumulate_grad_batches", accumulated, 1)
    epochs = _first_validated(trainer, options, batches["train"])
    steps = epochs * math.ceil(batches["train"] / accumulated)
    for key, limit, needed in (
        ("max_epochs", trainer.max_epochs, epochs),
        ("max_steps", trainer.max_steps, steps),
    ):
        if limit is not None and -1 < limit < needed:
            raise InputError(
                f"trainer.{key}: the training would end before its first validation, and only a "
                f"validated epoch is saved as the best; expected at least {needed}, got {limit}"
            )


def _first_validated(trainer: Trainer, options: Config, batches: int) -> int:
    """Return how many epochs it takes until one ends with a validation."""
    if isinstance(options.get("val_check_interval"), str | dict):
        raise InputError(
            "trainer.val_check_interval: a validation by the clock cannot be repeated; expected a "
            "number of batches, or a share of an epoch"
        )
    every, interval = trainer.check_val_every_n_epoch, trainer.val_check_interval
    if every is not None and every < 1:
        raise InputError(f"trainer.check_val_every_n_epoch: expected at least 1, got {every}")
    if interval <= 0:
        raise InputError(f"trainer.val_check_interval: expected a positive number, got {interval}")
    gap = interval if isinstance(interval, int) else max(1, int(batches * interval))
    if batches % gap and (every is not None or gap % batches):
        raise InputError(
            f"trainer.val_check_interval: expected a divisor of the {batches} batches of an epoch, "
            f"so that what is validated last is what is saved as the best, got {interval}"
        )
    return every if every is not None else max(1, gap // batches)
