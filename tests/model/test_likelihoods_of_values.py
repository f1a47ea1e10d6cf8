"""Likelihoods of real numbers, categories, counts and tables, against scipy's own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import softplus

from cvae.batch import Support
from cvae.errors import InputError
from cvae.kinds import Standard
from cvae.kinds.real import Vector
from cvae.kinds.table import Column
from cvae.model.generator import Generator
from cvae.model.likelihoods.base import Likelihood
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.likelihoods.categorical import CategoricalLikelihood
from cvae.model.likelihoods.counts import NegativeBinomialLikelihood, PoissonLikelihood
from cvae.model.likelihoods.gaussian import GaussianLikelihood
from cvae.model.likelihoods.laplace import LaplaceLikelihood
from cvae.model.likelihoods.location_scale import MIN_SCALE
from cvae.model.likelihoods.mixed import MixedLikelihood
from cvae.model.likelihoods.student_t import StudentTLikelihood
from cvae.model.networks import MLP

UNITS = Standard((1e6, -2.0), (1e3, 1e-4))
DENSITIES: dict[type[Likelihood], Callable[..., Any]] = {
    GaussianLikelihood: stats.norm.logpdf,
    LaplaceLikelihood: stats.laplace.logpdf,
    StudentTLikelihood: lambda y, m, s: stats.t.logpdf(y, 2 + np.log1p(np.e**3), m, s),
}


@pytest.mark.parametrize("kind", DENSITIES)
def test_densities_are_of_y_in_its_own_units(kind: Any) -> None:
    torch.manual_seed(0)
    likelihood = kind((2,), "per_element", UNITS)
    params = torch.randn(5, 2, 2)
    mean, unit = (np.array(part) for part in UNITS)
    location = mean + unit * params[:, 0].numpy()
    scale = unit * (MIN_SCALE + softplus(params[:, 1]).numpy())
    y = location + scale * np.random.default_rng(0).normal(size=(5, 2))
    found = likelihood(params).log_prob(torch.from_numpy(y))
    expected = DENSITIES[kind](y, location, scale).sum(1)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", DENSITIES)
def test_draws_have_the_mean_and_the_deviation_of_the_density(kind: Any) -> None:
    torch.manual_seed(0)
    density = kind((2,), 0.5, UNITS)(torch.tensor([[[0.3, -1.0]]]))
    draws = density.sample(torch.Size([20_000]))[:, 0]
    mean, unit = (torch.tensor(part).double() for part in UNITS)
    torch.testing.assert_close(density.mean[0], mean + unit * torch.tensor([0.3, -1.0]))
    within = 5 * density.stddev[0] / 20_000**0.5
    assert ((draws.mean(0) - density.mean[0]).abs() < within).all()
    tolerance = 0.2 if kind is StudentTLikelihood else 0.03
    torch.testing.assert_close(draws.std(0), density.stddev[0], rtol=tolerance, atol=0)


def test_categories_sum_to_one_and_their_mean_is_the_most_probable() -> None:
    likelihood = CategoricalLikelihood((2, 3), 4)
    params = torch.randn(5, 4, 2, 3)
    mass = likelihood(params)
    every = torch.stack([torch.full((5, 2, 3), float(c)) for c in range(4)])
    elements = mass.base_dist.log_prob(every)  # type: ignore[attr-defined]
    torch.testing.assert_close(elements.exp().sum(0), torch.ones(5, 2, 3))
    torch.testing.assert_close(mass.log_prob(every[0]), params.log_softmax(1)[:, 0].sum((1, 2)))
    assert torch.equal(mass.mean, params.argmax(1).float())
    draws = mass.sample(torch.Size([4000]))
    shares = torch.stack([(draws == c).float().mean(0) for c in range(4)], 1)
    torch.testing.assert_close(shares, params.softmax(1), atol=0.04, rtol=0)


def test_counts_are_those_of_scipy() -> None:
    average = (2.0, 30.0)
    y = np.arange(40.0).repeat(2).reshape(40, 2)
    params = torch.tensor([[0.5, -0.2], [1.0, -1.0]])
    mean = np.exp(params[0].numpy()) * average
    poisson = PoissonLikelihood((2,), average)(params[:1]).log_prob(torch.from_numpy(y).float())
    np.testing.assert_allclose(poisson, stats.poisson.logpmf(y, mean).sum(1), rtol=1e-4)
    shape = softplus(params[1] + 1).numpy() + 1e-4
    binomial = NegativeBinomialLikelihood((2,), average)(params)
    expected = stats.nbinom.logpmf(y, shape, shape / (shape + mean)).sum(1)
    found = binomial.log_prob(torch.from_numpy(y).float())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(binomial.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(binomial.variance, mean + mean**2 / shape, rtol=1e-5)


COLUMNS = (
    Column("height", "real", mean=170.0, scale=10.0),
    Column("blood", "category", ("0", "A", "B")),
    Column("visits", "count", average=2.0),
    Column("smokes", "binary", ("no", "yes")),
    Column("weight", "real", mean=70.0, scale=15.0),
)


def mixed() -> tuple[MixedLikelihood, Tensor]:
    torch.manual_seed(0)
    likelihood = MixedLikelihood((5,), COLUMNS)
    return likelihood, torch.randn(6, *likelihood.outputs((5,)))


def test_a_table_s_log_probability_is_the_sum_of_its_columns() -> None:
    likelihood, params = mixed()
    # Two numbers for each real column, two for the count, one logit, and three for the category.
    real, count, binary, category = params.split([4, 2, 1, 3], -1)
    y = torch.tensor([[175.0, 2.0, 3.0, 1.0, 81.0]]).double()
    location, raw = real.unflatten(-1, (2, 2)).unbind(1)
    mean, unit = torch.tensor([170.0, 70.0]), torch.tensor([10.0, 15.0])
    scale = unit * (MIN_SCALE + softplus(raw))
    expected = stats.norm.logpdf([175.0, 81.0], mean + unit * location, scale).sum(1)
    shape, rate = softplus(count[:, 1] + 1).numpy() + 1e-4, 2 * count[:, 0].exp().numpy()
    expected += stats.nbinom.logpmf(3, shape, shape / (shape + rate))
    expected += stats.bernoulli.logpmf(1, binary[:, 0].sigmoid())
    expected += category.log_softmax(-1)[:, 2].numpy()
    np.testing.assert_allclose(likelihood(params).log_prob(y), expected, rtol=1e-4)


def test_drawn_rows_have_each_column_in_its_place() -> None:
    likelihood, params = mixed()
    draws = likelihood(params).sample(torch.Size([500]))
    assert draws.shape == (500, 6, 5)
    assert 100 < draws[..., 0].mean() < 240
    assert 20 < draws[..., 4].mean() < 120
    assert set(draws[..., 1].unique().tolist()) == {0, 1, 2}
    assert set(draws[..., 3].unique().tolist()) == {0, 1}
    assert torch.equal(draws[..., 2], draws[..., 2].round())
    assert likelihood(params).mean.shape == (6, 5)


@pytest.mark.parametrize(
    "likelihood",
    [
        GaussianLikelihood((3,), standard=Standard((5.0,) * 3, (2.0,) * 3)),
        StudentTLikelihood((3,)),
        CategoricalLikelihood((3,), 4),
        PoissonLikelihood((3,), (1.0, 2.0, 3.0)),
        BernoulliLikelihood((3,)),
        MixedLikelihood((3,), COLUMNS[:3]),
    ],
    ids=lambda likelihood: type(likelihood).__name__,
)
def test_what_is_missing_is_left_out(likelihood: Likelihood) -> None:
    params = torch.randn(4, *likelihood.outputs((3,)), requires_grad=True)
    y = torch.tensor([1.0, 0.0, 1.0]).double()
    whole, missing = likelihood(params).log_prob(y), y.clone()
    missing[1] = np.nan
    likelihood.missing = True
    assert torch.equal(likelihood(params).log_prob(y), whole)
    others = y.clone()
    others[1] = np.nan
    found = likelihood(params).log_prob(others)
    # The elements are independent: without one of them, the others are what they were.
    alone = y.clone()
    alone[0] = alone[2] = np.nan
    torch.testing.assert_close(found + likelihood(params).log_prob(alone), whole)
    assert not torch.allclose(found, whole)
    found.sum().backward()
    assert params.grad is not None
    assert params.grad.isfinite().all()
    assert torch.equal(likelihood(params).log_prob(y * np.nan), torch.zeros(4))


def test_a_likelihood_of_other_values_is_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match=r"over categories.*serves real.*gaussian, laplace"):
        CategoricalLikelihood.require(Support.REAL)
    with pytest.raises(InputError, match=r"over real numbers.*serves counts.*negative_binomial"):
        GaussianLikelihood.require(Support.COUNTS)
    GaussianLikelihood.require(Support.LEVELS)


@pytest.mark.parametrize("mean", [10.0, 1e6, 3e7])
def test_large_counts_lose_no_digit(mean: float) -> None:
    y = torch.tensor([[mean]])
    poisson = PoissonLikelihood((1,), (mean,))(torch.zeros(1, 1, 1)).log_prob(y)
    np.testing.assert_allclose(poisson, stats.poisson.logpmf([mean], mean), rtol=1e-4)
    # Far beyond the cap of its shape, a negative binomial is a Poisson, and never above one.
    shape = 1e4 + 1e-4
    params = torch.tensor([[[0.0], [1e7]]])
    found = NegativeBinomialLikelihood((1,), (mean,))(params).log_prob(y)
    expected = stats.nbinom.logpmf([mean], shape, shape / (shape + mean))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_best_scale_for_a_batch_needs_complete_targets() -> None:
    target = Vector((2,), missing=True)
    likelihood = partial(GaussianLikelihood, scale="optimal")
    with pytest.raises(InputError, match="optimal is of complete y"):
        Generator((1,), 1, target, likelihood, MLP)
    with pytest.raises(InputError, match="scale: expected a number, learned or per_element"):
        MixedLikelihood((5,), COLUMNS, "optimal")


def test_a_category_of_one_value_is_certain() -> None:
    likelihood = MixedLikelihood((1,), (Column("answer", "category", ("yes",)),))
    mass = likelihood(torch.randn(3, *likelihood.outputs((1,))))
    assert torch.equal(mass.log_prob(torch.zeros(3, 1)), torch.zeros(3))
    assert torch.equal(mass.sample(torch.Size([4])), torch.zeros(4, 3, 1).double())
