"""What reaches a command from outside its own steps: signals, and errors of threads."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AGAIN = 0.05
"""Seconds until a signal that came to nothing is sent once more."""


@contextmanager
def stopping() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the command by the status that a shell gives them.

    What is being written is put in order first. Python drops an exception that is raised within a
    `__del__` or a callback of a library, and the signal with it; so it is sent again. Lightning
    ends some trainings that were stopped without an error; so their status is set in the end.
    """
    asked: list[int] = []
    timers: list[threading.Timer] = []
    over = False
    dropped = sys.unraisablehook
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # What a shell starts in the background ignores Ctrl-C.
    before = {n: h or signal.SIG_DFL for n, h in handlers.items() if h != signal.SIG_IGN}

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        if over:
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def again(unraisable: Any) -> None:
        if not (asked and issubclass(unraisable.exc_type, KeyboardInterrupt | SystemExit)):
            dropped(unraisable)
            return
        timer = threading.Timer(_AGAIN, os.kill, [os.getpid(), asked[-1]])
        timer.daemon = True
        timers.append(timer)
        timer.start()

    for number in before:
        signal.signal(number, stop)
    sys.unraisablehook = again
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        if not asked:
            raise
    finally:
        over = True
        sys.unraisablehook = dropped
        for timer in timers:
            timer.cancel()
            timer.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise SystemExit(128 + asked[0])


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait until a block is done.

    torch aborts the process where an exception comes out of the middle of its tracing.
    """
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    heard = {n: h for n, h in handlers.items() if h not in (signal.SIG_IGN, None)}
    for number in heard:
        signal.signal(number, lambda caught, _: came.append(caught))
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
        if came:
            os.kill(os.getpid(), came[0])


@contextmanager
def errors_of_threads() -> Iterator[None]:
    """Raise the system's error of a thread, such as a full disk's, in the end of what is entered.

    Python would print a traceback at once, before the line of the same error that is raised when
    the thread is next asked for something.
    """
    found: list[OSError] = []
    report = threading.excepthook

    def note(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, OSError):
            found.append(args.exc_value)
        else:
            report(args)

    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = report
    if found:
        raise found[0]
