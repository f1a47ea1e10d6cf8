"""Charts of many runs: names and numbers to a figure, and nothing else."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

_COLOURS = colormaps["viridis"]
_NAMES = 10
_SHOWN_NAMES = 12
_LONGEST = 60
"""Characters of a word that is shown."""
_FEW = 10
"""Points of a curve that are all shown."""

_AS_WRITTEN: Any = {"text.parse_math": False}
"""A name with dollar signs is no formula."""


@rc_context(_AS_WRITTEN)
def curves(lines: Mapping[str, Mapping[int, float]], label: str) -> Figure:
    """Return curves over each other, step to value, the first one in the darkest colour."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, points) in enumerate(lines.items()):
        colour = _COLOURS(0.95 * index / max(1, len(lines) - 1))
        shown = name if index < _SHOWN_NAMES else "_"  # a name that matplotlib leaves out
        marker = "o" if len(points) == 1 else ""  # there is no line through one point
        axes.plot(
            list(points), list(points.values()), color=colour, lw=1.3, label=shown, marker=marker
        )
    axes.set_xlabel("training steps")
    axes.set_ylabel(label)
    # What happens in the first steps would leave no room for what tells the runs apart.
    values = (value for points in lines.values() for value in list(points.values())[1:])
    late = sorted(filter(math.isfinite, values))
    if len(late) > _FEW * len(lines) and (low := late[len(late) // 4]) < (high := late[-1]):
        axes.set_ylim(low - (high - low), high + 0.1 * (high - low))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


@rc_context(_AS_WRITTEN)
def heat_map(
    values: Sequence[Sequence[float]],
    rows: Mapping[str, Sequence[str]],
    columns: Mapping[str, Sequence[str]],
    label: str,
) -> Figure:
    """Return a table of numbers as colours, each number in its cell; NaN is left empty.

    Args:
        values: R rows of C numbers.
        rows: The name of what differs between rows, and its R values.
        columns: The name of what differs between columns, and its C values.
        label: What the numbers are.
    """
    ((row_label, row_names),), ((column_label, column_names),) = rows.items(), columns.items()
    size = (2.4 + 0.95 * len(column_names), 1.5 + 0.55 * len(row_names))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap=_COLOURS, aspect="auto")
    axes.set_xticks(range(len(column_names)), column_names)
    axes.set_yticks(range(len(row_names)), row_names)
    axes.set_xlabel(column_label)
    axes.set_ylabel(row_label)
    axes.tick_params(length=0)
    finite = [value for row in values for value in row if math.isfinite(value)]
    middle = min(finite) + 0.6 * (max(finite) - min(finite)) if finite else 0.0
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            if not math.isnan(value):
                colour = "white" if value < middle else "black"
                axes.text(c, r, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9)
    figure.colorbar(image, label=label)
    return figure


@rc_context(_AS_WRITTEN)
def parallel_coordinates(
    lines: Sequence[Mapping[str, str | float]], axes_names: Sequence[str]
) -> Figure:
    """Return a line for each run through an axis for each setting, coloured by the last axis.

    Words, and numbers of few values, are spaced evenly along their axis; the last axis is a number.
    """
    figure = Figure(figsize=(1.6 * len(axes_names) + 1.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    heights = [_heights([line[name] for line in lines]) for name in axes_names[:-1]]
    last = [float(line[axes_names[-1]]) for line in lines]
    finite = [value for value in last if math.isfinite(value)]
    scale = Normalize(min(finite), max(finite))
    for index, value in enumerate(last):
        if math.isfinite(value):
            points = [height[index][0] for height in heights] + [float(scale(value))]
            axes.plot(points, color=_COLOURS(0.95 * scale(value)), lw=1.4, alpha=0.8)
    for place, height in enumerate(heights):
        axes.axvline(place, color="0.6", lw=0.8)
        for y, name in set(height):
            axes.annotate(
                name, (place, y), (4, 0), textcoords="offset points", fontsize=8, va="center",
                bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.8},
            )  # fmt: skip
    end = len(heights)
    axes.axvline(end, color="0.6", lw=0.8)
    for share in (0.0, 0.5, 1.0):
        axes.annotate(
            f"{scale.inverse(share):.2f}", (end, share), (6, 0), textcoords="offset points",
            fontsize=8, va="center",
        )  # fmt: skip
    axes.set_xticks(range(len(axes_names)), axes_names)
    axes.set_yticks([])
    axes.margins(x=0.12)
    axes.spines[:].set_visible(False)
    return figure


def _heights(values: Sequence[str | float]) -> list[tuple[float, str]]:
    """Return where each value stands on an axis from 0 to 1, with its name where there is room."""
    order = sorted(set(values), key=lambda v: (isinstance(v, str), v))
    step = 1 / max(1, len(order) - 1)
    every = math.ceil(len(order) / _NAMES)
    names = {value: short(value) if place % every == 0 else "" for place, value in enumerate(order)}
    return [(order.index(value) * step, names[value]) for value in values]


def short(value: object) -> str:
    """Return a value in a few characters: numbers with four digits, words up to sixty."""
    if isinstance(value, float):
        return f"{value:.4g}"
    words = str(value)
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


@rc_context(_AS_WRITTEN)
def svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file, the same bytes for the same figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
