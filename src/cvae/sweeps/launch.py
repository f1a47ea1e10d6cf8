"""A whole sweep: its jobs planned and checked, launched, counted, and reported at the end."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

from cvae.config.command_line import short
from cvae.config.compose import PLACES, Config, check_root, plain, quoted, with_absolute_paths
from cvae.config.schemas import TrainSchema
from cvae.errors import InputError
from cvae.files import hold, write_whole
from cvae.runs.run_folder import RunFolder
from cvae.sweeps.combinations import Combinations
from cvae.sweeps.progress import Progress, count
from cvae.sweeps.resume_arguments import PLAN, command_to_resume
from cvae.sweeps.search import Search

Check = Callable[[Config], object]


class Job(NamedTuple):
    """A job of a sweep: its number, its overrides, and its folder."""

    number: int
    overrides: list[str]
    folder: Path

    @property
    def files(self) -> RunFolder:
        """The files of its folder."""
        return RunFolder(self.folder)

    @property
    def done(self) -> bool:
        """Whether it has been finished."""
        return self.files.is_finished

    @property
    def ended(self) -> bool:
        """Whether it has been finished, or has failed."""
        return self.done or self.files.failure.is_file()

    @property
    def begun(self) -> int:
        """When it was last begun, by the clock of its folder; 0 if never."""
        written = self.files.overrides
        return written.stat().st_mtime_ns if written.is_file() else 0

    @property
    def abandoned(self) -> bool:
        """Whether it has not ended, and nobody is at it."""
        if self.ended:
            return False
        try:
            with FileLock(self.files.lock).acquire(blocking=False):
                return True
        except Timeout:
            return False


class Planner:
    """Makes jobs of overrides.

    Args:
        loader: Hydra's.
        config: The configuration of the sweep itself.
        check: Raises an `InputError` unless a job's configuration can be run.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig, check: Check) -> None:
        self.loader, self.config, self._check = loader, config, check
        self.folder = Path(config.hydra.sweep.dir).absolute()

    def job(self, number: int, overrides: Sequence[str]) -> tuple[Job, Config]:
        """Return a job and its configuration.

        Raises:
            HydraException: If the overrides do not fit together.
        """
        config = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = number
        name = config.hydra.sweep.subdir
        settings = plain(config)
        # A launcher may start a job elsewhere, and a resumed sweep does not launch them all again.
        places = with_absolute_paths(settings)["data"]
        where = [f"data.{key}={quoted(places[key])}" for key in PLACES if key in places]
        where += [f"hydra.sweep.dir={quoted(self.folder)}", f"hydra.sweep.subdir={quoted(name)}"]
        return Job(number, [*overrides, *where], self.folder / name), settings

    def require_some_runnable(self, points: Sequence[Sequence[str]]) -> None:
        """Say which of some jobs cannot be run.

        Raises:
            InputError: If none of them can.
        """
        refused: dict[str, InputError] = {}
        for number, point in enumerate(points):
            job, settings = self.job(number, point)
            try:
                check_root(settings, TrainSchema)
                self._check(settings)
            except InputError as refusal:
                refused[job.folder.name] = refusal
        if len(refused) == len(points):
            raise next(iter(refused.values()))
        for name, error in refused.items():
            print(f"sweep: {name} cannot be run: {error}", file=sys.stderr)


def run_sweep(
    loader: ConfigLoader,
    launcher: Launcher,
    config: DictConfig,
    arguments: list[str],
    check: Check,
    batch: int | None,
) -> None:
    """Run a sweep, or what is left of it, and exit with status 1 unless all jobs were finished.

    Args:
        loader: Hydra's.
        launcher: Runs jobs.
        config: The configuration of the sweep itself.
        arguments: The overrides of the command line.
        check: Raises an `InputError` unless a job's configuration can be run.
        batch: Jobs given to the launcher at once; None is all of them.

    Raises:
        InputError: If none of the jobs could be run; nothing is written then.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    planner = Planner(loader, config, check)
    plan = _plan(config, overrides)
    planner.require_some_runnable(plan.examples())
    _begin(planner)
    folders = [planner.job(*known)[0].folder for known in plan.begin(planner.folder)]
    with _reporting(planner.folder, folders, plan.trials):
        while proposed := plan.propose():
            jobs = [planner.job(*job)[0] for job in proposed]
            folders += [job.folder for job in jobs if job.folder not in folders]
            _launch(launcher, [job for job in jobs if not job.done], batch)
            for job in jobs:
                plan.tell(job.number, job.folder)
        if verdict := plan.verdict():
            print(verdict)


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
                print(f"failed: {folder.name}: {failure.read_text().partition(chr(10))[0]}")
        print(f"compare the runs: cvae-report {relative(sweep)}")
        if ended.failed or ended.left:
            print(f"resume it: {command_to_resume(sweep)}", flush=True)
    if ended.failed or ended.left:
        sys.exit(1)


def relative(path: Path) -> str:
    """Return a path as short as it can be from here."""
    return shlex.quote(short(path))
