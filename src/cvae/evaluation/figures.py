"""Pictures: tensors to a figure, and nothing else.

Figures are made without pyplot, so that they need no display and keep no global state; the same
tensors give the same bytes.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import torch
from matplotlib import colormaps, rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from torch import Tensor
from torch.nn.functional import pad

DPI = 100
GAP, CELL = 4, 56
"""Pixels between two images of a grid, and of an image's width, about."""
_LETTER, _LETTERS = 8, 16
"""Width of a letter of a column's name, in pixels, and the letters of one that are shown."""
_SLANT, _SIDE = 45, 0.71
"""Degrees by which names are turned that are wider than their columns; the sine and cosine."""


class Words(NamedTuple):
    """What a picture says of itself: its title, and what its columns and rows are."""

    title: str = ""
    across: str = ""
    down: str = ""


def image_grid(
    images: Tensor,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    legend: Mapping[str, str] | None = None,
    words: Words = Words(),  # noqa: B008, as it cannot change
) -> Figure:
    """Return a figure of images in rows and columns, each with its name.

    Args:
        images: (R, C, channels, H, W) in [0, 1]; with one channel, 1 is drawn black on white.
        columns: A name for each of the C columns, or none.
        rows: A name for each of the R rows, or none.
        legend: What colours mean, each by its name; or None.
        words: The title, and what columns and rows are.
    """
    # Whole-number enlargement keeps the pixels of an 8x8 scan square and sharp.
    scale = max(1, round(CELL / images.shape[-1]))
    tiles = images.float().cpu().repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    height, width = tiles.shape[-2:]
    if tiles.shape[2] == 1:
        tiles = 1 - tiles
    framed = pad(tiles, (0, GAP, 0, GAP), value=0.85)
    canvas = framed.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)[:, :-GAP, :-GAP]
    _, tall, wide = canvas.shape

    names = [_rounded(name) for name in columns]
    names = [name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…" for name in names]
    longest = max(map(len, names), default=0)
    slant = longest > max(2, width // _LETTER)
    above = int(slant * _SIDE * _LETTER * longest)
    margin_left = 12 + 9 * max((len(name) for name in rows), default=0) + 20 * bool(words.down)
    margin_top = (
        12 + (18 if columns else 0) + above + 20 * bool(words.title) + 20 * bool(words.across)
    )
    total_h, total_w = tall + margin_top + 12, wide + margin_left + 12
    total_w += max(0, above + _LETTER - width // 2)  # the last name leans beyond its column
    total_w = max(total_w, _LETTER * max(len(words.title), len(words.across) + len("columns: ")))
    total_h = max(total_h, _LETTER * (len(words.down) + len("rows: ")) + 12 if words.down else 0)
    if legend:
        total_w += 40 + 9 * max(map(len, legend))
        total_h = max(total_h, 20 * len(legend) + 24)
    figure = Figure(figsize=(total_w / DPI, total_h / DPI), dpi=DPI)
    axes = figure.add_axes(
        (margin_left / total_w, 1 - (tall + margin_top) / total_h, wide / total_w, tall / total_h)
    )
    shown = canvas.permute(1, 2, 0).squeeze(-1).clamp(0, 1).numpy()
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.spines[:].set_visible(False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=10)
    turned: dict[str, Any] = (
        {"rotation": _SLANT, "ha": "left", "rotation_mode": "anchor"} if slant else {}
    )
    axes.set_xticks([c * (width + GAP) + width / 2 for c in range(len(names))], names, **turned)
    axes.set_yticks([r * (height + GAP) + height / 2 for r in range(len(rows))], rows)
    _say(figure, words, (total_w, total_h))
    if legend:
        patches = [Patch(fc=c, ec="0.7", label=name) for name, c in legend.items()]
        figure.legend(handles=patches, loc="center right", frameon=False)
    return figure


def _say(figure: Figure, words: Words, size: tuple[int, int]) -> None:
    """Write the title and what columns are above the images, and what rows are on their left."""
    width, height = size
    lines = [(words.title, 11), (words.across and f"columns: {words.across}", 10)]
    for place, (text, points) in enumerate((t, p) for t, p in lines if t):
        top = 1 - (6 + 20 * place) / height
        figure.text(6 / width, top, text, fontsize=points, va="top", ha="left")
    if words.down:
        figure.text(
            4 / width, 8 / height, f"rows: {words.down}", fontsize=10, rotation=90, va="bottom"
        )


def _rounded(name: str) -> str:
    """Return a number in three digits, and any other name as it is."""
    try:
        return f"{float(name):.3g}" if len(name) > len("0.123") else name
    except ValueError:
        return name


class Plane(NamedTuple):
    """Points of a plane with their classes, and an ellipse for each class or a single one.

    `points` (N, 2), `classes` (N,), `names` of the classes, `axes`, the names of both axes;
    `centres` (E, 2) and `covariances` (E, 2, 2) of E Gaussians.
    """

    points: Tensor
    classes: Tensor
    names: Sequence[str]
    axes: tuple[str, str]
    centres: Tensor
    covariances: Tensor


def latent_planes(planes: Mapping[str, Plane]) -> Figure:
    """Return planes side by side under their titles, ellipses at two standard deviations."""
    figure = Figure(figsize=(5.6 * len(planes) + 0.9, 5.9), dpi=DPI, layout="constrained")
    names = max((plane.names for plane in planes.values()), key=len)
    colours = colours_of(len(names))
    for index, (title, plane) in enumerate(planes.items()):
        axes = figure.add_subplot(1, len(planes), index + 1)
        points = [colours[label] for label in plane.classes]
        axes.scatter(plane.points[:, 0], plane.points[:, 1], c=points, s=8, alpha=0.6, lw=0)
        single = len(plane.centres) == 1
        for colour, centre, covariance in zip(
            ["black"] if single else colours, plane.centres, plane.covariances, strict=True
        ):
            if not single:  # a dark outline sets the ellipse off from points of its colour
                axes.add_patch(_ellipse(centre, covariance, "black", 2.8))
            axes.add_patch(_ellipse(centre, covariance, colour, 1.6))
        axes.set(title=title, xlabel=plane.axes[0], ylabel=plane.axes[1])
        axes.set_aspect("equal", adjustable="datalim")
    marks = [
        Line2D([], [], ls="", marker="o", color=colour, label=name)
        for name, colour in zip(names, colours, strict=True)
    ]
    if len(marks) > 1:
        figure.legend(handles=marks, loc="outside right center", frameon=False)
    return figure


def _ellipse(centre: Tensor, covariance: Tensor, colour: str, line: float) -> Ellipse:
    variances, directions = torch.linalg.eigh(covariance)
    width, height = (4 * variances.sqrt()).tolist()
    angle = torch.rad2deg(torch.atan2(directions[1, 0], directions[0, 0])).item()
    x, y = centre.tolist()
    return Ellipse((x, y), width, height, angle=angle, fill=False, ec=colour, lw=line)


def bars(values: Tensor, label: str) -> Figure:
    """Return a bar chart of values, (N,), tallest first, with each value's index below its bar."""
    order = values.argsort(descending=True)
    figure = Figure(figsize=(8, 3), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(len(order)), values[order].numpy(), width=0.8)
    step = -(-len(order) // 40)
    axes.set_xticks(range(0, len(order), step), order[::step].tolist(), fontsize=7)
    axes.set(xlabel="latent dimension", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def colours_of(count: int) -> list[str]:
    """Return so many colours that can be told apart, as words for matplotlib."""
    if count <= 10:
        return [to_hex(colormaps["tab10"](index)) for index in range(count)]
    return [to_hex(colormaps["hsv"](index / count)) for index in range(count)]


PICTURES = (".png", ".svg", ".pdf")
"""How the names of pictures end."""
_SAME = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""What keeps the time out of a file, so that the same figure gives the same bytes."""


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file's bytes."""
    return drawn_as(".png", figure)


def drawn_as(suffix: str, figure: Figure, scale: float = 1) -> bytes:
    """Return the bytes of a file with the figure.

    Args:
        suffix: One of `PICTURES`.
        figure: The figure.
        scale: How many times as many pixels as at 100 per inch; SVG and PDF have lines and letters
            without pixels, and take no other size from it.
    """
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "cvae"}):
        figure.savefig(buffer, format=suffix[1:], dpi=DPI * scale, metadata=_SAME[suffix])
    return buffer.getvalue()
