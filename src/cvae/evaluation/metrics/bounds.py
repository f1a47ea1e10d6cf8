"""The cost of the data under the model: the terms of the bound, and the NLL."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from cvae.evaluation.metrics.base import clustered_standard_error, zeros
from cvae.model.importance import Estimate

_LEAST_SHRINKING = 0.9
"""Gain of a doubling of the draws, relative to the one before it, from which it does not shrink."""

_QUARTERS = 4
_ERRORS = 3
"""Standard errors in the interval of the NLL; two are too few for weights of heavy tails."""


class MeanTerms(Metric):
    """Means over all targets of the loss and the terms of the bound, in nats per target.

    Args:
        log_prob_is: The name of the mean log-probability of y.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    targets: Tensor
    sound: Tensor

    def __init__(self, log_prob_is: str = "log_likelihood", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = ("loss", "elbo", log_prob_is, "kl")
        self.add_state("total", zeros(len(self.names)), dist_reduce_fx="sum")
        self.add_state("targets", zeros(), dist_reduce_fx="sum")
        self.add_state("sound", zeros(len(self.names)), dist_reduce_fx="min")

    def update(self, loss: Tensor, log_likelihood: Tensor, kl: Tensor) -> None:
        """Add the mean loss of a batch, (), and its targets' terms, (B,) each."""
        count, log_likelihood, kl = len(kl), log_likelihood.sum(), kl.sum()
        added = torch.stack((loss * count, log_likelihood - kl, log_likelihood, kl)).detach()
        # Not in place: a trainer's `validate` leaves tensors that its `fit` may not write to.
        self.total = self.total + added
        self.targets = self.targets + count
        self.sound = self.sound + self.total.isfinite()  # a sum never becomes finite again

    def compute(self) -> dict[str, Tensor]:
        """Return the means by name, () each."""
        return dict(zip(self.names, (self.total / self.targets).float().unbind(), strict=True))

    def sums(self) -> dict[str, Tensor]:
        """Return the sums so far, to be stored."""
        return {name: getattr(self, name).clone() for name in ("total", "targets", "sound")}

    def add(self, sums: Mapping[str, Tensor]) -> None:
        """Add sums that `sums` returned."""
        for name, value in sums.items():
            getattr(self, name).add_(value.to(self.total.device))

    def broken(self) -> tuple[str, float, int] | None:
        """Return the first term that became NaN or infinite, its sum, and the batch.

        Batches are counted from 0. None if all terms are finite. This waits for the device.
        """
        if self.total.isfinite().all():
            return None
        index = min((2, 3, 0), key=lambda index: self.sound[index])  # terms before their sum
        return self.names[index], float(self.total[index]), int(self.sound[index])


class StandardError(Metric):
    """Standard error of the mean of a number over all targets, such as their ELBO.

    Args:
        groups: As for `ImportanceSampledNLL`.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    values: list[Tensor]

    def __init__(self, groups: Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.add_state("values", [], dist_reduce_fx="cat")

    def update(self, values: Tensor) -> None:
        """Add the numbers of B targets, (B,)."""
        self.values.append(values.detach())

    def compute(self) -> Tensor:
        """Return the standard error, (), in the unit of the numbers."""
        return _standard_error(dim_zero_cat(self.values), self.groups).float()


class ImportanceSampledNLL(Metric):
    """Mean of -log p(y|x) over all targets, in nats per target, with its errors.

    Args:
        samples: Number K of draws of z behind each target's estimate.
        groups: The number of each target's condition, (N,), in the order in which they come: those
            of one number count as one observation in the standard error. None if every target has
            a condition of its own.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    estimates: list[Tensor]

    def __init__(self, samples: int, groups: Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.samples, self.groups = samples, groups
        self.add_state("estimates", [], dist_reduce_fx="cat")

    def update(self, estimate: Estimate) -> None:
        """Add the estimates of B targets."""
        self.estimates.append(torch.stack([part.double() for part in estimate], -1))

    def compute(self) -> dict[str, Tensor]:
        """Return numbers by name, () each.

        `nll`, from K draws of z for each target; `nll_half_draws` and `nll_quarter_draws`, from K/2
        and K/4; `nll_standard_error`, of the mean over targets drawn at random;
        `nll_sampling_error`, the standard error over repeated draws of z for these targets;
        `nll_bias`, by how much K draws leave the NLL too high, as the gains of K/4, K/2 and K draws
        continue; `nll_at_least` and `nll_at_most`, between which the NLL of these targets is, with
        three standard errors of what is drawn; `effective_samples`, the mean over targets of
        (sum w)^2 / sum w^2, from 1 to K. All but the last are in nats.

        The second doubling gains g2 = nll_quarter_draws - nll_half_draws, the last one g1 =
        nll_half_draws - nll. If every further one gains g1 / g2 of the one before it, the rest is
        g1 r / (1 - r) with r = g1 / g2; r is 1/2 for weights of finite variance, and more where
        mass is still missing. `nll_at_least` is left out where the gain does not shrink (r is 0.9
        or more, and the gain no noise): then the draws say only how large the NLL is at most. With
        fewer than four draws there is only the NLL, its standard error, and `effective_samples`.
        """
        every = torch.cat([part.reshape(-1, len(Estimate._fields)) for part in self.estimates])
        log_prob, halves, quarters, variance, effective = every.unbind(-1)
        found = {
            "nll": -log_prob.mean(),
            "nll_standard_error": _standard_error(log_prob, self.groups),
        }
        if self.samples >= _QUARTERS:
            found |= _draws(log_prob, halves, quarters, variance)
        found["effective_samples"] = effective.mean()
        return {name: value.float() for name, value in found.items()}


def _draws(
    log_prob: Tensor, halves: Tensor, quarters: Tensor, variance: Tensor
) -> dict[str, Tensor]:
    """Return what the number of draws does to the NLL, from parts of `Estimate`, (N,) each."""
    nll, half, quarter = (-part.mean() for part in (log_prob, halves, quarters))
    sampling = variance.sum().sqrt() / len(variance)
    gain, noise, before = half - nll, _standard_error(log_prob - halves), quarter - half
    ratio = gain / before if before > 0 else torch.ones_like(gain)
    ratio = ratio.clamp(0.5, _LEAST_SHRINKING)
    further = ratio / (1 - ratio)
    bias = gain.clamp(min=0) * further
    found = {
        "nll_half_draws": half,
        "nll_quarter_draws": quarter,
        "nll_sampling_error": sampling,
        "nll_bias": bias,
    }
    endless = ratio >= _LEAST_SHRINKING and gain > 2 * noise and bias > 2 * sampling
    if not endless:
        error = (sampling.square() + (noise * further).square()).sqrt()
        found["nll_at_least"] = nll - bias - _ERRORS * error
    return found | {"nll_at_most": nll + _ERRORS * sampling}


def _standard_error(values: Tensor, groups: Tensor | None = None) -> Tensor:
    """Return the standard error of the mean of values, (N,), whose groups are independent, ()."""
    groups = torch.arange(len(values)) if groups is None else groups[: len(values)]
    return clustered_standard_error(values, groups.to(values.device))
