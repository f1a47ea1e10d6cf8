"""The page of experiments is what the runs left, and ranks only what may be compared."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hydra import compose

import page
import page_anchors
import table
from conftest import SHORT
from cvae.commands import main as cli
from cvae.config.compose import composing, find
from cvae.errors import InputError
from cvae.evaluation.sentences import sentences_of

EXPERIMENTS = Path(table.__file__).parent
README = (EXPERIMENTS / "README.md").read_text()
RESULTS = {path.stem: json.loads(path.read_text()) for path in EXPERIMENTS.glob("results/*.json")}
LABEL, NONE = "LabelCondition, GaussianPrior", "NoCondition, GaussianPrior"


def recorded(nats_of: str, nll: float, settings: str = LABEL) -> dict:
    metrics = {"seconds": 61.0, "test/nll": nll, "test/nll_standard_error": 0.1, "test/elbo": -nll}
    return {
        "compare": [nats_of, "MNIST", "binarised" if nats_of == "mass" else "grey pixels"],
        "settings": settings,
        "metrics": metrics,
    }


def test_only_runs_of_the_same_nats_and_data_are_ranked() -> None:
    records = {
        "density": recorded("density", -700.0),
        "bad": recorded("mass", 90.0),
        "good": recorded("mass", 80.0),
        "without_x": recorded("mass", 85.0, NONE),
        "grey": recorded("cross_entropy", 85.0),
    }
    ranked = page.boards(records)
    assert [list(board) for board in ranked.values()] == [
        ["good", "bad"],  # best first
        ["without_x"],
        ["density"],
        ["grey"],
    ]
    parts = re.split("^(?:###|\\*\\*).*", page.leaderboards(ranked, {}), flags=re.MULTILINE)
    rows = [re.findall(r"^\| \[(\w+)\]", part, re.MULTILINE) for part in parts]
    assert [row for row in rows if row] == [list(board) for board in ranked.values()]


def test_runs_are_ranked_by_validation_where_all_have_it() -> None:
    records = {"tested": recorded("mass", 80.0), "validated": recorded("mass", 85.0)}
    for name, elbo in (("tested", -90.0), ("validated", -88.0)):
        records[name]["metrics"]["val/elbo"] = elbo
    (board,) = page.boards(records).values()
    assert list(board) == ["validated", "tested"]
    del records["tested"]["metrics"]["val/elbo"]
    (board,) = page.boards(records).values()
    assert list(board) == ["tested", "validated"]


def test_a_run_without_an_nll_is_ranked_by_its_bound() -> None:
    records = {"bound": recorded("mass", 85.0), "nll": recorded("mass", 80.0)}
    del records["bound"]["metrics"]["test/nll"]
    board = page.leaderboards(page.boards(records), {})
    assert board.index("**80.00**") < board.index("only the bound | 85.00")


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        ([None, 80.0], "≤ 80.00: **not reached**"),
        ([None, 81.0], "≤ 81.00: reached"),
        ([80.5, None], "≥ 80.50: reached"),
        ([80.7, 80.9], "≥ 80.70 and ≤ 80.90: **not reached**"),
    ],
)
def test_the_page_says_whether_a_target_is_reached(reach: list, said: str) -> None:
    metrics = recorded("mass", 80.6)["metrics"]
    row = page.compared(metrics, {"test/nll": {"reach": reach, "reference": {81.2: "A"}}})[2]
    assert row == f"| NLL | **80.60** | {said} | 81.2: A |"


def test_the_page_is_what_the_results_give(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {}
    monkeypatch.setattr(Path, "write_text", lambda path, text: written.setdefault(path.name, text))
    table.main([])
    assert written == {"README.md": README}


def test_every_reference_is_shown() -> None:
    held = yaml.safe_load((EXPERIMENTS / "references.yaml").read_text())
    for name, held_against in held["experiments"].items():
        assert (find("conf") / "experiment" / f"{name}.yaml").is_file()
        for metric, values in held_against.items():
            # NLLs of y alone are younger than some of the records.
            assert metric in RESULTS[name]["metrics"] or metric == "test/nll_marginal"
            assert metric in page.NAMED
            for source in values.get("reference", {}).values():
                assert source.replace("|", r"\|").split("`")[0] in section(name)
            for key in values.get("published", []):
                assert page_anchors.in_few_words(held["published"][key]) in section(name)


def test_a_published_figure_says_what_it_was_measured_on() -> None:
    held = yaml.safe_load((EXPERIMENTS / "references.yaml").read_text())
    said = {"name", "network", "group", "x", "images", "pixels", "objective", "draws", "read"}
    anchors = README.partition("\n## Published figures")[2].partition("\n## ")[0]
    for model in held["published"].values():
        assert all(isinstance(model[field], str) and model[field] for field in said)
        assert model["group"] in page_anchors.GROUPS
        assert model["source"] in held["sources"]
        assert (page_anchors.figure(model) is None) == (model["read"] == "not found")
        rows = [row for row in anchors.splitlines() if row.startswith(f"| {model['name']}: ")]
        assert any((page_anchors.figure(model) or "not found") in row for row in rows)
    assert "memory" not in anchors + json.dumps(held["experiments"])


def test_figures_with_and_without_a_condition_meet_in_those_of_y_alone() -> None:
    held = yaml.safe_load((EXPERIMENTS / "references.yaml").read_text())
    records = json.loads(json.dumps(RESULTS))
    records["mnist_conv"]["metrics"] |= {"test/nll": 77.0, "test/nll_marginal": 78.45}
    records["mnist_mlp"]["metrics"].pop("test/nll_marginal", None)
    own = {name: (record, dict(page.parts(record)[0])) for name, record in records.items()}
    whole = page_anchors.tables_of_anchors(held, own).partition("\n\n**")[0].splitlines()
    given, alone, ranked = {}, {}, []
    for row in whole[4:]:
        name, first, second, *_ = (cell.strip() for cell in row.split(" | "))
        name = name.strip("| *[").partition(":")[0].partition("]")[0]
        given[name], alone[name] = first, second
        ranked.append(name)
    assert (given["mnist_conv"], alone["mnist_conv"]) == ("77.00", "78.45")
    assert alone["mnist_mlp"] == given["BIVA"] == "—"
    place = ranked.index("mnist_conv")
    assert (ranked[place - 1], ranked[place + 1]) == ("BIVA", "Xu et al. 2019")  # 78.41, 78.49
    # What has no figure of y alone comes after what has one; what is no likelihood comes last.
    assert ranked.index("IWAE, k = 50, fixed pixels") < ranked.index("mnist_mlp")
    assert all(alone[name].startswith("(") for name in ranked[-2:])


def test_training_images_are_those_of_the_split() -> None:
    # MNIST's 60,000 were split once by the program itself: 59,400 and 57,000 are left.
    assert page_anchors.training_images("MNIST(val_fraction=0.01, train_images=None)") == 59_400
    assert page_anchors.training_images("MNIST(batch_size=1, val_fraction=0.05)") == 57_000
    assert page_anchors.training_images("MNIST(val_fraction=0.1, train_images=50000)") == 50_000


def test_each_section_says_how_its_settings_were_chosen() -> None:
    for name in RESULTS:
        assert "**How its settings were chosen:** " in section(name)


def section(name: str) -> str:
    return re.split("^##+ ", README.partition(f"\n### {name}\n")[2], flags=re.MULTILINE)[0]


def test_every_experiment_has_its_row_section_and_picture() -> None:
    for path in (find("conf") / "experiment").glob("*.yaml"):
        assert README.count(f"| [{path.stem}](#{path.stem})") == 1
        assert README.count(f"\n### {path.stem}\n") == 1
    for picture in re.findall(r"figures/\w+\.png", README):
        assert (EXPERIMENTS / picture).is_file()
    for link in re.findall(r"\]\(([\w./]+)\)", README):
        assert (EXPERIMENTS / link).exists()


@pytest.mark.parametrize("name", RESULTS)
def test_every_figure_of_a_run_is_shown(name: str) -> None:
    shown = "".join(template for titles in page.FIGURES.values() for template in titles.values())
    for metric, value in RESULTS[name]["metrics"].items():
        if metric.startswith("test/kl_per_dimension/"):
            assert f"{value:.3f}" in section(name)
        elif metric.startswith("verdict/"):
            assert " ".join(sentences_of(RESULTS[name]["metrics"])) in section(name)
        else:
            assert metric in ("epochs", "seconds") or f"{{{metric}:" in shown
            assert metric not in page.NAMED or page.number(value, page.NAMED[metric][1]) in section(
                name
            )


@pytest.mark.parametrize("name", RESULTS)
def test_an_experiment_was_evaluated_as_its_file_says(name: str) -> None:
    with composing():
        said = compose("evaluate", ["checkpoint=RUN_DIR", *page.described(name)[1]])
    metrics = RESULTS[name]["metrics"]
    assert metrics["samples"] == said.samples
    assert ("judge/accuracy_grey_images" in metrics) == (said.images > 0)


def test_a_run_is_recorded_from_its_own_files(
    call, tmp_path: Path, idx_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figures").mkdir()
    monkeypatch.setattr(table, "HERE", tmp_path)
    run = ["experiment=mnist", f"data.root={idx_root}", *SHORT, "hydra.run.dir=run"]
    assert call(cli.train, *run)[0] == 0
    with pytest.raises(InputError, match="not an evaluated run"):
        table.record(tmp_path / "run")
    assert call(cli.evaluate, "checkpoint=run", "samples=2", "images=0")[0] == 0
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
