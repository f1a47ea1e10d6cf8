"""Runs read back from their folders: the settings and metrics of each, and whether it finished.

Everything here is read as plain data from files that may come from anyone.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from cvae.errors import InputError
from cvae.store.plain_files import first_line, read_list, read_yaml
from cvae.store.run_folder import RunFolder, says_finished
from cvae.store.settings import CHECKSUM, NOT_COMPARED, TEST_CHECKSUM

_KIND = ("nats_of", "data", "data.binarize", "y_size", TEST_CHECKSUM)
"""Settings that have to agree for the nats of two runs to be comparable."""
_NO_COLUMN = (*NOT_COMPARED, *_KIND)
SEED = "seed"
VALIDATION = "val/elbo"
"""What runs of one kind are ranked by."""

Value = str | float | None


class Run(NamedTuple):
    """A run's folder in numbers and words.

    Attributes:
        name: Its folder, relative to the one that was asked for.
        folder: Its folder.
        settings: What it was made of, flat.
        metrics: Its metrics by name; empty where it did not finish.
        failure: Why it failed, in a line, or None.
        overrides: What was typed to start it, KEY=VALUE each.
    """

    name: str
    folder: Path
    settings: dict[str, Value]
    metrics: dict[str, float]
    failure: str | None
    overrides: Sequence[str] = ()

    @property
    def kind(self) -> tuple[str, ...]:
        """What the nats are of; only runs of one kind may be ranked."""
        return tuple(str(self.settings.get(key, "?")) for key in _KIND)


def find_runs(folder: Path) -> list[Run]:
    """Return all runs in a folder, at any depth, in the order of their names.

    Raises:
        InputError: If there is none, or a file of one is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"dir: '{folder}' is not a folder; expected one with runs in it")
    marks = folder.rglob(str(RunFolder(Path()).overrides))
    places = {path.parent.parent for path in marks}
    if not places:
        raise InputError(
            f"dir: '{folder}' has no run in it; expected the folder of a run or a sweep"
        )
    return [read_run(place, folder) for place in sorted(places, key=_counted)]


def _counted(path: Path) -> list[tuple[int, str]]:
    """Sort "10_..." after "9_..."."""
    numbers = (part.partition("_")[0] for part in path.parts)
    return [
        (int(number) if number.isdecimal() else -1, part)
        for number, part in zip(numbers, path.parts, strict=True)
    ]


def read_run(place: Path, folder: Path) -> Run:
    """Return the run in a place, named relative to a folder.

    Raises:
        InputError: If a file of it is damaged, or a link.
    """
    files = RunFolder(place)
    files.require_own()
    metrics = files.read_metrics()
    metrics = metrics if says_finished(metrics) else {}  # it may have been evaluated all the same
    overrides = read_list(files.overrides)
    settings = dict(item.lstrip("+").partition("=")[::2] for item in overrides)
    settings = read_yaml(files.settings) if files.settings.is_file() else settings
    reason = first_line(files.failure) if files.failure.is_file() else None
    return Run(
        str(place.relative_to(folder)) if place != folder else place.resolve().name,
        place,
        {str(key): _value(value) for key, value in settings.items()},
        {key: float(value) for key, value in metrics.items() if _is_number(value)},
        reason or (None if metrics else "did not finish"),
        overrides,
    )


def _value(value: object) -> Value:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _is_number(value: object) -> bool:
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def grouped_by_kind(runs: Iterable[Run]) -> dict[tuple[str, ...], list[Run]]:
    """Return the finished runs of each kind, those with what they are ranked by."""
    kinds: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if "test/elbo" in run.metrics:
            kinds.setdefault(run.kind, []).append(run)
    return kinds


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the names of the settings that tell these runs apart, the seed last.

    What follows from the choice of an option, as `prior.components` from the prior, is not named.
    """

    def values(*names: str) -> set[tuple[str, ...]]:
        return {tuple(str(run.settings.get(name)) for name in names) for run in runs}

    def follows(name: str) -> bool:
        nodes = [[node] for node in accumulate(name.split(".")[:-1], "{}.{}".format)]
        if name == CHECKSUM:
            others = {key for run in runs for key in run.settings if key.startswith("data.")}
            nodes = [sorted(others - {CHECKSUM, TEST_CHECKSUM, *NOT_COMPARED})]
        return any(len(values(*node, name)) == len(values(*node)) for node in nodes)

    names = dict.fromkeys(name for run in runs for name in run.settings if name not in _NO_COLUMN)
    found = [name for name in names if len(values(name)) > 1 and not follows(name)]
    return sorted(found, key=lambda name: name == SEED)


class Spread(NamedTuple):
    """A metric over seeds: mean, and standard deviation (NaN for a single run).

    Both are NaN where a run's own value is not finite.
    """

    mean: float
    deviation: float


class Group(NamedTuple):
    """Runs that differ by their seeds alone, and their metrics."""

    settings: dict[str, Value]
    runs: list[Run]
    metrics: dict[str, Spread]


def over_seeds(runs: Sequence[Run], names: Sequence[str]) -> list[Group]:
    """Group the runs by the settings of these names but the seed, best first by `score`."""
    kept = [name for name in names if name != SEED]
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(str(run.settings.get(name)) for name in kept), []).append(run)
    found = [
        Group(
            {name: group[0].settings.get(name) for name in kept},
            group,
            {
                metric: _spread([run.metrics[metric] for run in group])
                for metric in group[0].metrics
                if all(metric in run.metrics for run in group)
            },
        )
        for group in groups.values()
    ]
    by, sign = score(runs)
    return sorted(found, key=lambda group: _worst_last(sign * group.metrics[by].mean))


def score(runs: Sequence[Run]) -> tuple[str, int]:
    """Return the metric that ranks runs of one kind, and 1 if less is better, else -1.

    It is the validation ELBO, so that the test figures of the best run are not those of a choice
    by them. Runs that did not record it, or were validated on different items, go by the test.
    """
    same = len({str(run.settings.get(CHECKSUM)) for run in runs}) == 1
    if same and all(VALIDATION in run.metrics for run in runs):
        return VALIDATION, -1
    return ("test/nll", 1) if all("test/nll" in r.metrics for r in runs) else ("test/elbo", -1)


def _spread(values: Sequence[float]) -> Spread:
    if not all(map(math.isfinite, values)):
        return Spread(math.nan, math.nan)
    return Spread(fmean(values), stdev(values) if len(values) > 1 else math.nan)


def _worst_last(value: float) -> float:
    return math.inf if math.isnan(value) else value
