"""The stated NLL of twenty small models, held against dense quadrature over z.

Usage: python experiments/nll.py; some hours on one core. Models with z of two dimensions, of all
priors and posteriors, are trained on the embedded digits in folders of their own under `nll/`; the
figures go to `experiments/nll.json`: for each model and K, the true NLL of thirty test images, the
estimate, and the interval that is stated.
"""

import itertools
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import max_pool2d

import cvae
from cvae.config.compose import resolved
from cvae.evaluation.image_metrics import test_split
from cvae.evaluation.metrics.bounds import ImportanceSampledNLL
from cvae.training.fit import fit
from cvae.training.prepare import prepare

HERE = Path(__file__).parent
IMAGES, DRAWS = 30, (200, 400, 1000)
LIKELIHOODS = (
    *("continuous_bernoulli", "bernoulli", "gaussian", "discretized_logistic"),
    *("laplace", "student_t"),
)
POSTERIORS = ("iaf", "gaussian", "full_gaussian")
PRIORS = ("flow", "vamp", "mixture", "gaussian", "standard")
PAIRS = enumerate(itertools.product(PRIORS, POSTERIORS))
MODELS = [
    *((p, q, LIKELIHOODS[i % len(LIKELIHOODS)], 1, "label") for i, (p, q) in PAIRS),
    ("flow", "gaussian", "gaussian", 1, "none"),
    ("standard", "gaussian", "continuous_bernoulli", 1, "none"),
    ("mixture", "iaf", "bernoulli", 2, "label"),
    ("gaussian", "gaussian", "laplace", 2, "label"),
    ("vamp", "iaf", "bernoulli", 1, "none"),
]
"""Prior, posterior, likelihood, layers of z, condition."""
NEAR = 11.0
"""Nats below the largest density from which a cell is not divided further."""


def learn(name: str, model: tuple[str, str, str, int, str], folder: Path) -> None:
    """Train a model in a folder, unless it is there."""
    if (folder / "metrics.json").is_file():
        return
    prior, posterior, likelihood, layers, condition = model
    options = [
        *(f"prior={prior}", f"posterior={posterior}", f"likelihood={likelihood}"),
        *(f"hierarchy={layers}", f"latent_dim={2 // layers}", f"condition={condition}"),
        *("network.width=64", "optimizer.lr=0.003", "trainer.max_epochs=60", "seed=1"),
        *("~callbacks.progress", "~callbacks.early_stopping", "~callbacks.snapshots"),
        *(["posterior.width=32"] if posterior == "iaf" else []),
        *(["prior.width=32"] if prior == "flow" else []),
        *(["prior.components=8"] if prior in ("vamp", "mixture") else []),
    ]
    fit(prepare(resolved("train", options)), folder)


@torch.no_grad()
def exact(model: cvae.CVAE, x: Tensor, y: Tensor, cells: int = 600) -> Tensor:
    """Return log p(y|x) of each target, (B,), by midpoints of cells that shrink where p is large.

    The first cells, `cells` squared, cover all that 20,000 draws of the prior and 2,000 of the
    posterior reach, and a tenth more on each side. The sum has converged within 0.002 nats.
    """
    found = []
    for one_x, one_y in zip(x.split(1), y.split(1), strict=True):
        p = model.prior(one_x)
        z = torch.cat((p.sample((20_000,)), model.posterior(one_x, one_y).sample((2000,))))[:, 0]
        low, high = z.min(0).values, z.max(0).values
        low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
        side = (high - low) / cells
        z = low + side * (torch.cartesian_prod(*[torch.arange(cells)] * 2) + 0.5)
        values = joint(model, p, one_x, one_y, z)
        near = (values > values.max() - 20).view(1, 1, cells, cells).float()
        near = max_pool2d(near, 3, 1, 1).bool().flatten()  # and the cells around them
        done, before = mass(values[~near], side), mass(values[near], side)
        z = z[near]
        while True:
            around = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 2)
            side = side / 3
            z = (z.unsqueeze(1) + around * side).flatten(0, 1)
            values = joint(model, p, one_x, one_y, z)
            now = mass(values, side)
            if (now - before).abs() < 0.002:
                break
            near = values > values.max() - NEAR
            done = torch.logaddexp(done, mass(values[~near], side))
            z, before = z[near], mass(values[near], side)
        found.append(torch.logaddexp(done, now))
    return torch.stack(found)


def joint(model: cvae.CVAE, p: Distribution, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Return log p(y, z|x) at points z, (G, 2), for one pair, (G,)."""
    parts = (part.unsqueeze(1) for part in z.split(40_000))
    return torch.cat([(model.generator(x, z).log_prob(y) + p.log_prob(z))[:, 0] for z in parts])


def mass(log_densities: Tensor, side: Tensor) -> Tensor:
    """Return the logarithm of the integral over cells of these sides, ()."""
    return log_densities.double().logsumexp(0) + side.log().sum()


def held(model: cvae.CVAE, x: Tensor, y: Tensor, truth: float) -> list[dict[str, float]]:
    """Return what is stated with each number of draws, next to the true NLL."""
    rows = []
    for draws in DRAWS:
        torch.manual_seed(0)
        nll = ImportanceSampledNLL(draws)
        nll.update(model.estimate(x, y, draws))
        stated = {name: value.item() for name, value in nll.compute().items()}
        inside = stated.get("nll_at_least", -torch.inf) <= truth <= stated["nll_at_most"]
        rows.append({"draws": draws, "true_nll": truth, "inside": inside, **stated})
    return rows


def main() -> None:
    """Train, integrate and estimate each model."""
    found = {}
    for settings in MODELS:
        name = "-".join(map(str, settings))
        folder = Path("nll", name)
        learn(name, settings, folder)
        model, split = cvae.load(folder).eval(), test_split(cvae.datamodule(folder))
        x, y = split.x[:IMAGES], split.y[:IMAGES]
        found[name] = held(model, x, y, -exact(model, x, y).mean().item())
        (HERE / "nll.json").write_text(json.dumps(found, indent=1) + "\n")
        print(name, [(row["draws"], row["inside"]) for row in found[name]], flush=True)


if __name__ == "__main__":
    main()
