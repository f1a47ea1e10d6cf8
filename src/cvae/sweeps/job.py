"""One job of a sweep: what is left of it to do, and what becomes of it."""

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import sleep

import torch
from filelock import FileLock, Timeout
from joblib import cpu_count

from cvae.config.compose import Config
from cvae.config.explain_errors import explain
from cvae.errors import InputError
from cvae.files import write_whole
from cvae.store.newest import newest
from cvae.store.run_folder import RunFolder
from cvae.sweeps.search import pruning
from cvae.training.fit import fit
from cvae.training.prepare import prepare

_WAIT = 0.5


def attempt(config: Config, folder: Path, sharing: bool) -> None:
    """Finish a job: nothing if it was finished, the rest if it was cut off, else all of it.

    A job that fails leaves its reason in a file, and raises nothing, so that the others run on.
    Another process that is still at it, such as one left over from a killed sweep, is waited for.

    Args:
        config: The resolved configuration.
        folder: The job's folder.
        sharing: Whether jobs of this sweep share the machine without a scheduler.
    """
    files = RunFolder(folder)
    with FileLock(files.lock):
        if files.is_finished:
            return
        files.failure.unlink(missing_ok=True)
        with suppress(InputError):  # a failing disk may leave a checkpoint that is not whole
            if newest(files) is not None:
                config = {**config, "resume": str(folder)}
        if sharing and config["threads"] is None:
            config = {**config, "threads": max(1, cpu_count() // config["parallel"])}
        try:
            with _device(config, folder.parent) if sharing else nullcontext(config) as config:
                further = pruning(config, folder.parent)
                fit(prepare(config), folder, further, show_progress=False)
            return
        except Exception as error:
            line = explain(error) or f"{type(error).__name__}: {error}"
            write_whole(files.failure, f"{' '.join(line.split())}\n\n{traceback.format_exc()}")
    # It may have been memory that was lacking. The error, which held it, has gone by now.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _device(config: Config, sweep: Path) -> Iterator[Config]:
    """Give a job that wants one GPU one of its own, once it is free."""
    locks = [FileLock(sweep / f".gpu{i}.lock") for i in range(torch.cuda.device_count())]
    trainer = config["trainer"]
    if trainer["accelerator"] != "gpu" or trainer["devices"] != 1 or not locks:
        yield config
        return
    while True:
        for number, lock in enumerate(locks):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield {**config, "trainer": {**trainer, "devices": [number]}}
            finally:
                lock.release()
            return
        sleep(_WAIT)
