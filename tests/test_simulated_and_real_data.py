"""The figures of simulated and of real data are what their formulas say."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from real_data_rivals import (
    FLOWS,
    MIXTURES,
    REGRESSIONS,
    SMALLEST,
    LinearGaussian,
    MixtureDensity,
    Pairs,
    learn,
)
from real_data_tables import measures
from simulated import energy_distance, scores
from simulated_processes import SHARES, SIMULATIONS


def iou_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean of 1 - IoU over labels 1 and 2, by sets of pixels."""
    each = []
    for label in (1, 2):
        a, b = ({*zip(*np.nonzero(one == label), strict=True)} for one in (first, second))
        each.append(1 - len(a & b) / len(a | b) if a | b else 0.0)
    return float(np.mean(each))


def test_the_energy_distance_of_a_process_is_an_eighth_of_its_spread() -> None:
    rng = np.random.default_rng(0)
    cells = SIMULATIONS["label_maps"]
    arrays, _ = cells.draw(400, rng)
    again = cells.again
    spread = []
    for place in range(40):
        one = {"centre": np.repeat(arrays["centre"][place : place + 1], 400, 0)}
        drawn = again(one, 1, rng)[0]
        four = dict(zip(cells.mode(one, drawn), drawn, strict=True))
        pairs = [(i, j) for i in four for j in four]
        spread.append(sum(SHARES[i] * SHARES[j] * iou_distance(four[i], four[j]) for i, j in pairs))
    own = energy_distance(again(arrays, 16, rng), again(arrays, 16, rng))
    assert own == pytest.approx(np.mean(spread) / 8, rel=0.08)
    one_sided = np.repeat(again(arrays, 1, rng), 16, 0)
    assert energy_distance(one_sided, again(arrays, 16, rng)) > 3 * own


def test_the_scores_of_gaussians_are_their_closed_forms() -> None:
    """A Gaussian of deviation s scores s / sqrt(pi) at its own draws (Gneiting & Raftery 2007)."""
    rng = torch.Generator().manual_seed(0)
    x, s = torch.randn(20_000, 1, generator=rng), 0.5
    again = [x + s * torch.randn(64, 20_000, 1, generator=rng) for _ in range(2)]
    found = scores(again[0][0], again[1] + 0.3, again[1])
    for name in ("energy", "crps"):
        root = np.sqrt(np.pi)
        assert found[f"{name}_of_process"] == pytest.approx(s / root, rel=0.02)
        assert found[f"{name}_of_data"] == pytest.approx(np.sqrt(1 + s**2) / root, rel=0.02)
        shifted = stats.norm(0.3, s * np.sqrt(2)), stats.norm(0, s * np.sqrt(2))
        to_y, within = (p.expect(abs) for p in shifted)
        assert found[name] == pytest.approx(to_y - within / 2, rel=0.02)


def test_a_linear_gaussian_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    y = x @ [[1.0, -2.0], [0.5, 3.0]] + noise @ [[0.3, 0.2], [0.0, 0.4]] + 5
    model = LinearGaussian(Pairs(torch.from_numpy(x), torch.from_numpy(y)))
    inputs = np.column_stack([x, np.ones(300)])
    left = y - inputs @ np.linalg.lstsq(inputs, y, rcond=None)[0]
    expected = stats.multivariate_normal(cov=left.T @ left / 300).logpdf(left)
    found = model.log_prob(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8)


def trained(build, kind: str) -> tuple:
    torch.manual_seed(0)
    x = torch.randn(600, 1)
    real = x + torch.where(torch.rand(600, 1) < 0.5, -3.0, 3.0) + 0.5 * torch.randn(600, 1)
    y = torch.poisson(x.exp()) if kind == "count" else 4 * real + 10
    pairs = Pairs(x, y)
    return learn(build(pairs, [(kind, 1)]), pairs, pairs, 0.5, 0.005, 5), x


@pytest.mark.parametrize("build", [*MIXTURES.values(), *FLOWS.values(), *REGRESSIONS.values()])
def test_a_rival_has_a_density_and_a_mass_of_one(build) -> None:
    model, _ = trained(build, "vector")
    grid = torch.linspace(-80, 100, 5_001).unsqueeze(1)
    with torch.no_grad():
        density = model.log_prob(torch.full_like(grid, 0.3), grid).double().exp()
    assert integrate.simpson(density, x=grid[:, 0]) == pytest.approx(1, abs=2e-3)
    model, _ = trained(build, "count")
    grid = torch.arange(100.0).unsqueeze(1)
    with torch.no_grad():
        mass = model.log_prob(torch.full_like(grid, 0.3), grid).exp()
    assert float(mass.sum()) == pytest.approx(1, abs=0.03)


def test_a_mixture_draws_what_it_is_a_density_of() -> None:
    columns = [("real", 1), ("count", 1), ("category", 3)]
    torch.manual_seed(0)
    x = torch.randn(500, 2)
    y = torch.stack([7 * x[:, 0], torch.poisson(x[:, 1].exp()), torch.randint(3, (500,))], 1)
    model = MixtureDensity(Pairs(x, y), columns, components=3, width=8)
    asked = torch.tensor([[0.5, -0.2]])
    drawn = model.sample(asked.expand(20_000, 2))
    with torch.no_grad():
        weights, (real, count, words) = model.parts(asked)
    mean = (weights.exp() * real.mean).sum() * model.scale[0] + model.mean[0]
    assert float(drawn[:, 0].mean()) == pytest.approx(float(mean), abs=0.15)
    mean = (weights.exp() * count.mean).sum()
    assert float(drawn[:, 1].mean()) == pytest.approx(float(mean), rel=0.05)
    shares = (weights.exp()[..., None] * words.probs).sum(1)[0]
    assert (drawn[:, 2].long().bincount(minlength=3) / 20_000).tolist() == pytest.approx(
        shares.tolist(), abs=0.015
    )
    assert float(real.scale.min()) > SMALLEST


def test_measures_of_the_rows_themselves_are_zero_and_of_others_known() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(400, 1, generator=rng)
    y = torch.cat((x, (torch.rand(400, 1, generator=rng) < x.sigmoid()).float()), 1)
    columns, rows = [("real", 1), ("category", 2)], Pairs(x, y)
    same = measures(rows, rows, rows, columns)
    assert [same[name] for name in ("kolmogorov_smirnov", "total_variation", "correlation")] == [
        0
    ] * 3
    moved = Pairs(x, torch.stack([y[:, 0] + 100, 1 - y[:, 1]], 1))
    apart = measures(rows, moved, moved, columns)
    assert apart["kolmogorov_smirnov"] == 1
    share = float(y[:, 1].mean())
    assert apart["total_variation"] == pytest.approx(abs(1 - 2 * share), abs=1e-6)
    assert apart["auc"] < 0.5 < same["auc"]
