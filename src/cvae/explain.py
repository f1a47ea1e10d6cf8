"""Errors in one line: what was wrong, what was expected, what came, and the way out.

Hydra, OmegaConf and Lightning tell the user's mistakes in errors of many kinds; here each becomes a
line. What is not the user's mistake stays an error with its traceback.
"""

import errno
import inspect
import traceback
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

from cvae.building import arguments
from cvae.errors import InputError, did_you_mean

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explain(error: Exception) -> str | None:
    """Return what was wrong and how to mend it, or None for an error that is not the user's."""
    cause = error.__cause__
    match error:
        case InputError() | FloatingPointError():
            return str(error)
        case MissingConfigException(missing_cfg_file=str(name), options=options):
            group, _, option = name.removesuffix(".yaml").rpartition("/")
            if group == "hydra/launcher":
                extra = option.partition("_")[0]
                return f"launcher: {option} comes with an extra; pip install 'cvae[{extra}]'"
            if not options:
                return f"{group or option}: no such configuration '{name}'"
            return f"{group}: no such option '{option}'{did_you_mean(option, options)}"
        case OverrideParseException(override=override):
            return f"'{override}' is not of the form key=value; quote values that hold = or , or ("
        case HydraException() if isinstance(cause, ValidationError):
            expected = inspect.formatannotation(get_type_hints(cause.object_type)[cause.key])
            return f"{cause.full_key}: expected {expected}, got {cause.value!r}"
        case HydraException() if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return f"{cause.full_key}: {_nearest_key(cause)}"
        case InstantiationException() if isinstance(cause, InputError):
            return str(cause)
        case InstantiationException() if isinstance(cause, ValueError | TypeError):
            return f"{str(error).rpartition('full_key: ')[2]}: {cause}"
        case MissingMandatoryValue():
            return f"{error.full_key}: required but missing; give {error.full_key}=VALUE"
        case HydraException() if str(error).startswith("Ambiguous value"):
            first_line, _, _ = str(error).partition("\n")
            return f"{first_line}; several values need -m, for a sweep"
        case HydraException() | OmegaConfBaseException() | MisconfigurationException():
            return str(error).partition("\n")[0]
        case OSError(errno=number, filename=filename, strerror=reason) if number in _FULL:
            way_out = "make room, and run it again (a training: with resume=RUN_DIR)"
            return f"{repr(filename) if filename else 'a file'}: {reason}; {way_out}"
        case OSError(filename=filename, strerror=reason) if filename and reason:
            return f"{filename!r}: {reason}"
        case ValueError() if (refused := _refused_by_hydra(error)) is not None:
            return f"{refused}: expected the name of an option, such as prior=gaussian"
    return None


def _nearest_key(cause: OmegaConfBaseException) -> str:
    node = cause.parent_node
    if isinstance(node, DictConfig) and "_target_" in node:
        taken, _ = arguments(resolve_name(node["_target_"]))
        if cause.key in taken:
            return f"not set by default; to add it, write +{cause.full_key}=VALUE"
    return f"no such key{did_you_mean(str(cause.key), [str(key) for key in node or {}])}"


def _refused_by_hydra(error: Exception) -> str | None:
    """Return the override that Hydra refused with a bare ValueError, as it does `prior=null`."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if not str(frame.f_globals.get("__name__")).startswith("hydra."):
        return None
    return str(getattr(frame.f_locals.get("override"), "input_line", error))
