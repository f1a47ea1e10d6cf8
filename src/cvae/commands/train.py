"""`cvae-train`: train a model, or one job of a sweep."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Callback

from cvae.config.compose import Config
from cvae.errors import InputError
from cvae.evaluation.tables import show
from cvae.files import writing
from cvae.runs.resume_arguments import shown
from cvae.runs.run_folder import RunFolder
from cvae.sweeps.job import attempt
from cvae.training.fit import fit
from cvae.training.prepare import Prepared, prepare

_SHARING = ("JoblibLauncher", "LocalLauncher")
"""Launchers whose jobs share a machine without a scheduler."""

_prepared: list[Prepared] = []
"""The run that `check_run` has prepared; Hydra calls it apart from the task."""


def check_run(config: Config) -> None:
    """Prepare a run that is not a job of a sweep, before Hydra writes anything.

    Raises:
        InputError: If the configuration cannot be trained, or only a sweep can do as it says.
    """
    if config["search"] is not None and config["resume"] is None:
        raise InputError("search: a search is a sweep, and this is a single run; add -m")
    _prepared[:] = [prepare(config)]


def task(config: Config) -> None:
    """Run `cvae-train`, or one job of its sweep."""
    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    if hydra.mode == RunMode.MULTIRUN:
        plan = RunFolder(run_dir)
        config = plan.read_plan() if plan.plan.is_file() else config
        attempt(_job, config, run_dir, sharing=hydra.launcher._target_.endswith(_SHARING))
        return
    if config["resume"] is not None:
        print(f"resumes {run_dir}: {shown(hydra.overrides.task)}", flush=True)
    with writing(run_dir):
        model, metrics = fit(_prepared.pop(), run_dir)
    show(metrics, model)
    folder = RunFolder(run_dir)
    files = (folder.refitted, folder.best, folder.last, folder.metrics, folder.samples)
    for file in files:
        if file.is_file():
            print(file)
    print(f"curves: tensorboard --logdir {run_dir}")


def _job(config: Config, folder: Path, further: Sequence[Callback]) -> None:
    fit(prepare(config), folder, further, show_progress=False)
