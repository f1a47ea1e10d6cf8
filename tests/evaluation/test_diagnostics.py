"""Every measure of the verdict against a case whose answer is known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scoringrules
import torch
from scipy import stats
from scipy.special import gamma
from torch import Tensor

from conftest import built, composed
from cvae.evaluation.cures import CURES, Cure, command, longer, rise
from cvae.evaluation.diagnostics import examine as examining
from cvae.evaluation.diagnostics import latent_use
from cvae.evaluation.diagnostics.calibration import (
    any_uniformity,
    band,
    by_condition,
    ranks,
    references,
    uniformity,
    width,
)
from cvae.evaluation.diagnostics.examine import examine
from cvae.evaluation.diagnostics.latent_use import Look, look
from cvae.evaluation.diagnostics.pairs import draw_pairs
from cvae.evaluation.diagnostics.scores import best_of, crps, energy_score
from cvae.evaluation.diagnostics.two_sample import told_apart
from cvae.evaluation.sentences import sentences
from cvae.evaluation.tables import show
from cvae.evaluation.verdict import ILLNESSES, illnesses, mark, metrics_of
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from verdict_models import drawn_from, exact

N, K = 2000, 32


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def _many_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "MOST", 1000)


def normal(*shape: int, rng: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


# -- scores --------------------------------------------------------------------------------------


def test_scores_are_those_of_another_library(rng) -> None:
    draws, y = normal(9, 5, 3, rng=rng), normal(5, 3, rng=rng)
    of_each = scoringrules.crps_ensemble(y.numpy(), draws.numpy(), m_axis=0, estimator="fair")
    np.testing.assert_allclose(crps(draws, y), of_each, rtol=1e-10)
    theirs = scoringrules.es_ensemble(
        y.numpy(), draws.transpose(0, 1).numpy(), m_axis=1, v_axis=2, estimator="fair"
    )
    np.testing.assert_allclose(energy_score(draws, y), theirs, rtol=1e-10)


def test_scores_of_a_gaussian_are_its_closed_forms(rng) -> None:
    # Gneiting & Raftery 2007, equation 21's Gaussian case, of y at one deviation from the mean.
    y = torch.full((20_000, 1), 1.0).double()
    phi, below = stats.norm.pdf(1), stats.norm.cdf(1)
    closed = (2 * below - 1) + 2 * phi - 1 / math.sqrt(math.pi)
    found = crps(normal(4, 20_000, 1, rng=rng), y)
    assert found.mean().item() == pytest.approx(closed, abs=4 * found.std().item() / 141)
    # E|Y - Y'| of two standard Gaussians in three dimensions is sqrt(2) E chi_3; the score of the
    # true process is half of it.
    y = normal(20_000, 3, rng=rng)
    closed = 0.5 * math.sqrt(2) * math.sqrt(2) * gamma(2) / gamma(1.5)
    found = energy_score(normal(3, 20_000, 3, rng=rng), y)
    assert found.mean().item() == pytest.approx(closed, abs=4 * found.std().item() / 141)


def test_the_best_of_draws_is_the_nearest_one() -> None:
    draws, y = torch.tensor([[[3.0, 3.0]], [[1.0, 1.0]], [[2.0, 2.0]]]), torch.zeros(1, 2)
    assert best_of(draws, y, [1, 2, 3])[:, 0].tolist() == [3.0, 1.0, 1.0]


# -- calibration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_coverage_and_width_of_a_gaussian_are_its_closed_forms(factor: float, rng) -> None:
    """Of draws from N(0, c^2) and y from N(0, 1) the distribution function is Phi(c Phi^-1)."""
    y, draws = normal(N, 2, rng=rng), factor * normal(K, N, 2, rng=rng)
    places = ranks(y, draws, rng)
    levels = np.linspace(0.001, 0.999, 999)
    closed = abs(stats.norm.cdf(factor * stats.norm.ppf(levels)) - levels).max()
    found = uniformity(places[:, 0])
    assert found.effect == pytest.approx(closed, abs=0.035)
    assert (found.p_value < 0.001) == (factor != 1)
    assert any_uniformity(places).p_value <= min(1, 2 * found.p_value)
    wide = width(y, draws, places)
    assert wide.effect == pytest.approx(factor, rel=0.04)
    assert (wide.p_value < 0.001) == (factor != 1)


def test_ranks_of_ties_are_uniform(rng) -> None:
    y, draws = (torch.rand(s, generator=rng) < 0.1 for s in ((N,), (K, N)))
    assert uniformity(ranks(y.float(), draws.float(), rng)).p_value > 0.01


def test_the_band_holds_a_true_coverage(rng) -> None:
    u = torch.rand(1000, N, generator=rng).sort(1).values
    steps = torch.arange(1, N + 1) / N
    outside = torch.maximum((steps - u).abs(), (u - steps + 1 / N).abs()).amax(1) > band(N, 0.95)
    assert outside.float().mean().item() == pytest.approx(0.05, abs=0.025)


def test_references_are_in_the_range_of_the_data_and_depend_on_x(rng) -> None:
    y, x = normal(N, 3, rng=rng), normal(N, 2, rng=rng)
    found = references(y, x, rng)
    assert ((y.amin(0) <= found) & (found <= y.amax(0))).all()
    fit = np.linalg.lstsq(np.c_[x, np.ones(N)], found.numpy(), rcond=None)[1] / N
    assert (1 - fit / found.var(0).numpy()).max() > 0.2


def test_a_width_that_is_right_on_average_alone_is_found_by_x(rng) -> None:
    x = normal(N, 2, rng=rng)
    scale = torch.where(x[:, :1] > 0, 1.6, 0.5)
    y = normal(N, 1, rng=rng)
    wrong = by_condition(ranks(y, scale * normal(K, N, 1, rng=rng), rng), x, rng)
    right = by_condition(ranks(scale * y, scale * normal(K, N, 1, rng=rng), rng), x, rng)
    assert wrong.p_value == pytest.approx(0.001)
    assert wrong.effect > 0.25
    assert right.p_value > 0.01


def test_a_marginal_model_passes_ranks_and_fails_by_x(rng) -> None:
    """p(y) has uniform ranks on average; only their dependence on x shows that it ignores x."""
    x = normal(N, 1, rng=rng)
    y, draws = x + normal(N, 1, rng=rng), math.sqrt(2) * normal(K, N, 1, rng=rng)
    places = ranks(y, draws, rng)
    assert uniformity(places[:, 0]).p_value > 0.01
    assert by_condition(places, x, rng).effect == pytest.approx(math.sqrt(0.5), abs=0.05)


# -- the two-sample test -------------------------------------------------------------------------


def test_equal_gaussians_are_not_told_apart_and_shifted_ones_as_well_as_they_can_be(rng) -> None:
    """With a shift d along one axis, the best classifier is right in Phi(d / sqrt 2) of pairs."""
    a, b = normal(1000, 3, rng=rng), normal(1000, 3, rng=rng)
    equal = told_apart(a, b, rng)
    assert equal.effect == pytest.approx(0.5, abs=0.06)
    assert equal.p_value > 0.01
    shifted = told_apart(a + torch.tensor([1.0, 0.0, 0.0]), b, rng)
    best = stats.norm.cdf(1 / math.sqrt(2))
    assert best - 0.07 < shifted.effect < best + 0.03
    assert shifted.p_value == pytest.approx(0.002)


def test_p_values_of_equal_samples_are_uniform(rng, monkeypatch) -> None:
    """Whatever the classifier is: here one that learns nothing."""

    class Idle:
        def __init__(self, *args, **kwargs) -> None: ...
        def fit(self, rows, labels) -> None: ...
        def predict_proba(self, rows):
            return np.stack((1 - rows[:, 0], rows[:, 0]), 1)

    module = "cvae.evaluation.diagnostics.two_sample"
    monkeypatch.setattr(f"{module}.HistGradientBoostingClassifier", Idle)
    monkeypatch.setattr(f"{module}.MLPClassifier", Idle)
    pairs = [(normal(60, 1, rng=rng), normal(60, 1, rng=rng)) for _ in range(200)]
    p_values = np.array([told_apart(*pair, rng).p_value for pair in pairs])
    for level in (0.1, 0.3, 0.5):
        assert np.mean(p_values <= level) < level + 2.6 * math.sqrt(level * (1 - level) / 200)


# -- what z does ---------------------------------------------------------------------------------


def seen(model, x: Tensor, y: Tensor) -> Look:
    return look(model, x, y, 0)


def test_information_of_a_linear_process_is_its_closed_form() -> None:
    """I(z; y|x) = 1/2 log det(I + W^T W / s^2), which both bounds reach where the prior is true."""
    model = exact(0, noise=0.5)
    found = seen(model, *drawn_from(model, 500, 0))
    half_log_d = -model.posterior(torch.zeros(1, 2), torch.zeros(1, 4)).base_dist.scale.log()
    closed = half_log_d.sum().item()
    for bound in latent_use.information(found):
        mean, error = latent_use.mean_and_error(bound)
        assert mean == pytest.approx(closed, abs=max(3 * error, 0.1))
    assert latent_use.prior_gap(found).mean().item() == pytest.approx(0, abs=0.05)
    assert latent_use.active(found) == 2
    assert latent_use.widths(found).tolist() == pytest.approx([1, 1], abs=0.1)
    assert latent_use.unvisited(found).p_value > 0.01
    # Under the z of another pair y costs more by sum_l w_l^2 / s^2.
    gain = ((2 * half_log_d).exp() - 1).sum().item()
    costs = found.costs["shuffled"] - found.costs["posterior"]
    assert costs.mean().item() == pytest.approx(gain, abs=4 * costs.std().item() / math.sqrt(500))


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_prior_of_another_width_has_the_gap_of_two_gaussians(factor: float) -> None:
    """KL(N(0, 1) || N(0, c^2)) = log c + 1 / (2 c^2) - 1/2 in each of two dimensions."""
    truth = exact(0)
    found = seen(exact(0, prior_width=factor), *drawn_from(truth, 500, 0))
    closed = 2 * (math.log(factor) + 0.5 / factor**2 - 0.5)
    mean, error = latent_use.mean_and_error(latent_use.prior_gap(found))
    assert mean == pytest.approx(closed, abs=4 * error)
    assert latent_use.widths(found).tolist() == pytest.approx([1 / factor] * 2, rel=0.1)


def test_z_that_carries_x_is_found_by_the_share_that_x_explains(rng) -> None:
    """e = (a x + u) / sqrt(1 + a^2) with u of x independent: R^2 = a^2 / (1 + a^2)."""
    x = normal(500, 2, rng=rng)
    e = (torch.stack((1.5 * x[:, 0], 0 * x[:, 0]), 1) + normal(500, 2, rng=rng)) / math.sqrt(3.25)
    found = SimpleNamespace(x=x, of_posterior=e, means=e, of_prior=normal(500, 2, rng=rng))
    assert latent_use.of_x(found, rng) == pytest.approx(2.25 / 3.25, abs=0.06)
    assert latent_use.told_from_prior(found, rng).effect > 0.6
    found = found.__class__(**{**vars(found), "x": normal(500, 2, rng=rng)})
    assert latent_use.of_x(found, rng) < 0.05


# -- the verdict ---------------------------------------------------------------------------------


def test_a_true_process_is_used_and_calibrated_and_the_same_bits_again() -> None:
    model = exact(1)
    x, y = drawn_from(model, 400, 0)
    found = examine(model, x, y)
    assert illnesses(found.figures) == []
    first, second = sentences(found.figures, {})
    assert first.startswith("z is used: it carries ")
    assert second.startswith("p(y|x) is right as far as 400 test pairs can tell: ")
    assert mark(metrics_of(found.figures)) == "used, calibrated"
    assert examine(model, x, y).figures == found.figures
    assert found.figures["width"] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (exact(2, noise=1.0, width=2.0), ["too_wide"]),
        (exact(2, noise=1.0, width=0.5), ["too_narrow"]),
        (exact(2, prior_width=3.0), ["prior_wide"]),
        (exact(2, prior_width=0.4), ["prior_narrow"]),
    ],
)
def test_an_ill_process_is_named_with_a_cure(model, names: list[str]) -> None:
    truth = exact(2, noise=1.0) if names[0].startswith("too") else exact(2)
    found = examine(model, *drawn_from(truth, 300, 0)).figures
    assert [illness.name for illness in illnesses(found)][:1] == names
    assert sentences(found, {"likelihood": {"scale": 0.3}})[-1].startswith("Try: cvae-train ")


def test_a_verdict_breaks_its_sentences_but_no_command(capsys) -> None:
    model = SimpleNamespace(
        generator=SimpleNamespace(likelihood=BernoulliLikelihood((1,)), latent_dim=2)
    )
    command = f"Try: cvae-train {'data=digits ' * 9}"
    show(
        {"test/kl": 3.0, "test/active_units": 2.0},
        model,
        ["word " * 40, f"{command}  ({'why ' * 40}; who)"],
    )
    lines = capsys.readouterr().out.splitlines()
    assert command in lines
    assert [line for line in lines if len(line) > 79] == [command]


@pytest.mark.parametrize(
    "line", ["data=sequences", "likelihood=negative_binomial", "latent_dim=0", "condition=none"]
)
def test_there_is_a_verdict_for_every_kind_of_y_and_of_model(line: str) -> None:
    data, model = built(line)
    x, y = data.on_after_batch_transfer(data.train_set.some())
    found = examine(model.eval(), x[:42], y[:42])
    assert all(map(math.isfinite, found.figures.values()))
    assert ("gain_by_z" in found.figures) == (line != "latent_dim=0")
    assert ("by_x" in found.figures) == (line != "condition=none")
    assert sentences(found.figures, {})


def test_draws_lack_the_values_that_y_lacks() -> None:
    """Else the pairs could be told apart by what is missing."""
    model = exact(1)
    model.condition.target = replace(model.condition.target, missing=True)
    x, y = drawn_from(model, 60, 0)
    y[:, 1] = torch.nan
    model.generator.likelihood.missing = True
    found = draw_pairs(model, x, y, 0)
    assert (found.draws[:, :, 1] == 0).all()
    assert found.log_ps.isfinite().all()


def test_chunks_that_are_done_come_back_as_they_were(monkeypatch) -> None:
    monkeypatch.setattr("cvae.evaluation.diagnostics.pairs._NUMBERS", 64 * 4 * 30)
    model = exact(1)
    x, y = drawn_from(model, 100, 0)
    kept, calls = {}, []

    def keep(name, work):
        if name not in kept:
            calls.append(name)
            kept[name] = work()
        return kept[name]

    whole = draw_pairs(model, x, y, 0, keep)
    assert calls == ["pairs 0", "pairs 30", "pairs 60"]
    del kept["pairs 30"]
    again = draw_pairs(model, x, y, 0, keep)
    assert calls[3:] == ["pairs 30"]
    assert torch.equal(whole.draws, again.draws)
    assert torch.equal(whole.scores["energy"], again.scores["energy"])


@pytest.mark.parametrize("found", CURES, ids=lambda found: " ".join(found.change))
def test_every_cure_is_of_an_illness_and_of_options_that_exist(found: Cure) -> None:
    assert set(found.of) <= {illness.name for illness in ILLNESSES}
    line = composed("data=vectors", "data.path=a.npz", *found.change)
    # A run that is so already is not told to do it.
    assert found.of[0] != "collapsed" or not found.applies(line) or found.resumes


def test_a_cure_s_command_replaces_what_it_changes() -> None:
    beta, fixed, resumed = (
        next(found for found in CURES if found.change[0].startswith(start))
        for start in ("objective.beta", "objective=", "refit")
    )
    started = ["data=vectors", "objective.beta=30", "~callbacks.progress", "hydra.run.dir=a b"]
    assert command(beta, "a b", started) == (
        "cvae-train data=vectors '~callbacks.progress' objective.beta=1"
    )
    assert "objective.beta" not in command(fixed, "a b", started)
    assert command(resumed, "a b", started) == "cvae-train 'resume=a b' refit=mixture"


def test_a_bound_rises_where_its_curve_does_and_not_where_it_is_noise() -> None:
    def curve(scale: float, noise: float, seed: int) -> list[float]:
        rng = np.random.default_rng(seed)
        epochs = np.arange(30)
        return list(-20 - 10 * np.exp(-epochs / scale) + noise * rng.normal(size=30))

    assert rise(curve(15, 0.0, 0)) == pytest.approx(10 * (np.exp(-26 / 15) - np.exp(-29 / 15)))
    assert all(rise(curve(15, 0.05, seed)) > 0 for seed in range(20))
    assert [rise(curve(3, noise, 0)) for noise in (0.0, 0.02)] == [0, 0]  # at its end
    assert sum(rise(curve(3, 0.5, seed)) > 0 for seed in range(100)) <= 5
    assert rise([]) == rise([-3.0]) == rise([-3.0, math.nan]) == 0
    assert rise([-9.0, -8.0]) == 1


def test_a_run_that_still_rose_goes_on_before_it_is_cured() -> None:
    narrow = {"width": 0.5, "width_p_value": 0.001}
    settings = {"likelihood": {"scale": 0.3}, "trainer": {"max_epochs": 8}}
    _, first, then = sentences(narrow, settings, "runs/a b", risen=0.2)
    assert first.startswith("Try first: cvae-train 'resume=runs/a b' trainer.max_epochs=24  (")
    assert "rose by 0.2 nats in the last epoch)" in first
    assert then.startswith("If that does not help: cvae-train likelihood.scale=learned  (")
    assert sentences(narrow, settings)[-1].startswith("Try: cvae-train likelihood.scale=learned")
    few = {"trainer": {"max_epochs": 2}}  # the cure is more epochs as well: they are said once
    assert [line.partition(":")[0] for line in sentences(narrow, few, risen=0.2)[1:]] == [
        "Try first"
    ]
    assert longer("a", 2) == "cvae-train resume=a trainer.max_epochs=50"


def test_words_name_the_figure_that_they_quote_and_what_chance_allows() -> None:
    ill = {"coverage": 0.04, "ranks": 0.132, "log_p": 0.09, "ranks_p_value": 1e-6}
    (said,) = (line for line in sentences(ill) if "another shape" in line)
    assert "is off by 13% (verdict/ranks)" in said
    well = ill | {"ranks": 0.19, "ranks_p_value": 0.3, "pairs": 80, "statistics": 13}
    (said,) = sentences(well | {"width": 1.49, "width_p_value": 0.2})
    # Kolmogorov's 1 - 0.05 / 6 / 13 quantile of 80: sqrt(-ln(0.00064 / 2) / 2 / 80) = 0.224
    assert "off by 19% (verdict/ranks)" in said
    assert "may be off by 22%" in said
    assert "1.49 times as wide as the data (1 is right), which is no sign of illness" in said
    assert sentences({}, pairs=12) == [
        "There are too few test pairs for a verdict: it needs 40, and there are 12."
    ]
