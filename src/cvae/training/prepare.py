"""What a run starts with: checked, and built once, before anything is written."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, Trainer

from cvae.config.building import (
    build_datamodule,
    build_model,
    naming,
    require_known_settings,
)
from cvae.config.compose import Config, with_absolute_paths
from cvae.data.base import PairData
from cvae.errors import InputError, require_at_least, require_between, require_seed
from cvae.lines import tell
from cvae.store.allowed import require_buildable
from cvae.store.checkpoint import PARTS, SECONDS, Stored
from cvae.store.newest import newest
from cvae.store.resume_arguments import require_same_data, require_same_settings
from cvae.store.run_folder import RunFolder
from cvae.training.attachments import build_callbacks, build_loggers, require_monitors
from cvae.training.dry_pass import dry_pass
from cvae.training.memory import require_memory, weights_memory
from cvae.training.module import TrainingModule, build_training_module
from cvae.training.trainer_options import checked_trainer, require_whole_run

_THREADS_PER_CORE, _MOST_THREADS = 4, 256


class Resumed(NamedTuple):
    """Where a run resumes: a checkpoint, the steps it has taken, and the seconds they took."""

    path: Path
    step: int
    seconds: float


class Prepared(NamedTuple):
    """A run that has been checked, and all that it starts with."""

    config: Config
    """The resolved configuration, with the seed that it may have drawn."""
    data: PairData
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
    _require_numbers(config)
    require_buildable({name: config[name] for name in PARTS}, config["allow"])
    resumed = newest(RunFolder(Path(config["resume"]))) if config["resume"] else None
    config = _with_batch_size(config, resumed)
    if resumed is not None:
        require_same_settings(config, resumed)
    config = _with_seed(config, resumed)
    trainer = checked_trainer(config["trainer"])
    build_loggers(config, Path())  # what is wrong with one is said before anything is written
    callbacks = build_callbacks(config)
    with naming("data"):
        data = build_datamodule(config)
    _require_fitting(config, data, callbacks, trainer)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")  # what is wrong with it is said before anything is trained
    if "batch_size" in config["data"]:
        config = {**config, "data": {**config["data"], "batch_size": data.batch_size}}
    for line in data.remarks:
        tell(f"data.{line}")
    if resumed is not None:
        require_same_data(resumed, data.checksum)
    require_whole_run(trainer, config["trainer"], data)
    _go_dry(config, data, trainer)
    model = _drawn(config, data)
    model.compiled = config["compile"]
    return Prepared(with_absolute_paths(config), data, model, callbacks, _resumed_at(resumed))


def _require_numbers(config: Config) -> None:
    require_known_settings(config)
    if config["seed"] is not None:
        require_seed("seed", config["seed"])
    if config["threads"] is not None:
        # A sweep is checked on another machine than the one that its jobs run on.
        most = max(_MOST_THREADS, _THREADS_PER_CORE * (os.cpu_count() or 1))
        require_between("threads", config["threads"], 1, most)
    require_at_least("parallel", config["parallel"], 1)


def _with_seed(config: Config, resumed: Stored | None) -> Config:
    """Return the configuration with a seed: its own, that of the resumed run, or a drawn one."""
    if config["seed"] is not None:
        return config
    return {**config, "seed": resumed.config["seed"] if resumed else secrets.randbelow(2**32)}


def _with_batch_size(config: Config, resumed: Stored | None) -> Config:
    """Return the configuration with the batch size of the resumed run, if it follows the data."""
    data = config["data"]
    if resumed is None or data.get("batch_size", 1) is not None:
        return config
    return {**config, "data": {**data, "batch_size": resumed.config["data"].get("batch_size")}}


def _require_fitting(
    config: Config, data: PairData, callbacks: Mapping[str, Callback], trainer: Trainer
) -> None:
    """Refuse what does not fit together, or into the machine, before memory is taken for it."""
    outline = _outlined(config, data)
    require_monitors(callbacks, outline)
    with naming("optimizer or scheduler"):
        needed = weights_memory(outline)
    what = "the weights, their gradients and the optimiser's state (latent_dim, network.*, prior.*)"
    require_memory(needed, what, trainer.strategy.root_device)


def _outlined(config: Config, data: PairData) -> TrainingModule:
    """Return the model without its weights, and see that a refit would fit."""
    try:
        with naming("model"), torch.device("meta"):
            outline = build_training_module(config, data.sizes)
            if config["refit"] is not None:
                build_model({**config, "prior": config["refit"]}, data.sizes, prior="refit")
    except InputError as error:
        if "overflow" not in str(error).lower():
            raise
        raise InputError(
            "memory: the weights would be more than torch can count; expected smaller latent_dim, "
            "network.* and prior.*"
        ) from error
    likelihood, binarize = outline.generator.likelihood, getattr(data, "binarize", "none")
    likelihood.require(data.support)
    if binarize != "none" and likelihood.nats_of == "density":
        raise InputError(
            f"data.binarize: {binarize} makes images black and white, and "
            f"{type(likelihood).__name__} is a density over grey ones; leave it out, or add "
            "likelihood=bernoulli"
        )
    return outline


def _go_dry(config: Config, data: PairData, trainer: Trainer) -> None:
    model = _drawn(config, data)  # one of its own, as a step changes it
    needed = dry_pass(model, data, trainer) + weights_memory(model)
    what = f"the weights and a step on a batch of {data.batch_size} (data.batch_size, network.*)"
    require_memory(needed, what, trainer.strategy.root_device)


def _drawn(config: Config, data: PairData) -> TrainingModule:
    """Return the model, its weights drawn from the seed."""
    torch.manual_seed(config["seed"])
    with naming("model"):
        return build_training_module(config, data.sizes)


def _resumed_at(stored: Stored | None) -> Resumed | None:
    if stored is None:
        return None
    seconds = float(stored.about.get(SECONDS, 0.0))
    return Resumed(stored.path, stored.contents["global_step"], seconds)
