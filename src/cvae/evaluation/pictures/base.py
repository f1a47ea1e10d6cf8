"""What every kind of picture answers."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from cvae.errors import InputError
from cvae.evaluation.figures import CELL, GAP, Words
from cvae.kinds import Target

_LONGEST, _LARGEST = 65_000, 2**27
"""Pixels of a picture's side, by matplotlib, and of all of it, by memory."""


class Panel(NamedTuple):
    """Values of y in cells, (R, C, *y_shape), with names of the columns and rows, or none."""

    values: Tensor
    columns: list[str]
    rows: list[str]
    words: Words = Words()


class Drawn(NamedTuple):
    """Several y for each of B conditions.

    Attributes:
        draws: (n, B, *y_shape).
        names: A name for each condition, or none.
        shown: The conditions as images, (B, C, H, W), or None.
        truth: The y of the data for the same conditions, (B, *y_shape), or None.
        words: The title, and what columns and rows are.
    """

    draws: Tensor
    names: list[str]
    shown: Tensor | None = None
    truth: Tensor | None = None
    words: Words = Words()


class Pictures(ABC):
    """Draws the y of a data set.

    Args:
        target: What y is like.

    Attributes:
        conditions: How many conditions a picture of samples shows.
        draws: How many draws of each.
        mean: Whether it shows the likelihood's mean given z, or draws of y.
        beside_data: Whether draws are shown together with the y of the data.
    """

    conditions: int = 10
    draws: int = 8
    mean: bool = True
    beside_data: bool = False

    def __init__(self, target: Target) -> None:
        self.target = target

    @abstractmethod
    def samples(self, drawn: Drawn) -> Figure:
        """Return a picture of several y for each condition."""

    @abstractmethod
    def cells(self, panel: Panel) -> Figure:
        """Return a picture of each y in a cell of its own."""

    def reconstructions(self, drawn: Drawn) -> Figure:
        """Return a picture of targets, `truth`, and of one reconstruction of each, `draws`."""
        return self.samples(drawn)

    def sprites(self, y: Tensor) -> Tensor | None:
        """Return small images of targets, (N, C, H, W), or None where they are no images."""
        return None

    def require_drawable(self, rows: int, columns: int) -> None:
        """Refuse a grid of cells that no picture can hold.

        Raises:
            InputError: If a side or the area of the picture would be too large.
        """
        height, width = self.pixels
        scale = max(1, round(CELL / width))
        tall, wide = rows * (height * scale + GAP), columns * (width * scale + GAP)
        if max(tall, wide) > _LONGEST or tall * wide > _LARGEST:
            raise InputError(
                f"n: {rows} rows of {columns} images would be a picture of {wide} by {tall} "
                f"pixels; expected sides of at most {_LONGEST} and {_LARGEST} pixels in all; give "
                "a smaller n, or fewer x"
            )

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width of a cell."""
        return 100, 130
