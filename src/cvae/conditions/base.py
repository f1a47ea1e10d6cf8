"""The abstract condition."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvae.batch import Batch, Items, Shape
from cvae.errors import InputError, did_you_mean
from cvae.kinds import PartsEncoder, Sizes, Target

Wanted = int | float | str | Sequence[Any] | np.ndarray | Mapping[str, Any] | Tensor | None
"""A user's request: a class or its name, numbers, a value for each part of x, several of these, a
tensor of conditions, or None for every class once."""


class Condition(ABC):
    """Defines x and y: turns an item of a data set into a pair.

    Args:
        sizes: What the data set's items are like.

    Attributes:
        x_shape: Shape of one condition.
        target: What one y is like.
        asked_by_class: Whether x is a class and nothing else, so that users can ask for a class.
        needs_examples: Whether conditions can only be taken from data.
    """

    x_shape: Shape
    target: Target
    asked_by_class: bool = False
    needs_examples: bool = True

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.target = sizes.y

    @property
    def part_names(self) -> list[str]:
        """The name of each part of x; none where there is no x."""
        return ["class"]

    @property
    def y_shape(self) -> Shape:
        """Shape of one target."""
        return self.target.shape

    @abstractmethod
    def __call__(self, items: Items) -> Batch:
        """Turn items, their y in its own units and their given parts as stored, into a batch."""

    def encoder(self) -> PartsEncoder | None:
        """Return what maps x to the tensors that networks take; None where it is x itself."""
        return None

    def example(self) -> Tensor:
        """Return a condition as they are on average, (1, *x_shape), to try a model with."""
        return torch.zeros(1, *self.x_shape)

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode a user's request as x, (B, *x_shape); a tensor of conditions is x already.

        Raises:
            InputError: If this condition has no such value.
        """
        if isinstance(wanted, Tensor) and wanted.shape[1:] == self.x_shape:
            return wanted if wanted.is_floating_point() else wanted.float()
        came = tuple(wanted.shape) if isinstance(wanted, Tensor) else wanted
        shape = ", ".join(map(str, ("B", *self.x_shape)))
        raise InputError(
            f"x: this model is conditioned on more than a class; expected a tensor of conditions "
            f"({shape}), got {came}"
        )

    def read(self, words: str) -> Wanted:
        """Return what a text asks for, such as "2018", "cat,dog", or for numbers "0.3".

        Raises:
            InputError: If users cannot ask this condition for anything, or it has no such value.
        """
        raise InputError(
            "x: this model is conditioned on more than a class; leave x out, to take "
            "conditions from the test set"
        )

    def far(self, x: Tensor) -> str:
        """Return a line on x, (B, *x_shape), far outside of the training data; "" where none is."""
        return ""

    def names(self, x: Tensor) -> list[str]:
        """Return a name for each condition of (B, *x_shape); an empty list if they have none."""
        return []

    def whole(self, x: Tensor, y: Tensor) -> Tensor:
        """Return targets, (..., B, *y_shape), as whole items, such as images (..., B, C, H, W)."""
        return y

    def shown(self, x: Tensor) -> Tensor | None:
        """Return conditions, (B, *x_shape), as images, (B, C, H, W), or None if they are none."""
        return None


ConditionBuilder = Callable[[Sizes], Condition]
"""A builder of conditions: a class of this folder with its options filled in."""


def class_of(word: str, names: Sequence[str]) -> int:
    """Return the number of a class by its name; raise an `InputError` if there is none."""
    if word not in names:
        raise InputError(f"x: no class is called '{word}'{did_you_mean(word, names)}")
    return names.index(word)


def classes_in(words: str, names: Sequence[str]) -> list[int]:
    """Return the classes of consecutive digits, or of names or numbers separated by commas."""
    digits = words.isascii() and words.isdigit() and max(map(len, names)) == 1
    asked = list(words) if digits else [word.strip() for word in words.split(",")]
    return [class_of(word, names) for word in asked]


def require_classes(sizes: Sizes) -> None:
    """Raise an `InputError` if there is one class only, so that a label says nothing."""
    if sizes.num_classes == 1:
        raise InputError(
            "condition: the data have no classes, or one class only, so a label says nothing; "
            "choose condition=none, or condition=given where a condition comes with each y"
        )
