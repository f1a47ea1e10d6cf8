"""The READMEs: their code runs, and their options, commands, links and make targets exist."""

import os
import re
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser

from conftest import GROUPS, SHORT, composed, options, train
from cvae.commands.main import _path_first
from cvae.config.command_line import ordered
from cvae.config.compose import composing, parsed_overrides
from cvae.config.own_parts import with_own_settings
from cvae.training.prepare import prepare
from forked import Forked

REPOSITORY = Path(__file__).parents[1]
FRONT, CONTRIBUTING = "README.md", ".github/CONTRIBUTING.md"
FOLDERS = ("conf", "src", "experiments")
PLACES = [
    *(FRONT, CONTRIBUTING),
    *(
        str(path.relative_to(REPOSITORY))
        for folder in FOLDERS
        for path in sorted((REPOSITORY / folder).rglob("README.md"))
    ),
]
READMES = {place: (REPOSITORY / place).read_text() for place in PLACES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [block for text in READMES.values() for block in FENCE.findall(text)]
COMMANDS = [
    line
    for language, text in BLOCKS
    for line in text.replace("\\\n", " ").splitlines()
    if language == "sh" and line.startswith("cvae-") and "NAME" not in line
]
LARGEST = 8000
"""Bytes of a front page that is read."""


def block(language: str, containing: str) -> str:
    return next(text for kind, text in BLOCKS if kind == language and containing in text)


def links(place: str) -> list[str]:
    text = FENCE.sub("", READMES[place])
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'\bsrc="([^"]+)"', text)
    return [link for link in found if not link.startswith(("https://", "http://"))]


def target(place: str, link: str) -> Path:
    path = link.partition("#")[0]
    return (REPOSITORY / place).parent / path if path else REPOSITORY / place


def anchors(file: Path) -> set[str]:
    """The names that a forge gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# -- their code ----------------------------------------------------------------------------------


def test_the_python_example_runs(run_dir: Path) -> None:
    scope: dict[str, object] = {}
    code = block("python", "cvae.load")
    exec(code.replace("RUN_DIR", str(run_dir)).replace("samples=1000", "samples=5"), scope)
    assert scope["images"].shape == (8, 4, 1, 8, 8)
    assert scope["nll"].shape == (16,)


def test_a_model_can_be_built_without_a_trainer() -> None:
    scope: dict[str, object] = {}
    exec(block("python", "untrained = CVAE("), scope)
    assert scope["noise"].shape == (3, 4, 1, 8, 8)


def test_its_own_data_can_be_trained_on(tmp_path: Path) -> None:
    exec(block("python", "np.savez"), {})
    lines = block("sh", "data.path=mine.npz").splitlines()
    _, *line = shlex.split(next(one for one in lines if "mine.npz" in one), comments=True)
    config = composed(*(one for one in line if not one.startswith("hydra.")), *SHORT)
    prepare(config)
    _, metrics = train(config, tmp_path / "run")
    assert metrics["test/elbo"] < 0


@pytest.mark.parametrize(
    "line", [line for line in COMMANDS if "data.path=experiments/own_data/" in line]
)
def test_its_lines_for_each_kind_of_y_are_ready_to_train(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)  # which a preparation leaves as it is
    config = composed(*ordered(shlex.split(line)[1:]), *SHORT)
    found = prepare(config)
    assert len(found.data.train_set) > 0


@pytest.mark.slow
def test_the_parts_it_adds_keep_the_contract_and_no_test_needs_editing(tmp_path: Path) -> None:
    for folder in (*FOLDERS, "tests", ".github"):
        pictures = shutil.ignore_patterns("*.png", "*.html")
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=pictures)
    for name in ("pyproject.toml", FRONT, "Makefile"):
        shutil.copy(REPOSITORY / name, tmp_path)
    model, conf = tmp_path / "src" / "cvae" / "model", tmp_path / "conf"
    (model / "priors" / "laplace.py").write_text(block("python", "class LaplacePrior"))
    (conf / "prior" / "laplace.yaml").write_text(block("yaml", "LaplacePrior"))
    (model / "networks" / "residual_mlp.py").write_text(block("python", "class ResidualMLP"))
    (conf / "network" / "residual_mlp.yaml").write_text(block("yaml", "ResidualMLP"))
    status, printed = Forked(partial(run_anew, tmp_path, "laplace or residual_mlp")).wait()
    assert status == 0, printed
    # A density, its KL, its NLL, two contracts; where there is a browser, exports as well.
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None, printed
    assert int(passed[1]) >= 18, printed


def run_anew(repository: Path, which: str) -> None:
    """Run tests of another repository, whose modules take the place of ours."""
    ours = ("cvae", "hydra_plugins", "conftest", "forked", "test_", "tests")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        del sys.modules[name]
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        os.environ.pop(name, None)
    sys.path.insert(0, str(repository / "src"))
    os.chdir(repository)
    folders = [f"tests/{name}" for name in ("config", "export", "model", "training")]
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", which, *folders]))


# -- what they name ------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_options_names_every_one(group: str) -> None:
    lines = READMES["conf/README.md"].splitlines()
    row = next((line for line in lines if line.startswith(f"| `{group}` |")), None)
    assert row is not None
    for name in options(group):
        assert f"`{name}`" in row


@pytest.mark.parametrize("line", dict.fromkeys(COMMANDS))
def test_their_commands_have_such_options(line: str) -> None:
    command, *arguments = shlex.split(line, comments=True)
    name = command.removeprefix("cvae-")
    given = ordered([argument for argument in arguments if argument != "-m"], name)
    if name != "train":
        given = _path_first(name, "dir" if name == "report" else "checkpoint")(given)
    given = with_own_settings(given, parsed_overrides(given))
    one_job = [
        override.input_line
        if not override.is_sweep_override()
        else f"{override.key_or_group}={next(override.sweep_string_iterator())}"
        for override in OverridesParser.create().parse_overrides(given)
        if not override.is_interval_sweep()
    ]
    with composing():
        compose(name, one_job)


@pytest.mark.parametrize("place", READMES)
def test_they_name_only_targets_that_make_has(place: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    text = READMES[place]
    code = [shell for language, shell in FENCE.findall(text) if language == "sh"]
    code += re.findall(r"`([^`]+)`", FENCE.sub("", text))
    assert set(re.findall(r"^make ([a-z-]+)", "\n".join(code), re.MULTILINE)) <= targets


@pytest.mark.parametrize("place", READMES)
def test_their_links_lead_somewhere(place: str) -> None:
    for link in links(place):
        file, anchor = target(place, link), link.partition("#")[2]
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_the_front_page_is_short_and_leads_to_every_other() -> None:
    assert len(READMES[FRONT].encode()) <= LARGEST
    reached = {target(FRONT, link).resolve() for link in links(FRONT)}
    assert {(REPOSITORY / place).resolve() for place in READMES if place != FRONT} <= reached
