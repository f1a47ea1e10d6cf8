"""The framework's rivals: the same network in plain PyTorch, and the roofline.

The network is that of the code of Roeder 2018, "Understanding CVAEs": 784 pixels and 10 classes to
512, 512 and 2 x 256 units, and from 256 and 10 to 512, 512 and 784. Everything here is written as a
script would be, without the framework.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

PIXELS, CLASSES, WIDTH, LATENT = 784, 10, 512, 256
POSTERIOR = ((PIXELS + CLASSES, WIDTH), (WIDTH, WIDTH), (WIDTH, 2 * LATENT))
GENERATOR = ((LATENT + CLASSES, WIDTH), (WIDTH, WIDTH), (WIDTH, PIXELS))
FORWARD = {
    name: sum(2 * fan_in * fan_out for fan_in, fan_out in layers)
    for name, layers in (("posterior", POSTERIOR), ("generator", GENERATOR))
}
"""Floating-point operations of the forward matrix products, for one image."""
TRAINING = 3 * sum(FORWARD.values()) - 2 * POSTERIOR[0][0] * POSTERIOR[0][1]
"""Forward, and twice that backward, without the gradient of the network's inputs."""

WEIGHTS = sum((fan_in + 1) * fan_out for fan_in, fan_out in POSTERIOR + GENERATOR)
"""Weights and biases of the network."""
ADAM = 7
"""Numbers that a step of Adam moves for each weight: reads four of them, and writes three."""
_UNITS = 2 * WIDTH
ELEMENTWISE = 2 * 5 * _UNITS + 7 * PIXELS + 8 * LATENT
"""Numbers that the operations between the products move for an image, forward and backward.

Of a hidden unit, of which each network has `_UNITS`: ReLU reads and writes it; backward, its
gradient and its output are read, and a gradient is written. Of a pixel: it is gathered (2), the
loss reads it and its logit, and backward both are read and a gradient is written. Of a latent: the
noise is written and read, mean and variance are read, z is written; backward, a gradient is read,
and two are written.
"""
WEIGHING = 2 * _UNITS + 2 * PIXELS + 4 * LATENT
"""Numbers that are moved for one z of importance sampling, beside the generator's products."""
DRAWING = 2 * _UNITS + 6 * PIXELS
"""The same for an image that is drawn: its probabilities, the uniform numbers, the pixels."""
_LARGE = 2**20
"""Numbers of a pass over memory that is too large for the nearest caches."""

Steps = Callable[[int], None]
"""Trains for the given number of steps."""


class Network(nn.Module):
    """The seed's network; its forward gives the loss in nats per image."""

    def __init__(self) -> None:
        super().__init__()
        self.posterior, self.generator = _layers(POSTERIOR), _layers(GENERATOR)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map conditions (B, 10) and images (B, 784) to the loss, ()."""
        mean, log_variance = self.posterior(torch.cat((x, y), 1)).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        logits = self.generator(torch.cat((x, z), 1))
        reconstruction = binary_cross_entropy_with_logits(logits, y, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
        return (reconstruction + kl) / len(y)


def _layers(sizes: tuple[tuple[int, int], ...]) -> nn.Sequential:
    layers = [layer for size in sizes for layer in (nn.Linear(*size), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def bare(images: Tensor, labels: Tensor, batch_size: int) -> Steps:
    """Return a loop over float32 tensors in memory, with a fused Adam."""
    y, x = images.flatten(1).float() / 255, one_hot(labels, CLASSES).float()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for index in torch.randperm(len(y)).split(batch_size):
                yield x[index], y[index]

    return _training(batches(), fused=True)


def per_sample(root: Path, batch_size: int) -> Steps:
    """Return a loop over torchvision's data set as most scripts have it, image by image."""
    dataset = datasets.MNIST(root, train=True, transform=transforms.ToTensor())
    loader: Any = DataLoader(dataset, batch_size=batch_size, shuffle=True)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for images, labels in loader:
                yield one_hot(labels, CLASSES).float(), images.view(-1, PIXELS)

    return _training(batches(), fused=False)


def _training(batches: Iterator[tuple[Tensor, Tensor]], fused: bool) -> Steps:
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def steps(count: int) -> None:
        for _ in range(count):
            x, y = next(batches)
            optimizer.zero_grad()
            model(x, y).backward()
            optimizer.step()

    return steps


def product_rate(size: int = 2048, times: int = 4) -> float:
    """Return the floating-point operations per second of a large matrix product, measured now."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = a @ b
    started = perf_counter()
    for _ in range(times):
        torch.mm(a, b, out=out)
    return 2 * size**3 * times / (perf_counter() - started)


def pass_rate(numbers: int, times: int = 10) -> float:
    """Return how many float32 numbers per second an addition of so many moves, measured now."""
    a, b = torch.ones(numbers), torch.ones(numbers)
    out = a + b
    started = perf_counter()
    for _ in range(times):
        torch.add(a, b, out=out)
    return 3 * numbers * times / (perf_counter() - started)


def training_roofline(
    batch_size: int, product_rate: float, pass_rate: Callable[[int], float]
) -> float:
    """Return the seconds that a step takes at least: its products, and its passes over memory.

    Args:
        batch_size: Images of a batch.
        product_rate: Floating-point operations per second of a product.
        pass_rate: Numbers per second of a pass over so many.
    """
    return (
        batch_size * TRAINING / product_rate
        + ADAM * WEIGHTS / pass_rate(WEIGHTS)
        + batch_size * ELEMENTWISE / pass_rate(batch_size * WIDTH)
    )


def generating_roofline(count: int, moved: int) -> float:
    """Return the seconds that so many passes through the generator take at least, measured now.

    Args:
        count: Passes.
        moved: Numbers that each moves beside its products.
    """
    return count * (FORWARD["generator"] / product_rate() + moved / pass_rate(_LARGE))
