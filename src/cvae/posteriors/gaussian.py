"""The axis-aligned Gaussian posterior."""

from cvae.batch import Shape
from cvae.distributions import DiagonalGaussian
from cvae.nets import Network


class GaussianPosterior(DiagonalGaussian):
    r"""q(z|x, y) = N(z | g(x, y), diag h(x, y)).

    Args:
        x_shape: Shape of a condition.
        y_shape: Shape of a target.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives g and the logarithm of h.
    """

    def __init__(self, x_shape: Shape, y_shape: Shape, latent_dim: int, network: Network) -> None:
        super().__init__([x_shape, y_shape], latent_dim, network)
