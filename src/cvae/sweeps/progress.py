"""How far a sweep is, whoever runs its jobs: counted from their folders."""

import math
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

from cvae.config.command_line import short
from cvae.left import duration
from cvae.lines import wrapped
from cvae.store.results import read_run, score
from cvae.store.run_folder import RunFolder
from cvae.training.progress import number as in_words

_SECONDS = 0.5


class Count(NamedTuple):
    """Jobs of a sweep by what became of them."""

    done: int
    failed: int
    left: int

    def __str__(self) -> str:
        of = self.done + self.failed + self.left
        return f"sweep: {self.done} of {of} done, {self.failed} failed, {self.left} left"


def count(folders: Sequence[Path], total: int) -> Count:
    """Count the jobs whose folders these are, of a sweep of `total` jobs."""
    runs = [RunFolder(folder) for folder in folders]
    done = sum(run.is_finished for run in runs)
    failed = sum(run.failure.is_file() and not run.is_finished for run in runs)
    return Count(done, failed, max(total - done - failed, 0))


class Progress:
    """Prints a line whenever a job has ended, while it is entered.

    A thread looks at the folders, because launchers say nothing before all their jobs have ended.

    Args:
        folders: The jobs' folders; may grow.
        total: The number of jobs that the sweep is going to have.
    """

    def __init__(self, folders: Sequence[Path], total: int) -> None:
        self.folders, self.total = folders, total
        self.started = monotonic()
        self.before = self.last = count(folders, total)
        self.told = {folder for folder in folders if RunFolder(folder).is_finished}
        self.best: dict[tuple[str, ...], tuple[float, int]] = {}
        self.ended = Event()
        self.thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        print(self.before, flush=True)
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()
        self._look()

    def _watch(self) -> None:
        while not self.ended.wait(_SECONDS):
            self._look()

    def _of(self, number: int, folder: Path) -> str:
        """Return the score of a job next to the best so far of its kind, and its folder."""
        run = read_run(folder, folder)
        by, sign = score([run])
        value = run.metrics.get(by, math.nan)
        best = self.best.setdefault(run.kind, (value, number))
        if sign * value < sign * best[0]:
            best = self.best[run.kind] = (value, number)
        return (
            f"job {number}: {by} {in_words(value)}, best of its kind {in_words(best[0])} "
            f"of job {best[1]}; {short(folder)}"
        )

    def _look(self) -> None:
        now = count(self.folders, self.total)
        if now == self.last:
            return
        self.last = now
        for number, folder in enumerate(self.folders):
            if folder not in self.told and RunFolder(folder).is_finished:
                self.told.add(folder)
                print(wrapped(self._of(number, folder)))
        ended = self.before.left - now.left
        to_go = ""
        if ended > 0 and now.left:
            to_go = f", {duration((monotonic() - self.started) / ended * now.left)} to go"
        print(f"{now}{to_go}", flush=True)
