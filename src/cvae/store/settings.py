"""The settings that tell one run from another, flat, by their names on the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from cvae.config.compose import DATA_PLACES, Config, walked

OF_THE_MACHINE = ("threads", "compile", "parallel", "search", "sweep", "launcher")
"""Settings that say how jobs are run, and not what they are."""
_CHANGE_NOTHING = (
    *(*OF_THE_MACHINE, "allow", "resume", "logger"),
    *("callbacks.last", "callbacks.progress", "callbacks.snapshots"),
)
"""Settings that change no number of a run."""
CHECKSUM, TEST_CHECKSUM = "data.checksum", "data.test_checksum"
"""The names of the checksums of a run's data: of training and validation, and of the test."""
NOT_COMPARED = (*DATA_PLACES, "data.download")
"""Settings that are shown, but do not make a difference by themselves: the checksum does."""
_OURS = ("cvae.", "torch.", "lightning.")

Setting = str | float
"""A value as TensorBoard takes it; null and lists are strings."""


def first_difference(
    before: Config, now: Config, free: Sequence[str]
) -> tuple[str, Any, Any] | None:
    """Return the first setting that two configurations have differently: name, and both values.

    Args:
        before: A resolved configuration.
        now: Another.
        free: How the names begin of those that do not count.
    """
    one, other = (
        {path: part for path, part in walked(config) if not isinstance(part, Mapping)}
        for config in (before, now)
    )
    for name in {**one, **other}:
        if not name.startswith(tuple(free)) and one.get(name) != other.get(name):
            return name, one.get(name), other.get(name)
    return None


def settings_by_name(config: Config) -> dict[str, Setting]:
    """Return every setting that changes a run, by its name on the command line.

    A node is there by the name of its class, and each of its settings after it. A node that
    repeats the group of its name, as `prior.network` repeats `network`, is left out.

    Args:
        config: The resolved configuration.
    """
    return {
        name: value
        for name, value in _flat(config, "", config).items()
        if not any(name == key or name.startswith(f"{key}.") for key in _CHANGE_NOTHING)
    }


def _flat(node: Config, path: str, root: Config) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for key, value in node.items():
        name = f"{path}.{key}" if path else str(key)
        if key in ("_target_", "_partial_", "_convert_", "_recursive_"):
            continue
        if isinstance(value, dict) and path and value == root.get(key):
            continue
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, dict):
            if "_target_" in value:
                found[name] = _short(value["_target_"])
            found |= _flat(value, name, root)
        else:
            found[name] = _plain(value)
    return found


def _short(target: str) -> str:
    return target.rpartition(".")[2] if target.startswith(_OURS) else target


def _plain(value: object) -> Setting:
    if value is None:
        return "null"
    return value if isinstance(value, str | int | float) else str(value)
