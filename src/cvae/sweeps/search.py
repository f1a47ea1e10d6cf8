"""Searches by Optuna: what is tried next, and which runs are stopped early.

Optuna is used directly: Hydra's plugin for it needs an Optuna before 3, and cannot prune. The study
lies in a journal in the sweep's folder, which all processes share and which outlives them.
"""

import math
import sys
import warnings
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from lightning import Callback, LightningModule, Trainer

from cvae.config.compose import DATA_PLACES, Config, instantiate
from cvae.errors import InputError, require_at_least
from cvae.store.run_folder import RunFolder
from cvae.sweeps.combinations import fitting, options_of, values_of
from cvae.sweeps.resume_arguments import JOURNAL
from cvae.training.module import MONITOR

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

_PRUNED, _POINT = "pruned", "point"
"""User attributes of a trial: whether it was stopped early; its point, of a grid."""
_UNRANKED = (
    *("data", "data.binarize", "data.size", "data.split_seed", "data.val_fraction", *DATA_PLACES),
    *("likelihood", "condition", "condition.visible", "experiment", "seed"),
)
"""Settings that change what the nats are of, or which images and noise they are measured on."""


class Search:
    """Proposes the settings of jobs, a few at a time, and learns from what came of them.

    Everything is kept in the study: a search that was killed goes on with the jobs that it had
    begun. What is proposed depends on the seed and on the jobs that have ended.

    Args:
        options: The configuration's `search`.
        overrides: The command line's overrides: those that sweep span the space.
        seed: The run's seed.
        at_once: Jobs proposed together.

    Attributes:
        known: The jobs that are known before anything is written: none.
        trials: How many jobs there are going to be.

    Raises:
        InputError: If Optuna is missing, or the space cannot be searched.
    """

    def __init__(
        self, options: Config, overrides: Sequence[Override], seed: int | None, at_once: int
    ) -> None:
        _optuna()
        self.known: list[tuple[int, list[str]]] = []
        if seed is None:
            raise InputError("seed: a search goes by its seed; give a number")
        self.options, self.seed, self.at_once = options, seed, at_once
        overrides = list({o.get_key_element(): o for o in overrides}.values())  # the last one wins
        swept = [override for override in overrides if override.is_sweep_override()]
        if not swept:
            raise InputError(
                "search: there is nothing to search over; give a setting several values, such as "
                "latent_dim=2,8,32 or 'optimizer.lr=tag(log,interval(1e-4,1e-2))'"
            )
        for override in swept:
            if override.key_or_group in _UNRANKED:
                raise InputError(
                    f"search: {override.key_or_group} changes what is measured, so that its "
                    "values cannot be ranked; search under each of them in turn"
                )
        self.fixed = [o.input_line for o in overrides if not o.is_sweep_override() and o.input_line]
        self.options_of_groups = options_of(swept)
        grid = options["sampler"] is None
        self.space = {o.get_key_element(): _distribution(o, grid) for o in swept}
        self.grid: list[dict[str, Any]] = []
        if grid:
            choices = [space.choices for space in self.space.values()]
            self.grid = [dict(zip(self.space, point, strict=True)) for point in product(*choices)]
        else:
            require_at_least("search.trials", options["trials"] or 0, 1)
        self.trials = min(options["trials"] or len(self.grid), len(self.grid) or sys.maxsize)

    def examples(self) -> list[list[str]]:
        """Return the overrides of some jobs, in which every value to choose from is found."""
        values = {key: getattr(s, "choices", None) or (s.low,) for key, s in self.space.items()}
        first = {key: choices[0] for key, choices in values.items()}
        return [
            self._overrides({**first, key: value}, 0)
            for key, choices in values.items()
            for value in choices
        ]

    def begin(self, sweep: Path) -> list[tuple[int, list[str]]]:
        """Open the study in the sweep's folder, or start it; return the jobs that have ended.

        Raises:
            InputError: If the study is damaged, or holds what this search would not try.
        """
        self.study = _open(sweep, None)
        for trial in self.study.get_trials(deepcopy=False):
            require_of_space(trial.params, self.space)
            if trial.state.name == "RUNNING" and len(trial.params) < len(self.space):
                # It was killed between two of its settings.
                self.study.tell(trial.number, state=trial.state.FAIL)
        known = self.study.get_trials(deepcopy=False)
        # Those that failed are tried again, or others in their place.
        self.failed = sum(trial.state.name == "FAIL" for trial in known)
        taken = [trial.user_attrs.get(_POINT) for trial in known if trial.state.name != "FAIL"]
        for point in self.grid[: self.trials]:
            if point not in taken:
                self.study.enqueue_trial(point, user_attrs={_POINT: point})
        ended = [trial for trial in known if trial.state.name in ("COMPLETE", "PRUNED")]
        return [(trial.number, self._overrides(trial.params, trial.number)) for trial in ended]

    def propose(self) -> list[tuple[int, list[str]]]:
        """Return the next jobs, number and overrides each; none if the search is over."""
        known = self.study.get_trials(deepcopy=False)
        begun = [trial for trial in known if trial.state.name == "RUNNING"]
        if not begun:
            ended = sum(trial.state.is_finished() for trial in known)
            left = self.trials + self.failed - ended
            begun = [self._ask() for _ in range(min(self.at_once, left))]
        return [(trial.number, self._overrides(trial.params, trial.number)) for trial in begun]

    def tell(self, number: int, folder: Path) -> None:
        """Record what came of a job, from its folder."""
        state = _optuna().trial.TrialState
        files = RunFolder(folder)
        metrics = files.read_metrics() if files.is_finished else {}
        if MONITOR not in metrics:
            self.study.tell(number, state=state.FAIL)
        elif _PRUNED in self.study.get_trials(deepcopy=False)[number].user_attrs:
            self.study.tell(number, state=state.PRUNED)
        else:
            self.study.tell(number, metrics[MONITOR])

    def verdict(self) -> str | None:
        """Return the best settings found, in a line, or None where no run was finished."""
        known = self.study.get_trials(deepcopy=False)
        if not any(trial.state.name == "COMPLETE" for trial in known):
            return None
        best = self.study.best_trial
        pruned = sum(trial.state.name == "PRUNED" for trial in known)
        found = " ".join(f"{key}={value}" for key, value in best.params.items())
        return f"best: {found}, {MONITOR} {best.value:.2f} (job {best.number}); {pruned} pruned"

    def _ask(self) -> "FrozenTrial":
        optuna, number = _optuna(), len(self.study.get_trials(deepcopy=False))
        if not self.grid:  # seeded by the number, so that a killed search goes on as it would have
            sampler = instantiate(self.options["sampler"], seed=(self.seed + number) % 2**32)
            self.study.sampler = sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                number = self.study.ask(self.space).number
            except (ValueError, TypeError) as error:
                raise InputError(
                    "search: the study of this sweep holds what is not among what the command line "
                    f"gives to try ({str(error)[:200]}); start a new sweep"
                ) from error
        asked = self.study.get_trials(deepcopy=False)[number]
        require_of_space(asked.params, self.space)  # a study can hold points to be tried next
        return asked

    def _overrides(self, params: dict[str, Any], number: int) -> list[str]:
        chosen = [f"{key}={value}" for key, value in params.items()]
        kept = fitting([*self.fixed, *chosen], self.options_of_groups)
        return [*kept, f"search.trial={number}"]


