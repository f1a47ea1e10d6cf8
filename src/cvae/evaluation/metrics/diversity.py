"""How diverse the generated images are."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from cvae.evaluation.metrics.base import zeros


class SpreadDistance(Metric):
    r"""Difference in spread within a class between generated and real images.

    .. math:: \frac1C \sum_c \left|r_c - 1\right|,
        \quad r_c = s_c^\mathrm{generated} / s_c^\mathrm{real},
        \quad s_c^2 = \mathbb{E}\,\lVert f - \bar f_c \rVert^2

    with f an image's features. 0: as diverse as the real images; 1: always the same image, or
    twice the spread. Fréchet and kernel distances over all classes are hardly affected by this.

    Args:
        num_features: Number of features F.
        num_classes: Number of classes C; 1 if the images have none.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    square: Tensor
    images: Tensor

    def __init__(self, num_features: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", zeros(2, num_classes, num_features), dist_reduce_fx="sum")
        self.add_state("square", zeros(2, num_classes), dist_reduce_fx="sum")
        self.add_state("images", zeros(2, num_classes), dist_reduce_fx="sum")

    def update(self, features: Tensor, classes: Tensor, real: bool) -> None:
        """Add features, (B, F), of real or of generated images with these classes, (B,)."""
        features = features.double()
        self.total[int(real)].index_add_(0, classes, features)
        self.square[int(real)].index_add_(0, classes, features.square().sum(1))
        self.images[int(real)].index_add_(0, classes, torch.ones_like(features[:, 0]))

    def compute(self) -> dict[str, Tensor]:
        """Return numbers by name, () each, means over classes with two images or more on each side.

        `spread`, the distance, and `spread_ratio`, the mean of r, which shows the direction.
        """
        mean = self.total / self.images.unsqueeze(-1)
        spread = (self.square / self.images - mean.square().sum(-1)).clamp(min=0).sqrt()
        ratio = (spread[0] / spread[1])[(self.images > 1).all(0)]
        return {
            "spread": (ratio - 1).abs().mean().float(),
            "spread_ratio": ratio.mean().float(),
        }
