"""Networks: tensors to a tensor, built from sizes, one file per family.

A network is built as `network(in_shapes, out_shape)` and called with one tensor per entry of
`in_shapes`. The tensors' leading dimensions broadcast against each other and come out unchanged,
so that K samples of z, (K, B, L), may meet B conditions, (B, X), without a copy at the call.
"""

from cvae.model.networks.base import Network
from cvae.model.networks.conv import Conv, ResidualConv
from cvae.model.networks.mlp import MLP, GatedMLP

__all__ = ["MLP", "Conv", "GatedMLP", "Network", "ResidualConv"]
