"""What every condition does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from cvae.batch import Batch, Items, Shape, Sizes
from cvae.errors import InputError

Wanted = int | Sequence[int] | Tensor | None
"""What a user asks for: a class, several, a tensor of conditions, or None for every class once."""


class Condition(ABC):
    """What x is.

    Args:
        sizes: What the data set's items are like.

    Attributes:
        x_shape: Shape of one condition.
        y_shape: Shape of one target.
        asked_by_class: Whether x says a class and nothing else, so that a class can be asked for.
        needs_examples: Whether there is nothing to ask for but conditions taken from data.
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
        """Turn what a user asks for into x, (B, *x_shape); a condition tensor passes unchanged.

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
        """Return the classes that words such as "2018", "cat,dog" or "10,11" ask for.

        Raises:
            InputError: If this condition cannot be asked for a class, or knows no such class.
        """
        raise InputError(
            "x: this model is conditioned on more than a class; leave x out, to take "
            "conditions from the test images"
        )

    def names(self, x: Tensor) -> list[str]:
        """Return a name for each of the conditions, (B, *x_shape), or none where they have none."""
        return []

    def whole(self, x: Tensor, y: Tensor) -> Tensor:
        """Return targets, (..., B, *y_shape), as whole images, (..., B, C, H, W)."""
        return y

    def shown(self, x: Tensor) -> Tensor | None:
        """Return conditions, (B, *x_shape), as images, (B, C, H, W), or None where they are not."""
        return None


class ConditionBuilder(Protocol):
    """What builds a condition: a class of this folder with its options filled in."""

    def __call__(self, sizes: Sizes) -> Condition:
        """Return the condition for items of these sizes."""


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return labels, (B,), as rows of one 1 each, (B, classes).

    torch's own looks for the largest label, and has to wait for the device to tell.
    """
    rows = torch.zeros(len(labels), num_classes, device=labels.device)
    return rows.scatter_(1, labels.unsqueeze(1), 1.0)


def require_classes(sizes: Sizes) -> None:
    """Raise an `InputError` where a label says nothing."""
    if sizes.num_classes == 1:
        raise InputError(
            "condition: the data have no classes, or one class only, so a label says nothing; "
            "choose condition=none, or condition=image where a condition comes with each image"
        )
