"""The ELBO with a KL that costs nothing up to a limit."""

from torch import Tensor
from torch.distributions import Distribution

from cvae.errors import require_at_least
from cvae.model.objectives.base import kl_per_dimension
from cvae.model.objectives.elbo import ELBO


class FreeBits(ELBO):
    r"""The ELBO, where every latent dimension may use some nats before they count.

    .. math:: \sum_j \max(\lambda, \mathbb{E}_{x, y}[\mathrm{KL}_j])

    replaces KL in the loss; the expectation is the mean over the batch (Kingma et al. 2016,
    "Improved Variational Inference with Inverse Autoregressive Flow", appendix C.8). Where the KL
    is not a sum over dimensions, as with a mixture or a flow, the limit is L lambda for all of it.

    Args:
        free_nats: Nats lambda of each latent dimension that do not count.
        **options: As for `ELBO`.

    Raises:
        InputError: If `free_nats` is negative.
    """

    def __init__(self, free_nats: float = 0.25, **options: float) -> None:
        super().__init__(**options)
        require_at_least("free_nats", free_nats, 0)
        self.free_nats = free_nats

    def penalty(self, q: Distribution, p: Distribution, z: Tensor, kl: Tensor) -> Tensor:
        parts = kl_per_dimension(q, p, z)
        if parts is None:
            return kl.mean().clamp(min=self.free_nats * z.shape[-1])
        return parts.mean(0).clamp(min=self.free_nats).sum()
