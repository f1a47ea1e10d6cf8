"""The handwritten digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cvae.batch import Items, Sizes
from cvae.data.base import ImageData, labelled, taken


class Digits(ImageData):
    """1,797 real scans of 8x8 pixels with 17 grey levels; no download.

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI
    Machine Learning Repository). It comes without splits: a fifth of each class, by a split that
    never changes, is the test set.
    """

    sizes = Sizes((1, 8, 8), 10, levels=17)

    def read(self, train: bool) -> Items:
        bunch = load_digits()
        images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
        labels = torch.from_numpy(bunch.target).long()
        parts = train_test_split(
            torch.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
        )
        return taken(labelled(images, labels), parts[0] if train else parts[1])
