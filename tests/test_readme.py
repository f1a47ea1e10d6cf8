"""The README's code runs, and the prior that it adds goes through the contract as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import GROUPS, SHORT, composed, options
from cvae.train import check, train

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def block(language: str, containing: str) -> str:
    return next(text for kind, text in BLOCKS if kind == language and containing in text)


def test_the_python_example_runs(run_dir: Path) -> None:
    scope: dict[str, object] = {}
    code = block("python", "cvae.load")
    exec(code.replace("RUN_DIR", str(run_dir)).replace("samples=1000", "samples=5"), scope)
    assert scope["images"].shape == (8, 4, 1, 8, 8)
    assert scope["nll"].shape == (16,)


def test_its_own_data_can_be_trained_on(tmp_path: Path) -> None:
    exec(block("python", "np.savez"), {})
    command = block("sh", "data.path=discs.npz").split()[1:]
    config = composed(*command, *SHORT)
    check(config)
    _, metrics = train(config, tmp_path / "run")
    assert metrics["test/elbo"] < 0


def test_the_parts_it_adds_keep_the_contract_and_no_test_needs_editing(tmp_path: Path) -> None:
    for folder in ("src", "conf", "experiments", "tests"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    for name in ("pyproject.toml", "README.md", "Makefile"):
        shutil.copy(REPOSITORY / name, tmp_path)
    source, conf = tmp_path / "src" / "cvae", tmp_path / "conf"
    (source / "priors" / "laplace.py").write_text(block("python", "class LaplacePrior"))
    (conf / "prior" / "laplace.yaml").write_text(block("yaml", "LaplacePrior"))
    (source / "nets" / "residual_mlp.py").write_text(block("python", "class ResidualMLP"))
    (conf / "network" / "residual_mlp.yaml").write_text(block("yaml", "ResidualMLP"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "laplace or residual_mlp", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    # A density, its KL, its NLL, and two contracts; where there is a browser, two exports as well.
    assert re.search("20 passed|18 passed, 2 skipped", done.stdout), done.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_its_table_names_every_option(group: str) -> None:
    row = next((line for line in README.splitlines() if line.startswith(f"| `{group}` |")), None)
    assert row is not None
    for name in options(group):
        assert f"`{name}`" in row


def test_it_names_only_targets_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets | {"help"}
