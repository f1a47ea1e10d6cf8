"""Numpy arrays in a file or a folder: read, and held to what every kind of data asks of them."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cvae.data.read_by import way_to_read
from cvae.data.rows import blocks
from cvae.errors import ArgumentError, did_you_mean
from cvae.left import Left

SPLITS = ("", "_val", "_test")
"""What the names of arrays end in: for training, validation and test."""
_NAMES = ("x", "y", "labels", "length")
_UNREADABLE = (
    *(OSError, ValueError, TypeError, EOFError, MemoryError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, RuntimeError),  # the last one of what is encrypted
)
_KINDS = {
    "b": "true and false",
    "i": "whole numbers",
    "u": "whole numbers",
    "f": "real numbers",
    "U": "strings",
}


class Stack:
    """An array of all splits, one after the other, in memory or in .npy files.

    Files are opened for each reading, so that what was read does not stay in the process's memory.

    Args:
        arrays: The array of each split, alike but for their lengths.
        files: Where they are; None keeps them in memory.
    """

    def __init__(self, arrays: Sequence[np.ndarray], files: Sequence[Path] | None = None) -> None:
        self.files = files if files and arrays[0].ndim > 1 else None
        self.ends = np.cumsum([len(array) for array in arrays])
        self.dtype = np.result_type(*arrays)
        self.shape = (int(self.ends[-1]), *arrays[0].shape[1:])
        self.array = np.empty(0)
        if not self.files:
            self.array = np.concatenate(arrays) if files or len(arrays) > 1 else arrays[0]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        if self.files is None:
            return self.array[index]
        found = np.empty((len(index), *self.shape[1:]), self.dtype)
        of_split = np.searchsorted(self.ends, index, "right")
        for split in np.unique(of_split):
            here = (of_split == split).nonzero()[0]
            array = np.load(self.files[split], mmap_mode="r")
            start = self.ends[split] - len(array)
            for place in here:  # without another copy of them all
                found[place] = array[index[place] - start]
        return found

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the places of some rows at a time, in their order, and the rows."""
        left = Left("rows read", len(self))
        for index in blocks(len(self), math.prod(self.shape[1:])):
            yield index.numpy(), self[index.numpy()]
            left.done(len(index))


