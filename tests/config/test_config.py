"""One contract test takes every option of every group; a misspelling is reported in one line."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException

import cvae
from conftest import DATA_FOR, GROUPS, SHORT, composed, options, train, written_own_data
from cvae.config import building
from cvae.config.compose import find
from cvae.config.explain_errors import explain
from cvae.errors import InputError
from cvae.evaluation.image_metrics import examples
from cvae.evaluation.panels import draw
from cvae.evaluation.pictures import pictures_of
from cvae.training.prepare import prepare

ERRORS = {
    "RuntimeError: a cable": RuntimeError("a cable\nis loose"),
    "KeyError": KeyError(),
    "'x.png': No such file": FileNotFoundError(2, "No such file", "x.png"),
}
"""Errors of a constructor that are not about an argument, by the reason in the message."""


class Failing:
    def __init__(self, told: str) -> None:
        raise ERRORS[told]


@pytest.mark.parametrize("told", ERRORS)
def test_an_error_of_a_constructor_says_its_reason(told: str) -> None:
    node = {"_target_": f"{__name__}.Failing", "told": told}
    with pytest.raises((type(ERRORS[told]), InstantiationException)) as caught:
        building.instantiated(node, "data")
    if isinstance(caught.value, InstantiationException):  # Hydra 1.4 leaves errors as they are
        assert str(explain(caught.value)).endswith(told)


PARTS = [group for group in GROUPS if group not in ("launcher", "search")]  # of a run
MARKS = {
    ("trainer", "ddp"): pytest.mark.slow,  # tests/training/test_devices.py trains with it
    **{
        ("logger", name): pytest.mark.skipif(find_spec(name) is None, reason=f"without {name}")
        for name in ("mlflow", "wandb")
    },
}
EVERY_OPTION = [
    pytest.param(group, name, marks=MARKS.get((group, name), ()), id=f"{group}={name}")
    for group in PARTS
    if group != "experiment"
    for name in options(group)
]
EXPERIMENTS = sorted(p.stem for p in (find("conf") / "experiment").glob("*.yaml"))


@pytest.fixture
def own_data(arrays_path: Path, folder_root: Path, tmp_path: Path) -> dict[str, list[str]]:
    """The folder or file of each kind of own data, by its option."""
    own = written_own_data(tmp_path)
    return own | {"arrays": [f"data.path={arrays_path}"], "folder": [f"data.root={folder_root}"]}


@pytest.fixture
def data_overrides(
    idx_root: Path, own_data: dict[str, list[str]]
) -> Callable[[list[str]], list[str]]:
    """The folder or file of a configuration's data."""

    def found(overrides: list[str]) -> list[str]:
        for name, chosen in own_data.items():
            if f"data={name}" in overrides:
                return chosen
        if "root" in composed(*overrides)["data"]:
            return [f"data.root={idx_root}", "data.download=false"]
        return []

    return found


def keeps_the_contract(overrides: list[str], folder: Path) -> None:
    """Through the real configuration: checked, one batch trained, saved, reloaded, sampled."""
    config = composed(*overrides)
    _, metrics = train(config, folder)
    model = cvae.load(folder)
    log_prob = metrics[f"test/{model.generator.likelihood.log_prob_is}"]
    assert metrics["test/elbo"] == pytest.approx(log_prob - metrics["test/kl"], abs=1e-4)
    data = cvae.datamodule(folder, batch_size=12)
    wanted = examples(data, 10).x if model.condition.needs_examples else None
    drawn = model.sample(wanted, 3, torch.Generator().manual_seed(0))
    assert drawn.shape == (3, len(model.conditions_of(wanted)), *data.sizes.y.shape)
    assert torch.isfinite(drawn).all()
    assert drawn.std() > 0
    assert torch.equal(drawn, cvae.load(folder).sample(wanted, 3, torch.Generator().manual_seed(0)))
    seen = draw(model, wanted, 2, torch.Generator(), mean=True)
    assert len(seen.draws) == 2
    shown = model.condition.shown(model.conditions_of(wanted)) is not None
    assert (seen.shown is not None) == shown
    assert pictures_of(data.sizes).samples(seen).axes
    x, y = next(iter_batches(data))
    for distribution, event_shape in (
        (model.prior(x), (config["latent_dim"],)),
        (model.posterior(x, y), (config["latent_dim"],)),
        (model.generator(x, model.prior(x).sample()), model.condition.y_shape),
    ):
        assert distribution.batch_shape == (12,)
        assert distribution.event_shape == event_shape
    assert model.log_prob(x, y, 5).shape == (12,)


