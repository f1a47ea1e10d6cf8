"""Every likelihood is a distribution: judged by sums, integrals and scipy."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Bernoulli, Independent
from torch.nn.functional import softplus

from conftest import SERVED, composed, options
from cvae.batch import Support
from cvae.config.building import completed
from cvae.config.compose import instantiate
from cvae.errors import InputError
from cvae.kinds.table import Column, Kind
from cvae.model.likelihoods.base import Likelihood
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from cvae.model.likelihoods.gaussian import MIN_SCALE, GaussianLikelihood
from cvae.model.likelihoods.mixed import MixedLikelihood

LEVELS, CATEGORIES = 5, 3
KNOWN = {
    "levels": LEVELS,
    "categories": CATEGORIES,
    "average": (0.5, 2.0),
    **SERVED[Support.MIXED].known(),
}
BUILDERS = {
    name: completed(instantiate(composed(f"likelihood={name}")["likelihood"]), **KNOWN)
    for name in options("likelihood")
}
DENSITIES = {
    "fixed": partial(GaussianLikelihood, scale=0.3),
    "learned": partial(GaussianLikelihood, scale="learned"),
    "per_element": partial(GaussianLikelihood, scale="per_element"),
    "optimal": partial(GaussianLikelihood, scale="optimal"),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_every_option_sums_or_integrates_to_one(name: str) -> None:
    likelihood = BUILDERS[name]((1, 2, 2))
    if likelihood.nats_of == "density":
        integrates_to_one(BUILDERS[name])
        return
    if likelihood.support == Support.COUNTS:
        every = torch.cartesian_prod(torch.arange(150.0), torch.arange(150.0))
        shape, spread = (2,), 0.5
    elif likelihood.support == Support.MIXED:
        every = torch.cartesian_prod(
            torch.linspace(-12, 12, 481), torch.arange(40.0), torch.arange(2.0), torch.arange(3.0)
        )
        shape, spread = (4,), 0.5
    else:
        values = {
            Support.LEVELS: torch.linspace(0, 1, LEVELS),
            Support.CATEGORIES: torch.arange(float(CATEGORIES)),
        }.get(likelihood.support, torch.arange(2.0))
        every = torch.cartesian_prod(*[values] * 4)
        shape, spread = (1, 2, 2), 3
    likelihood = BUILDERS[name](shape)
    torch.manual_seed(0)
    mass = likelihood(torch.randn(likelihood.outputs(shape)) * spread)
    step = 24 / 480 if likelihood.support == Support.MIXED else 1  # of what is integrated over
    total = mass.log_prob(every.view(-1, *shape)).logsumexp(0).exp().item() * step
    assert total == pytest.approx(1, rel=1e-4)


def test_bernoulli_is_the_cross_entropy_summed_over_pixels() -> None:
    logits, y = torch.randn(7, 1, 1, 4, 4), torch.rand(7, 1, 4, 4).round()
    p = 1 / (1 + np.exp(-logits.squeeze(1).numpy().astype(float)))
    expected = stats.bernoulli.logpmf(y.numpy(), p).sum((1, 2, 3))
    got = BernoulliLikelihood((1, 4, 4))(logits).log_prob(y)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)


def test_a_cross_entropy_is_the_expected_log_likelihood_of_images_binarised_at_random() -> None:
    logits, grey = torch.randn(1, 1, 2, 4), torch.rand(1, 2, 4)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).view(-1, 1, 2, 4)
    chance = (images * grey + (1 - images) * (1 - grey)).prod(-1).prod(-1).squeeze(-1)
    expected = chance @ BernoulliLikelihood((1, 2, 4))(logits).log_prob(images)
    got = BUILDERS["cross_entropy"]((1, 2, 4))(logits).log_prob(grey)
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("builder", DENSITIES.values(), ids=DENSITIES)
def test_densities_integrate_to_one_with_every_scale(builder: partial) -> None:
    integrates_to_one(builder)


def integrates_to_one(builder: Callable[..., Likelihood]) -> None:
    likelihood = builder((1, 1, 2)).eval()
    density = likelihood(torch.randn(likelihood.params_per_element, 1, 1, 2))
    volume, _ = integrate.dblquad(
        lambda a, b: density.log_prob(torch.tensor([[[a, b]]])).exp().item(),
        *((0, 1, 0, 1) if likelihood.support == Support.UNIT_INTERVAL else (-9, 9, -9, 9)),
        epsabs=1e-4,
    )
    assert volume == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", DENSITIES)
def test_gaussian_agrees_with_scipy_over_all_pixels(name: str) -> None:
    likelihood = DENSITIES[name]((1, 3, 3)).eval()
    params, y = torch.randn(5, likelihood.params_per_element, 1, 3, 3), torch.rand(5, 1, 3, 3)
    learned = MIN_SCALE + math.log(2)  # softplus(0)
    scale = {"fixed": 0.3, "learned": learned, "optimal": 1.0}.get(name)
    if scale is None:
        scale = MIN_SCALE + softplus(params[:, 1]).numpy()
    expected = stats.norm.logpdf(y.numpy(), params[:, 0].numpy(), scale).sum((1, 2, 3))
    got = likelihood(params).log_prob(y).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_learned_scales_stay_above_the_floor() -> None:
    params = torch.full((2, 1, 3, 3), -100.0)
    density = GaussianLikelihood((1, 3, 3), "per_element")(params)
    assert density.stddev.min().item() == pytest.approx(MIN_SCALE)


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood, GaussianLikelihood])
def test_half_precision_parameters_lose_no_nats_in_the_sum(likelihood) -> None:
    params, y = torch.randn(3, 1, 1, 28, 28).bfloat16(), torch.rand(3, 1, 28, 28).round()
    model = likelihood((1, 28, 28))
    nats = model(params).log_prob(y)
    assert nats.dtype == torch.float32
    exact = model.double()(params.double()).log_prob(y.double()).float()
    torch.testing.assert_close(nats, exact, atol=0.01, rtol=0)


def test_grey_pixels_are_refused_by_a_mass_over_binary_ones() -> None:
    with pytest.raises(InputError, match=r"binary.*grey.*data\.binarize=dynamic"):
        BernoulliLikelihood((1, 2, 2)).require(Support.UNIT_INTERVAL)
    BernoulliLikelihood((1, 2, 2)).require(Support.BINARY)
    GaussianLikelihood((1, 2, 2)).require(Support.UNIT_INTERVAL)


@pytest.mark.parametrize("scale", [0, -1.0, "learnt"])
def test_a_scale_that_is_none_is_refused(scale: object) -> None:
    with pytest.raises(InputError, match=r"scale: expected a positive number"):
        GaussianLikelihood((1, 2, 2), scale)  # type: ignore[arg-type]


def test_bernoulli_pixels_are_torchs() -> None:
    """Log-probabilities and gradients, also where logits saturate, and the share of ones drawn."""
    params = torch.tensor([-200.0, -30.0, -2.0, 0.0, 2.0, 30.0, 200.0]).view(1, 1, 7)
    params.requires_grad_()
    ours = BernoulliLikelihood((1, 7))(params)
    torchs = Independent(Bernoulli(logits=params.squeeze(1)), 1)
    for y in (torch.zeros(1, 7), torch.ones(1, 7), torch.tensor([[1.0, 0, 1, 0, 1, 0, 1]])):
        assert torch.allclose(ours.log_prob(y), torchs.log_prob(y).view(1), rtol=1e-6)
        (found,) = torch.autograd.grad(ours.log_prob(y), params)
        (expected,) = torch.autograd.grad(torchs.log_prob(y), params)
        assert torch.allclose(found, expected, atol=1e-6)
    torch.manual_seed(0)
    draws = ours.sample((40_000,))
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(draws.mean(0), ours.mean, atol=0.01)


def test_a_continuous_bernoulli_is_the_paper_s() -> None:
    """Its normaliser and its mean, equations 6 and 8 of Loaiza-Ganem & Cunningham 2019."""
    logits = torch.tensor([-3.0, -0.7, 0.4, 6.0]).view(1, 1, 4)
    density = BUILDERS["continuous_bernoulli"]((1, 4))(logits)
    s = 1 / (1 + np.exp(-logits.numpy().astype(float).ravel()))
    y = np.array([0.0, 0.25, 0.5, 1.0])
    normaliser = 2 * np.arctanh(1 - 2 * s) / (1 - 2 * s)
    expected = (np.log(s) * y + np.log(1 - s) * (1 - y) + np.log(normaliser)).sum()
    found = density.log_prob(torch.tensor(y, dtype=torch.float32).view(1, 4))
    assert found.item() == pytest.approx(expected, rel=1e-5)
    mean = s / (2 * s - 1) + 1 / (2 * np.arctanh(1 - 2 * s))
    np.testing.assert_allclose(density.mean.numpy().ravel(), mean, rtol=1e-4)


@pytest.mark.parametrize("logit", [-300.0, -40.0, -17.0, -0.51, -0.49, 1e-4, 0.0, 0.3, 20.0, 100.0])
def test_a_continuous_bernoulli_is_a_density_for_every_logit(logit: float) -> None:
    params = torch.tensor([[logit]]).double().requires_grad_()
    density = BUILDERS["continuous_bernoulli"]((1,))(params)
    # An exponential of rate -f, cut off at 1.
    law = stats.truncexpon(b=abs(logit), scale=1 / abs(logit)) if abs(logit) > 1e-3 else None
    y = torch.linspace(0, 1, 101).double().view(-1, 1)
    at = y.numpy().ravel() if logit < 0 else 1 - y.numpy().ravel()
    expected = law.logpdf(at) if law else np.zeros(101) + logit * (y.numpy().ravel() - 0.5)
    np.testing.assert_allclose(density.log_prob(y).detach().numpy(), expected, atol=1e-6)
    mean = 0.5 + logit / 12 if law is None else law.mean() if logit < 0 else 1 - law.mean()
    assert density.mean.item() == pytest.approx(mean, rel=1e-6)
    (slope,) = torch.autograd.grad(density.log_prob(y).sum(), params)
    assert slope.item() == pytest.approx((y.sum() - 101 * mean).item(), abs=1e-4)
    torch.manual_seed(0)
    draws = density.sample((20_000,))
    error = draws.std().item() / 20_000**0.5
    assert abs(draws.mean().item() - mean) < 5 * error
    single = BUILDERS["continuous_bernoulli"]((1,))(params.float()).log_prob(y.float())
    np.testing.assert_allclose(single.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_optimal_scale_is_that_of_the_highest_likelihood() -> None:
    """Of all scales of a batch; and what is kept follows the batches."""
    torch.manual_seed(0)
    likelihood = GaussianLikelihood((1, 4, 4), "optimal")
    mean, y = torch.zeros(500, 1, 1, 4, 4, requires_grad=True), 0.3 * torch.randn(500, 1, 4, 4)
    found = likelihood(mean).log_prob(y).sum()
    fit = stats.norm.fit(y.numpy().ravel(), floc=0)
    assert found.item() == pytest.approx(stats.norm.logpdf(y.numpy(), *fit).sum(), rel=1e-4)
    (gradient,) = torch.autograd.grad(found, mean)
    torch.testing.assert_close(gradient.squeeze(1), y / fit[1] ** 2, rtol=1e-3, atol=1e-3)
    likelihood.eval()  # the average starts at the first batch
    assert likelihood(mean).stddev[0, 0, 0, 0].item() == pytest.approx(fit[1], rel=1e-3)
    assert likelihood(mean).log_prob(y).sum().item() == pytest.approx(found.item(), rel=1e-3)
    likelihood.train()
    for _ in range(50):  # as many as a few epochs of a small set have
        likelihood(mean).log_prob(3 * y)
    likelihood.eval()
    assert likelihood(mean).stddev[0, 0, 0, 0].item() == pytest.approx(3 * fit[1], rel=0.01)


def test_a_discretized_logistic_is_scipy_s_over_the_levels() -> None:
    torch.manual_seed(0)
    likelihood = BUILDERS["discretized_logistic"]((1, 50))
    params = torch.stack((torch.rand(1, 50), torch.linspace(-8, 1, 50).view(1, 50)))
    mass = likelihood(params)
    y = torch.randint(0, LEVELS, (4000, 1, 50)).float() / (LEVELS - 1)
    law = stats.logistic(params[0].numpy(), np.exp(params[1].numpy()) + 0.1 / LEVELS)
    half, at = 0.5 / (LEVELS - 1), y.numpy().astype(float)
    above = np.where(at > 1 - half, 0, law.sf(at + half))
    below = np.where(at < half, 0, law.cdf(at - half))
    inside = np.where(at < params[0].numpy(), law.cdf(at + half) - below, law.sf(at - half) - above)
    inside = np.where(at < half, law.cdf(half), np.where(at > 1 - half, law.sf(1 - half), inside))
    np.testing.assert_allclose(
        mass.base_dist.log_prob(y).numpy(), np.log(inside), rtol=1e-3, atol=1e-4
    )
    draws = mass.sample((20_000,))
    assert set((draws * (LEVELS - 1)).unique().tolist()) == set(range(LEVELS))
    for level in range(LEVELS):
        value = torch.full((1, 50), level / (LEVELS - 1))
        share = (draws == value).double().mean(0)
        expected = mass.base_dist.log_prob(value).exp().double()
        assert ((share - expected).abs() < 5 * (expected / 20_000).sqrt() + 1e-4).all()


@pytest.mark.parametrize("levels", [2, 17, 18, 256])
def test_the_mean_of_a_discretized_logistic_is_the_sum_over_its_levels(levels: int) -> None:
    """Of narrow and of wide ones, in the range and outside."""
    location, log_scale = torch.meshgrid(
        torch.linspace(-0.3, 1.3, 97), torch.linspace(-9, 5, 57), indexing="ij"
    )
    params = torch.stack((location, log_scale))
    found = DiscretizedLogisticLikelihood((97, 57), levels)(params).mean
    law = stats.logistic(location.double().numpy(), np.exp(log_scale.numpy()) + 0.1 / levels)
    step = 1 / (levels - 1)
    above = (law.sf((level - 0.5) * step) for level in range(1, levels))
    np.testing.assert_allclose(found.numpy(), step * sum(above), atol=min(4e-5, 0.01 * step))


def test_a_discretized_logistic_has_gradients_far_out() -> None:
    params = torch.tensor([[1e6, -1e6, 0.5, 0.5], [0.0, -50.0, 90.0, -90.0]]).requires_grad_()
    nats = BUILDERS["discretized_logistic"]((4,))(params).log_prob(torch.tensor([0.25, 1, 0.5, 0]))
    (slope,) = torch.autograd.grad(nats, params)
    assert slope.isfinite().all()
    assert nats.isfinite()


def test_pixels_between_the_levels_are_refused_by_a_mass_over_them() -> None:
    likelihood = BUILDERS["discretized_logistic"]((1, 2, 2))
    likelihood.require(Support.LEVELS)
    with pytest.raises(InputError, match="grey levels"):
        likelihood.require(Support.UNIT_INTERVAL)
    with pytest.raises(InputError, match="grey"):
        BernoulliLikelihood((1, 2, 2)).require(Support.LEVELS)


@pytest.mark.parametrize(
    ("kinds", "nats_of"),
    [(["real"], "density"), (["binary", "count"], "mass"), (["real", "binary"], "mixed")],
)
def test_nats_of_a_table_are_of_what_its_columns_are(kinds: list[Kind], nats_of: str) -> None:
    columns = [Column(f"{k}", kind) for k, kind in enumerate(kinds)]
    assert MixedLikelihood((len(kinds),), columns).nats_of == nats_of
