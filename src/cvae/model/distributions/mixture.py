"""Mixtures of distributions over z."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from cvae.model.distributions.gaussian import HALF_LOG_TAU, Gaussian


class Mixture(Distribution):
    r"""A mixture of K distributions over z, a vector: sum_k w_k p_k(z).

    It differs from torch's in three ways. Components that the whole batch shares need not be
    repeated. Densities of axis-aligned Gaussians take one matrix product for all of them. A
    uniform number chooses the component of a draw, so that a draw can be traced.

    Args:
        logits: Logarithms of the weights up to a constant, (..., K).
        components: The components; their batch shape broadcasts with (..., K).
    """

    def __init__(self, logits: Tensor, components: Distribution) -> None:
        self.log_weights, self.components = logits.log_softmax(-1), components
        batch = torch.broadcast_shapes(logits.shape, components.batch_shape)[:-1]
        super().__init__(batch, components.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self._average(self.components.mean)

    @property
    def variance(self) -> Tensor:
        moved = self.components.mean - self.mean.unsqueeze(-2)
        return self._average(self.components.variance + moved.square())

    def log_prob(self, value: Tensor) -> Tensor:
        gaussian = self._gaussian()
        if gaussian is None:
            terms = self.components.log_prob(value.unsqueeze(-2))
        else:
            terms = _log_probs(gaussian, value)
        return (self.log_weights + terms).logsumexp(-1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        inner = self.log_weights.exp().cumsum(-1)[..., :-1]
        batch = (*sample_shape, *self.batch_shape)
        u = torch.rand((*batch, 1), device=inner.device)
        passed = (u >= inner).to(inner.dtype)
        one, zero = torch.ones_like(u), torch.zeros_like(u)
        chosen = torch.cat((one, passed), -1) - torch.cat((passed, zero), -1)
        gaussian = self._gaussian()
        if gaussian is None:
            components = self.log_weights.shape[-1:]
            every = self.components.expand(torch.Size((*self.batch_shape, *components)))
            return (every.sample(torch.Size(sample_shape)) * chosen.unsqueeze(-1)).sum(-2)
        with torch.autocast(inner.device.type, enabled=False):
            loc, scale = (
                torch.einsum("...k,...kl->...l", chosen, part)
                for part in (gaussian.loc, gaussian.scale)
            )
        return torch.normal(loc, scale)

    def _average(self, parts: Tensor) -> Tensor:
        return (self.log_weights.exp().unsqueeze(-1) * parts).sum(-2)

    def _gaussian(self) -> Gaussian | None:
        base = getattr(self.components, "base_dist", None)
        return base if isinstance(base, Gaussian) else None


def _log_probs(gaussian: Gaussian, z: Tensor) -> Tensor:
    """Return log N(z | ...), (..., K), of each of K axis-aligned Gaussians, (..., K, L).

    The square is expanded, so that memory never holds K times L numbers for each z. This is done
    in float64, since the terms of narrow Gaussians cancel.
    """
    with torch.autocast(z.device.type, enabled=False):
        loc, log_scale, wide = gaussian.loc.double(), gaussian.log_scale.double(), z.double()
        precision = (-2 * log_scale).exp()
        ends = -0.5 * loc.square() * precision - log_scale - HALF_LOG_TAU
        pairs = "...l,...kl->...k"
        squares = torch.einsum(pairs, wide.square(), -0.5 * precision)
        found = squares + torch.einsum(pairs, wide, loc * precision) + ends.sum(-1)
        return found.to(z.dtype)
