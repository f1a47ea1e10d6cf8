"""The commands: Hydra's main around a task, and errors told in one line.

A task is named, as Hydra names what it builds, and imported once there is something to do:
importing torch and Lightning takes seconds, and neither help nor completion should.
"""

import codecs
import gc
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unicodedata import combining, normalize

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

import cvae
from cvae.commands.interruptions import errors_of_threads, stopping
from cvae.config.command_line import ordered, require_own_settings, require_usable, separated
from cvae.config.completion import completion
from cvae.config.compose import (
    Config,
    check_root,
    given_value,
    parsed_overrides,
    plain,
    quoted,
    require_plain_name,
)
from cvae.config.compose import main as hydra_main
from cvae.config.help import help_text
from cvae.config.own_parts import let_be_found, with_own_settings
from cvae.config.schemas import SCHEMAS
from cvae.errors import InputError
from cvae.left import say_first
from cvae.training.quiet import without_lightning_s_talk

_TOLD = ("data", "prior", "likelihood", "network")
"""What the first line of a training says, before torch is loaded."""
USAGE_ERROR = 2
"""Exit status when the user's input cannot be used."""
_RESEMBLES = str.maketrans("−–—×‖’‘“”•→━─│", "---x|''\"\"*>--|")
"""Characters that only a richer terminal shows, and what a plain one shows in their place."""


def command(name: str, arguments: Callable[[list[str]], list[str]] = list) -> Callable[[], None]:
    """Return a console command.

    Args:
        name: Its options are in `conf/NAME.yaml`; its task is `cvae.commands.NAME.task`, which
            takes the resolved configuration as plain data.
        arguments: Turns the command line, ordered, into the one that Hydra is given.
    """

    def job(config: DictConfig) -> None:
        with _loading():
            task: Callable[[Config], None] = resolve_name(f"cvae.commands.{name}:task")
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            with without_lightning_s_talk():  # launchers start processes of their own
                task(plain(config))
            return
        with errors_in_one_line(name):
            settings = plain(config)
            check_root(settings, name)
            task(settings)

    def main() -> None:
        try:
            run()
        finally:
            gc.unfreeze()  # triton would complain, on standard error, of what is never freed

    def run() -> None:
        # Hydra would report errors in several lines of its own; with this it lets them through.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        _let_every_terminal_show_it()
        with stopping(), without_lightning_s_talk(), errors_in_one_line(name), errors_of_threads():
            if name == "train" and sys.argv[1:] == ["--schema"]:
                print(resolve_name("cvae.config.json_schema:text")())
                return
            sys.argv[1:] = ordered(sys.argv[1:], name)
            if (answer := _answer(name, *separated(sys.argv[1:]))) is not None:
                print(answer, flush=True)
                return
            overrides = parsed_overrides(sys.argv[1:])
            sys.argv[1:] = arguments(with_own_settings(sys.argv[1:], overrides))
            require_usable(sys.argv[1:], name)
            let_be_found(parsed_overrides(sys.argv[1:]))
            try:
                hydra_main(name, job)
                sys.stdout.flush()
            finally:
                if "cvae.files" in sys.modules:  # else nothing is held; importing takes long
                    resolve_name("cvae.files:release")()

    return main


@contextmanager
def _loading() -> Iterator[None]:
    """Load torch and Lightning without collecting garbage, unless they are loaded already.

    Loading makes a million objects that stay. The collector would visit all of them many times,
    a fifth of the time that loading takes; later collections leave them out as well.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _answer(name: str, words: list[str], flags: list[str]) -> str | None:
    """Return what a command answers to a question about itself; None where there is work to do."""
    if "--version" in flags:
        return f"lightning-cvae {cvae.__version__}"
    if "--help" in flags:
        return help_text(name, words)
    if "--shell-completion" in flags:
        return completion(name, words[0] if words else "")
    return None


def _let_every_terminal_show_it() -> None:
    """Have characters that the output's encoding lacks replaced, by the plain ones they resemble.

    An error would end the work that they tell of.
    """
    codecs.register_error("cvae.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="cvae.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_RESEMBLES)
    letters = "".join(c for c in normalize("NFKD", text) if not combining(c))
    return letters.encode("ascii", "replace").decode(), error.end


class CheckFirst(Callback):
    """Checks the configuration of a training before Hydra writes anything."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            with errors_in_one_line("train"):
                require_own_settings(config)
                choices = config.hydra.runtime.choices
                say_first(f"cvae-train: {' '.join(f'{key}={choices[key]}' for key in _TOLD)}")
                with _loading():
                    settings = plain(config)
                    check_root(settings, "train")
                    check = resolve_name("cvae.commands.train:check_run")
                check(settings, Path(config.hydra.run.dir))
        except Exception:
            traceback.print_exc()  # Hydra would make a warning of it, and continue
            sys.exit(1)


@contextmanager
def errors_in_one_line(command: str) -> Iterator[None]:
    """Turn errors that the user can mend into one line on standard error and exit status 2."""
    try:
        yield
    except BrokenPipeError:  # the reader of the output has gone; Python would report it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        # It knows the errors of libraries that take seconds to import.
        from cvae.config.explain_errors import explain

        line = explain(error, command, sys.argv[1:])
        if line is None:
            raise
        print(f"cvae-{command}: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(1 if isinstance(error, FloatingPointError) else USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _of_a_run_or_sweep(arguments: list[str]) -> list[str]:
    """Put the arguments of what is resumed before the new ones; let a named sweep be a sweep."""
    if any("resume=" in argument for argument in arguments):  # else without importing torch
        with _loading():
            of_a_run = resolve_name("cvae.store.resume_arguments:with_run_arguments")
            of_a_sweep = resolve_name("cvae.sweeps.resume_arguments:with_sweep_arguments")
        arguments = of_a_sweep(of_a_run(arguments))
    said = "--multirun" in arguments or given_value(arguments, "hydra.mode")
    if given_value(arguments, "sweeps") and not said:
        return ["hydra.mode=MULTIRUN", *arguments]
    return arguments


def _path_first(name: str, setting: str) -> Callable[[list[str]], list[str]]:
    """Let `cvae-report DIR` mean `dir=DIR`, also where a folder is called `lr=0.5`."""
    known = (*SCHEMAS[name].__annotations__, "hydra")

    def with_its_name(arguments: list[str]) -> list[str]:
        overrides, flags = separated(arguments)
        for place, word in enumerate(overrides):
            key = re.split(r"[.@]", word.partition("=")[0].lstrip("+~"))[0]
            is_setting = key in known or not ((not place and "/" in key) or Path(word).exists())
            if ("=" in word and is_setting) or word.startswith("~"):
                continue
            if given_value(arguments, setting) is not None:
                raise InputError(f"{setting}: given twice, and once as '{word}'")
            require_plain_name(Path(word))
            overrides[place] = f"{setting}={quoted(word)}"
            break
        return [*overrides, *flags]

    return with_its_name


train = command("train", _of_a_run_or_sweep)
sample = command("sample", _path_first("sample", "checkpoint"))
evaluate = command("evaluate", _path_first("evaluate", "checkpoint"))
report = command("report", _path_first("report", "dir"))
export = command("export", _path_first("export", "checkpoint"))
encode = command("encode", _path_first("encode", "checkpoint"))
