"""What every kind of y says of itself."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from cvae.batch import Shape, Support
from cvae.errors import InputError, did_you_mean

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
        return torch.tensor(self.mean, dtype=torch.float64), torch.tensor(
            self.scale, dtype=torch.float64
        )


def require_standard(mean: Sequence[float], scale: Sequence[float], size: int) -> None:
    """Raise a `ValueError` unless there are as many means and deviations as numbers, or none."""
    if len(mean) != len(scale) or len(mean) not in (0, size):
        raise ValueError(f"{len(mean)} means and {len(scale)} deviations for {size} numbers")
    if not all(map(math.isfinite, (*mean, *scale))) or not all(one > 0 for one in scale):
        raise ValueError("means are finite, and deviations above 0")


Targets = Tensor | np.ndarray | Sequence[Any] | Mapping[str, Any]
"""Targets as a user gives them, in their own units: rows, or columns by name."""


def plain(given: Any) -> Any:
    """Return a data frame as its columns by name, and an array as a tensor or a list of words.

    Everything else is returned as it is.
    """
    if hasattr(given, "columns"):
        return {str(name): given[name].to_numpy() for name in given.columns}
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "fiub":
            return given.tolist()
        return torch.from_numpy(np.require(given, requirements=["C", "W"]))  # else a copy
    return given


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


@dataclass(frozen=True)
class Target(ABC):
    """What one y is like: its shape, its values, and how networks see it.

    Attributes:
        word: How the kind is asked for: `data=WORD`.
        expected: Which arrays are of this kind, in words.
        support: The set of the values of an element.
        beside_images: Whether an x (N, H, W) beside it is images; else it is rows of numbers.
        has_steps: Whether y has steps, of which a `length` may say how many count.
        shape: Shape of one y.
        names: A name for each column, or none.
        missing: Whether values may be missing; they are NaN.
    """

    word: ClassVar[str]
    expected: ClassVar[str]
    support: ClassVar[Support]
    beside_images: ClassVar[bool] = False
    has_steps: ClassVar[bool] = False

    shape: Shape
    names: tuple[str, ...] = ()
    missing: bool = False

    @classmethod
    @abstractmethod
    def fits(cls, y: np.ndarray) -> bool:
        """Return whether an array, (N, ...), is of this kind."""

    @classmethod
    @abstractmethod
    def kind_of(cls, y: np.ndarray) -> Self:
        """Return the kind that an array of targets, (N, ...), is of.

        Raises:
            ValueError: If it is of none; the message says why.
        """

    def merged(self, other: Self) -> Self:
        """Return the kind of these targets and those of another description together."""
        return replace(self, missing=self.missing or other.missing)

    @abstractmethod
    def stored(self, y: np.ndarray) -> Tensor:
        """Return an array of targets of this kind, (N, ...), as it is stored."""

    def fitted(self, y: Tensor) -> Self:
        """Return this kind with what it has to know of the training targets, (N, ...)."""
        return self

    def remarks(self, y: Tensor) -> list[str]:
        """Return what a user should know of the training targets, (N, ...), a line each."""
        missing = int(y.isnan().sum()) if self.missing else 0
        return [f"y: {missing} of {y.numel()} values are missing, and left out"] if missing else []

    def values(self, stored: Tensor) -> Tensor:
        """Return stored values as y, (B, *shape), real numbers in their own units."""
        return stored if stored.is_floating_point() else stored.float()

    def asked(self, given: Targets) -> Tensor:
        """Return targets that a user gives as y, (B, *shape).

        Raises:
            InputError: If they are no numbers, or a column is missing or unknown.
        """
        if isinstance(given, Tensor):
            return given
        if isinstance(given, Mapping):
            known = self.columns()
            for name in (*given, *known):
                if name not in known:
                    raise InputError(f"y: no column is called '{name}'{did_you_mean(name, known)}")
                if name not in given:
                    raise InputError(f"y: column '{name}' is missing; y has {', '.join(known)}")
            rows = [self.of_column(place, given[name]) for place, name in enumerate(known)]
            return self.asked(torch.stack(rows, -1).reshape(-1, *self.shape))
        try:
            return torch.as_tensor(given)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                f"y: expected numbers of shape (B, {self.shape}), got {given!r:.80}"
            ) from None

    def of_column(self, place: int, column: Any) -> Tensor:
        """Return the numbers, (B,), of the column in a place, as a user gives it."""
        try:
            return torch.from_numpy(np.array(column, np.float64).reshape(-1))
        except (TypeError, ValueError):
            name = self.columns()[place]
            raise InputError(
                f"y: expected numbers in column '{name}', got {column!r:.80}"
            ) from None

    @property
    def laid_out(self) -> Shape:
        """The shape as networks see it: (F,) numbers, (T, F) a sequence, (C, H, W) an image."""
        return self.shape

    @property
    def features(self) -> Shape:
        """Shape of what `encoder` gives."""
        return self.shape

    def encoder(self) -> nn.Module | None:
        """Return what maps y, (..., *shape), to `features` for a network; None where it is y."""
        return None

    def numbers(self, y: Tensor) -> Tensor:
        """Return y, (..., *shape), as numbers (..., F) whose distances mean something.

        They are what `encoder` gives: real numbers and logarithms of counts in deviations, a 1 for
        each category, pixels as they are, and 0 where a value is missing.
        """
        encoder = self.encoder()
        numbers = y if encoder is None else encoder(y)
        return numbers.flatten(y.dim() - len(self.shape)).float()

    def pseudo(self, free: Tensor) -> Tensor:
        """Map any numbers, (..., *features), to such as `encoder` gives."""
        return free

    def known(self) -> dict[str, Any]:
        """Return what a likelihood may ask for by these names."""
        return {"missing": self.missing}

    def within(self, y: Tensor) -> Tensor:
        """Return drawn values, moved to the nearest ones that a y can have."""
        return y

    def row(self, y: Tensor) -> list[Any]:
        """Return the numbers of one y, (*shape), as a table holds them, one for each column."""
        return y.flatten().tolist()

    def columns(self) -> list[str]:
        """Return a name for each number of y, in their order."""
        if self.names and len(self.names) == np.prod(self.shape):
            return list(self.names)
        return [f"y{''.join(f'_{i}' for i in index)}" for index in np.ndindex(*self.shape)]


@dataclass(frozen=True)
class Real(Target):
    """Real numbers, the last dimension of which is standardised.

    Attributes:
        mean: Mean of each number of the training set; empty where they are left as they are.
        scale: Its deviation.
    """

    support: ClassVar[Support] = Support.REAL

    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_standard(self.mean, self.scale, self.shape[-1] if self.shape else 0)

    @property
    def standard(self) -> Standard | None:
        """Mean and deviation, or None where numbers are left as they are."""
        return Standard(self.mean, self.scale) if self.mean else None

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

    @property
    def features(self) -> Shape:
        *rest, last = self.shape
        return (*rest, 2 * last) if self.missing else self.shape

    def encoder(self) -> nn.Module | None:
        return Standardise(self.standard, self.missing)

    def known(self) -> dict[str, Any]:
        return super().known() | {"standard": self.standard}


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
