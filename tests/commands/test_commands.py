"""The commands as a user has them: a run's folder, sweeps, resuming, sampling, evaluating."""

import copy
import csv
import json
import re
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Trainer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from torch.utils.data import DataLoader, TensorDataset

import cvae
from conftest import SHORT, composed, train
from cvae.commands import export, sample
from cvae.commands import main as cli
from cvae.conditions import LabelCondition
from cvae.config.building import build_datamodule, build_model
from cvae.data.digits import Digits
from cvae.errors import InputError
from cvae.evaluation.image_metrics import examples
from cvae.evaluation.panels import draw
from cvae.evaluation.pictures import pictures_of
from cvae.store.checkpoint import KEY, read
from cvae.store.events import curve
from cvae.training import fit, testing
from cvae.training.checkpointing import BEST_VALUE
from cvae.training.module import TrainingModule, build_training_module
from cvae.training.trainer_options import single_device_trainer

SHORT_LINE = [*SHORT, "hydra.run.dir=run"]


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0}, purge_orphaned_data=False
    ).Reload()


@pytest.mark.parametrize("name", ["train", "sample", "evaluate", "export", "encode"])
def test_help_shows_how_to_call_it_and_every_setting(name: str, call) -> None:
    status, out, _ = call(getattr(cli, name), "--help")
    assert status == 0
    assert f"cvae-{name}: " in out
    assert f"cvae-{name} RUN_DIR" in out or "GROUP=NAME" in out
    assert "allow=[]" in out
    assert "_target_" not in out


# -- cvae-train --------------------------------------------------------------------------------


def test_a_run_leaves_its_folder_and_says_where(call, tmp_path: Path) -> None:
    status, out, _ = call(cli.train, *SHORT_LINE)
    assert status == 0
    for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.json", "samples.png"):
        assert (tmp_path / "run" / name).is_file()
        assert name in out
    assert (tmp_path / "run" / ".hydra" / "config.yaml").is_file()
    assert "test/elbo" in out
    assert "tensorboard --logdir" in out
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_metrics_are_flat_and_hold_the_terms_of_the_bound(metrics: dict[str, float]) -> None:
    assert all(isinstance(value, int | float) for value in metrics.values())
    assert metrics["test/elbo"] == pytest.approx(
        metrics["test/log_likelihood"] - metrics["test/kl"]
    )
    assert metrics["test/loss"] == pytest.approx(-metrics["test/elbo"])
    assert metrics["epochs"] == 2
    # An untrained Bernoulli pixel costs ln 2: 64 of them bound a run that learned anything.
    assert -64 * np.log(2) < metrics["test/elbo"] < 0


def test_tensorboard_has_the_curves_the_pictures_and_the_settings(
    run_dir: Path, metrics: dict[str, float]
) -> None:
    log = events(run_dir)
    tags = log.Tags()
    # One chart each for training and validation; no chart of the epoch, or of one dot.
    terms = {f"elbo/{name}" for name in ("loss", "elbo", "log_likelihood", "kl")}
    in_charts = {part: events(run_dir / part) for part in ("train", "val", "test_mass")}
    shown = {part: set(found.Tags()["scalars"]) for part, found in in_charts.items()}
    assert shown == {"train": terms | {"fit/beta", "fit/lr"}, "val": terms, "test_mass": terms}
    assert tags["scalars"] == []
    assert min(shown["train"]) == "elbo/elbo"
    assert all(len(in_charts["train"].Scalars(tag)) == 2 for tag in shown["train"])
    assert {"pictures/prior_samples", "pictures/reconstructions"} <= set(tags["images"])
    histogram = log.Histograms("kl_per_dimension")[-1].histogram_value
    assert histogram.num == 8
    assert histogram.max > 0
    picture = log.Images("pictures/reconstructions")[-1].encoded_image_string
    binary, mean = np.split(
        np.asarray(Image.open(BytesIO(picture)).convert("L"))[-128:-12, -500:], 2
    )
    assert len(np.unique(binary)) <= 3 < 20 < len(np.unique(mean))  # ink, paper and gap, or greys
    final = in_charts["test_mass"].Scalars("elbo/elbo")
    assert [point.value for point in final] == pytest.approx([metrics["test/elbo"]])
    (settings,) = [
        plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
        for tag, metadata in log.summary_metadata.items()
        if tag == "_hparams_/session_start_info"
    ]
    said = settings.session_start_info.hparams
    assert not [name for name in said if "checksum" in name]  # they are nobody's setting
    assert said["nats_of"].string_value == "mass"
    assert said["latent_dim"].number_value == 8
    assert said["prior"].string_value == "GaussianPrior"
    words = {
        tag: log.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()
        for tag in ("command", "configuration", "metrics")
    }
    assert words["command"].startswith("    cvae-train")
    assert "    latent_dim: 8" in words["configuration"]
    assert f"| test/elbo | {metrics['test/elbo']:.6g} |" in words["metrics"]


