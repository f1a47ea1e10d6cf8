"""How far a sweep is, whoever runs its jobs: counted from their folders."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import NamedTuple

from cvae.runs.run_folder import RunFolder

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
        self.ended = Event()
        self.thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        print(self.before, flush=True)
        self.thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join()
        self._look()

    def _watch(self) -> None:
        while not self.ended.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        now = count(self.folders, self.total)
        if now == self.last:
            return
        self.last = now
        ended = self.before.left - now.left
        to_go = ""
        if ended > 0 and now.left:
            to_go = f", {duration((monotonic() - self.started) / ended * now.left)} to go"
        print(f"{now}{to_go}", flush=True)


def duration(seconds: float) -> str:
    """Return a time as a person says it: "40 s", "12 min", "3 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
