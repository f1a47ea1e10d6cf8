"""Latent variables of several layers, z = (z_1, z_2, ...), as one conditional distribution."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.model.distributions import ConditionalDistribution


class Hierarchical(ConditionalDistribution):
    r"""Layers of z, each a distribution that depends on the layers before it as well.

    .. math:: p(z \mid x) = p(z_1 \mid x) \, p(z_2 \mid x, z_1)

    and likewise q(z|x, y), in the same order (Tomczak & Welling 2018, "VAE with a VampPrior",
    section 4, who number the layers in reverse). z is the concatenation of all layers.

    Args:
        layers: The distributions, each over latent_dim dimensions. Their conditions are x, then
            the preceding layers, then y for a posterior.
    """

    def __init__(self, layers: Sequence[ConditionalDistribution]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, *conditions: Tensor) -> Distribution:
        """Map x and, for a posterior, y, (..., *shape), to a distribution over all layers of z."""
        x, *y = conditions

        def layer(index: int, *before: Tensor) -> Distribution:
            return self.layers[index](x, *before, *y)

        return Chain(layer, len(self.layers))


def in_layers(layers: Sequence[ConditionalDistribution]) -> ConditionalDistribution:
    """Return the distribution over all layers of z; a single layer is returned as it is."""
    return layers[0] if len(layers) == 1 else Hierarchical(layers)


class Chain(Distribution):
    """The distribution of several concatenated vectors, each given the preceding ones.

    Args:
        layer: Maps an index and the vectors before it to the distribution of the vector there.
        layers: Number of vectors.
    """

    def __init__(self, layer: Callable[..., Distribution], layers: int) -> None:
        self.layer, self.layers = layer, layers
        self.first = layer(0)
        self.size = self.first.event_shape[0]
        self._drawn: tuple[Tensor | None, list[Tensor], list[Distribution]] = None, [], []
        event = torch.Size([layers * self.size])
        super().__init__(self.first.batch_shape, event, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws are reparameterised, judged by the first vector alone."""
        return self.first.has_rsample

    def rsample(self, sample_shape: torch.Size | Sequence[int] = ()) -> Tensor:
        return self._draw(lambda p, shape: p.rsample(shape), torch.Size(sample_shape))

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | Sequence[int] = ()) -> Tensor:
        return self._draw(lambda p, shape: p.sample(shape), torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        drawn, parts, given = self._drawn
        if value is not drawn:
            parts = list(value.unflatten(-1, (self.layers, self.size)).unbind(-2))
            given = [self.layer(index, *parts[:index]) for index in range(1, self.layers)]
        densities = (p.log_prob(z) for p, z in zip([self.first, *given], parts, strict=True))
        return torch.stack(list(densities)).sum(0)

    def _draw(self, draw: Callable[..., Tensor], shape: torch.Size) -> Tensor:
        parts, given = [draw(self.first, shape)], []
        for index in range(1, self.layers):
            given.append(self.layer(index, *parts))
            parts.append(draw(given[-1], torch.Size()))
        value = torch.cat(parts, -1)
        # Flows cache their last draw by tensor identity: `log_prob` of these tensors is cheap.
        self._drawn = value, parts, given
        return value
