"""The abstract objective, its terms, and the KL they are built from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

Decoder = Callable[[Tensor], Distribution]
"""p(y|x, z) with x filled in: z, (..., B, L), to a distribution with batch shape (..., B)."""


@dataclass(frozen=True)
class Terms:
    """The terms of an objective for B targets, in nats.

    Attributes:
        loss: The quantity to minimise, averaged over the batch, ().
        log_likelihood: Estimate of E_q[log p(y|x, z)], (B,).
        kl: KL(q || p), or an estimate where it has no closed form, (B,).
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound itself, without the objective's weights, in nats, (B,)."""
        return self.log_likelihood - self.kl


class Objective(nn.Module, ABC):
    """Maps a posterior, a prior, a decoder and y to `Terms`.

    Attributes:
        decodes_prior: Whether it also decodes draws from the prior in training.
    """

    decodes_prior: bool = False

    def beta_at(self, epoch: float) -> float:
        """Return the weight of the KL term at an epoch (1.5: in the middle of the second)."""
        return 1.0

    @abstractmethod
    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        """Return the terms of targets y, (B, *y_shape); validation and test leave beta at 1."""


def kl_per_dimension(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor | None:
    """Return the contribution of each dimension of z to KL(q || p), (B, L), in nats.

    z, (B, L), is a draw from q; with None the function draws one, without a gradient. The result
    is None where q or p is not a product over dimensions, since there are no contributions then.

    Example:
        >>> import torch
        >>> from torch.distributions import Normal
        >>> one = torch.ones(1, 2)
        >>> q, p = (Independent(Normal(mean * one, one), 1) for mean in (1.0, 0.0))
        >>> kl_per_dimension(q, p)
        tensor([[0.5000, 0.5000]])
    """
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    return kl_or_estimate(q.base_dist, p.base_dist, q.sample() if z is None else z)


def kl_or_estimate(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """Return KL(q || p) in nats, (B,): in closed form if torch has one, else the estimate at z.

    z, (B, L), is a draw from q.

    Example:
        >>> import torch
        >>> from torch.distributions import Normal
        >>> one = torch.ones(1, 2)
        >>> q, p = (Independent(Normal(mean * one, one), 1) for mean in (1.0, 0.0))
        >>> kl_or_estimate(q, p, q.sample())
        tensor([1.])
    """
    kl = closed_kl(q, p)
    return q.log_prob(z) - p.log_prob(z) if kl is None else kl


def closed_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """Return KL(q || p) in nats, (B,), or None where torch has no closed form."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None
