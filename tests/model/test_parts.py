"""Parts together in a run: trained, stored, loaded, sampled; a prior that is fitted afterwards."""

import json
import math
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from lightning import Callback

import cvae
from conftest import SHORT, composed, model_of, options, train
from cvae.batch import Items
from cvae.errors import InputError
from cvae.model.distributions import moments
from cvae.model.priors.mixture import MixturePrior
from cvae.model.priors.standard import StandardPrior
from cvae.store.checkpoint import KEY, read
from cvae.store.events import curve
from cvae.store.resume_arguments import with_run_arguments
from cvae.training.prepare import prepare

TOGETHER = [
    "callbacks=ema",
    "refit=mixture",
    "likelihood=discretized_logistic",
    pytest.param("callbacks=ema trainer=ddp prior=vamp", marks=pytest.mark.slow),
    "prior=mixture prior.covariance=full",
    "prior=vamp condition=quadrants",
    "prior=flow condition=quadrants",
    "prior=mixture condition=quadrants",
    "prior=vamp condition=none",
    pytest.param("prior=flow condition=none", marks=pytest.mark.slow),
    pytest.param("prior=mixture condition=none", marks=pytest.mark.slow),
    "refit=mixture condition=quadrants",
    pytest.param("refit=flow condition=none", marks=pytest.mark.slow),
    "hierarchy=2",
    "hierarchy=2 prior=vamp posterior=full_gaussian objective=iwae refit=mixture",
    "hierarchy=3 prior=flow posterior=iaf objective=free_bits condition=none",
    "hierarchy=2 network=residual_conv network.width=4 condition=quadrants",
    "objective=iwae objective.doubly_reparameterized=true posterior=iaf",
    "likelihood=gaussian likelihood.scale=optimal",
]
SMALL = {
    "prior=vamp": "prior.components=5",
    "posterior=iaf": "posterior.width=8",
    "callbacks=ema": "trainer.max_epochs=3",  # the first step's average is that step
}


