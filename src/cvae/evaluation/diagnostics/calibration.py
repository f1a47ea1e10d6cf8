r"""Whether draws are like the targets: ranks, expected coverage, and width.

Let t be any statistic of a pair. If \hat y_1..K come from the true p(y|x), the rank of t(x, y)
among t(x, \hat y_k) is uniform, whatever t and K are, and ranks of different pairs are independent.
So the null is exact, also where y is discrete, since ties are broken at random (Talts et al. 2018,
"Validating Bayesian Inference Algorithms with Simulation-Based Calibration", ask the same of z).
With t the distance from a reference point it is expected coverage by TARP (Lemos et al. 2023,
"Sampling-Based Accuracy Testing of Posterior Estimators for General Inference").
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

_PERMUTATIONS = 999
"""Of a null: the smallest p-value is one in a thousand."""
_SMOOTH = 1e-6
"""Keeps a statistic that never varies from being divided by zero."""


class Test(NamedTuple):
    """How large a deviation is, and how probable such a one is if there is none.

    `effect` is in the unit that the function says, `p_value` from 0 to 1.
    """

    effect: float
    p_value: float


def ranks(values: Tensor, draws: Tensor, rng: torch.Generator) -> Tensor:
    """Return the place of each value among its draws, (B, ...), uniform in (0, 1) if they agree.

    Args:
        values: A statistic of the targets, (B, ...).
        draws: The same of K draws for each, (K, B, ...).
        rng: Breaks ties, and fills the gap between neighbours.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> targets, draws = torch.zeros(4), torch.ones(9, 4)
        >>> bool((ranks(targets, draws, rng) < 0.1).all())  # each is below all of its draws
        True
    """
    below, equal = (draws < values).sum(0), (draws == values).sum(0)
    jitter = torch.rand(values.shape, generator=rng, dtype=torch.float64)
    return (below + jitter * (equal + 1)) / (len(draws) + 1)


def references(y: Tensor, x: Tensor | None, rng: torch.Generator) -> Tensor:
    r"""Return a reference point for each pair, (B, F), at random in the range of the targets.

    r = low + (high - low) \Phi((e + W x) / sqrt 2) with e and W x both N(0, 1). It depends on x:
    with references that do not, a model that ignores x passes (Lemos et al. 2023, section 3).

    Args:
        y: Targets, (B, F), whose range each reference is in.
        x: Conditions in numbers, (B, G); None if there are none.
        rng: Source of randomness.

    Example:
        >>> y, x = torch.eye(3), torch.ones(3, 1)
        >>> references(y, x, torch.Generator()).shape
        torch.Size([3, 3])
    """
    noise = torch.randn(y.shape, generator=rng)
    if x is not None and x.shape[1]:
        scaled = standardised(x)
        weights = torch.randn(x.shape[1], y.shape[1], generator=rng)
        moved = standardised(scaled @ weights.to(scaled))
        noise = (noise + moved.to(noise)) / math.sqrt(2)
    low, high = y.amin(0), y.amax(0)
    return low + (high - low) * torch.special.ndtr(noise)


def uniformity(places: Tensor) -> Test:
    """Return how far places, (B,), are from uniform: the largest distance of their distribution
    function from the diagonal, which is the largest error of a coverage (Kolmogorov & Smirnov).

    Example:
        >>> uniformity(torch.linspace(0, 0.5, 100)).effect  # never above one half
        0.5
    """
    found = stats.kstest(places.numpy(), "uniform")
    return Test(float(found.statistic), float(found.pvalue))


def any_uniformity(places: Tensor) -> Test:
    """Return the largest deviation of places, (B, J), of J statistics at once, as `uniformity`.

    The p-value is Bonferroni's.
    """
    found = [uniformity(column) for column in places.unbind(1)]
    smallest = min(test.p_value for test in found)
    return Test(max(test.effect for test in found), min(1.0, len(found) * smallest))


def band(count: int, level: float) -> float:
    """Return by how much the coverage of `count` true pairs stays within, at all levels at once.

    Example:
        >>> round(band(1000, 0.95), 3)
        0.043
    """
    return float(stats.kstwo.ppf(level, count))


def width(values: Tensor, draws: Tensor, places: Tensor) -> Test:
    r"""Return how wide the draws are, relative to how far the targets are from their mean: 1 if
    they are right.

    .. math:: \mathrm{ratio}^2 = \mathbb{E} \mathrm{Var}_k \, t(\hat y_k) \,(1 + 1/K)
        \;/\; \mathbb{E} (t(y) - \bar t(\hat y))^2

    its geometric mean over statistics: the spread-skill ratio (Fortin et al. 2014, "Why Should
    Ensemble Spread Match the RMSE of the Ensemble Mean?"). A mean that is off makes it smaller as
    well. The p-value is of the ranks: their mean (u - 1/2)^2 is 1/12 if draws are as wide as the
    data, more if they are too narrow. A t-test over pairs, whose statistics may depend.

    Args:
        values: J statistics of the targets, (B, J).
        draws: The same of K draws for each, (K, B, J).
        places: Their ranks, (B, J).

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> y, draws = torch.randn(1000, 1, generator=rng), torch.randn(50, 1000, 1, generator=rng)
        >>> round(width(y, draws / 2, ranks(y, draws / 2, rng)).effect, 1)
        0.5
    """
    mean, spread = draws.mean(0), draws.var(0).mean(0) * (1 + 1 / len(draws))
    error = (values - mean).square().mean(0)
    moving = error > _SMOOTH * error.amax()
    if not moving.any():
        return Test(1.0, 1.0)
    ratio = (0.5 * (spread[moving].clamp(min=1e-12) / error[moving]).log().mean()).exp()
    each = (places - 0.5).square().mean(1).numpy()
    p_value = float(stats.ttest_1samp(each, 1 / 12).pvalue) if len(each) > 1 else 1.0
    return Test(float(ratio), p_value if math.isfinite(p_value) else 1.0)


def by_condition(places: Tensor, x: Tensor, rng: torch.Generator) -> Test:
    """Return whether ranks depend on x: whether p(y|x) is right for every x, not on average alone.

    The effect is the largest correlation of u, or of (u - 1/2)^2, with a number of x. Where p(y|x)
    is true, u does not depend on x, so that permuting the pairs gives the exact null.

    Args:
        places: Ranks u of J statistics, (B, J).
        x: Conditions in numbers, (B, G).
        rng: Source of randomness.

    Example:
        >>> x = torch.linspace(0, 1, 100).unsqueeze(1)
        >>> by_condition(places=x, x=x, rng=torch.Generator().manual_seed(0)).p_value
        0.001
    """
    u = places - 0.5
    columns = standardised(torch.cat((u, u.square()), 1).double())
    numbers = standardised(x.double())

    def largest(order: Tensor) -> float:
        return float((columns.T @ numbers[order]).abs().max()) / len(x)

    found = largest(torch.arange(len(x)))
    permuted = [largest(torch.randperm(len(x), generator=rng)) for _ in range(_PERMUTATIONS)]
    above = int(np.sum(np.array(permuted) >= found))
    return Test(found, (1 + above) / (1 + _PERMUTATIONS))


def standardised(values: Tensor) -> Tensor:
    """Return columns, (B, G), less their means and divided by their deviations; constants are 0."""
    moved = values - values.mean(0)
    scale = moved.square().mean(0).sqrt()
    return torch.where(scale > _SMOOTH * (1 + values.abs().amax(0)), moved / scale, 0.0)
