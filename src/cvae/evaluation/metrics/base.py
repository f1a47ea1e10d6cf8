"""What the metrics share."""

import torch
from torch import Tensor


def zeros(*shape: int) -> Tensor:
    """Return a sum before anything was added, in float64."""
    return torch.zeros(shape, dtype=torch.float64)
