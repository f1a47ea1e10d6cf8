"""What x can be made of: numbers, an image, a class; one of them, or several with a name each."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvae.batch import Shape
from cvae.errors import InputError, did_you_mean
from cvae.kinds.base import listed
from cvae.kinds.numbers import Standard, Standardise, one_hot, remarks_on, require_standard

_BYTE = 255


@dataclass(frozen=True)
class Part(ABC):
    """One part of x.

    Attributes:
        shape: Shape of its values, as networks take them.
        name: Its name; empty where x is this part alone.
        mean: Mean of each of its numbers, in the order of memory; empty where they are left as
            they are.
        scale: Deviation of each.
        names: A name for each number or class, or none.
    """

    shape: Shape
    name: str = ""
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_standard(self.mean, self.scale, math.prod(self.shape))
        if not all(isinstance(name, str) for name in (self.name, *self.names)):
            raise ValueError("names are texts")

    def fitted(self, stored: Tensor) -> Self:
        """Return this part with the mean and deviation of the training set's values, (N, ...)."""
        return self

    def remarks(self, stored: Tensor) -> list[str]:
        """Return what a user should know of the training set's values, a line each."""
        return []

    @abstractmethod
    def stored(self, x: np.ndarray) -> Tensor:
        """Return an array of this part, (N, ...), as it is stored."""

    def values(self, stored: Tensor) -> Tensor:
        """Return stored values as a part of x, (B, *shape), in their own units."""
        return stored if stored.is_floating_point() else stored.float()

    @abstractmethod
    def asked(self, wanted: Any) -> Tensor:
        """Return what a user asks for as values, (B, *shape).

        Raises:
            InputError: If it is no value of this part.
        """

    def words(self, values: Tensor) -> list[str]:
        """Return each of some values, (B, *shape), in words; none where they have none."""
        return []

    def farthest(self, values: Tensor) -> tuple[float, str]:
        """Return how far the farthest of some values, (B, *shape), is from the training data.

        It is in deviations from the mean of its number, with the same in words; 0 where no mean is
        known, as of classes and images.
        """
        return 0.0, ""

    def examples(self) -> str:
        """Return two values as a user asks for them."""
        return "[...]"

    def example(self) -> Any:
        """Return a value as a user asks for it in Python; None where only a tensor will do."""
        return None

    @abstractmethod
    def in_words(self) -> str:
        """Return what it is, for a reader of a model's card."""

    @property
    def sides(self) -> str:
        """The shape in words, such as 28×28."""
        return "×".join(map(str, self.shape))

    def of_columns(self, rows: Sequence[Mapping[str, str]]) -> Any:
        """Return the values of this part, for `asked`, from the rows of a table.

        Raises:
            KeyError: If a column is missing.
        """
        names = self.names or (self.name or "x",)
        return [[float(row[name]) for name in names] for row in rows]

    @property
    def called(self) -> str:
        """How messages call it."""
        return f"x.{self.name}" if self.name else "x"


