"""y is a row of a table, whose columns are of several kinds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from cvae.batch import Shape, Support
from cvae.errors import InputError, did_you_mean
from cvae.kinds.base import Target, listed
from cvae.kinds.numbers import (
    LARGEST,
    Standard,
    Standardise,
    one_hot,
    remarks_on,
    require_standard,
)

Kind = Literal["real", "count", "category", "binary"]
COLUMN_KINDS: tuple[Kind, ...] = ("real", "count", "category", "binary")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        kind: What its values are.
        values: The words that the numbers from 0 stand for, of a category or a binary column;
            empty where the numbers are meant.
        mean: Mean in the training set, of the logarithm of 1 + y for counts.
        scale: The deviation likewise.
        average: Mean of counts.
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    average: float = 1.0

    def __post_init__(self) -> None:
        require_standard((self.mean,), (self.scale,), 1)
        if self.kind not in COLUMN_KINDS or not 0 < self.average < LARGEST:
            raise ValueError(f"'{self.kind}' is no kind of column")
        if bool(self.values) != (self.kind == "category") and self.kind != "binary":
            raise ValueError(f"values of a {self.kind} column")
        if not all(isinstance(word, str) for word in (self.name, *self.values)):
            raise ValueError("names are texts")

    @property
    def size(self) -> int:
        """How many numbers a network sees of it."""
        return len(self.values) if self.kind == "category" else 1

    def fitted(self, y: Tensor) -> "Column":
        """Return the column with what it has to know of its training values, (N,)."""
        if self.kind not in ("real", "count"):
            return self
        logs = y.log1p() if self.kind == "count" else y
        (mean,), (scale,) = Standard.of(logs.unsqueeze(-1))
        average = max(float(y.nanmean().nan_to_num(0.0)), 0.5 / len(y))
        return replace(self, mean=mean, scale=scale, average=average)

    def word(self, number: float) -> Any:
        """Return a value as a table holds it."""
        if self.values:
            return self.values[round(number)]
        return number if self.kind == "real" else round(number)

    def number(self, word: Any) -> float:
        """Return the number of a word; NaN where it is missing.

        Raises:
            InputError: If the column has no such word.
        """
        if word is None or word != word:  # as NaN is
            return math.nan
        if str(word) not in self.values:
            hint = did_you_mean(str(word), self.values)
            raise InputError(f"y: column '{self.name}' has no value '{word}'{hint}")
        return float(self.values.index(str(word)))


@dataclass(frozen=True)
class Table(Target):
    """A row of F columns, (F,), each real, a count, a category or binary, by number.

    Attributes:
        described: The columns.
    """

    word: ClassVar[str] = "table"
    expected: ClassVar[str] = "the columns of a table"
    support: ClassVar[Support] = Support.MIXED
    names_in_words: ClassVar[bool] = True

    described: tuple[Column, ...] = field(default=())

    def __post_init__(self) -> None:
        columns = tuple(
            Column(**dict(column)) if isinstance(column, Mapping) else column
            for column in self.described
        )
        object.__setattr__(self, "described", columns)
        if self.shape != (len(columns),):
            raise ValueError(f"{len(columns)} columns for a row of shape {self.shape}")
        object.__setattr__(self, "names", tuple(column.name for column in columns))

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        return False  # a table is no array

    @classmethod
    def kind_of(cls, y: np.ndarray) -> Self:
        raise ValueError("a table is read from its file")

    def in_words(self) -> str:
        columns = listed([f"{column.name} ({column.kind})" for column in self.described])
        return f"rows of a table with {len(self.described)} columns: {columns}"

    def stored(self, y: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(y, np.float64))

    def fitted(self, y: Tensor) -> Self:
        columns = zip(self.described, y.unbind(-1), strict=True)
        return replace(self, described=tuple(column.fitted(part) for column, part in columns))

    def remarks(self, y: Tensor) -> list[str]:
        names = [column.name for column in self.described if column.kind == "real"]
        real = [i for i, column in enumerate(self.described) if column.kind == "real"]
        found = remarks_on("y", y[:, real], "its logarithm", names) if real else []
        return [*super().remarks(y), *found]

    @property
    def features(self) -> Shape:
        size = sum(column.size for column in self.described)
        return (size + self.missing * len(self.described),)

    def encoder(self) -> "EncodeTable":
        return EncodeTable(self.described, self.missing)

    def known(self) -> dict[str, Any]:
        return super().known() | {"columns": self.described}

    def of_column(self, place: int, column: Any) -> Tensor:
        described = self.described[place]
        if not described.values:
            return super().of_column(place, column)
        return torch.tensor([described.number(word) for word in column], dtype=torch.float64)

    def row(self, y: Tensor) -> list[Any]:
        numbers = zip(self.described, y.tolist(), strict=True)
        return [column.word(number) for column, number in numbers]


class EncodeTable(Standardise):
    """Real columns and the logarithms of counts standardised, categories one-hot.

    Args:
        columns: The columns.
        missing: Whether values may be missing: then a 1 follows for each column, or a 0 if it is.
    """

    counts: Tensor

    def __init__(self, columns: Sequence[Column], missing: bool) -> None:
        mean, scale = (tuple(getattr(c, of) for c in columns) for of in ("mean", "scale"))
        super().__init__(Standard(mean, scale), missing)
        counts = torch.tensor([column.kind == "count" for column in columns])
        self.register_buffer("counts", counts, persistent=False)
        self.sizes = [column.size if column.kind == "category" else 0 for column in columns]

    def forward(self, y: Tensor) -> Tensor:
        """Map rows (..., F) to numbers (..., *features)."""
        seen = ~y.isnan()
        numbers = torch.where(self.counts, y.clamp(min=0).log1p(), y)
        numbers = ((numbers - self.mean) / self.scale).float().nan_to_num(0.0)
        parts = [
            one_hot(y[..., i], size) if size else numbers[..., i : i + 1]
            for i, size in enumerate(self.sizes)
        ]
        return torch.cat([*parts, seen.float()] if self.missing else parts, -1)
