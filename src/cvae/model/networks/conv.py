"""Convolutional networks."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cvae.batch import Shape
from cvae.errors import require_at_least, require_between
from cvae.model.networks.mlp import MLP, linear

_GROUPS = 4
_CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}


class Conv(nn.Module):
    """Convolutional network for images or sequences, a U-Net if it maps one to another.

    Images or sequences among the inputs are brought to one size, that of the output if it is one,
    stacked along their channels, and halved `depth` times, with two convolutions at each size.
    Other inputs, such as z or a one-hot label, scale and shift the features (Perez et al. 2018,
    "FiLM"). For an output of the same kind the features are enlarged again through the same sizes,
    and joined at each size with the features of the input (skip connections, Ronneberger et al.
    2015, "U-Net"). Any other output is computed from the smallest features. Without an image or a
    sequence among inputs and output, it is an `MLP`.

    Args:
        in_shapes: Shape of each input without its leading dimensions; (C, H, W) is an image,
            (T, F) a sequence. Beside images, sequences count as numbers.
        out_shape: Shape of the output without its leading dimensions; (P, C, H, W) is an image,
            (P, T, F) a sequence.
        width: Channels at full size; each halving doubles them.
        depth: Number of halvings.
        activation: Builder of the non-linearity after each layer.

    Raises:
        InputError: If `width` is below 1, or `depth` not from 1 to 16.
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
        self.dims = _dims(self.in_shapes, self.out_shape)
        images = [_channels_first(s) for s in self.in_shapes if len(s) == self.dims + 1]
        gives_image = len(out_shape) == self.dims + 2
        self.flat: MLP | None = None
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        if not (images or gives_image) or not math.prod(out_shape):
            self.flat = MLP(in_shapes, out_shape, width=8 * width, activation=activation)
            return
        largest = max(images, key=lambda shape: math.prod(shape[1:]), default=())
        size = _channels_first(self.out_shape[1:])[1:] if gives_image else largest[1:]
        # Rounded up, as a convolution of stride 2 does.
        self.sizes = [tuple(-(-side // 2**level) for side in size) for level in range(depth + 1)]
        channels = [width * 2**level for level in range(depth + 1)]
        numbers = sum(math.prod(s) for s in self.in_shapes if len(s) != self.dims + 1)
        block = partial(_Block, self.residual, self.dims, numbers, activation)
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
        read = math.prod(out_shape) // math.prod(size)
        self.read = _CONVOLUTIONS[self.dims](channels[0], read, 3, padding=1)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tensors (..., *in_shape), one per entry of `in_shapes`, to (..., *out_shape)."""
        if self.flat is not None:
            return self.flat(*inputs)
        given = list(zip(inputs, self.in_shapes, strict=True))
        leads = [tensor.shape[: tensor.dim() - len(shape)] for tensor, shape in given]
        lead = torch.broadcast_shapes(*leads)
        images = [
            self._sized(tensor.expand(*lead, *shape))
            for tensor, shape in given
            if len(shape) == self.dims + 1
        ]
        others = [(t, s) for t, s in given if len(s) != self.dims + 1]
        flat = [t.flatten(t.dim() - len(s)).expand(*lead, -1) for t, s in others]
        numbers = torch.cat(flat, -1).flatten(0, -2) if flat else None

        features = [torch.cat(images, 1)] if images else []
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
            h = interpolate(self._laid_out(h), size)
            h = layer(torch.cat((h, features[-1]), 1) if features else h, numbers)
        out = self.read(h)
        if self.dims == 1:
            out = out.unflatten(1, (self.out_shape[0], -1)).movedim(-1, -2)
        return out.reshape(*lead, *self.out_shape)

    def _laid_out(self, h: Tensor) -> Tensor:
        """Return features with the channels of a pixel next to each other, on a CPU in float32.

        There torch enlarges them so anyway, and copies them there and back.
        """
        if self.dims == 2 and h.is_cpu and h.dtype == torch.float32:
            return h.contiguous(memory_format=torch.channels_last)
        return h

    def _sized(self, images: Tensor) -> Tensor:
        """Return images (..., C, H, W), or sequences (..., T, F), as (N, channels, *size)."""
        if self.dims == 1:
            images = images.movedim(-1, -2)
        images = images.flatten(0, -self.dims - 2)
        same = images.shape[2:] == torch.Size(self.sizes[0])
        return images if same else interpolate(images, self.sizes[0], mode="area")


def _dims(in_shapes: Sequence[Shape], out_shape: Shape) -> int:
    """Return over how many dimensions to convolve: two of images, or one of sequences."""
    if len(out_shape) in (3, 4):
        return len(out_shape) - 2
    return 2 if any(len(shape) == 3 for shape in in_shapes) else 1


def _channels_first(shape: Shape) -> Shape:
    """Return the shape of an image, or that of a sequence (T, F) as (F, T)."""
    return shape if len(shape) == 3 else (shape[1], shape[0])


class ResidualConv(Conv):
    """`Conv` with a shortcut around the two convolutions at each size: a 1x1 convolution.

    This is the shortcut of He et al. 2016, "Deep Residual Learning", for blocks that change the
    size, as every block here does. Arguments are those of `Conv`.
    """

    residual = True


class _Block(nn.Module):
    """Two convolutions, normalised by groups (Wu & He 2018, "Group Normalization").

    The inputs that are numbers scale and shift the features of the first. A residual block has a
    shortcut, which a 1x1 convolution fits to the new size.
    """

    def __init__(
        self,
        residual: bool,
        dims: int,
        numbers: int,
        activation: Callable[[], nn.Module],
        fan_in: int,
        fan_out: int,
        stride: int,
    ) -> None:
        super().__init__()
        groups = math.gcd(_GROUPS, fan_out)
        convolution = _CONVOLUTIONS[dims]
        self.dims = dims
        self.first = convolution(fan_in, fan_out, 3, stride=stride, padding=1)
        self.first_norm = nn.GroupNorm(groups, fan_out)
        self.modulation = nn.Linear(numbers, 2 * fan_out) if numbers else None
        self.second = convolution(fan_out, fan_out, 3, padding=1)
        self.second_norm = nn.GroupNorm(groups, fan_out)
        self.activation = activation()
        self.shortcut = convolution(fan_in, fan_out, 1, stride=stride) if residual else None

    def forward(self, h: Tensor, numbers: Tensor | None) -> Tensor:
        """Map features (N, fan_in, *size) and numbers (N, F) to (N, fan_out, *size')."""
        shortcut = None if self.shortcut is None else self.shortcut(h)
        h = self.first_norm(self.first(h))
        if self.modulation is not None:
            given = self.modulation(numbers)
            scale, shift = given.view(*given.shape, *[1] * self.dims).chunk(2, 1)
            h = h * (1 + scale) + shift
        h = self.activation(self.second_norm(self.second(self.activation(h))))
        return h if shortcut is None else shortcut + h
