"""A run that was cut off ends as if it never had been, to the last bit."""

import json
from pathlib import Path

import pytest
import torch
from lightning import seed_everything

from conftest import composed, cut_off
from cvae import checkpoint
from cvae.data.base import ShuffledBatches
from cvae.train import train

TINY = ["network.width=16", "~callbacks.progress", "optimizer.lr=0.01", "data.batch_size=256"]


def outcome(folder: Path) -> tuple[dict[str, float], dict, dict]:
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["seconds"]
    _, best = checkpoint.read(folder)
    _, last = checkpoint.read(folder, "last.ckpt")
    return metrics, best["state_dict"], last


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.max_epochs=5", "prior=standard"],
        ["trainer.max_epochs=5", "scheduler=cosine", "objective.warmup_epochs=4"],
        ["trainer.max_epochs=5", "scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.3"],
        ["trainer.max_epochs=40", "callbacks.early_stopping.patience=1", "optimizer.lr=0.1"],
    ],
    ids=["plain", "cosine", "plateau", "stopped early"],
)
def test_a_run_cut_off_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    line = [*TINY, *overrides]
    train(composed(*line), tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=3, batch=2)
        with pytest.raises(SystemExit):
            train(composed(*line), tmp_path / "cut")
    assert not (tmp_path / "cut" / "metrics.json").exists()
    seed_everything(7)  # a new process starts anywhere
    train(composed(*line, f"resume={tmp_path / 'cut'}"), tmp_path / "cut")

    (metrics, best, last), (metrics_, best_, last_) = map(
        outcome, (tmp_path / "whole", tmp_path / "cut")
    )
    assert metrics == metrics_
    assert last["epoch"] == last_["epoch"]
    torch.testing.assert_close(best, best_, rtol=0, atol=0)
    torch.testing.assert_close(last["state_dict"], last_["state_dict"], rtol=0, atol=0)
    torch.testing.assert_close(last["optimizer_states"], last_["optimizer_states"], rtol=0, atol=0)


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
