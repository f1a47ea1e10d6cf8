"""Write `README.md`: leaderboards of the recorded runs, then a section for each experiment.

The text comes from `page.md` and `text/NAME.md`, the figures from `results/NAME.json`, the values
they are compared with and how the settings were chosen from `references.yaml`, the description of
an experiment from the comment in its own file, the table of the priors from `priors.md`, which
`make priors` writes, those of simulated and real data from `page_data.py`, and those of published
figures from `page_anchors.py`.
"""

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from cvae.config.compose import find
from cvae.evaluation.nats import JUDGE
from cvae.evaluation.sentences import sentences_of
from cvae.store.results import VALIDATION
from page_anchors import in_few_words, resolved, tables_of_anchors
from page_data import line, tables_of_data

HERE = Path(__file__).parent
EVALUATED = "Evaluated with: "
"""What begins the comment, in an experiment's file, that `make experiments` evaluates it by."""
PARTS = (
    *("condition", "prior", "posterior", "likelihood", "network", "objective"),
    *("data", "optimizer", "scheduler"),
)
"""What the settings of a record begin with, in this order."""
KINDS = {
    "mass": "Mass over binary pixels",
    "grey_mass": "Mass over grey levels",
    "density": "Density over grey pixels",
    "cross_entropy": "Cross-entropy on grey pixels: bound of grey images, NLL of binarised images",
}
"""What the nats are of."""
COLUMNS = (
    *("experiment", "validation bound, nats per image", "NLL, nats per image"),
    *("bound, nats per image", "published"),
    *("class consistency, %", "time, minutes", "samples" + 14 * "&nbsp;"),
)
"""Of a leaderboard; the last one is as wide as its pictures."""
SINGLE = "One experiment for each kind of data: not ranked"
DIFFERENT_JUDGES = (
    "Different judges, or unknown ones, stand behind the class consistencies of this table, which "
    "therefore cannot be compared."
)
BELOW_X = "Top row: x of ten test images.<br>Below: mean images for eight draws of z."
CONDITIONS = {
    "LabelCondition": (
        "given the class",
        "A column per class x: mean images for eight draws of z.",
    ),
    "NoCondition": ("no condition", "Mean images for eighty draws of z."),
    "QuadrantsCondition": ("given the visible pixels", BELOW_X),
    "GivenCondition": ("given an image", BELOW_X),
    "LabelAndGivenCondition": ("given the class and an image", BELOW_X),
}
"""What x is, and what the picture of the samples shows."""
FIGURES: dict[str, dict[str, str]] = yaml.safe_load((HERE / "metrics.yaml").read_text())
"""By group and title, how a figure is written."""
NAMED = {
    metric: (title, form)
    for titles in FIGURES.values()
    for title, template in titles.items()
    for metric, form in re.findall("{(.*?):(.*?)}", template)[:1]
}
"""By its name in metrics.json, the title of a figure and its format."""

Metrics = dict[str, float]
Plain = dict[str, Any]
"""What a file of `results/` holds, or `references.yaml`, of one experiment or by experiment."""
Boards = dict[tuple[str, str], Plain]
"""The records of each leaderboard, the best first, by the kind of nats and the title."""


def write() -> None:
    """Write the page of all runs that are recorded."""
    records = {f.stem: json.loads(f.read_text()) for f in sorted((HERE / "results").glob("*.json"))}
    held = yaml.safe_load((HERE / "references.yaml").read_text())
    references = resolved(held)
    ranked = boards(records)
    priors = re.findall(r"^\|.*", (HERE / "priors.md").read_text(), re.MULTILINE)
    in_order = [run for board in ranked.values() for run in board.items()]
    sections = [
        section(name, run, references.get(name, {}), held["chosen"][name]) for name, run in in_order
    ]
    page = (HERE / "page.md").read_text()
    page = page.replace("{leaderboards}", leaderboards(ranked, references))
    own = {name: (record, dict(parts(record)[0])) for name, record in records.items()}
    page = page.replace("{anchors}", tables_of_anchors(held, own))
    page = page.replace("{experiments}", "\n".join(sections))
    page = page.replace("{priors}", "\n".join(priors))
    for name, table in tables_of_data().items():
        page = page.replace(name, table)
    for name in records:
        page = page.replace(f"`{name}`", f"[{name}](#{name})")
    (HERE / "README.md").write_text(page)


