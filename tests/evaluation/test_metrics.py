"""Every metric against a case whose answer is known."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Trainer
from scipy import stats
from torch import nn
from torch.distributions import (
    AffineTransform,
    Independent,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

import cvae
from cvae.batch import Items
from cvae.conditions import LabelCondition, NoCondition
from cvae.errors import InputError
from cvae.evaluation.image_metrics import (
    Split,
    class_consistency,
    distances,
    feature_distances,
    judged_reality,
)
from cvae.evaluation.metrics.base import clustered_standard_error
from cvae.evaluation.metrics.bounds import ImportanceSampledNLL, StandardError
from cvae.evaluation.metrics.diversity import spread_distance
from cvae.evaluation.metrics.kernel import kernel_distance
from cvae.evaluation.metrics.latent import LatentUse, latent_verdict
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.model.distributions import moments
from cvae.model.generator import Generator
from cvae.model.importance import Estimate
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.priors.standard import StandardPrior
from cvae.store.checkpoint import read
from cvae.training.module import TrainingModule, build_training_module
from linear_gaussian import LinearGaussian, Map


def normal(mean: torch.Tensor, scale: torch.Tensor) -> Independent:
    return Independent(Normal(mean, scale), 1)


# -- the latent space --------------------------------------------------------------------------


def test_kl_per_dimension_and_active_units_of_known_posteriors() -> None:
    # Dimension 0 moves with a variance of 4, dimension 1 with one of 0.02, dimension 2 with one of
    # 0.005, dimension 3 not at all.
    deviations = torch.tensor([2.0, 0.02**0.5, 0.005**0.5, 0.0])
    signs = torch.tensor([1.0, -1.0]).repeat(50).unsqueeze(1)
    scale = torch.tensor([0.1, 0.5, 1.0, 1.0])
    q = normal(signs * deviations, scale.expand(100, 4))
    p = normal(torch.zeros(100, 4), torch.ones(100, 4))
    use = LatentUse(4)
    for half in (slice(0, 30), slice(30, 100)):  # uneven batches weigh by their images
        use.update(normal(q.mean[half], q.stddev[half]), normal(p.mean[half], p.stddev[half]))
    found = use.compute()
    assert found["active_units"] == 2
    expected = 0.5 * (deviations**2 + scale**2 - 1) - scale.log()
    torch.testing.assert_close(found["kl_per_dimension"], expected)
    torch.testing.assert_close(found["kl_per_dimension"].sum(), kl_divergence(q, p).mean())


def test_active_units_do_not_see_a_prior_that_shifts_and_stretches_z() -> None:
    noise, x = torch.randn(500, 3) * torch.tensor([1.0, 0.05, 0.2]), torch.randn(500, 3)
    plain, moved = LatentUse(3), LatentUse(3)
    plain.update(normal(noise, torch.ones(500, 3)), normal(0 * x, torch.ones(500, 3)))
    stretch = torch.tensor([0.001, 50.0, 3.0])
    moved.update(
        normal(7 * x + stretch * noise, stretch.expand(500, 3)),
        normal(7 * x, stretch.expand(500, 3)),
    )
    assert plain.compute()["active_units"] == moved.compute()["active_units"] == 2


def test_moments_of_a_flow_come_from_draws() -> None:
    flow = TransformedDistribution(
        normal(torch.zeros(3, 2), torch.ones(3, 2)), [AffineTransform(5.0, 2.0, event_dim=1)]
    )
    with pytest.raises(NotImplementedError):
        _ = flow.mean
    use = LatentUse(2)
    use.update(flow, flow)  # what a flow prior is held against at the end of training
    mean, stddev = moments(flow)
    torch.testing.assert_close(mean, torch.full((3, 2), 5.0), atol=1.0, rtol=0)
    torch.testing.assert_close(stddev, torch.full((3, 2), 2.0), atol=1.0, rtol=0)


def test_the_noise_of_drawn_moments_is_no_movement() -> None:
    zero, one = torch.zeros(500, 2), torch.ones(500, 2)
    still = TransformedDistribution(normal(zero, one), [AffineTransform(5.0, 2.0, event_dim=1)])
    moving = TransformedDistribution(
        normal(0.3 * torch.randn(500, 2) * torch.tensor([0.0, 1.0]), one),
        [AffineTransform(5.0, 2.0, event_dim=1)],
    )
    torch.manual_seed(0)
    for q, active in ((still, 0), (moving, 1)):
        use = LatentUse(2)
        use.update(q, still)
        assert use.compute()["active_units"] == active


def test_the_noise_of_drawn_moments_averages_out_over_batches() -> None:
    """Twenty dimensions that move by a variance of 0.0075, and twenty by 0.0125: over 0.01."""
    torch.manual_seed(0)
    deviations = torch.tensor([0.0075, 0.0125]).sqrt().repeat(20)

    def flow(mean: torch.Tensor) -> TransformedDistribution:
        base = normal(mean, torch.ones(1, 40))
        return TransformedDistribution(base, [AffineTransform(5.0, 2.0, event_dim=1)])

    use = LatentUse(40)
    for _ in range(1000):
        sign = torch.randint(2, (1, 40)) * 2.0 - 1
        use.update(flow(sign * deviations), normal(torch.full((1, 40), 5.0), torch.ones(1, 40) * 2))
    assert use.compute()["active_units"] == 20


def test_moments_that_are_drawn_are_always_the_same_and_leave_the_generator_alone() -> None:
    flow = TransformedDistribution(
        normal(torch.zeros(3, 2), torch.ones(3, 2)), [AffineTransform(5.0, 2.0, event_dim=1)]
    )
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, again, other = moments(flow), moments(flow), moments(flow, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_without_a_product_over_dimensions_there_is_no_kl_of_one() -> None:
    use = LatentUse(2)
    whole = MultivariateNormal(torch.zeros(5, 2), torch.eye(2))
    use.update(whole, normal(torch.zeros(5, 2), torch.ones(5, 2)))
    assert use.compute()["kl_per_dimension"].isnan().all()
    assert use.compute()["active_units"] == 0


@pytest.mark.parametrize(
    ("shift", "spread", "scale", "verdict"),
    [
        (0.0, 0.0, 1.0, "has fallen onto the prior: KL is 0.000"),
        (3.0, 0.0, 1.0, "has collapsed: none of 4"),
        (0.0, 0.0, 0.2, "has collapsed: none of 4"),
        (0.0, 2.0, 0.2, None),
    ],
)
def test_a_collapsed_posterior_is_reported_in_a_sentence(
    shift: float, spread: float, scale: float, verdict: str | None
) -> None:
    p = normal(torch.zeros(50, 4), torch.ones(50, 4))
    q = normal(shift + spread * torch.randn(50, 4), torch.full((50, 4), scale))
    use = LatentUse(4)
    use.update(q, p)
    said = latent_verdict(kl_divergence(q, p).mean().item(), int(use.compute()["active_units"]), 4)
    assert (said is None) if verdict is None else (verdict in (said or ""))


# -- importance sampling -----------------------------------------------------------------------


@pytest.fixture
def from_the_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    """All draws come from the posterior as it is, under which closed forms are known."""
    monkeypatch.setattr("cvae.model.importance._PRIOR_SHARE", 0.0)
    monkeypatch.setattr("cvae.model.cvae.DRAWS_PER_REFINING", 10**9)


@pytest.mark.usefixtures("from_the_posterior")
def test_from_the_exact_posterior_every_draw_counts_fully() -> None:
    exact = LinearGaussian()
    nll = ImportanceSampledNLL(50).double()
    nll.update(exact.model.estimate(exact.x, exact.y, 50))
    found = nll.compute()
    assert found["effective_samples"].item() == pytest.approx(50)
    assert found["nll"].item() == pytest.approx(-exact.exact().mean().item(), rel=1e-6)
    assert found["nll_sampling_error"].item() == pytest.approx(0, abs=1e-5)
    expected = stats.sem(exact.exact().numpy())
    assert found["nll_standard_error"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("from_the_posterior")
def test_the_effective_sample_size_of_a_shifted_posterior_is_the_closed_form() -> None:
    # For w = N(0, 1) / N(d, 1) under N(d, 1): E[w]^2 / E[w^2] = exp(-d^2).
    shifted = LinearGaussian()
    q = shifted.model.posterior(shifted.x, shifted.y)
    scale = q.stddev[0]
    original = shifted.model.posterior

    class Shifted(nn.Module):
        def forward(self, *xy: torch.Tensor) -> Independent:
            exact = original(*xy)
            return Independent(Normal(exact.mean + 0.5 * exact.stddev, exact.stddev), 1)

    shifted.model.posterior = Shifted()
    torch.manual_seed(0)
    estimate = shifted.model.estimate(shifted.x, shifted.y, 100_000)
    expected = math.exp(-len(scale) * 0.5**2)
    got = (estimate.effective_samples / 100_000).mean().item()
    assert got == pytest.approx(expected, rel=0.02)


def test_the_sampling_error_is_the_spread_of_repeated_estimates() -> None:
    model = LinearGaussian()
    model.posterior_shift = 0.4
    torch.manual_seed(0)
    runs = []
    for _ in range(200):
        nll = ImportanceSampledNLL(160)
        nll.update(model.model.estimate(model.x, model.y, 160))
        runs.append(nll.compute())
    spread = np.std([run["nll"].item() for run in runs])
    claimed = np.mean([run["nll_sampling_error"].item() for run in runs])
    assert claimed == pytest.approx(spread, rel=0.2)


@pytest.mark.usefixtures("from_the_posterior")
def test_the_bias_is_how_far_the_estimate_is_too_high() -> None:
    model = LinearGaussian()
    model.posterior_shift = 0.5
    torch.manual_seed(0)
    nll, (x, y) = (
        ImportanceSampledNLL(100),
        (part.repeat_interleave(50, 0) for part in (model.x, model.y)),
    )
    for _ in range(60):
        nll.update(model.model.estimate(x, y, 100))
    found = nll.compute()
    bias = found["nll"].item() + model.exact().mean().item()
    assert found["nll_bias"].item() == pytest.approx(bias, rel=0.2)
    assert bias > 5 * found["nll_sampling_error"].item()  # or there is nothing to be seen here


def test_equal_weights_give_numbers_in_single_precision() -> None:
    # A collapsed posterior under a generator that ignores z, at the size of an image's log p(y|x).
    y_shape = (1, 28, 28)
    collapsed = Map(lambda x, y: torch.zeros(len(x), 2, 2))
    model = TrainingModule(
        LabelCondition(Sizes(ImageKind(y_shape), 10)),
        StandardPrior([(10,)], 2),
        GaussianPosterior([(10,), y_shape], 2, lambda *_: collapsed),
        Generator(
            (10,), 2, ImageKind(y_shape), BernoulliLikelihood,
            lambda *_: Map(lambda x, z: torch.full((*z.shape[:-1], 1, *y_shape), 0.37)),
        ),
    )  # fmt: skip
    estimate = model.estimate(torch.eye(10), torch.rand(10, *y_shape).round(), 50)
    torch.testing.assert_close(estimate.effective_samples, torch.full((10,), 50.0))
    assert (estimate.effective_samples <= 50).all()
    nll = ImportanceSampledNLL(50)
    nll.update(estimate)
    assert nll.compute()["nll_sampling_error"].isfinite()


def test_the_standard_error_is_scipy_s_and_counts_conditions() -> None:
    values = torch.randn(12)
    each = values.reshape(3, 4).mean(0)  # four conditions of three targets are four numbers
    for groups, numbers in ((None, values), (torch.arange(12) % 4, each)):
        error = StandardError(groups)
        for part in values.split(5):
            error.update(part)
        assert error.compute().item() == pytest.approx(stats.sem(numbers.numpy()), rel=1e-5)


def test_uneven_batches_weigh_by_their_images() -> None:
    log_prob, effective = torch.randn(10) - 80, torch.rand(10) * 90 + 5
    estimate = Estimate(log_prob, log_prob, log_prob, torch.zeros(10), effective)
    nll = ImportanceSampledNLL(100)
    for part in (slice(0, 3), slice(3, 10)):
        nll.update(Estimate(*(values[part] for values in estimate)))
    found = nll.compute()
    assert found["nll"].item() == pytest.approx(-log_prob.mean().item())
    assert found["nll_standard_error"].item() == pytest.approx(stats.sem(log_prob.numpy()))
    assert found["effective_samples"].item() == pytest.approx(effective.mean().item())


def test_numbers_of_one_group_count_as_one() -> None:
    """Four numbers under each x: the closed form is the spread of means over simulated samples."""
    torch.manual_seed(0)
    groups = torch.arange(50).repeat_interleave(4)
    drawn = 3 * torch.randn(4000, 50, 1) + torch.randn(4000, 50, 4)  # of an x, and of its own
    exact = (3**2 / 50 + 1 / 200) ** 0.5
    assert drawn.mean((1, 2)).std().item() == pytest.approx(exact, rel=0.05)
    squares = [clustered_standard_error(v.flatten(), groups).square().item() for v in drawn]
    assert np.mean(squares) ** 0.5 == pytest.approx(exact, rel=0.02)
    apart = drawn[0].flatten()
    found = clustered_standard_error(apart, torch.randperm(200) + 7)
    assert found.item() == pytest.approx(stats.sem(apart.numpy()), rel=1e-6)
    # Groups of different sizes, in any order: the sum as it stands.
    values, sizes = torch.tensor([1.0, 5.0, 3.0, 7.0]), torch.tensor([9, 2, 9, 9])
    assert clustered_standard_error(values, sizes).item() == pytest.approx((2 * 2 / 16) ** 0.5)
    assert clustered_standard_error(values, torch.zeros(4)).isnan()


def test_targets_of_one_condition_count_as_one_observation() -> None:
    # Half of the variance is shared by the four targets of a condition.
    shared, own = torch.randn(2000, 500, 1), torch.randn(2000, 500, 4)
    log_prob = (shared + own).flatten(1)
    true = log_prob.mean(1).std().item()
    assert true == pytest.approx(math.sqrt(1 / 500 + 1 / 2000), rel=0.1)
    zero = torch.zeros(2000)
    stated = []
    for values in log_prob[:20]:
        nll = ImportanceSampledNLL(10, torch.arange(500).repeat_interleave(4))
        nll.update(Estimate(values, values, values, zero, zero))
        stated.append(nll.compute()["nll_standard_error"].item())
    assert np.mean(stated) == pytest.approx(true, rel=0.1)


def nll_of_gains(first: float, second: float) -> dict[str, torch.Tensor]:
    """An NLL of 10 that two doublings of the draws have lowered, with a noise of its targets."""
    noise = 0.01 * torch.randn(400)
    estimate = Estimate(
        noise - 10,
        noise - 10 - second + 0.01 * torch.randn(400),
        noise - 10 - second - first + 0.01 * torch.randn(400),
        torch.full((400,), 1e-4),
        torch.full((400,), 50.0),
    )
    nll = ImportanceSampledNLL(100)
    nll.update(estimate)
    return nll.compute()


def test_the_bias_is_what_further_doublings_would_gain() -> None:
    # 1/K: 0.4, 0.2, 0.1 are still to gain after K/4, K/2 and K draws.
    found = nll_of_gains(0.2, 0.1)
    assert found["nll_bias"].item() == pytest.approx(0.1, rel=0.05)
    assert found["nll_at_least"] < 9.9 < 10 < found["nll_at_most"]
    # 1/sqrt(K)
    slow = nll_of_gains(0.2, 0.2 / math.sqrt(2))
    ratio = math.sqrt(0.5)
    assert slow["nll_bias"].item() == pytest.approx(0.2 * ratio**2 / (1 - ratio), rel=0.1)


def test_where_the_gain_does_not_shrink_only_an_upper_end_is_stated() -> None:
    found = nll_of_gains(0.1, 0.1)
    assert "nll_at_least" not in found
    assert found["nll_at_most"] > 10


# -- distances between images ------------------------------------------------------------------


def test_the_frechet_distance_of_two_gaussians_is_the_closed_form() -> None:
    torch.manual_seed(0)
    means, scales = torch.randn(2, 4), torch.rand(2, 4) + 0.5
    one, two = (m + s * torch.randn(8000, 4) for m, s in zip(means, scales, strict=True))
    classes = torch.zeros(8000, dtype=torch.long)
    found = feature_distances(one, two, classes, classes)
    expected = (means[0] - means[1]).square().sum() + (scales[0] - scales[1]).square().sum()
    assert found["frechet"] == pytest.approx(expected.item(), rel=0.05)


def test_all_distances_vanish_between_draws_from_the_same_distribution() -> None:
    torch.manual_seed(0)
    one, two = torch.randn(2, 4000, 4)
    classes = torch.arange(4000) % 5
    found = feature_distances(one, two, classes, classes)
    assert found["frechet"] == pytest.approx(0, abs=0.01)
    assert found["kernel"] == pytest.approx(0, abs=0.005)
    assert found["spread"] == pytest.approx(0, abs=0.02)


def test_the_kernel_distance_is_a_sum_over_all_pairs() -> None:
    torch.manual_seed(0)
    one, two = torch.randn(7, 3), torch.randn(5, 3) + 1

    def of_pairs(pairs) -> float:
        return np.mean([((f @ g).item() / 3 + 1) ** 3 for f, g in pairs])

    expected = (
        of_pairs(itertools.permutations(one, 2))
        + of_pairs(itertools.permutations(two, 2))
        - 2 * of_pairs(itertools.product(one, two))
    )
    assert kernel_distance(one, two).item() == pytest.approx(expected, rel=1e-5)
    classes = torch.zeros(7, dtype=torch.long)
    found = feature_distances(one, two, classes, classes[:5])
    assert found["kernel"] == pytest.approx(expected, rel=1e-5)
    many = torch.randn(2100, 3)  # more than are compared at a time
    assert kernel_distance(many, many).item() == pytest.approx(
        -2 * (of_kernels(many).diag().mean() - of_kernels(many).mean()).item() / 2099, rel=1e-4
    )


def of_kernels(features: torch.Tensor) -> torch.Tensor:
    return (features.double() @ features.double().T / features.shape[1] + 1) ** 3


def test_the_kernel_distance_of_halves_dealt_at_random_is_zero_on_average() -> None:
    """Over all ways to deal eight images, exactly; dealt class by class, it is below zero."""
    torch.manual_seed(0)
    pool = torch.randn(8, 3) + 3 * torch.arange(4.0).repeat_interleave(2)[:, None]  # four classes

    def dealt(first: Sequence[int]) -> float:
        chosen = torch.zeros(8, dtype=torch.bool).index_fill(0, torch.tensor(first), True)
        return kernel_distance(pool[chosen], pool[~chosen]).item()

    every = [dealt(first) for first in itertools.combinations(range(8), 4)]
    assert np.mean(every) == pytest.approx(0, abs=1e-6 * max(every))
    by_class = [dealt(first) for first in itertools.product((0, 1), (2, 3), (4, 5), (6, 7))]
    assert np.mean(by_class) < -0.1 * max(every)


@pytest.mark.parametrize(("factor", "distance"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5), (2.0, 1.0)])
def test_the_spread_distance_of_scaled_classes(factor: float, distance: float) -> None:
    # Class means far apart: only the spread within a class counts.
    offsets = torch.randn(50, 3)
    centres = 100 * torch.arange(4.0).view(4, 1, 1)
    classes = torch.arange(4).repeat_interleave(50)
    real = (centres + offsets).reshape(-1, 3)
    generated = (5 - centres + factor * offsets).reshape(-1, 3)
    found = spread_distance(real, generated, classes, classes)
    assert found["spread"].item() == pytest.approx(distance, abs=1e-4)
    assert found["spread_ratio"].item() == pytest.approx(factor, abs=1e-4)


# -- a judge -----------------------------------------------------------------------------------

SHAPE = (1, 1, 4)


class Reader(nn.Module):
    """A judge that reads the class off an image's first pixel, and is never wrong."""

    device = torch.device("cpu")

    def features(self, y: torch.Tensor) -> torch.Tensor:
        return y.flatten(1)

    def classes(self, y: torch.Tensor) -> torch.Tensor:
        return (y[:, 0, 0, 0] * 10).round().long()


