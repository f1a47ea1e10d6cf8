"""Networks: tensors to a tensor, built from sizes, one file per family.

A network is built as `network(in_shapes, out_shape)` and called with one tensor per entry of
`in_shapes`. The tensors' leading dimensions broadcast against each other and come out unchanged,
so that K samples of z, (K, B, L), may meet B conditions, (B, X), without a copy at the call.
"""

from cvae.nets.base import Network
from cvae.nets.conv import Conv, ResidualConv
from cvae.nets.mlp import MLP, GatedMLP

__all__ = ["MLP", "Conv", "GatedMLP", "Network", "ResidualConv"]
