"""The metrics of an evaluation as a person reads them."""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from cvae.evaluation.metrics.latent import KL_PER_DIMENSION, latent_verdict
from cvae.evaluation.nats import COMPARE, JUDGE
from cvae.evaluation.verdict import PREFIX
from cvae.lines import wrapped
from cvae.model.cvae import CVAE

_MEANS = {
    "refit/before": ": nats of z under the trained prior",
    "refit/after": ": the same under the fitted one",
}
"""What names say too little of, in words."""

_ERROR = "_standard_error"


def show(
    metrics: Mapping[str, float],
    model: CVAE,
    said: Sequence[str] = (),
    title: str = "test split",
) -> None:
    """Print a model's metrics as a table, with the remarks that they need.

    Args:
        metrics: The metrics by name.
        model: The model.
        said: The verdict, a sentence each, which comes first and replaces the remark on z.
        title: What was evaluated.
    """
    for sentence in said:
        command, apart, reason = sentence.partition("  (")
        print(command if apart else wrapped(sentence))  # a command stays whole, to be pasted
        if apart:
            print(wrapped(f"  ({reason}"))
    nats_of = model.generator.likelihood.nats_of
    caption = f"nats per target, ± a standard error over targets, {COMPARE[nats_of]}"
    table = Table("metric", "value", title=title, caption=caption)
    table.columns[1].justify = "right"
    part = "test"
    kl = [value for name, value in metrics.items() if name.startswith(KL_PER_DIMENSION)]
    for name in metrics:
        stands_beside = name.endswith(_ERROR) and name.removesuffix(_ERROR) in metrics
        if name.startswith(KL_PER_DIMENSION) or _only_in_the_file(name) or stands_beside:
            continue
        if name.rpartition("/")[0] != part:
            part = name.rpartition("/")[0]
            table.add_section()
        table.add_row(f"{name}{_MEANS.get(name, '')}", _with_error(name, metrics))
        if name == "test/kl" and kl:
            spread = f"{max(kl):.2f} / {median(kl):.2f} / {min(kl):.2f}"
            table.add_row("  of one dimension: most / median / least", spread)
    Console().print(table)
    latent_dim = model.generator.latent_dim
    verdict = latent_verdict(metrics["test/kl"], int(metrics["test/active_units"]), latent_dim)
    if verdict is not None and not said:
        print(wrapped(verdict))
    if "test/nll_at_most" in metrics and "test/nll_at_least" not in metrics:
        print(
            wrapped(
                f"The NLL is at most {metrics['test/nll_at_most']:.2f}: every doubling of the "
                "draws lowers it as much as the one before; more samples say how low it is"
            )
        )


def _with_error(name: str, metrics: Mapping[str, float]) -> str:
    error = metrics.get(f"{name}{_ERROR}")
    said = formatted(name, metrics[name])
    return said if error is None else f"{said} ± {formatted(name, error)}"


def _only_in_the_file(name: str) -> bool:
    """Return whether a figure of the verdict is left out: the sentences say what it means."""
    own = (f"{PREFIX}is/", f"{PREFIX}best_of/", f"{PREFIX}statistics")
    return name.startswith(own) or (
        name.startswith(PREFIX) and name.endswith(("_p_value", "_error"))
    )


def formatted(name: str, value: float) -> str:
    """Return a metric's value as tables show it."""
    if name == JUDGE:
        return f"{int(value):08x}"
    match name.partition("/")[0]:
        case "judge" | "consistency":
            return f"{value:.2%}"
        case "verdict" if isinstance(value, float):
            return f"{value:.3g}"
        case "distance" | "references" | "references_redrawn" if isinstance(value, float):
            return f"{value:.4f}"
    if name.endswith("bits_per_dim"):
        return f"{value:.3f}"
    return f"{value:.2f}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"
