"""How the installed commands end."""

import subprocess
import sys


def ended(code: str, *line: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *line], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_command_that_is_done_runs_what_libraries_have_registered() -> None:
    code = (
        "import atexit\nfrom cvae.commands.program import program\n"
        "class Held:\n    def __del__(self): print('freed')\n"
        "held = Held()\n"
        "program(lambda: (atexit.register(print, 'closed'), print('done')))()\n"
    )
    assert ended(code) == (0, "done\nclosed\n", "")


def test_an_error_after_torch_is_loaded_is_one_line() -> None:
    code = "from cvae.commands.program import train; train()"
    status, _, said = ended(code, "+trainer.max_steps=1", "hydra.run.dir=r")
    assert status == 2
    assert said.startswith("cvae-train: trainer.max_steps: ")
    assert said.count("\n") == 1
