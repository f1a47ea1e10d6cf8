"""Conditional variational autoencoders: p(y|x) with a latent variable z.

`load(path)` gives the trained model of a run, `datamodule(path)` the data it was trained on.
"""

from cvae.checkpoint import datamodule, load
from cvae.errors import InputError
from cvae.module import CVAE

__all__ = ["CVAE", "InputError", "datamodule", "load"]
