"""The judge: a small classifier of real images, which says what a generated one looks like.

It is trained once for a data set, on training images alone, and kept with its own metrics. Fréchet
and kernel distances are measured in its features.
"""

import hashlib
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from filelock import FileLock
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics.classification import MulticlassAccuracy

from cvae.batch import Batch, Shape
from cvae.conditions import LabelCondition
from cvae.data.base import ImageData
from cvae.errors import InputError
from cvae.random import seeded_from, speed_up_training

Data = Callable[..., ImageData]
"""The data that a model was trained on, with changes."""

FEWEST = 40
"""Smallest number of test images for distances, which need two halves."""

_DATA = {"batch_size": 128, "val_fraction": 0.1, "split_seed": 0}
_STEPS = 3500
_MAX_LR = 4e-3
_SHIFT = 14
"""Images are shifted by up to one pixel per this many pixels of width."""


class Judge(LightningModule):
    """Three convolutional layers and a hidden one, for images of any size.

    Half of each training batch is binarised at random, so that the judge recognises mean images as
    well as drawn pixels; each batch is shifted by a few pixels.

    Args:
        image_shape: (C, H, W).
        num_classes: Number of classes.
        width: Channels of the first layer; each further one has twice as many.
        num_features: Number of features F.

    Attributes:
        features: Module that maps images (B, C, H, W) in [0, 1] to features (B, F), with an
            attribute `num_features`, as torchmetrics requires.
    """

    def __init__(
        self, image_shape: Shape, num_classes: int, width: int = 32, num_features: int = 128
    ) -> None:
        super().__init__()
        channels, *size = image_shape
        self.features = nn.Sequential(
            *_convolution(channels, width),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(width, 2 * width),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(2 * width, 4 * width),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(
                4 * width * math.prod(math.ceil(pixels / 4) for pixels in size), num_features
            ),
            nn.ReLU(),
        )
        self.features.num_features = num_features  # type: ignore[assignment]
        self.classify = nn.Linear(num_features, num_classes)
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.shift = image_shape[-1] // _SHIFT

    def forward(self, y: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to a logit for each class, (B, classes)."""
        return self.classify(self.features(y))

    @torch.no_grad()
    def classes(self, y: Tensor) -> Tensor:
        """Return the class that each image (B, C, H, W) looks like, (B,)."""
        return self(y).argmax(1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        down, right = torch.randint(-self.shift, self.shift + 1, (2,)).tolist()
        grey, drawn = y.roll((down, right), (-2, -1)).chunk(2) if len(y) > 1 else (y, y[:0])
        loss = cross_entropy(self(torch.cat((grey, drawn.bernoulli()))), x.argmax(1))
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        x, y = batch
        self.accuracy(self.classes(y), x.argmax(1))
        self.log("test/accuracy", self.accuracy)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.Adam(self.parameters(), fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, _MAX_LR, total_steps=steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def why_no_judge(data: ImageData) -> str | None:
    """Return why there is no judge of these data, or None if there is one."""
    data.prepare_data()
    data.setup("test")
    if data.sizes.num_classes == 1:
        return "these data have no classes that it could distinguish"
    if len(data.test_set) < FEWEST:
        return f"{len(data.test_set)} test images are too few, {FEWEST} are needed at least"
    return None


def judge_for(data: Data, cache: Path, accelerator: str) -> tuple[Judge, ImageData]:
    """Return the judge of a run's data, as `judge_of`, and the grey data that it was trained on.

    All runs on the same data have the same judge, whatever their settings. Its folder is printed.
    """
    grey = data(condition=LabelCondition, binarize="none", **_DATA)
    judge, folder = judge_of(grey, cache.expanduser(), accelerator)
    print(f"judge: {folder}")
    return judge, grey


def judge_of(data: ImageData, cache: Path, accelerator: str) -> tuple[Judge, Path]:
    """Return the judge of a data set, trained first if necessary, and its folder.

    Args:
        data: Grey images with their labels as conditions; the training split is trained on.
        cache: Folder of all judges; each has a sub-folder named after its training images.
        accelerator: Device to train on, as Lightning names it.

    Raises:
        InputError: If the judge in the cache is damaged.
        OSError: If the judge has to be trained, and the cache cannot be written to.
    """
    data.prepare_data()
    data.setup()
    with seeded_from(torch.Generator().manual_seed(0)):
        judge = Judge(data.sizes.image_shape, data.sizes.num_classes)
        folder = cache / f"{type(data).__name__}-{_fingerprint(judge, data)}"
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / ".lock"):  # several evaluations may need it at once
                if not folder.is_dir():
                    _train_into(folder, judge, data, accelerator)
    try:
        weights = torch.load(folder / "judge.pt", weights_only=True, map_location="cpu")
        judge.load_state_dict(weights)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(
            f"judge: '{folder}' is damaged; delete it to have the judge trained again"
        ) from error
    return judge.eval(), folder


def _train_into(folder: Path, judge: Judge, data: ImageData, accelerator: str) -> None:
    speed_up_training()
    print(f"training a judge of {type(data).__name__}, once, for {folder}")
    with TemporaryDirectory(dir=folder.parent) as scratch:
        # A separate trainer: the stored judge must not depend on the settings of an evaluation.
        trainer = Trainer(
            accelerator=accelerator,
            devices=1,
            max_epochs=math.ceil(_STEPS / len(data.train_dataloader())),
            max_steps=_STEPS,
            limit_val_batches=0,
            logger=TensorBoardLogger(scratch, name=folder.name, version=""),
            callbacks=[RichProgressBar(leave=False)],
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(judge, data)
        trainer.test(judge, data, verbose=False)
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        made = Path(scratch, folder.name)
        torch.save(judge.state_dict(), made / "judge.pt")
        (made / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        made.rename(folder)


def _fingerprint(judge: Judge, data: ImageData) -> str:
    """Return a name for this judge of these training images."""
    recipe = f"{judge} {_STEPS} {_MAX_LR} {judge.shift} {data.batch_size} {data.sizes.levels}"
    digest = hashlib.sha256(recipe.encode())
    for tensor in (data.train_set.items.images, data.train_set.items.labels):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _convolution(channels: int, out_channels: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]
