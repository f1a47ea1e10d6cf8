"""What resuming a run takes from its folder, and what it refuses."""

import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from cvae.config.command_line import separated, short
from cvae.config.compose import PLACES, Config, find, given_value, quoted
from cvae.data.base import PairData
from cvae.errors import InputError
from cvae.store.allowed import is_allowed
from cvae.store.checkpoint import Stored
from cvae.store.newest import newest
from cvae.store.plain_files import read_list, read_yaml
from cvae.store.run_folder import RunFolder
from cvae.store.settings import NOT_COMPARED, OF_THE_MACHINE, first_difference

_FREE = (
    *("resume", "allow", "trainer", "logger", *NOT_COMPARED),
    *("callbacks.last", "callbacks.early_stopping.patience", "refit"),
)
"""Settings that a resumed run may change."""
_PAGE = 3000


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
    if folder.path.is_file():
        raise InputError(f"resume: '{place}' is a file; expected the folder of its run")
    folder.require_own()
    if not folder.overrides.is_file():
        raise InputError(
            f"resume: '{folder.path}' is not the folder of a run; expected one that cvae-train "
            "wrote"
        )
    overrides, flags = separated(arguments)
    started = [
        a for a in read_list(folder.overrides) if not re.match(r"\+{0,2}(sweep\.)?resume=", a)
    ]
    if any(a.startswith("refit=") for a in overrides):  # another one, with settings of its own
        started = [a for a in started if not a.startswith("refit")]
    require_safe_overrides(started, overrides, folder.path)
    require_flags(flags_of(folder.hydra), flags, folder.path)
    # What is added or deleted can be so only once.
    added = {key_of(a) for a in overrides if re.match(r"\+[^+]", a)}
    started = [a for a in started if a not in overrides and key_of(a) not in added]
    started = [_changeable(a) for a in started]
    stored = newest(folder)
    if stored is not None:
        data = stored.config["data"]
        as_trained = [f"data.{key}={quoted(data[key])}" for key in PLACES if key in data]
        as_trained += [f"seed={quoted(stored.config['seed'])}"]  # which it may have drawn
        if "download" in data and not _gives_root(overrides):  # into a folder that the file names
            as_trained += ["data.download=false"]
        require_safe_overrides(as_trained, overrides, folder.path)
        started += as_trained
    require_present_data(started, arguments, folder.path)
    # A job of a sweep is resumed by itself.
    where = [f"++resume={quoted(folder.path)}", f"hydra.run.dir={quoted(folder.path)}"]
    return [*started, *overrides, *where, "hydra.mode=RUN", *flags]


def command_to_resume(folder: RunFolder) -> str:
    """Return the line for a shell that resumes a run.

    It repeats what a run resumes with only if the call repeats it.
    """
    started = read_list(folder.overrides) if folder.overrides.is_file() else []
    repeated = [a for a in started if not is_safe(a)]
    flags = flags_of(folder.hydra)
    return shlex.join(["cvae-train", f"resume={short(folder.path)}", *repeated, *flags])


def key_of(override: str) -> str:
    """Return what an override sets."""
    return override.partition("=")[0].lstrip("+")


def _changeable(override: str) -> str:
    """Return an override with ++ in the place of +, so that what was added may be changed.

    Options of groups can only be added.
    """
    key, _, value = override.partition("=")
    group = key.removeprefix("+")
    is_option = "@" in key or "/" in key or (find("conf") / group / f"{value}.yaml").is_file()
    return f"+{override}" if re.match(r"\+[^+]", override) and not is_option else override


def flags_of(file: Path) -> list[str]:
    """Return the flags, by which files of the user's own were read, of Hydra's settings in a file.

    None where it is missing or damaged: flags serve a message alone.
    """
    try:
        hydra = read_yaml(file)["hydra"]
        sources, name = hydra["runtime"]["config_sources"], hydra["job"]["config_name"]
        flags = [f"--config-dir={s['path']}" for s in sources if s["provider"] == "command-line"]
    except (OSError, InputError, KeyError, TypeError):
        return []
    return flags if name == "train" else [*flags, f"--config-name={name}"]


