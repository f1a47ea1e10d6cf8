"""The Gaussian posterior of any covariance."""

from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.model.distributions import ConditionalDistribution, full_gaussian, full_parameters
from cvae.model.networks import Network


class FullGaussianPosterior(ConditionalDistribution):
    r"""q(z|x, y) = N(z | m(x, y), S(x, y) S(x, y)^T), S lower triangular.

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives m and S.

    Raises:
        InputError: If `latent_dim` is below 1.
    """

    def __init__(self, in_shapes: Sequence[Shape], latent_dim: int, network: Network) -> None:
        super().__init__()
        require_at_least("latent_dim (of a full covariance)", latent_dim, 1)
        self.latent_dim = latent_dim
        self.network = network(in_shapes, (full_parameters(latent_dim),))

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *in_shape) to a distribution over z, (..., L)."""
        return full_gaussian(self.network(*conditions), self.latent_dim)
