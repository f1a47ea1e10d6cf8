"""Without what Lightning says of itself; imported before Lightning is."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIGHTNING = logging.getLogger("lightning.pytorch.utilities.rank_zero")
"""The logger that says which devices there are; importing Lightning sets those above it."""


@contextmanager
def without_lightning_s_talk() -> Iterator[None]:
    """Hold back Lightning's hints and warnings: what is wrong, this program says itself."""
    level = _LIGHTNING.level
    _LIGHTNING.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning|torchmetrics")
            yield
    finally:
        _LIGHTNING.setLevel(level)
