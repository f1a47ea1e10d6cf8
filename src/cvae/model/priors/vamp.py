"""The mixture of posteriors as a prior."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.errors import require_at_least, require_between
from cvae.model.distributions import ConditionalDistribution, Mixture, full_precision
from cvae.model.networks import Network


class VampPrior(ConditionalDistribution):
    r"""p(z|x) = sum_k w_k(x) q(z | x_k, u_k), K posteriors at learned pairs of x and y.

    The VampPrior of Tomczak & Welling 2018, "VAE with a VampPrior", equation 9, with weights that
    depend on x. All x share the pseudo-inputs, so a step computes K posteriors, however many x
    there are. Without a condition the weights are learned numbers.

    Args:
        in_shapes: Shape of each condition.
        latent_dim: Number of latent dimensions L.
        posterior: The posterior, of these conditions and y; it is not a submodule of this one.
        y_shape: Shape of a target, as the posterior takes it.
        network: Builder of the network that gives the logarithms of the weights.
        components: Number K of pseudo-inputs.
        pseudo: Maps free numbers, (K, *y_shape), to such as targets have.

    Raises:
        InputError: If `components` is not from 1 to 100,000, or `latent_dim` negative.
    """

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        latent_dim: int,
        posterior: ConditionalDistribution,
        y_shape: Shape,
        network: Network,
        components: int = 500,
        pseudo: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> None:
        super().__init__()
        require_at_least("latent_dim", latent_dim, 0)
        require_between("components", components, 1, 100_000)
        self._posterior = (posterior,)  # a tuple, so that its weights are not counted twice
        self._pseudo = pseudo
        self.network = network(in_shapes, (components,))
        self.pseudo_conditions = nn.ParameterList(
            torch.randn(components, *shape) for shape in in_shapes
        )
        self.pseudo_targets = nn.Parameter(torch.randn(components, *y_shape))

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map conditions (..., *in_shape) to a distribution over z, (..., L)."""
        (posterior,) = self._posterior
        logits = full_precision(self.network(*conditions))
        return Mixture(
            logits, posterior(*self.pseudo_conditions, self._pseudo(self.pseudo_targets))
        )
