"""Whole configurations at random: each works in all stages, or is refused in a line beforehand.

`make test-slow` runs it: three hundred configurations, about a quarter of an hour. CVAE_FUZZ is
another number of them, and CVAE_FUZZ_SEED another choice.
"""

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from conftest import GROUPS, SHORT, composed, options, written_own_data
from cvae.commands import main as cli

Call = Callable[..., tuple[int, str, str]]

OWN_KINDS = ("vectors", "sequences", "label_maps", "tokens", "counts", "table")
CHOSEN = [g for g in GROUPS if g not in ("launcher", "search", "sweeps", "experiment", "logger")]
NOT_CHOSEN = {"trainer": ("ddp",)}  # takes half a minute; it has tests of its own
NOT_CHANGED = ("allow", "resume", "compile", "parallel", "search", "sweep", "logger", "data.root")
VALUES = {
    bool: st.booleans(),
    int: st.sampled_from([-1, 0, 1, 2, 3, 7, 10**8, 2**70]),
    float: st.sampled_from([-1.0, 0.0, 1e-8, 0.3, 1.0, 2.5, 1e9]),
    str: st.sampled_from(["none", "other"]),
}
ANYTHING = st.sampled_from(["null", "nan", "inf", "[]", "word", "-3", "0.5", "2", "{a: 1}"])


SECONDS, GIGABYTES = 120, 3
"""What one configuration may take in all of its stages, and what it may add to the most memory.

The seconds are of the processor, so that other work on the machine does not count; where nothing is
computed, five times as many may pass.
"""


class TooLong(BaseException):
    """Which no command takes for an error of its own."""


@contextmanager
def bounded() -> Iterator[None]:
    """Bound the time and the memory of what is done."""

    def end(*_: object) -> None:
        raise TooLong(f"more than {SECONDS} s")

    most = peak()
    clocks = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, end) for number in clocks}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 5 * SECONDS)
    try:
        yield
    except TooLong as error:
        raise AssertionError(error) from error  # which hypothesis tells with its configuration
    finally:
        for number, clock in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, before[number])
    assert peak() - most < GIGABYTES, f"{peak() - most:.1f} GB more than before"


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def leaves(node: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The settings of a configuration that an override may change, by name."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{path}.{key}" if path else str(key)
        if key.startswith("_") or name.startswith(NOT_CHANGED):
            continue
        found |= leaves(value, name) if isinstance(value, Mapping) else {name: value}
    return found


def choices(draw: st.DataObject, places: Mapping[str, list[str]]) -> list[str]:
    """Options of some groups, with the data that they need; half of the data are no images."""
    groups = draw.draw(st.lists(st.sampled_from(CHOSEN), unique=True, max_size=6))
    chosen = []
    if draw.draw(st.booleans()):
        groups = [group for group in groups if group not in ("data", "likelihood", "condition")]
        name = draw.draw(st.sampled_from([name for name in places if name in OWN_KINDS]))
        chosen = [f"data={name}", *places[name]]
    for group in groups:
        known = [name for name in options(group) if name not in NOT_CHOSEN.get(group, ())]
        name = draw.draw(st.sampled_from(known))
        chosen += [f"{group}={name}", *(places.get(name, []) if group == "data" else [])]
    return chosen


def changes(draw: st.DataObject, chosen: list[str]) -> list[str]:
    """Other values of some settings: of their type, in range and out of it, or of any."""
    known = leaves(composed(*SHORT, *chosen))
    given = {word.partition("=")[0] for word in (*chosen, *SHORT)}
    free = sorted(known.keys() - given)
    changed = []
    for name in draw.draw(st.lists(st.sampled_from(free), unique=True, max_size=4)):
        of_its_type = VALUES.get(type(known[name]), ANYTHING)
        value = draw.draw(st.one_of(of_its_type, of_its_type, of_its_type, ANYTHING))
        changed.append(f"{name}={str(value).lower()}")
    return changed


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return written_own_data(tmp_path_factory.mktemp("own_data"))


@pytest.mark.slow
@seed(int(os.environ.get("CVAE_FUZZ_SEED", "0")))
@settings(
    max_examples=int(os.environ.get("CVAE_FUZZ", "300")),
    phases=[Phase.generate],  # a failure is printed as it is: every step of shrinking is a training
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_every_configuration_works_in_all_stages_or_is_refused_in_a_line(
    call: Call,
    arrays_path: Path,
    folder_root: Path,
    idx_root: Path,
    own_data: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    draw: st.DataObject,
) -> None:
    monkeypatch.setattr("cvae.training.refit._EPOCHS", 1)
    shutil.rmtree("run", ignore_errors=True)
    before = sorted(Path.cwd().iterdir())
    places = {key: [f"data.root={idx_root}"] for key in options("data")} | {"digits": []}
    places |= {"arrays": [f"data.path={arrays_path}"], "folder": [f"data.root={folder_root}"]}
    places |= own_data
    chosen = choices(draw, places)
    line = [*SHORT, *chosen, *changes(draw, chosen), "hydra.run.dir=run"]
    note(" ".join(line))
    with bounded():
        works_or_is_refused(call, line, composed(*SHORT, *chosen)["trainer"]["max_epochs"], before)


def works_or_is_refused(call: Call, line: list[str], epochs: int, before: list[Path]) -> None:
    status, _, err = call(cli.train, *line)
    if status:
        assert err.count("\n") == 1, err
        diverged = status == 1 and "diverged" in err
        assert diverged or (status, sorted(Path.cwd().iterdir())) == (2, before), err
        return
    further = [f"trainer.max_epochs={epochs + 1}"]
    if "scheduler=cosine" in line:  # which ends where it was planned to
        further = []
    for main, stage in (
        (cli.sample, ["checkpoint=run", "n=2", "out=run/drawn.png"]),
        (cli.evaluate, ["checkpoint=run", "samples=2", "images=0", "out=run/evaluated.json"]),
        (cli.train, ["resume=run", *further]),
    ):
        status, _, err = call(main, *stage)
        assert status == 0 or (status == 1 and "diverged" in err), f"{stage[0]}: {err}"
