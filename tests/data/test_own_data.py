"""A user's own pairs: read as they are; misfits are reported in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import SHORT
from cvae.batch import Support
from cvae.commands import main as cli
from cvae.conditions import GivenCondition, LabelCondition, NoCondition
from cvae.data.arrays import Arrays
from cvae.data.folder import Folder
from cvae.errors import InputError


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def pairs(count: int = 20, **others: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.standard_normal((count, 2)),
        "y": rng.integers(0, 256, (count, 5, 4), dtype=np.uint8),
        **others,
    }


# -- arrays ------------------------------------------------------------------------------------


def test_arrays_are_served_as_they_are(tmp_path: Path) -> None:
    arrays = pairs(x_test=np.ones((3, 2)), y_test=np.full((3, 5, 4), 51, np.uint8))
    data = Arrays(GivenCondition, path=str(saved(tmp_path / "a.npz", **arrays)))
    data.setup()
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [18, 2, 3]
    assert data.support == Support.LEVELS
    x, y = data.on_after_batch_transfer(next(iter(data.test_dataloader())))
    assert torch.equal(x, torch.ones(3, 2))
    assert torch.equal(y, torch.full((3, 1, 5, 4), 0.2))
    train = torch.cat((*data.train_set.items.given, *data.val_set.items.given))
    expected = torch.from_numpy(arrays["x"])
    assert sorted(map(tuple, train.tolist())) == sorted(map(tuple, expected.tolist()))


def test_a_few_conditions_are_in_every_split(tmp_path: Path) -> None:
    x = np.arange(60.0)[:, None] % 3
    y = np.random.default_rng(0).integers(0, 2, (60, 4, 4))
    data = Arrays(GivenCondition, path=str(saved(tmp_path / "a.npz", x=x, y=y)))
    data.setup()
    for split in (data.train_set, data.test_set):
        assert split.items.given[0].unique().tolist() == [0, 1, 2]


def test_splits_that_are_given_are_kept(tmp_path: Path) -> None:
    arrays = {}
    for level, name in enumerate(("", "_val", "_test")):
        arrays |= {f"x{name}": np.arange(4.0)[:, None], f"y{name}": np.full((4, 2, 2), level)}
    data = Arrays(GivenCondition, path=str(saved(tmp_path / "a.npz", **arrays)))
    data.setup()
    for level, split in enumerate((data.train_set, data.val_set, data.test_set)):
        assert split.items.y.tolist() == np.full((4, 1, 2, 2), level).tolist()


def test_whole_numbers_are_classes_and_binary_targets_stay_binary(tmp_path: Path) -> None:
    arrays = pairs(30, x=np.arange(30) % 3, y=np.random.default_rng(0).random((30, 3, 3)) > 0.5)
    data = Arrays(LabelCondition, path=str(saved(tmp_path / "a.npz", **arrays)))
    assert data.sizes.num_classes == 3
    assert data.support == Support.BINARY
    data.setup()
    assert data.test_set.items.labels.bincount().tolist() == [2, 2, 2]


def served_pixels(path: Path) -> tuple[Support, np.ndarray]:
    """The support of the images in a file, and their pixels in ascending order, as y has them."""
    data = Arrays(GivenCondition, path=str(path))
    images = torch.cat([data.values(data.read(train).items.y) for train in (True, False)])
    return data.support, np.sort(images.numpy(), axis=None)


def test_real_pixels_are_kept_as_they_are(tmp_path: Path) -> None:
    y = np.random.default_rng(0).random((20, 3, 3, 3))
    support, served = served_pixels(saved(tmp_path / "a.npz", **pairs(y=y)))
    assert support == Support.UNIT_INTERVAL
    assert (served == np.sort(y, axis=None).astype(np.float32)).all()


def test_whole_numbers_beyond_a_byte_keep_their_levels(tmp_path: Path) -> None:
    y = np.random.default_rng(0).integers(0, 65536, (20, 3, 3))
    support, served = served_pixels(saved(tmp_path / "a.npz", **pairs(y=y)))
    assert support == Support.LEVELS
    np.testing.assert_allclose(served * 65535, np.sort(y, axis=None), atol=0.01)


@pytest.mark.parametrize(
    ("x", "served"),
    [
        (np.full((20, 4, 4), 51, np.uint8), 0.2),  # pixels
        (np.full((20, 3, 4, 4), 51), 0.2),
        (np.full((20, 1, 4, 4), 51.0), 51),  # numbers stay as they are
        (np.ones((20, 1, 4, 4), np.uint8), 1),  # a mask
        (np.full((20, 3), 51, np.uint8), 51),
        (np.full(20, 0.5), 0.5),
    ],
)
def test_images_of_bytes_are_pixels_and_other_conditions_come_as_they_are(
    x: np.ndarray, served: float, tmp_path: Path
) -> None:
    data = Arrays(GivenCondition, path=str(saved(tmp_path / "a.npz", **pairs(x=x))))
    data.setup("test")
    batch, _ = data.on_after_batch_transfer(next(iter(data.test_dataloader())))
    shape = {1: (1,), 2: x.shape[1:], 3: (1, 4, 4), 4: x.shape[1:]}[x.ndim]
    assert batch.shape == (4, *shape)
    torch.testing.assert_close(batch, torch.full_like(batch, served))


def test_several_references_of_one_x_are_on_one_side(tmp_path: Path) -> None:
    x = np.repeat(np.arange(40.0), 3)[:, None]
    y = np.random.default_rng(0).integers(0, 2, (120, 4, 4))
    data = Arrays(GivenCondition, path=str(saved(tmp_path / "a.npz", x=x, y=y)))
    data.setup()
    splits = (data.train_set, data.val_set, data.test_set)
    sides = [set(split.items.given[0].flatten().tolist()) for split in splits]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 40


NAN = np.full((20, 2), np.nan)
WRONG = [
    ({"y": None}, "array 'y' of '.*own.npz' is missing; the file has x"),
    ({"x": NAN}, "array 'x' of .* holds NaN or infinite numbers"),
    ({"y": np.full((20, 3, 3), np.inf)}, "array 'y' of .* it holds NaN or infinite numbers"),
    ({"x": np.full((20, 2), 1e300)}, "array 'x' of .* holds numbers too large"),
    ({"x": np.zeros((19, 2))}, r"array 'x' of .* has shape \(19, 2\), expected a row for each"),
    ({"x": np.float64(3)}, r"array 'x' of .* has shape \(\), expected a row for each"),
    ({"y": np.float64(3)}, r"array 'x' of .*'y', of shape \(\), and one at least"),
    ({"y": np.zeros((0, 3, 3)), "x": np.zeros((0, 2))}, r"'y', of shape \(0, 3, 3\), and one"),
    ({"y": np.zeros((20, 9))}, r"array 'y' of .* is float64 of shape \(20, 9\); .* expects images"),
    ({"y": np.zeros((20, 0, 3))}, r"array 'y' of .* of shape \(20, 0, 3\); .* expects images"),
    ({"y": np.zeros((20, 8, 8, 3))}, r"where channels come last, use y\.transpose\(0, 3, 1, 2\)"),
    ({"y": np.full((20, 3, 3), 65536)}, "array 'y' of .* it has pixels from 65536 to 65536"),
    ({"y": np.full((20, 3, 3), -0.1)}, "array 'y' of .* it has pixels from -0.1 to -0.1"),
    ({"x": np.array([b"a"] * 20)}, r"array 'x' of .* holds \|S1, expected real numbers"),
    ({"x": np.array([["a"]] * 20)}, "array 'x' of .* <U1"),
    ({"y": np.array(["a"] * 20)}, "array 'y' of .* holds <U1, expected real numbers"),
    ({"y": np.full((20, 3, 3), "a")}, "array 'y' of .* holds <U1, expected real numbers"),
    ({"x": np.zeros((20, 2), complex)}, "array 'x' of .* holds complex128, expected real numbers"),
    ({"x": np.array([{}] * 20)}, "cannot be read as numpy's .npz .*Python objects"),
    ({"labels": np.arange(20) % 3 - 1}, "got -1 to 1; .* makes those that are missing a class of"),
    ({"labels": np.full(20, 3)}, "array 'labels' of .* numbered from 0 without a gap, got 3 to 3"),
    ({"labels": np.zeros(20)}, "array 'labels' of .*: classes are whole numbers or names of sh"),
    (
        {"labels": np.arange(20) % 2 + 1},
        "2 classes are numbered from 0 without a gap, got 1 to 2; np.uni",
    ),
    ({"x": np.arange(20) + 18}, r"for numbers that are not classes give x as \(N, 1\)"),
    ({"labls": np.arange(20)}, "array 'labls' of .* is not known; did you mean 'labels'"),
    ({"x_test": np.zeros((3, 2))}, "own.npz' has x_test, expected x_test, y_test, as it has x, y"),
    ({"labels_val": np.zeros(3, int)}, "has labels_val, expected x_val, y_val, as it has x, y"),
    (
        {"x_test": np.zeros((3, 2)), "y_test": np.zeros((3, 4, 5), int)},
        r"array 'y_test' of .* has items of shape \(4, 5\), those of 'y' have \(5, 4\)",
    ),
    (
        {"x_test": np.zeros((3, 2)), "y_test": np.zeros((3, 5, 4))},
        "array 'y_test' of .* holds float64, but 'y' holds uint8",
    ),
    (
        {"x": np.arange(20) % 2, "x_val": np.array([7]), "y_val": np.zeros((1, 5, 4), int)},
        "array 'x_val' of .* has class 7, which 'x' does not have",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message for _, message in WRONG])
def test_arrays_that_do_not_fit_are_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arrays = {name: array for name, array in pairs(**changes).items() if array is not None}
    path = saved(tmp_path / "own.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        Arrays(GivenCondition, path=str(path))
    assert "\n" not in str(caught.value)


def test_pairs_without_x_have_no_condition(tmp_path: Path) -> None:
    path = str(saved(tmp_path / "own.npz", y=pairs()["y"]))
    assert Arrays(NoCondition, path=path).condition.x_shape == (0,)
    with pytest.raises(InputError, match="no condition comes with the y of these data"):
        _ = Arrays(GivenCondition, path=path).condition


@pytest.mark.parametrize("condition", [LabelCondition, GivenCondition])
@pytest.mark.parametrize("x", [np.zeros(20, int), np.array(["a"] * 20)])
def test_one_class_alone_is_no_condition(condition: Any, x: np.ndarray, tmp_path: Path) -> None:
    data = Arrays(condition, path=str(saved(tmp_path / "own.npz", **pairs(x=x))))
    with pytest.raises(InputError, match="one class only"):
        _ = data.condition


def test_strings_are_classes_with_names(tmp_path: Path) -> None:
    x = np.array(["owl", "cat"])[np.arange(20) % 2]
    data = Arrays(LabelCondition, path=str(saved(tmp_path / "own.npz", **pairs(x=x))))
    assert data.sizes.class_names == ("cat", "owl")
    labels = torch.cat([data.read(train).items.labels for train in (True, False)])
    assert labels.bincount().tolist() == [10, 10]
    given = Arrays(GivenCondition, path=str(tmp_path / "own.npz")).condition
    for condition in (data.condition, given):
        assert condition.names(condition.encode(["owl", "cat"])) == ["owl", "cat"]


def test_a_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez_compressed(path, **pairs(2000))
    contents = bytearray(path.read_bytes())
    contents[2000:2100] = bytes(100)
    path.write_bytes(contents)
    with pytest.raises(InputError, match=r"own\.npz' cannot be read as numpy's \.npz"):
        Arrays(GivenCondition, path=str(path))


def test_a_missing_file_is_named_with_its_neighbour(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own\.npz' is not a file; expected numpy's \.npz"):
        Arrays(GivenCondition, path=str(tmp_path / "own.npz"))
    saved(tmp_path / "owns.npz", **pairs())
    with pytest.raises(InputError, match=r"own\.npz' is not a file; did you mean '.*owns\.npz'"):
        Arrays(GivenCondition, path=str(tmp_path / "own.npz"))


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 half a file", b"text"])
def test_a_file_that_is_not_npz_is_named(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(contents)
    with pytest.raises(InputError, match=r"path: '.*own\.npz' cannot be read as numpy's"):
        Arrays(GivenCondition, path=str(path))


def test_a_single_array_is_not_a_file_of_arrays(tmp_path: Path) -> None:
    with (tmp_path / "own.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"own\.npz' is a single array"):
        Arrays(GivenCondition, path=str(tmp_path / "own.npz"))


# -- folders -----------------------------------------------------------------------------------


def test_a_folder_is_read_as_pillow_reads_it(folder_root: Path) -> None:
    data = Folder(LabelCondition, root=str(folder_root))
    assert data.sizes.class_names == ("cat", "dog")
    assert data.sizes.y.shape == (1, 9, 7)
    assert data.condition.names(data.condition.encode(None)) == ["cat", "dog"]
    items = [data.read(train).items for train in (True, False)]
    served = {
        (label, image.numpy().tobytes())
        for part in items
        for label, image in zip(part.labels.tolist(), part.y, strict=True)
    }
    expected = {
        (label, np.asarray(Image.open(file)).tobytes())
        for label, name in enumerate(("cat", "dog"))
        for file in (folder_root / name).iterdir()
    }
    assert served == expected
    assert [len(part.y) for part in items] == [48, 12]


def test_one_colour_image_makes_all_of_them_so_and_size_resizes_them(
    folder_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder_root, tmp_path / "own")
    Image.new("RGB", (20, 10), (255, 0, 0)).save(tmp_path / "own" / "cat" / "00.png")
    data = Folder(LabelCondition, root=str(tmp_path / "own"), size=6)
    assert data.sizes.y.shape == (3, 6, 6)
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1).expand(3, 6, 6)
    images = torch.cat([data.read(train).items.y for train in (True, False)])
    assert sum(torch.equal(image, red) for image in images) == 1


def test_folders_of_splits_are_kept(folder_root: Path, tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        shutil.copytree(folder_root, tmp_path / name)
    (tmp_path / "test" / "cat" / "00.png").unlink()
    data = Folder(LabelCondition, root=str(tmp_path))
    data.setup()
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [60, 60, 59]


def test_a_class_may_lack_in_the_test_split(folder_root: Path, tmp_path: Path) -> None:
    for name in ("train", "test"):
        shutil.copytree(folder_root, tmp_path / name)
    shutil.rmtree(tmp_path / "test" / "cat")
    data = Folder(LabelCondition, root=str(tmp_path))
    data.setup("test")
    assert data.test_set.items.labels.tolist() == [1] * 30


def test_files_are_seen_as_they_are_meant(folder_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "own"
    shutil.copytree(folder_root, root)
    (root / ".thumbnails").mkdir()
    shutil.copy(root / "cat" / "00.png", root / ".thumbnails")
    (root / "cat" / "._00.png").write_bytes(b"not an image")
    deep = np.full((9, 7), 51 * 257, np.uint16)
    Image.fromarray(deep).save(root / "cat" / "00.png")
    clear = Image.new("LA", (7, 9), (0, 0))
    clear.save(root / "cat" / "01.png")
    turned = Image.fromarray(np.repeat([[0], [255]], (3, 4), 0).repeat(9, 1).astype(np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    turned.save(root / "cat" / "02.png", exif=exif)
    data = Folder(LabelCondition, root=str(root))
    assert data.sizes.class_names == ("cat", "dog")
    images = torch.cat([data.read(train).items.y for train in (True, False)])[:, 0].float()
    images /= 257  # one image has 16 bits, so all are kept with 65,536 levels
    for expected in (
        torch.full((9, 7), 51.0),
        torch.full((9, 7), 255.0),
        torch.tensor([255.0] * 4 + [0.0] * 3).expand(9, 7),
    ):
        assert (images == expected).flatten(1).all(1).sum() == 1


def test_images_alone_are_data_without_classes(folder_root: Path) -> None:
    data = Folder(NoCondition, root=str(folder_root / "cat"))
    data.setup()
    assert [len(s) for s in (data.train_set, data.val_set, data.test_set)] == [21, 3, 6]
    with pytest.raises(InputError, match="one class only"):
        _ = Folder(LabelCondition, root=str(folder_root / "cat")).condition


def test_folders_x_and_y_are_pairs(folder_root: Path, tmp_path: Path) -> None:
    shutil.copytree(folder_root / "cat", tmp_path / "x")
    (tmp_path / "y").mkdir()
    for file in (tmp_path / "x").iterdir():  # each y is its x, upside down and larger
        image = Image.open(file).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        image.resize((14, 18), Image.Resampling.NEAREST).save(tmp_path / "y" / file.name)
    data = Folder(GivenCondition, root=str(tmp_path))
    data.setup()
    x, y = data.on_after_batch_transfer(data.train_set[torch.arange(5)])
    assert (x.shape, y.shape) == ((5, 1, 9, 7), (5, 1, 18, 14))
    assert torch.equal(y[..., ::2, ::2].flip(-2), x)


def test_colour_in_the_test_split_alone_counts(folder_root: Path, tmp_path: Path) -> None:
    for name in ("train", "test"):
        shutil.copytree(folder_root, tmp_path / name)
    Image.new("RGB", (7, 9), (255, 0, 0)).save(tmp_path / "test" / "dog" / "00.png")
    assert Folder(LabelCondition, root=str(tmp_path)).sizes.y.shape == (3, 9, 7)


def _animate(root: Path) -> None:
    frames = [Image.new("L", (7, 9), level) for level in (0, 255)]
    frames[0].save(root / "cat" / "99.gif", save_all=True, append_images=frames[1:])


def _no_range(root: Path) -> None:
    Image.new("F", (7, 9)).save(root / "cat" / "99.tif")


def _empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _beside(root: Path) -> None:
    Image.new("L", (7, 9)).save(root / "image.png")


def _deeper(root: Path) -> None:
    (root / "cat" / "kittens").mkdir()
    Image.new("L", (7, 9)).save(root / "cat" / "kittens" / "image.png")


def _unpaired(root: Path) -> None:
    for name, pair in (("cat", "x"), ("dog", "y")):
        (root / name).rename(root / pair)
    (root / "x" / "07.png").unlink()


def _cut(root: Path) -> None:
    file = root / "cat" / "03.png"
    file.write_bytes(file.read_bytes()[:60])


def _text(root: Path) -> None:
    (root / "cat" / "03.png").write_text("no image")


def _odd(root: Path) -> None:
    Image.new("L", (8, 9)).save(root / "dog" / "07.png")


def _new_class(root: Path) -> None:
    for name in ("train", "test"):
        for kind in ("cat", "dog"):
            shutil.copytree(root / kind, root / name / kind)
    shutil.copytree(root / "cat", root / "test" / "cow")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "root: '.*own' is not a folder"),
        (_empty, "'.*own' holds no images; expected a folder for each class"),
        (_beside, r"'.*own/image\.png' lies beside folders of images"),
        (_deeper, "'.*cat/kittens' is deeper than a class; move its images"),
        (_unpaired, r"'.*y/07\.png' has no image of its name in 'x'"),
        (_cut, r"'.*cat/03\.png' cannot be read"),
        (_animate, r"'.*cat/99\.gif' has several frames, expected one image"),
        (_no_range, r"'.*cat/99\.tif' cannot be read .*mode F, whose range is not known"),
        (_text, r"'.*cat/03\.png' cannot be read as an image"),
        (_odd, r"'.*dog/07\.png' has 9x8 pixels, the images before it 9x7; set data\.size"),
        (_new_class, r"'.*test/cow' is not a class of the training images \(cat, dog\)"),
    ],
)
def test_folders_that_do_not_fit_are_named(
    damage: Callable[[Path], None], message: str, folder_root: Path, tmp_path: Path
) -> None:
    root = tmp_path / "own"
    shutil.copytree(folder_root, root)
    damage(root)
    with pytest.raises(InputError, match=message) as caught:
        Folder(LabelCondition, root=str(root))
    assert "\n" not in str(caught.value)


# -- commands ----------------------------------------------------------------------------------


@pytest.fixture
def moved_on(call, arrays_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train on a file by its relative path, and go to another folder; return the first one."""
    shutil.copy(arrays_path, tmp_path / "own.npz")
    run = ["data=arrays", "data.path=own.npz", "condition=given", *SHORT, "hydra.run.dir=run"]
    assert call(cli.train, *run)[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_own_data_go_through_every_command_from_any_folder(call, moved_on: Path) -> None:
    assert call(cli.sample, "checkpoint=../run", "n=2", "out=a.png")[0] == 0
    assert call(cli.evaluate, "checkpoint=../run", "samples=3", "images=0")[0] == 0
    shutil.move(moved_on / "own.npz", moved_on / "moved.npz")
    status, _, error = call(cli.evaluate, "checkpoint=../run", "samples=3", "images=0")
    assert status == 2
    assert "own.npz' is not a file" in error
    changed = ["checkpoint=../run", "samples=3", "images=0", "data.path=../moved.npz"]
    assert call(cli.evaluate, *changed)[0] == 0


def test_a_run_on_own_data_resumes_from_any_folder(call, moved_on: Path) -> None:
    assert call(cli.train, "resume=../run", "trainer.max_epochs=2")[0] == 0
    shutil.move(moved_on / "own.npz", moved_on / "moved.npz")
    again = ["resume=../run", "trainer.max_epochs=3", "data.path=../moved.npz"]
    assert call(cli.train, *again)[0] == 0


def test_images_of_two_sizes_several_references_and_few_test_images(call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.integers(0, 256, (75, 6, 10), dtype=np.uint8), 2, 0)
    path = saved(
        tmp_path / "own.npz", x=x, y=rng.random((150, 12, 8)) > 0.5, labels=np.arange(150) % 2
    )
    run = ["data=arrays", f"data.path={path}", "condition=given", *SHORT, "hydra.run.dir=run"]
    assert call(cli.train, *run)[0] == 0  # with pictures of x above those of y
    status, out, error = call(cli.evaluate, "checkpoint=run", "samples=3")
    assert (status, error) == (0, "")
    assert "no judge: 30 test images are too few" in out
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["references/conditions"] == 15
    assert metrics["references/draws"] == 16
    assert metrics["references_redrawn/among_references"] == pytest.approx(
        metrics["references/among_references"]
    )
    assert Path("run/latent.png").is_file()  # written after the projector's sheet of 12x8 images


def test_named_classes_are_asked_for_by_name(call, folder_root: Path) -> None:
    run = ["data=folder", f"data.root={folder_root}", *SHORT, "hydra.run.dir=run"]
    assert call(cli.train, *run)[0] == 0
    assert call(cli.sample, "checkpoint=run", 'digits="dog,cat"', "n=2", "out=a.png")[0] == 0
    status, _, error = call(cli.sample, "checkpoint=run", "digits=cow", "out=b.png")
    assert status == 2
    assert "x: no class is called 'cow'" in error


def test_data_without_classes_need_no_judge(call, tmp_path: Path) -> None:
    path = saved(tmp_path / "own.npz", **pairs(60))
    run = ["data=arrays", f"data.path={path}", "condition=given", "likelihood=gaussian"]
    assert call(cli.train, *run, *SHORT, "hydra.run.dir=run")[0] == 0
    status, out, error = call(cli.evaluate, "checkpoint=run", "samples=3")
    assert (status, error) == (0, "")
    assert "no judge: these data have no classes" in out
