"""Charts of many runs in numbers: what a page draws, and no drawing."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

_FEW = 10
"""Points of a curve that are all shown."""
_MOST = 250
"""Points of a curve that a page holds."""
_BEYOND = 3
"""Times the distance of the best to the median at which all is as bad as the worst."""


class Scale(NamedTuple):
    """The one scale of colours of a page's part, from the worst to the best value."""

    worst: float
    best: float

    def share(self, value: float) -> float | None:
        """Return how near a value is to the best: 0 of the worst and beyond, 1 of the best.

        Where both are the same in the two digits that are shown, all are the best.
        """
        if not math.isfinite(value):
            return None
        if f"{self.worst:.2f}" == f"{self.best:.2f}":
            return 1.0
        return min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))


def scale(values: Sequence[float], sign: int) -> Scale:
    """Return the scale of these values; a few that are far off leave the others their colours.

    Args:
        values: What the runs have reached; those that are not finite have no colour.
        sign: 1 if less is better, else -1.
    """
    costs = sorted(sign * value for value in values if math.isfinite(value))
    if not costs:
        return Scale(math.nan, math.nan)
    best, median, worst = costs[0], costs[len(costs) // 2], costs[-1]
    if median > best:
        worst = min(worst, best + _BEYOND * (median - best))
    return Scale(sign * worst, sign * best)


def window(curves: Sequence[Mapping[int, float]]) -> tuple[float, float] | None:
    """Return the part of the values that tells curves apart, or None for all of it.

    What happens in the first steps would leave no room for it.
    """
    late = sorted(v for curve in curves for v in list(curve.values())[1:] if math.isfinite(v))
    if len(late) <= _FEW * len(curves) or not (low := late[len(late) // 4]) < (high := late[-1]):
        return None
    return low - (high - low), high + 0.1 * (high - low)


def thinned(curve: Mapping[int, float]) -> dict[int, float]:
    """Return at most 250 points of a curve, evenly chosen, the last and the highest among them."""
    steps = list(curve)
    if len(steps) <= _MOST:
        return dict(curve)
    bounds = [round(i * len(steps) / _MOST) for i in range(_MOST + 1)]
    kept = [steps[end - 1] for _, end in pairwise(bounds)]
    finite = [step for step in steps if math.isfinite(curve[step])]
    kept += [max(finite, key=lambda step: curve[step])] if finite else []
    return {step: curve[step] for step in sorted({*kept})}


class Cell(NamedTuple):
    """A cell of a heat map: the mean of some rows, by their numbers."""

    mean: float
    rows: list[int]


class HeatMap(NamedTuple):
    """The values of two settings, in order, and a cell, or None, for each two of them."""

    down: list[str | float]
    across: list[str | float]
    cells: list[list[Cell | None]]


def heat_map(
    settings: Sequence[tuple[str | float, str | float]], values: Sequence[float]
) -> HeatMap:
    """Return a table of values over two settings, each the mean over all others.

    Args:
        settings: Of each of N rows, both.
        values: Of each of N rows, what it has reached.
    """
    found: dict[tuple[str | float, str | float], list[int]] = {}
    for number, place in enumerate(settings):
        found.setdefault(place, []).append(number)
    down, across = (_ordered({place[side] for place in settings}) for side in (0, 1))

    def cell(place: tuple[str | float, str | float]) -> Cell | None:
        rows = found.get(place)
        return None if rows is None else Cell(sum(values[row] for row in rows) / len(rows), rows)

    return HeatMap(down, across, [[cell((d, a)) for a in across] for d in down])


def _ordered(values: set[str | float]) -> list[str | float]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))
