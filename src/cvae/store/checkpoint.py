"""Checkpoints, and how a model comes back out of them.

A checkpoint carries the resolved configuration as plain data and the sizes of the data, so that
nothing else is needed to rebuild the model. It is always read with `weights_only=True`, and only
classes of this package and of torch.nn are built because a file names them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.errors import HydraException
from torch import Tensor

from cvae import __version__
from cvae.config.building import build_datamodule, build_model
from cvae.config.compose import PLACES, Config
from cvae.data.base import PairData
from cvae.errors import InputError
from cvae.files import require_own
from cvae.kinds import Sizes
from cvae.model.cvae import CVAE
from cvae.store.allowed import require_buildable
from cvae.store.bounds import no_larger_than, plain_size, require_bounded, require_modest
from cvae.store.published import HUB, SETTINGS, WEIGHTS, from_hub, is_published, read_published
from cvae.store.run_folder import RunFolder

_MISFITS = (
    *(KeyError, AttributeError, ImportError, TypeError, ValueError, RuntimeError),
    *(IndexError, OverflowError, MemoryError, HydraException),
)
"""What a configuration raises that another version of this program has written."""

KEY = "cvae"
"""Where a checkpoint holds the settings, the sizes and the versions."""

SECONDS = "seconds"
"""Where among these it holds how long the run had taken until then."""

TRAINED_ON = "train_items"
"""Where among these it holds how many pairs the model was trained on."""

POSITION = "position"
"""Where among these it holds the epoch, and how many of its batches had been trained on."""

_MOVED = {
    f"cvae.{name}.": f"cvae.model.{new}."
    for name, new in {
        **{part: part for part in ("priors", "posteriors", "likelihoods", "objectives")},
        "nets": "networks",
    }.items()
}
"""Where the classes have gone that checkpoints of earlier versions name."""

_MODEL = ("condition", "prior", "posterior", "likelihood", "network", "objective")
_OF_TRAINING = "objective."
"""How the names of the weights begin that only training has a use for."""
PARTS = ("data", "refit", *_MODEL)
"""The groups that are built again from a checkpoint."""

Model = TypeVar("Model", bound=CVAE)


@dataclass(frozen=True)
class Stored:
    """A checkpoint that has been read: tensors and plain data.

    Attributes:
        path: Its file.
        contents: All that it holds.
    """

    path: Path
    contents: dict[str, Any]

    @property
    def about(self) -> Any:
        """What this program has written of itself: settings, sizes, versions."""
        return self.contents[KEY]

    @property
    def config(self) -> Config:
        """The resolved configuration of the run."""
        return self.about["config"]

    @property
    def sizes(self) -> Sizes:
        """What the data set's items are like."""
        return Sizes.from_plain(self.about)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the run that it stands for; none of a run's other checkpoints."""
        folder = RunFolder(self.path.parent.parent)
        found = self.contents.get("metrics")
        if found is None and self.path == folder.best_to_use:
            found = folder.read_metrics()
        items = found.items() if isinstance(found, dict) else ()
        return {name: value for name, value in items if type(value) in (int, float)}

    @property
    def _of_data(self) -> dict[str, Any]:
        given = {f"given.{index}": part.shape for index, part in enumerate(self.sizes.given)}
        y = self.sizes.y
        return {
            "y": y.shape,
            "features of y": y.features,
            "num_classes": self.sizes.num_classes,
            **given,
        }

    @property
    def writer(self) -> str:
        """The program that wrote it, with its version."""
        versions = self.about.get("versions")
        known = versions.get("cvae") if isinstance(versions, dict) else None
        return f"cvae {known or 'of an unknown version'}"

    def model(self, allow: Sequence[str] = ()) -> CVAE:
        """Return the trained model, on the CPU and in evaluation mode; errors as for `load`."""
        return self.built(build_model, allow)

    def built(self, build: Callable[[Config, Sizes], Model], allow: Sequence[str] = ()) -> Model:
        """Return what `build` makes of the settings, with the stored weights, in evaluation mode.

        Raises:
            InputError: As for `load`.
        """
        with self._naming_versions():
            config = {name: self.config[name] for name in (*_MODEL, "latent_dim")}
            config["hierarchy"] = self.config.get("hierarchy", 1)  # older ones have one layer
            require_buildable(config, allow)
            stored = self.contents["state_dict"]
            require_modest(config, self._of_data, stored)
            with torch.device("meta"), no_larger_than(stored):
                expected = build(config, self.sizes).state_dict()
            weights = {
                name: weight
                for name, weight in stored.items()
                if name in expected or not name.startswith(_OF_TRAINING)
            }
            # Before any memory is taken for layers as large as a stranger's file says they are.
            _require_shapes(expected, weights)
            _require_finite(self.path, weights)
            model = build(config, self.sizes)
            model.load_state_dict(weights)
        return model.eval()

    def datamodule(self, allow: Sequence[str] = (), **changes: Any) -> PairData:
        """Return the data that the run was trained on; arguments and errors as for `datamodule`."""
        with self._naming_versions():
            config = {name: self.config[name] for name in ("data", "condition")}
            require_buildable(config, allow)
            for place in PLACES:
                if config["data"].get(place, "") is None and place not in changes:
                    raise InputError(
                        f"data.{place}: '{self.path.parent}' does not say where its data are; "
                        f"give data.{place}={'FILE' if place == 'path' else 'DIR'}"
                    )
            if "download" in config["data"] and "root" not in changes:
                changes = {"download": False, **changes}  # into a folder that the file names
            return build_datamodule(config, **changes)

    @contextmanager
    def _naming_versions(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except _MISFITS as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"checkpoint: '{self.path}' does not fit this program ({reason}); "
                f"it was written by {self.writer}, this is {__version__}"
            ) from error


