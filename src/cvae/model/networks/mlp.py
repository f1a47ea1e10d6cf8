"""Fully connected networks."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvae.batch import Shape
from cvae.errors import require_at_least, require_between

_WIDE = 128
"""Size of an input from which its part of the first layer is computed once, not for every z."""


class MLP(nn.Module):
    """Fully connected network; its inputs are flattened and concatenated.

    Args:
        in_shapes: Shape of each input without its leading dimensions.
        out_shape: Shape of the output without its leading dimensions.
        width: Units in each hidden layer.
        depth: Number of hidden layers; 0 is a linear map.
        activation: Builder of the non-linearity after each hidden layer.

    Raises:
        InputError: If `width` is below 1, or `depth` not from 0 to 100.
    """

    gates = 1
    """Inputs of the activation per output."""

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        out_shape: Shape,
        *,
        width: int = 512,
        depth: int = 2,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_between("depth", depth, 0, 100)
        self.in_shapes = tuple(map(tuple, in_shapes))
        hidden = [width] * depth if math.prod(out_shape) else []  # an empty output needs no layers
        sizes = [sum(map(math.prod, self.in_shapes)), *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [linear(fan_in, self.gates * fan_out), activation()]
        layers += [linear(sizes[-1], math.prod(out_shape)), nn.Unflatten(-1, tuple(out_shape))]
        self.layers = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tensors (..., *in_shape), one per entry of `in_shapes`, to (..., *out_shape)."""
        flat = [t.flatten(-len(s)) for t, s in zip(inputs, self.in_shapes, strict=True)]
        lead = torch.broadcast_shapes(*(t.shape[:-1] for t in flat))
        shared = [t.shape[:-1] != lead and t.shape[-1] >= _WIDE for t in flat]
        first, *rest = self.layers
        if not any(shared) or all(shared) or not isinstance(first, nn.Linear):
            return self.layers(torch.cat([t.expand(*lead, -1) for t in flat], dim=-1))
        # Many z share one x, whose part of the first layer is the same for all of them.
        weights = first.weight.split([t.shape[-1] for t in flat], -1)
        parts = list(zip(flat, weights, shared, strict=True))
        each = torch.cat([t.expand(*lead, -1) for t, _, once in parts if not once], -1)
        weight = torch.cat([w for _, w, once in parts if not once], -1)
        h = functional.linear(each, weight, first.bias)
        h = sum((functional.linear(t, w) for t, w, once in parts if once), h)
        for layer in rest:
            h = layer(h)
        return h


class GatedMLP(MLP):
    """Fully connected network whose hidden units are each multiplied by a learned gate.

    A layer is A h * sigmoid(B h) (Dauphin et al. 2017, "Language Modeling with Gated Convolutional
    Networks"), as in the networks of Tomczak & Welling 2018, "VAE with a VampPrior".

    Args:
        in_shapes: Shape of each input without its leading dimensions.
        out_shape: Shape of the output without its leading dimensions.
        width: Units in each hidden layer.
        depth: Number of hidden layers.

    Raises:
        InputError: If `width` is below 1, or `depth` not from 0 to 100.
    """

    gates = 2

    def __init__(
        self, in_shapes: Sequence[Shape], out_shape: Shape, *, width: int = 300, depth: int = 2
    ) -> None:
        super().__init__(in_shapes, out_shape, width=width, depth=depth, activation=nn.GLU)


def linear(fan_in: int, fan_out: int) -> nn.Module:
    """Return a linear layer from (..., fan_in) to (..., fan_out), either of which may be 0."""
    return nn.Linear(fan_in, fan_out) if fan_in and fan_out else _Constant(fan_out)


class _Constant(nn.Module):
    """A linear layer without inputs, as for an empty condition: only a bias is left.

    Also a layer without outputs, as for a z of no dimensions: nothing is left.

    `nn.Linear` would set the bias to zero, and units that all start equal would stay equal.
    """

    def __init__(self, fan_out: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(fan_out).uniform_(-1, 1))

    def forward(self, h: Tensor) -> Tensor:
        """Map (..., 0) to (..., fan_out)."""
        return self.bias.expand(*h.shape[:-1], -1)
