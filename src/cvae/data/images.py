"""The base of every source of images, which may be binarised.

The training set's dynamic binarisation (Salakhutdinov & Murray 2008, "On the Quantitative Analysis
of Deep Belief Networks") draws the pixels again every time that an image is used. Validation and
test pixels are drawn once, each split from a fixed seed of its own, so that every run is judged on
the same pixels.
"""

from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from cvae.batch import Items, Support
from cvae.conditions import ConditionBuilder
from cvae.data.base import PairData, SplitName
from cvae.data.rows import Rows
from cvae.errors import ArgumentError
from cvae.kinds import Image
from cvae.random import draw_binary, seed_of

Binarize = Literal["dynamic", "static", "threshold", "none"]
_STREAMS = {"val": 0, "test": 1, "train": 2}
"""Seeds of the pixels that are drawn once, for each split."""


class ImageData(PairData):
    """Serves pairs whose y is an image.

    Args:
        condition: Builder of the condition, which turns an item into (x, y).
        binarize: "dynamic" draws each pixel with its grey level as the probability, "static" does
            so once for the training images as well (Larochelle & Murray 2011, "The Neural
            Autoregressive Distribution Estimator"; the draws are others than theirs), "threshold"
            splits the grey levels in the middle, "none" leaves them as they are.
        **options: As for `PairData`.

    Raises:
        InputError: If an argument is out of its range.
    """

    def __init__(
        self, condition: ConditionBuilder, *, binarize: Binarize = "none", **options: Any
    ) -> None:
        super().__init__(condition, **options)
        if binarize not in get_args(Binarize):
            known = ", ".join(map(repr, get_args(Binarize)))
            raise ArgumentError("binarize", f"expected one of {known}, got {binarize!r}")
        self.binarize = binarize

    @property
    def image(self) -> Image:
        """What the images are like."""
        image = self.sizes.y
        assert isinstance(image, Image)
        return image

    @property
    def support(self) -> Support:
        if self.binarize != "none" or self.image.levels == 2:
            return Support.BINARY
        return Support.UNIT_INTERVAL if self.image.levels is None else Support.LEVELS

    def trained_on(self, rows: Rows) -> Rows:
        # Those that are drawn again every time stay grey until then.
        return rows if self.binarize == "dynamic" else self.judged_by(rows, "train")

    def judged_by(self, rows: Rows, split: SplitName) -> Rows:
        white = 1 if self.image.levels is None else self.image.levels - 1
        if self.binarize == "threshold":
            return rows.changed(partial(_thresholded, white=white))
        if self.binarize in ("dynamic", "static"):
            return rows.changed(partial(_drawn, white=white, stream=_STREAMS[split]))
        return rows

    def values(self, stored: Tensor) -> Tensor:
        pixels = super().values(stored)
        # What was drawn for validation and test is left alone by this.
        return draw_binary(pixels) if self.binarize == "dynamic" else pixels


def _thresholded(items: Items, index: Tensor, white: int) -> Items:
    bright = items.y > white / 2
    return items._replace(y=bright.to(items.y.dtype) * white)


def _drawn(items: Items, index: Tensor, white: int, stream: int) -> Items:
    """Draw each pixel once; whichever items are asked for, those at a place are drawn alike."""
    pixels = torch.empty_like(items.y)
    generator = torch.Generator()
    for place, grey, drawn in zip(index.tolist(), items.y, pixels, strict=True):
        generator.manual_seed(seed_of(stream, place))
        torch.lt(torch.rand(grey.shape, generator=generator) * white, grey, out=drawn)
    return items._replace(y=pixels.mul_(white))
