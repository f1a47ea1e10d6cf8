"""Training from Python: the configuration of `cvae-train`, by keyword."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from inspect import signature
from pathlib import Path
from threading import Lock
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from cvae.api.given_data import options_of
from cvae.api.run import Run
from cvae.config.command_line import MAY_BE_NULL, is_group
from cvae.config.compose import Config, quoted, resolved
from cvae.config.explain_errors import explain
from cvae.config.natural_names import meant
from cvae.config.options import options, root, settings_of
from cvae.errors import InputError
from cvae.files import hold_for_run, let_go, write_whole
from cvae.store.run_folder import RunFolder
from cvae.training.fit import fit
from cvae.training.prepare import prepare
from cvae.training.quiet import without_lightning_s_talk

_composing = Lock()  # Hydra has one state for the whole process


def train(
    data: Any = "digits",
    *,
    x: Sequence[str] = (),
    y: Sequence[str] = (),
    kind: str | None = None,
    folder: str | Path | None = None,
    progress: bool = False,
    **settings: Any,
) -> Run:
    """Train a model, and return its run: a folder like those of `cvae-train`.

    Args:
        data: The name of an option of `data`, such as "mnist"; a file or a folder of your own; or
            data in memory: a pair of arrays or tensors (x, y), or y alone; a data frame; a torch
            `Dataset` of pairs (x, y); a `LightningDataModule` whose batches are such pairs. x may
            be a mapping of several arrays by name. Data in memory are written to the run's folder,
            where every command finds them.
        x: Columns of a data frame, or of a table's file, that are x.
        y: Those that are y.
        kind: What y is, as an option of `data`, such as "vectors" or "sequences", where its values
            leave a doubt.
        folder: The run's folder; None is a new one in `outputs`, named after the time.
        progress: Whether to show a progress bar.
        **settings: Options of groups, and settings, by the names that `cvae-train` has for them:
            `prior="vamp"`, `latent_dim=8`. A setting that lies deeper is known by its last word
            where only one place has it, `max_epochs=20`, and by its whole name in any case,
            `**{"prior.components": 50}`. A class of your own takes the place of an option:
            `network=MyNetwork`.

    Raises:
        InputError: If a setting or the data cannot be used; nothing is left in the folder.
        FloatingPointError: If the training diverges.
    """
    chosen = overrides_of(settings)
    place = Path(folder).expanduser().absolute() if folder else _new_folder()
    files = RunFolder(place)
    files.require_own()
    is_new = not place.exists()
    hold_for_run(place, resuming=False)
    try:
        with without_lightning_s_talk():
            try:
                overrides = [*options_of(data, x, y, kind, place), *chosen]
                config = _composed(overrides)
                prepared = prepare(config)
            except BaseException:
                if is_new:
                    shutil.rmtree(place)
                raise
            files.overrides.parent.mkdir(exist_ok=True)
            write_whole(files.overrides, yaml.safe_dump(overrides))
            fit(prepared, place, show_progress=progress)
    finally:
        let_go(place)
    return Run(place, allow=config["allow"])


def _composed(overrides: list[str]) -> Config:
    try:
        with _composing:
            return resolved("train", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from None  # whose own words say it all


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
            found.append(f"{'++' if own else ''}{key}={_written(name, value)}")
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


def _written(name: str, value: Any) -> str:
    """Return a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, str | Path):
        return quoted(value)
    if isinstance(value, Mapping):
        parts = [f"{key}: {_written(name, part)}" for key, part in value.items()]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, Sequence):
        return f"[{','.join(_written(name, part) for part in value)}]"
    if getattr(value, "ndim", None) == 0:  # of numpy, or torch
        value = value.item()
    if not isinstance(value, int | float):
        raise InputError(
            f"{name}: expected a number, text, a list, a mapping or None, got "
            f"{type(value).__name__}"
        )
    return str(value)


def _new_folder() -> Path:
    now = datetime.now()
    return Path("outputs").absolute() / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S-%f}"