@dataclass(frozen=True)
class Numbers(Part):
    """Numbers of any shape, (F,) mostly, standardised one by one."""

    def stored(self, x: np.ndarray) -> Tensor:
        single = x.dtype in (np.float32, np.float16, np.bool_)
        kept = np.float32 if single else np.float64
        return torch.from_numpy(np.ascontiguousarray(x, kept).reshape(len(x), *self.shape))

    def fitted(self, stored: Tensor) -> Self:
        return replace(self, **Standard.of(stored.flatten(1))._asdict())

    def remarks(self, stored: Tensor) -> list[str]:
        return remarks_on(self.called, stored.flatten(1), "its logarithm", self.names)

    def asked(self, wanted: Any) -> Tensor:
        try:
            known = wanted.cpu() if isinstance(wanted, Tensor) else wanted
            rows = torch.from_numpy(np.array(known, np.float64))
        except (TypeError, ValueError):
            raise InputError(f"{self.called}: expected numbers, got {wanted!r}") from None
        if not rows.isfinite().all():
            raise InputError(f"{self.called}: expected finite numbers, got {wanted!r}")
        if rows.shape[max(0, rows.dim() - len(self.shape)) :] == self.shape:
            return rows.reshape(-1, *self.shape)
        if self.shape == (1,):
            return rows.reshape(-1, 1)
        raise InputError(
            f"{self.called}: expected {_shaped(self.shape)}, got {_shaped(tuple(rows.shape))}"
        )

    def farthest(self, values: Tensor) -> tuple[float, str]:
        if not (self.mean and len(values)):
            return 0.0, ""
        flat = values.flatten(1).double().cpu()
        mean, scale = Standard(self.mean, self.scale).tensors()
        distances = ((flat - mean) / scale).abs()
        row, place = divmod(int(distances.argmax()), len(mean))
        distance, several = distances[row, place].item(), len(mean) > 1
        name = f"{self.name or 'x'}[{place}]" if several else self.name or "x"
        name = self.names[place] if self.names and several else name
        return distance, (
            f"{name}={flat[row, place]:.6g} is far from the training data, {distance:.3g} "
            f"deviations from their mean, {mean[place]:.3g}"
        )

    def examples(self) -> str:
        if self.shape != (1,) or not self.mean:
            return "[...]"
        (mean,), (scale,) = self.mean, self.scale
        return f"[{mean - scale:.2g}, {mean + scale:.2g}]"

    def example(self) -> Any:
        means = [float(f"{mean:.3g}") for mean in self.mean or (0.0,) * math.prod(self.shape)]
        return means[0] if self.shape == (1,) else means

    def in_words(self) -> str:
        if self.shape == (1,) and self.mean:
            return f"a number, of mean {self.mean[0]:.3g} and deviation {self.scale[0]:.3g}"
        return f"{self.sides} numbers{f': {listed(self.names)}' if self.names else ''}"

    def words(self, values: Tensor) -> list[str]:
        if math.prod(self.shape) > 3:
            return []
        rows = values.flatten(1).tolist()
        return [", ".join(f"{number:.6g}" for number in row) for row in rows]


@dataclass(frozen=True)
class Picture(Part):
    """An image (C, H, W), pixels in [0, 1]; others are standardised channel by channel.

    Attributes:
        white: What 1 is stored as.
    """

    white: int = 1

    def stored(self, x: np.ndarray) -> Tensor:
        kept = np.float32 if self.white == 1 else np.uint8 if self.white <= _BYTE else np.int32
        return torch.from_numpy(np.ascontiguousarray(x, kept).reshape(len(x), *self.shape))

    def fitted(self, stored: Tensor) -> Self:
        if self.white > 1 or (stored.min() >= 0 and stored.max() <= 1):
            return self
        pixels = math.prod(self.shape[1:])
        mean, scale = Standard.of(stored.movedim(1, -1))
        return replace(
            self,
            mean=tuple(m for m in mean for _ in range(pixels)),
            scale=tuple(s for s in scale for _ in range(pixels)),
        )

    def values(self, stored: Tensor) -> Tensor:
        return stored.float() / self.white if self.white > 1 else stored.float()

    def asked(self, wanted: Any) -> Tensor:
        if isinstance(wanted, str):
            wanted = self._file(wanted)
        pixels = torch.as_tensor(wanted) if isinstance(wanted, Tensor | np.ndarray) else None
        if pixels is None or pixels.shape[-3:] != self.shape:
            came = repr(wanted) if pixels is None else f"shape {tuple(pixels.shape)}"
            raise InputError(f"{self.called}: expected images of shape {self.shape}, got {came}")
        return self.values(pixels.reshape(-1, *self.shape))

    def in_words(self) -> str:
        return f"an image of {self.sides} (channels × height × width)"

    def _file(self, name: str) -> Tensor:
        """Return the pixels of an image file, (C, H, W), as they are stored."""
        try:
            with Image.open(name) as image:
                pixels = np.asarray(image.convert("L" if self.shape[0] == 1 else "RGB"))
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"{self.called}: '{name}' cannot be read as an image ({reason})"
            ) from error
        channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(channels_first / 255 * self.white).float()


