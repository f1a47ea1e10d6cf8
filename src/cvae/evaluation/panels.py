"""Views of a model: labelled images, ready to be drawn.

The functions of `PLOTS` take a model, the conditions (classes, None for every class, or a tensor),
a number n, and a source of randomness, and return a `Panel`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import interpolate

from cvae.batch import Sizes
from cvae.conditions import Wanted
from cvae.errors import InputError
from cvae.evaluation.figures import Plane
from cvae.model.cvae import CVAE
from cvae.model.distributions import moments
from cvae.random import drawing_from

UNCONDITIONAL_COLUMNS = 10


class Panel(NamedTuple):
    """Images (R, C, channels, H, W) in [0, 1], with names of the columns and rows, or none."""

    images: Tensor
    columns: list[str]
    rows: list[str]


def grid(model: CVAE, wanted: Wanted, n: int, rng: torch.Generator, mean: bool = True) -> Panel:
    """Draw from the prior: a row per plausible y, a column per condition.

    A condition that is an image is shown above its column. Without a condition, n rows of ten
    images.
    """
    x = model.encode(wanted)
    if model.condition.x_shape == (0,):
        images = model.sample(x, n * UNCONDITIONAL_COLUMNS, rng, mean)
        return Panel(images.unflatten(0, (n, UNCONDITIONAL_COLUMNS)).squeeze(2), [], [])
    images = model.sample(x, n, rng, mean)
    shown = model.condition.shown(x)
    if shown is None:
        return Panel(images, model.condition.names(x), [])
    channels = max(shown.shape[-3], images.shape[-3])
    shown = interpolate(shown, images.shape[-2:])  # x may be of another size than y
    parts = [part.expand(-1, -1, channels, -1, -1) for part in (shown.unsqueeze(0), images)]
    return Panel(torch.cat(parts), [], ["x", *[""] * n])


def interpolation(model: CVAE, wanted: Wanted, n: int, rng: torch.Generator) -> Panel:
    """Interpolate linearly in n steps from one draw of z to another: a row per condition."""
    x = model.encode(wanted)
    with drawing_from(rng):
        start, end = model.prior(x).sample(torch.Size([2]))
    steps = torch.linspace(0, 1, n, device=x.device)
    images = model.decode(x, torch.lerp(start, end, steps.view(n, 1, 1)))
    columns = [f"{step:.2f}" for step in steps.tolist()]
    return Panel(images.transpose(0, 1), columns, model.condition.names(x))


def traversal(model: CVAE, wanted: Wanted, n: int, rng: torch.Generator) -> Panel:
    """Vary each latent dimension alone from two of the prior's standard deviations below its mean
    to two above, in n steps: a row per dimension, for one condition.

    Raises:
        InputError: If z has no dimensions, or `wanted` is not one condition.
    """
    x = _one(model, wanted)
    mean, stddev = moments(model.prior(x))
    if not mean.shape[-1]:
        raise InputError("plot: 'traversal' varies dimensions of z, and this model has none")
    steps = torch.linspace(-2, 2, n, device=x.device)
    offsets = torch.eye(mean.shape[-1], device=x.device).unsqueeze(1) * steps.view(n, 1)
    images = model.decode(x, (mean + stddev * offsets).unsqueeze(-2)).squeeze(2)
    rows = [f"z{i}" for i in range(len(images))]
    return Panel(images, [f"{step:+.1f}σ" for step in steps.tolist()], rows)


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
    images = model.decode(x, (mean + stddev * plane).unsqueeze(-2)).squeeze(2)
    names = [f"{quantile:.0%}" for quantile in quantiles.tolist()]
    return Panel(images, names, names[::-1])


PLOTS: dict[str, Callable[[CVAE, Wanted, int, torch.Generator], Panel]] = {
    "grid": grid,
    "interpolation": interpolation,
    "traversal": traversal,
    "manifold": manifold,
}


@torch.no_grad()
def latent_plane(model: CVAE, x: Tensor, y: Tensor, classes: Tensor, sizes: Sizes) -> Plane:
    """Return the posterior means of images, coloured by class, with the prior's ellipses.

    A two-dimensional z is shown as it is, a larger one along the first two principal components of
    the posterior means, the directions in which they vary most.

    Args:
        model: A trained model.
        x: Conditions (B, *x_shape).
        y: Targets (B, *y_shape).
        classes: Class of each image, (B,).
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
    prior = model.prior(model.encode(None) if by_class else x)
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


def _one(model: CVAE, wanted: Wanted) -> Tensor:
    x = model.encode(wanted)
    if len(x) != 1:
        raise InputError(
            f"x: a traversal or a manifold shows one condition, got {len(x)}; ask for one, "
            "such as x=7"
        )
    return x
