"""The importance-weighted bound."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from cvae.errors import require_between
from cvae.model.objectives.base import Decoder, Terms, closed_kl
from cvae.model.objectives.elbo import ELBO


class IWAE(ELBO):
    r"""The negative importance-weighted bound of K samples; a larger K gives a tighter bound.

    .. math:: \mathcal{L}_K = \mathbb{E}_{z_1 \dots z_K \sim q} \Big[\log \frac{1}{K} \sum_k
        \frac{p(y \mid x, z_k) \, p(z_k \mid x)}{q(z_k \mid x, y)}\Big] \le \log p(y \mid x)

    (Burda, Grosse & Salakhutdinov 2016, "Importance Weighted Autoencoders", equation 8.) The loss
    is its negative, also in validation and test; the other terms are those of the ELBO. In
    training, beta multiplies log p(z|x) - log q(z|x, y) of every draw, as it multiplies the ELBO's
    KL; beta = 1 is the bound.

    Args:
        samples: Number K of draws of z for each target.
        doubly_reparameterized: Whether the posterior's gradient is the doubly reparameterised one,
            whose signal-to-noise ratio does not fall as K grows (Tucker et al. 2019, "Doubly
            Reparameterized Gradient Estimators", equation 8).
        **options: As for `ELBO`.

    Raises:
        InputError: If `samples` is not from 1 to 10,000.
    """

    def __init__(
        self, samples: int = 8, doubly_reparameterized: bool = False, **options: float
    ) -> None:
        super().__init__(**options)
        require_between("samples", samples, 1, 10_000)
        self.samples, self.doubly_reparameterized = samples, doubly_reparameterized

    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        z = q.rsample(torch.Size([self.samples]))
        doubly = self.doubly_reparameterized and z.requires_grad
        log_q = _by_value(q, z) if doubly else q.log_prob(z)
        log_likelihood = decode(z).log_prob(y)
        log_p = p.log_prob(z)
        weights = log_likelihood + beta * (log_p - log_q)
        bound = weights.logsumexp(0) - math.log(self.samples)
        loss = -bound
        if doubly:
            # The gradient is weighted once for prior and generator; the hook weights it a second
            # time for the posterior. With beta below 1 the hook does so only in part: the second
            # weight comes from cancelling the score of log q, which counts only by beta.
            share = weights.softmax(0).detach()
            again = 1 - beta + beta * share.unsqueeze(-1)
            z.register_hook(lambda gradient: gradient * again)
            loss = -(share * weights).sum(0)
            loss = loss - loss.detach() - bound.detach()
        kl = closed_kl(q, p)
        kl = (log_q - log_p).mean(0) if kl is None else kl
        return Terms(loss.mean(), log_likelihood.mean(0), kl)


def _by_value(q: Distribution, z: Tensor) -> Tensor:
    """Return log q(z) with a gradient through z only, not through the parameters of q."""
    at = z.detach().requires_grad_()
    value = q.log_prob(at)
    (slope,) = torch.autograd.grad(value.sum(), at, retain_graph=True)
    return value.detach() + ((z - z.detach()) * slope).sum(-1)
