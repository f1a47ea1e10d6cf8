"""Whether a training fits into the memory of its machine, before any of it is taken."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.filesize import decimal
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from cvae.errors import InputError
from cvae.training.module import TrainingModule

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Where Linux says how much a container may use, in its second and its first version."""


def machine_memory(device: torch.device) -> int:
    """Return the bytes that a device has, or the share of them that this process may use."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        limit = Path("/sys/fs/cgroup", name)
        if limit.is_file() and limit.read_text().strip().isdecimal():
            found.append(int(limit.read_text()))
    return min(found)


def weights_memory(outline: TrainingModule) -> int:
    """Return the bytes of a model's weights, their gradients, and the state of their optimiser.

    Args:
        outline: The model, on the meta device.
    """
    weights = sum(part.numel() * part.element_size() for part in outline.parameters())
    defaults = getattr(outline.optimizer(outline.parameters()), "defaults", {})
    states = 2 if "betas" in defaults else 1 if defaults.get("momentum") else 0
    return weights * (2 + states)


def require_memory(needed: float, what: str, device: torch.device) -> None:
    """Refuse what a device cannot hold.

    Args:
        needed: Bytes.
        what: What they are needed for, with the settings that make it smaller.
        device: The device.

    Raises:
        InputError: With both figures.
    """
    there = machine_memory(device)
    if needed > there:
        raise InputError(
            f"memory: {what} would take {decimal(int(needed))}, and this machine has "
            f"{decimal(there)}"
        )


@contextmanager
def counting_saved(model: TrainingModule) -> Iterator[dict[int, int]]:
    """Give the bytes of the tensors that autograd keeps for the backward pass, by their storage."""
    weights = {part.untyped_storage().data_ptr() for part in model.parameters()}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        yield found
