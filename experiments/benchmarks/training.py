"""Training: the framework as a user has it against plain loops, interleaved in one process.

A block is an epoch of MNIST. Within it the framework and each rival take turns of a few dozen
steps, so that other load on the machine affects all of them.
"""

import contextlib
import io
import os
import random
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from lightning import Callback
from rivals import TRAINING, Steps, bare, per_sample, product_rate
from torchvision import datasets

from cvae.config.compose import resolved
from cvae.training.fit import fit
from cvae.training.prepare import prepare

TURN = 54
"""Steps of a turn."""
IMAGES = 59_400
"""Training images of the experiment; one in a hundred is held out."""


class Interleaved(Callback):
    """Lets rivals train between the framework's turns, and keeps the time of each.

    The framework's time is from the start of an epoch to the start of the next, without validation:
    batches, steps, logging, progress bar, checkpoints.

    Args:
        rivals: By name, functions that train for a given number of steps.
        half: Whether the floor is that of bfloat16.

    Attributes:
        blocks: For each block, seconds by name; `rate` holds the floating-point operations per
            second that were measured in it.
    """

    def __init__(self, rivals: dict[str, Steps], half: bool) -> None:
        self.rivals, self.half = rivals, half
        self.blocks: list[dict[str, float]] = []
        self.block: defaultdict[str, float] = defaultdict(float)
        self.rates: list[float] = []
        self.clock = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin a block."""
        self._end_block()
        self.clock = perf_counter()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Let the rivals have their turn."""
        if batch_idx % TURN:
            return
        self._stop()
        count = min(TURN, trainer.num_training_batches - batch_idx)
        for name, steps in random.sample(sorted(self.rivals.items()), len(self.rivals)):
            started = perf_counter()
            steps(count)
            self.block[name] += perf_counter() - started
        self.rates.append(product_rate(self.half))
        self.clock = perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        """Stop the clock; validation is timed separately."""
        self._stop()
        self.validating = perf_counter()

    def on_validation_end(self, *_: Any) -> None:
        """Start the clock again."""
        self.block["validation"] += perf_counter() - self.validating
        self.clock = perf_counter()

    def on_train_end(self, *_: Any) -> None:
        """End the last block."""
        self._end_block()

    def _stop(self) -> None:
        self.block["framework"] += perf_counter() - self.clock

    def _end_block(self) -> None:
        if self.block:
            self._stop()
            rate = sum(self.rates) / len(self.rates)
            self.blocks.append(dict(self.block) | {"rate": rate})
        self.block.clear()
        self.rates.clear()


class Saving(Callback):
    """Keeps the time of every epoch, and the part of it spent on checkpoints.

    Attributes:
        blocks: For each epoch its seconds, those spent on writing checkpoints, and their number.
    """

    def __init__(self) -> None:
        self.blocks: list[dict[str, float]] = []
        self.spent: list[float] = []

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Time every checkpoint."""
        save = trainer.save_checkpoint

        def timed(*arguments: Any, **options: Any) -> None:
            started = perf_counter()
            save(*arguments, **options)
            self.spent.append(perf_counter() - started)

        trainer.save_checkpoint = timed

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin a block."""
        self.spent.clear()
        self.clock = perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        """End a block, before the checkpoints at the end of every epoch."""
        seconds = perf_counter() - self.clock
        self.blocks.append(
            {"epoch": seconds, "saving": sum(self.spent), "checkpoints": len(self.spent)}
        )


def checkpoints(root: Path, blocks: int) -> list[dict[str, float]]:
    """Return the seconds of each epoch and of its checkpoints, one per hundred steps."""
    often = [f"trainer.max_epochs={blocks + 1}", "callbacks.last.every_n_steps=100"]
    saving = Saving()
    _train(root, often, saving)
    return saving.blocks[1:]


def measure(
    root: Path, blocks: int, batch_size: int, half: bool, *overrides: str
) -> list[dict[str, float]]:
    """Return the seconds of each block by name; a first block, to warm up, is left out."""
    options = [
        f"data.batch_size={batch_size}",
        f"trainer.max_epochs={blocks + 1}",
        f"trainer.precision={'bf16-mixed' if half else '32-true'}",
        *overrides,
    ]
    mnist = datasets.MNIST(root, train=True)
    images, labels = mnist.data[:IMAGES], mnist.targets[:IMAGES]
    rivals = {"bare": bare(images, labels, batch_size, half)}
    if batch_size == 128:
        rivals["per_sample"] = per_sample(root, batch_size, half)
    interleaved = Interleaved(rivals, half)
    _train(root, options, interleaved)
    for block in interleaved.blocks:
        block["floor"] = IMAGES * TRAINING / block["rate"]
    return interleaved.blocks[1:]


def _train(root: Path, options: list[str], watching: Callback) -> None:
    options = ["experiment=roeder2018_cvae", f"data.root={root}", *options]
    config = resolved("train", options)
    os.environ["FORCE_COLOR"] = "1"  # draw the progress bar as on a terminal
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(prepare(config), Path(folder), [watching])
