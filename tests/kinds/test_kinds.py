"""Kinds of y and parts of x: what fits, how it is stored, and what networks see."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cvae.errors import InputError
from cvae.kinds import Image, Sizes, Standard, Target
from cvae.kinds.categories import LabelMap, Tokens
from cvae.kinds.counts import Counts
from cvae.kinds.parts import Category, Numbers, PartsEncoder, Picture
from cvae.kinds.real import Sequence, Vector
from cvae.kinds.table import Column, Table
from cvae.kinds.words import KINDS, words_for

RNG = np.random.default_rng(0)
COLUMNS = (
    Column("height", "real", mean=170.0, scale=10.0),
    Column("blood", "category", ("0", "A", "B")),
    Column("visits", "count", mean=1.0, scale=2.0),
    Column("smokes", "binary", ("no", "yes")),
)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (RNG.random((5, 8, 9)), ["arrays", "sequences"]),
        (RNG.random((5, 3, 8, 9)), ["arrays"]),
        (RNG.normal(size=(5, 3)), ["vectors", "sequences"]),
        (RNG.normal(size=(5, 4, 3)), ["sequences"]),
        (RNG.integers(0, 9, (5, 3)), ["vectors", "sequences", "tokens", "counts"]),
        (RNG.integers(0, 9, (5, 8, 9)), ["arrays", "sequences", "label_maps"]),
        (RNG.normal(size=5), ["vectors"]),
        (RNG.normal(size=(5, 2, 2, 2, 2)), []),
    ],
)
def test_an_array_is_of_the_kinds_that_its_shape_and_numbers_fit(
    y: np.ndarray, words: list[str]
) -> None:
    assert words_for(y) == words


def described(kind: type[Target], y: Any) -> tuple[Target, Tensor]:
    """A kind that has seen these values as its training set, and the values as y."""
    found = kind.kind_of(np.asarray(y))
    stored = found.stored(np.asarray(y))
    fitted = found.fitted(stored)
    return fitted, fitted.values(stored)


@pytest.mark.parametrize(
    ("kind", "y"),
    [
        (Vector, RNG.normal(1e6, 1e-3, (50, 3))),
        (Vector, RNG.normal(1.7e9, 86_400, 50)),
        (Sequence, RNG.normal(-5, 1e-8, (50, 4, 2))),
    ],
)
def test_real_numbers_of_any_scale_reach_networks_as_standard_ones(
    kind: type[Target], y: np.ndarray
) -> None:
    target, values = described(kind, y)
    encoder = target.encoder()
    assert encoder is not None
    seen = encoder(values).double()
    # Against numpy's own, in double precision.
    rows = y.reshape(-1, values.shape[-1])
    expected = (rows - rows.mean(0)) / rows.std(0)
    torch.testing.assert_close(
        seen.reshape(rows.shape), torch.from_numpy(expected), atol=1e-5, rtol=1e-5
    )


def test_a_constant_keeps_its_scale() -> None:
    standard = Standard.of(torch.tensor([[3.0, 1.0], [3.0, 5.0]]))
    assert standard == ((3.0, 3.0), (1.0, 2.0))


def test_missing_values_do_not_count_and_are_marked() -> None:
    target, values = described(Vector, [[1.0, 10.0], [3.0, np.nan], [5.0, 30.0]])
    assert (target.mean, target.missing) == ((3.0, 20.0), True)  # type: ignore[attr-defined]
    encoder = target.encoder()
    assert encoder is not None
    assert target.features == (4,)
    assert encoder(values)[1].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_label_maps_and_tokens_are_seen_one_hot() -> None:
    maps, values = described(LabelMap, [[[0, 1], [2, 0]]])
    encoder = maps.encoder()
    assert encoder is not None
    planes = encoder(values)
    assert planes.shape[1:] == maps.features == (3, 2, 2)
    assert planes.argmax(1).tolist() == [[[0, 1], [2, 0]]]
    tokens, values = described(Tokens, [[0.0, 3.0], [1.0, np.nan]])
    encoder = tokens.encoder()
    assert encoder is not None
    rows = encoder(values)
    assert rows.shape[1:] == tokens.features == (2, 4)
    assert rows[0].argmax(-1).tolist() == [0, 3]
    assert rows[1].sum(-1).tolist() == [1, 0]  # nothing where it is missing


def test_counts_are_seen_by_their_logarithms() -> None:
    y = RNG.poisson(3, (100, 2))
    target, values = described(Counts, y)
    encoder = target.encoder()
    assert encoder is not None
    logs = np.log1p(y)
    expected = (logs - logs.mean(0)) / logs.std(0)
    np.testing.assert_allclose(encoder(values).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(target.known()["average"], y.mean(0))


def test_a_row_of_a_table_is_seen_column_by_column() -> None:
    table = Table((4,), missing=True, described=COLUMNS)
    y = torch.tensor([[180.0, 2.0, 0.0, 1.0], [np.nan, 0.0, np.e - 1, 0.0]]).double()
    seen = table.encoder()(y)
    assert seen.shape[1:] == table.features
    torch.testing.assert_close(seen[0], torch.tensor([1.0, 0, 0, 1, -0.5, 1, 1, 1, 1, 1]))
    torch.testing.assert_close(seen[1], torch.tensor([0.0, 1, 0, 0, 0, 0, 0, 1, 1, 1]))
    assert table.row(y[0]) == [180.0, "B", 0, "yes"]
    assert table.columns() == ["height", "blood", "visits", "smokes"]


@pytest.mark.parametrize(
    ("y", "levels"),
    [
        (np.array([[[0, 1]]]), 2),
        (np.array([[[0.0, 1.0]]]), 2),
        (np.array([[[0, 255]]]), 256),
        (np.array([[[0, 65_535]]], np.uint16), 65_536),
        (np.array([[[0.0, 0.3]]]), None),
    ],
)
def test_images_keep_every_level(y: np.ndarray, levels: int | None) -> None:
    target = Image.kind_of(y)
    assert target.levels == levels
    scale = 1 if levels is None else levels - 1
    values = target.values(target.stored(y))
    expected = torch.from_numpy(y / scale)
    torch.testing.assert_close(values[:, 0].double(), expected, rtol=1e-6, atol=0)


def test_every_kind_says_how_it_is_asked_for_and_what_it_expects() -> None:
    assert len({kind.word for kind in KINDS}) == len(KINDS)
    assert all(kind.expected for kind in KINDS)


@pytest.mark.parametrize(
    "y",
    [
        Image((3, 4, 5), levels=17),
        Vector((2,), ("u", "v"), True, (0.5, 1e6), (1.0, 1e-3)),
        Sequence((7, 1), mean=(0.0,), scale=(2.0,)),
        LabelMap((4, 4), categories=5),
        Tokens((9,), categories=3),
        Counts((2,), average=(1.0, 2.0), mean=(0.0, 0.0), scale=(1.0, 1.0)),
        Table((4,), described=COLUMNS),
    ],
    ids=lambda y: type(y).__name__,
)
def test_a_description_goes_through_plain_data(y: Target) -> None:
    parts = (Numbers((2,), "age", (1.0, 2.0), (3.0, 4.0)), Category((2,), "sex", names=("f", "m")))
    sizes = Sizes(y, 3, parts, ("a", "b", "c"))
    assert Sizes.from_plain(sizes.plain()) == sizes
    assert y.encoder() is None or y.features


# -- x -----------------------------------------------------------------------------------------


def test_parts_of_x_reach_networks_in_their_shapes_and_standardised() -> None:
    picture = torch.rand(6, 1, 2, 2)
    numbers = RNG.normal(1e9, 10.0, (6, 2))
    parts = [Picture((1, 2, 2), "image"), Numbers((2,), "speed").fitted(torch.from_numpy(numbers))]
    x = torch.cat((picture.flatten(1).double(), torch.from_numpy(numbers)), 1)
    encoder = PartsEncoder(parts)
    assert encoder.shapes == [(1, 2, 2), (2,)]
    first, second = encoder(x.expand(3, 6, 6))
    torch.testing.assert_close(first[0], picture)
    expected = (numbers - numbers.mean(0)) / numbers.std(0)
    torch.testing.assert_close(second[2].double(), torch.from_numpy(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("part", "wanted", "message"),
    [
        (Numbers((2,)), [1.0, 2.0, 3.0], "x: expected 2 numbers, got 3 numbers"),
        (Numbers((1,), "age"), "old", "x.age: expected numbers, got 'old'"),
        (Numbers((1,)), float("nan"), "x: expected finite numbers"),
        (Category((2,), "sex", names=("female", "male")), "mal", "did you mean 'male'"),
        (Category((3,)), 3, "expected classes from 0 to 2, got 3"),
        (Picture((1, 2, 2)), torch.rand(1, 3, 3), r"expected images of shape \(1, 2, 2\)"),
    ],
)
def test_what_is_no_value_of_a_part_is_refused(part: Any, wanted: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        part.asked(wanted)


def test_values_are_asked_for_in_their_own_units() -> None:
    assert Numbers((1,)).asked(0.3).tolist() == [[0.3]]
    assert Numbers((1,)).asked([1, 2]).tolist() == [[1.0], [2.0]]
    assert Numbers((2,)).asked([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert Category((2,), names=("f", "m")).asked(["m", "f"]).tolist() == [[0, 1], [1, 0]]


def test_what_is_out_of_the_ordinary_is_said() -> None:
    y = RNG.normal(size=(300, 3))
    y[:, 1] = 7
    y[5, 2] = 1e4
    target, values = described(Vector, y)
    constant, far = target.remarks(values)
    assert constant == "y: column 1 never changes"
    assert "y: 10000 in column 2 is far from the median" in far
    assert "likelihood=student_t" in far
    y[3, 0] = np.nan
    target, values = described(Vector, y[:, :1])
    assert target.remarks(values) == ["y: 1 of 300 values are missing, and left out"]
    named = Numbers((2,), "age", names=("a", "b"))
    assert named.remarks(torch.tensor([[1.0, 2], [1, 3]])) == ["x.age: column 'a' never changes"]


TABLE = Sizes(Table((4,), described=COLUMNS), 1)
GOOD = Sizes(
    Vector((2,), mean=(0.0, 1.0), scale=(1.0, 2.0)),
    2,
    (Numbers((1,), "age", (1.0,), (2.0,)), Category((2,), "sex", names=("f", "m"))),
)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["y"].update(mean=[0.0]),
        lambda c: c["y"].update(mean=[0.0, float("nan")]),
        lambda c: c["y"].update(scale=[1.0, 0.0]),
        lambda c: c["y"].update(scale=[1.0, -1.0]),
        lambda c: c["y"].update(shape=[-2]),
        lambda c: c["given"][0].update(mean=[1.0, 2.0], scale=[1.0, 1.0]),
        lambda c: c["given"][0].update(scale=[0.0]),
        lambda c: c["given"][1].update(names=["f"]),
        lambda c: c["given"][1].update(names=["f", 3]),
        lambda c: c.update(num_classes=-4),
        lambda c: c.update(
            y=Sizes(Table((4,), described=COLUMNS), 1).plain()["y"] | {"shape": [7]}
        ),
        lambda c: c["y"].update(kind="Tables"),
    ],
)
def test_a_description_that_cannot_be_is_refused(change: Any) -> None:
    contents = GOOD.plain()
    Sizes.from_plain(contents)
    change(contents)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Sizes.from_plain(contents)


def test_images_are_asked_for_as_they_were_stored() -> None:
    bytes_ = Picture((1, 1, 2), white=255)
    assert bytes_.asked(np.array([[[0, 51]]], np.int64)).tolist() == [[[[0, pytest.approx(0.2)]]]]
    masks = Picture((1, 1, 2))
    assert masks.asked(np.array([[[0, 1]]], np.uint8)).tolist() == [[[[0, 1]]]]


def test_words_are_no_truth_values() -> None:
    answer = Category((3,), "answer", names=("maybe", "no", "yes"))
    assert answer.asked("yes").argmax() == 2
    assert answer.asked("no").argmax() == 1
    for wrong in (True, 1.0, None):
        with pytest.raises(InputError, match="no class is called"):
            answer.asked(wrong)
    assert Numbers((1,)).asked("1e-3").tolist() == [[0.001]]
    assert Numbers((1,)).asked(["010", "2"]).tolist() == [[10], [2]]
