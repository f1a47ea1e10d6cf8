"""TensorBoard's event files: their order, and the curves in them.

This is all of the program that knows how TensorBoard names its files and reads them back.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvae.errors import InputError


def put_events_in_order(folder: Path) -> None:
    """Date a run's event files before the one to come.

    TensorBoard reads a run's files in the order of their names, which begin with the second that
    they were begun in, and drops what is older than the training that it has read before. Files of
    this very second, or of a clock that has been set back since, would be read in the wrong order.
    """
    found = sorted(folder.glob("events.out.tfevents.*"))
    now, files = int(time.time()), [file for file in found if file.name.split(".")[3].isdecimal()]
    dates = [int(file.name.split(".")[3]) for file in files]
    if dates and dates[-1] >= now:
        for place, file in enumerate(files, start=now - len(files)):
            start, date, rest = file.name.partition(file.name.split(".")[3])
            file.rename(folder / f"{start}{place:0{len(date)}}{rest}")


def curve(folder: Path, tag: str) -> Mapping[int, float]:
    """Return a curve of a run: step to value; empty where it has none.

    Raises:
        InputError: If an event file is damaged in a way that TensorBoard does not pass over.
    """
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of a run that was resumed
    try:
        events.Reload()
    except OSError:
        raise
    except Exception as error:  # whatever bytes that are no events do to their reader
        raise InputError(f"'{folder}' holds an event file that is damaged; take it away") from error
    if tag not in events.Tags()["scalars"]:
        return {}
    return {point.step: point.value for point in events.Scalars(tag)}
