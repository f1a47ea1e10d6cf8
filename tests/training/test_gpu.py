"""On a GPU: train, resume, sweep, evaluate, export and refit, each held against the CPU.

`pytest -m gpu tests`. Without a GPU they are skipped.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import cvae
from conftest import QUICK, SHORT, STEPS, built, composed, cut_off, results, train
from cvae.commands import main as cli
from cvae.training.module import TrainingModule
from same_bits import differing, outcome

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
GPU = "trainer=gpu"
NO_NOISE = ["latent_dim=0", "likelihood=gaussian", "network.width=16", "~callbacks.progress"]


@pytest.fixture(autouse=True)
def _single_precision() -> Iterator[None]:
    """By default cuDNN multiplies float32 with the ten bits of TF32, which no CPU does."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


def parts_of(model: TrainingModule, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    """The three log-densities at given x, y and z, (B,) each, then the gradients of their mean."""
    parts = [
        model.prior(x).log_prob(z),
        model.posterior(x, y).log_prob(z),
        model.generator(x, z).log_prob(y),
    ]
    torch.stack(parts).mean().backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return [part.detach().cpu() for part in (*parts, *gradients)]


@pytest.mark.parametrize("option", STEPS)
def test_networks_compute_what_they_do_on_a_cpu(option: str) -> None:
    torch.manual_seed(0)
    data, model = built(option)
    x, y = data.on_after_batch_transfer(next(iter(data.train_dataloader())))
    z = torch.randn(len(y), model.generator.latent_dim)
    there = copy.deepcopy(model).cuda()
    here = parts_of(model, x, y, z)
    for one, other in zip(here, parts_of(there, x.cuda(), y.cuda(), z.cuda()), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max()))


@pytest.mark.parametrize("option", STEPS)
def test_a_step_never_waits_for_the_gpu(option: str) -> None:
    data, model = built(option)
    model.cuda()
    items = next(iter(data.train_dataloader()))
    items = data.transfer_batch_to_device(items, model.device, 0)
    model._step("train", data.on_after_batch_transfer(items)).loss.backward()  # what is made once
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = data.on_after_batch_transfer(items)
        model._step("train", batch, beta=0.5).loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_training_without_noise_ends_with_the_weights_of_a_cpu(tmp_path: Path) -> None:
    states = []
    for trainer in ("cpu", "gpu"):
        line = [*NO_NOISE, "trainer.max_epochs=2", f"trainer={trainer}"]
        train(composed(*line), tmp_path / trainer)
        path = tmp_path / trainer / "checkpoints" / "last.ckpt"
        states.append(torch.load(path, weights_only=True, map_location="cpu")["state_dict"])
    for name, weights in states[0].items():
        assert torch.allclose(weights, states[1][name], atol=1e-4), name


def test_a_training_reaches_the_bound_of_a_cpu(tmp_path: Path) -> None:
    """The noise differs; the bound after twenty epochs does not by much."""
    line = ["network.width=64", "trainer.max_epochs=20", "~callbacks.progress"]
    found = [
        train(composed(*line, f"trainer={trainer}"), tmp_path / trainer)[1]
        for trainer in ("cpu", "gpu")
    ]
    assert found[0].keys() == found[1].keys()
    assert found[1]["test/elbo"] == pytest.approx(found[0]["test/elbo"], abs=0.5)


