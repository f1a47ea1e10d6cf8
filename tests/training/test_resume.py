"""A run that was cut off, once resumed, ends with the same bits as an uninterrupted one."""

import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import seed_everything
from tensorboard.summary.writer import event_file_writer

import chaos
from conftest import composed, cut_off, train
from cvae.commands import main as cli
from cvae.data.base import ShuffledBatches
from cvae.store.checkpoint import KEY, read
from cvae.store.events import curve
from cvae.store.run_folder import RunFolder
from cvae.training.module import TrainingModule
from forked import Forked
from same_bits import differing, outcome

TINY = ["network.width=16", "~callbacks.progress", "optimizer.lr=0.01", "data.batch_size=256"]


def require_same(folder: Path, other: Path) -> None:
    assert differing(outcome(folder), outcome(other)) == []


OPTIMAL = ["likelihood=gaussian", "likelihood.scale=optimal"]
IWAE = [
    "objective=iwae",
    *(f"callbacks.{name}.monitor=val/loss" for name in ("best", "early_stopping")),
    *(f"callbacks.{name}.mode=min" for name in ("best", "early_stopping")),
]
OFTEN = "callbacks.last.every_n_steps=1"


@pytest.mark.parametrize(
    ("overrides", "epoch", "batch"),
    [
        (["trainer.max_epochs=5", "prior=standard"], 3, 2),
        (["trainer.max_epochs=5", "scheduler=cosine", "objective.warmup_epochs=4"], 3, 2),
        (["scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.3"], 3, 2),
        (["trainer.max_epochs=40", "callbacks.early_stopping.patience=1"], 3, 2),
        ([OFTEN, "objective.warmup_epochs=4"], 3, 2),
        ([OFTEN, "scheduler=cosine", "+trainer.val_check_interval=3"], 3, 5),
        ([OFTEN, "+trainer.limit_train_batches=4"], 2, 3),
        (["+trainer.check_val_every_n_epoch=2", "callbacks.early_stopping.patience=1"], 2, 1),
        ([OFTEN, "+trainer.accumulate_grad_batches=2"], 2, 4),
        (["callbacks.last.every_n_minutes=0", "prior=standard"], 0, 1),
        ([], 0, 0),
        ([OFTEN, "callbacks=ema", "objective=geco", "refit=mixture"], 2, 3),
        ([OFTEN, *OPTIMAL, *IWAE], 2, 3),
    ],
    ids=[
        *("plain", "cosine", "plateau", "stopped early", "within an epoch", "several validations"),
        *("short epochs", "validation at times"),
        *("several batches a step", "by the clock", "before any checkpoint"),
        *("averages", "another monitor"),
    ],
)
def test_a_run_cut_off_ends_as_one_that_was_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    epoch: int,
    batch: int,
) -> None:
    monkeypatch.setattr("cvae.training.refit._EPOCHS", 2)
    line = [*TINY, "trainer.max_epochs=5", *overrides]
    train(composed(*line), tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=epoch, batch=batch)
        with pytest.raises(SystemExit):
            train(composed(*line), tmp_path / "cut")
    assert not (tmp_path / "cut" / "metrics.json").exists()
    seed_everything(7)  # a new process starts anywhere
    train(composed(*line, f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    require_same(tmp_path / "whole", tmp_path / "cut")


def test_every_epoch_is_validated_under_the_same_noise(tmp_path: Path) -> None:
    """Weights that do not move are as good in every epoch, to the last bit."""
    line = [*TINY, "trainer.max_epochs=3", "optimizer.lr=0"]
    train(composed(*line), tmp_path)
    found = list(curve(tmp_path, "val/elbo").values())
    assert len(found) == 3
    assert len(set(found)) == 1
    assert len(set(curve(tmp_path, "train/elbo").values())) == 3  # its noise is new


@pytest.mark.parametrize("hook", ["on_validation_epoch_end", "on_save_checkpoint"])
def test_a_run_cut_off_between_its_steps_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    line = [*TINY, "trainer.max_epochs=3", OFTEN]
    train(composed(*line), tmp_path / "whole")
    whole, calls = getattr(TrainingModule, hook), itertools.count()

    def cut(self: TrainingModule, *arguments: Any) -> None:
        whole(self, *arguments)
        if self.current_epoch == 1 and next(calls) == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, hook, cut)
        with pytest.raises(SystemExit):
            train(composed(*line), tmp_path / "cut")
    train(composed(*line, f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    require_same(tmp_path / "whole", tmp_path / "cut")


def test_a_run_does_not_resume_from_a_damaged_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*TINY, "trainer.max_epochs=4", "optimizer.lr=0.3"]  # whose best epoch is not the last
    train(composed(*line), tmp_path / "whole")
    torn = RunFolder(tmp_path / "torn")
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=3, batch=2)
        with pytest.raises(SystemExit):
            train(composed(*line), torn.path)
    assert [read(file).contents["epoch"] for file in (torn.previous, torn.last)] == [1, 2]
    torn.last.write_bytes(torn.last.read_bytes()[:-1000])
    train(composed(*line, f"resume={torn.path}"), torn.path)
    require_same(tmp_path / "whole", torn.path)
    assert "last.ckpt is damaged or missing: resuming from" in capsys.readouterr().err
    assert not torn.previous.exists()


def test_a_run_resumes_from_no_checkpoint_without_the_state_of_its_optimiser(
    call, run_dir: Path
) -> None:
    shutil.copytree(run_dir, "run")
    folder = RunFolder(Path("run"))
    assert {"optimizer_states", "callbacks", "loops"}.isdisjoint(read(folder.best).contents)
    weights = read(folder.last).contents["state_dict"].values()
    held = sum(weight.numel() * weight.element_size() for weight in weights)
    assert held < folder.best.stat().st_size < 1.2 * held  # Adam's averages are as large, twice
    assert 3 * held < folder.last.stat().st_size
    folder.last.unlink()
    for _ in ("finished", "cut off"):
        status, _, err = call(cli.train, "resume=run", "trainer.max_epochs=3")
        assert (status, err.count("\n")) == (2, 1)
        assert "best.ckpt holds weights alone, from which no run can resume" in err
        folder.metrics.unlink(missing_ok=True)
    shutil.copy(folder.best, folder.last)
    assert "is not one that a run can resume from" in call(cli.train, "resume=run")[2]


def test_event_files_of_one_second_are_read_in_the_order_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    # The names of a process's files end in a number, and 13 comes before 9 by name.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    train(composed(*TINY, "trainer.max_epochs=1"), tmp_path)
    names = sorted(path.name for path in tmp_path.glob("events.out.tfevents.*"))
    assert [name.rpartition(".")[2] for name in names] == ["9", "13"]  # between them, sub-runs


def test_the_time_that_a_run_took_is_that_of_all_its_parts(tmp_path: Path) -> None:
    line = [*TINY, "trainer.max_epochs=1"]
    _, metrics = train(composed(*line), tmp_path)
    contents = read(RunFolder(tmp_path).last).contents
    spent = contents[KEY]["seconds"]
    assert 0 < spent < metrics["seconds"]
    _, again = train(composed(*line, f"resume={tmp_path}"), tmp_path)
    assert spent < again["seconds"]
    contents[KEY]["seconds"] = 1000.0
    torch.save(contents, tmp_path / "checkpoints" / "last.ckpt")
    _, again = train(composed(*line, f"resume={tmp_path}"), tmp_path)
    assert 1000 < again["seconds"] < 1100


def test_a_drawn_seed_is_recorded_and_kept(tmp_path: Path) -> None:
    line = [*TINY, "trainer.max_epochs=1", "seed=null"]
    for name in ("one", "two"):
        train(composed(*line), tmp_path / name)
    drawn = [read(tmp_path / n).config["seed"] for n in ("one", "two")]
    assert drawn[0] != drawn[1]
    assert f"seed: {drawn[0]}" in (tmp_path / "one" / "hparams.yaml").read_text()
    train(composed(*TINY, "trainer.max_epochs=1", f"seed={drawn[0]}"), tmp_path / "again")
    require_same(tmp_path / "one", tmp_path / "again")


def test_a_run_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    line = [*TINY, "trainer.max_epochs=60", "callbacks.early_stopping.patience=1"]
    _, metrics = train(composed(*line, "optimizer.lr=0.1"), tmp_path)
    assert metrics["epochs"] < 60
    _, again = train(composed(*line, "optimizer.lr=0.1", f"resume={tmp_path}"), tmp_path)
    assert {**again, "seconds": 0} == {**metrics, "seconds": 0}


@pytest.mark.parametrize(("count", "processes"), [(10, 1), (10, 2), (11, 3), (3, 4)])
def test_every_item_is_served_once_an_epoch(count: int, processes: int) -> None:
    shares = [
        ShuffledBatches(count, 2, seed=1, rank=r, processes=processes) for r in range(processes)
    ]
    served = [torch.cat(list(share)).tolist() for share in shares]
    assert {len(share) for share in served} == {-(-count // processes)}  # all equally long
    assert set().union(*served) == set(range(count))
    assert all(len(list(share)) == len(share) for share in shares)


def test_the_order_depends_on_the_seed_and_the_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = ShuffledBatches(50, 8, seed, rank=0, processes=1)
        batches.set_epoch(epoch)
        return torch.cat(list(batches)).tolist()

    assert order(0, 3) == order(0, 3)
    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_a_run_killed_at_any_moment_ends_as_one_that_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["chaos.py", "1"])
    status, printed = Forked(chaos.main).wait()
    assert status == 0, printed
    assert "1 of 1 runs ended with the same bits as the uninterrupted one" in printed


WORST = ["callbacks.best.monitor=val/kl", "callbacks.best.mode=min"]  # of the untrained it is least


def test_a_sanity_check_is_no_validation(tmp_path: Path) -> None:
    line = [*TINY, "trainer.max_epochs=2", "trainer.num_sanity_val_steps=1"]
    line += ["+trainer.check_val_every_n_epoch=2", *WORST]
    train(composed(*line), tmp_path)
    assert read(tmp_path).contents["epoch"] == 1  # the first epoch with a validation of its own


def test_a_home_folder_in_quotes_is_resumed(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = RunFolder(tmp_path / "run")
    line = [*TINY, "trainer.max_epochs=1", f"hydra.run.dir={folder.path}"]
    assert call(cli.train, *line)[0] == 0
    contents = read(folder.last).contents
    contents[KEY]["best"] = {"val/elbo": 1000.0}  # which a run that began again would not know
    torch.save(contents, folder.last)
    assert call(cli.train, "resume='~/run'", "trainer.max_epochs=2")[0] == 0
    assert folder.read_metrics()["val/elbo"] == 1000
    assert folder.read_metrics()["epochs"] == 2
