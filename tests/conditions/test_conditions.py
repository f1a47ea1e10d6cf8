"""Conditions make the pairs that they say, and put them together again."""

import pytest
import torch

from cvae.batch import Items, Sizes
from cvae.conditions import (
    GivenCondition,
    LabelAndGivenCondition,
    LabelCondition,
    NoCondition,
    QuadrantsCondition,
)
from cvae.errors import InputError

GIVEN = Sizes((1, 6, 4), 3, (2, 6, 4))


def items(sizes: Sizes, count: int = 5) -> Items:
    labels = torch.arange(count) % sizes.num_classes
    return Items(
        torch.rand(count, *sizes.image_shape), labels, torch.randn(count, *sizes.given_shape)
    )


@pytest.mark.parametrize("shape", [(1, 6, 4), (3, 5, 7)])
@pytest.mark.parametrize("visible", [1, 2, 3])
def test_quadrants_are_the_parts_of_a_whole(shape: tuple[int, int, int], visible: int) -> None:
    # Sohn, Lee & Yan 2015: lower left; left half; all but the lower right.
    _, height, width = shape
    seen = torch.zeros(height, width, dtype=torch.bool)
    seen[height // 2 :, : width // 2] = True
    if visible > 1:
        seen[:, : width // 2] = True
    if visible > 2:
        seen[: height // 2] = True
    condition, drawn = QuadrantsCondition(Sizes(shape, 10), visible), items(Sizes(shape, 10))
    x, y = condition(drawn)
    assert x.shape[1:] == condition.x_shape == (shape[0] + 1, height, width)
    assert y.shape[1:] == condition.y_shape == (shape[0] * (height * width - int(seen.sum())),)
    assert torch.equal(condition.whole(x, y), drawn.images)
    assert torch.equal(x[:, -1].bool(), seen.expand(5, -1, -1))
    # What is hidden is not in x, and what is visible not in y.
    hidden, visible_ = drawn.images.clone(), drawn.images.clone()
    hidden[..., ~seen] = 0
    assert torch.equal(x[:, :-1], hidden)
    visible_[..., seen] = 9
    assert torch.equal(condition(drawn._replace(images=visible_)).y, y)


def test_several_completions_share_what_is_seen() -> None:
    condition = QuadrantsCondition(Sizes((1, 4, 4), 10), 3)
    x, y = condition(items(Sizes((1, 4, 4), 10)))
    completions = condition.whole(x, torch.rand(7, *y.shape))
    assert completions.shape == (7, 5, 1, 4, 4)
    seen = x[:, -1:].bool()
    assert (completions * seen == x[:, :1] * seen).all()
    assert condition.shown(x)[:, :, -1, -1].tolist() == [[0.5]] * 5  # grey where nothing is seen


@pytest.mark.parametrize(
    ("sizes", "visible", "message"),
    [
        (Sizes((1, 4, 4), 10), 4, "visible: expected 1, 2 or 3 quadrants, got 4"),
        (Sizes((1, 1, 4), 10), 1, "images of 1x4 pixels have no quadrants"),
    ],
)
def test_what_has_no_quadrants_is_refused(sizes: Sizes, visible: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        QuadrantsCondition(sizes, visible)


def test_what_is_given_is_the_condition() -> None:
    drawn = items(GIVEN)
    x, y = GivenCondition(GIVEN)(drawn)
    assert torch.equal(x, drawn.given)
    assert torch.equal(y, drawn.images)


@pytest.mark.parametrize("given_shape", [(2, 6, 4), (5,), (2, 3)])
def test_a_label_goes_with_what_is_given(given_shape: tuple[int, ...]) -> None:
    sizes = Sizes((1, 6, 4), 3, given_shape)
    condition, drawn = LabelAndGivenCondition(sizes), items(sizes)
    x, _ = condition(drawn)
    assert x.shape[1:] == condition.x_shape
    given, label = x.split([x.shape[1] - 3, 3], 1)
    assert torch.equal(given, drawn.given if len(given_shape) == 3 else drawn.given.flatten(1))
    numbers = label[..., 0, 0] if label.dim() == 4 else label
    assert torch.equal(numbers, torch.eye(3)[drawn.labels])


def test_conditions_that_the_data_do_not_have_are_refused() -> None:
    plain = Sizes((1, 4, 4), 10)
    for condition in (GivenCondition, LabelAndGivenCondition):
        with pytest.raises(InputError, match="no condition comes with the images"):
            condition(plain)
    with pytest.raises(InputError, match="one class only"):
        LabelCondition(Sizes((1, 4, 4), 1))


def test_a_model_of_images_is_asked_by_images() -> None:
    condition = GivenCondition(GIVEN)
    x = torch.rand(2, 2, 6, 4)
    assert torch.equal(condition.encode(x), x)
    for wanted in (3, [1, 2], None, torch.rand(2, 6, 4)):
        with pytest.raises(InputError, match=r"expected a tensor of conditions \(B, 2, 6, 4\)"):
            condition.encode(wanted)


def test_classes_are_called_by_their_names() -> None:
    named = LabelCondition(Sizes((1, 4, 4), 3, (0,), ("cat", "dog", "owl")))
    assert named.names(named.encode([2, 0])) == ["owl", "cat"]
    assert NoCondition(GIVEN).names(torch.empty(1, 0)) == []
