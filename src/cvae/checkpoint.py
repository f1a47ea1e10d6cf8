"""Checkpoints: what is put into them, and how a model comes back out.

A checkpoint carries the resolved configuration as plain data and the sizes of the data, so that
nothing else is needed to rebuild the model. It is always read with `weights_only=True`, and only
classes of this package and of torch.nn are built from what it says.
"""

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from hydra.errors import HydraException
from lightning import Callback, LightningModule, Trainer

from cvae.batch import Sizes
from cvae.building import build_datamodule, build_model, nodes
from cvae.config import Config
from cvae.data.base import ImageData
from cvae.errors import InputError
from cvae.module import CVAE

_MISFITS = (KeyError, AttributeError, ImportError, TypeError, RuntimeError, HydraException)
"""What a configuration raises that another version of this program has written."""

KEY = "cvae"
"""Where in a checkpoint the settings, the sizes and the versions lie."""


_ALLOWED = ("cvae.", "torch.nn.")
_MODEL = ("condition", "prior", "posterior", "likelihood", "network", "objective")
PARTS = ("data", *_MODEL)
"""The groups that are built again from a checkpoint."""


class Provenance(Callback):
    """Writes into every checkpoint what it takes to rebuild the model.

    Args:
        config: The resolved configuration, plain data.
        sizes: What the data set's items are like.
    """

    def __init__(self, config: Config, sizes: Sizes) -> None:
        self.contents = {
            "config": config,
            "image_shape": list(sizes.image_shape),
            "num_classes": sizes.num_classes,
            "given_shape": list(sizes.given_shape),
            "class_names": list(sizes.class_names),
            "versions": {
                "python": sys.version.split()[0],
                **{name: version(name) for name in ("cvae", "torch", "lightning")},
            },
        }

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY] = {**self.contents, "machine": _machine(trainer)}


def load(path: str | Path) -> CVAE:
    """Return the trained model of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: A checkpoint, or the folder of a run, whose best checkpoint is taken.

    Raises:
        InputError: If it is missing, damaged, not one of this program's, or asks for a class that
            may not be built from a file.
    """
    path, checkpoint = read(path)
    with _telling_versions(path, checkpoint):
        contents = checkpoint[KEY]
        config = {name: contents["config"][name] for name in (*_MODEL, "latent_dim")}
        require_buildable(config)
        model = build_model(config, stored_sizes(contents))
        model.load_state_dict(checkpoint["state_dict"])
    return model.eval()


def datamodule(path: str | Path, /, **changes: Any) -> ImageData:
    """Return the data that a run was trained on, with the same splits.

    Args:
        path: A checkpoint, or the folder of a run.
        **changes: Arguments of the data module that are to differ, such as `root`.

    Raises:
        InputError: As `load`.
    """
    path, checkpoint = read(path)
    with _telling_versions(path, checkpoint):
        config = {name: checkpoint[KEY]["config"][name] for name in ("data", "condition")}
        require_buildable(config)
        return build_datamodule(config, **changes)


def stored_sizes(contents: Config) -> Sizes:
    """Return the sizes that a checkpoint's contents under `KEY` hold."""
    return Sizes(
        tuple(contents["image_shape"]),
        contents["num_classes"],
        tuple(contents.get("given_shape", (0,))),  # models asked by class alone may have none
        tuple(contents.get("class_names", ())),
    )


def resolve(path: str | Path, name: str = "best.ckpt") -> Path:
    """Return the checkpoint that a path means: itself, or the named one of a run's folder.

    Raises:
        InputError: If there is none.
    """
    path = Path(path).expanduser()
    candidate = path / "checkpoints" / name if path.is_dir() else path
    if path.is_dir() and not candidate.is_file():
        raise InputError(
            f"checkpoint: '{path}' is not the folder of a run, it has no checkpoints/{name}"
        )
    if not candidate.is_file():
        raise InputError(
            f"checkpoint: '{candidate}' is not a file; expected one written by cvae-train, "
            "or the folder of a run"
        )
    return candidate


def read(path: str | Path, name: str = "best.ckpt") -> tuple[Path, dict[str, Any]]:
    """Return the checkpoint that a path means, and its contents: tensors and plain data.

    Raises:
        InputError: If it is missing, damaged, or not one of this program's.
    """
    path = resolve(path, name)
    try:
        with path.open("rb") as file:
            checkpoint: Any = torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, OSError) as error:
        raise InputError(
            f"checkpoint: '{path}' is damaged, or not a checkpoint of plain tensors; "
            "expected a file written by cvae-train"
        ) from error
    if not isinstance(checkpoint, dict) or KEY not in checkpoint:
        raise InputError(
            f"checkpoint: '{path}' was written by another program; "
            "expected a file written by cvae-train"
        )
    return path, checkpoint


def require_buildable(config: Config) -> None:
    """Let only plain, resolved data through, and only classes of this package and of torch.nn.

    A configuration in a file comes from a stranger, and building a node can call whatever it names.

    Raises:
        InputError: Naming the node that asks for something else.
    """
    _require_plain(config)
    for place, node in nodes(config):
        target = node["_target_"]
        if isinstance(target, str) and target.startswith(_ALLOWED):
            found = resolve_name(target)
            if isinstance(found, type) and found.__module__.startswith(_ALLOWED):
                continue
        raise InputError(
            f"{place}._target_: {target!r} cannot be built from a checkpoint; only classes under "
            f"{' and '.join(_ALLOWED)} are, so parts of your own belong into this package"
        )


def _require_plain(value: object) -> None:
    if type(value) is dict:
        for key, item in value.items():
            _require_plain(key)
            _require_plain(item)
    elif type(value) is list:
        for item in value:
            _require_plain(item)
    elif value is not None and type(value) not in (str, int, float, bool):
        raise InputError(f"checkpoint: its settings hold a {type(value).__name__}, not plain data")
    elif isinstance(value, str) and "${" in value:  # it was stored resolved, and would be again
        raise InputError(f"checkpoint: its settings hold an interpolation, {value!r}")


def _machine(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"{os.cpu_count()} CPU cores"


@contextmanager
def _telling_versions(path: Path, checkpoint: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _MISFITS as error:
        if isinstance(error.__cause__, InputError):  # told by a constructor that Hydra called
            raise error.__cause__ from None
        versions = checkpoint[KEY].get("versions", {}) if isinstance(checkpoint[KEY], dict) else {}
        raise InputError(
            f"checkpoint: '{path}' does not fit this program ({str(error).partition(chr(10))[0]}); "
            f"it was written by cvae {versions.get('cvae', 'unknown')}, this is {version('cvae')}"
        ) from error
