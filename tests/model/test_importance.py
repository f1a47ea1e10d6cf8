"""The importance-sampled log p(y|x) against dense quadrature over z."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from conftest import composed, options, target_for
from cvae.config.building import build_model
from cvae.evaluation.metrics.bounds import ImportanceSampledNLL
from cvae.kinds import Sizes
from cvae.model import importance
from cvae.model.cvae import CVAE
from cvae.model.importance import Estimate, shifted
from linear_gaussian import LinearGaussian

AXIS = torch.linspace(-9, 9, 181)
POINTS = torch.cartesian_prod(AXIS, AXIS).unsqueeze(1)
AREA = (AXIS[1] - AXIS[0]) ** 2
LIKELIHOODS = [name for name in options("likelihood") if name != "cross_entropy"]


class Astray(nn.Module):
    """A posterior that is wrong: 2.5 of its standard deviations off, and half as wide."""

    def __init__(self, posterior: nn.Module) -> None:
        super().__init__()
        self.posterior = posterior

    def forward(self, x: Tensor, y: Tensor) -> Distribution:
        q = self.posterior(x, y)
        return shifted(q, torch.full((len(y), 2), 2.5), torch.full((len(y), 2), 0.5))


@torch.no_grad()
def wrong(*overrides: str, latent_dim: int = 2) -> tuple[CVAE, Tensor, Tensor]:
    """A model whose z says much about y and whose posterior is wrong, with pairs drawn from it."""
    config = composed(*overrides, f"latent_dim={latent_dim}", "network.width=16")
    for part in ("prior", "posterior"):
        small = {"width": 16, "components": 4}
        config[part] |= {name: small[name] for name in small if name in config[part]}
    torch.manual_seed(3)
    model = build_model(config, Sizes(target_for(config, (1, 2, 3)), 4)).eval()
    for weight in model.generator.network.parameters():
        weight.mul_(2.0)
    model.posterior = Astray(model.posterior)
    x = torch.eye(4)
    return model, x, model.generator(x, model.prior(x).sample()).sample()


@torch.no_grad()
def exact(model: CVAE, x: Tensor, y: Tensor, points: Tensor = POINTS) -> Tensor:
    """The truth, (B,), by a Riemann sum."""
    joint = [
        model.prior(x).log_prob(z) + model.generator(x, z).log_prob(y)
        for z in points.expand(-1, len(y), -1).split(20_000)
    ]
    area = AREA * len(POINTS) / len(points)
    return torch.cat(joint).double().logsumexp(0) + area.log()


@pytest.mark.parametrize(
    ("p_name", "q_name", "hierarchy"),
    [
        *((p, q, 1) for p, q in product(options("prior"), options("posterior"))),
        *(("gaussian", q, 2) for q in ("gaussian", "iaf")),
    ],
)
def test_it_agrees_with_quadrature_under_every_prior_and_posterior(
    p_name: str, q_name: str, hierarchy: int
) -> None:
    named = [f"prior={p_name}", f"posterior={q_name}", f"hierarchy={hierarchy}"]
    model, x, y = wrong(*named, latent_dim=2 // hierarchy)
    agrees(model, x, y)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_it_agrees_with_quadrature_under_every_likelihood(name: str) -> None:
    model, x, y = wrong(f"likelihood={name}", "prior=mixture")
    truth = agrees(model, x, y)
    torch.testing.assert_close(exact(model, x, y, POINTS[::2]), truth, atol=1e-2, rtol=0)


def agrees(model: CVAE, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(0)
    truth, found = exact(model, x, y), model.estimate(x, y, 1000)
    error = found.variance.double().sqrt()
    assert ((found.log_prob - truth).abs() < 6 * error + 0.03).all()
    nll = ImportanceSampledNLL(1000)
    nll.update(found)
    stated = nll.compute()
    assert stated["nll_at_least"] - 0.01 < -truth.mean() < stated["nll_at_most"] + 0.01
    return truth


@pytest.mark.parametrize("samples", [1, 4, 8, 200])
@pytest.mark.parametrize("q_name", ["gaussian", "iaf"])
def test_its_exponential_is_unbiased_for_any_number_of_draws(q_name: str, samples: int) -> None:
    model, x, y = wrong(f"posterior={q_name}")
    if samples == 1:  # of the posterior alone, which must not be far off
        model.posterior = model.posterior.posterior
    truth = exact(model, x, y)
    many = 20_000 // samples
    torch.manual_seed(0)
    found = model.estimate(x.repeat(many, 1), y.repeat(many, 1, 1, 1), samples).log_prob
    ratio = (found.view(many, -1) - truth).exp()
    error = ratio.std(0) / math.sqrt(many)
    assert ((ratio.mean(0) - 1).abs() < 5 * error + 1e-3).all()
    assert (error < 0.2).all()


def test_what_the_posterior_misses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refined posterior and the prior each find it; without both, whole nats are missing."""
    model, x, y = wrong("likelihood=gaussian")
    truth = exact(model, x, y)

    def missing(prior_share: float, draws_per_refining: int) -> float:
        monkeypatch.setattr(importance, "_PRIOR_SHARE", prior_share)
        monkeypatch.setattr("cvae.model.cvae.DRAWS_PER_REFINING", draws_per_refining)
        torch.manual_seed(0)
        return (truth - model.estimate(x, y, 400).log_prob).mean().item()

    assert missing(0.0, 10**9) > 0.5
    assert abs(missing(0.25, 10**9)) < 0.2
    assert abs(missing(0.0, 200)) < 0.1


