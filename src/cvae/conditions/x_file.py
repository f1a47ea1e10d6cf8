"""x from a file: arrays, the columns of a table, or an image."""

import csv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cvae.errors import InputError
from cvae.kinds import Part

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SUFFIXES = (".npz", ".csv", *_IMAGES)
"""How the names of such files end."""


def read_x(file: Path, parts: Sequence[Part]) -> Mapping[str, Any]:
    """Return the x of a file: `x` or `x.NAME` of numpy's .npz, columns of a .csv, or an image.

    Raises:
        InputError: If the file cannot be read, or lacks a part.
    """
    try:
        if file.suffix.lower() == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                found = {name.removeprefix("x").removeprefix("."): arrays[name] for name in arrays}
            return {part.name: found[part.name] for part in parts}
        if file.suffix.lower() == ".csv":
            with file.open(newline="", encoding="utf-8-sig") as lines:
                rows = list(csv.DictReader(lines))
            return {part.name: part.of_columns(rows) for part in parts}
        return {parts[0].name: str(file)}
    except KeyError as error:
        raise InputError(f"x: '{file}' has no {error.args[0]!r}, which x is made of") from error
    except (OSError, ValueError, TypeError, csv.Error, zipfile.BadZipFile) as error:
        raise InputError(
            f"x: '{file}' cannot be read ({str(error).partition(chr(10))[0]})"
        ) from error
