"""Kills runs at random moments, resumes each, and compares it with an uninterrupted run.

Usage: python experiments/chaos.py [RUNS], 50 by default. Everything has to be the same to the last
bit: the weights of the best and of the last epoch, the optimiser's state, the metrics, and every
point of TensorBoard's curves. Needs an operating system that can fork.
"""

import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvae.commands.main import train
from cvae.runs.checkpoint import newest, read
from cvae.runs.run_folder import RunFolder

OPTIONS = [
    *("network.width=64", "data.batch_size=64", "trainer.max_epochs=6", "optimizer.lr=0.01"),
    *("scheduler=plateau", "scheduler.patience=0", "objective.warmup_epochs=3", "seed=3"),
    *("callbacks.last.every_n_steps=2", "callbacks.snapshots.every_n_epochs=2"),
]


def start(folder: Path, *arguments: str) -> int:
    """Start `cvae-train` in a child process, in which everything is imported; return its id."""
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["cvae-train", *arguments]
    status = 1
    try:
        train()
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    finally:
        os._exit(status)


def finish(folder: Path, *arguments: str) -> None:
    """Run `cvae-train` to its end.

    Raises:
        RuntimeError: If it fails, with what it printed.
    """
    _, status = os.waitpid(start(folder, *arguments), 0)
    if status:
        raise RuntimeError(folder.with_suffix(".log").read_text())


def outcome(folder: Path) -> dict[str, Any]:
    """Return all results of a finished run, as numbers and tensors."""
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["seconds"]
    best, last = read(folder).contents, read(RunFolder(folder).last).contents
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    curves = {
        tag: [(point.step, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    pictures = {
        tag: [(picture.step, picture.encoded_image_string) for picture in events.Images(tag)]
        for tag in events.Tags()["images"]
    }
    kept = ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers")
    return {
        "metrics": metrics,
        "best": {name: best[name] for name in kept if name in best},  # a refit keeps fewer
        "last": {name: last[name] for name in kept},
        "curves": curves,
        "pictures": pictures,
    }


def differing(one: Any, other: Any, at: str = "") -> list[str]:
    """Return the places at which two outcomes differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{at}/{key}" for key in set(one) ^ set(other)]
        for key in set(one) & set(other):
            found += differing(one[key], other[key], f"{at}/{key}")
        return found
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return differing(dict(enumerate(one)), dict(enumerate(other)), at)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        one, other = ((t.dtype, t.shape, t.numpy().tobytes()) for t in (one, other))
    return [] if one == other else [at]


def progress(folder: Path) -> str:
    """Return how far a killed run came."""
    found = newest(RunFolder(folder))
    parts = len(list(folder.rglob(".*.part")))
    if found is None:
        return "before its first checkpoint"
    writing = ", while a file was being written" if parts else ""
    return f"epoch {found.contents['epoch']}, step {found.contents['global_step']}{writing}"


def chaos(runs: int, scratch: Path) -> int:
    """Kill and resume `runs` runs; return how many differ from an uninterrupted run."""
    begun = time.monotonic()
    finish(scratch / "whole", *OPTIONS, f"hydra.run.dir={scratch / 'whole'}")
    seconds = time.monotonic() - begun
    expected = outcome(scratch / "whole")
    print(f"uninterrupted: {seconds:.1f} s, {expected['last']['global_step']} steps", flush=True)
    moments = random.Random(0)
    wrong = number = 0
    while number < runs:
        folder = scratch / str(number)
        after = moments.uniform(0, seconds)
        child = start(folder, *OPTIONS, f"hydra.run.dir={folder}")
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):  # it had already finished
            shutil.rmtree(folder)
            continue
        number += 1
        moment = f"killed after {after:.2f} s"
        if (folder / ".hydra" / "overrides.yaml").is_file():
            moment = f"{moment}, {progress(folder)}"
            finish(folder, f"resume={folder}")
        else:  # there is nothing to resume
            finish(folder, *OPTIONS, f"hydra.run.dir={folder}")
        found = differing(expected, outcome(folder))
        wrong += bool(found)
        verdict = f"differs in {', '.join(found[:5])}" if found else "same"
        print(f"{number}: {moment}: {verdict}", flush=True)
    return wrong


def main() -> None:
    """Run the test and print the result; the exit status is 1 if any run differs."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of every restart
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        wrong = chaos(runs, Path(folder))
    print(f"{runs - wrong} of {runs} runs ended with the same bits as the uninterrupted one")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
