"""Sweeps: what fails, what is cut off, what is searched, and who runs the jobs."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher

from conftest import QUICK, SHORT, command, composed, cut_off, results, train
from cvae.commands import main as cli
from cvae.config.command_line import ordered
from cvae.config.compose import composing
from cvae.errors import InputError
from cvae.files import write_whole
from cvae.left import duration
from cvae.store.results import find_runs
from cvae.store.run_folder import RunFolder
from cvae.sweeps.combinations import Combinations
from cvae.sweeps.job import _device
from cvae.sweeps.launch import Job, _launch
from cvae.sweeps.progress import count
from cvae.sweeps.resume_arguments import with_sweep_arguments
from cvae.sweeps.search import Search
from cvae.training.module import TrainingModule
from forked import Forked

DONE = '{"val/elbo": -1.0, "epochs": 1, "seconds": 2.0}'
"""The metrics of a finished run."""


def wait_for(pattern: str, limit: float = 120) -> None:
    ends = time.monotonic() + limit
    while not any(Path().glob(pattern)):
        assert time.monotonic() < ends, pattern
        time.sleep(0.05)


# -- failures ----------------------------------------------------------------------------------


def test_jobs_that_fail_leave_a_reason_and_the_others_their_results(call, tmp_path: Path) -> None:
    line = [*QUICK, "data.binarize=none,dynamic", "optimizer.lr=0.01,1e30", "hydra.sweep.dir=s"]
    status, out, err = call(cli.train, "-m", *line)
    assert status == 1
    assert len(results(Path("s"))) == 1
    reasons = [path.read_text() for path in sorted(Path("s").glob("*/failure.txt"))]
    assert [reason.partition(":")[0] for reason in reasons] == ["likelihood"] * 2 + [
        "train/log_likelihood is nan at step 1 (epoch 0)"
    ]
    assert "Traceback" in reasons[0]
    assert "sweep: 1 of 4 done, 3 failed, 0 left" in out
    assert "sweep.resume=s" in out
    assert "cannot be run: likelihood: BernoulliLikelihood" in err
    assert call(cli.report, "s")[0] == 0
    page = Path("s/report.html").read_text()
    assert "the training has diverged" in page
    assert "serves evenly spaced grey levels" in page
    assert "Traceback" not in page


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            ["data.binarize=none,threshold", "likelihood=bernoulli,cross_entropy", "latent_dim=-1"],
            "latent_dim",
        ),
        (["latent_dim=2,8", "network.widht=3"], "network.widht: no such"),
        (["prior=gaussian,gausian"], "did you mean 'gaussian'"),
        (["optimizer.lr=interval(1e-4,1e-2)"], "an interval needs a search"),
        (["search=tpe"], "nothing to search over"),
        (["search=tpe", "likelihood=bernoulli,gaussian"], "changes what is measured"),
        (["search=grid", "optimizer.lr=interval(1e-4,1e-2)"], "a grid needs values"),
        (
            ["search=random", "search.trials=0", "latent_dim=2,3"],
            "search.trials: expected at least 1",
        ),
        (["search=random", "latent_dim=2,3", "optimizer.lr=-1"], "Invalid learning rate: -1"),
        (["launcher=nobody", "latent_dim=2,3"], "launcher: no such option"),
        (["hydra/launcher=ray_aws2", "latent_dim=2"], "launcher: ray_aws2 comes with an extra"),
    ],
)
def test_a_sweep_that_cannot_be_run_writes_nothing(call, tmp_path: Path, line, message) -> None:
    status, out, err = call(cli.train, "-m", *line)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# -- resuming ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three jobs that nothing came between."""
    sweep = tmp_path_factory.mktemp("whole")
    for job, latent_dim in enumerate((2, 3, 4)):
        name = f"{job}_latent_dim-{latent_dim}"  # without what all three jobs have
        train(composed(*QUICK, f"latent_dim={latent_dim}", "~callbacks.progress"), sweep / name)
    return sweep


