"""What a run starts with: checked, and built once, before anything is written."""

import secrets
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cvae.config.building import (
    build_datamodule,
    build_parts,
    instantiated,
    naming,
    require_known_settings,
    require_precision,
)
from cvae.config.compose import Config, with_absolute_paths
from cvae.data.base import ImageData
from cvae.errors import InputError, require_seed
from cvae.runs.allowed import require_buildable
from cvae.runs.checkpoint import PARTS, SECONDS, Stored, newest
from cvae.runs.resume_arguments import require_same_data, require_same_settings
from cvae.runs.run_folder import RunFolder
from cvae.training.checkpointing import (
    BestCheckpoint,
)
from cvae.training.module import TrainingModule, build_training_module


class Resumed(NamedTuple):
    """Where a run resumes: a checkpoint, the steps it has taken, and the seconds they took."""

    path: Path
    step: int
    seconds: float


class Prepared(NamedTuple):
    """A run that has been checked, and all that it starts with."""

    config: Config
    """The resolved configuration, with the seed that it may have drawn."""
    data: ImageData
    """The data, set up for training."""
    model: TrainingModule
    """The model, its weights drawn."""
    callbacks: dict[str, Any]
    """The callbacks of the configuration, by name."""
    resumed: Resumed | None
    """Where the run resumes, or None for a run that begins."""


def prepare(config: Config) -> Prepared:
    """Build what a run starts with; nothing is written, and what is wrong is said at once.

    Args:
        config: The resolved configuration.

    Raises:
        InputError: If the configuration cannot be trained.
    """
    require_known_settings(config)
    if config["seed"] is not None:
        require_seed("seed", config["seed"])
    require_buildable({name: config[name] for name in PARTS}, config["allow"])
    resumed = newest(RunFolder(Path(config["resume"]))) if config["resume"] else None
    if resumed is not None:
        require_same_settings(config, resumed)
    config = _with_seed(config, resumed)
    torch.manual_seed(config["seed"])  # of the weights
    with naming("data"):
        data = build_datamodule(config)
    with naming("model"):
        model = build_training_module(config, data.sizes)
        model.generator.likelihood.require(data.support)
    _require_refit(config, data)
    with naming("optimizer or scheduler"):
        model.configure_optimizers()
    with naming("callbacks"):
        callbacks = _build_callbacks(config)
    with naming("trainer", "; trainer=cpu runs everywhere"):
        _require_trainer(config["trainer"])
    data.prepare_data()
    data.setup("fit")
    data.setup("test")  # what is wrong with it is said before anything is trained
    if resumed is not None:
        require_same_data(resumed, data.checksum)
    model.compiled = config["compile"]
    return Prepared(with_absolute_paths(config), data, model, callbacks, _resumed_at(resumed))


def _with_seed(config: Config, resumed: Stored | None) -> Config:
    """Return the configuration with a seed: its own, that of the resumed run, or a drawn one."""
    if config["seed"] is not None:
        return config
    return {**config, "seed": resumed.config["seed"] if resumed else secrets.randbelow(2**32)}


def _require_refit(config: Config, data: ImageData) -> None:
    if config["refit"] is not None:
        with naming("refit"), torch.device("meta"):
            build_parts({**config, "prior": config["refit"]}, data.sizes, prior="refit")


def _build_callbacks(config: Config) -> dict[str, Any]:
    nodes = config["callbacks"].items()
    callbacks = {name: instantiated(node, f"callbacks.{name}") for name, node in nodes}
    if not isinstance(callbacks.get("best"), BestCheckpoint) or "last" not in callbacks:
        raise InputError(
            "callbacks: best and last write the checkpoints that a run is made of; keep them"
        )
    return callbacks


def _require_trainer(options: Config) -> None:
    trainer = instantiated(options, "trainer")(logger=False)
    require_precision(trainer)
    if trainer.max_epochs == 0 or options.get("fast_dev_run"):
        raise InputError(
            "trainer: nothing would be trained and saved; for a short run use "
            "trainer.max_epochs=1 +trainer.limit_train_batches=1"
        )
    spawned = str(options.get("strategy")).startswith(("ddp_spawn", "ddp_fork"))
    if trainer.num_devices * trainer.num_nodes > 1 and not spawned:
        raise InputError(
            "trainer.devices: several processes have to be spawned by the run itself, or each "
            "would run the whole command again; use trainer=ddp trainer.devices=N"
        )


def _resumed_at(stored: Stored | None) -> Resumed | None:
    if stored is None:
        return None
    seconds = float(stored.about.get(SECONDS, 0.0))
    return Resumed(stored.path, stored.contents["global_step"], seconds)
