"""The tables of the page that come from `simulated.json`, `verdict.json` and `real_data.json`."""

import json
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from real_data_sources import IWAE, QUESTIONS
from simulated_processes import SIMULATIONS

HERE = Path(__file__).parent
MEASURES = {
    "kolmogorov_smirnov": "Kolmogorov-Smirnov",
    "total_variation": "total variation",
    "correlation": "difference of correlations",
    "auc": "AUC on real rows",
}


def tables_of_data() -> dict[str, str]:
    """Return the tables by the words that stand for them in `page.md`."""
    known = json.loads((HERE / "real_data.json").read_text())
    simulations = json.loads((HERE / "simulated.json").read_text())
    return {
        "{simulated}": simulated(simulations),
        "{energy distance}": energy_distance(simulations["label_maps"]),
        **verdict_tables(json.loads((HERE / "verdict.json").read_text())),
        "{real data}": real_data(known),
        "{draws}": draws(known["survey"]["draws"]),
    }


def simulated(found: dict[str, Any]) -> str:
    """Return the table of what was learned of simulated data."""
    columns = ("data", "y", "true NLL", "KL(true ‖ model)", "for 10 dimensions")
    scores = ("energy score: model, process, p(y)", "CRPS: model, process, p(y)")
    rows = [[*columns, "largest error of a mode's share", *scores, "minutes", "draws"]]
    for name, simulation in SIMULATIONS.items():
        of = found[name]
        rows.append(
            [
                f"`{simulation.word}`",
                simulation.about,
                f"{of['true_nll']:.2f}",
                f"{of['kl']:.3f} ± {of['kl_standard_error']:.3f}",
                f"{of['kl_per_10_dimensions']:.3f}",
                f"{of['largest_error_of_a_share']:.1%}",
                *(
                    ", ".join(
                        f"{of[score + whose]:.4f}" for whose in ("", "_of_process", "_of_data")
                    )
                    for score in ("energy", "crps")
                ),
                f"{of['minutes']:.1f}",
                f'<img src="figures/simulated_{name}.png" width="240" alt="Draws for {name}">',
            ]
        )
    return table(rows)


def energy_distance(of: dict[str, float]) -> str:
    """Return the sentence about the label maps."""
    own, process = of["ged"], of["ged_of_process"]
    return f"{own:.4f}, and that of the process {process:.4f}: a ratio of {own / process:.3f}"


def verdict_tables(found: dict[str, Any]) -> dict[str, str]:
    """Return what the verdict says of models of known state."""
    models, cured, truth = found["models"], found["cures"], found["truth"]
    wide = [of for of in models.values() if "width" in of]
    rows = [["model", "what it has", "advice", "said before", "said after", "NLL before", "after"]]
    for _, of in sorted(cured.items()):
        said = [", ".join(of[f"found_{when}"]) or "nothing" for when in ("before", "after")]
        nll = [f"{of[f'nll_{when}']:.2f}" for when in ("before", "after")]
        rows.append([of["process"], of["state"], f"`{of['command']}`", *said, *nll])
    return {
        "{confusion}": confusion(models),
        "{right}": f"{sum(of['right'] for of in models.values())} of {len(models)}",
        "{false alarms}": f"{truth['false_alarms']} of {truth['draws']}",
        "{widths}": "; ".join(f"{of['figures']['width']:.2f} of {of['width']:.2f}" for of in wide),
        "{cures}": table(rows),
        "{cured}": f"{sum(of['cured'] for of in cured.values())} of {len(cured)}",
    }


def confusion(models: dict[str, Any]) -> str:
    """Return what is said first of models of each state, a row for each state."""
    states = list(dict.fromkeys(of["state"] for of in models.values()))
    said = list(dict.fromkeys([*states, *(of["said"] for of in models.values())]))
    rows = [["state, and what is said", *(f"`{name}`" for name in said)]]
    for state in states:
        counts = Counter(of["said"] for of in models.values() if of["state"] == state)
        rows.append([f"`{state}`", *(str(counts[name] or "") for name in said)])
    return table(rows)


def real_data(found: dict[str, Any]) -> str:
    """Return the table of the NLL of every method, the best of each data set in bold."""
    rows = [["data", "method", "NLL", "more than cvae's", "seconds", "picked"]]
    for name, question in QUESTIONS.items():
        methods = {method: of for method, of in found[name].items() if "nll" in known(of)}
        best = min(methods, key=lambda method: mean(methods[method]["nll"]))
        title = f"**{name}**, `{question.word}`: {question.about}. {question.source}"
        for method, of in methods.items():
            pairs = zip(of["nll"], methods["cvae"]["nll"], strict=True)
            nll = spread(of["nll"], 2)
            rows.append(
                [
                    title,
                    method,
                    f"**{nll}**" if method == best else nll,
                    "" if method == "cvae" else spread([nats - own for nats, own in pairs], 2),
                    f"{mean(of['seconds']):.1f}",
                    of["settings"].replace(IWAE, "objective=iwae"),
                ]
            )
            title = ""
    return table(rows)


def known(of: Any) -> dict[str, Any]:
    """Return what is known of a method; nothing, if this is a figure of the data."""
    return of if isinstance(of, dict) else {}


def draws(found: dict[str, Any]) -> str:
    """Return the table of how far drawn rows are from real ones."""
    rows = [["rows", *MEASURES.values()]]
    for name, of in found.items():
        rows.append([name, *(spread([one[measure] for one in of], 3) for measure in MEASURES)])
    return table(rows)


def spread(values: list[float], digits: int) -> str:
    """Return a mean ± the deviation of the values."""
    text = f"{mean(values):.{digits}f}&nbsp;±&nbsp;{stdev(values):.{digits}f}"
    return text.replace("-", "−")


def table(rows: list[list[str]]) -> str:
    """Return a table in Markdown, whose first row is its head."""
    return "\n".join(line(*row) for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def line(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
