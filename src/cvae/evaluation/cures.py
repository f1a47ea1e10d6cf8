"""What to change about an ill model: settings of this program, and who found them to help."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Settings = Mapping[str, Any]
_FEW_EPOCHS, _ENOUGH = 5, 50
"""Epochs below which more of them come before every other advice, and how many."""


class Cure(NamedTuple):
    """A change of settings.

    Attributes:
        of: The illnesses that it is against.
        applies: Whether it changes anything in a run of these settings.
        change: The settings, as the command line takes them.
        because: Why it helps, a part of a sentence.
        reference: Who found that.
        resumes: Whether a finished run can be changed so; else it is trained again.
    """

    of: tuple[str, ...]
    applies: Callable[[Settings], bool]
    change: tuple[str, ...]
    because: str
    reference: str
    resumes: bool = False


def _node(settings: Settings, name: str) -> Mapping[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, Mapping) else {}


def _class(settings: Settings, name: str) -> str:
    return str(_node(settings, name).get("_target_", "")).rpartition(".")[2]


def _beta(settings: Settings) -> float:
    beta = _node(settings, "objective").get("beta", 1.0)
    return float(beta) if isinstance(beta, int | float) else 1.0


def _fixed(settings: Settings) -> bool:
    return isinstance(_node(settings, "likelihood").get("scale"), int | float)


def _hardly_trained(settings: Settings) -> bool:
    epochs = _node(settings, "trainer").get("max_epochs")
    return isinstance(epochs, int) and 0 < epochs < _FEW_EPOCHS


_REFIT = Cure(
    ("leaks_x", "holes", "prior_wide", "prior_narrow"),
    lambda settings: not settings.get("refit"),
    ("refit=mixture",),
    "a prior fitted to the posteriors draws only z that the generator was trained on",
    "Hoffman & Johnson 2016, ELBO Surgery; Dai & Wipf 2019, Two-stage VAE",
    resumes=True,
)
CURES = (
    Cure(
        ("collapsed", "ignores_x", "too_wide", "too_narrow", "shape", "by_x"),
        _hardly_trained,
        (f"trainer.max_epochs={_ENOUGH}",),
        "a training of so few epochs has hardly begun",
        "He et al. 2019, Lagging Inference Networks and Posterior Collapse",
    ),
    _REFIT,
    Cure(
        ("collapsed", "too_wide", "too_narrow", "shape", "holes", "prior_narrow"),
        lambda settings: _beta(settings) != 1,
        ("objective.beta=1",),
        "the KL is weighted otherwise than in the bound",
        "Alemi et al. 2018, Fixing a Broken ELBO",
    ),
    Cure(
        ("collapsed", "too_wide", "too_narrow"),
        _fixed,
        ("likelihood.scale=learned",),
        "the likelihood's scale is fixed, and decides how much z is worth",
        "Rybkin, Daniilidis & Levine 2021, Calibrated Decoders",
    ),
    Cure(
        ("collapsed",),
        lambda settings: _class(settings, "objective") != "FreeBits",
        ("objective=free_bits", "objective.warmup_epochs=10"),
        "the first nats of each dimension cost nothing then",
        "Kingma et al. 2016, Improved Variational Inference with Inverse Autoregressive Flow",
    ),
    _REFIT._replace(of=("shape", "by_x")),
    Cure(
        ("ignores_x",),
        lambda settings: _class(settings, "prior") == "StandardPrior",
        ("prior=gaussian",),
        "a prior that knows x draws the z that fit it",
        "Sohn, Lee & Yan 2015, Learning Structured Output Representation",
    ),
    Cure(
        ("ignores_x",),
        lambda settings: _class(settings, "objective") != "Hybrid",
        ("objective=hybrid",),
        "the generator is trained on z that were drawn without y as well",
        "Sohn, Lee & Yan 2015, Learning Structured Output Representation",
    ),
    Cure(
        ("too_wide", "too_narrow", "shape", "by_x"),
        lambda settings: _class(settings, "prior") in ("StandardPrior", "GaussianPrior"),
        ("prior=mixture", "objective=iwae"),
        "a prior of several modes and a tighter bound can follow p(y|x) more closely",
        "Burda, Grosse & Salakhutdinov 2016, Importance Weighted Autoencoders",
    ),
)
"""Cures, the first one that applies first."""
MORE_DATA = "no setting is known to help: train longer, or on more data"
LONGER = 3
"""How many times as many epochs a training gets that was stopped too early."""
_RISE, _NOISES = 0.1, 2
"""Nats, and deviations of the noise, by which the bound has to rise to be called rising."""


def cure(illness: str, settings: Settings) -> Cure | None:
    """Return the first cure of an illness that changes something, None where there is none."""
    fitting = (one for one in CURES if illness in one.of and one.applies(settings))
    return next(fitting, None)


def rise(curve: Sequence[float]) -> float:
    r"""Return by how much a bound still rises in the last tenth of its epochs, in nats, or 0.

    It is how much better the best of them is than the best before. Less than 0.1 nats, or twice the
    noise, is nothing. The noise is the deviation of a value from the middle of its neighbours, as
    of the second differences, in the last half: their variance is six times that of the noise.

    Args:
        curve: The validation's bound after each epoch.

    Example:
        >>> rise([-9.0, -8.0, -7.0, -6.0, -5.0]), rise([-9.0, -5.0, -6.0, -5.0, -6.0])
        (1.0, 0.0)
    """
    last = max(1, len(curve) // 10)
    if len(curve) <= last or not all(map(math.isfinite, curve)):
        return 0.0
    late = curve[len(curve) // 2 - 1 :] if len(curve) > 3 else curve
    bends = [a - 2 * b + c for a, b, c in zip(late, late[1:], late[2:], strict=False)]
    noise = math.sqrt(sum(bend**2 for bend in bends) / (6 * max(1, len(bends))))
    gain = max(curve[-last:]) - max(curve[:-last])
    return gain if gain > max(_RISE, _NOISES * noise) else 0.0


def last_of(epochs: int) -> str:
    """Return what of so many epochs `rise` looks at, in words."""
    last = max(1, epochs // 10)
    return f"last {last} epochs" if last > 1 else "last epoch"


def longer(run: str, epochs: int) -> str:
    """Return the command that resumes a run of so many epochs, for more of them."""
    more = LONGER * epochs if epochs >= _FEW_EPOCHS else _ENOUGH
    return shlex.join(["cvae-train", f"resume={run}", f"trainer.max_epochs={more}"])


def command(found: Cure, run: str, overrides: Sequence[str]) -> str:
    """Return the line that tries a cure.

    Args:
        found: The cure.
        run: The run's folder.
        overrides: What the run was started with; what the cure changes is replaced.
    """
    if found.resumes:
        return shlex.join(["cvae-train", f"resume={run}", *found.change])
    changed = {one.partition("=")[0] for one in found.change}
    groups = {name for name in changed if "." not in name}
    kept = [
        one
        for one in overrides
        if (name := one.lstrip("+~").partition("=")[0]) not in changed
        and name.partition(".")[0] not in groups
        and not name.startswith(("hydra.", "resume", "sweep"))
    ]
    return shlex.join(["cvae-train", *kept, *found.change])
