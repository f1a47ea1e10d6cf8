"""Data modules: served as pairs (x, y), one file per source."""

from cvae.data.annotators import Annotators
from cvae.data.arrays import (
    ArrayData,
    Arrays,
    CountArrays,
    LabelMaps,
    Sequences,
    TokenArrays,
    Vectors,
)
from cvae.data.base import PairData
from cvae.data.digits import Digits
from cvae.data.folder import Folder
from cvae.data.images import ImageData
from cvae.data.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from cvae.data.table import TableData
from cvae.data.user_data import OwnData

__all__ = [
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "Annotators",
    "ArrayData",
    "Arrays",
    "CountArrays",
    "Digits",
    "FashionMNIST",
    "Folder",
    "ImageData",
    "LabelMaps",
    "OwnData",
    "PairData",
    "Sequences",
    "TableData",
    "TokenArrays",
    "Vectors",
]
