"""Pictures of vectors: many draws against many y of the data."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from cvae.evaluation.figures import DPI, Words, colours_of
from cvae.evaluation.pictures.base import Drawn, Panel, Pictures
from cvae.evaluation.pictures.lines import said
from cvae.kinds.table import Column, Table

_SHOWN = 5
"""Columns of a corner plot; the first ones are shown."""
_FEW = 10
"""Conditions that have a colour each."""
_PANELS, _ACROSS = 12, 4
"""Columns of a table that are shown, the first ones, and how many beside each other."""
_VALUES, _LETTERS, _TURNED = 20, 14, 5
"""Values of a category that are shown, the letters of each, and how many fit side by side."""
_OVERLAID, _LISTED = 3, 12
"""Histograms that can be read over each other, and lines that a legend names."""
_BINS, _TICKS = 40, 3
"""Bins of a histogram at most, and ticks whose labels have room below a panel."""
_DATA, _DRAWN = "0.65", "tab:blue"


class VectorPictures(Pictures):
    """A corner plot: each column's histogram, and each pair of columns as points.

    Draws for the conditions of many test items lie over the y of these items; a few conditions that
    were asked for have a colour each.
    """

    conditions = 1000
    draws = 1
    mean = False
    beside_data = True

    def samples(self, drawn: Drawn) -> Figure:
        clouds = _clouds(drawn)
        size = min(self.target.shape[0], _SHOWN)
        figure = Figure((1.9 * size + 2.2, 1.9 * size + 0.6), dpi=DPI, layout="constrained")
        grid = figure.subplots(size, size, squeeze=False)
        names = self.target.columns()
        for r in range(size):
            for c in range(size):
                axes = grid[r, c]
                if c > r:
                    axes.set_visible(False)
                elif c == r:
                    self._histogram(axes, [(rows[:, r], colour) for rows, colour, _ in clouds])
                else:
                    for rows, colour, _ in clouds:
                        axes.scatter(rows[:, c], rows[:, r], s=5, lw=0, alpha=0.5, color=colour)
                axes.tick_params(labelsize=7)
                axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
                axes.spines[["top", "right"]].set_visible(False)
                if r == size - 1:
                    axes.set_xlabel(names[c], fontsize=9)
                if c == 0 and r > 0:
                    axes.set_ylabel(names[r], fontsize=9)
        handles = [
            axes.scatter([], [], s=16, color=colour, label=label) for _, colour, label in clouds
        ]
        corner = grid[0, 1] if size > 1 else None
        self._finish(figure, drawn, handles, size, corner)
        return figure

    def _finish(
        self,
        figure: Figure,
        drawn: Drawn,
        handles: list[Any],
        shown: int,
        corner: Axes | None = None,
    ) -> None:
        """Add the title, and the legend, which says how many columns are not shown.

        It is in the free corner of a corner plot, next to what it explains, if that is given.
        """
        more = self.target.shape[0] - shown
        title = f"and {more} more columns" if more else None
        if corner is None:
            _legend(figure, handles, title)
        else:
            corner.set_visible(True)
            corner.set_axis_off()
            corner.legend(handles=handles, loc="upper left", frameon=False, fontsize=8, title=title)
        said(figure, Words(drawn.words.title))

    def cells(self, panel: Panel) -> Figure:
        """Return a panel for each number of y, with a line over the columns for each row.

        The numbers have units of their own, and cannot share a scale.
        """
        figure, panels = _panels(self._names)
        colours, values = colours_of(len(panel.values)), panel.values.cpu().numpy()
        for index, axes in enumerate(panels):
            for row, colour in zip(values, colours, strict=True):
                axes.plot(row[:, index], color=colour, lw=1.2, **self._mark(axes, index))
            ticks = list(range(0, len(panel.columns), max(1, len(panel.columns) // 4)))
            axes.set_xticks(ticks, [panel.columns[tick] for tick in ticks])
        words = panel.words
        handles = [Patch(color=c, label=r) for r, c in zip(panel.rows, colours, strict=False)]
        if handles:
            _legend(figure, handles[:_LISTED], words.down or None)
        said(figure, words._replace(down=""))
        return figure

    def reconstructions(self, drawn: Drawn) -> Figure:
        """Return a panel for each number of y: reconstructions over targets."""
        assert drawn.truth is not None
        y, found = drawn.truth.cpu().numpy(), drawn.draws[0].cpu().numpy()
        figure, panels = _panels(self._names)
        for index, axes in enumerate(panels):
            known = np.isfinite(y[:, index]) & np.isfinite(found[:, index])
            pairs = y[known, index], found[known, index]
            axes.scatter(*pairs, s=8, lw=0, alpha=0.5, color=_DRAWN)
            if len(pairs[0]):
                ends = [min(map(np.min, pairs)), max(map(np.max, pairs))]
                axes.plot(ends, ends, color=_DATA, lw=1)
        said(figure, drawn.words._replace(across="y", down="reconstruction"))
        return figure

    @property
    def _names(self) -> list[str]:
        return self.target.columns()[:_PANELS]

    def _mark(self, axes: Axes, index: int) -> dict[str, Any]:
        """Return how a number is drawn along a walk."""
        return {"marker": ".", "ls": "-"}

    def _histogram(self, axes: Axes, columns: list[tuple[Any, str]]) -> None:
        if len(columns) > _OVERLAID:
            _ranges(axes, columns)
            return
        joined = np.concatenate([column for column, _ in columns])
        joined = joined[np.isfinite(joined)]
        bins = self._bins(joined)
        for column, colour in columns:
            shown = column[np.isfinite(column)]
            axes.hist(shown, bins, density=True, color=colour, alpha=0.55)
        axes.set_yticks([])

    def _bins(self, values: Any) -> Any:
        largest = np.abs(values).max(initial=0)
        if len(values) and np.ptp(values) <= 1e-9 * largest:  # too little for 40 bins to differ
            return values.mean() + np.array([-1, 1]) * max(1e-6 * largest, 1e-6)
        if not len(values):
            return np.histogram_bin_edges(values, 1)
        # As wide as so many values can fill (Freedman & Diaconis 1981).
        width = 2 * np.subtract(*np.percentile(values, [75, 25])) / len(values) ** (1 / 3)
        count = np.ptp(values) / width if width > 0 else _BINS
        return np.histogram_bin_edges(values, int(np.clip(np.ceil(count), 5, _BINS)))


class CountPictures(VectorPictures):
    """A corner plot with a bar for each count, or for as many as there is room for."""

    def _bins(self, values: Any) -> Any:
        most = int(values.max(initial=0))
        step = max(1, most // 40)
        return np.arange(-0.5, most + step, step)


class TablePictures(VectorPictures):
    """A panel for each column: a histogram of numbers, or a bar for each value."""

    target: Table

    def samples(self, drawn: Drawn) -> Figure:
        clouds = _clouds(drawn)
        figure, panels = _panels(self._names)
        for index, (axes, column) in enumerate(zip(panels, self.target.described, strict=False)):
            parts = [(numbers[:, index], colour) for numbers, colour, _ in clouds]
            if column.kind in ("category", "binary"):
                self._bars(axes, column, parts)
            else:
                self._histogram(axes, parts)
                axes.xaxis.set_major_locator(MaxNLocator(_TICKS + 1))
        handles = [Patch(color=colour, label=label) for _, colour, label in clouds]
        self._finish(figure, drawn, handles, len(panels))
        return figure

    def _mark(self, axes: Axes, index: int) -> dict[str, Any]:
        column = self.target.described[index]
        if column.kind not in ("category", "binary"):
            return super()._mark(axes, index)
        names = (column.values or ("0", "1"))[:_VALUES]
        axes.set_yticks(range(len(names)), [name[:_LETTERS] for name in names])
        axes.set_ylim(-0.2, len(names) - 0.8)
        # The mean of a binary column is a probability; that of a category is the likeliest one.
        return {"marker": "o", "ls": "-" if column.kind == "binary" else "", "alpha": 0.6}

    def _bars(self, axes: Axes, column: Column, parts: list[tuple[Any, str]]) -> None:
        names = (column.values or ("0", "1"))[:_VALUES]
        if len(parts) > _OVERLAID:
            self._dots(axes, len(names), parts)
        else:
            width = 0.8 / len(parts)
            for place, (numbers, colour) in enumerate(parts):
                left = np.arange(len(names)) + (place + 0.5) * width - 0.4
                axes.bar(left, _shares(numbers, len(names)), width, color=colour)
        axes.set_xticks(range(len(names)), [name[:_LETTERS] for name in names])
        if len(names) > _TURNED:
            axes.tick_params("x", rotation=90)

    def _dots(self, axes: Axes, count: int, parts: list[tuple[Any, str]]) -> None:
        """Draw a row for each condition, of a dot for each value, as large as its share."""
        for place, (numbers, colour) in enumerate(parts):
            size = 90 * _shares(numbers, count)
            axes.scatter(range(count), [-place] * count, s=size, color=colour, lw=0)
        axes.set_yticks([])
        axes.set_xlim(-0.5, count - 0.5)


def _panels(names: list[str]) -> tuple[Figure, list[Axes]]:
    """Return a figure and a panel of it for each name."""
    across = min(len(names), _ACROSS)
    rows = -(-len(names) // across)
    figure = Figure((2.9 * across + 1.6, 2.2 * rows + 0.6), dpi=DPI, layout="constrained")
    grid = list(figure.subplots(rows, across, squeeze=False).flatten())
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    return figure, grid[: len(names)]


def _legend(figure: Figure, handles: list[Any], title: str | None) -> None:
    figure.legend(
        handles=handles, loc="outside right upper", frameon=False, fontsize=8, title=title
    )


def _ranges(axes: Axes, columns: list[tuple[Any, str]]) -> None:
    """Draw a row for each condition: from 5 to 95 %, thick from 25 to 75 %, and the median."""
    for place, (column, colour) in enumerate(columns):
        shown = column[np.isfinite(column)]
        if not len(shown):
            continue
        low, quarter, middle, three, high = np.quantile(shown, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.hlines(-place, low, high, color=colour, lw=1)
        axes.hlines(-place, quarter, three, color=colour, lw=4)
        axes.plot(middle, -place, marker="|", ms=8, color="black")
    axes.set_yticks([])


def _shares(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return the share of each of the first values, (count,), among those that are there."""
    known = numbers[np.isfinite(numbers)].round().astype(int)
    return np.bincount(known, minlength=count)[:count] / max(1, len(known))


def _clouds(drawn: Drawn) -> list[tuple[Any, str, str]]:
    """Return rows of numbers, each with its colour and its name."""
    draws = drawn.draws.cpu().numpy()
    if drawn.truth is not None:
        truth: Tensor = drawn.truth
        every = draws.reshape(-1, draws.shape[-1])
        return [(truth.cpu().numpy(), _DATA, "data"), (every, _DRAWN, "drawn")]
    if drawn.names and draws.shape[1] <= _FEW:
        colours = colours_of(draws.shape[1])
        return [
            (draws[:, index], colour, name)
            for index, (colour, name) in enumerate(zip(colours, drawn.names, strict=True))
        ]
    return [(draws.reshape(-1, draws.shape[-1]), _DRAWN, "drawn")]
