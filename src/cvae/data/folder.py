"""A user's own labelled images, from folders of image files."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from cvae.batch import Items, Sizes
from cvae.conditions import ConditionBuilder
from cvae.data.base import labelled
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError, require_at_least

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_WHITE = (255, 255, 255, 255)


class Folder(OwnData):
    """Reads `DIR/CLASS/FILE`: a sub-folder for each class, of any images that Pillow reads.

    With `DIR/train`, that folder holds the sub-folders of classes, and `DIR/val` and `DIR/test`
    hold those of a validation and a test split, which may lack a class. Grey images have one
    channel; if any image has colour, all have three. Transparent pixels become white. Names that
    begin with a dot are ignored.

    Args:
        condition: Builder of the condition.
        root: The folder.
        size: Height and width to which all images are resized, in pixels; None keeps their size.
        **options: As for `OwnData`.

    Raises:
        InputError: If the folder does not hold images in classes, or an image does not fit; the
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
        if _classes(self.root / "train"):
            named = {name: self.root / name for name in ("train", "val", "test")}
            splits = {name: folder for name, folder in named.items() if _classes(folder)}
        classes = _classes(splits["train"])
        if len(classes) < 2:
            raise ArgumentError(
                "root",
                f"'{splits['train']}' has {len(classes)} folders of images, expected "
                "one for each class and at least two classes; put the images of each class into "
                "a separate folder",
            )
        if size is not None:
            _require_room(size, sum(len(_files(f / c)) for f in splits.values() for c in classes))
        found = {name: self._images(folder, classes) for name, folder in splits.items()}
        files = [file for part in found.values() for file in part]
        channels = max(pixels.shape[0] for _, pixels, _ in files)
        height, width = files[0][1].shape[1:]
        for file, pixels, _ in files:
            if pixels.shape[1:] != (height, width):
                raise ArgumentError(
                    "root",
                    f"'{file}' has {pixels.shape[1]}x{pixels.shape[2]} pixels, the "
                    f"images before it {height}x{width}; set data.size to resize all of them",
                )
        shape = (channels, height, width)
        items = {name: _items(part, shape) for name, part in found.items()}
        self.train_items = items["train"]
        self.val_items, self.test_items = items.get("val"), items.get("test")
        self.sizes = Sizes(shape, len(classes), class_names=tuple(classes))

    def _images(self, folder: Path, classes: list[str]) -> list[tuple[Path, np.ndarray, int]]:
        for name in _classes(folder):
            if name not in classes:
                raise ArgumentError(
                    "root",
                    f"'{folder / name}' is not a class of the training images "
                    f"({', '.join(classes)})",
                )
        return [
            (file, self._pixels(file), label)
            for label, name in enumerate(classes)
            for file in _files(folder / name)
        ]

    def _pixels(self, file: Path) -> np.ndarray:
        """Return an image, upright and on white, as uint8 (1, H, W), or (3, H, W) with colour."""
        try:
            with Image.open(file) as opened:
                if getattr(opened, "n_frames", 1) > 1:
                    raise ArgumentError("root", f"'{file}' has several frames, expected one image")
                image = _in_bytes(ImageOps.exif_transpose(opened))
        except _UNREADABLE as error:
            reason = str(error).partition("\n")[0]
            raise ArgumentError(
                "root", f"'{file}' cannot be read as an image ({reason}); repair it, or take it out"
            ) from error
        if self.size is not None:
            image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _in_bytes(image: Image.Image) -> Image.Image:
    """Return an image in 256 levels, grey or RGB, on white.

    Raises:
        ValueError: If its numbers have no known range.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
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


def _items(files: list[tuple[Path, np.ndarray, int]], shape: tuple[int, ...]) -> Items:
    images = np.stack([np.broadcast_to(pixels, shape) for _, pixels, _ in files])
    labels = np.array([label for _, _, label in files])
    return labelled(torch.from_numpy(images), torch.from_numpy(labels))


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


def _classes(folder: Path) -> list[str]:
    """Return the names of the sub-folders that hold images."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and _files(path))


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
