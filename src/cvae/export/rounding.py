"""Weights in a byte each, or in two.

In a byte: w[i, j] = r[i] c[j] q[i, j], q a whole number, with a scale for each row and one for each
column. Each column's rounding error is made up for in the columns that are still to be rounded, as
well as the layer's own inputs allow; the largest inputs come first (Frantar et al. 2023, "GPTQ:
Accurate Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

Precision = Literal["int8", "float16"]

LARGEST = 127
"""The largest whole number of a byte."""

_EVEN = 0.75
"""How far the scales of columns follow their largest number: at 1 they are as close as can be, at 0
there are none, and the file is smaller by a tenth."""
_DAMPING = 0.01
_ROWS = 4096
"""Inputs of a layer that are kept of each call: convolutions have one at every pixel."""


class Bytes(NamedTuple):
    """A matrix as `whole` numbers (R, C), int8, with scales for its `rows` (R,) and `columns` (C,).

    The scales are float16.
    """

    whole: Tensor
    rows: Tensor
    columns: Tensor

    def matrix(self) -> Tensor:
        """Return the numbers that they stand for, (R, C)."""
        return self.whole.float() * self.rows.float()[:, None] * self.columns.float()


def to_bytes(matrix: Tensor, inputs: Tensor | None = None, most: int = LARGEST) -> Bytes:
    """Round a matrix, (R, C).

    Args:
        matrix: The matrix.
        inputs: What it is multiplied by, (N, C); without any, each number goes to its nearest.
        most: The largest whole number; a file of fewer different ones is smaller.
    """
    least = torch.finfo(torch.float16).tiny
    columns = (matrix.abs().amax(0).clamp_min(least) ** _EVEN).half()
    rows = ((matrix / columns).abs().amax(1) / most).clamp_min(least).half()
    order, feedback = _feedback(torch.eye(len(columns)) if inputs is None else inputs)
    unit = Bytes(torch.ones(matrix.shape), rows, columns).matrix()
    steps, left = ((part[:, order]).double() for part in (unit, matrix))
    whole = torch.empty(matrix.shape, dtype=torch.int8)
    for j, column in enumerate(order):
        nearest = (left[:, j] / steps[:, j]).round().clamp(-most, most)
        whole[:, column] = nearest.to(torch.int8)
        error = (left[:, j] - nearest * steps[:, j]) / feedback[j, j]
        left[:, j:] -= error[:, None] * feedback[j, j:]
    return Bytes(whole, rows, columns)


def _feedback(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return an order of the columns, (C,), and what each of them makes up for, (C, C).

    That is the part of the error of one before it, both in that order.
    """
    order = inputs.square().sum(0).argsort(descending=True)
    inputs = inputs[:, order].double()
    second = inputs.T @ inputs / len(inputs)
    second += _DAMPING * second.diagonal().mean().clamp_min(1e-12) * torch.eye(len(second))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(second))
    return order, torch.linalg.cholesky(inverse, upper=True)


@contextmanager
def layer_inputs(model: nn.Module) -> Iterator[Mapping[str, Tensor]]:
    """Give what the model's linear and convolutional layers are called with meanwhile.

    By the name of a layer's weight, in the form that the weight as a matrix is multiplied by.
    """
    found: dict[str, Tensor] = {}

    def remember(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            flat = inputs[0]
            if isinstance(layer, nn.Conv2d):
                sizes: Any = layer.kernel_size, layer.dilation, layer.padding, layer.stride
                flat = unfold(flat, *sizes).transpose(1, 2)
            flat = flat.flatten(0, -2)
            chosen = torch.linspace(0, len(flat) - 1, min(_ROWS, len(flat))).long()
            before = [found[name]] if name in found else []
            found[name] = torch.cat([*before, flat[chosen]])

        return hook

    hooks = [
        layer.register_forward_hook(remember(f"{name}.weight"))
        for name, layer in model.named_modules()
        if type(layer) in (nn.Linear, nn.Conv2d)  # a masked one's zeros make up for nothing
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
