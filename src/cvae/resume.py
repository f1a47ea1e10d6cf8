"""Going on with a run: in its folder, with its settings, from its last checkpoint."""

import re
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback, LightningModule, Trainer

from cvae.checkpoint import KEY, read
from cvae.config import PLACES, Config, quoted
from cvae.errors import InputError

_PATIENCE = "callbacks.early_stopping.patience"
_MAY_DIFFER = ("resume", "trainer", "logger", "data.root", "data.path", "data.download", _PATIENCE)
OF_THE_MACHINE = ("threads", "compile", "parallel", "search", "sweep", "launcher")
"""Settings that say how jobs are run, and not what they are."""


def resumed(arguments: list[str]) -> list[str]:
    """Return the arguments of a resumed run: those it was started with, then the new ones.

    Raises:
        InputError: If `resume=` names a folder that is not a run's.
    """
    folders = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return arguments
    folder = Path(folders[-1].strip("'\"")).expanduser().absolute()
    overrides = folder / ".hydra" / "overrides.yaml"
    if not overrides.is_file() or not (folder / "checkpoints" / "last.ckpt").is_file():
        raise InputError(
            f"resume: '{folder}' is not the folder of a run with checkpoints; "
            "expected one that cvae-train wrote"
        )
    # With ++ in the place of +, what was added may be given anew.
    first = [f"+{a}" if re.match(r"\+[^+]", a) else a for a in _list(overrides)]
    _, checkpoint = read(folder, "last.ckpt")
    data = checkpoint[KEY]["config"]["data"]
    first += [f"data.{key}={quoted(data[key])}" for key in PLACES if key in data]  # absolute
    # A job of a sweep is gone on with by itself.
    return [*first, *arguments, f"hydra.run.dir={quoted(folder)}", "hydra.mode=RUN"]


def _list(path: Path) -> list[str]:
    overrides: list[str] = yaml.safe_load(path.read_text())
    return overrides


def require_same_settings(config: Config) -> None:
    """Refuse settings that the checkpoint's own state would silently win over.

    Raises:
        InputError: Naming the first setting of a resumed run that differs from the run's own.
    """
    if config["resume"] is None:
        return
    _, checkpoint = read(config["resume"], "last.ckpt")
    epochs, wanted = checkpoint["epoch"] + 1, config["trainer"]["max_epochs"]
    if 0 <= wanted < epochs:
        raise InputError(f"trainer.max_epochs: the run already has {epochs} epochs, got {wanted}")
    before, now = (_flat(c) for c in (checkpoint[KEY]["config"], config))
    for name in {**before, **now}:
        if name.startswith((*_MAY_DIFFER, *OF_THE_MACHINE)) or before.get(name) == now.get(name):
            continue
        raise InputError(
            f"{name}: a resumed run keeps its own, {before.get(name)}, but would get "
            f"{now.get(name)}; only {', '.join(_MAY_DIFFER[1:])} may be given anew, "
            "so start a new run"
        )


def _flat(config: Config, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


class Restored(Callback):
    """Brings the stored state of Lightning's callbacks up to date before they take it.

    ModelCheckpoint stores absolute paths, and forgets which checkpoint was the best when the run's
    folder was moved. EarlyStopping stores its patience, which may have been given anew, and a run
    that had stopped by it stays stopped.
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        now = str(Path(trainer.default_root_dir).absolute() / "checkpoints")
        for state in checkpoint["callbacks"].values():
            if "dirpath" in state:
                state |= _moved(state, state["dirpath"], now)
        for callback in trainer.early_stopping_callbacks:
            if callback is not None and callback.state_key in checkpoint["callbacks"]:
                checkpoint["callbacks"][callback.state_key]["patience"] = callback.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning forgets that a run had stopped, and would train it for one epoch more.
        for callback in trainer.early_stopping_callbacks:
            if callback is not None and callback.wait_count >= max(1, callback.patience):
                trainer.should_stop = True


class Repeatable(Callback):
    """Makes every random number of a training a function of its seed and its place alone.

    The noise is seeded anew for every batch and every validation, so that nothing of a generator's
    past has to be stored for a resumed run to go on exactly as it would have. Seeding takes
    microseconds. Each of several processes draws noise of its own.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.batch = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.batch = 0
        self._reseed(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # For the next batch, whose pixels are drawn before its own first hook is called.
        self.batch = batch_idx + 1
        self._reseed(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reseed(trainer, validation=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reseed(trainer)

    def _reseed(self, trainer: Trainer, validation: bool = False) -> None:
        place = (self.seed, trainer.global_rank, trainer.current_epoch, self.batch, validation)
        number = hash(place) % 2**32  # of whole numbers, the same in every process
        torch.default_generator.manual_seed(number)
        device = trainer.strategy.root_device
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(number)


def _moved(value: Any, before: str, now: str) -> Any:
    if isinstance(value, dict):
        return {_moved(k, before, now): _moved(v, before, now) for k, v in value.items()}
    return value.replace(before, now, 1) if isinstance(value, str) else value
