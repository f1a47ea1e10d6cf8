"""The judge: a small classifier of real images, which says what a generated one looks like.

It is trained once for a data set, on training images alone, and kept with its own metrics. Fréchet
and kernel distances are measured in its features.
"""

import hashlib
import json
import math
import os
import pickle
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from filelock import FileLock
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback, RichProgressBar
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics.classification import MulticlassAccuracy

from cvae.batch import Batch, Shape
from cvae.conditions import LabelCondition
from cvae.data.base import PairData
from cvae.data.images import ImageData
from cvae.errors import InputError
from cvae.files import DISK_FULL
from cvae.left import Left
from cvae.lines import tell, wrapped
from cvae.random import seeded_from, speed_up_training

Data = Callable[..., PairData]
"""The data that a model was trained on, with changes."""

FEWEST = 40
"""Smallest number of test images for distances, which need two halves."""

_DATA = {"batch_size": 128, "val_fraction": 0.1, "split_seed": 0}
_WIDTH, _FEATURES = 32, 128
"""Channels of the first layer, of which each further one has twice as many, and features."""
_STEPS = 3500
_MAX_LR = 4e-3
_PART = ".making-"
"""How the folders of judges begin that are not complete."""
_SHIFT = 14
"""Images are shifted by up to one pixel per this many pixels of width."""


class Judge(LightningModule):
    """Three convolutional layers and a hidden one, for images of any size.

    Half of each training batch is binarised at random, so that the judge recognises mean images as
    well as drawn pixels; each batch is shifted by a few pixels.

    Args:
        image_shape: (C, H, W).
        num_classes: Number of classes.

    Attributes:
        features: Module that maps images (B, C, H, W) in [0, 1] to features (B, F), with an
            attribute `num_features`, as torchmetrics requires.
    """

    def __init__(self, image_shape: Shape, num_classes: int) -> None:
        super().__init__()
        channels, *size = image_shape
        self.features = nn.Sequential(
            *_convolution(channels, _WIDTH),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(_WIDTH, 2 * _WIDTH),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolution(2 * _WIDTH, 4 * _WIDTH),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(4 * _WIDTH * math.prod(math.ceil(pixels / 4) for pixels in size), _FEATURES),
            nn.ReLU(),
        )
        self.features.num_features = _FEATURES  # type: ignore[assignment]
        self.classify = nn.Linear(_FEATURES, num_classes)
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.shift = image_shape[-1] // _SHIFT

    def forward(self, y: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to a logit for each class, (B, classes)."""
        return self.classify(self.features(y))

    @torch.no_grad()
    def classes(self, y: Tensor) -> Tensor:
        """Return the class that each image (B, C, H, W) looks like, (B,)."""
        return self(y).argmax(1)

    @property
    def checksum(self) -> int:
        """CRC-32 of the weights: figures of two judges cannot be compared."""
        found = 0
        for weight in self.state_dict().values():
            found = zlib.crc32(weight.cpu().contiguous().numpy().data, found)
        return found

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


def why_no_judge(data: PairData) -> str | None:
    """Return why there is no judge of these data, or None if there is one."""
    if not isinstance(data, ImageData):
        return "it looks at images, and y is no image"
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
    assert isinstance(grey, ImageData)
    judge, folder = judge_of(grey, cache.expanduser(), accelerator)
    print(wrapped(f"judge: {folder}"))
    return judge, grey


def judge_of(data: ImageData, cache: Path, accelerator: str) -> tuple[Judge, Path]:
    """Return the judge of a data set, trained first if necessary, and its folder.

    Args:
        data: Grey images with their labels as conditions; the training split is trained on.
        cache: Folder of all judges; each has a sub-folder named after its training images.
        accelerator: Device to train on, as Lightning names it.

    Raises:
        InputError: If the judge in the cache is damaged.
        OSError: If the judge has to be trained, and the cache cannot be written to. A full disk is
            no obstacle: the judge is not kept then, and a line on standard error says so.
    """
    data.prepare_data()
    data.setup()
    with seeded_from(torch.Generator().manual_seed(0)):
        judge = Judge(data.sizes.y.shape, data.sizes.num_classes)
        folder = cache / f"{type(data).__name__}-{_fingerprint(judge, data)}"
        if not folder.is_dir():
            with _alone(cache):  # several evaluations may need it at once
                if not folder.is_dir():
                    name = type(data).__name__
                    print(wrapped(f"training a judge of {name}, once, for {folder}"))
                    _keep(folder, judge, _trained(judge, data, accelerator))
    if not folder.is_dir():
        return judge.eval(), folder
    try:
        weights = torch.load(folder / "judge.pt", weights_only=True, map_location="cpu")
        judge.load_state_dict(weights)
        if not all(weight.isfinite().all() for weight in weights.values()):
            raise RuntimeError("its weights are not finite")
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(
            f"judge: '{folder}' is damaged; delete it to have the judge trained again"
        ) from error
    return judge.eval(), folder


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold the cache for this process alone, without what killed ones have left in it."""
    lock = FileLock(cache / ".lock")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        yield
        return
    with lock:
        for left in cache.glob(f"{_PART}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _trained(judge: Judge, data: ImageData, accelerator: str) -> dict[str, float]:
    """Train a judge, and return its metrics."""
    speed_up_training()
    left = Left("steps of the judge's training", _STEPS)
    saying = LambdaCallback(on_train_batch_end=lambda *_: left.done())
    # A separate trainer: the stored judge must not depend on the settings of an evaluation.
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=math.ceil(_STEPS / len(data.train_dataloader())),
        max_steps=_STEPS,
        limit_val_batches=0,
        logger=False,  # nothing is written before it is trained, which a full disk would end
        default_root_dir=os.devnull,  # Lightning would load what Slurm left in the current one
        callbacks=[RichProgressBar(leave=False), saying],
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(judge, data)
    trainer.test(judge, data, verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def _keep(folder: Path, judge: Judge, metrics: Mapping[str, float]) -> None:
    weights = BytesIO()  # torch would tell of a full disk in words of its own
    torch.save(judge.state_dict(), weights)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=_PART) as scratch:
            made = Path(scratch, folder.name)
            made.mkdir()
            (made / "judge.pt").write_bytes(weights.getbuffer())
            (made / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
            made.rename(folder)
    except OSError as error:  # which is no reason to lose the evaluation
        tell(
            f"judge: not kept in '{folder.parent}' ({error.strerror}), so that it has to be "
            "trained again; make room there, or name another folder by judges=DIR"
        )


def _fingerprint(judge: Judge, data: ImageData) -> str:
    """Return a name for this judge of these training images."""
    recipe = f"{judge} {_STEPS} {_MAX_LR} {judge.shift} {data.batch_size} {data.image.levels}"
    digest = hashlib.sha256(recipe.encode())
    items = data.train_set.some()
    for tensor in (items.y, items.labels):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _convolution(channels: int, out_channels: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]
