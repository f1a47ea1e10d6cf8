"""What a run shows while it trains, and the average of its weights."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import PassThroughProfiler
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cvae.batch import Batch
from cvae.errors import ArgumentError, require_at_least
from cvae.evaluation.panels import reconstructions, samples
from cvae.evaluation.pictures import pictures_of
from cvae.model.cvae import CVAE
from cvae.model.objectives import kl_per_dimension
from cvae.random import drawing_from
from cvae.training.loggers import log_picture
from cvae.training.not_finite import drawing_pictures

_NOTHING = nullcontext()


class Snapshots(Callback):
    """Logs pictures of the model as it is now, always from the same draws and targets.

    Prior samples, reconstructions of validation targets, and a histogram of the KL per
    latent dimension, which tells dimensions in use from those left idle. Needs a data module.

    Args:
        every_n_epochs: Epochs between two snapshots; the first epoch always has one.

    Raises:
        InputError: If `every_n_epochs` is below 1.
    """

    def __init__(self, every_n_epochs: int = 10) -> None:
        require_at_least("every_n_epochs", every_n_epochs, 1)
        self.every_n_epochs = every_n_epochs

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        due = trainer.current_epoch == 0 or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if not due or trainer.sanity_checking or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, CVAE)
        # What is drawn for a picture must not change what is drawn for the training.
        rng, folder = torch.Generator().manual_seed(0), Path(trainer.default_root_dir)
        place = (folder, trainer.global_step, trainer.current_epoch)
        with drawing_from(rng), drawing_pictures(pl_module, *place):
            self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: CVAE) -> None:
        items = next(iter(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        batch: Batch = trainer.strategy.batch_to_device(items)
        q, p = pl_module.posterior(*batch), pl_module.prior(batch.x)
        pictures = pictures_of(pl_module.condition.sizes)
        drawn = samples(pl_module, pictures, batch, torch.Generator().manual_seed(0))
        whole = pictures.reconstructions(reconstructions(pl_module, batch))
        kl = kl_per_dimension(q, p)
        step = trainer.global_step - 1  # of the curves' points
        for logger in trainer.loggers:
            log_picture(logger, "pictures/prior_samples", drawn, step)
            log_picture(logger, "pictures/reconstructions", whole, step)
            if isinstance(logger, TensorBoardLogger) and kl is not None and kl.numel():
                logger.experiment.add_histogram("kl_per_dimension", kl.mean(0), step)


class MovingAverage(WeightAveraging):
    r"""Lightning's exponential moving average of the weights, which goes to other processes too.

    It is validated, kept as the best and tested in the place of the weights that are trained. After
    n steps it keeps the share

    .. math:: \min\Big(d, \frac{1 + n}{10 + n}\Big),

    so that a short training is not an average with its first weights (the warm-up of TensorFlow's
    ExponentialMovingAverage).

    Args:
        decay: Share d of the average that a step keeps in the end.

    Raises:
        InputError: If `decay` does not lie between 0 and 1.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ArgumentError("decay", f"expected a share from 0 to less than 1, got {decay}")
        super().__init__(use_buffers=False, multi_avg_fn=partial(_approach, decay=decay))


def _approach(average: list[Tensor], now: list[Tensor], steps: Tensor, decay: float) -> None:
    n = int(steps)
    kept = min(decay, (1 + n) / (10 + n))
    get_ema_multi_avg_fn(kept)(average, now, steps)  # torch's own function cannot be pickled


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, as Lightning's own does that is there when none is asked for, but faster.

    Every hook of every callback at every step enters what `profile` returns.
    """

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NOTHING
