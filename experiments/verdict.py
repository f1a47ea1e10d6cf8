"""The verdict of `cvae-evaluate` on forty models whose state is known, and on true processes.

Usage: python experiments/verdict.py; two hours on one core. The models are trained on simulated
data in folders of their own under `verdict/`, and the figures go to `experiments/verdict.json`:

- `models`: the state of each of the forty, and what the verdict says is wrong, the cause first. It
  is right where that is the state, or where nothing is said of a healthy model.
- `truth`: false alarms over 200 draws of data. In 120 a linear Gaussian process with its exact
  posterior is in the place of the model; in 80 a trained model is, and the data are its own draws:
  of these the alarms about p(y|x) alone count, since posteriors that are trained are never exact.
- `cures`: where the verdict of an ill run ends with a command, what comes of it.
"""

import json
import math
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

import cvae
from cvae.config.compose import resolved
from cvae.evaluation.diagnostics.examine import examine
from cvae.evaluation.image_metrics import test_split
from cvae.evaluation.sentences import sentences
from cvae.evaluation.verdict import illnesses
from cvae.store.checkpoint import read
from cvae.training.fit import fit
from cvae.training.prepare import prepare
from page_data import confusion
from simulated import write
from verdict_models import PROCESSES, drawn_from, exact

HERE, PLACE = Path(__file__).parent, Path("verdict")
RESULTS = HERE / "verdict.json"
TRAIN, TEST, SEED = 5_000, 1_500, 100
OPTIONS = (
    *("latent_dim=2", "network.width=64", "optimizer.lr=0.005", "scheduler=cosine"),
    *("data.batch_size=250", "trainer.max_epochs=25"),
    *("~callbacks.progress", "~callbacks.early_stopping", "~callbacks.snapshots"),
)
OF_Z = ("collapsed", "leaks_x", "prior_narrow", "prior_wide", "holes")


class Case(NamedTuple):
    """A model of known state.

    Attributes:
        state: The illness that it has, or "healthy".
        process: What it is trained on, of `PROCESSES`.
        options: How, beside `OPTIONS`.
        shuffled: Whether in training x is dealt to the wrong y, "all" of it, or the "second" of two
            numbers, so that nothing is learned of it.
    """

    state: str
    process: str
    options: tuple[str, ...]
    shuffled: str = ""


def case(state: str, process: str, *options: str, shuffled: str = "") -> Case:
    """Return a case."""
    return Case(state, process, options, shuffled)


CASES = (
    case("healthy", "tokens", "prior=mixture"),
    case("healthy", "bars", "prior=mixture", "trainer.max_epochs=60", "refit=mixture"),
    case("healthy", "patches", "prior=mixture", "trainer.max_epochs=60"),
    case("healthy", "walks", "prior=gaussian"),
    case("healthy", "gaps", "prior=gaussian"),
    case("healthy", "table", "prior=mixture"),
    case("healthy", "counts", "prior=mixture", "likelihood=poisson"),
    case("healthy", "modes", "prior=mixture", "trainer.max_epochs=40"),
    case("healthy", "paths", "prior=mixture", "trainer.max_epochs=40"),
    case("healthy", "common_4", "prior=gaussian"),
    # Collapsed: a KL that weighs too much,
    case("collapsed", "modes", "prior=gaussian", "objective.beta=30"),
    case("collapsed", "counts", "prior=gaussian", "objective.beta=30"),
    case("collapsed", "table", "prior=gaussian", "objective.beta=30"),
    case("collapsed", "common_8", "prior=gaussian", "objective.beta=30"),
    # a decoder that explains y alone, or a likelihood that leaves z nothing to explain,
    case("collapsed", "line_3", "prior=gaussian"),
    case("collapsed", "line_5", "prior=gaussian"),
    case("collapsed", "modes", "prior=gaussian", "likelihood.scale=2"),
    # and a training that has hardly begun.
    case("collapsed", "tokens", "prior=gaussian", "trainer.max_epochs=1", "optimizer.lr=0.0005"),
    case("collapsed", "bars", "prior=gaussian", "trainer.max_epochs=2"),
    case("collapsed", "patches", "prior=gaussian", "trainer.max_epochs=1", "optimizer.lr=0.001"),
    # Too wide or too narrow: a likelihood whose scale is fixed.
    case("too_wide", "common_4", "prior=gaussian", "likelihood.scale=1"),
    case("too_wide", "common_6", "prior=gaussian", "likelihood.scale=1"),
    case("too_wide", "common_8", "prior=gaussian", "likelihood.scale=1.1"),
    case("too_narrow", "common_4", "prior=gaussian", "likelihood.scale=0.2"),
    case("too_narrow", "common_6", "prior=gaussian", "likelihood.scale=0.2"),
    case("too_narrow", "common_8", "prior=gaussian", "likelihood.scale=0.2"),
    # The generator never learned what x says.
    case("ignores_x", "modes", "prior=gaussian", shuffled="all"),
    case("ignores_x", "counts", "prior=gaussian", "likelihood=poisson", shuffled="all"),
    case("ignores_x", "walks", "prior=gaussian", shuffled="all"),
    # Nor what the second number of x says, so that z has to.
    case("leaks_x", "halves", "prior=standard", shuffled="second"),
    # Clusters in z under a prior that has none leave holes between them.
    case("holes", "ring", "prior=gaussian", "objective.beta=0.05"),
    case("holes", "ring", "prior=gaussian", "objective.beta=0.03"),
    case("holes", "paths", "prior=gaussian", "objective.beta=0.05"),
    case("holes", "bars", "prior=gaussian", "objective.beta=0.05", "trainer.max_epochs=60"),
)
WIDTHS = (0.5, 0.67, 1.5, 2.0)
"""Factors of the noise of exact processes."""
BLIND = (1, 2)
"""Dimensions of z in exact processes whose prior is that of all x: forty models with the others."""


