"""`cvae-train`: train a model, test its best checkpoint, and leave a run folder."""

import json
import math
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

from cvae import building, checkpoint
from cvae.building import (
    build_datamodule,
    build_model,
    require_precision,
    single_device_trainer,
    telling,
)
from cvae.checkpoint import KEY, SECONDS
from cvae.cli import train as main
from cvae.config import Config, with_absolute_paths
from cvae.errors import InputError, require_seed
from cvae.files import remove_parts, write_whole, writing
from cvae.measures import by_kind, examples, test
from cvae.module import CVAE, MONITOR
from cvae.pictures import grid
from cvae.plots import image_grid, png
from cvae.refit import refit
from cvae.resume import (
    OF_THE_MACHINE,
    Repeatable,
    put_events_in_order,
    require_same_data,
    require_same_settings,
)
from cvae.resume import resumed as resumed_run
from cvae.runs import FAILURE, METRICS
from cvae.saving import Provenance, WholeCheckpoints
from cvae.sweeps.job import attempt
from cvae.sweeps.resume import resumed as resumed_sweep
from cvae.tables import show

_SHARING = ("JoblibLauncher", "LocalLauncher")
"""Launchers whose jobs share a machine without a scheduler."""


def check(config: Config) -> None:
    """Build everything once before anything is written, so that what is wrong is said at once.

    Raises:
        InputError: If the configuration cannot be trained.
    """
    building.check(config)
    if config["seed"] is not None:
        require_seed("seed", config["seed"])
    checkpoint.require_buildable({name: config[name] for name in checkpoint.PARTS}, config["allow"])
    require_same_settings(config)
    with telling("data"):
        datamodule = build_datamodule(config)
    with telling("model"), torch.device("meta"):
        model = build_model(config, datamodule.sizes)
        model.generator.likelihood.require(datamodule.support)
    if config["refit"] is not None:
        with telling("refit"), torch.device("meta"):
            build_model({**config, "prior": config["refit"]}, datamodule.sizes)
    with telling("optimizer or scheduler"):
        model.configure_optimizers()
    with telling("callbacks"):
        callbacks = instantiate(config["callbacks"])
        if not {"best", "last"} <= set(callbacks):
            raise ValueError("best and last write the checkpoints that a run is made of; keep them")
    with telling("trainer", "; trainer=cpu runs everywhere"):
        _check_trainer(instantiate(config["trainer"])(logger=False), config["trainer"])
    datamodule.prepare_data()
    datamodule.setup("fit")
    require_same_data(config, datamodule.checksum)


def check_run(config: Config) -> None:
    """Check as `check` does, for a run that is not a job of a sweep.

    Raises:
        InputError: If the configuration cannot be trained, or only a sweep can do as it says.
    """
    if config["search"] is not None and config["resume"] is None:
        raise InputError("search: a search is a sweep, and this is a single run; add -m")
    check(config)


def _check_trainer(trainer: Trainer, options: Config) -> None:
    require_precision(trainer)
    if trainer.max_epochs == 0 or options.get("fast_dev_run"):
        raise InputError(
            "trainer: nothing would be trained and saved; for a short run use "
            "trainer.max_epochs=1 +trainer.limit_train_batches=1"
        )
    launcher = trainer.strategy.launcher
    if launcher is not None and not isinstance(launcher, _MultiProcessingLauncher):
        raise InputError(
            "trainer.devices: several processes have to be spawned by the run itself, or each "
            "would run the whole command anew; use trainer=ddp trainer.devices=N"
        )


