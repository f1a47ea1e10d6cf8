"""What is said of many runs, in tables: best first, seeds averaged, and what may be compared."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cvae.evaluation.nats import COMPARE, JUDGE, TITLES
from cvae.evaluation.verdict import mark
from cvae.store.results import (
    SEED,
    VALIDATION,
    Group,
    Run,
    Spread,
    Value,
    differing,
    grouped_by_kind,
    over_seeds,
    score,
)
from cvae.sweeps.words import command, word

METRICS = {
    VALIDATION: ("validation ELBO", ".2f"),
    "test/nll": ("NLL", ".2f"),
    "test/elbo": ("ELBO", ".2f"),
    "test/kl": ("KL", ".2f"),
    "test/active_units": ("active units", ".0f"),
    "consistency/mean_image": ("consistency, mean image", ".1%"),
    "consistency/sampled_pixels": ("consistency, sampled pixels", ".1%"),
    "distance/frechet": ("Fréchet", ".2f"),
    "references/ged": ("GED²", ".4f"),
    "epochs": ("epochs", ".0f"),
    "seconds": ("seconds", ".0f"),
}
"""What the tables show of each run, and how; the CSV file has every metric."""
_SAID = ("condition", "prior", "posterior", "likelihood", "network", "objective", "latent_dim")
"""Settings that are told also where all runs have the same."""
_NOT_VALIDATED = " of the test, for want of a validation ELBO of the same items"
_JUDGED = ("consistency/", "distance/")
"""How the names of the metrics begin that depend on the judge."""
_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of a spreadsheet begins with that is computed."""
_MARKUP = re.compile(r"[\\`*\[\]<>|]")
"""What begins code, emphasis, a link, a tag or a cell in Markdown."""


def summary(runs: Sequence[Run]) -> str:
    """Return how many runs there are, and how many of them did not finish, in a line."""
    done = sum(bool(run.metrics) for run in runs)
    return f"{len(runs)} runs: {done} finished, {len(runs) - done} not."


def titled(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Return the runs of each kind with a title that no other kind has."""
    kinds = grouped_by_kind(runs)
    titles = [_title(kind) for kind in kinds]
    return [
        (title if titles.count(title) == 1 else f"{title}, test data {kind[-1]}", members)
        for title, (kind, members) in zip(titles, kinds.items(), strict=True)
    ]


def table(title: str, runs: list[Run]) -> dict[str, Any]:
    """Return the table of runs of one kind: a row for all seeds of each setting, best first.

    In a row, `settings` are pairs of a word and a value, `metrics` a mean, a deviation, both as
    they are shown, and the mean as a number; `command` is what was typed, and `runs` the runs.
    """
    names = differing(runs)
    groups = over_seeds(runs, names)
    by, _ = score(runs)
    same = {
        name: word(name, value)
        for name, value in runs[0].settings.items()
        if name not in names and name in _SAID
    }
    return {
        "title": title,
        "comparison": f"Nats per target, {COMPARE.get(runs[0].kind[0], 'of an unknown kind')}. "
        f"Best first, by {METRICS[by][0]}{_NOT_VALIDATED if by != VALIDATION else ''}."
        f"{_of_judges(runs)}",
        "same": ", ".join(f"{name} {value}" for name, value in same.items()),
        "settings": [name for name in names if name != SEED],
        "metrics": [title for name, (title, _) in METRICS.items() if name in _shown(groups)],
        "verdicts": any(mark(run.metrics) for run in runs),
        "rows": [
            {
                "settings": [(word(name, value), value) for name, value in group.settings.items()],
                "metrics": [_told(name, group.metrics[name]) for name in _shown(groups)],
                "verdict": _marks(group.runs),
                "command": command(group.runs[0], runs),
                "runs": group.runs,
                "reached": group.metrics[by].mean,
            }
            for group in groups
        ],
    }


def _marks(runs: Sequence[Run]) -> str:
    """Return the verdict on the runs of a group in a few words: how many, where they differ."""
    counts = Counter(mark(run.metrics) or "not evaluated" for run in runs)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{count}× {said}" for said, count in counts.most_common())


def _of_judges(runs: Sequence[Run]) -> str:
    """Return a warning where the runs were not judged by one and the same judge, or nothing."""
    judged = [run for run in runs if any(name.startswith(_JUDGED) for name in run.metrics)]
    if len({run.metrics.get(JUDGE) for run in judged}) < 2:
        return ""
    return (
        f" These runs were judged by different judges ({JUDGE}), so that their consistency and "
        "distances cannot be compared: evaluate them with one judges=DIR."
    )


def _title(kind: tuple[str, ...]) -> str:
    nats_of, data, pixels, count, _ = kind
    if "?" in (nats_of, count):  # written before runs said so
        return f"{data}, runs that do not say what their nats are of"
    words = {
        "none": "pixel values",
        "dynamic": "binarised pixels",
        "static": "pixels binarised once",
        "threshold": "split pixels",
    }
    return (
        f"{data}, {count} {words.get(pixels, 'values')}: nats of a {TITLES.get(nats_of, nats_of)}"
    )


def _shown(groups: Sequence[Group]) -> list[str]:
    return [name for name in METRICS if all(name in group.metrics for group in groups)]


def _told(name: str, spread: Spread) -> tuple[str, str, float]:
    form = METRICS[name][1]
    if math.isnan(spread.mean):
        return "–", "", math.nan
    deviation = "" if math.isnan(spread.deviation) else format(spread.deviation, form)
    return format(spread.mean, form), deviation, spread.mean


def as_csv(runs: Sequence[Run]) -> str:
    """Return a line for each run: its name, what it is, the settings that differ, every metric."""
    settings = differing(runs)
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(map(_cell, ["run", "nats_of", *settings, *metrics, "failure"]))
    for run in runs:
        of_run = [run.settings.get(name, "") for name in settings]
        of_run += [run.metrics.get(name, "") for name in metrics]
        writer.writerow(map(_cell, [run.name, run.kind[0], *of_run, run.failure or ""]))
    return buffer.getvalue()


def _cell(value: Value) -> Value:
    """Return what a spreadsheet shows as it stands, and does not compute."""
    if not isinstance(value, str) or not value.startswith(_OF_FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def as_markdown(runs: Sequence[Run], title: str) -> str:
    """Return a table for each kind of nats, best first, and the runs that did not finish."""
    lines = [f"# {_words(title)}", "", summary(runs), ""]
    for kind, members in titled(runs):
        contents = table(kind, members)
        verdict = ["verdict"] * contents["verdicts"]
        heads = [*contents["settings"], *contents["metrics"], *verdict, "runs"]
        lines += [f"## {_words(contents['title'])}", "", contents["comparison"], ""]
        lines += [_row(heads), _row(["---"] * len(heads))]
        for row in contents["rows"]:
            told = [f"{mean} ± {sd}" if sd else mean for mean, sd, _ in row["metrics"]]
            words = [word for word, _ in row["settings"]]
            said = [row["verdict"]] * contents["verdicts"]
            lines.append(_row([*words, *told, *said, str(len(row["runs"]))]))
        lines.append("")
    failures = [run for run in runs if run.failure]
    if failures:
        lines += ["## Failed and unfinished", "", _row(["run", "why"]), _row(["---"] * 2)]
        lines += [_row([run.name, str(run.failure)]) for run in failures]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_words, cells))} |"


def _words(text: str) -> str:
    """Return text in a line, and none of it as markup."""
    return _MARKUP.sub(lambda mark: f"\\{mark[0]}", " ".join(text.split())).replace("&", "&amp;")
