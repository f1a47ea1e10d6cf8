"""Going on with a run: in its folder, with its settings, from its last checkpoint."""

import re
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback, LightningModule, Trainer

from cvae.checkpoint import KEY, MONITORED, is_allowed, newest
from cvae.config import PLACES, Config, quoted
from cvae.errors import InputError
from cvae.module import MONITOR

_PATIENCE = "callbacks.early_stopping.patience"
_MAY_DIFFER = (
    *("resume", "allow", "trainer", "logger", "data.root", "data.path", "data.download"),
    *("callbacks.last", _PATIENCE, "refit"),
)
OF_THE_MACHINE = ("threads", "compile", "parallel", "search", "sweep", "launcher")
"""Settings that say how jobs are run, and not what they are."""


def resumed(arguments: list[str]) -> list[str]:
    """Return the arguments of a resumed run: those it was started with, then the new ones.

    Raises:
        InputError: If `resume=` names a folder that is not a run's, or that asks for what a
            stranger's folder may not.
    """
    folders = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return arguments
    folder = Path(folders[-1].strip("'\"")).expanduser().absolute()
    overrides = folder / ".hydra" / "overrides.yaml"
    if not overrides.is_file():
        raise InputError(
            f"resume: '{folder}' is not the folder of a run; expected one that cvae-train wrote"
        )
    found = newest(folder)
    stored = [a for a in read_list(overrides) if not a.startswith("resume=")]
    if any(a.startswith("refit=") for a in arguments):  # another one, with settings of its own
        stored = [a for a in stored if not a.startswith("refit")]
    require_harmless(stored, arguments, folder)
    # With ++ in the place of +, what was added may be given anew.
    first = [f"+{a}" if re.match(r"\+[^+]", a) else a for a in stored]
    if found is not None:
        config = found[1][KEY]["config"]
        data = config["data"]
        anew = [f"data.{key}={quoted(data[key])}" for key in PLACES if key in data]
        anew += [f"seed={quoted(config['seed'])}"]  # which it may have drawn
        require_harmless(anew, arguments, folder)
        first += anew
    # A job of a sweep is gone on with by itself.
    return [*first, *arguments, f"hydra.run.dir={quoted(folder)}", "hydra.mode=RUN"]


