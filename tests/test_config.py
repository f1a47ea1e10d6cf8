"""Every option of every group goes through one contract; what is misspelt is told in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cvae
from conftest import GROUPS, SHORT, composed, options
from cvae import building
from cvae import train as training
from cvae.config import find
from cvae.errors import InputError
from cvae.measures import examples
from cvae.pictures import grid

PARTS = [group for group in GROUPS if group not in ("launcher", "search")]  # of a run
EVERY_OPTION = [(group, name) for group in PARTS for name in options(group)]
EXPERIMENTS = sorted(p.stem for p in (find("experiments") / "experiment").glob("*.yaml"))


@pytest.fixture
def data_overrides(
    idx_root: Path, folder_root: Path, arrays_path: Path
) -> Callable[[list[str]], list[str]]:
    """Where the data of a configuration lie."""

    def found(overrides: list[str]) -> list[str]:
        if "data=arrays" in overrides:
            return [f"data.path={arrays_path}"]
        if "data=folder" in overrides:
            return [f"data.root={folder_root}"]
        if "root" in composed(*overrides)["data"]:
            return [f"data.root={idx_root}", "data.download=false"]
        return []

    return found


def keeps_the_contract(overrides: list[str], folder: Path) -> None:
    """Through the real configuration: checked, one batch trained, saved, reloaded, sampled."""
    config = composed(*overrides)
    training.check(config)
    _, metrics = training.train(config, folder)
    model = cvae.load(folder)
    log_prob = metrics[f"test/{model.generator.likelihood.log_prob_is}"]
    assert metrics["test/elbo"] == pytest.approx(log_prob - metrics["test/kl"])
    data = cvae.datamodule(folder, batch_size=12)
    wanted = examples(data) if model.condition.needs_examples else None
    images = model.sample(wanted, 3, torch.Generator().manual_seed(0))
    assert images.shape == (3, len(model.encode(wanted)), *data.sizes.image_shape)
    assert torch.isfinite(images).all()
    assert images.std() > 0
    assert torch.equal(
        images, cvae.load(folder).sample(wanted, 3, torch.Generator().manual_seed(0))
    )
    panel = grid(model, wanted, 2, torch.Generator())
    shown = model.condition.shown(model.encode(wanted)) is not None
    assert panel.images.shape[0] == 2 + shown
    assert (panel.rows[:1] == ["x"]) == shown
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


@pytest.mark.parametrize(("group", "name"), EVERY_OPTION, ids=map("=".join, EVERY_OPTION))
def test_every_option_keeps_the_contract(
    group: str, name: str, data_overrides: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    if (group, name) == ("trainer", "gpu") and not torch.cuda.is_available():
        with pytest.raises(InputError, match="trainer: No supported gpu backend"):
            training.check(composed("trainer=gpu"))
        pytest.skip("no GPU here; asking for one was refused as it should be")
    chosen = [f"{group}={name}", *SHORT]
    if group == "condition" and name in ("image", "label_and_image"):
        chosen.append("data=annotators")
    if (group, name) == ("trainer", "ddp"):
        chosen.append("trainer.accelerator=cpu")
    keeps_the_contract(chosen + data_overrides(chosen), tmp_path)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_keeps_the_contract(
    name: str, data_overrides: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    chosen = [f"experiment={name}", *SHORT]
    keeps_the_contract(chosen + data_overrides(chosen), tmp_path)


@pytest.mark.parametrize("scale", ["0.5", "learned", "per_pixel"])
@pytest.mark.parametrize("condition", ["label", "none"])
def test_the_gaussian_likelihood_s_scales_keep_the_contract(
    scale: str, condition: str, tmp_path: Path
) -> None:
    chosen = ["likelihood=gaussian", f"likelihood.scale={scale}", f"condition={condition}"]
    keeps_the_contract([*chosen, *SHORT], tmp_path)


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("prior", ["standard", "gaussian"])
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


# -- bad input: the override, and what its one line has to hold -----------------------------------

MESSAGES = [
    (["latnt_dim=2"], ["latnt_dim: no such key", "'latent_dim'"]),
    (["priors=gaussian"], ["priors: no such key", "'prior'"]),
    (["prior=gausian"], ["prior: no such option 'gausian'", "'gaussian'"]),
    (
        ["likelihood=zzz"],
        ["likelihood: no such option 'zzz'", "bernoulli, cross_entropy, gaussian"],
    ),
    (["experiment=mnits"], ["experiment: no such option 'mnits'", "'mnist'"]),
    (["optimizer.learning_rate=1"], ["optimizer.learning_rate: no such key", "known are", "lr"]),
    (["+optimizer.weight_decai=1"], ["optimizer.weight_decai: torch.optim.Adam", "weight_decay"]),
    (["+latent_dims=3"], ["latent_dims: no such key", "'latent_dim'"]),
    (["+data.rot=/tmp", "data=mnist"], ["data.rot", "takes no such argument", "'root'"]),
    (
        ["trainer.gradient_clip_val=1"],
        ["write +trainer.gradient_clip_val="],
    ),
    (["prior=null"], ["prior=null: expected the name of an option"]),
    (["latent_dim=two"], ["latent_dim: expected int, got 'two'"]),
    (["latent_dim="], ["latent_dim: expected int, got ''"]),
    (["latent_dim=2.5"], ["latent_dim: expected int, got 2.5"]),
    (["latent_dim=-1"], ["latent_dim: expected at least 0, got -1"]),
    (["seed=null"], ["seed: expected int, got None"]),
    (["optimizer.lr=fast"], ["optimizer.lr: expected float", "got 'fast'"]),
    (["optimizer.lr=-1"], ["optimizer", "Invalid learning rate: -1"]),
    (["optimizer._target_=torch.optim.Adm"], ["optimizer._target_", "torch.optim.Adm", "'Adam'"]),
    (["trainer.max_epochs=ten"], ["trainer.max_epochs: expected", "int", "got 'ten'"]),
    (["trainer.devices=0"], ["trainer: ", "trainer=cpu runs everywhere"]),
    (["trainer.precision=bf16-true"], ["trainer.precision: expected", "got bf16-true"]),
    (["trainer.precision=64-true"], ["trainer.precision: expected 32-true", "got 64-true"]),
    (["trainer.max_epochs=0"], ["nothing would be trained", "+trainer.limit_train_batches=1"]),
    (["+trainer.fast_dev_run=true"], ["nothing would be trained"]),
    (["~callbacks.best"], ["callbacks: best and last", "keep them"]),
    (["trainer.devices=2"], ["trainer.devices: several processes", "trainer=ddp"]),
    (["trainer.accelerator=abacus"], ["trainer: ", "abacus", "trainer=cpu"]),
    (["seed=-1"], ["seed: expected a whole number from 0", "got -1"]),
    (["seed=99999999999"], ["seed: expected a whole number from 0"]),
    (["data.split_seed=99999999999"], ["data.split_seed: expected a whole number from 0"]),
    (
        ["data.val_fraction=0.001"],
        ["0.001 of 1437 images", "another data.val_fraction"],
    ),
    (["network.activation=relu"], ["network.activation: expected a builder", "torch.nn.ELU"]),
    (["network.activation._target_=torch.relu"], ["network.activation._target_", "torch.nn."]),
    (["prior._target_=collections.OrderedDict"], ["prior", "belong into this package"]),
    (["condition._target_=torch.nn.ReLU"], ["condition: expected a Condition, got a ReLU"]),
    (["network.width=wide"], ["network.width: expected int, got 'wide'"]),
    (["network.width=0"], ["network.width: expected at least 1, got 0"]),
    (["objective.beta=-1"], ["objective.beta: expected at least 0, got -1"]),
    (["data.batch_size=0"], ["data.batch_size: expected at least 1, got 0"]),
    (["data.binarize=dynamc"], ["data.binarize: expected a known word", "'dynamic'"]),
    (["data.binarize=none"], ["Bernoulli", "grey", "data.binarize=dynamic", "likelihood=gaussian"]),
    (
        ["likelihood=gaussian", "likelihood.scale=0"],
        ["likelihood.scale: expected a positive number"],
    ),
    (["callbacks.early_stopping.patience=x"], ["callbacks.early_stopping.patience", "int", "'x'"]),
    (["callbacks.snapshots.every_n_epochs=0"], ["every_n_epochs: expected at least 1, got 0"]),
    (
        ["data=mnist", "data.root=nowhere", "data.download=false"],
        ["data.root", "nowhere", "digits"],
    ),
    (["hydra.run.dir=/dev/null/run"], ["/dev/null/run", "Not a directory"]),
    (["resume=nowhere"], ["resume", "nowhere", "not the folder of a run"]),
    (["prior=standard,gaussian"], ["Ambiguous value", "several values need -m"]),
    (["network.activation._target_=torch.nn.Elu"], ["did you mean 'ELU'?"]),
    (["just_a_word"], ["'just_a_word' is not of the form key=value"]),
    (["latent_dim={2"], ["latent_dim={2", "key=value"]),
    (["-m", "latent_dim=-1,-2"], ["latent_dim: expected at least 0, got -1"]),
    (["-m", "prior=standard,gausian"], ["prior: no such option 'gausian'", "'gaussian'"]),
]


@pytest.mark.parametrize(
    ("arguments", "expected"), MESSAGES, ids=[" ".join(m[0]) for m in MESSAGES]
)
def test_bad_input_ends_in_one_line_and_nothing_is_written(
    arguments: list[str], expected: list[str], call, tmp_path: Path
) -> None:
    status, out, err = call(training.main, *arguments)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("cvae-train: ")
    for words in expected:
        assert words in err
    assert list(tmp_path.iterdir()) == []
