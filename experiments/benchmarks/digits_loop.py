"""The default run as a script has it: the embedded digits, validated and saved every epoch."""

from collections.abc import Iterator
from itertools import count as counted
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rivals import Steps
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

_TRAIN, _VALIDATE, _BATCH, _DRAWS = 1293, 144, 64, 8
_PIXELS, _CLASSES, _WIDTH, _LATENT, _GREY = 64, 10, 512, 8, 16


class Network(nn.Module):
    """The networks of `cvae-train` without options; its forward gives the negative ELBO."""

    def __init__(self) -> None:
        super().__init__()
        self.posterior = _mlp(_PIXELS + _CLASSES, 2 * _LATENT)
        self.prior = _mlp(_CLASSES, 2 * _LATENT)
        self.generator = _mlp(_LATENT + _CLASSES, _PIXELS)

    def forward(self, x: Tensor, y: Tensor, draws: int = 1) -> Tensor:
        """Map conditions (B, 10) and images (B, 64) to the loss, (), the mean over draws of z."""
        mean, log_variance = self.posterior(torch.cat((x, y), 1)).chunk(2, 1)
        prior_mean, prior_log_variance = self.prior(x).chunk(2, 1)
        distance = (mean - prior_mean).square() + log_variance.exp()
        kl = 0.5 * (prior_log_variance - log_variance + distance / prior_log_variance.exp() - 1)
        loss = kl.sum()
        for _ in range(draws):
            z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            logits = self.generator(torch.cat((x, z), 1))
            loss = loss + binary_cross_entropy_with_logits(logits, y, reduction="sum") / draws
        return loss / len(y)


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _WIDTH),
        nn.ReLU(),
        nn.Linear(_WIDTH, _WIDTH),
        nn.ReLU(),
        nn.Linear(_WIDTH, outputs),
    )


def digits_loop() -> Steps:
    """Return a function that trains for so many epochs.

    Each has as many batches as an epoch of the framework, dynamic pixels, and eight draws of z for
    each validation image; at its end the newest state is saved, and the best weights.
    """
    epochs = _epochs()

    def train(count: int) -> None:
        for _ in range(count):
            next(epochs)

    return train


def _epochs() -> Iterator[None]:
    bunch = load_digits()
    grey = torch.from_numpy(bunch.data).float() / _GREY
    x = one_hot(torch.from_numpy(bunch.target).long(), _CLASSES).float()
    of_held_out = x[_TRAIN : _TRAIN + _VALIDATE]
    held_out = grey[_TRAIN : _TRAIN + _VALIDATE].bernoulli()
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    best = float("inf")
    with TemporaryDirectory() as folder:
        for _ in counted():
            for index in torch.randperm(_TRAIN).split(_BATCH):
                optimizer.zero_grad()
                model(x[index], grey[index].bernoulli()).backward()
                optimizer.step()
            with torch.no_grad():
                parts = zip(of_held_out.split(_BATCH), held_out.split(_BATCH), strict=True)
                loss = sum(float(model(*part, _DRAWS)) * len(part[0]) for part in parts)
            torch.save((model.state_dict(), optimizer.state_dict()), Path(folder, "last.pt"))
            if loss < best:
                best = loss
                torch.save(model.state_dict(), Path(folder, "best.pt"))
            yield
