"""The callbacks and the logger of a run, checked before it starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger

from cvae.config.building import instantiated, naming
from cvae.config.compose import Config
from cvae.errors import InputError, did_you_mean
from cvae.training.checkpointing import BestCheckpoint, LastCheckpoint
from cvae.training.module import TrainingModule

_KNOWN = ("cvae.", "lightning.")
"""Packages whose callbacks log nothing that could be monitored."""
_CHECKPOINTS = {"best": BestCheckpoint, "last": LastCheckpoint}
_PLACES = {"name": "", "version": "", "save_dir": None, "sub_dir": None, "purge_step": None}
"""Arguments that say where and from when on a logger writes, as a run has them."""


def build_callbacks(config: Config) -> dict[str, Any]:
    """Return the callbacks of a configuration by name; one that is null is left out.

    Raises:
        InputError: If one is no callback, or writes other checkpoints than the run itself.
    """
    found = {}
    for name, node in config["callbacks"].items():
        path = f"callbacks.{name}"
        if node is None:
            continue
        part = None
        if isinstance(node, Mapping) and "_target_" in node:
            with naming(path):
                part = instantiated(node, path)
        if not isinstance(part, Callback):
            came = node if part is None else f"a {type(part).__name__}"
            raise InputError(
                f"{path}: expected a callback of Lightning, {path}._target_=CLASS, got {came}"
            )
        own = _CHECKPOINTS.get(name)
        if isinstance(part, Checkpoint) and (own is None or not isinstance(part, own)):
            raise InputError(
                f"{path}: a run writes its own checkpoints, callbacks.best and callbacks.last, "
                f"and no others; leave the {type(part).__name__} out"
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


def require_logger(config: Config) -> None:
    """Refuse a logger that a run cannot use, and places other than the run's own folder.

    Raises:
        InputError: Naming the setting.
    """
    node = config["logger"]
    for key, own in _PLACES.items():
        if node.get(key) != own:
            raise InputError(
                f"logger.{key}: a run's log is in the run's own folder, hydra.run.dir=DIR; "
                f"expected {own!r}, got {node.get(key)!r}"
            )
    with naming("logger"):
        logger = instantiated(node, "logger")
        logger = logger(save_dir=Path()) if callable(logger) else logger
    if not isinstance(logger, TensorBoardLogger):
        raise InputError(
            "logger: expected lightning.pytorch.loggers.TensorBoardLogger, which a run's curves "
            f"and pictures are written by, got a {type(logger).__name__}"
        )
