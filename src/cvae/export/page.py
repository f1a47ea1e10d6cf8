"""A model as one HTML page, which needs no network and no other file."""

import copy
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from cvae.errors import InputError
from cvae.export.functions import Function, functions
from cvae.export.javascript import Arrays, javascript
from cvae.export.rounding import LARGEST, Bytes, Precision, layer_inputs, to_bytes
from cvae.kinds import Sizes
from cvae.model.cvae import CVAE

_CALIBRATION = 4000
"""Images that rounding and plane are computed from, at least, and at least 100 of each class."""

_WIDTH = 112


class Carried(NamedTuple):
    """The contents of a page: the `source` of a model's functions, and the `arrays` it refers to.

    `model` computes the same as the page: its weights are the rounded ones. `directions` (C, 2, N)
    are, for each condition, the two directions of the noise along which y changes most. `x` are the
    conditions, (C, *x_shape).
    """

    source: str
    arrays: dict[str, Tensor | Bytes]
    model: CVAE
    directions: Tensor
    inputs: dict[str, Function]
    x: Tensor


def carried(
    model: CVAE,
    precision: Precision,
    rng: torch.Generator,
    most: int = LARGEST,
    x: Tensor | None = None,
) -> Carried:
    """Return a model in the form that a page contains.

    Args:
        model: A trained model.
        precision: What matrices are rounded to; everything else is kept in float32.
        rng: Source of the noise of the images that the rounding is computed from.
        most: As for `to_bytes`.
        x: The conditions that the page can be asked for, (C, *x_shape); None are the classes.

    Raises:
        InputError: If a page cannot show the model.
    """
    _require_page(model, x)
    rows, parts = model.conditions_of(x), functions(model)
    exact: Arrays = {}
    source = "\n\n".join(javascript(name, part, rows, exact) for name, part in parts.items())
    with layer_inputs(model) as inputs:
        directions = torch.stack([_directions(parts, row, len(rows), rng) for row in rows])
    arrays: dict[str, Tensor | Bytes] = {}
    rounded = copy.deepcopy(model)
    weights = dict(rounded.named_parameters())
    for name, array in exact.items():
        arrays[name] = array
        if name not in weights or array.dim() < 2:
            continue
        if precision == "float16":
            arrays[name] = array.half()
            weights[name].data.copy_(array.half())
        else:
            whole = arrays[name] = to_bytes(array.flatten(1), inputs.get(name), most)
            weights[name].data.copy_(whole.matrix().view_as(array))
    return Carried(source, arrays, rounded, directions, parts, rows)


def _require_page(model: CVAE, x: Tensor | None) -> None:
    if model.condition.sizes.y.drawn_as is None:
        raise InputError(
            "checkpoint: a page shows images, vectors, sequences and label maps; of this y choose "
            "format=onnx"
        )
    if x is None and not (model.condition.asked_by_class or model.condition.x_shape == (0,)):
        raise InputError(
            "checkpoint: a page asks for classes, and this model is conditioned on more than a "
            "class; choose format=onnx"
        )
    channels = model.condition.y_shape[0]
    if model.condition.sizes.y.drawn_as == "image" and channels not in (1, 3):
        raise InputError(f"checkpoint: a page shows images of 1 or 3 channels, not of {channels}")


