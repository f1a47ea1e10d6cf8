"""What is done of an evaluation, kept in a file until all of it is, so that it can be resumed."""

import pickle
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device

from cvae.files import write_whole

_EVERY = 10.0
"""Seconds between two writes: so much is lost at most."""


class UnfinishedEvaluation:
    """Does pieces of work by their names, or returns what they gave before an interruption.

    Each piece draws by its own place, so that what is kept and what is done now go together. A file
    of another evaluation, or a damaged one, is taken for none.

    Args:
        path: The file, which is removed by `remove`; None keeps nothing.
        bound_to: What the results depend on, as plain data: checkpoint, data, settings.
    """

    def __init__(self, path: Path | None, bound_to: Mapping[str, Any]) -> None:
        self.path, self.bound_to = path, dict(bound_to)
        self.done: dict[str, dict[str, Any]] = self._read()
        self.written = monotonic()

    def __call__(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what the piece of work of this name gives, tensors on the CPU."""
        if name in self.done:
            return self.done[name]
        found = self.done[name] = move_data_to_device(work(), "cpu")
        if self.path is not None and monotonic() - self.written >= _EVERY:
            contents = BytesIO()
            torch.save({"bound_to": self.bound_to, "done": self.done}, contents)
            write_whole(self.path, contents.getvalue())
            self.written = monotonic()
        return found

    def remove(self) -> None:
        """Forget what is done: the evaluation has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, Any]]:
        if self.path is None or not self.path.is_file():
            return {}
        try:
            contents = torch.load(self.path, map_location="cpu", weights_only=True)
            same = contents["bound_to"] == self.bound_to
            return dict(contents["done"]) if same else {}
        except (
            OSError,
            RuntimeError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            pickle.PickleError,
        ):
            return {}


def checksum(path: Path) -> int:
    """Return the CRC-32 of a file."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            found = zlib.crc32(block, found)
    return found
