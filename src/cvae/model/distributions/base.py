"""The conditional distribution, and functions for any distribution."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.random import drawing_from

_DRAWS = 100


class ConditionalDistribution(nn.Module, ABC):
    """A module that maps conditions to a distribution."""

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Distribution:
        """Map conditions, tensors (..., *shape), to a distribution with batch shape (...)."""


def moments(distribution: Distribution, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, (..., *event_shape) each.

    In closed form where torch has it, else from draws, as for a flow. The same seed gives the same
    draws; torch's own generator does not change.

    Example:
        >>> moments(torch.distributions.Normal(torch.zeros(2), torch.tensor([1.0, 2.0])))
        (tensor([0., 0.]), tensor([1., 2.]))
    """
    try:
        return distribution.mean, distribution.stddev
    except NotImplementedError:
        with drawing_from(torch.Generator().manual_seed(seed)):
            draws = distribution.sample(torch.Size([_DRAWS]))
        return draws.mean(0), draws.std(0)


def full_precision(parameters: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others unchanged.

    Sums of hundreds of log-probabilities lose whole nats in bfloat16.

    Example:
        >>> full_precision(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return parameters.to(torch.promote_types(parameters.dtype, torch.float32))
