"""y is a vector of real numbers, or a sequence of such vectors."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cvae.kinds.base import Real


@dataclass(frozen=True)
class Vector(Real):
    """Real numbers (F,)."""

    word: ClassVar[str] = "vectors"
    expected: ClassVar[str] = "numbers (N, F), or one for each row, (N,)"

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        return y.ndim in (1, 2) and y.size > 0 and y.dtype.kind in "fiub"

    @classmethod
    def arranged(cls, array: np.ndarray) -> np.ndarray:
        return super().arranged(array[:, None] if array.ndim == 1 else array)


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

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        return y.ndim in (2, 3) and y.size > 0 and y.dtype.kind in "fiub"

    @classmethod
    def arranged(cls, array: np.ndarray) -> np.ndarray:
        return super().arranged(array[..., None] if array.ndim == 2 else array)
