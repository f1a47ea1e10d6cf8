"""The generator p(y|x, z); without latent dimensions, a deterministic network p(y|x)."""

from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.errors import InputError, require_at_least
from cvae.kinds import Target
from cvae.model.distributions import ConditionalDistribution
from cvae.model.likelihoods.base import LikelihoodBuilder
from cvae.model.networks import Network


class Generator(ConditionalDistribution):
    """p(y|x, z): a network f(x, z), and a likelihood that maps its output to a distribution.

    Args:
        x_shape: Shape of a condition.
        latent_dim: Number of latent dimensions L; 0 is a deterministic network.
        target: What one y is like.
        likelihood: Builder of the likelihood, which sets the number of parameters per element.
        network: Builder of the network.
        of_x: Maps x to the list of tensors that the network takes; None where that is x itself.
        x_shapes: Their shapes; None where that is x itself.

    Raises:
        InputError: If `latent_dim` is negative, or the likelihood needs complete y and they are
            not.
    """

    def __init__(
        self,
        x_shape: Shape,
        latent_dim: int,
        target: Target,
        likelihood: LikelihoodBuilder,
        network: Network,
        of_x: nn.Module | None = None,
        x_shapes: list[Shape] | None = None,
    ) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        self.latent_dim = latent_dim
        self.likelihood = likelihood(target.shape)
        self.likelihood.missing = target.missing
        if target.missing and self.likelihood.fits_y:
            raise InputError(
                "likelihood.scale: optimal is of complete y, and values of these are missing; "
                "choose per_element or learned"
            )
        self.of_x = of_x
        out_shape = self.likelihood.outputs(target.laid_out)
        self.out_dims = len(out_shape)
        self.params_shape = self.likelihood.outputs(target.shape)
        self.network = network([*(x_shapes or [x_shape]), (latent_dim,)], out_shape)

    def forward(self, x: Tensor, z: Tensor) -> Distribution:
        """Map x, (..., *x_shape), and z, (..., L), to a distribution over y, (..., *y_shape).

        The leading dimensions of x and z broadcast: z may be (K, B, L) where x is (B, *x_shape).
        """
        parts = [x] if self.of_x is None else self.of_x(x)
        out = self.network(*parts, z)
        lead = out.shape[: out.dim() - self.out_dims]
        return self.likelihood(out.reshape(*lead, *self.params_shape))
