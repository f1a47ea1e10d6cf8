"""Where a run is logged: TensorBoard, a CSV file, Weights & Biases, MLflow.

A logger is built from a run's folder, and the name by which a service knows the run, if it is
resumed. Curves are called as in metrics.json, `val/elbo`; TensorBoard has them by sub-run and tag.
"""

import csv
import io
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from cvae.files import write_whole
from cvae.store.events import in_markdown, tagged
from cvae.store.run_folder import RunFolder
from cvae.store.settings import CHECKSUM, TEST_CHECKSUM

_CURVES = (
    *("test/elbo", "test/kl", "test/log_likelihood", "test/negative_cross_entropy", "test/loss"),
)
"""Metrics of the test that have a curve of training and validation beside them."""


class TensorBoard(TensorBoardLogger):
    """Lightning's, with training, validation and test as sub-runs that share their charts.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)
        self._writers: dict[str, SummaryWriter] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_writers": {}}

    def writer(self, sub_run: str) -> SummaryWriter:
        """Return the writer of a sub-run."""
        if sub_run not in self._writers:
            self._writers[sub_run] = SummaryWriter(str(Path(self.log_dir) / sub_run))
        return self._writers[sub_run]

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        for name, value in metrics.items():
            sub_run, tag = tagged(name)
            if sub_run:  # all else is `epoch`, which Lightning adds
                self.writer(sub_run).add_scalar(tag, value, step)

    @rank_zero_only
    def log_result(self, metrics: Mapping[str, float], kind: str, step: int) -> None:
        """Log what a run has reached: its settings and bound in HPARAMS, all metrics in TEXT.

        A single value has no chart of its own: those of the test are dots next to the curves.

        Args:
            metrics: All of them by name.
            kind: What the nats are of. Each kind has a column of its own in HPARAMS.
            step: The last step.
        """
        for name, value in metrics.items():
            sub_run, tag = tagged(name)
            if sub_run == "test" and name in _CURVES:
                self.writer(f"test_{kind}").add_scalar(tag, value, step)
        # TensorBoard finds the columns itself, those first that differ, if no run has a list.
        # A checksum differs where its data do, is nobody's setting, and would be among the few
        # columns that are ticked.
        chosen = {k: v for k, v in self.hparams.items() if k not in (CHECKSUM, TEST_CHECKSUM)}
        _, begins, ends = hparams(chosen, {})
        for summary in (begins, ends):
            self.experiment._get_file_writer().add_summary(summary, step)
        self.experiment.add_text("metrics", in_markdown(metrics), step)

    @rank_zero_only
    def save(self) -> None:
        for writer in (self.experiment, *self._writers.values()):
            writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        for writer in self._writers.values():
            writer.close()


class CSV(Logger):
    """Writes curves.csv: a row for each step that something is logged at, a column for each name.

    Args:
        folder: The run's folder.
    """

    name, version = "", ""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.file = RunFolder(folder).table
        self.rows: dict[int, dict[str, Any]] = {}
        if self.file.is_file():
            with self.file.open(newline="") as rows:
                self.rows = {int(row["step"]): row for row in csv.DictReader(rows)}

    def forget(self, step: int) -> None:
        """Take out what was logged at a step or later, which a resumed run logs again."""
        self.rows = {at: row for at, row in self.rows.items() if at < step}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        numbers = {k: v.item() if isinstance(v, Tensor) else v for k, v in metrics.items()}
        self.rows.setdefault(step or 0, {"step": step or 0}).update(numbers)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: hparams.yaml has the settings."""

    @rank_zero_only
    def save(self) -> None:
        names = dict.fromkeys(name for row in self.rows.values() for name in row)
        table = io.StringIO()
        writer = csv.DictWriter(table, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows[step] for step in sorted(self.rows))
        write_whole(self.file, table.getvalue())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()


def wandb(folder: Path, run: str | None = None, **options: Any) -> WandbLogger:
    """Return a logger to Weights & Biases, for a run that it knows by a name or not yet."""
    options = {"name": folder.name, "save_dir": folder, **options}
    return WandbLogger(id=run or secrets.token_hex(4), resume="allow", **options)


def mlflow(folder: Path, run: str | None = None, **options: Any) -> MLFlowLogger:
    """Return a logger to MLflow, for a run that it knows by a name or not yet."""
    return MLFlowLogger(run_id=run, **{"run_name": folder.name, **options})


def known_as(logger: Logger) -> str | None:
    """Return the name by which a service knows the run, or None where there is no service."""
    if isinstance(logger, WandbLogger):
        return str(logger.version)
    return logger.run_id if isinstance(logger, MLFlowLogger) else None


def log_picture(logger: Logger, name: str, figure: Figure, step: int) -> None:
    """Log a figure where the logger takes pictures; a CSV file takes none."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(name, figure, step)
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [figure], step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_figure(logger.run_id, figure, f"{name}_{step}.png")


def log_words(logger: Logger, name: str, words: str) -> None:
    """Log a text of several lines as it stands, in TensorBoard, which shows it in TEXT."""
    if isinstance(logger, TensorBoardLogger):
        indented = "\n".join(f"    {line}" for line in words.splitlines())  # Markdown's code
        logger.experiment.add_text(name, indented)
