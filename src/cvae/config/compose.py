"""Where the configuration is, what its roots may say, and everything else that Hydra needs.

This is all that a command needs before it knows what it is asked for. It imports Hydra alone, so
that help and shell completion come at once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import hydra
import hydra.utils
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from cvae.config.natural_names import meant
from cvae.config.options import find
from cvae.config.own_parts import put_in_place
from cvae.config.schemas import SCHEMAS
from cvae.errors import InputError

Config = Mapping[str, Any]
"""A resolved configuration: plain dicts, lists, numbers and strings."""


_NOT_IN_A_NAME = (
    *("data.root", "data.path", "data.download", "resume", "sweeps", "launcher", "parallel"),
    *("threads", "compile", "search", "search.trials", "search.trial", "sweep.resume"),
)
"""Settings that a job's folder is not named after: they do not say what the job is."""


def job_folder(number: int, overrides: Sequence[str]) -> str:
    """Return the name of a sweep's job: safe in a path, on the command line, and not too long."""
    kept = [o.partition("=") for o in overrides]
    words = sorted(f"{key}-{_worded(value)}" for key, _, value in kept if key not in _NOT_IN_A_NAME)
    words = [word.rstrip("-") for word in words]  # of what is deleted, the key alone
    return re.sub(r"[^\w.+-]+", "-", "_".join([str(number), *words]))[:120]


def _worded(value: str) -> str:
    return "null" if value == "[]" else value  # of a group without an option


def binarize_for(likelihood: str) -> str:
    """Return how a likelihood, the name of its class, is to have the pixels of images."""
    from cvae.batch import Support  # which takes seconds

    support = getattr(resolve_name(likelihood), "support", None)
    return "dynamic" if support == Support.BINARY else "none"


def gpus(accelerator: str) -> int:
    """Return how many GPUs a job of a cluster asks for."""
    return int(accelerator == "gpu")


def gpus_here(accelerator: str) -> int:
    """Return how many GPUs the jobs of this machine choose from."""
    return gpus(accelerator) * _devices()


def slots(accelerator: str) -> int:
    """Return how many jobs this machine can run at once: one a GPU, or one a core."""
    if gpus(accelerator):
        return max(1, _devices())
    from joblib import cpu_count  # which knows what a container may use

    return cpu_count()


def _devices() -> int:
    import torch  # takes seconds

    return torch.cuda.device_count()


_IS_1_3 = version("hydra-core").startswith("1.3")
"""Hydra 1.4 has no `version_base`, builds only what it is allowed to, and renames a function."""
_register: Any = OmegaConf.register_new_resolver if _IS_1_3 else OmegaConf.register_resolver
for _resolver in (job_folder, binarize_for, gpus, gpus_here, slots):
    _register(_resolver.__name__, _resolver, replace=True)
for _name, _schema in SCHEMAS.items():
    ConfigStore.instance().store(f"{_name}_schema", _schema)


def main(name: str, task: Callable[[DictConfig], None]) -> None:
    """Run Hydra's main over the configuration `conf/NAME.yaml` and the command line.

    Args:
        name: Name of the command.
        task: Takes the composed configuration.

    Raises:
        InputError: If Hydra cannot work in the current folder, for its name.
    """
    require_plain_name(Path.cwd())
    own: dict[str, Any] = {"execution_whitelist": ["cvae.*", "hydra_plugins.*"]}
    options = {"version_base": "1.3"} if _IS_1_3 else own
    hydra.main(config_path=str(find("conf")), config_name=name, **options)(task)()


def resolved(name: str, overrides: list[str]) -> Config:
    """Return the configuration that a command and these overrides give, resolved, as plain data."""
    with composing():
        return plain(compose(name, overrides), overrides)


def composing() -> initialize_config_dir:
    """Return a context in which `hydra.compose` finds the configuration of every command."""
    options: dict[str, Any] = {"version_base": "1.3"} if _IS_1_3 else {}
    return initialize_config_dir(str(find("conf")), **options)


