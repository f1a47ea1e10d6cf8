"""Helpers of the metrics."""

import torch
from torch import Tensor


def zeros(*shape: int) -> Tensor:
    """Return an empty sum, in float64."""
    return torch.zeros(shape, dtype=torch.float64)


def clustered_standard_error(values: Tensor, groups: Tensor) -> Tensor:
    r"""Return the standard error of the mean of numbers of which those of one group depend.

    .. math:: \mathrm{SE}^2 = \frac{G}{G - 1} \frac{1}{N^2}
        \sum_g \Big(\sum_{i \in g} (v_i - \bar v)\Big)^2

    of N numbers in G groups (Liang & Zeger 1986, "Longitudinal Data Analysis Using Generalized
    Linear Models"). Several targets under one x are such a group. Where every number is a group of
    its own, it is the ordinary standard error.

    Args:
        values: Numbers, (N,).
        groups: The number of the group of each, (N,), such as `cvae.data.rows.groups` returns.

    Returns:
        The standard error, (), in float64; NaN for a single group.
    """
    values = values.double()
    _, index = groups.unique(return_inverse=True)
    count = int(index.max()) + 1
    sums = values.new_zeros(count).index_add(0, index, values - values.mean())
    scale = count / (count - 1) if count > 1 else torch.nan
    return (scale * sums.square().sum()).sqrt() / len(values)
