"""Settings by keyword, as the commands take them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from threading import Lock
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from cvae.config.command_line import MAY_BE_NULL, is_group
from cvae.config.compose import Config, resolved, written
from cvae.config.explain_errors import explain
from cvae.config.natural_names import meant
from cvae.config.options import options, root, settings_of
from cvae.errors import ArgumentError, InputError

_composing = Lock()  # Hydra has one state for the whole process


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let an `ArgumentError`, which is for the program itself, be the `InputError` of users."""
    try:
        yield
    except ArgumentError as error:
        raise InputError(str(error)) from error.__cause__


def composed(command: str, overrides: list[str]) -> Config:
    """Return the configuration that a command and these overrides give, resolved.

    Raises:
        InputError: If a setting or its value cannot be used.
    """
    try:
        with _composing:
            return resolved(command, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error, command)) from None  # whose own words say it all


def overrides_of(settings: Mapping[str, Any]) -> list[str]:
    """Return settings by keyword as the overrides of `cvae-train`.

    Raises:
        InputError: If a key is none of its settings, or may be several.
    """
    found = []
    for name, value in settings.items():
        own = _of_own_class(name, settings)
        if isinstance(value, type):
            found.append(f"{name}._target_={_path_of(name, value)}")
        elif is_group(name) and value is None:
            if name not in MAY_BE_NULL:
                raise InputError(f"{name}: expected one of {', '.join(options(name))}; got None")
            found.append(f"{name}=[]")  # as Hydra writes that there is none
        elif is_group(name) and not isinstance(value, str | Sequence):
            raise InputError(
                f"{name}: expected the name of an option, or a class, which this program builds; "
                f"got an object, {type(value).__name__}"
            )
        else:
            key = own or _whole_name(name, settings)
            found.append(f"{'++' if own else ''}{key}={written_value(name, value)}")
    return found


def _path_of(name: str, cls: type) -> str:
    if "<locals>" in cls.__qualname__:
        raise InputError(
            f"{name}: {cls.__name__} is defined inside a function; define it outside, where the "
            "run's commands can find it"
        )
    return f"{cls.__module__}.{cls.__qualname__}"


def _of_own_class(name: str, settings: Mapping[str, Any]) -> str | None:
    """Return the whole name of a setting that a class of the user's own, and no group, takes."""
    if is_group(name):
        return None
    given = {group: one for group, one in settings.items() if isinstance(one, type)}
    for group, cls in given.items():
        takes = signature(cls).parameters
        if is_group(group) and name.removeprefix(f"{group}.").partition(".")[0] in takes:
            return f"{group}.{name.removeprefix(f'{group}.')}"
    return None


def _whole_name(name: str, settings: Mapping[str, Any]) -> str:
    """Return a setting's whole name; its last word is enough where one chosen option has it."""
    known, default = settings_of("train"), root("train").chosen
    if is_group(name) or name in known or "." in name:
        return name
    found = [key for key in known if key.endswith(f".{name}")]
    for key in list(found):
        group = key.partition(".")[0]
        option = settings.get(group, default[group].default if group in default else None)
        if len(found) > 1 and option not in known[key]:
            found.remove(key)
    if len(found) == 1:
        return found[0]
    if found:
        ways = " or ".join(f"**{{'{key}': ...}}" for key in found)
        raise InputError(f"{name}: several settings end so; say which, {ways}")
    raise InputError(f"{name}: no such setting{meant(name, '...', 'train')}")


def written_value(name: str, value: Any) -> str:
    """Return a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, str | Path):
        return written(str(value))
    if isinstance(value, Mapping):
        parts = [f"{key}: {written_value(name, part)}" for key, part in value.items()]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, Sequence):
        return f"[{','.join(written_value(name, part) for part in value)}]"
    if getattr(value, "ndim", None) == 0:  # of numpy, or torch
        value = value.item()
    if not isinstance(value, int | float):
        raise InputError(
            f"{name}: expected a number, text, a list, a mapping or None, got "
            f"{type(value).__name__}"
        )
    return str(value)
