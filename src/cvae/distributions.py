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
    MixtureSameFamily,
    Normal,
    register_kl,
)
from torch.nn.functional import pad

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.nets import Network

_DRAWS = 1000
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
        mean, log_variance = full_precision(self.network(*conditions)).unbind(-2)
        log_scale = 0.5 * log_variance
        return independent_normal(mean, log_scale.exp(), log_scale)


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


class Mixture(MixtureSameFamily):
    """torch's mixture, its component chosen by a uniform number, so that a draw can be traced.

    Args and shapes are torch's: weights (..., K), components (..., K) over z.
    """

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        z = self.component_distribution.sample(torch.Size(sample_shape))  # (..., K, *event)
        inner = self.mixture_distribution.probs.cumsum(-1)[..., :-1]
        lower, upper = pad(inner, (1, 0)), pad(inner, (0, 1), value=math.inf)
        batch = (*sample_shape, *self.batch_shape)
        u = torch.rand((*batch, 1), device=z.device)
        chosen = ((lower <= u) & (u < upper)).to(z.dtype)
        event = len(self.event_shape)
        return (z * chosen.view(*chosen.shape, *[1] * event)).sum(-1 - event)


def independent_normal(
    mean: Tensor, scale: Tensor, log_scale: Tensor, event_dims: int = 1
) -> Distribution:
    """Return the axis-aligned Gaussian over the last `event_dims` dimensions of `mean`."""
    return Independent(Gaussian(mean, scale, log_scale), event_dims, validate_args=False)


def moments(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, (..., *event_shape) each.

    In closed form where torch has it, else from draws, as for a flow.
    """
    try:
        return distribution.mean, distribution.stddev
    except NotImplementedError:
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