def require_of_space(params: dict[str, Any], space: dict[str, Any]) -> None:
    """Refuse settings of a study that are not of the space that the command line gives.

    A study may come from a stranger, and its settings become options of a job.

    Args:
        params: The settings of a trial, by name.
        space: What may be tried, by name: distributions of Optuna.

    Raises:
        InputError: Naming the setting.
    """
    for name, value in params.items():
        if name not in space or not _holds(space[name], value):
            raise InputError(
                f"search: the study of this sweep holds {str(name)[:80]!r}={str(value)[:80]!r}, "
                "which is not among what the command line gives to try; start a new sweep"
            )


def _holds(distribution: Any, value: Any) -> bool:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return value in choices
    if type(value) not in (int, float) or not distribution.low <= value <= distribution.high:
        return False
    return distribution.step is None or (value - distribution.low) % distribution.step == 0


class Pruning(Callback):
    """Reports a run's validation ELBO to its search, and stops the run where that is poor.

    A run that is stopped is tested like one that stopped by itself.

    Args:
        trial: The run's trial.
    """

    def __init__(self, trial: "Trial") -> None:
        self.trial = trial

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # It was cut off after it had been stopped, while it was tested.
        if _PRUNED in self.trial.user_attrs and trainer.current_epoch > max(self._reported()):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        elbo = float(trainer.callback_metrics[MONITOR])
        if trainer.is_global_zero and trainer.current_epoch not in self._reported():
            self.trial.report(elbo, trainer.current_epoch)
        # Only the first process has reported, and all have to stop together.
        poor = trainer.strategy.reduce_boolean_decision(self.trial.should_prune(), all=False)
        if poor:
            trainer.should_stop = True
            if trainer.is_global_zero:
                self.trial.set_user_attr(_PRUNED, True)

    def _reported(self) -> dict[int, float]:
        frozen = self.trial.study.get_trials(deepcopy=False)[self.trial.number]
        return frozen.intermediate_values


