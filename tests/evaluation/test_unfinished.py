"""An evaluation that was cut off ends with the same figures as one that was not."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from cvae.commands import main as cli
from cvae.store import unfinished_evaluation
from cvae.store.unfinished_evaluation import UnfinishedEvaluation
from cvae.training.module import TrainingModule

LINE = ("checkpoint=run", "samples=4", "images=0", "data.batch_size=100")


def test_a_cut_off_evaluation_is_resumed_with_the_same_figures(
    call, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished_evaluation, "_EVERY", 0.0)
    shutil.copytree(run_dir, "run")
    estimate, calls = TrainingModule.estimate, []

    def cut_off(self, x, y, samples=1000):
        calls.append(len(y))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return estimate(self, x, y, samples)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "over_classes", lambda self, x, y, found, k: -found.log_prob)
        patch.setattr(TrainingModule, "estimate", cut_off)
        status, _, _ = call(cli.evaluate, *LINE)
        assert status != 0
        assert Path("run/.evaluation.pt").is_file()
        status, out, _ = call(cli.evaluate, *LINE)
        assert status == 0
        assert calls == [100, 100, 100, 100, 60]  # two of four batches were done
        resumed = json.loads(Path("run/metrics.json").read_text())
        assert call(cli.evaluate, *LINE)[0] == 0
        assert json.loads(Path("run/metrics.json").read_text()) == resumed
    assert not Path("run/.evaluation.pt").exists()
    assert out.startswith("z is ") or "draws are" in out
    assert " ".join(Path("run/verdict.txt").read_text().split()) in " ".join(out.split())
    assert Path("run/calibration.png").is_file()


def test_what_is_kept_of_another_evaluation_or_damaged_is_not_taken(monkeypatch) -> None:
    monkeypatch.setattr(unfinished_evaluation, "_EVERY", 0.0)
    path = Path("kept.pt")
    first = UnfinishedEvaluation(path, {"checkpoint": 1, "samples": 5})
    first("one", lambda: {"nll": torch.ones(3)})
    same = UnfinishedEvaluation(path, {"checkpoint": 1, "samples": 5})
    assert torch.equal(same("one", pytest.fail)["nll"], torch.ones(3))
    for bound in ({"checkpoint": 2, "samples": 5}, {"checkpoint": 1, "samples": 6}):
        assert UnfinishedEvaluation(path, bound).done == {}
    path.write_bytes(path.read_bytes()[:100])
    assert UnfinishedEvaluation(path, {"checkpoint": 1, "samples": 5}).done == {}
