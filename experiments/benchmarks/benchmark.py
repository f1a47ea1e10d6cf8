"""All comparisons of the framework with other trainings and with rooflines, in one table.

Usage: python experiments/benchmarks/benchmark.py MNIST_ROOT. Takes about half an hour; nothing else
should run on the machine meanwhile. With --gpu it runs `gpu.py` instead, on a GPU.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import gpu
import torch
from inference import importance_sampling, sampling
from starting import COMMANDS, memory, starting

from training import checkpoints, default_run, measure

HERE = Path(__file__).parent
BLOCKS = 10
Blocks = list[dict[str, float]]


class Claim(NamedTuple):
    """A ratio of two times, or a time, over the blocks of a measurement.

    Attributes:
        name: The two times that are compared.
        of: Turns a block into the ratio.
        aim: The target.
    """

    name: str
    of: Callable[[dict[str, float]], float]
    aim: str


def ratio(upper: str, lower: str) -> Callable[[dict[str, float]], float]:
    """Return a function that divides one time of a block by another."""
    return lambda block: block[upper] / block[lower]


def against(rival: str, aim: str) -> Claim:
    """Return the claim about the ratio of the framework's time to a rival's."""
    return Claim(f"framework / {rival}", ratio("framework", rival), aim)


def slower(rival: str, aim: str) -> Claim:
    """Return the claim about the ratio of a rival's time to the framework's."""
    return Claim(f"{rival} / framework", ratio(rival, "framework"), aim)


def a_minute(block: dict[str, float]) -> float:
    """Return the cost of one checkpoint per minute of training, in per cent."""
    return 100 * block["saving"] / block["checkpoints"] / 60


def a_hundred_steps(block: dict[str, float]) -> float:
    """Return the cost of one checkpoint per hundred steps, in per cent."""
    return 100 * block["saving"] / (block["epoch"] - block["saving"])


ROOFLINE = [against("roofline", ""), Claim("bare / roofline", ratio("bare", "roofline"), "")]
MEASURES: dict[str, tuple[Callable[[Path], Blocks], list[Claim]]] = {
    "training, batch 128": (
        lambda root: measure(root, BLOCKS, 128),
        [
            against("bare", "≤ 1.05"),
            slower("Pythae", "≥ 1.3"),
            slower("naive Lightning", ""),
            slower("per-sample", ""),
            *ROOFLINE,
        ],
    ),
    "training, batch 128, compile=true": (
        lambda root: measure(root, BLOCKS, 128, "compile=true"),
        [against("bare", "≤ 0.95"), *ROOFLINE],
    ),
    "training, batch 512": (
        lambda root: measure(root, BLOCKS, 512),
        [against("bare", "≤ 1.0"), *ROOFLINE],
    ),
    "training, batch 512, compile=true": (
        lambda root: measure(root, BLOCKS, 512, "compile=true"),
        [against("bare", "≤ 0.9"), *ROOFLINE],
    ),
    "the default run, ten epochs": (
        lambda root: default_run(BLOCKS),
        [against("bare", "≤ 1.15")],
    ),
    "checkpoints within an epoch": (
        lambda root: checkpoints(root, BLOCKS),
        [
            Claim("time of one / a minute of training, per cent", a_minute, ""),
            Claim("time of one / a hundred steps, per cent", a_hundred_steps, ""),
        ],
    ),
    "importance sampling": (
        lambda root: importance_sampling(BLOCKS, False),
        [against("roofline", "")],
    ),
    "importance sampling, compile=true": (
        lambda root: importance_sampling(BLOCKS, True),
        [against("roofline", "")],
    ),
    "sampling 10,000 digits": (
        lambda root: sampling(BLOCKS),
        [
            against("roofline", "≤ 1.6"),
            Claim("their means / roofline", ratio("means", "roofline"), ""),
            Claim("one at a time / framework", ratio("one at a time", "framework"), ""),
        ],
    ),
    "starting": (
        lambda root: starting(BLOCKS),
        [
            *(Claim(f"{name} --help, s", itemgetter(name), "≤ 0.5") for name in COMMANDS),
            Claim(
                "cvae-train, one step, less `import torch`, s",
                lambda block: block["one step"] - block["torch"],
                "≤ 4",
            ),
        ],
    ),
}


def main() -> None:
    """Measure all, or those named on the command line, and write the results."""
    if "--gpu" in sys.argv:
        sys.argv.remove("--gpu")
        gpu.main()
        return
    given, *wanted = sys.argv[1:] or [""]
    root = Path(given).absolute()
    if not (root / "MNIST" / "raw").is_dir():
        sys.exit(f"benchmark: no MNIST/raw in '{given}'; give its folder, make benchmark ARGS=DIR")
    file = HERE / "results.json"
    results = json.loads(file.read_text()) if file.is_file() else {}
    for name, (blocks, _) in MEASURES.items():
        if not wanted or name in wanted:
            print(name, flush=True, file=sys.stderr)
            results[name] = blocks(root)
            file.write_text(json.dumps(results, indent=1) + "\n")
    if not wanted or "memory" in wanted:
        results["memory, MB"] = memory(root)
    results["machine"] = machine()
    file.write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "README.md").write_text((HERE / "page.md").read_text() + table(results))


def machine() -> str:
    """Return a description of the machine that the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    model = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = model[0] if model else platform.processor()
    return f"{os.cpu_count()} cores of {name}, {platform.system()}, torch {torch.__version__}"


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown tables."""
    lines = [
        f"\n{results['machine']}.\n",
        "| measured | ratio | median | least to most | target | blocks | a GPU |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    on_gpu = gpu.ratios(HERE / "gpu.json")
    for name, (_, claims) in MEASURES.items():
        for claim in claims if name in results else []:
            found = sorted(map(claim.of, results[name]))
            spread = f"{found[0]:.2f} to {found[-1]:.2f}"
            there = on_gpu.get((name, claim.name))
            lines.append(
                f"| {name} | {claim.name} | {median(found):.2f} | {spread} | {claim.aim} "
                f"| {len(found)} | {'' if there is None else f'{there:.2f}'} |"
            )
    lines += [
        "",
        "| resident set, MB (`VmHWM`, `VmRSS`) | largest | after imports | difference |",
        "| --- | --- | --- | --- |",
    ]
    for name, sizes in results["memory, MB"].items():
        peak, imported = sizes["peak"], sizes["imported"]
        lines.append(f"| {name} | {peak:.0f} | {imported:.0f} | {peak - imported:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
