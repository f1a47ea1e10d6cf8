"""Weights of one byte each, or of two.

In one byte: w[i, j] = r[i] c[j] q[i, j], with q a whole number, and a scale for each row and for
each column. Each column's rounding error is compensated in the columns that are not yet rounded, as
far as the layer's own inputs allow; the columns with the largest inputs come first (Frantar et al.
2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
algorithm 1).
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

Precision = Literal["int8", "float16"]

LARGEST = 127
"""The largest whole number in a signed byte."""

_EVEN = 0.75
"""Exponent of a column's largest number in its scale: with 1 the scale fits best; with 0 there are
no scales of columns, and the file is smaller by a tenth."""
_DAMPING = 0.01
_ROWS = 4096
"""Inputs of a layer that are kept per call, since convolutions have one for every pixel."""


class Bytes(NamedTuple):
    """A matrix as `whole` numbers (R, C), int8, with scales for its `rows` (R,) and `columns` (C,).

    The scales are float16.
    """

    whole: Tensor
    rows: Tensor
    columns: Tensor

    def matrix(self) -> Tensor:
        """Return the rounded matrix, (R, C)."""
        return self.whole.float() * self.rows.float()[:, None] * self.columns.float()


def to_bytes(matrix: Tensor, inputs: Tensor | None = None, most: int = LARGEST) -> Bytes:
    """Round a matrix, (R, C).

    Args:
        matrix: The matrix.
        inputs: Vectors that it is multiplied by, (N, C); None rounds each number to the nearest.
        most: The largest whole number; with a smaller one the compressed file is smaller.
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
    """Return an order of the columns, (C,), and how errors are compensated in that order, (C, C).

    Row i over its diagonal entry gives the part of the i-th column's error that each later column
    compensates.
    """
    order = inputs.square().sum(0).argsort(descending=True)
    inputs = inputs[:, order].double()
    second = inputs.T @ inputs / len(inputs)
    second += _DAMPING * second.diagonal().mean().clamp_min(1e-12) * torch.eye(len(second))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(second))
    return order, torch.linalg.cholesky(inverse, upper=True)


@contextmanager
def layer_inputs(model: nn.Module) -> Iterator[Mapping[str, Tensor]]:
    """Record the inputs of the model's linear and convolutional layers within the context.

    They are stored by the name of a layer's weight, as rows (N, C) that multiply its matrix.
    """
    found: dict[str, Tensor] = {}

    def remember(name: str, layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        flat = inputs[0]
        if isinstance(layer, nn.Conv2d):
            sizes: Any = layer.kernel_size, layer.dilation, layer.padding, layer.stride
            flat = unfold(flat, *sizes).transpose(1, 2)
        flat = flat.flatten(0, -2)
        chosen = torch.linspace(0, len(flat) - 1, min(_ROWS, len(flat))).long()
        before = [found[name]] if name in found else []
        found[name] = torch.cat([*before, flat[chosen]])

    with ExitStack() as hooks:
        for name, layer in model.named_modules():
            if type(layer) in (nn.Linear, nn.Conv2d):  # zeros of a masked layer must stay zero
                hook = partial(remember, f"{name}.weight")
                hooks.enter_context(layer.register_forward_hook(hook))
        yield found
