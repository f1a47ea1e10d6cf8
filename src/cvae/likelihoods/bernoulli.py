"""Bernoulli pixels: a mass over binary images."""

from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from cvae.batch import Support
from cvae.distributions import full_precision
from cvae.likelihoods.base import Likelihood, NatsOf


class BernoulliLikelihood(Likelihood):
    r"""Each pixel is 1 with probability sigmoid(f), f the generator's output, independently.

    .. math:: \log p(y \mid f) = \sum_i y_i \log s(f_i) + (1 - y_i) \log(1 - s(f_i))
    """

    nats_of: NatsOf = "mass"
    support = Support.BINARY

    def forward(self, params: Tensor) -> Distribution:
        """Map logits (..., 1, *y_shape) to a mass over y, (..., *y_shape)."""
        logits = full_precision(params).squeeze(-self.event_dims - 1)
        bernoulli = Bernoulli(logits=logits, validate_args=False)
        return Independent(bernoulli, self.event_dims, validate_args=False)
