"""A user's own labelled images, from folders of image files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cvae.batch import Items
from cvae.conditions import ConditionBuilder
from cvae.data.images import ImageData
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError, require_at_least
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.kinds.parts import Picture

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_WHITE = (255, 255, 255, 255)
_BYTE, _SHORT = 256, 65_535
_Read = tuple[Path, np.ndarray]
"""A file, and its pixels."""


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
            raise ArgumentError("root", f"'{self.root}' is not a folder")
        splits = {"train": self.root}
        if (self.root / "train").is_dir() and _holds_images(self.root / "train"):
            named = {name: self.root / name for name in ("train", "val", "test")}
            splits = {name: folder for name, folder in named.items() if folder.is_dir()}
        classes = _classes(splits["train"])
        listed = {name: _listed(folder, classes) for name, folder in splits.items()}
        if size is not None:
            _require_room(size, sum(map(len, listed.values())))
        targets = {name: self._read([one.y for one in part]) for name, part in listed.items()}
        y = self._alike(targets)
        levels = _levels(targets)
        given: dict[str, list[_Read]] = {}
        if listed["train"][0].x is not None:
            given = {
                name: self._read([one.x for one in part if one.x]) for name, part in listed.items()
            }
        x = self._alike(given) if given else None
        items = {
            name: Items(
                _stacked(targets[name], y, levels),
                torch.tensor([one.label for one in part]),
                (_stacked(given[name], x, _levels(given)),) if x else (),
            )
            for name, part in listed.items()
        }
        self.train_items = items["train"]
        self.val_items, self.test_items = items.get("val"), items.get("test")
        parts = (Picture(x, white=_levels(given) - 1),) if x else ()
        sizes = Sizes(ImageKind(y, levels=levels), max(1, len(classes)), parts, tuple(classes))
        self.describe(sizes, standardize=False)

    def _read(self, files: Sequence[Path]) -> list[_Read]:
        return [(file, self._pixels(file)) for file in files]

    def _alike(self, splits: Mapping[str, list[_Read]]) -> tuple[int, ...]:
        """Return the shape of all images, with the channels of the one that has most."""
        files = [file for part in splits.values() for file in part]
        channels = max(pixels.shape[0] for _, pixels in files)
        height, width = files[0][1].shape[1:]
        for file, pixels in files:
            if pixels.shape[1:] != (height, width):
                raise ArgumentError(
                    "root",
                    f"'{file}' has {pixels.shape[1]}x{pixels.shape[2]} pixels, the "
                    f"images before it {height}x{width}; set data.size to resize all of them",
                )
        return (channels, height, width)

    def _pixels(self, file: Path) -> np.ndarray:
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
        if self.size is not None:
            image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
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


def _levels(splits: Mapping[str, list[_Read]]) -> int:
    """Return how many levels the images of all splits have: 256, or 65,536 if any has 16 bits."""
    return 1 + max(int(np.iinfo(p.dtype).max) for part in splits.values() for _, p in part)


def _stacked(files: Sequence[_Read], shape: tuple[int, ...], levels: int) -> Tensor:
    """Return images as one tensor, (N, C, H, W), of so many levels."""
    scaled = [
        pixels.astype(np.int32) * ((levels - 1) // int(np.iinfo(pixels.dtype).max))
        if levels > _BYTE
        else pixels
        for _, pixels in files
    ]
    return torch.from_numpy(np.stack([np.broadcast_to(pixels, shape) for pixels in scaled]))


def _require_room(size: int, count: int) -> None:
    """Raise an `ArgumentError` where so many images of this size are more than the memory holds."""
    needed = count * size**2
    if hasattr(os, "sysconf") and needed > (memory := _memory()):
        raise ArgumentError(
            "size",
            f"{count} images of {size}x{size} pixels take {needed / 2**30:,.1f} GiB at least, and "
            f"this machine has {memory / 2**30:,.1f} GiB; choose a smaller size",
        )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
