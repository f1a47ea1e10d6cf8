"""How much of the latent space is used."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torchmetrics import Metric

from cvae.evaluation.metrics.base import zeros
from cvae.model.distributions import moments
from cvae.model.objectives import kl_per_dimension

KL_PER_DIMENSION = "test/kl_per_dimension"
"""Prefix of the name under which the KL of each latent dimension is logged."""

ACTIVE = 0.01
"""Variance above which a latent dimension is in use (Burda, Grosse & Salakhutdinov 2016)."""
_NO_KL = 0.1
"""KL in nats below which the posterior counts as equal to the prior."""


class LatentUse(Metric):
    r"""Which latent dimensions carry information about y: KL per dimension, and active units.

    A dimension is active where its posterior mean moves with y by more than `ACTIVE`,

    .. math:: \mathrm{Var}\left[\frac{\mu_q(x, y) - \mu_p(x)}{\sigma_p(x)}\right] > 0.01,

    measured in the prior's own units. Under N(0, I) this is the criterion of Burda, Grosse &
    Salakhutdinov 2016, section 5.2. A learned prior may scale and shift z without any effect, and
    the measure is not affected by it either.

    Args:
        latent_dim: Number of latent dimensions L.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    kl: Tensor
    mean: Tensor
    square: Tensor
    targets: Tensor

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("kl", "mean", "square"):
            self.add_state(name, zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("targets", zeros(), dist_reduce_fx="sum")

    def update(self, q: Distribution, p: Distribution) -> None:
        """Add the posteriors and priors of B targets, over z, (B, L).

        KL per dimension is NaN where one of the two is not a product over dimensions.
        """
        kl = kl_per_dimension(q, p)
        self.kl += torch.nan if kl is None else kl.sum(0)
        # Two estimates, since the square of the noise of drawn moments would look like movement.
        # Their draws differ from batch to batch, or the error of a few would never average out.
        start = 4 * self.update_count
        first, second = (_moved(q, p, seed) for seed in (start, start + 2))
        self.mean += 0.5 * (first + second).sum(0)
        self.square += (first * second).sum(0)
        self.targets += len(first)

    def compute(self) -> dict[str, Tensor]:
        """Return `kl_per_dimension`, (L,), in nats per target, and `active_units`, ()."""
        variance = self.square / self.targets - (self.mean / self.targets).square()
        return {
            "kl_per_dimension": (self.kl / self.targets).float(),
            "active_units": (variance > ACTIVE).sum(),
        }


def _moved(q: Distribution, p: Distribution, seed: int) -> Tensor:
    mean, stddev = moments(p, seed)
    return ((moments(q, seed + 1)[0] - mean) / stddev).double()


def latent_verdict(kl: float, active_units: int, latent_dim: int) -> str | None:
    """Return a plain sentence if z carries no information about y, else None.

    Args:
        kl: KL(q(z|x, y) || p(z|x)) in nats per target.
        active_units: As `LatentUse` counts them.
        latent_dim: Number of latent dimensions.
    """
    if not latent_dim:  # a deterministic network
        return None
    remedy = "try objective.warmup_epochs=10, a smaller objective.beta, or a weaker generator"
    if kl < _NO_KL:
        return (
            f"The posterior has fallen onto the prior: KL is {kl:.3f} nats per target, so z says "
            f"almost nothing about y, and all draws of z give the same y; {remedy}."
        )
    if active_units == 0:
        return (
            f"The posterior has collapsed: none of {latent_dim} latent dimensions moves with the "
            f"target, although KL is {kl:.2f} nats; {remedy}."
        )
    return None
