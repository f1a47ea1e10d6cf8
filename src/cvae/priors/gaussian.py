"""The learned Gaussian prior."""

from cvae.batch import Shape
from cvae.distributions import DiagonalGaussian
from cvae.nets import Network


class GaussianPrior(DiagonalGaussian):
    r"""p(z|x) = N(z | k(x), diag l(x)), an axis-aligned Gaussian that moves with x.

    The conditional prior of Sohn, Lee & Yan 2015, "Learning Structured Output Representation
    using Deep Conditional Generative Models", section 4.

    Args:
        x_shape: Shape of a condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives k and the logarithm of l.
    """

    def __init__(self, x_shape: Shape, latent_dim: int, network: Network) -> None:
        super().__init__([x_shape], latent_dim, network)
