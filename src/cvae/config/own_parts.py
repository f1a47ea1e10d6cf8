"""Classes of the user's own, named on the command line: `network._target_=mynet.Net`.

They are looked for beside the current folder too, take the place of the node that they are typed
for, and are trusted, because they were typed. What a file names is not.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

_OTHERS = {"cvae", "torch", "lightning", "hydra_plugins", "optuna", *sys.stdlib_module_names}
"""Packages whose classes are not the user's own."""
_TARGET = "._target_"


def let_be_found(overrides: Iterable[Override]) -> None:
    """Let modules of the current folder be imported, last of all, that these overrides name."""
    named = " ".join(str(o.input_line) for o in overrides if _names_a_class(o))
    here = Path.cwd()
    modules = [path.stem for path in here.glob("*.py")]
    modules += [path.parent.name for path in here.glob("*/__init__.py")]
    if any(f"{name}." in named or f"[{name}]" in named for name in modules):
        sys.path.append(str(here))


def _names_a_class(override: Override) -> bool:
    return override.key_or_group.endswith(_TARGET) or override.key_or_group == "allow"


def with_own_settings(arguments: list[str], overrides: Sequence[Override]) -> list[str]:
    """Return a command line whose settings of the user's own classes need no +.

    Hydra would hold them against the settings of the option that the class replaces.

    Args:
        arguments: The command line, ordered.
        overrides: Its overrides, parsed.
    """
    own = tuple(f"{path}." for path in _own_targets(overrides))

    def is_of_one(word: str) -> bool:
        return word.startswith(own) and _TARGET not in word.partition("=")[0]

    return [f"++{word}" if own and is_of_one(word) else word for word in arguments]


def _own_targets(overrides: Sequence[Override]) -> dict[str, str]:
    """Return the user's own classes that are typed, by the path of the node that they replace."""
    typed = [o for o in overrides if o.key_or_group.endswith(_TARGET) and not o.is_sweep_override()]
    named = {o.key_or_group.removesuffix(_TARGET): str(o.value()) for o in typed}
    return {path: name for path, name in named.items() if name.partition(".")[0] not in _OTHERS}


def put_in_place(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Let each class of the user's own replace its node's settings, but for those typed as well.

    It keeps what the node shares with others, such as `network`, where it takes that.

    Args:
        config: A composed configuration of `cvae-train`.
        overrides: Those that it was composed with.
    """
    typed, own = [o.key_or_group for o in overrides], _own_targets(overrides)
    if not own:
        return
    with open_dict(config):
        for path, target in own.items():
            node = OmegaConf.select(config, path)
            if not isinstance(node, DictConfig) or path.startswith("hydra"):
                continue
            for key in [str(key) for key in node if not str(key).startswith("_")]:
                is_typed = any(f"{name}.".startswith(f"{path}.{key}.") for name in typed)
                shared = OmegaConf.is_interpolation(node, key) and key in _taken(target)
                if not (is_typed or shared):
                    del node[key]
            config.allow = list(dict.fromkeys([*config.allow, target]))


def _taken(target: str) -> dict[str, Any]:
    """Return the arguments of a class; none where there is no such class, as is said later."""
    from cvae.config.building import arguments  # which takes seconds to import

    try:
        return arguments(resolve_name(target))[0]
    except (ImportError, AttributeError, ValueError):
        return {}
