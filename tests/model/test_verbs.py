"""What a model answers from Python: encode, impute, log_prob, in the user's own words and units."""

import math

import polars
import pytest
import torch

from conftest import model_of
from cvae.errors import InputError
from cvae.kinds import Image, plain
from linear_gaussian import LinearGaussian


@pytest.fixture
def linear() -> LinearGaussian:
    return LinearGaussian()


def test_what_is_missing_is_drawn_from_its_conditional_distribution(
    linear: LinearGaussian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "within", lambda self, y: y)  # of no image here
    linear.posterior_shift = 0.5  # a proposal that is off: acceptance has to make up for it
    mean, covariance = linear.moments()
    y, (gone, kept) = linear.y.clone(), (torch.tensor([0, 4]), torch.tensor([1, 2, 3, 5]))
    y.flatten(1)[:, gone] = math.nan
    drawn = linear.model.impute(linear.x, y, n=4000, rng=torch.Generator().manual_seed(0), steps=60)
    gain = covariance[gone][:, kept] @ covariance[kept][:, kept].inverse()  # Bishop 2006, (2.81)
    expected = mean[:, gone] + (linear.y.flatten(1) - mean)[:, kept] @ gain.T
    variance = covariance[gone][:, gone] - gain @ covariance[kept][:, gone]  # (2.82)
    rows = drawn.flatten(2)
    assert torch.equal(rows[..., kept], linear.y.flatten(1)[:, kept].expand(4000, -1, -1))
    error = (variance.diag() / 4000).sqrt()
    assert ((rows[..., gone].mean(0) - expected).abs() < 5 * error).all()
    found = (rows[..., gone] - rows[..., gone].mean(0)).flatten(0, 1)
    torch.testing.assert_close(found.T @ found / len(found), variance, atol=0.01, rtol=0.02)


def test_encode_returns_the_posterior_and_draws_of_it(linear: LinearGaussian) -> None:
    found = linear.model.encode(linear.x, linear.y, n=5000, rng=torch.Generator().manual_seed(0))
    precision = 1 / linear.s2 + (linear.w**2).sum(0) / 0.7**2
    torch.testing.assert_close(found.deviation, precision.rsqrt().expand_as(found.mean))
    torch.testing.assert_close(found.draws.mean(0), found.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(found.draws.std(0), found.deviation, atol=0.05, rtol=0)
    again = linear.model.encode(linear.x, linear.y, n=5000, rng=torch.Generator().manual_seed(0))
    assert torch.equal(found.draws, again.draws)


def test_arrays_and_one_x_for_all(linear: LinearGaussian) -> None:
    one = linear.model.log_prob(linear.x[1:2], linear.y.numpy()[::-1])
    many = linear.model.log_prob(linear.x[1:2].numpy().repeat(12, 0), linear.y.flip(0))
    torch.testing.assert_close(one, many, atol=0.05, rtol=0)
    with pytest.raises(InputError, match=r"a target for each x, \(12, 1, 2, 3\), got \(12, 6\)"):
        linear.model.encode(linear.x, linear.y.flatten(1))


@pytest.fixture
def frame() -> polars.DataFrame:
    return polars.DataFrame(
        {"height": [1.7, 1.9], "children": [0, 3], "smokes": [1.0, None], "town": ["B", "A"]}
    )


def test_a_table_is_asked_in_its_own_words(frame: polars.DataFrame) -> None:
    model = model_of("likelihood=mixed")
    known = model.log_prob([0, 1], {**frame.to_dict(as_series=False), "smokes": [1, 0]}, samples=9)
    numbers = torch.tensor([[1.7, 0, 1, 1], [1.9, 3, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(known, model.log_prob([0, 1], numbers, samples=9), atol=9, rtol=0)
    assert torch.equal(model.condition.target.asked(numbers), numbers)
    whole = model.impute([0, 1], frame, n=5, steps=3)
    assert torch.equal(whole[:, 0], numbers[:1].expand(5, -1))
    assert set(whole[:, 1, 2].tolist()) <= {0.0, 1.0}
    assert model.classes == ["0", "1", "2"]
    assert (model.x_names, model.y_names) == (["class"], frame.columns)
    with pytest.raises(InputError, match="y: column 'town' has no value 'D'"):
        model.encode(0, frame.with_columns(town=polars.lit("D")))
    with pytest.raises(InputError, match="y: no column is called 'hight'; did you mean 'height'"):
        model.encode(0, frame.rename({"height": "hight"}))
    with pytest.raises(InputError, match="y: column 'town' is missing; y has height, children"):
        model.encode(0, frame.drop("town"))
    with pytest.raises(InputError, match="y: expected numbers in column 'height', got"):
        model.encode(0, frame.with_columns(height=polars.lit("tall")))


def test_pandas_means_the_same(frame: polars.DataFrame) -> None:
    pandas = pytest.importorskip("pandas")
    model = model_of("likelihood=mixed")
    rows = pandas.DataFrame(frame.to_dict(as_series=False))
    assert torch.equal(
        model.condition.target.asked(plain(rows)).isnan(),
        model.condition.target.asked(plain(frame)).isnan(),
    )


def test_a_model_says_what_it_is_in_three_lines() -> None:
    lines = repr(model_of("latent_dim=5")).splitlines()
    assert lines[0] == "CVAE: y, Image (1, 9, 7), given x, class"
    assert lines[1] == "  z of 5 dimensions; GaussianPrior, GaussianPosterior, BernoulliLikelihood"
    assert lines[2].endswith(" weights on cpu")
    assert len(lines) == 3
    assert "given x, nothing" in repr(model_of("condition=none"))
