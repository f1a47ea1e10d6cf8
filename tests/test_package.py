"""The wheel carries all that the commands need, and they run from anywhere."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from cvae.commands.main import train
from forked import Forked

REPOSITORY = Path(__file__).parents[1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, *arguments)


WITHOUT_EXTRAS = """
from importlib.machinery import PathFinder
extras = {"zuko", "polars", "optuna", "onnx", "onnxscript", "safetensors", "huggingface_hub"}
find = PathFinder.find_spec
hidden = lambda name, *rest: None if name.partition(".")[0] in extras else find(name, *rest)
PathFinder.find_spec = staticmethod(hidden)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of the wheel, built and installed into an environment of its own.

    The dependencies are those of the present environment, by a path that does not bring along its
    own installation of this package; but none of the extras are found.
    """
    folder = tmp_path_factory.mktemp("installed")
    built = python("-m", "build", "--wheel", "--no-isolation", "-o", str(folder), str(REPOSITORY))
    assert built.returncode == 0, built.stderr
    venv.create(folder / "venv", with_pip=True)
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (site / "without_extras.py").write_text(WITHOUT_EXTRAS)
    (site / "without_extras.pth").write_text("import without_extras\n")
    pip = (str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--no-index")
    done = run(*pip, "--no-deps", str(next(folder.glob("*.whl"))))
    assert done.returncode == 0, done.stderr
    assert (site / "cvae" / "py.typed").is_file()
    return folder / "venv" / "bin"


def test_the_installed_wheel_trains_from_an_unrelated_folder(
    installed: Path, tmp_path: Path
) -> None:
    command = str(installed / "cvae-train")
    short = ("network.width=16", "trainer.max_epochs=1", "hydra.run.dir=run")
    done = run(command, *short)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "metrics.json").is_file()
    # An experiment is found too, and shown without torch, which takes seconds to import.
    done = run(command, "experiment=mnist", "--cfg", "job")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cvae.data.mnist.MNIST" in done.stdout
    done = run(command, "prior=flow")
    assert done.stderr.startswith(
        "cvae-train: flows need zuko; pip install 'lightning-cvae[flows]'"
    )
    where = run(str(installed / "python"), "-c", "import cvae; print(cvae.__file__)")
    assert where.stdout.startswith(str(installed.parent))


def test_a_bad_command_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["cvae-train", "latnt_dim=2"])
    said = "cvae-train: latnt_dim: no such key; did you mean latent_dim=2?\n"
    assert Forked(train).wait() == (2, said)
