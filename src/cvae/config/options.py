"""What the files of `conf/` offer, as text: groups, options, settings, and what comments say.

Help, completion and hints need this before Hydra composes anything, and in a tenth of the time.
The files are read line by line, because no YAML reader keeps comments.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

OF_OTHERS = ("experiment", "sweeps", "launcher")
"""Groups whose options set what belongs to other groups."""
_LINE = re.compile(r"( *)(?:- )?(?:override )?([\w./]+):(?: +(?!#)(.*?))?(?: +# (.*))?")


class Setting(NamedTuple):
    """A setting: its default as the file writes it, and what it means."""

    default: str
    meaning: str


class Option(NamedTuple):
    """An option of a group: what it is, the options it chooses, and its settings by full key."""

    about: str
    chosen: dict[str, Setting]
    settings: dict[str, Setting]


def find(name: str) -> Path:
    """Return a folder such as `conf`: of the installed package, else of the repository."""
    installed = Path(__file__).parents[1] / name
    return installed if installed.is_dir() else Path(__file__).parents[3] / name


def groups() -> list[str]:
    """Return the names of the groups."""
    return sorted(p.name for p in find("conf").iterdir() if p.is_dir() and p.name != "hydra")


def groups_of(command: str) -> list[str]:
    """Return the names of the groups that a command chooses from, in the order of its file."""
    return [group for group in root(command).chosen if group in groups()]


def options(group: str) -> list[str]:
    """Return the names of a group's options."""
    return sorted(path.stem for path in (find("conf") / group).glob("*.yaml"))


@cache
def root(command: str) -> Option:
    """Return what `conf/COMMAND.yaml` says: the groups with their defaults, and the settings."""
    return _read(find("conf") / f"{command}.yaml", "")


@cache
def option(group: str, name: str) -> Option:
    """Return what `conf/GROUP/NAME.yaml` says, with what it takes from its neighbours."""
    found = _read(find("conf") / group / f"{name}.yaml", f"{group}.")
    for base in [key for key in found.chosen if "/" not in key]:
        other = option(group, base)
        # The neighbour's meaning holds, where only the default is another.
        mine = {
            key: one._replace(meaning=one.meaning or other.settings.get(key, one).meaning)
            for key, one in found.settings.items()
        }
        found = Option(found.about or other.about, other.chosen, other.settings | mine)
    return found


def settings_of(command: str) -> dict[str, list[str]]:
    """Return every setting of a command by its full key, with the options that have it.

    Without a group, a setting has none, such as `latent_dim`.
    """
    found: dict[str, list[str]] = {key: [] for key in root(command).settings}
    for group in groups_of(command):
        for name in options(group) if group not in OF_OTHERS else ():
            for key in option(group, name).settings:
                found.setdefault(key, []).append(name)
    return found


def _read(file: Path, prefix: str) -> Option:
    lines = file.read_text().splitlines()
    head = [line for line in lines[: _length_of_head(lines)] if not line.startswith("# @package")]
    if "# @package _global_" in lines:
        prefix = ""
    about = "\n".join(line.removeprefix("#").removeprefix(" ") for line in head)
    chosen: dict[str, Setting] = {}
    settings: dict[str, Setting] = {}
    for path, default, meaning in _entries(lines):
        first, _, rest = path.partition(".")
        if first == "defaults":
            names = re.findall(r"[\w/]+", default) if not rest else [rest]
            chosen |= {name: Setting(default, meaning) for name in names}
        elif first != "hydra" and _is_own(path, default):
            settings[f"{prefix}{path}"] = Setting(default, meaning)
    return Option(about, chosen, settings)


def _length_of_head(lines: list[str]) -> int:
    return next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _is_own(path: str, default: str) -> bool:
    """Whether an entry is a setting; what Hydra goes by is none, nor a node of another part."""
    return default != "${network}" and not any(key.startswith("_") for key in path.split("."))


def _entries(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield path, default and comment of every entry; a comment may go on in the next lines."""
    parents: list[tuple[int, str]] = []
    entry: tuple[str, str, str] | None = None
    for line in lines[_length_of_head(lines) :]:
        if entry and (more := re.fullmatch(r" {8,}# (.*)", line)):
            entry = (entry[0], entry[1], f"{entry[2]} {more[1]}")
            continue
        if entry:
            yield entry
        entry = None
        if not (parts := _LINE.fullmatch(line)):
            continue
        indent, key, default, comment = parts.groups(default="")
        depth = len(indent)
        parents = [(d, name) for d, name in parents if d < depth]
        path = ".".join([*(name for _, name in parents), key])
        if default:
            entry = (path, default, comment)
        else:
            parents.append((depth, key))
    if entry:
        yield entry
