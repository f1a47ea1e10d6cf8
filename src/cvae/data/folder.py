"""A user's own labelled images, from folders of image files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cvae.conditions import ConditionBuilder
from cvae.data.images import ImageData
from cvae.data.read_by import way_to_read
from cvae.data.rows import KEPT, OnDisk
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError, require_at_least
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.kinds.parts import Picture
from cvae.left import Left

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_WHITE = (255, 255, 255, 255)
_BYTE, _SHORT = 256, 65_535


class _Listed(NamedTuple):
    """A file of y, that of its x or None, and the number of its class."""

    y: Path
    x: Path | None
    label: int


class Folder(OwnData, ImageData):
    """Reads `DIR/CLASS/FILE`: a sub-folder for each class, of any images that Pillow reads.

    Images in DIR itself have no classes, for condition=none or quadrants. `DIR/x/FILE` and
    `DIR/y/FILE` of the same names are pairs, for condition=given. With `DIR/train`, that folder
    holds all this, and `DIR/val` and `DIR/test` hold a validation and a test split, which may lack
    a class. Grey images have one channel; if any image has colour, all have three; 16 bits are
    kept. Transparent pixels become white. Names that begin with a dot are ignored.

    Args:
        condition: Builder of the condition.
        root: The folder.
        size: Height and width to which all y are resized, in pixels; None keeps their size.
        **options: As for `ImageData`.

    Raises:
        InputError: If the folder does not hold images as above, or an image does not fit; the
            message names the file.
    """

    def __init__(
        self, condition: ConditionBuilder, *, root: str, size: int | None = None, **options: Any
    ) -> None:
        super().__init__(condition, **options)
        if size is not None:
            require_at_least("size", size, 1)
        self.root, self.size = Path(root).expanduser(), size
        if not self.root.is_dir():
            way = way_to_read(self.root) if self.root.is_file() else ""
            raise ArgumentError("root", f"'{self.root}' is not a folder{way}")
        splits = {"train": self.root}
        if (self.root / "train").is_dir() and _holds_images(self.root / "train"):
            named = {name: self.root / name for name in ("train", "val", "test")}
            splits = {name: folder for name, folder in named.items() if folder.is_dir()}
        classes = _classes(splits["train"])
        listed = {name: _listed(folder, classes) for name, folder in splits.items()}
        every = [one for part in listed.values() for one in part]
        if size is not None:
            _require_room(size, min(len(every), self.batch_size))
        y = _Images([one.y for one in every], size)
        x = _Images([one.x for one in every if one.x], size) if every[0].x else None
        images = _Pairs(y, x)
        labels = torch.tensor([one.label for one in every])
        self.rows = OnDisk(images, labels).kept()
        images.forget()
        ends = np.cumsum([0, *map(len, listed.values())])
        places = zip(listed, ends[:-1], ends[1:], strict=True)
        self.apart = {name: torch.arange(a, b) for name, a, b in places if name != "train"}
        parts = (Picture(x.shape, white=x.levels - 1),) if x else ()
        kind = ImageKind(y.shape, levels=y.levels)
        self.describe(Sizes(kind, max(1, len(classes)), parts, tuple(classes)), standardize=False)


class _Images:
    """Image files, which are read alike.

    Args:
        files: The files.
        size: Height and width to which they are resized; None keeps their size.

    Attributes:
        shape: Shape of each, (C, H, W), with the channels of the one that has most.
        levels: Their number of levels: 256, or 65,536 if any has 16 bits.

    Raises:
        InputError: If one cannot be read, or they differ in size.
    """

    def __init__(self, files: Sequence[Path], size: int | None) -> None:
        self.files, self.size = files, size
        self.read: list[np.ndarray] = []
        """What has been read, unless it is too large to be kept."""
        channels, most, kept, first = 1, _BYTE, True, None
        left = Left("images read", len(files))
        for file in files:
            pixels = _pixels(file, size)
            first = first or pixels.shape[1:]
            if pixels.shape[1:] != first:
                raise ArgumentError(
                    "root",
                    f"'{file}' has {pixels.shape[1]}x{pixels.shape[2]} pixels, the images before "
                    f"it {first[0]}x{first[1]}; set data.size to resize all of them",
                )
            channels = max(channels, pixels.shape[0])
            most = max(most, 1 + int(np.iinfo(pixels.dtype).max))
            kept = kept and pixels.nbytes * len(files) <= KEPT
            if kept:
                self.read.append(pixels)
            else:
                self.read = []
            left.done()
        assert first is not None
        self.shape, self.levels = (channels, *first), most

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the images at some places, (M, C, H, W), as stored."""
        found = [self._scaled(place) for place in index.tolist()]
        return torch.from_numpy(np.stack([np.broadcast_to(one, self.shape) for one in found]))

    def _scaled(self, place: int) -> np.ndarray:
        pixels = self.read[place] if self.read else _pixels(self.files[place], self.size)
        if self.levels == _BYTE:
            return pixels
        return pixels.astype(np.int32) * (_SHORT // int(np.iinfo(pixels.dtype).max))


class _Pairs:
    """Reads images, and those that are their conditions, if there are any."""

    def __init__(self, y: _Images, x: _Images | None) -> None:
        self.targets, self.conditions = y, x

    def y(self, index: Tensor) -> Tensor:
        return self.targets[index]

    def given(self, index: Tensor) -> tuple[Tensor, ...]:
        return (self.conditions[index],) if self.conditions else ()

    def forget(self) -> None:
        """Let go of what has been read."""
        self.targets.read = []
        if self.conditions:
            self.conditions.read = []


def _pixels(file: Path, size: int | None) -> np.ndarray:
    """Return an image, upright and on white, (1, H, W), or (3, H, W) with colour.

    It is of 8 bits a pixel, or of 16 if the file is.
    """
    try:
        with Image.open(file) as opened:
            if getattr(opened, "n_frames", 1) > 1:
                raise ArgumentError("root", f"'{file}' has several frames, expected one image")
            image = _upright(opened)
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ArgumentError(
            "root", f"'{file}' cannot be read as an image ({reason}); repair it, or take it out"
        ) from error
    if size is not None:
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    if image.mode == "F":
        pixels = pixels.round().clip(0, _SHORT).astype(np.uint16)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    """Return an image, grey or RGB, on white; one of 16 bits as real numbers.

    Raises:
        ValueError: If its numbers have no known range.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.asarray(image).astype(np.float32))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are of Pillow's mode {image.mode}, whose range is not known")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), layer)
        rgb = image.convert("RGB")
        red, green, blue = rgb.split()
        grey = red.tobytes() == green.tobytes() == blue.tobytes()
        return red if grey else rgb
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _require_room(size: int, count: int) -> None:
    """Raise an `ArgumentError` where so many images of this size are more than the memory holds."""
    if not hasattr(os, "sysconf"):
        return
    needed, memory = count * size**2, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise ArgumentError(
            "size",
            f"{count} images of {size}x{size} pixels take {needed / 2**30:,.1f} GiB at least, and "
            f"this machine has {memory / 2**30:,.1f} GiB; choose a smaller size",
        )


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _holds_images(folder: Path) -> bool:
    """Return whether there are images in a folder, or in a folder of it."""
    return bool(_files(folder)) or any(_files(inner) for inner in _folders(folder))


def _is_paired(folder: Path) -> bool:
    return [inner.name for inner in _folders(folder) if _files(inner)] == ["x", "y"]


def _classes(folder: Path) -> list[str]:
    """Return the names of the sub-folders that hold images; none of pairs, or of images alone."""
    return [] if _is_paired(folder) else [p.name for p in _folders(folder) if _files(p)]


def _listed(folder: Path, classes: Sequence[str]) -> list[_Listed]:
    """Return the files of a folder: of images, of classes, or of pairs.

    Raises:
        InputError: If there are none, or any that would be left out.
    """
    inner = _folders(folder)
    for deeper in (deep for place in inner for deep in _folders(place) if _holds_images(deep)):
        raise ArgumentError(
            "root", f"'{deeper}' is deeper than a class; move its images into '{deeper.parent}'"
        )
    if _is_paired(folder):
        return _pairs(folder)
    alone = _files(folder)
    if alone and any(_files(place) for place in inner):
        raise ArgumentError(
            "root", f"'{alone[0]}' lies beside folders of images; put it into one, or take it out"
        )
    for place in inner:
        if classes and place.name not in classes and _files(place):
            raise ArgumentError(
                "root",
                f"'{place}' is not a class of the training images ({', '.join(classes)})",
            )
    found = [_Listed(file, None, 0) for file in alone] + [
        _Listed(file, None, label)
        for label, name in enumerate(classes)
        for file in _files(folder / name)
    ]
    if not found:
        raise ArgumentError(
            "root",
            f"'{folder}' holds no images; expected a folder for each class, 'x' and 'y' of pairs, "
            "or images alone",
        )
    return found


def _pairs(folder: Path) -> list[_Listed]:
    """Return the pairs of a folder, `x/NAME` and `y/NAME`, whose endings may differ."""
    x, y = ({file.stem: file for file in _files(folder / name)} for name in ("x", "y"))
    for one, other, files in ((x, "y", y), (y, "x", x)):
        for stem, file in one.items():
            if stem not in files:
                raise ArgumentError("root", f"'{file}' has no image of its name in '{other}'")
    return [_Listed(y[stem], x[stem], 0) for stem in sorted(y)]


def _is_image(path: Path) -> bool:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ArgumentError("root", f"'{path}' is not a file; take it out")
    return True


def _files(folder: Path) -> list[Path]:
    if folder.name.startswith(".") or not folder.is_dir():
        return []
    known = Image.registered_extensions()
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in known and not path.name.startswith(".") and _is_image(path)
    )
