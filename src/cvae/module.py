"""The conditional variational autoencoder as a LightningModule.

It holds the three networks and the objective, and is ordinary Python: a notebook can build one
from parts without a configuration.
"""

import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cvae.batch import Batch
from cvae.conditions import Condition, Wanted
from cvae.distributions import ConditionalDistribution, drawing_from, moments
from cvae.errors import diverged, require_at_least
from cvae.generators import Generator
from cvae.metrics.bounds import MeanTerms
from cvae.metrics.latent import LatentUse
from cvae.objectives import ELBO, Estimate, Objective, Terms, log_importance_weights

# Adam's averages of gradients that are almost zero become subnormal numbers, on which processors
# are so slow that a training takes up to twice as long. Threads inherit this when they start.
torch.set_flush_denormal(True)

# Lightning has torch look for GPUs by NVML. Where there are none that is not remembered, and every
# step of an optimiser would search the disk for the library again.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"

_PIXELS = 2**21  # decoded at a time; bounds the memory
_WEIGHED_ON_CPU = 2**18  # of them, where a density follows: small enough for the caches

_SUMS = "train_means"
"""Where in a checkpoint the sums over an unfinished epoch lie."""

_SPLITS = ("train", "val", "test")
MONITOR = "val/elbo"
"""What the best checkpoint, early stopping and searches go by."""

KL_PER_DIMENSION = "test/kl_per_dimension"
"""What the KL of each latent dimension is logged under, with its number."""


