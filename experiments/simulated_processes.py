"""Processes that draw x and y of every kind, and their true p(y|x)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp, xlogy

Arrays = dict[str, np.ndarray]
Rng = np.random.Generator


class Simulation(NamedTuple):
    """A process, and how it is learned.

    Attributes:
        about: What it draws.
        word: How its kind of y is asked for.
        conditions: Draws N of x.
        targets: Draws a y for each x, and returns them and the mode of each, (N,).
        log_prob: log p(y|x) of pairs, (N,).
        mode: The mode that each y is of, (N,).
        dimensions: Numbers in a y.
        options: Settings of the training.
        samples: Draws of z for each log q(y|x); fewer where they are slow.
    """

    about: str
    word: str
    conditions: Callable[[int, Rng], Arrays]
    targets: Callable[[Arrays, Rng], tuple[np.ndarray, np.ndarray]]
    log_prob: Callable[[Arrays, np.ndarray], np.ndarray]
    mode: Callable[[Arrays, np.ndarray], np.ndarray]
    dimensions: int
    options: tuple[str, ...] = ()
    samples: int = 2_000

    def draw(self, count: int, rng: Rng) -> tuple[Arrays, np.ndarray]:
        """Draw pairs, and return them and the mode of each y, (N,)."""
        arrays = self.conditions(count, rng)
        y, mode = self.targets(arrays, rng)
        return {**arrays, "y": y}, mode

    def again(self, arrays: Arrays, draws: int, rng: Rng) -> np.ndarray:
        """Draw so many y for each x, (draws, N, ...)."""
        return np.stack([self.targets(arrays, rng)[0] for _ in range(draws)])


def gaussians(size: int, modes: int, deviation: float) -> Simulation:
    """Return mixtures of Gaussians in R^size."""
    fixed = np.random.default_rng(size)
    slopes, places = fixed.normal(size=(modes, size, 2)), 1.5 * fixed.normal(size=(modes, size))
    tilts = fixed.normal(size=(modes, 2))

    def centres(x: np.ndarray) -> np.ndarray:
        return places + np.einsum("mfi,ni->nmf", slopes, x)

    def weights(x: np.ndarray) -> np.ndarray:
        w = np.exp(x @ tilts.T)
        return w / w.sum(1, keepdims=True)

    def targets(arrays: Arrays, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        x, count = arrays["x"], len(arrays["x"])
        mode = (rng.random((count, 1)) > weights(x).cumsum(1)).sum(1)
        return centres(x)[np.arange(count), mode] + rng.normal(0, deviation, (count, size)), mode

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        parts = stats.norm.logpdf(y[:, None], centres(x), deviation).sum(-1)
        return parts + np.log(weights(x))

    return Simulation(
        f"{modes} Gaussians in {size} dimensions, which move with x, two numbers; weights too",
        "vectors",
        lambda count, rng: {"x": rng.uniform(-1, 1, (count, 2))},
        targets,
        lambda a, y: logsumexp(each(a["x"], y), axis=1),
        lambda a, y: each(a["x"], y).argmax(1),
        size,
    )


def paths(steps: int = 16, deviation: float = 0.05) -> Simulation:
    """Return paths around an obstacle."""
    t = np.linspace(0, 1, steps)

    def middle(x: np.ndarray, side: np.ndarray) -> np.ndarray:
        high = side[:, None] * (0.5 + x) * np.sin(np.pi * t)
        return np.stack([np.broadcast_to(t, high.shape), high], -1)

    def targets(arrays: Arrays, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        x, count = arrays["x"], len(arrays["x"])
        left = rng.random(count) < x[:, 0]
        y = middle(x, np.where(left, -1, 1)) + rng.normal(0, deviation, (count, steps, 2))
        return y, left.astype(int)

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        sides = [np.full(len(x), side) for side in (1, -1)]
        parts = [stats.norm.logpdf(y, middle(x, side), deviation).sum((1, 2)) for side in sides]
        return np.stack(parts, 1) + np.log(np.hstack([1 - x, x]))

    return Simulation(
        f"{steps} steps in the plane, on either side of an obstacle; x says how wide, how often",
        "sequences",
        lambda count, rng: {"x": rng.uniform(0.2, 0.8, (count, 1))},
        targets,
        lambda a, y: logsumexp(each(a["x"], y), axis=1),
        lambda a, y: each(a["x"], y).argmax(1),
        2 * steps,
    )


SHARES = np.array([0.4, 0.3, 0.2, 0.1])
"""How often each of the annotators draws."""


def annotators(size: int = 12) -> Simulation:
    """Return label maps of cells."""
    rows, columns = np.mgrid[:size, :size] / size

    def maps(centre: np.ndarray) -> np.ndarray:
        away = np.hypot(rows - centre[:, :1, None], columns - centre[:, 1:, None])
        drawn = [
            (away < outer).astype(int) + (away < inner)
            for outer, inner in ((0.3, 0.1), (0.3, 0.2), (0.38, 0.15), (0.24, 0.0))
        ]
        return np.stack(drawn, 1)

    def conditions(count: int, rng: Rng) -> Arrays:
        centre = rng.integers(4, size - 3, (count, 2)) / size  # x shows it beyond doubt
        away = np.hypot(rows - centre[:, :1, None], columns - centre[:, 1:, None])
        x = 0.5 * (away < 0.3) + rng.uniform(0, 0.4, (count, size, size))
        return {"x": x.astype("f4"), "centre": centre}

    def targets(arrays: Arrays, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        count = len(arrays["centre"])
        mode = rng.choice(4, count, p=SHARES)
        return maps(arrays["centre"])[np.arange(count), mode], mode

    def distance(arrays: Arrays, y: np.ndarray) -> np.ndarray:
        return (maps(arrays["centre"]) != y[:, None]).sum((2, 3))

    return Simulation(
        f"{size}x{size} noisy cells, and their body and nucleus as four annotators draw them",
        "label_maps",
        conditions,
        targets,
        lambda a, y: np.log(SHARES)[distance(a, y).argmin(1)],
        lambda a, y: distance(a, y).argmin(1),
        size * size,
        (
            *("network=conv", "network.width=16", "network.depth=2", "trainer.max_epochs=10"),
            *("objective.samples=1", "data.batch_size=128", "refit=mixture"),
            # The noise of x says nothing of z, and convolutions would look for it there.
            "prior.network={_target_:cvae.model.networks.MLP,_partial_:true,width:64,depth:1}",
        ),
        200,
    )


def shops() -> Simulation:
    """Return counts of visitors."""
    base = np.array([[2.0, 5, 9, 1, 3, 20], [12.0, 1, 3, 6, 9, 5]])

    def rates(x: np.ndarray) -> np.ndarray:
        return base * np.exp(0.4 * x)[:, :, None]

    def good(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x[:, 0]))

    def targets(arrays: Arrays, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        x, count = arrays["x"], len(arrays["x"])
        mode = (rng.random(count) < good(x)).astype(int)
        return rng.poisson(rates(x)[np.arange(count), mode]), mode

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        mean = rates(x)
        parts = (xlogy(y[:, None], mean) - mean - gammaln(y[:, None] + 1)).sum(-1)
        return parts + np.log(np.stack([1 - good(x), good(x)], 1))

    return Simulation(
        "visitors of six places, on a day of one of two kinds; x is the temperature",
        "counts",
        lambda count, rng: {"x": rng.normal(size=(count, 1))},
        targets,
        lambda a, y: logsumexp(each(a["x"], y), axis=1),
        lambda a, y: each(a["x"], y).argmax(1),
        6,
        ("likelihood=poisson",),
    )


KINDS = ["a", "b", "c"]


def people() -> Simulation:
    """Return rows of a table."""
    mean, deviation = np.array([-1.0, 2.0]), np.array([0.5, 1.0])
    rate, yes = np.array([1.0, 6.0]), np.array([0.1, 0.7])
    kind = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])

    def second(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-2 * x))

    def targets(arrays: Arrays, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        x, count = arrays["x"], len(arrays["x"])
        group = (rng.random(count) < second(x)).astype(int)
        real = mean[group] + x + rng.normal(size=count) * deviation[group]
        category = (rng.random((count, 1)) > kind[group].cumsum(1)).sum(1)
        numbers = [real, rng.poisson(rate[group]), category, rng.random(count) < yes[group]]
        return np.stack([n.astype(float) for n in numbers], 1), group

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        groups = []
        for g in (0, 1):
            part = stats.norm.logpdf(y[:, 0], mean[g] + x, deviation[g])
            part = part + stats.poisson.logpmf(y[:, 1].round(), rate[g])
            part = part + np.log(kind[g][y[:, 2].astype(int)])
            groups.append(part + stats.bernoulli.logpmf(y[:, 3].round(), yes[g]))
        return np.stack(groups, 1) + np.log(np.stack([1 - second(x), second(x)], 1))

    return Simulation(
        "a real, a count, a category and a binary column, which a hidden group relates",
        "table",
        lambda count, rng: {"x": rng.uniform(-1, 1, count)},
        targets,
        lambda a, y: logsumexp(each(a["x"], y), axis=1),
        lambda a, y: each(a["x"], y).argmax(1),
        4,
    )


SIMULATIONS: dict[str, Simulation] = {
    "vectors_2": gaussians(2, 3, 0.2),
    "vectors_8": gaussians(8, 4, 0.3),
    "paths": paths(),
    "label_maps": annotators(),
    "counts": shops(),
    "table": people(),
}
