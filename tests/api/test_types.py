"""The public names keep their types outside this program."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_strict_type_checker_finds_nothing_in_a_use_of_the_whole_api(tmp_path: Path) -> None:
    file = Path(__file__).with_name("whole_api.py")
    line = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", str(file)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
