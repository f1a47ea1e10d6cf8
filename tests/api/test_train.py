"""Training from Python: the same runs as the command's, from data in memory."""

import io
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import cvae
from cvae.api.given_data import options_of
from cvae.api.run import Table
from cvae.api.settings import overrides_of
from cvae.commands import main as cli
from cvae.config.compose import find, parsed_overrides, written
from cvae.errors import InputError
from cvae.store.allowed import require_buildable
from cvae.training import progress

SHORT: dict[str, Any] = {"max_epochs": 2, "width": 16}
RNG = np.random.default_rng(0)
X, Y = RNG.random((100, 2)), RNG.random((100, 3))
FRAME = polars.DataFrame({"age": X[:, 0], "sex": ["f", "m"] * 50, "height": Y[:, 0]})


def test_a_run_from_python_is_the_command_s(call: Callable[..., tuple[int, str, str]]) -> None:
    run = cvae.train((X, Y), folder="python", prior="mixture", latent_dim=3, **SHORT)
    np.savez("own.npz", x=X, y=Y)
    line = ["data=vectors", "data.path=own.npz", "prior=mixture", "latent_dim=3"]
    line += ["trainer.max_epochs=2", "network.width=16", "hydra.run.dir=command"]
    assert call(cli.train, *line)[0] == 0
    ours, theirs = run.metrics, json.loads(Path("command/metrics.json").read_text())
    assert "run.evaluate()" in run.verdict
    assert ours | {"seconds": 0} == theirs | {"seconds": 0}
    assert call(cli.sample, "checkpoint=python", "out=python/drawn.npz", "n=2")[0] == 0
    assert call(cli.train, "resume=python", "trainer.max_epochs=3")[0] == 0
    assert run.metrics["epochs"] == 3

    assert run.model.sample(X[:2], 4).shape == (4, 2, 3)
    assert [row["val/elbo"] for row in run.history][-1] == pytest.approx(
        run.history[-1]["val/elbo"]
    )
    assert {"train/elbo", "val/kl", "train/lr"} <= set(run.history.columns)
    assert len(run.plot().axes[0].lines) == 2
    assert run.plot()._repr_png_()[:4] == b"\x89PNG"  # without pyplot
    assert repr(run).startswith("Run '")
    assert "test/elbo" in repr(run)


def test_nothing_is_left_of_what_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    for settings, words in (
        ({"lrr": 1}, "lrr: no such setting; did you mean optimizer.lr=..."),
        ({"prior": "vampp"}, "prior: no such option 'vampp'; did you mean 'vamp'"),
        ({"lr": "fast"}, "optimizer.lr: expected float"),
        ({"kind": "counts"}, "data=counts expects"),
    ):
        with pytest.raises(InputError, match=words.replace(".", r"\.")):
            cvae.train((X, Y), folder="new", **settings)
        assert not Path("new").exists()
    for given in ({"x": ["agee"]}, {"x": ["age"], "lr": "fast"}):
        with pytest.raises(InputError) as refused:
            cvae.train(FRAME, y=["height"], **given)
        assert type(refused.value) is InputError
        assert list(Path.cwd().iterdir()) == []
    Path("outputs").mkdir()  # which is not of this run
    with pytest.raises(InputError):
        cvae.train(FRAME, x=["agee"], y=["height"])
    assert [path.name for path in Path.cwd().rglob("*")] == ["outputs"]
    assert "Traceback" not in capfd.readouterr().err


def test_settings_are_known_by_their_last_word() -> None:
    given = {"max_epochs": 5, "lr": 0.1, "width": 8, "components": 3, "prior": "mixture"}
    expected = ["trainer.max_epochs=5", "optimizer.lr=0.1", "network.width=8"]
    assert overrides_of(given) == [*expected, "prior.components=3", "prior=mixture"]
    whole = {"data.root": "a b", "refit": None, "compile": True, "allow": ["m"]}
    assert overrides_of(whole) == ["data.root='a b'", "refit=[]", "compile=true", "allow=[m]"]


