"""Compares what two runs have left, to the last bit."""

import json
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvae.store.checkpoint import read
from cvae.store.run_folder import RunFolder


def outcome(folder: Path) -> dict[str, Any]:
    """Return all results of a finished run, as numbers and tensors."""
    best, last = read(folder).contents, read(RunFolder(folder).last).contents
    curves, pictures = {}, {}
    for place in (folder, *RunFolder(folder).curves):
        events = EventAccumulator(str(place), size_guidance={"scalars": 0, "images": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            points = [(point.step, point.value) for point in events.Scalars(tag)]
            curves[f"{place.name if place != folder else ''}/{tag}"] = points
        for tag in events.Tags()["images"]:
            pictures[tag] = [(seen.step, seen.encoded_image_string) for seen in events.Images(tag)]
    kept = ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers")
    return {
        "metrics": metrics(folder),
        "best": {name: best[name] for name in kept if name in best},  # a refit keeps fewer
        "last": {name: last[name] for name in kept},
        "curves": curves,
        "pictures": pictures,
    }


def metrics(folder: Path) -> dict[str, float]:
    """Return the metrics of a run, but the time that it took."""
    found = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in found.items() if name != "seconds"}


def differing(one: Any, other: Any, at: str = "") -> list[str]:
    """Return the places at which two outcomes differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{at}/{key}" for key in set(one) ^ set(other)]
        for key in set(one) & set(other):
            found += differing(one[key], other[key], f"{at}/{key}")
        return found
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return differing(dict(enumerate(one)), dict(enumerate(other)), at)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        one, other = ((t.dtype, t.shape, t.numpy().tobytes()) for t in (one, other))
    return [] if one == other else [at]