def boards(records: Plain) -> Boards:
    """Return the records that may be ranked together: the same nats, the same y, the same x.

    They are ranked by the validation, or by the test where a record is older than that figure.
    """
    found: Boards = defaultdict(dict)
    for name, record in sorted(records.items()):
        nats_of, data, pixels = record["compare"]
        pixels = pixels.replace(" hidden", " pixels hidden")
        found[nats_of, f"{data}, {pixels}, {of_condition(record)[0]}"][name] = record
    order = sorted(found, reverse=True)
    order.sort(key=lambda board: ([*KINDS].index(board[0]), -len(found[board])))
    return {board: dict(sorted(found[board].items(), key=rank(found[board]))) for board in order}


def rank(board: Plain) -> Callable[[tuple[str, Plain]], float]:
    """Return the key by which the records of a leaderboard are ordered, the best first."""
    if all(VALIDATION in record["metrics"] for record in board.values()):
        return lambda item: -item[1]["metrics"][VALIDATION]
    return lambda item: nll(item[1]["metrics"])


def nll(metrics: Metrics) -> float:
    """Return the NLL of a run, or its bound where it has no NLL."""
    return metrics["test/nll"] if "test/nll" in metrics else -metrics["test/elbo"]


def of_condition(record: Plain) -> tuple[str, str]:
    """Return what x of a run is, and what the picture of its samples shows."""
    name = re.split(r"\W", record["settings"])[0]
    return CONDITIONS.get(name, (f"given {name}", "Samples of y."))


def leaderboards(ranked: Boards, references: Plain) -> str:
    """Return the leaderboards, under a heading for each kind of nats.

    Boards of one experiment share a table in which nothing is ranked.
    """
    tables: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    judges: dict[tuple[str, str], set[float | None]] = defaultdict(set)
    for (nats_of, title), board in ranked.items():
        for name, run in board.items():
            row = place(name, run["metrics"], references.get(name, {}))
            if len(board) == 1:
                row[0] += f"<br>{title}"
            table = nats_of, title if len(board) > 1 else SINGLE
            tables[table].append(row)
            if "consistency/mean_image" in run["metrics"]:
                judges[table].add(run["metrics"].get(JUDGE))
    lines: list[str] = []
    for (nats_of, title), rows in tables.items():
        heading = f"### {KINDS[nats_of]}"
        lines += [] if heading in lines else [heading, ""]
        columns = [column for column in zip(COLUMNS, *rows, strict=True) if {*column[1:]} != {"—"}]
        header, *rest = zip(*columns, strict=True)
        lines += [f"**{title}**", "", line(*header), line(*["---"] * len(header))]
        lines += [*(line(*row) for row in rest), ""]
        if title != SINGLE and len(judges[nats_of, title]) > 1:
            lines += [DIFFERENT_JUDGES, ""]
    return "\n".join(lines)


def place(name: str, metrics: Metrics, references: Plain) -> list[str]:
    """Return the row of an experiment in its leaderboard."""
    score = filled("**{test/nll:.2f}**&nbsp;±&nbsp;{test/nll_standard_error:.2f}", metrics)
    judged = [f"consistency/{kind}" for kind in ("mean_image", "sampled_pixels")]
    return [
        f"[{name}](#{name})",
        filled("{val/elbo:.2f}", metrics).removeprefix("−") or "—",
        score or "only the bound",
        filled("{test/elbo:.2f}", metrics).removeprefix("−"),
        published(references),
        " / ".join(f"{100 * metrics[metric]:.1f}" for metric in judged if metric in metrics) or "—",
        f"{metrics['seconds'] / 60:.1f}",
        f'<img src="figures/{name}.png" width="120" alt="Samples of {name}">',
    ]


