"""Shared by the tests: configurations, small data, and one short run."""

import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cvae.batch import Support
from cvae.config.building import build_datamodule, build_model
from cvae.config.compose import Config, find, resolved
from cvae.data import mnist
from cvae.data.base import PairData
from cvae.evaluation import judge
from cvae.evaluation.diagnostics import examine
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes, Target
from cvae.kinds.categories import LabelMap
from cvae.kinds.counts import Counts
from cvae.kinds.table import Column, Table
from cvae.model.cvae import CVAE
from cvae.training.fit import Trained, fit
from cvae.training.module import TrainingModule, build_training_module
from cvae.training.prepare import prepare

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHORT = [
    "network.width=16",
    "trainer.max_epochs=1",
    "+trainer.limit_train_batches=1",
    "~callbacks.progress",
]
TORCHVISION = {
    c.__name__: c
    for c in (mnist.MNIST, *mnist.MNIST.__subclasses__())
    if c.__module__ == mnist.__name__
}


QUICK = [*SHORT[:1], "trainer.max_epochs=4", "data.batch_size=256", "threads=1"]


def results(sweep: Path) -> dict[str, dict[str, float]]:
    """The metrics of every job by its folder, without the time it took."""
    found = {
        path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/metrics.json")
    }
    return {name: {k: v for k, v in m.items() if k != "seconds"} for name, m in found.items()}


def command(*line: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from cvae.commands.main import train; train()", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judges: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(judges.parents[1]))


def composed(*overrides: str) -> Config:
    """The configuration that the command line would give, resolved."""
    return resolved("train", list(overrides))


GROUPS = sorted(path.name for path in find("conf").iterdir() if path.is_dir())
GROUPS.remove("hydra")  # what is ours among Hydra's own


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (find("conf") / group).glob("*.yaml"))


def train(config: Config, folder: Path, *further: Any, **how: Any) -> Trained:
    """Train, test and write a run's folder."""
    return fit(prepare(config), folder, *further, **how)


PARTS = ("prior", "posterior", "likelihood", "network", "objective")
STEPS = [
    "hierarchy=2",
    *("data=vectors", "data=sequences", "data=tokens"),
    *(f"{group}={name}" for group in PARTS for name in options(group)),
]


DATA_FOR = {
    "categorical": "label_maps",
    "mixed": "table",
    "negative_binomial": "counts",
    "poisson": "counts",
}
"""What the likelihoods need that are no distributions over images."""


def written_own_data(folder: Path) -> dict[str, list[str]]:
    """A small file for each kind of y but images, in a folder; what says so, by the option."""
    rng = np.random.default_rng(0)
    ages, sexes = rng.integers(20, 90, 60), np.array(["f", "m"])[np.arange(60) % 2]
    found = {}
    for kind, y in {
        "vectors": rng.random((60, 4)) * 50,
        "sequences": rng.standard_normal((60, 6, 2)),
        "label_maps": rng.integers(0, 3, (60, 9, 7)),
        "tokens": rng.integers(0, 5, (60, 8)),
        "counts": rng.poisson(3, (60, 5)),
    }.items():
        np.savez(folder / kind, y=y, **{"x.age": ages + 0.5, "x.sex": sexes})
        found[kind] = [f"data.path={folder / kind}.npz"]
    rows = [f"{age},{sex},{age / 7},{age % 5}" for age, sex in zip(ages, sexes, strict=True)]
    (folder / "table.csv").write_text("\n".join(["age,sex,height,visits", *rows]))
    found["table"] = [f"data.path={folder / 'table.csv'}", "data.x=[age]"]
    found["table"] += ["data.y=[sex,height,visits]"]
    return found


def built(*overrides: str) -> tuple[PairData, TrainingModule]:
    """Data and an untrained model; data of other kinds than images are written to this folder."""
    chosen = {f"likelihood={name}": f"data={kind}" for name, kind in DATA_FOR.items()}
    line = [*(chosen[one] for one in overrides if one in chosen), *overrides]
    for kind, further in written_own_data(Path.cwd()).items():
        line += further if f"data={kind}" in line else []
    config = composed("network.width=8", *line)
    data = build_datamodule(config)
    data.setup("fit")
    return data, build_training_module(config, data.sizes)


SERVED: dict[Support, Target] = {
    Support.CATEGORIES: LabelMap((9, 7), categories=3),
    Support.COUNTS: Counts((4,), average=(1.0, 0.5, 2.0, 9.0)),
    Support.MIXED: Table(
        (4,),
        described=(
            Column("height", "real"),
            Column("children", "count"),
            Column("smokes", "binary"),
            Column("town", "category", ("A", "B", "C")),
        ),
    ),
}
"""A y for each likelihood that is no distribution over images."""


