"""The ELBO with a KL that moves the prior more than the posterior."""

from torch import Tensor
from torch.distributions import Distribution

from cvae.errors import ArgumentError
from cvae.model.objectives.elbo import ELBO


class BalancedELBO(ELBO):
    r"""The ELBO, with its KL split into a term that moves the prior and one for the posterior.

    .. math:: 2 \alpha \, \mathrm{KL}(\bar q \,\|\, p)
        + 2 (1 - \alpha) \, \mathrm{KL}(q \,\|\, \bar p)

    replaces KL in the loss; a bar marks what is held constant (Hafner et al. 2021, "Mastering
    Atari with Discrete World Models", algorithm 2; the factor 2 is added here, so that alpha = 0.5
    is the ELBO). Only gradients depend on alpha; the value stays KL. The aim: a learned prior
    should approach the posterior before the posterior approaches an untrained prior.

    Args:
        prior_share: Share alpha of the prior.
        **options: As for `ELBO`.

    Raises:
        InputError: If the share is not between 0 and 1.
    """

    def __init__(self, prior_share: float = 0.8, **options: float) -> None:
        super().__init__(**options)
        if not 0 <= prior_share <= 1:
            raise ArgumentError("prior_share", f"expected a share from 0 to 1, got {prior_share}")
        self.prior_share = prior_share

    def penalty(self, q: Distribution, p: Distribution, z: Tensor, kl: Tensor) -> Tensor:
        # The gradient of KL with respect to the prior alone equals, on average, that of -log p at a
        # constant z, so no distribution has to be rebuilt from constants.
        prior = -p.log_prob(z.detach())
        posterior_share = 1 - self.prior_share
        pull = 2 * posterior_share * kl + 2 * (self.prior_share - posterior_share) * prior
        return kl.detach() + pull - pull.detach()
