"""What a run leaves on disk: the one place that knows the names of its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cvae.files import LOCK, write_whole


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
    def hydra(self) -> Path:
        """The settings of Hydra's own, as it writes them down."""
        return self.path / ".hydra" / "hydra.yaml"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The newest checkpoint, to resume from."""
        return self.checkpoints / "last.ckpt"

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
        """The settings, flat, as the TensorBoard logger writes them down."""
        return self.path / "hparams.yaml"

    @property
    def metrics(self) -> Path:
        """The metrics of a finished run."""
        return self.path / "metrics.json"

    @property
    def failure(self) -> Path:
        """Why a failed run failed: the reason in the first line, then the traceback."""
        return self.path / "failure.txt"

    @property
    def samples(self) -> Path:
        """A picture of samples from the best model."""
        return self.path / "samples.png"

    @property
    def latent_plane(self) -> Path:
        """A picture of the latent space, which an evaluation draws."""
        return self.path / "latent.png"

    @property
    def lock(self) -> Path:
        """The file that a process holds locked while it writes the run."""
        return self.path / LOCK

    @property
    def is_finished(self) -> bool:
        """Whether the run has been finished."""
        return self.metrics.is_file()

    def read_metrics(self) -> dict[str, float]:
        """Return the metrics by name; none of a run that is not finished."""
        found: dict[str, float] = {}
        return json.loads(self.metrics.read_text()) if self.is_finished else found

    def write_metrics(self, metrics: Mapping[str, float]) -> None:
        """Write the metrics, whole or not at all."""
        write_whole(self.metrics, json.dumps(dict(metrics), indent=2) + "\n")
