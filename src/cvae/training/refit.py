"""A prior fitted, after training, to the posteriors of the training set.

A trained prior leaves holes: places that it draws from and no posterior covers, where the generator
was never trained. The aggregated posterior, the mean over the data of q(z|x, y), is the prior under
which the ELBO is highest, all else as it is (Hoffman & Johnson 2016, "ELBO surgery"; two-stage
VAEs, Dai & Wipf 2019). So the ELBO rises by what this fit gains, and nothing else changes.
"""

import math
from copy import deepcopy
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from cvae.batch import Batch
from cvae.config.building import build_model
from cvae.config.compose import Config
from cvae.data.base import PairData
from cvae.left import Left
from cvae.lines import tell
from cvae.model.distributions import ConditionalDistribution
from cvae.random import drawing_from
from cvae.store.checkpoint import KEY, read
from cvae.store.run_folder import RunFolder
from cvae.training.checkpointing import WholeCheckpoints
from cvae.training.trainer_options import single_device_trainer

_EPOCHS = 30
_RATE = 3e-3
_DRAWS, _VALIDATION_DRAWS = 8, 64
"""Draws of z for each target at a time: of many, the same in every epoch, the best epoch is not the
luckiest one."""
_KEPT = ("_target_", "accelerator", "precision", "enable_model_summary", "profiler")
"""The trainer's options that a fit takes over: how long and how often are the fit's own."""


def refit(config: Config, folder: RunFolder, data: PairData) -> dict[str, float]:
    """Write the run's best model with the prior of `config["refit"]` beside it, as refitted.ckpt.

    The prior is fitted to draws from the posteriors of the training set, everything else frozen; of
    its epochs the best one by the validation set is kept. Where the trained prior is better,
    nothing is written, and a line on standard error says so.

    Args:
        config: The resolved configuration.
        folder: The run's folder.
        data: The run's data.

    Returns:
        `refit/before` and `refit/after`: -E_q[log p(z|x)] of the validation set, in nats,
        under the prior that was trained and the one fitted. Their difference is what the ELBO of
        the validation set has gained.
    """
    stored = read(folder.best)
    trained, contents = stored.model(config["allow"]), stored.contents
    options = {name: value for name, value in config["trainer"].items() if name in _KEPT}
    trainer = single_device_trainer({**options, "enable_progress_bar": False})
    torch.manual_seed(config["seed"])
    before = _Fit(trained.prior, trained.posterior)
    trainer().validate(before, data, verbose=False)

    torch.manual_seed(config["seed"])
    model = build_model(config, data.sizes, prior="refit")
    own = {name: part for name, part in model.state_dict().items() if name.startswith("prior.")}
    shared = trained.state_dict().items()
    model.load_state_dict({n: p for n, p in shared if not n.startswith("prior.")} | own)
    fit = _Fit(model.prior, model.posterior)
    trainer(max_epochs=_EPOCHS, num_sanity_val_steps=0).fit(fit, data)
    if fit.lowest < before.lowest:
        model.prior.load_state_dict(fit.best)
        kept = {n: p for n, p in contents["state_dict"].items() if not n.startswith("prior.")}
        contents["state_dict"] = kept | model.cpu().state_dict()
        contents[KEY]["config"] |= {"prior": config["refit"], "refit": config["refit"]}
        WholeCheckpoints().save_checkpoint(contents, folder.refitted)
    else:
        tell(
            f"refit: the trained prior is kept, under which a validation target's z costs "
            f"{before.lowest:.2f} nats, and {fit.lowest:.2f} under the one fitted"
        )
    return {"refit/before": before.lowest, "refit/after": min(fit.lowest, before.lowest)}


class _Fit(LightningModule):
    """Minimises -E_q[log p(z|x)] by p."""

    def __init__(self, prior: ConditionalDistribution, posterior: ConditionalDistribution) -> None:
        super().__init__()
        self.prior, self.posterior = prior, posterior
        self.best: dict[str, Tensor] = {}
        self.lowest = math.inf
        self.total, self.targets = 0.0, 0
        self.left = Left("epochs of the refit", _EPOCHS)
        self.noise = torch.Generator()

    def on_train_epoch_end(self) -> None:
        self.left.done()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._cross_entropy(batch, _DRAWS).mean()

    def on_validation_epoch_start(self) -> None:
        self.noise.manual_seed(0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with drawing_from(self.noise):
            parts = self._cross_entropy(batch, _VALIDATION_DRAWS)
        self.total += parts.double().sum().item()
        self.targets += len(parts)

    def on_validation_epoch_end(self) -> None:
        reached = self.total / self.targets
        if reached < self.lowest:
            self.lowest, self.best = reached, deepcopy(self.prior.state_dict())
        self.total, self.targets = 0.0, 0

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.prior.parameters(), lr=_RATE)
        return [optimizer], [CosineAnnealingLR(optimizer, _EPOCHS)]

    def _cross_entropy(self, batch: Batch, draws: int) -> Tensor:
        x, y = batch
        with torch.no_grad():
            z = self.posterior(x, y).sample(torch.Size([draws]))
        return -self.prior(x).log_prob(z).mean(0)