def test_a_text_is_written_as_hydra_reads_it_back() -> None:
    for text in ("age", "a-b", "/d/x.csv", "null", "NaN", "True", "1e3", "2", "größe", "a,b", "",
                 "it's", "[a]", "a:b", "~/x", "-a", "$x", "a b", "x\\", "a=b", "{a}"):  # fmt: skip
        (read,) = parsed_overrides([f"k={written(text)}"])
        assert read.value() == text
        (read,) = parsed_overrides([f"k=[{written(text)},{written(text)}]"])
        assert read.value() == [text, text]


class Net(nn.Module):
    """A network as a user writes one, without the settings of the option that it replaces."""

    def __init__(self, in_shapes: list[Any], out_shape: tuple[int, ...], units: int = 4) -> None:
        super().__init__()
        self.out_shape, self.units = out_shape, units
        self.map = nn.Linear(sum(size for (size,) in in_shapes), math.prod(out_shape))

    def forward(self, *parts: Tensor) -> Tensor:
        leading = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
        whole = torch.cat([part.expand(*leading, part.shape[-1]) for part in parts], -1)
        return self.map(whole).unflatten(-1, self.out_shape)


def test_a_class_of_ones_own_is_trained_and_loaded_and_a_notebook_shows_a_bar(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[int, str, str]]
) -> None:
    cell = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stdout", cell)
    monkeypatch.setattr(progress, "_REDRAWN", 0.0)
    how = {"units": 3, "lr": np.float32(0.01), "max_epochs": 1}
    run = cvae.train((X, Y), network=Net, folder="own", progress=True, **how)
    assert "epoch 1 of 1" in cell.getvalue().rpartition("━")[2]
    assert "\x1b" not in cell.getvalue()
    assert isinstance(run.model.prior.distribution.network, Net)
    assert run.model.prior.distribution.network.units == 3
    assert isinstance(cvae.load("own", allow=[Net.__module__]).prior.distribution.network, Net)
    assert cvae.Run("own", allow=[Net.__module__]).model.sample(X[:2]).shape == (1, 2, 3)
    line = ["own", "format=weights", "out=shared", f"allow=[{Net.__module__}]"]
    assert call(cli.export, *line)[0] == 0
    assert f"allow=['{Net.__module__}.Net']" in Path("shared/README.md").read_text()
    shared = cvae.load("shared", allow=[f"{Net.__module__}.Net"])
    assert isinstance(shared.prior.distribution.network, Net)


def test_what_is_no_setting_is_said_in_one_line() -> None:
    class Local(nn.Module):
        pass

    for given, words in (
        (Local, "network: Local is defined inside a function"),
        (nn.Linear(2, 2), "network: expected the name of an option, or a class.*, Linear"),
        (3, "network: expected the name of an option, or a class"),
        (None, "network: expected one of .*, mlp, .*; got None"),
    ):
        with pytest.raises(InputError, match=words):
            overrides_of({"network": given})
    with pytest.raises(InputError, match=r"latent_dim: expected a number, text.*got set"):
        overrides_of({"latent_dim": {3}})
    whole = {"network.activation": nn.ELU, "latent_dim": torch.tensor(2)}
    target = "network.activation._target_=torch.nn.modules.activation.ELU"
    assert overrides_of(whole) == [target, "latent_dim=2"]


def test_a_class_of_another_script_is_said_to_be_there() -> None:
    config = {"network": {"_target_": "__main__.NoSuchNet"}}
    for allow in ((), ("__main__",)):
        with pytest.raises(InputError, match="a class of the script or notebook that trained it"):
            require_buildable(config, allow)


class Module(LightningDataModule):
    """A data module as a user has one, with no test split."""

    def _batches(self, rows: slice) -> DataLoader[tuple[Tensor, ...]]:
        parts = (torch.from_numpy(X[rows]), torch.from_numpy(Y[rows]))
        return DataLoader(TensorDataset(*parts), batch_size=32, shuffle=rows.start == 0)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._batches(slice(0, 80))

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._batches(slice(80, 100))


