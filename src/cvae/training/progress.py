"""What a run says of itself while it trains, on the screen and in its folder's `run.log`."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, Timer

from cvae.batch import Batch
from cvae.errors import require_at_least
from cvae.left import duration
from cvae.lines import WIDTH, wrapped
from cvae.training.checkpointing import BestCheckpoint
from cvae.training.exact_resume import EarlyStopping
from cvae.training.module import TrainingModule

_REDRAWN = 0.2
"""Seconds between two drawings of the bar."""
_ERASE = "\r\x1b[K"


class RunLog:
    """Says lines on the screen and keeps them in a file; a resumed run adds to what is there.

    Args:
        file: The file.
        shown: Whether they go to the screen; jobs of a sweep would speak all at once.
    """

    def __init__(self, file: Path, shown: bool = True) -> None:
        self.file, self.shown = file, shown

    def say(self, text: str) -> None:
        """Print a text in lines of 79 columns at most, and keep it."""
        self.say_whole(wrapped(text))

    def say_whole(self, text: str) -> None:
        """Print a text as it is, as a command that is to be pasted, and keep it."""
        if self.shown:
            with suppress(BrokenPipeError):  # nobody reads it any more, and the run is whole
                print(text, flush=True)
        self._keep(text)

    def note(self, text: str) -> None:
        """Keep a text without printing it."""
        self._keep(wrapped(text))

    def _keep(self, text: str) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


class Progress(ProgressBar):
    """One bar for the whole training, with the best epoch so far and what is left at most.

    Outside a terminal and a notebook it is a line a minute, which `run.log` has in any case.

    Args:
        seconds: Seconds between two lines.

    Attributes:
        run_log: Where the lines go; nothing is said while it is None.

    Raises:
        InputError: If `seconds` is negative.
    """

    def __init__(self, seconds: float = 60) -> None:
        require_at_least("seconds", seconds, 0)
        super().__init__()
        self.seconds = seconds
        self.run_log: RunLog | None = None

    def disable(self) -> None:
        self.run_log = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.drawn = self.noted = monotonic()
        self.first_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        now = monotonic()
        if self.run_log is None or not trainer.is_global_zero or now - self.drawn < _REDRAWN:
            return
        self.drawn = now
        said = f"epoch {trainer.current_epoch + 1}{self._of(trainer)}{self._best(trainer)}"
        left = self._left(trainer, now)
        if now - self.noted >= self.seconds:
            self.noted = now
            line = f"{said}{left}"
            self.run_log.note(line) if _bar_is_seen(self.run_log) else self.run_log.say(line)
        if _bar_is_seen(self.run_log):
            print(_erasing() + _bar(said, left, self._share(trainer)), end="", flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._erase()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._erase()

    def _erase(self) -> None:
        if self.run_log is not None and _bar_is_seen(self.run_log):
            print(_erasing(), end="", flush=True)

    def _of(self, trainer: Trainer) -> str:
        return f" of {trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""

    def _best(self, trainer: Trainer) -> str:
        part = _one(trainer, BestCheckpoint)
        if part is None or part.best is None:
            return ""
        return f", best {part.monitor} {number(part.best)}"

    def _share(self, trainer: Trainer) -> float:
        """Return which share of the training is done, at least."""
        return min(1.0, trainer.global_step / max(1, trainer.estimated_stepping_batches))

    def _left(self, trainer: Trainer, now: float) -> str:
        done = trainer.global_step - self.first_step
        to_do = trainer.estimated_stepping_batches - trainer.global_step
        times = [(now - self.started) / max(1, done) * to_do]
        timer = _one(trainer, Timer)
        if timer is not None and (rest := timer.time_remaining()) is not None:
            times.append(rest)
        least = min(times)
        return f", at most {duration(least)} left" if least < float("inf") else ""


def _bar_is_seen(log: RunLog) -> bool:
    return log.shown and (sys.stdout.isatty() or _in_notebook())


def _in_notebook() -> bool:
    """Whether the output is a notebook's, which knows a carriage return, and no way to erase."""
    return type(sys.stdout).__module__.startswith("ipykernel.")


def _erasing() -> str:
    return f"\r{' ' * WIDTH}\r" if _in_notebook() else _ERASE


def _bar(said: str, left: str, share: float) -> str:
    """Return a line that fits the terminal."""
    columns = shutil.get_terminal_size().columns - 1
    room = min(24, columns - len(said) - len(left) - 1)
    bar = ""
    if room > 4:
        filled = round(share * room)
        bar = f"{'━' * filled}{'─' * (room - filled)} "
    return f"{bar}{said}{left}"[:columns]


def _one(trainer: Trainer, kind: type[Any]) -> Any:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((part for part in callbacks if isinstance(part, kind)), None)


def number(value: float) -> str:
    """Return a metric as it is printed, with a minus sign of its own."""
    return f"{value:.4g}".replace("-", "−") if abs(value) < 10 else f"{value:.2f}".replace("-", "−")


def why_ended(trainer: Trainer, epochs: int) -> str:
    """Return why a training has ended.

    Args:
        trainer: Its trainer.
        epochs: The epochs that it has trained for.
    """
    early, timer = _one(trainer, EarlyStopping), _one(trainer, Timer)
    if epochs == trainer.max_epochs:
        return f"all {epochs} epochs were done"
    if early is not None and early.wait_count >= max(1, early.patience):
        return f"{early.monitor} was no better for {early.wait_count} epochs"
    if timer is not None and (left := timer.time_remaining()) is not None and left <= 0:
        return "its time (trainer.max_time) was over"
    if trainer.max_steps > 0 and trainer.global_step >= trainer.max_steps:
        return f"all {trainer.max_steps} steps were taken"
    return "it was stopped"


def outline(model: TrainingModule, data: Any, trainer: Trainer) -> list[str]:
    """Return what a run starts with: its data and its model, a line each."""
    items = {"train": data.train_set, "validate": data.val_set, "test": data.test_set}
    counts = ", ".join(f"{len(rows):,} to {name}" for name, rows in items.items())
    shapes = f"x {_shape(model.condition.x_shape)}, y {_shape(model.condition.y_shape)}"
    classes = f", {data.sizes.num_classes} classes" if data.sizes.num_classes > 1 else ""
    weights = sum(weight.numel() for weight in model.parameters())
    steps = -(-len(data.train_set) // data.batch_size)
    return [
        f"data: {counts}; {shapes}{classes}",
        f"model: {weights:,} parameters, {model.generator.latent_dim} dimensions of z; "
        f"on {trainer.strategy.root_device.type}, {steps} steps of {data.batch_size} an epoch",
    ]


def _shape(shape: tuple[int, ...]) -> str:
    return "nothing" if shape == (0,) else "×".join(map(str, shape))
