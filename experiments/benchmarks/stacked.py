"""Steps of one model, and of many small models as one by `torch.func`: a prototype for a GPU.

`python stacked.py MEMBERS` compares both on the CPU, where stacking hardly pays.
"""

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from rivals import CLASSES, PIXELS, Network
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

Step = Callable[[], None]


def single(x: Tensor, y: Tensor, rows: Tensor) -> Step:
    """Return a step of one model on the rows that `rows`, (1, B), names when it is called."""
    model = Network().to(x.device)
    optimizer = _adam(list(model.parameters()))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(x[rows[0]], y[rows[0]]).backward()
        optimizer.step()

    return step


def stacked(x: Tensor, y: Tensor, rows: Tensor) -> Step:
    """Return a step of as many models as `rows`, (K, B), has rows: each on its own batch.

    Their weights are stacked, their losses summed, so that each has its own gradient.
    """
    models = [Network().to(x.device) for _ in range(len(rows))]
    weights, _ = stack_module_state(models)
    optimizer = _adam(list(weights.values()))
    outline = Network().to("meta")

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = functional_call(outline, weights, (x, y))
        return found

    every = vmap(loss, randomness="different")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        every(weights, x[rows], y[rows]).sum().backward()
        optimizer.step()

    return step


def _adam(weights: list[Tensor]) -> torch.optim.Adam:
    return torch.optim.Adam(weights, lr=1e-3, fused=True, capturable=weights[0].is_cuda)


def main(members: int, steps: int = 20) -> None:
    """Print the time of a step of all, by itself for each and stacked."""
    x = torch.eye(CLASSES).repeat(60, 1)
    y = torch.rand(len(x), PIXELS).round()
    rows = torch.randint(len(x), (members, 128))
    for name, step, times in (
        ("one after another", single(x, y, rows[:1]), members),
        ("stacked", stacked(x, y, rows), 1),
    ):
        seconds = []
        for _ in range(steps):
            started = perf_counter()
            step()
            seconds.append((perf_counter() - started) * times)
        print(f"{members} models, {name}: {1e3 * median(seconds):.1f} ms a step of all")


if __name__ == "__main__":
    main(int(sys.argv[1]))
