"""The fast tests on other versions of Python, torch and Hydra, each in an environment of its own.

Usage: python tests/matrix.py [NAME ...]; all of them by default. uv makes the environments, under
`.matrix`; their Pythons have to be installed. The last line says which combinations were run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDER_TORCH = ("torch==2.11.*", "torchvision==0.26.*")
HYDRA_1_4 = ("hydra-core==1.4.0rc3", "omegaconf==2.4.1rc1")
COMBINATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "python3.12": ("3.12", ()),
    "python3.13": ("3.13", ()),
    "python3.12-torch2.11": ("3.12", OLDER_TORCH),
    "python3.11-hydra1.4": ("3.11", HYDRA_1_4),
}
"""The Python and the other versions of each combination; the rest is the newest."""
FAST = (
    *("tests/commands", "tests/conditions", "tests/data", "tests/model", "tests/store"),
    *("tests/sweeps", "tests/training/test_resume.py", "tests/test_catalogue.py"),
)


def run(name: str) -> bool:
    """Make an environment and run the fast tests in it; return whether they pass."""
    python, versions = COMBINATIONS[name]
    folder = ROOT / ".matrix" / name
    program = folder / "bin" / "python"
    for line in (
        ["uv", "venv", "--quiet", "--allow-existing", "--python", python, str(folder)],
        ["uv", "pip", "install", "--quiet", "--python", str(program), "-e", ".[dev]", *versions],
        [str(program), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *FAST],
    ):
        print(" ".join(line), flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if subprocess.run(line, cwd=ROOT, env=environment, check=False).returncode:
            return False
    return True


def main() -> None:
    """Run all, or those named on the command line; the exit status is 1 if any fails."""
    wanted = sys.argv[1:] or list(COMBINATIONS)
    unknown = [name for name in wanted if name not in COMBINATIONS]
    if unknown:
        sys.exit(f"matrix: no combination {unknown[0]!r}; known are {', '.join(COMBINATIONS)}")
    if shutil.which("uv") is None:
        sys.exit("matrix: needs uv on the path; pip install uv")
    results = {name: run(name) for name in wanted}
    print(", ".join(f"{name}: {'passed' if ok else 'failed'}" for name, ok in results.items()))
    sys.exit(not all(results.values()))


if __name__ == "__main__":
    main()
