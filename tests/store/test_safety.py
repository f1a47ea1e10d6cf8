"""Files from strangers execute nothing; full disks, dead processes and odd clocks lose nothing."""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cvae
from conftest import SHORT, altered, composed, train
from cvae.commands import main as cli
from cvae.conditions import GivenCondition
from cvae.data.arrays import Arrays
from cvae.errors import InputError
from cvae.files import write_whole
from cvae.store.add_evaluation import add_evaluation
from cvae.store.checkpoint import KEY, read
from cvae.store.run_folder import RunFolder
from cvae.training.module import TrainingModule
from forked import Forked
from same_bits import differing, outcome

LINE = ["network.width=16", "~callbacks.progress", "trainer.max_epochs=3", "hydra.run.dir=run"]
Call = Callable[..., tuple[int, str, str]]


class Payload:
    """What a pickle of a stranger calls when it is opened."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


# -- files from strangers --------------------------------------------------------------------------


def bomb(run_dir: Path) -> None:
    altered(run_dir, lambda contents: contents.update(bomb=Payload()))


def bare_pickle(run_dir: Path) -> None:
    Path("altered.ckpt").write_bytes(pickle.dumps({KEY: Payload(), "state_dict": {}}))


def settings_of_its_own(run_dir: Path) -> None:
    altered(run_dir, lambda contents: contents[KEY].update(config=Payload()))


@pytest.mark.parametrize("plant", [bomb, bare_pickle, settings_of_its_own])
def test_a_pickle_in_a_checkpoint_is_not_opened(plant: Any, run_dir: Path) -> None:
    plant(run_dir)
    for reader in (cvae.load, cvae.datamodule):
        with pytest.raises(InputError, match="is damaged, or not a checkpoint of plain tensors"):
            reader("altered.ckpt")
    assert not Path("executed").exists()
    # The payload is a real one.
    if plant is bare_pickle:
        pickle.loads(Path("altered.ckpt").read_bytes())
    else:
        torch.load("altered.ckpt", weights_only=False)
    assert Path("executed").exists()


NOWHERE = ["cvae..os.system", "cvae.no.such.thing", "cvae."]
BORROWED = [
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "builtins.eval",
    "hydra.utils.get_method",
    "cvae.store.allowed.resolve_name",
    "cvae.files.os.mkdir",
    "cvae.sweeps.job.sleep",
    "cvae.config.building.instantiate",
    "torch.nn.modules.module.torch.load",
    "torch.nn.functional.relu",
    "torch.nn.Module.apply",
    "torch.nn.modules.module.OrderedDict",
    "torch.hub.load",
    *NOWHERE,
]


@pytest.mark.parametrize("part", ["prior", "network", "data", "condition"])
@pytest.mark.parametrize("target", BORROWED)
def test_only_classes_that_are_allowed_are_built(target: str, part: str, run_dir: Path) -> None:
    node = {"_target_": target, "path": "executed"}
    altered(run_dir, lambda contents: contents[KEY]["config"].update({part: node}))
    message = "does not fit this program" if target in NOWHERE else "cannot be built from"
    with pytest.raises(InputError, match=message):
        (cvae.datamodule if part in ("data", "condition") else cvae.load)("altered.ckpt")
    assert not Path("executed").exists()


OWN = """
import os as borrowed
import subprocess
from cvae.model.priors.gaussian import GaussianPrior
class Prior(GaussianPrior):
    pass
