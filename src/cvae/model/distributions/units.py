"""A distribution of standardised numbers as one of the numbers themselves."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution


class InUnits(Distribution):
    r"""The density of y = m + s u, where u has another density, element by element.

    .. math:: \log p(y) = \log p_u((y - m) / s) - \log s

    Unlike torch's TransformedDistribution it has a mean and a variance, and computes with y in
    double precision, so that years and prices lose nothing.

    Args:
        standardised: The density of u.
        mean: m, which broadcasts with u.
        unit: s, above 0.
    """

    arg_constraints: ClassVar = {}

    def __init__(self, standardised: Distribution, mean: Tensor, unit: Tensor) -> None:
        self.standardised, self.location, self.unit = standardised, mean, unit
        super().__init__(standardised.batch_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws are reparameterised."""
        return self.standardised.has_rsample

    @property
    def mean(self) -> Tensor:
        return self.location + self.unit * self.standardised.mean

    @property
    def variance(self) -> Tensor:
        return self.unit.square() * self.standardised.variance

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return self.location + self.unit * self.standardised.rsample(torch.Size(sample_shape))

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return self.location + self.unit * self.standardised.sample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        u = ((value - self.location) / self.unit).to(torch.float32)
        return self.standardised.log_prob(u) - self.unit.log().to(torch.float32)
