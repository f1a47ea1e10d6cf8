"""Counts for each element: Poisson, and with more spread than that, negative binomial."""

import torch
from torch import Tensor
from torch.distributions import Distribution, NegativeBinomial, Poisson
from torch.nn.functional import softplus

from cvae.batch import Shape, Support
from cvae.model.distributions import full_precision
from cvae.model.likelihoods.base import Likelihood, NatsOf

_LARGEST = 40.0
"""Largest logarithm of a mean: torch draws no larger counts."""
_MOST = 1e4
"""Largest number of successes of a negative binomial, which is a Poisson's then."""
_LEAST = 1e-4
"""Smallest number of successes of a negative binomial: its variance is 1e4 times its mean^2."""


class _Counts(Likelihood):
    """Counts whose means are given in multiples of the training set's mean.

    Args:
        y_shape: Shape of one target.
        average: Mean of each count of the last dimension in the training set.
    """

    nats_of: NatsOf = "mass"
    support = Support.COUNTS
    log_average: Tensor

    def __init__(self, y_shape: Shape, average: tuple[float, ...]) -> None:
        super().__init__(y_shape)
        logs = torch.tensor(average, dtype=torch.float64).log()
        self.register_buffer("log_average", logs, persistent=False)

    def logs(self, multiples: Tensor) -> Tensor:
        """Return the logarithms of the means, in double precision, from those of multiples."""
        return (multiples + self.log_average).clamp(max=_LARGEST)


class PoissonLikelihood(_Counts):
    r"""Each element is a Poisson count of mean e^f, independently.

    .. math:: \log p(y \mid f) = \sum_i y_i f_i - e^{f_i} - \log y_i!

    f is the generator's output plus the logarithm of the training set's mean.
    """

    def forward(self, params: Tensor) -> Distribution:
        """Map f, (..., 1, *y_shape), to a mass over y, (..., *y_shape)."""
        rate = self.logs(full_precision(params).squeeze(-self.event_dims - 1)).exp()
        return self.of_elements(_Poisson(rate, validate_args=False))


class NegativeBinomialLikelihood(_Counts):
    r"""Each element is a Poisson count whose mean varies as a gamma variable, independently.

    The generator gives the logarithm of the mean m, as for `PoissonLikelihood`, and a number from
    which the shape r of the gamma follows; the variance is m + m^2 / r (Hilbe 2011, "Negative
    Binomial Regression", section 8.2). Poisson is the limit of large r.
    """

    params_per_element = 2

    def forward(self, params: Tensor) -> Distribution:
        """Map two numbers for each element, (..., 2, *y_shape), to a mass over y."""
        logs, raw = full_precision(params).unbind(-self.event_dims - 1)
        shape = softplus(raw.double() + 1).clamp(max=_MOST) + _LEAST
        logits = self.logs(logs) - shape.log()
        return self.of_elements(_NegativeBinomial(shape, logits=logits, validate_args=False))


class _Poisson(Poisson):
    """torch's Poisson in double precision: its terms cancel where counts are large."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.double()).float()


class _NegativeBinomial(NegativeBinomial):
    """torch's negative binomial in double precision, likewise."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.double()).float()
