"""A model published as a folder: it computes the same, names no machine, and runs nothing."""

import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file, save_file

import cvae
from conftest import altered, built, composed, written_own_data
from cvae.commands import export
from cvae.commands import main as cli
from cvae.errors import InputError
from cvae.evaluation.cures import cure
from cvae.evaluation.verdict import ILLNESSES
from cvae.export import page
from cvae.store.checkpoint import KEY, Stored, read
from cvae.store.publish import publish
from cvae.store.published import HUB

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True, scope="module")
def _pages_in_a_moment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_CALIBRATION", 100)
        patch.setattr(export, "_CHUNKS", 1)
        yield


@pytest.fixture(scope="module")
def published(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a published run, and its page."""
    folder = tmp_path_factory.mktemp("published") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["cvae-export", str(run_dir), "format=weights", f"out={folder}"])
        cli.export()
    return folder


@pytest.fixture(scope="module")
def evaluation(published: Path) -> dict[str, float]:
    """What an evaluation says of the published model."""
    file = published.with_name("e.json")
    line = [str(published), "samples=1", "images=0", f"out={file}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["cvae-evaluate", *line])
        cli.evaluate()
    found: dict[str, float] = json.loads(file.read_text())
    return found


def changed(published: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The folder with other settings, in the working folder."""
    shutil.copytree(published, "changed")
    settings = json.loads(Path("changed/config.json").read_text())
    change(settings)
    Path("changed/config.json").write_text(json.dumps(settings))
    return Path("changed")


def test_it_computes_what_the_checkpoint_does_and_no_pickle_is_read(
    published: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch, metrics: dict[str, float]
) -> None:
    expected = cvae.load(run_dir)
    monkeypatch.setattr(torch, "load", None)
    model = cvae.load(published)
    for name, weight in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    draws = [m.sample([7], 3, torch.Generator().manual_seed(0)) for m in (expected, model)]
    assert torch.equal(*draws)
    assert read(published).metrics == metrics
    data = cvae.datamodule(published)
    data.setup("fit")
    assert data.checksum == read(published).about["data_checksum"]


@pytest.mark.parametrize(
    "line", ["objective=geco", "prior=vamp", "posterior=iaf hierarchy=2", "data=table"]
)
def test_models_of_other_parts_come_back(line: str) -> None:
    own = written_own_data(Path.cwd())["table"] if "table" in line else []
    data, module = built(*line.split())
    config = composed("network.width=8", *line.split(), *own)
    about = {"config": config, **data.sizes.plain()}
    contents = {"state_dict": module.state_dict(), KEY: about, "epoch": 0, "global_step": 1}
    stored = Stored(Path("some/run/checkpoints/other.ckpt"), contents)
    publish(stored, stored.model(), Path("out"), {}, None, torch.Generator())
    weights = cvae.load("out").state_dict()
    assert weights.keys() == stored.model().state_dict().keys()
    assert all(
        torch.equal(weights[name], part) for name, part in stored.model().state_dict().items()
    )
    ModelCard.load("out/README.md")


def test_the_hub_reads_its_card_and_the_card_s_code_runs(published: Path, call: Call) -> None:
    names = {"README.md", "config.json", "index.html", "model.safetensors", "samples.png"}
    assert {path.name for path in published.iterdir()} == names
    card = ModelCard.load(published / "README.md")
    assert card.data.library_name == "lightning-cvae"
    assert "conditional-vae" in card.data.tags
    assert card.data.license is None  # which is the author's to choose
    for file in re.findall(r"\]\(([\w.]+)\)", card.text):
        assert (published / file).is_file()
    text = card.text.replace("hf://OWNER/NAME", str(published))
    scope: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], scope)
    assert scope["y"].shape == (8, 4, 1, 8, 8)
    lines = re.findall(r"^cvae-(\w+) (.*)$", text, re.MULTILINE)
    assert [name for name, _ in lines] == ["sample", "encode", "train"]
    for name, line in lines[:2]:
        assert call(getattr(cli, name), *line.split())[0] == 0
    assert lines[2][1] == "network.width=64 trainer.max_epochs=2 '~callbacks.progress'"


