"""x is the condition that comes with each image of the data set."""

import torch
from torch import Tensor

from cvae.batch import Batch, Items, Sizes
from cvae.conditions.base import Condition, one_hot, require_classes
from cvae.errors import InputError


class GivenCondition(Condition):
    """x comes with each image y in the data set: numbers, or the image that y is a mask of.

    Raises:
        InputError: If no condition comes with the images.
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
    """x is the condition that comes with each image, followed by the one-hot label.

    If the condition is an image, the label is appended as one plane per class, the class's own
    filled with 1 and the others with 0. Anything else is flattened, and the one-hot row appended.

    Raises:
        InputError: If no condition comes with the images, or there is one class only.
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
