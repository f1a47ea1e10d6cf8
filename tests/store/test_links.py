"""Links, pipes and planted names in a stranger's folder: none is followed, waited for or taken."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import cvae
from conftest import altered, composed
from cvae.commands import main as cli
from cvae.errors import InputError
from cvae.files import remove_parts, write_whole
from cvae.store.checkpoint import KEY
from cvae.store.resume_arguments import with_run_arguments
from cvae.store.run_folder import RunFolder

Call = Callable[..., tuple[int, str, str]]
SECRET = "key: of the user\n"
FILES = [
    *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "hparams.yaml"),
    *("checkpoints/last.ckpt", "metrics.json", "failure.txt", "samples.png", "latent.png"),
    *(".lock", "projector_config.pbtxt", "events.out.tfevents.1.x.1.0", "00000/default/a.tsv"),
]
FOLDERS = [".hydra", "checkpoints", "00000", "00000/default"]


@pytest.fixture
def outside() -> Path:
    """A folder of the user's own, with a file in it."""
    Path("outside").mkdir()
    Path("outside/secret").write_text(SECRET)
    return Path("outside").absolute()


def in_place_of(path: Path, plant: Callable[[Path], Any]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    plant(path)


def refused(call: Call, main: Any, *line: str) -> str:
    status, out, err = call(main, *line)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    return err


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_no_link_in_a_run_s_folder_is_followed(
    name: str, call: Call, run_dir: Path, outside: Path
) -> None:
    shutil.copytree(run_dir, "run")
    to = outside if name in FOLDERS else outside / "secret"
    in_place_of(Path("run", name), lambda path: path.symlink_to(to))
    before = sorted(Path("run").rglob("*"))
    assert f"{name}' is a link" in refused(call, cli.train, "resume=run")
    if Path("run/.hydra/overrides.yaml").exists():
        assert f"{name}' is a link" in refused(call, cli.report, "run")
    if name in ("hparams.yaml", "00000"):
        assert f"{name}' is a link" in refused(call, cli.train, "hydra.run.dir=run")
        assert f"{name}' is a link" in refused(call, cli.evaluate, "checkpoint=run")
    if name.startswith("checkpoints"):
        with pytest.raises(InputError, match="is a link"):
            cvae.load("run")
    assert sorted(Path("run").rglob("*")) == before
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == SECRET


@pytest.mark.parametrize("name", [".hydra/config.yaml", "hparams.yaml", "events.out.tfevents.1"])
def test_a_pipe_is_not_waited_for(name: str, call: Call, run_dir: Path) -> None:
    shutil.copytree(run_dir, "run")
    in_place_of(Path("run", name), os.mkfifo)
    for main, line in ((cli.train, "resume=run"), (cli.report, "run")):
        assert f"{name}' is neither a file nor a folder" in refused(call, main, line)


@pytest.mark.parametrize("name", ["multirun.yaml", "study.journal", ".submitit", ".gpu0.lock"])
def test_no_link_in_a_sweep_s_folder_is_followed(name: str, call: Call, outside: Path) -> None:
    Path("sweep").mkdir()
    Path("sweep", name).symlink_to(outside / ("" if name == ".submitit" else "secret"))
    line = ["-m", "latent_dim=2,3", "hydra.sweep.dir=sweep"]
    if name == "study.journal":
        assert f"{name}' is a link" in refused(call, cli.train, *line)
    assert f"{name}' is a link" in refused(call, cli.train, "sweep.resume=sweep")
    assert (outside / "secret").read_text() == SECRET


@pytest.mark.parametrize("name", ["", "/.hydra", "/.lock"])
def test_no_link_of_a_job_is_followed(name: str, call: Call, outside: Path) -> None:
    job = Path(f"sweep/1_latent_dim-3{name}")
    job.parent.mkdir(parents=True)
    job.symlink_to(outside if name in ("", "/.hydra") else outside / "secret")
    line = ["-m", "latent_dim=2,3", "hydra.sweep.dir=sweep"]
    assert "is a link" in refused(call, cli.train, *line)
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_folder_that_the_user_links_to_is_the_folder(call: Call, run_dir: Path) -> None:
    shutil.copytree(run_dir, "elsewhere")
    Path("run").symlink_to("elsewhere")
    RunFolder(Path("run")).require_own()
    assert type(cvae.load("run")) is type(cvae.load("elsewhere"))
    assert call(cli.report, "run")[0] == 0


def mnist_of(contents: dict[str, Any]) -> None:
    contents[KEY]["config"]["data"] = composed("data=mnist", "data.root=made")["data"]


def test_a_stranger_s_file_makes_no_folder_and_no_lock(call: Call, run_dir: Path) -> None:
    shutil.copytree(run_dir, "run")
    altered(run_dir, mnist_of)
    for folder in (False, True):
        if folder:
            Path("made").mkdir()
        with pytest.raises(InputError, match=r"data\.root: 'made/MNIST/raw/.* is missing"):
            cvae.datamodule("altered.ckpt").prepare_data()
        assert "is missing" in refused(call, cli.evaluate, "checkpoint=altered.ckpt")
        shutil.copy(altered(run_dir, mnist_of, "last"), "run/checkpoints/last.ckpt")
        Path("run/.hydra/overrides.yaml").write_text(
            "[data=mnist, network.width=64, trainer.max_epochs=2, ~callbacks.progress]"
        )
        told = refused(call, cli.train, "resume=run")
        assert ("is missing" if folder else "a folder that is not here") in told
        assert not Path("made").exists() or not list(Path("made").iterdir())


@pytest.mark.parametrize("root", ["made", "'made'", "made/x", "${oc.env:NOWHERE}/made", "~/made"])
def test_a_folder_of_data_that_is_not_here_is_not_made(root: str, call: Call) -> None:
    Path("run/.hydra").mkdir(parents=True)
    started = ["data=mnist", f"data.root={root}"]
    Path("run/.hydra/overrides.yaml").write_text(yaml.safe_dump(started))
    assert "a folder that is not here; give data.root=DIR" in refused(call, cli.train, "resume=run")
    with_run_arguments(["resume=run", "data.root=mine"])


def test_what_a_folder_was_started_with_is_shown_before_it_is_trusted(call: Call) -> None:
    Path("run/.hydra").mkdir(parents=True)
    started = ["latent_dim=3", "+callbacks.x._target_=os.mkdir", "+callbacks.x.path=a/\x1b[31mb"]
    Path("run/.hydra/overrides.yaml").write_text(yaml.safe_dump(started))
    told = refused(call, cli.train, "resume=run")
    assert "'+callbacks.x._target_=os.mkdir', '+callbacks.x.path=a/?[31mb'" in told


def test_a_name_that_is_planted_for_a_file_to_come_is_not_taken(outside: Path) -> None:
    for suffix in ("", f".{os.getpid()}.part"):
        Path(f".report.md{suffix}").symlink_to(outside / "secret")
    Path("report.md").symlink_to(outside / "secret")
    write_whole(Path("report.md"), "ours")
    assert not Path("report.md").is_symlink()
    assert Path("report.md").read_text() == "ours"
    assert (outside / "secret").read_text() == SECRET


def test_only_files_of_this_program_are_tidied_up(outside: Path) -> None:
    Path("run/sub").mkdir(parents=True)
    Path("run/.0123456789abcdef.part").touch()
    Path("run/.metrics.json.4711.part").touch()  # of an earlier version
    kept = ["run/.download.part", "run/sub/.0123456789abcdef.part"]
    for path in kept:
        Path(path).touch()
    Path("run/.00.part").mkdir()
    Path("run/.01.part").symlink_to(outside / "secret")
    remove_parts(Path("run"), Path("run/missing"))
    left = {str(path) for path in Path("run").rglob("*")}
    assert left == {*kept, "run/sub", "run/.00.part", "run/.01.part"}
