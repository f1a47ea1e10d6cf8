"""Simulated data of every kind whose p(y|x) is known, learned, and held against the truth.

Usage: python experiments/simulated.py [NAME ...]; all of them by default. Each is trained in a
folder of its own under `simulated/`; the figures go to `experiments/simulated.json`, the pictures
to `experiments/figures/simulated_NAME.png`.

KL(true || model) = E[log p(y|x) - log q(y|x)] is the mean over held-out pairs, with the model's
log q(y|x) by importance sampling; its standard error is that of the mean. A share is that of the
draws that are of a mode, over 20,000 x, against that of the process for the same x.

The energy score and the CRPS are of 64 draws for each held-out x, of the model, of the process for
the same x, and of p(y), the y of other pairs. They are in the numbers that the verdict compares: in
deviations, logarithms of counts, a 1 for each category. No p(y|x) has a lower expectation than the
process.

Label maps S of the model are held against label maps Y of the process, 16 each for every held-out
x: GED^2 = 2 E d(S, Y) - E d(S, S') - E d(Y, Y'), where d is the mean of 1 - IoU over the labels but
the background, and 0 where neither map has the label. As in Kohl et al. 2018, a draw is paired with
itself too, so that the process, held against other draws of its own, has GED^2 = E d(Y, Y') / 8.
"""

import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cvae
from cvae.config.compose import resolved
from cvae.evaluation.diagnostics.scores import crps, energy_score
from cvae.evaluation.metrics.references import EnergyDistance
from cvae.training.fit import fit
from cvae.training.prepare import prepare
from simulated_processes import KINDS, SIMULATIONS, Arrays

HERE = Path(__file__).parent
TRAIN, TEST, DRAWN = 40_000, 2_000, 20_000
MASKS, SCORED = 16, 64
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
    started = time.process_time()
    model, _ = fit(prepare(config), folder / "run")
    seconds = time.process_time() - started
    shutil.copy(folder / "run" / "samples.png", HERE / "figures" / f"simulated_{name}.png")

    x, y = in_model(model, simulation.word, held)
    torch.manual_seed(0)
    found = model.log_prob(x, y, simulation.samples).double().numpy()
    truth = simulation.log_prob(held, held["y"])
    more, _ = in_model(model, simulation.word, asked)
    drawn = model.sample(more, 1, torch.Generator().manual_seed(0))[0].numpy()
    shares = [np.bincount(simulation.mode(asked, one), minlength=4) for one in (asked["y"], drawn)]
    kl = truth - found
    distances = {}
    if simulation.word == "label_maps":
        masks = [simulation.again(held, MASKS, rng) for _ in range(2)]
        own = model.sample(x, MASKS, torch.Generator().manual_seed(1)).numpy()
        distances = {
            "ged": energy_distance(own, masks[0]),
            "ged_of_process": energy_distance(masks[1], masks[0]),
        }
    numbers = model.condition.target.numbers
    process = torch.from_numpy(simulation.again(held, SCORED, rng)).to(y.dtype)
    draws = model.sample(x, SCORED, torch.Generator().manual_seed(2))
    return {
        "kl": float(kl.mean()),
        "kl_standard_error": float(kl.std() / math.sqrt(TEST)),
        "kl_per_10_dimensions": float(kl.mean() * 10 / simulation.dimensions),
        "largest_error_of_a_share": float(abs(shares[0] - shares[1]).max() / DRAWN),
        "true_nll": float(-truth.mean()),
        "nll": float(-found.mean()),
        "minutes": seconds / 60,
        "modes": int(mode.max()) + 1,
        **distances,
        **scores(numbers(y), numbers(draws), numbers(process)),
    }


def scores(y: torch.Tensor, draws: torch.Tensor, process: torch.Tensor) -> dict[str, float]:
    """Return the proper scores of a model's draws, of the process's, and of p(y).

    Args:
        y: Targets in numbers, (N, F).
        draws: The model's draws for their x, (K, N, F).
        process: Those of the process, (K, N, F).
    """
    others = torch.stack([y.roll(place, 0) for place in range(1, len(draws) + 1)])
    whose = {"": draws, "_of_process": process, "_of_data": others}
    return {
        f"{name}{of}": float(score(drawn, y).mean())
        for name, score in (("energy", energy_score), ("crps", crps))
        for of, drawn in whose.items()
    }


def energy_distance(drawn: np.ndarray, references: np.ndarray) -> float:
    """Return GED^2 of label maps, (n, N, H, W) each, as above."""
    found, kept = [], 1 - 1 / len(drawn)  # the share of pairs of different draws
    for label in range(1, int(references.max()) + 1):
        metric = EnergyDistance()
        metric.update(*(torch.from_numpy(maps == label) for maps in (drawn, references)))
        of = metric.compute()
        found.append(2 * of["between"] - kept * (of["among_samples"] + of["among_references"]))
    return float(np.mean(found))


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