def images_of(labels: torch.Tensor) -> torch.Tensor:
    return torch.cat((labels.view(-1, 1) / 10, torch.rand(len(labels), 3)), 1).view(-1, *SHAPE)


def real(count: int = 2000) -> Split:
    labels = torch.arange(count) % 10
    x, y = LabelCondition(Sizes(ImageKind(SHAPE), 10))(Items(images_of(labels), labels))
    return Split(x, y, y, labels)


def fake(sample, condition=LabelCondition) -> SimpleNamespace:
    return SimpleNamespace(
        condition=condition(Sizes(ImageKind(SHAPE), 10)),
        conditions_of=condition(Sizes(ImageKind(SHAPE), 10)).encode,
        device=torch.device("cpu"),
        sample=sample,
    )


def perfect(x, n, generator, mean=False) -> torch.Tensor:
    labels = torch.arange(10) if x is None else x.argmax(1)
    return torch.stack([images_of(labels) for _ in range(n)])


def constant(x, n, generator, mean=False) -> torch.Tensor:
    image = torch.tensor([0.3, 0.5, 0.5, 0.5]).view(SHAPE)
    return image.expand(n, 10 if x is None else len(x), *SHAPE)


def test_a_generator_of_real_images_is_always_right_and_reaches_the_floor() -> None:
    torch.manual_seed(0)
    generator = torch.Generator()
    model = fake(perfect)
    consistent = class_consistency(model, Reader(), 130, generator)
    assert consistent == {"consistency/mean_image": 1, "consistency/sampled_pixels": 1}
    found = distances(model, Reader(), real(), generator)
    for name in ("frechet", "kernel", "spread"):
        assert found[f"distance/{name}"] == pytest.approx(found[f"distance/{name}_floor"], abs=0.02)