@dataclass(frozen=True)
class Category(Part):
    """A class, one-hot, (C,); `names` are those of the classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != 1 or (self.names and len(self.names) != self.shape[0]):
            raise ValueError(f"{len(self.names)} names for classes of shape {self.shape}")

    def stored(self, x: np.ndarray) -> Tensor:
        numbers = np.searchsorted(np.array(self.names), x) if x.dtype.kind == "U" else x
        return torch.from_numpy(numbers.astype(np.int64))

    def values(self, stored: Tensor) -> Tensor:
        return one_hot(stored, *self.shape)

    def asked(self, wanted: Any) -> Tensor:
        if isinstance(wanted, Tensor) and wanted.shape[1:] == self.shape:
            return wanted.float()
        if isinstance(wanted, Tensor | np.ndarray):
            wanted = wanted.tolist()  # Python's own numbers and texts
        many = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
        return self.values(torch.tensor([self._number(one) for one in many]))

    def example(self) -> Any:
        return self.names[0] if self.names else 0

    def in_words(self) -> str:
        return f"a class: {listed(self.names or [str(k) for k in range(self.shape[0])])}"

    def examples(self) -> str:
        return json.dumps(list(self.names[:2]) or [0, min(1, self.shape[0] - 1)])

    def of_columns(self, rows: Sequence[Mapping[str, str]]) -> Any:
        column = [row[self.name or "x"] for row in rows]
        return column if self.names else [int(word) for word in column]

    def _number(self, wanted: Any) -> int:
        for word in (str(wanted), str(wanted).lower()):
            if word in self.names:
                return self.names.index(word)
        if not self.names and isinstance(wanted, str) and wanted.isdecimal():
            wanted = int(wanted)
        if self.names and type(wanted) is not int:
            hint = did_you_mean(str(wanted), self.names)
            raise InputError(f"{self.called}: no class is called '{wanted}'{hint}")
        if type(wanted) is not int or not 0 <= wanted < self.shape[0]:
            raise InputError(
                f"{self.called}: expected classes from 0 to {self.shape[0] - 1}, got {wanted}"
            )
        return wanted

    def words(self, values: Tensor) -> list[str]:
        return [self.names[k] if self.names else str(k) for k in values.argmax(1).tolist()]


PARTS: dict[str, type[Part]] = {part.__name__: part for part in (Numbers, Picture, Category)}


def of_shape(shape: Shape) -> Part:
    """Return the part of values of a shape, which are left as they are."""
    return Picture(shape) if len(shape) == 3 else Numbers(shape)


class PartsEncoder(Standardise):
    """Takes x apart, and standardises each part.

    Args:
        parts: The parts, in their order.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        sizes = [math.prod(part.shape) for part in parts]
        mean = [m for p, n in zip(parts, sizes, strict=True) for m in p.mean or n * (0.0,)]
        scale = [s for p, n in zip(parts, sizes, strict=True) for s in p.scale or n * (1.0,)]
        super().__init__(Standard(tuple(mean), tuple(scale)))
        self.sizes = sizes
        flat = all(len(part.shape) == 1 for part in parts)
        self.shapes: list[Shape] = [(sum(sizes),)] if flat else [p.shape for p in parts]
        """Shape of each tensor that `forward` returns: of one vector if all parts are vectors."""

    def forward(self, x: Tensor) -> list[Tensor]:  # type: ignore[override]
        """Map x, (..., F) of all parts, or (..., *shape) of a single one, to the tensors."""
        if len(self.sizes) == 1:
            x = x.flatten(-len(self.shapes[0]))
        h = super().forward(x)
        if len(self.shapes) == 1:
            return [h.unflatten(-1, self.shapes[0])]
        parts = h.split(self.sizes, -1)
        return [part.unflatten(-1, shape) for part, shape in zip(parts, self.shapes, strict=True)]


def _shaped(shape: Shape) -> str:
    if len(shape) > 1:
        return f"shape {shape}"
    return "one number" if shape in ((), (1,)) else f"{shape[0]} numbers"
