"""Completion in a shell: groups, their options, and settings. Nothing is composed for it."""

import os

from cvae.config.options import groups_of, options, settings_of
from cvae.errors import InputError

_BASH = """\
_cvae() {
  local typed=${COMP_LINE:0:COMP_POINT}
  typed=${typed##* }
  local offered=$(COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT "$1" --shell-completion query=bash)
  COMPREPLY=($(compgen -W "$offered" -- "$typed"))
  [[ -z ${ZSH_VERSION-} && $typed == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}")
}
complete -o nospace -o default -F _cvae \
cvae-train cvae-sample cvae-evaluate cvae-encode cvae-report cvae-export
"""
"""Bash takes `=` for the end of a word, and zsh does not; where nothing is offered, files are."""


def completion(command: str, asked: str) -> str:
    """Return bash's function that completes all commands, or the words that it asks for.

    Args:
        command: Name of the command.
        asked: `install=bash`, or `query=bash` with the line so far in `COMP_LINE`.

    Raises:
        InputError: If another shell is asked for.
    """
    if asked == "install=bash":
        return _BASH
    if asked != "query=bash":
        raise InputError(f"--shell-completion: expected install=bash, got '{asked}'")
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT", len(line)))]
    return " ".join(_offered(command, line.rpartition(" ")[2]))


def _offered(command: str, typed: str) -> list[str]:
    group, is_value, _ = typed.partition("=")
    chosen = groups_of(command)
    if is_value:
        several = group.lstrip("+~")
        names = options(several) if several in chosen else []
        return [f"{group}={name}" for name in names]
    keys = [f"{key}=" for key in (*chosen, *settings_of(command))]
    if "." not in typed:  # a group's settings come once the group is there
        keys = [f"{key.partition('.')[0]}." if "." in key else key for key in keys]
    return sorted({key for key in keys if key.startswith(typed)})