def test_the_very_same_images_give_the_floor_itself() -> None:
    served = real()
    dealt = torch.randperm(len(served.y), generator=torch.Generator().manual_seed(0))
    second = iter(served.images[dealt[1::2]].split(1000))
    found = distances(fake(lambda *_: next(second)[None]), Reader(), served, torch.Generator())
    halves = [served.images[dealt[start::2]].flatten(1) for start in (0, 1)]
    scale = halves[0].square().mean()  # of a feature's square: it sets the unit of the distance
    classes = [served.labels[dealt[start::2]] for start in (0, 1)]
    unscaled = feature_distances(*halves, *classes)["frechet"]
    assert found["distance/frechet_floor"] == pytest.approx(unscaled / scale.item(), rel=1e-3)
    assert found["distance/frechet"] == pytest.approx(found["distance/frechet_floor"])
    assert found["distance/spread"] == pytest.approx(found["distance/spread_floor"])


def test_a_constant_generator_is_right_once_in_ten_and_has_no_spread() -> None:
    generator = torch.Generator()
    model = fake(constant)
    assert set(class_consistency(model, Reader(), 7, generator).values()) == {0.1}
    found = distances(model, Reader(), real(), generator)
    assert found["distance/spread"] == pytest.approx(1, abs=1e-3)
    assert found["distance/frechet"] > 10 * found["distance/frechet_floor"]


