"""The abstract condition."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from cvae.batch import Batch, Items, Shape, Sizes
from cvae.errors import InputError

Wanted = int | Sequence[int] | Tensor | None
"""A user's request: a class, several, a tensor of conditions, or None for every class once."""


class Condition(ABC):
    """Defines x and y: turns an item of a data set into a pair.

    Args:
        sizes: Shapes and classes of the data set's items.

    Attributes:
        x_shape: Shape of one condition.
        y_shape: Shape of one target.
        asked_by_class: Whether x is a class and nothing else, so that users can ask for a class.
        needs_examples: Whether conditions can only be taken from data.
    """

    x_shape: Shape
    y_shape: Shape
    asked_by_class: bool = False
    needs_examples: bool = True

    def __init__(self, sizes: Sizes) -> None:
        self.y_shape = tuple(sizes.image_shape)

    @abstractmethod
    def __call__(self, items: Items) -> Batch:
        """Turn items, their pixels in [0, 1], into a batch."""

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode a user's request as x, (B, *x_shape); a tensor of conditions is returned as float.

        Raises:
            InputError: If this condition has no such value.
        """
        if isinstance(wanted, Tensor) and wanted.shape[1:] == self.x_shape:
            return wanted.float()
        came = tuple(wanted.shape) if isinstance(wanted, Tensor) else wanted
        shape = ", ".join(map(str, ("B", *self.x_shape)))
        raise InputError(
            f"x: this model is conditioned on more than a class; expected a tensor of conditions "
            f"({shape}), got {came}"
        )

    def classes(self, words: str) -> list[int]:
        """Return the classes in a text such as "2018", "cat,dog" or "10,11".

        Raises:
            InputError: If users cannot ask this condition for a class, or it knows no such class.
        """
        raise InputError(
            "x: this model is conditioned on more than a class; leave x out, to take "
            "conditions from the test images"
        )

    def names(self, x: Tensor) -> list[str]:
        """Return a name for each condition of (B, *x_shape); an empty list if they have none."""
        return []

    def whole(self, x: Tensor, y: Tensor) -> Tensor:
        """Return targets, (..., B, *y_shape), as whole images, (..., B, C, H, W)."""
        return y

    def shown(self, x: Tensor) -> Tensor | None:
        """Return conditions, (B, *x_shape), as images, (B, C, H, W), or None if they are none."""
        return None


class ConditionBuilder(Protocol):
    """A builder of conditions: a class of this folder with its options filled in."""

    def __call__(self, sizes: Sizes) -> Condition:
        """Return the condition for items of these sizes."""


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return labels, (B,), as one-hot rows, (B, classes).

    torch's own function computes the largest label, and waits for the device to return it.
    """
    rows = torch.zeros(len(labels), num_classes, device=labels.device)
    return rows.scatter_(1, labels.unsqueeze(1), 1.0)


def require_classes(sizes: Sizes) -> None:
    """Raise an `InputError` if there is one class only, so that a label says nothing."""
    if sizes.num_classes == 1:
        raise InputError(
            "condition: the data have no classes, or one class only, so a label says nothing; "
            "choose condition=none, or condition=image where a condition comes with each image"
        )
