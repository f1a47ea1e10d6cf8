"""The command line as Hydra takes it: overrides, then flags, and paths in quotes.

Hydra has one grammar for all values, in which brackets, commas and accents mean something; and its
flags may not stand between overrides. A user should have to know neither.
"""

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cvae.config.compose import (
    DATA_PLACES,
    find,
    given_value,
    parsed_overrides,
    quoted,
    require_plain_name,
)
from cvae.config.natural_names import meant, meant_by_word, places
from cvae.config.options import root as settings_file
from cvae.config.schemas import SCHEMAS
from cvae.errors import InputError

_OF_A_SWEEP = ("sweeps", "sweep.resume")
"""Settings that make a command a sweep."""
MAY_BE_NULL = ("refit", "experiment", "sweeps", "search")
"""Groups that need no option."""
_LISTS = ("data.x", "data.y", "allow")
"""Settings of several values, in brackets."""
_AS_IT_STANDS = (
    *("resume", "sweep.resume", "checkpoint", "dir", "out", "judges", "x", "digits"),
    *("hydra.run.dir", "hydra.sweep.dir", *DATA_PLACES),
)
"""Settings whose value is taken letter by letter: paths, and what is asked for as x."""
_ONE_FOR_ALL = re.compile(r"launcher|parallel|search|sweeps|resume|sweep\.resume|hydra\b.*")
"""Settings of a whole sweep, of which its jobs cannot have several."""


_SWITCHES = (("--help", "-h"), ("--hydra-help",), ("--version",), ("--resolve",))
_WITH_A_VALUE = (
    *(("--package", "-p"), ("--config-path", "-cp"), ("--config-name", "-cn")),
    *(("--config-dir", "-cd"), ("--experimental-rerun",)),
)
_LISTED = "settings are given as KEY=VALUE; see --help, and --hydra-help for flags"
_MODES = (("--run", "-r"), ("--multirun", "-m"), ("--shell-completion", "-sc"))


class _Flags(ArgumentParser):
    """Hydra's flags. It reads them by a parser of its own that cannot be asked for."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument("overrides", nargs="*")
        views = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
        modes = self.add_mutually_exclusive_group()
        one = modes.add_argument
        made = [
            *(self.add_argument(*flag, action="store_true") for flag in _SWITCHES),
            *(self.add_argument(*flag) for flag in _WITH_A_VALUE),
            *(one(*flag, action="store_true") for flag in _MODES),
            one("--cfg", "-c", choices=("job", "hydra", "all")),
            one("--info", "-i", nargs="?", const="all", choices=views),
        ]
        self.names = {name for action in made for name in action.option_strings}

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {_LISTED}")


def ordered(arguments: Sequence[str], command: str = "train") -> list[str]:
    """Return a command line with its flags last, one word each, and its paths in quotes.

    Args:
        arguments: The command line.
        command: Name of the command.

    Raises:
        InputError: If there is no such flag, or it lacks its value, or a path is one that Hydra
            cannot work in.
    """
    parser = _Flags()
    _require_flags(arguments, parser, command)
    given = vars(parser.parse_intermixed_args(list(arguments)))
    overrides = given.pop("overrides")
    if given["resolve"] and not (given["cfg"] or given["help"]):
        raise InputError("--resolve: it goes with --cfg or --help")
    flags = [
        f"--{name.replace('_', '-')}" if value is True else f"--{name.replace('_', '-')}={value}"
        for name, value in given.items()
        if value not in (None, False)
    ]
    overrides = [_without_option(_with_quoted_path(override)) for override in overrides]
    return [*_of_swept_options(overrides, flags), *flags]


def _require_flags(arguments: Sequence[str], parser: _Flags, command: str) -> None:
    """Refuse a setting that is written as a flag, as `--epochs 5`."""
    for place, word in enumerate(arguments):
        name, _, value = word.partition("=")
        key = name.lstrip("-")
        is_flag = re.fullmatch(r"--?[a-zA-Z][\w.-]*", name) and name not in parser.names
        # A short flag may have its value at once, as -cdDIR.
        if not is_flag or not (name.startswith("--") or places(key, command)):
            continue
        near = get_close_matches(name, parser.names, n=1, cutoff=0.8)
        if near and name.startswith("--"):
            raise InputError(f"unrecognized arguments: {name}; did you mean {near[0]}?")
        following = arguments[place + 1 : place + 2]
        if not value and following and not re.match(r"-\D|.*=", following[0]):
            value = following[0]
        if not places(key, command):
            raise InputError(f"unrecognized arguments: {name}; {_LISTED}")
        said = meant(key, value or "VALUE", command)
        raise InputError(f"unrecognized arguments: {name}; settings are given as KEY=VALUE{said}")


def separated(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides and the flags of an ordered command line."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    return [argument for argument in arguments if not argument.startswith("-")], flags


def short(path: Path) -> str:
    """Return a path as short as it can be given to a command from here."""
    near = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return str(path) if near.lower() == "null" or near[0] in "'\"" else near


def _with_quoted_path(override: str) -> str:
    key, equals, value = override.partition("=")
    name = key.lstrip("+")
    if name in _AS_IT_STANDS and "${" in value and Path(value).exists():
        require_plain_name(Path(value))
    if not equals or name not in _AS_IT_STANDS or _is_of_the_grammar(name, value):
        return override
    return f"{key}={quoted(value)}"


def _is_of_the_grammar(name: str, value: str) -> bool:
    """Whether Hydra reads a path's value as it is meant."""
    if value.lower() in ("", "null") or "${" in value or "\0" in value:  # which no path holds
        return True
    try:
        override = OverridesParser.create().parse_override(f"{name}={value}")
    except HydraException:
        return False
    if override.is_sweep_override():
        return name in DATA_PLACES and not Path(value).exists()
    in_quotes = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return override.value() == value or (in_quotes and not Path(value).exists())


