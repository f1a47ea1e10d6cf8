"""Conditions: how a labelled image becomes a pair (x, y).

A condition is built as `condition(image_shape, num_classes)`. It says the shapes of x and y, turns
images and labels into a `Batch`, and encodes what a user asks for into x.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from cvae.batch import Batch, Shape
from cvae.errors import InputError


class Condition(ABC):
    """What x is.

    Args:
        image_shape: (C, H, W) of the images.
        num_classes: Number of classes that the labels count.

    Attributes:
        x_shape: Shape of one condition.
        y_shape: Shape of one target.
    """

    x_shape: Shape
    y_shape: Shape

    def __init__(self, image_shape: Shape, num_classes: int) -> None:
        self.y_shape = tuple(image_shape)
        self.num_classes = num_classes

    @abstractmethod
    def __call__(self, images: Tensor, labels: Tensor) -> Batch:
        """Turn images (B, C, H, W) in [0, 1] and integer labels (B,) into a batch."""

    @abstractmethod
    def encode(self, wanted: int | Sequence[int] | Tensor | None) -> Tensor:
        """Turn what a user asks for into x, (B, *x_shape); a condition tensor passes unchanged.

        Raises:
            InputError: If this condition has no such value.
        """

    @abstractmethod
    def names(self, wanted: Sequence[int] | None) -> list[str]:
        """Return a name for each condition that `encode` would give, or none without conditions."""


class ConditionBuilder(Protocol):
    """What builds a condition: a class of this file."""

    def __call__(self, image_shape: Shape, num_classes: int) -> Condition:
        """Return the condition for images (C, H, W) of `num_classes` classes."""


class LabelCondition(Condition):
    """x is the one-hot label, y the image."""

    def __init__(self, image_shape: Shape, num_classes: int) -> None:
        super().__init__(image_shape, num_classes)
        self.x_shape = (num_classes,)

    def __call__(self, images: Tensor, labels: Tensor) -> Batch:
        return Batch(one_hot(labels, self.num_classes).to(images.dtype), images)

    def encode(self, wanted: int | Sequence[int] | Tensor | None) -> Tensor:
        """Encode one digit, several, or None for every class once, as one-hot rows (B, classes)."""
        if wanted is None:
            wanted = range(self.num_classes)
        labels = wanted if isinstance(wanted, Tensor) else torch.tensor(wanted)
        if labels.dim() == 2 and labels.shape[1:] == self.x_shape:
            return labels.float()
        if labels.dim() > 1 or (labels.is_floating_point() and labels.numel()):
            raise InputError(
                f"x: expected digits as integers, or conditions of shape (B, {self.num_classes}), "
                f"got {tuple(labels.shape)} of {str(labels.dtype).removeprefix('torch.')}"
            )
        labels = labels.long().reshape(-1)
        outside = labels[(labels < 0) | (labels >= self.num_classes)]
        if outside.numel() or not labels.numel():
            raise InputError(
                f"digits: expected classes from 0 to {self.num_classes - 1}, "
                f"got {outside[0].item() if outside.numel() else 'none'}"
            )
        return one_hot(labels, self.num_classes).float()

    def names(self, wanted: Sequence[int] | None) -> list[str]:
        return [str(label) for label in (range(self.num_classes) if wanted is None else wanted)]


class NoCondition(Condition):
    """x is empty, y the image: the plain VAE."""

    x_shape = (0,)

    def __call__(self, images: Tensor, labels: Tensor) -> Batch:
        return Batch(images.new_empty(len(images), 0), images)

    def encode(self, wanted: int | Sequence[int] | Tensor | None) -> Tensor:
        """Encode None as one empty condition, (1, 0)."""
        if wanted is None:
            return torch.empty(1, 0)
        if isinstance(wanted, Tensor) and wanted.shape[-1:] == self.x_shape:
            return wanted
        raise InputError(
            "digits: this model was trained with condition=none and cannot be asked for a class; "
            "leave digits out, or train with condition=label"
        )

    def names(self, wanted: Sequence[int] | None) -> list[str]:
        return []
