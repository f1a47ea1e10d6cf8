"""A user's own pairs (x, y), from a file of numpy arrays: one class for each kind of y."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from cvae.batch import Items
from cvae.conditions import ConditionBuilder
from cvae.data.images import ImageData
from cvae.data.npz import SPLITS, read_npz
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError
from cvae.kinds import LARGEST, Image, Part, Sizes, Target
from cvae.kinds.categories import LabelMap, Tokens
from cvae.kinds.counts import Counts
from cvae.kinds.parts import Category, Numbers, Picture
from cvae.kinds.real import Sequence, Vector
from cvae.kinds.words import words_for

Split = Mapping[str, np.ndarray]
"""An array of each split, by the name of the split; "" is for training."""


class ArrayData(OwnData):
    """Reads `FILE.npz`: targets `y`, and for each the condition `x`, or several, `x.NAME`.

    An x is a class where it is (N,) of whole numbers or strings, an image where it is (N, C, H, W),
    and numbers else; rows of true and false are several classes at once. `labels` (N,) may give
    classes in addition. `length` (N,) says how many steps of a sequence y count.
    Each name with `_val` or `_test` at its end gives a validation and a test split.

    Args:
        condition: Builder of the condition.
        path: The file.
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
        arrays = read_npz(self.path)
        splits = [split for split in SPLITS if f"y{split}" in arrays]

        def of(name: str) -> Split:
            return {split: arrays[name + split] for split in splits}

        y, targets = self._targets(of("y"), of("length") if "length" in arrays else None)
        first = [name for name in arrays if not name.endswith(SPLITS[1:])]
        names = [name for name in first if name == "x" or name.startswith("x.")]
        parts = [self._part(name, of(name)) for name in names]
        classes = "labels" if "labels" in arrays else _only_class(names, parts)
        labels, class_names = self._classes(classes, of(classes)) if classes else ({}, ())
        items = {
            split: Items(
                targets[split],
                labels.get(split, torch.zeros(len(targets[split]), dtype=torch.int64)),
                tuple(stored[split] for _, stored in parts),
            )
            for split in splits
        }
        self.train_items = items[""]
        self.val_items, self.test_items = items.get("_val"), items.get("_test")
        count = 1 + int(self.train_items.labels.max())
        given = tuple(part for part, _ in parts)
        self.describe(Sizes(y, count, given, class_names), standardize)

    def _targets(self, arrays: Split, length: Split | None) -> tuple[Target, dict[str, Tensor]]:
        if length is not None and not self.kind.has_steps:
            raise ArgumentError(
                "path",
                f"{self._at('length')} is of steps, and data={self.kind.word} has none; choose "
                "data=sequences or tokens, or leave it out",
            )
        if length is not None:
            arrays = {split: self._cut(arrays[split], length[split]) for split in arrays}
        first = arrays[""]
        reason = ""
        if first.size:
            try:
                found = self.kind.read(arrays)
                if self.kind.fits(first):
                    return found
            except ValueError as error:
                reason = f", and {error}"
            except IndexError:  # it has too few dimensions
                pass
        others = [f"data={word}" for word in words_for(first) if word != self.kind.word]
        way_out = f"; for y as it is, choose {' or '.join(others)}" if others else ""
        raise ArgumentError(
            "path",
            f"{self._at('y')} is {first.dtype} of shape {first.shape}{reason}; "
            f"data={self.kind.word} expects {self.kind.expected}{way_out}",
        )

    def _cut(self, y: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return sequences whose steps from their length on are missing."""
        steps = y.shape[1] if y.ndim > 1 else 0
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
        kept = y.astype(np.float64 if y.dtype.kind != "f" else y.dtype)
        kept[np.arange(steps) >= length[:, None]] = np.nan
        return kept

    def _part(self, name: str, arrays: Split) -> tuple[Part, dict[str, Tensor]]:
        first, short = arrays[""], name.partition(".")[2]
        for split, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = int((~np.isfinite(array)).reshape(len(array), -1).any(1).sum())
                raise ArgumentError(
                    "path",
                    f"{self._at(name + split)} holds NaN or infinite numbers in {bad} of "
                    f"{len(array)} rows; a condition has to be complete: remove these rows, or "
                    "fill them in",
                )
            if array.dtype.kind == "f" and np.abs(array).max(initial=0) > LARGEST:
                raise ArgumentError("path", f"{self._at(name + split)} holds numbers too large")
        if first.ndim == 1 and first.dtype.kind in "iuU":
            numbers, names = self._classes(name, arrays)
            count = len(names) or 1 + int(numbers[""].max())
            return Category((count,), short, names=names), numbers
        if first.ndim == 4 or (first.ndim == 3 and self.kind.beside_images):
            return self._picture(short, arrays)
        rows = {
            split: array[:, None] if array.ndim == 1 else array for split, array in arrays.items()
        }
        kept = np.float32 if first.dtype in (np.float32, np.float16, np.bool_) else np.float64
        stored = {s: torch.from_numpy(np.ascontiguousarray(a, kept)) for s, a in rows.items()}
        return Numbers(tuple(stored[""].shape[1:]), short), stored

    def _picture(self, name: str, arrays: Split) -> tuple[Part, dict[str, Tensor]]:
        images = {s: a[:, None] if a.ndim == 3 else a for s, a in arrays.items()}
        whole = arrays[""].dtype.kind in "iu" and all(
            array.min() >= 0 and array.max() <= 255 for array in arrays.values()
        )
        pixels = whole and any(array.max() > 1 for array in arrays.values())
        kept = np.uint8 if pixels else np.float32
        stored = {s: torch.from_numpy(np.ascontiguousarray(a, kept)) for s, a in images.items()}
        white = 255 if pixels else 1
        return Picture(tuple(stored[""].shape[1:]), name, white=white), stored

    def _classes(self, name: str, arrays: Split) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return the number of each row's class, and the names of the classes, if they have any."""
        ways_out = "; for numbers that are not classes give x as (N, 1), or real"
        numbers = "" if name == "labels" else ways_out
        known = np.unique(arrays[""])
        for split, array in arrays.items():
            found = np.unique(array)
            if array.ndim != 1 or array.dtype.kind not in "iuU":
                raise ArgumentError(
                    "path",
                    f"{self._at(name + split)}: classes are whole numbers or names of shape (N,), "
                    f"got {array.dtype} of shape {array.shape}",
                )
            if not np.isin(found, known).all():
                raise ArgumentError(
                    "path",
                    f"{self._at(name + split)} has class {np.setdiff1d(found, known)[0]}, which "
                    f"'{name}' does not have{numbers}",
                )
        if known.dtype.kind == "U":
            places = {split: np.searchsorted(known, array) for split, array in arrays.items()}
            found_at = {split: torch.from_numpy(a).long() for split, a in places.items()}
            return found_at, tuple(map(str, known))
        if not np.array_equal(known, np.arange(len(known))):
            raise ArgumentError(
                "path",
                f"{self._at(name)}: {len(known)} classes are numbered from 0 without a gap, "
                f"got {known[0]} to {known[-1]}; np.unique(labels, return_inverse=True)[1] numbers "
                f"them{numbers}",
            )
        return {s: torch.from_numpy(a.astype(np.int64)) for s, a in arrays.items()}, ()

    def _at(self, name: str) -> str:
        return f"array '{name}' of '{self.path}'"


def _only_class(names: list[str], parts: list[tuple[Part, dict[str, Tensor]]]) -> str | None:
    """Return the name of x, where it is a class and nothing else."""
    return names[0] if len(parts) == 1 and isinstance(parts[0][0], Category) else None


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
