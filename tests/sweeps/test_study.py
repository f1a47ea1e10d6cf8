"""The study of a stranger's search: its settings are held to what the command line gives to try."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cvae.errors import InputError
from cvae.sweeps.search import Search

OPTIONS = {"sampler": {"_target_": "optuna.samplers.RandomSampler"}, "trials": 3, "pruner": None}
GIVEN = ["latent_dim=2,8", "optimizer.lr=interval(0.001,0.1)", "seed=0"]


def search() -> Search:
    overrides = OverridesParser.create().parse_overrides(GIVEN)
    return Search(OPTIONS, overrides, 0, at_once=1)


def study() -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend("study.journal")
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(study_name="search", storage=storage, direction="maximize")


def proposed(ours: Search) -> list[tuple[int, list[str]]]:
    ours.begin(Path())
    return ours.propose()


CHOICE = optuna.distributions.CategoricalDistribution
ALIEN = {
    "+callbacks.x._target_": "joblib.load",
    "latent_dim": "8 +callbacks.x._target_=os.mkdir",
    "optimizer.lr": 0.5,
    "optimizer": "os.mkdir",
}


@pytest.mark.parametrize("state", ["COMPLETE", "RUNNING", "WAITING"])
@pytest.mark.parametrize("name", ALIEN)
@pytest.mark.filterwarnings("ignore:Fixed parameter")
def test_a_study_tries_nothing_of_its_own(name: str, state: str) -> None:
    value: Any = ALIEN[name]
    if state == "WAITING":
        study().enqueue_trial({name: value})
    else:
        trial = optuna.create_trial(
            state=optuna.trial.TrialState[state],
            params={name: value},
            distributions={name: CHOICE((value,))},
            value=1.0 if state == "COMPLETE" else None,
        )
        study().add_trial(trial)
    ours = search()
    if state == "WAITING" and name not in ours.space:  # which nobody asks it for
        ((_, overrides),) = proposed(ours)
        names = {override.partition("=")[0] for override in overrides}
        assert names == {"seed", "latent_dim", "optimizer.lr", "search.trial"}
        return
    with pytest.raises(InputError, match=r"the study of this sweep holds .* start a new sweep"):
        proposed(ours)


def test_a_trial_that_was_killed_between_two_of_its_settings_is_replaced() -> None:
    first = study().ask({"latent_dim": CHOICE(("2", "8"))})
    ((number, overrides),) = proposed(search())
    assert number != first.number
    assert {o.partition("=")[0] for o in overrides} >= {"latent_dim", "optimizer.lr"}


@pytest.mark.parametrize("contents", ["{", "[]\n", '{"op_code": 0}\n', '{"op_code": 99}\n', "\0\n"])
def test_a_damaged_study_is_reported(contents: str) -> None:
    Path("study.journal").write_text(contents)
    with pytest.raises(InputError, match=r"study\.journal' is damaged"):
        search().begin(Path())