def test_checkpoints_are_plain_data(run_dir: Path) -> None:
    for name in ("best", "last"):
        path = run_dir / "checkpoints" / f"{name}.ckpt"
        contents = torch.load(path, weights_only=True)["cvae"]
        assert contents["config"]["latent_dim"] == 8
        assert contents["versions"]["torch"] == version("torch")
        json.dumps(contents)  # dicts, lists, numbers and strings alone


def test_the_reloaded_model_is_the_trained_one(run_dir: Path, metrics: dict[str, float]) -> None:
    trainer = single_device_trainer(composed()["trainer"])(enable_progress_bar=False)
    model = read(run_dir).built(build_training_module)
    again = testing.test(model, cvae.datamodule(run_dir), trainer, samples=0)
    assert again["test/kl"] == pytest.approx(metrics["test/kl"], rel=1e-5)
    assert again["test/elbo"] == pytest.approx(metrics["test/elbo"], abs=0.2)  # z is drawn again


def test_the_best_checkpoint_is_the_best_by_validation_elbo(tmp_path: Path) -> None:
    # A rate that is too high makes the curve rough, and the best epoch not the last.
    config = composed(
        "network.width=32", "trainer.max_epochs=12", "optimizer.lr=0.03",
        "~callbacks.progress", "callbacks.early_stopping.patience=2",
    )  # fmt: skip
    train(config, tmp_path)
    elbo = list(curve(tmp_path, "val/elbo").values())
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["epoch"]
    assert best == int(np.argmax(elbo))
    assert len(elbo) <= best + 3  # early stopping: two epochs without a better one
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["epoch"]
    assert last == len(elbo) - 1


def test_all_splits_are_read_before_training_and_the_test_uses_the_best_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_digits, load, order = Digits.read, read, []

    def noted(self: Digits, train: bool):
        order.append("train" if train else "test")
        return read_digits(self, train)

    monkeypatch.setattr(Digits, "read", noted)
    monkeypatch.setattr(fit, "read", lambda path: order.append("load") or load(path))
    train(composed(*SHORT), tmp_path)
    assert order == ["train", "test", "load", "load"]


