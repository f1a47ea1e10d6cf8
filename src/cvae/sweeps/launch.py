"""A whole sweep: its jobs launched, counted, and reported at the end."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from cvae.config.command_line import short
from cvae.config.compose import plain
from cvae.errors import InputError
from cvae.files import hold, write_whole
from cvae.lines import wrapped
from cvae.store.plain_files import first_line
from cvae.store.resume_arguments import shown
from cvae.store.run_folder import RunFolder
from cvae.sweeps.combinations import Combinations
from cvae.sweeps.plan import Job, Planner
from cvae.sweeps.progress import Progress, count
from cvae.sweeps.resume_arguments import PLAN, command_to_resume, require_own_sweep
from cvae.sweeps.search import Search


def run_sweep(
    loader: ConfigLoader,
    launcher: Launcher,
    config: DictConfig,
    arguments: list[str],
    batch: int | None,
) -> None:
    """Run a sweep, or what is left of it, and exit with status 1 unless all jobs were finished.

    Args:
        loader: Hydra's.
        launcher: Runs jobs.
        config: The configuration of the sweep itself.
        arguments: The overrides of the command line.
        batch: Jobs given to the launcher at once; None is all of them.

    Raises:
        InputError: If the launcher cannot work here, none of the jobs could be run, two would share
            a folder, or a resumed sweep would have other jobs than it was planned with; nothing is
            written then.
    """
    _require_launcher(config)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    planner = Planner(loader, config)
    plan = _plan(config, overrides)
    planner.require_some_runnable(plan.examples())
    planner.require_all(plan.known)
    _begin(planner)
    folders = [job.folder for job in planner.fixed(plan.begin(planner.folder))]
    with _reporting(planner.folder, folders, plan.trials):
        while proposed := plan.propose():
            jobs = planner.fixed(proposed)
            folders += [job.folder for job in jobs if job.folder not in folders]
            _launch(launcher, [job for job in jobs if not job.done], batch)
            for job in jobs:
                plan.tell(job.number, job.folder)
        if verdict := plan.verdict():
            print(wrapped(verdict))


def _require_launcher(config: DictConfig) -> None:
    needed = ("sbatch", "srun") if config.hydra.launcher._target_.endswith(".SlurmLauncher") else ()
    for program in needed:
        if which(program) is None:
            raise InputError(
                f"launcher: slurm needs the program {program}, which this machine lacks; start the "
                "sweep on a machine of the cluster, or choose launcher=joblib"
            )


def _plan(config: DictConfig, overrides: Sequence[Override]) -> Combinations | Search:
    if config.search is None:
        return Combinations(overrides)
    return Search(plain(config)["search"], overrides, config.seed, config.parallel)


def _begin(planner: Planner) -> None:
    if planner.config.sweep.resume is None and (planner.folder / PLAN).exists():
        raise InputError(
            f"hydra.sweep.dir: '{planner.folder}' holds a sweep already; "
            f"resume it by sweep.resume={relative(planner.folder)}, or name another folder"
        )
    require_own_sweep(planner.folder)
    if planner.config.sweep.resume is not None:
        task = planner.config.hydra.overrides.task
        typed = shown([o for o in task if not o.startswith("sweep.resume=")])
        print(wrapped(f"resumes {relative(planner.folder)}: {typed}"), flush=True)
    hold(planner.folder, "hydra.sweep.dir")
    write_whole(planner.folder / PLAN, OmegaConf.to_yaml(planner.config))


def _launch(launcher: Launcher, jobs: Sequence[Job], batch: int | None) -> None:
    for job in jobs:
        job.files.failure.unlink(missing_ok=True)  # it is tried again
    size = batch or len(jobs) or 1
    for start in range(0, len(jobs), size):
        left = list(jobs[start : start + size])
        while left:
            before = [job.begun for job in left]
            try:
                launcher.launch([job.overrides for job in left], initial_job_idx=left[0].number)
                break
            except Exception as error:  # a job's own errors do not get here
                reason = f"{type(error).__name__}: {error}".partition("\n")[0]
                begun = [job for job, was in zip(left, before, strict=True) if job.begun != was]
                left = _left(left, begun, reason)


def _left(jobs: Sequence[Job], begun: Sequence[Job], error: str) -> list[Job]:
    """Record the jobs whose processes were killed, and return those that are still to be run."""
    lost = [job for job in begun if job.abandoned]
    if not lost:
        raise InputError(f"launcher: it gave up with {error}")
    for job in lost:
        reason = f"its process ended without a word, perhaps for lack of memory ({error})"
        write_whole(job.files.failure, reason)
    return [job for job in jobs if not job.ended]


@contextmanager
def _reporting(sweep: Path, folders: Sequence[Path], total: int) -> Iterator[None]:
    """Report how far the sweep is, and in the end what failed and how to resume it."""
    try:
        with Progress(folders, total):
            yield
    finally:
        ended = count(folders, total)
        for folder in folders:
            if (failure := RunFolder(folder).failure).is_file():
                print(wrapped(f"failed: {folder.name}: {first_line(failure)}"))
        print(f"compare the runs: cvae-report {relative(sweep)}")
        if ended.failed or ended.left:
            print(f"resume it: {command_to_resume(sweep)}", flush=True)
    if ended.failed or ended.left:
        sys.exit(1)


def relative(path: Path) -> str:
    """Return a path as short as it can be from here."""
    return shlex.quote(short(path))
