"""The generator p(y|x, z); without latent dimensions, a deterministic network p(y|x)."""

from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.model.distributions import ConditionalDistribution
from cvae.model.likelihoods.base import LikelihoodBuilder
from cvae.model.networks import Network


class Generator(ConditionalDistribution):
    """p(y|x, z): a network f(x, z), and a likelihood that maps its output to a distribution.

    Args:
        x_shape: Shape of a condition.
        latent_dim: Number of latent dimensions L; 0 is a deterministic network.
        y_shape: Shape of a target.
        likelihood: Builder of the likelihood, which sets the number of parameters per pixel.
        network: Builder of the network.

    Raises:
        InputError: If `latent_dim` is negative.
    """

    def __init__(
        self,
        x_shape: Shape,
        latent_dim: int,
        y_shape: Shape,
        likelihood: LikelihoodBuilder,
        network: Network,
    ) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        self.latent_dim = latent_dim
        self.likelihood = likelihood(y_shape)
        out_shape = (self.likelihood.params_per_pixel, *y_shape)
        self.network = network([x_shape, (latent_dim,)], out_shape)

    def forward(self, x: Tensor, z: Tensor) -> Distribution:
        """Map x, (..., *x_shape), and z, (..., L), to a distribution over y, (..., *y_shape).

        The leading dimensions of x and z broadcast: z may be (K, B, L) where x is (B, *x_shape).
        """
        return self.likelihood(self.network(x, z))
