"""Pictures of what is shown as an image: images, label maps, tokens."""

import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from cvae.evaluation.figures import colours_of, image_grid
from cvae.evaluation.pictures.base import Drawn, Panel, Pictures
from cvae.kinds.categories import Categories

_MANY = 20
"""Categories that a legend lists at most."""
_STRIP = 3
"""Height of a token, in its own width."""


class ImagePictures(Pictures):
    """A column for each condition, with the condition above it where that is an image."""

    def samples(self, drawn: Drawn) -> Figure:
        if drawn.shown is None:
            return self.cells(Panel(drawn.draws, drawn.names, []))
        images = self.coloured(drawn.draws)
        channels = max(drawn.shown.shape[-3], images.shape[-3])
        # x may be of another size than y, and ink is dark where there is one channel.
        shown = interpolate(drawn.shown.float(), images.shape[-2:]).unsqueeze(0)
        if channels == 3 and shown.shape[-3] == 1:
            shown = 1 - shown
        parts = [part.expand(-1, -1, channels, -1, -1) for part in (shown, images)]
        rows = ["x", *[""] * len(drawn.draws)]
        return image_grid(torch.cat(parts), drawn.names, rows, self.legend)

    def cells(self, panel: Panel) -> Figure:
        return image_grid(self.coloured(panel.values), panel.columns, panel.rows, self.legend)

    def reconstructions(self, y: Tensor, found: Tensor) -> Figure:
        pair = torch.stack((y, found))[:, : self.conditions]
        return self.cells(Panel(pair, [], ["y", "reconstruction"]))

    def coloured(self, values: Tensor) -> Tensor:
        """Return values of y, (..., *y_shape), as images (..., 1 or 3, H, W).

        Of more than three channels the first three are shown.
        """
        channels = values.shape[-3]
        if channels == 2:
            return torch.cat((values, torch.zeros_like(values[..., :1, :, :])), -3)
        return values[..., :3, :, :]

    def sprites(self, y: Tensor) -> Tensor | None:
        images = self.coloured(y)
        return 1 - images if images.shape[-3] == 1 else images  # ink, as everywhere

    @property
    def legend(self) -> dict[str, str] | None:
        """What the colours mean."""
        return None

    @property
    def pixels(self) -> tuple[int, int]:
        height, width = self.target.shape[-2:]
        return height, width


class LabelMapPictures(ImagePictures):
    """Maps in colours, a category each, with a legend."""

    target: Categories

    def coloured(self, values: Tensor) -> Tensor:
        palette = torch.tensor([to_rgb(colour) for colour in self._colours])
        return palette[values.cpu().nan_to_num(0.0).long()].movedim(-1, -3)

    def sprites(self, y: Tensor) -> Tensor | None:
        return self.coloured(y)

    @property
    def legend(self) -> dict[str, str] | None:
        names = self.target.names or tuple(map(str, range(self.target.categories)))
        found = dict(zip(names[:_MANY], self._colours, strict=False))
        more = self.target.categories - len(found)
        return found | ({f"and {more} more": "none"} if more else {})

    @property
    def _colours(self) -> list[str]:
        # Category 0 is the background mostly.
        return ["#f4f4f4", *colours_of(self.target.categories - 1)]


class TokenPictures(LabelMapPictures):
    """Sequences of tokens as strips in colours, from left to right."""

    mean = False

    @property
    def legend(self) -> dict[str, str] | None:
        return super().legend if self.target.categories <= _MANY else None

    def coloured(self, values: Tensor) -> Tensor:
        return super().coloured(values.unsqueeze(-2).expand(*values.shape[:-1], _STRIP, -1))

    def sprites(self, y: Tensor) -> Tensor | None:
        return None

    @property
    def pixels(self) -> tuple[int, int]:
        return _STRIP, *self.target.shape  # type: ignore[return-value]
