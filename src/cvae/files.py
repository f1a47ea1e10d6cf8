"""Files that are whole or not there at all, and folders that one process writes."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from filelock import FileLock, Timeout

from cvae.errors import InputError

_PART = ".part"
LOCK = ".lock"
"""The file in a run's folder that whoever is at it holds locked."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the path's place at one stroke once it is complete.

    Whoever looks meanwhile, or after a crash or a power cut, finds the old one or the new one.

    Raises:
        OSError: If it cannot be written; what was there before is left.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, contents: str | bytes) -> None:
    """Write a file at one stroke, as `whole_file`."""
    with whole_file(path) as file:
        file.write(contents.encode() if isinstance(contents, str) else contents)


def remove_parts(folder: Path) -> None:
    """Remove what a killed process has left of files that it did not complete."""
    for part in folder.rglob(f".*{_PART}"):
        part.unlink(missing_ok=True)


def output_file(path: str, suffix: str) -> Path:
    """Return the path of a file that is going to be written, its folder made.

    Raises:
        InputError: If the name does not end in `suffix`, or is a folder's.
        OSError: If the folder cannot be made or written to.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() != suffix or file.is_dir():
        raise InputError(f"out: expected a file name ending in {suffix}, got '{path}'")
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=file.parent):  # refused now, rather than after the work
        return file


_held: dict[Path, FileLock] = {}
"""The folders that this process holds, and their locks."""


def hold(folder: Path, name: str = "hydra.run.dir") -> None:
    """Keep a folder, which is made if it is missing, for this process alone until `release`.

    Args:
        folder: The folder of a run or a sweep.
        name: The setting that chose it, for the message.

    Raises:
        InputError: If another process holds it.
    """
    folder = folder.absolute()
    if folder in _held:
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{name}: '{folder}' is being written by another process; wait for it, or "
            "choose another folder"
        ) from error
    _held[folder] = lock


def release() -> None:
    """Let others have every folder that this process holds."""
    while _held:
        _held.popitem()[1].release()


def hold_for_run(folder: Path, resuming: bool) -> None:
    """Hold a run's folder, as `hold`, which must have no other run in it.

    Raises:
        InputError: If another process holds it, or it has a run in it that is not resumed.
    """
    _require_no_run(folder, resuming)  # before a lock is made in it
    hold(folder)
    _require_no_run(folder, resuming)  # which another process may have finished meanwhile


def _require_no_run(folder: Path, resuming: bool) -> None:
    if not resuming and (folder / "checkpoints").is_dir():
        raise InputError(
            f"hydra.run.dir: '{folder}' has a run in it already; resume that by "
            f"resume={shlex.quote(str(folder))}, or choose another folder"
        )


def _sync(folder: Path) -> None:
    # The new name is lost in a power cut unless the folder is on the disk, too.
    if os.name == "nt":  # where folders cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
