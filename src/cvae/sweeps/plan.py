"""The jobs of a sweep: composed, checked, and fixed before they are run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, open_dict

from cvae.config.command_line import require_own_settings
from cvae.config.compose import (
    PLACES,
    Config,
    check_root,
    parsed_overrides,
    plain,
    quoted,
    with_absolute_paths,
)
from cvae.errors import InputError
from cvae.store.run_folder import RunFolder
from cvae.store.settings import OF_THE_MACHINE, first_difference
from cvae.sweeps.resume_arguments import FREE
from cvae.training.prepare import prepare


class Job(NamedTuple):
    """A job of a sweep: its number, its overrides, its folder, and its resolved configuration."""

    number: int
    overrides: list[str]
    folder: Path
    config: Config

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
    """Makes jobs of overrides, and fixes what each of them is.

    A job runs from the configuration that is stored in its folder when it is planned, whatever
    becomes of the files that it was composed from.

    Args:
        loader: Hydra's.
        config: The configuration of the sweep itself.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader, self.config = loader, config
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.resuming = config.sweep.resume is not None
        self.numbers: dict[Path, int] = {}
        self._jobs: dict[tuple[Any, ...], Job] = {}

    def _job(self, number: int, overrides: Sequence[str]) -> Job:
        """Return a job, composed once."""
        key = (number, *overrides)
        if key not in self._jobs:
            self._jobs[key] = self._composed(number, overrides)
        return self._jobs[key]

    def _composed(self, number: int, overrides: Sequence[str]) -> Job:
        config = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = number
        require_own_settings(config)
        name = self._name(config)
        RunFolder(self.folder / name).require_own(self.folder)
        # A launcher may start a job elsewhere, and a resumed sweep does not launch them all again.
        settings = with_absolute_paths(plain(config))
        places = settings["data"]
        where = [f"data.{key}={quoted(places[key])}" for key in PLACES if key in places]
        where += [f"hydra.sweep.dir={quoted(self.folder)}", f"hydra.sweep.subdir={quoted(name)}"]
        return Job(number, [*overrides, *where], self.folder / name, settings)

    def _name(self, config: DictConfig) -> str:
        """Return the name of a job's folder, without what all jobs of the sweep have."""
        whole, task = config.hydra.sweep.subdir, list(config.hydra.overrides.task)
        if (self.folder / whole).is_dir():  # of a sweep from before names were without it
            return str(whole)
        typed = parsed_overrides(list(self.config.hydra.overrides.task))
        same = {override.input_line for override in typed if not override.is_sweep_override()}
        config.hydra.overrides.task = [override for override in task if override not in same]
        name = str(config.hydra.sweep.subdir)
        config.hydra.overrides.task = task
        return name

    def require_some_runnable(self, points: Sequence[Sequence[str]]) -> None:
        """Say which of some jobs cannot be run.

        Raises:
            InputError: If none of them can.
        """
        refused: dict[str, InputError] = {}
        for number, point in enumerate(points):
            job = self._job(number, point)
            try:
                check_root(job.config, "train")
                prepare(job.config)
            except InputError as refusal:
                refused[job.folder.name] = refusal
        if len(refused) == len(points):
            raise next(iter(refused.values()))
        for name, error in refused.items():
            print(f"sweep: {name} cannot be run: {error}", file=sys.stderr)

    def require_as_planned(self, proposed: Sequence[tuple[int, list[str]]]) -> list[Job]:
        """Return jobs, each with a folder of its own, and configured as it was planned.

        Args:
            proposed: The number and the overrides of each.

        Raises:
            InputError: If two jobs would have the same folder, or one another configuration than
                is stored in its folder.
        """
        jobs = [self._job(*job) for job in proposed]
        for job in jobs:
            first = self.numbers.setdefault(job.folder, job.number)
            if first != job.number:
                raise InputError(
                    f"hydra.sweep.subdir: jobs {first} and {job.number} would both be written to "
                    f"'{job.folder}'; put every swept setting, or ${{hydra.job.num}}, into the name"
                )
            if self.resuming and job.files.plan.is_file():
                _require_same(job)
        return jobs

    def require_all(self, proposed: Sequence[tuple[int, list[str]]]) -> None:
        """Refuse to resume a sweep without some of its jobs.

        Args:
            proposed: All jobs of the sweep, as for `require_as_planned`.

        Raises:
            InputError: As `require_as_planned`, or naming a job that is not among them.
        """
        folders = [job.folder for job in self.require_as_planned(proposed)]
        if not folders or not self.resuming:
            return
        for plan in sorted(self.folder.rglob(RunFolder(Path()).plan.name)):
            if plan.parent not in folders:
                raise InputError(
                    f"sweep.resume: the sweep was planned with '{plan.parent.name}', which is none "
                    "of its jobs as the files of the configuration are now; bring them back, or "
                    "start a new sweep"
                )

    def fixed(self, proposed: Sequence[tuple[int, list[str]]]) -> list[Job]:
        """Return jobs as `require_as_planned`, and store the configuration of each."""
        jobs = self.require_as_planned(proposed)
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            job.files.write_plan(job.config)
        return jobs


def _require_same(job: Job) -> None:
    found = first_difference(job.files.read_plan(), job.config, (*FREE, *OF_THE_MACHINE))
    if found is not None:
        name, before, now = found
        raise InputError(
            f"{name}: job {job.number} was planned with {before}, and the files of the "
            f"configuration say {now} now; bring them back, or start a new sweep"
        )