def iter_batches(data):
    data.prepare_data()
    data.setup("test")
    for batch in data.test_dataloader():
        yield data.on_after_batch_transfer(batch)


@pytest.mark.parametrize(("group", "name"), EVERY_OPTION)
def test_every_option_keeps_the_contract(
    group: str,
    name: str,
    data_overrides: Callable[[list[str]], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cvae.training.refit._EPOCHS", 1)
    if (group, name) == ("trainer", "gpu") and not torch.cuda.is_available():
        with pytest.raises(InputError, match="trainer: No supported gpu backend"):
            prepare(composed("trainer=gpu"))
        pytest.skip("no GPU here; asking for one was refused as it should be")
    chosen = [f"{group}={name}", *SHORT]
    if group == "condition" and name in ("given", "label_and_given"):
        chosen.append("data=annotators")
    if group == "likelihood" and name in DATA_FOR:
        chosen.append(f"data={DATA_FOR[name]}")
    if (group, name) == ("trainer", "ddp"):
        chosen.append("trainer.accelerator=cpu")
    keeps_the_contract(chosen + data_overrides(chosen), tmp_path)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_keeps_the_contract(
    name: str,
    data_overrides: Callable[[list[str]], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cvae.training.refit._EPOCHS", 1)
    # Compiled networks have a test of their own, which takes a minute less.
    chosen = [f"experiment={name}", *SHORT, "compile=false"]
    keeps_the_contract(chosen + data_overrides(chosen), tmp_path)


@pytest.mark.parametrize("scale", ["0.5", "learned", "per_element"])
@pytest.mark.parametrize("condition", ["label", "none"])
def test_the_gaussian_likelihood_s_scales_keep_the_contract(
    scale: str, condition: str, tmp_path: Path
) -> None:
    chosen = ["likelihood=gaussian", f"likelihood.scale={scale}", f"condition={condition}"]
    keeps_the_contract([*chosen, *SHORT], tmp_path)


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("prior", ["standard", "gaussian", "mixture", "vamp"])
def test_a_deterministic_network_keeps_the_contract(
    network: str, prior: str, tmp_path: Path
) -> None:
    keeps_the_contract(
        ["latent_dim=0", f"network={network}", f"prior={prior}", *SHORT], tmp_path / "run"
    )
    model, data = cvae.load(tmp_path / "run"), cvae.datamodule(tmp_path / "run")
    x, y = next(iter_batches(data))
    # Nothing to infer: the estimate of log p(y|x) is that log-probability itself.
    known = model.generator(x, torch.empty(len(x), 0)).log_prob(y)
    torch.testing.assert_close(model.log_prob(x, y, 3), known)
    first, second = model.sample(list(range(10)), 2, mean=True)
    assert torch.equal(first, second)


def test_the_likelihood_chooses_the_pixels_and_the_command_line_has_the_last_word() -> None:
    assert composed("likelihood=bernoulli")["data"]["binarize"] == "dynamic"
    assert composed("likelihood=gaussian")["data"]["binarize"] == "none"
    assert composed("data.binarize=threshold")["data"]["binarize"] == "threshold"


def test_shared_facts_reach_what_is_built() -> None:
    config = composed("latent_dim=5", "network.width=24", "network.depth=1", "data=digits")
    data = building.build_datamodule(config)
    model = building.build_model(config, data.sizes)
    assert model.prior.network.layers[-2].out_features == 10
    assert model.posterior.network.layers[0].in_features == 64 + 10
    assert model.posterior.network.layers[0].out_features == 24
    assert model.generator.network.layers[0].in_features == 5 + 10


def test_a_resolved_configuration_is_plain_data() -> None:
    def walk(value: object) -> None:
        if isinstance(value, dict):
            assert type(value) is dict
            for key, item in value.items():
                assert isinstance(key, str)
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            assert value is None or type(value) in (str, int, float, bool)

    walk(composed("experiment=mnist"))
