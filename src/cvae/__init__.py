"""Conditional variational autoencoders: p(y|x) with a latent variable z.

`load(path)` gives the trained model of a run, `datamodule(path)` the data it was trained on.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvae.errors import InputError
    from cvae.model.cvae import CVAE
    from cvae.runs.checkpoint import datamodule, load

__version__ = "0.1.0"
__all__ = ["CVAE", "InputError", "datamodule", "load"]

_HOMES = {
    "CVAE": "model.cvae",
    "InputError": "errors",
    "datamodule": "runs.checkpoint",
    "load": "runs.checkpoint",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the commands' help should not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'cvae' has no attribute {name!r}")
    return resolve_name(f"cvae.{_HOMES[name]}:{name}")