def parts(record: Plain) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the settings of a run by part, and the numbers that follow them."""
    values = re.split(r", (?![^(]*\))", record["settings"])
    return list(zip(PARTS, values, strict=False)), values[len(PARTS) :]


def published(references: Plain) -> str:
    """Return the first value that an NLL is compared with, or else the first bound."""
    for metric, kind in (("test/nll", ""), ("test/elbo", " (bound)")):
        held = references.get(metric, {})
        for model in held.get("published", []):
            return in_few_words(model, kind)
        for value, source in held.get("reference", {}).items():
            return f"{abs(value)}{kind}: {source}"
    return "—"


def number(value: float, form: str) -> str:
    """Return a number with a minus sign."""
    return f"{value:{form}}".replace("-", "−")


def filled(template: str, metrics: Metrics) -> str:
    """Return a template with its figures; nothing, if one of them was not measured."""
    try:
        return template.format_map(metrics).replace("-", "−")
    except KeyError:
        return ""


def section(name: str, record: Plain, references: Plain, chosen: str) -> str:
    """Return all that is known of an experiment."""
    metrics = record["metrics"]
    about, options = described(name)
    minutes, seconds = divmod(round(metrics["seconds"]), 60)
    by_part, numbers = parts(record)
    settings = [f"{part} `{value}`" for part, value in by_part]
    settings.append(", ".join(f"`{value}`" for value in numbers))
    picture = f'<img src="figures/{name}.png" width="320" alt="Samples of {name}">'
    text = HERE / "text" / f"{name}.md"
    return "\n".join(
        [
            f"### {name}\n\n{about}\n",
            line("samples", f"settings ([options](../conf/experiment/{name}.yaml))"),
            line("---", "---"),
            line(f"{picture}<br>*{of_condition(record)[1]}*", "<br>".join(settings)),
            f"\n**Time:** {minutes} min {seconds:02} s for {metrics['epochs']} epochs and the test "
            f"({record['machine']}).\n",
            f"**How its settings were chosen:** {chosen}\n",
            "```sh",
            record["command"],
            shlex.join(["cvae-evaluate", "RUN_DIR", *options]),
            "```\n",
            *figures(metrics),
            *verdict(metrics),
            *compared(metrics, references),
            *([text.read_text()] if text.is_file() else []),
        ]
    )


def verdict(metrics: Metrics) -> list[str]:
    """Return what an evaluation says of a model; nothing of one from before there was a verdict."""
    said = " ".join(sentences_of(metrics))
    return [f"\n**Verdict:** {said}\n"] if "verdict/pairs" in metrics else []


def figures(metrics: Metrics) -> list[str]:
    """Return the table of all figures of a run, a row for each group."""
    kl = [value for name, value in metrics.items() if name.startswith("test/kl_per_dimension/")]
    spread = {"smallest": min(kl), "median": median(kl), "largest": max(kl)} if kl else {}
    lines = [line("group", "figures of the test split"), line("---", "---")]
    for group, titles in FIGURES.items():
        values = {title: filled(form, metrics | spread) for title, form in titles.items()}
        known = [f"{title} {value}" for title, value in values.items() if value]
        lines += [line(group, "; ".join(known))] if known else []
    if kl:
        each = " ".join(f"{value:.3f}" for value in kl)
        lines += ["", f"<details><summary>KL of each dimension, nats</summary>{each}</details>"]
    return [*lines, ""]


def compared(metrics: Metrics, references: Plain) -> list[str]:
    """Return the table of what the figures of a run are compared with, if there is anything."""
    lines = [
        line("figure, in units as above", "this run", "target", "other values"),
        line(*["---"] * 4),
    ]
    for metric, held in references.items():
        title, form = NAMED[metric]
        found = metrics.get(metric)
        reach = target(found, held["reach"], form) if "reach" in held else "—"
        others = [
            f"{'−' * metric.endswith('elbo')}{in_few_words(model)}"
            for model in held.get("published", [])
        ]
        others += [
            f"{number(value, form if '%' in form else '')}: {source}"
            for value, source in held.get("reference", {}).items()
        ]
        value = "not measured" if found is None else f"**{number(found, form)}**"
        lines.append(line(title, value, reach, "<br>".join(others) or "—"))
    return [*lines, ""] if references else []


def target(value: float | None, bounds: list[float | None], form: str) -> str:
    """Return the range that was to be reached, and whether it is."""
    low, high = bounds
    wanted = " and ".join(
        f"{s} {number(b, form)}" for s, b in (("≥", low), ("≤", high)) if b is not None
    )
    if value is None:
        return wanted
    reached = (low is None or value >= low) and (high is None or value <= high)
    return f"{wanted}: {'reached' if reached else '**not reached**'}"


def described(name: str) -> tuple[str, list[str]]:
    """Return what the file of an experiment says of it, and the options of its evaluation."""
    lines = (find("conf") / "experiment" / f"{name}.yaml").read_text().splitlines()
    comment = [text[2:] for text in lines[1:] if text.startswith("# ")]
    about = [text for text in comment if not text.startswith(EVALUATED)]
    options = [text.removeprefix(EVALUATED) for text in comment if text.startswith(EVALUATED)]
    return " ".join(about), " ".join(options).split()
