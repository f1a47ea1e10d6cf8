"""Where the configuration lies, what its roots may say, and what else Hydra is told.

This is all that a command needs before it knows what it is asked for. It imports Hydra alone, so
that help and shell completion come at once.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from cvae.errors import InputError, did_you_mean
from cvae.schemas import SCHEMAS

Config = Mapping[str, Any]
"""A resolved configuration: plain dicts, lists, numbers and strings."""


def find(name: str) -> Path:
    """Return the folder `conf` or `experiments`: of the installed package, else the repository."""
    installed = Path(__file__).parent / name
    return installed if installed.is_dir() else Path(__file__).parents[2] / name


class ExperimentsOnSearchPath(SearchPathPlugin):
    """Lets Hydra find `experiment=NAME` in `experiments/experiment/NAME.yaml`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("cvae", f"file://{find('experiments')}")


def job_folder(number: int, overrides: str) -> str:
    """Return the name of a sweep's job: safe in a path, on the command line, and not too long."""
    return re.sub(r"[^\w.+-]+", "-", f"{number}_{overrides}")[:120]


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

    cores: int = cpu_count()
    return cores


def _devices() -> int:
    import torch  # takes seconds

    return torch.cuda.device_count()


Plugins.instance().register(ExperimentsOnSearchPath)
for _resolver in (job_folder, gpus, gpus_here, slots):
    OmegaConf.register_new_resolver(_resolver.__name__, _resolver, replace=True)
for _name, _schema in SCHEMAS.items():
    ConfigStore.instance().store(f"{_name}_schema", _schema)


def plain(config: DictConfig) -> Config:
    """Return the configuration resolved, as dicts, lists, numbers and strings, without Hydra's."""
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    contents = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(contents, dict)
    return {str(key): value for key, value in contents.items()}


def check_root(config: Config, schema: type) -> None:
    """Refuse keys that were added to the root with `+`.

    Raises:
        InputError: Naming the key and the nearest known one.
    """
    known = [field.name for field in fields(schema)]
    for key in config:
        if key not in known:
            raise InputError(f"{key}: no such key{did_you_mean(key, known)}")


def changes(node: Config) -> Config:
    """Return what a node changes: its keys that are not null."""
    return {key: value for key, value in node.items() if value is not None}


def quoted(value: object) -> str:
    """Return a value as an override's: a string that Hydra takes as it stands."""
    escaped = str(value).replace("'", "\\'")
    return f"'{escaped}'"


PLACES = ("root", "path")
"""Settings of data that say where they lie."""


def with_absolute_paths(config: Config) -> Config:
    """Return the configuration with the data's paths absolute, to be found from any folder."""
    data = dict(config["data"])
    for key in [key for key in PLACES if key in data]:
        data[key] = str(Path(data[key]).expanduser().absolute())
    return {**config, "data": data}
