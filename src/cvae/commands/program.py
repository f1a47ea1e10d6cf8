"""The installed programs: the commands, each with the end of its process."""

import atexit
import os
import sys
from collections.abc import Callable

from cvae.commands import main


def program(command: Callable[[], None]) -> Callable[[], None]:
    """Return a command that, once its work is done, ends the process at once.

    Python would first free the million objects of torch and Lightning one by one, which takes more
    than a second. What libraries have registered with `atexit` still runs; after an error, all
    does.
    """

    def run() -> None:
        atexit.register(_end)  # the first to be registered is the last to run
        try:
            command()
        except BaseException:
            atexit.unregister(_end)
            raise

    return run


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


train = program(main.train)
sample = program(main.sample)
evaluate = program(main.evaluate)
report = program(main.report)
export = program(main.export)
encode = program(main.encode)
