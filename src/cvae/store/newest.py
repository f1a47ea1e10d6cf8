"""Which checkpoint of its folder a run resumes from."""

from cvae import __version__
from cvae.errors import InputError
from cvae.store.checkpoint import POSITION, SECONDS, Stored, read
from cvae.store.run_folder import RunFolder

_TO_RESUME = {"epoch", "global_step", "callbacks", "optimizer_states", "loops"}
"""What a checkpoint holds that a run can resume from."""


def newest(folder: RunFolder) -> Stored | None:
    """Return the checkpoint that a run resumes from; None if it has none yet.

    That is the last one, and the one before should the last one be damaged. The best one has no
    state of the optimiser: from it a run would end with other bits.

    Raises:
        InputError: If the run has been trained, and has no checkpoint to resume from.
    """
    damaged = None
    for file in (folder.last, folder.previous):
        if file.is_file():
            try:
                return _require_resumable(read(file))
            except InputError as error:
                damaged = damaged or error
    if damaged is not None:
        raise damaged
    # A run cut off in its first epoch may have a best checkpoint and no last one.
    if folder.best.is_file() and (folder.is_finished or read(folder.best).contents.get("epoch")):
        raise InputError(
            f"resume: '{folder.path}' has no {folder.last.relative_to(folder.path)}, and "
            f"{folder.best.name} holds weights alone, from which no run can resume; bring it back, "
            "or start a new run"
        )
    return None


def _require_resumable(stored: Stored) -> Stored:
    about, config = stored.about, stored.about.get("config")
    plain = isinstance(config, dict) and isinstance(config.get("data"), dict) and "seed" in config
    plain = plain and isinstance(about.get(SECONDS, 0.0), float)
    if not (plain and stored.contents.keys() >= _TO_RESUME):
        raise InputError(f"checkpoint: '{stored.path}' is not one that a run can resume from")
    position, best = about.get(POSITION), about.get("best")
    if not isinstance(position, list) or len(position) != 2 or not isinstance(best, dict):
        raise InputError(
            f"checkpoint: '{stored.path}' was written by {stored.writer}, an earlier version, from "
            f"which no run of {__version__} can resume; it can be sampled from and evaluated"
        )
    return stored
