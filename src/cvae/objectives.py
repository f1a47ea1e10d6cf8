r"""Training objectives: the evidence lower bound and its relatives, in nats per image.

For a posterior q(z|x, y), a prior p(z|x) and a generator p(y|x, z),

.. math::
    \log p(y \mid x) \ge \mathrm{ELBO} = \mathbb{E}_{q(z \mid x, y)} [\log p(y \mid x, z)]
        - \mathrm{KL}(q(z \mid x, y) \,\|\, p(z \mid x))

(Kingma & Welling 2014, equation 3; with a condition, Sohn, Lee & Yan 2015, equation 4.)

An objective sees two distributions, a decoder from z to a distribution over y, and y. It knows no
network, no image and no configuration, and it never sums over pixels: the distributions do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from cvae.errors import require_at_least

Decoder = Callable[[Tensor], Distribution]
"""p(y|x, z) with x filled in: z, (..., B, L), to a distribution with batch shape (..., B)."""


@dataclass(frozen=True)
class Terms:
    """What an objective says of B images; in nats.

    Attributes:
        loss: What is minimised, averaged over the batch, ().
        log_likelihood: One-sample estimate of E_q[log p(y|x, z)], (B,).
        kl: KL(q || p), (B,).
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound itself, whatever the objective weighs how, (B,)."""
        return self.log_likelihood - self.kl


class Objective(nn.Module, ABC):
    """Maps a posterior, a prior, a decoder and y to `Terms`."""

    @abstractmethod
    def beta_at(self, epoch: float) -> float:
        """Return the weight of the KL term after so many epochs (1.5: in the middle of the 2nd)."""

    @abstractmethod
    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        """Return the terms of targets y, (B, *y_shape); validation and test leave beta at 1."""


class ELBO(Objective):
    r"""The negative ELBO, its KL term weighed by beta.

    beta = 1 is the bound; other values are the beta-VAE of Higgins et al. 2017. With
    `warmup_epochs` beta rises linearly from 0 (Sønderby et al. 2016, "Ladder Variational
    Autoencoders", section 2.3), which keeps latent dimensions from being switched off early.

    Args:
        beta: Weight of the KL term after the warm-up.
        warmup_epochs: Epochs over which beta rises; 0 starts at `beta`.

    Raises:
        InputError: If either is negative.
    """

    def __init__(self, beta: float = 1.0, warmup_epochs: float = 0.0) -> None:
        super().__init__()
        require_at_least("objective.beta", beta, 0)
        require_at_least("objective.warmup_epochs", warmup_epochs, 0)
        self.beta, self.warmup_epochs = beta, warmup_epochs

    def beta_at(self, epoch: float) -> float:
        return self.beta * min(1.0, epoch / self.warmup_epochs if self.warmup_epochs else 1.0)

    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        z = q.rsample()
        log_likelihood = decode(z).log_prob(y)
        kl = kl_or_estimate(q, p, z)
        return Terms((beta * kl - log_likelihood).mean(), log_likelihood, kl)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    """Return the part of KL(q || p) that each dimension of z has, (B, L), in nats.

    None where one of the two is not a product over dimensions, and there are no such parts.
    """
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    return kl_or_estimate(q.base_dist, p.base_dist, q.sample())


def kl_or_estimate(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """Return KL(q || p), (B,): in closed form where torch has it, else the estimate at z ~ q.

    z, (B, L), is a draw from q.
    """
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return q.log_prob(z) - p.log_prob(z)


class Estimate(NamedTuple):
    """Importance-sampled estimates for B images.

    Attributes:
        log_prob: log p(y|x) in nats, (B,).
        effective_samples: (sum w)^2 / sum w^2, (B,), from 1, where a single draw of z carries the
            whole estimate, to the number of draws (Kong 1992).
    """

    log_prob: Tensor
    effective_samples: Tensor


def log_importance_weights(
    q: Distribution, p: Distribution, decode: Decoder, y: Tensor, samples: int
) -> Tensor:
    r"""Return log w of K samples z ~ q, (K, B), for targets y, (B, *y_shape): E_q[w] = p(y|x).

    .. math:: w = p(y \mid x, z) \, p(z \mid x) / q(z \mid x, y)

    (Burda, Grosse & Salakhutdinov 2016, "Importance Weighted Autoencoders", equation 7.)
    """
    z = q.rsample(torch.Size([samples]))
    return decode(z).log_prob(y) + p.log_prob(z) - q.log_prob(z)
