"""Training: the framework as a user has it against other trainings, interleaved in one process.

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

from digits_loop import digits_loop
from hosted import naive, pythae
from lightning import Callback
from rivals import Steps, bare, pass_rate, per_sample, product_rate, training_roofline
from torchvision import datasets

from cvae.config.compose import resolved
from cvae.training.fit import fit
from cvae.training.prepare import prepare

TURN = 54
"""Steps of a turn."""
IMAGES = 59_400
"""Training images of the experiment; one in a hundred is held out."""
Blocks = list[dict[str, float]]


class Interleaved(Callback):
    """Lets rivals train between the framework's turns, and keeps the time of each.

    The framework's time is from the start of an epoch to the start of the next, without validation:
    batches, steps, logging, progress bar, checkpoints.

    Args:
        rivals: By name, functions that train for a given number of steps.
        batch_size: Images of a batch.

    Attributes:
        blocks: For each block, seconds by name, and those of the roofline.
    """

    def __init__(self, rivals: dict[str, Steps], batch_size: int) -> None:
        self.rivals, self.batch_size = rivals, batch_size
        self.blocks: Blocks = []
        self.block: defaultdict[str, float] = defaultdict(float)
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
        roofline = training_roofline(self.batch_size, product_rate(), pass_rate)
        self.block["roofline"] += roofline * count
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
            self.blocks.append(dict(self.block))
        self.block.clear()


class Epochs(Callback):
    """Lets a rival have an epoch after every epoch of the framework, with all that either does.

    Args:
        rival: Trains for a given number of epochs.

    Attributes:
        blocks: For each epoch, seconds by name.
    """

    def __init__(self, rival: Steps) -> None:
        self.rival = rival
        self.blocks: Blocks = []
        self.started: float | None = None

    def on_train_epoch_start(self, *_: Any) -> None:
        """End the epoch before, and let the rival have one."""
        now = perf_counter()
        if self.started is not None:
            framework = now - self.started
            self.rival(1)
            self.blocks.append({"framework": framework, "bare": perf_counter() - now})
        self.started = perf_counter()


class Saving(Callback):
    """Keeps the time of every epoch, and the part of it spent on checkpoints.

    Attributes:
        blocks: For each epoch its seconds, those spent on writing checkpoints, and their number.
    """

    def __init__(self) -> None:
        self.blocks: Blocks = []
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


def checkpoints(root: Path, blocks: int) -> Blocks:
    """Return the seconds of each epoch and of its checkpoints, one per hundred steps."""
    often = [f"trainer.max_epochs={blocks + 1}", "callbacks.last.every_n_steps=100"]
    saving = Saving()
    _train(["experiment=roeder2018_cvae", f"data.root={root}", *often], saving)
    return saving.blocks[1:]


def measure(root: Path, blocks: int, batch_size: int, *overrides: str) -> Blocks:
    """Return the seconds of each block by name; a first block, to warm up, is left out."""
    options = [f"data.batch_size={batch_size}", f"trainer.max_epochs={blocks + 1}", *overrides]
    mnist = datasets.MNIST(root, train=True)
    images, labels = mnist.data[:IMAGES], mnist.targets[:IMAGES]
    rivals = {"bare": bare(images, labels, batch_size)}
    if batch_size == 128 and not overrides:
        rivals["per-sample"] = per_sample(root, batch_size)
        rivals["naive Lightning"] = naive(root, batch_size)
        rivals["Pythae"] = pythae(images, labels, batch_size)
    interleaved = Interleaved(rivals, batch_size)
    _train(["experiment=roeder2018_cvae", f"data.root={root}", *options], interleaved)
    return interleaved.blocks[1:]


def default_run(blocks: int) -> Blocks:
    """Return the seconds of ten epochs in each block: of `cvae-train`, and of a plain loop."""
    epochs = Epochs(digits_loop())
    long = [f"trainer.max_epochs={10 * blocks + 12}", "callbacks.early_stopping=null"]
    _train(long, epochs)
    times = epochs.blocks[1:]
    tens = [times[first : first + 10] for first in range(0, 10 * blocks, 10)]
    return [{name: sum(part[name] for part in ten) for name in ten[0]} for ten in tens]


def _train(options: list[str], watching: Callback) -> None:
    config = resolved("train", options)
    os.environ["FORCE_COLOR"] = "1"  # draw the progress bar as on a terminal
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(prepare(config), Path(folder), [watching])
