"""Small text files that may come from anyone, read as plain data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from cvae.errors import InputError

_LONGEST_YAML, _LONGEST_JSON = 500_000, 10_000_000
"""Bytes of a file of settings, read in seconds, or of metrics; ours are a hundred times smaller."""
_LARGEST = 2**63
"""Whole numbers up to here; longer ones take a time to write that grows with their square."""


class _Plain(yaml.SafeLoader):
    """YAML without aliases, by which a few lines can stand for more items than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias, *NAME; write out what that stands for")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[Any, Any]:
    """Return the names, with their values, that a YAML file holds.

    Raises:
        InputError: If it is damaged, holds an alias or something else, or is too long.
    """
    return _mapping(path, _read(path, _parsed, _LONGEST_YAML))


def read_list(path: Path) -> list[str]:
    """Return the overrides that a YAML file holds.

    Raises:
        InputError: As `read_yaml`, and if it does not hold a list of strings.
    """
    found = _read(path, _parsed, _LONGEST_YAML)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InputError(f"'{path}' is damaged (it is not a list of KEY=VALUE)")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Return the names, with their values, that a JSON file holds; errors as `read_yaml`."""
    return _mapping(path, _read(path, json.loads, _LONGEST_JSON))


def first_line(path: Path) -> str:
    """Return the first line of a text file, as far as it can be shown in a line."""
    with path.open("rb") as file:
        return file.read(4096).decode(errors="replace").partition("\n")[0]


def _parsed(text: str) -> Any:
    return yaml.load(text, _Plain)


def _mapping(path: Path, found: Any) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise InputError(f"'{path}' is damaged (it holds no names with values)")
    return found


def _read(path: Path, parse: Callable[[str], Any], longest: int) -> Any:
    with path.open("rb") as file:
        text = file.read(longest + 1)
    if len(text) > longest:
        raise InputError(f"'{path}' is damaged (it is longer than {longest} bytes)")
    try:
        found = parse(text.decode())
        _require_short(found)
        return found
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"'{path}' is damaged ({reason})") from error


def _require_short(value: object) -> None:
    if isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            _require_short(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _require_short(part)
    elif isinstance(value, int) and abs(value) >= _LARGEST:
        raise ValueError("it holds a whole number of more than 64 bits")
