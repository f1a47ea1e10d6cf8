"""A run, asked from Python."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from html import escape
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from cvae.api.settings import composed, plain_errors, written_value
from cvae.errors import InputError
from cvae.evaluation.figures import png
from cvae.evaluation.verdict import mark
from cvae.model.cvae import CVAE
from cvae.store.checkpoint import load
from cvae.store.events import curve
from cvae.store.results import VALIDATION, differing, find_runs
from cvae.store.run_folder import RunFolder
from cvae.training.evaluate import evaluate
from cvae.training.quiet import without_lightning_s_talk

_WIDTH = 96
"""Letters of a line of a table."""
_ROWS = 20
"""Rows beyond which a table is shown by its first and last ones."""
_LETTERS = 32
"""Letters beyond which a word in a table is cut."""


class Table(list[dict[str, Any]]):
    """Rows by name; printed, or in a notebook, the columns that matter.

    Every column is there by its key, `table[0]["test/kl"]`, and in `pandas.DataFrame(table)`.

    Args:
        rows: The rows.
        first: The names of the columns that matter, the most important first; as many of them are
            shown as fit into a line. Without any, all of them matter.
    """

    def __init__(self, rows: Iterable[dict[str, Any]] = (), first: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self.first = first

    @property
    def columns(self) -> list[str]:
        """The names, in the order in which they come."""
        return list(dict.fromkeys(name for row in self for name in row))

    def _shown(self) -> tuple[list[list[str]], str]:
        """Return the rows that are shown, names first, and what is said of the other columns."""
        every = self.columns
        cells = {
            name: [_cut(word) for word in (name, *(_short(row.get(name)) for row in self))]
            for name in every
        }
        left, kept = _WIDTH, []
        for name in self.first or every:
            if name in every and (left := left - max(map(len, cells[name])) - 2) >= -2:
                kept.append(name)
        rows = [list(row) for row in zip(*(cells[n] for n in every if n in kept), strict=True)]
        if len(rows) > _ROWS:
            rows = [*rows[: _ROWS // 2], ["…"] * len(kept), *rows[-_ROWS // 2 :]]
        more = len(every) - len(kept)
        return rows, f"{more} more columns; pandas.DataFrame(table) has all" if more else ""

    def __repr__(self) -> str:
        rows, more = self._shown()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *([more] if more else [])])

    def _repr_html_(self) -> str:
        rows, more = self._shown()
        lines = [
            "".join(f"<{tag}>{escape(word)}</{tag}>" for word in row)
            for row, tag in zip(rows, chain(["th"], repeat("td")), strict=False)
        ]
        table = "<table><tr>" + "</tr><tr>".join(lines) + "</tr></table>"
        return table + (f"<p>{more}</p>" if more else "")


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
    def _files(self) -> RunFolder:
        files = RunFolder(self.folder.expanduser())
        if not (files.checkpoints.is_dir() or files.overrides.is_file()):
            raise InputError(
                f"'{self.folder}' is not the folder of a run; expected one that cvae.train or "
                "cvae-train has written"
            )
        return files

    @property
    def metrics(self) -> dict[str, float]:
        """All figures of the run by name, those of the last evaluation as well."""
        return self._files.read_metrics()

    @property
    def verdict(self) -> str:
        """What the last evaluation says of the model, a sentence a line, or how to get one."""
        files = self._files
        if "samples" in files.read_metrics() and files.verdict.is_file():
            files.require_own()
            return files.verdict.read_text().strip()
        return "No verdict yet: run.evaluate() measures whether z is used and p(y|x) is right."

    def evaluate(
        self, samples: int = 1000, images: int = 1000, progress: bool = False, **settings: Any
    ) -> dict[str, float]:
        """Measure the model on its test split, as `cvae-evaluate` does, and add that to the run.

        Args:
            samples: Draws of z for the importance-sampled NLL of each target.
            images: Prior samples of each class for a judge of images; 0 for no judge.
            progress: Whether to show a progress bar.
            **settings: The other settings of `cvae-evaluate`, such as `seed=1`, `trainer="gpu"`, or
                `data={"path": "new.csv", "split": "all"}`, whose figures are not added.

        Returns:
            The figures by name.

        Raises:
            InputError: If a setting or the run cannot be used; before any work.
        """
        folder = self._files.path
        given = {"checkpoint": folder, "allow": self.allow, "samples": samples, "images": images}
        overrides = [f"{key}={written_value(key, one)}" for key, one in (given | settings).items()]
        with without_lightning_s_talk(), plain_errors(), torch.random.fork_rng([]):
            found = evaluate(composed("evaluate", overrides), show_progress=progress)
            found.write()
        return found.metrics

    @property
    def history(self) -> Table:
        """The curves of training and validation, a row for each step that they have a point at."""
        folder = self._files.path
        rows: dict[int, dict[str, Any]] = {}
        fit = self.model.generator.likelihood.log_prob_is
        terms = ("loss", "elbo", fit, "kl")
        names = [f"{split}/{term}" for term in terms for split in ("train", "val")]
        for name in (*names, "train/beta", "train/lr"):
            for step, value in curve(folder, name).items():
                rows.setdefault(step, {"step": step})[name] = value
        first = ("step", "train/elbo", "val/elbo", f"val/{fit}", "val/kl", "train/beta", "train/lr")
        return Table((rows[step] for step in sorted(rows)), first)

    def plot(self) -> Figure:
        """Return a picture of the ELBO of training and validation, which a notebook shows."""
        folder = self._files.path
        figure = _Picture(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        for split in ("train", "val"):
            points = curve(folder, f"{split}/elbo")
            axes.plot(list(points), list(points.values()), label=split)
        axes.set(xlabel="step", ylabel="ELBO, nats per target")
        axes.legend()
        return figure

    def __repr__(self) -> str:
        known = ("val/elbo", "test/elbo", "test/nll", "epochs", "seconds")
        metrics = RunFolder(self.folder.expanduser()).read_metrics()
        found = [f"{name} {_short(metrics[name])}" for name in known if name in metrics]
        return f"Run '{self.folder}': {', '.join(found) or 'not finished'}"


def runs(folder: str | Path) -> Table:
    """Return all finished runs in a folder, at any depth: what tells them apart, and their metrics.

    The best validation ELBO comes first; compare runs of the same data and likelihood alone. What
    is printed are the ELBO, the NLL, the verdict and what differs, as far as a line has room.

    Raises:
        InputError: If there is none, or a file of one is damaged.
    """
    found = [run for run in find_runs(Path(folder)) if run.metrics]
    names = differing(found)
    rows: list[dict[str, Any]] = [
        {
            "run": run.name,
            **{name: run.settings.get(name) for name in names},
            **{name: run.metrics[name] for name in (VALIDATION,) if name in run.metrics},
            **run.metrics,
            **({"verdict": said} if (said := mark(run.metrics)) else {}),
        }
        for run in found
    ]
    figures = (VALIDATION, "test/elbo", "test/nll", "verdict")
    best_first = sorted(rows, key=lambda row: -row.get(VALIDATION, -math.inf))
    return Table(best_first, ("run", *figures, *names))


def _cut(word: str) -> str:
    return word if len(word) <= _LETTERS else f"{word[: _LETTERS - 1]}…"


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
