"""Files that are whole or not there at all."""

import os
from pathlib import Path


def write_whole(path: Path, contents: str | bytes) -> None:
    """Write a file at one stroke: whoever looks finds the old one or the new one, never a part.

    Raises:
        OSError: If it cannot be written; what was there before is left.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(contents.encode() if isinstance(contents, str) else contents)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
