"""Checkpoints, and how a model comes back out of them.

A checkpoint carries the resolved configuration as plain data and the sizes of the data, so that
nothing else is needed to rebuild the model. It is always read with `weights_only=True`, and only
classes of this package and of torch.nn are built from what it says.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from hydra.errors import HydraException
from torch import Tensor

from cvae.batch import Sizes
from cvae.building import build_datamodule, build_model, nodes
from cvae.config import Config
from cvae.data.base import ImageData
from cvae.errors import InputError
from cvae.module import CVAE

_MISFITS = (
    *(KeyError, AttributeError, ImportError, TypeError, ValueError, RuntimeError),
    *(IndexError, OverflowError, MemoryError, HydraException),
)
"""What a configuration raises that another version of this program has written."""

KEY = "cvae"
"""Where in a checkpoint the settings, the sizes and the versions lie."""

MONITORED = "monitored"
"""Where among these the last value of what the best epoch goes by lies."""

SECONDS = "seconds"
"""Where among these the seconds lie that the run had taken until then."""

BEST, LAST, REFITTED = "best.ckpt", "last.ckpt", "refitted.ckpt"
"""The checkpoints of a run: of its best epoch, to be used, and the last one, to go on from.

With a prior that was fitted afterwards, the best one stands beside the one that is to be used.
"""

_ALLOWED = ("cvae.", "torch.nn.")
_MODEL = ("condition", "prior", "posterior", "likelihood", "network", "objective")
PARTS = ("data", "refit", *_MODEL)
"""The groups that are built again from a checkpoint."""


def load(path: str | Path, allow: Sequence[str] = ()) -> CVAE:
    """Return the trained model of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: A checkpoint, or the folder of a run, whose refitted or else best checkpoint is taken.
        allow: Classes of your own that it may name, or packages that they may be of, beside those
            of this package and of torch.nn.

    Raises:
        InputError: If it is missing, damaged, not one of this program's, or asks for a class that
            may not be built from a file.
    """
    path, checkpoint = read(path)
    with _telling_versions(path, checkpoint):
        contents = checkpoint[KEY]
        config = {name: contents["config"][name] for name in (*_MODEL, "latent_dim")}
        config["hierarchy"] = contents["config"].get("hierarchy", 1)  # older ones have one layer
        require_buildable(config, allow)
        sizes = stored_sizes(contents)
        _require_shapes(config, sizes, checkpoint["state_dict"])
        model = build_model(config, sizes)
        model.load_state_dict(checkpoint["state_dict"])
    return model.eval()


def datamodule(path: str | Path, /, allow: Sequence[str] = (), **changes: Any) -> ImageData:
    """Return the data that a run was trained on, with the same splits.

    Args:
        path: A checkpoint, or the folder of a run.
        allow: As for `load`.
        **changes: Arguments of the data module that are to differ, such as `root`.

    Raises:
        InputError: As `load`.
    """
    path, checkpoint = read(path)
    with _telling_versions(path, checkpoint):
        config = {name: checkpoint[KEY]["config"][name] for name in ("data", "condition")}
        require_buildable(config, allow)
        return build_datamodule(config, **changes)


def stored_sizes(contents: Config) -> Sizes:
    """Return the sizes that a checkpoint's contents under `KEY` hold."""
    return Sizes(
        tuple(contents["image_shape"]),
        contents["num_classes"],
        tuple(contents.get("given_shape", (0,))),  # models asked by class alone may have none
        tuple(contents.get("class_names", ())),
        contents.get("levels", 256),
    )


def resolve(path: str | Path, name: str | None = None) -> Path:
    """Return the checkpoint that a path means: itself, or the named one of a run's folder.

    Without a name that is the one to be used.

    Raises:
        InputError: If there is none.
    """
    path = Path(path).expanduser()
    if name is None:
        name = REFITTED if (path / "checkpoints" / REFITTED).is_file() else BEST
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


