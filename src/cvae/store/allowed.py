"""What may be built because a file says so: plain data, and classes that are allowed."""

import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from cvae.config.compose import Config, nodes
from cvae.errors import InputError

_ALLOWED = ("cvae.", "torch.nn.")


def require_buildable(config: Config, allow: Sequence[str] = ()) -> None:
    """Let only plain, resolved data through, and only classes that are allowed.

    A configuration in a file may come from a stranger, and building a node can call whatever it
    names.

    Args:
        config: The configuration.
        allow: Classes of the user's own that it may name, or packages that they may be of.

    Raises:
        InputError: Naming the node that asks for something else.
    """
    _require_plain(config)
    for place, node in nodes(config):
        target = node["_target_"]
        if _is_elsewhere(target):
            raise InputError(
                f"{place}._target_: {target!r} is a class of the script or notebook that trained "
                "it; define it here too and give allow=['__main__'], or train with a class in a "
                "file, such as mine.py, which is found from its folder by allow=[mine]"
            )
        if not isinstance(target, str) or not is_allowed(target, allow):
            raise InputError(
                f"{place}._target_: {target!r} cannot be built from a checkpoint; only classes "
                f"under {' and '.join(_ALLOWED)} are, and your own if you name them, or their "
                f"package, in the call: allow=[{str(target).partition('.')[0]}]"
            )


def _is_elsewhere(target: object) -> bool:
    """Whether a name is that of a class in a script or a notebook other than this one."""
    module, _, name = str(target).partition(".")
    return module == "__main__" and not hasattr(sys.modules[module], name.partition(".")[0])


def is_allowed(target: str, allow: Sequence[str] = ()) -> bool:
    """Whether a name is that of a class which may be built because a file says so.

    A name that an allowed package has only borrowed, such as `torch.nn.modules.module.partial`, is
    that of where it comes from.
    """
    prefixes = (*_ALLOWED, *(f"{name}." for name in allow if name))
    if target not in allow and not target.startswith(prefixes):
        return False
    found = resolve_name(target)
    if not isinstance(found, type):
        return False
    return target in allow or f"{found.__module__}.".startswith(prefixes)


def _require_plain(value: object) -> None:
    if type(value) is dict:
        for key, item in value.items():
            _require_plain(key)
            _require_plain(item)
    elif type(value) is list:
        for item in value:
            _require_plain(item)
    elif value is not None and type(value) not in (str, int, float, bool):
        raise InputError(f"checkpoint: its settings hold a {type(value).__name__}, not plain data")
    elif isinstance(value, str) and "${" in value:  # it was stored resolved, and would be again
        raise InputError(f"checkpoint: its settings hold an interpolation, {value!r}")
