"""The bound, held against a model whose log p(y|x) is known."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    StudentT,
    kl_divergence,
)

from conftest import composed, options
from cvae.config.compose import instantiate
from cvae.errors import InputError
from cvae.model.distributions import Gaussian, Mixture, independent_normal
from cvae.model.objectives import (
    ELBO,
    GECO,
    IWAE,
    BalancedELBO,
    FreeBits,
    Hybrid,
    Objective,
    Terms,
    kl_or_estimate,
    kl_per_dimension,
)
from linear_gaussian import LinearGaussian


@pytest.fixture
def linear() -> LinearGaussian:
    return LinearGaussian()


def mean_elbo(linear: LinearGaussian, repeats: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """The ELBO of each image, (B,), and its standard error."""
    x, y, model = linear.x.repeat(repeats, 1), linear.y.repeat(repeats, 1, 1, 1), linear.model
    terms = ELBO()(model.posterior(x, y), model.prior(x), partial(model.generator, x), y)
    values = terms.elbo.view(repeats, -1)
    return values.mean(0), values.std(0) / repeats**0.5


def test_elbo_at_the_exact_posterior_is_the_log_likelihood(linear: LinearGaussian) -> None:
    elbo, error = mean_elbo(linear)
    assert ((elbo - linear.exact()).abs() < 5 * error).all()


def test_elbo_below_importance_sampled_below_exact(linear: LinearGaussian) -> None:
    linear.posterior_shift = 0.5
    elbo, error = mean_elbo(linear)
    torch.manual_seed(0)
    x, y = linear.x.repeat(500, 1), linear.y.repeat(500, 1, 1, 1)
    few, many = (linear.model.log_prob(x, y, samples=k).view(500, -1).mean(0) for k in (5, 50))
    exact = linear.exact()
    assert (elbo + 5 * error < few).all()
    assert (few < many).all()
    assert (many < exact + 1e-3).all()
    most = linear.model.log_prob(linear.x, linear.y, 200_000)
    torch.testing.assert_close(most, exact, atol=0.02, rtol=0)


def test_gap_of_the_bound_is_the_kl_to_the_exact_posterior(linear: LinearGaussian) -> None:
    exact_posterior = linear.model.posterior(linear.x, linear.y)
    linear.posterior_shift = 0.5
    gap = kl_divergence(linear.model.posterior(linear.x, linear.y), exact_posterior)
    elbo, error = mean_elbo(linear)
    assert ((linear.exact() - elbo - gap).abs() < 5 * error).all()


def test_loss_is_the_mean_over_images_whatever_the_batch_size(linear: LinearGaussian) -> None:
    model = linear.model

    def loss(x: torch.Tensor, y: torch.Tensor) -> float:
        q = model.posterior(x, y)
        q.base_dist.scale = torch.full_like(q.base_dist.scale, 1e-9)  # z is q's mean
        return ELBO()(q, model.prior(x), partial(model.generator, x), y).loss.item()

    whole = loss(linear.x, linear.y)
    assert loss(linear.x.repeat(3, 1), linear.y.repeat(3, 1, 1, 1)) == pytest.approx(whole)
    halves = loss(linear.x[:6], linear.y[:6]) + loss(linear.x[6:], linear.y[6:])
    assert halves / 2 == pytest.approx(whole)


def test_beta_weighs_the_kl_in_the_loss_and_nothing_else(linear: LinearGaussian) -> None:
    model, x, y = linear.model, linear.x, linear.y

    def terms(beta: float):
        torch.manual_seed(0)
        return ELBO()(model.posterior(x, y), model.prior(x), partial(model.generator, x), y, beta)

    one, four = terms(1), terms(4)
    torch.testing.assert_close(one.loss, -one.elbo.mean())
    torch.testing.assert_close(four.loss - one.loss, 3 * one.kl.mean())
    torch.testing.assert_close(four.elbo, one.elbo)


@pytest.mark.parametrize("doubly", [False, True])
def test_beta_weighs_the_importance_weighted_bound_of_one_draw_as_the_elbo(
    doubly: bool, linear: LinearGaussian
) -> None:
    x, y, model = linear.x.repeat(4000, 1), linear.y.repeat(4000, 1, 1, 1), linear.model
    q, p, decode = model.posterior(x, y), model.prior(x), partial(model.generator, x)
    for beta in (0.0, 0.4):
        expected = ELBO()(q, p, decode, y, beta).loss.item()
        found = IWAE(1, doubly)(q, p, decode, y, beta).loss.item()
        assert found == pytest.approx(expected, abs=0.05)


def test_beta_rises_linearly_and_stays() -> None:
    objective = ELBO(beta=2, warmup_epochs=4)
    assert [objective.beta_at(epoch) for epoch in (0, 1, 2, 4, 9)] == [0, 0.5, 1, 2, 2]
    assert ELBO().beta_at(0) == 1
    cyclical = ELBO(beta=2, warmup_epochs=2, cycle_epochs=4)
    assert [cyclical.beta_at(epoch) for epoch in (0, 1, 3, 4, 5, 9)] == [0, 1, 2, 0, 1, 1]


@pytest.mark.parametrize("given", [{"beta": -1}, {"warmup_epochs": -1}, {"beta": float("nan")}])
def test_negative_weights_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))}: expected at least 0"):
        ELBO(**given)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (
            lambda: ELBO(warmup_epochs=5, cycle_epochs=3),
            "cycle_epochs: a cycle begins with .* at most 3, got 5; set objective.cycle_epochs=0",
        ),
        (lambda: FreeBits(-1), "free_nats: expected at least 0, got -1"),
        (lambda: BalancedELBO(1.5), "prior_share: expected a share from 0 to 1, got 1.5"),
        (lambda: Hybrid(-0.5), "elbo_share: expected a share from 0 to 1, got -0.5"),
        (lambda: IWAE(0), "samples: expected at least 1, got 0"),
        (lambda: GECO(-60, rate=0), "rate: expected a positive number, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(build: Callable[[], Objective], said: str) -> None:
    with pytest.raises(InputError, match=f"{said}"):
        build()


def test_kl_without_a_closed_form_is_estimated_without_bias() -> None:
    torch.manual_seed(0)
    q = Independent(Normal(torch.tensor([0.3, -0.2]), torch.tensor([0.8, 1.1])), 1)
    for p in (
        MultivariateNormal(torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.4], [0.4, 2.0]])),
        Independent(Laplace(torch.zeros(2), torch.ones(2)), 1),
    ):
        z = q.sample((200_000,))
        estimate = kl_or_estimate(q.expand(torch.Size([200_000])), p, z)
        if isinstance(p, MultivariateNormal):
            full = MultivariateNormal(q.mean, torch.diag(q.variance))
            exact = kl_divergence(full, p)
        else:
            exact = kl_divergence(q.base_dist, p.base_dist).sum()
        assert estimate.mean().item() == pytest.approx(exact.item(), abs=0.02)


# -- all objectives, where everything about them is known ----------------------------------------


def terms_of(objective: Objective, linear: LinearGaussian, repeats: int = 1) -> Terms:
    x, y, model = linear.x.repeat(repeats, 1), linear.y.repeat(repeats, 1, 1, 1), linear.model
    q, p = model.posterior(x, y), model.prior(x)
    return objective(q, p, partial(model.generator, x), y)


@pytest.mark.parametrize("name", options("objective"))
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_logged_bound_is_the_bound_itself(
    name: str, shift: float, linear: LinearGaussian
) -> None:
    """Whatever is weighed how: at the exact posterior it is log p(y|x), and off it as far below."""
    exact_posterior = linear.model.posterior(linear.x, linear.y)
    linear.posterior_shift = shift
    objective = instantiate(composed(f"objective={name}")["objective"]).double()
    elbo = terms_of(objective, linear, 4000).elbo.view(4000, -1).detach()
    gap = kl_divergence(linear.model.posterior(linear.x, linear.y), exact_posterior)
    error = elbo.std(0) / 4000**0.5
    assert ((linear.exact() - elbo.mean(0) - gap).abs() < 5 * error + 1e-9).all()


def test_losses_at_the_exact_posterior_are_what_is_known_of_them(linear: LinearGaussian) -> None:
    q, p = linear.model.posterior(linear.x, linear.y), linear.model.prior(linear.x)
    exact, kl = linear.exact(), kl_divergence(q, p)
    reached = exact + kl  # E_q[log p(y|x, z)]
    parts = kl_divergence(q.base_dist, p.base_dist)
    free = parts.mean(0).clamp(min=0.5).sum()
    assert parts.mean(0).min() < 0.5 < parts.mean(0).max()  # one of two dimensions is below
    target = -7.0
    geco = GECO(target).double()
    geco.log_multiplier.fill_(0.7)
    for objective, loss in (
        (ELBO(), -exact.mean()),
        (IWAE(5), -exact.mean()),
        (IWAE(5, doubly_reparameterized=True), -exact.mean()),
        (FreeBits(0.5), free - reached.mean()),
        (BalancedELBO(0.9), -exact.mean()),
        (geco.eval(), (kl + torch.tensor(0.7).exp() * (target - reached)).mean()),
        (Hybrid(1.0), -exact.mean()),
    ):
        found = terms_of(objective, linear, 4000).loss.item()
        assert found == pytest.approx(loss.item(), abs=0.05), objective


def test_the_hybrid_s_other_share_is_the_log_likelihood_under_the_prior() -> None:
    """E_p[log N(y | W z + m, s^2)] = log N(y | W E[z] + m, s^2) - tr(W S W^T) / 2 s^2."""
    linear = LinearGaussian()
    p = linear.model.prior(linear.x)
    at_mean = linear.model.generator(linear.x, p.mean).log_prob(linear.y)
    spread = (p.variance * (linear.w**2).sum(0)).sum(-1) / (2 * 0.7**2)
    found = terms_of(Hybrid(0.0), linear, 20_000).loss.item()
    assert found == pytest.approx((spread - at_mean).mean().item(), rel=0.01)


def gradients(
    objective: Objective, linear: LinearGaussian, repeats: int, beta: float = 1.0
) -> list[Tensor]:
    """The loss's gradient by the posterior's and the prior's parameters, for each repeat."""
    x, y, model = linear.x.repeat(repeats, 1), linear.y.repeat(repeats, 1, 1, 1), linear.model
    parts = []
    for given in (model.posterior(x, y), model.prior(x)):
        loc, log_scale = given.base_dist.loc.detach(), given.base_dist.log_scale.detach()
        parts += [loc.requires_grad_(), log_scale.requires_grad_()]
    q, p = (
        Independent(Gaussian(loc, log_scale.exp(), log_scale), 1)
        for loc, log_scale in (parts[:2], parts[2:])
    )
    loss = objective(q, p, partial(model.generator, x), y, beta).loss * len(x)
    found = torch.autograd.grad(loss, parts, allow_unused=True)
    return [part.view(repeats, -1, 2) for part in found]


