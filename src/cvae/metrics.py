"""torchmetrics metrics: numbers over a whole split, synchronised between processes.

Sums are kept in float64 on the device, so that no step waits for a number.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torchmetrics import Metric

from cvae.distributions import moments
from cvae.objectives import Estimate, kl_per_dimension

ACTIVE = 0.01
"""Variance above which a latent dimension is in use (Burda, Grosse & Salakhutdinov 2016)."""
_NO_KL = 0.1
"""Nats below which the posterior is the prior."""


class MeanTerms(Metric):
    """Means over all images of the loss and the terms of the bound, in nats per image.

    Args:
        log_prob_is: The name of the mean log-probability of y.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self, log_prob_is: str = "log_likelihood", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = ("loss", "elbo", log_prob_is, "kl")
        self.add_state("total", _zeros(len(self.names)), dist_reduce_fx="sum")
        self.add_state("images", _zeros(), dist_reduce_fx="sum")

    def update(self, loss: Tensor, log_likelihood: Tensor, kl: Tensor) -> None:
        """Add the mean loss of a batch, (), and its images' terms, (B,) each."""
        count, log_likelihood, kl = len(kl), log_likelihood.sum(), kl.sum()
        self.total += torch.stack((loss * count, log_likelihood - kl, log_likelihood, kl)).detach()
        self.images += count

    def compute(self) -> dict[str, Tensor]:
        """Return the means by name, () each."""
        return dict(zip(self.names, (self.total / self.images).float().unbind(), strict=True))


