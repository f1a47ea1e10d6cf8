"""x is a class, or nothing."""

import torch
from torch import Tensor

from cvae.batch import Batch, Items, Sizes
from cvae.conditions.base import Condition, Wanted, one_hot, require_classes
from cvae.errors import InputError, did_you_mean

_NOT_ASKED = (
    "x: this model was trained with condition=none and cannot be asked for a class; leave "
    "x out, or train with condition=label"
)


class LabelCondition(Condition):
    """x is the one-hot label, y the image.

    Raises:
        InputError: If there is one class only, which says nothing about an image.
    """

    asked_by_class = True
    needs_examples = False

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        require_classes(sizes)
        self.sizes = sizes
        self.num_classes = sizes.num_classes
        self.x_shape = (sizes.num_classes,)

    def __call__(self, items: Items) -> Batch:
        return Batch(one_hot(items.labels, self.num_classes), items.images)

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode one class, several, or None for every class once, as one-hot rows (B, classes)."""
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
                f"x: expected classes from 0 to {self.num_classes - 1}, "
                f"got {outside[0].item() if outside.numel() else 'none'}"
            )
        return one_hot(labels, self.num_classes)

    def classes(self, words: str) -> list[int]:
        """Return the classes of consecutive digits, or of names or numbers separated by commas."""
        names = [self.sizes.name(label) for label in range(self.num_classes)]
        digits = words.isascii() and words.isdigit() and max(map(len, names)) == 1
        asked = list(words) if digits else [word.strip() for word in words.split(",")]
        for word in asked:
            if word not in names:
                raise InputError(f"x: no class is called '{word}'{did_you_mean(word, names)}")
        return [names.index(word) for word in asked]

    def names(self, x: Tensor) -> list[str]:
        return [self.sizes.name(label) for label in x.argmax(1).tolist()]


class NoCondition(Condition):
    """x is empty, y the image: the plain VAE."""

    x_shape = (0,)
    needs_examples = False

    def __call__(self, items: Items) -> Batch:
        return Batch(items.images.new_empty(len(items.images), 0), items.images)

    def classes(self, words: str) -> list[int]:
        raise InputError(_NOT_ASKED)

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode None as one empty condition, (1, 0)."""
        if wanted is None:
            return torch.empty(1, 0)
        if isinstance(wanted, Tensor) and wanted.shape[-1:] == self.x_shape:
            return wanted
        raise InputError(_NOT_ASKED)
