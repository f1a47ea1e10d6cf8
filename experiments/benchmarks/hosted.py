"""Trainings that have a loop of their own: Pythae's trainer, and a naive LightningModule."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Semaphore, Thread
from typing import Any

import lightning
import torch
from rivals import CLASSES, PIXELS, Network, Steps
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

_FOREVER = 10_000
"""Epochs of a training that never ends by itself."""


class Naive(lightning.LightningModule):
    """The network as a beginner's LightningModule."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = batch
        loss: Tensor = self.network(one_hot(labels, CLASSES).float(), images.flatten(1))
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def naive_loader(root: Path, batch_size: int, workers: int) -> Any:
    """Return a loader over torchvision's data set, image by image."""
    dataset = datasets.MNIST(root, train=True, transform=transforms.ToTensor())
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=workers)


def naive(root: Path, batch_size: int) -> Steps:
    """Return the steps of that module under a trainer with its defaults, but no bar."""

    def train(before_step: Callable[[], None]) -> None:
        class Waiting(lightning.Callback):
            def on_train_batch_start(self, *_: Any) -> None:
                before_step()

        with TemporaryDirectory() as folder:
            lightning.Trainer(
                accelerator="cpu",
                max_epochs=_FOREVER,
                callbacks=[Waiting()],
                default_root_dir=folder,
                enable_progress_bar=False,
                enable_model_summary=False,
            ).fit(Naive(), naive_loader(root, batch_size, 0))

    return _in_turns(train)


def pythae(images: Tensor, labels: Tensor, batch_size: int) -> Steps:
    """Return the steps of the network under Pythae's trainer (Chadebec et al. 2022).

    Raises:
        ImportError: If it is not installed: pip install pythae.
    """
    from pythae.data.datasets import BaseDataset
    from pythae.models import BaseAE, BaseAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Model(BaseAE):  # type: ignore[misc, unused-ignore]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.network = Network()

        def forward(self, inputs: Any, **_: Any) -> Any:
            x = one_hot(inputs["labels"].long(), CLASSES).float()
            return ModelOutput(loss=self.network(x, inputs["data"].flatten(1)))

    def train(before_step: Callable[[], None]) -> None:
        class Waiting(TrainingCallback):  # type: ignore[misc, unused-ignore]
            def on_train_step_end(self, *_: Any, **__: Any) -> None:
                before_step()

        before_step()
        with TemporaryDirectory() as folder:
            config = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                num_epochs=_FOREVER,
                learning_rate=1e-3,
                no_cuda=True,
            )
            BaseTrainer(
                Model(BaseAEConfig(input_dim=(PIXELS,), latent_dim=1)),
                BaseDataset(images.flatten(1).float() / 255, labels),
                training_config=config,
                callbacks=[Waiting()],
            ).train()

    return _in_turns(train)


def _in_turns(train: Callable[[Callable[[], None]], None]) -> Steps:
    """Return a function that lets a training take so many steps, and waits for them.

    Args:
        train: Trains, in a thread of its own, and calls what it is given before each step.
    """
    go, done = Semaphore(0), Semaphore(0)
    left, broken = [0], []

    def before_step() -> None:
        if left[0] == 0:
            done.release()
            go.acquire()
        left[0] -= 1

    def run() -> None:
        torch.set_flush_denormal(True)
        try:
            train(before_step)
        except BaseException as error:
            broken.append(error)
        done.release()

    def steps(count: int) -> None:
        left[0] = count
        go.release()
        done.acquire()
        if broken:
            raise broken[0]

    Thread(target=run, daemon=True).start()
    done.acquire()  # it is ready for its first step
    if broken:
        raise broken[0]
    return steps