class Arrays(NamedTuple):
    """The arrays of a file or a folder."""

    by_name: dict[str, Stack]
    """`y`, `x` or `x.NAME`, `labels`, `length`."""
    lengths: dict[str, int]
    """How many rows each split has, by what the names of its arrays end in."""


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of `FILE.npz`, or of the files `NAME.npy` in a folder.

    Raises:
        InputError: If the file or an array is missing or does not fit; the message names both.
    """
    files = {file.stem: file for file in sorted(path.glob("*.npy"))} if path.is_dir() else {}
    arrays = _folder(path, files) if path.is_dir() else _npz(path)
    names = _require_sound_names(path, arrays)
    splits = [split for split in SPLITS if f"y{split}" in arrays]
    by_name = {
        name: Stack(
            [arrays[name + split] for split in splits],
            [files[name + split] for split in splits] if files else None,
        )
        for name in names
    }
    return Arrays(by_name, {split: len(arrays[f"y{split}"]) for split in splits})


def _npz(path: Path) -> Mapping[str, np.ndarray]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ArgumentError("path", f"'{path}' is not a file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise ArgumentError(
                "path",
                f"'{path}' is a single array; write all of them by numpy.savez(FILE, x=..., "
                "y=...), or give the folder of y.npy and x.npy",
            )
        with loaded as file:
            return dict(file)
    except ArgumentError:
        raise
    except _UNREADABLE as error:
        raise _unread(path, "npz", error) from error


def _folder(path: Path, files: Mapping[str, Path]) -> Mapping[str, np.ndarray]:
    if not files:
        raise ArgumentError(
            "path", f"'{path}' has no .npy files; expected y.npy, x.npy, ...{way_to_read(path)}"
        )
    arrays = {}
    for name, file in files.items():
        if not file.is_file():
            raise ArgumentError("path", f"'{file}' is not a file")
        try:
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
        except _UNREADABLE as error:
            raise _unread(file, "npy", error) from error
    return arrays


def _unread(file: Path, kind: str, error: BaseException) -> ArgumentError:
    """Return what is wrong with a file that numpy does not read."""
    reason = str(error).partition("\n")[0]
    if "allow_pickle" in reason:  # numpy's advice, which would run what the file says
        reason = "it is something else, or holds Python objects instead of numbers"
    if not file.exists():
        there = [each.name for each in file.parent.glob(f"*.{kind}")]
        near = get_close_matches(file.name, there, n=1, cutoff=0.8)
        meant = (
            f"did you mean '{file.with_name(near[0])}'?" if near else f"expected numpy's .{kind}"
        )
        return ArgumentError("path", f"'{file}' is not a file; {meant}")
    written = "numpy.savez(FILE, x=..., y=...)" if kind == "npz" else "numpy.save(FILE, array)"
    if file.suffix.lower() != f".{kind}":
        return ArgumentError("path", f"'{file}' is not a .{kind} of numpy{way_to_read(file)}")
    return ArgumentError(
        "path", f"'{file}' cannot be read as numpy's .{kind} ({reason}); write it with {written}"
    )


def _require_sound_names(path: Path, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the arrays for training, each of which is sound in every split."""
    known = [name + split for split in SPLITS for name in _NAMES]
    for name in arrays:
        if name not in known and not name.startswith("x."):
            raise ArgumentError(
                "path", f"array '{name}' of '{path}' is not known{did_you_mean(name, known)}"
            )
    if "y" not in arrays:
        raise ArgumentError(
            "path", f"array 'y' of '{path}' is missing; the file has {', '.join(arrays)}"
        )
    if "x" in arrays and any(name.startswith("x.") for name in arrays):
        raise ArgumentError(
            "path", f"'{path}' has 'x' and 'x.NAME'; expected one x, or each part with a name"
        )
    expected = [name for name in arrays if not name.endswith(SPLITS[1:])]
    for split in SPLITS[1:]:
        found = [name.removesuffix(split) for name in arrays if name.endswith(split)]
        if found and sorted(found) != sorted(expected):
            raise ArgumentError(
                "path",
                f"'{path}' has {_listed(found, split)}, expected "
                f"{_listed(expected, split)}, as it has {_listed(expected, '')}",
            )
    for name in expected:
        for split in SPLITS:
            if name + split in arrays:
                _require_sound(path, name, split, arrays)
    return expected


def _require_sound(path: Path, name: str, split: str, arrays: Mapping[str, np.ndarray]) -> None:
    array, first = arrays[name + split], arrays[name]
    at = f"array '{name + split}' of '{path}'"
    words = array.dtype.kind == "U" and (name in ("y", "length") or array.ndim != 1)
    if array.dtype.kind not in _KINDS or words:
        raise ArgumentError("path", f"{at} holds {array.dtype}, expected real numbers")
    if _KINDS[array.dtype.kind] != _KINDS[first.dtype.kind]:
        raise ArgumentError("path", f"{at} holds {array.dtype}, but '{name}' holds {first.dtype}")
    count = arrays["y" + split].shape[:1]
    if array.shape[:1] != count or count in ((), (0,)):
        raise ArgumentError(
            "path",
            f"{at} has shape {array.shape}, expected a row for each of '{'y' + split}', "
            f"of shape {arrays['y' + split].shape}, and one at least",
        )
    if array.shape[1:] != first.shape[1:]:
        raise ArgumentError(
            "path",
            f"{at} has items of shape {array.shape[1:]}, those of '{name}' have {first.shape[1:]}",
        )


def _listed(names: list[str], split: str) -> str:
    return ", ".join(name + split for name in names)
