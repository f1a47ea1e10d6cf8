"""A mass over grey levels."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid, softplus

from cvae.batch import Shape, Support
from cvae.errors import InputError, require_at_least
from cvae.model.distributions import full_precision
from cvae.model.likelihoods.base import Likelihood, NatsOf

_FLAT = 5.0
_NEAR = 16
"""Levels next to the location over which the mean is a sum."""


class DiscretizedLogisticLikelihood(Likelihood):
    r"""Each pixel is a logistic variable, rounded to the nearest of the data's grey levels.

    .. math:: P(y \mid \mu, s) = \sigma\Big(\frac{y + h/2 - \mu}{s}\Big)
        - \sigma\Big(\frac{y - h/2 - \mu}{s}\Big)

    h is the distance between two levels; the lowest level has all mass below it, the highest all
    mass above it (Kingma
    et al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow", equation 26;
    Salimans et al. 2017, "PixelCNN++", equation 2). Its nats, over ln 2 and the number of pixels,
    are bits per dimension.

    Args:
        y_shape: Shape of one target.
        levels: Number of grey levels, evenly from 0 to 1.

    Raises:
        InputError: If there are fewer than 2 levels.
    """

    nats_of: NatsOf = "grey_mass"
    support = Support.LEVELS
    params_per_element = 2

    def __init__(self, y_shape: Shape, levels: int | None) -> None:
        super().__init__(y_shape)
        if levels is None:
            raise InputError(
                "likelihood: these pixels are real numbers, and discretized_logistic is a mass "
                "over grey levels; choose likelihood=gaussian or continuous_bernoulli, or give "
                "pixels as whole numbers"
            )
        require_at_least("levels", levels, 2)
        self.levels = levels

    def forward(self, params: Tensor) -> Distribution:
        """Map mu and log s, (..., 2, *y_shape), to a mass over y, (..., *y_shape)."""
        mean, log_scale = full_precision(params).unbind(-self.event_dims - 1)
        # Below a tenth of the way between two levels nothing changes but the size of the gradients.
        # Scales of hundreds of ranges are all as good as flat.
        scale = log_scale.clamp(max=_FLAT).exp() + 0.1 / self.levels
        return self.of_elements(_Pixels(mean, scale, self.levels))


class _Pixels(Distribution):
    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, loc: Tensor, scale: Tensor, levels: int) -> None:
        self.loc, self.scale, self.levels = loc, scale, levels
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        r"""The mean over the levels y_k = k h, to a hundredth of h.

        .. math:: \sum_k y_k P(y_k) = h \sum_{k > 0} P(y \ge y_k)
            = h \sum_{k > 0} \sigma\Big(\frac{\mu - y_k + h/2}{s}\Big)

        It sums the levels next to mu; elsewhere the terms change slowly, and an integral does.
        """
        last = self.levels - 1
        near = min(last, _NEAR)
        passed = (self.loc * last - near / 2).round().clamp(0, last - near)
        index = torch.arange(near, device=self.loc.device)
        thresholds = (passed.unsqueeze(-1) + index + 0.5) / last
        terms = ((self.loc.unsqueeze(-1) - thresholds) / self.scale.unsqueeze(-1)).sigmoid()
        below = self._integral(torch.zeros_like(passed), passed / last)
        above = self._integral((passed + near) / last, torch.ones_like(passed))
        return below + terms.sum(-1) / last + above

    def _integral(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the integral of the probability to be above t, for t from start to end."""
        first, second = ((self.loc - t) / self.scale for t in (start, end))
        return self.scale * (softplus(first) - softplus(second))

    def log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        upper = (value + half - self.loc) / self.scale
        lower = (value - half - self.loc) / self.scale
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), and nothing cancels
        width = torch.log(-torch.expm1(-2 * half / self.scale))
        inside = logsigmoid(upper) + logsigmoid(-lower) + width
        inside = torch.where(value < half, logsigmoid(upper), inside)
        return torch.where(value > 1 - half, logsigmoid(-lower), inside)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, device=self.loc.device).clamp(1e-7, 1 - 1e-7)
        y = self.loc + self.scale * (u.log() - (-u).log1p())
        return (y.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)