def train(line: list[str]) -> None:
    """Run `cvae-train` with these options.

    Raises:
        RuntimeError: If it fails.
    """
    program = "from cvae.commands.main import train; train()"
    done = subprocess.run(
        [sys.executable, "-c", program, *line], capture_output=True, text=True, env=dict(os.environ)
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(line)}: {done.stderr[-1000:]}")


def learned(index: int, of: Case) -> Path:
    """Train a case in a folder of its own, unless that is done; return the run's folder."""
    folder = PLACE / f"{index:02}_{of.state}_{of.process}"
    run = folder / "run"
    if (run / "metrics.json").is_file():
        return run
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    word, draw = PROCESSES[of.process]
    rng = np.random.default_rng(SEED + index)
    arrays, held = draw(TRAIN, rng), draw(TEST, rng)
    if of.shuffled == "all":
        arrays["x"] = rng.permutation(arrays["x"])
    elif of.shuffled:
        arrays["x"][:, 1] = rng.permutation(arrays["x"][:, 1])
    if word == "table":
        data = write(word, arrays, held, folder)
    else:
        every: dict[str, Any] = {**arrays, **{f"{name}_test": y for name, y in held.items()}}
        np.savez(folder / "data.npz", **every)
        data = [f"data.path={folder / 'data.npz'}"]
    line = [f"data={word}", *data, *OPTIONS, *of.options]
    # As `cvae-train` does, without starting Python for each.
    fit(prepare(resolved("train", line)), run)
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(line))
    return run


