"""`cvae-evaluate` on data that are not the run's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cvae
from conftest import SHORT, composed, train
from cvae.commands import main as cli


@pytest.fixture(scope="module")
def of_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on vectors, and beside it other files of vectors."""
    place = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    for name, rows, columns in (("own", 60, 2), ("new", 7, 2), ("wide", 60, 3)):
        x = rng.normal(size=(rows, columns))
        np.savez(place / f"{name}.npz", x=x, y=rng.normal(size=(rows, 2)))
    line = [*SHORT, "data=vectors", f"data.path={place / 'own.npz'}"]
    train(composed(*line), place / "run")
    return place


def test_other_data_are_evaluated_whole_and_leave_the_run_as_it_is(of_vectors: Path, call) -> None:
    run, new = of_vectors / "run", of_vectors / "new.npz"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    line = [f"checkpoint={run}", f"data.path={new}", "data.split=all", "samples=10", "seed=1"]
    status, printed, _ = call(cli.evaluate, *line, "out=new.json")
    assert status == 0
    assert "all of the data" in printed
    assert "test split" not in printed
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    with np.load(new) as arrays:
        x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    torch.manual_seed(0)
    expected = -cvae.load(run).log_prob(x, y, samples=2000).mean()
    found = json.loads(Path("new.json").read_text())["test/nll"]
    assert found == pytest.approx(expected.item(), abs=0.3)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.split=all"], "data.split: the run was trained on these data"),
        (["data.path={}/wide.npz", "data.split=all"], "given.0.shape is [3], expected [2]"),
        (["data.path={}/new.npz"], "cvae-evaluate takes other data by data.split=all"),
        (["data.path={}/new.npz", "data.split=some"], "expected 'test' or 'all', got 'some'"),
    ],
)
def test_data_that_a_run_cannot_be_judged_by_are_refused(
    of_vectors: Path, call, overrides: list[str], said: str
) -> None:
    line = [f"checkpoint={of_vectors / 'run'}", *(o.format(of_vectors) for o in overrides)]
    status, _, err = call(cli.evaluate, *line)
    assert status == 2
    assert said in err
