"""x is a class, or nothing."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from cvae.batch import Batch, Items
from cvae.conditions.base import Condition, Wanted, class_of, classes_in, require_classes
from cvae.errors import InputError
from cvae.kinds import Sizes
from cvae.kinds.numbers import one_hot

_NOT_ASKED = (
    "x: this model was trained with condition=none and cannot be asked for a class; leave "
    "x out, or train with condition=label"
)


class LabelCondition(Condition):
    """x is the one-hot label.

    Raises:
        InputError: If there is one class only, which says nothing about y.
    """

    asked_by_class = True
    needs_examples = False

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        require_classes(sizes)
        self.num_classes = sizes.num_classes
        self.x_shape = (sizes.num_classes,)

    def __call__(self, items: Items) -> Batch:
        return Batch(one_hot(items.labels, self.num_classes), items.y)

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode one class, several, or None for every class once, as one-hot rows (B, classes).

        Classes are given by their numbers or names, or in words, as `read` takes them.
        """
        if wanted is None:
            wanted = range(self.num_classes)
        if isinstance(wanted, str):
            wanted = self.read(wanted)
        if isinstance(wanted, Sequence) and any(isinstance(one, str) for one in wanted):
            names = [self.sizes.name(label) for label in range(self.num_classes)]
            wanted = [class_of(str(one), names) for one in wanted]
        labels = wanted if isinstance(wanted, Tensor) else torch.tensor(wanted)
        if labels.dim() == 2 and labels.shape[1:] == self.x_shape:
            return labels if labels.is_floating_point() else labels.float()
        if labels.dim() > 1 or (labels.is_floating_point() and labels.numel()):
            raise InputError(
                f"x: expected digits as integers, or conditions of shape (B, {self.num_classes}), "
                f"got {tuple(labels.shape)} of {str(labels.dtype).removeprefix('torch.')}"
            )
        labels = labels.long().reshape(-1)
        outside = labels[(labels < 0) | (labels >= self.num_classes)]
        if outside.numel() or not labels.numel():
            raise InputError(
                f"x: expected classes from 0 to {self.num_classes - 1}, "
                f"got {outside[0].item() if outside.numel() else 'none'}"
            )
        return one_hot(labels, self.num_classes)

    def read(self, words: str) -> Wanted:
        """Return the classes of consecutive digits, or of names or numbers separated by commas."""
        names = [self.sizes.name(label) for label in range(self.num_classes)]
        return classes_in(words, names)

    def names(self, x: Tensor) -> list[str]:
        return [self.sizes.name(label) for label in x.argmax(1).tolist()]


class NoCondition(Condition):
    """x is empty: the plain VAE."""

    x_shape = (0,)
    needs_examples = False
    part_names: ClassVar[list[str]] = []

    def __call__(self, items: Items) -> Batch:
        return Batch(torch.empty(len(items.y), 0, device=items.y.device), items.y)

    def read(self, words: str) -> Wanted:
        raise InputError(_NOT_ASKED)

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode None as one empty condition, (1, 0)."""
        if wanted is None:
            return torch.empty(1, 0)
        if isinstance(wanted, Tensor) and wanted.shape[-1:] == self.x_shape:
            return wanted
        raise InputError(_NOT_ASKED)
