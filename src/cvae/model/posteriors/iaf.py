"""The inverse autoregressive flow as a posterior."""

from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

from cvae.batch import Shape
from cvae.model.distributions import ConditionalDistribution, diagonal_gaussian
from cvae.model.networks import Network


class IAFPosterior(ConditionalDistribution):
    r"""q(z|x, y): an axis-aligned Gaussian, transformed by an autoregressive flow.

    Kingma et al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow". A draw
    and its own density take one pass of the networks; the density of any other z takes L passes.

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives the Gaussian, and the context of the flow.
        steps: Number of transforms.
        width: Units in the hidden layers of each transform.

    Raises:
        InputError: If a number is below 1.
    """

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        latent_dim: int,
        network: Network,
        steps: int = 2,
        width: int = 256,
    ) -> None:
        from cvae.model.autoregressive import Autoregressive  # which needs zuko

        super().__init__()
        self.transforms = Autoregressive(latent_dim, latent_dim, steps, width)
        self.network = network(in_shapes, (3, latent_dim))

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *in_shape) to a distribution over z, (..., L)."""
        mean, log_variance, context = self.network(*conditions).unbind(-2)
        gaussian = diagonal_gaussian(mean, log_variance)
        return TransformedDistribution(gaussian, self.transforms(context), validate_args=False)
