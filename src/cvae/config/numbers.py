"""Numbers of a configuration that no computation can hold."""

from collections.abc import Iterator, Mapping
from typing import Any

from cvae.config.compose import Config
from cvae.errors import InputError

_LARGEST = 3.4028235e38
"""Of float32, in which weights, losses and rates are kept."""
_LARGEST_COUNT = 2**63 - 1


def require_numbers(config: Config) -> None:
    """Refuse numbers that are infinite, not a number, or beyond what torch can hold.

    Raises:
        InputError: Naming the setting.
    """
    for path, number in numbers_in(config):
        largest = _LARGEST_COUNT if isinstance(number, int) else _LARGEST
        if not -largest <= number <= largest:  # NaN is in no order
            raise InputError(
                f"{path}: expected a number from {-largest:.3g} to {largest:.3g}, "
                f"got {str(number)[:40]}"
            )


def numbers_in(value: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield the numbers of a configuration, each with its path."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from numbers_in(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from numbers_in(part, f"{path}.{index}")
    elif isinstance(value, int | float):
        yield path, value
