"""A file of numpy arrays: read, and held to what every kind of data asks of it."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cvae.errors import ArgumentError, did_you_mean

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


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name: `y`, `x` or `x.NAME`, `labels`, `length`; of each split.

    Raises:
        InputError: If the file or an array is missing or does not fit; the message names both.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ArgumentError("path", f"'{path}' is not a file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ArgumentError(
            "path",
            f"'{path}' cannot be read as numpy's .npz ({reason}); write it "
            "with numpy.savez(FILE, x=..., y=...)",
        ) from error
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
    return arrays


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