def judged(model: cvae.CVAE, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Return what the verdict says is wrong, its main figures, and the NLL of 500 pairs."""
    figures = examine(model, x, y).figures
    torch.manual_seed(0)
    nll = -model.log_prob(x[:500], y[:500], 400).double().mean().item()
    return {
        "found": [illness.name for illness in illnesses(figures)],
        "nll": nll,
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }


def held_out(run: Path) -> tuple[Tensor, Tensor]:
    """Return the test split of a run."""
    split = test_split(cvae.datamodule(run))
    return split.x, split.y


def true_width(truth: cvae.CVAE, model: cvae.CVAE) -> float:
    """Return how much wider a linear model is than the truth, by the traces of its covariances."""
    traces = []
    for each in (truth, model):
        z = each.prior(torch.zeros(1, 2)).stddev[0]
        w = each.generator(torch.zeros(2, 2), torch.eye(2) * z)
        traces.append(w.mean.square().sum() + w.variance[0].sum())
    return math.sqrt(traces[1] / traces[0])


def save(found: dict[str, Any]) -> None:
    """Write what there is."""
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def models(found: dict[str, Any]) -> None:
    """Examine the forty models."""
    rows = found.setdefault("models", {})
    for index, factor in enumerate(WIDTHS):
        truth, model = exact(index, noise=1.0), exact(index, noise=1.0, width=factor)
        state = "too_wide" if factor > 1 else "too_narrow"
        known = {"state": state, "process": "linear", "width": true_width(truth, model)}
        pairs = drawn_from(truth, 1000, SEED + index)
        add(found, f"exact_{factor}", known | judged(model, *pairs))
    for size in BLIND:
        known = {"state": "leaks_x", "process": "linear"}
        pairs = drawn_from(exact(size, size), 1000, SEED + size)
        add(found, f"exact_blind_{size}", known | judged(exact(size, size, blind=True), *pairs))
    for index, of in enumerate(CASES):
        name = f"{index:02}_{of.state}_{of.process}"
        if name in rows and (PLACE / name).is_dir():
            continue
        run = learned(index, of)
        known = {"state": of.state, "process": of.process, "options": " ".join(of.options)}
        add(found, name, known | judged(cvae.load(run), *held_out(run)))


def add(found: dict[str, Any], name: str, row: dict[str, Any]) -> None:
    """Add a model to the results."""
    said = row["found"][0] if row["found"] else "healthy"
    row = {"right": said == row["state"], "said": said, **row}
    found["models"][name] = row
    save(found)
    print(name, row["right"], row["found"], round(row["nll"], 3), flush=True)


def truths(found: dict[str, Any]) -> None:
    """Count the false alarms of true processes."""
    alarms = []
    for seed in range(120):
        model = exact(1000 + seed, 1 + seed % 4, 4 + seed % 3)
        figures = examine(model, *drawn_from(model, 1000, seed), seed).figures
        alarms += [("linear", illness.name) for illness in illnesses(figures)]
    healthy = [index for index, of in enumerate(CASES) if of.state == "healthy"]
    for seed in range(80):
        index = healthy[seed % len(healthy)]
        model, (x, y) = (
            cvae.load(learned(index, CASES[index])),
            held_out(learned(index, CASES[index])),
        )
        drawn = model.sample(x, 1, torch.Generator().manual_seed(seed))[0].to(y.dtype)
        drawn = torch.where(y.isnan(), y, drawn) if y.is_floating_point() else drawn
        named = [i.name for i in illnesses(examine(model, x, drawn, seed).figures)]
        alarms += [(CASES[index].process, name) for name in named if name not in OF_Z]
    found["truth"] = {"draws": 200, "false_alarms": len(alarms), "alarms": alarms}
    save(found)
    print("truth", found["truth"], flush=True)


def cures(found: dict[str, Any]) -> None:
    """Run the command that the verdict on each ill run ends with."""
    rows = found.setdefault("cures", {})
    for index, of in enumerate(CASES):
        name = f"{index:02}_{of.state}_{of.process}"
        before = found["models"][name]
        if of.state == "healthy" or of.shuffled or name in rows:
            continue
        run = learned(index, of)
        stored = read(run).config
        started = run / ".hydra" / "overrides.yaml"
        overrides = yaml.safe_load(started.read_text())
        last = sentences(before["figures"], stored, str(run), overrides)[-1]
        if not last.startswith("Try: "):
            continue
        line = last.removeprefix("Try: ").partition("  (")[0]
        after = run
        words = shlex.split(line)[1:]
        if not words[0].startswith("resume="):
            after = run.with_name("cured")
            shutil.rmtree(after, ignore_errors=True)
            words.append(f"hydra.run.dir={after}")
        train(words)
        result = judged(cvae.load(after), *held_out(after))
        rows[name] = {
            "state": of.state,
            "process": of.process,
            "command": " ".join(w for w in words if w not in overrides and "run" not in w),
            "found_before": before["found"],
            "found_after": result["found"],
            "nll_before": before["nll"],
            "nll_after": result["nll"],
            "cured": before["said"] not in result["found"]
            and set(result["found"]) <= set(before["found"])
            and result["nll"] < before["nll"],
            "figures_after": result["figures"],
        }
        save(found)
        print(
            "cure",
            name,
            rows[name]["cured"],
            rows[name]["found_after"],
            before["nll"],
            result["nll"],
            flush=True,
        )


def main() -> None:
    """Do all that is not done."""
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    models(found)
    if "truth" not in found:
        truths(found)
    cures(found)
    print(confusion(found["models"]))


if __name__ == "__main__":
    main()
