"""Whether two sets of images come from one distribution."""

import torch
from torch import Tensor

_ROWS = 1000
"""Features of the first set that are compared with all others at a time."""


def kernel_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Return the squared maximum mean discrepancy between features, (), in float64.

    .. math:: \frac{1}{m (m - 1)} \sum_{i \ne j} k(f_i, f_j)
        + \frac{1}{n (n - 1)} \sum_{i \ne j} k(g_i, g_j) - \frac{2}{m n} \sum_{i, j} k(f_i, g_j),
        \quad k(f, g) = (f \cdot g / F + 1)^3

    over all pairs (Bińkowski et al. 2018, "Demystifying MMD GANs", section 4; Gretton et al. 2012,
    "A Kernel Two-Sample Test", equation 3). It is unbiased, and so on average 0 between two halves
    of one set that are dealt at random.

    Args:
        first: Features f, (m, F), two at least.
        second: Features g, (n, F), two at least.

    Example:
        >>> kernel_distance(torch.zeros(2, 1), torch.ones(2, 1))  # 1 + (1 + 1)^3 - 2
        tensor(7., dtype=torch.float64)
    """
    first, second = first.double(), second.double()
    across = _sum(first, second) / (len(first) * len(second))
    return _within(first) + _within(second) - 2 * across


def _within(features: Tensor) -> Tensor:
    count = len(features)
    same = (features.square().mean(1) + 1).pow(3).sum()
    return (_sum(features, features) - same) / (count * (count - 1))


def _sum(first: Tensor, second: Tensor) -> Tensor:
    total = first.new_zeros(())
    for part in first.split(_ROWS):
        root = (part @ second.T).div_(second.shape[1]).add_(1).flatten()
        total += torch.dot(root * root, root)
    return total
