"""Published figures next to this program's own, each with what it was measured on.

`references.yaml` holds the published ones. The own ones come from `results/`, of the experiments
that are compared with a published model.
"""

import re
from math import inf
from typing import Any

from page_data import table

GROUPS = {
    "whole": "Whole images, binarised: NLL",
    "quadrants": "Hidden quadrants, binarised: NLL of their pixels",
    "grey": "Grey pixels: bound",
}
"""The tables, by the group of an entry of `references.yaml`: each is of another quantity."""
COLUMNS = (
    *("model", "of y given x", "of y alone", "x", "training images"),
    *("pixels: training; test", "objective", "draws", "source", "read in"),
)
PIXELS = {"none": "grey; grey", "dynamic": "dynamic; drawn once", "static": "fixed; fixed"}
"""How the pixels of training and of test images are drawn, by `data.binarize`."""
TRAINING_IMAGES = 60_000
"""Of MNIST's files, validation images among them."""

Plain = dict[str, Any]


def resolved(references: Plain) -> Plain:
    """Return what each experiment is compared with, with the published models in full."""
    return {
        name: {
            metric: held | {"published": [references["published"][key] for key in keys]}
            if (keys := held.get("published"))
            else held
            for metric, held in metrics.items()
        }
        for name, metrics in references["experiments"].items()
    }


def in_few_words(model: Plain, kind: str = "") -> str:
    """Return a published figure, its model, and what it was measured on."""
    value = figure(model)
    if value is None:
        return f"not found: {model['name']}"
    images, draws = model["images"], model["draws"]
    said = ["images not said" if images == "not said" else f"{images} images"]
    if (pixels := model["pixels"].partition(";")[0]) != "not said":
        said.append(pixels)
    if "nll" in model and draws != "not said":
        said.append(f"{draws} draws")
    return f"{value}{kind}: {model['name']} ({', '.join(said)})"


def figure(model: Plain) -> str | None:
    """Return the NLL or the bound of a published model, or None where it was not found."""
    return model.get("nll", model.get("bound"))


def tables_of_anchors(references: Plain, own: dict[str, tuple[Plain, Plain]]) -> str:
    """Return the tables, the best figure of y alone first, and the list of their sources.

    A column without any value is left out.

    Args:
        references: What `references.yaml` holds.
        own: By the name of an experiment, its record and its settings by part.
    """
    sources = references["sources"]
    found = [_published(model, [*sources]) for model in references["published"].values()]
    for name, held in references["experiments"].items():
        if any("published" in values for values in held.values()):
            found.append(_own(name, *own[name]))
    lines = []
    for group, title in GROUPS.items():
        rows = [_row(model) for model in sorted(found, key=_order) if model["group"] == group]
        columns = [column for column in zip(COLUMNS, *rows, strict=True) if {*column[1:]} != {"—"}]
        lines += [f"**{title}**", "", table([list(row) for row in zip(*columns, strict=True)]), ""]
    return "\n".join([*lines, *(f"{n}. {text}" for n, text in enumerate(sources.values(), 1))])


def _published(model: Plain, sources: list[str]) -> Plain:
    alone = model["group"] == "whole" and model["x"] == "none"
    value = figure(model)
    number = f"[{sources.index(model['source']) + 1}]"
    return model | {
        "given": None if alone or value is None else float(value),
        "alone": float(value) if alone and value is not None else None,
        "shown": _shown(model, value),
        "source": ", ".join([number, model["place"]] if "place" in model else [number]),
    }


def _shown(model: Plain, value: str | None) -> str:
    if value is None:
        return "not found"
    said = f"{value} ± {model['spread']}" if "spread" in model else value
    return said if model.get("likelihood", True) else f"({said})"


def _own(name: str, record: Plain, parts: Plain) -> Plain:
    metrics, (nats_of, _, pixels) = record["metrics"], record["compare"]
    group = "grey" if nats_of == "cross_entropy" else "quadrants" if "hidden" in pixels else "whole"
    x, data = _condition(parts["condition"]), parts["data"]
    alone = group == "whole" and x == "none"
    nats = -metrics["test/elbo"] if group == "grey" else metrics["test/nll"]
    latents = re.findall(r"latent_dim=(\d+)", record["settings"])[0]
    return {
        "name": f"**[{name}](#{name})**",
        "network": f"{parts['network']}, {latents} latents, {parts['prior']}",
        "group": group,
        "x": x,
        "given": None if alone else nats,
        "alone": nats if alone else metrics.get("test/nll_marginal"),
        "images": f"{training_images(data):,}",
        "pixels": PIXELS[re.findall(r"binarize=(\w+)", data)[0]],
        "objective": _objective(parts["objective"]),
        "draws": "1" if group == "grey" else f"{metrics['samples']:,}",
        "source": "this page",
        "read": "—",
    }


def training_images(data: str) -> int:
    """Return how many images of MNIST a run trained on, from its settings of the data."""
    if given := re.findall(r"train_images=(\d+)", data):
        return int(given[0])
    share = float(re.findall(r"val_fraction=([\d.e-]+)", data)[0])
    return TRAINING_IMAGES - round(TRAINING_IMAGES * share)


def _condition(called: str) -> str:
    if visible := re.findall(r"visible=(\d)", called):
        return f"{visible[0]} quadrant{'s' * (visible[0] != '1')}"
    return {"LabelCondition": "digit", "NoCondition": "none"}[called]


def _objective(called: str) -> str:
    name = called.partition("(")[0]
    numbers = dict(re.findall(r"(\w+)=([\d.]+)", called))
    said = [f"k = {numbers['samples']}"] if "samples" in numbers else []
    said += [f"β = {numbers['beta']}"] if float(numbers.get("beta", 1)) != 1 else []
    return ", ".join([name, *said])


def _order(model: Plain) -> tuple[bool, str, float, float]:
    """Sort by the NLL of y alone, which all models of whole images share, then by that given x."""
    given, alone = (inf if model[of] is None else model[of] for of in ("given", "alone"))
    last = not model.get("likelihood", True) or given == alone == inf
    return last, "" if model["group"] == "whole" else model["x"], alone, given


def _row(model: Plain) -> list[str]:
    figures = {
        of: f"{model[of]:.2f}" if model[of] is not None else "—" for of in ("given", "alone")
    }
    if "shown" in model:
        figures["given" if model["alone"] is None else "alone"] = model["shown"]
    fields = ("x", "images", "pixels", "objective", "draws", "source", "read")
    return [f"{model['name']}: {model['network']}", *figures.values(), *(model[f] for f in fields)]
