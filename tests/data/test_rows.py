"""Data on disk are those in memory: the same items, the same training, without the memory."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from conftest import composed, cut_off, train
from cvae.config.building import build_datamodule
from cvae.data import base, folder, rows
from cvae.data.base import PairData
from cvae.data.rows import InMemory, OnDisk, groups
from cvae.errors import InputError
from same_bits import differing, outcome

RNG = np.random.default_rng(0)
COUNT = 60
CLASSES = np.arange(COUNT) % 3
ARRAYS = {
    "vectors": {"x": RNG.normal(5, 2, (COUNT, 2)), "y": RNG.normal(1e3, 1, (COUNT, 3))},
    "sequences": {
        "x": np.array(["a", "b", "c"])[CLASSES],
        "y": RNG.normal(size=(COUNT, 5, 2)).astype("f4"),
        "length": RNG.integers(1, 6, COUNT),
    },
    "label_maps": {
        "x": RNG.integers(0, 256, (COUNT, 3, 4, 4)),
        "y": RNG.integers(0, 3, (COUNT, 4, 4)),
    },
    "counts": {"x.a": CLASSES, "x.b": RNG.normal(size=COUNT), "y": RNG.poisson(3, (COUNT, 4))},
    "arrays": {"x": CLASSES, "y": RNG.integers(0, 256, (COUNT, 4, 4)).astype("u1")},
}
IMAGES = ARRAYS["arrays"]["y"]


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "KEPT", 0)
    monkeypatch.setattr(folder, "KEPT", 0)
    monkeypatch.setattr(base, "cpu_count", lambda: 8)  # so that a worker reads
    monkeypatch.setattr(rows, "_BLOCK", 64)  # so that there are several


def in_files(arrays: dict[str, np.ndarray], place: Path) -> Path:
    place.mkdir()
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    return place


def served(data: PairData) -> list[Tensor]:
    """All that a data module serves, in its order."""
    torch.manual_seed(0)
    data.prepare_data()
    data.setup()
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    batches = [data.on_after_batch_transfer(batch) for loader in loaders for batch in loader]
    return [part for batch in batches for part in batch]


def built(*overrides: str) -> PairData:
    return build_datamodule(composed(*overrides, "data.batch_size=7"))


@pytest.mark.parametrize("word", ARRAYS)
def test_arrays_on_disk_are_served_as_those_in_memory(
    tmp_path: Path, word: str, request: pytest.FixtureRequest
) -> None:
    np.savez(tmp_path / "own.npz", **ARRAYS[word])
    place = in_files(ARRAYS[word], tmp_path / "own")
    memory, small = (built(f"data={word}", f"data.path={p}") for p in (f"{place}.npz", place))
    expected = served(memory)
    assert isinstance(small.rows, InMemory)
    request.getfixturevalue("on_disk")
    disk = built(f"data={word}", f"data.path={place}")
    assert isinstance(disk.rows, OnDisk)
    for other in (small, disk):
        found = served(other)
        assert other.sizes == memory.sizes
        assert len(found) == len(expected)
        for one, same in zip(found, expected, strict=True):
            torch.testing.assert_close(one, same, rtol=0, atol=0, equal_nan=True)
    assert disk.checksum == memory.checksum
    assert disk.test_checksum == memory.test_checksum


def test_given_splits_on_disk_are_kept(tmp_path: Path, on_disk: None) -> None:
    splits = {f"{n}{s}": a[:9] for n, a in ARRAYS["vectors"].items() for s in ("_val", "_test")}
    place = in_files(ARRAYS["vectors"] | splits, tmp_path / "own")
    data = built("data=vectors", f"data.path={place}")
    data.setup()
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [COUNT, 9, 9]
    for split in (data.val_set, data.test_set):
        y = split[torch.arange(9)].y.numpy()
        np.testing.assert_array_equal(y, ARRAYS["vectors"]["y"][:9])


@pytest.mark.parametrize("binarize", ["dynamic", "threshold", "none"])
def test_images_on_disk_are_served_as_those_in_memory(
    tmp_path: Path, binarize: str, request: pytest.FixtureRequest
) -> None:
    for index, image in enumerate(IMAGES):
        (tmp_path / "own" / str(index % 3)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "own" / str(index % 3) / f"{index}.png")
    line = ["data=folder", f"data.root={tmp_path / 'own'}", f"data.binarize={binarize}"]
    expected = served(built(*line))
    request.getfixturevalue("on_disk")
    disk = built(*line)
    assert isinstance(disk.rows, OnDisk)
    for one, same in zip(served(disk), expected, strict=True):
        torch.testing.assert_close(one, same, rtol=0, atol=0)


def test_a_training_on_disk_is_that_in_memory_and_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    place = in_files(ARRAYS["vectors"], tmp_path / "own")
    line = ["data=vectors", f"data.path={place}", "data.batch_size=8", "trainer.max_epochs=3"]
    line += ["network.width=8", "~callbacks.progress", "callbacks.last.every_n_steps=1"]
    train(composed(*line), tmp_path / "memory")
    request.getfixturevalue("on_disk")
    train(composed(*line), tmp_path / "disk")
    with monkeypatch.context() as patch:
        cut_off(patch, epoch=1, batch=3)
        with pytest.raises(SystemExit):
            train(composed(*line), tmp_path / "cut")
    train(composed(*line, f"resume={tmp_path / 'cut'}"), tmp_path / "cut")
    for name in ("disk", "cut"):
        assert differing(outcome(tmp_path / "memory"), outcome(tmp_path / name)) == []


_PEAK = """
import resource, sys, torch
from cvae.config.compose import resolved
from cvae.config.building import build_datamodule
from cvae.data import rows
rows.KEPT, rows._BLOCK, rows.OnDisk.spread_of = 2**26, 2**21, 2**19
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = build_datamodule(resolved("train", sys.argv[1:]))
data.setup()
for batch in data.train_dataloader():
    pass
