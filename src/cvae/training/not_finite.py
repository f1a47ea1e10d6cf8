"""A training whose numbers are no longer finite ends at once, and says what broke first."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from cvae.model.cvae import CVAE
from cvae.model.distributions import moments
from cvae.store.resume_arguments import command_to_resume
from cvae.store.run_folder import RunFolder
from cvae.training.module import TrainingModule


class StopWhenDiverged(Callback):
    """Raises a `FloatingPointError` before anything that is not finite is logged or saved."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_finite(trainer, pl_module, "train")  # which came before it
        self._require_finite(trainer, pl_module, "val")
        self._require_finite_weights(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_finite(trainer, pl_module, "train")

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._require_finite(trainer, pl_module, "train")
        self._require_finite_weights(trainer, pl_module)

    def _require_finite_weights(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not all(part.isfinite().all() for part in pl_module.parameters()):
            raise _diverged(trainer, "a weight is not finite", trainer.global_step)

    def _require_finite(self, trainer: Trainer, pl_module: LightningModule, split: str) -> None:
        assert isinstance(pl_module, TrainingModule)
        broken = pl_module.means_of(split).broken()
        if broken is None:
            return
        name, value, batch = broken
        step = trainer.global_step
        if split == "train":
            batch += trainer.current_epoch * int(trainer.num_training_batches)
            step = batch // trainer.accumulate_grad_batches
        raise _diverged(trainer, f"{split}/{name} is {value}", step)


def _diverged(trainer: Trainer, what: str, step: int) -> FloatingPointError:
    data: Any = getattr(trainer, "datamodule", None)
    group = trainer.optimizers[0].param_groups[0]
    lower = f"optimizer.lr={float(group.get('initial_lr', group['lr'])) / 10:g}"
    folder, remarks = Path(trainer.default_root_dir), getattr(data, "remarks", ())
    return _error(what, step, trainer.current_epoch, folder, lower, remarks)


def _error(
    what: str, step: int, epoch: int, place: Path, lower: str, remarks: Iterable[str] = ()
) -> FloatingPointError:
    """Return the error, with the ways out, and what is out of the ordinary about the data."""
    folder, data = RunFolder(place.absolute()), "".join(f"; {line}" for line in remarks)
    again = f"start again with {lower}, or with trainer.gradient_clip_val=1"
    if folder.last.is_file():  # else nothing has been saved yet
        resume = command_to_resume(folder)
        again = f"resume it from before that: {resume} trainer.gradient_clip_val=1; or {again}"
    return FloatingPointError(
        f"{what} at step {step} (epoch {epoch}): the training has diverged; {again}{data}"
    )


@contextmanager
def drawing_pictures(model: CVAE, folder: Path, step: int, epoch: int) -> Iterator[None]:
    """Say of a model that cannot be drawn from, although its bound is finite, that it diverged.

    Args:
        model: The model.
        folder: The run's.
        step: Steps of training that it has taken.
        epoch: Epochs.

    Raises:
        FloatingPointError: If what is entered fails, and the prior's moments are not finite.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError) or _can_be_drawn(model):
            raise
        what = "what the prior draws is not finite"
        raise _error(what, step, epoch, folder, "a lower optimizer.lr") from error


@torch.no_grad()
def _can_be_drawn(model: CVAE) -> bool:
    # Of one condition; torch refuses to draw from a flow or a mixture whose numbers are not finite.
    try:
        found = moments(model.prior(model.condition.example().to(model.device)))
    except (ValueError, RuntimeError):
        return False
    return all(bool(part.isfinite().all()) for part in found)
