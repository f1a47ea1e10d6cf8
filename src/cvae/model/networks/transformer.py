"""Transformers: every input as tokens."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvae.batch import Shape
from cvae.errors import ArgumentError, require_at_least, require_between
from cvae.model.networks.mlp import MLP, linear


class Transformer(nn.Module):
    """Transformer encoder (Vaswani et al. 2017, "Attention Is All You Need") over all inputs.

    Each step of a sequence (T, F) is a token, and so is each row of an image and each vector, such
    as z or one of several parts of x. Every token has a learned embedding of its place. Further
    tokens ask for the output: one for each step of a sequence, each row of an image, or a single
    one. The layers normalise before they attend (Xiong et al. 2020, "On Layer Normalization in the
    Transformer Architecture").

    Args:
        in_shapes: Shape of each input without its leading dimensions.
        out_shape: Shape of the output without its leading dimensions; (P, T, F) is a sequence, and
            (P, C, H, W) an image.
        width: Numbers in a token; a multiple of `heads`.
        depth: Number of layers.
        heads: Heads of the attention.

    Raises:
        InputError: If `width`, `depth` or `heads` is out of its range.
    """

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        out_shape: Shape,
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        require_at_least("heads", heads, 1)
        require_between("depth", depth, 1, 100)
        if width < heads or width % heads:
            raise ArgumentError("width", f"expected a multiple of heads={heads}, got {width}")
        self.in_shapes, self.out_shape = tuple(map(tuple, in_shapes)), tuple(out_shape)
        self.flat: MLP | None = None
        if not math.prod(self.out_shape):
            self.flat = MLP(in_shapes, out_shape)
            return
        taken = [_tokens(shape) for shape in self.in_shapes]
        asked, _ = _tokens(self.out_shape[1:] if len(out_shape) > 2 else ())
        self.places = nn.ParameterList(
            0.02 * torch.randn(count, width) for count in (*(n for n, _ in taken), asked)
        )
        self.enter = nn.ModuleList(linear(size, width) for _, size in taken)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(width)
        self.layers = nn.TransformerEncoder(layer, depth, norm, enable_nested_tensor=False)
        self.asked = asked
        self.leave = linear(width, math.prod(self.out_shape) // asked)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tensors (..., *in_shape), one per entry of `in_shapes`, to (..., *out_shape)."""
        if self.flat is not None:
            return self.flat(*inputs)
        given = list(zip(inputs, self.in_shapes, strict=True))
        lead = torch.broadcast_shapes(*(t.shape[: t.dim() - len(s)] for t, s in given))
        *places, asked = self.places
        tokens = [
            enter(_in_tokens(tensor.expand(*lead, *shape), shape)) + place
            for (tensor, shape), enter, place in zip(given, self.enter, places, strict=True)
        ]
        joined = torch.cat([*tokens, asked.expand(*lead, *asked.shape)], -2)
        h = self.layers(joined.flatten(0, -3))[:, -self.asked :]
        out = self.leave(h)
        if len(self.out_shape) > 2:  # (P, ..., tokens, numbers): the tokens go to their place
            *others, _, last = self.out_shape
            out = out.unflatten(-1, (*others, last)).movedim(1, -2)
        return out.reshape(*lead, *self.out_shape)


def _in_tokens(tensor: Tensor, shape: Shape) -> Tensor:
    """Return an input (..., *shape) as tokens (..., count, numbers)."""
    if len(shape) == 3:
        return tensor.movedim(-2, -3).flatten(-2)
    return tensor if len(shape) == 2 else tensor.unsqueeze(-2)


def _tokens(shape: Shape) -> tuple[int, int]:
    """Return how many tokens a shape makes, and the numbers in each."""
    if len(shape) == 3:
        return shape[1], shape[0] * shape[2]
    return (shape[0], shape[1]) if len(shape) == 2 else (1, math.prod(shape))
