"""The base of a user's own data: splits that are given, or made once and never changed."""

import torch
from torch import Tensor

from cvae.batch import Items
from cvae.data.base import PairData, joined, taken
from cvae.kinds import Sizes

_TEST_FRACTION = 0.2


class OwnData(PairData):
    """Items that have been read already.

    Without a given test split, a fifth of the items is the test set, by a split that never changes.

    Attributes:
        train_items: Items to train on; splits that are not given are taken from these.
        val_items, test_items: The given splits, or None.
    """

    train_items: Items
    val_items: Items | None = None
    test_items: Items | None = None

    def describe(self, sizes: Sizes, standardize: bool) -> None:
        """Set `sizes`, completed with mean and deviation of the items that are trained on.

        Args:
            sizes: What the items are like.
            standardize: Whether y is to be standardised.
        """
        items = self.read(train=True)
        trained_on, _ = self.split(items, self.val_fraction, self.split_seed)
        kept = taken(items, trained_on)
        parts = list(zip(sizes.given, kept.given, strict=True))
        self.remarks = [line for part, values in parts for line in part.remarks(values)]
        self.remarks += sizes.y.remarks(kept.y)
        self.sizes = sizes._replace(
            y=sizes.y.fitted(kept.y) if standardize else sizes.y,
            given=tuple(part.fitted(values) for part, values in parts),
        )

    def read(self, train: bool) -> Items:
        if self.test_items is not None:
            rest, test = self.train_items, self.test_items
        else:
            kept, apart = super().split(self.train_items, _TEST_FRACTION, seed=0)
            rest, test = taken(self.train_items, kept), taken(self.train_items, apart)
        if not train:
            return test
        return rest if self.val_items is None else joined(rest, self.val_items)

    def split(self, items: Items, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        if self.val_items is None:
            return super().split(items, fraction, seed)
        places = torch.arange(len(items.labels))
        first = len(places) - len(self.val_items.labels)
        return places[:first], places[first:]
