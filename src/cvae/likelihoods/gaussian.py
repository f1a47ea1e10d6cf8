"""Gaussian pixels: a density over grey images."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from cvae.batch import Shape, Support
from cvae.distributions import full_precision, independent_normal
from cvae.errors import InputError
from cvae.likelihoods.base import Likelihood

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
            learns one scalar for all pixels, "per_pixel" lets the generator give one per pixel.
            Learned scales stay above `MIN_SCALE`.

    Raises:
        InputError: If `scale` is a number that is not positive, or another word.
    """

    nats_of = "density"
    support = Support.REAL
    fixed_scale: Tensor

    def __init__(
        self, y_shape: Shape, scale: float | Literal["learned", "per_pixel"] = "learned"
    ) -> None:
        super().__init__(y_shape)
        fixed = not isinstance(scale, str) and scale > 0
        if not fixed and scale not in ("learned", "per_pixel"):
            raise InputError(
                "likelihood.scale: expected a positive number, 'learned' or 'per_pixel', "
                f"got {scale!r}"
            )
        self.params_per_pixel = 2 if scale == "per_pixel" else 1
        if fixed:
            self.register_buffer("fixed_scale", torch.tensor(float(scale)), persistent=False)
        elif scale == "learned":
            self.raw_scale = nn.Parameter(torch.zeros(()))

    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., P, *y_shape) to a density over y, (..., *y_shape)."""
        mean, *raw = full_precision(params).unbind(-self.event_dims - 1)
        if hasattr(self, "fixed_scale"):
            scale = self.fixed_scale
        else:
            scale = MIN_SCALE + softplus(raw[0] if raw else self.raw_scale)
        scale, log_scale = (part.expand(mean.shape) for part in (scale, scale.log()))
        return independent_normal(mean, scale, log_scale, self.event_dims)