def test_a_sweep_cut_off_ends_as_one_that_was_not(
    call, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["-m", *QUICK, "latent_dim=2,3,4"]
    began = []
    monkeypatch.setattr(
        TrainingModule, "on_train_start", lambda model: began.append(model.current_epoch)
    )
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=2, batch=1, after=1)
        status, out, _ = call(cli.train, *line, "hydra.sweep.dir=s")
    assert status == 1
    assert "sweep: 1 of 3 done, 0 failed, 2 left" in out
    assert "resume it: cvae-train sweep.resume=s" in out
    second = next(Path("s").glob("1_*"))  # to evaluate it does not finish it
    assert call(cli.evaluate, f"checkpoint={second}", "samples=1", "images=0")[0] == 0
    assert [run.failure for run in find_runs(Path("s"))] == [None, "did not finish"]
    first = next(Path("s").glob("0_*/metrics.json"))
    before = first.stat().st_mtime_ns
    status, out, _ = call(cli.train, *line, "sweep.resume=s")
    assert status == 0
    assert out.startswith("resumes s: ")  # and says what it was started with
    assert "\nsweep: 1 of 3 done, 0 failed, 2 left\n" in out
    assert results(Path("s")) == results(whole)
    assert first.stat().st_mtime_ns == before
    assert began == [0, 0, 2, 0]  # the second from where it was cut off
    assert call(cli.train, "sweep.resume=s")[0] == 0


def test_a_failed_job_is_tried_again(call, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "cvae.training.loggers.TensorBoard.log_result", None
        )  # any failure that has gone the next time
        assert call(cli.train, "-m", *QUICK, "latent_dim=2,3", "hydra.sweep.dir=s")[0] == 1
    reasons = [path.read_text() for path in Path("s").glob("*/failure.txt")]
    assert [reason.partition(":")[0] for reason in reasons] == ["TypeError"] * 2
    assert call(cli.train, "sweep.resume=s")[0] == 0
    assert not any(Path("s").glob("*/failure.txt"))


