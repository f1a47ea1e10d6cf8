"""TensorBoard's event files: where each metric is in them, their order, and the curves.

This is all of the program that knows how TensorBoard names its files and reads them back.

What TensorBoard is to draw in one chart has one tag, in several sub-runs: `val/kl` is `elbo/kl` in
the folder `val` of the run. Charts are sorted by tag: the ELBO, its terms, β, the rate, pictures.
"""

import csv
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from cvae.errors import InputError
from cvae.files import whole_file
from cvae.store.run_folder import RunFolder

_FILES = "events.out.tfevents.*"
_SETTINGS = ("beta", "lr")


def tagged(name: str) -> tuple[str, str]:
    """Return the sub-run and the tag of a metric: of `val/kl`, `val` and `elbo/kl`.

    What belongs to no split has no sub-run, "".
    """
    split, _, rest = name.partition("/")
    if split not in ("train", "val", "test"):
        return "", name
    return split, f"{'fit' if rest in _SETTINGS else 'elbo'}/{rest}"


def in_markdown(metrics: Mapping[str, float]) -> str:
    """Return metrics as a table, which TensorBoard shows in TEXT."""
    rows = [f"| {name} | {value:.6g} |" for name, value in metrics.items()]
    return "\n".join(["| metric | value |", "| --- | ---: |", *rows])


def put_events_in_order(folder: Path) -> None:
    """Date a run's event files before the ones to come.

    TensorBoard reads a run's files in the order of their names, which begin with the second that
    they were begun in, and drops what is older than the training that it has read before. Files of
    this very second, or of a clock that has been set back since, would be read in the wrong order.
    """
    for place in (folder, *RunFolder(folder).curves):
        found = sorted(place.glob(_FILES))
        now = int(time.time())
        files = [file for file in found if file.name.split(".")[3].isdecimal()]
        dates = [int(file.name.split(".")[3]) for file in files]
        if dates and dates[-1] >= now:
            for number, file in enumerate(files, start=now - len(files)):
                start, date, rest = file.name.partition(file.name.split(".")[3])
                file.rename(place / f"{start}{number:0{len(date)}}{rest}")


def forget_events(folder: Path, step: int) -> None:
    """Take out of a run's event files what was logged at a step or later.

    A run that resumes from there logs it again. TensorBoard would hide what it reads twice, and
    print a line for it.
    """
    for place in (folder, *RunFolder(folder).curves):
        for file in place.glob(_FILES):
            try:
                records = list(RawEventFileLoader(str(file)).Load())
            except OSError:
                raise
            except Exception:  # damaged in a way that TensorBoard does not pass over, which says so
                continue
            kept = [record for record in records if _is_before(record, step)]
            if len(kept) < len(records):
                with whole_file(file) as contents:
                    writer = RecordWriter(contents)
                    for record in kept:
                        writer.write(record)


def curve(folder: Path, name: str) -> Mapping[int, float]:
    """Return a curve of a run: step to value; empty where it has none.

    Args:
        folder: The run's folder.
        name: Of the metric, such as `val/elbo`.

    Raises:
        InputError: If an event file is damaged in a way that TensorBoard does not pass over.
    """
    sub_run, tag = tagged(name)
    # In the run's own folder are the curves of runs from before there were sub-runs.
    found = {**_scalars(folder, name), **_scalars(folder / sub_run, tag)}
    return found or _from_table(RunFolder(folder).table, name)


def _scalars(folder: Path, tag: str) -> dict[int, float]:
    if not any(folder.glob(_FILES)):
        return {}
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


def _from_table(file: Path, name: str) -> dict[int, float]:
    """Return the curve of a run that is logged to a CSV file."""
    if not file.is_file():
        return {}
    with file.open(newline="") as rows:
        try:
            found = [(row["step"], row.get(name)) for row in csv.DictReader(rows)]
            return {int(step): float(value) for step, value in found if value}
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise InputError(f"'{file}' is damaged ({error}); take it away") from error


def _is_before(record: bytes, step: int) -> bool:
    event = Event.FromString(record)
    return event.step < step or not event.HasField("summary")
