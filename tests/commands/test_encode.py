"""`cvae-encode`: which item a row is of, and that what it says is that item's posterior."""

import csv
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import cvae
from conftest import SHORT, composed, train, written_own_data
from cvae.commands import main as cli
from cvae.evaluation.image_metrics import test_split as served
from cvae.evaluation.posterior_file import Encoded, contents

N = 60
"""Pairs of a user's own file."""


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    own = written_own_data(folder)["vectors"]
    train(composed("data=vectors", *own, *SHORT, "latent_dim=2"), folder / "run")
    return folder


def rows_of(file: str) -> list[dict[str, str]]:
    with Path(file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_row_is_the_posterior_of_the_item_that_it_names(call, run_dir: Path) -> None:
    status, out, _ = call(cli.encode, str(run_dir), "out=test.csv")
    assert (status, out) == (0, "test.csv: 360 items\n")
    rows = rows_of("test.csv")
    item = [int(row["item"]) for row in rows]
    assert item == sorted(item)
    # sklearn's own numbers and classes; a fifth of each class is the test split.
    assert [int(row["x"]) for row in rows] == load_digits().target[item].tolist()
    assert "label" not in rows[0]  # which x says
    data, model = cvae.datamodule(run_dir), cvae.load(run_dir)
    split = served(data)
    place = {number: k for k, number in enumerate(data.numbers(train=False).tolist())}
    order = [place[number] for number in item]
    with torch.no_grad():
        q = model.posterior(split.x[order], split.y[order])
    for name, expected in (("mean", q.mean), ("deviation", q.stddev)):
        found = [[float(row[f"{name}_z{k}"]) for k in range(8)] for row in rows]
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_the_same_pairs_in_another_file_have_the_same_posteriors(call, own_run: Path) -> None:
    """The rows of the run's own file, in any split, and those of that file upside down."""
    with np.load(own_run / "vectors.npz") as arrays:
        np.savez("turned.npz", **{name: array[::-1] for name, array in arrays.items()})
    run = str(own_run / "run")
    assert call(cli.encode, run, "out=own.npz", "data.split=all")[0] == 0
    assert call(cli.encode, run, "out=new.npz", "data.split=all", "data.path=turned.npz")[0] == 0
    own, new = np.load("own.npz"), np.load("new.npz")
    assert own["item"].tolist() == new["item"].tolist() == list(range(N))
    with np.load(own_run / "vectors.npz") as arrays:  # which rows can be put next to
        np.testing.assert_allclose(own["x"][:, 0], arrays["x.age"])
        np.testing.assert_array_equal(own["x"][:, 1] == 1, arrays["x.sex"] == "f")
    assert {str(name): sum(own["split"] == name) for name in np.unique(own["split"])} == {
        "train": 43,
        "val": 5,
        "test": 12,
    }
    assert "split" not in new
    for name in ("mean", "deviation"):
        assert own[name].shape == (N, 2)
        np.testing.assert_allclose(own[name], new[name][::-1], rtol=1e-4, atol=1e-6)
    assert len(np.unique(own["mean"][:, 0])) == N
    assert call(cli.encode, run, "out=own.csv", "data.split=all")[0] == 0
    rows = rows_of("own.csv")
    assert [row["split"] for row in rows] == own["split"].tolist()
    np.testing.assert_allclose([float(row["mean_z1"]) for row in rows], own["mean"][:, 1], 1e-6)
    ages = [float(row["x"].partition(",")[0].removeprefix("age=")) for row in rows]
    np.testing.assert_allclose(ages, own["x"][:, 0])
    assert call(cli.encode, run, "out=new.csv", "data.split=all", "data.path=turned.npz")[0] == 0
    assert re.match(r"age=\d\d\.5, sex=[fm]$", rows_of("new.csv")[0]["x"])


def test_items_of_a_test_file_come_after_those_of_the_training_file() -> None:
    """As MNIST has them, both counted from 0."""

    def part(*numbers: int) -> Encoded:
        column = torch.tensor(numbers).unsqueeze(1).float()
        return Encoded(torch.tensor(numbers), column, [], list(map(str, numbers)), column, column)

    found = {"train": part(0, 3), "val": part(1, 2), "test": part(0, 1)}
    arrays = np.load(BytesIO(contents(".npz", found)))
    assert arrays["item"].tolist() == arrays["x"][:, 0].tolist() == [0, 1, 2, 3, 0, 1]
    assert arrays["label"].tolist() == ["0", "1", "2", "3", "0", "1"]
    assert arrays["split"].tolist() == ["train", "val", "val", "train", "test", "test"]


def test_other_data_are_not_taken_for_those_of_the_run(call, own_run: Path) -> None:
    with np.load(own_run / "vectors.npz") as arrays:
        np.savez("other.npz", **{name: array[:50] for name, array in arrays.items()})
        np.savez("wide.npz", y=arrays["y"][:, :3], **{k: arrays[k] for k in ("x.age", "x.sex")})
    run = str(own_run / "run")
    for line, words in (
        (["data.path=other.npz"], "are not those that the run was started with"),
        (["data.path=wide.npz", "data.split=all"], "y.shape is [3], expected [4]"),
    ):
        status, _, err = call(cli.encode, run, *line)
        assert (status, err.count("\n")) == (2, 1)
        assert words in err
    assert not Path("posterior.csv").exists()
