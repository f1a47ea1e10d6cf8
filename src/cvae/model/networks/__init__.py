"""Networks: tensors to a tensor, built from sizes, one file per family.

A network is built as `network(in_shapes, out_shape)` and called with one tensor per entry of
`in_shapes`. The leading dimensions of the inputs broadcast, and the output has the result. So K
samples of z, (K, B, L), and B conditions, (B, X), are passed together without a copy.
"""

from cvae.model.networks.base import Network
from cvae.model.networks.conv import Conv, ResidualConv
from cvae.model.networks.mlp import MLP, GatedMLP
from cvae.model.networks.transformer import Transformer

__all__ = ["MLP", "Conv", "GatedMLP", "Network", "ResidualConv", "Transformer"]
