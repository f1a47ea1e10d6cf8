"""Files that are whole or not there at all, and folders that one process writes."""

import errno
import os
import re
import secrets
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from filelock import FileLock, Timeout

from cvae.errors import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room for a file."""
_PART = re.compile(r"\.(.+\.)?[0-9a-f]+\.part")
"""The name of a file that is not yet complete."""
LOCK = ".lock"
"""The file in a run's folder that whoever is at it holds locked."""


@contextmanager
def whole_file(path: Path, former: Path | None = None) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the path's place at one stroke once it is complete.

    Whoever looks meanwhile, or after a crash or a power cut, finds the old one or the new one.

    Args:
        path: The file.
        former: Where the old one is kept, in the same folder; None keeps it nowhere.

    Raises:
        OSError: If it cannot be written; what was there before is left.
    """
    # Nobody knows the name beforehand, and "x" neither opens what is there nor follows a link.
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if former is not None and path.is_file():
            path.replace(former)
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


def remove_parts(*folders: Path) -> None:
    """Remove what a killed process has left in these folders of files that it did not complete."""
    for folder in folders:
        for entry in os.scandir(folder) if folder.is_dir() else ():
            if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                Path(entry).unlink(missing_ok=True)


def require_own(folder: Path, *places: Path) -> None:
    """Refuse what leads out of a folder, or is neither a file nor a folder.

    A folder may come from a stranger: through a link in it, what is written or read would be
    another file than it seems, and a pipe would be waited for without an end. The folder itself may
    be a link, as it was named by whoever runs the command.

    Args:
        folder: The folder.
        places: What is going to be written or read in it; of folders, everything in them. What is
            missing is fine.

    Raises:
        InputError: Naming the first link, or other kind of file.
    """
    for place in places:
        parts = place.relative_to(folder).parts
        steps = (folder.joinpath(*parts[: end + 1]) for end in range(len(parts)))
        if all(_is_own_folder(folder, step) for step in steps):
            for parent, folders, files in os.walk(place):
                for name in (*folders, *files):
                    _is_own_folder(folder, Path(parent, name))


def _is_own_folder(folder: Path, path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise InputError(
            f"'{path}' is a link, which could lead out of '{folder}'; put in its place what it "
            "leads to, or take it away"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"'{path}' is neither a file nor a folder; take it away")
    return stat.S_ISDIR(mode)


def output_file(path: str, suffixes: Sequence[str]) -> Path:
    """Return the path of a file that is going to be written, its folder made.

    Raises:
        InputError: If the name does not end in one of `suffixes`, or is a folder's.
        OSError: If the folder cannot be made or written to.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() not in suffixes or file.is_dir():
        *others, last = suffixes
        known = f"{', '.join(others)} or {last}" if others else last
        raise InputError(f"out: expected a file name ending in {known}, got '{path}'")
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


def let_go(folder: Path) -> None:
    """Let others have a folder that this process holds."""
    _held.pop(folder.absolute()).release()


def release() -> None:
    """Let others have every folder that this process holds."""
    for folder in list(_held):
        let_go(folder)


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
