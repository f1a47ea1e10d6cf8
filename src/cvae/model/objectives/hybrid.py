"""The ELBO together with the log-likelihood under the prior, which is what sampling uses."""

from torch import Tensor
from torch.distributions import Distribution

from cvae.errors import ArgumentError
from cvae.model.objectives.base import Decoder, Terms
from cvae.model.objectives.elbo import ELBO


class Hybrid(ELBO):
    r"""A share of the ELBO, and the rest of the log-likelihood under z drawn from the prior.

    .. math:: \alpha \, \mathrm{ELBO}
        + (1 - \alpha) \, \mathbb{E}_{p(z \mid x)} [\log p(y \mid x, z)]

    Sohn, Lee & Yan 2015, section 4.2: training draws z knowing y, inference does not; the second
    term draws z as inference does. Both terms are lower bounds on log p(y|x). Under a prior whose
    draws are not reparameterised, such as a mixture, the second term trains only the generator.

    Args:
        elbo_share: Share alpha of the ELBO.
        **options: As for `ELBO`.

    Raises:
        InputError: If the share is not between 0 and 1.
    """

    decodes_prior = True

    def __init__(self, elbo_share: float = 0.5, **options: float) -> None:
        super().__init__(**options)
        if not 0 <= elbo_share <= 1:
            raise ArgumentError("elbo_share", f"expected a share from 0 to 1, got {elbo_share}")
        self.elbo_share = elbo_share

    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        terms = super().forward(q, p, decode, y, beta)
        z = p.rsample() if p.has_rsample else p.sample()
        drawn = decode(z).log_prob(y).mean()
        loss = self.elbo_share * terms.loss - (1 - self.elbo_share) * drawn
        return Terms(loss, terms.log_likelihood, terms.kl)