def require_flags(stored: Sequence[str], given: Sequence[str], folder: Path) -> None:
    """Refuse to resume without the flags that chose the configuration's files.

    A folder may come from a stranger: which files are read is said by the call alone.

    Args:
        stored: The flags that a run or a sweep was started with.
        given: Those of the call.
        folder: The folder, for the message.

    Raises:
        InputError: Naming the first that is missing.
    """
    for flag in stored:
        name, _, value = flag.partition("=")
        if not any(other.startswith(f"{name}=") for other in given):
            raise InputError(
                f"'{folder}' was started with {name} {shlex.quote(value)}, whose files it needs; "
                "if you trust them, repeat that in the call"
            )


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
    unsafe = [override for override in stored if override not in given and not is_safe(override)]
    if unsafe:
        listed = shown(unsafe, "', '")
        raise InputError(
            f"'{folder}' was started with '{listed}', by which a folder could run code of its own; "
            "if you trust it, repeat that in the call"
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
            f"'{folder}' was started with '{shown(roots[-1:])}', a folder that is not here; give "
            "data.root=DIR, or repeat that in the call to have it made"
        )


def shown(overrides: Sequence[str], between: str = " ") -> str:
    """Return overrides in a line, without what a terminal would obey, and no longer than a page."""
    line = between.join(overrides)[:_PAGE]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _gives_root(arguments: Sequence[str]) -> bool:
    return any(argument.lstrip("+").startswith("data.root=") for argument in arguments)


def _is_present(value: str) -> bool:
    value = re.sub(r"\$\{oc\.env:(\w+)\}", lambda name: os.environ.get(name[1], ""), value)
    places = [value.strip("'\"")] if value[:1] in ("'", '"') else value.split(",")
    return all(Path(place).expanduser().is_dir() for place in places)


def is_safe(override: str) -> bool:
    """Whether an override may be taken from a stranger's folder, as `require_safe_overrides`."""
    key, _, value = override.partition("=")
    name = re.sub(r"^(\+\+?|~)", "", key)
    is_place = name in ("data.root", "data.path")
    value = re.sub(r"\$\{oc\.env:\w+\}", "", value) if is_place else value
    # GROUP@PACKAGE=OPTION puts an option elsewhere.
    if not re.fullmatch(r"\w+([./]\w+)*(@\w+(\.\w+)*)?", name) or "$" in value:
        return False
    if name == "allow" or "hydra" in re.split(r"[./@]", name):
        return False
    if name.partition("@")[0] == "launcher":
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
    if wanted is not None and 0 <= wanted < epochs:
        raise InputError(f"trainer.max_epochs: the run already has {epochs} epochs, got {wanted}")
    seed = ("seed",) if config["seed"] is None else ()  # the one that was drawn
    found = first_difference(stored.config, config, (*_FREE, *OF_THE_MACHINE, *seed))
    if found is not None:
        name, before, now = found
        raise InputError(
            f"{name}: a resumed run keeps its own, {before}, but would get {now}; only "
            f"{', '.join(_FREE[2:])} may change, so start a new run"
        )


def was_trained_on(stored: Stored, data: Callable[..., PairData]) -> bool:
    """Return whether a run was trained on the data that a builder gives."""
    try:
        as_trained = data()
        as_trained.prepare_data()
        as_trained.setup("fit")
    except InputError:  # too few to be split, as those of the run were
        return False
    return bool(as_trained.checksum == stored.about.get("data_checksum"))


def require_same_data(stored: Stored, checksum: int) -> None:
    """Refuse data that were altered since the run was started.

    The splits of other data are other ones: test items may have been trained on.

    Args:
        stored: A checkpoint of the run.
        checksum: That of the data now.

    Raises:
        InputError: If they differ.
    """
    before = stored.about.get("data_checksum", checksum)
    if not isinstance(before, int):
        raise InputError(f"checkpoint: '{stored.path}' is damaged (its data_checksum)")
    if before != checksum:
        raise InputError(
            f"data: the targets, labels or conditions are not those that the run was started with "
            f"(their checksum was {before:08x} and is {checksum:08x}); bring the old ones back "
            "(data.path=FILE or data.root=DIR says where they are), or start a new run; "
            "cvae-evaluate takes other data by data.split=all"
        )
