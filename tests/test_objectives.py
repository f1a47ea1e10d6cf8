"""The bound, held against a model whose log p(y|x) is known."""

from functools import partial

import pytest
import torch
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence

from cvae.errors import InputError
from cvae.objectives import ELBO, kl_or_estimate, log_importance_weights
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


def test_importance_weights_at_the_exact_posterior_are_all_the_likelihood(
    linear: LinearGaussian,
) -> None:
    q, p = linear.model.posterior(linear.x, linear.y), linear.model.prior(linear.x)
    decode = partial(linear.model.generator, linear.x)
    weights = log_importance_weights(q, p, decode, linear.y, samples=7)
    torch.testing.assert_close(weights, linear.exact().expand(7, -1))


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


def test_beta_rises_linearly_and_stays() -> None:
    objective = ELBO(beta=2, warmup_epochs=4)
    assert [objective.beta_at(epoch) for epoch in (0, 1, 2, 4, 9)] == [0, 0.5, 1, 2, 2]
    assert ELBO().beta_at(0) == 1


@pytest.mark.parametrize("options", [{"beta": -1}, {"warmup_epochs": -1}, {"beta": float("nan")}])
def test_negative_weights_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"objective.{next(iter(options))}: expected at least 0"):
        ELBO(**options)


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
