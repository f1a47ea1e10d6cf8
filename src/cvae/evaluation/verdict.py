"""What the figures say of a model: the illnesses that they show.

An illness is named where a deviation is both improbable by chance and large enough to matter. The
chances of all tests of p(y|x) together are 5 %, by Bonferroni; how large is stated here, once.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

Figures = Mapping[str, float]

FEWEST = 40
"""Test pairs below which nothing is said."""
LEVEL = 0.05
"""Chance that any test of p(y|x) raises a false alarm."""
TESTS = ("width", "coverage", "ranks", "log_p", "told_apart", "by_x")
"""The tests that share it."""
NATS = 0.1
"""Nats that z is worth at least where it counts as used: the KL of a tenth of a coin toss. Below
that `LatentUse` and the literature speak of collapse."""
SAME_DRAWS = 0.02
"""Share of the energy score that x is worth at least where draws depend on x. Over pairs that were
held out the share varies by 0.01 where it is nothing."""
EXPLAINED = 0.15
"""R^2 of z, in the prior's units, by x, from which z carries x: what a correlation of 0.4 gives."""
UNVISITED_SHARE = 0.2
"""Share of prior draws in places that only 5 % of posteriors visit: four times what is due."""
NARROW, WIDE = 0.75, 1.33
"""Deviation of z in the prior's units beyond which its prior does not fit: a KL of some 0.05 nats
for each dimension."""
TOLD = 0.65
"""Share of pairs that are told apart, from which draws differ: two Gaussians half a deviation from
each other give 0.64."""
COVERAGE = 0.1
"""Error of a coverage, from which it matters: intervals of 90 % that hold 80 %."""
TOO_NARROW, TOO_WIDE = 0.85, 1.18
"""Width of the draws, relative to the data, from which it matters: a sixth."""
BY_X = 0.25
"""Correlation of a rank with x, from which it matters."""


def significant(figures: Figures, name: str) -> bool:
    """Return whether a test of p(y|x) would be a chance of less than its share of 5 %."""
    return figures.get(f"{name}_p_value", 1.0) < LEVEL / len(TESTS)


PREFIX = "verdict/"
"""How the names of its figures begin among the metrics."""


class Illness(NamedTuple):
    """A way in which a model is wrong.

    Attributes:
        name: Its name in the metrics.
        mark: The same in words, as short as a table has room for.
        found: Whether figures show it: what is true or not.
        said: What it is, a sentence with figures by their names in braces.
    """

    name: str
    mark: str
    found: Callable[[Figures], object]
    said: str


def has_z(f: Figures) -> bool:
    """Return whether figures are of a model that has z."""
    return "gain_by_z" in f


def _unused(f: Figures) -> bool:
    return has_z(f) and (f["information_at_most"] < NATS or f["gain_by_z"] < NATS)


def _z_differs(f: Figures) -> bool:
    return has_z(f) and not _unused(f) and f["z_told_from_prior_p_value"] < LEVEL


def _has_holes(f: Figures) -> bool:
    if not _z_differs(f):
        return False
    return f["z_unvisited_p_value"] < LEVEL and f["z_unvisited"] > UNVISITED_SHARE


def _ignores_x(f: Figures) -> bool:
    if "by_x" not in f or not f["energy_of_other_x"] > 0:
        return False
    worth = 1 - f["energy"] / f["energy_of_other_x"]
    return worth < SAME_DRAWS and significant(f, "by_x")


COVERAGES = {
    "coverage": "the distance of y from a reference point",
    "ranks": "a single number, or projection, of y",
    "log_p": "log p(y|x)",
}
"""The figures that are errors of a coverage, each with what is covered."""


def coverage_in_words(f: Figures, name: str) -> str:
    """Return by how much a coverage is off, and of what, as a part of a sentence."""
    return f"coverage of {COVERAGES[name]} is off by {f[name]:.0%} ({PREFIX}{name})"


def signs_of_another_shape(f: Figures) -> str:
    """Return which of the tests tell draws from data, in words; empty where none does."""
    off = [(f[n], n) for n in COVERAGES if significant(f, n) and f[n] > COVERAGE]
    signs = [f"the {coverage_in_words(f, max(off)[1])}"] if off else []
    if significant(f, "told_apart") and f["told_apart"] > TOLD:
        share = f"{f['told_apart']:.0%}"
        signs.append(f"a classifier tells the real y of a pair in {share} of cases (50% is chance)")
    return ", and ".join(signs)


