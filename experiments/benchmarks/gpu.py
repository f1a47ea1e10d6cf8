"""Training, convolutions and importance sampling, measured on one GPU.

Usage: python experiments/benchmarks/gpu.py MNIST_ROOT [--out DIR] [MEASURE ...]; eight minutes.
Every rival trains the network of Roeder 2018 on 59,400 images, 128 at a time, the naive one on all
60,000.
"""

import argparse
import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import lightning
import torch
from hosted import Naive, naive_loader
from inference import network
from rivals import CLASSES
from stacked import single, stacked
from torch.nn.functional import one_hot
from torchvision import datasets

from cvae.config.compose import resolved
from cvae.training.fit import fit
from cvae.training.prepare import prepare
from training import IMAGES

BATCH, EPOCHS, NAIVE_EPOCHS = 128, 10, 2
SAMPLES, WEIGHED = 1000, 1000
MINUTES = 2
GPU = torch.device("cuda")
Numbers = dict[str, Any]


class Clock(lightning.Callback):
    """Keeps the seconds of training and, separately, of validation for each epoch.

    Args:
        minutes: Minutes of training after which the trainer is stopped.
    """

    def __init__(self, minutes: float = float("inf")) -> None:
        self.minutes = minutes
        self.epochs: list[float] = []
        self.validations: list[float] = []

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Begin an epoch."""
        self.validating = 0.0
        self.started = _now()

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """Stop the clock of training."""
        self.paused = _now()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Start the clock of training again."""
        self.validating += _now() - self.paused

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """End an epoch."""
        self.epochs.append(_now() - self.started - self.validating)
        self.validations.append(self.validating)
        if sum(self.epochs[1:]) > 60 * self.minutes:
            trainer.should_stop = True


def _now() -> float:
    torch.cuda.synchronize()
    return perf_counter()


def _run(root: Path, clock: Clock, *overrides: str) -> float:
    """Train by the framework, everything logged and saved; return the seconds of the whole run."""
    config = resolved("train", [f"data.root={root}", "trainer=gpu", *overrides])
    started = _now()
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(prepare(config), Path(folder), [clock])
    return _now() - started


def framework(root: Path, *overrides: str) -> Numbers:
    """Measure ten epochs of `roeder2018_cvae` after a first one, which warms up."""
    clock = Clock()
    options = ["experiment=roeder2018_cvae", f"trainer.max_epochs={EPOCHS + 1}", *overrides]
    whole = _run(root, clock, *options)
    return {
        "ten epochs, s": sum(clock.epochs[1:]),
        "an epoch, s": median(clock.epochs[1:]),
        "a validation, s": median(clock.validations[1:]),
        "whole run of eleven with its test, s": whole,
    }


def bare(root: Path) -> Numbers:
    """Measure a plain loop whose step, from the choice of its rows to Adam, is one CUDA graph."""
    return members(root, 1)


def members(root: Path, count: int) -> Numbers:
    """Measure so many models that train at once, on batches of their own, as one CUDA graph."""
    mnist = datasets.MNIST(root, train=True)
    y = mnist.data[:IMAGES].flatten(1).float().div(255).to(GPU)
    x = one_hot(mnist.targets[:IMAGES], CLASSES).float().to(GPU)
    rows = torch.arange(BATCH, device=GPU).repeat(count, 1)
    step = stacked(x, y, rows) if count > 1 else single(x, y, rows)
    graph = _captured(step)
    epochs = []
    for _ in range(EPOCHS + 1):
        started = _now()
        order = torch.stack([torch.randperm(IMAGES, device=GPU) for _ in range(count)])
        for batch in order.split(BATCH, 1):
            if batch.shape[1] == BATCH:
                rows.copy_(batch)
                graph.replay()
        epochs.append(_now() - started)
    return {"ten epochs, s": sum(epochs[1:]), "an epoch, s": median(epochs[1:])}


def _captured(step: Callable[[], None]) -> torch.cuda.CUDAGraph:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def naive(root: Path) -> Numbers:
    """Measure a naive LightningModule over torchvision's data set, image by image."""
    clock = Clock()
    with TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="gpu",
            devices=1,
            max_epochs=NAIVE_EPOCHS + 1,
            callbacks=[clock],
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Naive(), naive_loader(root, BATCH, 4))
    epoch = median(clock.epochs[1:])
    return {"ten epochs, s": EPOCHS * epoch, "an epoch, s": epoch}


