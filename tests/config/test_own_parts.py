"""A class of the user's own, named on the command line: found, in place of the node, trusted."""

import sys
from pathlib import Path

import pytest

from cvae.commands import main as cli
from cvae.store.checkpoint import read

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_shapes, out_shape, *, units=8):
        super().__init__()
        self.layer = nn.Linear(sum(torch.Size(shape).numel() for shape in in_shapes), units)
        self.last = nn.Linear(units, torch.Size(out_shape).numel())
        self.dims, self.out_shape = [len(shape) for shape in in_shapes], out_shape

    def forward(self, *inputs):
        flat = [x.flatten(-dims) for x, dims in zip(inputs, self.dims)]
        lead = torch.broadcast_shapes(*(x.shape[:-1] for x in flat))
        h = torch.cat([x.expand(*lead, x.shape[-1]) for x in flat], -1)
        return self.last(self.layer(h).sin()).unflatten(-1, self.out_shape)
"""
LINE = ["network._target_=mynet.Net", "trainer.max_epochs=1", "hydra.run.dir=run"]


@pytest.fixture(autouse=True)
def _beside_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mynet.py").write_text(NET)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])  # as a script has it
    monkeypatch.delitem(sys.modules, "mynet", raising=False)


def test_a_network_beside_the_current_folder_takes_the_place_of_the_node(call) -> None:
    status, _, err = call(cli.train, *LINE, "network.units=5", "data.batch_size=256")
    assert status == 0, err
    config = read(Path("run")).config
    assert config["network"] == {"_target_": "mynet.Net", "_partial_": True, "units": 5}
    assert config["prior"]["network"] == config["network"]
    assert read(Path("run")).model(["mynet"]).generator.network.layer.out_features == 5
    status, _, err = call(cli.sample, "run")  # what a file names is not trusted
    assert (status, err.count("\n")) == (2, 1)
    assert "allow=[mynet]" in err
    assert call(cli.sample, "run", "allow=[mynet]")[0] == 0


def test_what_is_not_there_and_what_is_not_taken_is_said(call) -> None:
    status, _, err = call(cli.train, "network._target_=mynet.Nett")
    assert (status, err.count("\n")) == (2, 1)
    assert "network._target_: nothing is called 'mynet.Nett'; did you mean 'Net'?" in err
    status, _, err = call(cli.train, LINE[0], "network.width=8")
    assert (status, err.count("\n")) == (2, 1)
    assert "network.width: mynet.Net takes no such argument" in err