@pytest.mark.parametrize(
    "line",
    [
        [],
        # cuDNN adds up the gradient of a convolution in any order unless it is asked not to.
        ["network=conv", "prior=mixture", "+trainer.deterministic=warn"],
        ["callbacks=ema", "refit=mixture"],
    ],
)
def test_a_run_cut_off_on_a_gpu_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    line = [*SHORT[:1], "~callbacks.progress", "trainer.max_epochs=3", GPU, *line]
    line.append("callbacks.last.every_n_steps=1")
    line.append("data.batch_size=256")
    train(composed(*line), tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=1, batch=2)
        with pytest.raises(SystemExit):
            train(composed(*line), tmp_path / "cut")
    train(composed(*line, f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    assert differing(outcome(tmp_path / "whole"), outcome(tmp_path / "cut")) == []


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_of_four_runs_on_a_gpu(call, launcher: str) -> None:
    line = ["-m", *QUICK, GPU, "latent_dim=2,3", "seed=0,1", f"launcher={launcher}"]
    status, out, err = call(cli.train, *line, "hydra.sweep.dir=s")
    assert status == 0, out + err
    assert len(results(Path("s"))) == 4
    assert not list(Path("s").glob("*/failure.txt"))


@pytest.mark.parametrize("options", [["trainer.precision=bf16-mixed"], ["compile=true"]])
def test_half_precision_and_compilation_train_on_a_gpu(tmp_path: Path, options: list[str]) -> None:
    line = ["network.width=64", "trainer.max_epochs=8", "~callbacks.progress", GPU]
    plain = train(composed(*line), tmp_path / "plain")[1]
    found = train(composed(*line, *options), tmp_path / "found")[1]
    assert found["test/elbo"] == pytest.approx(plain["test/elbo"], abs=0.5)


@pytest.fixture(scope="module")
def gpu_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    line = ["network.width=64", "trainer.max_epochs=10", "~callbacks.progress", GPU]
    train(composed(*line), folder)
    return folder


def test_an_evaluation_on_a_gpu_gives_the_figures_of_a_cpu(call, gpu_run: Path) -> None:
    found = {}
    for trainer in ("cpu", "gpu"):
        line = [f"checkpoint={gpu_run / 'checkpoints' / 'best.ckpt'}", "samples=500", "images=50"]
        status, out, err = call(
            cli.evaluate, *line, f"trainer={trainer}", f"out={trainer}.json", "judges=judges"
        )
        assert status == 0, out + err
        found[trainer] = json.loads(Path(f"{trainer}.json").read_text())
    assert found["cpu"].keys() == found["gpu"].keys()
    assert found["gpu"]["test/kl"] == pytest.approx(found["cpu"]["test/kl"], rel=1e-3)
    assert found["gpu"]["test/nll"] == pytest.approx(found["cpu"]["test/nll"], abs=0.1)
    for name in ("consistency/mean_image", "judge/accuracy_grey_images"):
        assert found["gpu"][name] == pytest.approx(found["cpu"][name], abs=0.1)


def test_a_run_of_a_gpu_is_exported(call, gpu_run: Path) -> None:
    for line in (["out=page.html"], ["format=onnx", "out=model.onnx"]):
        status, out, err = call(cli.export, f"checkpoint={gpu_run}", "images=0", *line)
        assert status == 0, out + err
    assert Path("page.html").stat().st_size > 10_000
    assert Path("model_prior.onnx").is_file()


def test_a_refit_on_a_gpu_closes_holes_as_on_a_cpu(tmp_path: Path) -> None:
    line = ["network.width=64", "trainer.max_epochs=10", "~callbacks.progress", "refit=mixture"]
    found = [
        train(composed(*line, f"trainer={trainer}"), tmp_path / trainer)[1]
        for trainer in ("cpu", "gpu")
    ]
    assert found[1]["refit/after"] <= found[1]["refit/before"]
    gains = [metrics["refit/before"] - metrics["refit/after"] for metrics in found]
    assert gains[1] == pytest.approx(gains[0], abs=0.5)


def test_a_model_samples_on_a_gpu(gpu_run: Path) -> None:
    model = cvae.load(gpu_run)
    expected = model.log_prob(*digits(model), samples=2000)
    model.cuda()
    draws = [
        model.sample([2, 0, 1, 8], n=3, rng=torch.Generator().manual_seed(0)) for _ in range(2)
    ]
    assert draws[0].device.type == "cuda"
    assert torch.equal(draws[0], draws[1])
    assert draws[0].shape == (3, 4, 1, 8, 8)
    own = torch.Generator("cuda").manual_seed(0)
    assert model.sample(7, rng=own).device.type == "cuda"
    x, y = digits(model)
    found = model.log_prob(x.cuda(), y.cuda(), samples=2000).cpu()
    assert torch.allclose(found.mean(), expected.mean(), atol=0.1)


def digits(model: TrainingModule) -> tuple[Tensor, Tensor]:
    data, _ = built()
    return data.on_after_batch_transfer(data.val_set.__getitems__(list(range(100))))
