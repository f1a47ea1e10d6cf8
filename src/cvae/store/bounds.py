"""What reading a checkpoint may cost: bounded by the size of its file.

A file of a few kilobytes, from a stranger, can claim to stand for terabytes: compressed, by lists
in lists that are one and the same, by tensors whose rows are one and the same, and by settings that
ask for a billion layers.
"""

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module

from cvae.config.compose import Config, numbers_in

_LONGEST = 10_000
"""Characters of a string in a checkpoint; a path may have four thousand."""
_LARGEST = 2**64
"""Whole numbers up to here."""
_SPARE = 10_000
"""Items of a checkpoint, and weights of a model, that are always allowed."""
_LAYERS, _MOST_LAYERS = 100, 10_000
"""Layers that are always allowed, and that never are more."""
_OF_LAYERS = ("depth", "steps", "hierarchy")
"""Settings that say how many layers there are, each of which has weights of its own."""
_NUMBERS = 2**22
"""Numbers in a target or a condition that are always allowed."""


def plain_size(file: Path) -> int:
    """Return the bytes of a checkpoint's file that are no tensors.

    Raises:
        ValueError: If the file holds less than it is going to be, once it is read.
    """
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if sum(part.file_size for part in parts) > file.stat().st_size:
        raise ValueError("it is compressed, or its parts overlap")
    return sum(part.file_size for part in parts if part.filename.endswith("data.pkl"))


def require_bounded(contents: object, plain: int) -> None:
    """Refuse contents that stand for more than their file holds.

    Args:
        contents: What a file was read as: containers, plain data and tensors.
        plain: The bytes of it that are no tensors.

    Raises:
        ValueError: Saying what is too much.
    """
    left, waiting = 2 * plain + _SPARE, [contents]
    while waiting:
        left -= 1
        if left < 0:
            raise ValueError("its lists hold one another")
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set):
            waiting += part
        elif isinstance(part, Tensor):
            _require_whole(part)
        elif isinstance(part, str | bytes | bytearray) and len(part) > _LONGEST:
            raise ValueError(f"it holds a text of {len(part)} characters")
        elif isinstance(part, int) and abs(part) > _LARGEST:
            raise ValueError("it holds a whole number of more than 64 bits")


def _require_whole(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise ValueError("it holds a tensor of another kind than this program writes")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError("it holds a tensor that repeats its numbers")


def require_modest(
    config: Config, shapes: Mapping[str, object], weights: Mapping[str, Any]
) -> None:
    """Refuse settings that ask for more than a model of these weights can have.

    Args:
        config: The settings that a model is built from.
        shapes: What the file says of the data: shapes and numbers, by name.
        weights: The tensors of the file, by name.

    Raises:
        ValueError: Naming what asks for too much.
    """
    held = {weight.untyped_storage().data_ptr(): weight for weight in weights.values()}
    size = sum(weight.untyped_storage().nbytes() for weight in held.values())
    if sum(weight.numel() * weight.element_size() for weight in weights.values()) > 2 * size:
        raise ValueError("its weights are the same numbers many times")
    weights_held = sum(weight.numel() for weight in weights.values())
    layers = min(_LAYERS + len(weights), _MOST_LAYERS)
    for name, number in numbers_in(config):
        most = layers if name.rpartition(".")[2] in _OF_LAYERS else weights_held + _SPARE
        if isinstance(number, int) and abs(number) > most:
            raise ValueError(f"{name} is {number}, which its {len(weights)} tensors cannot be of")
    if config["hierarchy"] ** 2 > 2 * weights_held + _SPARE:  # a layer is given those before it
        raise ValueError(f"hierarchy is {config['hierarchy']}, for {weights_held} weights")
    for name, shape in shapes.items():
        sides = shape if isinstance(shape, list | tuple) else [shape]
        if math.prod(side for side in sides if isinstance(side, int)) > weights_held + _NUMBERS:
            raise ValueError(f"{name} is {shape}, for {weights_held} weights")


@contextmanager
def no_larger_than(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Stop whatever is built meanwhile once it has more weights, or more parts, than these.

    Raises:
        ValueError: While it is built.
    """
    left = {
        "weights": _SPARE + 2 * sum(weight.numel() for weight in weights.values()),
        "parts": 20 * (_LAYERS + len(weights)),
    }

    def count(kind: str, number: int) -> None:
        left[kind] -= number
        if left[kind] < 0:
            raise ValueError(f"its settings ask for more {kind} than its file holds")

    def of_weight(parent: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        count("weights", 0 if weight is None else weight.numel())
        count("parts", 1)

    hooks = [
        module.register_module_parameter_registration_hook(of_weight),
        module.register_module_module_registration_hook(lambda *_: count("parts", 1)),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
