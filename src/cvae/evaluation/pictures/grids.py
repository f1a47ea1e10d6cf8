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
        return self._rows(drawn, [""] * len(drawn.draws))

    def reconstructions(self, drawn: Drawn) -> Figure:
        count = self.conditions
        shown, truth = (None if p is None else p[:count] for p in (drawn.shown, drawn.truth))
        few = Drawn(drawn.draws[:, :count], drawn.names[:count], shown, truth, drawn.words)
        return self._rows(few, ["reconstruction"])

    def cells(self, panel: Panel) -> Figure:
        images = self.coloured(panel.values)
        return image_grid(images, panel.columns, panel.rows, self.legend, panel.words)

    def _rows(self, drawn: Drawn, names: list[str]) -> Figure:
        """Return a picture with the draws below x, where it is an image, and below the true y."""
        parts = [self.coloured(drawn.draws)]
        if drawn.truth is not None:
            parts.insert(0, self.coloured(drawn.truth.unsqueeze(0)))
            names = ["y", *names]
        if drawn.shown is not None:
            # x may be of another size than y, and ink is dark where there is one channel.
            shown = interpolate(drawn.shown.float(), parts[0].shape[-2:]).unsqueeze(0)
            parts.insert(0, shown)
            names = ["x", *names]
        channels = max(part.shape[-3] for part in parts)
        parts = [1 - part if part.shape[-3] < channels == 3 else part for part in parts]
        images = torch.cat([part.cpu().expand(-1, -1, channels, -1, -1) for part in parts])
        return image_grid(
            images, drawn.names, names if any(names) else [], self.legend, drawn.words
        )

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
