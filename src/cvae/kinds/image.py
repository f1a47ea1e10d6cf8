"""y is an image."""

from collections.abc import Mapping
from dataclasses import dataclass
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
        "images (N, H, W) or (N, C, H, W) of 1 or 3 channels, whole numbers from 0 to 255 or 65535 "
        "or real ones from 0 to 1; where channels come last, use y.transpose(0, 3, 1, 2)"
    )
    support: ClassVar[Support] = Support.BINARY  # the least that binarising gives
    beside_images: ClassVar[bool] = True

    levels: int | None = 256

    @classmethod
    def fits(cls, y: np.ndarray) -> bool:
        image = y.ndim == 3 or (y.ndim == 4 and y.shape[1] in (1, 3))
        most = 1 if y.dtype.kind == "f" else _SHORT
        return bool(image and 0 not in y.shape and y.min() >= 0 and y.max() <= most)

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray]) -> tuple[Self, dict[str, Tensor]]:
        whole = arrays[""].dtype.kind != "f"
        for array in arrays.values():
            if not np.isfinite(array).all():
                raise ValueError("it holds NaN or infinite numbers; remove them")
            if array.min() < 0 or array.max() > (_SHORT if whole else 1):
                raise ValueError(f"it has pixels from {array.min():g} to {array.max():g}")
        if all(((array == 0) | (array == 1)).all() for array in arrays.values()):
            levels: int | None = 2
            kept: type = np.uint8
        elif whole:
            short = any(array.max() > _BYTE for array in arrays.values())
            levels, kept = (_SHORT + 1, np.int32) if short else (_BYTE + 1, np.uint8)
        else:
            levels, kept = None, np.float32
        stored: dict[str, np.ndarray] = {
            split: _with_channels(array).astype(kept) for split, array in arrays.items()
        }
        tensors = {split: torch.from_numpy(array) for split, array in stored.items()}
        return cls(stored[""].shape[1:], levels=levels), tensors

    def values(self, stored: Tensor) -> Tensor:
        pixels = stored.float()
        return pixels if self.levels is None else pixels.div_(self.levels - 1)

    def pseudo(self, free: Tensor) -> Tensor:
        return free.sigmoid()

    def known(self) -> dict[str, Any]:
        return super().known() | {"levels": self.levels}

    def within(self, y: Tensor) -> Tensor:
        return y.clamp_(0, 1)


def _with_channels(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[:, None] if array.ndim == 3 else array)
