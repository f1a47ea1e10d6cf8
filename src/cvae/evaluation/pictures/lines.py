"""Pictures of sequences: lines over the steps, or paths in the plane."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cvae.evaluation.figures import DPI, Words, colours_of
from cvae.evaluation.pictures.base import Drawn, Panel, Pictures

_COLUMNS, _FEATURES = 5, 4
_ALIKE = 2.5  # how many times wider one number may vary than the other on one scale
"""Panels beside each other, and numbers of a step that are shown."""


class SequencePictures(Pictures):
    """A panel for each condition: several draws as lines, over the truth in black.

    Steps of two numbers are paths in the plane; of others the first few numbers are lines.
    """

    mean = False
    beside_data = True

    def samples(self, drawn: Drawn) -> Figure:
        draws, truth = drawn.draws.cpu(), drawn.truth
        count = min(draws.shape[1], self.conditions)
        rows = math.ceil(count / _COLUMNS)
        across = min(count, _COLUMNS)
        figure = Figure((2.4 * across + 0.4, 2.2 * rows + 0.6), dpi=DPI, layout="constrained")
        grid = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=True).flatten()
        for index, axes in enumerate(grid):
            if index >= count:
                axes.set_visible(False)
                continue
            for one in draws[:, index]:
                self._line(axes, one, 0.9, 0.7)
            if truth is not None:
                self._line(axes, truth[index].cpu(), 1.4, 1.0, "black")
            if drawn.names:
                axes.set_title(f"x: {drawn.names[index]}", fontsize=9)
        if self._is_plane(draws):
            for axes in grid:
                axes.set_aspect("equal", adjustable="box")
        figure.supxlabel(self._axes[0], fontsize=9)
        figure.supylabel(self._axes[1], fontsize=9)
        title = drawn.words.title
        if truth is not None:
            title += f"{'; ' if title else ''}black: the data; colours: {len(draws)} each"
        if title:
            figure.suptitle(title, fontsize=9)
        return figure

    def cells(self, panel: Panel) -> Figure:
        rows, columns = panel.values.shape[:2]
        figure = Figure((1.3 * columns + 0.6, 1.0 * rows + 0.5), dpi=DPI, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for r in range(rows):
            for c in range(columns):
                self._line(grid[r, c], panel.values[r, c].cpu(), 1.0, 1.0)
                grid[r, c].tick_params(labelsize=6)
        for axes, name in zip(grid[0], panel.columns, strict=False):
            axes.set_title(name, fontsize=8)
        for axes, name in zip(grid[:, 0], panel.rows, strict=False):
            axes.set_ylabel(name, fontsize=8)
        said(figure, panel.words)
        return figure

    def _line(
        self, axes: Axes, y: Tensor, width: float, alpha: float, colour: str | None = None
    ) -> None:
        if y.shape[1] == 2:
            axes.plot(y[:, 0], y[:, 1], lw=width, alpha=alpha, color=colour)
            return
        colours = colours_of(_FEATURES)
        for feature in range(min(y.shape[1], _FEATURES)):
            axes.plot(y[:, feature], lw=width, alpha=alpha, color=colour or colours[feature])

    def _is_plane(self, draws: Tensor) -> bool:
        """Return whether both numbers of a step are shown in one scale."""
        if draws.shape[-1] != 2:
            return False
        spread = draws.flatten(0, -2).std(0)
        return bool(spread.max() < _ALIKE * spread.min())

    @property
    def _axes(self) -> tuple[str, str]:
        names = self.target.names
        size = self.target.shape[1]
        if size == 2:
            return (names[0], names[1]) if names else ("y_0", "y_1")
        more = f" (the first {_FEATURES} of {size})" if size > _FEATURES else ""
        return "step", (", ".join(names[:_FEATURES]) or "y") + more


def said(figure: Figure, words: Words) -> None:
    """Write the title and what columns and rows are about a figure."""
    if words.title:
        figure.suptitle(words.title, fontsize=10)
    if words.across:
        figure.supxlabel(words.across, fontsize=9)
    if words.down:
        figure.supylabel(words.down, fontsize=9)
