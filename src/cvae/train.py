"""`cvae-train`: train a model, test its best checkpoint, and leave a run folder."""

import json
import sys
import time
from pathlib import Path

import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException

from cvae import checkpoint
from cvae import config as configuration
from cvae.checkpoint import Provenance
from cvae.cli import command, show, telling_errors
from cvae.config import Config, build_datamodule, build_model
from cvae.errors import InputError
from cvae.pictures import grid
from cvae.plots import image_grid, png


def check(config: Config) -> None:
    """Build everything once without weights or files, so that what is wrong is said at once.

    Raises:
        InputError: If the configuration cannot be trained.
    """
    configuration.check(config)
    datamodule = build_datamodule(config)
    with torch.device("meta"):
        model = build_model(config, datamodule.image_shape, datamodule.num_classes)
    model.generator.likelihood.require(datamodule.support)
    precision = config["trainer"].get("precision", "")
    if precision in ("bf16-true", "16-true"):
        raise InputError(
            f"trainer.precision: {precision} sums nats in half precision; use bf16-mixed"
        )
    for groups, build in {
        "optimizer or scheduler": model.configure_optimizers,
        "callbacks": lambda: instantiate(config["callbacks"]),
        "trainer": lambda: instantiate(config["trainer"])(logger=False),
    }.items():
        try:
            build()
        except (ValueError, TypeError, MisconfigurationException) as error:
            way_out = "; trainer=cpu runs everywhere" if groups == "trainer" else ""
            raise InputError(f"{groups}: {error}{way_out}") from error
    datamodule.prepare_data()


def train(config: Config, run_dir: Path) -> dict[str, float]:
    """Train, test and write the run folder; return the metrics by name.

    Args:
        config: The resolved configuration.
        run_dir: Folder that receives checkpoints/, TensorBoard events, metrics.json, samples.png.
    """
    started = time.monotonic()
    seed_everything(config["seed"], workers=True, verbose=False)
    datamodule = build_datamodule(config)
    model = build_model(config, datamodule.image_shape, datamodule.num_classes)
    logger = instantiate(config["logger"])(save_dir=run_dir)
    logger.hparams.update(settings(config))
    provenance = Provenance(config, datamodule.image_shape, datamodule.num_classes)
    trainer: Trainer = instantiate(config["trainer"])(
        logger=logger,
        callbacks=[provenance, *instantiate(config["callbacks"]).values()],
        default_root_dir=run_dir,
    )
    resumed = config["resume"] and checkpoint.resolve(config["resume"], "last.ckpt")
    trainer.fit(model, datamodule, ckpt_path=resumed, weights_only=True)

    # One process and the whole split: several would repeat images to share them evenly.
    model = checkpoint.load(run_dir)
    tester: Trainer = instantiate(config["trainer"], devices=1, num_nodes=1, strategy="auto")(
        logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    seed_everything(config["seed"], workers=True, verbose=False)
    tester.test(model, datamodule, verbose=False)
    metrics = {name: value.item() for name, value in tester.callback_metrics.items()}

    epochs, steps = checkpoint.progress(run_dir)
    logger.log_hyperparams(settings(config), metrics, step=steps)
    logger.finalize("success")
    panel = grid(model.cpu(), None, 8, torch.Generator().manual_seed(config["seed"]))
    (run_dir / "samples.png").write_bytes(png(image_grid(*panel)))
    metrics |= {"epochs": epochs, "seconds": round(time.monotonic() - started, 1)}
    (run_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def settings(config: Config) -> dict[str, str | float]:
    """Return what tells one run of a sweep from another, by its name on the command line."""
    named: dict[str, str | float] = {}
    for group, node in config.items():
        if group in ("trainer", "logger", "callbacks"):
            continue
        if isinstance(node, dict):
            named[group] = node["_target_"].rpartition(".")[2]
            node = {f"{group}.{key}": value for key, value in node.items() if key[0] != "_"}
        else:
            node = {group: node}
        named |= {key: value for key, value in node.items() if isinstance(value, str | int | float)}
    return named


def resumed_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments of a resumed run: those it was started with, then the new ones.

    Raises:
        InputError: If `resume=` names a folder that is not a run's.
    """
    folders = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return arguments
    folder = Path(folders[-1].strip("'\"")).expanduser().resolve()
    overrides = folder / ".hydra" / "overrides.yaml"
    if not overrides.is_file() or not (folder / "checkpoints" / "last.ckpt").is_file():
        raise InputError(
            f"resume: '{folder}' is not the folder of a run with checkpoints; "
            "expected one that cvae-train wrote"
        )
    return [*yaml.safe_load(overrides.read_text()), *arguments, f"hydra.run.dir='{folder}'"]


@command("train")
def _train(config: Config) -> None:
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    show(train(config, run_dir))
    for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.json", "samples.png"):
        print(run_dir / name)
    print(f"curves: tensorboard --logdir {run_dir}")


def main() -> None:
    """Run `cvae-train`."""
    with telling_errors("train"):
        sys.argv[1:] = resumed_arguments(sys.argv[1:])
    _train()


if __name__ == "__main__":
    main()
