"""The smallest KL for a required log-likelihood."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from cvae.errors import ArgumentError
from cvae.model.objectives.base import Decoder, Objective, Terms, kl_or_estimate
from cvae.model.processes import mean_over_processes

_FOLLOWS = 0.99
"""Share of the moving average of the constraint that each step keeps."""
_FARTHEST = 10.0
"""Largest absolute logarithm of the multiplier."""


class GECO(Objective):
    r"""The smallest KL under which the log-likelihood reaches a target.

    .. math:: \mathrm{KL} + \lambda \, (\mathrm{target} - \mathbb{E}_q[\log p(y \mid x, z)])

    lambda grows while the log-likelihood is below the target, and shrinks while it is above: each
    step adds to log lambda `rate` times the moving average of the shortfall, in nats per element
    (Rezende & Viola 2018, "Taming VAEs", algorithm 1). The checkpoint contains lambda, which is the
    same in all processes.

    Args:
        log_likelihood: The target, in nats per target, such as -60.
        rate: How fast lambda moves.

    Raises:
        InputError: If `rate` is not positive.
    """

    log_multiplier: Tensor
    shortfall: Tensor

    def __init__(self, log_likelihood: float, rate: float = 0.1) -> None:
        super().__init__()
        if not 0 < rate < math.inf:
            raise ArgumentError("rate", f"expected a positive number, got {rate}")
        self.log_likelihood, self.rate = log_likelihood, rate
        self.register_buffer("log_multiplier", torch.zeros(()))
        self.register_buffer("shortfall", torch.tensor(math.nan))

    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        z = q.rsample()
        log_likelihood = decode(z).log_prob(y)
        kl = kl_or_estimate(q, p, z)
        shortfall = self.log_likelihood - log_likelihood
        loss = kl + self.log_multiplier.exp() * shortfall
        if self.training and torch.is_grad_enabled():
            self._follow(mean_over_processes(shortfall.mean() / y[0].numel()))
        return Terms(loss.mean(), log_likelihood, kl)

    def _follow(self, shortfall: Tensor) -> None:
        before = torch.where(self.shortfall.isnan(), shortfall, self.shortfall)
        self.shortfall = torch.lerp(shortfall, before, _FOLLOWS)
        moved = self.log_multiplier + self.rate * self.shortfall
        self.log_multiplier = moved.clamp(-_FARTHEST, _FARTHEST)
