"""Simulated data of every kind whose p(y|x) is known, learned, and held against the truth.

Usage: python experiments/simulated.py [NAME ...]; all of them by default. Each is trained in a
folder of its own under `simulated/`; the figures go to `experiments/simulated.json`, the pictures
to `experiments/figures/simulated_NAME.png`.

KL(true || model) = E[log p(y|x) - log q(y|x)] is the mean over held-out pairs, with the model's
log q(y|x) by importance sampling; its standard error is that of the mean. A share is that of the
draws that are of a mode, over 20,000 x, against that of the process for the same x.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats
from scipy.special import gammaln, logsumexp, xlogy

import cvae
from cvae.config.compose import resolved
from cvae.training.fit import fit
from cvae.training.prepare import prepare

HERE = Path(__file__).parent
TRAIN, TEST, DRAWN = 40_000, 2_000, 20_000
SAMPLES = 2_000
Arrays = dict[str, np.ndarray]
Rng = np.random.Generator


class Simulation(NamedTuple):
    """A process, and how it is learned.

    Attributes:
        about: What it draws.
        word: How its kind of y is asked for.
        draw: Draws x, its y, and the mode of each y, (N,).
        log_prob: log p(y|x) of pairs, (N,).
        mode: The mode that each y is of, (N,).
        dimensions: Numbers in a y.
        options: Settings of the training.
    """

    about: str
    word: str
    draw: Callable[[int, Rng], tuple[Arrays, np.ndarray]]
    log_prob: Callable[[Arrays, np.ndarray], np.ndarray]
    mode: Callable[[Arrays, np.ndarray], np.ndarray]
    dimensions: int
    options: tuple[str, ...] = ()


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

    def draw(count: int, rng: Rng) -> tuple[Arrays, np.ndarray]:
        x = rng.uniform(-1, 1, (count, 2))
        mode = (rng.random((count, 1)) > weights(x).cumsum(1)).sum(1)
        y = centres(x)[np.arange(count), mode] + rng.normal(0, deviation, (count, size))
        return {"x": x, "y": y}, mode

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        parts = stats.norm.logpdf(y[:, None], centres(x), deviation).sum(-1)
        return parts + np.log(weights(x))

    return Simulation(
        f"{modes} Gaussians in {size} dimensions, which move with x, two numbers; weights too",
        "vectors",
        draw,
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

    def draw(count: int, rng: Rng) -> tuple[Arrays, np.ndarray]:
        x = rng.uniform(0.2, 0.8, (count, 1))
        left = rng.random(count) < x[:, 0]
        y = middle(x, np.where(left, -1, 1)) + rng.normal(0, deviation, (count, steps, 2))
        return {"x": x, "y": y}, left.astype(int)

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        sides = [np.full(len(x), side) for side in (1, -1)]
        parts = [stats.norm.logpdf(y, middle(x, side), deviation).sum((1, 2)) for side in sides]
        return np.stack(parts, 1) + np.log(np.hstack([1 - x, x]))

    return Simulation(
        f"{steps} steps in the plane, on either side of an obstacle; x says how wide, how often",
        "sequences",
        draw,
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

    def draw(count: int, rng: Rng) -> tuple[Arrays, np.ndarray]:
        centre = rng.integers(4, size - 3, (count, 2)) / size  # x shows it beyond doubt
        away = np.hypot(rows - centre[:, :1, None], columns - centre[:, 1:, None])
        x = 0.5 * (away < 0.3) + rng.uniform(0, 0.4, (count, size, size))
        mode = rng.choice(4, count, p=SHARES)
        y = maps(centre)[np.arange(count), mode]
        return {"x": x.astype("f4"), "y": y, "centre": centre}, mode

    def distance(arrays: Arrays, y: np.ndarray) -> np.ndarray:
        return (maps(arrays["centre"]) != y[:, None]).sum((2, 3))

    return Simulation(
        f"{size}x{size} noisy cells, and their body and nucleus as four annotators draw them",
        "label_maps",
        draw,
        lambda a, y: np.log(SHARES)[distance(a, y).argmin(1)],
        lambda a, y: distance(a, y).argmin(1),
        size * size,
        (
            *("network=conv", "network.width=16", "network.depth=2", "trainer.max_epochs=10"),
            "objective.samples=1",
        ),
    )


def shops() -> Simulation:
    """Return counts of visitors."""
    base = np.array([[2.0, 5, 9, 1, 3, 20], [12.0, 1, 3, 6, 9, 5]])

    def rates(x: np.ndarray) -> np.ndarray:
        return base * np.exp(0.4 * x)[:, :, None]

    def good(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x[:, 0]))

    def draw(count: int, rng: Rng) -> tuple[Arrays, np.ndarray]:
        x = rng.normal(size=(count, 1))
        mode = (rng.random(count) < good(x)).astype(int)
        return {"x": x, "y": rng.poisson(rates(x)[np.arange(count), mode])}, mode

    def each(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        mean = rates(x)
        parts = (xlogy(y[:, None], mean) - mean - gammaln(y[:, None] + 1)).sum(-1)
        return parts + np.log(np.stack([1 - good(x), good(x)], 1))

    return Simulation(
        "visitors of six places, on a day of one of two kinds; x is the temperature",
        "counts",
        draw,
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

    def draw(count: int, rng: Rng) -> tuple[Arrays, np.ndarray]:
        x = rng.uniform(-1, 1, count)
        group = (rng.random(count) < second(x)).astype(int)
        real = mean[group] + x + rng.normal(size=count) * deviation[group]
        category = (rng.random((count, 1)) > kind[group].cumsum(1)).sum(1)
        numbers = [real, rng.poisson(rate[group]), category, rng.random(count) < yes[group]]
        return {"x": x, "y": np.stack([n.astype(float) for n in numbers], 1)}, group

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
        draw,
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
OPTIONS = (
    *("latent_dim=4", "prior=mixture", "prior.components=8", "network.width=128"),
    *("objective=iwae", "objective.samples=8", "scheduler=cosine", "optimizer.lr=0.002"),
    *("data.batch_size=256", "~callbacks.progress", "trainer.max_epochs=60"),
    "~callbacks.early_stopping",
)


def learn(name: str, folder: Path) -> dict[str, float]:
    """Train on a simulation, write its picture, and return its figures."""
    simulation = SIMULATIONS[name]
    rng = np.random.default_rng(0)
    arrays, _ = simulation.draw(TRAIN, rng)
    held, _ = simulation.draw(TEST, rng)
    asked, mode = simulation.draw(DRAWN, rng)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = write(simulation.word, arrays, held, folder)
    config = resolved("train", [f"data={simulation.word}", *data, *OPTIONS, *simulation.options])
    started = time.monotonic()
    model, _ = fit(prepare(config), folder / "run")
    seconds = time.monotonic() - started
    shutil.copy(folder / "run" / "samples.png", HERE / "figures" / f"simulated_{name}.png")

    x, y = in_model(model, simulation.word, held)
    torch.manual_seed(0)
    found = model.log_prob(x, y, SAMPLES).double().numpy()
    truth = simulation.log_prob(held, held["y"])
    more, _ = in_model(model, simulation.word, asked)
    drawn = model.sample(more, 1, torch.Generator().manual_seed(0))[0].numpy()
    shares = [np.bincount(simulation.mode(asked, one), minlength=4) for one in (asked["y"], drawn)]
    kl = truth - found
    return {
        "kl": float(kl.mean()),
        "kl_standard_error": float(kl.std() / math.sqrt(TEST)),
        "kl_per_10_dimensions": float(kl.mean() * 10 / simulation.dimensions),
        "largest_error_of_a_share": float(abs(shares[0] - shares[1]).max() / DRAWN),
        "true_nll": float(-truth.mean()),
        "nll": float(-found.mean()),
        "minutes": seconds / 60,
        "modes": int(mode.max()) + 1,
    }


def write(word: str, arrays: Arrays, held: Arrays, folder: Path) -> list[str]:
    """Write the data of a simulation, and return the settings that read them."""
    if word == "table":
        lines = ["x,real,count,kind,binary"]
        for x, (real, count, kind, binary) in zip(arrays["x"], arrays["y"], strict=True):
            row = (x, real, int(count), KINDS[int(kind)], str(bool(binary)).lower())
            lines.append(",".join(map(str, row)))
        (folder / "data.csv").write_text("\n".join(lines) + "\n")
        return [f"data.path={folder / 'data.csv'}", "data.x=[x]", "data.y=[real,count,kind,binary]"]
    test: dict[str, Any] = {f"{name}_test": held[name] for name in ("x", "y")}
    np.savez(folder / "data.npz", x=arrays["x"], y=arrays["y"], **test)
    return [f"data.path={folder / 'data.npz'}"]


def in_model(model: cvae.CVAE, word: str, held: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the held-out pairs as a model takes them."""
    x = torch.from_numpy(held["x"])
    x = x.unsqueeze(1) if x.dim() in (1, 3) else x
    y = torch.from_numpy(held["y"])
    return x, y.float() if word in ("label_maps", "counts") else y


def main() -> None:
    """Learn those named on the command line, or all."""
    names = sys.argv[1:] or list(SIMULATIONS)
    results = HERE / "simulated.json"
    for name in names:
        found = json.loads(results.read_text()) if results.is_file() else {}
        found[name] = learn(name, Path("simulated", name))
        results.write_text(json.dumps(found, indent=2) + "\n")
        print(name, json.dumps(found[name]), flush=True)


if __name__ == "__main__":
    main()
