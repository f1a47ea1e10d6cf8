"""A command that is asked to stop does, and says so by its status; threads fail in one line."""

import errno
import os
import signal
import threading
import time

import pytest

from cvae.commands.interruptions import errors_of_threads, stopping

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def status(ended: pytest.ExceptionInfo[SystemExit]) -> object:
    return ended.value.code


class Dropping:
    """Python ignores what is raised while this is deleted."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        for _ in range(1000):
            pass


def dropped(number: int) -> None:
    with stopping():
        Dropping(number)
        time.sleep(60)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_python_drops_is_sent_again(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        dropped(number)
    assert status(ended) == 128 + number
    assert time.monotonic() - begun < 30
    assert capfd.readouterr().err == ""


def swallowed(number: int, ending: SystemExit | None) -> None:
    with stopping():
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        except BaseException:  # as a library might
            pass
        if ending is not None:
            raise ending


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("ending", [None, SystemExit(), SystemExit(1)])
def test_a_command_that_was_asked_to_stop_never_ends_well(
    number: int, ending: SystemExit | None
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        swallowed(number, ending)
    assert status(ended) == 128 + number
    assert signal.getsignal(number) is before


def test_a_status_of_its_own_is_kept() -> None:
    with pytest.raises(SystemExit) as ended, stopping():
        raise SystemExit(2)
    assert status(ended) == 2


def test_what_a_shell_has_let_ignore_a_signal_ignores_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def failing() -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "events")


def with_a_failing_thread(told: bool) -> None:
    with errors_of_threads():
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        if told:
            raise OSError(errno.ENOSPC, "the main one", "events")


@pytest.mark.parametrize(("told", "line"), [(False, "No space left"), (True, "the main one")])
def test_a_full_disk_that_a_thread_has_met_is_no_traceback(
    told: bool, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match=line):
        with_a_failing_thread(told)
    assert capfd.readouterr().err == ""
