"""The simplest honest rivals of a conditional VAE, each a few lines of torch.

All see the rows, the standardisation and the early stopping that cvae sees, and are judged in the
units of y. A column of y is a pair: ("vector", D), ("real", 1), ("count", 1) or ("category", C).
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import zuko
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
)
from torch.nn.functional import softplus

Columns = list[tuple[str, int]]
Builder = Callable[["Pairs", Columns], "Rival"]
SMALLEST = 0.01
"""Scale of a density, in deviations of y, below which none falls; cvae's own floor."""


class Pairs(NamedTuple):
    """Pairs of x (N, F) and y (N, D)."""

    x: Tensor
    y: Tensor


def scales(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each column; a constant keeps its scale, 1."""
    scale = values.std(0, correction=0)
    return values.mean(0), torch.where(scale > 0, scale, 1.0)


class Rival(nn.Module):
    """Models p(y|x).

    Attributes:
        rate: Learning rate, in those of the others.
    """

    rate = 1.0

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(y|x) in nats, (N,), of x (N, F) and y (N, D), in the units of y."""
        raise NotImplementedError


class LinearGaussian(Rival):
    """p(y|x) = N(y | A x + b, S): least squares, and the covariance of what is left."""

    def __init__(self, train: Pairs) -> None:
        super().__init__()
        x, y = self._with_one(train.x), train.y.double()
        self.weight = torch.linalg.lstsq(x, y, driver="gelsd").solution
        self.covariance = (y - x @ self.weight).T.cov(correction=0)

    @staticmethod
    def _with_one(x: Tensor) -> Tensor:
        return torch.cat((x.double(), torch.ones(len(x), 1, dtype=torch.float64)), 1)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        return MultivariateNormal(self._with_one(x) @ self.weight, self.covariance).log_prob(y)


def full(parameters: Tensor, size: int) -> Distribution:
    """Return a Gaussian of D numbers and full covariance."""
    mean, below = parameters[..., :size], parameters[..., size:]
    tril = parameters.new_zeros(*parameters.shape[:-1], size, size)
    rows, columns = torch.tril_indices(size, size)
    tril[..., rows, columns] = below
    diagonal = softplus(tril.diagonal(0, -2, -1)) + SMALLEST
    whole = tril.tril(-1) + diagonal.diag_embed()
    return MultivariateNormal(mean, scale_tril=whole, validate_args=False)


def normal(parameters: Tensor, _: int) -> Distribution:
    """Return a Gaussian of one number."""
    return Normal(parameters[..., 0], softplus(parameters[..., 1]) + SMALLEST, False)


def counts(parameters: Tensor, _: int) -> Distribution:
    """Return a negative binomial, by the logarithms of its mean and of its dispersion."""
    mean, total = parameters[..., 0].clamp(-10, 10), parameters[..., 1].clamp(-8, 8)
    return NegativeBinomial(total.exp(), logits=mean - total, validate_args=False)


def category(parameters: Tensor, _: int) -> Distribution:
    """Return a categorical distribution."""
    return Categorical(logits=parameters, validate_args=False)


HEADS: dict[str, tuple[Callable[[int], int], Callable[[Tensor, int], Distribution]]] = {
    "vector": (lambda size: size + size * (size + 1) // 2, full),
    "real": (lambda _: 2, normal),
    "count": (lambda _: 2, counts),
    "category": (lambda size: size, category),
}
"""By kind: how many parameters a column takes, and its distribution."""


class MixtureDensity(Rival):
    """p(y|x) = sum_k w_k(x) prod_c p_k(y_c|x) (Bishop 1994, "Mixture Density Networks").

    One component and no hidden layer (`width=0`) is a regression of each column: by least squares
    with a variance that depends on x, negative binomial, or multinomial logistic.
    """

    def __init__(self, train: Pairs, columns: Columns, components: int, width: int) -> None:
        super().__init__()
        self.columns, self.components = columns, components
        self.places = [size if kind == "vector" else 1 for kind, size in columns]
        self.takes = [HEADS[kind][0](size) for kind, size in columns]
        self.x_mean, self.x_scale = scales(train.x)
        mean, scale = scales(train.y)
        is_real = [kind in ("real", "vector") for kind, _ in columns]
        real = torch.tensor(is_real).repeat_interleave(torch.tensor(self.places))
        self.mean, self.scale = torch.where(real, mean, 0.0), torch.where(real, scale, 1.0)
        out = components * (1 + sum(self.takes))
        sizes = [train.x.shape[1], *([width, width] if width else []), out]
        self.network = mlp(sizes)
        if not width and columns[0][0] != "vector":
            self.rate = 10.0  # a regression's loss is smooth enough

    def parts(self, x: Tensor) -> tuple[Tensor, list[Distribution]]:
        """Return log w_k, (N, K), and the distribution of each column, (N, K) or (N, K, D)."""
        found = self.network((x - self.x_mean) / self.x_scale)
        found = found.unflatten(-1, (self.components, -1))
        heads = found[..., 1:].split(self.takes, -1)
        pairs = zip(self.columns, heads, strict=True)
        made = [HEADS[kind][1](head, size) for (kind, size), head in pairs]
        return found[..., 0].log_softmax(-1), made

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        weights, made = self.parts(x)
        values = ((y - self.mean) / self.scale).unsqueeze(1).split(self.places, -1)
        for (kind, _), one, p in zip(self.columns, values, made, strict=True):
            weights = weights + p.log_prob(one if kind == "vector" else one[..., 0])
        return weights.logsumexp(-1) - self.scale.log().sum()

    @torch.no_grad()
    def sample(self, x: Tensor) -> Tensor:
        """Draw a y for each x, (N, D)."""
        weights, made = self.parts(x)
        chosen = Categorical(logits=weights).sample()
        drawn = [p.sample().reshape(*weights.shape, -1) for p in made]
        y = torch.cat(drawn, -1)[torch.arange(len(x)), chosen]
        return y * self.scale + self.mean


class Flow(Rival):
    """An autoregressive flow given x, by zuko; counts by log(1 + y + u), u uniform in [0, 1).

    The mass of counts is P(y) = E_u[p(y + u)], here over 100 draws of u, or one in training.
    """

    draws = 100

    def __init__(
        self, train: Pairs, columns: Columns, build: type[nn.Module], transforms: int, width: int
    ) -> None:
        super().__init__()
        self.whole = columns[0][0] == "count"
        self.x_mean, self.x_scale = scales(train.x)
        self.mean, self.scale = scales((train.y + 0.5).log1p() if self.whole else train.y)
        self.flow = build(
            train.y.shape[1],
            train.x.shape[1],
            transforms=transforms,
            hidden_features=(width, width) if width else (),
        )

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        p = self.flow((x - self.x_mean) / self.x_scale)
        if not self.whole:
            return p.log_prob((y - self.mean) / self.scale) - self.scale.log().sum()
        draws = 1 if self.training else self.draws
        moved = (y + torch.rand(draws, *y.shape)).log1p()
        found = p.log_prob((moved - self.mean) / self.scale) - (moved + self.scale.log()).sum(-1)
        return found.logsumexp(0) - math.log(draws)


def mlp(sizes: list[int]) -> nn.Sequential:
    """Return fully connected layers of these sizes."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def learn(
    model: Rival, train: Pairs, val: Pairs, seconds: float, rate: float, patience: int
) -> Rival:
    """Maximise the likelihood by Adam, and keep the epoch with the best of validation.

    Args:
        model: Any of the above.
        train: Pairs to train on.
        val: Pairs to stop by.
        seconds: Of a core, after which training ends.
        rate: Learning rate.
        patience: Epochs without a better validation, after which it ends.
    """
    optimiser = torch.optim.Adam(model.parameters(), rate)
    started, best, waited, kept = time.process_time(), math.inf, 0, model.state_dict()
    while waited < patience and time.process_time() - started < seconds:
        model.train()
        for rows in torch.randperm(len(train.x)).split(128):
            optimiser.zero_grad()
            (-model.log_prob(train.x[rows], train.y[rows]).mean()).backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            loss = -model.log_prob(*val).mean().item()
        waited += 1
        if loss < best:
            best, waited, kept = loss, 0, deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return model.eval()


def diagonal(components: int, width: int) -> Builder:
    """Return the builder of mixtures under whose components all columns are independent."""

    def build(train: Pairs, columns: Columns) -> Rival:
        kind, size = columns[0]
        apart = [("real", 1)] * size if kind == "vector" else columns
        return MixtureDensity(train, apart, components, width)

    return build


MIXTURES: dict[str, Builder] = {
    f"{k} components, {width} units": partial(MixtureDensity, components=k, width=width)
    for k, width in ((1, 32), (5, 32), (5, 128), (10, 128))
}
MIXTURES_OF_VECTORS: dict[str, Builder] = {
    "1 component, linear": partial(MixtureDensity, components=1, width=0),
    "1 component, 32 units": partial(MixtureDensity, components=1, width=32),
    "5 components, 32 units": partial(MixtureDensity, components=5, width=32),
    "10 diagonal components, 128 units": diagonal(10, 128),
}


def flows(*tries: tuple[type[nn.Module], int, int]) -> dict[str, Builder]:
    """Return the builders of flows of so many transforms and units; 0 units are linear."""
    return {
        f"{build.__name__}, {transforms} transforms, {width or 'no'} units": partial(
            Flow, build=build, transforms=transforms, width=width
        )
        for build, transforms, width in tries
    }


MAF, NSF = zuko.flows.MAF, zuko.flows.NSF
FLOWS = flows((MAF, 3, 32), (MAF, 5, 64), (NSF, 2, 32), (NSF, 3, 64))
FLOWS_OF_VECTORS = flows((MAF, 1, 0), (MAF, 3, 32), (MAF, 5, 64), (NSF, 3, 64))
REGRESSIONS: dict[str, Builder] = {
    "by column": partial(MixtureDensity, components=1, width=0),
}
LEAST_SQUARES: dict[str, Builder] = {"least squares": lambda train, _: LinearGaussian(train)}
