"""What newcomers type: one line each, which names the way out."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvae.commands import main as cli
from cvae.config.natural_names import places
from cvae.config.options import settings_of

COMMANDS = ("train", "sample", "evaluate", "encode", "report", "export")
ROWS = [
    [part.strip() for part in line.split("|")]
    for line in Path(__file__).with_name("natural_mistakes.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_there_are_sixty_and_more_over_all_commands() -> None:
    assert len(ROWS) >= 60
    assert {command for command, _, _ in ROWS} == set(COMMANDS)


@pytest.fixture
def _files(run_dir: Path, folder_root: Path) -> None:
    Path("RUN").symlink_to(run_dir)
    Path("PICTURES").symlink_to(folder_root)
    Path("mine.csv").write_text("a,b\n1,2\n")
    np.savez("mine.npz", x=np.zeros(9), y=np.zeros((9, 2)))
    np.save("mine.npy", np.zeros((9, 2)))
    for name in ("mine.xlsx", "mine.pt", "mine.yaml"):
        Path(name).write_text("seed: 1\n")


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(
    ("command", "line", "words"), ROWS, ids=[" ".join(row[:2]) for row in ROWS]
)
def test_a_natural_mistake_ends_in_a_line_that_names_the_way_out(
    command: str, line: str, words: str, call: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = call(getattr(cli, command), *shlex.split(line))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    for part in words.split(";"):
        assert part.strip() in err


def test_every_setting_of_every_option_is_found_by_its_name() -> None:
    for command in COMMANDS:
        for place in settings_of(command):
            name = place.rpartition(".")[2]
            # A key of the root is what it says, and hides the others of its name.
            assert place in places(name, command) or name in settings_of(command), place