def read_list(path: Path) -> list[str]:
    """Return the overrides that a file holds.

    Raises:
        InputError: If it does not hold a list of strings.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is damaged ({str(error).splitlines()[0]})") from error
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InputError(f"'{path}' is damaged (it is not a list of KEY=VALUE)")
    return found


def require_harmless(stored: list[str], given: list[str], folder: Path) -> None:
    """Refuse overrides of a folder, which may come from anyone, by which it could run its own code.

    An option is taken by its name, and a plain value for what it is. What names a class, another
    file, a package, an interpolation or Hydra itself has to be repeated in the call, and so has a
    launcher that reads what it finds in the folder.

    Args:
        stored: The overrides that the folder holds.
        given: Those of the call.
        folder: The folder, for the message.

    Raises:
        InputError: Naming the first that is refused.
    """
    for override in stored:
        if override not in given and not _is_harmless(override):
            raise InputError(
                f"'{folder}' was started with '{override}', by which a folder could run code of "
                "its own; if you trust it, repeat that in the call"
            )


def _is_harmless(override: str) -> bool:
    key, _, value = override.partition("=")
    name = key.lstrip("+~")
    is_place = name in ("data.root", "data.path")
    value = re.sub(r"\$\{oc\.env:\w+\}", "", value) if is_place else value
    if not re.fullmatch(r"(\+\+?|~)?\w+(\.\w+)*", key) or "$" in value:
        return False
    if name == "allow" or name.partition(".")[0] == "hydra":
        return False
    if name == "launcher":
        return value in ("basic", "joblib")  # others open what they find in the folder
    if name.endswith("._target_"):
        return all(_is_known_class(target) for target in value.split(","))
    reaches_files = re.search(r"[/\\]|\.\.", value) is not None and not is_place
    return "_target_" not in override and not reaches_files


def _is_known_class(target: str) -> bool:
    try:
        return is_allowed(target, ["torch.optim"])
    except (ImportError, AttributeError, ValueError):
        return False


def require_same_settings(config: Config) -> None:
    """Refuse settings that the checkpoint's own state would silently win over.

    Raises:
        InputError: Naming the first setting of a resumed run that differs from the run's own.
    """
    if config["resume"] is None:
        return
    found = newest(Path(config["resume"]))
    if found is None:
        return  # it was killed before its first checkpoint, and starts anew
    _, checkpoint = found
    epochs, wanted = checkpoint["epoch"] + 1, config["trainer"]["max_epochs"]
    if 0 <= wanted < epochs:
        raise InputError(f"trainer.max_epochs: the run already has {epochs} epochs, got {wanted}")
    before, now = (_flat(c) for c in (checkpoint[KEY]["config"], config))
    for name in {**before, **now}:
        if name.startswith((*_MAY_DIFFER, *OF_THE_MACHINE)) or before.get(name) == now.get(name):
            continue
        if name == "seed" and now[name] is None:  # the one that was drawn
            continue
        raise InputError(
            f"{name}: a resumed run keeps its own, {before.get(name)}, but would get "
            f"{now.get(name)}; only {', '.join(_MAY_DIFFER[2:])} may be given anew, "
            "so start a new run"
        )


def require_same_data(config: Config, checksum: int) -> None:
    """Refuse to go on with data that were altered since the run was started.

    Args:
        config: The resolved configuration.
        checksum: That of the data now.

    Raises:
        InputError: If they differ.
    """
    found = newest(Path(config["resume"])) if config["resume"] is not None else None
    before = found[1][KEY].get("data_checksum", checksum) if found else checksum
    if before != checksum:
        raise InputError(
            f"data: the images, labels or conditions are not those that the run was started with "
            f"(their checksum was {before:08x} and is {checksum:08x}); bring the old ones back, or "
            "start a new run"
        )


def _flat(config: Config, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def put_events_in_order(folder: Path) -> None:
    """Date event files before the one to come, be they of this second or of a clock set back since.

    TensorBoard reads a run's files in the order of their names, which begin with the second, and
    drops what it takes for older than the training that it goes on with.
    """
    found = sorted(folder.glob("events.out.tfevents.*"))
    now, files = int(time.time()), [file for file in found if file.name.split(".")[3].isdecimal()]
    dates = [int(file.name.split(".")[3]) for file in files]
    if dates and dates[-1] >= now:
        for place, file in enumerate(files, start=now - len(files)):
            start, date, rest = file.name.partition(file.name.split(".")[3])
            file.rename(folder / f"{start}{place:0{len(date)}}{rest}")


class Repeatable(Callback):
    """Makes a training that was cut off anywhere go on exactly as it would have.

    Every random number is a function of the run's seed and its place alone: the noise is seeded
    anew, which takes microseconds, for every batch and every validation, so that nothing of a
    generator's past has to be stored. Each of several processes draws noise of its own. What
    Lightning's callbacks have stored is brought up to date before they take it.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.batch = 0
        self.monitored: float | None = None

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.monitored = checkpoint[KEY].get(MONITORED)
        # ModelCheckpoint stores absolute paths, forgets which checkpoint was the best if the folder
        # was moved, and deletes what it takes for an older one: all are of this run's folder.
        now = Path(trainer.default_root_dir).absolute() / "checkpoints"
        for state in checkpoint["callbacks"].values():
            if "dirpath" in state:
                state |= _in_folder(state, now) | {"dirpath": str(now)}
        # EarlyStopping stores its patience, which may have been given anew.
        for callback in trainer.early_stopping_callbacks:
            if callback is not None and callback.state_key in checkpoint["callbacks"]:
                checkpoint["callbacks"][callback.state_key]["patience"] = callback.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Epochs without validation go by the last one.
        if self.monitored is not None:
            metrics: Any = trainer.callback_metrics
            metrics[MONITOR] = torch.tensor(self.monitored, device=pl_module.device)
        # An epoch that is gone on with does not start again.
        loop: Any = trainer.fit_loop
        self.batch = loop.epoch_loop.batch_progress.current.processed
        self._reseed(trainer)
        # Lightning forgets that a run had stopped early, and would train it for one epoch more.
        for callback in trainer.early_stopping_callbacks:
            if callback is not None and callback.wait_count >= max(1, callback.patience):
                trainer.should_stop = True

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


def _in_folder(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {_in_folder(k, folder): _in_folder(v, folder) for k, v in value.items()}
    is_path = isinstance(value, str) and value.endswith(".ckpt")
    return str(folder / Path(value).name) if is_path else value
