"""What torch.distributions lacks: distributions that depend on a condition.

The whole program leans on one sentence: a conditional distribution is a module whose `forward`
maps tensors to a `torch.distributions.Distribution`, whose batch shape is the batch and whose
event shape is the whole variable (all of z, all pixels of y). No other code ever sums over
pixels or latent dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.nets import Network

_DRAWS = 1000


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
        return independent_normal(mean, (0.5 * log_variance).exp())


def independent_normal(mean: Tensor, scale: Tensor, event_dims: int = 1) -> Distribution:
    """Return the axis-aligned Gaussian over the last `event_dims` dimensions of `mean`.

    Argument validation is off: it costs a synchronisation per call on a GPU, and the scales come
    from functions whose values are positive.
    """
    normal = Normal(mean, scale, validate_args=False)
    return Independent(normal, event_dims, validate_args=False)


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
