"""The standard normal prior, independent of the condition."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.model.distributions import ConditionalDistribution, independent_normal


class StandardPrior(ConditionalDistribution):
    r"""p(z|x) = N(0, I), whatever x is.

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.

    Raises:
        InputError: If `latent_dim` is negative.
    """

    zero: Tensor
    one: Tensor

    def __init__(self, in_shapes: Sequence[Shape], latent_dim: int) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        self.event_dims = [len(shape) for shape in in_shapes]
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("one", torch.ones(latent_dim), persistent=False)

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *in_shape) to a distribution over z, (..., L)."""
        given = zip(conditions, self.event_dims, strict=True)
        lead = torch.broadcast_shapes(*(c.shape[: c.dim() - dims] for c, dims in given))
        shape = (*lead, -1)
        zero, one = self.zero.expand(shape), self.one.expand(shape)
        return independent_normal(zero, one, zero)
