"""Where random numbers come from, and what else a training sets for its process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.random import SeedSequence
from torch import Tensor
from torch.overrides import TorchFunctionMode

_TAKE_A_GENERATOR = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("binomial", "standard_gamma", "sample_dirichlet"),
    *("normal_", "uniform_", "exponential_", "bernoulli_", "cauchy_", "geometric_", "log_normal_"),
    *("random_",),
}
"""torch's functions that draw, by name, without the underscore before some of them."""
_LIKE = {"rand_like": Tensor.uniform_, "randn_like": Tensor.normal_}
"""Those that take none in every version of torch, and what fills a tensor with the same draws."""


@contextmanager
def drawing_from(rng: torch.Generator | None) -> Iterator[None]:
    """Let torch.distributions, whose methods take no generator, draw from `rng`.

    Torch's own generators are neither used nor changed, so that other threads may draw meanwhile.
    What draws without torch's functions, such as dropout, is not reached.

    Args:
        rng: Source of randomness, which moves on by one number; None is torch's own.

    Example:
        >>> normal = torch.distributions.Normal(torch.zeros(3), 1.0)
        >>> draws = []
        >>> for _ in range(2):
        ...     with drawing_from(torch.Generator().manual_seed(0)):
        ...         draws.append(normal.sample())
        >>> torch.equal(*draws)
        True
    """
    if rng is None:
        yield
        return
    with _Drawing(_seed_from(rng)):
        yield


class _Drawing(TorchFunctionMode):
    """Hands a generator to torch's functions, as this thread calls them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.rngs: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "").removeprefix("_")
        if kwargs.get("generator") is None and (name in _TAKE_A_GENERATOR or name in _LIKE):
            shaped = next((part for part in args if isinstance(part, Tensor)), None)
            device = kwargs.get("device") if shaped is None else shaped.device
            rng = self._rng(torch.device(device or torch.get_default_device()))
            if name in _LIKE:
                return _LIKE[name](torch.empty_like(*args, **kwargs), generator=rng)
            kwargs["generator"] = rng
        return function(*args, **kwargs)

    def _rng(self, device: torch.device) -> torch.Generator | None:
        if device.type == "meta":
            return None
        if device not in self.rngs:
            self.rngs[device] = torch.Generator(device).manual_seed(self.seed)
        return self.rngs[device]


@contextmanager
def seeded_from(rng: torch.Generator) -> Iterator[None]:
    """Let a whole training on the CPU draw from `rng`, which moves on by one number.

    Torch's own generator is set for the time, and then as it was: no other thread may draw.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(_seed_from(rng))
        yield


def _seed_from(rng: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=rng, device=rng.device))


def draw_binary(probabilities: Tensor) -> Tensor:
    """Return a tensor of the same shape, each number 1 with its probability, else 0.

    `torch.bernoulli` takes three times as long on a CPU.

    Example:
        >>> draw_binary(torch.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    drawn = torch.rand_like(probabilities)
    return torch.lt(drawn, probabilities, out=drawn)


def speed_up_training() -> None:
    """Let this thread and those it starts take subnormal numbers for zero; look for GPUs once.

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
