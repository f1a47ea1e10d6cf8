"""Errors in one line: what was wrong, what was expected, what came, and the way out.

Hydra, OmegaConf and Lightning report the user's mistakes by errors of many kinds; here each becomes
a line. An error that is not the user's mistake keeps its traceback.
"""

import errno
import inspect
from pkgutil import resolve_name
from typing import get_type_hints

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from cvae.config.building import arguments
from cvae.config.command_line import is_group
from cvae.errors import InputError, did_you_mean

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explain(error: Exception) -> str | None:
    """Return what was wrong and how to mend it, or None for an error that is not the user's."""
    match error:
        case InputError() | FloatingPointError():
            return str(error)
        case MissingConfigException():
            return _missing_option(error)
        case OverrideParseException(override=override):
            return f"'{override}' is not of the form key=value; quote values that hold = or , or ("
        case MissingMandatoryValue():
            return f"{error.full_key}: required but missing; give {error.full_key}=VALUE"
        case HydraException() if isinstance(error.__cause__, OmegaConfBaseException):
            return _refused_value(error.__cause__) or str(error).partition("\n")[0]
        case HydraException() | OmegaConfBaseException() | MisconfigurationException():
            return str(error).partition("\n")[0]
        case OSError():
            return _refused_by_the_system(error)
    return None


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if group == "hydra/launcher":
        extra = option.partition("_")[0]
        return f"launcher: {option} comes with an extra; pip install 'cvae[{extra}]'"
    if not error.options:
        return f"{group or option}: no such configuration '{error.missing_cfg_file}'"
    return f"{group}: no such option '{option}'{did_you_mean(option, error.options)}"


def _refused_value(cause: OmegaConfBaseException) -> str | None:
    if isinstance(cause, ValidationError):
        expected = inspect.formatannotation(get_type_hints(cause.object_type)[cause.key])
        return f"{cause.full_key}: expected {expected}, got {cause.value!r}"
    return f"{cause.full_key}: {_nearest_key(cause)}" if cause.full_key else None


def _nearest_key(cause: OmegaConfBaseException) -> str:
    node = cause.parent_node
    if isinstance(node, DictConfig) and "_target_" in node:
        taken, _ = arguments(resolve_name(node["_target_"]))
        if cause.key in taken:
            return f"not set by default; to add it, write +{cause.full_key}=VALUE"
    if not node and isinstance(node, DictConfig) and (where := _unset_group(str(cause.full_key))):
        return where
    return f"no such key{did_you_mean(str(cause.key), [str(key) for key in node or {}])}"


def _unset_group(full_key: str) -> str | None:
    """Return why a group's node has no settings: it has no option, or is that of the group."""
    *parents, group, key = full_key.split(".")
    if not is_group(group):
        return None
    if not parents:
        return f"{group} has no option yet; choose one as well, by {group}=NAME"
    place = ".".join([*parents, group])
    return (
        f"{place} is the {group} that all parts share; set {group}.{key}, or give it one of its "
        f"own as well, by +{group}@{place}=NAME"
    )


def _refused_by_the_system(error: OSError) -> str | None:
    if error.errno in _FULL:
        file = repr(error.filename) if error.filename else "a file"
        way_out = "make room, and run it again (a training: with resume=RUN_DIR)"
        return f"{file}: {error.strerror}; {way_out}"
    if error.filename and error.strerror:
        return f"{error.filename!r}: {error.strerror}"
    return None
