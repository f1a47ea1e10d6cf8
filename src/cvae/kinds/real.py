"""y is a vector of real numbers, or a sequence of such vectors."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from cvae.batch import Shape, Support
from cvae.kinds.base import Target
from cvae.kinds.numbers import LARGEST, Standard, Standardise, remarks_on, require_standard


@dataclass(frozen=True)
class Standardised(Target):
    """What networks see standardised, number by number of the last dimension.

    Attributes:
        mean: Mean of each number of the training set; empty where they are left as they are.
        scale: Its deviation.
    """

    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_standard(self.mean, self.scale, self.shape[-1] if self.shape else 0)

    @property
    def standard(self) -> Standard | None:
        """Mean and deviation, or None where numbers are left as they are."""
        return Standard(self.mean, self.scale) if self.mean else None

    @property
    def features(self) -> Shape:
        *rest, last = self.shape
        return (*rest, 2 * last) if self.missing else self.shape


@dataclass(frozen=True)
class Real(Standardised):
    """Real numbers."""

    support: ClassVar[Support] = Support.REAL

    @classmethod
    def kind_of(cls, y: np.ndarray) -> Self:
        rows = cls.arranged(y)
        missing = bool(np.isnan(rows.max()))
        farthest = max(np.nanmax(rows, initial=0), -np.nanmin(rows, initial=0))
        if np.isinf(farthest):
            raise ValueError("it holds infinite numbers; remove them")
        if farthest > LARGEST:
            raise ValueError(f"it holds numbers beyond {LARGEST:g}; choose another unit")
        return cls(rows.shape[1:], missing=missing)

    def stored(self, y: np.ndarray) -> Tensor:
        return torch.from_numpy(self.arranged(y))

    @classmethod
    def arranged(cls, array: np.ndarray) -> np.ndarray:
        """Return an array as (N, ..., F), in single or double precision."""
        kept = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
        return np.ascontiguousarray(array, dtype=kept)

    def fitted(self, y: Tensor) -> Self:
        mean, scale = Standard.of(y)
        return replace(self, mean=mean, scale=scale)

    def remarks(self, y: Tensor) -> list[str]:
        return [*super().remarks(y), *remarks_on("y", y, "likelihood=student_t", self.names)]

    def encoder(self) -> nn.Module | None:
        return Standardise(self.standard, self.missing)

    def known(self) -> dict[str, Any]:
        return super().known() | {"standard": self.standard}


@dataclass(frozen=True)
class Vector(Real):
    """Real numbers (F,)."""

    word: ClassVar[str] = "vectors"
    expected: ClassVar[str] = "numbers (N, F), or one for each row, (N,)"
    drawn_as: ClassVar[str | None] = "bars"

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        return y.ndim in (1, 2) and y.size > 0 and y.dtype.kind in "fiub"

    @classmethod
    def arranged(cls, array: np.ndarray) -> np.ndarray:
        return super().arranged(array[:, None] if array.ndim == 1 else array)

    def in_words(self) -> str:
        return f"vectors of {self.sides} numbers, in their own units"


@dataclass(frozen=True)
class Sequence(Real):
    """T steps of F real numbers each, (T, F), standardised over all steps.

    Where sequences differ in length, the steps after the end are missing.
    """

    word: ClassVar[str] = "sequences"
    expected: ClassVar[str] = (
        "T steps of F numbers, (N, T, F), or of one, (N, T), with an optional length (N,)"
    )
    has_steps: ClassVar[bool] = True
    drawn_as: ClassVar[str | None] = "lines"

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        return y.ndim in (2, 3) and y.size > 0 and y.dtype.kind in "fiub"

    @classmethod
    def arranged(cls, array: np.ndarray) -> np.ndarray:
        return super().arranged(array[..., None] if array.ndim == 2 else array)

    def in_words(self) -> str:
        return f"sequences of {self.sides} (steps × numbers), in their own units"