def test_a_run_resumes_in_its_own_folder(
    call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert call(cli.train, *SHORT_LINE, "latent_dim=3")[0] == 0
    assert call(cli.train, "resume=run", "trainer.max_epochs=3")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["epochs"] == 3
    assert list(curve(tmp_path / "run", "val/elbo")) == [0, 1, 2]
    assert cvae.load("run").prior(torch.eye(10)).event_shape == (3,)
    assert call(cli.train, "resume=run", "++trainer.limit_train_batches=2")[0] == 0
    caplog.clear()
    assert call(cli.report, "run")[0] == 0
    assert caplog.text == ""  # other than TensorBoard's warning of a "restart"


def test_a_resumed_run_keeps_its_settings(call, tmp_path: Path) -> None:
    assert call(cli.train, *SHORT_LINE, "scheduler=cosine")[0] == 0
    before = (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text()
    for argument, name in (
        ("latent_dim=5", "latent_dim: a resumed run keeps its own, 8, but would get 5"),
        ("optimizer.lr=0.1", "optimizer.lr: a resumed run keeps its own"),
        ("trainer.max_epochs=0", "trainer.max_epochs: the run already has 1 epochs, got 0"),
        ("trainer.max_epochs=9", "scheduler.T_max: a resumed run keeps its own, 1,"),
    ):
        status, _, err = call(cli.train, "resume=run", argument)
        assert (status, err.count("\n")) == (2, 1)
        assert name in err
    assert (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text() == before


def test_a_run_that_stopped_early_resumes_with_more_patience(call, tmp_path: Path) -> None:
    rough = ["optimizer.lr=0.03", "callbacks.early_stopping.patience=1", "trainer.max_epochs=15"]
    line = ["network.width=16", "~callbacks.progress", "hydra.run.dir=run"]
    assert call(cli.train, *rough, *line)[0] == 0
    stopped = json.loads(Path("run/metrics.json").read_text())["epochs"]
    assert stopped < 15
    again = ["resume=run", "callbacks.early_stopping.patience=100"]
    assert call(cli.train, *again)[0] == 0
    assert json.loads(Path("run/metrics.json").read_text())["epochs"] == 15


def test_a_moved_run_still_knows_its_best_checkpoint(call, tmp_path: Path) -> None:
    assert call(cli.train, *SHORT_LINE)[0] == 0
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    contents = torch.load(path, weights_only=True)
    contents[KEY][BEST_VALUE] = {"val/elbo": 1000.0}  # nothing will ever beat it
    torch.save(contents, path)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert call(cli.train, "resume=moved", "trainer.max_epochs=3")[0] == 0
    assert torch.load("moved/checkpoints/best.ckpt", weights_only=True)["epoch"] == 0


def test_pictures_leave_the_training_as_it_is(tmp_path: Path) -> None:
    def run(every: int) -> float:
        config = composed(
            *SHORT, "trainer.max_epochs=3", f"callbacks.snapshots.every_n_epochs={every}"
        )
        return train(config, tmp_path / str(every))[1]["test/kl"]

    assert run(1) == run(3)


def test_the_data_are_found_from_another_folder(
    call, idx_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(idx_root.parent)
    root = f"data.root={idx_root.name}"
    run = f"hydra.run.dir={tmp_path / 'run'}"
    assert call(cli.train, "data=mnist", root, "data.download=false", *SHORT, run)[0] == 0
    monkeypatch.chdir(tmp_path)
    assert call(cli.evaluate, "checkpoint=run", "samples=2", "images=0")[0] == 0
    assert call(cli.train, "resume=run", "trainer.max_epochs=2")[0] == 0


@pytest.mark.slow
def test_two_processes_share_the_batches_and_one_reports(call, tmp_path: Path) -> None:
    line = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=1", "network.width=16"]
    status, out, _ = call(cli.train, *line, "~callbacks.progress", "hydra.run.dir=run")
    assert status == 0
    assert out.count("test/elbo") == 1
    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 11  # of the 21 batches of one process
    assert len(curve(tmp_path / "run", "val/elbo")) == 1


def test_the_same_seed_gives_the_same_metrics(tmp_path: Path) -> None:
    def run(name: str, seed: int) -> dict[str, float]:
        _, found = train(composed(*SHORT, f"seed={seed}"), tmp_path / name)
        return {key: value for key, value in found.items() if key != "seconds"}

    assert run("a", 3) == run("b", 3) != run("c", 4)


def test_a_sweep_runs_every_combination_into_one_tensorboard(call, tmp_path: Path) -> None:
    status, _, _ = call(
        cli.train, "-m", "prior=standard,gaussian", "latent_dim=2,3",
        "likelihood=bernoulli", "hydra.sweep.dir=sweep", *SHORT,
    )  # fmt: skip
    assert status == 0
    runs = sorted((tmp_path / "sweep").glob("*/metrics.json"))
    assert len(runs) == 4
    assert all("=" not in run.parent.name and "," not in run.parent.name for run in runs)
    for run in runs:
        settings = cvae.load(run.parent)
        assert f"latent_dim-{settings.prior(torch.eye(10)).event_shape[0]}" in run.parent.name


def test_the_unconditional_model_runs_through_every_command(call, tmp_path: Path) -> None:
    assert call(cli.train, *SHORT_LINE, "condition=none", "latent_dim=2")[0] == 0
    assert call(cli.sample, "checkpoint=run")[0] == 0
    assert call(cli.sample, "checkpoint=run", "plot=manifold", "out=plane.png")[0] == 0
    assert call(cli.evaluate, "checkpoint=run", "samples=2")[0] == 0
    status, _, err = call(cli.sample, "checkpoint=run", "digits=7")
    assert (status, err.count("\n")) == (2, 1)
    assert "condition=none" in err


# -- cvae-sample -------------------------------------------------------------------------------


def test_a_grid_has_a_row_per_hand_and_a_column_per_digit(run_dir: Path) -> None:
    stored = read(run_dir)
    model, pictures = stored.model(), pictures_of(stored.sizes)
    wanted = sample.wanted_of({"x": "2018"}, stored, model, pictures)
    drawn = draw(model, wanted, 5, torch.Generator().manual_seed(0), mean=True)
    assert drawn.draws.shape == (5, 4, 1, 8, 8)
    assert drawn.names == list("2018")
    expected = model.sample([2, 0, 1, 8], 5, torch.Generator().manual_seed(0), mean=True)
    assert torch.equal(drawn.draws, expected)
    (axes,) = pictures.samples(drawn).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list("2018")
    drawn = draw(model, wanted, 5, torch.Generator().manual_seed(0), mean=False)
    assert set(drawn.draws.unique().tolist()) == {0.0, 1.0}


def test_draws_are_written_as_values(call, run_dir: Path) -> None:
    line = [f"checkpoint={run_dir}", "digits=2018", "n=5"]
    expected = [
        cvae.load(run_dir).sample([2, 0, 1, 8], 5, torch.Generator().manual_seed(0), mean).numpy()
        for mean in (False, True)
    ]
    for mean, values in zip(([], ["mean=true"]), expected, strict=True):
        for suffix in ("npz", "csv"):
            assert call(cli.sample, *line, *mean, f"out=a.{suffix}")[0] == 0
        with np.load("a.npz") as found:
            np.testing.assert_array_equal(found["y"], values)
            np.testing.assert_array_equal(found["x"], np.eye(10)[[2, 0, 1, 8]])
        with Path("a.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header[:3] == ["condition", "x", "draw"]
        named = [(row[0], row[1], row[2]) for row in rows]
        assert named == [
            (str(index), digit, str(draw))
            for index, digit in enumerate("2018")
            for draw in range(5)
        ]
        numbers = np.array([row[3:] for row in rows], float).reshape(4, 5, 1, 8, 8)
        np.testing.assert_allclose(numbers, values.swapaxes(0, 1), rtol=1e-6)


@pytest.mark.parametrize("plot", ["grid", "interpolation", "traversal"])
def test_the_same_call_gives_the_same_bytes(plot: str, call, run_dir: Path) -> None:
    pictures = []
    for seed, out in ((0, "a.png"), (0, "b.png"), (1, "c.png")):
        arguments = [f"checkpoint={run_dir}", "digits=7", f"plot={plot}", f"seed={seed}"]
        assert call(cli.sample, *arguments, "n=3", f"out={out}")[0] == 0
        pictures.append(Path(out).read_bytes())
    assert pictures[0] == pictures[1]
    assert (pictures[0] == pictures[2]) is (plot == "traversal")  # nothing in it is random


def test_the_picture_is_ink_on_paper_under_the_digits_names(call, run_dir: Path) -> None:
    call(cli.sample, f"checkpoint={run_dir}", "digits=01", "n=2", "out=a.png")
    picture = np.asarray(Image.open("a.png").convert("L"))
    # Two images of 56 pixels with a gap of 4, below the title, "columns: x" and the digits.
    assert picture.shape[0] == 2 * 60 - 4 + 42 + 40
    assert np.median(picture) > 128


def test_interpolation_ends_at_its_two_draws(run_dir: Path) -> None:
    model = cvae.load(run_dir)
    panel = sample.PLOTS["interpolation"](model, [4, 9], 7, torch.Generator().manual_seed(0))
    ends = model.sample([4, 9], 2, torch.Generator().manual_seed(0), mean=True)
    torch.testing.assert_close(panel.values[:, 0], ends[0])
    torch.testing.assert_close(panel.values[:, -1], ends[1])


def test_the_manifold_goes_right_along_z0_and_up_along_z1(tmp_path: Path) -> None:
    train(composed(*SHORT, "latent_dim=2"), tmp_path)
    model = cvae.load(tmp_path)
    panel = sample.PLOTS["manifold"](model, [3], 5, torch.Generator())
    assert panel.values.shape == (5, 5, 1, 8, 8)
    prior = model.prior(model.conditions_of(3))
    low, high = (torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(q)) for q in (0.02, 0.98))
    bottom_right = prior.mean + prior.stddev * torch.stack((high, low))
    torch.testing.assert_close(panel.values[-1, -1], model.decode(3, bottom_right)[0])


def test_a_traversal_passes_through_the_prior_s_mean_in_every_row(run_dir: Path) -> None:
    model = cvae.load(run_dir)
    panel = sample.PLOTS["traversal"](model, [7], 5, torch.Generator())
    assert panel.values.shape == (8, 5, 1, 8, 8)
    middle = model.decode(7, model.prior(model.condition.encode(7)).mean)
    torch.testing.assert_close(panel.values[:, 2], middle.expand(8, -1, -1, -1))
    assert panel.columns == ["-2.0σ", "-1.0σ", "0", "+1.0σ", "+2.0σ"]
    changes = panel.values.flatten(2).std(1).square().sum(1).tolist()
    assert changes == sorted(changes, reverse=True)  # what changes y most comes first
    assert sorted(panel.rows) == [f"z{i}" for i in range(8)]


EVIL = [
    {"_target_": "os.system"},
    {"_target_": "cvae.store.checkpoint.torch.load"},
    {"_target_": "torch.nn.functional.relu"},
    {"_target_": ["os.system"]},
    ({"_target_": "os.system"},),
    "${oc.create:'{_target_: os.mkdir, path: evil}'}",
]


@pytest.mark.parametrize("node", EVIL, ids=str)
def test_a_checkpoint_may_only_build_this_program_s_classes(
    node: object, run_dir: Path, tmp_path: Path
) -> None:
    contents = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    contents["cvae"]["config"]["prior"] = node
    torch.save(contents, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match=r"cannot be built from|not plain data|an interpolation"):
        cvae.load(tmp_path / "evil.ckpt")
    assert not Path("evil").exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("prior._target_", "cvae.model.priors.vamp.VampPrior"),
        ("prior.pseudo_inputs", 500),
        ("latent_dim", 9),
        ("network", None),
    ],
)
def test_a_checkpoint_of_another_version_is_reported_with_the_versions(
    path: str, value: object, run_dir: Path, tmp_path: Path
) -> None:
    contents = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    *parents, last = path.split(".")
    node = contents["cvae"]["config"]
    for parent in parents:
        node = node[parent]
    node[last] = value
    torch.save(contents, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"does not fit this program.*written by cvae 0"):
        cvae.load(tmp_path / "other.ckpt")


@pytest.mark.parametrize("cls", [cvae.CVAE, TrainingModule])
def test_lightning_s_way_to_load(cls: type[cvae.CVAE], run_dir: Path) -> None:
    model = cls.load_from_checkpoint(run_dir / "checkpoints" / "best.ckpt", map_location="cpu")
    expected = cvae.load(run_dir).state_dict()
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in expected.items())
    with pytest.raises(InputError, match="leave latent_dim out"):
        cls.load_from_checkpoint(run_dir, latent_dim=3)


def test_a_trainer_validates_tests_and_predicts(
    run_dir: Path, metrics: dict[str, float], tmp_path: Path
) -> None:
    model, data = cvae.CVAE.load_from_checkpoint(run_dir), cvae.datamodule(run_dir)
    trainer = Trainer(logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    (tested,) = trainer.test(model, data, verbose=False)
    assert tested["test/elbo"] == pytest.approx(metrics["test/elbo"], abs=0.3)  # of other draws
    (validated,) = trainer.validate(model, data, verbose=False)
    assert validated["val/elbo"] == pytest.approx(metrics["val/elbo"], abs=0.3)
    drawn = torch.cat(trainer.predict(model, data))
    assert drawn.shape == (len(data.test_set), *model.condition.y_shape)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    x, y = data.on_after_batch_transfer(data.test_set.some())
    for own in (TensorDataset(x.double(), y.double()), TensorDataset(x), x):
        drawn = torch.cat(trainer.predict(model, DataLoader(own, batch_size=200)))
        assert drawn.shape == y.shape
    own = DataLoader(TensorDataset(x.double(), y.double()), batch_size=200)
    (validated,) = trainer.validate(model, own, verbose=False)
    assert validated["val/elbo"] == pytest.approx(tested["test/elbo"], abs=0.3)
    with pytest.raises(InputError, match=r"batch: expected pairs \(x, y\); give the trainer"):
        trainer.validate(model, data.val_dataloader(), verbose=False)
    how = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    Trainer(**how, max_epochs=1, limit_train_batches=1).fit(model, own, own)


# -- cvae-evaluate -----------------------------------------------------------------------------


def test_evaluation_writes_a_flat_file_with_a_tighter_bound(call, run_dir: Path) -> None:
    line = [f"checkpoint={run_dir / 'checkpoints' / 'best.ckpt'}", "images=0", "out=deep/e.json"]
    status, out, _ = call(cli.evaluate, *line, "samples=50")
    found = json.loads(Path("deep/e.json").read_text())
    assert status == 0
    assert "test/nll" in out
    assert found["samples"] == 50
    assert found["test/nll"] < -found["test/elbo"] + 0.05
    assert all(isinstance(value, int | float) for value in found.values())
    assert not (run_dir / "latent.png").exists()  # a checkpoint's own folder is left alone


def test_an_evaluation_goes_into_the_run_s_folder(call, tmp_path: Path) -> None:
    assert call(cli.train, *SHORT_LINE)[0] == 0
    before = json.loads(Path("run/metrics.json").read_text())
    line = ["checkpoint=run", "samples=3", "images=20"]
    status, out, _ = call(cli.evaluate, *line)
    assert status == 0
    after = json.loads(Path("run/metrics.json").read_text())
    assert before.keys() < after.keys()
    assert after["seconds"] == before["seconds"]
    new = ("test/nll", "judge/accuracy_grey_images", "consistency/mean_image", "distance/frechet")
    log = events(tmp_path / "run")
    words = log.Tensors("metrics/text_summary")[-1].tensor_proto.string_val[0].decode()
    for name in new:
        assert name in out
        assert f"| {name} | {after[name]:.6g} |" in words
    assert {"latent/plane", "latent/kl_per_dimension"} <= set(log.Tags()["images"])
    assert Image.open("run/latent.png").size[0] > 500
    # The projector: a sprite with the 360 test images, a row of z and a digit for each.
    (tensors,) = Path("run").rglob("tensors.tsv")
    assert np.loadtxt(tensors).shape == (360, 8)
    assert Image.open(tensors.with_name("sprite.png")).size == (19 * 8, 19 * 8)
    assert (tensors.with_name("metadata.tsv")).read_text().split() == [
        str(label) for label in _labels()
    ]
    # Again, without a judge: nothing is listed twice, and nothing is left of the first time.
    status, out, err = call(cli.evaluate, "checkpoint=run", "samples=3", "images=0")
    assert (status, err) == (0, "")
    assert "warning" not in out
    assert Path("run/projector_config.pbtxt").read_text().count("embeddings {") == 1
    assert "judge" not in Path("run/metrics.json").read_text()


def test_what_slurm_has_left_in_the_folder_is_not_tested(
    call, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "1", "JOB_NAME": "x", "JOB_ID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    Path("hpc_ckpt_1.ckpt").write_text("Lightning would load it in the place of the model")
    best = f"checkpoint={run_dir}/checkpoints/best.ckpt"
    assert call(cli.evaluate, best, "samples=1", "images=0")[0] == 0


def test_an_evaluation_that_could_not_be_kept_is_refused_before_the_work(
    call, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    status, _, err = call(cli.evaluate, f"checkpoint={run_dir}", f"judges={tmp_path}/file/judges")
    assert (status, err.count("\n")) == (2, 1)
    assert "Not a directory" in err

    def refuse(path: str, suffix: str) -> Path:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("cvae.training.evaluate.output_file", refuse)
    status, _, err = call(cli.evaluate, f"checkpoint={run_dir}", "images=0")
    assert (status, err.count("\n")) == (2, 1)
    assert "cannot be written to; to leave the run as it is, give" in err


def test_an_evaluation_is_kept_though_nobody_reads_it(
    call, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `cvae-evaluate RUN out=FILE | head`."""

    def closed(*_: object) -> None:
        raise RuntimeError("closed")

    monkeypatch.setattr("cvae.commands.evaluate.show", closed)
    best = f"checkpoint={run_dir}/checkpoints/best.ckpt"
    with pytest.raises(RuntimeError, match="closed"):
        call(cli.evaluate, best, "samples=1", "images=0", "out=kept.json")
    assert "test/nll" in json.loads(Path("kept.json").read_text())


def _labels() -> list[int]:
    data = Digits(LabelCondition)
    data.setup("test")
    return data.test_set.items.labels.tolist()


def test_a_cross_entropy_is_never_called_a_log_likelihood(
    call, judges: Path, tmp_path: Path
) -> None:
    line = [*SHORT_LINE, "likelihood=cross_entropy", "data.val_fraction=0.2"]
    assert call(cli.train, *line)[0] == 0
    status, out, _ = call(cli.evaluate, "checkpoint=run", "samples=20", "images=5")
    assert len(list(judges.glob("Digits-*"))) == 1  # the judge is that of every other split
    found = json.loads(Path("run/metrics.json").read_text())
    tags = events(tmp_path / "run" / "test_cross_entropy").Tags()["scalars"]
    assert status == 0
    assert not [name for name in [*tags, *found, *out.split()] if "log_likelihood" in name]
    grey = found["test/negative_cross_entropy"] - found["test/kl"]
    assert found["test/elbo"] == pytest.approx(grey)
    # What it is worth on binary pixels is a mass, and bounded by its own ELBO.
    assert found["test/nll"] < -found["test/binarized_elbo"] + 0.1
    assert {"elbo/elbo", "elbo/negative_cross_entropy"} <= set(tags)
    # The judge sees binarised images too, which it knows less well than grey ones.
    assert found["judge/accuracy_pixels_as_served"] < found["judge/accuracy_grey_images"]


def test_a_posterior_that_never_moved_is_reported_in_a_sentence(call) -> None:
    # A KL term that weighs a thousand nats leaves the posterior nowhere else to go.
    line = [*SHORT_LINE, "prior=standard", "objective.beta=1000", "optimizer.lr=0.01"]
    line[line.index("trainer.max_epochs=1")] = "trainer.max_epochs=30"
    status, out, _ = call(cli.train, *line, "latent_dim=2")
    assert status == 0
    assert "The posterior has fallen onto the prior" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_same_data_come_back_with_changes(run_dir: Path) -> None:
    data = cvae.datamodule(run_dir, batch_size=7)
    assert (data.batch_size, data.binarize) == (7, "dynamic")
    data.setup()
    same = cvae.datamodule(run_dir)
    same.setup()
    assert torch.equal(data.val_set.items.y, same.val_set.items.y)


# -- cvae-export -------------------------------------------------------------------------------


def test_a_page_says_how_good_its_model_is_before_and_after_rounding(call, run_dir: Path) -> None:
    line = [f"checkpoint={run_dir}", "out=made/digits.html", "images=20"]
    status, out, _ = call(cli.export, *line)
    assert status == 0
    assert [path.name for path in Path("made").iterdir()] == ["digits.html"]
    page = Path("made/digits.html").read_text()
    told = json.loads((run_dir / "metrics.json").read_text())
    assert f"−{-told['test/elbo']:.2f} nats per test target" in page
    out = " ".join(out.split())
    largest = float(re.search(r"differs by more than ([\d.]+)/255", out)[1])
    assert 0 < largest < 6
    for name in ("mean image", "sampled pixels"):
        shares = re.search(rf"{name}: ([\d.]+)%; before .*? rounded ([\d.]+)%", out).groups()
        after, before = map(float, shares)
        assert abs(after - before) < 2
        assert 0 < after <= 100
        assert f"{shares[0]}%" in page
    halves = " ".join(call(cli.export, *line, "weights=float16", "images=0")[1].split())
    assert float(re.search(r"by more than ([\d.]+)/255", halves)[1]) < largest / 4
    assert "class consistency" not in halves


def test_rounding_is_seen_where_it_harms(run_dir: Path) -> None:
    model = cvae.load(run_dir)
    harmed = cvae.load(run_dir)
    layer = harmed.generator.network.layers[-2]
    with torch.no_grad():
        layer.bias[5] += 0.5  # of a logit, by which a probability of 1/2 becomes 0.622
    rng = torch.Generator().manual_seed(0)
    made = export.carried(model, "float16", rng)._replace(model=harmed)
    found = export.largest_difference(made, model, rng)
    assert found == pytest.approx(255 * 0.1225, rel=0.05)


def test_a_difference_of_numbers_is_in_deviations_of_each() -> None:
    config = composed("data=vectors", "data.path=own.npz", "latent_dim=2", "network.width=8")
    rng = np.random.default_rng(0)
    scales = np.array([1e4, 1e-3])
    np.savez("own.npz", x=rng.normal(size=(80, 1)), y=scales * rng.normal(size=(80, 2)))
    data = build_datamodule(config)
    model = build_model(config, data.sizes).eval()
    moved = copy.deepcopy(model)
    decode, y = model.decode, model.condition.sizes.y
    moved.decode = lambda x, z: decode(x, z) + 0.5 * torch.tensor(y.scale) * torch.eye(2)[1]
    made = SimpleNamespace(x=examples(data, 2).x, model=moved)
    found = export.largest_difference(made, model, torch.Generator().manual_seed(0))
    assert found == pytest.approx(0.5, rel=1e-3)  # of the small column


def test_onnx_files_are_written_next_to_each_other(call, run_dir: Path) -> None:
    status, out, _ = call(cli.export, f"checkpoint={run_dir}", "format=onnx", "out=two.onnx")
    assert status == 0
    files = sorted(path.name for path in Path().iterdir())
    assert files == ["two_generator.onnx", "two_prior.onnx"]
    assert all(float(said) < 1e-4 for said in re.findall(r"differ by (\S+)", out))
    assert len(re.findall("differ by", out)) == 2


def test_a_reconstruction_is_of_items_of_the_test_split(call, run_dir: Path) -> None:
    for name in ("a.png", "a.svg"):
        status, _, err = call(cli.sample, str(run_dir), "plot=reconstruction", "n=3", f"out={name}")
        assert status == 0, err
    assert b"reconstruction" in Path("a.svg").read_bytes()
    status, _, err = call(cli.sample, str(run_dir), "plot=reconstruction", "x=7")
    assert (status, err.count("\n")) == (2, 1)
    assert "x: plot=reconstruction takes pairs of the test split" in err


def test_a_run_says_what_it_is_and_why_it_ended_within_eighty_columns(call) -> None:
    status, out, _ = call(
        cli.train, *SHORT[:2], "hydra.run.dir=run", "callbacks.progress.seconds=0"
    )
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    log = Path("run/run.log").read_text()
    for words in (
        *("run: run", "data: 1,293 to train, 144 to validate, 360 to test; x 10, y 1×8×8"),
        *("21 steps of 64 an epoch", "epoch 1 of 1", "best: epoch 1 of 1, val/elbo −"),
        "ended as all 1 epochs were done",
    ):
        assert words in log
        assert words in out
    assert "next: cvae-evaluate run\n      cvae-sample run " in out
    Path("run/verdict.txt").write_text("of the model before\n")
    status, out, _ = call(cli.train, "resume=run", "trainer.max_epochs=2")
    assert status == 0
    assert not Path("run/verdict.txt").exists()
    assert "cvae-train resume=run trainer.max_epochs=50" in out.splitlines()  # to be pasted
    assert Path("run/run.log").read_text().startswith(log)  # a resumed run adds to it
