"""Convolutional networks."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cvae.batch import Shape
from cvae.errors import InputError, require_at_least, require_between
from cvae.model.networks.mlp import MLP, linear

_GROUPS = 4


class Conv(nn.Module):
    """Convolutional network for images of any size, a U-Net if both input and output are images.

    Input images are stacked along their channels and halved `depth` times, with two convolutions
    at each size. Other inputs, such as z or a one-hot label, scale and shift the features (Perez
    et al. 2018, "FiLM"). For an output image the features are enlarged again through the same
    sizes, and joined at each size with the features of the input (skip connections, Ronneberger
    et al. 2015, "U-Net"). Any other output is computed from the smallest features. Without an
    image among inputs and output, it is an `MLP`.

    Args:
        in_shapes: Shape of each input without its leading dimensions; (C, H, W) is an image.
        out_shape: Shape of the output without its leading dimensions; (P, C, H, W) is an image.
        width: Channels at full size; each halving doubles them.
        depth: Number of halvings.
        activation: Builder of the non-linearity after each layer.

    Raises:
        InputError: If images differ in size, or `width` is below 1, or `depth` not from 1 to 16.
    """

    residual = False
    """Whether the two convolutions add to their input."""
    read: nn.Module

    def __init__(
        self,
        in_shapes: Sequence[Shape],
        out_shape: Shape,
        *,
        width: int = 32,
        depth: int = 3,
        activation: Callable[[], nn.Module] = nn.ELU,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_between("depth", depth, 1, 16)
        self.in_shapes, self.out_shape = tuple(map(tuple, in_shapes)), tuple(out_shape)
        images = [shape for shape in self.in_shapes if len(shape) == 3]
        gives_image = len(out_shape) == 4
        size = _one_size([*images, *([out_shape[1:]] if gives_image else [])])
        self.flat: MLP | None = None
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        if size is None or not math.prod(out_shape):
            self.flat = MLP(in_shapes, out_shape, width=8 * width, activation=activation)
            return
        self.sizes = _halved(size, depth)
        channels = [width * 2**level for level in range(depth + 1)]
        numbers = sum(math.prod(shape) for shape in self.in_shapes if len(shape) != 3)
        block = partial(_ResidualBlock if self.residual else _Block, numbers, activation)
        if images:
            stacked = sum(shape[0] for shape in images)
            for level, (fan_in, fan_out) in enumerate(pairwise([stacked, *channels])):
                self.down.append(block(fan_in, fan_out, 2 if level else 1))
        self.smallest = (channels[-1], *self.sizes[-1])
        if not gives_image:
            self.read = linear(math.prod(self.smallest), math.prod(out_shape))
            return
        from_numbers = numbers > 0 or not images
        self.seed = linear(numbers, math.prod(self.smallest)) if from_numbers else None
        for level in reversed(range(depth)):
            fan_in = channels[level + 1] + (channels[level] if images else 0)
            self.up.append(block(fan_in, channels[level], 1))
        self.read = nn.Conv2d(channels[0], math.prod(out_shape[:2]), 3, padding=1)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tensors (..., *in_shape), one per entry of `in_shapes`, to (..., *out_shape)."""
        if self.flat is not None:
            return self.flat(*inputs)
        given = list(zip(inputs, self.in_shapes, strict=True))
        leads = [tensor.shape[: tensor.dim() - len(shape)] for tensor, shape in given]
        lead = torch.broadcast_shapes(*leads)
        images = [tensor.expand(*lead, *shape) for tensor, shape in given if len(shape) == 3]
        flat = [t.flatten(t.dim() - len(s)).expand(*lead, -1) for t, s in given if len(s) != 3]
        numbers = torch.cat(flat, -1).flatten(0, -2) if flat else None

        features = [torch.cat(images, -3).flatten(0, -4)] if images else []
        for layer in self.down:
            features.append(layer(features[-1], numbers))
        if not self.up:
            return self.read(features[-1].flatten(1)).view(*lead, *self.out_shape)
        parts = features[-1:]
        if self.seed is not None:
            parts.append(self.seed(numbers).unflatten(-1, self.smallest))
        h = sum(parts[1:], parts[0])
        for layer, size in zip(self.up, self.sizes[-2::-1], strict=True):
            features = features[:-1]
            h = layer(torch.cat((interpolate(h, size), *features[-1:]), 1), numbers)
        return self.read(h).view(*lead, *self.out_shape)


def _one_size(images: Sequence[Shape]) -> Shape | None:
    """Return the one height and width of images (C, H, W); None where there is no image."""
    found = {shape[1:] for shape in images}
    if len(found) > 1:
        raise InputError(
            "network: network=conv needs images of one size on both sides, got "
            f"{' and '.join(f'{height}x{width}' for height, width in sorted(found))}; "
            "choose network=mlp"
        )
    return next(iter(found), None)


def _halved(size: Shape, depth: int) -> list[Shape]:
    """Return a size and what is left of it after each halving, rounded up."""
    sizes = [size]
    for _ in range(depth):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


class ResidualConv(Conv):
    """`Conv` with a shortcut around the two convolutions at each size: a 1x1 convolution.

    This is the shortcut of He et al. 2016, "Deep Residual Learning", for blocks that change the
    size, as every block here does. Arguments are those of `Conv`.
    """

    residual = True


class _Block(nn.Module):
    """Two convolutions, normalised by groups (Wu & He 2018, "Group Normalization").

    The inputs that are not images scale and shift the features of the first.
    """

    def __init__(
        self,
        numbers: int,
        activation: Callable[[], nn.Module],
        fan_in: int,
        fan_out: int,
        stride: int,
    ) -> None:
        super().__init__()
        groups = math.gcd(_GROUPS, fan_out)
        self.first = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1)
        self.first_norm = nn.GroupNorm(groups, fan_out)
        self.modulation = nn.Linear(numbers, 2 * fan_out) if numbers else None
        self.second = nn.Conv2d(fan_out, fan_out, 3, padding=1)
        self.second_norm = nn.GroupNorm(groups, fan_out)
        self.activation = activation()

    def forward(self, h: Tensor, numbers: Tensor | None) -> Tensor:
        """Map features (N, fan_in, H, W) and numbers (N, F) to (N, fan_out, H', W')."""
        h = self.first_norm(self.first(h))
        if self.modulation is not None:
            scale, shift = self.modulation(numbers)[..., None, None].chunk(2, 1)
            h = h * (1 + scale) + shift
        return self.activation(self.second_norm(self.second(self.activation(h))))


class _ResidualBlock(_Block):
    """The same with a shortcut, which a 1x1 convolution fits to the new size."""

    def __init__(
        self,
        numbers: int,
        activation: Callable[[], nn.Module],
        fan_in: int,
        fan_out: int,
        stride: int,
    ) -> None:
        super().__init__(numbers, activation, fan_in, fan_out, stride)
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1, stride=stride)

    def forward(self, h: Tensor, numbers: Tensor | None) -> Tensor:
        """Map features (N, fan_in, H, W) and numbers (N, F) to (N, fan_out, H', W')."""
        return self.shortcut(h) + super().forward(h, numbers)
