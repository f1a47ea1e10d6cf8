"""The base of every source of data: splits, batches, the pair (x, y).

Values are stored as they come, such as pixels of a byte each, and moved to the device in that form;
scaling and one-hot are done there.
"""

import math
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import torch
from joblib import cpu_count
from lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from cvae.batch import Batch, Items, Support
from cvae.conditions import Condition, ConditionBuilder
from cvae.data.rows import InMemory, Rows
from cvae.errors import ArgumentError, InputError, require_at_least, require_seed
from cvae.kinds import Sizes
from cvae.random import seed_of

SplitName = Literal["train", "val", "test"]
_FEWEST_CONDITIONS = 20
_SMALLEST, _LARGEST, _STEPS = 8, 128, 30
"""Items of a batch, and how many steps an epoch has at least where there are items enough."""
_FEW_CORES = 2


def batch_for(count: int) -> int:
    """Return how many of `count` training items a batch has, so that an epoch has thirty steps.

    It is a power of two. Three steps an epoch, which 350 rows are in batches of 128, leave a model
    untrained in the epochs that are enough for larger data.
    """
    largest = min(_LARGEST, max(_SMALLEST, count // _STEPS))
    return 1 << (largest.bit_length() - 1)


class ShuffledBatches(DistributedSampler[Tensor]):
    """The indices of each batch, (M,), in a new order every epoch.

    The order depends on the seed and the epoch alone, so a resumed run sees the same batches as an
    uninterrupted one; in the epoch of the interruption, those after the first `seen`. Several
    processes take the indices in turn, and repeat the first few if the count cannot be divided
    evenly. Lightning sets the epoch of a sampler of this base class, and does not replace it.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        rank: int,
        processes: int,
        device: torch.device | str = "cpu",
        epoch: int = 0,
        seen: int = 0,
    ) -> None:
        super().__init__(range(count), num_replicas=processes, rank=rank, seed=seed)  # type: ignore[arg-type]
        self.count, self.batch_size, self.processes = count, batch_size, processes
        self.device, self.epoch, self.seen = device, epoch, {epoch: seen}

    def __len__(self) -> int:
        return math.ceil(math.ceil(self.count / self.processes) / self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.count, generator=generator)
        order = torch.cat((order, order[: -self.count % self.processes]))
        order = order[self.rank :: self.processes].to(self.device)
        return iter(order[self.seen.get(self.epoch, 0) * self.batch_size :].split(self.batch_size))


def _yielding(worker: int) -> None:
    """Let the training have a core first: it waits for the slowest of its threads."""
    os.nice(10)


def _whole(batch: Any) -> Any:
    return batch  # `__getitems__` has collated it


class PairData(LightningDataModule, ABC):
    """Serves `Batch(x, y)` from items in memory or on disk.

    Args:
        condition: Builder of the condition, which turns an item into (x, y).
        batch_size: Items per batch; None is what `batch_for` gives for the training set.
        val_fraction: Share of the training set held out for validation, stratified by label.
        split_seed: Seed of that split; separate from the run's seed, so that runs with several
            seeds are validated on the same items.

    Attributes:
        sizes: What the items are like.
        order_seed: Seed of the order of the training batches.
        remarks: What a user should know of the data, a line each.
        places: Where, among the items that `read` returns for training, those of "train" and "val"
            are, (N,) each.
        position: Where the next training starts: the epoch, and the number of its batches that
            have already been trained on.

    Raises:
        InputError: If an argument is out of its range.

    Example:
        >>> from cvae.conditions import LabelCondition
        >>> from cvae.data import Digits
        >>> data = Digits(LabelCondition, batch_size=32)
        >>> data.setup()
        >>> x, y = data.on_after_batch_transfer(next(iter(data.val_dataloader())))
        >>> x.shape, y.shape
        (torch.Size([32, 10]), torch.Size([32, 1, 8, 8]))
        >>> len(data.train_set), len(data.val_set), len(data.test_set)
        (1293, 144, 360)
        >>> data.condition.x_shape, data.image.shape, data.support.name
        ((10,), (1, 8, 8), 'LEVELS')

        The splits are made of what `read` returns, so:

        >>> rows = data.read(train=True)
        >>> kept, held_out = data.split(rows, data.val_fraction, data.split_seed)
        >>> train = data.trained_on(rows.part(kept))
        >>> val = data.judged_by(rows.part(held_out), "val")
        >>> torch.equal(val.some().y, data.val_set.some().y)
        True
        >>> float(data.values(val.some().y).max())
        1.0
        >>> again, places = data.numbered("val")
        >>> torch.equal(places, data.numbers(train=True)[held_out])
        True
        >>> data.checksum == data.test_checksum  # which tell data apart
        False
    """

    sizes: Sizes

    def __init__(
        self,
        condition: ConditionBuilder,
        *,
        batch_size: int | None = 128,
        val_fraction: float = 0.1,
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size is not None:
            require_at_least("batch_size", batch_size, 1)
        require_seed("split_seed", split_seed)
        if not 0 < val_fraction < 1:
            raise ArgumentError(
                "val_fraction", f"expected a share between 0 and 1, got {val_fraction}"
            )
        self._condition = condition
        self.follows_data = batch_size is None
        self.batch_size = _LARGEST if batch_size is None else batch_size
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.order_seed = 0
        self.position = (0, 0)
        self.remarks: list[str] = []

    @abstractmethod
    def read(self, train: bool) -> Rows:
        """Return the training or the test items, their values as stored, with int64 labels."""

    @cached_property
    def condition(self) -> Condition:
        """The condition, completed with what these items are like."""
        return self._condition(self.sizes)

    @cached_property
    def checksum(self) -> int:
        """CRC-32 of the training and the validation items, once they are set up."""
        return _checksum(self.train_set, self.val_set)

    @cached_property
    def test_checksum(self) -> int:
        """CRC-32 of the test items, once they are set up."""
        return _checksum(self.test_set)

    @property
    def support(self) -> Support:
        """The set of the values of an element of y."""
        return self.sizes.y.support

    def setup(self, stage: str | None = None) -> None:
        if stage not in ("test", "predict") and not hasattr(self, "train_set"):
            rows = self._of_known_classes(self.read(train=True))
            train, val = self.split(rows, self.val_fraction, self.split_seed)
            self.places = {"train": train, "val": val}
            self.train_set = self.trained_on(rows.part(train))
            self.val_set = self.judged_by(rows.part(val), "val")
            if self.follows_data:
                self.batch_size = batch_for(len(self.train_set))
        if stage in ("test", "predict", None) and not hasattr(self, "test_set"):
            rows = self._of_known_classes(self.read(train=False))
            self.test_set = self.judged_by(rows, "test")

    def _of_known_classes(self, rows: Rows) -> Rows:
        """Refuse labels beyond the classes that there are: their one-hot rows would be all 0."""
        low, high, classes = int(rows.labels.min()), int(rows.labels.max()), self.sizes.num_classes
        if low < 0 or high >= classes:
            raise InputError(
                f"data: expected labels from 0 to {classes - 1}, got {low} to {high}; these files "
                "are of other data"
            )
        return rows

    def trained_on(self, rows: Rows) -> Rows:
        """Return training items as they are for all epochs."""
        return rows

    def judged_by(self, rows: Rows, split: SplitName) -> Rows:
        """Return items of a split as they are for every run."""
        return rows

    def numbered(self, split: SplitName) -> tuple[Rows, Tensor]:
        """Return the items of a split as they are for every run, and the number of each, (N,).

        Items are numbered from 0 in the order of their source, as `numbers` says.
        """
        if split == "test":
            return self.test_set, self.numbers(train=False)
        places = self.places[split]
        return self.judged_by(self.read(train=True).part(places), split), self.numbers(True)[places]

    def numbers(self, train: bool) -> Tensor:
        """Return the number of each item that `read` returns, (N,): its place in its file."""
        return torch.arange(sum(map(len, self.places.values())) if train else len(self.test_set))

    def split(self, rows: Rows, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        """Return the indices of the items to keep and of those to hold out, stratified by class.

        Items with the same given condition are several references for it and stay together (they
        count as one, of the first one's class), unless there are too few conditions to split.

        Raises:
            InputError: If either part would lack a class.
        """
        group = rows.groups()
        if int(group.max()) + 1 < _FEWEST_CONDITIONS:
            group = torch.arange(len(group))
        first = torch.full((int(group.max()) + 1,), len(group)).scatter_reduce(
            0, group, torch.arange(len(group)), "amin"
        )
        try:
            parts = train_test_split(
                torch.arange(len(first)),
                test_size=fraction,
                stratify=rows.labels[first],
                random_state=seed,
            )
        except ValueError as error:
            raise InputError(
                f"data: {fraction} of {len(first)} items cannot be held out with every class on "
                f"both sides ({error}); give more of each class, or another data.val_fraction if "
                "this is the validation split"
            ) from error
        if len(first) == len(group):
            return parts[0], parts[1]
        held_out = torch.isin(group, parts[1])
        return (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]

    def train_dataloader(self) -> DataLoader[Items]:
        rank, processes, device = 0, 1, torch.device("cpu")
        if self.trainer is not None:
            rank, processes = self.trainer.global_rank, self.trainer.world_size
            device = self.trainer.strategy.root_device
        # A resumed run asks for its first batch before Lightning sets the sampler's epoch.
        (epoch, seen), self.position = self.position, (0, 0)
        train_set, at = self.train_set, torch.device("cpu")
        if isinstance(train_set, InMemory) and device != at:
            # The whole set is on the device, so that no step waits for the host.
            train_set = InMemory(self.transfer_batch_to_device(train_set.items, device, 0))
            at = device
        order = ShuffledBatches(
            len(train_set), self.batch_size, self.order_seed, rank, processes, at, epoch, seen
        )
        return self._loader(train_set, batch_size=None, sampler=order)

    def val_dataloader(self) -> DataLoader[Items]:
        return self._loader(self.val_set, batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader[Items]:
        return self._loader(self.test_set, batch_size=self.batch_size)

    def predict_dataloader(self) -> DataLoader[Items]:
        return self.test_dataloader()

    def transfer_batch_to_device(
        self, batch: Items, device: torch.device, dataloader_idx: int
    ) -> Items:
        return batch.each(lambda part: part.to(device, non_blocking=True))

    def on_after_batch_transfer(self, batch: Items, dataloader_idx: int = 0) -> Batch:
        """Bring the items into their units and pair them, on the device of the batch."""
        return self.condition(batch._replace(y=self.values(batch.y)))

    def values(self, stored: Tensor) -> Tensor:
        """Return stored values as y."""
        return self.sizes.y.values(stored)

    def _loader(self, rows: Rows, **options: Any) -> DataLoader[Items]:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        # With two cores a training waits longer for a core than for the reading.
        workers = rows.workers if on_gpu or cpu_count() > _FEW_CORES else 0
        return DataLoader(
            rows,
            collate_fn=_whole,
            # Each pass over a loader draws a number, which must not come from the generator of z.
            generator=torch.Generator(),
            num_workers=workers,
            worker_init_fn=_yielding,
            pin_memory=workers > 0 and on_gpu,
            **options,
        )


def _checksum(*sets: Rows) -> int:
    found = 0
    for piece in (piece for rows in sets for piece in rows.pieces()):
        found = zlib.crc32(piece.contiguous().numpy().data, found)
    return found
