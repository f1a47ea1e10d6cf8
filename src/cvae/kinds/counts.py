"""y is made of counts."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from cvae.batch import Support
from cvae.kinds.numbers import LARGEST, Standard, Standardise, whole_numbers
from cvae.kinds.real import Standardised


@dataclass(frozen=True)
class Counts(Standardised):
    """Counts (F,): whole numbers from 0. Networks see log(1 + y), standardised.

    Attributes:
        average: Mean of each in the training set; `mean` and `scale` are of the logarithm of 1 + y.
    """

    word: ClassVar[str] = "counts"
    expected: ClassVar[str] = "counts (N, F): whole numbers from 0"
    support: ClassVar[Support] = Support.COUNTS

    average: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape != (len(self.average),) or not all(0 < a < LARGEST for a in self.average):
            raise ValueError("averages are above 0, one for each count")

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        known = y[~np.isnan(y)] if y.dtype.kind == "f" else y
        whole = y.dtype.kind in "iu" or (known == np.floor(known)).all()
        return bool(y.ndim in (1, 2) and known.size > 0 and whole and known.min() >= 0)

    @classmethod
    def kind_of(cls, y: np.ndarray) -> Self:
        missing, _ = whole_numbers(y)
        size = y.shape[1] if y.ndim > 1 else 1
        # Not fitted yet: as if each were 1 on average.
        return cls((size,), missing=missing, average=(1.0,) * size)

    def in_words(self) -> str:
        return f"rows of {self.sides} counts, whole numbers from 0"

    def stored(self, y: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(y, np.float64).reshape(len(y), -1))

    def fitted(self, y: Tensor) -> Self:
        average = y.double().nanmean(0).nan_to_num(0.0)
        # Of what was never seen the likelihood expects half of one in the whole set.
        least = 0.5 / len(y)
        mean, scale = Standard.of(y.log1p())
        return replace(
            self, average=tuple(average.clamp(min=least).tolist()), mean=mean, scale=scale
        )

    def encoder(self) -> nn.Module | None:
        return Logarithms(self.standard, self.missing)

    def row(self, y: Tensor) -> list[Any]:
        return [int(number) for number in y.flatten().tolist()]

    def known(self) -> dict[str, Any]:
        return super().known() | {"average": self.average}


class Logarithms(Standardise):
    """Standardises the logarithm of 1 + y."""

    def forward(self, y: Tensor) -> Tensor:
        """Map counts (..., F) to (..., F) or (..., 2 F)."""
        return super().forward(y.log1p())
