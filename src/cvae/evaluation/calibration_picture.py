"""The picture of the calibration: coverage with its band, and rank histograms."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from cvae.evaluation.diagnostics.calibration import band
from cvae.evaluation.figures import DPI

_BINS = 10
_LEVEL = 0.95
_LETTERS = 14
_NAMES = {"distance": "distance from a reference point (TARP)", "log p(y|x)": "log p(y|x)"}


def calibration(places: Mapping[str, Tensor], names: Sequence[str] = ()) -> Figure:
    """Return the coverage of held-out targets, and where they rank among draws.

    Args:
        places: Ranks by what they are of, (N, J) each, as `Examination.places`.
        names: Of the first numbers; what has none is a random projection.
    """
    figure = Figure(figsize=(14, 4.8), dpi=DPI, layout="constrained")
    first, second, third = figure.subplots(1, 3)
    _coverage(first, {name: places[name][:, 0].numpy() for name in _NAMES})
    numbers = places["numbers"].numpy()
    _pooled(second, numbers)
    drawn = _heat(third, numbers, names)
    figure.colorbar(drawn, ax=third, label="share of pairs, relative to uniform")
    return figure


def _coverage(axes: Axes, places: Mapping[str, np.ndarray]) -> None:
    levels = np.linspace(0, 1, 201)
    half = band(len(next(iter(places.values()))), _LEVEL)
    axes.fill_between(
        levels, levels - half, levels + half, color="0.88", lw=0,
        label=f"a true model, in {_LEVEL:.0%} of cases",
    )  # fmt: skip
    axes.plot(levels, levels, color="0.55", lw=0.8)
    for name, u in places.items():
        share = np.searchsorted(np.sort(u), levels, side="right") / len(u)
        axes.plot(levels, share, lw=1.6, label=_NAMES[name])
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("share of draws that are below y")
    axes.set_ylabel("share of test pairs")
    axes.set_title("coverage")
    _legend(axes, 2)


def _pooled(axes: Axes, places: np.ndarray) -> None:
    each = np.array([np.histogram(pair, _BINS, (0, 1))[0] for pair in places])
    shares, half = _shares(each / places.shape[1])
    axes.axhspan(
        1 - half, 1 + half, color="0.88", lw=0, zorder=0,
        label=f"a bar of a true model, in {_LEVEL:.0%} of cases",
    )  # fmt: skip
    axes.bar((np.arange(_BINS) + 0.5) / _BINS, shares, 0.92 / _BINS)
    axes.axhline(1, color="0.55", lw=0.8)
    axes.set(xlim=(0, 1), ylim=(0, max(2.0, 1.05 * shares.max())))
    axes.set_xlabel("rank of y among its draws")
    axes.set_ylabel("share of pairs, relative to uniform")
    axes.set_title("all ranks: ∪ too narrow, ∩ too wide, slope: shifted", fontsize=10)
    _legend(axes, 1)


def _shares(each: np.ndarray) -> tuple[np.ndarray, float]:
    """Return each bar's height, (bins,), and by how much one of a true model is off by chance.

    The ranks of a pair depend on each other, so that the chance is that of means over pairs. It is
    of one bar: the band of all of them at once would hide a U that is plain to see.

    Args:
        each: Shares of the ranks of each pair, (N, bins).
    """
    error = np.sqrt(each.var(0).mean() / len(each))
    return each.mean(0) * _BINS, float(stats.norm.ppf((1 + _LEVEL) / 2) * error * _BINS)


def _legend(axes: Axes, columns: int) -> None:
    """Write what is what below the axes, where it covers nothing."""
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, frameon=False, ncols=columns
    )


def _heat(axes: Axes, places: np.ndarray, names: Sequence[str]):  # type: ignore[no-untyped-def]
    rows = [np.histogram(column, _BINS, (0, 1))[0] / len(column) * _BINS for column in places.T]
    drawn = axes.imshow(
        np.array(rows), cmap="RdBu_r", vmin=0, vmax=2, aspect="auto", extent=(0, 1, len(rows), 0)
    )
    axes.set_xlabel("rank of y among its draws")
    own = len(names) or len(rows)
    words = [*(names or map(str, range(own))), *["random"] * (len(rows) - own)]
    short = [word if len(word) <= _LETTERS else f"{word[: _LETTERS - 1]}…" for word in words]
    axes.set_yticks(np.arange(len(rows)) + 0.5, short, fontsize=7)
    axes.tick_params("y", length=0)
    axes.set_ylabel("number of y" + ("; below the line, random projections" * (own < len(rows))))
    if own < len(rows):
        axes.axhline(own, color="black", lw=1.2)
    axes.set_title("ranks of each")
    return drawn