print(data.rows.workers, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_data_on_disk_do_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    shape = (1_250, 50_000)  # 250 MB, of which the disk holds nothing
    y = np.lib.format.open_memmap(tmp_path / "own" / "y.npy", "w+", np.float32, shape)
    del y
    line = ["data=vectors", f"data.path={tmp_path / 'own'}", "condition=none"]
    found = subprocess.run(
        [sys.executable, "-c", _PEAK, *line], capture_output=True, text=True, check=True
    )
    workers, kilobytes = map(int, found.stdout.split())
    assert workers == 1
    assert kilobytes < 0.12e6


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda own: (own / "y.npy").unlink(), "array 'y' of '.*own' is missing"),
        (lambda own: (own / "y.npy").write_bytes(b"?"), "y.npy' cannot be read as numpy's .npy"),
        (lambda own: np.save(own / "z.npy", CLASSES), "array 'z' of '.*own' is not known"),
        (lambda own: np.save(own / "x.npy", CLASSES[:9]), "array 'x' of '.*own' has shape"),
        (lambda own: [file.unlink() for file in own.iterdir()], "own' has no .npy files"),
    ],
)
def test_folders_of_arrays_that_do_not_fit_are_named(tmp_path: Path, spoil, message: str) -> None:
    place = in_files(ARRAYS["vectors"], tmp_path / "own")
    spoil(place)
    with pytest.raises(InputError, match=message):
        built("data=vectors", f"data.path={place}")


def test_what_is_found_in_one_block_alone_counts(tmp_path: Path, on_disk: None) -> None:
    y = ARRAYS["vectors"]["y"].copy()
    y[-1, 0] = np.nan
    place = in_files({"y": y}, tmp_path / "one")
    assert built("data=vectors", f"data.path={place}", "condition=none").sizes.y.missing
    x = ARRAYS["vectors"]["x"].copy()
    x[-1, 0] = np.inf
    place = in_files({"x": x, "y": y}, tmp_path / "two")
    with pytest.raises(InputError, match=r"'x' of .* holds NaN or .* in 1 of 60 rows"):
        built("data=vectors", f"data.path={place}")
    deep = IMAGES.astype("u2")
    deep[-1, 0, 0] = 1000
    place = in_files({"y": deep}, tmp_path / "three")
    assert built("data=arrays", f"data.path={place}", "condition=none").sizes.y.levels == 65_536


def test_equal_conditions_are_grouped_wherever_they_are(tmp_path: Path, on_disk: None) -> None:
    x = np.repeat(RNG.normal(size=(COUNT // 2, 2)), 2, 0)
    place = in_files({"x": x, "y": ARRAYS["vectors"]["y"]}, tmp_path / "own")
    data = built("data=vectors", f"data.path={place}")
    expected = torch.arange(COUNT // 2).repeat_interleave(2)
    assert torch.equal(data.rows.groups(), expected)
    assert torch.equal(groups(torch.from_numpy(x)), expected)
    data.setup()
    sides = [
        set(data.rows.given(split.index)[0][:, 0].tolist())
        for split in (data.train_set, data.val_set, data.test_set)
    ]
    assert not any(one & other for one, other in combinations(sides, 2))
