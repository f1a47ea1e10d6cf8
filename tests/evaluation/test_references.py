"""Drawn masks against several references, by hand and by enumeration."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from cvae.batch import Items
from cvae.conditions import GivenCondition, LabelCondition
from cvae.data.rows import InMemory, groups
from cvae.evaluation.image_metrics import Split, against_references
from cvae.evaluation.metrics.references import EnergyDistance
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.kinds.parts import of_shape


def masks(*rows: str) -> Tensor:
    """One condition's masks, (n, 1, pixels), such as "0110"."""
    return torch.tensor([[[float(pixel) for pixel in row]] for row in rows])


def of(samples: Tensor, references: Tensor) -> dict[str, float]:
    metric = EnergyDistance()
    metric.update(samples, references)
    return {name: value.item() for name, value in metric.compute().items()}


def test_a_case_by_hand() -> None:
    # IoU of the samples 1/3, of the references 1/4, across as below.
    found = of(masks("1000", "1011"), masks("1100", "1011"))
    by_pair = torch.tensor([[1 / 2, 1 / 3], [1 / 4, 1]])
    assert found["between"] == pytest.approx(1 - by_pair.mean().item())
    assert found["among_samples"] == pytest.approx(1 - 1 / 3)
    assert found["among_references"] == pytest.approx(1 - 1 / 4)
    assert found["matched_iou"] == pytest.approx((1 / 2 + 1) / 2)
    expected = 2 * found["between"] - found["among_samples"] - found["among_references"]
    assert found["ged"] == pytest.approx(expected)


def test_two_empty_masks_are_the_same_and_an_empty_one_is_far_from_any_other() -> None:
    found = of(masks("0000", "0000"), masks("0000", "0110"))
    assert found["between"] == pytest.approx(0.5)
    assert found["among_samples"] == 0
    assert found["among_references"] == 1
    assert found["matched_iou"] == pytest.approx(0.5)


def test_a_deterministic_network_pays_twice_its_distance_less_the_references_own() -> None:
    found = of(masks("1100", "1100"), masks("1100", "0011", "1111"))
    assert found["between"] == pytest.approx((0 + 1 + 0.5) / 3)
    assert found["among_samples"] == 0
    assert found["ged"] == pytest.approx(2 * 0.5 - (1 + 0.5 + 0.5) / 3)


def test_the_true_process_is_below_zero_by_its_known_share() -> None:
    torch.manual_seed(0)
    references = (torch.rand(3, 1, 30) > 0.5).float()
    # All draws of two masks among the three, each as likely as another.
    draws = [list(pair) for pair in product(range(3), repeat=2)]
    scores = [of(references[draw], references)["ged"] for draw in draws]
    apart = of(references, references)["among_references"]
    assert sum(scores) / 9 == pytest.approx(-apart / 3, abs=1e-6)


def test_unequal_numbers_are_matched_by_repetition() -> None:
    found = of(masks("1000", "0100", "1000"), masks("1000", "0100"))
    # Six pairs: the first mask four times against three of its kind, the second twice.
    assert found["matched_iou"] == pytest.approx(5 / 6)


def test_conditions_are_averaged_over_batches() -> None:
    torch.manual_seed(0)
    samples, references = ((torch.rand(n, 6, 1, 5, 5) > 0.5).float() for n in (4, 3))
    whole, parts = EnergyDistance(), EnergyDistance()
    whole.update(samples, references)
    for part in (slice(0, 1), slice(1, 6)):
        parts.update(samples[:, part], references[:, part])
    for name, value in whole.compute().items():
        torch.testing.assert_close(value, parts.compute()[name])


def test_a_single_mask_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="two samples and two references"):
        EnergyDistance().update(masks("10"), masks("10", "01"))


# -- of a model --------------------------------------------------------------------------------

SIZES = Sizes(ImageKind((1, 6, 6)), 2, (of_shape((1, 6, 6)),))


def split(per_condition: list[int]) -> Split:
    """Conditions with so many references each, shuffled."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(len(per_condition), 1, 6, 6, generator=generator)
    x = x.repeat_interleave(torch.tensor(per_condition), 0)
    order = torch.randperm(len(x), generator=generator)
    y = (torch.rand(len(x), 1, 6, 6, generator=generator) > 0.5).float()
    return Split(x[order], y, y, torch.zeros(len(x), dtype=torch.long))


def knowing(served: Split, condition=GivenCondition) -> SimpleNamespace:
    """A model that draws among the references of a condition."""

    def sample(x, n, generator, mean=False) -> Tensor:
        assert mean
        columns = []
        for one in x:
            own = served.y[(served.x == one).flatten(1).all(1)]
            columns.append(own[torch.randint(len(own), (n,), generator=generator)] * 0.4 + 0.3)
        return torch.stack(columns, 1)

    return SimpleNamespace(condition=condition(SIZES), device=torch.device("cpu"), sample=sample)


def test_draws_among_the_references_have_the_score_of_the_true_process() -> None:
    served = split([4] * 200 + [3] * 100)
    found = against_references(knowing(served), served, torch.Generator().manual_seed(0))
    assert found["references/draws"] == 16
    apart = found["references/among_references"]
    for part in ("references", "references_redrawn"):
        expected = -apart * (200 / 4 + 100 / 3) / 300
        assert found[f"{part}/ged"] == pytest.approx(expected, abs=0.01)
        assert 0.7 < found[f"{part}/matched_iou"] < 1


def test_conditions_with_one_reference_are_left_out() -> None:
    served, several = split([4] * 30 + [1] * 5), split([4] * 30)
    found, expected = (
        against_references(knowing(one), one, torch.Generator().manual_seed(0))
        for one in (served, several)
    )
    assert found["references/conditions"] == expected["references/conditions"] == 30


def test_a_model_that_mistakes_conditions_is_far_from_it() -> None:
    served = split([4] * 50)
    other = served._replace(x=served.x.roll(7, 0))
    found = against_references(knowing(other), served, torch.Generator().manual_seed(0))
    assert found["references/ged"] > found["references_redrawn/ged"] + 0.2


@pytest.mark.parametrize("why", ["one reference", "grey pixels", "asked by class"])
def test_where_there_are_no_several_references_nothing_is_said(why: str) -> None:
    served = split([2, 1, 1] if why == "one reference" else [4, 4])
    if why == "grey pixels":
        served = served._replace(images=served.images * 0.5)
    model = knowing(served, LabelCondition if why == "asked by class" else GivenCondition)
    assert against_references(model, served, torch.Generator()) == {}


def test_items_are_grouped_by_what_is_given() -> None:
    given = torch.tensor([[1, 2], [3, 4], [1, 2], [1, 3]], dtype=torch.uint8)
    assert groups(given).tolist() == [0, 1, 0, 2]
    assert groups(given.float().view(4, 2, 1)).tolist() == [0, 1, 0, 2]
    classes = torch.tensor([0, 0, 1, 1])

    def numbered(*parts: torch.Tensor) -> list[int]:
        return InMemory(Items(classes, classes, parts)).groups().tolist()

    assert numbered() == [0, 1, 2, 3]
    assert numbered(classes) == [0, 1, 2, 3]  # a class alone says little
    assert numbered(given, classes) == [0, 1, 2, 3]
    assert numbered(given, torch.zeros(4)) == [0, 1, 0, 2]
