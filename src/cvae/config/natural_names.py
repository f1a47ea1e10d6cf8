"""What a user means by a key that a command does not have, such as `lr` or `--epochs`."""

import shlex
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from cvae.config.options import groups, groups_of, option, options, root, settings_of

_SYNONYMS = {
    "optimizer.lr": ("learning_rate", "rate", "step_size"),
    "trainer.max_epochs": ("e", "epoch", "epochs", "n_epochs", "num_epochs", "iterations"),
    "data.batch_size": ("b", "batch", "bs", "minibatch"),
    "data.size": ("image_size", "img_size", "resize", "resolution"),
    "data.root": ("path", "dir", "data_dir", "file"),
    "data.path": ("root", "file", "filename"),
    "callbacks.early_stopping=null": ("early_stopping", "no_early_stopping"),
    "images=0": ("judge", "no_judge"),
    "latent_dim": ("latent", "latent_size", "latents", "z", "z_dim", "zdim", "dim_z", "n_latent"),
    "hierarchy": ("latent_layers",),
    "objective.beta": ("kl_weight", "kld_weight", "kl_coeff"),
    "objective.warmup_epochs": ("warmup", "anneal", "kl_warmup"),
    "network.width": ("hidden", "hidden_dim", "hidden_size", "units", "channels"),
    "network.depth": ("layers", "n_layers", "num_layers", "hidden_layers"),
    "network.activation._target_=torch.nn.ELU": ("activation", "nonlinearity"),
    "network": ("encoder", "decoder", "model", "arch", "architecture", "backbone"),
    "posterior": ("encoder", "inference", "recognition"),
    "likelihood": ("decoder", "output_distribution"),
    "objective": ("loss", "criterion"),
    "data": ("dataset", "datamodule"),
    "optimizer": ("optim", "opt"),
    "scheduler": ("lr_scheduler", "schedule", "lr_schedule"),
    "trainer=gpu": ("device", "cuda", "gpu", "gpus"),
    "trainer=ddp": ("multi_gpu",),
    "trainer.gradient_clip_val": ("clip", "grad_clip", "gradient_clip", "clip_norm"),
    "seed": ("random_seed", "random_state", "manual_seed"),
    "resume": ("checkpoint", "ckpt", "ckpt_path", "resume_from", "run", "run_dir"),
    "hydra.run.dir": ("out", "output", "output_dir", "folder", "dir", "save_dir", "run_dir"),
    "checkpoint": ("ckpt", "ckpt_path", "run", "run_dir", "model", "weights", "resume", "folder"),
    "parallel": ("jobs", "n_jobs", "workers", "num_workers"),
    "threads": ("n_threads", "num_threads", "cores"),
    "sweeps": ("sweep",),
    "-m": ("multirun", "grid"),
    "n": ("num", "count", "samples", "n_samples", "num_samples"),
    "samples": ("n", "k", "importance_samples", "n_samples", "num_samples"),
    "x": ("y", "label", "labels", "class", "classes", "condition", "digit", "number"),
    "out": ("output", "file", "path", "output_file", "save", "filename", "o"),
    "dir": ("path", "folder", "runs", "multirun", "sweep", "checkpoint"),
    "title": ("name",),
}
"""Other words for a setting. What holds = is what is meant, whatever the value."""
_OPTIONS = {
    "network=conv": ("unet", "cnn", "convnet"),
    "network=residual_conv": ("resnet",),
    "network=transformer": ("attention", "vit"),
    "network=mlp": ("linear", "dense", "fc"),
    "prior=gaussian": ("normal", "learned"),
    "posterior=gaussian": ("normal", "diagonal"),
    "likelihood=gaussian": ("normal", "mse", "l2"),
    "likelihood=laplace": ("l1", "mae"),
    "likelihood=bernoulli": ("bce", "binary"),
    "likelihood=categorical": ("ce", "softmax", "multinomial"),
    "data=table": ("csv", "parquet", "tabular", "dataframe"),
    "data=sequences": ("timeseries", "time_series", "series", "trajectories"),
    "data=label_maps": ("masks", "segmentation"),
    "data=folder": ("images", "imagefolder", "png"),
    "data=arrays": ("images", "npz", "numpy"),
    "scheduler=cosine": ("cosine_annealing",),
}
"""Other words for an option."""
_NONE: Mapping[str, str] = MappingProxyType({})
_BESIDE = ("hydra.run.dir", "-m")
"""What `cvae-train` takes beside its own settings."""


def meant(key: str, value: object, command: str, chosen: Mapping[str, str] = _NONE) -> str:
    """Return `"; did you mean optimizer.lr=0.01?"` for a key that there is not, or its neighbours.

    Args:
        key: The key, as `lr` or `optimizer.learning_rate`.
        value: What it was given.
        command: Name of the command.
        chosen: The options that were chosen, by their groups.
    """
    text = "VALUE" if isinstance(value, dict) else _unquoted(str(value))
    found = [
        _as_given(place, text, command, chosen) for place in _had(places(key, command), key, chosen)
    ]
    found = found or [f"{group}={key}" for group in _groups_with(key, command)]
    return f"; did you mean {_or(found)}?" if found else f"; see cvae-{command} --help"


