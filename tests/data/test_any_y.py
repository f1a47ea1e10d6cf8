"""Own data of every kind, from a file to samples, and what is wrong with a file."""

import csv
import json
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from PIL import Image

import cvae
import cvae.config.building
from conftest import SHORT, composed, train
from cvae.commands import main as cli
from cvae.config.compose import find
from cvae.data.base import PairData
from cvae.errors import InputError

Call = Callable[..., tuple[int, str, str]]
HERE = find("experiments") / "own_data"
README = find("src") / "cvae" / "data" / "README.md"
LINES = re.findall(
    r"^cvae-train (data=\S+ .*own_data/.*)$",
    README.read_text().replace("\\\n", ""),  # a command in several lines
    re.MULTILINE,
)
ASKED = {
    "vectors.npz": "0.3",
    "sequences.npz": "[0.3, 0.9]",
    "tokens.npz": "mi,fa",
    "counts.npz": "{kelvin: [290, 300], day: rest}",
    "table.csv": "{age: 30, sex: [female, male]}",
    "images.npz": "0.2",
}
"""What is asked of a model of each file; label maps have images as x, taken from the test set."""


def own(line: str) -> list[str]:
    """The words of a line of the README, its file where it is."""
    return shlex.split(line)


def test_a_line_of_the_readme_is_about_each_file() -> None:
    named = {re.search(r"own_data/(\S+)", line)[1] for line in LINES}  # type: ignore[index]
    assert named == {path.name for path in HERE.iterdir() if path.suffix in (".npz", ".csv")}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition(" ")[0])
def test_every_kind_of_data_goes_from_a_file_to_samples(line: str, call: Call) -> None:
    words = [word.replace("experiments/own_data", str(HERE)) for word in own(line)]
    status, _, err = call(cli.train, *words, *SHORT, "hydra.run.dir=run", "threads=1")
    assert status == 0, err
    assert Image.open("run/samples.png").size[0] > 100
    file = re.search(r"own_data/(\S+)", line)[1]  # type: ignore[index]
    asked = [f"x={ASKED[file]}"] if file in ASKED else []
    model, data = cvae.load("run"), cvae.datamodule("run")
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    x, y = data.on_after_batch_transfer(batch)
    for out in ("drawn.png", "drawn.npz", "drawn.csv", "drawn.parquet"):
        status, _, err = call(cli.sample, "checkpoint=run", *asked, "n=3", f"out={out}")
        assert status == 0, err
    with np.load("drawn.npz") as arrays:
        drawn = dict(arrays)
        assert drawn["y"].shape == (3, len(drawn["x"]), *y.shape[1:])
        assert np.isfinite(drawn["y"]).all()
    rows = list(csv.DictReader(Path("drawn.csv").read_text().splitlines()))
    assert len(rows) == drawn["y"].shape[0] * drawn["y"].shape[1]
    table = polars.read_parquet("drawn.parquet")
    assert [list(map(str, row)) for row in table.rows()] == [list(row.values()) for row in rows]
    assert ("columns" in drawn) == (file == "table.csv")
    if "columns" in drawn:
        assert drawn["columns"].tolist() == table.columns[-y.shape[1] :]
    assert model.log_prob(x, y, samples=2).isfinite().all()
    assert model.reconstruct(x, y).shape == y.shape
    if file in ASKED:
        words = model.condition.read(ASKED[file])
        same = model.sample(words, 3, torch.Generator().manual_seed(0))
        np.testing.assert_array_equal(drawn["y"], same.numpy())
    for plot in ("interpolation",) if file in ASKED else ("traversal",):
        one = [f"x={ASKED[file].split(',')[0]}"] if file in ("vectors.npz", "tokens.npz") else []
        status, _, err = call(cli.sample, "checkpoint=run", *one, "n=2", f"plot={plot}")
        assert status == 0, err


