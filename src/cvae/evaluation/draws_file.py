"""Draws as values in a file, in their own units: numpy's .npz, or a table."""

import csv
from io import BytesIO, StringIO

import numpy as np
from torch import Tensor

from cvae.conditions import Condition

FORMATS = (".npz", ".csv")
"""How the names of such files end."""


def contents(suffix: str, condition: Condition, x: Tensor, y: Tensor) -> bytes:
    """Return the contents of a file of draws.

    Args:
        suffix: One of `FORMATS`. `.npz` has `x`, (B, *x_shape), and `y`, (n, B, *y_shape); `.csv` a
            row for each draw, with the number of its condition, the condition itself where it has
            a name, the number of the draw, and a column for each number of y.
        condition: What x and y are.
        x: Conditions, (B, *x_shape).
        y: Draws, (n, B, *y_shape).
    """
    if suffix == ".npz":
        file = BytesIO()
        np.savez(file, x=x.cpu().numpy(), y=y.cpu().numpy())
        return file.getvalue()
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    target, names = condition.sizes.y, condition.names(x)
    writer.writerow(["condition", *(["x"] if names else []), "draw", *target.columns()])
    for index in range(y.shape[1]):
        for draw in range(y.shape[0]):
            named = [names[index]] if names else []
            writer.writerow([index, *named, draw, *target.row(y[draw, index])])
    return text.getvalue().encode()
