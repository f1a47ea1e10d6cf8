"""All runs of a folder on one page, which needs no network and no other file."""

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cvae.store.events import curve
from cvae.store.results import VALIDATION, Run, Value, score
from cvae.store.run_folder import RunFolder
from cvae.sweeps.charts import Scale, heat_map, scale, thinned, window
from cvae.sweeps.tables import METRICS, summary, table, titled
from cvae.sweeps.words import swept, swept_values, whole_command, word

_PAIRS = 3
"""Heat maps of so many pairs of settings at most."""
_CELLS = 10
"""Values that a side of a heat map has room for."""
_SCRIPTS = ("uplot/uPlot.iife.min.js", "report.js")
_STYLES = ("uplot/uPlot.min.css", "report.css")


def page(runs: Sequence[Run], folder: str) -> str:
    """Return the report on these runs: one HTML page.

    Nothing of a run is in its scripts, which read what they draw from the tables, and no other
    script may be executed.

    Args:
        runs: The runs.
        folder: What the page says that they are in.
    """
    done = [run for run in runs if run.metrics]
    scripts = [_own(name) for name in _SCRIPTS]
    # Everything else is escaped: the names in a run's files may come from anyone.
    templates = Environment(
        loader=PackageLoader("cvae.sweeps", ""), autoescape=True, undefined=StrictUndefined
    )
    return templates.get_template("report.html.jinja").render(
        title=swept(done) or folder,
        folder=folder,
        swept=swept_values(done),
        summary=summary(runs),
        kinds=[_part(str(n), *kind) for n, kind in enumerate(titled(runs))],
        failures=[run for run in runs if run.failure],
        scripts=scripts,
        styles=[_own(name) for name in _STYLES],
        allowed=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
    )


def _own(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _part(name: str, title: str, runs: list[Run]) -> dict[str, Any]:
    """Return what the page says of runs of one kind."""
    found = table(title, runs)
    rows, (by, sign) = found["rows"], score(runs)
    colours = scale([row["reached"] for row in rows], sign)
    for number, row in enumerate(rows):
        row["share"] = colours.share(row["reached"])
        row["shown"] = [
            {
                "id": f"picture-{name}-{number}-{place}",
                "name": run.name,
                "command": whole_command(run),
                "picture": _picture(run),
            }
            for place, run in enumerate(row["runs"])
        ]
    curves = [
        {"run": run, "row": number, "points": thinned(points)}
        for number, row in enumerate(rows)
        for run in row["runs"]
        if (points := curve(run.folder, VALIDATION))
    ]
    finite = [row for row in rows if math.isfinite(row["reached"])]
    beyond = " and worse" if any(sign * (r["reached"] - colours.worst) > 0 for r in finite) else ""
    return found | {
        "by": METRICS[by][0],
        "ends": {"worst": f"{colours.worst:.2f}{beyond}", "best": f"{colours.best:.2f}"},
        "curves": curves,
        "curves_of": f"{VALIDATION}, nats per target",
        "window": window([line["points"] for line in curves]),
        "coordinates": len(finite) > 1 and bool(found["settings"]),
        "heat_maps": list(_heat_maps(found["settings"], rows, colours)),
        "samples": any(run["picture"] for row in rows for run in row["shown"]),
    }


def _heat_maps(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], colours: Scale
) -> Iterator[dict[str, Any]]:
    if len(rows) < 2:
        return
    values = [[_plain(value) for _, value in row["settings"]] for row in rows]
    few = [i for i in range(len(names)) if len({row[i] for row in values}) <= _CELLS]
    for one, other in list(combinations(few, 2))[:_PAIRS]:
        pairs = [(row[one], row[other]) for row in values]
        found = heat_map(pairs, [row["reached"] for row in rows])
        down = [word(names[one], value) for value in found.down]
        cells = [
            [cell and {**cell._asdict(), "share": colours.share(cell.mean)} for cell in line]
            for line in found.cells
        ]
        yield {
            "names": (names[one], names[other]),
            "across": [word(names[other], value) for value in found.across],
            "lines": list(zip(down, cells, strict=True)),
        }


def _plain(value: Value) -> str | float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _picture(run: Run) -> str | None:
    file = RunFolder(run.folder).samples
    if not file.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