def test_an_evaluation_and_a_resumed_run_know_every_kind(call: Call) -> None:
    path = HERE / "table.csv"
    line = ["data=table", f"data.path={path}", "data.x=[age]", "data.y=[height,blood,visits]"]
    assert call(cli.train, *line, *SHORT, "hydra.run.dir=run")[0] == 0
    assert call(cli.evaluate, "checkpoint=run", "samples=3")[0] == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert math.isfinite(metrics["test/nll"])
    assert Path("run/latent.png").is_file()
    Path("run/.hydra").mkdir(exist_ok=True)
    status, _, err = call(cli.train, "resume=run", "trainer.max_epochs=2")
    assert status == 0, err


def moved(folder: Path, shift: float, unit: float) -> dict[str, float]:
    """The metrics of a run whose x and y are moved and scaled."""
    with np.load(HERE / "vectors.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    np.savez("moved.npz", x=shift + unit * x, y=shift + unit * y)
    config = composed(
        *("data=vectors", "data.path=moved.npz", "network.width=32", "trainer.max_epochs=2"),
        *("~callbacks.progress", "threads=1"),
    )
    return train(config, folder).metrics


def test_the_figures_do_not_depend_on_the_units(tmp_path: Path) -> None:
    plain = moved(tmp_path / "plain", 0.0, 1.0)
    for shift, unit in ((1.7e9, 86_400.0), (273.15, 1e-3)):  # unix time, and kelvin around a point
        other = moved(tmp_path / f"{unit}", shift, unit)
        # The density of a + b y is that of y over b, for each of the two numbers.
        expected = plain["test/elbo"] - 2 * math.log(unit)
        assert other["test/elbo"] == pytest.approx(expected, abs=0.05)
        assert other["test/kl"] == pytest.approx(plain["test/kl"], abs=0.05)


# -- what is wrong with a file -------------------------------------------------------------------

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 1))
WRONG: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "vectors as images": (
        "arrays",
        {"x": X, "y": RNG.normal(size=(N, 3))},
        ["float64 of shape (60, 3)", "data=arrays expects images", "data=vectors"],
    ),
    "reals as tokens": (
        "tokens",
        {"x": X, "y": RNG.normal(size=(N, 3))},
        ["data=tokens expects whole numbers", "data=vectors or data=sequences"],
    ),
    "an image as a label map": (
        "label_maps",
        {"x": X, "y": RNG.random((N, 5, 5))},
        ["expects whole numbers (N, H, W)", "data=arrays"],
    ),
    "negative counts": (
        "counts",
        {"x": X, "y": RNG.integers(-3, 3, (N, 2))},
        ["expects counts (N, F)", "data=vectors"],
    ),
    "an x that is not complete": (
        "vectors",
        {"x": np.where(X > 1, np.nan, X), "y": X},
        ["array 'x'", "NaN or infinite numbers in", "of 60 rows", "fill them in"],
    ),
    "infinite numbers": (
        "vectors",
        {"x": X, "y": np.where(X > 1, np.inf, X)},
        ["array 'y'", "infinite"],
    ),
    "two ways to give x": (
        "vectors",
        {"x": X, "x.age": X, "y": X},
        ["has 'x' and 'x.NAME'"],
    ),
    "a part of x without its test split": (
        "vectors",
        {"x.a": X, "x.b": X, "y": X, "x.a_test": X, "y_test": X},
        ["expected x.a_test, x.b_test, y_test"],
    ),
    "a length beyond the steps": (
        "sequences",
        {"x": X, "y": RNG.normal(size=(N, 4, 2)), "length": np.full(N, 5)},
        ["'length'", "from 5 to 5", "4 steps"],
    ),
    "a length of what has no steps": (
        "vectors",
        {"x": X, "y": np.hstack([X, X]), "length": np.full(N, 1)},
        ["'length'", "data=sequences"],
    ),
    "no x": ("vectors", {"y": X}, ["no condition comes with", "none"]),
    "one class as x": ("vectors", {"x": np.zeros(N, int), "y": X}, ["one class", "condition=none"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_file_is_said_in_a_line(name: str, call: Call) -> None:
    word, arrays, words = WRONG[name]
    np.savez("own.npz", **arrays)
    before = sorted(Path.cwd().iterdir())
    status, _, err = call(cli.train, f"data={word}", "data.path=own.npz", *SHORT)
    assert (status, err.count("\n")) == (2, 1), err
    assert all(part in err for part in words), err
    assert sorted(Path.cwd().iterdir()) == before


TABLE = ["data=table", f"data.path={HERE / 'table.csv'}", "data.x=[age,sex]"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.y=[hight]"], "has no column 'hight'; did you mean 'height'?"),
        (["data.y=[age]"], "column 'age' is x already"),
        (["data.y=[]"], "data.y: expected columns"),
        (["data.y=[height]", "data.x=[weight,height]"], "column 'height' is x already"),
        (["data.y=[weight]", "data.x=[height]"], "misses 27 of 240"),
        (["data.y=[weight]", "data.kinds={weight: count}"], "not of whole numbers from 0"),
        (["data.y=[blood]", "data.kinds={blood: real}"], "holds no numbers, which real needs"),
        (["data.y=[blood]", "data.kinds={blood: kind}"], "expected real, count, category, binary"),
        (["data.y=[blood]", "data.kinds={blood: binary}"], "4 different values, expected 2"),
        (["data.y=[blood]", "likelihood=gaussian"], "serves the columns of a table"),
        (["data.y=[blood]", "data.path=none.csv"], "'none.csv' is not a file"),
        (["data.y=[blood]", f"data.path={HERE / 'vectors.npz'}"], ".csv or .parquet"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_a_line(
    words: list[str], message: str, call: Call
) -> None:
    status, _, err = call(cli.train, *TABLE, *words, *SHORT)
    assert (status, err.count("\n")) == (2, 1), err
    assert message in err


def test_the_columns_of_a_table_are_taken_for_what_they_are() -> None:
    config = composed(*TABLE, "data.y=[height,weight,blood,smokes,visits]")
    data: PairData = cvae.config.building.build_datamodule(config)
    kinds = [column.kind for column in data.sizes.y.described]  # type: ignore[attr-defined]
    assert kinds == ["real", "real", "category", "binary", "count"]
    assert data.sizes.y.missing
    config = composed(*TABLE, "data.y=[height,visits]", "data.kinds={visits: real}")
    data = cvae.config.building.build_datamodule(config)
    assert data.sizes.y.described[1].kind == "real"  # type: ignore[attr-defined]


def test_a_parquet_file_is_read_like_a_csv() -> None:
    polars.read_csv(HERE / "table.csv").write_parquet("table.parquet")
    line = ["data.x=[age,sex]", "data.y=[height,blood]"]
    parquet, text = (
        cvae.config.building.build_datamodule(composed("data=table", f"data.path={path}", *line))
        for path in ("table.parquet", HERE / "table.csv")
    )
    assert parquet.sizes == text.sizes
    stored = [data.read(train=True).items.y.nan_to_num() for data in (parquet, text)]
    assert torch.equal(*stored)


def test_y_alone_is_a_data_set_without_condition(call: Call) -> None:
    np.savez("own.npz", y=RNG.normal(size=(N, 3)))
    line = ["data=vectors", "data.path=own.npz", "condition=none", *SHORT]
    assert call(cli.train, *line, "hydra.run.dir=run")[0] == 0
    assert cvae.load("run").sample(None, 7).shape == (7, 1, 3)


def test_steps_after_the_end_of_a_sequence_do_not_count() -> None:
    y = RNG.normal(size=(N, 4, 2))
    length = RNG.integers(1, 5, N)
    np.savez("own.npz", x=X, y=y, length=length)
    data = cvae.config.building.build_datamodule(composed("data=sequences", "data.path=own.npz"))
    items = data.read(train=True).items
    counted = (~items.y.isnan()).all(-1).sum(1)
    assert sorted(counted.tolist()) != [4] * len(counted)
    everything = torch.cat([items.y, data.read(train=False).items.y])
    assert int((~everything.isnan()).all(-1).sum()) == length.sum()


def test_classes_of_arrays_may_have_names(call: Call) -> None:
    np.savez("own.npz", x=np.where(X[:, 0] > 0, "up", "down"), y=X + RNG.normal(size=(N, 2)))
    assert call(cli.train, "data=vectors", "data.path=own.npz", *SHORT, "hydra.run.dir=run")[0] == 0
    model = cvae.load("run")
    assert model.condition.names(model.conditions_of(["up", "down"])) == ["up", "down"]
    status, _, err = call(cli.sample, "checkpoint=run", "x=upp")
    assert (status, "did you mean 'up'?" in err) == (2, True)


def test_a_model_refuses_targets_that_its_likelihood_has_not(call: Call) -> None:
    line = ["data=tokens", f"data.path={HERE / 'tokens.npz'}", *SHORT, "hydra.run.dir=run"]
    assert call(cli.train, *line)[0] == 0
    model, y = cvae.load("run"), torch.zeros(2, 8)
    assert model.log_prob("do,re", y, 3).shape == (2,)
    assert model.log_prob(["do", "re"], torch.full((2, 8), torch.nan), 3).isfinite().all()
    for wrong, message in (
        (y + 0.5, r"over categories, got 0\.5"),
        (y + 5, "over categories, got 5"),
        (y[:, :3], r"a target for each x, \(2, 8\), got \(2, 3\)"),
        (y[:1], r"a target for each x, \(2, 8\), got \(1, 8\)"),
    ):
        for ask in (model.log_prob, model.reconstruct):
            with pytest.raises(InputError, match=message):
                ask("do,re", wrong)


def test_an_untidy_table_is_read_as_it_is_meant(call: Call) -> None:
    rows = ["age,na,whole,answer,empty"]
    rows += [f"{20 + i},{'NA' if i % 7 == 0 else i / 3},{i},yes," for i in range(150)]
    rows[-1] = "170,49.5,149.5,yes,"  # the first fraction of a column comes late
    Path("own.csv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    line = ["data=table", "data.path=own.csv", "data.x=[age]", *SHORT, "hydra.run.dir=run"]
    status, _, err = call(cli.train, *line, "data.y=[empty]")
    assert (status, "column 'empty' of 'own.csv' has no values" in err) == (2, True)
    assert call(cli.train, *line, "data.y=[na,whole,answer]")[0] == 0
    columns = cvae.datamodule("run").sizes.y.described  # type: ignore[attr-defined]
    assert [column.kind for column in columns] == ["real", "real", "category"]
    assert call(cli.sample, "checkpoint=run", "x=own.csv", "n=1", "out=drawn.csv")[0] == 0
    drawn = list(csv.DictReader(Path("drawn.csv").read_text().splitlines()))
    assert (len(drawn), {row["answer"] for row in drawn}) == (150, {"yes"})


def test_a_constant_of_any_size_is_drawn(call: Call) -> None:
    np.savez("own.npz", x=np.where(X[:, 0] > 0, "up", "down"), y=np.full((N, 2), 1.7e18))
    line = ["data=vectors", "data.path=own.npz", *SHORT, "hydra.run.dir=run"]
    status, _, err = call(cli.train, *line)
    assert status == 0, err
    assert "y: column 0, 1 never changes" in err
    np.savez("asked.npz", x=np.array(["up", "down", "up"]))
    assert call(cli.sample, "checkpoint=run", "x=asked.npz", "n=2", "out=drawn.npz")[0] == 0
    with np.load("drawn.npz") as drawn:
        assert drawn["x"].argmax(1).tolist() == [1, 0, 1]
