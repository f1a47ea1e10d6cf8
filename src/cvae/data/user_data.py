"""The base of a user's own data: splits that are given, or made once and never changed."""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from cvae.conditions import ConditionBuilder
from cvae.data.base import PairData
from cvae.data.rows import Rows
from cvae.errors import ArgumentError, InputError
from cvae.kinds import Sizes

_TEST_FRACTION = 0.2
_NONE: Mapping[str, Tensor] = MappingProxyType({})


class OwnData(PairData):
    """Items of a user's own files.

    Without a given test split, a fifth of the items is the test set, by a split that never changes.

    Args:
        condition: Builder of the condition.
        split: "test" is this; "all" puts every item into the test set, to evaluate a model on data
            that it has never seen, and there is nothing to train on.
        **options: As for `PairData`.

    Attributes:
        rows: All items.
        apart: Places in `rows` of the given splits, by "val" and "test"; what is not given is taken
            from the others.
    """

    rows: Rows
    apart: Mapping[str, Tensor] = _NONE

    def __init__(
        self, condition: ConditionBuilder, *, split: Literal["test", "all"] = "test", **options: Any
    ) -> None:
        super().__init__(condition, **options)
        if split not in ("test", "all"):
            raise ArgumentError("split", f"expected 'test' or 'all', got {split!r}")
        self.whole = split == "all"

    def setup(self, stage: str | None = None) -> None:
        if self.whole and stage != "test":
            raise InputError("data.split: all of the data is for cvae-evaluate; leave it out")
        super().setup(stage)

    def describe(self, sizes: Sizes, standardize: bool) -> None:
        """Set `sizes`, completed with mean and deviation of the items that are trained on.

        Of large data, these are of as many as memory has room for, evenly spaced.

        Args:
            sizes: What the items are like.
            standardize: Whether y is to be standardised.
        """
        rows = self.rows
        if not self.whole:
            rows = self.read(train=True)
            rows = rows.part(self.split(rows, self.val_fraction, self.split_seed)[0])
        kept = rows.spread()
        parts = list(zip(sizes.given, kept.given, strict=True))
        self.remarks = [line for part, values in parts for line in part.remarks(values)]
        self.remarks += sizes.y.remarks(kept.y)
        self.sizes = sizes._replace(
            y=sizes.y.fitted(kept.y) if standardize else sizes.y,
            given=tuple(part.fitted(values) for part, values in parts),
        )

    def read(self, train: bool) -> Rows:
        return self.rows.part(self.numbers(train))

    def numbers(self, train: bool) -> Tensor:
        return self._places[0 if train else 1]

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor]:
        """Places in `rows` of what is trained and validated on, and of the test set."""
        every = torch.arange(len(self.rows))
        if self.whole:
            return every[:0], every
        given = [self.apart[name] for name in ("val", "test") if name in self.apart]
        rest = every[~torch.isin(every, torch.cat(given))] if given else every
        val = self.apart.get("val", every[:0])
        if "test" in self.apart:
            return torch.cat((rest, val)), self.apart["test"]
        held = self.rows.part(rest) if given else self.rows
        kept, test = super().split(held, _TEST_FRACTION, seed=0)
        return torch.cat((rest[kept], val)), rest[test]

    def split(self, rows: Rows, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        if "val" not in self.apart:
            return super().split(rows, fraction, seed)
        places = torch.arange(len(rows))
        first = len(places) - len(self.apart["val"])
        return places[:first], places[first:]