@pytest.mark.parametrize(
    ("data", "kind", "word", "arrays"),
    [
        ((X, Y), None, "vectors", {"x": X, "y": Y}),
        (Y, None, "vectors", {"y": Y}),
        ((torch.from_numpy(X), Y[:, 0]), None, "vectors", {"x": X, "y": Y[:, 0]}),
        (({"a": X, "b": ["u"] * 100}, Y), None, "vectors", {"x.a": X, "x.b": ["u"] * 100, "y": Y}),
        ((X, Y[..., None]), "sequences", "sequences", {"x": X, "y": Y[..., None]}),
        ((X, Y.reshape(75, 1, 2, 2)), None, "arrays", {"x": X, "y": Y.reshape(75, 1, 2, 2)}),
        (
            TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
            None,
            "vectors",
            {"x": X, "y": Y},
        ),
    ],
    ids=["pair", "y alone", "tensors", "several x", "sequences", "images", "Dataset"],
)
def test_data_in_memory_are_written_as_they_are(
    data: Any, kind: str | None, word: str, arrays: dict[str, Any], tmp_path: Path
) -> None:
    line = options_of(data, (), (), kind, tmp_path)
    assert line[:2] == [f"data={word}", f"data.path={tmp_path}/data.npz"]
    assert line[2:] == (
        ["condition=none"]
        if "x" not in str(list(arrays))
        else ["condition=given"] * (word == "arrays")
    )
    with np.load(tmp_path / "data.npz") as written:
        assert set(written) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(written[name], array)


def test_a_data_module_keeps_its_splits(tmp_path: Path) -> None:
    options_of(Module(), (), (), None, tmp_path)
    with np.load(tmp_path / "data.npz") as written:
        assert sorted(map(tuple, written["y"])) == sorted(map(tuple, Y[:80]))
        np.testing.assert_array_equal(written["x_val"], X[80:])
        assert "x_test" not in written


def test_a_data_frame_of_pandas_or_polars_becomes_a_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    missing = FRAME.with_columns(sex=polars.when(polars.col("age") > 0.5).then("sex"))
    for frame in (missing, pandas.DataFrame(missing.to_dict(as_series=False))):
        line = options_of(frame, ["age"], ["height", "sex"], None, tmp_path)
        assert line[2:] == ["data.x=[age]", "data.y=[height,sex]"]
        assert polars.read_parquet(tmp_path / "data.parquet").equals(missing)


