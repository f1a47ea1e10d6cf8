"""Record runs of experiments, and write `experiments/README.md`, the page of all recorded runs.

    python experiments/table.py [RUN_DIR ...]

records each finished and evaluated run in `results/NAME.json`, with its pictures in `figures/`, and
then writes the page (`page.py`).
"""

import json
import math
import shlex
import sys
from pathlib import Path

import yaml

import cvae
import page
from cvae.config.compose import Config
from cvae.errors import InputError
from cvae.evaluation.figures import latent_planes, png
from cvae.evaluation.image_metrics import test_split
from cvae.evaluation.panels import latent_plane
from cvae.store.checkpoint import read

HERE = Path(__file__).parent
PLANES = {"creatis_learned_prior": "p(z|x) learned", "creatis_standard_prior": "p(z|x) = N(0, I)"}
LATENT_SHOWN = {"annotators"}
"""Experiments whose latent space is shown on the page."""
PRIVATE = ("resume=", "logger.", "~callbacks.progress")
"""Overrides that have no effect on the figures."""
OMITTED = ("network", "root", "path", "download", "fused", "factor", "T_max", "split_seed")
"""Settings that stand elsewhere in the line, or have no effect on the figures."""
PIXELS = {"none": "grey pixels", "dynamic": "binarised", "threshold": "split at half grey"}


def record(run_dir: Path) -> str:
    """Record a run: command, settings, metrics and samples; return the name of its experiment.

    Raises:
        InputError: If the run is not a finished, evaluated run of an experiment.
    """
    try:
        metrics = json.loads((run_dir / "metrics.json").read_text())
        overrides = yaml.safe_load((run_dir / ".hydra" / "overrides.yaml").read_text())
    except OSError as error:
        raise InputError(f"'{run_dir}' is not the folder of a finished run: {error}") from error
    names = [o.removeprefix("experiment=") for o in overrides if o.startswith("experiment=")]
    if not names or "test/nll" not in metrics:
        raise InputError(
            f"'{run_dir}' is not an evaluated run of an experiment; "
            f"run cvae-train experiment=NAME, then cvae-evaluate {run_dir}"
        )
    stored = read(run_dir)
    config, model, sizes = stored.config, stored.model(), stored.sizes
    nats_of = model.generator.likelihood.nats_of
    data, pixels = config["data"]["_target_"].rpartition(".")[2], PIXELS[config["data"]["binarize"]]
    if model.condition.y_shape != sizes.y.shape:
        pixels += f", {math.prod(model.condition.y_shape)} of {math.prod(sizes.y.shape)} hidden"
    shown = ["data.root=DIR" if o.startswith("data.root=") else o for o in overrides]
    kept = {
        "command": shlex.join(["cvae-train", *(o for o in shown if not o.startswith(PRIVATE))]),
        "compare": [nats_of, data, pixels],
        "settings": settings(config),
        "machine": stored.about.get("machine", "machine not recorded"),
        "metrics": metrics,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{names[-1]}.json").write_text(json.dumps(kept, indent=1) + "\n")
    (HERE / "figures" / f"{names[-1]}.png").write_bytes((run_dir / "samples.png").read_bytes())
    return names[-1]


def settings(config: Config) -> str:
    """Return what a run was made of, in a line."""
    parts = [called(config[part]) for part in page.PARTS]
    trainer = config["trainer"]
    numbers = {
        "latent_dim": config["latent_dim"],
        "max_epochs": trainer["max_epochs"],
        "precision": trainer["precision"],
        "seed": config["seed"],
    }
    if config.get("hierarchy", 1) > 1:
        numbers = {"hierarchy": config["hierarchy"], **numbers}
    return ", ".join(parts + [f"{name}={value}" for name, value in numbers.items()])


def called(node: Config) -> str:
    """Return a node as the call that it is: the class with its numbers and words."""
    arguments = [
        f"{name}={called(value) if isinstance(value, dict) else value}"
        for name, value in node.items()
        if name[0] != "_" and name not in OMITTED
    ]
    name = node["_target_"].rpartition(".")[2]
    return f"{name}({', '.join(arguments)})" if arguments else name


def draw_planes(runs: dict[str, Path]) -> None:
    """Draw the latent planes of the two ways of modelling p(z|x) next to each other."""
    planes = {}
    for name, title in PLANES.items():
        data = cvae.datamodule(runs[name])
        x, y, _, labels = (part[:3000] for part in test_split(data))
        planes[title] = latent_plane(cvae.load(runs[name]), x, y, labels, data.sizes)
    (HERE / "figures" / "creatis_latent_planes.png").write_bytes(png(latent_planes(planes)))


def main(run_dirs: list[Path]) -> None:
    """Record the runs, and write the page of all recorded runs."""
    runs = {record(run_dir): run_dir for run_dir in run_dirs}
    if PLANES.keys() <= runs.keys():
        draw_planes(runs)
    for name in runs.keys() & LATENT_SHOWN:
        picture = runs[name] / "latent.png"
        if not picture.is_file():
            raise InputError(f"'{picture}' is missing; run cvae-evaluate {runs[name]}")
        (HERE / "figures" / f"{name}_latent.png").write_bytes(picture.read_bytes())
    page.write()


if __name__ == "__main__":
    try:
        main([Path(argument) for argument in sys.argv[1:]])
    except InputError as error:
        sys.exit(f"table.py: {error}")
