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
    provenance = Provenance(config, datamodule.image_shape, datamodule.num_classes)
    trainer: Trainer = instantiate(config["trainer"])(
        logger=logger,
        callbacks=[provenance, *instantiate(config["callbacks"]).values()],
        default_root_dir=run_dir,
    )
    resumed = config["resume"] and checkpoint.resolve(config["resume"], "last.ckpt")
    trainer.fit(model, datamodule, ckpt_path=resumed, weights_only=True)
    epochs = trainer.current_epoch

    # One process and the whole split: several processes would repeat images to share them evenly.
    model = checkpoint.load(run_dir)
    tester: Trainer = instantiate(config["trainer"], devices=1, num_nodes=1, strategy="auto")(
        logger=logger, enable_progress_bar=False, enable_model_summary=False
    )
    seed_everything(config["seed"], workers=True, verbose=False)
    tester.test(model, datamodule, verbose=False)
    metrics = {name: value.item() for name, value in tester.callback_metrics.items()}
    metrics |= {"epochs": epochs, "seconds": round(time.monotonic() - started, 1)}

    if tester.is_global_zero:
        logger.log_hyperparams(flat(config), metrics, step=trainer.global_step)
        logger.finalize("success")
        panel = grid(model.cpu(), None, 8, torch.Generator().manual_seed(config["seed"]))
        (run_dir / "samples.png").write_bytes(png(image_grid(*panel)))
        (run_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        show(metrics)
        for name in (
            "checkpoints/best.ckpt",
            "checkpoints/last.ckpt",
            "metrics.json",
            "samples.png",
        ):
            print(run_dir / name)
        print(f"curves: tensorboard --logdir {run_dir}")
    return metrics


def flat(config: Config, prefix: str = "") -> dict[str, str | float]:
    """Return the settings that somebody may sweep, by their name on the command line."""
    settings: dict[str, str | float] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if key == "_target_":
            settings[prefix.rstrip(".")] = value.rpartition(".")[2]
        elif isinstance(value, dict):
            settings |= flat(value, f"{name}.")
        elif isinstance(value, str | int | float) and key != "_partial_":
            settings[name] = value
    return settings


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
    train(config, Path(HydraConfig.get().runtime.output_dir))


def main() -> None:
    """Run `cvae-train`."""
    with telling_errors("train"):
        sys.argv[1:] = resumed_arguments(sys.argv[1:])
    _train()


if __name__ == "__main__":
    main()