def test_the_card_says_the_verdict_of_an_evaluation_and_how_to_get_one(
    published: Path, run_dir: Path, evaluation: dict[str, float], call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert "None yet: `cvae-evaluate RUN_DIR`" in (published / "README.md").read_text()
    monkeypatch.setattr(export, "_page", lambda *_: "")
    shutil.copytree(run_dir, "run")
    Path("run/metrics.json").write_text(json.dumps(evaluation))
    shutil.copy("run/samples.png", "run/calibration.png")
    assert call(cli.export, "run", "format=weights", "out=judged")[0] == 0
    part = Path("judged/README.md").read_text().partition("## Verdict")[2].partition("##")[0]
    assert re.findall(r"^- (z is|The draws|The prior|p\(y\\\|x\) is) .*\.$", part, re.MULTILINE)
    assert "](calibration.png)" in part
    assert "Try:" not in part  # which may name a place of the author's
    (helps,) = re.findall(r"^A setting that may help is `([\w.= ]+)`: ", part, re.MULTILINE)
    illness = next(i.name for i in ILLNESSES if evaluation[f"verdict/is/{i.name}"])
    assert helps.split() == list(cure(illness, read("run").config).change)
    assert call(cli.export, "judged", "format=weights", "out=again")[0] == 0
    assert Path("again/README.md").read_text() == Path("judged/README.md").read_text()
    card = Path("judged/README.md").read_text()
    assert "| trained on | 1,293 pairs |" in card
    assert "*Draws from the model for each class*" in card
    assert call(cli.export, str(run_dir), "format=weights", "out=again", "title=Mine_1")[0] == 0
    assert "\n# Mine\\_1\n\nIt draws" in Path("again/README.md").read_text()
    assert not Path("again/calibration.png").exists()  # that of the model before


def test_commands_take_the_folder_as_they_take_a_run(
    published: Path,
    run_dir: Path,
    call: Call,
    metrics: dict[str, float],
    evaluation: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = sorted(path.name for path in published.iterdir())
    for folder, name in ((run_dir, "a"), (published, "b")):
        assert call(cli.sample, str(folder), "x=20", "n=2", f"out={name}.npz")[0] == 0
        assert call(cli.encode, str(folder), f"out={name}.csv")[0] == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    for name in ("test/kl", "test/elbo", "test/elbo_standard_error"):
        assert evaluation[name] == metrics[name]  # of the training's own test
    text = (published / "index.html").read_text()
    monkeypatch.setattr(export, "_page", lambda *_: text)  # which takes a second
    assert call(cli.export, str(published), "format=weights", "out=again")[0] == 0
    for name in before:
        assert Path("again", name).read_bytes() == (published / name).read_bytes()
    assert sorted(path.name for path in published.iterdir()) == before


def test_nothing_tells_of_the_author_s_machine(run_dir: Path, call: Call, tmp_path: Path) -> None:
    private = tmp_path / "private"

    def at_home(contents: dict[str, Any]) -> None:
        contents[KEY]["machine"] = "private"
        contents[KEY]["config"]["data"]["path"] = f"{private}/y.npz"
        contents[KEY]["config"] |= {"resume": f"{private}/run", "allow": ["private"]}
        contents[KEY]["config"]["callbacks"]["mine"] = {"file": "~/private/log", "to": ["/private"]}

    shutil.copytree(run_dir, private / "run")
    altered(run_dir, at_home).rename(private / "run/checkpoints/best.ckpt")
    started = [f"data.path='{private}/y.npz'", "network.width=64", f"++resume={private}/run"]
    started += [f"hydra.run.dir={private}", "allow=[private]", f"+callbacks.mine.file={private}/a"]
    (private / "run/.hydra/overrides.yaml").write_text(yaml.safe_dump(started))
    assert call(cli.export, "private/run", "format=weights", "out=shared")[0] == 0
    for file in Path("shared").iterdir():
        text = file.read_bytes().decode(errors="replace")
        assert "private" not in text, file
        assert str(tmp_path) not in text, file
        assert f"{socket.gethostname()}." not in text, file
    command = json.loads(Path("shared/config.json").read_text())["command"]
    assert command == "cvae-train data.path=FILE.npz network.width=64 +callbacks.mine.file=FILE"
    told = "data.path: 'shared' does not say where its data are; give data.path=FILE"
    assert told in call(cli.encode, "shared")[2]


def test_a_stranger_s_settings_run_nothing_and_take_no_memory(published: Path) -> None:
    def target(settings: dict[str, Any]) -> None:
        settings[KEY]["config"]["prior"] = {"_target_": "os.mkdir", "path": "executed"}

    def depth(settings: dict[str, Any]) -> None:
        settings[KEY]["config"]["network"]["depth"] = 10**6

    for change, words in (
        (target, "cannot be built from a checkpoint"),
        (depth, "does not fit this program"),
        (lambda settings: settings[KEY]["config"].update(latent_dim=10**9), "does not fit"),
        (lambda settings: settings.pop(KEY), "written by another program"),
        (lambda settings: settings.update(x="${oc.env:HOME}" * 10**3), "text of 14000 characters"),
        (lambda settings: settings[KEY]["config"].update(prior="${x}"), "an interpolation|fit"),
    ):
        folder = changed(published, change)
        with pytest.raises(InputError, match=words):
            cvae.load(folder)
        shutil.rmtree(folder)
    assert not Path("executed").exists()


def test_damaged_files_end_in_one_line(published: Path, call: Call) -> None:
    shutil.copytree(published, "torn")
    weights, settings = Path("torn/model.safetensors"), Path("torn/config.json")
    whole, text = weights.read_bytes(), settings.read_text()
    tensors = load_file(weights)
    save_file({name: part.unsqueeze(0) for name, part in tensors.items()}, "turned")
    header = (10**9).to_bytes(8, "little")
    for contents, words in (
        (whole[:-10], "model.safetensors' is damaged"),
        (header + whole[8:], "model.safetensors' is damaged"),
        (b"", "model.safetensors' is damaged"),
        (Path("turned").read_bytes(), "is of shape"),
    ):
        weights.write_bytes(contents)
        status, _, err = call(cli.sample, "torn")
        assert (status, err.count("\n")) == (2, 1)
        assert words in err
    weights.write_bytes(whole)
    for contents, words in (
        (text[:-10], "config.json' is damaged"),
        ("[" * 10**5, "config.json' is damaged"),
        (" " * 10**7 + text, "longer than"),
        ("[]", "holds no names"),
    ):
        settings.write_text(contents)
        status, _, err = call(cli.sample, "torn")
        assert (status, err.count("\n")) == (2, 1)
        assert words in err


def test_a_model_of_the_hub_is_read_by_its_name(
    published: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: Call
) -> None:
    """The hub's own client, offline, on a cache laid out as it lays it out: links to blobs."""
    cache = tmp_path / "cache" / "models--someone--digits"
    snapshot = cache / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    for path in published.iterdir():
        (snapshot / path.name).symlink_to(path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    model = cvae.load(f"{HUB}someone/digits")
    assert torch.equal(model.sample(7, mean=True)[0].isfinite(), torch.ones(1, 1, 8, 8).bool())
    assert call(cli.sample, f"{HUB}someone/digits", "x=1", "out=one.npz")[0] == 0
    for name, words in (
        (f"{HUB}someone/nothing", "cannot be fetched"),
        (f"{HUB}someone", "expected hf://OWNER/NAME"),
    ):
        status, _, err = call(cli.sample, name)
        assert (status, err.count("\n")) == (2, 1)
        assert words in err


def test_it_is_not_written_over_a_run(run_dir: Path, call: Call) -> None:
    before = sorted(run_dir.rglob("*"))
    for out, words in ((run_dir, "is the folder of a run"), (run_dir / "metrics.json", "a file")):
        assert words in call(cli.export, str(run_dir), "format=weights", f"out={out}")[2]
    assert sorted(run_dir.rglob("*")) == before


@pytest.mark.parametrize("module", ["safetensors.torch", "huggingface_hub"])
def test_what_is_missing_is_named_with_its_extra(
    module: str, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InputError, match=r"pip install 'lightning-cvae\[hub\]'"):
        cvae.load(published if module == "safetensors.torch" else f"{HUB}someone/digits")
