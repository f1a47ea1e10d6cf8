"""The table of experiments is what the runs left, and ranks only what may be compared."""

import json
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import table
from conftest import SHORT
from cvae import evaluate, train
from cvae.config import find
from cvae.errors import InputError

EXPERIMENTS = Path(table.__file__).parent


def taken_down(nats_of: str, nll: float) -> dict:
    metrics = {"seconds": 61.0, "test/nll": nll, "test/nll_standard_error": 0.1, "samples": 10}
    return {
        "command": "cvae-train",
        "compare": [nats_of, "MNIST", "binarised" if nats_of == "mass" else "grey pixels"],
        "settings": "",
        "machine": "2 cores",
        "metrics": metrics,
    }


@pytest.fixture
def _described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_header", lambda name: [])


@pytest.mark.usefixtures("_described")
def test_densities_are_never_ranked_against_masses() -> None:
    records = {
        "density": taken_down("density", -700.0),
        "good": taken_down("mass", 80.0),
        "bad": taken_down("mass", 90.0),
        "grey": taken_down("cross_entropy", 85.0),
    }
    parts = re.split("^## ", table.table(records, {}), flags=re.MULTILINE)[1:]
    rows = [re.findall(r"^\| `(\w+)`", part, re.MULTILINE) for part in parts]
    assert sorted(rows) == [["density"], ["good", "bad"], ["grey"]]  # best first


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        ([None, 80.0], "≤ 80.00: **falls short**"),
        ([None, 81.0], "≤ 81.00: reached"),
        ([80.5, None], "≥ 80.50: reached"),
        ([80.7, 80.9], "≥ 80.70 and ≤ 80.90: **falls short**"),
    ],
)
def test_it_is_said_whether_a_figure_is_reached(reach: list, said: str) -> None:
    metrics = taken_down("mass", 80.6)["metrics"]
    assert table.told("test/nll", metrics, {"reach": reach}).endswith(f"to reach {said}")


def test_the_page_is_what_the_results_give(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {}
    monkeypatch.setattr(Path, "write_text", lambda path, text: written.setdefault(path.name, text))
    table.main([])
    assert written == {"README.md": (EXPERIMENTS / "README.md").read_text()}


def test_what_is_held_against_a_reference_is_shown() -> None:
    references = table.yaml.safe_load((EXPERIMENTS / "references.yaml").read_text())
    for name, held_against in references.items():
        assert (EXPERIMENTS / "experiment" / f"{name}.yaml").is_file()
        assert held_against.keys() <= table.FIGURES.keys()


def test_every_experiment_has_its_row_and_its_picture() -> None:
    page = (EXPERIMENTS / "README.md").read_text()
    for path in (find("experiments") / "experiment").glob("*.yaml"):
        assert f"| `{path.stem}` |" in page
    for picture in re.findall(r"figures/\w+\.png", page):
        assert (EXPERIMENTS / picture).is_file()


@pytest.mark.parametrize("name", [path.stem for path in (EXPERIMENTS / "results").glob("*.json")])
def test_an_experiment_was_evaluated_as_its_file_says(name: str) -> None:
    with initialize_config_dir(str(find("conf")), version_base="1.3"):
        said = compose("evaluate", ["checkpoint=RUN_DIR", *table.evaluation(name)])
    metrics = json.loads((EXPERIMENTS / "results" / f"{name}.json").read_text())["metrics"]
    assert metrics["samples"] == said.samples
    assert ("judge/accuracy_grey_images" in metrics) == (said.images > 0)


def test_a_run_is_taken_down_from_its_own_files(
    call, tmp_path: Path, idx_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figures").mkdir()
    monkeypatch.setattr(table, "HERE", tmp_path)
    run = ["experiment=mnist", f"data.root={idx_root}", *SHORT, "hydra.run.dir=run"]
    assert call(train.main, *run)[0] == 0
    with pytest.raises(InputError, match="not an evaluated run"):
        table.record(tmp_path / "run")
    assert call(evaluate.main, "checkpoint=run", "samples=2", "images=0")[0] == 0
    assert table.record(tmp_path / "run") == "mnist"
    kept = json.loads((tmp_path / "results" / "mnist.json").read_text())
    assert kept["metrics"] == json.loads(Path("run/metrics.json").read_text())
    assert kept["compare"] == ["mass", "MNIST", "binarised"]
    assert kept["machine"].endswith("CPU cores")
    assert str(idx_root) not in json.dumps(kept)
    assert "experiment=mnist data.root=DIR" in kept["command"]
    for part in ("GaussianPrior", "MLP(width=16, depth=2, activation=ReLU)", "latent_dim=32"):
        assert part in kept["settings"]
    assert (tmp_path / "figures" / "mnist.png").is_file()
    with pytest.raises(InputError, match="not the folder of a finished run"):
        table.record(tmp_path)
