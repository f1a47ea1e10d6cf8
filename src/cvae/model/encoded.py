"""Priors and posteriors whose x and y are brought into the form that networks take."""

from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.model.distributions import ConditionalDistribution


class Encoded(ConditionalDistribution):
    """A distribution over z, given x and y in their own units.

    Args:
        distribution: The distribution, given what the encoders make of x and y.
        of_x: Maps x to a list of tensors; None where x is taken as it is.
        of_y: Maps y, the last of the conditions, to a tensor; None for a prior, or where y is taken
            as it is.
    """

    def __init__(
        self,
        distribution: ConditionalDistribution,
        of_x: nn.Module | None = None,
        of_y: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.distribution, self.of_x, self.of_y = distribution, of_x, of_y

    def forward(self, x: Tensor, *others: Tensor) -> Distribution:
        """Map x, then the preceding layers of z, then y for a posterior, to a distribution."""
        parts = [x] if self.of_x is None else self.of_x(x)
        if self.of_y is not None:
            *others, y = others  # type: ignore[assignment]
            others = (*others, self.of_y(y))
        return self.distribution(*parts, *others)


def encoded(
    distribution: ConditionalDistribution, of_x: nn.Module | None, of_y: nn.Module | None = None
) -> ConditionalDistribution:
    """Return the distribution with these encoders; as it is where there is none."""
    if of_x is None and of_y is None:
        return distribution
    return Encoded(distribution, of_x, of_y)
