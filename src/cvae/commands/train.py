"""`cvae-train`: train a model, or one job of a sweep."""

import shlex
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from cvae.config.command_line import short
from cvae.config.compose import Config
from cvae.errors import InputError
from cvae.evaluation.tables import show
from cvae.files import LOCK, hold, hold_for_run
from cvae.lines import wrapped
from cvae.store.resume_arguments import command_to_resume, key_of, shown
from cvae.store.run_folder import RunFolder
from cvae.sweeps.job import attempt
from cvae.training.fit import fit
from cvae.training.prepare import Prepared, prepare

_SHARING = ("JoblibLauncher", "LocalLauncher")
"""Launchers whose jobs share a machine without a scheduler."""

_prepared: list[Prepared] = []
"""The run that `check_run` has prepared; Hydra calls it apart from the task."""


def check_run(config: Config, folder: Path) -> None:
    """Prepare a single run, and hold its folder, before Hydra writes anything.

    Raises:
        InputError: If the configuration cannot be trained, only a sweep can do as it says, the
            folder is another run's, or a link is where the run would write.
    """
    if config["search"] is not None and config["resume"] is None:
        raise InputError("search: a search is a sweep, and this is a single run; add -m")
    RunFolder(folder).require_own()
    if (folder / LOCK).exists():  # whoever holds it may yet add to what the run resumes from
        hold(folder)
    _prepared[:] = [prepare(config)]
    hold_for_run(folder, resuming=config["resume"] is not None)


def task(config: Config) -> None:
    """Run `cvae-train`, or one job of its sweep."""
    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    folder = RunFolder(run_dir)
    if hydra.mode == RunMode.MULTIRUN:
        config = folder.read_plan() if folder.plan.is_file() else config
        attempt(config, run_dir, sharing=hydra.launcher._target_.endswith(_SHARING))
        return
    if config["resume"] is not None:
        started = {key_of(o): o for o in hydra.overrides.task if key_of(o) != "resume"}
        print(wrapped(f"resumes {short(run_dir)}: {shown([*started.values()])}"), flush=True)
    try:
        model, metrics = fit(_prepared.pop(), run_dir)
    except (KeyboardInterrupt, SystemExit):
        print(f"resume it: {command_to_resume(folder)}", flush=True)
        raise
    show(metrics, model)
    place = shlex.quote(short(run_dir))
    files = (folder.refitted, folder.best, folder.last, folder.metrics, folder.samples)
    names = [str(file.relative_to(run_dir)) for file in files if file.is_file()]
    print(wrapped(f"{place} has {', '.join(names)}"))
    print(f"next: cvae-evaluate {place}")
    print(f"      cvae-sample {place} out=drawn.png")
    print(f"curves: tensorboard --logdir {place}")
