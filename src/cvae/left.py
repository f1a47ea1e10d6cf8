"""What is left of work that takes long."""

import sys
from contextlib import suppress
from time import monotonic

from cvae.lines import wrapped

_SILENCE = 10.0
"""Seconds of work before the first line; the next ones come after twice as long each."""


def say_first(text: str) -> None:
    """Print what a command is going to do before torch is loaded; nothing where it is already.

    Loading torch and Lightning takes seconds, in which a user would see nothing.
    """
    if "torch" not in sys.modules:
        with suppress(BrokenPipeError):  # nobody reads it, and the work is whole
            print(wrapped(text), flush=True)


def duration(seconds: float) -> str:
    """Return a time as a person says it: "40 s", "12 min", "3 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Left:
    """Says on standard error how much of some work is left, once it has taken ten seconds.

    Args:
        what: What is counted, such as "test targets".
        total: How many there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.count = what, total, 0.0
        self.started, self.due = monotonic(), _SILENCE

    def done(self, count: float = 1) -> None:
        """Count what has been done, and say what is left if it is time to."""
        self.count += count
        passed = monotonic() - self.started
        if passed < self.due or self.count >= self.total:
            return
        self.due = 2 * passed
        left = passed * (self.total - self.count) / self.count
        print(
            f"{self.count:.0f} of {self.total} {self.what} after {passed:.0f} s, "
            f"about {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
