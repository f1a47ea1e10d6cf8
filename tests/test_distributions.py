"""Every prior and posterior option is the conditional distribution that it says it is."""

from functools import partial

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from conftest import composed, options
from cvae.distributions import Gaussian, drawing_from
from cvae.errors import InputError
from cvae.nets import MLP
from cvae.objectives import kl_or_estimate
from cvae.posteriors.gaussian import GaussianPosterior
from cvae.priors.gaussian import GaussianPrior
from cvae.priors.standard import StandardPrior

X, Y, L, B = (10,), (1, 4, 4), 2, 3


def prior(name: str) -> nn.Module:
    torch.manual_seed(1)
    return instantiate(composed(f"prior={name}", "network.width=16")["prior"])(X, L)


def posterior(name: str) -> nn.Module:
    torch.manual_seed(2)
    return instantiate(composed(f"posterior={name}", "network.width=16")["posterior"])(X, Y, L)


@pytest.fixture
def xy() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.eye(10)[:B], torch.rand(B, *Y)


@pytest.mark.parametrize("name", options("prior"))
def test_priors_integrate_to_one(name: str, xy) -> None:
    p = prior(name)(xy[0])
    assert p.batch_shape == (B,)
    assert p.event_shape == (L,)
    axis = torch.linspace(-12, 12, 601)
    points = torch.cartesian_prod(axis, axis).unsqueeze(1)
    volume = p.log_prob(points).exp().sum(0) * (axis[1] - axis[0]) ** 2
    torch.testing.assert_close(volume, torch.ones(B), atol=5e-3, rtol=0)


@pytest.mark.parametrize("p_name", options("prior"))
@pytest.mark.parametrize("q_name", options("posterior"))
def test_kl_agrees_with_quadrature(p_name: str, q_name: str, xy) -> None:
    q, p = posterior(q_name)(*xy), prior(p_name)(xy[0])
    axis = torch.linspace(-12, 12, 601)
    points = torch.cartesian_prod(axis, axis).unsqueeze(1)
    mass = q.log_prob(points).exp() * (axis[1] - axis[0]) ** 2
    expected = (mass * (q.log_prob(points) - p.log_prob(points))).sum(0)
    z = q.rsample((20_000,))
    kl = kl_or_estimate(q, p, z)  # (B,), or an estimate from each z
    error = kl.std(0) / len(z) ** 0.5 if kl.dim() == 2 else torch.zeros(B)
    assert kl.shape[-1:] == (B,)
    difference = (kl.reshape(-1, B).mean(0) - expected).abs()
    assert (difference < 5 * error + 1e-4 * (1 + expected)).all()


@pytest.mark.parametrize("name", options("posterior"))
def test_posteriors_depend_on_both_and_are_reparameterised(name: str, xy) -> None:
    x, y = (t.requires_grad_() for t in xy)
    z = posterior(name)(x, y).rsample()
    for gradient in torch.autograd.grad(z.sum(), (x, y)):
        assert gradient.abs().sum() > 0


def test_the_learned_prior_moves_with_x_and_the_standard_one_does_not() -> None:
    x = torch.eye(10)
    assert prior("gaussian")(x).mean.std(0).min() > 0
    standard = prior("standard")(x)
    assert torch.equal(standard.mean, torch.zeros(10, L))
    assert torch.equal(standard.stddev, torch.ones(10, L))


def test_networks_broadcast_samples_over_conditions() -> None:
    net = MLP([X, (L,)], (2, 5), width=8)
    x, z = torch.eye(10)[:B], torch.randn(4, B, L)
    out = net(x, z)
    assert out.shape == (4, B, 2, 5)
    torch.testing.assert_close(out[2, 1], net(x[1], z[2, 1]))


def test_an_empty_condition_leaves_units_that_differ() -> None:
    p = GaussianPrior((0,), L, partial(MLP, width=8))(torch.empty(B, 0))
    assert p.batch_shape == (B,)
    assert p.mean[0].unique().numel() == L


def test_drawing_from_a_generator_leaves_the_global_one_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(7)
    with drawing_from(generator, torch.device("cpu")):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with drawing_from(generator, torch.device("cpu")):
        assert not torch.equal(torch.rand(3), first)
    with drawing_from(torch.Generator().manual_seed(7), torch.device("cpu")):
        assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StandardPrior(X, -1), "latent_dim: expected at least 0, got -1"),
        (lambda: GaussianPrior(X, -1, MLP), "latent_dim: expected at least 0, got -1"),
        (lambda: GaussianPosterior(X, Y, -2, MLP), "latent_dim: expected at least 0, got -2"),
        (lambda: MLP([X], (2,), width=0), "network.width: expected at least 1, got 0"),
        (lambda: MLP([X], (2,), depth=-1), "network.depth: expected at least 0, got -1"),
    ],
)
def test_sizes_out_of_range_are_refused(build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()


def test_the_gaussian_is_torchs() -> None:
    """Log-probabilities, KL and their gradients, of broadcast and of expanded ones."""
    parts = [torch.randn(3, 4, requires_grad=True) for _ in range(4)]
    z = torch.randn(5, 3, 4)

    def numbers(*made: Distribution) -> list[Tensor]:
        q, p = made
        wide = q.expand((2, 3, 4))
        found = [q.log_prob(z), kl_divergence(q, p), wide.log_prob(z[:2]), wide.stddev]
        return [*found, *torch.autograd.grad(sum(part.sum() for part in found[:2]), parts)]

    ours = numbers(*(Gaussian(m, s.exp(), s) for m, s in (parts[:2], parts[2:])))
    torchs = numbers(*(Normal(m, s.exp()) for m, s in (parts[:2], parts[2:])))
    for found, expected in zip(ours, torchs, strict=True):
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
