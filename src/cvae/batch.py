"""The types that pass from the data to the model."""

from collections.abc import Callable
from enum import Flag
from typing import NamedTuple

from torch import Tensor

Shape = tuple[int, ...]


class Batch(NamedTuple):
    """B pairs of a condition and its target.

    `x` is the condition, (B, *x_shape), and `y` the target, (B, *y_shape), both in their own units:
    pixels in [0, 1], classes one-hot in x and by number in y. A value of y that is missing is NaN.
    """

    x: Tensor
    y: Tensor


class Items(NamedTuple):
    """N items of a data set, before a condition makes pairs of them.

    `y`, the targets, (N, ...); `labels`, the class of each, (N,), all 0 if there are no classes;
    `given`, the parts of the condition that comes with each, (N, ...) each; none if there is none.
    """

    y: Tensor
    labels: Tensor
    given: tuple[Tensor, ...] = ()

    def each(self, function: Callable[[Tensor], Tensor]) -> "Items":
        """Return the items with every tensor of them changed by a function."""
        return Items(function(self.y), function(self.labels), tuple(map(function, self.given)))


class Support(Flag):
    """The set of the values that an element of y has: a pixel, a number, a symbol.

    The data module states which set it serves, and a likelihood the set over which it is a
    distribution; a likelihood accepts every set that its own contains, `served in support`.
    """

    BINARY = 1
    """{0, 1}"""
    LEVELS = BINARY | 2
    """the grey levels of the data, evenly from 0 to 1"""
    UNIT_INTERVAL = LEVELS | 4
    """[0, 1], grey pixels"""
    REAL = UNIT_INTERVAL | 8
    """the whole real line"""
    CATEGORIES = 16
    """{0, ..., C - 1}, numbers of categories without an order"""
    COUNTS = 32
    """{0, 1, 2, ...}"""
    MIXED = 64
    """a set for each column of a table"""