def convolutions(root: Path) -> Numbers:
    """Measure two minutes of `mnist_conv` after a first epoch, in which it is compiled."""
    clock = Clock(MINUTES)
    whole = _run(
        root,
        clock,
        "experiment=mnist_conv",
        "~callbacks.snapshots",
        "+trainer.limit_test_batches=8",
    )
    epochs = clock.epochs[1:]
    return {
        "images/s": IMAGES / median(epochs),
        "epochs": len(epochs),
        "an epoch, s": median(epochs),
        "first epoch, s": clock.epochs[0],
        "whole run with its test, s": whole,
    }


def importance_sampling(root: Path, compiled: bool) -> Numbers:
    """Measure images times samples a second, of 1,000 z for each of 1,000 images."""
    model = network()
    model.to(GPU)
    if compiled:
        model.compile_parts()
    x = torch.eye(CLASSES, device=GPU).repeat(WEIGHED // CLASSES, 1)
    y = torch.rand(WEIGHED, 1, 28, 28, device=GPU).round()
    model.estimate(x, y, SAMPLES)
    seconds = []
    for _ in range(5):
        started = _now()
        model.estimate(x, y, SAMPLES)
        seconds.append(_now() - started)
    return {"images x samples/s": WEIGHED * SAMPLES / median(seconds), "s": median(seconds)}


MEASURES: dict[str, Callable[[Path], Numbers]] = {
    "bare loop, one CUDA graph": bare,
    "naive LightningModule": naive,
    "framework": framework,
    "framework, compile=true": lambda root: framework(root, "compile=true"),
    "importance sampling": lambda root: importance_sampling(root, False),
    "importance sampling, compile=true": lambda root: importance_sampling(root, True),
    "mnist_conv": convolutions,
    "8 models stacked, one CUDA graph": lambda root: members(root, 8),
    "32 models stacked, one CUDA graph": lambda root: members(root, 32),
}


def main() -> None:
    """Measure all, or those named on the command line; write gpu.json and gpu.md."""
    parser = argparse.ArgumentParser(description="Benchmarks on one GPU.")
    parser.add_argument("root", type=Path, help="folder with MNIST, laid out as torchvision's")
    parser.add_argument("measures", nargs="*", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_intermixed_args()
    if not torch.cuda.is_available():
        sys.exit("gpu: this machine has no GPU")
    unknown = set(given.measures) - set(MEASURES)
    if unknown:
        sys.exit(f"gpu: no such measure: {', '.join(unknown)}")
    file = given.out / "gpu.json"
    results: Numbers = json.loads(file.read_text()) if file.is_file() else {}
    if results.get("machine") != machine():
        results = {"machine": machine()}
    for name in given.measures or MEASURES:
        started = perf_counter()
        results[name] = MEASURES[name](given.root.absolute())
        took = perf_counter() - started
        print(f"{name}: {results[name]} ({took:.0f} s)", file=sys.stderr, flush=True)
        file.write_text(json.dumps(results, indent=1) + "\n")
    text = table(results)
    (given.out / "gpu.md").write_text(text)
    print(text)


def ratios(file: Path) -> dict[tuple[str, str], float]:
    """Return the ratios of `benchmark.py` that a GPU was measured for, by measure and claim.

    On a GPU the bare loop replays its step as a CUDA graph.

    Args:
        file: What was measured, `gpu.json`.
    """
    results = json.loads(file.read_text()) if file.is_file() else {}

    def seconds(name: str) -> float:
        return float(results.get(name, {}).get("an epoch, s", math.nan))

    framework, graph = seconds("framework"), seconds("bare loop, one CUDA graph")
    compiled, naive = seconds("framework, compile=true"), seconds("naive LightningModule")
    found = {
        ("training, batch 128", "framework / bare"): framework / graph,
        ("training, batch 128", "naive Lightning / framework"): naive / framework,
        ("training, batch 128, compile=true", "framework / bare"): compiled / graph,
    }
    return {claim: ratio for claim, ratio in found.items() if not math.isnan(ratio)}


def machine() -> str:
    """Return a description of the machine that the figures were measured on."""
    return (
        f"{torch.cuda.get_device_name()}, {os.cpu_count()} CPU cores, torch {torch.__version__}, "
        f"lightning {lightning.__version__}"
    )


def table(results: Numbers) -> str:
    """Return the results as Markdown."""
    lines = [f"{results['machine']}.", "", "| measured | figure | value |", "| --- | --- | --- |"]
    for name, numbers in results.items():
        for figure, value in numbers.items() if isinstance(numbers, dict) else []:
            shown = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
            lines.append(f"| {name} | {figure} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
