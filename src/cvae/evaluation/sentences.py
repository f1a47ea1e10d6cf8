"""The verdict in plain sentences: is z used, is p(y|x) right, and what to change."""

from collections.abc import Sequence

from cvae.evaluation.cures import MORE_DATA, Settings, command, cure, last_of, longer
from cvae.evaluation.diagnostics.calibration import band
from cvae.evaluation.verdict import (
    COVERAGES,
    FEWEST,
    LEVEL,
    OF_Z,
    PREFIX,
    TESTS,
    TOO_NARROW,
    TOO_WIDE,
    Figures,
    Illness,
    coverage_in_words,
    has_z,
    illnesses,
    signs_of_another_shape,
)


def sentences(
    figures: Figures,
    settings: Settings | None = None,
    run: str = "RUN_DIR",
    overrides: Sequence[str] = (),
    risen: float = 0.0,
    pairs: int | None = None,
) -> list[str]:
    """Return the verdict: two sentences on z and on p(y|x) where all is well, else the illnesses.

    A run whose bound was still rising is to go on before anything else is changed.

    Args:
        figures: As `examine` gives them.
        settings: The run's resolved configuration; without it no cure is named.
        run: The run's folder.
        overrides: What the run was started with.
        risen: Nats by which its bound still rose when all its epochs were done, as `rise` says.
        pairs: Test pairs that there are, of which figures may be too few.

    Example:
        >>> sentences({"width": 2.0, "width_p_value": 0.001})
        ['The draws are too wide: 2.00 times as wide as the data.']
    """
    if not figures:
        there = "" if pairs is None else f", and there are {pairs}"
        return [f"There are too few test pairs for a verdict: it needs {FEWEST}{there}."]
    found = illnesses(figures)
    derived = {
        "signs": signs_of_another_shape(figures),
        "worth": max(0.0, figures.get("gain_by_z", 0.0)),
    }
    said = [illness.said.format(**figures, **derived) for illness in found]
    if has_z(figures) and not any(illness.name in OF_Z for illness in found):
        said.insert(0, _used(figures))
    if not any(illness.name not in OF_Z for illness in found):
        said.append(_right(figures))
    if settings is not None and risen > 0:
        said.append(_go_on(settings, run, risen))
    if [illness.name for illness in found] == ["collapsed"]:
        said.append("Nothing is wrong with draws that need no z; latent_dim=0 gives the same ones.")
    elif found and settings is not None:
        said += _advice(found, settings, run, overrides, first=not risen > 0)
    return said


def _used(f: Figures) -> str:
    bounds = sorted((max(0.0, f["information_at_least"]), f["information_at_most"]))
    low, high = (f"{bound:.2f}" for bound in bounds)
    nats = low if low == high else f"{low} to {high}"
    return (
        f"z is used: it carries {nats} nats about y, in "
        f"{f['active_units']:.0f} of {f['latent_dim']:.0f} dimensions, and y costs "
        f"{f['gain_by_z']:.2f} nats more under the z of another pair."
    )


def _right(f: Figures) -> str:
    worst = max(COVERAGES, key=lambda name: f[name])
    each = f.get("statistics", 1.0) if worst == "ranks" else 1.0
    allowed = band(int(f["pairs"]), 1 - LEVEL / len(TESTS) / each)
    width = f"the draws are {f['width']:.2f} times as wide as the data"
    if not TOO_NARROW <= f["width"] <= TOO_WIDE:
        width += " (1 is right), which is no sign of illness as the ranks of y are as wide as due"
        width += f" (p = {f['width_p_value']:.2g})" if "width_p_value" in f else ""
    return (
        f"p(y|x) is right as far as {f['pairs']:.0f} test pairs can tell: {width}, and the "
        f"{coverage_in_words(f, worst)}, the most of all; by chance it may be off by {allowed:.0%}."
    )


def _go_on(settings: Settings, run: str, risen: float) -> str:
    epochs = settings["trainer"]["max_epochs"]
    return (
        f"Try first: {longer(run, epochs)}  (its {epochs} epochs were too few: the validation ELBO "
        f"rose by {risen:.2g} nats in the {last_of(epochs)})"
    )


def _advice(
    found: Sequence[Illness],
    settings: Settings,
    run: str,
    overrides: Sequence[str],
    first: bool = True,
) -> list[str]:
    """Return the first cure of what was found, `first` unless the run is to go on before."""
    for illness in found:
        chosen = cure(illness.name, settings)
        if chosen is not None and not first and chosen.change[0].startswith("trainer.max_epochs"):
            return []  # which has been said
        if chosen is not None:
            line = command(chosen, run, overrides)
            when = "Try" if first else "If that does not help"
            return [f"{when}: {line}  ({chosen.because}; {chosen.reference})"]
    return [f"Against this, {MORE_DATA}."] if first else []


def sentences_of(metrics: Figures) -> list[str]:
    """Return the verdict of a run from its metrics, without a cure; none where it has none.

    Example:
        >>> metrics = {"samples": 9, "verdict/width": 0.5, "verdict/width_p_value": 0.001}
        >>> sentences_of(metrics)
        ['The draws are too narrow: 0.50 times as wide as the data.']
        >>> sentences_of({"test/elbo": -9.0})
        []
    """
    figures = {
        name.removeprefix(PREFIX): value
        for name, value in metrics.items()
        if name.startswith(PREFIX)
    }
    try:
        return sentences(figures) if "samples" in metrics else []
    except KeyError:  # an evaluation of before there were all of today's figures
        return []
