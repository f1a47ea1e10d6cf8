"""x is what the data set gives."""

import torch
from torch import Tensor

from cvae.batch import Batch, Items, Sizes
from cvae.conditions.base import Condition, one_hot, require_classes
from cvae.errors import InputError


class GivenCondition(Condition):
    """x is what the data set gives with each image y: numbers, or the image that y is a mask of.

    Raises:
        InputError: If the data set gives nothing.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.x_shape = self.given_shape = tuple(sizes.given_shape)
        if sizes.given_shape == (0,):
            raise InputError(
                "condition: no condition comes with the images of this data set; choose "
                "condition=label, quadrants or none"
            )

    def __call__(self, items: Items) -> Batch:
        return Batch(items.given.to(items.images.dtype), items.images)

    def shown(self, x: Tensor) -> Tensor | None:
        if len(self.given_shape) != 3 or self.given_shape[0] not in (1, 3):
            return None
        return x[..., : self.given_shape[0], :, :].clamp(0, 1)


class LabelAndGivenCondition(GivenCondition):
    """x is what the data set gives, and the one-hot label with it.

    The label is a plane per class behind an image's channels, one of them 1 and the others 0, and
    behind the numbers of anything else, which is flattened.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        require_classes(sizes)
        self.num_classes = sizes.num_classes
        if len(self.given_shape) == 3:
            channels, *size = self.given_shape
            self.x_shape = (channels + sizes.num_classes, *size)
        else:
            self.x_shape = (torch.Size(self.given_shape).numel() + sizes.num_classes,)

    def __call__(self, items: Items) -> Batch:
        x, y = super().__call__(items)
        label = one_hot(items.labels, self.num_classes)
        if len(self.given_shape) == 3:
            planes = label[..., None, None].expand(*label.shape, *self.given_shape[1:])
            return Batch(torch.cat((x, planes), 1), y)
        return Batch(torch.cat((x.flatten(1), label), 1), y)
