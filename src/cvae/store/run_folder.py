"""What a run leaves on disk: the one place that knows the names of its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvae.errors import InputError
from cvae.files import LOCK, remove_parts, require_own, write_whole
from cvae.store.plain_files import read_json

_OF_ITS_END = frozenset(("epochs", "seconds"))
"""Metrics that only the end of a training writes; an evaluation knows neither."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def overrides(self) -> Path:
        """The options of the command line, as Hydra writes them down."""
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def plan(self) -> Path:
        """The configuration that a job of a sweep was planned with."""
        return self.path / ".plan.json"

    @property
    def hydra(self) -> Path:
        """The settings of Hydra's own, as it writes them down."""
        return self.path / ".hydra" / "hydra.yaml"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The weights of the best epoch, and what rebuilds their model; nothing to resume from."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The newest checkpoint, to resume from."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The checkpoint before the last, while a run trains: for a last one that is damaged."""
        return self.checkpoints / "previous.ckpt"

    @property
    def refitted(self) -> Path:
        """The best checkpoint with a prior that was fitted after training."""
        return self.checkpoints / "refitted.ckpt"

    @property
    def best_to_use(self) -> Path:
        """The checkpoint that the run stands for: the refitted one, or else the best one."""
        return self.refitted if self.refitted.is_file() else self.best

    @property
    def settings(self) -> Path:
        """The settings, flat, by their names on the command line."""
        return self.path / "hparams.yaml"

    @property
    def curves(self) -> list[Path]:
        """The folders of TensorBoard's sub-runs: of training, of validation and of the test."""
        return [path for name in ("train", "val", "test*") for path in self.path.glob(name)]

    @property
    def table(self) -> Path:
        """The curves of a run with `logger=csv`."""
        return self.path / "curves.csv"

    @property
    def services(self) -> Path:
        """By what names services know the run, by the loggers to them."""
        return self.path / ".services.json"

    @property
    def metrics(self) -> Path:
        """The metrics of a finished run, and of what was evaluated."""
        return self.path / "metrics.json"

    @property
    def evaluation(self) -> Path:
        """An evaluation that could not be added to the metrics."""
        return self.path / "evaluation.json"

    @property
    def failure(self) -> Path:
        """Why a failed run failed: the reason in the first line, then the traceback."""
        return self.path / "failure.txt"

    @property
    def log(self) -> Path:
        """What the run has said of itself."""
        return self.path / "run.log"

    @property
    def samples(self) -> Path:
        """A picture of samples from the best model."""
        return self.path / "samples.png"

    @property
    def latent_plane(self) -> Path:
        """A picture of the latent space, which an evaluation draws."""
        return self.path / "latent.png"

    @property
    def verdict(self) -> Path:
        """What an evaluation says of the model, in words."""
        return self.path / "verdict.txt"

    @property
    def calibration(self) -> Path:
        """A picture of coverage and ranks, which an evaluation draws."""
        return self.path / "calibration.png"

    @property
    def evaluated(self) -> Path:
        """What is done of an evaluation that has not ended."""
        return self.path / ".evaluation.pt"

    @property
    def projected(self) -> tuple[Path, Path]:
        """The file and the folder of TensorBoard's projector."""
        return self.path / "projector_config.pbtxt", self.path / "00000"

    @property
    def lock(self) -> Path:
        """The file that a process holds locked while it writes the run."""
        return self.path / LOCK

    @property
    def is_finished(self) -> bool:
        """Whether the run has been finished; one whose metrics are damaged is to be run again."""
        try:
            return says_finished(self.read_metrics())
        except InputError:
            return False

    def read_plan(self) -> dict[str, Any]:
        """Return the configuration that a job of a sweep was planned with.

        Raises:
            InputError: If the file is damaged.
        """
        return _read_mapping(self.plan)

    def write_plan(self, config: Mapping[str, Any]) -> None:
        """Write the configuration of a job, whole or not at all."""
        write_whole(self.plan, json.dumps(dict(config), indent=1) + "\n")

    def require_own(self, sweep: Path | None = None) -> None:
        """Refuse the folder if a link or a pipe is where a run writes or reads.

        Args:
            sweep: The folder of a sweep that it may be in, by no link.

        Raises:
            InputError: Naming the first.
        """
        top = sweep if sweep and self.path.is_relative_to(sweep) else self.path
        own = (self.overrides.parent, self.checkpoints, self.settings, self.metrics, self.failure)
        drawn = (self.samples, self.latent_plane, self.calibration, *self.projected)
        others = (self.plan, self.evaluation, self.verdict, self.evaluated, self.log)
        logs = [file for at in (self.path, *self.curves) for file in at.glob("events.out.*")]
        logs += [*self.curves, self.table, self.services]
        require_own(top, *own, *others, *drawn, self.lock, *logs)

    def remove_parts(self) -> None:
        """Remove what a killed process has left of files that it did not complete."""
        remove_parts(self.path, self.checkpoints)

    def read_metrics(self) -> dict[str, float]:
        """Return the metrics by name; none where nothing has been measured yet.

        Raises:
            InputError: If the file is damaged.
        """
        return _read_mapping(self.metrics) if self.metrics.is_file() else {}

    def write_metrics(self, metrics: Mapping[str, float]) -> None:
        """Write the metrics, whole or not at all."""
        write_whole(self.metrics, json.dumps(dict(metrics), indent=2) + "\n")


def says_finished(metrics: Mapping[str, float]) -> bool:
    """Return whether a run with these metrics has been finished, and not only evaluated."""
    return metrics.keys() >= _OF_ITS_END


def _read_mapping(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"'{path}' is damaged (it holds no names with values)")
    return found
