"""How diverse the generated images are."""

import torch
from torch import Tensor


def spread_distance(
    real: Tensor, generated: Tensor, real_classes: Tensor, generated_classes: Tensor
) -> dict[str, Tensor]:
    r"""Return the difference in spread within a class between generated and real images.

    .. math:: \frac1C \sum_c \left|r_c - 1\right|,
        \quad r_c = s_c^\mathrm{generated} / s_c^\mathrm{real},
        \quad s_c^2 = \mathbb{E}\,\lVert f - \bar f_c \rVert^2

    with f an image's features. 0: as diverse as the real images; 1: always the same image, or
    twice the spread. Fréchet and kernel distances over all classes are hardly affected by this.

    Args:
        real: Features of real images, (N, F).
        generated: Features of generated images, (M, F).
        real_classes: Class of each real image, (N,); all 0 if they have none.
        generated_classes: Class of each generated image, (M,).

    Returns:
        `spread`, the distance, and `spread_ratio`, the mean of r, which shows the direction: means
        over classes with two images or more on each side, () each.

    Example:
        >>> classes = torch.zeros(2, dtype=torch.int64)
        >>> real, generated = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0]])
        >>> spread_distance(real, generated, classes, classes)
        {'spread': tensor(0.5000), 'spread_ratio': tensor(0.5000)}
    """
    count = int(torch.cat((real_classes, generated_classes)).max()) + 1
    ratio = _spread(generated, generated_classes, count) / _spread(real, real_classes, count)
    images = [labels.bincount(minlength=count) for labels in (real_classes, generated_classes)]
    ratio = ratio[torch.stack(images).amin(0) > 1]
    return {"spread": (ratio - 1).abs().mean().float(), "spread_ratio": ratio.mean().float()}


def _spread(features: Tensor, classes: Tensor, count: int) -> Tensor:
    """Return the spread s of the features, (N, F), of each class, (count,)."""
    features, images = features.double(), classes.bincount(minlength=count)
    total = features.new_zeros(count, features.shape[1]).index_add(0, classes, features)
    square = features.new_zeros(count).index_add(0, classes, features.square().sum(1))
    mean = total / images.unsqueeze(-1)
    return (square / images - mean.square().sum(-1)).clamp(min=0).sqrt()