def _without_option(override: str) -> str:
    """Return an override whose group has no options where it said null, as Hydra writes none."""
    key, equals, value = override.partition("=")
    if key not in MAY_BE_NULL:
        return override
    return f"{key}{equals}{re.sub(r'(?i)(?<![^,( ])null(?![^,) ])', '[]', value)}"


def _of_swept_options(overrides: list[str], flags: list[str]) -> list[str]:
    """Return the overrides of a sweep, its settings of swept options as sweeps of one value.

    Hydra composes the sweep itself without what is swept, and would look for such a setting in
    the option that is there by default.
    """
    if not is_sweep([*overrides, *flags]):
        return overrides
    parsed = parsed_overrides(overrides)  # of those that have a value
    swept = [o.key_or_group for o in parsed if o.is_sweep_override() and is_group(o.key_or_group)]
    swept += _groups_swept_by_file(overrides, flags)
    changed = {
        str(o.input_line): f"{o.key_or_group}=choice({str(o.input_line).partition('=')[2]})"
        for o in parsed
        if o.key_or_group.partition(".")[0] in swept
        and "." in o.key_or_group
        and not (o.is_sweep_override() or o.is_add() or o.is_force_add() or o.is_delete())
    }
    return [changed.get(text, text) for text in overrides]


def _groups_swept_by_file(overrides: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Return the groups of which the file that `sweeps=` names lists options."""
    own = [flag.partition("=")[2] for flag in flags if flag.startswith("--config-dir=")]
    for place in [*map(Path, own), find("conf")]:
        file = place / "sweeps" / f"{given_value(overrides, 'sweeps')}.yaml"
        if file.is_file():
            params = OmegaConf.select(OmegaConf.load(file), "hydra.sweeper.params")
            return [key for key in params or () if is_group(key)]
    return []


def is_group(key: str) -> bool:
    """Whether a key is that of a group of options."""
    return key.isidentifier() and (find("conf") / key).is_dir()


def shared_group(full_key: str) -> str | None:
    """Return the way out for a setting of a group that all parts share, such as the network.

    Args:
        full_key: A key below a part, such as `prior.network.width`.
    """
    *parts, group, key = full_key.split(".")
    if not parts or not is_group(group):
        return None
    place = ".".join([*parts, group])
    return (
        f"{place} is the {group} that all parts share; set {group}.{key}, or give it one of its "
        f"own as well, by +{group}@{place}=NAME"
    )


def require_own_settings(config: DictConfig) -> None:
    """Refuse overrides of what all parts share by the name of one part.

    Hydra 1.3 refuses them itself, and 1.4 sets them for every part.

    Args:
        config: A composed configuration, with Hydra's own part.

    Raises:
        InputError: If there is such an override.
    """
    for override in parsed_overrides(config.hydra.overrides.task):
        full_key, node = override.key_or_group, config
        for key in full_key.split(".")[:-1]:
            if not isinstance(node, DictConfig) or key not in node:
                break
            if OmegaConf.is_interpolation(node, key):
                raise InputError(f"{full_key}: {shared_group(full_key)}")
            node = node[key]


def require_usable(arguments: Sequence[str], command: str = "train") -> None:
    """Refuse overrides that Hydra refuses without a word that helps.

    Args:
        arguments: The command line, ordered.
        command: Name of the command.

    Raises:
        InputError: If a setting is none of the command's, several values are given to a single
            run, a group no option, or several values are given to what all jobs of a sweep share.
        OverrideParseException: If an override is not of Hydra's grammar.
    """
    _require_settings(arguments, command)
    several = is_sweep(arguments)
    for override in parsed_overrides(arguments):
        key, text = override.key_or_group, str(override.input_line)
        value = text.partition("=")[2]
        if override.is_sweep_override() and not several:
            raise InputError(
                f"'{text}' gives several values to a single run; for a sweep, add -m"
                + (f", and for a list write '{key}=[{value}]'" if key in _LISTS else "")
            )
        if override.is_sweep_override() and _ONE_FOR_ALL.fullmatch(key):
            raise InputError(f"'{text}': the jobs of a sweep share one {key}; give one value")
        if (is_group(key) or "/" in key) and not _names_options(override):
            raise InputError(f"'{text}': expected the name of an option, such as prior=gaussian")


def _require_settings(arguments: Sequence[str], command: str) -> None:
    """Refuse words that set nothing, and keys that there are not.

    Deeper keys are Hydra's to refuse, and all of them where another root is asked for.
    """
    overrides, flags = separated(arguments)
    for place, word in enumerate(overrides):
        if ("=" not in word or word.startswith("=")) and not word.startswith("~"):
            said = meant_by_word(word, overrides[place + 1 :], command)
            raise InputError(f"'{word}' is not of the form key=value{said}")
    if any(flag.startswith(("--config-name", "--config-path")) for flag in flags):
        return
    known = {*SCHEMAS[command].__annotations__, "hydra", "sweep.resume"} - {"sweep"}
    offered = settings_file(command).chosen
    for override in parsed_overrides(overrides):
        key = override.key_or_group
        root = "sweep.resume" if key == "sweep.resume" else re.split(r"[.@/]", key)[0]
        is_new = override.is_add() or override.is_force_add() or override.is_delete()
        value = str(override.input_line).partition("=")[2]
        if is_group(key) and not is_new and key not in offered:
            raise InputError(f"{key}: it takes the run's own; see cvae-{command} --help")
        if not (is_new or root in known or is_group(root)):
            said = meant(key, value, command, chosen(overrides))
            raise InputError(f"{key}: no such key{said}")


def chosen(arguments: Sequence[str]) -> dict[str, str]:
    """Return the options that a command line chooses, by their groups."""
    keys = [override.key_or_group for override in parsed_overrides(arguments)]
    return {key: given_value(arguments, key) or "" for key in keys if is_group(key)}


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line, ordered, asks for a sweep."""
    said = given_value(arguments, "hydra.mode")
    if "--multirun" in arguments or said is not None:
        return said != "RUN"
    return any(given_value(arguments, key) for key in _OF_A_SWEEP)


def _names_options(override: Override) -> bool:
    if override.is_delete():
        return True
    value = override.value()
    if override.is_sweep_override() and not isinstance(value, ChoiceSweep):
        return True
    several = value.list if isinstance(value, ChoiceSweep) else [value]
    return all(isinstance(option, str | list | QuotedString) for option in several)
