"""Resuming a sweep: the same command, in the same folder."""

import shlex
from pathlib import Path

from hydra.core.override_parser.types import ChoiceSweep, QuotedString

from cvae.config.command_line import separated, short
from cvae.config.compose import DATA_PLACES, given_value, parsed_overrides, quoted
from cvae.errors import InputError
from cvae.files import LOCK, require_own
from cvae.store.plain_files import read_yaml
from cvae.store.resume_arguments import (
    flags_of,
    is_safe,
    require_flags,
    require_present_data,
    require_safe_overrides,
)
from cvae.store.settings import NOT_COMPARED

PLAN = "multirun.yaml"
"""The file in a sweep's folder that says what it was asked for."""
JOURNAL = "study.journal"
"""The file in it that holds what a search has learned."""

_OF_A_RESUME = ("hydra.mode=", "hydra.sweep.dir=", "sweep.resume=")
"""How the overrides begin that say which sweep is resumed."""
FREE = (*NOT_COMPARED, "search.trials", "launcher", "parallel", "threads")
"""Settings that a resumed sweep may change."""


def with_sweep_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments of a resumed sweep: those it was started with, some of them changed.

    They are returned as they are where no sweep is resumed.

    Raises:
        InputError: If `sweep.resume=` names a folder that is not a sweep's, or other settings are
            given than those that the sweep was started with.
    """
    place = given_value(arguments, "sweep.resume")
    if not place:
        return arguments
    given = [a for a in arguments if not a.lstrip("+").startswith("sweep.resume=")]
    folder = Path(place).expanduser().absolute()
    require_own_sweep(folder)
    if not (folder / PLAN).is_file():
        raise InputError(
            f"sweep.resume: '{folder}' is not the folder of a sweep; "
            f"expected one with the {PLAN} that cvae-train -m wrote"
        )
    try:
        plan = read_yaml(folder / PLAN)["hydra"]
        first = [str(a) for kind in ("hydra", "task") for a in plan["overrides"][kind]]
        start = Path(plan["runtime"]["cwd"])
    except (KeyError, TypeError) as error:
        reason = (str(error).splitlines() or ["empty"])[0]
        raise InputError(f"sweep.resume: '{folder / PLAN}' is damaged ({reason})") from error
    first = [_from(start, a) for a in first if not a.startswith(_OF_A_RESUME)]
    given, flags = separated(given)
    require_safe_overrides(first, given, folder)
    require_present_data(first, given, folder)
    require_flags(flags_of(folder / PLAN), flags, folder)
    if any(flag.startswith("--cfg=") for flag in flags):
        raise InputError(
            f"--cfg: it shows the settings of one run; those of the sweep are in '{folder / PLAN}'"
        )
    given = [a for a in given if not a.startswith(_OF_A_RESUME)]
    given = [a for a in given if a not in first and _from(start, a) not in first]
    names = tuple(f"{name}{end}" for name in FREE for end in ".=")
    for argument in given:
        if not argument.lstrip("+").startswith((*names, "hydra")):
            raise InputError(
                f"sweep.resume: a sweep keeps its own settings, {' '.join(first)}, but would get "
                f"{argument}; only {', '.join(FREE)} may change, "
                "so start a new sweep"
            )
    now = {a.partition("=")[0]: a for a in given}
    kept = [now.pop(a.partition("=")[0], a) for a in first]
    return [
        *kept,
        *now.values(),
        f"hydra.sweep.dir={quoted(folder)}",
        f"sweep.resume={quoted(folder)}",
        "--multirun",
        *[flag for flag in flags if flag != "--multirun"],
    ]


def require_own_sweep(folder: Path) -> None:
    """Refuse a sweep's folder if a link or a pipe is where a sweep writes or reads.

    Its jobs' folders are looked at when the jobs are planned.

    Raises:
        InputError: Naming the first.
    """
    require_own(folder, folder / PLAN, folder / JOURNAL, folder / LOCK, *folder.glob(".gpu*.lock"))
    logs = folder / ".submitit"  # which submitit keeps links of its own in
    if logs.is_symlink():
        require_own(folder, logs)


def command_to_resume(folder: Path) -> str:
    """Return the line for a shell that resumes a sweep.

    It repeats what a sweep resumes with only if the call repeats it.
    """
    plan = read_yaml(folder / PLAN)["hydra"]
    first = [a for kind in ("hydra", "task") for a in plan["overrides"][kind]]
    repeated = [a for a in first if not (a.startswith(_OF_A_RESUME) or is_safe(a))]
    flags = flags_of(folder / PLAN)
    return shlex.join(["cvae-train", f"sweep.resume={short(folder)}", *repeated, *flags])


def _from(start: Path, argument: str) -> str:
    """Return the argument with a path that it gives made absolute."""
    key, _, value = argument.partition("=")
    if key not in DATA_PLACES or "$" in value:
        return argument
    (override,) = parsed_overrides([argument])
    found = override.value()
    if override.is_sweep_override() and not isinstance(found, ChoiceSweep):
        return argument
    places = found.list if isinstance(found, ChoiceSweep) else [found]
    words = [place.text if isinstance(place, QuotedString) else str(place) for place in places]
    return f"{key}={','.join(quoted(start / Path(word).expanduser()) for word in words)}"
