"""The handwritten digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from cvae.data.base import LabelledImages


class Digits(LabelledImages):
    """1,797 real scans of 8x8 pixels with 17 grey levels; no download.

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI
    Machine Learning Repository). It has no split of its own: every fifth image of each class, by a
    split that never changes, is the test set.
    """

    image_shape = (1, 8, 8)
    num_classes = 10
    levels = 17

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        bunch = load_digits()
        images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
        labels = torch.from_numpy(bunch.target).long()
        parts = train_test_split(
            torch.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
        )
        index = parts[0] if train else parts[1]
        return images[index], labels[index]