def test_a_resumed_sweep_keeps_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "d").mkdir()
    plan = {
        "overrides": {"hydra": ["hydra.mode=MULTIRUN"], "task": ["latent_dim=2,3", "data.root=d"]},
        "runtime": {"cwd": str(tmp_path)},
    }
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": plan}))
    resume = f"sweep.resume={tmp_path}"
    where = [f"hydra.sweep.dir='{tmp_path}'", f"sweep.resume='{tmp_path}'", "--multirun"]
    first = ["latent_dim=2,3", f"data.root='{tmp_path}/d'"]
    assert with_sweep_arguments([resume]) == [*first, *where]
    again = with_sweep_arguments(
        ["latent_dim=2,3", "data.root=d", "launcher=joblib", resume, "--multirun"]
    )
    assert again == [*first, "launcher=joblib", *where]
    with pytest.raises(InputError, match="would get latent_dim=2,4; only"):
        with_sweep_arguments(["latent_dim=2,4", resume])
    with pytest.raises(InputError, match="expected one with the"):
        with_sweep_arguments(["sweep.resume=nowhere"])
    assert with_sweep_arguments(["latent_dim=2"]) == ["latent_dim=2"]
    plan["overrides"]["task"] = ["data.path=a.npz,/b.npz", "data.root=${oc.env:HOME}/d"]
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": plan}))
    paths = [f"data.path='{tmp_path}/a.npz','/b.npz'", "data.root=${oc.env:HOME}/d"]
    assert with_sweep_arguments([resume]) == [*paths, *where]
    Path("d,e").mkdir()
    plan["overrides"]["task"] = ["data.path='o\\'brien','/b c'", "data.root='d,e'"]
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": plan}))
    paths = [f"data.path='{tmp_path}/o\\'brien','/b c'", f"data.root='{tmp_path}/d,e'"]
    assert with_sweep_arguments([resume]) == [*paths, *where]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_sweep_that_was_asked_to_stop_can_be_resumed(
    call, whole: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["-m", *QUICK, "latent_dim=2,3,4", "hydra.sweep.dir=s"]
    monkeypatch.setattr("sys.argv", ["cvae-train", *line])
    process = Forked(cli.train)
    wait_for("s/1_*/checkpoints/last.ckpt")
    process.send(number)
    status, out = process.wait()
    assert status == 128 + number
    assert "resume it: cvae-train sweep.resume=s" in out
    assert "Traceback" not in out
    assert call(cli.train, "sweep.resume=s")[0] == 0
    assert results(Path("s")) == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_killed_sweep_of_24_jobs_ends_as_one_that_was_not(tmp_path: Path, launcher: str) -> None:
    line = ["-m", "prior=standard,gaussian", "latent_dim=2,8,32", "seed=range(4)", "threads=1"]
    line += ["trainer.max_epochs=12", "network.width=64", f"launcher={launcher}"]
    process = command(*line, "hydra.sweep.dir=whole")
    assert process.wait(900) == 0
    for place in ("hydra.sweep.dir=cut", "sweep.resume=cut"):
        process = command(*line, place)
        done = len(results(Path("cut"))) + random.randint(1, 8)
        while len(results(Path("cut"))) < done:
            time.sleep(random.random())
        process.kill()
        process.wait()
        assert 0 < len(results(Path("cut"))) < 24
    process = command("sweep.resume=cut")
    out, _ = process.communicate(timeout=900)
    assert process.returncode == 0, out
    assert len(results(Path("cut"))) == 24
    assert results(Path("cut")) == results(Path("whole"))


def test_a_job_can_be_resumed_by_itself(call) -> None:
    line = ["sweeps=seeds", "seed=0,1", *QUICK, "hydra.sweep.dir=s"]
    assert call(cli.train, *line)[0] == 0
    (job,) = Path("s").glob("1_*")
    assert call(cli.train, f"resume='{job}'", "trainer.max_epochs=5")[0] == 0
    assert results(Path("s"))[job.name]["epochs"] == 5
    assert len(results(Path("s"))) == 2


def test_a_folder_holds_one_sweep(call) -> None:
    line = ["-m", *QUICK, "trainer.max_epochs=1", "hydra.sweep.dir='o\\'brien s'"]
    assert call(cli.train, *line, "latent_dim=2,3")[0] == 0  # whatever it is called
    assert len(results(Path("o'brien s"))) == 2
    status, _, err = call(cli.train, *line, "latent_dim=4,5")
    assert status == 2
    assert "holds a sweep already; resume it by sweep.resume=" in err


class Killing(Launcher):
    """Launches jobs as a pool does of which a process is killed at its first job."""

    def __init__(self) -> None:
        self.launched: list[list[list[str]]] = []

    def setup(self, **kwargs: object) -> None: ...

    def launch(self, job_overrides, initial_job_idx: int) -> list:
        self.launched.append(job_overrides)
        for overrides in job_overrides:
            folder = Path(overrides[0])
            (folder / ".hydra").mkdir(parents=True)
            (folder / ".hydra" / "overrides.yaml").touch()
            if folder.name == "a":  # an ordinary failure, which is not tried again
                (folder / "failure.txt").touch()
                continue
            if folder.name == "b":
                raise RuntimeError("a worker was killed")
            (folder / "metrics.json").write_text(DONE)
        return []


def test_a_killed_process_takes_no_other_job_with_it(tmp_path: Path) -> None:
    jobs = [Job(i, [str(tmp_path / name)], tmp_path / name, {}) for i, name in enumerate("abc")]
    launcher = Killing()
    _launch(launcher, jobs, None)
    assert [len(jobs) for jobs in launcher.launched] == [3, 1]
    assert [job.done for job in jobs] == [False, False, True]
    assert "a worker was killed" in (tmp_path / "b" / "failure.txt").read_text()
    with pytest.raises(InputError, match="launcher: it gave up with FileExistsError"):
        _launch(launcher, jobs, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "prior=mixture,vamp prior.components=3",
            ["prior=mixture prior.components=3", "prior=vamp prior.components=3"],
        ),
        (
            "prior=standard,mixture prior.components=3,5 seed=0",
            [
                "prior=standard seed=0",
                *(f"prior=mixture prior.components={n} seed=0" for n in (3, 5)),
            ],
        ),
        ("refit=null,mixture", ["refit=[]", "refit=mixture"]),
        (
            "refit=null,flow refit.steps=2 refit.width=8",
            ["refit=[]", "refit=flow refit.steps=2 refit.width=8"],
        ),
        (
            "prior=gaussian,mixture prior.network.width=8 +network@prior.network=mlp",
            [
                f"prior={name} prior.network.width=8 +network@prior.network=mlp"
                for name in ("gaussian", "mixture")
            ],
        ),
        (
            "prior=flow,standard prior.misspelt=2",
            ["prior=flow prior.misspelt=2", "prior=standard prior.misspelt=2"],
        ),
        ("prior='flow' seed=0,1", ["prior='flow' seed=0", "prior='flow' seed=1"]),
    ],
)
def test_a_setting_goes_to_the_options_that_have_it(line: str, expected: list[str]) -> None:
    overrides = OverridesParser.create().parse_overrides(ordered([*line.split(), "-m"])[:-1])
    with composing():
        points = Combinations(overrides).points
        assert points == [point.split() for point in expected]
        assert all(compose("train", point) for point in points if "misspelt" not in line)


