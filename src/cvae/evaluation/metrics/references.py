"""How well drawn masks agree with several references."""

import math
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics import Metric

from cvae.evaluation.metrics.base import zeros


class EnergyDistance(Metric):
    r"""Squared generalised energy distance between drawn masks S and reference masks Y.

    .. math:: \mathrm{GED}^2 = 2\,\mathbb{E}\,d(S, Y) - \mathbb{E}\,d(S, S') - \mathbb{E}\,d(Y, Y')

    with d = 1 - IoU, and d = 0 between two empty masks (Kohl et al. 2018, "A Probabilistic U-Net
    for Segmentation of Ambiguous Images", section 3). Lower is better. Expectations within a set
    are over pairs of different draws; an implementation that also pairs each draw with itself gets
    (n - 1) / n of these. So if the references are R equally likely masks, each of them once, the
    true process has GED^2 = -E d(Y, Y') / R, a little below zero.

    Args:
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    conditions: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", zeros(4), dist_reduce_fx="sum")
        self.add_state("conditions", zeros(), dist_reduce_fx="sum")

    def update(self, samples: Tensor, references: Tensor) -> None:
        """Add n samples and R references, (n, B, ...) and (R, B, ...) of 0 and 1, of B conditions.

        Raises:
            ValueError: If there are fewer than two of either.
        """
        if min(len(samples), len(references)) < 2:
            raise ValueError("expected at least two samples and two references")
        crossed = _intersection_over_union(samples, references)
        terms = (
            1 - crossed.mean((1, 2)),
            _between_different(_intersection_over_union(samples, samples)),
            _between_different(_intersection_over_union(references, references)),
            _matched(crossed),
        )
        self.total += torch.stack(terms).double().sum(1)
        self.conditions += samples.shape[1]

    def compute(self) -> dict[str, Tensor]:
        """Return numbers by name, () each, means over all conditions.

        `ged`; its terms `between`, E d(S, Y), `among_samples`, E d(S, S'), and `among_references`,
        E d(Y, Y'); and `matched_iou`, the mean IoU when samples and references are repeated to
        equal numbers and paired so that it is highest (Kohl et al. 2019, "A Hierarchical
        Probabilistic U-Net").
        """
        between, samples, references, matched = (self.total / self.conditions).float().unbind()
        return {
            "ged": 2 * between - samples - references,
            "between": between,
            "among_samples": samples,
            "among_references": references,
            "matched_iou": matched,
        }


def _intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU of all pairs, (B, n, m), of masks (n, B, ...) and (m, B, ...)."""
    a, b = (masks.flatten(2).transpose(0, 1).float() for masks in (first, second))
    common = a @ b.transpose(1, 2)
    union = a.sum(2)[:, :, None] + b.sum(2)[:, None] - common
    return torch.where(union > 0, common / union, 1.0)


def _between_different(iou: Tensor) -> Tensor:
    """Return the mean distance of different masks, (B,), from the IoU of all pairs, (B, n, n)."""
    n = iou.shape[1]
    return (1 - iou).sum((1, 2)) / (n * (n - 1))  # a mask's distance from itself is 0


def _matched(iou: Tensor) -> Tensor:
    """Return the mean IoU of the best pairing, (B,), from the IoU of all pairs, (B, n, m)."""
    size = math.lcm(*iou.shape[1:])
    repeated = iou.repeat(1, size // iou.shape[1], size // iou.shape[2]).cpu()
    found = [pairs[linear_sum_assignment(pairs, maximize=True)].mean() for pairs in repeated]
    return torch.stack(found).to(iou.device)
