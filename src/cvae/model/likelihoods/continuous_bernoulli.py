"""Continuous Bernoulli pixels: a density over grey images, zero outside [0, 1]."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from cvae.batch import Support
from cvae.model.distributions import full_precision
from cvae.model.likelihoods.base import Likelihood, NatsOf

_NEAR = 0.5
"""Absolute logit below which the closed forms cancel and their series replace them."""


class ContinuousBernoulliLikelihood(Likelihood):
    r"""A Bernoulli's cross-entropy on grey pixels, with the normaliser that makes it a density.

    .. math:: \log p(y \mid f) = \sum_i y_i \log s(f_i) + (1 - y_i) \log(1 - s(f_i)) + \log C(f_i)
        = \sum_i y_i f_i - \log \frac{e^{f_i} - 1}{f_i}

    s is the sigmoid and f the generator's output (Loaiza-Ganem & Cunningham 2019, "The continuous
    Bernoulli: fixing a pervasive error in variational autoencoders", equations 5 to 7). Its mean
    is not s(f). torch's own class clips s(f) near 0 and 1, where trained pixels are, and is not a
    density there.
    """

    nats_of: NatsOf = "density"
    support = Support.UNIT_INTERVAL

    def forward(self, params: Tensor) -> Distribution:
        """Map logits (..., 1, *y_shape) to a density over y, (..., *y_shape)."""
        logits = full_precision(params).squeeze(-self.event_dims - 1)
        return self.of_elements(_Pixels(logits))


class _Pixels(Distribution):
    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor) -> None:
        self.logits, self.is_near = logits, logits.abs() < _NEAR
        self.far = torch.where(self.is_near, 1.0, logits)  # what the closed forms are taken of
        self.near = torch.where(self.is_near, logits, 0.0)
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        f, g = self.near, self.far
        near = 0.5 + f / 12 - f**3 / 720 + f**5 / 30240
        return torch.where(self.is_near, near, -1 / torch.expm1(-g) - 1 / g)

    def log_prob(self, value: Tensor) -> Tensor:
        f, g = self.near, self.far
        near = f / 2 + f**2 / 24 - f**4 / 2880 + f**6 / 181440
        far = g.clamp(min=0) + torch.log1p(-torch.exp(-g.abs())) - torch.log(g.abs())
        return value * self.logits - torch.where(self.is_near, near, far)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, device=self.logits.device)
        rate = self.logits.abs().clamp(min=1e-6)
        dark = torch.log1p(u * torch.expm1(-rate)) / -rate  # of the negative logit
        return torch.where(self.logits > 0, 1 - dark, dark)
