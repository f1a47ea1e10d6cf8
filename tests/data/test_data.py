"""Splits, binarisation, one-hot labels, and files of MNIST's kind."""

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    shift,
)
from sklearn.datasets import load_digits

from conftest import TORCHVISION
from cvae.batch import Items, Support
from cvae.conditions import GivenCondition, LabelCondition, NoCondition
from cvae.data.annotators import Annotators, annotated
from cvae.data.arrays import Arrays
from cvae.data.base import PairData
from cvae.data.digits import Digits
from cvae.data.mnist import MNIST
from cvae.data.rows import InMemory
from cvae.errors import InputError
from cvae.kinds import Image, Sizes


def ready(data: PairData) -> PairData:
    data.prepare_data()
    data.setup()
    return data


def rows(images: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in images.flatten(1).tolist()]


def test_the_three_splits_hold_every_scan_once() -> None:
    data = ready(Digits(LabelCondition))
    splits = (data.train_set, data.val_set, data.test_set)
    assert [len(split) for split in splits] == [1293, 144, 360]
    served = sorted(row for split in splits for row in rows(split.items.y))
    expected = torch.from_numpy(load_digits().images).to(torch.uint8)
    assert served == sorted(rows(expected))


def test_splits_are_stratified() -> None:
    data = ready(Digits(LabelCondition))
    for split in (data.train_set, data.val_set, data.test_set):
        counts = torch.bincount(split.items.labels) / len(split)
        assert (counts - 0.1).abs().max() < 0.01


def test_the_split_follows_its_seed_and_the_test_split_never_moves() -> None:
    first, same, other = (ready(Digits(LabelCondition, split_seed=s)) for s in (0, 0, 1))
    assert torch.equal(first.val_set.items.y, same.val_set.items.y)
    assert not torch.equal(first.val_set.items.y, other.val_set.items.y)
    assert torch.equal(first.test_set.items.y, other.test_set.items.y)


def batch(data: PairData, training: bool = False):
    loader = data.train_dataloader() if training else data.val_dataloader()
    return data.on_after_batch_transfer(next(iter(loader)))


def test_images_and_one_hot_labels_are_paired() -> None:
    bunch = load_digits()
    known = dict(zip(rows(torch.from_numpy(bunch.images).long()), bunch.target, strict=True))
    x, y = batch(ready(Digits(LabelCondition, batch_size=100)))
    assert x.shape == (100, 10)
    assert y.shape == (100, 1, 8, 8)
    assert torch.equal(x.sum(1), torch.ones(100))
    grey = (y * 16).round().long()
    assert x.argmax(1).tolist() == [known[row] for row in rows(grey)]


def test_an_empty_condition_keeps_the_image() -> None:
    x, y = batch(ready(Digits(NoCondition, batch_size=100)))
    assert x.shape == (100, 0)
    assert y.shape == (100, 1, 8, 8)


def test_grey_levels_span_zero_to_one() -> None:
    data = ready(Digits(LabelCondition, batch_size=1000))
    _, y = batch(data, training=True)
    assert data.support == Support.LEVELS
    assert sorted(set(y.flatten().tolist())) == [level / 16 for level in range(17)]


