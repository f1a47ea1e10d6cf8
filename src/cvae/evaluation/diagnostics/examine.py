"""All figures of the verdict, of one model and some test pairs."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cvae.data.rows import groups
from cvae.evaluation.diagnostics import latent_use
from cvae.evaluation.diagnostics.calibration import (
    Test,
    any_uniformity,
    by_condition,
    ranks,
    standardised,
    uniformity,
    width,
)
from cvae.evaluation.diagnostics.latent_use import Look, mean_and_error, narrowed
from cvae.evaluation.diagnostics.pairs import BEST, Keep, Pairs, at_once, draw_pairs, names_of
from cvae.evaluation.diagnostics.two_sample import told_apart
from cvae.evaluation.verdict import FEWEST
from cvae.left import Left
from cvae.model.cvae import CVAE
from cvae.random import seed_of

MOST = 1000
"""Test pairs that the verdict is of, at most."""


class Examination(NamedTuple):
    """What was found out about a model.

    Attributes:
        figures: Numbers by name; empty where there are too few pairs.
        places: Ranks of y among the draws, by what they are of, (N, J) each: `numbers` and
            projections of y, `distance` from a reference point, `log p(y|x)`.
        names: Of the J numbers and projections.
    """

    figures: dict[str, float]
    places: dict[str, Tensor]
    names: Sequence[str] = ()


def examine(model: CVAE, x: Tensor, y: Tensor, seed: int = 0, keep: Keep = at_once) -> Examination:
    """Return what z does in a model, and how its draws agree with test pairs.

    Args:
        model: A trained model.
        x: Conditions, (N, *x_shape), on the model's device.
        y: Their targets, (N, *y_shape). `MOST` pairs, evenly spaced, are used.
        seed: The same one gives the same bits.
        keep: What stores the parts that are done, so that they need not be done again.
    """
    if len(y) < FEWEST:
        return Examination({}, {})
    count = min(MOST, len(y))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed_of(seed)))
    some = (torch.arange(count) * len(y) // count)[order].to(y.device)
    x, y, few = x[some], y[some], min(count, latent_use.MOST)
    left = Left("test pairs of the verdict", count + few * bool(model.generator.latent_dim))
    figures: dict[str, float] = {"pairs": count}
    rng = torch.Generator().manual_seed(seed_of(seed, 3))
    if model.generator.latent_dim:
        seen = keep(
            "z", lambda: latent_use.look(model, x[:few], y[:few], seed, left.done)._asdict()
        )
        if not left.count:  # it was kept
            left.total -= few
        figures |= of_latent(Look(**seen), rng)
    pairs = draw_pairs(model, x, y, seed, keep, left.done)
    rng = torch.Generator().manual_seed(seed_of(seed, 4))
    places = {
        "numbers": ranks(pairs.values, pairs.draws, rng),
        "distance": ranks(pairs.distance, pairs.distances, rng).unsqueeze(1),
        "log p(y|x)": ranks(pairs.log_p, pairs.log_ps, rng).unsqueeze(1),
    }
    figures |= of_draws(pairs, places, rng)
    figures["spread_of_data"] = _spread(pairs.x, model.condition.target.numbers(y.cpu()))
    return Examination(figures, places, names_of(model.condition.target))


def of_latent(seen: Look, rng: torch.Generator) -> dict[str, float]:
    """Return the figures of z, in nats where they are of information or cost."""
    at_least, at_most = latent_use.information(seen)
    widths = latent_use.widths(seen)
    return {
        **_mean("information_at_least", at_least),
        **_mean("information_at_most", at_most),
        "active_units": latent_use.active(seen),
        "latent_dim": seen.means.shape[1],
        **{f"cost_of_y/{name}": float(cost.mean()) for name, cost in seen.costs.items()},
        **_mean("gain_by_z", seen.costs["shuffled"] - seen.costs["posterior"]),
        **_mean("prior_gap", latent_use.prior_gap(seen)),
        "z_width_least": float(widths.min()),
        "z_width_most": float(widths.max()),
        **_tested("z_unvisited", latent_use.unvisited(seen)),
        **_tested("z_told_from_prior", latent_use.told_from_prior(seen, rng)),
        "z_from_x": latent_use.of_x(seen, rng),
    }


def _mean(name: str, values: Tensor) -> dict[str, float]:
    mean, error = mean_and_error(values)
    return {name: mean, f"{name}_error": error}


def _tested(name: str, test: Test) -> dict[str, float]:
    return {name: test.effect, f"{name}_p_value": test.p_value}


def of_draws(pairs: Pairs, places: dict[str, Tensor], rng: torch.Generator) -> dict[str, float]:
    """Return the figures of p(y|x): tests with their p-values, scores, widths."""
    tests = {
        "width": width(pairs.values, pairs.draws, places["numbers"]),
        "coverage": uniformity(places["distance"][:, 0]),
        "ranks": any_uniformity(places["numbers"]),
        "log_p": uniformity(places["log p(y|x)"][:, 0]),
        "told_apart": told_apart(*_rows(pairs, rng), rng),
    }
    if pairs.x.shape[1]:
        every = torch.cat(list(places.values()), 1)
        tests["by_x"] = by_condition(every, narrowed(pairs.x, rng), rng)
    figures: dict[str, float] = {"statistics": places["numbers"].shape[1]}
    for name, test in tests.items():
        figures |= _tested(name, test)
    scores = {name: float(score.nanmean()) for name, score in pairs.scores.items()}
    best = {f"best_of/{k}": float(error.mean()) for k, error in zip(BEST, pairs.best, strict=True)}
    spread = scores.pop("spread")
    return figures | scores | best | {"spread_of_draws": spread}


def _rows(pairs: Pairs, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return what a classifier is given of each pair, and of its first draw, (N, F) each.

    Besides x and the statistics of y these are how far they are from the other draws, and log
    p(y|x): what it would have to learn first.
    """
    x, others = narrowed(pairs.x, rng), pairs.draws[1:]
    mean, scale = others.mean(0), others.std(0)
    scale = scale.clamp(min=1e-6 * float(1 + pairs.values.abs().amax()))
    log_mean = pairs.log_ps[1:].mean(0)

    def rows(values: Tensor, log_p: Tensor) -> Tensor:
        parts = (x, values, ((values - mean) / scale).clamp(-10, 10), (log_p - log_mean)[:, None])
        return torch.cat([part.float().nan_to_num(0.0, 1e6, -1e6) for part in parts], 1)

    return rows(pairs.values, pairs.log_p), rows(pairs.draws[0], pairs.log_ps[0])


def _spread(x: Tensor, y: Tensor) -> float:
    """Return the mean square of the distance of y, (N, F), from the mean of those of the same x.

    Where few x, (N, G), come more than once, half the mean square of the distance from the y of the
    nearest x, which is more, as far as the mean of y moves with x.
    """
    same = groups(x) if x.shape[1] else torch.zeros(len(x), dtype=torch.int64)
    counts = same.bincount()[same].double()
    if (counts > 1).float().mean() > 0.5:
        sums = torch.zeros(int(same.max()) + 1, y.shape[1], dtype=torch.float64)
        means = sums.index_add(0, same, y.double())[same] / counts.unsqueeze(1)
        each = (y - means).square().sum(1) * counts / (counts - 1).clamp(min=1)
        return float(each[counts > 1].mean())
    scaled = standardised(x)
    nearest = torch.cdist(scaled, scaled).fill_diagonal_(torch.inf).argmin(1)
    return float(0.5 * (y - y[nearest]).square().sum(1).mean())
