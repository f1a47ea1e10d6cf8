"""The standard normal prior, independent of the condition."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.distributions import ConditionalDistribution, independent_normal
from cvae.errors import require_at_least


class StandardPrior(ConditionalDistribution):
    r"""p(z|x) = N(0, I), whatever x is.

    Args:
        x_shape: Shape of a condition.
        latent_dim: Number of latent dimensions L.

    Raises:
        InputError: If `latent_dim` is negative.
    """

    zero: Tensor
    one: Tensor

    def __init__(self, x_shape: Shape, latent_dim: int) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        self.condition_dims = len(x_shape)
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("one", torch.ones(latent_dim), persistent=False)

    def forward(self, x: Tensor) -> Distribution:
        """Map x, (..., *x_shape), to a distribution over z, (..., L)."""
        shape = (*x.shape[: x.dim() - self.condition_dims], -1)
        zero, one = self.zero.expand(shape), self.one.expand(shape)
        return independent_normal(zero, one, zero)