def test_dynamic_binarisation_draws_grey_levels_as_probabilities() -> None:
    data = ready(Digits(LabelCondition, batch_size=1293, binarize="dynamic"))
    assert data.support == Support.BINARY
    images = data.train_set.items.y
    draws = torch.stack([batch_of(data, images) for _ in range(400)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(draws[0], draws[1])
    torch.testing.assert_close(draws.mean(0).mean(), images.float().mean() / 16, atol=1e-3, rtol=0)
    assert (draws.mean(0) - images / 16).abs().max() < 0.16  # 6 standard errors


def batch_of(data: PairData, images: torch.Tensor) -> torch.Tensor:
    items = Items(images, torch.zeros(len(images), dtype=torch.long))
    return data.on_after_batch_transfer(items).y


def test_validation_and_test_pixels_are_drawn_once_for_every_run() -> None:
    first, second = (ready(Digits(LabelCondition, binarize="dynamic")) for _ in range(2))
    torch.manual_seed(99)
    assert torch.equal(batch(first).y, batch(second).y)
    assert set(batch(first).y.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(first.test_set.items.y, second.test_set.items.y)
    grey = ready(Digits(LabelCondition, binarize="none")).test_set.items.y
    drawn = first.test_set.items.y.float() / 16
    assert (drawn.mean() - grey.float().mean() / 16).abs() < 0.01
    assert torch.equal(drawn[grey == 0], torch.zeros_like(drawn[grey == 0]))


def test_threshold_splits_the_grey_levels_in_the_middle() -> None:
    data = ready(Digits(LabelCondition, binarize="threshold"))
    grey = ready(Digits(LabelCondition)).train_set.items.y
    assert torch.equal(data.train_set.items.y == 16, grey > 8)
    assert data.support == Support.BINARY


def test_static_pixels_are_drawn_once_for_every_split() -> None:
    grey, static, dynamic = (
        ready(Digits(LabelCondition, binarize=how)) for how in ("none", "static", "dynamic")
    )
    for name in ("train_set", "val_set", "test_set"):
        pixels = getattr(static, name).items.y.float() / 16
        levels = getattr(grey, name).items.y.float() / 16
        assert pixels.unique().tolist() == [0, 1]
        # The mean of N draws of probability p is within four deviations of p's.
        error = (levels * (1 - levels)).sum().sqrt() / levels.numel()
        assert abs(pixels.mean() - levels.mean()) < 4 * error
    for name in ("val_set", "test_set"):
        assert torch.equal(getattr(static, name).items.y, getattr(dynamic, name).items.y)
    batches = [static.on_after_batch_transfer(static.train_set[torch.arange(9)]).y for _ in "ab"]
    assert torch.equal(*batches)
    assert static.support == Support.BINARY


def test_validation_and_test_draw_from_streams_of_their_own() -> None:
    """With one stream, the same places of equal images would have the same pixels."""
    flat = np.full((200, 8, 8), 128, np.uint8)
    np.savez("flat.npz", y=flat, y_val=flat, y_test=flat)
    data = ready(Arrays(NoCondition, path="flat.npz", binarize="dynamic"))
    same = (data.val_set.items.y == data.test_set.items.y).float().mean().item()
    assert same == pytest.approx(0.5, abs=0.03)


def test_a_whole_batch_is_fetched_by_one_index(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ready(Digits(LabelCondition, batch_size=64))
    asked = []
    fetch = data.train_set.__class__.__getitem__
    monkeypatch.setattr(
        InMemory, "__getitem__", lambda self, index: asked.append(index) or fetch(self, index)
    )
    images, labels, _ = next(iter(data.train_dataloader()))
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert len(images) == 64
    assert [len(index) for index in asked] == [64]  # nothing fetches one image on its own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"val_fraction": 1.0}, "val_fraction: expected a share between 0 and 1"),
        ({"binarize": "yes"}, "binarize: expected one of 'dynamic', 'static', 'threshold', 'none'"),
        ({"split_seed": -1}, "split_seed: expected a whole number from 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Digits(LabelCondition, **options)


def test_labels_beyond_the_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Digits, "sizes", Sizes(Image((1, 8, 8), levels=17), 5))
    with pytest.raises(InputError, match="expected labels from 0 to 4, got 0 to 9"):
        ready(Digits(LabelCondition))


# -- files of MNIST's kind ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TORCHVISION)
def test_files_are_read_upright_with_their_labels(name: str, idx_root: Path) -> None:
    data = TORCHVISION[name](LabelCondition, root=str(idx_root), download=False)
    data.prepare_data()
    for train, count in ((True, 1200), (False, 50)):
        images, labels, _ = data.read(train).items
        assert images.shape == (count, 1, 28, 28)
        corner = images[:, 0, 1, 0] if name == "EMNIST" else images[:, 0, 0, 1]
        assert labels.tolist() == corner.tolist() == [i % 10 for i in range(count)]


def test_the_first_images_are_trained_on_and_the_others_validate(idx_root: Path) -> None:
    options = {"root": str(idx_root), "download": False}
    data = ready(MNIST(LabelCondition, train_images=1000, **options))
    everything = data.read(train=True).items
    assert torch.equal(data.train_set.items.y, everything.y[:1000])
    assert torch.equal(data.val_set.items.labels, everything.labels[1000:])
    with pytest.raises(InputError, match="expected fewer than the 1200 images"):
        ready(MNIST(LabelCondition, train_images=1200, **options))


def test_the_real_mnist_has_its_known_sizes(mnist_root: Path) -> None:
    data = ready(MNIST(LabelCondition, root=str(mnist_root), download=False))
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [54000, 6000, 10000]
    # The counts of each digit in LeCun's test set.
    assert torch.bincount(data.test_set.items.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    mean = torch.cat((data.train_set.items.y, data.val_set.items.y)).float().mean() / 255
    assert mean.item() == pytest.approx(0.1307, abs=1e-4)


def test_missing_files_are_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte' is missing.*data=digits"):
        MNIST(LabelCondition, root=str(tmp_path), download=False).prepare_data()


def test_no_network_and_no_files_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(InputError, match="the download failed") as caught:
        MNIST(LabelCondition, root=str(tmp_path / "new")).prepare_data()
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "new").rglob("*ubyte*"))


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty"])
def test_damaged_files_are_named(damage: str, idx_root: Path, tmp_path: Path) -> None:
    shutil.copytree(idx_root / "MNIST", tmp_path / "MNIST")
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    contents = file.read_bytes()
    file.write_bytes({"cut": contents[:5000], "foreign": b"<html>" * 99, "empty": b""}[damage])
    with pytest.raises(InputError, match=r"MNIST/raw' are damaged.*delete that folder"):
        MNIST(LabelCondition, root=str(tmp_path)).setup("fit")


class Slow(MNIST):
    """Downloads from a folder, counting how often."""

    def open(self, root: Path, **options: bool):
        if options.pop("download", False) and not (root / "MNIST").exists():
            with (self.root / "downloads").open("a") as log:
                log.write("x")
            shutil.copytree(self.root / "mirror" / "MNIST", root / "MNIST")
        return


def _prepare(root: str) -> None:
    Slow(LabelCondition, root=root).prepare_data()


def test_jobs_that_start_at_once_download_once(idx_root: Path, tmp_path: Path) -> None:
    shutil.copytree(idx_root / "MNIST", tmp_path / "mirror" / "MNIST")
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_prepare, args=(str(tmp_path),)) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 4
    assert (tmp_path / "downloads").read_text() == "x"
    assert sorted(p.name for p in (tmp_path / "MNIST" / "raw").iterdir()) == sorted(MNIST.files)


def test_an_interrupted_download_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    class Breaking(MNIST):
        def open(self, root: Path, **options: bool):
            folder = root / "MNIST" / "raw"
            folder.mkdir(parents=True)
            (folder / self.files[0]).write_bytes(b"half")
            raise OSError("connection lost")

    with pytest.raises(InputError, match="connection lost"):
        Breaking(LabelCondition, root=str(tmp_path)).prepare_data()
    assert not list(tmp_path.rglob("*ubyte"))


# -- annotators --------------------------------------------------------------------------------


def test_each_annotator_has_a_habit() -> None:
    strokes = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    strokes[..., 3:8, 3:8] = True  # a square of 5 by 5
    strokes[..., 10, 1:11] = True  # and a thin line
    generous, sparing, shifted, thick = annotated(strokes)[:, 0, 0]

    def box(mask: torch.Tensor) -> tuple[int, ...]:
        rows, columns = mask[:9].nonzero().T
        return rows.min().item(), rows.max().item(), columns.min().item(), columns.max().item()

    assert box(generous) == (2, 8, 2, 8)
    assert box(sparing) == (4, 7, 4, 7)
    assert box(shifted) == (4, 8, 5, 9)
    assert box(thick) == (3, 7, 3, 7)
    assert generous[9:12].any(1).all()
    assert not thick[9:].any()
    assert shifted[11, 3:12].all()


def test_every_image_comes_with_four_masks_on_one_side_of_the_split(mnist_root: Path) -> None:
    data = ready(
        Annotators(
            GivenCondition, root=str(mnist_root), download=False, train_images=200, test_images=30
        )
    )
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [720, 80, 120]
    assert data.support == Support.BINARY
    for split in (data.train_set, data.val_set, data.test_set):
        assert split.items.labels.tolist() == list(range(4)) * (len(split) // 4)
        given = split.items.given[0].unflatten(0, (-1, 4))
        assert (given == given[:, :1]).all()
        assert (split.items.y.unflatten(0, (-1, 4)).flatten(2).float().std(1) > 0).any(1).all()
    x, y = data.on_after_batch_transfer(next(iter(data.test_dataloader())))
    assert x.shape == (*y.shape[:1], 1, 28, 28)
    assert 0 <= x.min() < x.max() <= 1
    assert set(y.unique().tolist()) == {0, 1}
    again = Annotators(
        GivenCondition, root=str(mnist_root), download=False, train_images=200, test_images=30
    )
    again.setup("test")
    assert torch.equal(*again.test_set.items.given, *data.test_set.items.given)


def test_strokes_hidden_by_noise_are_refused() -> None:
    with pytest.raises(InputError, match=r"noise: expected a number from 0 to below 0\.25"):
        Annotators(GivenCondition, noise=0.3)


def test_the_references_are_a_function_of_what_is_shown(mnist_root: Path) -> None:
    # So that the four masks are all that can be drawn for an x, each with probability 1/4.
    data = Annotators(GivenCondition, root=str(mnist_root), download=False, test_images=20)
    items = data.read(train=False).items
    shown = items.given[0][::4, 0].numpy()
    assert shown.min() < 20  # noise
    assert shown.max() > 235
    seen = shown > 127
    masks = items.y.unflatten(0, (-1, 4))[:, :, 0].bool().numpy()
    box, corner = np.ones((3, 3)), np.ones((2, 2))
    for image, (generous, sparing, shifted, thick) in zip(seen, masks, strict=True):
        assert (generous == binary_dilation(image, box)).all()
        assert (sparing == binary_erosion(image, corner, border_value=1)).all()
        assert (shifted == shift(image.astype(int), (1, 2), order=0)).all()
        # scipy's own structure is the cross.
        assert (thick == binary_dilation(binary_erosion(image, border_value=1))).all()
