"""A checkpoint from before the classes moved into `cvae.model` loads, and computes what it did."""

import shutil
from pathlib import Path

import pytest
import torch

import cvae

OLD = Path(__file__).with_name("before_the_move.ckpt")
"""A mixture prior, full-covariance posterior, gated MLPs, cross-entropy and GECO; two epochs."""


def test_a_checkpoint_of_before_the_move_computes_what_it_did() -> None:
    model = cvae.load(OLD)
    x = torch.eye(10)
    y = (torch.arange(640).view(10, 1, 8, 8) % 17) / 16
    z = torch.linspace(-1, 1, 20).view(10, 2)
    found = (model.prior(x).log_prob(z), model.posterior(x, y).log_prob(z))
    # Printed by the program that wrote it.
    assert [part.sum().item() for part in found] == pytest.approx([-22.385862, -22.020029])
    assert model.generator(x, z).log_prob(y).sum().item() == pytest.approx(-450.681)


def test_its_data_come_back_with_the_same_splits(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(OLD, tmp_path / "checkpoints" / "best.ckpt")
    data = cvae.datamodule(tmp_path)
    data.setup("fit")
    assert len(data.val_set) == 144
