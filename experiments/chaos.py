"""Kills commands at random moments, fills their disk, takes the right to write: nothing is lost.

Usage: python experiments/chaos.py [TIMES], 50 by default. A training, an evaluation, an export, a
sweep and a refit take turns. Each is interrupted, in one of these ways:

- by SIGKILL, SIGTERM or Ctrl-C, at a random moment;
- by a disk that is full before it is done, of random size;
- by SIGKILL, and a folder that is read-only when it is resumed.

After that it is finished, by the command that the program itself names, and compared with the same
command that was not interrupted. Everything has to be the same to the last bit: weights, the
optimiser's state, metrics, every point of TensorBoard's curves, and the exported page. None may end
in a traceback, nor with status 0 before it is done. Needs an operating system that can fork, and,
for full disks and read-only folders, the right to mount file systems; without it, all are killed.
"""

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cvae.commands import main as commands
from cvae.evaluation import judge
from cvae.store.run_folder import RunFolder
from same_bits import differing, metrics, outcome

OPTIONS = [
    *("network.width=64", "data.batch_size=64", "trainer.max_epochs=6", "optimizer.lr=0.01"),
    *("scheduler=plateau", "scheduler.patience=0", "objective.warmup_epochs=3", "seed=3"),
    *("callbacks.last.every_n_steps=2", "callbacks.snapshots.every_n_epochs=2", "threads=1"),
]
SHORT = [*OPTIONS, "trainer.max_epochs=2"]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ROUNDS = ("kill", "kill", "full disk", "kill", "kill", "read-only", "kill", "full disk", "kill")


