"""The handwritten digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from cvae.batch import Items
from cvae.data.images import ImageData
from cvae.data.rows import InMemory, Rows
from cvae.kinds import Image, Sizes


class Digits(ImageData):
    """1,797 real scans of 8x8 pixels with 17 grey levels; no download.

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI
    Machine Learning Repository). It comes without splits: a fifth of each class, by a split that
    never changes, is the test set.
    """

    sizes = Sizes(Image((1, 8, 8), levels=17), 10)

    def read(self, train: bool) -> Rows:
        bunch = load_digits()
        images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
        labels = torch.from_numpy(bunch.target).long()
        return InMemory(Items(images, labels)).part(self.numbers(train))

    def numbers(self, train: bool) -> Tensor:
        labels = load_digits().target
        parts = train_test_split(
            torch.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
        )
        return parts[0] if train else parts[1]
