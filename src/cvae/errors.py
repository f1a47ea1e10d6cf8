"""Bad input, told in one line.

Every message names the argument, what was expected, what came, and the way out.
The commands print it on standard error and exit with status 2; in Python it is a `ValueError`.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from rich.filesize import decimal

_MANY = 30
"""Names that no longer fit into one line."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one line that says how to mend it."""


class ArgumentError(InputError):
    """An argument of a constructor cannot be used.

    The constructor names its own argument, "width: ..."; whoever builds it from a configuration
    puts the path of its node before it, "prior.network.width: ...", by `under`.

    Args:
        argument: Name of the argument.
        problem: What was expected, what came, and the way out.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(f"{argument}: {problem}")
        self.argument, self.problem = argument, problem


@contextmanager
def under(path: str, given: Collection[str] | None = None) -> Iterator[None]:
    """Let an `ArgumentError` say where in a configuration its argument is.

    Args:
        path: Path of the node that the arguments come from, such as "prior.network".
        given: Names of the arguments that come from there; None is all of them.
    """
    try:
        yield
    except ArgumentError as error:
        if "." in error.argument or (given is not None and error.argument not in given):
            raise
        raise ArgumentError(f"{path}.{error.argument}", error.problem) from error


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `"; did you mean 'gaussian'?"` for the nearest candidate, else the candidates."""
    known = {name.lower(): name for name in sorted(candidates) if not name.startswith("_")}
    if matches := get_close_matches(word.lower(), known, n=1):
        return f"; did you mean '{known[matches[0]]}'?"
    return f"; known are {', '.join(known.values())}" if 0 < len(known) < _MANY else ""


def require_seed(name: str, value: int) -> None:
    """Raise an `ArgumentError` unless the value can seed every library's generator."""
    if not 0 <= value < 2**32:
        raise ArgumentError(name, f"expected a whole number from 0 to 2^32 - 1, got {value}")


def require_at_least(name: str, value: float, minimum: float) -> None:
    """Raise an `ArgumentError` unless the value is at least `minimum`, and finite."""
    if not minimum <= value < math.inf:
        raise ArgumentError(name, f"expected at least {minimum}, got {value}")


def require_between(name: str, value: float, minimum: float, maximum: float) -> None:
    """Raise an `ArgumentError` unless `minimum <= value <= maximum`."""
    require_at_least(name, value, minimum)
    if value > maximum:
        raise ArgumentError(name, f"expected at most {maximum}, got {value}")


def short_of_memory(error: BaseException) -> str | None:
    """Return what to do about an error that says that memory is lacking; None for another one.

    Python, torch on a CPU and torch on a GPU raise errors of three kinds.
    """
    first = str(error).partition("\n")[0]
    if not isinstance(error, MemoryError) and not re.search(
        r"can't allocate memory|out of memory", first
    ):
        return None
    asked = re.search(r"allocate (\d+) bytes", first)
    amount = f" for {decimal(int(asked[1]))} more" if asked else ""
    return (
        f"memory: this machine has not enough{amount}; ask for less at once, by a smaller model "
        "or data.batch_size, or fewer samples"
    )
