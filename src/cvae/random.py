"""Where random numbers come from, and what else a training sets for its process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from numpy.random import SeedSequence
from torch import Tensor


@contextmanager
def drawing_from(rng: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let torch.distributions, whose methods take no generator, draw from `rng`.

    Args:
        rng: Source of randomness, which moves on by one number; None is torch's own.
        device: Where the draws are made. Torch's own generators are left as they were.
    """
    if rng is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def draw_binary(probabilities: Tensor) -> Tensor:
    """Return a tensor of the same shape, each number 1 with its probability, else 0.

    `torch.bernoulli` takes three times as long on a CPU.
    """
    drawn = torch.rand_like(probabilities)
    return torch.lt(drawn, probabilities, out=drawn)


def speed_up_training() -> None:
    """Let this process take subnormal numbers for zero, and look for GPUs once.

    Adam's averages of gradients that are almost zero become subnormal, on which processors are so
    slow that a training takes up to twice as long.
    """
    torch.set_flush_denormal(True)
    # Lightning has torch look for GPUs by NVML. Where there are none that is not remembered, and
    # every step of an optimiser would search the disk for the library again.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def seed_of(*place: int) -> int:
    """Return a seed, from 0 to 2^32 - 1, that depends on these whole numbers alone.

    It is numpy's SeedSequence, whose seeds are independent for all practical purposes.
    """
    return int(SeedSequence([int(number) for number in place]).generate_state(1)[0])


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's own generators: the CPU's, and that of a GPU where `device` is one.

    `torch.manual_seed` does so for all devices, at the price of a stack trace on a machine whose
    GPUs are not in use: too much for every step of a training.
    """
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
    if device.type == "cuda":
        torch.cuda.set_rng_state(torch.Generator(device).manual_seed(seed).get_state(), device)
