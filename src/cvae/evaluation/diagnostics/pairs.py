"""What is kept of a model's draws for each test pair: the statistics that the verdict is of.

The draws themselves are not kept. Pairs are drawn for in chunks, each with randomness of its own
place, so that a chunk that is done is the same in whatever order, and can be stored.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cvae.evaluation.diagnostics.calibration import references
from cvae.evaluation.diagnostics.scores import best_of, crps, energy_score
from cvae.kinds import Target
from cvae.model.cvae import CVAE
from cvae.random import drawing_from, seed_of

DRAWS = 64
"""Draws of y for each x: ranks have 65 places, and a fair score little error."""
WEIGHED = 15
"""Of these, those whose log p(y|x) is computed as well."""
_MIXED = 32
"""Draws of z of which log p(y|x) is the mean. Any number gives exact ranks; more see more."""
_ALONE, _RANDOM = 8, 24
"""Numbers of y, and random projections, whose ranks are taken; of few numbers, all are."""
_NUMBERS = 2**20
"""Numbers of y drawn at a time; bounds the memory, with convolutions to some hundred MiB."""
_DIGITS, _DIGITS_OF_NATS = 6, 3
"""Digits of statistics, and of log p, that are kept."""
BEST = (1, 2, 4, 8, 16, 32, DRAWS)
"""Numbers K of draws among which the best is chosen."""


class Pairs(NamedTuple):
    """What is known of B test pairs and of K draws of y for each.

    Attributes:
        x: Conditions in numbers, (B, G).
        values: J statistics of y: some of its numbers, and random projections, (B, J).
        draws: The same of the draws, (K, B, J).
        distance: Of y from its reference point, (B,).
        distances: The same of the draws, (K, B).
        log_p: log p(y|x) in nats, of a few draws of z, (B,): too low, but alike for all y.
        log_ps: The same of some draws, (WEIGHED, B).
        scores: By name, (B,) each, in the numbers of y: `energy` and `crps` of the model's draws,
            `energy_of_other_x` of its draws for another pair's x, `energy_of_data` and
            `crps_of_data` of other pairs' y; `spread`, the mean square of a draw's distance
            from the mean of the draws.
        best: Error of the best of `BEST` draws, (len(BEST), B).
    """

    x: Tensor
    values: Tensor
    draws: Tensor
    distance: Tensor
    distances: Tensor
    log_p: Tensor
    log_ps: Tensor
    scores: dict[str, Tensor]
    best: Tensor


Keep = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]
"""Returns what a piece of work of this name gives, or what it gave before an interruption."""


def at_once(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do a piece of work, and keep nothing of it."""
    return work()


def numbers_of_x(model: CVAE, x: Tensor) -> Tensor:
    """Return conditions, (B, *x_shape), as numbers (B, G), on the CPU: standardised, one-hot."""
    encoder, x = model.condition.encoder(), x.cpu()
    parts = [x] if encoder is None else encoder(x)
    return torch.cat([part.flatten(1).float() for part in parts], 1)


