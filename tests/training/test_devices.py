"""What training on other devices, and fast, rests on, as far as a CPU can tell."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from conftest import SHORT, STEPS, built, composed, train
from cvae.commands import main as cli

_WAITS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}
"""What a host waits for a device with: `.item()`, `bool()`, `float()`, indexing by a mask."""


class NoWaiting(TorchDispatchMode):
    """Fails where the host would wait for a number of the device's."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in _WAITS, f"{func} in a training step"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("option", STEPS)
def test_a_step_creates_every_tensor_on_its_model_s_device(option: str) -> None:
    data, model = built(option)
    items = next(iter(data.train_dataloader()))
    with torch.device("meta"):  # where a tensor without a device of its own would be
        batch = data.on_after_batch_transfer(items)
        loss = model._step("train", batch).loss
        loss.backward()
        draws = model.sample(batch.x[:2], n=3)
        log_prob = model.log_prob(*batch, samples=3)
    assert {loss.device.type, draws.device.type, log_prob.device.type} == {"cpu"}
    assert all(p.grad is None or p.grad.device.type == "cpu" for p in model.parameters())


@pytest.mark.parametrize("option", STEPS)
def test_a_step_never_waits_for_the_device(option: str) -> None:
    data, model = built(option)
    items = next(iter(data.train_dataloader()))
    with NoWaiting():
        batch = data.on_after_batch_transfer(items)
        model._step("train", batch, beta=0.5).loss.backward()
    with pytest.raises(AssertionError, match="in a training step"), NoWaiting():
        float(torch.ones(()))


def test_two_processes_train_as_one_with_batches_twice_as_large(call, tmp_path: Path) -> None:
    """Without noise, the weights, and what follows the batches, are the same after an epoch."""
    line = [
        "latent_dim=0", "likelihood=gaussian", "network.width=16", "~callbacks.progress",
        "trainer.max_epochs=1", "likelihood.scale=optimal", "objective=geco",
    ]  # fmt: skip
    one = ["data.batch_size=64", "+trainer.limit_train_batches=5", "hydra.run.dir=one"]
    two = ["data.batch_size=32", "+trainer.limit_train_batches=5", "hydra.run.dir=two"]
    assert call(cli.train, *line, *one)[0] == 0
    assert call(cli.train, *line, *two, "trainer=ddp", "trainer.accelerator=cpu")[0] == 0
    states = [
        torch.load(f"{run}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in ("one", "two")
    ]
    for name, weights in states[0].items():
        assert torch.allclose(weights, states[1][name], atol=1e-6), name


def test_a_compiled_step_is_the_step(tmp_path: Path) -> None:
    found = [train(composed(*SHORT, f"compile={c}"), tmp_path / str(c))[1] for c in (False, True)]
    assert found[0].keys() == found[1].keys()
    for name in ("val/elbo", "test/elbo", "test/kl"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-4)


def test_one_latent_dimension_is_enough(tmp_path: Path) -> None:
    _, metrics = train(composed(*SHORT, "latent_dim=1"), tmp_path)
    assert metrics["test/kl_per_dimension/0"] == pytest.approx(metrics["test/kl"], rel=1e-4)


def test_a_training_flushes_subnormal_numbers(tmp_path: Path) -> None:
    """Adam's averages of vanishing gradients would slow it down by half."""
    torch.set_flush_denormal(False)
    train(composed(*SHORT), tmp_path)
    assert not (torch.full((100_000,), 1e-40) * 0.5).any()


def test_importing_changes_nothing_in_the_process() -> None:
    code = (
        "import logging, os, warnings, torch, lightning\n"
        "def state(): return (dict(os.environ), list(warnings.filters), torch.get_num_threads(),\n"
        "    (torch.full((9,), 1e-40) * 0.5).any().item(), logging.getLogger('lightning').level)\n"
        "before = state()\n"
        "import cvae, cvae.training.fit, cvae.commands.main, cvae.export.onnx\n"
        "cvae.load, cvae.datamodule, cvae.CVAE\n"
        "assert state() == before, (state(), before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["-sc", "query=bash"]])
def test_help_and_completion_do_not_import_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, cvae\nfrom cvae.commands.main import train\n"
        "try: train()\nfinally: assert not {'torch', 'lightning', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"COMP_LINE": "cvae-train prior=", "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "gaussian" in done.stdout


@pytest.mark.parametrize("line", [["-m", "latent_dim=2,3"], ["latent_dim=2"]])
def test_the_first_line_comes_before_torch_is_loaded(line: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom cvae import left\n"
        "def stop(text): print(text, 'torch' in sys.modules); sys.exit(3)\n"
        "left.say_first = stop\nfrom cvae.commands import main\n"
        "main.say_first = stop\nmain.train()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *line], capture_output=True, text=True, check=False
    )
    said = "a sweep, latent_dim=2,3" if "-m" in line else "data=digits prior=gaussian"
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(f"cvae-train: {said}")
    assert done.stdout.endswith("False\n")
