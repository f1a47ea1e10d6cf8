"""Importance sampling and sampling against their rooflines, in interleaved blocks."""

from time import perf_counter

import torch
from rivals import CLASSES, DRAWING, WEIGHING, generating_roofline

from cvae.config.building import build_model
from cvae.config.compose import resolved
from cvae.kinds import Image, Sizes
from cvae.model.cvae import CVAE

SAMPLES, IMAGES = 1000, 100
DIGITS, SINGLE = 10_000, 100


def network(compiled: bool = False) -> CVAE:
    """Return the seed's network as the framework builds it, untrained."""
    config = resolved("train", ["experiment=roeder2018_cvae"])
    model = build_model(config, Sizes(Image((1, 28, 28)), CLASSES)).eval()
    if compiled:
        model.compile_parts()
    return model


def importance_sampling(blocks: int, compiled: bool) -> list[dict[str, float]]:
    """Return the seconds of each block for 1,000 draws of z for each of the images."""
    model = network(compiled)
    x = torch.eye(CLASSES).repeat(IMAGES // CLASSES, 1)
    y = torch.rand(IMAGES, 1, 28, 28).round()
    found = []
    for _ in range(blocks + 1):
        before = generating_roofline(IMAGES * SAMPLES, WEIGHING)
        started = perf_counter()
        model.estimate(x, y, SAMPLES)
        seconds = perf_counter() - started
        after = generating_roofline(IMAGES * SAMPLES, WEIGHING)
        found.append({"framework": seconds, "roofline": (before + after) / 2})
    return found[1:]


def sampling(blocks: int) -> list[dict[str, float]]:
    """Return the seconds of each block for 10,000 digits: drawn, their means, and one at a time."""
    model = network()
    x = torch.eye(CLASSES).repeat(DIGITS // CLASSES, 1)
    found = []
    for _ in range(blocks + 1):
        before = generating_roofline(DIGITS, DRAWING)
        times = []
        for mean in (False, True):
            started = perf_counter()
            model.sample(x, mean=mean)
            times.append(perf_counter() - started)
        started = perf_counter()
        for digit in range(SINGLE):
            model.sample(digit % CLASSES)
        single = (perf_counter() - started) * DIGITS / SINGLE
        roofline = (before + generating_roofline(DIGITS, DRAWING)) / 2
        names = ("framework", "means", "one at a time", "roofline")
        found.append(dict(zip(names, (*times, single, roofline), strict=True)))
    return found[1:]
