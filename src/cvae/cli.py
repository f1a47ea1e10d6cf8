"""The commands: Hydra's main around a task, and errors told in one line.

A task is named, as Hydra names what it builds, and imported once there is something to do:
importing torch and Lightning takes seconds, and neither help nor completion should.
"""

import functools
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryFile
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from cvae.config import Config, check_root, find, plain, quoted
from cvae.errors import InputError
from cvae.schemas import SCHEMAS

USAGE_ERROR = 2
"""Exit status when the user's input cannot be used."""


def command(name: str, arguments: Callable[[list[str]], list[str]] = list) -> Callable[[], None]:
    """Return a console command.

    Args:
        name: Its options are in `conf/NAME.yaml`; its task is `cvae.NAME.run`, and takes the
            resolved configuration as plain data.
        arguments: Turns the command line's arguments into overrides.
    """

    def job(config: DictConfig) -> None:
        task: Callable[[Config], None] = resolve_name(f"cvae.{name}:run")
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _quiet()  # launchers start processes of their own
            task(plain(config))
            return
        with telling_errors(name):
            settings = plain(config)
            check_root(settings, SCHEMAS[name])
            task(settings)

    def main() -> None:
        # Hydra would report errors in several lines of its own; with this it lets them through.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        _quiet()
        signal.signal(signal.SIGTERM, _stop)
        with telling_errors(name):
            sys.argv[1:] = arguments(sys.argv[1:])
            _list_groups_at_once()
            hydra.main(version_base="1.3", config_path=str(find("conf")), config_name=name)(job)()

    return main


def _list_groups_at_once() -> None:
    # For its help Hydra lists 140 groups, and copies all it knows for each: a second of waiting.
    opened = ConfigLoaderImpl._parse_overrides_and_create_caching_repo
    plainly = functools.cache(lambda loader: opened(loader, None, []))

    def open_once(self: ConfigLoaderImpl, name: str | None, overrides: list[str]) -> Any:
        return opened(self, name, overrides) if name or overrides else plainly(self)

    ConfigLoaderImpl._parse_overrides_and_create_caching_repo = open_once  # type: ignore


def _quiet() -> None:
    # What talks; Lightning sets the levels of the loggers above it when it is imported.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning|torchmetrics")


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)  # as a shell says it; what is being written is put in order first


class CheckFirst(Callback):
    """Checks the configuration of a run before Hydra writes anything.

    Args:
        check: Raises an `InputError` unless the configuration can be run.
        command: Name of the command, for the message.
    """

    def __init__(self, check: Callable[[Config], None], command: str) -> None:
        self.check, self.command = check, command

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        from cvae.files import require_free  # only now, as help needs no locks

        try:
            with telling_errors(self.command):
                settings = plain(config)
                check_root(settings, SCHEMAS[self.command])
                self.check(settings)
                require_free(Path(config.hydra.run.dir), resuming=settings["resume"] is not None)
        except Exception:
            traceback.print_exc()  # Hydra would make a warning of it, and go on
            sys.exit(1)


def output_file(path: str, suffix: str) -> Path:
    """Return the path of a file that is going to be written, its folder made.

    Raises:
        InputError: If the name does not end in `suffix`, or is a folder's.
        OSError: If the folder cannot be made or written to.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() != suffix or file.is_dir():
        raise InputError(f"out: expected a file name ending in {suffix}, got '{path}'")
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=file.parent):  # refused now, rather than after the work
        return file


@contextmanager
def telling_errors(command: str) -> Iterator[None]:
    """Turn errors that the user can mend into one line on standard error and exit status 2."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has gone; Python would tell it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        from cvae.explain import explain  # which knows the errors of what takes seconds to import

        line = explain(error)
        if line is None:
            raise
        print(f"cvae-{command}: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(1 if isinstance(error, FloatingPointError) else USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _resumed(arguments: list[str]) -> list[str]:
    if not any(argument.startswith(("resume=", "sweep.resume=")) for argument in arguments):
        return arguments
    overrides: list[str] = resolve_name("cvae.train:resumed")(arguments)
    return overrides


def _folder_first(arguments: list[str]) -> list[str]:
    """Let `cvae-report DIR` mean `dir=DIR`."""
    if not arguments or "=" in arguments[0] or arguments[0].startswith("-"):
        return arguments
    return [f"dir={quoted(arguments[0])}", *arguments[1:]]


train = command("train", _resumed)
sample = command("sample")
evaluate = command("evaluate")
report = command("report", _folder_first)
export = command("export")
