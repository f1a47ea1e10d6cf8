"""Draws as values in a file, in their own units: numpy's .npz, or a table."""

import csv
from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import Any

import numpy as np
from torch import Tensor

from cvae.conditions import Condition
from cvae.data.table import load_polars

FORMATS = (".npz", ".csv", ".parquet")
"""How the names of such files end."""


def contents(suffix: str, condition: Condition, x: Tensor, y: Tensor) -> bytes:
    """Return the contents of a file of draws.

    Args:
        suffix: One of `FORMATS`. `.npz` has `x`, (B, *x_shape), `y`, (n, B, *y_shape), and the
            names of y's numbers as `columns`, if they have any. A table has a row for each draw,
            with the number of its condition, the condition itself where it has a name, the number
            of the draw, and a column for each number of y.
        condition: What x and y are.
        x: Conditions, (B, *x_shape).
        y: Draws, (n, B, *y_shape).

    Raises:
        InputError: If `.parquet` lacks its extra.
    """
    target = condition.sizes.y
    if suffix == ".npz":
        file = BytesIO()
        arrays: dict[str, Any] = {"x": x.cpu().numpy(), "y": y.cpu().numpy()}
        if target.names:
            arrays["columns"] = np.array(target.columns())
        np.savez(file, **arrays)
        return file.getvalue()
    names = condition.names(x)
    header = ["condition", *(["x"] if names else []), "draw", *target.columns()]
    rows = [
        [index, *names[index : index + 1], draw, *target.row(y[draw, index])]
        for index in range(y.shape[1])
        for draw in range(y.shape[0])
    ]
    return table(suffix, header, rows)


def table(suffix: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Return the contents of a table's file, `.csv` or `.parquet`.

    Raises:
        InputError: If `.parquet` lacks its extra.
    """
    if suffix == ".parquet":
        file = BytesIO()
        load_polars().DataFrame(rows, schema=list(header), orient="row").write_parquet(file)
        return file.getvalue()
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