@torch.no_grad()
def draw_pairs(
    model: CVAE,
    x: Tensor,
    y: Tensor,
    seed: int,
    keep: Keep = at_once,
    done: Callable[[int], None] = lambda count: None,
) -> Pairs:
    """Draw from p(y|x) for each pair, and return what is kept.

    Where numbers of a y are missing, they are left out of its draws as well.

    Args:
        model: A trained model.
        x: Conditions (B, *x_shape).
        y: Targets (B, *y_shape).
        seed: Of all that is drawn.
        keep: What stores the chunks that are done.
        done: Is told how many pairs have been drawn for, after each chunk.
    """
    rng = torch.Generator().manual_seed(seed_of(seed, 0))
    target = model.condition.target
    numbers, given = target.numbers(y.cpu()), numbers_of_x(model, x)
    project = _projections(numbers.shape[1], rng)
    points = references(numbers, given, rng)
    shifts = 1 + torch.randperm(max(1, len(y) - 1), generator=rng)[:DRAWS]
    # Two at least, so that there is another x. What is left over joins the last chunk.
    size = max(2, _NUMBERS // (DRAWS * max(1, numbers.shape[1])))
    starts = [0, *range(size, len(y) - size + 1, size)]
    parts = []
    for start, end in zip(starts, [*starts[1:], len(y)], strict=True):
        places = torch.arange(start, end)

        def chunk(places: Tensor = places) -> dict[str, Tensor]:
            with drawing_from(
                torch.Generator(model.device).manual_seed(seed_of(seed, 1, int(places[0])))
            ):
                drawn, log_p = _drawn(model, x[places], y[places])
            own = numbers[places]
            of_x, of_other_x = (
                target.numbers(_without(part, y[places].cpu()))
                for part in (drawn, drawn.roll(1, 1))
            )
            others = numbers[(places + shifts.unsqueeze(1)) % len(y)]
            return {
                **_statistics(own, of_x, points[places], project),
                "log_p": log_p[0].round(decimals=_DIGITS_OF_NATS),
                "log_ps": log_p[1:].round(decimals=_DIGITS_OF_NATS),
                "energy": energy_score(of_x, own),
                "energy_of_data": energy_score(others, own),
                "energy_of_other_x": energy_score(of_other_x, own),
                "crps": crps(of_x, own).mean(1),
                "crps_of_data": crps(others, own).mean(1),
                "spread": of_x.var(0).sum(-1),
                "best": best_of(of_x, own, list(BEST)),
            }

        parts.append(keep(f"pairs {start}", chunk))
        done(len(places))
    whole = {
        name: torch.cat([part[name] for part in parts], _AXIS.get(name, 0)) for name in parts[0]
    }
    kept = {name: whole.pop(name) for name in Pairs._fields if name in whole}
    return Pairs(x=given, scores=whole, **kept)


_AXIS = {"draws": 1, "distances": 1, "log_ps": 1, "best": 1}
"""The dimension of the pairs, where it is not the first."""


def _drawn(model: CVAE, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return draws of y, (K, B, *y_shape), and log p(y|x) of y and some draws, (1 + WEIGHED, B)."""
    prior, target = model.prior(x), model.condition.target
    drawn = target.within(model.generator(x, prior.sample(torch.Size([DRAWS]))).sample())
    p = model.generator(x, prior.sample(torch.Size([_MIXED])))
    like_y = (y, *_without(drawn[:WEIGHED], y))
    log_p = [p.log_prob(one.to(y.dtype)).logsumexp(0) for one in like_y]
    return drawn.cpu(), torch.stack(log_p).double().cpu() - math.log(_MIXED)


def _without(draws: Tensor, y: Tensor) -> Tensor:
    """Return draws without the values that are missing in their y."""
    return torch.where(y.isnan(), torch.nan, draws) if y.is_floating_point() else draws


def _statistics(y: Tensor, draws: Tensor, points: Tensor, project: Tensor) -> dict[str, Tensor]:
    """Return the statistics of targets, (B, F), and of their draws, (K, B, F).

    They are rounded: equal y would else differ by how a product was summed, and ties be broken by
    which of them is real.
    """
    found = []
    for each in (y.double(), draws.double()):
        found += [each @ project.double(), (each - points.double()).norm(dim=-1)]
    names = ("values", "distance", "draws", "distances")
    rounded = (part.round(decimals=_DIGITS) for part in found)
    return dict(zip(names, rounded, strict=True))


def _projections(count: int, rng: torch.Generator) -> Tensor:
    """Return what maps numbers, (..., count), to some of them and to random projections."""
    single = torch.nn.functional.one_hot(_alone(count), count).float().T
    if count == 1:
        return single
    random = torch.randn(count, _ALONE if count <= _RANDOM else _RANDOM, generator=rng)
    return torch.cat((single, random / random.norm(dim=0)), 1)


def _alone(count: int) -> Tensor:
    """Return which numbers of y are statistics by themselves."""
    return torch.arange(count) if count <= _RANDOM else torch.arange(_ALONE) * count // _ALONE


def names_of(target: Target) -> list[str]:
    """Return what the statistics are of that are single numbers of y, by the names in the data."""
    names = target.columns()
    count = math.prod(target.features)
    if count != len(names):  # as a category has several
        names = [f"number {number}" for number in range(count)]
    return [names[number] for number in _alone(count).tolist()]
