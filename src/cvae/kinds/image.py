"""y is an image."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from cvae.batch import Support
from cvae.kinds.base import Target

_BYTE, _SHORT = 255, 65_535


@dataclass(frozen=True)
class Image(Target):
    """An image (C, H, W), pixels in [0, 1].

    Attributes:
        levels: Number of grey levels, evenly from 0 to 1, by whose numbers pixels are stored; None
            where they are stored as real numbers.
    """

    word: ClassVar[str] = "arrays"
    expected: ClassVar[str] = (
        "images (N, H, W) or (N, C, H, W), channels first, whole numbers from 0 to 255 or 65535 "
        "or real ones from 0 to 1; where channels come last, use y.transpose(0, 3, 1, 2)"
    )
    support: ClassVar[Support] = Support.BINARY  # the least that binarising gives
    beside_images: ClassVar[bool] = True
    drawn_as: ClassVar[str | None] = "image"

    levels: int | None = 256

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        image = y.ndim == 3 or (
            y.ndim == 4 and (y.shape[1] in (1, 3) or y.shape[1] < min(y.shape[2:]))
        )
        most = 1 if y.dtype.kind == "f" else _SHORT
        return bool(image and 0 not in y.shape and y.min() >= 0 and y.max() <= most)

    @classmethod
    def kind_of(cls, y: np.ndarray) -> Self:
        whole = y.dtype.kind != "f"
        if not np.isfinite(y).all():
            raise ValueError("it holds NaN or infinite numbers; remove them")
        if y.min() < 0 or y.max() > (_SHORT if whole else 1):
            raise ValueError(f"it has pixels from {y.min():g} to {y.max():g}")
        levels = None
        if ((y == 0) | (y == 1)).all():
            levels = 2
        elif whole:
            levels = 1 + (_SHORT if y.max() > _BYTE else _BYTE)
        return cls(_with_channels(y).shape[1:], levels=levels)

    def in_words(self) -> str:
        levels = f", {self.levels} levels of a pixel" if self.levels else ""
        return f"images of {self.sides} (channels × height × width), pixels in 0 to 1{levels}"

    def merged(self, other: Self) -> Self:
        levels = [self.levels, other.levels]
        return replace(self, levels=None if None in levels else max(filter(None, levels)))

    def stored(self, y: np.ndarray) -> Tensor:
        kept: type = np.float32
        if self.levels is not None:
            kept = np.uint8 if self.levels <= _BYTE + 1 else np.int32
        return torch.from_numpy(np.ascontiguousarray(_with_channels(y), kept))

    def values(self, stored: Tensor) -> Tensor:
        pixels = stored.float()
        return pixels if self.levels is None else pixels.div_(self.levels - 1)

    def pseudo(self, free: Tensor) -> Tensor:
        return free.sigmoid()

    def known(self) -> dict[str, Any]:
        return super().known() | {"levels": self.levels}

    def within(self, y: Tensor) -> Tensor:
        return y.clamp_(0, 1)


def _with_channels(y: np.ndarray) -> np.ndarray:
    return y[:, None] if y.ndim == 3 else y
