"""The cost of a sweep's job beyond its training: composition, checks, folders, files, pictures.

Runs sweeps of short jobs in this process, where imports count once, and subtracts the time that
Lightning spends in `fit` and `test`. Usage: python experiments/benchmarks/sweep_cost.py
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from lightning import Trainer

from cvae.commands.main import train as main

JOBS = 12
ROUNDS = 5


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return the function, which now appends the seconds of each call to a list."""

    def call(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent.append(perf_counter() - started)

    return call


def sweep(jobs: int) -> float:
    """Run a sweep; return its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["cvae-train", "-m", f"seed=range({jobs})", "trainer.max_epochs=5"]
        sys.argv.append(f"hydra.sweep.dir={folder}")
        started = perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            main()
        return perf_counter() - started


def benchmark() -> None:
    """Measure, and print a table."""
    spent: list[float] = []
    Trainer.fit = timed(Trainer.fit, spent)  # type: ignore[method-assign]
    Trainer.test = timed(Trainer.test, spent)  # type: ignore[method-assign]
    sweep(2)  # whatever is slow only once
    rows = []
    for _ in range(ROUNDS):
        spent.clear()
        whole = sweep(JOBS)
        rows.append((whole / JOBS, sum(spent) / JOBS, (whole - sum(spent)) / JOBS))
    print(f"seconds per job, median (least to most) of {ROUNDS} sweeps of {JOBS} jobs")
    names = ("whole", "fit and test", "all else")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name:14} {median(column):.3f} ({min(column):.3f} to {max(column):.3f})")


if __name__ == "__main__":
    benchmark()
