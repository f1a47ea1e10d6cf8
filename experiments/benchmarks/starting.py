"""The time that commands take to start, and their memory, each measured in a new process."""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

COMMANDS = ("cvae-train", "cvae-sample", "cvae-evaluate", "cvae-encode", "cvae-export")
STATUS = """
def status(name):
    return int(open('/proc/self/status').read().partition(name + ':')[2].split()[0])
"""
FRAMEWORK = """
import contextlib, io
from cvae.commands.main import train
import cvae.commands.train, cvae.training.fit, cvae.training.prepare
imported = status('VmRSS')
with contextlib.redirect_stdout(io.StringIO()):
    train()
"""
SCRIPT = """
import sys
from pathlib import Path
from rivals import per_sample
imported = status('VmRSS')
per_sample(Path(sys.argv[1]), 128)(465)
"""
IMPORTANCE = """
import sys
import torch
from inference import network
imported = status('VmRSS')
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
    """Return the seconds of each block for the commands' help, an import, and a run of one step."""
    tasks = {
        **{name: (_program(name), "--help") for name in COMMANDS},
        "torch": ("import os, torch; os._exit(0)",),
        "one step": (
            _program("cvae-train"),
            "trainer.max_epochs=1",
            *(f"+trainer.limit_{split}_batches=1" for split in ("train", "val", "test")),
        ),
    }
    found = [{name: _run(*task)[0] for name, task in tasks.items()} for _ in range(blocks + 1)]
    return found[1:]


def _program(name: str) -> str:
    function = name.removeprefix("cvae-")
    return f"from cvae.commands.program import {function}; {function}()"


def memory(root: Path) -> dict[str, dict[str, float]]:
    """Return the largest resident set of each task, and what importing leaves, in megabytes.

    They are Linux's VmHWM and VmRSS.
    """
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
    found = {}
    for name, (code, *rest) in tasks.items():
        told = f"{STATUS}{code}\nprint(status('VmHWM'), imported)"
        peak, imported = (int(size) / 1024 for size in _run(told, *rest)[1].split()[-2:])
        found[name] = {"peak": peak, "imported": imported}
    return found
