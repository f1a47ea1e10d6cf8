"""A conditional VAE whose log p(y|x) is known exactly.

p(z|x) = N(A x + a, diag s²) and p(y|x, z) = N(W z + U x + b, σ² I) give
p(y|x) = N(W (A x + a) + U x + b, W diag(s²) Wᵀ + σ² I). The columns of W are orthogonal, so that
the exact posterior is axis-aligned and the posterior family holds it (Bishop 2006, section 2.3.3).
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from cvae.conditions import LabelCondition
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.model.generator import Generator
from cvae.model.likelihoods.gaussian import GaussianLikelihood
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.priors.gaussian import GaussianPrior
from cvae.training.module import TrainingModule

X, L, Y_SHAPE, SIGMA = 3, 2, (1, 2, 3), 0.7


class Map(nn.Module):
    """A network that is a plain function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


class LinearGaussian:
    """The model, its exact likelihood, and a switch that moves its posterior off the exact one."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.a_matrix, self.a = torch.randn(L, X).double(), torch.randn(L).double()
        self.s2 = torch.rand(L).double() + 0.5
        orthogonal = torch.linalg.qr(torch.randn(6, L).double()).Q
        self.w = orthogonal * torch.tensor([1.5, 0.5]).double()
        self.u, self.b = torch.randn(6, X).double(), torch.randn(6).double()
        self.posterior_shift = 0.0
        self.model = TrainingModule(
            LabelCondition(Sizes(ImageKind(Y_SHAPE), X)),
            GaussianPrior([(X,)], L, lambda *_: Map(self._prior)),
            GaussianPosterior([(X,), Y_SHAPE], L, lambda *_: Map(self._posterior)),
            Generator(
                (X,),
                L,
                ImageKind(Y_SHAPE),
                partial(GaussianLikelihood, scale=SIGMA),
                lambda *_: Map(self._generator),
            ),
        ).double()
        self.x = torch.eye(X).double().repeat(4, 1)
        self.y = self.model.generator(self.x, self.model.prior(self.x).sample()).sample()

    def _prior(self, x: Tensor) -> Tensor:
        mean = x @ self.a_matrix.T + self.a
        return torch.stack((mean, self.s2.log().expand_as(mean)), -2)

    def _posterior(self, x: Tensor, y: Tensor) -> Tensor:
        precision = 1 / self.s2 + (self.w**2).sum(0) / SIGMA**2
        residual = y.flatten(-3) - x @ self.u.T - self.b
        prior_mean = x @ self.a_matrix.T + self.a
        mean = (prior_mean / self.s2 + residual @ self.w / SIGMA**2) / precision
        log_variance = -precision.log() + self.posterior_shift
        return torch.stack((mean + self.posterior_shift, log_variance.expand_as(mean)), -2)

    def _generator(self, x: Tensor, z: Tensor) -> Tensor:
        return (z @ self.w.T + x @ self.u.T + self.b).unflatten(-1, (1, *Y_SHAPE))

    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean of each y, (B, 6), and the covariance of all, (6, 6)."""
        mean = (self.x @ self.a_matrix.T + self.a) @ self.w.T + self.x @ self.u.T + self.b
        return mean, self.w @ torch.diag(self.s2) @ self.w.T + SIGMA**2 * torch.eye(6)

    def exact(self) -> Tensor:
        return MultivariateNormal(*self.moments()).log_prob(self.y.flatten(1))
