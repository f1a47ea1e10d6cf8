"""The autoregressive flow as a prior."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

from cvae.batch import Shape
from cvae.model.distributions import ConditionalDistribution, independent_normal
from cvae.model.networks import Network


class FlowPrior(ConditionalDistribution):
    r"""p(z|x): the distribution that an autoregressive flow, given x, maps to N(0, I).

    A masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017, "Masked Autoregressive Flow
    for Density Estimation"). A density takes one pass of its networks, a draw takes L passes.

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.
        network: Builder of the network that gives the context.
        steps: Number of transforms.
        width: Units in the hidden layers of each transform, and size of a context.

    Raises:
        InputError: If a number is below 1.
    """

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        latent_dim: int,
        network: Network,
        steps: int = 3,
        width: int = 128,
    ) -> None:
        from cvae.model.autoregressive import Autoregressive  # which needs zuko

        super().__init__()
        self.latent_dim = latent_dim
        self.transforms = Autoregressive(latent_dim, width, steps, width)
        self.network = network(in_shapes, (width,))

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *in_shape) to a distribution over z, (..., L)."""
        context = self.network(*conditions)
        zero = torch.zeros(*context.shape[:-1], self.latent_dim, device=context.device)
        inverse = [transform.inv for transform in reversed(self.transforms(context))]
        normal = independent_normal(zero, torch.ones_like(zero), zero)
        return TransformedDistribution(normal, inverse, validate_args=False)
