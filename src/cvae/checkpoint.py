"""Checkpoints: what is put into them, and how a model comes back out.

A checkpoint carries the resolved configuration as plain data and the sizes of the data, so that
nothing else is needed to rebuild the model. It is always read with `weights_only=True`, and only
classes of this package and of torch.nn are built from what it says.
"""

import pickle
import sys
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from cvae.batch import Shape
from cvae.config import Config, build_datamodule, build_model, nodes
from cvae.data.base import LabelledImages
from cvae.errors import InputError
from cvae.module import CVAE

_KEY = "cvae"
_ALLOWED = ("cvae.", "torch.nn.")
_MODEL = ("condition", "prior", "posterior", "likelihood", "network", "objective")


class Provenance(Callback):
    """Writes into every checkpoint what it takes to rebuild the model.

    Args:
        config: The resolved configuration, plain data.
        image_shape: (C, H, W) of the images.
        num_classes: Number of classes.
    """

    def __init__(self, config: Config, image_shape: Shape, num_classes: int) -> None:
        self.contents = {
            "config": config,
            "image_shape": list(image_shape),
            "num_classes": num_classes,
            "versions": {
                "python": sys.version.split()[0],
                **{name: version(name) for name in ("cvae", "torch", "lightning")},
            },
        }

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[_KEY] = self.contents


def load(path: str | Path) -> CVAE:
    """Return the trained model of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: A checkpoint, or the folder of a run, whose best checkpoint is taken.

    Raises:
        InputError: If it is missing, damaged, not one of this program's, or asks for a class that
            may not be built from a file.
    """
    path, checkpoint = _read(path)
    contents = checkpoint[_KEY]
    config = {name: contents["config"][name] for name in (*_MODEL, "latent_dim")}
    _require_allowed(path, config)
    model = build_model(config, contents["image_shape"], contents["num_classes"])
    model.load_state_dict(checkpoint["state_dict"])
    return model.eval()


def datamodule(path: str | Path, **changes: Any) -> LabelledImages:
    """Return the data that a run was trained on, with the same splits.

    Args:
        path: A checkpoint, or the folder of a run.
        **changes: Arguments of the data module that are to differ, such as `root`.

    Raises:
        InputError: As `load`.
    """
    path, checkpoint = _read(path)
    config = {name: checkpoint[_KEY]["config"][name] for name in ("data", "condition")}
    _require_allowed(path, config)
    return build_datamodule(config, **changes)


def progress(path: str | Path) -> tuple[int, int]:
    """Return how many epochs and optimiser steps the last checkpoint of a run has seen."""
    _, checkpoint = _read(resolve(path, "last.ckpt"))
    return checkpoint["epoch"] + 1, checkpoint["global_step"]


def resolve(path: str | Path, name: str = "best.ckpt") -> Path:
    """Return the checkpoint that a path means: itself, or the named one of a run's folder.

    Raises:
        InputError: If there is none.
    """
    path = Path(path).expanduser()
    candidate = path / "checkpoints" / name if path.is_dir() else path
    if not candidate.is_file():
        raise InputError(
            f"checkpoint: '{candidate}' does not exist; expected a file written by cvae-train, "
            "or the folder of a run"
        )
    return candidate


def _read(path: str | Path) -> tuple[Path, dict[str, Any]]:
    path = resolve(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, OSError) as error:
        raise InputError(
            f"checkpoint: '{path}' is damaged, or not a checkpoint of plain tensors; "
            "expected a file written by cvae-train"
        ) from error
    if not isinstance(checkpoint, dict) or _KEY not in checkpoint:
        raise InputError(
            f"checkpoint: '{path}' was written by another program; "
            "expected a file written by cvae-train"
        )
    return path, checkpoint


def _require_allowed(path: Path, config: Config) -> None:
    for place, node in nodes(config):
        target = node["_target_"]
        if target.startswith(_ALLOWED):
            found = resolve_name(target)
            if isinstance(found, type) and found.__module__.startswith(_ALLOWED):
                continue
        raise InputError(
            f"checkpoint: '{path}' asks for {place}._target_={target}, and only classes under "
            f"{' and '.join(_ALLOWED)} are built from a file"
        )
