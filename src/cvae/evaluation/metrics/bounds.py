"""The cost of the data under the model: the terms of the bound, and the NLL."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from cvae.evaluation.metrics.base import zeros
from cvae.model.objectives import Estimate


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
        self.total += torch.stack((loss * count, log_likelihood - kl, log_likelihood, kl)).detach()
        self.targets += count
        self.sound += self.total.isfinite()  # a sum never becomes finite again

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


class ImportanceSampledNLL(Metric):
    """Mean of -log p(y|x) over all targets, in nats per target, with its errors.

    Args:
        samples: Number K of draws of z behind each target's estimate.
        **kwargs: As for every torchmetrics metric.
    """

    full_state_update = False
    total: Tensor
    square: Tensor
    variance: Tensor
    effective: Tensor
    targets: Tensor

    def __init__(self, samples: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.samples = samples
        for name in ("total", "square", "variance", "effective", "targets"):
            self.add_state(name, zeros(), dist_reduce_fx="sum")

    def update(self, estimate: Estimate) -> None:
        """Add the estimates of B targets."""
        nll, effective = -estimate.log_prob.double(), estimate.effective_samples.double()
        self.total += nll.sum()
        self.square += nll.square().sum()
        self.variance += (1 / effective - 1 / self.samples).sum()
        self.effective += effective.sum()
        self.targets += len(nll)

    def compute(self) -> dict[str, Tensor]:
        """Return numbers by name, () each.

        `nll`; `nll_standard_error`, of the mean over targets drawn at random; `nll_sampling_error`,
        the part of it that comes from drawing z; `nll_bias`, the excess of the NLL with K draws of
        z; `effective_samples`, the mean over targets of (sum w)^2 / sum w^2, from 1 to K. Errors
        and bias are in nats. Sampling error and bias are those of the delta method, with a
        variance of 1/ESS - 1/K for each target's estimate: they are too small where ESS is near 1.
        """
        mean = self.total / self.targets
        spread = (self.square / self.targets - mean.square()).clamp(min=0)
        return {
            "nll": mean.float(),
            "nll_standard_error": (spread / (self.targets - 1)).sqrt().float(),
            "nll_sampling_error": (self.variance.sqrt() / self.targets).float(),
            "nll_bias": (self.variance / (2 * self.targets)).float(),
            "effective_samples": (self.effective / self.targets).float(),
        }
