"""Networks take what they are built for, with any leading dimensions."""

import pytest
import torch
from torch import nn

from cvae.errors import InputError
from cvae.model.networks import MLP, Conv, GatedMLP, ResidualConv, Transformer

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


@pytest.mark.parametrize("network", [MLP, GatedMLP, Conv, ResidualConv, Transformer])
@pytest.mark.parametrize(("in_shapes", "out_shape"), USES, ids=str)
def test_every_use_in_every_size(network, in_shapes, out_shape) -> None:
    torch.manual_seed(0)
    options = {} if network in (GatedMLP, Transformer) else {"activation": nn.ELU}
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


@pytest.mark.parametrize("network", [MLP, GatedMLP, Conv, ResidualConv, Transformer])
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


@pytest.mark.parametrize("network", [Conv, ResidualConv, Transformer])
@pytest.mark.parametrize(
    ("in_shapes", "out_shape"),
    [
        ([(1, 4, 4), (5, 8, 8), (2,)], (2, 3)),
        ([(1, 16, 12), (2,)], (3, 2, 8, 9)),
        ([(7, 2), (3,)], (2, 5, 4)),
        ([(3,)], (2, 9, 1)),
        ([(7, 2), (6, 1), (3,)], (2, 4)),
        ([(1, 6, 6), (7, 2), (3,)], (2, 5, 4)),
    ],
)
def test_images_and_sequences_of_different_sizes_meet(
    network, in_shapes: list[tuple[int, ...]], out_shape: tuple[int, ...]
) -> None:
    net = network(in_shapes, out_shape, width=4, depth=2)
    first, *rest = (torch.rand(3, *shape) for shape in in_shapes)
    out = net(first, *rest)
    assert out.shape == (3, *out_shape)
    # Each input reaches the output, and K draws of one go with a batch of the others.
    for index in range(len(in_shapes)):
        moved = [t + (i == index) for i, t in enumerate((first, *rest))]
        assert not torch.allclose(net(*moved), out)
    if rest:
        many = net(first, *rest[:-1], rest[-1].expand(5, *rest[-1].shape))
        torch.testing.assert_close(many, out.expand(5, *out.shape))


def test_a_convolution_over_steps_moves_with_them() -> None:
    # Away from the ends, and by a multiple of the halvings, as torch's own convolution does.
    net = Conv([(64, 1)], (1, 64, 1), width=4, depth=1)
    for module in net.modules():
        if isinstance(module, torch.nn.GroupNorm):  # which looks at all steps
            module.forward = lambda h: h  # type: ignore[method-assign]
    y = torch.zeros(1, 64, 1)
    y[:, 20:24] = torch.rand(4, 1)
    here, there = net(y), net(y.roll(8, 1))
    torch.testing.assert_close(here[..., 10:40, :], there[..., 18:48, :])


def test_a_depth_is_at_least_one() -> None:
    with pytest.raises(InputError, match=r"depth: expected at least 1"):
        Conv([(1, 4, 4)], (2, 3), depth=0)


@pytest.mark.parametrize("network", [MLP, GatedMLP, Conv, ResidualConv, Transformer])
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
