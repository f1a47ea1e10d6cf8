"""Gaussians: axis-aligned, and of any covariance."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    register_kl,
)

from cvae.batch import Shape
from cvae.errors import require_at_least
from cvae.model.distributions.base import ConditionalDistribution, full_precision
from cvae.model.networks import Network

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class DiagonalGaussian(ConditionalDistribution):
    r"""An axis-aligned Gaussian over z; a network maps the conditions to its mean and variance.

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


def diagonal_gaussian(mean: Tensor, log_variance: Tensor) -> Distribution:
    """Return the axis-aligned Gaussian over the last dimension of mean and log variance.

    Example:
        >>> q = diagonal_gaussian(torch.zeros(5, 2), torch.zeros(5, 2))
        >>> q.batch_shape, q.event_shape
        (torch.Size([5]), torch.Size([2]))
    """
    mean, log_scale = full_precision(mean), 0.5 * full_precision(log_variance)
    return independent_normal(mean, log_scale.exp(), log_scale)


def independent_normal(mean: Tensor, scale: Tensor, log_scale: Tensor) -> Distribution:
    """Return the axis-aligned Gaussian over the last dimension of `mean`.

    Example:
        >>> scale = torch.ones(2)
        >>> independent_normal(torch.zeros(2), scale, scale.log()).log_prob(torch.zeros(2)).exp()
        tensor(0.1592)
    """
    return Independent(Gaussian(mean, scale, log_scale), 1, validate_args=False)


class Gaussian(Normal):
    """torch's Normal, which also keeps the logarithm of its scale.

    Log-probabilities and KL then take half the passes over z, which matters with a thousand draws.

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
        return torch.addcmul(-self.log_scale - HALF_LOG_TAU, deviation, deviation, value=-0.5)


@register_kl(Gaussian, Gaussian)
def _kl(q: Gaussian, p: Gaussian) -> Tensor:
    squares = torch.addcmul((q.loc - p.loc).square(), q.scale, q.scale)
    return torch.addcmul(p.log_scale - q.log_scale - 0.5, squares, 0.5 * p.scale.pow(-2))


def full_gaussian(parameters: Tensor, latent_dim: int) -> MultivariateNormal:
    """Return a Gaussian of any covariance over z, (..., L), from (..., full_parameters(L)) numbers.

    The numbers are the mean, the logarithm of the squared diagonal of the covariance's Cholesky
    factor, and its entries below the diagonal, row by row.

    Example:
        >>> full_gaussian(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.5]), 2).covariance_matrix
        tensor([[1.0000, 0.5000],
                [0.5000, 1.2500]])
    """
    sizes = [latent_dim, latent_dim, full_parameters(latent_dim) - 2 * latent_dim]
    mean, log_square, below = full_precision(parameters).split(sizes, -1)
    # Every entry of the factor is gathered from these numbers; the zero serves above the diagonal.
    numbers = torch.cat((torch.zeros_like(mean[..., :1]), (0.5 * log_square).exp(), below), -1)
    column = torch.arange(latent_dim, device=mean.device)
    row = column.unsqueeze(-1)
    places = torch.where(column < row, 1 + latent_dim + column + row * (row - 1) // 2, 0)
    places = torch.where(column == row, 1 + column, places).flatten()
    factor = numbers.index_select(-1, places).unflatten(-1, (latent_dim, latent_dim))
    return FullGaussian(mean, scale_tril=factor, validate_args=False)


def full_parameters(latent_dim: int) -> int:
    """Return the number of parameters of a Gaussian of any covariance over L dimensions.

    Example:
        >>> full_parameters(3)  # a mean, a diagonal, and what is below it
        9
    """
    return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2


class FullGaussian(MultivariateNormal):
    """torch's MultivariateNormal, whose matrix products are never in half precision."""

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().rsample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        with torch.autocast(self.loc.device.type, enabled=False):
            return super().log_prob(value)


@register_kl(MultivariateNormal, Independent)
def _kl_to_product(q: MultivariateNormal, p: Any) -> Tensor:
    base = p.base_dist
    if not isinstance(base, Gaussian):
        raise NotImplementedError
    squares = q.scale_tril.square().sum(-1) + (q.loc - base.loc).square()
    parts = base.log_scale + 0.5 * squares * base.scale.pow(-2) - 0.5
    return parts.sum(-1) - q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
