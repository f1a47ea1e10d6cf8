r"""Importance sampling of p(y|x), from a mixture of the refined posterior and the prior.

.. math:: p(y \mid x) = \mathbb{E}_{z \sim m} [w(z)], \qquad
    w(z) = \frac{p(y \mid x, z) \, p(z \mid x)}{m(z)}, \qquad
    m(z) = (1 - a) \, r(z) + a \, p(z \mid x)

Fixed numbers of the K draws come from r and from the prior, and each is weighed by the density of
the whole mixture: the balance heuristic (Veach & Guibas 1995, "Optimally Combining Sampling
Techniques for Monte Carlo Rendering"). The share a of the prior is a defence (Owen & Zhou 2000,
"Safe and Effective Importance Sampling"): w is at most p(y|x, z) / a, however much r misses.

r is the posterior, moved and stretched for each target by a hundred steps that raise its ELBO. It
starts at the posterior's mean, or where draws of the prior find a larger p(y, z|x). This reduces
the amortization gap (Cremer, Li & Duvenaud 2018, "Inference Suboptimality in Variational
Autoencoders"). r depends on none of the K draws, so the mean of w is unbiased for p(y|x), whatever
K is. With K below 200, r is the posterior itself.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.distributions import AffineTransform, Distribution, TransformedDistribution

from cvae.model.distributions import moments

LogLikelihood = Callable[[Tensor], Tensor]
"""Maps K draws of z for each of B targets, (K, B, L), to log p(y|x, z), (K, B)."""

_PRIOR_SHARE = 0.25
DRAWS_PER_REFINING = 200
"""Draws of z, K, for each one in a step of the refinement."""
_STEPS = 100
_PILOTS = 50
"""Draws of the prior that look for a start, for each one in a step."""
_RATES = 0.3, 0.01
"""First and last step of Adam, in the posterior's standard deviations: first to reach a mode that
is ten of them away, then to settle."""


class Estimate(NamedTuple):
    """Importance-sampled estimates for B targets.

    Attributes:
        log_prob: log p(y|x) in nats, (B,), from all K draws.
        of_halves: The mean of the estimates from each half of the draws, (B,).
        of_quarters: The mean of the estimates from each quarter of the draws, (B,).
        variance: The variance of `log_prob` over repeated draws of z, (B,), as the quarters show
            it; 0 where there are fewer than four draws.
        effective_samples: (sum w)^2 / sum w^2, (B,), from 1, where a single draw of z dominates
            the estimate, to the number of draws (Kong 1992).
    """

    log_prob: Tensor
    of_halves: Tensor
    of_quarters: Tensor
    variance: Tensor
    effective_samples: Tensor

    @classmethod
    def of(cls, strata: Sequence[Tensor]) -> Self:
        """Return the estimates from log w, (k, B), of the draws of each component of the mixture.

        Every half and quarter has its share of every component.
        """
        # In float64: the effective samples are a small difference of large logarithms.
        strata = [stratum.double() for stratum in strata]
        every = torch.cat(strata)
        total, squares = every.logsumexp(0), (2 * every).logsumexp(0)
        log_prob = total - math.log(len(every))
        blocks = {number: _blocks(strata, number) for number in (2, 4)}
        if len(every) < max(blocks):
            blocks = dict.fromkeys(blocks, log_prob.unsqueeze(0))
        variance = blocks[4].var(0, correction=min(1, len(blocks[4]) - 1)) / len(blocks[4])
        effective = (2 * total - squares).exp().clamp(1, len(every))
        return cls(log_prob, blocks[2].mean(0), blocks[4].mean(0), variance, effective)


def _blocks(strata: Sequence[Tensor], number: int) -> Tensor:
    """Return the log of the mean weight in each of `number` blocks, (number, B)."""
    found = []
    for first in range(number):
        block = torch.cat([stratum[first::number] for stratum in strata])
        found.append(block.logsumexp(0) - math.log(max(1, len(block))))
    return torch.stack(found)


def strata(samples: int) -> tuple[int, int]:
    """Return how many of K draws come from the refined posterior, and how many from the prior."""
    from_prior = int(_PRIOR_SHARE * samples)
    return samples - from_prior, from_prior


def log_weights(
    r: Distribution,
    p: Distribution,
    log_likelihood: LogLikelihood,
    draws: tuple[int, int],
    prior_share: float,
) -> tuple[Tensor, Tensor]:
    """Return log w of draws from r, (K_r, B), and of draws from the prior p, (K_p, B).

    Args:
        r: The refined posterior.
        p: The prior.
        log_likelihood: log p(y|x, z) of z alone.
        draws: The numbers K_r, 1 at least, and K_p.
        prior_share: The prior's share a of the mixture.
    """
    log_shares = [
        math.log(share) if share else -math.inf for share in (1 - prior_share, prior_share)
    ]

    def weighed(component: Distribution, number: int) -> Tensor:
        z = component.sample(torch.Size([number]))
        log_p = p.log_prob(z)
        mixture = torch.logaddexp(r.log_prob(z) + log_shares[0], log_p + log_shares[1])
        return log_likelihood(z) + log_p - mixture

    of_r = weighed(r, draws[0])
    return of_r, weighed(p, draws[1]) if draws[1] else of_r[:0]


def shifted(q: Distribution, shift: Tensor, scale: Tensor) -> Distribution:
    """Return the distribution of shift + scale u, (B, L) each, where u ~ q and scale is above 0."""
    # The last draw is cached, as a flow's own is: its density is cheap.
    affine = AffineTransform(shift, scale, event_dim=1, cache_size=1)
    return TransformedDistribution(q, [affine], validate_args=False)


def refined(
    q: Distribution, p: Distribution, log_likelihood: LogLikelihood, draws: int
) -> tuple[Tensor, Tensor]:
    """Return the shift and the scale, (B, L) each, that raise the ELBO of each target.

    Adam takes 100 steps from where p(y, z|x) is largest, among the posterior's mean and draws of
    the prior, 50 for each of `draws`. The entropy of what is moved and stretched is
    that of q plus the logarithms of the scale. A target whose ELBO is not finite on the way keeps
    its posterior.

    Args:
        q: The posterior, which has `rsample`.
        p: The prior.
        log_likelihood: log p(y|x, z) of z alone.
        draws: Number of draws of z for each target in each step.
    """
    mean, deviation = (part.detach() for part in moments(q))
    moved = (_start(mean, p, log_likelihood, draws) - mean) / deviation
    moved, stretched = moved.requires_grad_(), torch.zeros_like(mean, requires_grad=True)

    def parts() -> tuple[Tensor, Tensor]:
        scale = stretched.exp()
        return mean + deviation * moved - scale * mean, scale

    adam = torch.optim.Adam([moved, stretched], lr=_RATES[0])
    fall = torch.optim.lr_scheduler.ExponentialLR(adam, (_RATES[1] / _RATES[0]) ** (1 / _STEPS))
    for _ in range(_STEPS):
        z = shifted(q, *parts()).rsample(torch.Size([draws]))
        elbo = (log_likelihood(z) + p.log_prob(z)).mean(0) + stretched.sum(-1)
        moved.grad, stretched.grad = torch.autograd.grad(-elbo.sum(), [moved, stretched])
        adam.step()
        fall.step()
    shift, scale = (part.detach() for part in parts())
    sound = (shift.isfinite() & scale.isfinite() & (scale > 0)).all(-1, keepdim=True)
    return torch.where(sound, shift, 0.0), torch.where(sound, scale, 1.0)


@torch.no_grad()
def _start(mean: Tensor, p: Distribution, log_likelihood: LogLikelihood, draws: int) -> Tensor:
    """Return where p(y, z|x) is largest, (B, L), among the posterior's mean and prior draws."""

    def joint(z: Tensor) -> Tensor:
        return log_likelihood(z) + p.log_prob(z)

    best, highest = mean, joint(mean.unsqueeze(0))[0]
    for _ in range(_PILOTS):
        z = p.sample(torch.Size([draws]))
        top, index = joint(z).max(0)
        found = z.gather(0, index.view(1, -1, 1).expand(1, *mean.shape))[0]
        best = torch.where((top > highest).unsqueeze(-1), found, best)
        highest = torch.maximum(top, highest)
    return best
