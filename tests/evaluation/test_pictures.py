"""Pictures of the latent space show what the model's distributions are."""

import math
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.text import Text
from PIL import Image
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal

from cvae.batch import Items
from cvae.conditions import LabelCondition, NoCondition
from cvae.errors import InputError
from cvae.evaluation.figures import (
    PICTURES,
    Plane,
    Words,
    bars,
    drawn_as,
    image_grid,
    latent_planes,
)
from cvae.evaluation.panels import PLOTS, latent_plane
from cvae.evaluation.pictures import Drawn, Panel
from cvae.evaluation.pictures.clouds import VectorPictures
from cvae.evaluation.pictures.grids import ImagePictures
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.kinds.real import Vector
from cvae.model.cvae import CVAE
from cvae.model.generator import Generator
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.networks import MLP
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.priors.gaussian import GaussianPrior
from cvae.model.priors.standard import StandardPrior

Y = (1, 4, 4)
SMALL = partial(MLP, width=16)


LEARNED = partial(GaussianPrior, network=SMALL)


def made(latent_dim: int, prior=LEARNED, condition=LabelCondition) -> CVAE:
    torch.manual_seed(0)
    x = condition(Sizes(ImageKind(Y), 10))
    return CVAE(
        x,
        prior([x.x_shape], latent_dim),
        GaussianPosterior([x.x_shape, Y], latent_dim, SMALL),
        Generator(x.x_shape, latent_dim, ImageKind(Y), BernoulliLikelihood, SMALL),
    )


def plane_of(model: CVAE) -> tuple[Plane, torch.Tensor]:
    labels = torch.arange(60) % 10
    x, y = model.condition(Items(torch.rand(60, *Y), labels))
    plane = latent_plane(model, x, y, labels, Sizes(ImageKind(Y), 10))
    return plane, model.posterior(x, y).mean.detach()


def test_two_dimensions_are_shown_as_they_are() -> None:
    model = made(2)
    plane, means = plane_of(model)
    torch.testing.assert_close(plane.points, means)
    prior = model.prior(torch.eye(10))
    torch.testing.assert_close(plane.centres, prior.mean.detach())
    torch.testing.assert_close(plane.covariances, prior.variance.detach().diag_embed())
    assert plane.axes == ("z0", "z1")


def test_more_are_shown_along_the_directions_of_the_most_variance() -> None:
    model = made(5)
    plane, means = plane_of(model)
    pca = PCA(2).fit(means.numpy())
    signs = torch.tensor((pca.transform(means.numpy())[0] * plane.points[0].numpy()) > 0)
    directions = torch.from_numpy(pca.components_).float() * (2 * signs - 1).unsqueeze(1)
    expected = (means - means.mean(0)) @ directions.T
    torch.testing.assert_close(plane.points, expected, atol=1e-4, rtol=1e-3)
    # The prior is projected with them: the law of directions @ z, z ~ p(z|x).
    prior = model.prior(torch.eye(10))
    draws = (prior.sample((20_000,)) - means.mean(0)) @ directions.T
    for digit in range(10):
        torch.testing.assert_close(
            plane.covariances[digit], draws[:, digit].T.cov(), atol=0.05, rtol=0.05
        )
        torch.testing.assert_close(plane.centres[digit], draws[:, digit].mean(0), atol=0.05, rtol=0)


@pytest.mark.parametrize("condition", [LabelCondition, NoCondition])
def test_a_prior_that_x_does_not_move_is_drawn_once(condition) -> None:
    plane, _ = plane_of(made(2, StandardPrior, condition))
    torch.testing.assert_close(plane.centres, torch.zeros(1, 2))
    torch.testing.assert_close(plane.covariances, torch.eye(2).unsqueeze(0))


def test_a_line_is_no_plane() -> None:
    with pytest.raises(InputError, match="latent_dim: a plane needs at least 2"):
        plane_of(made(1))


def test_an_ellipse_holds_the_share_of_a_gaussian_within_two_standard_deviations() -> None:
    covariance = torch.tensor([[2.0, 1.2], [1.2, 1.0]])
    centre = torch.tensor([3.0, -1.0])
    draws = MultivariateNormal(centre, covariance).sample((20_000,))
    classes = torch.zeros(len(draws), dtype=torch.long)
    plane = Plane(draws, classes, ["0"], ("a", "b"), centre.unsqueeze(0), covariance.unsqueeze(0))
    (axes,) = latent_planes({"title": plane}).axes
    (ellipse,) = axes.patches
    assert isinstance(ellipse, Ellipse)
    unit = ellipse.get_patch_transform().inverted().transform(draws.numpy())
    inside = ((unit**2).sum(1) <= 1).mean()
    assert inside == pytest.approx(1 - math.exp(-2), abs=0.01)


def test_bars_are_sorted_and_labelled_by_their_index() -> None:
    (axes,) = bars(torch.tensor([0.5, 3.0, 1.0]), "KL").axes
    assert [bar.get_height() for bar in axes.patches] == [3.0, 1.0, 0.5]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "0"]


