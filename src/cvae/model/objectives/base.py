"""What every objective says, and what objectives are made of."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

Decoder = Callable[[Tensor], Distribution]
"""p(y|x, z) with x filled in: z, (..., B, L), to a distribution with batch shape (..., B)."""


@dataclass(frozen=True)
class Terms:
    """What an objective says of B images; in nats.

    Attributes:
        loss: What is minimised, averaged over the batch, ().
        log_likelihood: Estimate of E_q[log p(y|x, z)], (B,).
        kl: KL(q || p), or an estimate where it has no closed form, (B,).
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound itself, whatever the objective weighs how, (B,)."""
        return self.log_likelihood - self.kl


class Objective(nn.Module, ABC):
    """Maps a posterior, a prior, a decoder and y to `Terms`.

    Attributes:
        decodes_prior: Whether, in training, it decodes draws from the prior as well.
    """

    decodes_prior: bool = False

    def beta_at(self, epoch: float) -> float:
        """Return the weight of the KL term after so many epochs (1.5: in the middle of the 2nd)."""
        return 1.0

    @abstractmethod
    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        """Return the terms of targets y, (B, *y_shape); validation and test leave beta at 1."""


def kl_per_dimension(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor | None:
    """Return the part of KL(q || p) that each dimension of z has, (B, L), in nats.

    z, (B, L), is a draw from q, or None for one of its own, which has no gradient. The result is
    None where one of the two is not a product over dimensions, and there are no such parts.
    """
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    return kl_or_estimate(q.base_dist, p.base_dist, q.sample() if z is None else z)


def kl_or_estimate(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """Return KL(q || p), (B,): in closed form where torch has it, else the estimate at z ~ q.

    z, (B, L), is a draw from q.
    """
    kl = closed_kl(q, p)
    return q.log_prob(z) - p.log_prob(z) if kl is None else kl


def closed_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """Return KL(q || p), (B,), or None where torch has no closed form of it."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


class Estimate(NamedTuple):
    """Importance-sampled estimates for B images.

    Attributes:
        log_prob: log p(y|x) in nats, (B,).
        effective_samples: (sum w)^2 / sum w^2, (B,), from 1, where a single draw of z carries the
            whole estimate, to the number of draws (Kong 1992).
    """

    log_prob: Tensor
    effective_samples: Tensor

    @classmethod
    def of(cls, parts: Iterable[Tensor]) -> Self:
        """Return the estimates from log w of all draws, in parts of some draws each, (K, B)."""
        # In float64: the effective samples are a small difference of large logarithms.
        doubles = map(Tensor.double, parts)
        sums = [(len(part), part.logsumexp(0), (2 * part).logsumexp(0)) for part in doubles]
        numbers, firsts, seconds = zip(*sums, strict=True)
        total, squares = torch.stack(firsts).logsumexp(0), torch.stack(seconds).logsumexp(0)
        effective = (2 * total - squares).exp().clamp(1, sum(numbers))
        return cls(total - math.log(sum(numbers)), effective)


def log_importance_weights(
    q: Distribution, p: Distribution, decode: Decoder, y: Tensor, samples: int
) -> Tensor:
    r"""Return log w of K samples z ~ q, (K, B), for targets y, (B, *y_shape): E_q[w] = p(y|x).

    .. math:: w = p(y \mid x, z) \, p(z \mid x) / q(z \mid x, y)

    (Burda, Grosse & Salakhutdinov 2016, "Importance Weighted Autoencoders", equation 7.)
    """
    z = q.rsample(torch.Size([samples]))
    return decode(z).log_prob(y) + p.log_prob(z) - q.log_prob(z)
