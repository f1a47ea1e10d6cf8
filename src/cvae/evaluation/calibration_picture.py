"""The picture of the calibration: coverage with its band, and rank histograms."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from cvae.evaluation.diagnostics.calibration import band
from cvae.evaluation.figures import DPI

_BINS = 10
_LEVEL = 0.95
_NAMES = {"distance": "distance from a reference point (TARP)", "log p(y|x)": "log p(y|x)"}


def calibration(places: Mapping[str, Tensor]) -> Figure:
    """Return the coverage of held-out targets, and where they rank among draws.

    Args:
        places: Ranks by what they are of, (N, J) each, as `Examination.places`.
    """
    figure = Figure(figsize=(13.5, 4.4), dpi=DPI, layout="constrained")
    first, second, third = figure.subplots(1, 3)
    _coverage(first, {name: places[name][:, 0].numpy() for name in _NAMES})
    numbers = places["numbers"].numpy()
    _pooled(second, numbers)
    drawn = _heat(third, numbers)
    figure.colorbar(drawn, ax=third, label="share of pairs, relative to uniform")
    return figure


def _coverage(axes: Axes, places: Mapping[str, np.ndarray]) -> None:
    levels = np.linspace(0, 1, 201)
    half = band(len(next(iter(places.values()))), _LEVEL)
    axes.fill_between(
        levels, levels - half, levels + half, color="0.88", lw=0,
        label=f"{_LEVEL:.0%} band, of a true model",
    )  # fmt: skip
    axes.plot(levels, levels, color="0.55", lw=0.8)
    for name, u in places.items():
        share = np.searchsorted(np.sort(u), levels, side="right") / len(u)
        axes.plot(levels, share, lw=1.6, label=_NAMES[name])
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("share of draws that are below y")
    axes.set_ylabel("share of test pairs")
    axes.set_title("coverage")
    axes.legend(loc="upper left", fontsize=8, framealpha=0.8, edgecolor="white")


def _pooled(axes: Axes, places: np.ndarray) -> None:
    shares = np.histogram(places, _BINS, (0, 1))[0] / places.size * _BINS
    # As if the statistics of a pair were one and the same: the widest that the band can be.
    low, high = stats.binom.interval(1 - (1 - _LEVEL) / _BINS, len(places), 1 / _BINS)
    axes.axhspan(
        low * _BINS / len(places), high * _BINS / len(places), color="0.88", lw=0, zorder=0
    )
    axes.bar((np.arange(_BINS) + 0.5) / _BINS, shares, 0.92 / _BINS)
    axes.axhline(1, color="0.55", lw=0.8)
    axes.set(xlim=(0, 1), ylim=(0, max(2.0, 1.05 * shares.max())))
    axes.set_xlabel("rank of y among its draws")
    axes.set_ylabel("share of pairs, relative to uniform")
    axes.set_title("all ranks: ∪ too narrow, ∩ too wide, slope: shifted", fontsize=10)


def _heat(axes: Axes, places: np.ndarray):  # type: ignore[no-untyped-def]
    rows = [np.histogram(column, _BINS, (0, 1))[0] / len(column) * _BINS for column in places.T]
    drawn = axes.imshow(
        np.array(rows), cmap="RdBu_r", vmin=0, vmax=2, aspect="auto", extent=(0, 1, len(rows), 0)
    )
    axes.set_xlabel("rank of y among its draws")
    axes.set_ylabel("number of y, then random projections")
    axes.set_title("ranks of each")
    return drawn