# -- searching ---------------------------------------------------------------------------------


def searched(sweep: Path) -> dict[int, list[str]]:
    found = {}
    for path in sweep.glob("*/.hydra/overrides.yaml"):
        overrides = dict(item.split("=", 1) for item in yaml.safe_load(path.read_text()))
        found[int(overrides["search.trial"])] = [
            overrides[key] for key in ("latent_dim", "optimizer.lr")
        ]
    return found


SPACE = ["latent_dim=2,8", "optimizer.lr=tag(log,interval(1e-4,1e-1))"]


@pytest.mark.slow
def test_a_search_cut_off_proposes_what_it_would_have(
    call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["-m", *QUICK, *SPACE, "search=tpe", "search.trials=3", "trainer.max_epochs=2"]
    status, out, _ = call(cli.train, *line, "hydra.sweep.dir=whole")
    assert status == 0
    assert "sweep: 3 of 3 done" in out
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=1, batch=1, after=1)
        assert call(cli.train, *line, "hydra.sweep.dir=cut")[0] == 1
    assert len(results(Path("cut"))) == 1
    assert call(cli.train, *line, "sweep.resume=cut")[0] == 0
    assert searched(Path("cut")) == searched(Path("whole"))
    assert list(results(Path("cut")).values()) == list(results(Path("whole")).values())
    assert all(1e-4 <= float(lr) <= 1e-1 for _, lr in searched(Path("cut")).values())


def test_a_search_finds_what_is_better_and_stops_what_is_poor(call) -> None:
    line = [*QUICK, "search=grid", "search.pruner.n_startup_trials=1"]
    line += ["search.pruner.n_warmup_steps=0", "optimizer.lr=0.02,0.01,1e-9", "hydra.sweep.dir=s"]
    status, out, _ = call(cli.train, "-m", *line)
    assert status == 0
    assert "best: optimizer.lr=0.02" in out or "best: optimizer.lr=0.01" in out
    epochs = [m["epochs"] for _, m in sorted(results(Path("s")).items())]
    assert epochs[0] == 4
    assert epochs[2] == 1  # nothing was learnt


def test_a_grid_search_runs_every_point_whatever_failed() -> None:
    options = {"sampler": None, "trials": None, "pruner": None}
    space = OverridesParser.create().parse_overrides(["a=1,2,3,4"])
    fails = [{"1", "2"}, {"2"}, set()]
    ran = []
    for failing in fails:
        search = Search(options, space, seed=0, at_once=2)
        search.begin(Path())
        ran.append([])
        while proposed := search.propose():
            for number, overrides in proposed:
                value = overrides[0].partition("=")[2]
                ran[-1].append(value)
                job = Path(str(number))
                job.mkdir()
                if value not in failing:
                    (job / "metrics.json").write_text(DONE)
                search.tell(number, job)
    assert ran == [["1", "2", "3", "4"], ["1", "2"], ["2"]]


