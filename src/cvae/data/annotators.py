"""Segmentation with several annotators, simulated on real digits, so that the true p(y|x) is known.

x is a noisy grey image of a digit; y is the mask that one of four annotators draws around its
strokes. Each annotator has a habit. The process, for an image g of MNIST:

1. Its strokes are s = [g > 1/4].
2. x = 1/4 + s / 2 + noise * u, u uniform over [-1, 1], rounded to 256 levels.
3. An annotator is drawn, each with probability 1/4:
   "generous" draws every pixel within one pixel of s (s dilated by 3x3),
   "sparing" omits the upper and left edge (s eroded by 2x2),
   "shifted" draws s two pixels to the right and one down,
   "thick" misses thin strokes (s opened by a cross of five pixels: eroded, then dilated).

With noise below 1/4, s = [x > 1/2]: all annotators see the same strokes, and p(y|x) is exactly four
masks of equal weight. To choose one of an image's four references at random is to draw from p(y|x),
and no model has a lower expected energy distance than these draws.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from cvae.batch import Items
from cvae.conditions import ConditionBuilder
from cvae.data.mnist import MNIST
from cvae.data.rows import InMemory
from cvae.errors import ArgumentError, require_at_least
from cvae.kinds import Image, Sizes
from cvae.kinds.parts import Picture

_NOISE_SEEDS = {True: 1, False: 2}
_HALF_CONTRAST = 0.25


class Annotators(MNIST):
    """Noisy digits as conditions, masks by four annotators as targets, the annotator as label.

    Every image comes four times, with each annotator's mask in turn.

    Args:
        condition: Builder of the condition.
        noise: Largest deviation of a pixel, for pixels in [0, 1].
        train_images: Number of images to train and validate on.
        test_images: Number of images to test on.
        **options: As for `MNIST`.

    Raises:
        InputError: If an argument is out of its range.
    """

    sizes = Sizes(
        Image((1, 28, 28), levels=2),
        4,
        (Picture((1, 28, 28), white=255),),
        ("generous", "sparing", "shifted", "thick"),
    )

    def __init__(
        self,
        condition: ConditionBuilder,
        *,
        noise: float = 0.2,
        train_images: int = 10_000,
        test_images: int = 1_000,
        **options: Any,
    ) -> None:
        super().__init__(condition, **options)
        if not 0 <= noise < _HALF_CONTRAST:
            raise ArgumentError(
                "noise",
                f"expected a number from 0 to below {_HALF_CONTRAST}, where strokes "
                f"can still be distinguished from paper, got {noise}",
            )
        require_at_least("train_images", train_images, 2)
        require_at_least("test_images", test_images, 1)
        self.noise = noise
        self.images = {True: train_images, False: test_images}

    def read(self, train: bool) -> InMemory:
        grey = super().read(train).items.y[: self.images[train]]
        generator = torch.Generator().manual_seed(_NOISE_SEEDS[train])
        strokes = grey > _HALF_CONTRAST * 255
        noise = self.noise * (2 * torch.rand(grey.shape, generator=generator) - 1)
        given = ((_HALF_CONTRAST + strokes / 2 + noise) * 255).round().to(torch.uint8)
        masks = annotated(strokes).to(torch.uint8)
        return InMemory(
            Items(
                masks.transpose(0, 1).flatten(0, 1),
                torch.arange(len(masks)).repeat(len(grey)),
                (given.repeat_interleave(len(masks), 0),),
            )
        )


def annotated(strokes: Tensor) -> Tensor:
    """Return the four annotators' masks, bool (4, N, 1, H, W), of strokes, bool (N, 1, H, W)."""
    s = strokes.float()
    generous = max_pool2d(s, 3, stride=1, padding=1)
    sparing = 1 - max_pool2d(pad(1 - s, (1, 0, 1, 0)), 2, stride=1)
    shifted = pad(s, (2, -2, 1, -1))
    thick = _dilated_by_cross(1 - _dilated_by_cross(1 - s))
    return torch.stack((generous, sparing, shifted, thick)) > 0.5


def _dilated_by_cross(mask: Tensor) -> Tensor:
    upright = max_pool2d(mask, (3, 1), stride=1, padding=(1, 0))
    return torch.maximum(upright, max_pool2d(mask, (1, 3), stride=1, padding=(0, 1)))
