"""Models whose state is known, for `experiments/verdict.py`: the true process among them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from cvae.conditions.given import GivenCondition
from cvae.kinds import Sizes
from cvae.kinds.parts import Numbers
from cvae.kinds.real import Vector
from cvae.model.cvae import CVAE
from cvae.model.generator import Generator
from cvae.model.likelihoods.gaussian import GaussianLikelihood
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.priors.gaussian import GaussianPrior
from simulated_processes import SIMULATIONS


class Map(nn.Module):
    """A network that is a plain function."""

    def __init__(self, function):  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def exact(
    seed: int,
    latent_dim: int = 2,
    size: int = 4,
    noise: float = 0.5,
    width: float = 1.0,
    prior_width: float = 1.0,
    blind: bool = False,
) -> CVAE:
    r"""Return a linear Gaussian process, whose posterior is exact, as a CVAE.

    .. math:: p(z|x) = N(A x, I), \quad p(y|x, z) = N(W z + U x, s^2 I),
        \quad q(z|x, y) = N(A x + D^{-1} W^T (y - W A x - U x), s^2 D^{-1}), \quad D = W^T W + s^2 I

    with W of orthogonal columns, so that D is diagonal (Bishop 2006, section 2.3.3), and x of two
    numbers.

    Args:
        seed: Of the matrices.
        latent_dim: Dimensions of z, at most `size`.
        size: Numbers in y.
        noise: s.
        width: Factor of s in the generator, 1 if it is true.
        prior_width: Factor of the prior's deviation, 1 if it is true.
        blind: Whether the prior is that of all x together, p(z) = N(0, I + diag(A A^T)).
    """
    rng = torch.Generator().manual_seed(seed)
    a, u = torch.randn(latent_dim, 2, generator=rng), torch.randn(size, 2, generator=rng)
    w = torch.linalg.qr(torch.randn(size, latent_dim, generator=rng)).Q
    w = w * (0.7 + torch.rand(latent_dim, generator=rng))
    d = w.square().sum(0) + noise**2

    def prior(x: Tensor) -> Tensor:
        mean = x @ a.T
        log_variance = 2 * torch.tensor(prior_width).log()
        if blind:
            mean, log_variance = 0 * mean, a.square().sum(1).log1p()
        return torch.stack((mean, log_variance.expand_as(mean)), -2)

    def posterior(x: Tensor, y: Tensor) -> Tensor:
        mean = x @ a.T
        residual = y - mean @ w.T - x @ u.T
        return torch.stack((mean + residual @ w / d, (noise**2 / d).log().expand_as(mean)), -2)

    def generator(x: Tensor, z: Tensor) -> Tensor:
        return (z @ w.T + x @ u.T).unsqueeze(-2)

    sizes = Sizes(Vector((size,)), 1, (Numbers((2,)),))
    return CVAE(
        GivenCondition(sizes),
        GaussianPrior([(2,)], latent_dim, lambda *_: Map(prior)),
        GaussianPosterior([(2,), (size,)], latent_dim, lambda *_: Map(posterior)),
        Generator(
            (2,), latent_dim, sizes.y, partial(GaussianLikelihood, scale=width * noise),
            lambda *_: Map(generator),
        ),
    )  # fmt: skip


@torch.no_grad()
def drawn_from(model: CVAE, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return pairs that a model of two numbers x draws: x, (count, 2), and y, (count, ...)."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=rng)
    return x, model.sample(x, 1, rng)[0]


Rng = np.random.Generator
Arrays = dict[str, np.ndarray]


def words(count: int, rng: Rng) -> Arrays:
    """Return six tokens out of four, of one of two grammars; x says which is likely."""
    x = rng.uniform(-1, 1, (count, 1))
    grammar = (rng.random(count) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(int)
    p = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])[grammar]
    y = (rng.random((count, 6, 1)) > p.cumsum(1)[:, None]).sum(-1)
    return {"x": x, "y": y}


def bars(count: int, rng: Rng) -> Arrays:
    """Return binary images of a bar, across or upright, x where; a pixel in twenty flips."""
    x = rng.integers(0, 6, count)
    upright = rng.random(count) < 0.5
    y = np.zeros((count, 6, 6), dtype=bool)
    y[upright, :, x[upright]] = True
    y[~upright, x[~upright], :] = True
    y ^= rng.random(y.shape) < 0.05
    return {"x": np.eye(6)[x], "y": y.astype(np.uint8) * 255}


def line(count: int, rng: Rng, size: int = 3) -> Arrays:
    """Return numbers linear in x, with independent noise of deviation 0.5: no z is needed."""
    x = rng.normal(size=(count, 2))
    slopes = np.random.default_rng(size).normal(size=(2, size))
    return {"x": x, "y": x @ slopes + rng.normal(0, 0.5, (count, size))}


def ring(count: int, rng: Rng) -> Arrays:
    """Return points of the plane in one of four clusters about x, a number."""
    x = rng.uniform(-1, 1, (count, 1))
    angle = np.pi / 2 * rng.integers(0, 4, count)
    centre = 2 * np.stack((np.cos(angle), np.sin(angle)), 1)
    return {"x": x, "y": centre + x + rng.normal(0, 0.15, (count, 2))}


def patches(count: int, rng: Rng) -> Arrays:
    """Return label maps of a patch, of one of two labels and sizes; x says in which row it is."""
    row, big = rng.integers(1, 5, count), rng.random(count) < 0.5
    away = abs(np.arange(6)[:, None] - row[:, None, None]) + abs(np.arange(6) - 3)[None, None]
    y = np.where(big[:, None, None], 2 * (away < 3), 1 * (away < 2))
    odd = rng.random(y.shape) < 0.05
    return {"x": np.eye(6)[row], "y": np.where(odd, rng.integers(0, 3, y.shape), y)}


def common(count: int, rng: Rng, size: int = 4) -> Arrays:
    """Return numbers with a common part that is not known, and independent noise as large."""
    x = rng.uniform(-1, 1, (count, 1))
    part = 0.7 * rng.normal(size=(count, 1))
    return {"x": x, "y": x + part + 0.7 * rng.normal(size=(count, size))}


def halves(count: int, rng: Rng) -> Arrays:
    """Return numbers that are the sum of two numbers x, and a little noise."""
    x = rng.normal(size=(count, 2))
    return {"x": x, "y": x.sum(1, keepdims=True) + rng.normal(0, 0.3, (count, 4))}


def walks(count: int, rng: Rng) -> Arrays:
    """Return walks of up to eight steps of one number, and how many; x is the drift."""
    x = rng.uniform(-1, 1, (count, 1))
    start = rng.normal(size=(count, 1, 1))
    steps = 0.2 * x[:, :, None] * np.arange(8)[:, None] + start + rng.normal(0, 0.2, (count, 8, 1))
    return {"x": x, "y": steps, "length": rng.integers(4, 9, count)}


def gaps(count: int, rng: Rng) -> Arrays:
    """Return vectors of four numbers with a common part, a tenth of which are missing."""
    x = rng.uniform(-1, 1, (count, 1))
    y = x + rng.normal(size=(count, 1)) + rng.normal(0, 0.3, (count, 4))
    y[rng.random(y.shape) < 0.1] = np.nan
    return {"x": x, "y": y}


def simulated(name: str) -> Callable[[int, Rng], Arrays]:
    """Return the process of this name of `simulated_processes.py`."""
    return lambda count, rng: SIMULATIONS[name].draw(count, rng)[0]


PROCESSES: dict[str, tuple[str, Callable[[int, Rng], Arrays]]] = {
    "tokens": ("tokens", words),
    "bars": ("arrays", bars),
    "ring": ("vectors", ring),
    "patches": ("label_maps", patches),
    "common_4": ("vectors", common),
    "common_6": ("vectors", partial(common, size=6)),
    "common_8": ("vectors", partial(common, size=8)),
    "line_3": ("vectors", line),
    "line_5": ("vectors", partial(line, size=5)),
    "halves": ("vectors", halves),
    "walks": ("sequences", walks),
    "gaps": ("vectors", gaps),
    "modes": ("vectors", simulated("vectors_2")),
    "paths": ("sequences", simulated("paths")),
    "counts": ("counts", simulated("counts")),
    "table": ("table", simulated("table")),
}
"""How each process's kind of y is asked for, and what draws from it."""