class CVAE(LightningModule):
    """Models p(y|x) with a latent variable z.

    Args:
        condition: Makes x of what a user asks for.
        prior: p(z|x).
        posterior: q(z|x, y).
        generator: p(y|x, z).
        objective: What training minimises.
        optimizer: Builder of the optimiser from parameters.
        scheduler: Builder of the learning-rate schedule, stepped once per epoch, from the
            optimiser; None keeps the rate constant.

    Attributes:
        compiled: Whether torch compiles the bound and the importance weights when a trainer starts;
            takes a C++ compiler, and seconds to minutes at their first use.
    """

    compiled: bool = False

    def __init__(
        self,
        condition: Condition,
        prior: ConditionalDistribution,
        posterior: ConditionalDistribution,
        generator: Generator,
        objective: Objective | None = None,
        optimizer: Callable[[Iterator[nn.Parameter]], Optimizer] = torch.optim.Adam,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    ) -> None:
        super().__init__()
        self.condition = condition
        self.prior = prior
        self.posterior = posterior
        self.generator = generator
        self.objective = objective or ELBO()
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.beta = 1.0
        log_prob_is = generator.likelihood.log_prob_is
        self.means = nn.ModuleDict({f"{split}_means": MeanTerms(log_prob_is) for split in _SPLITS})
        self.latent_use = LatentUse(generator.latent_dim)

    # -- inference -------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self,
        x: Wanted = None,
        n: int = 1,
        generator: torch.Generator | None = None,
        mean: bool = False,
    ) -> Tensor:
        """Draw n plausible targets for each condition: z from the prior, then y given z.

        Args:
            x: A digit, a list of B digits, or a condition tensor (B, *x_shape); None for every
                class once, or for a model without condition.
            n: Number of draws for each condition.
            generator: Source of randomness; the same state gives the same images.
            mean: Return the likelihood's mean given z instead of a draw of y.

        Returns:
            Whole images, pixels in [0, 1], (n, B, C, H, W); what x shows of them is in its place.

        Raises:
            InputError: If the model knows no such condition.
        """
        require_at_least("n", n, 1)
        x = self.encode(x)
        with drawing_from(generator, self.device):
            return self._pixels(x, self.prior(x).sample((n,)), mean)

    def encode(self, x: Wanted) -> Tensor:
        """Return what is asked for, as in `sample`, as conditions (B, *x_shape) on this device."""
        return self.condition.encode(x).to(self.device)

    @torch.no_grad()
    def decode(self, x: Wanted, z: Tensor) -> Tensor:
        """Return the likelihood's mean, whole images (..., B, C, H, W), of z, (..., B, L)."""
        return self._pixels(self.encode(x), z, mean=True)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean image, (B, C, H, W), at the posterior's mean of z."""
        return self._pixels(x, moments(self.posterior(x, y))[0], mean=True)

    def log_prob(self, x: Tensor, y: Tensor, samples: int = 1000) -> Tensor:
        """Return the importance-sampled estimate of log p(y|x) in nats, (B,), as `estimate`."""
        return self.estimate(x, y, samples).log_prob

    @torch.no_grad()
    def estimate(self, x: Tensor, y: Tensor, samples: int = 1000) -> Estimate:
        """Estimate log p(y|x) by importance sampling from the posterior.

        The estimate is low on average and rises to log p(y|x) with the number of samples (Burda,
        Grosse & Salakhutdinov 2016, theorem 1). Images and samples are streamed through in
        chunks.

        Args:
            x: Conditions (B, *x_shape).
            y: Targets (B, *y_shape).
            samples: Number K of draws of z for each image.
        """
        require_at_least("samples", samples, 1)
        pixels = _WEIGHED_ON_CPU if y.device.type == "cpu" else _PIXELS
        rows = max(1, pixels * len(y) // max(x.numel(), y.numel()))
        # So few images at a time that all their draws are decoded together: the posterior and the
        # prior of an image are not asked again for every few draws.
        images = max(1, rows // samples)
        parts = [
            self._estimate(*part, samples, max(1, rows // images))
            for part in zip(x.split(images), y.split(images), strict=True)
        ]
        return Estimate(*(torch.cat(part).to(y.dtype) for part in zip(*parts, strict=True)))

    def _estimate(self, x: Tensor, y: Tensor, samples: int, chunk: int) -> Estimate:
        sizes = (min(chunk, samples - done) for done in range(0, samples, chunk))
        return Estimate.of(self._log_weights(x, y, size) for size in sizes)

    def _log_weights(self, x: Tensor, y: Tensor, samples: int) -> Tensor:
        q, p, decode = self.posterior(x, y), self.prior(x), partial(self.generator, x)
        return log_importance_weights(q, p, decode, y, samples)

    def _pixels(self, x: Tensor, z: Tensor, mean: bool) -> Tensor:
        # So few conditions at a time that what lies between the layers stays in the caches.
        pixels = math.prod((*self.condition.y_shape, *z.shape[:-2]))
        conditions = max(1, _PIXELS // pixels)
        parts = []
        for some_x, some_z in zip(x.split(conditions), z.split(conditions, -2), strict=True):
            p = self.generator(some_x, some_z)
            y = p.mean if mean else p.sample()
            parts.append(self.condition.whole(some_x, y.clamp_(0, 1)))
        return torch.cat(parts, -4)

    def compile_parts(self) -> None:
        """Have torch compile the bound and the importance weights, each at its first use."""
        # Once as it is: how torch looks for a KL cannot be compiled, but it remembers what it is.
        x, y = self.condition.x_shape, self.condition.y_shape
        # A trainer says that it has moved to a GPU before it has: the weights say where they are.
        with torch.no_grad(), next(self.parameters()).device:
            self.terms(torch.zeros(1, *x), torch.zeros(1, *y))
        for name in ("terms", "_log_weights"):
            method = getattr(CVAE, name).__get__(self)
            # Draws stay those of torch's own generator, which is faster, too.
            setattr(self, name, torch.compile(method, options={"fallback_random": True}))

    # -- training --------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Check once that the data are what the likelihood is a distribution over; compile."""
        if self.compiled:
            self.compile_parts()
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None:
            self.generator.likelihood.require(datamodule.support)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        epoch = self.current_epoch + batch_idx / self.trainer.num_training_batches
        self.beta = self.objective.beta_at(epoch)
        return self._step("train", batch, self.beta).loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._step("test", batch)
        x, y = batch
        self.latent_use.update(self.posterior(x, y), self.prior(x))

    def _step(self, split: str, batch: Batch, beta: float = 1.0) -> Terms:
        terms = self.terms(*batch, beta)
        self._means(split).update(terms.loss, terms.log_likelihood, terms.kl)
        return terms

    def terms(self, x: Tensor, y: Tensor, beta: float = 1.0) -> Terms:
        """Return what the objective says of targets y, (B, *y_shape), under x, (B, *x_shape)."""
        q, p = self.posterior(x, y), self.prior(x)
        return self.objective(q, p, partial(self.generator, x), y, beta)

    def on_train_epoch_end(self) -> None:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self._log_means("train", beta=self.beta, lr=rate)
        scheduler, reached = self.lr_schedulers(), self.trainer.callback_metrics
        if isinstance(scheduler, ReduceLROnPlateau) and MONITOR in reached:
            scheduler.step(reached[MONITOR])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        # Lightning steps a plateau after the checkpoint is written, which a resumed run would miss.
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_epoch_end(self) -> None:
        self.require_finite("train")  # which was before it
        self._log_means("val")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.require_finite("train")
        if not all(part.isfinite().all() for part in self.parameters()):
            raise diverged("a weight is not finite", self.global_step, self.current_epoch)
        with self._means("train").sync_context():  # of all processes, and of an unfinished epoch
            checkpoint[_SUMS] = self._means("train").sums()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if _SUMS in checkpoint and self.global_rank == 0:  # others would count them once more
            self._means("train").add(checkpoint[_SUMS])

    def on_test_epoch_end(self) -> None:
        self._log_means("test")
        use = self.latent_use.compute()
        self.log("test/active_units", use["active_units"].float())
        if use["kl_per_dimension"].isfinite().all():
            for index, kl in enumerate(use["kl_per_dimension"].reshape(-1)):
                self.log(f"{KL_PER_DIMENSION}/{index}", kl)
        self.latent_use.reset()

    def _log_means(self, split: str, **further: float) -> None:
        # Logged once per epoch: logging at every step would cost as much as the step itself.
        if split != "test":
            self.require_finite(split)
        found: dict[str, Tensor | float] = {**self._means(split).compute(), **further}
        for name, value in found.items():
            self.log(f"{split}/{name}", value, prog_bar=name == "elbo", logger=split != "train")
        # Lightning would write these only after the checkpoint of the epoch that they belong to.
        for logger in self.loggers if split == "train" else []:
            values = {f"{split}/{name}": float(value) for name, value in found.items()}
            logger.log_metrics(values, self.global_step - 1)
        self._means(split).reset()

    def require_finite(self, split: str) -> None:
        """Raise a `FloatingPointError` if a mean of this epoch over a split is not finite."""
        if broken := self._means(split).broken():
            name, value, batch = broken
            batch += self.current_epoch * int(self.trainer.num_training_batches)
            step = batch // self.trainer.accumulate_grad_batches
            step = step if split == "train" else self.global_step
            raise diverged(f"{split}/{name} is {value}", step, self.current_epoch)

    def _means(self, split: str) -> MeanTerms:
        means: Any = self.means[f"{split}_means"]
        return means

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        schedule = {"scheduler": self.scheduler(optimizer), "monitor": MONITOR}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
