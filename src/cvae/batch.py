"""The types that pass from the data to the model."""

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


class Items(NamedTuple):
    """N items of a data set, before a condition makes pairs of them.

    `images` (N, C, H, W); `labels`, the class of each image, (N,), all 0 if there are no classes;
    `given`, the condition that comes with each image, (N, *given_shape), empty if there is none.
    """

    images: Tensor
    labels: Tensor
    given: Tensor


class Sizes(NamedTuple):
    """Shapes and classes of a data set's items: enough to build a model for them."""

    image_shape: Shape
    """(C, H, W) of the images."""
    num_classes: int
    """Number of classes; 1 if there are none."""
    given_shape: Shape = (0,)
    """Shape of the condition that comes with each image; (0,) if there is none."""
    class_names: tuple[str, ...] = ()
    """Name of each class; empty if classes are named by their numbers."""
    levels: int = 256
    """Number of grey levels, evenly from 0 to 1."""

    def name(self, label: int) -> str:
        """Return the name of a class."""
        return self.class_names[label] if self.class_names else str(label)


class Support(IntEnum):
    """The set of a pixel's values, ordered by inclusion.

    The data module states which set it serves, and a likelihood the set over which it is a
    distribution; a likelihood accepts every set that its own contains.
    """

    BINARY = 1
    """{0, 1}"""
    LEVELS = 2
    """the grey levels of the data, evenly from 0 to 1"""
    UNIT_INTERVAL = 3
    """[0, 1], grey pixels"""
    REAL = 4
    """the whole real line"""
