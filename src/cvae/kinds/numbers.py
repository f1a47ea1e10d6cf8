"""Numbers of x and of y: their mean and deviation, and what is out of the ordinary about them."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

LARGEST = 1e30
"""Numbers beyond which squares leave single precision."""


class Standard(NamedTuple):
    """Mean and deviation of each of F numbers, by which they are standardised."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, values: Tensor) -> Self:
        """Return those of the last dimension of values, (..., F), where they are not missing.

        A number that never changes keeps its scale, 1.
        """
        rows = values.double().reshape(-1, values.shape[-1])
        mean = rows.nanmean(0)
        scale = (rows - mean).square().nanmean(0).sqrt()
        # What is left of a constant is rounding.
        constant = ~(scale > 1e-12 * rows.nan_to_num().abs().amax(0))
        scale = torch.where(constant, 1.0, scale)
        return cls(tuple(mean.nan_to_num().tolist()), tuple(scale.tolist()))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return both as tensors in double precision, (F,) each."""
        mean, scale = (torch.tensor(part, dtype=torch.float64) for part in self)
        return mean, scale


def require_standard(mean: Sequence[float], scale: Sequence[float], size: int) -> None:
    """Raise a `ValueError` unless there are as many means and deviations as numbers, or none."""
    if len(mean) != len(scale) or len(mean) not in (0, size):
        raise ValueError(f"{len(mean)} means and {len(scale)} deviations for {size} numbers")
    if not all(map(math.isfinite, (*mean, *scale))) or not all(one > 0 for one in scale):
        raise ValueError("means are finite, and deviations above 0")


class Standardise(nn.Module):
    """Takes off the mean and divides by the deviation, and says which values are missing.

    Args:
        standard: Mean and deviation of the last dimension; None leaves values as they are.
        missing: Whether values may be missing: then 0 is put in their place, and for each value
            follows a 1, or a 0 if it is missing.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, standard: Standard | None, missing: bool = False) -> None:
        super().__init__()
        mean, scale = (standard or Standard((0.0,), (1.0,))).tensors()
        # The description of the data holds them; in double precision, for years and prices.
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.missing = missing

    def forward(self, y: Tensor) -> Tensor:
        """Map values (..., F) to (..., F) or (..., 2 F) in single precision."""
        h = ((y - self.mean) / self.scale).float()
        if not self.missing:
            return h
        return torch.cat((h.nan_to_num(0.0), (~h.isnan()).float()), -1)


def whole_numbers(y: np.ndarray) -> tuple[bool, int]:
    """Return whether any of whole numbers from 0 are missing, and the largest one.

    Raises:
        ValueError: If there are others among them.
    """
    known = y[~np.isnan(y)] if y.dtype.kind == "f" else y
    if known.size and (known.min() < 0 or (known != np.floor(known)).any()):
        raise ValueError("it holds numbers that are not whole, or below 0")
    return known.size < y.size, int(known.max(initial=0))


def one_hot(numbers: Tensor, count: int) -> Tensor:
    """Return numbers from 0, (...), as one-hot rows (..., count), all 0 where they are missing.

    torch's own function waits for the device to say what the largest number is.
    """
    return (numbers.unsqueeze(-1) == torch.arange(count, device=numbers.device)).float()


_FAR = 30.0
"""Distance from the median, in those between the quartiles, that is out of the ordinary."""
_QUARTILES_OF = 100_000
"""Rows, evenly spaced, that the quartiles are taken of."""


def remarks_on(called: str, values: Tensor, bears: str, names: Sequence[str] = ()) -> list[str]:
    """Return what is out of the ordinary about numbers: constants, and values far from the others.

    Args:
        called: How messages call them, "x" or "y".
        values: The numbers, (..., F), NaN where they are missing.
        bears: What bears values far from the others.
        names: A name for each of the F, or none.
    """
    rows = values.double().reshape(-1, values.shape[-1])
    some = rows[:: -(-len(rows) // _QUARTILES_OF)]
    low, median, high = some.nanquantile(torch.tensor([0.25, 0.5, 0.75]).double(), 0)
    constant = (rows == rows.nan_to_num(-torch.inf).amax(0)).logical_or(rows.isnan())
    farthest, place = ((rows - median) / (high - low)).nan_to_num(0.0, 0.0, 0.0).abs().max(0)

    def column(index: int) -> str:
        return f"'{names[index]}'" if names else str(index)

    found = []
    never = [column(i) for i in constant.all(0).nonzero()[:, 0].tolist()]
    if never:
        more = f" and {len(never) - 5} more" if len(never) > 5 else ""
        found.append(f"{called}: column {', '.join(never[:5])}{more} never changes")
    index = int(farthest.argmax())
    if farthest[index] > _FAR and not constant.all(0)[index]:
        value = rows[place[index], index].item()
        found.append(
            f"{called}: {value:.6g} in column {column(index)} is far from the median "
            f"{median[index]:.6g}, {farthest[index]:.0f} times the distance between the quartiles; "
            f"if it is meant, {bears} bears it"
        )
    return found
