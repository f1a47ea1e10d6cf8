"""A resumed run ends with the same bits as an uninterrupted one."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch import callbacks

from cvae.data.base import PairData
from cvae.random import seed_of, seed_torch, speed_up_training
from cvae.store.checkpoint import KEY, POSITION

_OF_VALIDATION = (0, 0, 1)
"""The place of the noise of every validation; that of a batch ends in 0."""


class ExactResume(Callback):
    """Lets a training that was cut off anywhere continue exactly as it would have.

    Every random number depends on the run's seed and on its place alone: torch's generators are
    seeded for every batch and every validation, which takes microseconds, so that nothing of their
    past has to be stored. Each of several processes draws noise of its own. Every validation draws
    the same noise, so that epochs differ by their weights alone. A checkpoint says how many batches
    of its epoch were trained on, and the data continue with the next one.

    Args:
        seed: The run's seed.
        data: The run's data.
    """

    def __init__(self, seed: int, data: PairData) -> None:
        self.seed, self.data = seed, data
        data.order_seed = seed
        self.epoch = self.batch = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        speed_up_training()  # in each of several processes

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY][POSITION] = [self.epoch, self.batch]

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.epoch, self.batch = checkpoint[KEY][POSITION]
        self.data.position = (self.epoch, self.batch)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer)  # an epoch that is resumed does not start again

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch, self.batch = trainer.current_epoch, 0
        self._seed(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # For the next batch, which may be binarised before its own first hook is called.
        self.batch = batch_idx + 1
        self._seed(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch, self.batch = trainer.current_epoch + 1, 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed_for(trainer, _OF_VALIDATION)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer)

    def _seed(self, trainer: Trainer) -> None:
        self._seed_for(trainer, (trainer.current_epoch, self.batch, 0))

    def _seed_for(self, trainer: Trainer, place: tuple[int, ...]) -> None:
        seed = seed_of(self.seed, trainer.global_rank, *place)
        seed_torch(seed, trainer.strategy.root_device)


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, which a resumed run may give another patience, and which stays stopped."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        patience = self.patience
        super().load_state_dict(state_dict)
        self.patience = patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning forgets that a run had stopped early, and would train it for one more epoch.
        if self.wait_count >= max(1, self.patience):
            trainer.should_stop = True
