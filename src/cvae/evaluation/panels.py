"""Views of a model: several y with their names, ready to be drawn.

The functions of `PLOTS` take a model, the conditions (classes, None for every class, or a tensor),
a number n, and a source of randomness, and return a `Panel`.
"""

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Normal

from cvae.batch import Batch
from cvae.conditions import Wanted
from cvae.errors import InputError
from cvae.evaluation.figures import Plane, Words
from cvae.evaluation.pictures import Drawn, Panel, Pictures
from cvae.kinds import Sizes
from cvae.model.cvae import CVAE
from cvae.model.distributions import moments
from cvae.random import drawing_from

UNCONDITIONAL_COLUMNS = 10


def draw(
    model: CVAE,
    wanted: Wanted,
    n: int,
    rng: torch.Generator,
    mean: bool,
    truth: Tensor | None = None,
) -> Drawn:
    """Draw n plausible y for each condition from the prior.

    Without a condition there are n rows of ten.

    Args:
        model: A trained model.
        wanted: The conditions.
        n: Draws for each.
        rng: Source of randomness.
        mean: Take the likelihood's mean given z in place of a draw of y.
        truth: The y of the data for these conditions, (B, *y_shape), or None.
    """
    x = model.conditions_of(wanted)
    if model.condition.x_shape == (0,) and wanted is None:
        draws = model.sample(x, n * UNCONDITIONAL_COLUMNS, rng, mean)
        draws = draws.unflatten(0, (n, UNCONDITIONAL_COLUMNS)).squeeze(2)
        return Drawn(draws, [], words=Words("y drawn from the model"))
    draws = model.sample(x, n, rng, mean)
    names, shown = model.condition.names(x), model.condition.shown(x)
    what = "mean of y given z" if mean else "y"
    words = Words(f"{what}, for z drawn from p(z|x)", "x" if names else "", "draws")
    return Drawn(draws, names, shown, truth, words)


def reconstructions(model: CVAE, batch: Batch) -> Drawn:
    """Return pairs of the data with the mean of y at the posterior's mean of z.

    Args:
        model: A trained model.
        batch: Pairs of the data.
    """
    x, y = batch
    found = model.reconstruct(x, y).unsqueeze(0)
    names, shown = model.condition.names(x), model.condition.shown(x)
    words = Words("y and its reconstruction from z", "x" if names else "")
    return Drawn(found, names, shown, model.condition.whole(x, y), words)


def samples(model: CVAE, pictures: Pictures, batch: Batch, rng: torch.Generator) -> Figure:
    """Return a picture of what a model draws.

    Args:
        model: A trained model.
        pictures: What draws y.
        batch: Pairs of the data; their x are the conditions where a model cannot be asked for each.
        rng: Source of randomness.
    """
    if not (model.condition.needs_examples or pictures.beside_data):
        return pictures.samples(draw(model, None, pictures.draws, rng, pictures.mean))
    x, y = (part[: pictures.conditions] for part in batch)
    truth = model.condition.whole(x, y) if pictures.beside_data else None
    return pictures.samples(draw(model, x, pictures.draws, rng, pictures.mean, truth))


def interpolation(model: CVAE, wanted: Wanted, n: int, rng: torch.Generator) -> Panel:
    """Interpolate linearly in n steps from one draw of z to another: a row per condition."""
    x = model.conditions_of(wanted)
    with drawing_from(rng):
        start, end = model.prior(x).sample(torch.Size([2]))
    steps = torch.linspace(0, 1, n, device=x.device)
    values = model.decode(x, torch.lerp(start, end, steps.view(n, 1, 1)))
    columns = [f"{step:.2f}" for step in steps.tolist()]
    names = model.condition.names(x)
    words = Words("from one draw of z to another", "share of the way", "x" if names else "")
    return Panel(values.transpose(0, 1), columns, names, words)


def traversal(model: CVAE, wanted: Wanted, n: int, rng: torch.Generator) -> Panel:
    """Vary each latent dimension alone from two of the prior's standard deviations below its mean
    to two above, in n steps: a row per dimension, for one condition, what changes y most first.

    Raises:
        InputError: If z has no dimensions, or `wanted` is not one condition.
    """
    x = _one(model, wanted)
    mean, stddev = moments(model.prior(x))
    if not mean.shape[-1]:
        raise InputError("plot: 'traversal' varies dimensions of z, and this model has none")
    steps = torch.linspace(-2, 2, n, device=x.device)
    offsets = torch.eye(mean.shape[-1], device=x.device).unsqueeze(1) * steps.view(n, 1)
    values = model.decode(x, (mean + stddev * offsets).unsqueeze(-2)).squeeze(2)
    numbers = model.condition.target.numbers(values.flatten(0, 1).cpu()).unflatten(0, (-1, n))
    order = numbers.var(1, correction=0).sum(-1).argsort(descending=True, stable=True)
    values, rows = values[order.to(values.device)], [f"z{i}" for i in order.tolist()]
    names = [f"{step:+.1f}σ" if step else "0" for step in steps.tolist()]
    words = Words(
        f"one dimension of z at a time{_given(model, x)}",
        "deviations of p(z|x) from its mean",
        "dimension",
    )
    return Panel(values, names, rows, words)


