"""A prior fitted, after training, to the posteriors of the training set.

A trained prior leaves holes: places that it draws from and no posterior covers, where the generator
was never trained. The aggregated posterior, the mean over the data of q(z|x, y), is the prior under
which the ELBO is highest, all else as it is (Hoffman & Johnson 2016, "ELBO surgery"; two-stage
VAEs, Dai & Wipf 2019). So the ELBO rises by what this fit gains, and nothing else changes.
"""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, seed_everything
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from cvae import checkpoint
from cvae.batch import Batch
from cvae.building import build_model, single_device_trainer
from cvae.checkpoint import KEY
from cvae.config import Config
from cvae.data.base import ImageData
from cvae.distributions import ConditionalDistribution
from cvae.saving import WholeCheckpoints

_EPOCHS = 30
_RATE = 3e-3
_DRAWS = 8
"""Draws of z for each image at a time."""
_OF_TRAINING = ("callbacks", "optimizer_states", "lr_schedulers", "loops", "current_model_state")
"""What of a checkpoint training goes on from, which a refitted one is not for."""


def refit(config: Config, run_dir: Path, data: ImageData) -> dict[str, float]:
    """Put the prior of `config["refit"]` in the place of that of the run's best checkpoint.

    It is fitted to draws from the posteriors of the training set, everything else frozen; of its
    epochs the best one by the validation set is kept.

    Args:
        config: The resolved configuration.
        run_dir: The run's folder.
        data: The run's data.

    Returns:
        `refit/before` and `refit/after`: -E_q[log p(z|x)] of the validation set, in nats per image,
        under the prior that was trained and the one fitted. Their difference is what the ELBO of
        the validation set has gained.
    """
    path, contents = checkpoint.read(run_dir)
    trained = checkpoint.load(path, config["allow"])
    seed_everything(config["seed"], workers=True, verbose=False)
    settings = {**config, "prior": config["refit"]}
    model = build_model(settings, data.sizes)
    kept = {name: part for name, part in model.state_dict().items() if name.startswith("prior.")}
    shared = trained.state_dict().items()
    model.load_state_dict({n: p for n, p in shared if not n.startswith("prior.")} | kept)
    trainer = single_device_trainer(config["trainer"])
    before = _Fit(trained.prior, trained.posterior)
    trainer(enable_progress_bar=False).validate(before, data, verbose=False)
    fit = _Fit(model.prior, model.posterior)
    trainer(max_epochs=_EPOCHS, enable_progress_bar=False).fit(fit, data)
    model.prior.load_state_dict(fit.best)
    for name in _OF_TRAINING:
        contents.pop(name, None)
    contents["state_dict"] = model.cpu().state_dict()
    contents[KEY]["config"] |= {"prior": config["refit"], "refit": config["refit"]}
    WholeCheckpoints().save_checkpoint(contents, path)
    return {"refit/before": before.lowest, "refit/after": fit.lowest}


class _Fit(LightningModule):
    """Minimises -E_q[log p(z|x)] by p."""

    def __init__(self, prior: ConditionalDistribution, posterior: ConditionalDistribution) -> None:
        super().__init__()
        self.prior, self.posterior = prior, posterior
        self.best: dict[str, Tensor] = {}
        self.lowest = math.inf
        self.total, self.images = 0.0, 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._cross_entropy(batch).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        parts = self._cross_entropy(batch)
        self.total += parts.double().sum().item()
        self.images += len(parts)

    def on_validation_epoch_end(self) -> None:
        reached = self.total / self.images
        if reached < self.lowest:
            self.lowest, self.best = reached, deepcopy(self.prior.state_dict())
        self.total, self.images = 0.0, 0

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.prior.parameters(), lr=_RATE)
        return [optimizer], [CosineAnnealingLR(optimizer, _EPOCHS)]

    def _cross_entropy(self, batch: Batch) -> Tensor:
        x, y = batch
        with torch.no_grad():
            z = self.posterior(x, y).sample(torch.Size([_DRAWS]))
        return -self.prior(x).log_prob(z).mean(0)