def target_for(config: Config, shape: tuple[int, int, int]) -> Target:
    """A y that a configuration's likelihood is a distribution over: an image where it can be."""
    support = resolve_name(config["likelihood"]["_target_"]).support
    return ImageKind(shape) if Support.BINARY in support else SERVED[support]


def model_of(*overrides: str, shape: tuple[int, int, int] = (1, 9, 7)) -> CVAE:
    """An untrained model whose weights are large enough for every number to matter."""
    gaussian = ["likelihood=gaussian"] if "likelihood.scale=per_element" in overrides else []
    config = composed("network.width=8", *gaussian, *" ".join(overrides).split())
    torch.manual_seed(0)
    model = build_model(config, Sizes(target_for(config, shape), 3))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.5)
    return model.eval()


def cut_off(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, after: int = 0) -> None:
    """Let a training end in the middle of an epoch, as by Ctrl-C, after so many that do not."""
    step = TrainingModule.training_step
    passed = itertools.count()

    def interrupted(self: TrainingModule, items: Any, batch_idx: int) -> Any:
        if (self.current_epoch, batch_idx) == (epoch, batch) and next(passed) == after:
            raise KeyboardInterrupt
        return step(self, items, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of two epochs."""
    folder = tmp_path_factory.mktemp("run")
    config = composed("network.width=64", "trainer.max_epochs=2", "~callbacks.progress")
    train(config, folder)
    (folder / ".hydra").mkdir()
    overrides = "[network.width=64, trainer.max_epochs=2, ~callbacks.progress]"
    (folder / ".hydra" / "overrides.yaml").write_text(overrides)
    return folder


def altered(run_dir: Path, change: Callable[[dict[str, Any]], Any], name: str = "best") -> Path:
    """A run's best or last checkpoint with other contents, in the working folder."""
    contents = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
    change(contents)
    torch.save(contents, "altered.ckpt")
    return Path("altered.ckpt")


@pytest.fixture(scope="session", autouse=True)
def _quick_judges() -> Iterator[None]:
    """Embedded digits are learned in a seventh of the steps that MNIST takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "_STEPS", 500)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_verdicts() -> Iterator[None]:
    """A twentieth of the pairs, where a test does not ask for more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examine, "MOST", 50)
        yield


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the judges of all tests are kept, of all processes that run tests at once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache/cvae/judges"


@pytest.fixture(scope="session")
def metrics(run_dir: Path) -> dict[str, float]:
    return json.loads((run_dir / "metrics.json").read_text())


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an array in the IDX format that MNIST's files have (LeCun's page describes it)."""
    code = {np.dtype(np.uint8): 8, np.dtype(">i4"): 12}[array.dtype]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="session")
def idx_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files of every torchvision data set, with an image's label written in its corner."""
    root = tmp_path_factory.mktemp("idx")
    rng = np.random.default_rng(0)
    for name, cls in TORCHVISION.items():
        folder = root / name / "raw"
        folder.mkdir(parents=True)
        for images_name, labels_name, count in (
            (cls.files[0], cls.files[1], 1200),
            (cls.files[2], cls.files[3], 50),
        ):
            labels = (np.arange(count) % 10).astype(np.uint8)
            images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            images[:, 0, 1] = labels  # top row, second column, before any transposition
            write_idx(folder / images_name, images)
            if "idx2-int" in labels_name:
                write_idx(folder / labels_name, np.stack([labels] * 8, 1).astype(">i4"))
            else:
                write_idx(folder / labels_name, labels)
    return root


@pytest.fixture(scope="session")
def folder_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 9x7 pixels in two folders of thirty, as a user would have them."""
    root = tmp_path_factory.mktemp("folder")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for index in range(30):
            pixels = rng.integers(0, 256, (9, 7), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index:02}.png")
    return root


@pytest.fixture(scope="session")
def arrays_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of sixty grey images of 9x7 pixels, three numbers x and a class with each."""
    path = tmp_path_factory.mktemp("arrays") / "own.npz"
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((60, 3)).astype(np.float32)
    np.savez(path, x=numbers, y=rng.random((60, 9, 7)), labels=np.arange(60) % 3)
    return path


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    root = Path(__file__).parents[2] / "shared" / "data"
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("no copy of MNIST beside the repository")
    return root


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Debian's chromium, or another that is on the path."""
    from playwright.sync_api import sync_playwright  # machines with a GPU often lack it

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    if found is None:
        pytest.skip("no chromium on the path; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Page":
    """An empty page, to run JavaScript in."""
    return browser.new_page()


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a console command in this process; gives its exit status, output and error output."""

    def run(main: Callable[[], Any], *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["command", *arguments])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
