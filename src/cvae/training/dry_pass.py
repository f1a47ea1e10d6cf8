"""A few items through training, validation, test and sampling: nothing is to break at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from cvae.batch import Batch
from cvae.config.building import naming
from cvae.data.base import PairData
from cvae.data.rows import Rows
from cvae.errors import InputError
from cvae.training.memory import counting_saved
from cvae.training.module import TrainingModule

_FEW, _MORE = 2, 4
"""Items of two small batches; what a larger one takes follows from their difference."""
_EPOCHS = 1000
"""Most epochs for which the learning rate is followed."""


def dry_pass(model: TrainingModule, data: PairData, trainer: Trainer) -> float:
    """Take a model through all that a run does, with a few items.

    Args:
        model: The model, which this spoils: it takes a step.
        data: The data, all splits of them set up.
        trainer: A trainer of the run's options.

    Returns:
        The bytes that a step keeps for a whole batch until its backward pass, at least.

    Raises:
        InputError: If something would break.
    """
    optimizer, scheduler = _learning(model)
    with torch.random.fork_rng(devices=[]), _one_thread():
        saved = [_train(model, _batch(data, data.train_set, n), trainer) for n in (_FEW, _MORE)]
        _evaluate(model, data, trainer)  # before a step, which may go anywhere
        with naming("optimizer"):
            optimizer.step(lambda: 0.0)  # some optimisers ask for one
        _follow(scheduler, trainer)
    each = (saved[1] - saved[0]) / (_MORE - _FEW)
    return saved[0] + each * (min(data.batch_size, len(data.train_set)) - _FEW)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: several would wait for each other longer than a few items take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _precision(trainer: Trainer) -> torch.autocast:
    """Return the context of a step in the trainer's precision, on the CPU."""
    return torch.autocast("cpu", torch.bfloat16, enabled=trainer.precision == "bf16-mixed")


def _batch(data: PairData, split: Rows, count: int) -> Batch:
    return data.on_after_batch_transfer(split[torch.arange(count) % len(split)])


def _learning(model: TrainingModule) -> tuple[Optimizer, LRScheduler | None]:
    """Return the optimiser, and what changes its rate after each epoch, if anything does."""
    with naming("optimizer or scheduler"):
        found = model.configure_optimizers()
    schedule = found["lr_scheduler"]["scheduler"] if isinstance(found, dict) else None
    optimizer = found["optimizer"] if isinstance(found, dict) else found
    for name, part, kind in (
        ("optimizer", optimizer, Optimizer),
        ("scheduler", schedule, LRScheduler),
    ):
        if part is not None and not isinstance(part, kind):
            raise InputError(
                f"{name}: expected torch's {kind.__name__}, got a {type(part).__name__}"
            )
    if isinstance(schedule, ReduceLROnPlateau) and schedule.mode != "max":
        raise InputError(
            f"scheduler.mode: a plateau is of val/elbo, which is the better the higher it is; "
            f"expected max, got {schedule.mode}"
        )
    if isinstance(schedule, CosineAnnealingLR) and schedule.T_max < 1:
        raise InputError(
            f"scheduler.T_max: expected at least 1 epoch, got {schedule.T_max}; give it a number, "
            "as trainer.max_epochs does not"
        )
    return optimizer, schedule


def _train(model: TrainingModule, batch: Batch, trainer: Trainer) -> int:
    model.train()
    model.zero_grad()
    with naming("model, in a step of training"), counting_saved(model) as saved:
        with _precision(trainer):
            loss: Tensor = model.terms(*batch, model.objective.beta_at(0)).loss
        if loss.shape:
            raise InputError(
                f"objective: expected a single number as the loss, got a tensor of shape "
                f"{tuple(loss.shape)}"
            )
        loss.backward()
    return sum(saved.values())


def _follow(scheduler: LRScheduler | None, trainer: Trainer) -> None:
    """Take the rate through the epochs: some schedules have an end of their own."""
    if scheduler is None or isinstance(scheduler, ReduceLROnPlateau):
        return
    epochs = trainer.max_epochs or 1
    with naming("scheduler"):
        for _ in range(min(epochs, _EPOCHS)):
            scheduler.step()


@torch.no_grad()
def _evaluate(model: TrainingModule, data: PairData, trainer: Trainer) -> None:
    model.eval()
    with naming("model, in a validation"), _precision(trainer):
        model.terms(*_batch(data, data.val_set, _FEW))
    x, y = _batch(data, data.test_set, _FEW)
    with naming("model, in a test"), _precision(trainer):
        model.terms(x, y)
        model.latent_use.update(model.posterior(x, y), model.prior(x))
    with naming("model, in a sample"):
        model.sample(x, mean=True)
        model.sample(x)