def test_at_the_exact_posterior_the_doubly_reparameterised_gradient_is_none(
    linear: LinearGaussian,
) -> None:
    """All weights are equal there, whatever z is, and not only on average."""
    doubly = gradients(IWAE(5, doubly_reparameterized=True), linear, 3)
    assert all(part.abs().max() < 1e-6 for part in doubly[:2])
    singly = gradients(IWAE(5), linear, 3)
    assert all(part.abs().max() > 1e-2 for part in singly[:2])


@pytest.mark.parametrize("beta", [1.0, 0.4, 0.0])
def test_the_doubly_reparameterised_gradient_is_the_gradient(
    beta: float, linear: LinearGaussian
) -> None:
    linear.posterior_shift = 0.3
    torch.manual_seed(0)
    singly, doubly = (
        gradients(IWAE(3, doubly_reparameterized=flag), linear, 20_000, beta)
        for flag in (False, True)
    )
    for one, other in zip(singly, doubly, strict=True):
        error = ((one.var(0) + other.var(0)) / len(one)).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() <= 5 * error).all()


def test_balance_moves_the_prior_more_and_the_posterior_less(linear: LinearGaussian) -> None:
    linear.posterior_shift = 0.3
    torch.manual_seed(0)
    plain, balanced = (gradients(o, linear, 20_000) for o in (ELBO(), BalancedELBO(0.8)))
    for one, other in zip(plain[2:], balanced[2:], strict=True):  # 2 x 0.8 of the KL's
        error = (other.var(0) / len(other)).sqrt()
        assert ((1.6 * one.mean(0) - other.mean(0)).abs() < 5 * error + 1e-9).all()
    q, p = linear.model.posterior(linear.x, linear.y), linear.model.prior(linear.x)
    loc = q.base_dist.loc.detach().requires_grad_()
    q = Independent(Gaussian(loc, q.base_dist.scale, q.base_dist.log_scale), 1)
    (by_kl,) = torch.autograd.grad(kl_divergence(q, p).sum(), loc)
    change = balanced[0] - plain[0]  # 2 x 0.2 of the KL's, the rest as it is
    error = (change.var(0) / len(change)).sqrt()
    assert ((change.mean(0) + 0.6 * by_kl).abs() < 5 * error + 1e-9).all()


