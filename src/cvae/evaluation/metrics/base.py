"""Helpers of the metrics."""

import torch
from torch import Tensor


def zeros(*shape: int) -> Tensor:
    """Return an empty sum, in float64."""
    return torch.zeros(shape, dtype=torch.float64)
