"""The learned mixture of Gaussians as a prior."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.errors import ArgumentError, require_at_least, require_between
from cvae.model.distributions import (
    ConditionalDistribution,
    Mixture,
    diagonal_gaussian,
    full_gaussian,
    full_parameters,
    full_precision,
)
from cvae.model.networks import Network


class MixturePrior(ConditionalDistribution):
    r"""p(z|x) = sum_k w_k(x) N(z | m_k(x), V_k(x)), K Gaussians that depend on x.

    The KL of a Gaussian from a mixture has no closed form; it is estimated from the drawn z.
    Dilokthanakul et al. 2016, "Deep Unsupervised Clustering with Gaussian Mixture Variational
    Autoencoders", use such a prior without x.

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives weights, means and covariances.
        components: Number K of Gaussians.
        covariance: "diagonal" or "full".

    Raises:
        InputError: If `components` is not from 1 to 100,000, `latent_dim` negative, or
            `covariance` another word.
    """

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        latent_dim: int,
        network: Network,
        components: int = 10,
        covariance: Literal["diagonal", "full"] = "diagonal",
    ) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        require_between("components", components, 1, 100_000)
        if covariance not in ("diagonal", "full"):
            raise ArgumentError("covariance", f"expected diagonal or full, got {covariance!r}")
        self.latent_dim, self.is_full = latent_dim, covariance == "full"
        if self.is_full:
            require_at_least("latent_dim (of a full covariance)", latent_dim, 1)
        parameters = full_parameters(latent_dim) if self.is_full else 2 * latent_dim
        self.network = network(in_shapes, (components, 1 + parameters))

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *in_shape) to a distribution over z, (..., L)."""
        parameters = full_precision(self.network(*conditions))
        logits, parameters = parameters[..., 0], parameters[..., 1:]
        if self.is_full:
            return Mixture(logits, full_gaussian(parameters, self.latent_dim))
        return Mixture(logits, diagonal_gaussian(*parameters.chunk(2, -1)))
