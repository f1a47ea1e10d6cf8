"""What the commands share: Hydra's main around a task, and errors told in one line."""

import functools
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from cvae.config import Config, check_root, find
from cvae.errors import InputError
from cvae.explain import explain
from cvae.metrics.latent import latent_verdict
from cvae.module import CVAE, KL_PER_DIMENSION
from cvae.schemas import SCHEMAS

USAGE_ERROR = 2
"""Exit status when the user's input cannot be used."""


COMPARE = {
    "mass": "of a mass over binary pixels: compare with masses of the same images alone",
    "density": "of a density over pixels: compare with densities of the same images alone",
    "cross_entropy": "of a cross-entropy on grey pixels, which bounds the expected log-likelihood "
    "of binarised images, and is none of grey ones; an evaluation's nll is of binarised ones",
}
"""What the nats may be compared with, by what they are of."""


def command(config_name: str) -> Callable[[Callable[[Config], None]], Callable[[], None]]:
    """Make a console command of a task that takes the resolved configuration as plain data.

    Args:
        config_name: The file in `conf/` that the command's options are in.
    """

    def decorate(task: Callable[[Config], None]) -> Callable[[], None]:
        def job(config: DictConfig) -> None:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                _quiet()  # launchers start processes of their own
                task(plain(config))
                return
            with telling_errors(config_name):
                settings = plain(config)
                check_root(settings, SCHEMAS[config_name])
                task(settings)

        @functools.wraps(task)
        def main() -> None:
            # Hydra would report errors in several lines of its own; with this it lets them through.
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")
            _quiet()
            signal.signal(signal.SIGTERM, _stop)
            with telling_errors(config_name):
                hydra.main(
                    version_base="1.3", config_path=str(find("conf")), config_name=config_name
                )(job)()

        return main

    return decorate


def _quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
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
        try:
            with telling_errors(self.command):
                settings = plain(config)
                check_root(settings, SCHEMAS[self.command])
                self.check(settings)
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


def show(metrics: Mapping[str, float], model: CVAE) -> None:
    """Print the metrics of a model's test split as a table, and what has to be said of them."""
    nats_of = model.generator.likelihood.nats_of
    table = Table(
        "metric", "value", title="test split", caption=f"nats per image, {COMPARE[nats_of]}"
    )
    table.columns[1].justify = "right"
    part = "test"
    kl = [value for name, value in metrics.items() if name.startswith(KL_PER_DIMENSION)]
    for name, value in metrics.items():
        if name.startswith(KL_PER_DIMENSION):
            continue
        if name.rpartition("/")[0] != part:
            part = name.rpartition("/")[0]
            table.add_section()
        table.add_row(name, _formatted(name, value))
        if name == "test/kl" and kl:
            spread = f"{max(kl):.2f} / {median(kl):.2f} / {min(kl):.2f}"
            table.add_row("  of one dimension: most / median / least", spread)
    Console().print(table)
    latent_dim = model.generator.latent_dim
    verdict = latent_verdict(metrics["test/kl"], int(metrics["test/active_units"]), latent_dim)
    if verdict is not None:
        print(verdict)


def _formatted(name: str, value: float) -> str:
    match name.partition("/")[0]:
        case "judge" | "consistency":
            return f"{value:.2%}"
        case "distance" | "references" | "references_redrawn" if isinstance(value, float):
            return f"{value:.4f}"
    return f"{value:.2f}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"


@contextmanager
def telling(part: str, way_out: str = "") -> Iterator[None]:
    """Name the part of the configuration that could not be built."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise InputError(f"{part}: {error}{way_out}") from error


def require_precision(trainer: Trainer) -> None:
    """Raise an `InputError` for a precision that weights and losses are not kept in."""
    if trainer.precision not in ("32-true", "bf16-mixed", "16-mixed"):
        raise InputError(
            f"trainer.precision: expected 32-true, bf16-mixed or 16-mixed, got {trainer.precision}"
        )


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
        sys.exit(1 if isinstance(error, FloatingPointError) else USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
