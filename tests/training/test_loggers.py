"""Where a run is logged: one chart for two curves, a table, services; the same if it is resumed."""

import csv
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lightning.pytorch.loggers import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from conftest import composed, train
from cvae.store.events import curve, forget_events
from cvae.training import loggers

TINY = ["network.width=16", "~callbacks.progress", "data.batch_size=256", "latent_dim=2"]


def test_a_resumed_run_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = [*TINY, "logger=[tensorboard,csv]"]
    train(composed(*line, "trainer.max_epochs=2"), tmp_path)
    train(composed(*line, "trainer.max_epochs=3", f"resume={tmp_path}"), tmp_path)
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4  # three epochs, and the test at the end
    for name in ("train/elbo", "val/kl", "train/lr"):
        found = curve(tmp_path, name)
        assert len(found) == 3
        by_step = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        assert by_step == pytest.approx(found, rel=1e-6)
    # TensorBoard reads nothing twice, of which it would print a line.
    caplog.clear()
    for part in ("", "train", "val", "test_mass"):
        events = EventAccumulator(str(tmp_path / part), purge_orphaned_data=True)
        events.Reload()
    assert [record.message for record in caplog.records if record.name == "tensorboard"] == []
    for file in tmp_path.rglob("events.out*"):
        file.unlink()
    assert len(curve(tmp_path, "val/elbo")) == 3  # of the table


def test_what_is_logged_again_is_forgotten_and_the_rest_stays(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "val")) as writer:
        for step in range(5):
            writer.add_scalar("elbo/elbo", step, step)
    with (next((tmp_path / "val").glob("events*"))).open("ab") as file:
        file.write(b"cut off")
    forget_events(tmp_path, 3)
    assert curve(tmp_path, "val/elbo") == {0: 0, 1: 1, 2: 2}


class Service(Logger):
    """What a run says to a service whose package is not installed here."""

    made: ClassVar[list["Service"]] = []
    name = version = "service"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options, self.metrics, self.pictures = options, {}, []
        self.version = options.get("id")
        self.run_id = options.get("run_id") or "new"
        self.experiment = self
        self.made.append(self)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.metrics |= metrics

    def log_hyperparams(self, params: Any) -> None:
        self.settings = params

    def log_image(self, name: str, images: list[Any], step: int) -> None:
        self.pictures.append(name)

    def log_figure(self, run: str, figure: Any, file: str) -> None:
        self.pictures.append(f"{run} {file}")


class Weights(Service):
    made: ClassVar[list[Service]] = []


class Flow(Service):
    made: ClassVar[list[Service]] = []


def test_services_are_told_all_and_go_on_with_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "WandbLogger", Weights)
    monkeypatch.setattr(loggers, "MLFlowLogger", Flow)
    line = [*TINY, "logger=[wandb,mlflow]"]
    train(composed(*line, "trainer.max_epochs=1"), tmp_path / "mine")
    known = json.loads((tmp_path / "mine" / ".services.json").read_text())
    weights, flow = (next(s for s in kind.made if s.metrics) for kind in (Weights, Flow))
    ended = [kind.made[-1] for kind in (Weights, Flow)]
    assert (weights.options["project"], weights.options["name"]) == ("cvae", "mine")
    assert known == {"wandb": weights.version, "mlflow": "new"}
    assert weights.settings["latent_dim"] == 2
    assert weights.pictures == ["pictures/prior_samples", "pictures/reconstructions"]
    assert flow.pictures[0].startswith("new pictures/prior_samples_")
    assert {"train/elbo", "val/kl", "train/beta"} <= weights.metrics.keys()
    assert all("test/elbo" in service.metrics for service in ended)
    assert ended[0].version == weights.version
    Weights.made.clear()
    Flow.made.clear()
    again = composed(*line, "trainer.max_epochs=2", f"resume={tmp_path / 'mine'}")
    train(again, tmp_path / "mine")
    assert {service.version for service in Weights.made if service.metrics} == {known["wandb"]}
    assert {service.run_id for service in Flow.made if service.metrics} == {"new"}
    assert not list(tmp_path.rglob("events.out*"))
