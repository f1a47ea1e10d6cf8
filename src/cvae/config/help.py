"""What `--help` prints, out of the comments of `conf/`; nothing is composed, so that it is quick.

`cvae-train --help` is about the command, `--help prior` about a group, its options and their
settings, `--help prior=flow` about an option, `--help settings` about what belongs to no group,
and `--help lr` about a setting.
"""

import re
import textwrap
from collections.abc import Sequence

from cvae.config.natural_names import meant, places
from cvae.config.options import OF_OTHERS, Option, Setting, groups_of, option, options, root
from cvae.errors import InputError, did_you_mean

_WIDTH = 79
_MOST = 30
"""Columns of a name, beyond which what it means goes below it."""


def help_text(command: str, topics: Sequence[str]) -> str:
    """Return the help of a command, or of groups, options and settings of it.

    Raises:
        InputError: If it has nothing of that name.
    """
    return "\n\n".join(_on(command, topic) for topic in topics) or _overview(command)


def _on(command: str, topic: str) -> str:
    name, is_option, chosen = topic.partition("=")
    if name in _groups(command) and is_option:
        return _one(name, chosen)
    if name in _groups(command):
        return _group(command, name)
    if topic == "settings":
        return _table(_rows(_own(command)))
    found = [place for place in places(name, command) if "=" not in place]
    if name in found:
        found = [name]
    rows = [row for place in found for row in _setting(command, place)]
    if not rows:
        raise InputError(f"--help {topic}: no such group or setting{meant(name, chosen, command)}")
    return _table(rows)


def _overview(command: str) -> str:
    said, chosen = root(command), _groups(command)
    if command != "train":
        rows = [*_rows(_own(command)), *((f"{g}={d}", m) for g, (d, m) in chosen.items())]
        return f"{said.about}\n\nSettings, KEY=VALUE:\n\n{_table(rows)}"
    cells = [f"{name}={s.default}".removesuffix("=null") for name, s in chosen.items()]
    wide = max(map(len, cells))
    cells = [
        f"  {cell:<{wide}} {s.meaning}" for cell, s in zip(cells, chosen.values(), strict=True)
    ]
    half = -(-len(cells) // 2)
    side_by_side = zip(cells[:half], [*cells[half:], ""], strict=False)
    columns = [f"{left:<40}{right}".rstrip() for left, right in side_by_side]
    names = " ".join(f"{key}={s.default}".removesuffix("=null") for key, s in _own(command).items())
    return "\n".join(
        [
            said.about,
            "",
            "Options, GROUP=NAME (--help GROUP lists them, and their settings):",
            *columns,
            "Settings, KEY=VALUE (--help settings says what they are):",
            textwrap.fill(names, _WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
    )


def _group(command: str, group: str) -> str:
    default, meaning = root(command).chosen[group]
    rows = []
    for name in options(group):
        about = _first(option(group, name))
        rows.append((name, f"{about} (default)" if name == default else about))
    text = f"cvae-{command} {group}=NAME: {meaning}\n\n{_table(rows)}"
    if group in OF_OTHERS:
        return f"{text}\n\nWhat one of them sets: cvae-{command} --help {group}=NAME"
    shared: dict[tuple[str, Setting], list[str]] = {}
    for name in options(group):
        for key, setting in option(group, name).settings.items():
            shared.setdefault((key, setting), []).append(name)
    order = sorted(shared, key=lambda item: item[0])
    rows = [
        row
        for key, setting in order
        for row in _rows({key: setting}, _where(shared[key, setting], options(group)))
    ]
    return f"{text}\n\nSettings, KEY=VALUE:\n\n{_table(rows)}" if rows else text


def _where(having: list[str], every: list[str]) -> str:
    if having == every:
        return ""
    if len(having) > len(every) / 2 and len(having) > 3:
        return f" (not {', '.join(name for name in every if name not in having)})"
    return f" ({', '.join(having)})"


def _one(group: str, name: str) -> str:
    if name not in options(group):
        raise InputError(
            f"--help {group}={name}: no such option{did_you_mean(name, options(group))}"
        )
    said = option(group, name)
    lines = [f"{group}={name}: {said.about}"]
    if chosen := [f"{key[1:]}={s.default}" for key, s in said.chosen.items() if key[0] == "/"]:
        lines.append(f"It chooses {', '.join(chosen)}.")
    text = "\n".join(textwrap.fill(line, _WIDTH) for line in "\n".join(lines).splitlines())
    return f"{text}\n\n{_table(_rows(said.settings))}" if said.settings else text


def _setting(command: str, place: str) -> list[tuple[str, str]]:
    if place in root(command).settings:
        return _rows({place: root(command).settings[place]})
    group = place.partition(".")[0]
    if place in _groups(command):
        return _rows({place: root(command).chosen[place]})
    if group not in _groups(command):
        return []
    having: dict[Setting, list[str]] = {}
    for name in options(group):
        if place in option(group, name).settings:
            having.setdefault(option(group, name).settings[place], []).append(name)
    return [
        row
        for setting, names in having.items()
        for row in _rows({place: setting}, f" ({group}={', '.join(names)})")
    ]


def _groups(command: str) -> dict[str, Setting]:
    return {group: root(command).chosen[group] for group in groups_of(command)}


def _own(command: str) -> dict[str, Setting]:
    """Return the settings of a command that belong to no group."""
    return {k: s for k, s in root(command).settings.items() if k not in _groups(command)}


def _rows(settings: dict[str, Setting], remark: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, (default, meaning) in settings.items():
        if default == "???":
            rows.append((key, f"{meaning}{remark}; has to be given"))
        elif "${" in default:  # what it depends on, its comment says
            rows.append((key, f"{meaning}{remark}"))
        else:
            rows.append((f"{key}={default}", f"{meaning}{remark}"))
    return rows


def _first(said: Option) -> str:
    """Return the first sentence of what an option is."""
    sentences = re.split(r"(?<=[.;])\s(?=[A-Zp])", said.about.replace("\n", " "))
    return sentences[0].rstrip(";.")


def _table(rows: Sequence[tuple[str, str]]) -> str:
    wide = max((len(name) for name, _ in rows if len(name) <= _MOST), default=_MOST)
    lines = []
    for name, meaning in rows:
        start = f"  {name:<{wide}}  "
        if len(name) > wide:
            lines.append(f"  {name}")
            start = " " * (wide + 4)
        lines.append(
            textwrap.fill(
                meaning,
                _WIDTH,
                initial_indent=start,
                subsequent_indent=" " * (wide + 4),
                break_on_hyphens=False,
            )
            or start.rstrip()
        )
    return "\n".join(lines)
