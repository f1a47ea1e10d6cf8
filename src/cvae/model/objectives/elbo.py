"""The evidence lower bound."""

from torch import Tensor
from torch.distributions import Distribution

from cvae.errors import ArgumentError, require_at_least
from cvae.model.objectives.base import Decoder, Objective, Terms, kl_or_estimate


class ELBO(Objective):
    r"""The negative ELBO, its KL term weighed by beta.

    beta = 1 is the bound; other values are the beta-VAE of Higgins et al. 2017. With
    `warmup_epochs` beta rises linearly from 0 (Sønderby et al. 2016, "Ladder Variational
    Autoencoders", section 2.3), which keeps latent dimensions from being switched off early. With
    `cycle_epochs` the rise is repeated (Fu et al. 2019, "Cyclical Annealing Schedule").

    Args:
        beta: Weight of the KL term after the warm-up.
        warmup_epochs: Epochs over which beta rises; 0 starts at `beta`.
        cycle_epochs: Epochs after which beta starts from 0 again; 0 for no cycles.

    Raises:
        InputError: If one of them is negative, or a cycle has no warm-up or is shorter than it.
    """

    def __init__(
        self, beta: float = 1.0, warmup_epochs: float = 0.0, cycle_epochs: float = 0.0
    ) -> None:
        super().__init__()
        require_at_least("beta", beta, 0)
        require_at_least("warmup_epochs", warmup_epochs, 0)
        require_at_least("cycle_epochs", cycle_epochs, 0)
        if cycle_epochs and not 0 < warmup_epochs <= cycle_epochs:
            raise ArgumentError(
                "cycle_epochs",
                "a cycle begins with a warm-up; expected objective.warmup_epochs "
                f"above 0 and at most {cycle_epochs}, got {warmup_epochs}; "
                "set objective.cycle_epochs=0 for no cycles",
            )
        self.beta, self.warmup_epochs, self.cycle_epochs = beta, warmup_epochs, cycle_epochs

    def beta_at(self, epoch: float) -> float:
        epoch = epoch % self.cycle_epochs if self.cycle_epochs else epoch
        return self.beta * min(1.0, epoch / self.warmup_epochs if self.warmup_epochs else 1.0)

    def forward(
        self, q: Distribution, p: Distribution, decode: Decoder, y: Tensor, beta: float = 1.0
    ) -> Terms:
        z = q.rsample()
        log_likelihood = decode(z).log_prob(y)
        kl = kl_or_estimate(q, p, z)
        loss = beta * self.penalty(q, p, z, kl) - log_likelihood
        return Terms(loss.mean(), log_likelihood, kl)

    def penalty(self, q: Distribution, p: Distribution, z: Tensor, kl: Tensor) -> Tensor:
        """Return the term that beta multiplies, in nats, (B,) or (): here KL(q || p) itself.

        Args:
            q: The posterior.
            p: The prior.
            z: The draw from q, (B, L).
            kl: KL(q || p), (B,), or its estimate at z.
        """
        return kl
