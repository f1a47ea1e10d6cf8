"""Errors in one line: what was wrong, what was expected, what came, and the way out.

Hydra, OmegaConf and Lightning report the user's mistakes by errors of many kinds; here each becomes
a line. An error that is not the user's mistake keeps its traceback.
"""

import inspect
import shlex
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import get_type_hints

from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from cvae.config import building
from cvae.config.building import whole
from cvae.config.command_line import chosen, is_group, shared_group
from cvae.config.compose import given_value
from cvae.config.natural_names import meant, meant_by_word, option_meant, places
from cvae.errors import InputError, did_you_mean, short_of_memory
from cvae.files import DISK_FULL


def explain(error: Exception, command: str = "train", arguments: Sequence[str] = ()) -> str | None:
    """Return what was wrong and how to mend it, or None for an error that is not the user's.

    Args:
        error: The error.
        command: Name of the command.
        arguments: Its command line, ordered.
    """
    if lacking := short_of_memory(error):
        return lacking
    match error:
        case InputError() | FloatingPointError():
            return str(error)
        case MissingConfigException():
            return _missing_option(error)
        case OverrideParseException(override=override):
            return f"'{override}' is not of the form key=value; {_way_to_write(str(override))}"
        case MissingMandatoryValue():
            return _missing_value(str(error.full_key), command)
        case HydraException() if isinstance(error.__cause__, OmegaConfBaseException):
            said = _refused_value(error.__cause__, command, arguments)
            return said or str(error).partition("\n")[0]
        case InstantiationException() if isinstance(error.__cause__, Exception):
            return _reason(error, error.__cause__)
        case HydraException() | OmegaConfBaseException() | MisconfigurationException():
            return str(error).partition("\n")[0]
        case OSError():
            return _refused_by_the_system(error)
    return None


def _way_to_write(override: str) -> str:
    if override.endswith((",", ";")):
        return f"did you mean {override[:-1]}, with a space after it?"
    return "quote values that hold = or , or ("


def _missing_value(key: str, command: str) -> str:
    alone = {"checkpoint": "RUN_DIR", "dir": "DIR"}
    shorter = f", or the path alone: cvae-{command} {alone[key]}" if key in alone else ""
    value = {"data.path": "FILE", "data.root": "DIR", "data.y": "[COLUMNS]"}.get(key, "VALUE")
    return f"{key}: required but missing; give {shlex.quote(f'{key}={value}')}{shorter}"


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if group == "hydra/launcher":
        extra = option.partition("_")[0]
        return f"launcher: {option} comes with an extra; pip install 'lightning-cvae[{extra}]'"
    if not error.options:
        return f"{group or option}: no such configuration '{error.missing_cfg_file}'"
    hint = option_meant(group, option)
    if not hint and group == "data" and "data." in (file := meant_by_word(option, [], "train")):
        hint = file
    return f"{group}: no such option '{option}'{hint or did_you_mean(option, error.options)}"


def _reason(error: InstantiationException, cause: Exception) -> str:
    """Return what a constructor raised, which Hydra leaves to a second line."""
    known = explain(cause)
    if known is not None:
        return known
    what = str(cause).strip().partition("\n")[0]
    said = f"{type(cause).__name__}: {what}" if what else type(cause).__name__
    return f"{str(error).partition(chr(10))[0]} {said}"


def _refused_value(
    cause: OmegaConfBaseException, command: str, arguments: Sequence[str]
) -> str | None:
    if isinstance(cause, ValidationError):
        expected = inspect.formatannotation(get_type_hints(cause.object_type)[cause.key])
        return f"{cause.full_key}: expected {expected}, got {cause.value!r}{whole(cause.value)}"
    if not cause.full_key:
        return None
    return f"{cause.full_key}: {_nearest_key(cause, command, arguments)}"


def _nearest_key(cause: OmegaConfBaseException, command: str, line: Sequence[str]) -> str:
    node = cause.parent_node
    if isinstance(node, DictConfig) and "_target_" in node:
        taken, _ = building.arguments(resolve_name(node["_target_"]))
        if cause.key in taken:
            return f"not set by default; to add it, write +{cause.full_key}=VALUE"
    if not node and isinstance(node, DictConfig) and (where := _unset_group(str(cause.full_key))):
        return where
    key = str(cause.full_key)
    if places(key, command):
        value = given_value(line, key) or "VALUE"
        return f"no such key{meant(key, value, command, chosen(line))}"
    return f"no such key{did_you_mean(str(cause.key), [str(key) for key in node or {}])}"


def _unset_group(full_key: str) -> str | None:
    """Return why a group's node has no settings: it has no option, or is that of the group."""
    group = full_key.partition(".")[0]
    if full_key.count(".") == 1 and is_group(group):
        return f"{group} has no option yet; choose one as well, by {group}=NAME"
    return shared_group(full_key)


def _refused_by_the_system(error: OSError) -> str | None:
    if error.errno in DISK_FULL:
        file = repr(error.filename) if error.filename else "a file"
        way_out = "make room, and run it again (a training: with resume=RUN_DIR)"
        return f"{file}: {error.strerror}; {way_out}"
    if error.filename and error.strerror:
        return f"{error.filename!r}: {error.strerror}"
    return None
