"""What is checked before a run starts: it changes nothing, and finds what would break later."""

from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
import torch
from torch import nn

from conftest import composed
from cvae import left
from cvae.commands import main as cli
from cvae.errors import InputError
from cvae.left import Left
from cvae.model.objectives import ELBO
from cvae.training import memory
from cvae.training.dry_pass import dry_pass
from cvae.training.module import build_training_module
from cvae.training.prepare import prepare
from cvae.training.trainer_options import checked_trainer, require_whole_run

SMALL = ["network.width=16", "~callbacks.progress"]


@pytest.mark.parametrize("overrides", [[], ["objective=geco"], ["likelihood=gaussian"]])
def test_the_dry_pass_leaves_the_model_as_it_was_drawn(overrides: list[str]) -> None:
    config = composed(*SMALL, *overrides)
    threads = torch.get_num_threads()
    found = prepare(config)
    torch.manual_seed(config["seed"])
    drawn = build_training_module(config, found.data.sizes).state_dict()
    after = torch.rand(())
    torch.testing.assert_close(
        dict(found.model.state_dict()), dict(drawn), rtol=0, atol=0, equal_nan=True
    )
    assert all(weight.grad is None for weight in found.model.parameters())
    assert torch.get_num_threads() == threads
    prepare(config)
    assert torch.rand(()) == after  # nor does it move torch's own generator


@pytest.mark.parametrize(
    "overrides",
    [
        ["callbacks.early_stopping=null"],
        ["+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor"],
        ["trainer.max_epochs=-1", "+trainer.max_steps=21"],
        ["trainer.max_epochs=null", "+trainer.max_time=00:00:00:01"],
        ["+trainer.check_val_every_n_epoch=null", "+trainer.val_check_interval=42"],
        ["+trainer.val_check_interval=7", "+trainer.accumulate_grad_batches=2"],
        ["+trainer.limit_val_batches=1", "+trainer.limit_test_batches=0.5"],
        ["callbacks.best.monitor=val/kl", "callbacks.best.mode=min"],
        ["optimizer._target_=torch.optim.LBFGS", "~optimizer.fused"],
        ["trainer.precision=bf16-mixed", "refit=flow"],
        ["data.batch_size=1000000000"],
    ],
)
def test_what_can_be_trained_is_not_refused(overrides: list[str]) -> None:
    prepare(composed(*SMALL, *overrides))


def test_several_processes_share_the_batches() -> None:
    config = composed(*SMALL, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=4")
    found = prepare(config)
    for steps, enough in ((6, True), (5, False)):  # 1,293 images in batches of 64, by four
        options = {**config["trainer"], "max_steps": steps}
        trainer = checked_trainer(options)
        if enough:
            require_whole_run(trainer, options, found.data)
            continue
        with pytest.raises(InputError, match="expected at least 6, got 5"):
            require_whole_run(trainer, options, found.data)


def test_what_a_batch_needs_is_foreseen_from_a_few_items() -> None:
    config = composed(*SMALL)
    found, trainer = prepare(config), checked_trainer(config["trainer"])
    saved = dry_pass(found.model, found.data, trainer)
    model = prepare(config).model
    batch = found.data.on_after_batch_transfer(found.data.train_set[torch.arange(64)])
    with memory.counting_saved(model) as kept:
        model.terms(*batch)
    assert saved == pytest.approx(sum(kept.values()), rel=0.1)


def test_a_batch_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda device: 1_500_000)
    with pytest.raises(InputError, match=r"memory: .* a step on a batch of 1000 .* 1.5 MB"):
        prepare(composed(*SMALL, "network.width=64", "data.batch_size=1000"))


class Broken(ELBO):
    """An objective that fits nothing but training."""

    def forward(self, *arguments, **options):
        terms = super().forward(*arguments, **options)
        if not torch.is_grad_enabled():
            raise ValueError("it cannot be validated")
        return terms


class Several(nn.Module):
    """An objective whose loss is not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.decodes_prior = ELBO(), False
        self.beta_at = self.inner.beta_at

    def forward(self, *arguments):
        terms = self.inner(*arguments)
        return replace(terms, loss=terms.kl)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("Broken", "model, in a validation: it cannot be validated"),
        ("Several", r"objective: expected a single number .* of shape \(2,\)"),
    ],
)
def test_what_would_break_in_the_middle_is_found_before(objective: str, words: str) -> None:
    config = composed(*SMALL)
    target = {"_target_": f"{__name__}.{objective}"}
    with pytest.raises(InputError, match=words):
        prepare({**config, "allow": [__name__], "objective": target})


def test_what_takes_long_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = monotonic()
    monkeypatch.setattr(left, "monotonic", lambda: now)
    work = Left("test images", 100)
    for _ in range(100):
        now += 1
        work.done()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "10 of 100 test images after 10 s, about 90 s left"
    assert [line.split()[0] for line in lines] == ["10", "20", "40", "80"]


def test_a_test_says_what_is_left(call, monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> None:
    monkeypatch.setattr(left, "_SILENCE", 0.0)
    best = run_dir / "checkpoints" / "best.ckpt"
    status, _, err = call(cli.evaluate, f"checkpoint={best}", "samples=2", "images=0")
    assert status == 0
    assert "of 360 test targets after" in err
    assert "left" in err.splitlines()[0]