def walked(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, part) of a configuration and of all that is in it, outermost first."""
    yield path, value
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, part in inner:
        yield from walked(part, f"{path}.{key}" if path else str(key))


def nodes(config: Any) -> Iterator[tuple[str, Config]]:
    """Yield (path, node) of every node with a `_target_`, outermost first."""
    for path, part in walked(config):
        if isinstance(part, Mapping) and "_target_" in part:
            yield path, part


def numbers_in(config: Any) -> Iterator[tuple[str, int | float]]:
    """Yield (path, number) of every number of a configuration."""
    return ((path, part) for path, part in walked(config) if isinstance(part, int | float))


def instantiate(node: Any, **changes: Any) -> Any:
    """Return what a node builds.

    It may build every class that it names: a configuration of a file has been checked before.

    Args:
        node: The node, plain data with a `_target_`.
        **changes: Arguments that take the place of its own.
    """
    if not _IS_1_3:
        targets = [str(part["_target_"]) for _, part in nodes(node)]
        changes["_execution_whitelist_"] = [*targets, *map(_own_name, targets)]
    return hydra.utils.instantiate(node, **changes)


def _own_name(target: str) -> str:
    """Return the name of what a target names in the module that defines it."""
    found = resolve_name(target)
    return f"{found.__module__}.{found.__qualname__}"


def plain(config: DictConfig, overrides: Sequence[str] | None = None) -> Config:
    """Return the configuration resolved, as dicts, lists, numbers and strings, without Hydra's.

    Args:
        config: A composed configuration.
        overrides: Those that it was composed with; None are those that Hydra has written in it.
    """
    if overrides is None:
        overrides = OmegaConf.select(config, "hydra.overrides.task") or []
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    if "allow" in config:
        put_in_place(config, parsed_overrides(overrides))
    contents = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(contents, dict)
    return {str(key): value for key, value in contents.items()}


def check_root(config: Config, command: str) -> None:
    """Refuse keys that were added to the root with `+`.

    Args:
        config: A resolved configuration.
        command: Name of the command that it is of.

    Raises:
        InputError: Naming the key and the nearest known one.
    """
    known = [field.name for field in fields(SCHEMAS[command])]
    for key, value in config.items():
        if key not in known:
            raise InputError(f"{key}: no such key{meant(key, value, command)}")


def changes(node: Config) -> Config:
    """Return what a node changes: its keys that are not null."""
    return {key: value for key, value in node.items() if value is not None}


def given_value(arguments: Sequence[str], name: str) -> str | None:
    """Return what a command line sets a key to: its last value as a string; None if it does not.

    Args:
        arguments: The command line, overrides and flags.
        name: The key, which may be set by `name=`, `+name=` or `++name=`.

    Raises:
        OverrideParseException: If an override is not of Hydra's grammar.
    """
    found = [o for o in parsed_overrides(arguments) if o.key_or_group == name]
    if not found or found[-1].is_delete() or found[-1].value() in (None, []):
        return None
    return str(found[-1].value())


def parsed_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return the overrides of a command line.

    Raises:
        OverrideParseException: If one is not of Hydra's grammar.
    """
    lines = [a for a in arguments if "=" in a and not a.startswith("-")]
    return OverridesParser.create().parse_overrides(lines)


def quoted(value: object) -> str:
    """Return a value as an override's: a string that Hydra takes as it stands."""
    # A backslash means itself, unless a quote comes after it.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), str(value))
    return f"'{escaped}'"


def written(text: str) -> str:
    """Return a text as a person writes it in an override: in quotes where it would be no text.

    Example:
        >>> written("age"), written("/data/my.csv"), written("a b"), written("12"), written("null")
        ('age', '/data/my.csv', "'a b'", "'12'", "'null'")
    """
    plain_word = re.fullmatch(r"[A-Za-z_/][\w./-]*", text, re.ASCII)
    means_more = text.lower() in ("true", "false", "null", "nan", "inf")
    return text if plain_word and not means_more else quoted(text)


def require_plain_name(folder: Path) -> None:
    """Refuse a folder that Hydra cannot work in: it would look a part of its name up as a setting.

    Raises:
        InputError: If the name contains `${`.
    """
    if "${" in str(folder):
        raise InputError(
            f"'{folder}': Hydra takes '${{' in a folder's name for a setting; rename the folder"
        )


PLACES = ("root", "path")
"""Settings of data that say where they lie."""
DATA_PLACES = tuple(f"data.{place}" for place in PLACES)
"""The same, by their whole names."""


def with_absolute_paths(config: Config) -> Config:
    """Return the configuration with the data's paths absolute, to be found from any folder."""
    data = dict(config["data"])
    for key in [key for key in PLACES if key in data]:
        data[key] = str(Path(data[key]).expanduser().absolute())
    return {**config, "data": data}
