"""Pictures: tensors to a figure, and nothing else.

Figures are made without pyplot, so that they need no display and keep no global state; the same
tensors give the same bytes.
"""

from collections.abc import Sequence
from io import BytesIO

import torch
from matplotlib.figure import Figure
from torch import Tensor

_DPI = 100
_GAP = 4
_CELL = 56


def image_grid(images: Tensor, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> Figure:
    """Return a figure of images in rows and columns, each with its name.

    Args:
        images: (R, C, channels, H, W) in [0, 1]; one channel is drawn as ink on paper.
        columns: A name for each of the C columns, or none.
        rows: A name for each of the R rows, or none.
    """
    # Whole-number enlargement keeps the pixels of an 8x8 scan square and sharp.
    scale = max(1, round(_CELL / images.shape[-1]))
    tiles = images.float().cpu().repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    count_r, count_c, channels, height, width = tiles.shape
    if channels == 1:
        tiles = 1 - tiles
    canvas = torch.full(
        (channels, count_r * (height + _GAP) - _GAP, count_c * (width + _GAP) - _GAP), 0.85
    )
    for r in range(count_r):
        for c in range(count_c):
            top, left = r * (height + _GAP), c * (width + _GAP)
            canvas[:, top : top + height, left : left + width] = tiles[r, c]

    margin_left = 12 + 9 * max((len(name) for name in rows), default=0)
    margin_top = 12 + (18 if columns else 0)
    total_h, total_w = canvas.shape[1] + margin_top + 12, canvas.shape[2] + margin_left + 12
    figure = Figure(figsize=(total_w / _DPI, total_h / _DPI), dpi=_DPI)
    axes = figure.add_axes(
        (
            margin_left / total_w,
            12 / total_h,
            canvas.shape[2] / total_w,
            canvas.shape[1] / total_h,
        )
    )
    axes.imshow(
        canvas.permute(1, 2, 0).squeeze(-1).clamp(0, 1).numpy(),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        aspect="auto",
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=10)
    axes.set_xticks([c * (width + _GAP) + width / 2 for c in range(len(columns))], columns)
    axes.set_yticks([r * (height + _GAP) + height / 2 for r in range(len(rows))], rows)
    return figure


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file's bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
