"""Write `experiments/README.md`: a row per experiment, from the runs' own files.

    python experiments/table.py RUN_DIR ...

takes down each finished and evaluated run in `results/NAME.json`, with its pictures in `figures/`,
and writes the tables of all that has been taken down, with `references.yaml` beside them, and that
of `priors.md`, which `make priors` leaves, into `page.md`'s text.
"""

import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

import cvae
from cvae import checkpoint
from cvae.checkpoint import KEY
from cvae.config import Config
from cvae.errors import InputError
from cvae.measures import test_split
from cvae.pictures import latent_plane
from cvae.plots import latent_planes, png

HERE = Path(__file__).parent
PLANES = {"creatis_learned_prior": "p(z|x) learned", "creatis_standard_prior": "p(z|x) = N(0, I)"}
LATENT_SHOWN = {"annotators"}
"""Experiments whose latent space is shown on the page."""
PRIVATE = ("resume=", "logger.", "~callbacks.progress")
"""Overrides that have no effect on the figures."""
UNSAID = ("network", "root", "path", "download", "fused", "factor", "T_max", "split_seed")
"""Settings that stand elsewhere in the line, or have no effect on the figures."""
EVALUATED = "Evaluated with: "
"""What begins the comment, in an experiment's file, that `make experiments` evaluates it by."""
PIXELS = {"none": "grey pixels", "dynamic": "binarised", "threshold": "split at half grey"}
KINDS = {
    "mass": "nats of a mass",
    "grey_mass": "nats of a mass over grey levels",
    "density": "nats of a density",
    "cross_entropy": "nats of a cross-entropy; NLL of binarised images",
}
FIGURES = {
    "test/elbo": ("ELBO", ".2f"),
    "test/binarized_elbo": ("ELBO of binarised images", ".2f"),
    "test/nll": ("NLL", ".2f"),
    "test/effective_samples": ("effective samples", ".0f"),
    "consistency/mean_image": ("class consistency, mean image", ".1%"),
    "consistency/sampled_pixels": ("class consistency, sampled pixels", ".1%"),
    "judge/accuracy_grey_images": ("judge on real grey images", ".2%"),
    "judge/accuracy_pixels_as_served": ("judge on real images as served", ".2%"),
    "distance/frechet": ("Fréchet distance", ".2f"),
    "distance/kernel": ("kernel distance", ".4f"),
    "distance/spread": ("distance of within-class spread", ".3f"),
    "test/active_units": ("active units", ".0f"),
    "references/ged": ("GED²", ".4f"),
    "references/between": ("E d(S, Y)", ".4f"),
    "references/among_samples": ("E d(S, S′)", ".4f"),
    "references/among_references": ("E d(Y, Y′)", ".4f"),
    "references/matched_iou": ("matched IoU", ".4f"),
}
"""What is told of each run, by the name in its metrics.json."""


def record(run_dir: Path) -> str:
    """Take down a run, its command, settings, metrics and samples; return its experiment's name.

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
            f"run cvae-train experiment=NAME, then cvae-evaluate checkpoint={run_dir}"
        )
    _, contents = checkpoint.read(run_dir)
    config = contents[KEY]["config"]
    model, sizes = cvae.load(run_dir), checkpoint.stored_sizes(contents[KEY])
    nats_of = model.generator.likelihood.nats_of
    data, pixels = config["data"]["_target_"].rpartition(".")[2], PIXELS[config["data"]["binarize"]]
    if model.condition.y_shape != sizes.image_shape:
        pixels += f", {math.prod(model.condition.y_shape)} of {math.prod(sizes.image_shape)} hidden"
    shown = ["data.root=DIR" if o.startswith("data.root=") else o for o in overrides]
    kept = {
        "command": shlex.join(["cvae-train", *(o for o in shown if not o.startswith(PRIVATE))]),
        "compare": [nats_of, data, pixels],
        "settings": settings(config),
        "machine": contents[KEY].get("machine", "machine not recorded"),
        "metrics": metrics,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{names[-1]}.json").write_text(json.dumps(kept, indent=1) + "\n")
    (HERE / "figures" / f"{names[-1]}.png").write_bytes((run_dir / "samples.png").read_bytes())
    return names[-1]


def settings(config: Config) -> str:
    """Return what a run was made of, in a line."""
    groups = ("condition", "prior", "posterior", "likelihood", "network", "objective", "data")
    parts = [called(config[group]) for group in (*groups, "optimizer", "scheduler")]
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
        if name[0] != "_" and name not in UNSAID
    ]
    name = node["_target_"].rpartition(".")[2]
    return f"{name}({', '.join(arguments)})" if arguments else name


def draw_planes(runs: dict[str, Path]) -> None:
    """Draw the latent planes of the first document's two ways of modelling p(z|x) side by side."""
    planes = {}
    for name, title in PLANES.items():
        data = cvae.datamodule(runs[name])
        x, y, _, labels = (part[:3000] for part in test_split(data))
        planes[title] = latent_plane(cvae.load(runs[name]), x, y, labels, data.sizes)
    (HERE / "figures" / "creatis_latent_planes.png").write_bytes(png(latent_planes(planes)))


