"""Conditional variational autoencoders: p(y|x) with a latent variable z.

`train(data)` trains a model and returns its `Run`. `load(path)` gives the trained model of a run,
`datamodule(path)` the data it was trained on, `Run(path)` its figures and curves, and
`runs(folder)` all runs of a folder.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvae.api.run import Run, runs
    from cvae.api.train import train
    from cvae.errors import InputError
    from cvae.model.cvae import CVAE
    from cvae.store.checkpoint import datamodule, load

__version__ = "0.2.0.dev0"
__all__ = ["CVAE", "InputError", "Run", "datamodule", "load", "runs", "train"]

_HOMES = {
    "CVAE": "model.cvae",
    "InputError": "errors",
    "Run": "api.run",
    "datamodule": "store.checkpoint",
    "load": "store.checkpoint",
    "runs": "api.run",
    "train": "api.train",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the commands' help should not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'cvae' has no attribute {name!r}")
    return resolve_name(f"cvae.{_HOMES[name]}:{name}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
