"""A Bernoulli for each element: a mass over binary targets, such as images."""

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution
from torch.nn.functional import softplus

from cvae.batch import Support
from cvae.model.distributions import full_precision
from cvae.model.likelihoods.base import Likelihood, NatsOf
from cvae.random import draw_binary


class BernoulliLikelihood(Likelihood):
    r"""Each element is 1 with probability sigmoid(f), f the generator's output, independently.

    .. math:: \log p(y \mid f) = \sum_i y_i f_i - \log(1 + e^{f_i})
    """

    nats_of: NatsOf = "mass"
    support = Support.BINARY

    def forward(self, params: Tensor) -> Distribution:
        """Map logits (..., 1, *y_shape) to a mass over y, (..., *y_shape)."""
        logits = full_precision(params).squeeze(-self.event_dims - 1)
        return self.of_elements(_Elements(logits=logits, validate_args=False))


class _Elements(Bernoulli):
    """torch's Bernoulli with fewer passes over elements, of which a generator gives millions."""

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits - softplus(self.logits)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return draw_binary(self.probs.expand(self._extended_shape(torch.Size(sample_shape))))