def manifold(model: CVAE, wanted: Wanted, n: int, rng: torch.Generator) -> Panel:
    """Decode n by n points of a two-dimensional z, at the prior's quantiles from 2 % to 98 %, for
    one condition: the first dimension to the right, the second upwards.

    Raises:
        InputError: If z is not two-dimensional, or `wanted` is not one condition.
    """
    x = _one(model, wanted)
    mean, stddev = moments(model.prior(x))
    if mean.shape[-1] != 2:
        raise InputError(
            "plot: 'manifold' draws the plane of a two-dimensional z, but this model has "
            f"{mean.shape[-1]} dimensions; train with latent_dim=2, or ask for plot=traversal"
        )
    quantiles = torch.linspace(0.02, 0.98, n, device=x.device)
    steps = Normal(0.0, 1.0).icdf(quantiles)
    plane = torch.cartesian_prod(steps, steps).view(n, n, 2).flip(0, -1)
    values = model.decode(x, (mean + stddev * plane).unsqueeze(-2)).squeeze(2)
    names = [f"{quantile:.0%}" for quantile in quantiles.tolist()]
    words = Words(f"the plane of z{_given(model, x)}", "z0, quantile of p(z|x)", "z1, quantile")
    return Panel(values, names, names[::-1], words)


PLOTS: dict[str, Callable[[CVAE, Wanted, int, torch.Generator], Panel]] = {
    "interpolation": interpolation,
    "traversal": traversal,
    "manifold": manifold,
}


@torch.no_grad()
def latent_plane(model: CVAE, x: Tensor, y: Tensor, classes: Tensor, sizes: Sizes) -> Plane:
    """Return the posterior means of targets, coloured by class, with the prior's ellipses.

    A two-dimensional z is shown as it is, a larger one along the first two principal components of
    the posterior means, the directions in which they vary most.

    Args:
        model: A trained model.
        x: Conditions (B, *x_shape).
        y: Targets (B, *y_shape).
        classes: Class of each target, (B,).
        sizes: Shapes and classes of the data set's items.

    Raises:
        InputError: If z has fewer than two dimensions.
    """
    means = moments(model.posterior(x, y))[0].cpu()
    if means.shape[1] < 2:
        raise InputError(
            f"latent_dim: a plane needs at least 2 dimensions of z, this model has {means.shape[1]}"
        )
    if means.shape[1] == 2:
        origin, directions, axes = torch.zeros(2), torch.eye(2), ("z0", "z1")
    else:
        origin = means.mean(0)
        directions = torch.linalg.svd(means - origin, full_matrices=False).Vh[:2]
        axes = ("first principal direction of z", "second principal direction of z")
    by_class = model.condition.asked_by_class
    prior = model.prior(model.conditions_of(None) if by_class else x)
    centres, scales = (part.cpu() for part in moments(prior))
    covariances = scales.square().diag_embed()
    if not by_class:  # too many conditions to show each: the prior averaged over them
        spread = (centres - centres.mean(0)).T.cov(correction=0)
        centres, covariances = centres.mean(0)[None], covariances.mean(0)[None] + spread
    elif (centres == centres[0]).all() and (scales == scales[0]).all():
        centres, covariances = centres[:1], covariances[:1]  # a prior that does not depend on x
    return Plane(
        (means - origin) @ directions.T,
        classes.cpu(),
        [sizes.name(label) for label in range(sizes.num_classes)],
        axes,
        (centres - origin) @ directions.T,
        directions @ covariances @ directions.T,
    )


def _given(model: CVAE, x: Tensor) -> str:
    names = model.condition.names(x)
    return f", x = {names[0]}" if names else ""


def _one(model: CVAE, wanted: Wanted) -> Tensor:
    x = model.conditions_of(wanted)
    if len(x) != 1:
        raise InputError(
            f"x: a traversal or a manifold shows one condition, got {len(x)}; ask for one, "
            "such as x=7"
        )
    return x
