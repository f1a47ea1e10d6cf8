"""What every kind of y says of itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from cvae.batch import Shape, Support
from cvae.errors import InputError, did_you_mean

Targets = Tensor | np.ndarray | Sequence[Any] | Mapping[str, Any]
"""Targets as a user gives them, in their own units: rows, or columns by name."""
_MOST_LISTED = 30
"""Names in a line; of more there is only how many."""


def listed(names: Sequence[str]) -> str:
    """Return names in a line: the first, and how many more."""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


def plain(given: Any) -> Any:
    """Return a data frame as its columns by name, and an array as a tensor or a list of words.

    Everything else is returned as it is.

    Example:
        >>> plain(np.array([1.5, 2.5])), plain(np.array(["a", "b"])), plain("a")
        (tensor([1.5000, 2.5000], dtype=torch.float64), ['a', 'b'], 'a')
    """
    if hasattr(given, "columns"):
        return {str(name): given[name].to_numpy() for name in given.columns}
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "fiub":
            return given.tolist()
        return torch.from_numpy(np.require(given, requirements=["C", "W"]))  # else a copy
    return given


@dataclass(frozen=True)
class Target(ABC):
    """What one y is like: its shape, its values, and how networks see it.

    Attributes:
        word: How the kind is asked for: `data=WORD`.
        expected: Which arrays are of this kind, in words.
        support: The set of the values of an element.
        beside_images: Whether an x (N, H, W) beside it is images; else it is rows of numbers.
        has_steps: Whether y has steps, of which a `length` may say how many count.
        names_in_words: Whether `in_words` says the names.
        drawn_as: How a page in a browser draws it: "image", "map", "lines" or "bars"; None if it
            does not.
        shape: Shape of one y.
        names: A name for each column, or none.
        missing: Whether values may be missing; they are NaN.
    """

    word: ClassVar[str]
    expected: ClassVar[str]
    support: ClassVar[Support]
    beside_images: ClassVar[bool] = False
    has_steps: ClassVar[bool] = False
    names_in_words: ClassVar[bool] = False
    drawn_as: ClassVar[str | None] = None

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

    @abstractmethod
    def in_words(self) -> str:
        """Return what a y is, for a reader of a model's card."""

    @property
    def sides(self) -> str:
        """The shape in words, such as 28×28."""
        return "×".join(map(str, self.shape))

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
