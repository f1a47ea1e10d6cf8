"""What flows between the data and the model."""

from enum import IntEnum
from typing import NamedTuple

from torch import Tensor

Shape = tuple[int, ...]


class Batch(NamedTuple):
    """B pairs of a condition and its target.

    `x` is the condition, (B, *x_shape); `y` the target, (B, *y_shape), pixels in [0, 1].
    """

    x: Tensor
    y: Tensor


class Support(IntEnum):
    """The set that a pixel's values lie in, ordered by inclusion.

    The data module says which set it serves, a likelihood over which set it is a distribution;
    a likelihood may read every set that its own contains.
    """

    BINARY = 1
    """{0, 1}"""
    UNIT_INTERVAL = 2
    """[0, 1], grey pixels"""
    REAL = 3
    """the whole real line"""
