"""A user's own pairs (x, y), from a file of numpy arrays."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvae.batch import Items, Sizes
from cvae.conditions import ConditionBuilder
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError, did_you_mean

_SPLITS = ("", "_val", "_test")
_NAMES = ("x", "y", "labels")
_UNREADABLE = (
    *(OSError, ValueError, TypeError, EOFError, MemoryError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, RuntimeError),  # the last one of what is encrypted
)
_KINDS = {"b": "true and false", "i": "whole numbers", "u": "whole numbers", "f": "real numbers"}


class Arrays(OwnData):
    """Reads `FILE.npz`: images `y`, and for each the condition `x`.

    `y` is (N, H, W) or (N, C, H, W), C 1 or 3: whole numbers from 0 to 255, or real numbers from 0
    to 1, which are rounded to 256 levels; images of only 0 and 1 stay binary. `x` has N rows: whole
    numbers (N,) are classes, for condition=label; any other array is a condition, for
    condition=image. Conditions are not changed, except images of whole numbers up to 255, which
    become pixels in [0, 1]; (N, H, W) are images of one channel. `labels` (N,) may give classes in
    addition. `x_val`, `y_val` and `x_test`, `y_test` (and their labels) give a validation and a
    test split.

    Args:
        condition: Builder of the condition.
        path: The file.
        **options: As for `OwnData`.

    Raises:
        InputError: If the file or an array is missing or does not fit; the message names both.
    """

    def __init__(self, condition: ConditionBuilder, *, path: str, **options: Any) -> None:
        super().__init__(condition, **options)
        self.path = Path(path).expanduser()
        arrays = self._arrays()
        splits = [split for split in _SPLITS if f"y{split}" in arrays]
        parts = {
            name: {split: arrays[name + split] for split in splits}
            for name in _NAMES
            if name in arrays
        }
        classes = "labels" if "labels" in parts else "x" if _is_class(parts["x"]) else None
        labels = self._labels(classes, parts[classes]) if classes else {}
        given = {} if _is_class(parts["x"]) else self._given(parts["x"])
        images, levels = self._images(parts["y"])
        items = {
            split: Items(
                *map(
                    torch.from_numpy,
                    (
                        images[split],
                        labels.get(split, np.zeros(len(images[split]), np.int64)),
                        given.get(split, np.empty((len(images[split]), 0), np.float32)),
                    ),
                )
            )
            for split in splits
        }
        self.train_items = items[""]
        self.val_items, self.test_items = items.get("_val"), items.get("_test")
        self.sizes = Sizes(
            tuple(items[""].images.shape[1:]),
            1 + int(items[""].labels.max()),
            tuple(items[""].given.shape[1:]),
            levels=levels,
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        if self.path.exists() and not self.path.is_file():  # a pipe would be waited for
            raise ArgumentError("path", f"'{self.path}' is not a file")
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
        except _UNREADABLE as error:
            reason = str(error).partition("\n")[0]
            raise ArgumentError(
                "path",
                f"'{self.path}' cannot be read as numpy's .npz ({reason}); write it "
                "with numpy.savez(FILE, x=..., y=...)",
            ) from error
        known = [name + split for split in _SPLITS for name in _NAMES]
        for name in arrays:
            if name not in known:
                raise ArgumentError(
                    "path", f"{self._at(name)} is not known{did_you_mean(name, known)}"
                )
        for name in ("x", "y"):
            if name not in arrays:
                raise ArgumentError(
                    "path", f"{self._at(name)} is missing; the file has {', '.join(arrays)}"
                )
        expected = [name for name in _NAMES if name in arrays]
        for split in _SPLITS:
            found = [name for name in _NAMES if name + split in arrays]
            if found and found != expected:
                raise ArgumentError(
                    "path",
                    f"'{self.path}' has {_listed(found, split)}, expected "
                    f"{_listed(expected, split)}, as it has {_listed(expected, '')}",
                )
            for name in found:
                self._require_sound(name, split, arrays)
        return arrays

    def _require_sound(self, name: str, split: str, arrays: Mapping[str, np.ndarray]) -> None:
        array, first, at = arrays[name + split], arrays[name], self._at(name + split)
        if array.dtype.kind not in _KINDS:
            raise ArgumentError("path", f"{at} holds {array.dtype}, expected real numbers")
        if _KINDS[array.dtype.kind] != _KINDS[first.dtype.kind]:
            raise ArgumentError(
                "path", f"{at} holds {array.dtype}, but '{name}' holds {first.dtype}"
            )
        if not np.isfinite(array).all():
            raise ArgumentError("path", f"{at} holds NaN or infinite numbers; remove them")
        count = arrays["y" + split].shape[:1]
        if array.shape[:1] != count or count in ((), (0,)):
            raise ArgumentError(
                "path",
                f"{at} has shape {array.shape}, expected a row for each image of '{'y' + split}', "
                f"of shape {arrays['y' + split].shape}, and one at least",
            )
        if array.shape[1:] != first.shape[1:]:
            raise ArgumentError(
                "path",
                f"{at} has items of shape {array.shape[1:]}, those of '{name}' have "
                f"{first.shape[1:]}",
            )

    def _images(self, arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], int]:
        shape, whole = arrays[""].shape, arrays[""].dtype.kind != "f"
        if len(shape) not in (3, 4) or 0 in shape or (len(shape) == 4 and shape[1] not in (1, 3)):
            raise ArgumentError(
                "path",
                f"{self._at('y')} has shape {shape}, expected images (N, H, W) or (N, C, H, W) of "
                "1 or 3 channels; where these come last, use y.transpose(0, 3, 1, 2)",
            )
        for split, array in arrays.items():
            if array.min() < 0 or array.max() > (255 if whole else 1):
                raise ArgumentError(
                    "path",
                    f"{self._at('y' + split)} has pixels from {array.min():g} to "
                    f"{array.max():g}, expected whole numbers from 0 to 255 or real ones from 0 to "
                    "1",
                )
        binary = all(((array == 0) | (array == 1)).all() for array in arrays.values())
        scale = 1 if whole or binary else 255
        images = {
            split: _with_channels((array * scale).round() if scale > 1 else array).astype(np.uint8)
            for split, array in arrays.items()
        }
        return images, 2 if binary else 256

    def _given(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = arrays[""]
        pixels = (
            first.ndim > 2
            and first.dtype.kind in "iu"
            and all(array.min() >= 0 and array.max() <= 255 for array in arrays.values())
            and any(array.max() > 1 for array in arrays.values())
        )
        if not pixels and any(
            np.abs(array).max(initial=0) > np.finfo(np.float32).max for array in arrays.values()
        ):
            raise ArgumentError(
                "path", f"{self._at('x')} holds numbers too large for single precision"
            )
        return {
            split: _with_channels(array).astype(np.uint8 if pixels else np.float32)
            for split, array in arrays.items()
        }

    def _labels(self, name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        numbers = "; for numbers that are not classes give x as (N, 1), or real" * (name == "x")
        known = np.unique(arrays[""])
        for split, array in arrays.items():
            found = np.unique(array)
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ArgumentError(
                    "path",
                    f"{self._at(name + split)}: classes are whole numbers of shape (N,), "
                    f"got {array.dtype} of shape {array.shape}",
                )
            if not np.isin(found, known).all():
                raise ArgumentError(
                    "path",
                    f"{self._at(name + split)} has class {np.setdiff1d(found, known)[0]}, which "
                    f"'{name}' does not have{numbers}",
                )
        if len(known) < 2:
            raise ArgumentError(
                "path",
                f"{self._at(name)} has one class only, {known[0]}; expected two at least, or no "
                "classes",
            )
        if not np.array_equal(known, np.arange(len(known))):
            raise ArgumentError(
                "path",
                f"{self._at(name)}: {len(known)} classes are numbered from 0 to {len(known) - 1}, "
                f"got {known[0]} to {known[-1]}; np.unique(labels, return_inverse=True)[1] numbers "
                f"them{numbers}",
            )
        return {split: array.astype(np.int64) for split, array in arrays.items()}

    def _at(self, name: str) -> str:
        return f"array '{name}' of '{self.path}'"


def _is_class(x: Mapping[str, np.ndarray]) -> bool:
    return x[""].ndim == 1 and x[""].dtype.kind in "iu"


def _with_channels(array: np.ndarray) -> np.ndarray:
    """Return rows of numbers (N, F), or of images (N, C, H, W)."""
    if array.ndim in (1, 3):
        array = array[:, None]
    return np.ascontiguousarray(array)


def _listed(names: list[str], split: str) -> str:
    return ", ".join(name + split for name in names)