@pytest.mark.slow
def test_a_search_is_worth_more_than_chance() -> None:
    """TPE's best of 40 on a bowl beats random search's, as in Bergstra et al. 2011, section 5."""
    space = OverridesParser.create().parse_overrides(
        ["a.a=interval(-5,5)", "a.b=interval(-5,5)", "c=tag(log,interval(1e-3,1e3))"]
    )
    best = {}
    for sampler in ("TPESampler", "RandomSampler"):
        options = {
            "sampler": {"_target_": f"optuna.samplers.{sampler}"},
            "trials": 40,
            "pruner": None,
        }
        reached = []
        for seed in range(5):
            folder = Path(f"{sampler}{seed}")
            folder.mkdir()
            search = Search(options, space, seed=seed * 1000, at_once=1)
            search.begin(folder)
            values = []
            while proposed := search.propose():
                ((number, overrides),) = proposed
                a, b, c = (float(item.partition("=")[2]) for item in overrides[:3])
                values.append(
                    -((a - 1) ** 2) - (b + 2) ** 2 - torch.tensor(c / 10).log10().item() ** 2
                )
                job = folder / str(number)
                job.mkdir()
                metrics = json.loads(DONE) | {"val/elbo": values[-1]}
                (job / "metrics.json").write_text(json.dumps(metrics))
                search.tell(number, job)
            assert len(values) == 40
            reached.append(max(values))
        best[sampler] = sum(reached) / len(reached)
    assert best["TPESampler"] > best["RandomSampler"]


# -- launching ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_run_the_same_sweep_as_one(call, whole: Path) -> None:
    line = ["-m", *QUICK, "latent_dim=2,3,4", "hydra.sweep.dir=s", "launcher=joblib", "parallel=2"]
    assert call(cli.train, *line)[0] == 0
    assert results(Path("s")) == results(whole)


def hydra_of(*overrides: str) -> dict:
    with composing():
        return compose("train", list(overrides), return_hydra_config=True)


def test_a_gpu_for_each_job() -> None:
    assert hydra_of("launcher=slurm").hydra.launcher.gpus_per_node == 0
    assert hydra_of("launcher=slurm", "trainer=gpu").hydra.launcher.gpus_per_node == 1
    assert hydra_of("launcher=joblib", "parallel=3").hydra.launcher.n_jobs == 3
    assert hydra_of("launcher=submitit_local", "parallel=3").hydra.sweeper.max_batch_size == 3


def test_jobs_that_share_a_machine_share_its_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = {"trainer": {"accelerator": "gpu", "devices": 1}}
    with _device(config, tmp_path) as first:
        with _device(config, tmp_path) as second:
            assert [c["trainer"]["devices"] for c in (first, second)] == [[0], [1]]
        with _device(config, tmp_path) as third:
            assert third["trainer"]["devices"] == [1]
    on_cpu = {"trainer": {"accelerator": "cpu", "devices": 1}}
    with _device(on_cpu, tmp_path) as unchanged:
        assert unchanged == on_cpu


@pytest.mark.parametrize(("name", "jobs"), [("prior_likelihood_latent", 12), ("seeds", 10)])
def test_named_sweeps(call, monkeypatch: pytest.MonkeyPatch, name: str, jobs: int) -> None:
    made: list[dict] = []
    monkeypatch.setattr(
        "cvae.sweeps.launch._launch", lambda _, jobs, __: made.extend(job.config for job in jobs)
    )
    status, out, _ = call(cli.train, f"sweeps={name}", "trainer.max_epochs=3")
    assert (status, len(made)) == (1, jobs)  # nothing was trained
    assert f"sweep: 0 of {jobs} done, 0 failed, {jobs} left" in out
    assert all(config["trainer"]["max_epochs"] == 3 for config in made)
    assert len({json.dumps(config) for config in made}) == jobs


