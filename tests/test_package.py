"""The wheel carries all that the commands need, and they run from anywhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    built = python("-m", "build", "--wheel", "--no-isolation", "-o", str(out), str(REPOSITORY))
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


def test_the_installed_wheel_trains_from_an_unrelated_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert (site / "cvae" / "py.typed").is_file()
    code = (
        "import sys, cvae, cvae.train; assert cvae.__file__.startswith(sys.argv.pop(1)); "
        "cvae.train.main()"
    )
    short = ["network.width=16", "trainer.max_epochs=1", "hydra.run.dir=run"]
    done = python("-c", code, str(site), *short, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "metrics.json").is_file()
    # An experiment is found too: this one then misses its data, which is the second error.
    missing = ["experiment=mnist", "data.root=none", "data.download=false"]
    done = python("-c", code, str(site), *missing, PYTHONPATH=str(site))
    assert done.returncode == 2
    assert "data.root" in done.stderr


def test_commands_are_modules_with_help() -> None:
    for name in ("train", "sample", "evaluate"):
        done = python("-m", f"cvae.{name}", "--help")
        assert done.returncode == 0
        assert f"cvae-{name}" in done.stdout


def test_a_bad_command_ends_without_a_traceback() -> None:
    done = python("-m", "cvae.train", "latnt_dim=2")
    assert done.returncode == 2
    assert done.stderr == "cvae-train: latnt_dim: no such key; did you mean 'latent_dim'?\n"
