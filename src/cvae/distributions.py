"""What torch.distributions lacks: distributions that depend on a condition.

The whole program leans on one sentence: a conditional distribution is a module whose `forward`
maps tensors to a `torch.distributions.Distribution`, whose batch shape is the batch and whose
event shape is the whole variable (all of z, all pixels of y). No other code ever sums over
pixels or latent dimensions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    register_kl,
)

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.nets import Network

_DRAWS = 100
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class ConditionalDistribution(nn.Module, ABC):
    """A module that maps conditions to a distribution."""

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Distribution:
        """Map conditions, tensors (..., *shape), to a distribution with batch shape (...)."""


class DiagonalGaussian(ConditionalDistribution):
    r"""An axis-aligned Gaussian over z whose mean and variance a network reads off the conditions.

    .. math:: \mathcal{N}(z \mid \mu(c), \mathrm{diag}\, \sigma^2(c))

    The network gives the mean and the logarithm of the variance (Kingma & Welling 2014,
    "Auto-Encoding Variational Bayes", appendix C.2).

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network.

    Raises:
        InputError: If `latent_dim` is negative.
    """

    def __init__(self, in_shapes: Sequence[Shape], latent_dim: int, network: Network) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        self.network = network(in_shapes, (2, latent_dim))

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *shape) to a distribution over z, (..., L)."""
        return diagonal_gaussian(*self.network(*conditions).unbind(-2))


class Gaussian(Normal):
    """torch's Normal with the logarithm of its scale at hand.

    Log-probabilities and KL take half the passes over z, which counts with a thousand draws of it.

    Args:
        loc: The mean.
        scale: The standard deviation, of the same shape.
        log_scale: Its logarithm.
    """

    def __init__(self, loc: Tensor, scale: Tensor, log_scale: Tensor) -> None:
        # Argument validation is off: it costs a synchronisation per call on a GPU, and the scales
        # come from functions whose values are positive.
        super().__init__(loc, scale, validate_args=False)
        self.log_scale = log_scale

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "Gaussian":
        parts = (self.loc, self.scale, self.log_scale)
        return Gaussian(*(part.expand(batch_shape) for part in parts))

    def log_prob(self, value: Tensor) -> Tensor:
        deviation = (value - self.loc) / self.scale
        return torch.addcmul(-self.log_scale - _HALF_LOG_TAU, deviation, deviation, value=-0.5)


@register_kl(Gaussian, Gaussian)
def _kl(q: Gaussian, p: Gaussian) -> Tensor:
    squares = torch.addcmul((q.loc - p.loc).square(), q.scale, q.scale)
    return torch.addcmul(p.log_scale - q.log_scale - 0.5, squares, 0.5 * p.scale.pow(-2))


class Mixture(Distribution):
    r"""A mixture of K distributions over z, a vector: sum_k w_k p_k(z).

    Unlike torch's, its components may be the same for the whole batch and need not be repeated;
    those that are axis-aligned Gaussians take one matrix product for all of them; and its component
    is drawn by a uniform number, so that a draw can be traced.

    Args:
        logits: Logarithms of the weights but for a constant, (..., K).
        components: The components, of a batch shape that broadcasts with (..., K).
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

    The square is multiplied out, so that nothing of K times L numbers lies in memory for each z; in
    float64, since the products of narrow Gaussians cancel.
    """
    with torch.autocast(z.device.type, enabled=False):
        loc, log_scale, wide = gaussian.loc.double(), gaussian.log_scale.double(), z.double()
        precision = (-2 * log_scale).exp()
        ends = -0.5 * loc.square() * precision - log_scale - _HALF_LOG_TAU
        pairs = "...l,...kl->...k"
        squares = torch.einsum(pairs, wide.square(), -0.5 * precision)
        found = squares + torch.einsum(pairs, wide, loc * precision) + ends.sum(-1)
        return found.to(z.dtype)


def diagonal_gaussian(mean: Tensor, log_variance: Tensor) -> Distribution:
    """Return the axis-aligned Gaussian over the last dimension of mean and log variance."""
    mean, log_scale = full_precision(mean), 0.5 * full_precision(log_variance)
    return independent_normal(mean, log_scale.exp(), log_scale)


class FullGaussian(MultivariateNormal):
    """torch's, whose matrix products are never taken in half precision."""

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().rsample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().log_prob(value)


def full_gaussian(parameters: Tensor, latent_dim: int) -> MultivariateNormal:
    """Return the Gaussian of any covariance over z, (..., L), of `full_parameters(L)` numbers each.

    These are the mean, the logarithm of the squared diagonal of the covariance's Cholesky factor,
    and what lies below it, row by row.
    """
    sizes = [latent_dim, latent_dim, full_parameters(latent_dim) - 2 * latent_dim]
    mean, log_square, below = full_precision(parameters).split(sizes, -1)
    # The factor's numbers, and a zero, are put where they belong.
    numbers = torch.cat((torch.zeros_like(mean[..., :1]), (0.5 * log_square).exp(), below), -1)
    column = torch.arange(latent_dim, device=mean.device)
    row = column.unsqueeze(-1)
    places = torch.where(column < row, 1 + latent_dim + column + row * (row - 1) // 2, 0)
    places = torch.where(column == row, 1 + column, places).flatten()
    factor = numbers.index_select(-1, places).unflatten(-1, (latent_dim, latent_dim))
    return FullGaussian(mean, scale_tril=factor, validate_args=False)


def full_parameters(latent_dim: int) -> int:
    """Return how many numbers say a Gaussian of any covariance over L dimensions."""
    return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2


@register_kl(MultivariateNormal, Independent)
def _kl_to_product(q: MultivariateNormal, p: Any) -> Tensor:
    base = p.base_dist
    if not isinstance(base, Gaussian):
        raise NotImplementedError
    squares = q.scale_tril.square().sum(-1) + (q.loc - base.loc).square()
    parts = base.log_scale + 0.5 * squares * base.scale.pow(-2) - 0.5
    return parts.sum(-1) - q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def independent_normal(
    mean: Tensor, scale: Tensor, log_scale: Tensor, event_dims: int = 1
) -> Distribution:
    """Return the axis-aligned Gaussian over the last `event_dims` dimensions of `mean`."""
    return Independent(Gaussian(mean, scale, log_scale), event_dims, validate_args=False)


def moments(distribution: Distribution, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, (..., *event_shape) each.

    In closed form where torch has it, else from draws, as for a flow: from the same ones for the
    same seed, which leaves torch's own generator alone.
    """
    try:
        return distribution.mean, distribution.stddev
    except NotImplementedError:
        device = torch.device("cuda" if torch.cuda.is_initialized() else "cpu")
        with drawing_from(torch.Generator().manual_seed(seed), device):
            draws = distribution.sample(torch.Size([_DRAWS]))
        return draws.mean(0), draws.std(0)


def full_precision(parameters: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others unchanged.

    Sums of hundreds of log-probabilities lose whole nats in bfloat16.
    """
    return parameters.to(torch.promote_types(parameters.dtype, torch.float32))


def drawn_pixels(probabilities: Tensor) -> Tensor:
    """Return pixels of the same shape, each 1 with its probability, else 0.

    `torch.bernoulli` takes three times as long on a CPU.
    """
    pixels = torch.rand_like(probabilities)
    return torch.lt(pixels, probabilities, out=pixels)


@contextmanager
def drawing_from(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let torch.distributions, whose methods take no generator, draw from this one."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