def test_a_named_sweep_gives_a_setting_to_the_options_that_have_it(
    call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own/sweeps").mkdir(parents=True)
    swept = {"prior": "standard,mixture", "prior.components": "3,5"}
    text = yaml.safe_dump({"hydra": {"sweeper": {"params": swept}}})
    Path("own/sweeps/mine.yaml").write_text(f"# @package _global_\n{text}")
    made: list[dict] = []
    monkeypatch.setattr(
        "cvae.sweeps.launch._launch", lambda _, jobs, __: made.extend(job.config for job in jobs)
    )
    assert call(cli.train, "--config-dir", "own", "sweeps=mine", *SHORT)[0] == 1  # not trained
    assert [config["prior"].get("components") for config in made] == [None, 3, 5]


# -- the plan ------------------------------------------------------------------------------------


def test_a_job_is_what_was_planned_whatever_becomes_of_the_files(
    call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own/experiment").mkdir(parents=True)
    mine, made = Path("own/experiment/mine.yaml"), []
    mine.write_text("# @package _global_\nlatent_dim: 3\n")

    def noted(config: dict, folder: Path, sharing: bool) -> None:
        mine.write_text("# @package _global_\nlatent_dim: 5\n")
        made.append((config["latent_dim"], config["seed"]))

    monkeypatch.setattr("cvae.commands.train.attempt", noted)
    line = ["--config-dir", "own", "-m", "experiment=mine", "seed=0,1", *SHORT]
    assert call(cli.train, *line, "hydra.sweep.dir=s")[0] == 1  # nothing was trained
    assert made == [(3, 0), (3, 1)]


def test_a_sweep_is_not_resumed_with_other_settings(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvae.sweeps.launch._launch", lambda *_: None)
    assert call(cli.train, "-m", "seed=0,1", "latent_dim=2", *SHORT, "hydra.sweep.dir=s")[0] == 1
    (folder,) = Path("s").glob("1_*")
    plan = RunFolder(folder)
    stored = plan.read_plan()
    changes: list[tuple[dict, list[str]]] = [
        ({"latent_dim": 5}, ["latent_dim: job 1", "planned with 5", "say 2 now"]),
        ({"network": {"width": 3}}, ["network.width: job 1", "say 16 now"]),
        ({"added": {"x": 1}}, ["added.x: job 1", "planned with 1", "say None now"]),
    ]
    for change, words in changes:
        plan.write_plan({**stored, **change})
        status, _, err = call(cli.train, "sweep.resume=s")
        assert (status, err.count("\n")) == (2, 1), change
        assert all(word in err for word in words), err
    plan.write_plan({**stored, "threads": 7})  # which may change
    assert call(cli.train, "sweep.resume=s")[0] == 1
    folder.rename("s/7_seed-7")
    status, _, err = call(cli.train, "sweep.resume=s")
    assert (status, err.count("\n")) == (2, 1)
    assert "planned with '7_seed-7', which is none of its jobs" in err


def test_two_jobs_are_not_written_to_one_folder(call) -> None:
    line = ["-m", "hydra.sweep.subdir=seed_${seed}", "seed=0,1", "latent_dim=2,4"]
    status, _, err = call(cli.train, *line, "hydra.sweep.dir=s", *SHORT)
    assert (status, err.count("\n")) == (2, 1)
    assert "hydra.sweep.subdir: jobs 0 and 1 would both be written to" in err
    assert not Path("s").exists()


# -- small parts -------------------------------------------------------------------------------


def test_jobs_are_counted_from_their_folders(tmp_path: Path) -> None:
    evaluated, damaged = '{"test/elbo": -1.0}', "{"
    for number, (file, text) in enumerate(
        [("metrics.json", DONE)] * 2
        + [("failure.txt", ""), ("other", ""), ("metrics.json", evaluated)]
        + [("metrics.json", damaged)]
    ):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / file).write_text(text)
    assert count(sorted(tmp_path.iterdir()), 7) == (2, 1, 4)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3.4, "3 s"), (89, "89 s"), (90, "2 min"), (5300, "88 min"), (11100, "3 h 5 min")],
)
def test_durations_as_a_person_says_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_file_is_written_whole_or_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    write_whole(file, "first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_whole(file, b"second")
    assert file.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
