"""Conditions make the pairs that they say, and put them together again."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cvae.batch import Items
from cvae.conditions import (
    GivenCondition,
    LabelAndGivenCondition,
    LabelCondition,
    NoCondition,
    QuadrantsCondition,
)
from cvae.errors import InputError
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.kinds.parts import Category, Numbers, Picture, of_shape

GIVEN = Sizes(ImageKind((1, 6, 4)), 3, (of_shape((2, 6, 4)),))


def items(sizes: Sizes, count: int = 5) -> Items:
    labels = torch.arange(count) % sizes.num_classes
    given = tuple(torch.randn(count, *part.shape) for part in sizes.given)
    return Items(torch.rand(count, *sizes.y.shape), labels, given)


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
    sizes = Sizes(ImageKind(shape), 10)
    condition, drawn = QuadrantsCondition(sizes, visible), items(sizes)
    x, y = condition(drawn)
    assert x.shape[1:] == condition.x_shape == (shape[0] + 1, height, width)
    assert y.shape[1:] == condition.y_shape == (shape[0] * (height * width - int(seen.sum())),)
    assert torch.equal(condition.whole(x, y), drawn.y)
    assert torch.equal(x[:, -1].bool(), seen.expand(5, -1, -1))
    # What is hidden is not in x, and what is visible not in y.
    hidden, visible_ = drawn.y.clone(), drawn.y.clone()
    hidden[..., ~seen] = 0
    assert torch.equal(x[:, :-1], hidden)
    visible_[..., seen] = 9
    assert torch.equal(condition(drawn._replace(y=visible_)).y, y)


def test_several_completions_share_what_is_seen() -> None:
    sizes = Sizes(ImageKind((1, 4, 4)), 10)
    condition = QuadrantsCondition(sizes, 3)
    x, y = condition(items(sizes))
    completions = condition.whole(x, torch.rand(7, *y.shape))
    assert completions.shape == (7, 5, 1, 4, 4)
    seen = x[:, -1:].bool()
    assert (completions * seen == x[:, :1] * seen).all()
    assert condition.shown(x)[:, :, -1, -1].tolist() == [[0.5]] * 5  # grey where nothing is seen


@pytest.mark.parametrize(
    ("sizes", "visible", "message"),
    [
        (Sizes(ImageKind((1, 4, 4)), 10), 4, "visible: expected 1, 2 or 3 quadrants, got 4"),
        (Sizes(ImageKind((1, 1, 4)), 10), 1, "images of 1x4 pixels have no quadrants"),
    ],
)
def test_what_has_no_quadrants_is_refused(sizes: Sizes, visible: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        QuadrantsCondition(sizes, visible)


def test_what_is_given_is_the_condition() -> None:
    drawn = items(GIVEN)
    x, y = GivenCondition(GIVEN)(drawn)
    assert torch.equal(x, *drawn.given)
    assert torch.equal(y, drawn.y)


@pytest.mark.parametrize("given_shape", [(2, 6, 4), (5,), (2, 3)])
def test_a_label_goes_with_what_is_given(given_shape: tuple[int, ...]) -> None:
    sizes = Sizes(ImageKind((1, 6, 4)), 3, (of_shape(given_shape),))
    condition, drawn = LabelAndGivenCondition(sizes), items(sizes)
    x, _ = condition(drawn)
    assert x.shape[1:] == condition.x_shape
    given, label = x.split([x.shape[1] - 3, 3], 1)
    (values,) = drawn.given
    assert torch.equal(given, values if len(given_shape) == 3 else values.flatten(1))
    numbers = label[..., 0, 0] if label.dim() == 4 else label
    assert torch.equal(numbers, torch.eye(3)[drawn.labels])


def test_conditions_that_the_data_do_not_have_are_refused() -> None:
    plain = Sizes(ImageKind((1, 4, 4)), 10)
    for condition in (GivenCondition, LabelAndGivenCondition):
        with pytest.raises(InputError, match="no condition comes with the y"):
            condition(plain)
    with pytest.raises(InputError, match="one class only"):
        LabelCondition(Sizes(ImageKind((1, 4, 4)), 1))


def test_a_model_of_images_is_asked_by_images() -> None:
    condition = GivenCondition(GIVEN)
    x = torch.rand(2, 2, 6, 4)
    assert torch.equal(condition.encode(x), x)
    assert torch.equal(condition.encode(x[0]), x[:1])
    for wanted in (3, [1, 2], torch.rand(2, 6, 5)):
        with pytest.raises(InputError, match=r"x: expected images .*\(2, 6, 4\), got"):
            condition.encode(wanted)
    with pytest.raises(InputError, match="x: expected a value for x, got none"):
        condition.encode(None)


def test_classes_are_called_by_their_names() -> None:
    named = LabelCondition(Sizes(ImageKind((1, 4, 4)), 3, (), ("cat", "dog", "owl")))
    assert named.names(named.encode([2, 0])) == ["owl", "cat"]
    assert NoCondition(GIVEN).names(torch.empty(1, 0)) == []


PARTS = Sizes(
    ImageKind((1, 2, 2)),
    1,
    (Numbers((1,), "age", (40.0,), (10.0,)), Category((2,), "sex", names=("female", "male"))),
)


def test_x_of_several_parts_is_asked_by_their_names() -> None:
    condition = GivenCondition(PARTS)
    x = condition.encode({"age": [30, 50], "sex": "male"})
    assert x.tolist() == [[30, 0, 1], [50, 0, 1]]
    assert condition.names(x) == ["age=30, sex=male", "age=50, sex=male"]
    assert torch.equal(condition.encode("{sex: male, age: [30, 50]}"), x)
    assert torch.equal(condition.encode([{"age": age, "sex": "male"} for age in (30, 50)]), x)
    drawn = Items(torch.rand(2, 1, 2, 2), torch.zeros(2), (x[:, :1], torch.tensor([1, 1])))
    assert torch.equal(condition(drawn).x, x)
    encoder = condition.encoder()
    assert encoder is not None
    (seen,) = encoder(x)
    assert seen.tolist() == [[-1, 0, 1], [1, 0, 1]]
    assert encoder(condition.example())[0].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (None, "expected a value for x"),
        (
            3,
            'each part by its name, as {"age": [30, 50], "sex": ["female", "male"]} for two '
            "conditions, got 3",
        ),
        ([{"age": 3, "sex": "male"}, {"age": 4}], "the same parts in each"),
        ({"age": 3}, "a value for 'sex' is missing; x has age, sex"),
        ({"age": 3, "sexe": "male"}, "no part is called 'sexe'; did you mean 'sex'"),
        ({"age": 3, "sex": "mal"}, "x.sex: no class is called 'mal'; did you mean 'male'"),
        ({"age": [1, 2, 3], "sex": ["male", "female"]}, "x.sex: expected 1 or 3 values, got 2"),
        ("{age: 3", "cannot be read; expected a number, a list of numbers"),
    ],
)
def test_what_no_part_of_x_is_is_refused(wanted: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        GivenCondition(PARTS).encode(wanted)


def test_x_far_outside_of_the_training_data_is_told() -> None:
    condition = GivenCondition(PARTS)
    told = "x: age=300 is far from the training data, 26 deviations from their mean, 40"
    for ages, said in (([-9, 89], ""), ([300, 50, -50], told), ([-10], told), ([], "")):
        x = condition.encode({"age": ages, "sex": "male"}) if ages else torch.empty(0, 3)
        expected = said.replace("300", "-10").replace("26", "5") if ages == [-10] else said
        assert condition.far(x) == expected
    alone = Numbers((2,), "", (0.0, 1.0), (1.0, 2.0))
    for part, name in ((alone, "x[1]"), (replace(alone, names=("a", "b")), "b")):
        said = GivenCondition(Sizes(ImageKind((1, 2, 2)), 1, (part,))).far(torch.tensor([[0, 21]]))
        assert said.startswith(f"x: {name}=21 is far from the training data, 10 deviations")
    picture = GivenCondition(Sizes(ImageKind((1, 2, 2)), 1, (Picture((1, 2, 2)),)))
    assert picture.far(torch.full((1, 1, 2, 2), 99.0)) == ""
    assert LabelCondition(GIVEN).far(torch.eye(3)) == ""


def test_x_comes_from_a_file(tmp_path: Path) -> None:
    condition = GivenCondition(PARTS)
    expected = [[30, 0, 1], [50, 1, 0]]
    np.savez(tmp_path / "x.npz", **{"x.age": [30.0, 50], "x.sex": np.array([1, 0])})
    assert condition.encode(condition.read(str(tmp_path / "x.npz"))).tolist() == expected
    (tmp_path / "x.csv").write_text("sex,age\nmale,30\nfemale,50\n")
    assert condition.encode(condition.read(str(tmp_path / "x.csv"))).tolist() == expected
    (tmp_path / "y.csv").write_text("sex\nmale\n")
    with pytest.raises(InputError, match="has no 'age', which x is made of"):
        condition.read(str(tmp_path / "y.csv"))
    with pytest.raises(InputError, match=r"none\.csv' cannot be read"):
        condition.read(str(tmp_path / "none.csv"))
    picture = GivenCondition(Sizes(ImageKind((1, 2, 2)), 1, (Picture((1, 2, 2)),)))
    Image.fromarray(np.array([[0, 51], [102, 255]], np.uint8)).save(tmp_path / "x.png")
    x = picture.encode(picture.read(str(tmp_path / "x.png")))
    torch.testing.assert_close(x, torch.tensor([[[[0, 0.2], [0.4, 1]]]]))
    mixed = Sizes(ImageKind((1, 2, 2)), 1, (Picture((1, 2, 2), "image"), Numbers((1,), "speed")))
    condition = GivenCondition(mixed)
    found = condition.encode(condition.read(f"{{image: {tmp_path / 'x.png'}, speed: 3}}"))
    torch.testing.assert_close(found.float(), torch.tensor([[0, 0.2, 0.4, 1, 3]]))
    with pytest.raises(InputError, match=r"x.image: '.*y.png' cannot be read as an image"):
        condition.encode(condition.read(f"{{image: {tmp_path / 'y.png'}, speed: 3}}"))


def test_an_image_with_a_class_is_asked_by_both_at_once() -> None:
    condition = LabelAndGivenCondition(GIVEN)
    with pytest.raises(InputError, match=r"a tensor of conditions \(B, 5, 6, 4\)"):
        condition.encode(torch.rand(1, 2, 6, 4))
    with pytest.raises(InputError, match="more than a class"):
        condition.read("x.png")
    assert condition.example().shape == (1, 5, 6, 4)