"""


def test_parts_of_one_s_own_are_built_if_they_are_named_in_the_call(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(OWN)  # beside the current folder
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    line = [*LINE, "trainer.max_epochs=1", "prior._target_=mine.Prior"]
    assert call(cli.train, *line)[0] == 0  # trusted, as it was typed
    assert call(cli.sample, "checkpoint=run")[0] == 2
    assert call(cli.sample, "checkpoint=run", "allow=[mine]")[0] == 0
    assert call(cli.train, "resume=run", "trainer.max_epochs=2")[0] == 2
    again = ["resume=run", "trainer.max_epochs=2", line[-1]]
    status, out, err = call(cli.train, *again)
    assert status == 0, err
    assert out.startswith("resumes run: network.width=16")  # what it was started with
    assert type(cvae.load("run", allow=["mine.Prior"]).prior).__name__ == "Prior"
    altered(
        Path("run"), lambda c: c[KEY]["config"]["prior"].update(_target_="mine.subprocess.Popen")
    )
    with pytest.raises(InputError, match="cannot be built"):
        cvae.load("altered.ckpt", allow=["mine"])


STRANGE = [
    "+callbacks.x._target_=os.mkdir",
    "optimizer={_target_: os.mkdir, path: executed}",
    "optimizer={'_target_': 'os.mkdir', path: executed}",
    "+hydra.callbacks.x._target_=os.mkdir",
    "hydra.searchpath=[file:///tmp]",
    "hydra/launcher=../../evil",
    "data=../../evil",
    "experiment=/tmp/evil",
    "hydra.sweep.subdir=../../../outside",
    "--config-dir=strange",
    "--experimental-rerun=x.pickle",
    "-cn=evil",
    """+callbacks.x='${oc.decode:"{_targ${oc.env:NO,}et_: os.mkdir, path: executed}"}'""",
    "allow=[os]",
    "++allow=[os.mkdir]",
    "+callbacks.x._target_=torch.nn.Identity,os.mkdir",
    "+callbacks.x._target_=cvae.files.os.mkdir",
    "+optimizer@callbacks.x=../../../tmp/evil",
    "callbacks.best.dirpath=/tmp",
    "callbacks.best.filename=../../outside",
    "launcher=submitit_local",
    "+launcher@_global_=slurm",
    "+callbacks@hydra.callbacks.x=default",
    "+callbacks@_global_.hydra.callbacks=default",
    "+hydra/launcher@x=joblib",
    "+network@prior.network=../evil",
]


@pytest.mark.parametrize("override", STRANGE)
def test_a_run_s_folder_cannot_run_code_of_its_own(
    override: str, call: Call, run_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "strange" / ".hydra").mkdir(parents=True)
    (tmp_path / "strange" / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([override]))
    (tmp_path / "strange" / "multirun.yaml").write_text(
        yaml.safe_dump(
            {
                "hydra": {
                    "overrides": {"hydra": [override], "task": []},
                    "runtime": {"cwd": str(tmp_path)},
                }
            }
        )
    )
    for way in ("resume=strange", "sweep.resume=strange"):
        status, _, err = call(cli.train, way)
        assert (status, err.count("\n")) == (2, 1)
        assert "was started with" in err
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "contents",
    [
        *("", "{a: 1}", "- 3", "!!python/object/apply:os.mkdir [executed]", "[", "\x00"),
        *("- &a x=1\n- *a", "- " + "x" * 10**6),
    ],
    ids=lambda contents: contents[:20],
)
def test_a_damaged_list_of_overrides_is_reported(contents: str, call: Call) -> None:
    Path("run/.hydra").mkdir(parents=True)
    Path("run/.hydra/overrides.yaml").write_text(contents)
    status, _, err = call(cli.train, "resume=run")
    assert (status, err.count("\n")) == (2, 1)
    assert "overrides.yaml' is damaged" in err
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_dim", 10**12),
        ("latent_dim", -3),
        ("latent_dim", 1.5),
        ("latent_dim", "8"),
        *(
            (name, shape)
            for name in ("y.shape", "image_shape")  # as it is written now, and as it was once
            for shape in ([1, 10**9, 10**9], [1, -8, 8], [], "8x8")
        ),
        ("num_classes", 10**15),
        ("num_classes", -1),
        ("class_names", 7),
    ],
)
def test_shapes_that_a_stranger_claims_take_no_memory(
    name: str, value: object, run_dir: Path
) -> None:
    def change(contents: dict[str, Any]) -> None:
        node = contents[KEY]["config"] if name == "latent_dim" else contents[KEY]
        *parents, last = name.split(".")
        for parent in parents:
            node = node[parent]
        node[last] = value

    altered(run_dir, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        cvae.load("altered.ckpt")
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**18  # kilobytes


def test_objects_in_arrays_are_not_opened() -> None:
    np.savez("own.npz", x=np.zeros((9, 2)), y=np.array([Payload()] * 9, dtype=object))
    with pytest.raises(InputError, match=r"own\.npz' cannot be read as numpy's \.npz"):
        Arrays(GivenCondition, path="own.npz")
    assert not Path("executed").exists()


@pytest.mark.parametrize("shape", ["(1000000000000, 8, 8)", "(-4, 8, 8)", "(3,) * 40", "'a'"])
def test_a_false_header_of_an_array_is_reported(shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile("own.npz", "w") as file:
        file.writestr("y.npy", npy + bytes(64))
    with pytest.raises(InputError, match=r"own\.npz' cannot be read as numpy's \.npz"):
        Arrays(GivenCondition, path="own.npz")


def test_names_that_lead_out_of_the_folder_stay_names(call: Call, run_dir: Path) -> None:
    np.savez("own.npz", **{"../../outside": np.zeros(3), "y": np.zeros((30, 4, 4))})
    with pytest.raises(InputError, match=r"\.\./\.\./outside"):
        Arrays(GivenCondition, path="own.npz")
    names = ["../../outside", "<script>alert(1)</script>", *map(str, range(8))]
    altered(run_dir, lambda contents: contents[KEY].update(class_names=names))
    assert call(cli.sample, "checkpoint=altered.ckpt", "digits='../../outside'", "n=1")[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == [
        *("altered.ckpt", "own.npz", "samples.png")
    ]


# -- numbers that go wrong -------------------------------------------------------------------------


def test_a_training_that_diverges_says_where_and_keeps_its_last_sound_checkpoint(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, sound = TrainingModule.training_step, None

    def diverging(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 17:
            with torch.no_grad():
                self.prior.network.layers[-2].bias.fill_(torch.nan)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", diverging)
    status, _, err = call(cli.train, *LINE, "callbacks.last.every_n_steps=5")
    assert (status, err.count("\n")) == (1, 1)
    assert "train/kl is nan at step 17 (epoch 0)" in err
    assert "cvae-train resume=run trainer.gradient_clip_val=1" in err  # as it can be pasted
    assert "optimizer.lr=0.0001" in err
    assert not Path("run/metrics.json").exists()
    sound = read(RunFolder(Path("run")).last).contents
    assert sound["global_step"] == 15
    assert all(part.isfinite().all() for part in sound["state_dict"].values())
    monkeypatch.setattr(TrainingModule, "training_step", step)
    assert call(cli.train, "resume=run", "trainer.gradient_clip_val=1")[0] == 0


@pytest.mark.parametrize("further", [[], ["~callbacks.snapshots"]])
def test_a_bound_that_stays_finite_while_the_prior_cannot_be_drawn_from_ends_in_a_line(
    further: list[str], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(self: TrainingModule, *_: Any) -> None:
        with torch.no_grad():
            for name, part in self.named_parameters():
                if name.startswith("prior"):
                    part.mul_(1000)

    monkeypatch.setattr(TrainingModule, "on_train_batch_end", explode)
    short = ["prior=vamp", "trainer.max_epochs=1", "+trainer.limit_train_batches=1"]
    status, _, err = call(cli.train, *LINE, *short, *further)
    assert (status, err.count("\n")) == (1, 1), err
    assert "what the prior draws is not finite at step 1 (epoch 0)" in err
    assert not Path("run/metrics.json").exists()


def test_gradients_are_clipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    def noted(self: TrainingModule, optimizer: torch.optim.Optimizer) -> None:
        grads = [p.grad.norm() for p in self.parameters() if p.grad is not None]
        if grads:  # there are none before the first step
            lengths.append(float(torch.stack(grads).norm()))

    monkeypatch.setattr(TrainingModule, "on_before_zero_grad", noted)
    line = [*SHORT[:2], *SHORT[3:], "+trainer.limit_train_batches=3"]
    train(composed(*line), tmp_path / "free")
    assert min(lengths) > 0.1
    lengths.clear()
    train(composed(*line, "trainer.gradient_clip_val=0.01"), tmp_path / "clipped")
    assert max(lengths) == pytest.approx(0.01, rel=1e-3)


# -- the disk and the world ------------------------------------------------------------------------


def test_a_file_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_whole(path, "before")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "failed")))
    with pytest.raises(OSError, match=r"failed: '.*metrics\.json'"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 450 kilobytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=450k", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_reported_and_complete_files_are_kept(call: Call, small_disk: Path) -> None:
    line = [*LINE[:-1], f"hydra.run.dir={small_disk / 'run'}", "trainer.max_epochs=40"]
    fits = [*line, "network.width=16", "callbacks.snapshots.every_n_epochs=1"]  # pictures pile up
    status, _, err = call(cli.train, *fits)
    assert (status, err.count("\n")) == (2, 1), err
    assert "No space left on device; make room, and run it again (a training: with" in err
    kept = read(RunFolder(small_disk / "run").last).contents
    assert kept["epoch"] > 0
    assert not list((small_disk / "run").rglob("*.part"))
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    further = f"trainer.max_epochs={kept['epoch'] + 3}"
    assert call(cli.train, f"resume={small_disk / 'run'}", further)[0] == 0


def test_a_read_only_folder_is_reported(call: Call, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    status, out, err = call(cli.train, *LINE[:-1], f"hydra.run.dir={small_disk / 'run'}")
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert "Read-only file system" in err
    assert list(small_disk.iterdir()) == []


def test_a_run_does_not_resume_on_altered_data(call: Call, arrays_path: Path) -> None:
    data = dict(np.load(arrays_path))
    np.savez("own.npz", **data)
    line = ["data=arrays", "data.path=own.npz", "condition=given", *LINE]
    assert call(cli.train, *line)[0] == 0
    data["y"][3, 2, 2] = 1 - data["y"][3, 2, 2]
    np.savez("own.npz", **data)
    status, _, err = call(cli.train, "resume=run", "trainer.max_epochs=4")
    assert (status, err.count("\n")) == (2, 1)
    assert "are not those that the run was started with" in err
    status, _, err = call(cli.evaluate, "checkpoint=run", "samples=1", "images=0")
    assert (status, err.count("\n")) == (2, 1)  # test images may have been trained on
    assert "are not those that the run was started with" in err
    whole = Path("own.npz").read_bytes()
    Path("own.npz").write_bytes(whole[: len(whole) // 2])
    status, _, err = call(cli.train, "resume=run", "trainer.max_epochs=4")
    assert (status, err.count("\n")) == (2, 1)
    assert "own.npz' cannot be read" in err


def test_a_run_is_not_written_over_another(call: Call) -> None:
    assert call(cli.train, *LINE, "trainer.max_epochs=1")[0] == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    status, _, err = call(cli.train, *LINE, "seed=1")
    assert (status, err.count("\n")) == (2, 1)
    assert "has a run in it already; resume that by resume=run" in err
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_a_clock_that_is_set_back_disorders_no_curve(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(cli.train, *LINE[:-1], "hydra.run.dir=whole", "trainer.max_epochs=4")[0] == 0
    now = time.time
    for days, line in (
        (3, [*LINE, "trainer.max_epochs=2"]),
        (1, ["resume=run", "trainer.max_epochs=3"]),
    ):
        monkeypatch.setattr(time, "time", lambda days=days: now() + 86400 * days)
        assert call(cli.train, *line)[0] == 0
    monkeypatch.setattr(time, "time", now)
    assert call(cli.train, "resume=run", "trainer.max_epochs=4")[0] == 0
    one, other = outcome(Path("whole")), outcome(Path("run"))
    assert differing(one["last"], other["last"]) == []
    trained = [tag for tag in one["curves"] if tag.startswith(("train", "val"))]
    assert [tag for tag in trained if one["curves"][tag] != other["curves"][tag]] == []


def trained(monkeypatch: pytest.MonkeyPatch, *arguments: str, out: int | None = None) -> Forked:
    """A training in a process of its own."""
    monkeypatch.setattr("sys.argv", ["cvae-train", *arguments])
    return Forked(cli.train, out)


def test_a_closed_terminal_loses_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    line = [*LINE[:-1], "trainer.max_epochs=6"]
    assert call(cli.train, *line, "hydra.run.dir=whole")[0] == 0
    run = trained(monkeypatch, *line, "hydra.run.dir=run")
    while not Path("run/checkpoints/last.ckpt").exists():
        assert not run.ended(), run.wait()
        time.sleep(0.01)
    run.send(signal.SIGHUP)
    status, printed = run.wait()
    assert status == -signal.SIGHUP, printed
    assert "Traceback" not in printed
    assert call(cli.train, "resume=run")[0] == 0
    assert differing(outcome(Path("whole")), outcome(Path("run"))) == []


def test_output_that_nobody_reads_ends_a_run_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = trained(monkeypatch, *LINE, "trainer.max_epochs=1", out=writer)
    os.close(writer)
    status, err = run.wait()
    assert status in (1, 128 + signal.SIGPIPE)  # as rich has it, and as we have
    assert "BrokenPipe" not in err
    assert Path("run/metrics.json").exists(), err


def test_an_evaluation_is_not_lost_where_the_metrics_are_damaged(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_text("[" * 10**5)
    nothing: Any = None
    with pytest.raises(InputError, match=r"damaged.*the evaluation is in '.*evaluation\.json'"):
        add_evaluation(folder, nothing, nothing, {"test/nll": 1.0}, nothing, nothing, 0)
    assert folder.evaluation.read_text() == '{\n  "test/nll": 1.0\n}\n'


def test_a_training_that_diverges_before_its_first_checkpoint_is_not_to_be_resumed(
    call: Call,
) -> None:
    status, _, err = call(cli.train, *LINE, "optimizer.lr=1e5")
    assert (status, err.count("\n")) == (1, 1)
    assert "resume" not in err
    assert "start again with optimizer.lr=10000, or with trainer.gradient_clip_val=1" in err


# -- anything at all -------------------------------------------------------------------------------

FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KEYS = st.sampled_from(
    [
        *("data", "prior", "latent_dim", "seed", "optimizer.lr", "trainer.max_epochs", "network"),
        *("network.width", "data.batch_size", "likelihood", "callbacks", "threads", "allow"),
        *("objective.beta", "+x", "~callbacks.best", "data.val_fraction", "scheduler", "resume"),
        *("hydra.run.dir", "hydra/launcher", "compile", "sweep.resume", "search", "launcher"),
    ]
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.floats(allow_subnormal=False).map(str),
    st.sampled_from(
        [
            "null",
            "{}",
            "[]",
            "{a:1}",
            "[1,2]",
            "'",
            '"',
            "${seed}",
            "${x",
            "true",
            "1,2",
            "../..",
            "\\",
        ]
    ),
)
OVERRIDES = st.lists(
    st.one_of(st.tuples(KEYS, VALUES).map("=".join), st.text(max_size=20), KEYS), max_size=3
)


@FEW
@given(arguments=OVERRIDES)
def test_no_command_line_ends_in_a_traceback(
    arguments: list[str], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cvae.commands.train.fit", lambda *_, **__: (None, {})
    )  # what is fine ends at once
    monkeypatch.setattr("cvae.commands.train.show", lambda *_: None)
    status, _, err = call(cli.train, "hydra.run.dir=fuzz", *arguments)
    assert status in (0, 2), (arguments, err)
    assert "Traceback" not in err, (arguments, err)
    if status:
        assert err.count("\n") == 1 or "usage" in err, (arguments, err)


@settings(FEW, max_examples=80)
@given(data=st.data())
def test_no_bytes_of_a_checkpoint_end_in_a_traceback(data: st.DataObject, run_dir: Path) -> None:
    contents = bytearray((run_dir / "checkpoints" / "best.ckpt").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(contents) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "fill", "repeat"])):
            case "flip":
                contents[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del contents[at : at + data.draw(st.integers(1, 4000))]
            case "fill":
                contents[at : at + 64] = data.draw(st.binary(min_size=64, max_size=64))
            case "repeat":
                contents[at:at] = contents[at : at + 500]
        if not contents:
            break
    Path("fuzzed.ckpt").write_bytes(contents)
    told_in_a_line(cvae.load, "fuzzed.ckpt")


def told_in_a_line(read: Callable[[str], Any], path: str) -> None:
    try:
        read(path)
    except InputError as error:
        lines = str(error).splitlines()
    else:
        return  # the damage was to weights
    assert len(lines) == 1


@settings(FEW, max_examples=100)
@given(
    node=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_subnormal=False)
        | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
    ),
    name=st.sampled_from(
        [
            "",
            "config",
            "config.prior",
            "config.network",
            "config.likelihood",
            "config.latent_dim",
            "config.condition",
            "config.network.width",
            *("y", "y.kind", "y.shape", "y.names", "y.levels", "given", "class_names"),
            *("image_shape", "given_shape"),  # as the first versions wrote them
            "num_classes",
            "versions",
        ]
    ),
)
def test_no_settings_of_a_checkpoint_end_in_a_traceback(
    node: Any, name: str, run_dir: Path
) -> None:
    def change(contents: dict[str, Any]) -> None:
        parents = [KEY, *filter(None, name.split("."))]
        for parent in parents[:-1]:
            contents = contents[parent]
        contents[parents[-1]] = node

    altered(run_dir, change)
    for reader in (cvae.load, cvae.datamodule):
        told_in_a_line(reader, "altered.ckpt")


def test_a_report_of_anything_is_a_page_or_a_line(call: Call) -> None:
    for number, contents in enumerate(
        ["{", "[]", '{"test/elbo": "x"}', "null", "\x00", '{"a": 1e999}', "[" * 10**5]
    ):
        folder = Path(f"runs{number}/one/.hydra")
        folder.mkdir(parents=True)
        (folder / "overrides.yaml").write_text("[]")
        (folder.parent / "metrics.json").write_text(contents)
        (folder.parent / "events.out.tfevents.1.x.1.0").write_bytes(b"\x00\xff" * 50)
        status, _, err = call(cli.report, f"runs{number}")
        assert (status, err.count("\n")) in ((0, 0), (2, 1)), (contents, err)


@pytest.mark.parametrize(
    "contents",
    ["", "[", "{a: 1}", "hydra: {overrides: 3}", "\x00", "hydra: &a [1]\nb: *a", "[" * 10**5],
    ids=lambda contents: contents[:20],
)
def test_a_damaged_plan_of_a_sweep_is_reported(contents: str, call: Call) -> None:
    Path("s").mkdir()
    Path("s/multirun.yaml").write_text(contents)
    status, _, err = call(cli.train, "sweep.resume=s")
    assert (status, err.count("\n")) == (2, 1)
    assert "multirun.yaml' is damaged" in err


def test_a_checkpoint_s_paths_delete_nothing(call: Call) -> None:
    assert call(cli.train, *LINE)[0] == 0
    Path("precious").mkdir()
    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    for state in last["callbacks"].values():
        if "best_k_models" in state:
            far = f"{state['dirpath']}/../../precious"
            state |= {"best_k_models": {far: torch.tensor(-1e9)}, "kth_best_model_path": far}
            state |= {"best_model_score": torch.tensor(-1e9), "kth_value": torch.tensor(-1e9)}
    torch.save(last, "run/checkpoints/last.ckpt")
    call(cli.train, "resume=run", "trainer.max_epochs=5")
    assert Path("precious").is_dir()
