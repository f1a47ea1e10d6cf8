"""Makes a small file of each kind of data in this folder: python make.py."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
N = 240
rng = np.random.default_rng(0)
way = rng.integers(0, 2, N) * 2 - 1  # what no x says: left or right, up or down, large or small


def vectors() -> None:
    """Where a robot's arm ends, for a target at x: the elbow is left or right of it."""
    x = rng.uniform(-1, 1, (N, 1))
    y = np.column_stack([x[:, 0] + way * 0.3, x[:, 0] ** 2 * way])
    np.savez(HERE / "vectors.npz", x=x, y=y + rng.normal(0, 0.05, (N, 2)))


def sequences() -> None:
    """Paths of 12 to 16 steps in the plane around an obstacle at height x, on either side."""
    steps, x = np.linspace(0, 1, 16), rng.uniform(0.2, 1, (N, 1))
    side = way[:, None] * x * np.sin(np.pi * steps)
    y = np.stack([np.broadcast_to(steps, (N, 16)), side], -1) + rng.normal(0, 0.02, (N, 16, 2))
    np.savez_compressed(
        HERE / "sequences.npz", x=x, y=y.astype("f4"), length=rng.integers(12, 17, N)
    )


def label_maps() -> None:
    """Noisy pictures of a cell, and its outline and nucleus as two annotators draw them."""
    rows, columns = np.mgrid[:10, :10] / 10
    centre = rng.uniform(0.35, 0.65, (2, N, 1, 1))
    away = np.hypot(rows - centre[0], columns - centre[1])
    x = (200 * (away < 0.3) + rng.integers(0, 50, away.shape)).astype("u1")
    y = (away < 0.3).astype("u1") + (away < 0.14 + 0.06 * way[:, None, None])
    np.savez_compressed(HERE / "label_maps.npz", x=x, y=y)


def tokens() -> None:
    """Melodies of up to 8 notes that rise or fall from a note that has a name."""
    first = rng.integers(0, 5, N)
    y = (first[:, None] + way[:, None] * np.arange(8)) % 5
    names = np.array(["do", "re", "mi", "fa", "so"])
    np.savez(HERE / "tokens.npz", x=names[first], y=y.astype("u1"), length=rng.integers(5, 9, N))


def counts() -> None:
    """Visitors of three shops, for a temperature and a kind of day."""
    warm, day = rng.normal(290, 8, N), rng.choice(["work", "rest"], N)
    mean = np.exp(2 + (warm - 290) / 16 + (day == "rest"))[:, None] * [1, 0.5, 2]
    y = rng.poisson(mean * rng.gamma(3, 1 / 3, (N, 1)))
    arrays: dict[str, Any] = {"y": y, "x.kelvin": warm, "x.day": day}
    np.savez(HERE / "counts.npz", **arrays)


def images() -> None:
    """Discs of a known radius at places that are not known."""
    x, centre = rng.uniform(0.1, 0.4, (N, 1)), rng.uniform(0.3, 0.7, (2, N, 1, 1))
    rows, columns = np.mgrid[:8, :10] / 8
    y = np.hypot(rows - centre[0], columns - centre[1]) < x[:, :, None]
    np.savez_compressed(HERE / "images.npz", x=x, y=y)


def table() -> None:
    """Measures of people; some heights are missing."""
    age, sex = rng.integers(18, 80, N), rng.choice(["female", "male"], N)
    height = 165 + 13 * (sex == "male") + rng.normal(0, 7, N)
    weight = 70 + 0.9 * (height - 165) + 0.1 * age + rng.normal(0, 9, N)
    smokes, visits = rng.random(N) < 0.3, rng.poisson(1 + age / 20)
    blood = rng.choice(["0", "A", "B", "AB"], N, p=[0.41, 0.43, 0.11, 0.05])
    with (HERE / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["age", "sex", "height", "weight", "blood", "smokes", "visits"])
        for i in range(N):
            tall = "" if i % 9 == 0 else f"{height[i]:.1f}"
            row = [
                age[i],
                sex[i],
                tall,
                f"{weight[i]:.1f}",
                blood[i],
                str(smokes[i]).lower(),
                visits[i],
            ]
            rows.writerow(row)


if __name__ == "__main__":
    for make in (vectors, sequences, label_maps, tokens, counts, images, table):
        make()
