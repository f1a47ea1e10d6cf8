"""All runs of a folder on one page, and in a table."""

import base64
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from cvae.evaluation.nats import COMPARE, JUDGE, TITLES
from cvae.evaluation.verdict import mark
from cvae.runs.events import curve
from cvae.runs.results import (
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
from cvae.runs.run_folder import RunFolder
from cvae.sweeps.charts import curves, heat_map, parallel_coordinates, short, svg

_METRICS = {
    VALIDATION: "validation ELBO",
    "test/nll": "NLL",
    "test/elbo": "ELBO",
    "test/kl": "KL",
    "test/active_units": "active units",
    "consistency/mean_image": "consistency, mean image",
    "consistency/sampled_pixels": "consistency, sampled pixels",
    "distance/frechet": "Fréchet",
    "references/ged": "GED²",
    "epochs": "epochs",
    "seconds": "seconds",
}
"""What the tables show of each run; the CSV file has every metric."""
_FORMS = {
    "test/active_units": ".0f",
    "consistency/mean_image": ".1%",
    "consistency/sampled_pixels": ".1%",
    "references/ged": ".4f",
    "epochs": ".0f",
    "seconds": ".0f",
}
_SAID = ("condition", "prior", "posterior", "likelihood", "network", "objective", "latent_dim")
"""Settings that are told also where all runs have the same."""
_PAIRS = 3
"""Heat maps of so many pairs of settings at most."""
_CELLS = 10
"""Values that a side of a heat map has room for."""
_NOT_VALIDATED = " of the test, for want of a validation ELBO of the same items"
_JUDGED = ("consistency/", "distance/")
"""How the names of the metrics begin that depend on the judge."""
_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of a spreadsheet begins with that is computed."""
_MARKUP = re.compile(r"[\\`*\[\]<>|]")
"""What begins code, emphasis, a link, a tag or a cell in Markdown."""


def page(runs: Sequence[Run], title: str) -> str:
    """Return the report on these runs: one HTML page that needs no other file."""
    kinds = [
        {**_table(title, members), "charts": list(_charts(members)), "samples": _samples(members)}
        for title, members in _titled(runs)
    ]
    failures = [run for run in runs if run.failure]
    # Everything is escaped: the names in a run's files may come from anyone.
    templates = Environment(
        loader=PackageLoader("cvae.sweeps", ""), autoescape=True, undefined=StrictUndefined
    )
    return templates.get_template("report.html.jinja").render(
        title=title, summary=summary(runs), kinds=kinds, failures=failures
    )


def summary(runs: Sequence[Run]) -> str:
    """Return how many runs there are, and how many of them did not finish, in a line."""
    done = sum(bool(run.metrics) for run in runs)
    return f"{len(runs)} runs: {done} finished, {len(runs) - done} not."


def _titled(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Return the runs of each kind with a title that no other kind has."""
    kinds = grouped_by_kind(runs)
    titles = [_title(kind) for kind in kinds]
    return [
        (title if titles.count(title) == 1 else f"{title}, test data {kind[-1]}", members)
        for title, (kind, members) in zip(titles, kinds.items(), strict=True)
    ]


def _table(title: str, runs: list[Run]) -> dict[str, Any]:
    names = differing(runs)
    groups = over_seeds(runs, names)
    by, _ = score(runs)
    same = {
        name: value
        for name, value in runs[0].settings.items()
        if name not in names and name in _SAID
    }
    return {
        "title": title,
        "comparison": f"Nats per target, {COMPARE.get(runs[0].kind[0], 'of an unknown kind')}. "
        f"Best first, by {_METRICS[by]}{_NOT_VALIDATED if by != VALIDATION else ''}."
        f"{_of_judges(runs)}",
        "same": ", ".join(f"{name} {value}" for name, value in same.items()),
        "settings": [name for name in names if name != SEED],
        "metrics": [title for name, title in _METRICS.items() if name in _shown(groups)],
        "verdicts": any(mark(run.metrics) for run in runs),
        "rows": [
            {
                "settings": [short(value) for value in group.settings.values()],
                "metrics": [_told(name, group.metrics[name]) for name in _shown(groups)],
                "verdict": _marks(group.runs),
                "count": len(group.runs),
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


def _samples(runs: Sequence[Run]) -> list[dict[str, str]]:
    return [
        {"alt": _label(run, runs), "source": _embedded(picture.read_bytes(), "png")}
        for run in _ranked(runs)
        if (picture := RunFolder(run.folder).samples).is_file()
    ]


def _label(run: Run, runs: Sequence[Run]) -> str:
    """Return what tells a run from the others: its settings, or else its folder."""
    names = differing(runs)
    told = [
        ", ".join(f"{name} {short(r.settings.get(name))}" for name in names) for r in (run, *runs)
    ]
    return told[0] if names and told.count(told[0]) == 2 else run.name


def _ranked(runs: Sequence[Run]) -> list[Run]:
    return [run for group in over_seeds(runs, differing(runs)) for run in group.runs]


def _title(kind: tuple[str, ...]) -> str:
    nats_of, data, pixels, count, _ = kind
    if "?" in (nats_of, count):  # written before runs said so
        return f"{data}, runs that do not say what their nats are of"
    words = {
        "none": "grey pixels",
        "dynamic": "binarised pixels",
        "static": "pixels binarised once",
        "threshold": "split pixels",
    }
    return (
        f"{data}, {count} {words.get(pixels, 'values')}: nats of a {TITLES.get(nats_of, nats_of)}"
    )


def _shown(groups: Sequence[Group]) -> list[str]:
    return [name for name in _METRICS if all(name in group.metrics for group in groups)]


def _told(name: str, spread: Spread) -> tuple[str, str]:
    form = _FORMS.get(name, ".2f")
    if math.isnan(spread.mean):
        return "–", ""
    deviation = "" if math.isnan(spread.deviation) else format(spread.deviation, form)
    return format(spread.mean, form), deviation


def _charts(runs: Sequence[Run]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    names, (by, _) = differing(runs), score(runs)
    groups = over_seeds(runs, names)
    points = {_label(run, runs): curve(run.folder, VALIDATION) for run in _ranked(runs)}
    lines = {label: found for label, found in points.items() if found}
    if lines:
        figure = curves(lines, f"{VALIDATION}, nats per target")
        yield "Learning curves, best first", [_figure(figure, "Learning curves of all runs")]
    swept = [name for name in names if name != SEED]
    if len(groups) < 2 or not swept:
        return
    rows = [
        {**{name: _plain(group.settings[name]) for name in swept}, _METRICS[by]: mean}
        for group in groups
        if math.isfinite(mean := group.metrics[by].mean)
    ]
    if len(rows) > 1:
        figure = parallel_coordinates(rows, [*swept, _METRICS[by]])
        yield "Every setting and its result", [_figure(figure, "Parallel coordinates")]
    few = [name for name in swept if len({str(g.settings[name]) for g in groups}) <= _CELLS]
    maps = [_heat_map(groups, pair, by) for pair in list(combinations(few, 2))[:_PAIRS]]
    if maps:
        yield f"{_METRICS[by]} over two settings, mean over the others", maps


def _heat_map(groups: Sequence[Group], pair: tuple[str, str], by: str) -> dict[str, str]:
    cells: dict[tuple[str | float, str | float], list[float]] = {}
    for group in groups:
        row, column = (_plain(group.settings[name]) for name in pair)
        cells.setdefault((row, column), []).append(group.metrics[by].mean)
    rows, columns = (_ordered({cell[place] for cell in cells}) for place in (0, 1))
    means = [
        [sum(found) / len(found) if (found := cells.get((r, c))) else math.nan for c in columns]
        for r in rows
    ]
    sides = ({pair[0]: list(map(short, rows))}, {pair[1]: list(map(short, columns))})
    figure = heat_map(means, *sides, _METRICS[by])
    return _figure(figure, f"{_METRICS[by]} over {pair[0]} and {pair[1]}")


def _plain(value: Value) -> str | float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _ordered(values: set[str | float]) -> list[str | float]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _figure(figure: Figure, alt: str) -> dict[str, str]:
    return {"alt": alt, "source": _embedded(svg(figure), "svg+xml")}


def _embedded(contents: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def as_csv(runs: Sequence[Run]) -> str:
    """Return a line for each run: its name, what it is, the settings that differ, every metric."""
    settings = differing(runs)
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(map(_cell, ["run", "nats_of", *settings, *metrics, "failure"]))
    for run in runs:
        writer.writerow(
            map(
                _cell,
                [
                    run.name,
                    run.kind[0],
                    *(run.settings.get(name, "") for name in settings),
                    *(run.metrics.get(name, "") for name in metrics),
                    run.failure or "",
                ],
            )
        )
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
    for kind, members in _titled(runs):
        contents = _table(kind, members)
        verdict = ["verdict"] * contents["verdicts"]
        heads = [*contents["settings"], *contents["metrics"], *verdict, "runs"]
        lines += [f"## {_words(contents['title'])}", "", contents["comparison"], ""]
        lines += [_row(heads), _row(["---"] * len(heads))]
        for row in contents["rows"]:
            told = [f"{mean} ± {sd}" if sd else mean for mean, sd in row["metrics"]]
            said = [row["verdict"]] * contents["verdicts"]
            lines.append(_row([*row["settings"], *told, *said, str(row["count"])]))
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
