"""y is made of categories: a map of labels, or a sequence of tokens."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from cvae.batch import Shape, Support
from cvae.kinds.base import Target
from cvae.kinds.numbers import one_hot, whole_numbers

_MOST = 65_536
"""Categories beyond which numbers are not likely to be of categories."""


@dataclass(frozen=True)
class Categories(Target):
    """Categories by number, from 0.

    Attributes:
        categories: Their number C.
    """

    support: ClassVar[Support] = Support.CATEGORIES

    categories: int = 2

    @classmethod
    def kind_of(cls, y: np.ndarray) -> Self:
        missing, most = whole_numbers(y)
        count = max(2, 1 + most)
        if count > _MOST:
            raise ValueError(f"it would have {count} categories; number those there are from 0")
        return cls(y.shape[1:], missing=missing, categories=count)

    def merged(self, other: Self) -> Self:
        most = max(self.categories, other.categories)
        return replace(super().merged(other), categories=most)

    def stored(self, y: np.ndarray) -> Tensor:
        kept = np.float32 if self.missing else np.uint8 if self.categories <= 256 else np.int32
        return torch.from_numpy(np.ascontiguousarray(y, kept))

    def encoder(self) -> nn.Module | None:
        return OneHot(self.categories, self.channels_first)

    channels_first: ClassVar[bool]

    def pseudo(self, free: Tensor) -> Tensor:
        return free.softmax(-3 if self.channels_first else -1)

    def row(self, y: Tensor) -> list[Any]:
        return [int(number) for number in y.flatten().tolist()]

    def known(self) -> dict[str, Any]:
        return super().known() | {"categories": self.categories}


class OneHot(nn.Module):
    """Maps numbers of categories to one-hot vectors, all 0 where they are missing.

    Args:
        categories: Number of categories C.
        channels_first: Whether C comes before the last two dimensions, or last.
    """

    def __init__(self, categories: int, channels_first: bool) -> None:
        super().__init__()
        self.categories, self.channels_first = categories, channels_first

    def forward(self, y: Tensor) -> Tensor:
        """Map (..., H, W) to (..., C, H, W), or (..., T) to (..., T, C)."""
        rows = one_hot(y, self.categories)
        return rows.movedim(-1, -3) if self.channels_first else rows


@dataclass(frozen=True)
class LabelMap(Categories):
    """A map (H, W) whose pixels are of a category each."""

    word: ClassVar[str] = "label_maps"
    expected: ClassVar[str] = "whole numbers (N, H, W), the category of each pixel, from 0"
    beside_images: ClassVar[bool] = True
    drawn_as: ClassVar[str | None] = "map"
    channels_first: ClassVar[bool] = True

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        return y.ndim == 3 and y.size > 0 and y.dtype.kind in "iu" and y.min() >= 0

    def in_words(self) -> str:
        return f"label maps of {self.sides} pixels (height × width) in {self.categories} categories"

    @property
    def laid_out(self) -> Shape:
        return (1, *self.shape)

    @property
    def features(self) -> Shape:
        return (self.categories, *self.shape)


@dataclass(frozen=True)
class Tokens(Categories):
    """A sequence (T,) of categories."""

    word: ClassVar[str] = "tokens"
    expected: ClassVar[str] = (
        "whole numbers (N, T), the category of each step, from 0, with an optional length (N,)"
    )
    channels_first: ClassVar[bool] = False
    has_steps: ClassVar[bool] = True

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        known = y[~np.isnan(y)] if y.dtype.kind == "f" else y
        whole = y.dtype.kind in "iu" or (known.size > 0 and (known == np.floor(known)).all())
        return bool(y.ndim == 2 and known.size > 0 and whole and known.min() >= 0)

    def in_words(self) -> str:
        return f"sequences of {self.sides} tokens out of {self.categories}"

    @property
    def laid_out(self) -> Shape:
        return (*self.shape, 1)

    @property
    def features(self) -> Shape:
        return (*self.shape, self.categories)
