"""A run, asked from Python."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cvae.evaluation.figures import png
from cvae.model.cvae import CVAE
from cvae.store.checkpoint import load
from cvae.store.events import curve
from cvae.store.results import VALIDATION, differing, find_runs
from cvae.store.run_folder import RunFolder


class Table(list[dict[str, Any]]):
    """Rows by name, which a notebook shows as a table; `pandas.DataFrame(table)` takes them."""

    @property
    def columns(self) -> list[str]:
        """The names, in the order in which they come."""
        return list(dict.fromkeys(name for row in self for name in row))

    def _repr_html_(self) -> str:
        def cells(words: Sequence[Any], tag: str) -> str:
            return "".join(f"<{tag}>{escape(_short(word))}</{tag}>" for word in words)

        rows = [cells([row.get(name) for name in self.columns], "td") for row in self]
        return (
            "<table><tr>" + "</tr><tr>".join([cells(self.columns, "th"), *rows]) + "</tr></table>"
        )


class _Picture(Figure):
    def _repr_png_(self) -> bytes:  # which a notebook asks for, with or without pyplot
        return png(self)


class Run:
    """The folder of a finished run.

    Args:
        folder: The folder.
        allow: Classes of your own that its checkpoint may name, as for `cvae.load`.

    Raises:
        InputError: When something is asked for that is missing or damaged.
    """

    def __init__(self, folder: str | Path, allow: Sequence[str] = ()) -> None:
        self.folder, self.allow = Path(folder), tuple(allow)

    @cached_property
    def model(self) -> CVAE:
        """The best model, on the CPU and in evaluation mode."""
        return load(self.folder, self.allow)

    @property
    def metrics(self) -> dict[str, float]:
        """All figures of the run by name, those of a later `cvae-evaluate` as well."""
        return RunFolder(self.folder).read_metrics()

    @property
    def history(self) -> Table:
        """The curves of training and validation, a row for each step that they have a point at."""
        rows: dict[int, dict[str, Any]] = {}
        terms = ("loss", "elbo", self.model.generator.likelihood.log_prob_is, "kl")
        names = [f"{split}/{term}" for term in terms for split in ("train", "val")]
        for name in (*names, "train/beta", "train/lr"):
            for step, value in curve(self.folder, name).items():
                rows.setdefault(step, {"step": step})[name] = value
        return Table(rows[step] for step in sorted(rows))

    def plot(self) -> Figure:
        """Return a picture of the ELBO of training and validation, which a notebook shows."""
        figure = _Picture(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        for split in ("train", "val"):
            points = curve(self.folder, f"{split}/elbo")
            axes.plot(list(points), list(points.values()), label=split)
        axes.set(xlabel="step", ylabel="ELBO, nats per target")
        axes.legend()
        return figure

    def __repr__(self) -> str:
        known = ("val/elbo", "test/elbo", "test/nll", "epochs", "seconds")
        found = [f"{name} {_short(self.metrics[name])}" for name in known if name in self.metrics]
        return f"Run '{self.folder}': {', '.join(found) or 'not finished'}"


def runs(folder: str | Path) -> Table:
    """Return all finished runs in a folder, at any depth: what tells them apart, and their metrics.

    The best validation ELBO comes first; compare runs of the same data and likelihood alone.

    Raises:
        InputError: If there is none, or a file of one is damaged.
    """
    found = [run for run in find_runs(Path(folder)) if run.metrics]
    names = differing(found)
    rows = [
        {
            "run": run.name,
            **{name: run.settings.get(name) for name in names},
            **{name: run.metrics[name] for name in (VALIDATION,) if name in run.metrics},
            **run.metrics,
        }
        for run in found
    ]
    return Table(sorted(rows, key=_rank))


def _rank(row: Mapping[str, Any]) -> float:
    value: float = row.get(VALIDATION, -math.inf)
    return -value


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
