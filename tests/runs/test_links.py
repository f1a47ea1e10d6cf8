"""Links, pipes and planted names in a stranger's folder: none is followed, waited for or taken."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cvae
from cvae.commands import main as cli
from cvae.errors import InputError
from cvae.files import remove_parts, write_whole
from cvae.runs.run_folder import RunFolder

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
