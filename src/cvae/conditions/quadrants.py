"""x is a part of the image, y the rest."""

from dataclasses import replace

import torch
from torch import Tensor

from cvae.batch import Batch, Items, Shape
from cvae.conditions.base import Condition
from cvae.errors import ArgumentError, InputError
from cvae.kinds import Image, Sizes

_UNSEEN = 0.5


class QuadrantsCondition(Condition):
    """x is the visible quadrants of an image, y the pixels of the hidden ones.

    The structured prediction of Sohn, Lee & Yan 2015, section 5.1. One visible quadrant is the
    lower left, two are the left half, and three leave the lower right hidden.

    x is an image of C + 1 channels: the visible pixels, 0 where they are hidden, and the mask, 1
    where they are visible. y is a vector of the hidden pixels alone, channel by channel, row by
    row: a visible pixel is not predicted, and does not count.

    Args:
        sizes: Shapes and classes of the data set's items.
        visible: Number of visible quadrants, 1 to 3.

    Raises:
        InputError: If `visible` is not 1, 2 or 3, or the images have a single row or column.
    """

    def __init__(self, sizes: Sizes, visible: int = 1) -> None:
        super().__init__(sizes)
        if visible not in (1, 2, 3):
            raise ArgumentError("visible", f"expected 1, 2 or 3 quadrants, got {visible}")
        if not isinstance(sizes.y, Image):
            raise InputError(
                "condition: quadrants are of an image, and y is no image; choose condition=given "
                "or none"
            )
        self.image_shape = tuple(sizes.y.shape)
        channels, height, width = self.image_shape
        if min(height, width) < 2:
            raise InputError(f"condition: images of {height}x{width} pixels have no quadrants")
        # On the CPU even if a model is built on the meta device, where its shapes are checked.
        seen = torch.zeros(height, width, dtype=torch.bool, device="cpu")
        seen[height // 2 :, : width // 2] = True
        if visible > 1:
            seen[: height // 2, : width // 2] = True
        if visible > 2:
            seen[: height // 2, width // 2 :] = True
        self.seen = seen
        self.hidden = (~seen).flatten().nonzero()[:, 0]
        self.x_shape: Shape = (channels + 1, height, width)
        self.target = replace(sizes.y, shape=(channels * int((~seen).sum()),))

    def __call__(self, items: Items) -> Batch:
        images = items.y
        mask = self.seen.to(images).expand(len(images), 1, -1, -1)
        hidden = images.flatten(2).index_select(2, self.hidden.to(images.device))
        return Batch(torch.cat((images * mask, mask), 1), hidden.flatten(1))

    def whole(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the visible pixels of x and the hidden y in one image, (..., B, C, H, W)."""
        channels = self.image_shape[0]
        images = x[..., :channels, :, :].expand(*y.shape[:-1], *self.image_shape).flatten(-2)
        hidden = y.unflatten(-1, (channels, -1)).to(images.dtype)
        return images.index_copy(-1, self.hidden.to(x.device), hidden).unflatten(
            -1, self.image_shape[1:]
        )

    def shown(self, x: Tensor) -> Tensor:
        """Return the visible pixels, and a middle grey in place of the hidden, (B, C, H, W)."""
        visible, mask = x[..., :-1, :, :], x[..., -1:, :, :]
        return visible * mask + _UNSEEN * (1 - mask)
