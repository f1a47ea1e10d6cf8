"""Continuous Bernoulli pixels: a density over grey images that is none outside [0, 1]."""

from torch import Tensor
from torch.distributions import ContinuousBernoulli, Distribution, Independent

from cvae.batch import Support
from cvae.distributions import full_precision
from cvae.likelihoods.base import Likelihood, NatsOf


class ContinuousBernoulliLikelihood(Likelihood):
    r"""A Bernoulli's cross-entropy on grey pixels, with the normaliser that makes it a density.

    .. math:: \log p(y \mid f) = \sum_i y_i \log s(f_i) + (1 - y_i) \log(1 - s(f_i)) + \log C(f_i)

    s is the sigmoid and f the generator's output (Loaiza-Ganem & Cunningham 2019, "The continuous
    Bernoulli: fixing a pervasive error in variational autoencoders", equations 5 to 7). Its mean
    is not s(f).
    """

    nats_of: NatsOf = "density"
    support = Support.UNIT_INTERVAL

    def forward(self, params: Tensor) -> Distribution:
        """Map logits (..., 1, *y_shape) to a density over y, (..., *y_shape)."""
        logits = full_precision(params).squeeze(-self.event_dims - 1)
        pixels = ContinuousBernoulli(logits=logits, validate_args=False)
        return Independent(pixels, self.event_dims, validate_args=False)
