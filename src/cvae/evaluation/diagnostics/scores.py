r"""Proper scores of draws against the y that came, and the error of the best of K draws.

The estimators are fair: their expectation over K draws is the score of the distribution itself, so
that models drawn from with different K can be compared (Ferro 2014, "Fair scores for ensemble
forecasts"). Lower is better.
"""

import torch
from torch import Tensor


def energy_score(draws: Tensor, y: Tensor) -> Tensor:
    r"""Return the energy score of each of B targets, (B,).

    .. math:: \mathbb{E} \lVert \hat y - y \rVert
        - \tfrac12 \mathbb{E} \lVert \hat y - \hat y' \rVert

    (Gneiting & Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation", equation
    22), over pairs of different draws. In one dimension it is the CRPS.

    Args:
        draws: K draws for each target, two at least, (K, B, F).
        y: The targets, (B, F).

    Example:
        >>> draws = torch.tensor([[[3.0, 4.0]], [[-3.0, 4.0]]])  # two draws for one target
        >>> energy_score(draws, y=torch.zeros(1, 2))  # each is 5 from it, 6 from the other
        tensor([2.])
    """
    draws, count = draws.transpose(0, 1), len(draws)
    to_y = torch.cdist(draws, y.unsqueeze(1)).mean((1, 2))
    # By differences: the expanded square would lose the distance of draws that are almost equal.
    within = torch.cdist(draws, draws, compute_mode="donot_use_mm_for_euclid_dist").sum((1, 2))
    return to_y - 0.5 * within / (count * (count - 1))


def crps(draws: Tensor, y: Tensor) -> Tensor:
    r"""Return the continuous ranked probability score of each number, (B, F).

    .. math:: \mathbb{E} |\hat y - y| - \tfrac12 \mathbb{E} |\hat y - \hat y'|

    (Gneiting & Raftery 2007, equation 21), over pairs of different draws, by sorting them.

    Args:
        draws: K draws for each target, two at least, (K, B, F).
        y: The targets, (B, F).

    Example:
        >>> crps(draws=torch.tensor([[[1.0]], [[2.0]]]), y=torch.zeros(1, 1))
        tensor([[1.]])
    """
    count = len(draws)
    weights = 2 * torch.arange(count, device=draws.device, dtype=draws.dtype) - count + 1
    within = torch.einsum("k,kbf->bf", weights, draws.sort(0).values) / (count * (count - 1))
    return (draws - y).abs().mean(0) - within


def best_of(draws: Tensor, y: Tensor, counts: list[int]) -> Tensor:
    """Return the root mean square error of the best of K draws, (len(counts), B).

    The mean over targets never rises with K, and falls to zero as K grows for any distribution
    that covers y, however wrong: it rewards draws that are too wide.

    Args:
        draws: Draws for each target, (K, B, F).
        y: The targets, (B, F).
        counts: Numbers of draws to choose among, K at most.

    Example:
        >>> draws = torch.tensor([[[3.0]], [[2.0]], [[4.0]]])
        >>> best_of(draws, y=torch.zeros(1, 1), counts=[1, 3])
        tensor([[3.],
                [2.]])
    """
    errors = (draws - y).square().mean(-1).sqrt()
    return torch.stack([errors[:count].amin(0) for count in counts])
