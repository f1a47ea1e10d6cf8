"""What resuming a run takes from its folder, and what it refuses."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cvae.config.compose import PLACES, Config, given_value, quoted
from cvae.errors import InputError
from cvae.runs.allowed import is_allowed
from cvae.runs.checkpoint import Stored, newest
from cvae.runs.plain_files import read_list
from cvae.runs.run_folder import RunFolder

_PATIENCE = "callbacks.early_stopping.patience"
_FREE = (
    *("resume", "allow", "trainer", "logger", "data.root", "data.path", "data.download"),
    *("callbacks.last", _PATIENCE, "refit"),
)
"""Settings that a resumed run may change."""
_PAGE = 3000
OF_THE_MACHINE = ("threads", "compile", "parallel", "search", "sweep", "launcher")
"""Settings that say how jobs are run, and not what they are."""


def with_run_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments of a resumed run: those it was started with, then the new ones.

    They are returned as they are where no run is resumed.

    Raises:
        InputError: If `resume=` names a folder that is not a run's, or whose options a stranger's
            folder may not choose.
    """
    place = given_value(arguments, "resume")
    if not place:
        return arguments
    folder = RunFolder(Path(place).expanduser().absolute())
    folder.require_own()
    if not folder.overrides.is_file():
        raise InputError(
            f"resume: '{folder.path}' is not the folder of a run; expected one that cvae-train "
            "wrote"
        )
    started = [
        a for a in read_list(folder.overrides) if not re.match(r"\+{0,2}(sweep\.)?resume=", a)
    ]
    if any(a.startswith("refit=") for a in arguments):  # another one, with settings of its own
        started = [a for a in started if not a.startswith("refit")]
    require_safe_overrides(started, arguments, folder.path)
    # With ++ in the place of +, what was added may be changed.
    started = [f"+{a}" if re.match(r"\+[^+]", a) else a for a in started]
    stored = newest(folder)
    if stored is not None:
        data = stored.config["data"]
        as_trained = [f"data.{key}={quoted(data[key])}" for key in PLACES if key in data]
        as_trained += [f"seed={quoted(stored.config['seed'])}"]  # which it may have drawn
        if "download" in data and not _gives_root(arguments):  # into a folder that the file names
            as_trained += ["data.download=false"]
        require_safe_overrides(as_trained, arguments, folder.path)
        started += as_trained
    require_present_data(started, arguments, folder.path)
    # A job of a sweep is resumed by itself.
    where = [f"++resume={quoted(folder.path)}", f"hydra.run.dir={quoted(folder.path)}"]
    return [*started, *arguments, *where, "hydra.mode=RUN"]


def require_safe_overrides(stored: list[str], given: list[str], folder: Path) -> None:
    """Refuse the overrides that a folder holds if they could run code of the folder's own.

    A folder may come from a stranger. The name of an option and a plain value are safe. An override
    that names a class, another file, a package, an interpolation or a setting of Hydra is taken
    only if the call repeats it, and so is a launcher that reads what the folder holds.

    Args:
        stored: The overrides that the folder holds.
        given: Those of the call.
        folder: The folder, for the message.

    Raises:
        InputError: Naming those that are refused, so that they are seen before they are trusted.
    """
    unsafe = [override for override in stored if override not in given and not _is_safe(override)]
    if unsafe:
        raise InputError(
            f"'{folder}' was started with '{_listed(unsafe)}', by which a folder could run code of "
            "its own; if you trust it, repeat that in the call"
        )


def require_present_data(stored: Sequence[str], given: Sequence[str], folder: Path) -> None:
    """Refuse a folder of data that would be made because a stranger's folder names it.

    Args:
        stored: The overrides that the stranger's folder holds; the last ones count.
        given: Those of the call.
        folder: The stranger's folder, for the message.

    Raises:
        InputError: If it is not there, and the call gives none.
    """
    roots = [override for override in stored if override.lstrip("+").startswith("data.root=")]
    if roots and not _gives_root(given) and not _is_present(roots[-1].partition("=")[2]):
        raise InputError(
            f"'{folder}' was started with '{_listed(roots[-1:])}', a folder that is not here; give "
            "data.root=DIR, or repeat that in the call to have it made"
        )


def shown(overrides: Sequence[str], between: str = " ") -> str:
    """Return overrides in a line, without what a terminal would obey, and no longer than a page."""
    line = between.join(overrides)[:_PAGE]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _listed(overrides: Sequence[str]) -> str:
    return shown(overrides, "', '")


def _gives_root(arguments: Sequence[str]) -> bool:
    return any(argument.lstrip("+").startswith("data.root=") for argument in arguments)


def _is_present(value: str) -> bool:
    value = re.sub(r"\$\{oc\.env:(\w+)\}", lambda name: os.environ.get(name[1], ""), value)
    places = [value.strip("'\"")] if value[:1] in ("'", '"') else value.split(",")
    return all(Path(place).expanduser().is_dir() for place in places)


def _is_safe(override: str) -> bool:
    key, _, value = override.partition("=")
    name = key.lstrip("+~")
    is_place = name in ("data.root", "data.path")
    value = re.sub(r"\$\{oc\.env:\w+\}", "", value) if is_place else value
    if not re.fullmatch(r"(\+\+?|~)?\w+(\.\w+)*", key) or "$" in value:
        return False
    if name == "allow" or name.partition(".")[0] == "hydra":
        return False
    if name == "launcher":
        return value in ("basic", "joblib")  # others open what they find in the folder
    if name.endswith("._target_"):
        return all(_is_known_class(target) for target in value.split(","))
    reaches_files = re.search(r"[/\\]|\.\.", value) is not None and not is_place
    return "_target_" not in override and not reaches_files


def _is_known_class(target: str) -> bool:
    try:
        return is_allowed(target, ["torch.optim"])
    except (ImportError, AttributeError, ValueError):
        return False


def require_same_settings(config: Config, stored: Stored) -> None:
    """Refuse settings that the state in the checkpoint would silently override.

    Args:
        config: The resolved configuration of the resumed run.
        stored: The checkpoint that it resumes from.

    Raises:
        InputError: Naming the first setting that differs from the run's own.
    """
    epochs, wanted = stored.contents["epoch"] + 1, config["trainer"]["max_epochs"]
    if 0 <= wanted < epochs:
        raise InputError(f"trainer.max_epochs: the run already has {epochs} epochs, got {wanted}")
    before, now = _flat(stored.config), _flat(config)
    for name in {**before, **now}:
        if name.startswith((*_FREE, *OF_THE_MACHINE)) or before.get(name) == now.get(name):
            continue
        if name == "seed" and now[name] is None:  # the one that was drawn
            continue
        raise InputError(
            f"{name}: a resumed run keeps its own, {before.get(name)}, but would get "
            f"{now.get(name)}; only {', '.join(_FREE[2:])} may change, so start a new run"
        )


def require_same_data(stored: Stored, checksum: int) -> None:
    """Refuse to resume on data that were altered since the run was started.

    Args:
        stored: The checkpoint that the run resumes from.
        checksum: That of the data now.

    Raises:
        InputError: If they differ.
    """
    before = stored.about.get("data_checksum", checksum)
    if before != checksum:
        raise InputError(
            f"data: the images, labels or conditions are not those that the run was started with "
            f"(their checksum was {before:08x} and is {checksum:08x}); bring the old ones back, or "
            "start a new run"
        )


def _flat(config: Config, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found
