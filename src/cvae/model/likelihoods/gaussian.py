"""Gaussian pixels: a density over grey images."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from cvae.batch import Shape, Support
from cvae.errors import ArgumentError
from cvae.model.distributions import Gaussian, full_precision, independent_normal
from cvae.model.likelihoods.base import Likelihood

_FOLLOWS = 0.99
"""Share of the moving average of squares that each step keeps."""

MIN_SCALE = 0.01
"""Floor of a scale that is learned, in pixel units (black is 0, white is 1).

A density on pixels that never change, such as the border of a scanned digit, grows without bound
as its scale goes to zero; the floor keeps the reported nats a property of the model.
"""


class GaussianLikelihood(Likelihood):
    r"""Each pixel is Gaussian about the generator's output, independently.

    .. math:: \log p(y \mid \mu, \sigma) = \sum_i \log \mathcal{N}(y_i \mid \mu_i, \sigma_i^2)

    This is a density: its nats cannot be compared with a Bernoulli's, which is a mass.

    Args:
        y_shape: Shape of one target.
        scale: The standard deviation in pixel units: a positive number keeps it fixed, "learned"
            learns one scalar for all pixels, "per_pixel" lets the generator give one per pixel,
            and "optimal" takes the root mean square error of a training batch, the best scalar
            for it (Rybkin, Daniilidis & Levine 2021, "Simple and Effective VAE Training with
            Calibrated Decoders", equation 6), and after training the moving average of these:
            the nats of training are a little high. Only a fixed scale may be below `MIN_SCALE`.

    Raises:
        InputError: If `scale` is neither a positive number nor one of these words.
    """

    nats_of = "density"
    support = Support.REAL
    fixed_scale: Tensor
    mean_square: Tensor

    def __init__(
        self, y_shape: Shape, scale: float | Literal["learned", "per_pixel", "optimal"] = "learned"
    ) -> None:
        super().__init__(y_shape)
        fixed = not isinstance(scale, str) and scale > 0
        if not fixed and scale not in ("learned", "per_pixel", "optimal"):
            raise ArgumentError(
                "scale",
                f"expected a positive number, 'learned', 'per_pixel' or 'optimal', got {scale!r}",
            )
        self.params_per_pixel = 2 if scale == "per_pixel" else 1
        if fixed:
            self.register_buffer("fixed_scale", torch.tensor(float(scale)), persistent=False)
        elif scale == "optimal":
            self.register_buffer("mean_square", torch.ones(()))
            self.fits_y = True
        elif scale == "learned":
            self.raw_scale = nn.Parameter(torch.zeros(()))

    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., P, *y_shape) to a density over y, (..., *y_shape)."""
        mean, *raw = full_precision(params).unbind(-self.event_dims - 1)
        if hasattr(self, "mean_square"):
            pixels = _OptimalPixels(mean, self)
            return Independent(pixels, self.event_dims, validate_args=False)
        if hasattr(self, "fixed_scale"):
            scale = self.fixed_scale
        else:
            scale = MIN_SCALE + softplus(raw[0] if raw else self.raw_scale)
        scale, log_scale = (part.expand(mean.shape) for part in (scale, scale.log()))
        return independent_normal(mean, scale, log_scale, self.event_dims)


class _OptimalPixels(Gaussian):
    """Pixels whose scale is the likelihood's moving average or, in training, the best for y."""

    def __init__(self, loc: Tensor, likelihood: GaussianLikelihood) -> None:
        self.likelihood = likelihood
        scale = likelihood.mean_square.sqrt().clamp(min=MIN_SCALE)
        super().__init__(loc, scale.expand(loc.shape), scale.log().expand(loc.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        kept = self.likelihood.mean_square
        if not (self.likelihood.training and torch.is_grad_enabled()):
            return super().log_prob(value)
        square = (value - self.loc).square().mean()
        self.likelihood.mean_square = torch.lerp(square.detach(), kept, _FOLLOWS)
        scale = square.clamp(min=MIN_SCALE**2).sqrt().expand(self.loc.shape)
        return Gaussian(self.loc, scale, scale.log()).log_prob(value)
