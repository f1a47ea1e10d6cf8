"""Looks into a model: from a model to labelled images, ready to be drawn.

The functions of `PLOTS` take a model, the digits asked for (None for every class), a number n,
and a source of randomness, and return a `Panel`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal

from cvae.distributions import drawing_from, moments
from cvae.errors import InputError
from cvae.module import CVAE
from cvae.plots import Plane

_UNCONDITIONAL_COLUMNS = 10


class Panel(NamedTuple):
    """Images (R, C, *y_shape) in [0, 1], with a name for each column and row, or none."""

    images: Tensor
    columns: list[str]
    rows: list[str]


Digits = list[int] | None


def grid(
    model: CVAE, digits: Digits, n: int, generator: torch.Generator, mean: bool = True
) -> Panel:
    """Draw from the prior: a row per plausible hand, a column per digit.

    Without a condition, n rows of ten images.
    """
    names = model.condition.names(digits)
    if names:
        return Panel(model.sample(digits, n, generator, mean), names, [])
    images = model.sample(digits, n * _UNCONDITIONAL_COLUMNS, generator, mean)
    return Panel(images.unflatten(0, (n, _UNCONDITIONAL_COLUMNS)).squeeze(2), [], [])


def interpolation(model: CVAE, digits: Digits, n: int, generator: torch.Generator) -> Panel:
    """Go in n steps straight from one draw of z to another: a row per digit."""
    x = model.encode(digits)
    with drawing_from(generator, model.device):
        start, end = model.prior(x).sample(torch.Size([2]))
    steps = torch.linspace(0, 1, n, device=x.device)
    images = model.decode(x, torch.lerp(start, end, steps.view(n, 1, 1)))
    columns = [f"{step:.2f}" for step in steps.tolist()]
    return Panel(images.transpose(0, 1), columns, model.condition.names(digits))


def traversal(model: CVAE, digits: Digits, n: int, generator: torch.Generator) -> Panel:
    """Move each latent dimension alone over two of the prior's standard deviations to either side
    of its mean, in n steps: a row per dimension, for one digit.
    """
    x = _one(model, digits)
    mean, stddev = moments(model.prior(x))
    steps = torch.linspace(-2, 2, n, device=x.device)
    offsets = torch.eye(mean.shape[-1], device=x.device).unsqueeze(1) * steps.view(n, 1)
    images = model.decode(x, (mean + stddev * offsets).unsqueeze(-2)).squeeze(2)
    rows = [f"z{i}" for i in range(len(images))]
    return Panel(images, [f"{step:+.1f}σ" for step in steps.tolist()], rows)


def manifold(model: CVAE, digits: Digits, n: int, generator: torch.Generator) -> Panel:
    """Lay n by n points over the plane of a two-dimensional z, at the prior's quantiles from 2 %
    to 98 %, for one digit: the first dimension to the right, the second upwards.

    Raises:
        InputError: If z is not two-dimensional.
    """
    x = _one(model, digits)
    mean, stddev = moments(model.prior(x))
    if mean.shape[-1] != 2:
        raise InputError(
            "plot: 'manifold' draws the plane of a two-dimensional z, but this model has "
            f"latent_dim={mean.shape[-1]}; train with latent_dim=2, or ask for plot=traversal"
        )
    quantiles = torch.linspace(0.02, 0.98, n, device=x.device)
    steps = Normal(0.0, 1.0).icdf(quantiles)
    plane = torch.cartesian_prod(steps, steps).view(n, n, 2).flip(0, -1)
    images = model.decode(x, (mean + stddev * plane).unsqueeze(-2)).squeeze(2)
    names = [f"{quantile:.0%}" for quantile in quantiles.tolist()]
    return Panel(images, names, names[::-1])


PLOTS: dict[str, Callable[[CVAE, Digits, int, torch.Generator], Panel]] = {
    "grid": grid,
    "interpolation": interpolation,
    "traversal": traversal,
    "manifold": manifold,
}


@torch.no_grad()
def latent_plane(model: CVAE, x: Tensor, y: Tensor, classes: Tensor, num_classes: int) -> Plane:
    """Lay the posterior means of images over the prior, coloured by class.

    A two-dimensional z is shown as it is, a larger one along the two directions in which the
    posterior means vary most (their principal components).

    Args:
        model: A trained model.
        x: Conditions (B, *x_shape).
        y: Targets (B, *y_shape).
        classes: Class of each image, (B,).
        num_classes: Number of classes.

    Raises:
        InputError: If z is one-dimensional.
    """
    means = moments(model.posterior(x, y))[0].cpu()
    if means.shape[1] == 1:
        raise InputError("latent_dim: a plane needs at least 2 dimensions of z, this model has 1")
    if means.shape[1] == 2:
        origin, directions, axes = torch.zeros(2), torch.eye(2), ("z0", "z1")
    else:
        origin = means.mean(0)
        directions = torch.linalg.svd(means - origin, full_matrices=False).Vh[:2]
        axes = ("first principal direction of z", "second principal direction of z")
    prior = model.prior(model.encode(None))
    centres, scales = (part.cpu() for part in moments(prior))
    variances = scales.square()
    if (centres == centres[0]).all() and (variances == variances[0]).all():
        centres, variances = centres[:1], variances[:1]  # a prior that x does not move
    return Plane(
        (means - origin) @ directions.T,
        classes.cpu(),
        [str(label) for label in range(num_classes)],
        axes,
        (centres - origin) @ directions.T,
        (directions * variances.unsqueeze(1)) @ directions.T,
    )


def _one(model: CVAE, digits: Digits) -> Tensor:
    x = model.encode(digits)
    if len(x) != 1:
        raise InputError(
            f"digits: a traversal or a manifold draws one digit, got {len(x)}; ask for one, "
            "such as digits=7"
        )
    return x