def test_nats_that_are_free_pull_nowhere(linear: LinearGaussian) -> None:
    torch.manual_seed(0)
    q, p = linear.model.posterior(linear.x, linear.y), linear.model.prior(linear.x)
    assert kl_per_dimension(q, p).mean(0).max() < 90
    by_prior = gradients(FreeBits(100.0), linear, 3)[2:]
    assert all(not part.any() for part in by_prior)
    parts = (p.base_dist.loc, p.base_dist.scale, p.base_dist.log_scale)
    mixed = Mixture(
        torch.zeros(len(linear.x), 1).double(),
        independent_normal(*(part.unsqueeze(1) for part in parts)),
    )
    loss = FreeBits(100.0)(q, mixed, partial(linear.model.generator, linear.x), linear.y)
    assert loss.loss.item() == pytest.approx((200 - loss.log_likelihood).mean().item())


def test_free_bits_of_an_estimated_kl_pull_the_posterior() -> None:
    """Above them all its gradient is that of the KL, also where the KL is the draw's."""
    loc = torch.full((500, 1), 3.0, requires_grad=True)
    q = Independent(Normal(loc, torch.ones(500, 1)), 1)
    y = torch.zeros(500, 1)
    torch.manual_seed(0)
    p = Independent(StudentT(torch.full((500, 1), 3.0)), 1)  # no closed form from a Gaussian
    terms = FreeBits(0.1)(q, p, lambda z: Independent(Normal(y, 1.0), 1), y)
    (slope,) = torch.autograd.grad(terms.loss, loc, retain_graph=True)
    (of_kl,) = torch.autograd.grad(terms.kl.mean(), loc)
    torch.testing.assert_close(slope, of_kl)


def test_geco_s_multiplier_rises_below_the_target_and_falls_above() -> None:
    linear = LinearGaussian()
    reached = terms_of(ELBO(), linear).log_likelihood.mean().item()
    for target, sign in ((reached + 30, 1), (reached - 30, -1)):
        geco = GECO(target, rate=0.1).double().train()
        for _ in range(10):
            terms_of(geco, linear)
        # Rezende & Viola 2018: after n steps, n times rate times nats per pixel, of six.
        assert geco.log_multiplier.item() == pytest.approx(sign * 10 * 0.1 * 30 / 6, rel=0.25)
        before = geco.log_multiplier.item()
        terms_of(geco.eval(), linear)
        assert geco.log_multiplier.item() == before
