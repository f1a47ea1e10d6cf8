"""The same sweep by every launcher, on real clusters of this machine: `make test-slow`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import command, results

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent
SWEEP = ["-m", "latent_dim=2,3", "seed=0,1", "trainer.max_epochs=5", "threads=1"]
RAY = [
    "launcher=ray",
    "hydra.launcher.ray.init.address=127.0.0.1:6399",
    "hydra.launcher.ray.init.num_cpus=null",
]


@pytest.fixture
def slurm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A Slurm cluster of one node."""
    if shutil.which("slurmctld") is None or shutil.which("munged") is None or os.getuid() != 0:
        pytest.skip("needs root, and Debian's packages slurm-wlm and munge")
    folder = tmp_path_factory.mktemp("slurm")
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    try:
        subprocess.run(["sh", str(SCRIPTS / "slurm.sh"), str(folder)], check=True)
        yield
    finally:
        subprocess.run(["sh", str(SCRIPTS / "slurm.sh"), str(folder), "stop"], check=True)


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray cluster of one node."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs the extra ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # it hears the loopback address alone
    program = str(Path(sys.executable).with_name("ray"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    try:
        line = ["sh", str(SCRIPTS / "ray.sh"), program]
        subprocess.run(line, check=True, cwd=elsewhere, stdout=subprocess.DEVNULL)
        yield
    finally:
        subprocess.run([*line, "stop"], check=True, stdout=subprocess.DEVNULL)


def run(*line: str) -> str:
    process = command(*line)
    out, _ = process.communicate(timeout=540)
    assert process.returncode == 0, out
    return out


def test_every_launcher_gives_the_same_metrics(slurm: None, ray: None) -> None:
    lines = {
        "basic": ["launcher=basic"],
        "joblib": ["launcher=joblib"],
        "submitit_local": ["launcher=submitit_local"],
        "slurm": ["launcher=slurm"],
        "ray": RAY,
    }
    for name, line in lines.items():
        run(*SWEEP, *line, f"hydra.sweep.dir={name}")
    first = results(Path("basic"))
    assert len(first) == 4
    for name in lines:
        assert results(Path(name)) == first, name


def test_slurm_resumes_after_a_time_limit(slurm: None) -> None:
    line = ["-m", "seed=0,1", "threads=1", "network.width=512", "trainer.max_epochs=100"]
    line += ["callbacks.early_stopping.patience=100"]
    run(*line, "hydra.sweep.dir=whole")
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=35"]
    run(*line, "launcher=slurm", *limit, "hydra.sweep.dir=limited")
    logs = "".join(path.read_text() for path in Path("limited").glob(".submitit/*/*.out"))
    assert "Requeued job" in logs
    assert results(Path("limited")) == results(Path("whole"))
