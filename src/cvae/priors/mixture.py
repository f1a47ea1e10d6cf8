"""The learned mixture of Gaussians as a prior."""

from torch import Tensor
from torch.distributions import Categorical, Distribution

from cvae.batch import Shape
from cvae.distributions import (
    ConditionalDistribution,
    Mixture,
    full_precision,
    independent_normal,
)
from cvae.errors import require_at_least
from cvae.nets import Network


class MixturePrior(ConditionalDistribution):
    r"""p(z|x) = sum_k w_k(x) N(z | m_k(x), diag v_k(x)), K axis-aligned Gaussians that move with x.

    The KL of a Gaussian from it has no closed form: an estimate from the drawn z takes its place.
    Dilokthanakul et al. 2016, "Deep Unsupervised Clustering with Gaussian Mixture Variational
    Autoencoders", have such a prior without x.

    Args:
        x_shape: Shape of a condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives weights, means and variances, both as logarithms.
        components: Number K of Gaussians.

    Raises:
        InputError: If `components` is below 1, or `latent_dim` negative.
    """

    def __init__(
        self, x_shape: Shape, latent_dim: int, network: Network, components: int = 10
    ) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        require_at_least("prior.components", components, 1)
        self.latent_dim = latent_dim
        self.network = network([x_shape], (components, 1 + 2 * latent_dim))

    def forward(self, x: Tensor) -> Distribution:
        """Map x, (..., *x_shape), to a distribution over z, (..., L)."""
        parameters = full_precision(self.network(x))
        sizes = [1, self.latent_dim, self.latent_dim]
        logits, mean, log_variance = parameters.split(sizes, -1)
        log_scale = 0.5 * log_variance
        gaussians = independent_normal(mean, log_scale.exp(), log_scale)
        weights = Categorical(logits=logits.squeeze(-1), validate_args=False)
        return Mixture(weights, gaussians, validate_args=False)
