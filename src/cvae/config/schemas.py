"""The root of each command's configuration, typed."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class SweepSchema:
    """What a sweep is told, beside its jobs."""

    resume: str | None = None


@dataclass
class TrainSchema:
    """The root of `conf/train.yaml`: the shared facts, and a node per group."""

    data: Any = MISSING
    condition: Any = MISSING
    prior: Any = MISSING
    posterior: Any = MISSING
    likelihood: Any = MISSING
    network: Any = MISSING
    objective: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    callbacks: Any = MISSING
    refit: Any = None
    latent_dim: int = MISSING
    hierarchy: int = MISSING
    seed: int | None = MISSING
    allow: list[str] = field(default_factory=list)
    resume: str | None = None
    threads: int | None = None
    compile: bool = False
    parallel: int = MISSING
    search: Any = None
    sweep: SweepSchema = field(default_factory=SweepSchema)


@dataclass
class DataChanges:
    """Changes to the data that the run was trained on; null leaves them."""

    root: str | None = None
    path: str | None = None
    batch_size: int | None = None


@dataclass
class EvaluatedData(DataChanges):
    """Changes to the data, and how much of other data is taken."""

    split: str | None = None


@dataclass
class SampleSchema:
    """The root of `conf/sample.yaml`."""

    checkpoint: str = MISSING
    allow: list[str] = field(default_factory=list)
    x: str | None = None
    digits: str | None = None
    n: int = MISSING
    seed: int = MISSING
    plot: str = MISSING
    mean: bool | None = None
    scale: float = MISSING
    out: str = MISSING
    data: DataChanges = MISSING


@dataclass
class EvaluateSchema:
    """The root of `conf/evaluate.yaml`."""

    checkpoint: str = MISSING
    allow: list[str] = field(default_factory=list)
    samples: int = MISSING
    images: int = MISSING
    judges: str = MISSING
    seed: int = MISSING
    compile: bool = False
    trainer: Any = MISSING
    out: str | None = None
    data: EvaluatedData = MISSING


@dataclass
class EncodeSchema:
    """The root of `conf/encode.yaml`."""

    checkpoint: str = MISSING
    allow: list[str] = field(default_factory=list)
    out: str = MISSING
    data: EvaluatedData = MISSING


@dataclass
class ReportSchema:
    """The root of `conf/report.yaml`."""

    dir: str = MISSING
    out: str | None = None


@dataclass
class ExportSchema:
    """The root of `conf/export.yaml`."""

    checkpoint: str = MISSING
    allow: list[str] = field(default_factory=list)
    format: str = MISSING
    weights: str = MISSING
    images: int = MISSING
    judges: str = MISSING
    seed: int = MISSING
    out: str = MISSING
    title: str | None = None
    data: DataChanges = MISSING


SCHEMAS = {
    "train": TrainSchema,
    "sample": SampleSchema,
    "evaluate": EvaluateSchema,
    "encode": EncodeSchema,
    "report": ReportSchema,
    "export": ExportSchema,
}
"""The root of each command's configuration."""
