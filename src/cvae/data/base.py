"""What every source of labelled images shares: splits, binarisation, batches, the pair (x, y).

Integer pixels and labels travel to the device; scaling, binarising and one-hot happen there. The
training set's dynamic binarisation (Salakhutdinov & Murray 2008, "On the Quantitative Analysis of
Deep Belief Networks") draws the pixels anew at every presentation. Validation and test are drawn
once, from a fixed seed, so that every run is judged on the same pixels.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cvae.batch import Batch, Shape, Support
from cvae.conditions import Condition, ConditionBuilder
from cvae.errors import InputError, require_at_least, require_seed

Binarize = Literal["dynamic", "threshold", "none"]
_EVALUATION_SEED = 0


class IndexedBatches(Dataset[tuple[Tensor, Tensor]]):
    """Images, uint8 (N, C, H, W), and labels, int64 (N,), fetched a whole batch by one index.

    An ordinary DataLoader asks for `__getitems__`, so no sample is ever touched on its own.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        index = torch.as_tensor(indices)
        return self.images[index], self.labels[index]


def _whole(batch: Any) -> Any:
    return batch  # `__getitems__` has collated it


class LabelledImages(LightningDataModule, ABC):
    """Serves `Batch(x, y)` from labelled images that fit in memory.

    Args:
        condition: Builder of the condition, which makes (x, y) of an image and its label.
        batch_size: Images per batch.
        binarize: "dynamic" draws each pixel with its grey level as the probability, "threshold"
            splits the grey levels in the middle, "none" leaves them as they are.
        val_fraction: Share of the training set held out for validation, stratified by label.
        split_seed: Seed of that split; apart from the run's seed, so that runs of several seeds
            are validated on the same images.

    Attributes:
        image_shape: (C, H, W).
        num_classes: Number of classes.
        levels: Number of grey levels, integers from 0 in what `read` returns.

    Raises:
        InputError: If an argument is out of its range.
    """

    image_shape: Shape
    num_classes: int
    levels: int

    def __init__(
        self,
        condition: ConditionBuilder,
        *,
        batch_size: int = 128,
        binarize: Binarize = "none",
        val_fraction: float = 0.1,
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        require_at_least("data.batch_size", batch_size, 1)
        require_seed("data.split_seed", split_seed)
        if not 0 < val_fraction < 1:
            raise InputError(
                f"data.val_fraction: expected a share between 0 and 1, got {val_fraction}"
            )
        if binarize not in ("dynamic", "threshold", "none"):
            raise InputError(
                f"data.binarize: expected 'dynamic', 'threshold' or 'none', got {binarize!r}"
            )
        self._condition = condition
        self.batch_size = batch_size
        self.binarize = binarize
        self.val_fraction = val_fraction
        self.split_seed = split_seed

    @abstractmethod
    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Return the training or the test images, uint8 (N, C, H, W), and int64 labels (N,)."""

    @cached_property
    def condition(self) -> Condition:
        """The condition, completed with the sizes of these images."""
        return self._condition(self.image_shape, self.num_classes)

    @property
    def support(self) -> Support:
        """The set that the served pixels lie in."""
        return Support.UNIT_INTERVAL if self.binarize == "none" else Support.BINARY

    def setup(self, stage: str | None = None) -> None:
        if stage != "test" and not hasattr(self, "train_set"):
            images, labels = self.read(train=True)
            try:
                train, val = train_test_split(
                    torch.arange(len(labels)),
                    test_size=self.val_fraction,
                    stratify=labels,
                    random_state=self.split_seed,
                )
            except ValueError as error:
                raise InputError(
                    f"data.val_fraction: {self.val_fraction} of {len(labels)} training images "
                    f"leaves a split without an image of some class ({error})"
                ) from error
            self.train_set = IndexedBatches(self._threshold(images[train]), labels[train])
            self.val_set = IndexedBatches(self._fixed(images[val]), labels[val])
        if stage in ("test", None) and not hasattr(self, "test_set"):
            images, labels = self.read(train=False)
            self.test_set = IndexedBatches(self._fixed(images), labels)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return self._loader(self.train_set, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return self._loader(self.val_set)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return self._loader(self.test_set)

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int = 0
    ) -> Batch:
        """Scale, binarise and pair, on the device that the batch has reached."""
        images, labels = batch
        y = images.float() / (self.levels - 1)
        if self.binarize == "dynamic":
            y = torch.bernoulli(y)  # which leaves the pixels drawn for validation and test alone
        return self.condition(y, labels)

    def _loader(
        self, dataset: IndexedBatches, shuffle: bool = False
    ) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(dataset, self.batch_size, shuffle=shuffle, collate_fn=_whole)

    def _threshold(self, images: Tensor) -> Tensor:
        if self.binarize != "threshold":
            return images
        return (images > (self.levels - 1) / 2).to(images.dtype) * (self.levels - 1)

    def _fixed(self, images: Tensor) -> Tensor:
        if self.binarize != "dynamic":
            return self._threshold(images)
        generator = torch.Generator().manual_seed(_EVALUATION_SEED)
        drawn = torch.bernoulli(images.float() / (self.levels - 1), generator=generator)
        return drawn.to(images.dtype) * (self.levels - 1)
