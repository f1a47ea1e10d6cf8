"""Commands that are stopped, started twice, or shown by a terminal that lacks characters."""

import os
import shlex
import signal
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra import compose

from conftest import SHORT
from cvae.commands import main as cli
from cvae.commands.interruptions import held_back, stopping
from cvae.config.compose import composing
from cvae.files import LOCK
from cvae.training.module import TrainingModule


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_resume(
    call, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    step = TrainingModule.training_step

    def stopped(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 1:
            os.kill(os.getpid(), number)
        return step(self, batch, batch_idx)

    line = [*SHORT[:1], *SHORT[2:], "trainer.max_epochs=2", "hydra.run.dir=o'brien (r=1), é"]
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", stopped)
        status, out, err = call(cli.train, *line)
    assert (status, err) == (128 + number, "")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    said, _, hint = out.strip().splitlines()[-1].partition(": ")
    assert said == "resume it"
    program, *words = shlex.split(hint)
    assert program == "cvae-train"
    status, out, _ = call(cli.train, *words)
    assert status == 0
    named = shlex.split(out.splitlines()[-1])[-1]
    assert Path(named).absolute() == Path("o'brien (r=1), é").absolute()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_lacks_a_character_gets_a_plain_one(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = TextIOWrapper(BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(sys, "argv", ["cvae-report", "josé−ż–漢"])
    with pytest.raises(SystemExit, match="2"):
        cli.report()
    shown.seek(0)
    accent = "e" if encoding == "ascii" else "é"
    dash = "–" if encoding == "cp1252" else "-"
    assert f"'jos{accent}-z{dash}?' is not a folder" in shown.read()


def test_default_folders_differ() -> None:
    found = set()
    for _ in range(3):
        with composing():
            hydra = compose("train", return_hydra_config=True).hydra
        found |= {hydra.run.dir, hydra.sweep.dir}
        assert hydra.run.dir == hydra.run.dir
    assert len(found) == 6


@pytest.mark.parametrize(
    ("line", "folder", "written"),
    [
        (["hydra.run.dir=r"], "hydra.run.dir: '", ".hydra"),
        (["-m", "seed=0,1", "hydra.sweep.dir=r"], "hydra.sweep.dir: '", "multirun.yaml"),
    ],
)
def test_of_two_started_in_one_folder_the_second_writes_nothing(
    call, line: list[str], folder: str, written: str
) -> None:
    Path("r").mkdir()
    with FileLock(Path("r") / LOCK):
        status, _, err = call(cli.train, *line)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"cvae-train: {folder}")
    assert "is being written by another process" in err
    assert [path.name for path in Path("r").iterdir()] == [LOCK]


def test_a_run_holds_its_folder_from_before_anything_is_written_until_it_ends(
    call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: Any) -> tuple[None, dict[str, float]]:
        with pytest.raises(TimeoutError):
            FileLock(next(Path("outputs").glob(f"*/*/{LOCK}")), timeout=0).acquire()
        return None, {}

    monkeypatch.setattr("cvae.commands.train.fit", fit)
    monkeypatch.setattr("cvae.commands.train.show", lambda *_: None)
    assert call(cli.train)[0] == 0
    (folder,) = Path("outputs").glob("*/*")
    made = (folder / ".hydra" / "config.yaml").stat()
    assert (folder / LOCK).stat().st_mtime_ns <= made.st_mtime_ns
    with FileLock(folder / LOCK, timeout=0):
        pass


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_waits_until_what_it_must_not_break_is_done(number: int, status: int) -> None:
    done = []

    def work() -> None:
        with stopping():
            with held_back():
                os.kill(os.getpid(), number)
                done.append("traced")
            done.append("went on")

    with pytest.raises(SystemExit) as stopped:
        work()
    assert (stopped.value.code, done) == (status, ["traced"])
