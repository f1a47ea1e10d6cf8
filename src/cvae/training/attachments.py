"""The callbacks and the loggers of a run, checked before it starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger

from cvae.config.building import instantiated, naming
from cvae.config.compose import Config
from cvae.errors import InputError, did_you_mean
from cvae.store.plain_files import read_json
from cvae.store.run_folder import RunFolder
from cvae.training.checkpointing import BestCheckpoint, LastCheckpoint
from cvae.training.module import TrainingModule

_KNOWN = ("cvae.", "lightning.")
"""Packages whose callbacks log nothing that could be monitored."""
_EXTRAS = ("wandb", "mlflow")
"""Loggers whose packages are extras of the same names."""
_TENSORBOARD = {"tensorboard": {"_target_": "cvae.training.loggers.TensorBoard", "_partial_": True}}
_CHECKPOINTS = {"best": BestCheckpoint, "last": LastCheckpoint}


def build_callbacks(config: Config) -> dict[str, Any]:
    """Return the callbacks of a configuration by name; one that is null is left out.

    Raises:
        InputError: If one is no callback, or writes other checkpoints than the run itself.
    """
    found = {}
    for name, node in config["callbacks"].items():
        if node is None:
            continue
        part = _built(node, f"callbacks.{name}", Callback)
        if isinstance(part, Checkpoint) and not isinstance(part, _CHECKPOINTS.get(name, ())):
            raise InputError(
                f"callbacks.{name}: a run writes its own checkpoints, callbacks.best and "
                f"callbacks.last, and no others; leave the {type(part).__name__} out"
            )
        found[name] = part
    if not all(isinstance(found.get(name), kind) for name, kind in _CHECKPOINTS.items()):
        raise InputError(
            "callbacks: best and last write the checkpoints that a run is made of; keep them"
        )
    return found


def require_monitors(callbacks: Mapping[str, Callback], model: TrainingModule) -> None:
    """Refuse callbacks that go by what is not logged, or take the worst for the best.

    Raises:
        InputError: Naming the callback's setting.
    """
    if not all(type(part).__module__.startswith(_KNOWN) for part in callbacks.values()):
        return  # one of the user's own may log anything
    known = model.logged()
    for name, part in callbacks.items():
        monitor, mode = getattr(part, "monitor", None), getattr(part, "mode", None)
        if not isinstance(monitor, str):
            continue
        if monitor not in known:
            raise InputError(
                f"callbacks.{name}.monitor: nothing is logged as '{monitor}'"
                f"{did_you_mean(monitor, known)}"
            )
        better = known[monitor]
        if better is not None and mode in ("min", "max") and mode != better:
            raise InputError(
                f"callbacks.{name}.mode: of {monitor} the best is the {better}imum, got {mode}"
            )


def build_loggers(config: Config, folder: Path) -> dict[str, Logger]:
    """Return the loggers of a configuration by name, for the run in a folder; nothing is written.

    A run that a service knows goes on there.

    Raises:
        InputError: If one is no logger, or its package is not installed.
    """
    file = RunFolder(folder).services
    known = read_json(file) if file.is_file() else {}
    found = {}
    for name, node in _by_name(config["logger"]).items():
        if node is not None:
            run = {"run": known[name]} if known.get(name) else {}
            found[name] = _built(node, f"logger.{name}", Logger, folder, **run)
    return found


def _built(node: Any, path: str, kind: type, *given: Any, **named: Any) -> Any:
    """Return the callback or logger that a node builds, a builder called with what is given."""
    made = None
    if isinstance(node, Mapping) and "_target_" in node:
        with naming(path):
            try:
                made = instantiated(node, path)
                made = made(*given, **named) if given and node.get("_partial_") else made
            except ModuleNotFoundError as error:
                package = path.rpartition(".")[2]
                if package not in _EXTRAS:
                    raise
                raise InputError(
                    f"{path}: {package} is not installed; pip install 'lightning-cvae[{package}]'"
                ) from error
    if not isinstance(made, kind):
        came = node if made is None else f"a {type(made).__name__}"
        called = kind.__name__.lower()
        raise InputError(
            f"{path}: expected a {called} of Lightning, {path}._target_=CLASS, got {came}"
        )
    return made


def _by_name(loggers: Config | None) -> Config:
    """Return loggers by name; a run of before there were several has one, which wrote as ours."""
    if loggers is None:
        return {}
    old = "_target_" in loggers and not any(isinstance(v, Mapping) for v in loggers.values())
    return _TENSORBOARD if old else loggers