# -- the commands ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A command that is interrupted and finished.

    Attributes:
        name: What it does, in a word.
        command: Its console command.
        arguments: Its arguments, of the folder that it writes to.
        again: Those that finish it after it was interrupted.
        outcome: What it has made in that folder.
        copied: Whether it starts with a finished run in that folder.
    """

    name: str
    command: str
    arguments: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    outcome: Callable[[Path], Any]
    copied: bool = False


def tasks(whole: Path) -> list[Task]:
    """Return all of them.

    Args:
        whole: The folder of a finished run.
    """

    def training(name: str, *options: str) -> Task:
        def begin(folder: Path) -> list[str]:
            return [*OPTIONS, *options, f"hydra.run.dir={folder}"]

        def again(folder: Path) -> list[str]:
            overrides = RunFolder(folder).overrides  # which a full disk leaves empty
            begun = overrides.is_file() and overrides.stat().st_size > 0
            return [f"resume={folder}"] if begun else begin(folder)

        return Task(name, "train", begin, again, outcome)

    def sweep(folder: Path) -> list[str]:
        return ["-m", *SHORT, "latent_dim=2,3", f"hydra.sweep.dir={folder}"]

    def swept(folder: Path) -> list[str]:
        planned = (folder / "multirun.yaml").is_file()
        return [f"sweep.resume={folder}"] if planned else sweep(folder)

    def jobs(folder: Path) -> Any:
        return {job.name: outcome(job) for job in folder.iterdir() if job.is_dir()}

    def evaluation(folder: Path) -> list[str]:
        asked = ["samples=5", "images=5", f"judges={folder / 'judges'}"]
        return [f"checkpoint={folder}", *asked]

    def page(folder: Path) -> list[str]:
        return [f"checkpoint={whole}", "images=0", f"out={folder / 'page.html'}"]

    def pages(folder: Path) -> Any:
        return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]

    return [
        training("train"),
        Task("evaluate", "evaluate", evaluation, evaluation, metrics, copied=True),
        Task("export", "export", page, page, pages),
        Task("sweep", "train", sweep, swept, jobs),
        training("refit", "refit=mixture"),
    ]


def start(task: Task, arguments: list[str], log: Path) -> int:
    """Start a command in a child process, in which everything is imported; return its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(log.with_suffix(f".{name}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
    sys.argv = [f"cvae-{task.command}", *arguments]
    status = 1
    try:
        getattr(commands, task.command)()
        status = 0
    except SystemExit as stop:
        status = (stop.code or 0) if isinstance(stop.code, int | None) else 1
    except BaseException as error:  # as Python would print it
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(status)


def finish(task: Task, arguments: list[str], log: Path) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: If it fails, with what it printed.
    """
    _, status = os.waitpid(start(task, arguments, log), 0)
    if status:
        printed = [log.with_suffix(f".{name}").read_text() for name in ("out", "err")]
        raise RuntimeError("".join([f"{task.name} {' '.join(arguments)}\n", *printed]))


# -- the interruptions -----------------------------------------------------------------------------


def mount(folder: Path, options: str) -> bool:
    """Give a folder a file system of its own, or change that; return whether it is allowed."""
    order = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(order, check=False, capture_output=True).returncode == 0


def size_of(folder: Path) -> int:
    """Return how much a folder holds, in kilobytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1024


class Chaos:
    """Interrupts commands, and compares what becomes of them.

    Args:
        scratch: An empty folder.
        times: How many commands are going to be interrupted.
    """

    def __init__(self, scratch: Path, times: int) -> None:
        self.scratch, self.rng = scratch, random.Random(0)
        (scratch / "probe").mkdir()
        self.mounts = mount(scratch / "probe", "size=64k")
        if self.mounts:
            subprocess.run(["umount", "-l", str(scratch / "probe")], check=True)
        else:
            print("file systems cannot be mounted here: all commands are killed", flush=True)
        self.run = scratch / "run"
        self.tasks = tasks(self.run)
        if times > 1:  # what is evaluated and exported
            finish(self.tasks[0], [*SHORT, f"hydra.run.dir={self.run}"], scratch / "run_log")
        self.expected, self.seconds, self.size = {}, {}, {}
        for task in self.tasks[:times]:
            folder = self._begun(task, scratch / task.name)
            before, begun = size_of(folder), time.monotonic()
            finish(task, task.arguments(folder), scratch / f"{task.name}_log")
            self.seconds[task.name] = time.monotonic() - begun
            self.size[task.name] = (before, size_of(folder))
            self.expected[task.name] = task.outcome(folder)
            print(f"{task.name}, uninterrupted: {self.seconds[task.name]:.1f} s", flush=True)

    def interrupt(self, number: int) -> str:
        """Interrupt a command, and finish it; return what happened, in a line.

        Raises:
            AssertionError: If anything was lost, or it ended as it should not have.
            RuntimeError: If it cannot be finished.
        """
        task = self.tasks[number % len(self.tasks)]
        way = ROUNDS[number // len(self.tasks) % len(ROUNDS)] if self.mounts else "kill"
        place = self.scratch / str(number)
        place.mkdir()
        try:
            if way != "kill":
                mount(place, "size=200m")
            moment = self._interrupted(task, way, place)
            mount(place, "remount,rw,size=200m")
            folder = place / task.name
            finish(task, task.again(folder), self.scratch / f"{number}_log")
            found = differing(self.expected[task.name], task.outcome(folder))
            left = [str(path) for path in folder.rglob(".*.part")]
            if found or left:
                raise AssertionError(f"{moment}: differs in {', '.join([*found, *left][:5])}")
        finally:
            if way != "kill":
                subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)
            shutil.rmtree(place, ignore_errors=True)
        return f"{task.name}, {moment}: same"

    def _begun(self, task: Task, folder: Path) -> Path:
        if task.copied:
            shutil.copytree(self.run, folder)
        elif task.name == "export":
            folder.mkdir()
        return folder

    def _interrupted(self, task: Task, way: str, place: Path) -> str:
        """Start a command and interrupt it; return how, and what it said."""
        folder, log = place / task.name, self.scratch / f"{place.name}_first"
        if way == "full disk":
            self._begun(task, folder)
            before, end = self.size[task.name]
            room = before + max(8, round(self.rng.uniform(0, 0.95) * (end - before)))
            mount(place, f"remount,size={room}k")
            told = self._told(start(task, task.arguments(folder), log), (0, 1, 2), log)
            return f"a disk of {room} of {end} kB, {told}"
        number = signal.SIGKILL if way == "read-only" else self.rng.choice(SIGNALS)
        after = self.rng.uniform(0, self.seconds[task.name])
        child = self._started(task, folder, log)
        time.sleep(after)
        while os.waitpid(child, os.WNOHANG)[0]:  # it had ended
            shutil.rmtree(folder)
            after /= 2
            child = self._started(task, folder, log)
            time.sleep(after)
        os.kill(child, number)
        asked = -number if number == signal.SIGKILL else 128 + number
        told = f"{number.name} after {after:.2f} s, {self._told(child, (0, asked), log)}"
        if way == "kill":
            return told
        if not mount(place, "remount,ro"):
            raise AssertionError("its folder cannot be made read-only")
        refused = self._told(start(task, task.again(folder), log), (2,), log)
        return f"{told}, then read-only, {refused}"

    def _started(self, task: Task, folder: Path, log: Path) -> int:
        self._begun(task, folder)
        return start(task, task.arguments(folder), log)

    @staticmethod
    def _told(child: int, asked: tuple[int, ...], log: Path) -> str:
        """Wait for an interrupted command; return its status, and hold it to what is asked."""
        _, ended = os.waitpid(child, 0)
        status = os.waitstatus_to_exitcode(ended)
        err = log.with_suffix(".err").read_text()
        lines = [line for line in err.splitlines() if not line.startswith("[rank: 0]")]
        if status not in asked or "Traceback" in err or len(lines) > 2:
            raise AssertionError(f"it ended with status {status} and said\n{err}")
        return f"status {status}"


def main() -> None:
    """Run the test and print the result; the exit status is 1 if anything was lost."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of every restart
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    torch.set_num_threads(1)
    judge._STEPS = 60  # of the judge that each evaluation trains
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        chaos = Chaos(Path(scratch), times)
        for number in range(times):
            try:
                print(f"{number + 1}: {chaos.interrupt(number)}", flush=True)
            except (AssertionError, RuntimeError, OSError) as error:
                wrong += 1
                print(f"{number + 1}: FAILED: {error}", flush=True)
    print(f"{times - wrong} of {times} runs ended with the same bits as the uninterrupted one")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