@pytest.mark.parametrize(
    ("data", "x", "words"),
    [
        (3, (), "data: expected the name of an option or a file, arrays"),
        ((X, Y, Y), (), r"data: expected a pair \(x, y\), got 3 values"),
        ((X, Y[..., None]), (), "several things; say kind='arrays' or kind='sequences'"),
        (FRAME, ("age",), "y: expected the columns of the table that are y"),
        ((X, Y), ("age",), "x, y: names of columns are for a data frame"),
        ("own.npz", (), "kind: what y of 'own.npz' is has to be said"),
    ],
)
def test_data_that_cannot_be_used(data: Any, x: tuple[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        options_of(data, x, (), None, tmp_path)


@pytest.mark.slow
def test_a_run_in_a_thread_and_in_a_process_without_a_guard(tmp_path: Path) -> None:
    script = (
        "import threading, cvae, numpy\n"
        "y = numpy.random.default_rng(0).random((60, 2))\n"
        "def go(): print(cvae.train(y, max_epochs=1, width=8))\n"
        "thread = threading.Thread(target=go); thread.start(); thread.join(); go()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"MPLBACKEND": "module://nowhere"},
        cwd=tmp_path,
    )
    assert done.stdout.count("Run '") == 2, done.stderr
    assert done.stderr == ""


def test_what_is_no_run_has_nothing_to_say() -> None:
    for ask in (lambda run: run.metrics, lambda run: run.verdict, cvae.Run.plot, cvae.Run.evaluate):
        with pytest.raises(InputError, match="'no_run' is not the folder of a run"):
            ask(cvae.Run("no_run"))


def test_runs_print_as_a_few_columns_and_keep_the_others(run_dir: Path) -> None:
    pandas = pytest.importorskip("pandas")
    for name in ("a", "b"):
        shutil.copytree(run_dir, f"runs/{name}")
    metrics = json.loads((run_dir / "metrics.json").read_text())
    Path("runs/b/metrics.json").write_text(json.dumps(metrics | {"test/nll": 61.5, "val/elbo": 0}))
    settings = Path("runs/b/hparams.yaml").read_text()
    Path("runs/b/hparams.yaml").write_text(settings.replace("width: 64", f"width: {'w' * 40}"))
    table = cvae.runs("runs")
    head, first, _, more = str(table).splitlines()
    assert head.split() == ["run", "network.width", "val/elbo", "test/elbo", "test/nll"]
    assert first.startswith(f"b    {'w' * 31}…")
    assert max(map(len, (head, first))) <= 96
    count = len(pandas.DataFrame(table).columns)
    assert more == f"{count - 5} more columns; pandas.DataFrame(table) has all"
    assert table._repr_html_().count("<th>") == 5
    assert table[0]["test/nll"] == 61.5
    assert table[1]["test/kl"] == metrics["test/kl"]
    history = str(cvae.Run(run_dir).history).splitlines()[0].split()
    assert history[:3] == ["step", "train/elbo", "val/elbo"]
    assert len(str(Table([{"row": k} for k in range(100)])).splitlines()) == 21


def test_a_table_of_rows_is_shown_in_a_notebook() -> None:
    shown = Table([{"a": 1, "b": 0.123456789}, {"a": "<i>"}])._repr_html_()
    assert shown == (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>0.12346</td></tr>"
        "<tr><td>&lt;i&gt;</td><td></td></tr></table>"
    )


def test_the_page_about_python_runs_and_its_evaluation_is_the_command_s(
    capsys: pytest.CaptureFixture[str], call: Callable[..., tuple[int, str, str]]
) -> None:
    page = (find("src") / "cvae" / "api" / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    assert names["draws"].shape == (100, 1, 1)
    assert names["z"].shape == (5, 2)
    assert names["log_p"].shape == (5,)
    assert names["validated"][0]["val/elbo"] == pytest.approx(
        names["run"].metrics["val/elbo"], abs=0.1
    )
    assert names["predicted"].shape == (400, 1)
    assert "given x, x" in capsys.readouterr().out

    run = names["run"]
    metrics, verdict = run.metrics, run.verdict
    assert names["table"][0]["verdict/coverage"] == metrics["verdict/coverage"]
    assert call(cli.evaluate, str(run.folder), "samples=50", "images=0")[0] == 0
    assert run.metrics == metrics  # to the last digit
    assert run.verdict == verdict
    assert verdict.startswith(("z is", "The "))
    state = torch.get_rng_state()
    found = run.evaluate(samples=1, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert found["samples"] == 1
    assert {name: run.metrics[name] for name in found} == found
    assert not capsys.readouterr().out
    for settings, words in (({"samples": 0}, "samples: expected at least 1"), ({"sed": 1}, "seed")):
        with pytest.raises(InputError, match=words) as refused:
            run.evaluate(**settings)
        assert type(refused.value) is InputError
    with pytest.warns(UserWarning, match=r"x\[1\]=9 is far from the training data") as warned:
        run.model.sample([[0.5, 9.0]])
    assert warned[0].filename == __file__
    status, _, err = call(cli.sample, str(run.folder), "x=[0.5, 9]", "out=far.csv")
    assert (status, " ".join(err.split())) == (0, str(warned[0].message))