def read(path: str | Path, name: str | None = None) -> tuple[Path, dict[str, Any]]:
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
    except Exception as error:  # whatever bytes that are no checkpoint do to its reader
        raise InputError(
            f"checkpoint: '{path}' is damaged, or not a checkpoint of plain tensors; "
            "expected a file written by cvae-train"
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(KEY), dict):
        raise InputError(
            f"checkpoint: '{path}' was written by another program; "
            "expected a file written by cvae-train"
        )
    return path, checkpoint


def newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the checkpoint that a run goes on from, and its contents; None if it has none yet.

    That is the last one, and the best one should the last one be damaged.

    Raises:
        InputError: If the run has checkpoints, and none that can be read.
    """
    damaged = None
    for name in (LAST, BEST):
        if (folder / "checkpoints" / name).is_file():
            try:
                return _require_begun(*read(folder, name))
            except InputError as error:
                damaged = damaged or error
    if damaged is not None:
        raise damaged
    return None


def _require_begun(path: Path, checkpoint: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    config = checkpoint[KEY].get("config")
    begun = isinstance(config, dict) and isinstance(config.get("data"), dict) and "seed" in config
    begun = begun and isinstance(checkpoint[KEY].get(SECONDS, 0.0), float)
    if not begun or not {"epoch", "global_step", "callbacks"} <= checkpoint.keys():
        raise InputError(f"checkpoint: '{path}' is not one that a run can go on from")
    return path, checkpoint


def require_buildable(config: Config, allow: Sequence[str] = ()) -> None:
    """Let only plain, resolved data through, and only classes that are allowed.

    A configuration in a file comes from a stranger, and building a node can call whatever it names.

    Args:
        config: The configuration.
        allow: As for `load`.

    Raises:
        InputError: Naming the node that asks for something else.
    """
    _require_plain(config)
    for place, node in nodes(config):
        target = node["_target_"]
        if not isinstance(target, str) or not is_allowed(target, allow):
            raise InputError(
                f"{place}._target_: {target!r} cannot be built from a checkpoint; only classes "
                f"under {' and '.join(_ALLOWED)} are, and your own if you name them, or their "
                f"package, in the call: allow=[{str(target).partition('.')[0]}]"
            )


def is_allowed(target: str, allow: Sequence[str] = ()) -> bool:
    """Whether a name is that of a class which may be built because a file says so.

    A name that an allowed package has only borrowed, such as `torch.nn.modules.module.partial`, is
    that of where it comes from.
    """
    prefixes = (*_ALLOWED, *(f"{name}." for name in allow if name))
    if target not in allow and not target.startswith(prefixes):
        return False
    found = resolve_name(target)
    if not isinstance(found, type):
        return False
    return target in allow or f"{found.__module__}.".startswith(prefixes)


def _require_shapes(config: Config, sizes: Sizes, weights: Mapping[str, Tensor]) -> None:
    # Before any memory is taken for layers as large as a stranger's file says they are.
    with torch.device("meta"):
        expected = build_model(config, sizes).state_dict()
    for name in {**expected, **weights}:
        found = tuple(weights[name].shape) if name in weights else None
        wanted = tuple(expected[name].shape) if name in expected else None
        if found != wanted:
            raise RuntimeError(f"'{name}' is of shape {found}, its settings ask for {wanted}")


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


@contextmanager
def _telling_versions(path: Path, checkpoint: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _MISFITS as error:
        if isinstance(error.__cause__, InputError):  # told by a constructor that Hydra called
            raise error.__cause__ from None
        versions = checkpoint[KEY].get("versions")
        writer = versions.get("cvae") if isinstance(versions, dict) else None
        raise InputError(
            f"checkpoint: '{path}' does not fit this program ({str(error).partition(chr(10))[0]}); "
            f"it was written by cvae {writer or 'unknown'}, this is {version('cvae')}"
        ) from error
