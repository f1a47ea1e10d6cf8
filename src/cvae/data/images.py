"""The base of every source of images, which may be binarised.

The training set's dynamic binarisation (Salakhutdinov & Murray 2008, "On the Quantitative Analysis
of Deep Belief Networks") draws the pixels again every time that an image is used. Validation and
test pixels are drawn once, from a fixed seed, so that every run is judged on the same pixels.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from cvae.batch import Items, Support
from cvae.conditions import ConditionBuilder
from cvae.data.base import PairData
from cvae.errors import ArgumentError
from cvae.kinds import Image
from cvae.random import draw_binary

Binarize = Literal["dynamic", "threshold", "none"]
_EVALUATION_SEED = 0


class ImageData(PairData):
    """Serves pairs whose y is an image.

    Args:
        condition: Builder of the condition, which turns an item into (x, y).
        binarize: "dynamic" draws each pixel with its grey level as the probability, "threshold"
            splits the grey levels in the middle, "none" leaves them as they are.
        **options: As for `PairData`.

    Raises:
        InputError: If an argument is out of its range.
    """

    def __init__(
        self, condition: ConditionBuilder, *, binarize: Binarize = "none", **options: Any
    ) -> None:
        super().__init__(condition, **options)
        if binarize not in ("dynamic", "threshold", "none"):
            raise ArgumentError(
                "binarize", f"expected 'dynamic', 'threshold' or 'none', got {binarize!r}"
            )
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

    def trained_on(self, items: Items) -> Items:
        if self.binarize != "threshold":
            return items
        white = items.y > self._white / 2
        return items._replace(y=white.to(items.y.dtype) * self._white)

    def judged_by(self, items: Items) -> Items:
        if self.binarize != "dynamic":
            return self.trained_on(items)
        generator = torch.Generator().manual_seed(_EVALUATION_SEED)
        drawn = torch.bernoulli(items.y.float() / self._white, generator=generator)
        return items._replace(y=drawn.to(items.y.dtype) * self._white)

    def values(self, stored: Tensor) -> Tensor:
        pixels = super().values(stored)
        # What was drawn for validation and test is left alone by this.
        return draw_binary(pixels) if self.binarize == "dynamic" else pixels

    @property
    def _white(self) -> int:
        """The number of the highest grey level."""
        return 1 if self.image.levels is None else self.image.levels - 1