def pruning(config: Config, sweep: Path) -> list[Callback]:
    """Return what a job of a search needs while it is trained; nothing for other jobs."""
    search = config["search"]
    if search is None or search["pruner"] is None:
        return []
    study = _open(sweep, instantiate(search["pruner"]))
    trial_id = study.get_trials(deepcopy=False)[search["trial"]]._trial_id
    return [Pruning(_optuna().trial.Trial(study, trial_id))]


def _open(sweep: Path, pruner: Any) -> "Study":
    optuna = _optuna()
    path = sweep / JOURNAL
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    try:
        return optuna.create_study(
            study_name="search",
            storage=optuna.storages.JournalStorage(backend),
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InputError(f"search: '{path}' is damaged ({reason}); start a new sweep") from error


def _distribution(override: Override, grid: bool) -> Any:
    made = _optuna().distributions
    value = override.value()
    if isinstance(value, IntervalSweep) and not grid:
        low, high = _ends(override, value)
        whole = isinstance(low, int) and isinstance(high, int)
        kind = made.IntDistribution if whole else made.FloatDistribution
        return kind(low, high, log="log" in value.tags)
    if isinstance(value, IntervalSweep):
        raise InputError(
            f"{override.key_or_group}: a grid needs values, not an interval; give some, "
            "such as 1e-4,1e-3, or search=tpe"
        )
    if isinstance(value, RangeSweep) and not grid and isinstance(value.step, int):
        places = list(value.range())
        if places and all(isinstance(place, int) for place in places):
            return made.IntDistribution(places[0], places[-1], step=value.step)
    return made.CategoricalDistribution(values_of(override))


def _ends(override: Override, interval: IntervalSweep) -> tuple[float, float]:
    low, high = interval.start, interval.end
    if low is None or high is None or not -math.inf < low < high < math.inf:
        raise InputError(
            f"{override.key_or_group}: an interval goes from less to more, such as "
            f"interval(1e-4,1e-2), got '{override.input_line}'"
        )
    if "log" in interval.tags and low <= 0:
        raise InputError(
            f"{override.key_or_group}: the logarithm of an interval's ends is taken, so that they "
            f"have to be above 0, got '{override.input_line}'"
        )
    return low, high


def _optuna() -> Any:
    try:
        import optuna  # takes a second, and is an extra
    except ImportError:
        raise InputError("search: needs Optuna; pip install 'lightning-cvae[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