def test_both_consistencies_are_of_the_same_draws_of_z() -> None:
    seen = {True: [], False: []}

    def sample(x, n, generator, mean=False) -> torch.Tensor:
        seen[mean].append(torch.rand(3, generator=generator).tolist())
        return perfect(x, n, generator)

    class_consistency(fake(sample), Reader(), 250, torch.Generator().manual_seed(0))
    assert seen[True] == seen[False]
    assert len(seen[True]) == 3  # of 100, 100 and 50
    assert seen[True][0] != seen[True][1]


def test_what_cannot_be_asked_for_a_class_has_no_consistency_but_a_distance() -> None:
    model = fake(lambda x, n, generator: images_of(torch.randint(10, (len(x),)))[None], NoCondition)
    split = real()
    served = split._replace(x=torch.empty(len(split.y), 0))
    assert class_consistency(model, Reader(), 5, torch.Generator()) == {}
    found = distances(model, Reader(), served, torch.Generator())
    assert found["distance/frechet"] == pytest.approx(0, abs=0.02)
    assert found["distance/spread"] == pytest.approx(0, abs=0.05)


def test_too_few_test_images_are_reported() -> None:
    with pytest.raises(InputError, match=r"at least 40 test images.*got 30; set images=0"):
        distances(fake(perfect), Reader(), real(30), torch.Generator())


def test_the_judge_is_judged_on_real_images() -> None:
    grey = real(100)
    wrong = grey._replace(images=images_of((grey.labels + (torch.arange(100) < 25).long()) % 10))
    assert judged_reality(Reader(), wrong, grey) == {
        "judge/accuracy_grey_images": 1.0,
        "judge/accuracy_pixels_as_served": 0.75,
    }


def test_the_nll_is_sampled_in_the_precision_that_is_asked_for(run_dir: Path) -> None:
    found = []
    for precision in ("32-true", "bf16-mixed"):
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            precision=precision,
            enable_progress_bar=False,
        )
        torch.manual_seed(0)
        model = read(run_dir).built(build_training_module)
        model.nll = ImportanceSampledNLL(20)
        trainer.test(model, cvae.datamodule(run_dir), verbose=False)
        found.append(trainer.callback_metrics["test/nll"].item())
    assert found[0] != found[1]
    assert found[0] == pytest.approx(found[1], abs=0.02)
