"""What checkpoints hold, when they are written, and how: whole, or not at all."""

import math
import os
import sys
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from cvae import __version__
from cvae.config.compose import Config
from cvae.errors import ArgumentError, did_you_mean, require_at_least
from cvae.files import whole_file
from cvae.kinds import Sizes
from cvae.store.checkpoint import KEY, SECONDS, TRAINED_ON
from cvae.store.run_folder import RunFolder
from cvae.training.module import MONITOR

_OF_A_RESUME = ("callbacks", "optimizer_states", "lr_schedulers", "loops", "current_model_state")
"""What of a checkpoint only a resumed run needs: two thirds of the file under Adam."""
BEST_VALUE = "best"
"""Where a checkpoint's contents hold what the best epoch reached, by the name of the metric."""


class CheckpointContents(Callback):
    """Writes into every checkpoint what it takes to rebuild the model.

    Args:
        config: The resolved configuration, plain data.
        sizes: What the data set's items are like.
        started: When the run began by the monotonic clock, less what it took before it was resumed.
    """

    def __init__(self, config: Config, sizes: Sizes, started: float) -> None:
        self.started = started
        self.contents = {
            "config": config,
            **sizes.plain(),
            "versions": {
                "python": sys.version.split()[0],
                "cvae": __version__,
                **{name: version(name) for name in ("torch", "lightning")},
            },
        }

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        for logger in trainer.loggers:
            logger.save()  # what a checkpoint is past, a resumed run does not log again
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint[KEY] = {
            **self.contents,
            "machine": _machine(trainer),
            "data_checksum": data.checksum,
            TRAINED_ON: len(data.train_set),
            SECONDS: monotonic() - self.started,
        }


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints in their folder, onto the disk, and then into their place.

    Lightning's own are written in the system's folder for temporary files, and copied. Only
    last.ckpt holds what a run resumes with. The one before it is kept, as previous.ckpt.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        folder = RunFolder(path.parent.parent)
        former = folder.previous if path == folder.last else None
        if former is None:
            checkpoint = {k: v for k, v in checkpoint.items() if k not in _OF_A_RESUME}
        path.parent.mkdir(parents=True, exist_ok=True)
        contents = BytesIO()  # torch would tell of a full disk in words of its own
        torch.save(checkpoint, contents)
        with whole_file(path, former) as file:
            file.write(contents.getbuffer())

    def remove_checkpoint(self, path: str | Path) -> None:
        if Path(path).suffix == ".ckpt":  # Lightning's would remove whole folders
            Path(path).unlink(missing_ok=True)


class BestCheckpoint(Checkpoint):
    """Writes checkpoints/best.ckpt after every epoch that is the best so far: the weights alone.

    Args:
        monitor: The logged metric that epochs are compared by.
        mode: Whether more of it is better, "max", or less, "min".

    Attributes:
        best: The best value so far; None before the first.

    Raises:
        InputError: If `mode` is another word.
    """

    def __init__(self, monitor: str = MONITOR, mode: Literal["max", "min"] = "max") -> None:
        if mode not in ("max", "min"):
            raise ArgumentError("mode", f"expected 'max' or 'min', got {mode!r}")
        self.monitor, self.mode = monitor, mode
        self.best: float | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor not in trainer.callback_metrics:
            if MONITOR in trainer.callback_metrics:  # there was a validation, and it is not logged
                known = [name for name in trainer.callback_metrics if name.startswith("val/")]
                raise ArgumentError(
                    "callbacks.best.monitor",
                    f"nothing is logged as '{self.monitor}'{did_you_mean(self.monitor, known)}",
                )
            return
        value = float(trainer.callback_metrics[self.monitor])
        sign = 1 if self.mode == "max" else -1
        if self.best is None or sign * value > sign * self.best:
            self.best = value
            _save(trainer, RunFolder(Path(trainer.default_root_dir)).best)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY][BEST_VALUE] = {} if self.best is None else {self.monitor: self.best}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.best = checkpoint[KEY][BEST_VALUE].get(self.monitor)


class LastCheckpoint(Checkpoint):
    """Writes checkpoints/last.ckpt: after every epoch and, within one, as often as it is asked to.

    A run that is cut off resumes from there. How often it is written changes no number.

    Args:
        every_n_steps: Steps of training between two within an epoch; None is never.
        every_n_minutes: Minutes since the last one after which there is another; None is never.

    Raises:
        InputError: If `every_n_steps` is below 1, or `every_n_minutes` negative.
    """

    def __init__(
        self, every_n_steps: int | None = None, every_n_minutes: float | None = None
    ) -> None:
        if every_n_steps is not None:
            require_at_least("every_n_steps", every_n_steps, 1)
        if every_n_minutes is not None:
            require_at_least("every_n_minutes", every_n_minutes, 0)
        self.every_n_steps = every_n_steps
        self.seconds = None if every_n_minutes is None else 60 * every_n_minutes
        self.written = monotonic()  # which a clock that is set back does not change

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        steps, seconds = self.every_n_steps, self.seconds
        due = steps is not None and trainer.global_step % steps == 0
        if seconds is not None and trainer.world_size == 1:  # clocks of several would disagree
            due = due or monotonic() - self.written >= seconds
        between = (batch_idx + 1) % trainer.accumulate_grad_batches != 0  # gradients are not stored
        # Lightning would skip a validation that is due at the step that it resumes from.
        validating = (batch_idx + 1) % (trainer.val_check_batch or math.inf) == 0
        if due and not (between or validating or trainer.is_last_batch):
            self._write(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        _save(trainer, RunFolder(Path(trainer.default_root_dir)).last)
        self.written = monotonic()


def _save(trainer: Trainer, path: Path) -> None:
    # Not weights_only=True, by which Lightning asks no callback for what it adds.
    trainer.save_checkpoint(path, weights_only=False)


def _machine(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"{os.cpu_count()} CPU cores"
