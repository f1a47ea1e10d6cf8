"""What a run leaves on disk: the one place that knows the names of its files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvae.errors import InputError
from cvae.files import LOCK, require_own, write_whole
from cvae.store.plain_files import read_json

_OF_ITS_END = frozenset(("epochs", "seconds"))
"""Metrics that only the end of a training writes; an evaluation knows neither."""


class RunFolder:
    """The folder of a run.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.overrides = path / ".hydra" / "overrides.yaml"
        """The options of the command line, as Hydra writes them down."""
        self.plan = path / ".plan.json"
        """The configuration that a job of a sweep was planned with."""
        self.hydra = path / ".hydra" / "hydra.yaml"
        """The settings of Hydra's own, as it writes them down."""
        self.checkpoints = path / "checkpoints"
        """The folder of the checkpoints."""
        self.best = self.checkpoints / "best.ckpt"
        """The weights of the best epoch, and what rebuilds their model; nothing to resume from."""
        self.last = self.checkpoints / "last.ckpt"
        """The newest checkpoint, to resume from."""
        self.previous = self.checkpoints / "previous.ckpt"
        """The checkpoint before the last, while a run trains: for a last one that is damaged."""
        self.refitted = self.checkpoints / "refitted.ckpt"
        """The best checkpoint with a prior that was fitted after training."""
        self.settings = path / "hparams.yaml"
        """The settings, flat, by their names on the command line."""
        self.table = path / "curves.csv"
        """The curves of a run with `logger=csv`."""
        self.services = path / ".services.json"
        """By what names services know the run, by the loggers to them."""
        self.metrics = path / "metrics.json"
        """The metrics of a finished run, and of what was evaluated."""
        self.evaluation = path / "evaluation.json"
        """An evaluation that could not be added to the metrics."""
        self.failure = path / "failure.txt"
        """Why a failed run failed: the reason in the first line, then the traceback."""
        self.log = path / "run.log"
        """What the run has said of itself."""
        self.samples = path / "samples.png"
        """A picture of samples from the best model."""
        self.latent_plane = path / "latent.png"
        """A picture of the latent space, which an evaluation draws."""
        self.verdict = path / "verdict.txt"
        """What an evaluation says of the model, in words."""
        self.calibration = path / "calibration.png"
        """A picture of coverage and ranks, which an evaluation draws."""
        self.evaluated = path / ".evaluation.pt"
        """What is done of an evaluation that has not ended."""
        self.projected = path / "projector_config.pbtxt", path / "00000"
        """The file and the folder of TensorBoard's projector."""
        self.lock = path / LOCK
        """The file that a process holds locked while it writes the run."""

    @property
    def best_to_use(self) -> Path:
        """The checkpoint that the run stands for: the refitted one, or else the best one."""
        return self.refitted if self.refitted.is_file() else self.best

    @property
    def curves(self) -> list[Path]:
        """The folders of TensorBoard's sub-runs: of training, of validation and of the test."""
        return [path for name in ("train", "val", "test*") for path in self.path.glob(name)]

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
        return read_json(self.plan)

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

    def read_metrics(self) -> dict[str, float]:
        """Return the metrics by name; none where nothing has been measured yet.

        Raises:
            InputError: If the file is damaged.
        """
        return read_json(self.metrics) if self.metrics.is_file() else {}

    def write_metrics(self, metrics: Mapping[str, float]) -> None:
        """Write the metrics, whole or not at all."""
        write_whole(self.metrics, json.dumps(dict(metrics), indent=2) + "\n")


def says_finished(metrics: Mapping[str, float]) -> bool:
    """Return whether a run with these metrics has been finished, and not only evaluated."""
    return metrics.keys() >= _OF_ITS_END
