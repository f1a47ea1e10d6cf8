"""A published model, read back from its folder: weights without pickle, settings as plain data.

The folder may come from anyone. What is in it is held to the same rules as a checkpoint.
"""

import re
from pathlib import Path
from typing import Any

from cvae.errors import InputError
from cvae.store.bounds import require_bounded
from cvae.store.plain_files import read_json

WEIGHTS, SETTINGS, CARD = "model.safetensors", "config.json", "README.md"
"""The files of such a folder, by the names that the Hugging Face hub knows."""
HUB = "hf://"
"""How the name of a model on the hub begins: hf://OWNER/NAME."""
_EXTRA = "comes with an extra; pip install 'lightning-cvae[hub]'"


def is_published(folder: Path) -> bool:
    """Return whether a folder is that of a published model."""
    return (folder / WEIGHTS).is_file() and (folder / SETTINGS).is_file()


def safetensors() -> Any:
    """Return the module that reads and writes weights.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise InputError(f"{WEIGHTS} {_EXTRA}") from error
    return safetensors.torch


def from_hub(name: str) -> Path:
    """Return a folder of this machine with the weights and settings of `hf://OWNER/NAME`.

    Raises:
        InputError: If the name is none, the hub's client is not installed, or the model cannot be
            fetched.
    """
    if not re.fullmatch(rf"{HUB}[\w.-]+/[\w.-]+", name):
        raise InputError(f"checkpoint: expected {HUB}OWNER/NAME, got '{name}'")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError(f"checkpoint: {HUB} {_EXTRA}") from error
    try:
        folder = snapshot_download(name.removeprefix(HUB), allow_patterns=[WEIGHTS, SETTINGS])
    except Exception as error:  # of the client, and of what it reaches the network by
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"checkpoint: '{name}' cannot be fetched ({reason})") from error
    if not is_published(Path(folder)):
        raise InputError(f"checkpoint: '{name}' has no {WEIGHTS} and {SETTINGS} of this program")
    return Path(folder)


def read_published(folder: Path) -> dict[str, Any]:
    """Return what a folder holds, in the form of a checkpoint's contents.

    Raises:
        InputError: If a file is damaged, or stands for more than it holds.
    """
    load = safetensors().load_file
    settings, weights = folder / SETTINGS, folder / WEIGHTS
    contents = read_json(settings)
    try:
        contents["state_dict"] = load(weights)
        require_bounded(contents, settings.stat().st_size)
    except PermissionError:
        raise
    except Exception as error:  # whatever bytes that are no weights do to their reader
        reason = str(error).partition("\n")[0]
        raise InputError(f"checkpoint: '{weights}' is damaged ({reason})") from error
    return contents
