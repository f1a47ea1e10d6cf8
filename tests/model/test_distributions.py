"""Every prior and posterior option is the conditional distribution that it says it is."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from conftest import composed, options
from cvae.config.building import completed
from cvae.config.compose import instantiate
from cvae.errors import InputError
from cvae.model.distributions import (
    Gaussian,
    Mixture,
    full_gaussian,
    full_parameters,
    independent_normal,
)
from cvae.model.hierarchy import in_layers
from cvae.model.networks import MLP
from cvae.model.objectives import kl_or_estimate
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.priors.flow import FlowPrior
from cvae.model.priors.gaussian import GaussianPrior
from cvae.model.priors.standard import StandardPrior
from cvae.model.priors.vamp import VampPrior
from cvae.random import drawing_from

X, Y, L, B = (10,), (1, 4, 4), 2, 3


def posterior(name: str) -> nn.Module:
    torch.manual_seed(2)
    config = composed(f"posterior={name}", "network.width=16")["posterior"]
    small = {"width": 16} if "width" in config else {}
    return instantiate(config, **small)([X, Y], L)


def prior(name: str, *overrides: str) -> nn.Module:
    torch.manual_seed(1)
    config = composed(f"prior={name}", "network.width=16", *overrides)["prior"]
    small = {"components": 4, "width": 16}
    builder = instantiate(config, **{key: small[key] for key in small if key in config})
    known = {"posterior": posterior("gaussian"), "y_shape": Y}
    return completed(builder, **known)([X], L)


@pytest.fixture
def xy() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.eye(10)[:B], torch.rand(B, *Y)


AXIS = torch.linspace(-12, 12, 241)
POINTS = torch.cartesian_prod(AXIS, AXIS).unsqueeze(1).expand(-1, B, -1)
AREA = (AXIS[1] - AXIS[0]) ** 2
PRIORS = {name: partial(prior, name) for name in options("prior")} | {
    "full mixture": partial(prior, "mixture", "prior.covariance=full")
}
POSTERIORS = {name: partial(posterior, name) for name in options("posterior")}


def made(name: str, xy: tuple[Tensor, Tensor]) -> Distribution:
    """A prior or a posterior at B conditions, in float64."""
    of_prior = name in PRIORS and "posterior" not in name
    module = (PRIORS[name] if of_prior else POSTERIORS[name.removeprefix("posterior ")])().double()
    for hidden in getattr(module, "_posterior", ()):
        hidden.double()
    return module(*(t.double() for t in (xy[:1] if of_prior else xy)))


@torch.no_grad()
@pytest.mark.parametrize("name", [*PRIORS, *(f"posterior {name}" for name in POSTERIORS)])
def test_draws_are_of_the_density_and_it_integrates_to_one(name: str, xy) -> None:
    p = made(name, xy)
    assert p.batch_shape == (B,)
    assert p.event_shape == (L,)
    mass = p.log_prob(POINTS.double()).exp() * AREA
    torch.testing.assert_close(mass.sum(0), torch.ones(B).double(), atol=5e-3, rtol=0)
    # In each of nine fields, as many draws as the density says.
    torch.manual_seed(0)
    z = p.sample((20_000,))
    edges = z.quantile(torch.tensor([0.33, 0.66]).double(), 0)  # (2, B, L)
    middle = AXIS[1] - AXIS[0]
    edges = (edges / middle).round() * middle + middle / 2  # between two points

    def fields(at: Tensor) -> Tensor:
        place = (at.unsqueeze(0) > edges.unsqueeze(1)).sum(0)  # (N, B, L)
        return nn.functional.one_hot(3 * place[..., 0] + place[..., 1], 9).double()

    expected = (mass.unsqueeze(-1) * fields(POINTS.double())).sum(0)
    found = fields(z).mean(0)
    assert ((found - expected).abs() < 5 * (expected / len(z)).sqrt() + 5e-3).all()


@pytest.mark.parametrize("name", [*PRIORS, *(f"posterior {name}" for name in POSTERIORS)])
def test_gradients_of_log_prob_are_those_of_differences(name: str, xy) -> None:
    p = made(name, xy)
    z = p.sample().requires_grad_()
    # A copy, because flows know what they have drawn, and it is changed in place here.
    assert torch.autograd.gradcheck(lambda z: p.log_prob(z.clone()), z)
    if p.has_rsample:
        assert p.rsample().requires_grad or name == "standard"


@torch.no_grad()
@pytest.mark.parametrize("p_name", PRIORS)
@pytest.mark.parametrize("q_name", POSTERIORS)
def test_kl_agrees_with_quadrature(p_name: str, q_name: str, xy) -> None:
    q, p = posterior(q_name)(*xy), PRIORS[p_name]()(xy[0])
    log_q = q.log_prob(POINTS)
    expected = (log_q.exp() * AREA * (log_q - p.log_prob(POINTS))).sum(0)
    torch.manual_seed(0)
    z = q.rsample((20_000,))
    kl = kl_or_estimate(q, p, z)  # (B,), or an estimate from each z
    error = kl.std(0) / len(z) ** 0.5 if kl.dim() == 2 else torch.zeros(B)
    assert kl.shape[-1:] == (B,)
    difference = (kl.reshape(-1, B).mean(0) - expected).abs()
    assert (difference < 5 * error + 2e-3 * (1 + expected)).all()


@pytest.mark.parametrize("shared", [False, True])
def test_the_mixture_is_torchs(shared: bool) -> None:
    """Also where all of the batch share its components, and in single precision."""
    torch.manual_seed(0)
    lead, components, size = () if shared else (B,), 4, 3
    loc, log_scale = 2 * torch.randn(2, *lead, components, size)
    logits, z = torch.randn(B, components), 3 * torch.randn(5, B, size)
    ours = Mixture(logits, independent_normal(loc, log_scale.exp(), log_scale))
    each = Independent(Normal(loc, log_scale.exp()).expand((B, components, size)), 1)
    torchs = MixtureSameFamily(Categorical(logits=logits), each)
    for found, expected in (
        (ours.log_prob(z), torchs.log_prob(z)),
        (ours.mean, torchs.mean),
        (ours.stddev, torchs.stddev),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    generic = Mixture(logits, Independent(Normal(loc, log_scale.exp()), 1))
    torch.testing.assert_close(generic.log_prob(z), torchs.log_prob(z))


def test_a_full_gaussian_is_torchs_and_its_kl_from_a_product_is_as_well() -> None:
    torch.manual_seed(0)
    q = full_gaussian(torch.randn(B, full_parameters(4)), 4)
    loc, log_scale = torch.randn(2, B, 4)
    p = independent_normal(loc, log_scale.exp(), log_scale)
    same = MultivariateNormal(loc, scale_tril=torch.diag_embed(log_scale.exp()))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q, same))
    covariance = q.scale_tril @ q.scale_tril.mT
    assert (covariance.tril(-1) != 0).any()


@pytest.mark.parametrize("name", PRIORS)
def test_priors_of_nothing_and_of_images(name: str) -> None:
    for shape in ((0,), (1, 4, 4)):
        *kind, family = name.split()
        covariance = [f"prior.covariance={kind[0]}"] if kind else []
        config = composed(f"prior={family}", *covariance, "network.width=8")
        builder = instantiate(config["prior"])
        q = GaussianPosterior([shape, Y], L, partial(MLP, width=8))
        p = completed(builder, posterior=q, y_shape=Y)([shape], L)(torch.rand(B, *shape))
        assert p.batch_shape == (B,)
        assert p.sample((7,)).shape == (7, B, L)
        assert p.log_prob(torch.randn(7, B, L)).isfinite().all()


def test_a_vamp_prior_is_the_posteriors_at_its_pairs(xy) -> None:
    """Equation 9 of Tomczak & Welling 2018, with weights."""
    q = posterior("gaussian")
    p = VampPrior([X], L, q, Y, partial(MLP, width=8), components=5)
    z = torch.randn(B, L)
    weights = p.network(xy[0]).softmax(-1)
    pairs = zip(p.pseudo_conditions[0], p.pseudo_targets.sigmoid(), strict=True)
    parts = torch.stack([q(x[None], u[None]).log_prob(z) for x, u in pairs], -1)
    expected = (weights * parts.exp()).sum(-1).log()
    torch.testing.assert_close(p(xy[0]).log_prob(z), expected, rtol=1e-4, atol=1e-4)
    assert not any("posterior" in key for key in p.state_dict())


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_a_flow_on_the_meta_device_has_the_shapes_of_a_real_one(latent_dim: int) -> None:
    """And takes no memory: its masks would, in a file that says it is of a hundred thousand."""

    def shapes(width: int, device: str) -> dict[str, torch.Size]:
        with torch.device(device):
            made = FlowPrior([X], latent_dim, partial(MLP, width=8), steps=2, width=width)
        return {name: part.shape for name, part in made.state_dict().items()}

    assert shapes(16, "meta") == shapes(16, "cpu")
    assert shapes(100_000, "meta")["transforms.steps.0.hyper.2.weight"] == (100_000, 100_000)


def test_layers_of_z_are_each_given_those_before(xy) -> None:
    torch.manual_seed(0)
    shapes = [[X], [X, (1,)]]
    layers = [GaussianPosterior([*before, Y], 1, partial(MLP, width=8)) for before in shapes]
    q = in_layers(layers)(*xy)
    z = q.rsample((7,))
    assert z.shape == (7, B, 2)
    x, y = xy
    first, second = layers[0](x, y), layers[1](x, z[..., :1], y)
    expected = first.log_prob(z[..., :1]) + second.log_prob(z[..., 1:])
    torch.testing.assert_close(q.log_prob(z), expected)
    mass = q.log_prob(POINTS).exp() * AREA
    torch.testing.assert_close(mass.sum(0), torch.ones(B), atol=5e-3, rtol=0)


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
    p = GaussianPrior([(0,)], L, partial(MLP, width=8))(torch.empty(B, 0))
    assert p.batch_shape == (B,)
    assert p.mean[0].unique().numel() == L


FAMILIES = [
    torch.distributions.Normal(torch.zeros(3), 1.0),
    torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3)),
    torch.distributions.Uniform(torch.zeros(3), 1.0),
    torch.distributions.Bernoulli(torch.full((9,), 0.5)),
    torch.distributions.Categorical(torch.ones(9)),
    torch.distributions.Gamma(torch.ones(3), 1.0),
    torch.distributions.Dirichlet(torch.ones(3)),
    torch.distributions.Beta(torch.ones(3), 1.0),
    torch.distributions.StudentT(torch.ones(3)),
    torch.distributions.Exponential(torch.ones(3)),
    torch.distributions.Cauchy(torch.zeros(3), 1.0),
    torch.distributions.Poisson(torch.full((9,), 5.0)),
    torch.distributions.Binomial(99, torch.full((9,), 0.5)),
    torch.distributions.Geometric(torch.full((9,), 0.1)),
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_any_distribution_can_be_drawn_from_a_generator(
    family: torch.distributions.Distribution,
) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    found = []
    for seed in (7, 7, 8):
        with drawing_from(torch.Generator().manual_seed(seed)):
            found.append(family.sample())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_drawing_from_a_generator_leaves_the_global_one_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(7)
    with drawing_from(generator):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with drawing_from(generator):
        assert not torch.equal(torch.rand(3), first)
    with drawing_from(torch.Generator().manual_seed(7)):
        assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StandardPrior([X], -1), "latent_dim: expected at least 0, got -1"),
        (lambda: GaussianPrior([X], -1, MLP), "latent_dim: expected at least 0, got -1"),
        (lambda: GaussianPosterior([X, Y], -2, MLP), "latent_dim: expected at least 0, got -2"),
        (lambda: MLP([X], (2,), width=0), "width: expected at least 1, got 0"),
        (lambda: MLP([X], (2,), depth=-1), "depth: expected at least 0, got -1"),
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