def _had(found: list[str], key: str, chosen: Mapping[str, str]) -> list[str]:
    """Return the places that the chosen options have, by another word if need be."""
    last = key.rpartition(".")[2]
    for group, name in chosen.items():
        if name not in options(group) or not any(place.startswith(f"{group}.") for place in found):
            continue
        there = option(group, name).settings
        others = [place for place, words in _SYNONYMS.items() if last in words]
        if kept := [place for place in (*found, *others) if place in there]:
            return kept
    return found


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _groups_with(word: str, command: str) -> list[str]:
    """Return the groups of a command that have an option of this name."""
    return [group for group in groups_of(command) if word in options(group)]


def option_meant(group: str, word: str) -> str:
    """Return `"; did you mean network=conv?"` for another word for an option, or nothing."""
    found = [
        place
        for place, words in _OPTIONS.items()
        if place.startswith(f"{group}=") and word.lower().replace("-", "_") in words
    ]
    return f"; did you mean {_or(found)}?" if found else ""


def meant_by_word(word: str, following: list[str], command: str) -> str:
    """Return the same for a word without a value, which may be the name of an option.

    Args:
        word: The word.
        following: The words after it; `epochs 5` and `epochs = 5` may be meant by them.
        command: Name of the command.
    """
    if word in ("help", "version"):
        return f"; did you mean --{word}?"
    if found := [f"{group}={word}" for group in _groups_with(word, command)]:
        return f"; did you mean {_or(found)}?"
    if of_a_path := _of_a_path(word, command):
        return f"; did you mean {of_a_path}?"
    value = next((other for other in following if other not in ("=", ":")), "VALUE")
    found = [_as_given(place, value, command) for place in places(word.strip(":"), command)]
    return f"; did you mean {_or(found)}?" if found else f"; see cvae-{command} --help"


def _of_a_path(word: str, command: str) -> str:
    """Return what a command does with a file, or a folder, of this name."""
    path, typed = Path(word), shlex.quote(word)
    if command != "train":
        is_file = "out" in root(command).settings and path.suffix[1:].isalpha()
        return f"out={typed}" if is_file else ""
    if path.suffix in (".yaml", ".yml"):
        return f"--config-dir DIR experiment={path.stem}, with DIR/experiment/{path.stem}.yaml"
    if path.suffix in (".csv", ".parquet"):
        return f"data=table data.path={typed} 'data.x=[COLUMNS]' 'data.y=[COLUMNS]'"
    if path.suffix == ".npz":
        return f"data=vectors data.path={typed}, or another kind of y (--help data)"
    if (path / "checkpoints").is_dir():
        return f"resume={typed}"
    return f"data=folder data.root={typed}" if path.is_dir() else ""


def places(key: str, command: str) -> list[str]:
    """Return the full keys that a key may stand for: by its end, by another word, or misspelt."""
    wanted = key.lower().replace("-", "_").strip("_")
    known = list(dict.fromkeys([*groups_of(command), *settings_of(command)]))
    found = _named(wanted, known, command) or _named(_nearest(wanted, known), known, command)
    return [place for place in found if place.startswith(wanted.partition(".")[0] + ".")] or found


def _named(wanted: str, known: list[str], command: str) -> list[str]:
    """Return the known keys that end as the wanted one does, or are called so by another word."""
    last = wanted.rpartition(".")[2]
    for whole in (wanted, last):
        if whole in known:
            return [whole]
    for end in dict.fromkeys((wanted, last)):
        if found := [place for place in known if end and f".{place}".endswith(f".{end}")]:
            return sorted(found, key=lambda place: bool(_options_needed(place, command)))
    return [place for place, words in _SYNONYMS.items() if last in words and _exists(place, known)]


def _exists(place: str, known: list[str]) -> bool:
    key, is_whole, _ = place.partition("=")
    if is_whole:
        key = key.partition(".")[0]
    return key in known or (place in _BESIDE and "prior" in known)


def _nearest(wanted: str, known: list[str]) -> str:
    last = wanted.rpartition(".")[2]
    words = [place.rpartition(".")[2] for place in known]
    words += [word for others in _SYNONYMS.values() for word in others if len(word) > 3]
    return next(iter(get_close_matches(last, words, n=1, cutoff=0.75)), "")


def _as_given(place: str, value: str, command: str, chosen: Mapping[str, str] = _NONE) -> str:
    """Return a setting as it is typed, with the options that have it, where a default lacks it."""
    if "=" in place or place.startswith("-"):
        return place
    if place in groups() and not set(value.split(",")) <= set(options(place)):
        return f"{place}=NAME ({', '.join(options(place))})"
    typed = shlex.quote(f"{place}={value}")
    missing = _options_needed(place, command)
    group = place.partition(".")[0]
    if chosen.get(group) in missing:
        return typed
    return f"{typed} (with {group}={' or '.join(missing)})" if missing else typed


def _options_needed(place: str, command: str) -> list[str]:
    """Return the options that have a setting, where the one that is there by default has not."""
    having = settings_of(command).get(place, [])
    group = place.partition(".")[0]
    return [] if not having or root(command).chosen[group].default in having else having


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
