"""The time that commands take to start, and their memory, each measured in a new process."""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

FIRST_STEP = """
import os, sys
from cvae.training.module import TrainingModule
TrainingModule.training_step = lambda *_: os._exit(0)
from cvae.commands.main import train
train()
"""
PEAK = "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
FRAMEWORK = """
import contextlib, io
from cvae.commands.main import train
with contextlib.redirect_stdout(io.StringIO()):
    train()
"""
SCRIPT = """
import sys
from pathlib import Path
from rivals import per_sample
per_sample(Path(sys.argv[1]), 128, False)(465)
"""
IMPORTANCE = """
import sys
import torch
from inference import network
network().estimate(torch.eye(10).repeat(10, 1), torch.rand(100, 1, 28, 28), int(sys.argv[1]))
"""


def _run(code: str, *arguments: str) -> tuple[float, str]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, *arguments]
        path = {"PYTHONPATH": str(Path(__file__).parent), "PATH": "", "HOME": folder}
        started = perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=path, capture_output=True, text=True, check=False
        )
        seconds = perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr)
    return seconds, done.stdout


def starting(blocks: int) -> list[dict[str, float]]:
    """Return the seconds of each block for help, completion, an import, and a first step."""
    tasks = {
        "help": ("from cvae.commands.main import train; train()", "--help"),
        "lightning": ("import os, lightning; os._exit(0)",),
        "first step": (FIRST_STEP,),
    }
    found = [{name: _run(*task)[0] for name, task in tasks.items()} for _ in range(blocks + 1)]
    return found[1:]


def memory(root: Path) -> dict[str, float]:
    """Return the largest resident set of each task (VmHWM, so Linux alone), in megabytes."""
    tasks = {
        "default MNIST run, an epoch": (
            FRAMEWORK,
            "data=mnist",
            f"data.root={root}",
            "trainer.max_epochs=1",
        ),
        "per-sample script, an epoch": (SCRIPT, str(root)),
        "importance sampling, 100 draws": (IMPORTANCE, "100"),
        "importance sampling, 10,000 draws": (IMPORTANCE, "10000"),
    }
    return {
        name: int(_run(f"{code}\n{PEAK}", *rest)[1].split()[-1]) / 1024
        for name, (code, *rest) in tasks.items()
    }
