"""A run in the words that one types: `prior=standard`, where its settings say `StandardPrior`."""

import re
import shlex
from collections.abc import Sequence
from functools import cache

from cvae.config.compose import DATA_PLACES, find
from cvae.store.results import SEED, Run, Value, differing
from cvae.store.settings import CHECKSUM

_LONGEST = 60
"""Characters of a word that is shown."""
_NAMED, _VALUES = 4, 4
"""Settings that a title names, and values of each that it lists."""
_OF_THE_MACHINE = ("resume", "threads", "parallel", "launcher", "hydra.", "sweep.", *DATA_PLACES)
"""How overrides begin that say where and how a run was made, and not what it is."""


def short(value: object) -> str:
    """Return a value in a few characters: numbers with four digits, words up to sixty."""
    if isinstance(value, float):
        return f"{value:.4g}"
    words = str(value)
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def word(name: str, value: Value) -> str:
    """Return a setting's value as it is typed: the option of a group rather than its class."""
    options = _options(name) if name.isidentifier() else {}
    return options.get(str(value), short(value))


def command(run: Run, runs: Sequence[Run]) -> str:
    """Return what was typed for a run and not for all of these runs, but for the seed.

    Where nothing was, the settings that tell it apart.
    """
    common = set(run.overrides).intersection(*(set(other.overrides) for other in runs))
    typed = [o for o in _typed(run) if o not in common and not o.startswith(f"{SEED}=")]
    names = [name for name in differing(runs) if name != SEED]
    return shlex.join(typed or [f"{name}={word(name, run.settings.get(name))}" for name in names])


def whole_command(run: Run) -> str:
    """Return the command that makes a run again, but for the machine that it was made on."""
    return shlex.join(["cvae-train", *_typed(run)])


def swept(runs: Sequence[Run]) -> str:
    """Return what tells these runs apart, `prior × latent_dim`; empty if nothing does."""
    found = differing(runs)
    names = [name for name in found if name not in (SEED, CHECKSUM)] or found
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED + 1 else []
    return " × ".join([*map(short, names[: len(names) if not more else _NAMED]), *more])


def swept_values(runs: Sequence[Run]) -> list[str]:
    """Return a line for each setting that tells these runs apart, with its values."""
    found = []
    for name in differing(runs):
        values = list(dict.fromkeys(word(name, run.settings.get(name)) for run in runs))
        more = [f"{len(values) - _VALUES} more"] if len(values) > _VALUES + 1 else []
        shown = values[: len(values) if not more else _VALUES]
        found.append(f"{short(name)}: {', '.join([*shown, *more])}")
    return found


def _typed(run: Run) -> list[str]:
    return [item for item in run.overrides if not item.lstrip("+~").startswith(_OF_THE_MACHINE)]


@cache
def _options(group: str) -> dict[str, str]:
    """Return the options of a group by the names of their classes; of a class with two, neither."""
    found: dict[str, str] = {}
    for file in sorted((find("conf") / group).glob("*.yaml")):
        target = re.search(r"^_target_: *\S*?(\w+)$", file.read_text(), re.MULTILINE)
        if target is not None:
            found[target[1]] = "" if target[1] in found else file.stem
    return {name: option for name, option in found.items() if option}