def train(
    config: Config, run_dir: Path, further: Sequence[Callback] = (), show_progress: bool = True
) -> tuple[CVAE, dict[str, float]]:
    """Train, test and write the run folder; return the best model and its metrics by name.

    Args:
        config: The resolved configuration.
        run_dir: Folder that receives checkpoints/, TensorBoard events, metrics.json, samples.png.
        further: Callbacks beside those of the configuration.
        show_progress: Whether to show a progress bar, where the configuration has one.
    """
    config, run_dir = with_absolute_paths(config), run_dir.absolute()
    config, last, step, spent = _begun(config)
    started = time.monotonic() - spent
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    seed_everything(config["seed"], workers=True, verbose=False)
    datamodule = build_datamodule(config)
    model = build_model(config, datamodule.sizes)
    model.compiled = config["compile"]
    remove_parts(run_dir)
    put_events_in_order(run_dir)
    # TensorBoard hides what was logged here after the checkpoint that the run goes on from.
    logger = instantiate(config["logger"])(save_dir=run_dir, purge_step=step)
    nats_of = model.generator.likelihood.nats_of
    told = settings(config) | {
        "nats_of": nats_of,
        "target_pixels": math.prod(model.condition.y_shape),
    }
    logger.hparams.update(told)
    provenance = Provenance(config, datamodule.sizes, started)
    callbacks = instantiate(config["callbacks"])
    if not show_progress:
        callbacks.pop("progress", None)
    trainer: Trainer = instantiate(config["trainer"])(
        logger=logger,
        callbacks=[
            provenance,
            Repeatable(config["seed"]),
            *callbacks.values(),
            *further,
        ],
        enable_progress_bar=any(isinstance(part, ProgressBar) for part in callbacks.values()),
        default_root_dir=run_dir,
    )
    trainer.strategy.checkpoint_io = WholeCheckpoints()
    trainer.fit(model, datamodule, ckpt_path=last, weights_only=True)

    (run_dir / "checkpoints" / checkpoint.REFITTED).unlink(missing_ok=True)  # of another training
    refitted = refit(config, run_dir, datamodule) if config["refit"] else {}
    model = checkpoint.load(run_dir, config["allow"])
    tester = single_device_trainer(config["trainer"])(enable_progress_bar=False)
    seed_everything(config["seed"], workers=True, verbose=False)
    metrics = test(model, datamodule, tester)

    _, progress = checkpoint.read(run_dir, "last.ckpt")
    put_events_in_order(run_dir)  # the training has closed its file, and the logger opens another
    logger.log_hyperparams(told, by_kind(metrics, nats_of), step=progress["global_step"])
    logger.finalize("success")
    model = model.cpu()
    wanted = examples(datamodule) if model.condition.needs_examples else None
    panel = grid(model, wanted, 8, torch.Generator().manual_seed(config["seed"]))
    write_whole(run_dir / "samples.png", png(image_grid(*panel)))
    metrics |= {
        **refitted,
        **_reached(progress),
        "epochs": progress["epoch"] + 1,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_whole(run_dir / METRICS, json.dumps(metrics, indent=2) + "\n")
    (run_dir / FAILURE).unlink(missing_ok=True)
    return model, metrics


class _Begun(NamedTuple):
    """Where a run starts from, or goes on."""

    config: Config
    """With the seed that it may have drawn."""
    last: Path | None
    """The checkpoint to go on from."""
    step: int
    """How many steps it has taken; 0 without one."""
    seconds: float
    """How long these took."""


def _begun(config: Config) -> _Begun:
    found = checkpoint.newest(Path(config["resume"])) if config["resume"] else None
    if config["seed"] is None:
        drawn = found[1][KEY]["config"]["seed"] if found else secrets.randbelow(2**32)
        config = {**config, "seed": drawn}
    if found is None:
        return _Begun(config, None, 0, 0.0)
    path, contents = found
    if path.name != checkpoint.LAST:
        print(f"{checkpoint.LAST} is damaged or missing: going on from {path}", file=sys.stderr)
    return _Begun(config, path, contents["global_step"], contents[KEY].get(SECONDS, 0.0))


def _reached(progress: Mapping[str, Any]) -> dict[str, float]:
    """Return the best validation ELBO, from the callbacks' state in the last checkpoint."""
    states = [s for s in progress["callbacks"].values() if s.get("monitor") == MONITOR]
    scores = [float(s["best_model_score"]) for s in states if "best_model_score" in s]
    return {MONITOR: max(scores)} if scores else {}


def settings(config: Config) -> dict[str, str | float]:
    """Return what tells one run of a sweep from another, by its name on the command line."""
    named: dict[str, str | float] = {}
    for group, node in config.items():
        if group in ("trainer", "logger", "callbacks", *OF_THE_MACHINE):
            continue
        if isinstance(node, dict):
            named[group] = node["_target_"].rpartition(".")[2]
            node = {f"{group}.{key}": value for key, value in node.items() if key[0] != "_"}
        else:
            node = {group: node}
        named |= {key: value for key, value in node.items() if isinstance(value, str | int | float)}
    return named


def _job(config: Config, folder: Path, further: Sequence[Callback]) -> None:
    check(config)
    train(config, folder, further, show_progress=False)


def resumed(arguments: list[str]) -> list[str]:
    """Return the arguments with those of the run or the sweep that is to be gone on with."""
    return resumed_sweep(resumed_run(arguments))


def run(config: Config) -> None:
    """Run `cvae-train`, or one job of its sweep."""
    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    if hydra.mode == RunMode.MULTIRUN:
        attempt(_job, config, run_dir, sharing=hydra.launcher._target_.endswith(_SHARING))
        return
    with writing(run_dir):
        model, metrics = train(config, run_dir)
    show(metrics, model)
    checkpoints = [f"checkpoints/{n}.ckpt" for n in ("refitted", "best", "last")]
    for name in (*checkpoints, "metrics.json", "samples.png"):
        if (run_dir / name).is_file():
            print(run_dir / name)
    print(f"curves: tensorboard --logdir {run_dir}")


if __name__ == "__main__":
    main()