class LatentUse(Metric):
    r"""Which latent dimensions carry something of y: KL per dimension, and active units.

    A dimension is active where its posterior mean moves with the image by more than `ACTIVE`,

    .. math:: \mathrm{Var}\left[\frac{\mu_q(x, y) - \mu_p(x)}{\sigma_p(x)}\right] > 0.01,

    measured in the prior's own units. Under N(0, I) this is the criterion of Burda, Grosse &
    Salakhutdinov 2016, section 5.2; a learned prior may stretch and shift z without any effect, and
    the measure does not see it either.

    Args:
        latent_dim: Number of latent dimensions L.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    kl: Tensor
    mean: Tensor
    square: Tensor
    images: Tensor

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("kl", "mean", "square"):
            self.add_state(name, _zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("images", _zeros(), dist_reduce_fx="sum")

    def update(self, q: Distribution, p: Distribution) -> None:
        """Add the posteriors and priors of B images, over z, (B, L).

        KL per dimension is NaN where one of the two is not a product over dimensions.
        """
        kl = kl_per_dimension(q, p)
        self.kl += torch.nan if kl is None else kl.sum(0)
        mean, stddev = moments(p)
        moved = ((moments(q)[0] - mean) / stddev).double()
        self.mean += moved.sum(0)
        self.square += moved.square().sum(0)
        self.images += len(moved)

    def compute(self) -> dict[str, Tensor]:
        """Return `kl_per_dimension`, (L,), in nats per image, and `active_units`, ()."""
        variance = self.square / self.images - (self.mean / self.images).square()
        return {
            "kl_per_dimension": (self.kl / self.images).float(),
            "active_units": (variance > ACTIVE).sum(),
        }


def latent_verdict(kl: float, active_units: int, latent_dim: int) -> str | None:
    """Return a plain sentence if z tells nothing about y, else None.

    Args:
        kl: KL(q(z|x, y) || p(z|x)) in nats per image.
        active_units: As `LatentUse` counts them.
        latent_dim: Number of latent dimensions.
    """
    remedy = "try objective.warmup_epochs=10, a smaller objective.beta, or a weaker generator"
    if kl < _NO_KL:
        return (
            f"The posterior has fallen onto the prior: KL is {kl:.3f} nats per image, so z tells "
            f"next to nothing about y, and all draws of z give the same image; {remedy}."
        )
    if active_units == 0:
        return (
            f"The posterior has collapsed: none of {latent_dim} latent dimensions moves with the "
            f"image, although KL is {kl:.2f} nats; {remedy}."
        )
    return None


class ImportanceSampledNLL(Metric):
    """Mean of -log p(y|x) over all images, in nats per image, and how far it may be trusted.

    Args:
        samples: Number K of draws of z behind each image's estimate.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    square: Tensor
    variance: Tensor
    effective: Tensor
    images: Tensor

    def __init__(self, samples: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.samples = samples
        for name in ("total", "square", "variance", "effective", "images"):
            self.add_state(name, _zeros(), dist_reduce_fx="sum")

    def update(self, estimate: Estimate) -> None:
        """Add the estimates of B images."""
        nll, effective = -estimate.log_prob.double(), estimate.effective_samples.double()
        self.total += nll.sum()
        self.square += nll.square().sum()
        self.variance += (1 / effective - 1 / self.samples).sum()
        self.effective += effective.sum()
        self.images += len(nll)

    def compute(self) -> dict[str, Tensor]:
        """Return numbers by name, () each.

        `nll`; `nll_standard_error`, of the mean over images drawn at random; `nll_sampling_error`,
        the part of it that comes from drawing z; `nll_bias`, by how much K draws of z leave the NLL
        too high; `effective_samples`, the mean over images of (sum w)^2 / sum w^2, from 1 to K.
        Sampling error and bias are the delta method's, from a variance of 1/ESS - 1/K for each
        image's estimate: they are too small where ESS is near 1.
        """
        mean = self.total / self.images
        spread = (self.square / self.images - mean.square()).clamp(min=0)
        return {
            "nll": mean.float(),
            "nll_standard_error": (spread / (self.images - 1)).sqrt().float(),
            "nll_sampling_error": (self.variance.sqrt() / self.images).float(),
            "nll_bias": (self.variance / (2 * self.images)).float(),
            "effective_samples": (self.effective / self.images).float(),
        }


class SpreadDistance(Metric):
    r"""How far the generated images' spread within a class is from the real ones'.

    .. math:: \frac1C \sum_c \left|r_c - 1\right|,
        \quad r_c = s_c^\mathrm{generated} / s_c^\mathrm{real},
        \quad s_c^2 = \mathbb{E}\,\lVert f - \bar f_c \rVert^2

    with f an image's features. 0: as diverse as the real ones; 1: one and the same image again and
    again, or twice the spread. Fréchet and kernel distances over all classes hardly see this.

    Args:
        num_features: Number of features F.
        num_classes: Number of classes C; 1 where the images have none.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    square: Tensor
    images: Tensor

    def __init__(self, num_features: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", _zeros(2, num_classes, num_features), dist_reduce_fx="sum")
        self.add_state("square", _zeros(2, num_classes), dist_reduce_fx="sum")
        self.add_state("images", _zeros(2, num_classes), dist_reduce_fx="sum")

    def update(self, features: Tensor, classes: Tensor, real: bool) -> None:
        """Add features, (B, F), of images of these classes, (B,)."""
        features = features.double()
        self.total[int(real)].index_add_(0, classes, features)
        self.square[int(real)].index_add_(0, classes, features.square().sum(1))
        self.images[int(real)].index_add_(0, classes, torch.ones_like(features[:, 0]))

    def compute(self) -> dict[str, Tensor]:
        """Return `spread`, the distance, and `spread_ratio`, the mean of r, which has its sign.

        Over the classes with two images or more on both sides, () each.
        """
        mean = self.total / self.images.unsqueeze(-1)
        spread = (self.square / self.images - mean.square().sum(-1)).clamp(min=0).sqrt()
        ratio = (spread[0] / spread[1])[(self.images > 1).all(0)]
        return {
            "spread": (ratio - 1).abs().mean().float(),
            "spread_ratio": ratio.mean().float(),
        }


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)