# -- words, formats and polarity ---------------------------------------------------------------


def texts(figure: Figure) -> list[str]:
    return list(dict.fromkeys(t.get_text() for t in figure.findobj(Text) if t.get_text()))


@pytest.mark.parametrize(
    ("plot", "said"),
    [
        (
            "interpolation",
            ["from one draw of z to another", "columns: share of the way", "rows: x"],
        ),
        ("traversal", ["one dimension of z at a time, x = 7", "rows: dimension"]),
        ("manifold", ["the plane of z, x = 7", "columns: z0, quantile of p(z|x)"]),
    ],
)
def test_a_plot_names_its_columns_and_rows(plot: str, said: list[str]) -> None:
    model = made(2)
    with torch.no_grad():
        panel = PLOTS[plot](model, [7], 3, torch.Generator().manual_seed(0))
    found = texts(ImagePictures(ImageKind(Y)).cells(panel))
    for words in said:
        assert any(text.startswith(words) for text in found), found


def test_a_reconstruction_is_below_its_target_and_below_x_where_x_is_an_image() -> None:
    y = torch.rand(3, *Y)
    drawn = Drawn(1 - y.unsqueeze(0), ["a", "b", "c"], torch.zeros(3, 3, 8, 8), y)
    figure = ImagePictures(ImageKind(Y)).reconstructions(drawn)
    known = ("x", "y", "reconstruction", "a", "b", "c")
    assert [t for t in texts(figure) if t in known] == ["a", "b", "c", "x", "y", "reconstruction"]
    shown = figure.axes[0].images[0].get_array()
    # The corner of the first image of each row, of 56 pixels with a gap of 4.
    x, below, last = (shown[60 * row + 5, 5] for row in range(3))
    assert (x == 0).all()  # a colour stays as it is; of one channel 1 is black
    assert below.tolist() == pytest.approx([1 - y[0, 0, 0, 0].item()] * 3, abs=1e-6)
    assert last.tolist() == pytest.approx([y[0, 0, 0, 0].item()] * 3, abs=1e-6)


def test_numbers_of_a_walk_have_a_panel_and_a_scale_each() -> None:
    values = torch.stack((torch.linspace(0, 1, 5), torch.linspace(0, 1000, 5)), -1)
    panel = Panel(values.expand(2, 5, 2), [*"abcde"], ["low", "high"], Words("walk", "share", "x"))
    figure = VectorPictures(Vector((2,))).cells(panel)
    limits = [axes.get_ylim()[1] for axes in figure.axes]
    assert limits == pytest.approx([1.05, 1050])
    assert {"walk", "share", "x", "low", "high"} <= set(texts(figure))


@pytest.mark.parametrize("suffix", PICTURES)
def test_a_picture_is_of_its_format_and_the_same_bytes_again(suffix: str) -> None:
    def drawn(scale: float = 1) -> bytes:
        return drawn_as(suffix, image_grid(torch.ones(1, 1, 1, 8, 8), ["a"]), scale)

    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert drawn().startswith(starts[suffix])
    assert drawn() == drawn()
    if suffix == ".png":
        small, large = (Image.open(BytesIO(drawn(scale))).size for scale in (1, 3))
        assert large == tuple(3 * side for side in small)


def test_names_wider_than_their_columns_are_turned_and_whole() -> None:
    figure = image_grid(torch.ones(1, 2, 3, 40, 40), ["circle", "square"])
    labels = figure.axes[0].get_xticklabels()
    assert [(label.get_text(), label.get_rotation()) for label in labels] == [
        ("circle", 45),
        ("square", 45),
    ]
    figure.draw_without_rendering()
    inside = figure.bbox
    assert all(inside.contains(*label.get_window_extent().max) for label in labels)
    flat = image_grid(torch.ones(1, 2, 3, 40, 40), ["one", "two"]).axes[0].get_xticklabels()
    assert {label.get_rotation() for label in flat} == {0}


def test_a_plane_of_one_class_has_no_legend() -> None:
    points, ellipse = torch.zeros(3, 2), (torch.zeros(1, 2), torch.eye(2)[None])
    one = Plane(points, torch.zeros(3).long(), ["0"], ("z0", "z1"), *ellipse)
    assert not latent_planes({"one": one}).legends
    two = one._replace(names=["a", "b"])
    assert len(latent_planes({"two": two}).legends) == 1


@pytest.mark.parametrize(("count", "most"), [(60, 12), (100_000, 40)])
def test_a_histogram_has_as_many_bins_as_its_draws_fill(count: int, most: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    pictures = VectorPictures(Vector((1,)))
    edges = pictures._bins(values)
    assert 5 <= len(edges) - 1 <= most
    assert len(edges) - 1 == min(40, len(np.histogram_bin_edges(values, "fd")) - 1)  # numpy's own
