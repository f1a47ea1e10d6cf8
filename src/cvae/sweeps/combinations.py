"""A sweep over every combination of what is swept: a search without a sampler."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

from hydra import compose
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from cvae.config.command_line import is_group
from cvae.errors import InputError


class Combinations:
    """Proposes every combination, all at once.

    Args:
        overrides: The command line's overrides.

    Attributes:
        known: The jobs that are known before anything is written, number and overrides each: all.
        trials: Their number.

    Raises:
        InputError: If one of them is an interval, of which there are no combinations, or empty.
    """

    def __init__(self, overrides: Sequence[Override]) -> None:
        values: dict[str, list[str]] = {}
        for override in overrides:
            key = override.get_key_element()
            if override.is_delete() and override.value() is None:
                values[key] = [key]  # whatever its value is
            else:
                values[key] = [f"{key}={value}" for value in _values(override)]
        options = options_of(overrides)
        every = [fitting(point, options) for point in product(*values.values())]
        self.points = [list(point) for point in dict.fromkeys(map(tuple, every))]
        self.known = self.left = list(enumerate(self.points))
        self.trials = len(self.points)

    def examples(self) -> list[list[str]]:
        """Return the overrides of the jobs that are checked before any is run: of all of them."""
        return self.points

    def begin(self, sweep: Path) -> list[tuple[int, list[str]]]:
        """Return the jobs that are known before anything is proposed: all of them."""
        return self.known

    def propose(self) -> list[tuple[int, list[str]]]:
        """Return the next jobs, number and overrides each: all of them, and then none."""
        jobs, self.left = self.left, []
        return jobs

    def tell(self, number: int, folder: Path) -> None:
        """Record what a job ended with: nothing follows from it here."""

    def verdict(self) -> str | None:
        """Return what the sweep has found, in a line: nothing here, as a report compares them."""
        return None


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise InputError(f"{override.key_or_group}: an interval needs a search, as search=tpe")
    return values_of(override)


def values_of(override: Override) -> list[str]:
    """Return the values that an override lists, as the command line would write them.

    Raises:
        InputError: If there are none.
    """
    values = list(override.sweep_string_iterator())
    if not values:
        name = override.get_key_element()
        raise InputError(
            f"{name}: '{override.input_line}' gives no value to sweep over: an empty range, or a "
            "pattern that no option's name fits"
        )
    return values


def options_of(overrides: Sequence[Override]) -> dict[str, list[str]]:
    """Return the options that a sweep gives to each group, as overrides."""
    return {
        override.key_or_group: [f"{override.key_or_group}={o}" for o in _values(override)]
        for override in overrides
        if override.is_discrete_sweep() and is_group(override.key_or_group)
    }


def fitting(point: Sequence[str], options: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a job's overrides without the settings that only other options of its sweep have.

    So `prior=standard,mixture prior.components=3` gives the mixtures their components.

    Args:
        point: The overrides.
        options: The options that the sweep gives to each group, as overrides.
    """
    chosen = tuple(o for o in point if is_group(o.partition("=")[0]))

    def fits(override: str) -> bool:
        key = override.partition("=")[0]
        group, _, setting = key.partition(".")
        if not setting or group not in options or _has(chosen, key):
            return True
        others = (o for o in chosen if not o.startswith(f"{group}="))
        return not any(_has((*others, option), key) for option in options[group])

    return [override for override in point if fits(override)]


def _has(options: tuple[str, ...], key: str) -> bool:
    absent = object()
    return OmegaConf.select(_composed(options), key, default=absent) is not absent


@lru_cache(256)
def _composed(options: tuple[str, ...]) -> DictConfig:
    return compose("train", list(options))  # with the files that the command line gave Hydra
