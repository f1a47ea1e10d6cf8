"""The builder of a network."""

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from cvae.batch import Shape


class Network(Protocol):
    """A builder of networks: a class of this folder with its hyperparameters filled in."""

    def __call__(self, in_shapes: Sequence[Shape], out_shape: Shape) -> nn.Module:
        """Return a module that maps tensors (..., *in_shape) to a tensor (..., *out_shape)."""