def load(path: str | Path, allow: Sequence[str] = ()) -> CVAE:
    """Return the trained model of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: A checkpoint; the folder of a run, whose refitted or else best checkpoint is taken;
            the folder of a published model; or `hf://OWNER/NAME`, one on the Hugging Face hub.
        allow: Classes of your own that it may name, or packages that they may be of, beside those
            of this package and of torch.nn.

    Raises:
        InputError: If it is missing, damaged, not one of this program's, or asks for a class that
            may not be built from a file.
    """
    return read(path).model(allow)


def datamodule(path: str | Path, /, allow: Sequence[str] = (), **changes: Any) -> PairData:
    """Return the data that a run was trained on, with the same splits.

    Args:
        path: A checkpoint, or the folder of a run.
        allow: As for `load`.
        **changes: Arguments of the data module that are to differ, such as `root`.

    Raises:
        InputError: As `load`.
    """
    return read(path).datamodule(allow, **changes)


def read(path: str | Path) -> Stored:
    """Return the checkpoint that a path means: itself, or the one that a folder stands for.

    Args:
        path: A checkpoint, the folder of a run or of a published model, or `hf://OWNER/NAME`.

    Raises:
        InputError: If it is missing, damaged, or not one of this program's.
    """
    path = from_hub(path) if isinstance(path, str) and path.startswith(HUB) else Path(path)
    path = path.expanduser()
    if is_published(path):
        return _checked(path / WEIGHTS, read_published(path))
    file = path
    if path.is_dir():
        require_own(path, RunFolder(path).checkpoints)
        file = RunFolder(path).best_to_use
    if path.is_dir() and not file.is_file():
        name = file.relative_to(path)
        raise InputError(
            f"checkpoint: '{path}' is not the folder of a run, it has no {name}; nor that of a "
            f"published model, with {WEIGHTS} and {SETTINGS}"
        )
    if not file.is_file():
        raise InputError(
            f"checkpoint: '{file}' is not a file; expected one written by cvae-train, "
            "or the folder of a run"
        )
    try:
        with file.open("rb") as opened:
            plain = plain_size(file)
            contents: Any = torch.load(opened, map_location="cpu", weights_only=True)
            require_bounded(contents, plain)
    except PermissionError:
        raise
    except Exception as error:  # whatever bytes that are no checkpoint do to its reader
        raise InputError(
            f"checkpoint: '{file}' is damaged, or not a checkpoint of plain tensors"
            f"{_reason(error)}; expected a file written by cvae-train"
        ) from error
    return _checked(file, contents)


def _checked(file: Path, contents: Any) -> Stored:
    if not isinstance(contents, dict) or not isinstance(contents.get(KEY), dict):
        raise InputError(
            f"checkpoint: '{file}' was written by another program; "
            "expected a file written by cvae-train"
        )
    try:
        contents[KEY]["config"] = _with_new_names(contents[KEY].get("config"))
    except RecursionError as error:
        raise InputError(f"checkpoint: '{file}' holds settings without an end") from error
    return Stored(file, contents)


def _reason(error: Exception) -> str:
    # torch's own errors are pages that advise to trust the file.
    return f" ({error})" if type(error) is ValueError else ""


def _with_new_names(config: Any) -> Any:
    """Return a stored configuration with the names that its classes have now."""
    if isinstance(config, list):
        return [_with_new_names(value) for value in config]
    if not isinstance(config, dict):
        return config
    renamed = {key: _with_new_names(value) for key, value in config.items()}
    target = renamed.get("_target_")
    if isinstance(target, str):
        for old, new in _MOVED.items():
            if target.startswith(old):
                renamed["_target_"] = new + target.removeprefix(old)
    return renamed


def _require_shapes(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    for name in {**expected, **weights}:
        found = tuple(weights[name].shape) if name in weights else None
        wanted = tuple(expected[name].shape) if name in expected else None
        if found != wanted:
            raise RuntimeError(f"'{name}' is of shape {found}, its settings ask for {wanted}")


def _require_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    # No training saves such weights, and what is drawn by them can crash linear algebra.
    for name, weight in weights.items():
        if not (name.startswith(_OF_TRAINING) or weight.isfinite().all()):
            raise InputError(
                f"checkpoint: '{path}' is damaged, '{name}' has weights that are not finite; take "
                "another checkpoint, or train again"
            )
