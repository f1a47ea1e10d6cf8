"""MNIST and the data sets that share its format, read through torchvision."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from filelock import FileLock
from torch import Tensor
from torchvision import datasets

from cvae.batch import Items
from cvae.conditions import ConditionBuilder
from cvae.data.images import ImageData
from cvae.data.rows import InMemory, Rows
from cvae.errors import InputError, require_at_least
from cvae.kinds import Image, Sizes

_UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, AssertionError)
"""Exceptions that torchvision raises for truncated files or another format."""


class MNIST(ImageData):
    """Handwritten digits, 60,000 for training and 10,000 for testing (LeCun et al. 1998).

    Args:
        condition: Builder of the condition.
        root: Folder laid out as torchvision's: the files are in `root/MNIST/raw`.
        download: Whether to fetch the files where they are missing. Several processes may start
            at once: one downloads, the others wait, and an interrupted download leaves nothing.
        train_images: Train on so many images, the first ones, and validate on all others, as much
            of the literature does with 50,000 and 10,000; None splits by `val_fraction`.
        **options: As for `ImageData`.
    """

    sizes = Sizes(Image((1, 28, 28)), 10)
    source: ClassVar[Callable[..., Any]] = datasets.MNIST
    files: ClassVar[tuple[str, ...]] = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )

    def __init__(
        self,
        condition: ConditionBuilder,
        *,
        root: str = "data",
        download: bool = True,
        train_images: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(condition, **options)
        if train_images is not None:
            require_at_least("train_images", train_images, 1)
        self.train_images = train_images
        self.root = Path(root).expanduser()
        self.folder = self.root / type(self).source.__name__ / "raw"
        self.download = download

    def prepare_data(self) -> None:
        """Download the files where they are missing.

        Raises:
            InputError: If they are missing and cannot be downloaded.
        """
        if not self._missing():
            return
        remedy = f"put {', '.join(self.files)} into '{self.folder}', or train on data=digits"
        if not self.download:
            raise InputError(f"data.root: '{self._missing()[0]}' is missing; {remedy}")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f".{type(self).source.__name__}.lock"):
                if self._missing():
                    self._fetch()
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"data.root: '{self._missing()[0]}' is missing and the download failed ({reason}); "
                f"{remedy}"
            ) from error

    def read(self, train: bool) -> InMemory:
        try:
            dataset = self.open(self.root, train=train)
            images, labels = dataset.data.unsqueeze(1), torch.as_tensor(dataset.targets).long()
            if images.shape[1:] != self.sizes.y.shape or len(images) != len(labels):
                raise ValueError(f"{tuple(images.shape)} pixels for {len(labels)} labels")
        except _UNREADABLE as error:
            reason = (str(error).strip().splitlines() or ["not in the IDX format"])[0]
            raise InputError(
                f"data.root: the files in '{self.folder}' are damaged ({reason}); "
                "delete that folder to have them downloaded again"
            ) from error
        return InMemory(Items(images, labels))

    def split(self, rows: Rows, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        if self.train_images is None:
            return super().split(rows, fraction, seed)
        if self.train_images >= len(rows):
            raise InputError(
                f"data.train_images: expected fewer than the {len(rows)} images that there are, so "
                f"that some are left to validate on, got {self.train_images}"
            )
        places = torch.arange(len(rows))
        return places[: self.train_images], places[self.train_images :]

    def open(self, root: Path, **options: bool) -> Any:
        """Return torchvision's data set under `root`; `options` are its `train` and `download`."""
        return type(self).source(root, **options)

    def _missing(self) -> list[Path]:
        return [self.folder / name for name in self.files if not (self.folder / name).is_file()]

    def _fetch(self) -> None:
        # torchvision takes any file of the right name for a complete one, so the files get their
        # names only when all of them are downloaded.
        with TemporaryDirectory(dir=self.root) as scratch:
            for train in (True, False):
                self.open(Path(scratch), train=train, download=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in self.files:
                shutil.move(Path(scratch, self.folder.relative_to(self.root), name), self.folder)


class FashionMNIST(MNIST):
    """Ten kinds of clothing in MNIST's format (Xiao, Rasul & Vollgraf 2017)."""

    source = datasets.FashionMNIST


class KMNIST(MNIST):
    """Ten cursive Japanese characters in MNIST's format (Clanuwat et al. 2018)."""

    source = datasets.KMNIST


class EMNIST(MNIST):
    """The digits of EMNIST, 240,000 for training and 40,000 for testing (Cohen et al. 2017)."""

    source = datasets.EMNIST
    files = (
        "emnist-digits-train-images-idx3-ubyte",
        "emnist-digits-train-labels-idx1-ubyte",
        "emnist-digits-test-images-idx3-ubyte",
        "emnist-digits-test-labels-idx1-ubyte",
    )

    def open(self, root: Path, **options: bool) -> Any:
        return type(self).source(root, split="digits", **options)

    def read(self, train: bool) -> InMemory:
        items = super().read(train).items
        # The files hold the images transposed.
        return InMemory(items._replace(y=items.y.transpose(-1, -2).contiguous()))


class QMNIST(MNIST):
    """MNIST with its 60,000 test digits restored (Yadav & Bottou 2019)."""

    source = datasets.QMNIST
    files = (
        "qmnist-train-images-idx3-ubyte",
        "qmnist-train-labels-idx2-int",
        "qmnist-test-images-idx3-ubyte",
        "qmnist-test-labels-idx2-int",
    )

    def read(self, train: bool) -> InMemory:
        items = super().read(train).items
        labels = items.labels[:, 0]  # further columns: the writer, ...
        return InMemory(items._replace(labels=labels))
