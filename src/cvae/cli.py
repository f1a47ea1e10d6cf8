"""What the commands share: Hydra's main around a task, and errors told in one line."""

import functools
import inspect
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any, get_type_hints

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError
from rich.console import Console
from rich.table import Table

from cvae.config import Config, arguments, find
from cvae.errors import InputError, did_you_mean

USAGE_ERROR = 2
"""Exit status when the user's input cannot be used."""


def command(config_name: str) -> Callable[[Callable[[Config], None]], Callable[[], None]]:
    """Make a console command of a task that takes the resolved configuration as plain data.

    Args:
        config_name: The file in `conf/` that the command's options are in.
    """

    def decorate(task: Callable[[Config], None]) -> Callable[[], None]:
        def job(config: DictConfig) -> None:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                task(plain(config))  # a failed job must not end the sweep
            else:
                with telling_errors(config_name):
                    task(plain(config))

        @functools.wraps(task)
        def main() -> None:
            # Hydra would report errors in several lines of its own; with this it lets them through.
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")
            logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
            warnings.filterwarnings("ignore", module="lightning")
            with telling_errors(config_name):
                hydra.main(
                    version_base="1.3", config_path=str(find("conf")), config_name=config_name
                )(job)()

        return main

    return decorate


class CheckFirst(Callback):
    """Checks the configuration of a run, or of every job of a sweep, before Hydra writes anything.

    Args:
        check: Raises an `InputError` unless the configuration can be run.
        command: Name of the command, for the message.
    """

    def __init__(self, check: Callable[[Config], None], command: str) -> None:
        self.check, self.command = check, command

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with telling_errors(self.command):
            self.check(plain(config))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        loader = GlobalHydra.instance().config_loader()
        with telling_errors(self.command):
            overrides = OverridesParser.create(config_loader=loader).parse_overrides(
                list(config.hydra.overrides.task)
            )
            for job in BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]:
                self.check(plain(loader.load_sweep_config(config, job)))


def show(metrics: Mapping[str, float]) -> None:
    """Print the metrics of the test split as a table."""
    table = Table("metric", "value", title="test split, nats per image")
    table.columns[1].justify = "right"
    for name, value in metrics.items():
        table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def plain(config: DictConfig) -> Config:
    """Return the configuration resolved, as dicts, lists, numbers and strings, without Hydra's."""
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    contents = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(contents, dict)
    return {str(key): value for key, value in contents.items()}


@contextmanager
def telling_errors(command: str) -> Iterator[None]:
    """Turn errors that the user can mend into one line on standard error and exit status 2."""
    try:
        yield
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        print(f"cvae-{command}: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def explain(error: Exception) -> str | None:
    """Return what was wrong and how to mend it, or None for an error that is not the user's."""
    cause = error.__cause__
    match error:
        case InputError():
            return str(error)
        case MissingConfigException(missing_cfg_file=str(name), options=options):
            group, _, option = name.removesuffix(".yaml").rpartition("/")
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
        case HydraException() | OmegaConfBaseException() | MisconfigurationException():
            return str(error).partition("\n")[0]
        case OSError(filename=filename, strerror=reason) if filename and reason:
            return f"'{filename}': {reason}"
        case ValueError() if _raised_by_hydra(error):
            return str(error)
    return None


def _nearest_key(cause: OmegaConfBaseException) -> str:
    node = cause.parent_node
    if isinstance(node, DictConfig) and "_target_" in node:
        taken, _ = arguments(resolve_name(node["_target_"]))
        if cause.key in taken:
            return f"not set by default; to add it, write +{cause.full_key}=VALUE"
    return f"no such key{did_you_mean(str(cause.key), [str(key) for key in node or {}])}"


def _raised_by_hydra(error: Exception) -> bool:
    """Whether Hydra refused an override with a bare ValueError, as it does for `prior=null`."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("hydra.")