def table(records: dict[str, Any], references: dict[str, Any]) -> str:
    """Return a table for each kind of nats, data and pixels: only within one may they be ranked."""
    lines = []
    for kind in sorted({tuple(record["compare"]) for record in records.values()}):
        nats_of, data, pixels = kind
        lines += [
            f"## {data}, {pixels}: {KINDS[nats_of]}",
            "",
            "| experiment | what it is; *its settings* | command and time | figures | samples |",
            "| --- | --- | --- | --- | --- |",
        ]
        of_kind = {name: r for name, r in records.items() if tuple(r["compare"]) == kind}
        for name in sorted(of_kind, key=lambda name: of_kind[name]["metrics"]["test/nll"]):
            lines.append(row(name, of_kind[name], references.get(name, {})))
        lines.append("")
    return "\n".join(lines)


def row(name: str, record: dict[str, Any], references: dict[str, Any]) -> str:
    """Return an experiment's row."""
    metrics = record["metrics"]
    minutes, seconds = divmod(round(metrics["seconds"]), 60)
    cells = (
        f"`{name}`",
        f"{about(name)}<br>*{record['settings']}*",
        f"`{record['command']}`<br>{minutes} min {seconds:02} s, {record['machine']}<br>"
        f"`{shlex.join(['cvae-evaluate', 'checkpoint=RUN_DIR', *evaluation(name)])}`",
        "<br>".join(
            told(metric, metrics, references.get(metric, {}))
            for metric in FIGURES
            if metric in metrics
        ),
        f'<img src="figures/{name}.png" width="240" alt="Samples of {name}">',
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def told(metric: str, metrics: dict[str, float], held_against: dict[str, Any]) -> str:
    """Return a figure beside its reference, and whether what was to be reached is reached."""
    title, form = FIGURES[metric]
    value = metrics[metric]
    text = f"{title} **{value:{form}}**"
    if metric == "references/ged":
        text += f", {metrics['references/draws']:.0f} samples"
    if metric == "test/nll":
        text += f" ± {metrics['test/nll_standard_error']:.2f}, {metrics['samples']:,} samples"
    if f"{metric}_floor" in metrics:
        text += f" (between halves of the real images {metrics[f'{metric}_floor']:{form}})"
    redrawn = metric.replace("references/", "references_redrawn/")
    if redrawn != metric:
        text += f" (true process {metrics[redrawn]:{form}})"
    if "reference" in held_against:
        text += f"; {held_against['reference']}"
    if "reach" in held_against:
        low, high = held_against["reach"]
        wanted = " and ".join(
            f"{sign} {bound:{form}}"
            for sign, bound in (("≥", low), ("≤", high))
            if bound is not None
        )
        reached = (low is None or value >= low) and (high is None or value <= high)
        text += f"; to reach {wanted}: {'reached' if reached else '**falls short**'}"
    return text


def about(name: str) -> str:
    """Return what an experiment's own file says of it."""
    return " ".join(line for line in _header(name) if not line.startswith(EVALUATED))


def evaluation(name: str) -> list[str]:
    """Return the options that an experiment is evaluated with, as its own file says."""
    lines = (line.removeprefix(EVALUATED) for line in _header(name) if line.startswith(EVALUATED))
    return [option for line in lines for option in line.split()]


def _header(name: str) -> list[str]:
    lines = (HERE / "experiment" / f"{name}.yaml").read_text().splitlines()
    return [line[2:] for line in lines[1:] if line.startswith("# ")]


def main(run_dirs: list[Path]) -> None:
    """Take down the runs, and write the page of all that have been taken down."""
    runs = {record(run_dir): run_dir for run_dir in run_dirs}
    if PLANES.keys() <= runs.keys():
        draw_planes(runs)
    for name in runs.keys() & LATENT_SHOWN:
        picture = runs[name] / "latent.png"
        if not picture.is_file():
            raise InputError(f"'{picture}' is missing; run cvae-evaluate checkpoint={runs[name]}")
        (HERE / "figures" / f"{name}_latent.png").write_bytes(picture.read_bytes())
    records = {f.stem: json.loads(f.read_text()) for f in sorted((HERE / "results").glob("*.json"))}
    page = (HERE / "page.md").read_text()
    references = yaml.safe_load((HERE / "references.yaml").read_text())
    priors = [line for line in (HERE / "priors.md").read_text().splitlines() if line[:1] == "|"]
    page = page.replace("{priors}", "\n".join(priors))
    (HERE / "README.md").write_text(page.replace("{tables}", table(records, references)))


if __name__ == "__main__":
    try:
        main([Path(argument) for argument in sys.argv[1:]])
    except InputError as error:
        sys.exit(f"table.py: {error}")
