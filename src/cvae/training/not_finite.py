"""A training whose numbers are no longer finite ends at once, and says what broke first."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from cvae.errors import diverged
from cvae.training.module import TrainingModule


class StopWhenDiverged(Callback):
    """Raises a `FloatingPointError` before anything that is not finite is logged or saved."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_finite(trainer, pl_module, "train")  # which came before it
        self._require_finite(trainer, pl_module, "val")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_finite(trainer, pl_module, "train")

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._require_finite(trainer, pl_module, "train")
        if not all(part.isfinite().all() for part in pl_module.parameters()):
            raise diverged("a weight is not finite", trainer.global_step, trainer.current_epoch)

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
        raise diverged(f"{split}/{name} is {value}", step, trainer.current_epoch)