def test_a_refined_posterior_is_the_exact_one_where_the_family_holds_it() -> None:
    linear = LinearGaussian()
    q = linear.model.posterior(linear.x, linear.y)
    linear.posterior_shift = 0.7
    shift, scale = linear.model._refined(linear.x, linear.y, 32, 1000)
    start = linear.model.posterior(linear.x, linear.y)
    torch.testing.assert_close(shift + scale * start.mean, q.mean, atol=0.12, rtol=0)
    torch.testing.assert_close(scale * start.stddev, q.stddev, atol=0.12, rtol=0)


def test_estimates_of_fewer_draws_are_of_blocks_with_all_components() -> None:
    of_r, of_p = torch.randn(8, 3).double(), torch.randn(4, 3).double()
    found = Estimate.of([of_r, of_p])
    quarters = [torch.cat((of_r[[k, k + 4]], of_p[[k]])).exp().mean(0).log() for k in range(4)]
    torch.testing.assert_close(found.of_quarters, torch.stack(quarters).mean(0))
    torch.testing.assert_close(found.log_prob, torch.cat((of_r, of_p)).exp().mean(0).log())
    torch.testing.assert_close(found.variance, torch.stack(quarters).var(0) / 4)
    one = Estimate.of([of_r[:1], of_p[:0]])
    torch.testing.assert_close(one.of_quarters, one.log_prob)
    assert (one.variance == 0).all()


def test_the_nll_of_y_alone_is_that_of_the_mixture_of_classes() -> None:
    model, x, y = wrong("likelihood=gaussian")
    truth = torch.stack([exact(model, one.expand(len(y), -1), y) for one in torch.eye(4)])
    torch.manual_seed(0)
    found = model.over_classes(x, y, model.estimate(x, y, 4000), 4000)
    expected = truth.logsumexp(0) - math.log(4)
    torch.testing.assert_close(found.double(), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize("held", [1, 40, 3000])
def test_estimates_do_not_depend_on_how_much_is_decoded_at_a_time(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear = LinearGaussian()

    def estimated() -> Tensor:
        torch.manual_seed(0)
        return linear.model.estimate(linear.x, linear.y, 100).log_prob

    whole = estimated()
    monkeypatch.setattr("cvae.model.cvae._HELD_ON_CPU", held)
    torch.testing.assert_close(estimated(), whole)