@pytest.mark.parametrize("change", TOGETHER)
def test_a_run_of_parts_together(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvae.training.refit._EPOCHS", 1)
    words = change.split()
    config = composed(*SHORT, "latent_dim=2", *words, *(SMALL[w] for w in words if w in SMALL))
    prepare(config)
    model, metrics = train(config, tmp_path)
    assert metrics["test/elbo"] == pytest.approx(
        metrics[f"test/{model.generator.likelihood.log_prob_is}"] - metrics["test/kl"], abs=1e-3
    )
    stored, again = read(tmp_path).contents, cvae.load(tmp_path)
    assert again.state_dict().keys() == stored["state_dict"].keys()
    data = cvae.datamodule(tmp_path)
    data.setup("test")
    x, y = data.on_after_batch_transfer(data.test_set.__getitems__(list(range(6))))
    images = again.sample(x, 3, torch.Generator().manual_seed(0))
    assert images.shape == (3, 6, 1, 8, 8)
    assert torch.equal(images, model.cpu().sample(x, 3, torch.Generator().manual_seed(0)))
    assert again.reconstruct(x, y).shape == (6, 1, 8, 8)
    assert again.log_prob(x, y, 20).isfinite().all()
    if "discretized_logistic" in change:
        assert metrics["test/bound_bits_per_dim"] == pytest.approx(
            -metrics["test/elbo"] / 64 / math.log(2)
        )
        # Untrained it is not far from a mass that knows nothing of 17 levels.
        assert 1 < metrics["test/bound_bits_per_dim"] < 2 * math.log2(17)
    best = torch.load(tmp_path / "checkpoints/best.ckpt")
    assert best[KEY]["config"]["prior"] == config["prior"]
    if config["refit"]:
        gained = metrics["refit/after"] < metrics["refit/before"]
        trained = config["refit"] if gained else config["prior"]
        assert stored[KEY]["config"]["prior"] == trained
    # Runs are ranked by the validation ELBO of the model that is tested, which the refit raises.
    gain = metrics.get("refit/before", 0) - metrics.get("refit/after", 0)
    expected = max(curve(tmp_path, "val/elbo").values()) + gain
    assert metrics["val/elbo"] == pytest.approx(expected, rel=1e-5)
    if "callbacks=ema" in change:
        last = torch.load(tmp_path / "checkpoints/last.ckpt")
        now, average = last["current_model_state"], last["state_dict"]
        assert any(not torch.equal(now[name], part) for name, part in average.items())


@pytest.mark.parametrize("change", ["prior=flow", "posterior=iaf", "refit=flow"])
def test_flows_without_zuko_say_how_to_get_it(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zuko", "zuko.flows", "zuko.flows.autoregressive", "zuko.transforms"):
        monkeypatch.setitem(sys.modules, name, None)
    ours = ("autoregressive", "priors.flow", "posteriors.iaf")
    for name in (f"cvae.model.{part}" for part in ours):
        monkeypatch.delitem(sys.modules, name, raising=False)
        package, _, attribute = name.rpartition(".")
        monkeypatch.delattr(f"{package}.{attribute}", raising=False)
    with pytest.raises(InputError, match=r"flows need zuko; pip install 'lightning-cvae\[flows\]'"):
        prepare(composed(change))


# -- refit ---------------------------------------------------------------------------------------


REFITTED = [
    *("prior=standard", "latent_dim=4", "network.width=64", "~callbacks.progress"),
    "trainer.max_epochs=25",
]


@pytest.fixture(scope="module", autouse=True)
def _quick_refits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvae.training.refit._EPOCHS", 15)
        yield


@pytest.fixture(scope="module")
def refitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with a prior that moves too little with x, and the same run refitted."""
    folders = []
    for refit in ([], ["refit=mixture", "refit.components=3"]):
        folder = tmp_path_factory.mktemp("refit")
        train(composed(*REFITTED, *refit), folder)
        folders.append(folder)
    return folders[0], folders[1]


def test_a_refit_changes_the_prior_and_nothing_else(refitted: tuple[Path, Path]) -> None:
    before, after = (cvae.load(folder) for folder in refitted)
    assert isinstance(after.prior, MixturePrior)
    for name, part in before.state_dict().items():
        assert torch.equal(part, after.state_dict()[name]), name  # N(0, I) has none of its own


@torch.no_grad()
def test_a_refit_raises_the_elbo_by_the_amount_it_reports(refitted: tuple[Path, Path]) -> None:
    before, after = (json.loads((f / "metrics.json").read_text()) for f in refitted)
    told = after["refit/before"] - after["refit/after"]
    model, data = cvae.load(refitted[1]), cvae.datamodule(refitted[1])
    data.setup()

    def gains(items: Items) -> torch.Tensor:  # of 100 draws for each image
        x, y = data.on_after_batch_transfer(items)
        z = model.posterior(x, y).sample((100,))
        return model.prior(x).log_prob(z) - cvae.load(refitted[0]).prior(x).log_prob(z)

    of_val, of_test = gains(data.val_set.items), gains(data.test_set.items)
    gain = of_test.mean().item()
    assert gain > 5 * of_test.mean(0).std().item() / of_test.shape[1] ** 0.5
    assert told == pytest.approx(of_val.mean().item(), abs=0.1)
    noise = of_test[0].std().item() / of_test.shape[1] ** 0.5  # of the one draw that a test takes
    assert abs(after["test/elbo"] - before["test/elbo"] - gain) < 5 * noise
    x = model.conditions_of(None)
    # The fitted prior of each class has the mean of that class's posteriors.
    items = data.train_set.items
    given, y = data.on_after_batch_transfer(items)
    z = model.posterior(given, y).sample()
    centres = torch.stack([z[items.labels == label].mean(0) for label in range(10)])
    found = moments(model.prior(x))[0]
    assert torch.corrcoef(torch.stack((found.flatten(), centres.flatten())))[0, 1] > 0.8


def test_a_finished_run_can_be_refitted(
    refitted: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cvae.left._SILENCE", 0.0)
    shutil.copytree(refitted[0], tmp_path / "run")
    refit = ["refit=mixture", "refit.components=3", f"resume={tmp_path / 'run'}"]
    config = composed(*REFITTED, *refit)
    prepare(config)
    _, metrics = train(config, tmp_path / "run")
    assert "1 of 15 epochs of the refit after" in capsys.readouterr().err
    expected = json.loads((refitted[1] / "metrics.json").read_text())
    for name in ("test/elbo", "refit/before", "refit/after", "epochs"):
        assert metrics[name] == expected[name], name


def test_a_refit_starts_from_what_was_trained_however_often(
    refitted: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(refitted[1], run)
    first = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").unlink()  # as if killed before
    words = [*REFITTED, f"resume={run}"]
    again = composed(*words, "refit=mixture", "refit.components=3")
    assert {n: v for n, v in train(again, run)[1].items() if n != "seconds"} == {
        n: v for n, v in first.items() if n != "seconds"
    }
    (run / ".hydra").mkdir()
    (run / ".hydra/overrides.yaml").write_text("[refit=mixture, refit.components=3]")
    assert "refit.components=3" not in with_run_arguments([f"resume={run}", "refit=flow"])
    assert "refit.components=3" in with_run_arguments([f"resume={run}"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvae.training.refit._RATE", 30.0)  # which goes astray
        model, metrics = train(composed(*words, "refit=mixture", "refit.components=1"), run)
    assert metrics["refit/before"] == metrics["refit/after"] == first["refit/before"]
    assert isinstance(model.prior, StandardPrior)
    assert "refit: the trained prior is kept" in capsys.readouterr().err
    assert not (run / "checkpoints/refitted.ckpt").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "refit=mixture refit.components=0",
            "refit.components: expected at least 1, got 0",
        ),
        ("refit=flow refit.steps=0", "refit.steps: expected at least 1, got 0"),
        ("refit=mixture latent_dim=0", "latent_dim .of a full covariance.: expected at least 1"),
        ("posterior=full_gaussian latent_dim=0", "latent_dim .of a full covariance.: expected"),
        ("objective=hybrid likelihood=gaussian likelihood.scale=optimal", "choose .*=learned"),
    ],
)
def test_misfits_are_reported_before_anything_is_trained(change: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        prepare(composed(*change.split()))


def test_a_run_that_goes_by_another_metric_records_its_validation_elbo(tmp_path: Path) -> None:
    by_loss = ["callbacks.best.monitor=val/loss", "callbacks.best.mode=min", "optimizer.lr=0.01"]
    _, metrics = train(composed(*SHORT, *by_loss, "trainer.max_epochs=2"), tmp_path)
    assert metrics["val/elbo"] == pytest.approx(max(curve(tmp_path, "val/elbo").values()))


# -- the average of the weights ------------------------------------------------------------------


def test_the_average_of_the_weights_warms_up(tmp_path: Path) -> None:
    """After three steps: the shares kept are 2/11, and 0.2 where (1 + 2)/(10 + 2) is more."""
    seen: list[dict[str, torch.Tensor]] = []

    class Seen(Callback):
        def on_train_batch_end(self, trainer, pl_module, *rest) -> None:
            seen.append({n: p.detach().clone() for n, p in pl_module.named_parameters()})

    line = [
        *SHORT,
        "callbacks=ema",
        "callbacks.ema.decay=0.2",
        "trainer.max_epochs=3",
        "optimizer.lr=0.1",
    ]
    train(composed(*line), tmp_path, [Seen()])
    contents = torch.load(tmp_path / "checkpoints/last.ckpt")
    for name, first in seen[0].items():
        second = 2 / 11 * first + 9 / 11 * seen[1][name]
        expected = 0.2 * second + 0.8 * seen[2][name]
        torch.testing.assert_close(contents["state_dict"][name], expected)
    assert contents["averaging_state"]["n_averaged"].item() == 3


# -- drawing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        *(f"prior={name}" for name in options("prior")),
        *(f"likelihood={name}" for name in options("likelihood")),
        *(f"network={name}" for name in options("network")),
        *("hierarchy=2", "prior=mixture prior.covariance=full"),
    ],
)
def test_threads_draw_what_one_would(overrides: str) -> None:
    model = model_of(overrides)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.3)  # else a flow's z saturate every pixel, or overflow
    state = torch.get_rng_state()

    def drawn(seed: int) -> torch.Tensor:
        return model.sample(n=2, rng=torch.Generator().manual_seed(seed))

    expected = [drawn(seed) for seed in range(8)]
    assert len({str(part.tolist()) for part in expected}) == 8
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(drawn, range(8)))
    assert all(map(torch.equal, expected, found))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(5))))
    assert torch.equal(model.sample(n=2), expected[5])  # as torch's own would