ILLNESSES = (
    Illness(
        "collapsed",
        "z unused",
        _unused,
        "z is not used: it carries {information_at_most:.2f} nats at most, and is worth "
        "{worth:.2f} nats of y.",
    ),
    Illness(
        "ignores_x",
        "x ignored",
        _ignores_x,
        "The draws do not depend on x, and y does: draws for the x of other pairs are as close to "
        "y (energy score {energy_of_other_x:.3g} against {energy:.3g}).",
    ),
    Illness(
        "leaks_x",
        "z carries x",
        lambda f: _z_differs(f) and f["z_from_x"] > EXPLAINED,
        "z carries x: {z_from_x:.0%} of the variance of z follows from x, and the prior does not "
        "know it, so that what it draws does not go with x.",
    ),
    Illness(
        "prior_wide",
        "prior too wide",
        lambda f: _z_differs(f) and f["z_width_least"] < NARROW,
        "The prior is too wide: in a dimension of z, all posteriors together are "
        "{z_width_least:.2f} times as wide.",
    ),
    Illness(
        "holes",
        "holes",
        _has_holes,
        "The prior has holes: {z_unvisited:.0%} of its draws (5% would be due) are where hardly "
        "any posterior is, and the generator was never trained.",
    ),
    Illness(
        "prior_narrow",
        "prior too narrow",
        lambda f: _z_differs(f) and f["z_width_most"] > WIDE,
        "The prior is too narrow: in a dimension of z, all posteriors together are "
        "{z_width_most:.2f} times as wide.",
    ),
    Illness(
        "too_narrow",
        "too narrow",
        lambda f: significant(f, "width") and f["width"] < TOO_NARROW,
        "The draws are too narrow: {width:.2f} times as wide as the data.",
    ),
    Illness(
        "too_wide",
        "too wide",
        lambda f: significant(f, "width") and f["width"] > TOO_WIDE,
        "The draws are too wide: {width:.2f} times as wide as the data.",
    ),
    Illness(
        "by_x",
        "wrong for some x",
        lambda f: not _ignores_x(f) and significant(f, "by_x") and f["by_x"] > BY_X,
        "p(y|x) is wrong for some x: the rank of y among its draws depends on x (correlation "
        "{by_x:.2f}).",
    ),
    Illness(
        "shape",
        "another shape",
        signs_of_another_shape,
        "The draws are of another shape than the data: {signs}.",
    ),
)
"""All illnesses, what causes others first."""
OF_Z = ("collapsed", "leaks_x", "prior_narrow", "prior_wide", "holes")


def illnesses(figures: Figures) -> list[Illness]:
    """Return the illnesses that figures show, what causes others first.

    Example:
        >>> figures = {"width": 0.5, "width_p_value": 0.001}
        >>> [illness.name for illness in illnesses(figures)]
        ['too_narrow']
    """
    return [illness for illness in ILLNESSES if illness.found(figures)] if figures else []


def metrics_of(figures: Figures) -> dict[str, float]:
    """Return the figures under their names as metrics, with 1 for each illness found and 0 else."""
    if not figures:
        return {}
    found = {illness.name for illness in illnesses(figures)}
    flags = {f"{PREFIX}is/{illness.name}": float(illness.name in found) for illness in ILLNESSES}
    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    return {**flags, **{f"{PREFIX}{name}": value for name, value in finite.items()}}


def mark(metrics: Figures) -> str:
    """Return the verdict in a few words, from a run's metrics; empty where there is none.

    Example:
        >>> mark(metrics_of({"width": 0.5, "width_p_value": 0.001}))
        'too narrow'
    """
    flags = {illness.mark: metrics.get(f"{PREFIX}is/{illness.name}") for illness in ILLNESSES}
    if any(flag is None for flag in flags.values()):
        return ""
    return ", ".join(name for name, flag in flags.items() if flag) or (
        "used, calibrated" if f"{PREFIX}gain_by_z" in metrics else "calibrated"
    )
