"""Tasks in child processes, in which everything is imported already: importing takes seconds."""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import torch


class Forked:
    """A task in a child process: as a command of its own, but for what Python does at its start.

    Args:
        task: What the child does; it ends with the status of a `SystemExit`, with 1 at another
            exception, whose traceback it prints, and else with 0.
        out: Descriptor that takes the place of its standard output; None for that of its errors.
    """

    def __init__(self, task: Callable[[], Any], out: int | None = None) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115
        self.status: int | None = None
        self.pid = os.fork()
        if not self.pid:
            err = self._printed.fileno()
            _end(task, err if out is None else out, err)

    def ended(self) -> bool:
        """Whether it has."""
        if self.status is None:
            self._wait(os.WNOHANG)
        return self.status is not None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return its status, -N after a signal N, and what it has printed."""
        if self.status is None:
            self._wait(0)
        assert self.status is not None
        self._printed.seek(0)
        return self.status, self._printed.read().decode()

    def _wait(self, options: int) -> None:
        pid, status = os.waitpid(self.pid, options)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)


def _end(task: Callable[[], Any], out: int, err: int) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    torch.set_num_threads(1)  # threads of the parent are not there
    for stream, file in ((1, out), (2, err)):
        os.dup2(file, stream)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    status = 1
    try:
        try:
            task()
            status = 0
        except SystemExit as stop:
            status = (stop.code or 0) if isinstance(stop.code, int | None) else 1
        sys.stdout.flush()  # as Python does at its end
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