@torch.no_grad()
def _directions(
    parts: Mapping[str, Function], x: Tensor, classes: int, rng: torch.Generator
) -> Tensor:
    """Return the two directions of the noise, (2, N), along which images of a class change most.

    They are those of a linear regression of the images on the noise.
    """
    size = parts["latent"].inputs["noise"].shape[1]
    count = max(100, _CALIBRATION // classes)
    hands = torch.randn(count, size, generator=rng)
    x = x.expand(count, *x.shape)
    images = parts["mean"].module(x, parts["latent"].module(x, hands)).flatten(1).float()
    slopes = (images - images.mean(0)).T @ hands / count
    found = torch.zeros(2, size)
    directions = torch.linalg.svd(slopes, full_matrices=False).Vh[:2]
    found[: len(directions)] = directions
    return found


@torch.no_grad()
def _looks(carried: Carried, sizes: Sizes) -> dict[str, Any]:
    """Return how the page draws y: what as, its shape, that of a picture, and its least and most.

    Each number of a vector has a least and most of its own, since it may have a unit of its own.
    """
    shape, kind = list(carried.model.condition.y_shape), sizes.y.drawn_as
    if kind == "image":
        return {"kind": kind, "shape": shape, "image": shape, "ranges": []}
    if kind == "map":
        height = max(1, round(_WIDTH * shape[0] / shape[1]))
        return {"kind": kind, "shape": shape, "image": [3, height, _WIDTH], "ranges": []}
    drawn = carried.model.sample(carried.x, 100, torch.Generator().manual_seed(0)).double()
    numbers = drawn.flatten()[:, None] if kind == "lines" else drawn.flatten(0, -2)
    low, high = numbers.quantile(torch.tensor([0.005, 0.995]).double(), 0)
    room = 0.1 * (high - low)
    image = [3, _WIDTH * 3 // 4, _WIDTH]
    ranges = torch.stack([low - room, high + room], -1).tolist()
    columns = sizes.y.columns() if kind == "bars" else []
    return {"kind": kind, "shape": shape, "image": image, "ranges": ranges, "columns": columns}


def page(
    carried: Carried,
    sizes: Sizes,
    title: str,
    about: Mapping[str, str],
    seed: int,
    noun: Literal["hand", "variant"] = "variant",
    names: list[str] | None = None,
) -> str:
    """Return the page.

    Args:
        carried: The model.
        sizes: Shapes and classes of the data set's items.
        title: The page's title.
        about: Facts about the model that the page shows, by name.
        seed: Seed of the noise that the page opens with.
        noun: What a draw of z is called: "hand" where images are handwritten, or "variant".
        names: Of the conditions that the page can be asked for; None are the classes' names.
    """
    directions = carried.directions.flatten(0, 1)
    arrays = {
        **carried.arrays,
        "directions": to_bytes(directions) if directions.numel() else directions,
    }
    conditional = carried.model.condition.asked_by_class
    classes = [sizes.name(k) for k in range(sizes.num_classes)] if conditional else []
    contents: dict[str, Any] = {
        "noun": noun,
        "classes": names is None,
        "names": names or classes,
        **_looks(carried, sizes),
        "hand": carried.inputs["latent"].inputs["noise"].shape[1],
        "choices": list(carried.inputs["latent"].choices),
        "pixelNoise": carried.inputs["drawn"].inputs["noise"].shape[1],
        "seed": seed,
        "arrays": [_described(array) for array in arrays.values()],
        "bytes": b64encode(zlib.compress(b"".join(map(_bytes, arrays.values())), 9)).decode(),
    }
    # Everything is escaped: the names in a checkpoint may come from anyone.
    templates = Environment(
        loader=PackageLoader("cvae.export", ""), autoescape=True, undefined=StrictUndefined
    )
    return templates.get_template("page.html.jinja").render(
        title=title, about=about, model=contents, source=carried.source
    )


def _described(array: Tensor | Bytes) -> list[Any]:
    if isinstance(array, Bytes):
        return ["int8", *array.whole.shape]
    kind = "float16" if array.dtype == torch.float16 else "float32"
    return [kind, array.numel(), 1]


def _bytes(array: Tensor | Bytes) -> bytes:
    if isinstance(array, Bytes):
        return b"".join(map(_bytes, (array.rows, array.columns, array.whole)))
    kind = {torch.float16: "<f2", torch.float32: "<f4", torch.int8: "i1"}[array.dtype]
    return array.contiguous().numpy().astype(kind).tobytes()
