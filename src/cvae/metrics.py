"""torchmetrics metrics: numbers over a whole split, synchronised between processes."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

NAMES = ("loss", "elbo", "log_likelihood", "kl")


class MeanTerms(Metric):
    """Means over all images of the loss and the terms of the bound, in nats per image.

    The sums stay on the device, so that a training step never waits for a number.
    """

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        zeros = torch.zeros(len(NAMES), dtype=torch.float64)
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, loss: Tensor, log_likelihood: Tensor, kl: Tensor) -> None:
        """Add the mean loss of a batch, (), and its images' terms, (B,) each."""
        count, log_likelihood, kl = len(kl), log_likelihood.sum(), kl.sum()
        self.total += torch.stack((loss * count, log_likelihood - kl, log_likelihood, kl)).detach()
        self.images += count

    def compute(self) -> dict[str, Tensor]:
        """Return the means by name, () each."""
        return dict(zip(NAMES, (self.total / self.images).float().unbind(), strict=True))
