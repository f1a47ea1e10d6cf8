"""A user's own pairs (x, y), from a file of numpy arrays: one class for each kind of y."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cvae.conditions import ConditionBuilder
from cvae.data.array_files import Stack, read_arrays
from cvae.data.images import ImageData
from cvae.data.rows import OnDisk
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError
from cvae.kinds import LARGEST, Image, Part, Sizes, Target
from cvae.kinds.categories import LabelMap, Tokens
from cvae.kinds.counts import Counts
from cvae.kinds.parts import Category, Numbers, Picture
from cvae.kinds.real import Sequence, Vector
from cvae.kinds.words import words_for


class ArrayData(OwnData):
    """Reads `FILE.npz`: targets `y`, and for each the condition `x`, or several, `x.NAME`.

    An x is a class where it is (N,) of whole numbers or strings, an image where it is (N, C, H, W),
    and numbers else; rows of true and false are several classes at once. `labels` (N,) may give
    classes in addition. `length` (N,) says how many steps of a sequence y count.
    Each name with `_val` or `_test` at its end gives a validation and a test split.

    A folder of `NAME.npy` is read likewise; what is larger than memory should hold stays on disk.

    Args:
        condition: Builder of the condition.
        path: The file, or the folder.
        standardize: Whether y is standardised by the mean and deviation of the training set.
        **options: As for `PairData`.

    Attributes:
        kind: What y is.

    Raises:
        InputError: If the file or an array is missing or does not fit; the message names both.
    """

    kind: ClassVar[type[Target]]

    def __init__(
        self,
        condition: ConditionBuilder,
        *,
        path: str,
        standardize: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(condition, **options)
        self.path = Path(path).expanduser()
        arrays, lengths = read_arrays(self.path)
        places = torch.arange(len(arrays["y"])).split([*lengths.values()])
        self.trained = lengths[""]
        splits = zip(lengths, places, strict=True)
        self.apart = {split.removeprefix("_"): index for split, index in splits if split}
        length = self._length(arrays)
        y = self._target(arrays["y"], length)
        names = [name for name in arrays if name == "x" or name.startswith("x.")]
        parts = [self._part(name, arrays[name]) for name in names]
        single = len(parts) == 1 and isinstance(parts[0], Category)  # x is a class alone
        classes = "labels" if "labels" in arrays else names[0] if single else None
        labels, class_names = torch.zeros(len(arrays["y"]), dtype=torch.int64), tuple[str, ...]()
        if classes:
            category = self._category(classes, arrays[classes])
            labels, class_names = category.stored(arrays[classes].array), category.names
        given = [(part, arrays[name]) for part, name in zip(parts, names, strict=True)]
        source = _Arrays(y, arrays["y"], length, given)
        self.rows = OnDisk(source, labels).kept()
        count = 1 + int(labels[: self.trained].max())
        self.describe(Sizes(y, count, tuple(parts), class_names), standardize)

    def _target(self, array: Stack, length: np.ndarray | None) -> Target:
        """Return what y is."""
        reason, (_, first) = "", next(array.blocks())
        if first.size:
            try:
                cut = (_cut(block, length, places) for places, block in array.blocks())
                y = reduce(lambda one, other: one.merged(other), map(self.kind.kind_of, cut))
                if self.kind.fits(first):
                    return y
            except ValueError as error:
                reason = f", and {error}"
            except IndexError:  # it has too few dimensions
                pass
        others = [f"data={word}" for word in words_for(first) if word != self.kind.word]
        way_out = f"; for y as it is, choose {' or '.join(others)}" if others else ""
        raise ArgumentError(
            "path",
            f"{self._at('y')} is {array.dtype} of shape {array.shape}{reason}; "
            f"data={self.kind.word} expects {self.kind.expected}{way_out}",
        )

    def _length(self, arrays: Mapping[str, Stack]) -> np.ndarray | None:
        """Return how many steps of each sequence count, (N,); None if all do."""
        if "length" not in arrays:
            return None
        if not self.kind.has_steps:
            raise ArgumentError(
                "path",
                f"{self._at('length')} is of steps, and data={self.kind.word} has none; choose "
                "data=sequences or tokens, or leave it out",
            )
        shape, length = arrays["y"].shape, arrays["length"].array
        steps = shape[1] if len(shape) > 1 else 0
        if length.dtype.kind not in "iu" or length.ndim != 1 or not steps:
            raise ArgumentError(
                "path", f"{self._at('length')}: expected whole numbers (N,) for sequences y (N, T)"
            )
        if length.min() < 0 or length.max() > steps:
            raise ArgumentError(
                "path",
                f"{self._at('length')} goes from {length.min()} to {length.max()}, and y has "
                f"{steps} steps",
            )
        return length

    def _part(self, name: str, array: Stack) -> Part:
        """Return the part of x that an array is."""
        short = name.partition(".")[2]
        ndim = len(array.shape)
        if ndim == 1 and array.dtype.kind in "iuU":
            return replace(self._category(name, array), name=short)
        low, high, bad = np.inf, -np.inf, 0
        for _, block in array.blocks():
            complete = np.isfinite(block).reshape(len(block), -1).all(1)
            bad += int((~complete).sum())
            low, high = min(low, block.min(initial=0)), max(high, block.max(initial=0))
        if bad:
            raise ArgumentError(
                "path",
                f"{self._at(name)} holds NaN or infinite numbers in {bad} of {len(array)} rows; a "
                "condition has to be complete: remove these rows, or fill them in",
            )
        if max(-low, high) > LARGEST:
            raise ArgumentError("path", f"{self._at(name)} holds numbers too large")
        if ndim == 4 or (ndim == 3 and self.kind.beside_images):
            whole = array.dtype.kind in "iu" and low >= 0 and 1 < high <= 255
            shape = (1, *array.shape[1:]) if ndim == 3 else array.shape[1:]
            return Picture(shape, short, white=255 if whole else 1)
        return Numbers(array.shape[1:] or (1,), short)

    def _category(self, name: str, array: Stack) -> Category:
        """Return the classes that an array is of, and their names, if they have any."""
        ways_out = "; for numbers that are not classes give x as (N, 1), or real"
        numbers = "" if name == "labels" else ways_out
        if len(array.shape) != 1 or array.dtype.kind not in "iuU":
            raise ArgumentError(
                "path",
                f"{self._at(name)}: classes are whole numbers or names of shape (N,), got "
                f"{array.dtype} of shape {array.shape}",
            )
        known = np.unique(array.array[: self.trained])
        for split, index in self.apart.items():
            others = np.setdiff1d(array.array[index], known)
            if len(others):
                raise ArgumentError(
                    "path",
                    f"{self._at(f'{name}_{split}')} has class {others[0]}, which '{name}' does "
                    f"not have{numbers}",
                )
        if known.dtype.kind == "U":
            return Category((len(known),), names=tuple(map(str, known)))
        if not np.array_equal(known, np.arange(len(known))):
            missing = ", and makes those that are missing a class of their own"
            missing = missing if known[0] == -1 else ""
            raise ArgumentError(
                "path",
                f"{self._at(name)}: {len(known)} classes are numbered from 0 without a gap, "
                f"got {known[0]} to {known[-1]}; np.unique(labels, return_inverse=True)[1] numbers "
                f"them{missing}{numbers}",
            )
        return Category((len(known),))

    def _at(self, name: str) -> str:
        return f"array '{name}' of '{self.path}'"


class _Arrays(NamedTuple):
    """Reads rows of arrays as they are stored."""

    kind: Target
    targets: Stack
    length: np.ndarray | None
    parts: list[tuple[Part, Stack]]

    def y(self, index: Tensor) -> Tensor:
        places = index.numpy()
        return self.kind.stored(_cut(self.targets[places], self.length, places))

    def given(self, index: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.stored(array[index.numpy()]) for part, array in self.parts)


def _cut(y: np.ndarray, length: np.ndarray | None, places: np.ndarray) -> np.ndarray:
    """Return sequences at some places whose steps from their length on are missing."""
    if length is None:
        return y
    kept = y.astype(np.float64 if y.dtype.kind != "f" else y.dtype)
    kept[np.arange(y.shape[1]) >= length[places, None]] = np.nan
    return kept


class Arrays(ArrayData, ImageData):
    """Images (N, H, W) or (N, C, H, W), C 1 or 3.

    Whole numbers from 0 to 255, or to 65535, keep their levels; real numbers from 0 to 1 stay as
    they are; images of only 0 and 1 are binary.
    """

    kind = Image


class Vectors(ArrayData):
    """Vectors (N, F) of real numbers."""

    kind = Vector


class Sequences(ArrayData):
    """Sequences (N, T, F) of real numbers, with an optional `length` (N,)."""

    kind = Sequence


class LabelMaps(ArrayData):
    """Maps (N, H, W) of whole numbers, a category for each pixel."""

    kind = LabelMap


class TokenArrays(ArrayData):
    """Sequences (N, T) of whole numbers, a category each, with an optional `length` (N,)."""

    kind = Tokens


class CountArrays(ArrayData):
    """Counts (N, F)."""

    kind = Counts
