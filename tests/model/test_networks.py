"""Networks take what they are built for, with any leading dimensions."""

import pytest
import torch
from torch import nn

from cvae.errors import InputError
from cvae.model.networks import MLP, Conv, GatedMLP, ResidualConv

IMAGE, PAIR, VECTOR, NONE = (1, 9, 13), (2, 9, 13), (4,), (0,)
USES = [
    ([VECTOR], (2, 3)),  # a prior of a label
    ([NONE], (2, 3)),  # a prior of nothing
    ([PAIR], (2, 3)),  # a prior of an image
    ([VECTOR, IMAGE], (2, 3)),  # posteriors
    ([PAIR, IMAGE], (2, 3)),
    ([NONE, IMAGE], (2, 3)),
    ([VECTOR, PAIR, (3,)], (2, 3)),  # of the second of two layers of z
    ([PAIR, (30,)], (2, 3)),  # of the hidden pixels of an image
    ([VECTOR, (3,)], (1, *IMAGE)),  # generators
    ([NONE, (3,)], (2, 3, 9, 13)),
    ([PAIR, (3,)], (1, *IMAGE)),
    ([PAIR, (3,)], (1, 30)),
    ([PAIR, NONE], (1, *IMAGE)),  # deterministic
    ([NONE, NONE], (1, *IMAGE)),
]


@pytest.mark.parametrize("network", [MLP, GatedMLP, Conv, ResidualConv])
@pytest.mark.parametrize(("in_shapes", "out_shape"), USES, ids=str)
def test_every_use_in_every_size(network, in_shapes, out_shape) -> None:
    torch.manual_seed(0)
    options = {} if network is GatedMLP else {"activation": nn.ELU}
    net = network(in_shapes, out_shape, width=4, **options)
    inputs = [torch.rand(5, *shape) for shape in in_shapes]
    out = net(*inputs)
    assert out.shape == (5, *out_shape)
    # Every input counts, and every weight.
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    for index, shape in enumerate(in_shapes):
        if shape != NONE:
            changed = [t + (i == index) for i, t in enumerate(inputs)]
            assert not torch.equal(net(*changed), out)


@pytest.mark.parametrize("network", [MLP, GatedMLP, Conv, ResidualConv])
@pytest.mark.parametrize(("in_shapes", "out_shape"), USES, ids=str)
def test_samples_of_z_meet_conditions(network, in_shapes, out_shape) -> None:
    net = network(in_shapes, out_shape, width=4)
    *conditions, last = [torch.rand(5, *shape) for shape in in_shapes]
    many = torch.stack([last, last + 1, last + 2])  # (K, B, ...) next to (B, ...)
    out = net(*conditions, many)
    assert out.shape == (3, 5, *out_shape)
    for k in range(3):
        torch.testing.assert_close(out[k], net(*conditions, many[k]))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (28, 28), (17, 31)])
@pytest.mark.parametrize("depth", [1, 3])
def test_convolutions_take_any_size(size: tuple[int, int], depth: int) -> None:
    net = Conv([(1, *size), (2,)], (1, 1, *size), width=2, depth=depth)
    assert net(torch.rand(3, 1, *size), torch.rand(3, 2)).shape == (3, 1, 1, *size)


def test_images_of_different_sizes_do_not_meet() -> None:
    with pytest.raises(InputError, match="images of one size on both sides, got 4x4 and 8x8"):
        Conv([(1, 4, 4), (1, 8, 8)], (2, 3))
    with pytest.raises(InputError, match=r"depth: expected at least 1"):
        Conv([(1, 4, 4)], (2, 3), depth=0)


@pytest.mark.parametrize("network", [MLP, GatedMLP, Conv, ResidualConv])
def test_nothing_to_give_needs_no_weights(network) -> None:
    net = network([VECTOR, IMAGE], (2, 0))  # the posterior of a z without dimensions
    assert net(torch.rand(5, *VECTOR), torch.rand(5, *IMAGE)).shape == (5, 2, 0)
    assert sum(p.numel() for p in net.parameters()) == 0


def test_gates_let_units_through() -> None:
    """A h * sigmoid(B h), Dauphin et al. 2017, equation 1."""
    net = GatedMLP([(4,)], (3,), width=6, depth=1)
    h = torch.randn(5, 4)
    a, b = net.layers[0](h).split(6, -1)
    expected = net.layers[2](a * torch.sigmoid(b))
    torch.testing.assert_close(net(h), expected)


def test_shortcuts_pass_their_convolutions() -> None:
    net = ResidualConv([IMAGE], (2, 3), width=4, depth=2)
    with torch.no_grad():
        for block in net.down:
            block.second_norm.weight.zero_()
            block.second_norm.bias.zero_()  # which leaves the shortcuts alone
    h = torch.rand(5, *IMAGE)
    expected = h
    for block in net.down:
        expected = block.shortcut(expected)
    torch.testing.assert_close(net(h), net.read(expected.flatten(1)).view(5, 2, 3))
