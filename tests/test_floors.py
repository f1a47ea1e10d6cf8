"""Imports only point down, and the rooms below know nothing of Hydra."""

import ast
from pathlib import Path

import cvae

FLOORS = [
    {"errors", "batch", "charts", "schemas"},
    {"nets", "config", "files"},
    {"distributions"},
    {"flows", "hierarchy"},
    {"likelihoods", "priors", "posteriors", "objectives", "conditions", "plots"},
    {"generators", "metrics"},
    {"module", "data"},
    {"pictures", "building", "judge", "formats"},
    {"callbacks", "checkpoint", "explain", "measures", "runs"},
    {"cli", "resume", "saving", "tables"},
    {"sweeps", "refit"},
    {"train", "sample", "evaluate", "report", "export"},
]
KNOW_HYDRA = {"schemas", "config", "building", "checkpoint", "explain", "cli", "sweeps", "train"}
SOURCE = Path(cvae.__file__).parent
FILES = [path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py"]


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which floor they reach"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_stands_on_one_floor() -> None:
    assert sorted({room(path) for path in FILES}) == sorted(r for floor in FLOORS for r in floor)


def test_imports_only_point_down() -> None:
    height = {name: level for level, floor in enumerate(FLOORS) for name in floor}
    for path in FILES:
        for name in imports(path):
            if not name.startswith("cvae."):
                continue
            target = name.split(".")[1]
            assert target == room(path) or height[target] < height[room(path)], (path, name)


def test_only_the_rooms_above_know_hydra() -> None:
    knowing = {
        room(path)
        for path in FILES
        if any(name.split(".")[0] in ("hydra", "omegaconf") for name in imports(path))
    }
    assert knowing <= KNOW_HYDRA


def test_files_are_read_in_one_sitting() -> None:
    files = [*FILES, *SOURCE.rglob("*.js")]
    assert {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 300} == {}
