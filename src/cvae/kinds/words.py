"""The kinds of y, by name."""

import numpy as np

from cvae.kinds.base import Target
from cvae.kinds.categories import LabelMap, Tokens
from cvae.kinds.counts import Counts
from cvae.kinds.image import Image
from cvae.kinds.real import Sequence, Vector
from cvae.kinds.table import Table

KINDS: tuple[type[Target], ...] = (Image, Vector, Sequence, LabelMap, Tokens, Counts, Table)
"""Every kind."""

TARGETS: dict[str, type[Target]] = {kind.__name__: kind for kind in KINDS}


def words_for(y: np.ndarray) -> list[str]:
    """Return how the kinds are asked for that an array, (N, ...), fits."""
    return [kind.word for kind in KINDS if kind.fits(y)]
