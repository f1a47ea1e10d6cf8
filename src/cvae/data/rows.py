"""Items that are fetched by their numbers: from memory, or from disk as they are needed."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cvae.batch import Items

KEPT = 2**31
"""Bytes of items up to which they are kept in memory."""
_BLOCK, _PIECE = 2**24, 2**20
"""Numbers that are read at a time, and that are copied at a time."""


class Source(Protocol):
    """What reads items from disk. It is sent to a worker process, and so has to be picklable."""

    def y(self, index: Tensor) -> Tensor:
        """Return the targets at some places, (M, ...), as stored."""

    def given(self, index: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of the conditions at some places, (M, ...) each, as stored."""


Change = Callable[[Items, Tensor], Items]
"""Changes items, given their places in the set that they are of, (M,)."""


class Rows(Dataset[Items], ABC):
    """N items, of which one index fetches a whole batch: no item is handled by itself.

    Attributes:
        labels: The class of each, (N,).
        workers: How many processes fetch the batches of a pass; 0 if that takes no time.
        spread_of: How many numbers `spread` returns at most.
    """

    labels: Tensor
    workers: int
    spread_of: int

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, index: Tensor) -> Items:
        """Return the items at some places, (M,)."""

    def __getitems__(self, indices: list[int]) -> Items:
        return self[torch.as_tensor(indices)]  # what an ordinary DataLoader asks for

    @abstractmethod
    def given(self, index: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of the conditions of the items at some places, (M,)."""

    @abstractmethod
    def part(self, index: Tensor) -> "Rows":
        """Return the items at some places, (M,)."""

    @abstractmethod
    def changed(self, change: Change) -> "Rows":
        """Return the items changed by a function, which has to be picklable."""

    @abstractmethod
    def some(self) -> Items:
        """Return the items; of items on disk, as many, evenly spaced, as memory has room for."""

    def pieces(self) -> Iterator[Tensor]:
        """Yield the tensors of `some`, one after the other."""
        some = self.some()
        yield from (some.y, some.labels, *some.given)

    def spread(self) -> Items:
        """Return items that stand for all in what is computed of them, evenly spaced."""
        items = self[torch.zeros(1, dtype=torch.int64)]
        size = items.y.numel() + sum(part.numel() for part in items.given)
        count = min(len(self), max(1, self.spread_of // max(1, size)))
        return self[torch.arange(count) * len(self) // count]  # in whole numbers, which are exact

    def groups(self) -> Tensor:
        """Number the distinct conditions, as `groups` does, (N,).

        Where they are classes alone, or none, every item gets a different number.
        """
        first = self.given(torch.zeros(1, dtype=torch.int64))
        if all(part.dim() == 1 for part in first):
            return torch.arange(len(self))
        size = sum(part.numel() for part in first)
        return _numbered(self.given(index) for index in blocks(len(self), size))


class InMemory(Rows):
    """Items that are kept as tensors, which the splits of a source share.

    Args:
        whole: The items of the source.
        index: Places of these items in the source, (N,); None is all of them.
    """

    workers = 0
    spread_of = 2**25

    def __init__(self, whole: Items, index: Tensor | None = None) -> None:
        self.whole, self.index = whole, index
        self.labels = whole.labels if index is None else whole.labels[index]

    @property
    def items(self) -> Items:
        """The items, which takes as much memory once more if they are not all of the source."""
        return self.whole if self.index is None else self.whole.each(lambda p: p[self.index])

    def __getitem__(self, index: Tensor) -> Items:
        places = self._places(index)
        return self.whole.each(lambda part: part.index_select(0, places))

    def given(self, index: Tensor) -> tuple[Tensor, ...]:
        places = self._places(index)
        return tuple(part.index_select(0, places) for part in self.whole.given)

    def part(self, index: Tensor) -> "InMemory":
        return InMemory(self.whole, self._places(index))

    def changed(self, change: Change) -> "InMemory":
        return InMemory(change(self.items, torch.arange(len(self))))

    def some(self) -> Items:
        return self.items

    def pieces(self) -> Iterator[Tensor]:
        for part in (self.whole.y, self.whole.labels, *self.whole.given):
            for index in blocks(len(self), math.prod(part.shape[1:]), _PIECE):
                yield part[self._places(index)]

    def _places(self, index: Tensor) -> Tensor:
        return index if self.index is None else self.index.index_select(0, index)


class OnDisk(Rows):
    """Items that a worker process reads as they are needed.

    Args:
        source: What reads them.
        labels: The class of each item of the source, (S,).
        index: Places of these items in the source, (N,); None is all of them.
        changes: What is done to the items, in this order.
    """

    workers = 1
    spread_of = 2**22

    def __init__(
        self,
        source: Source,
        labels: Tensor,
        index: Tensor | None = None,
        changes: Sequence[Change] = (),
    ) -> None:
        self.source, self.all_labels, self.changes = source, labels, tuple(changes)
        self.index = torch.arange(len(labels)) if index is None else index
        self.labels = labels[self.index]

    def __getitem__(self, index: Tensor) -> Items:
        places = self.index[index]
        items = Items(self.source.y(places), self.labels[index], self.source.given(places))
        for change in self.changes:
            items = change(items, index)
        return items

    def given(self, index: Tensor) -> tuple[Tensor, ...]:
        return self.source.given(self.index[index])

    def part(self, index: Tensor) -> "OnDisk":
        return OnDisk(self.source, self.all_labels, self.index[index], self.changes)

    def changed(self, change: Change) -> "OnDisk":
        return OnDisk(self.source, self.all_labels, self.index, (*self.changes, change))

    def some(self) -> Items:
        return self.spread()

    def kept(self) -> Rows:
        """Return the same items, in memory where they are small enough."""
        first = self[torch.zeros(1, dtype=torch.int64)]
        size = sum(part.nbytes for part in (first.y, first.labels, *first.given)) * len(self)
        return self if size > KEPT else InMemory(self[torch.arange(len(self))])


def blocks(count: int, size: int, most: int = _BLOCK) -> Iterator[Tensor]:
    """Yield the places of `count` items of `size` numbers each, `most` numbers at a time."""
    yield from torch.arange(count).split(max(1, most // max(1, size)))


def groups(x: Tensor) -> Tensor:
    """Number the distinct conditions, (N, ...): equal ones get the same number, (N,)."""
    return _numbered([[x]])


def _numbered(blocks: Iterable[Sequence[Tensor]]) -> Tensor:
    rows = (row for block in blocks for row in zip(*(part.numpy() for part in block), strict=True))
    keys = (blake2b(b"".join(part.tobytes() for part in row), digest_size=8) for row in rows)
    digests = np.fromiter((int.from_bytes(key.digest()) for key in keys), np.uint64)
    _, first, number = np.unique(digests, return_index=True, return_inverse=True)
    # Numbered in the order in which they come.
    return torch.from_numpy(first.argsort().argsort()[number])
