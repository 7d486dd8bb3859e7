"""The graph convolutional encoder of the node-level methods."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch_geometric.nn import GCNConv
from torch_geometric.nn.dense.linear import Linear

from graphcl.ops.linear import feature_linear

__all__ = ["ACTIVATIONS", "GCN", "Activation", "activation"]

Activation: TypeAlias = Literal["relu", "prelu", "rrelu", "elu", "none"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "elu": nn.ELU,
    "none": nn.Identity,
}


def activation(name: Activation) -> nn.Module:
    """A fresh activation module by name."""
    return ACTIVATIONS[name]()


class _FeatureLinear(Linear):
    """The linear map of the first layer, which meets the raw features."""

    def forward(self, x: Tensor) -> Tensor:
        return feature_linear(x, self.weight)


class GCN(nn.Module):
    r"""Stacked graph convolutions.

    .. math:: H^{(l+1)} = \sigma\!\left(\hat D^{-1/2} \hat A \hat D^{-1/2} H^{(l)} W^{(l)} + b^{(l)}\right)

    Args:
        in_channels: F.
        dims: width of each layer's output.
        act: activation; one module shared by all layers, as in the official codes with a learnable slope.
        act_last: whether the last layer is followed by the activation too (GRACE, DGI) or not (CCA-SSG).

    Shapes:
        ``x [N, F]``, ``edge_index [2, E]``, ``edge_weight [E]`` or ``None`` → ``[N, dims[-1]]``.

    Reference:
        Kipf & Welling, ICLR 2017, equation 2.

    Example:
        >>> import torch
        >>> GCN(3, [8, 4])(torch.ones(2, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([2, 4])
    """

    supports_edge_weight = True

    def __init__(
        self, in_channels: int, dims: Sequence[int], act: Activation = "relu", *, act_last: bool = False
    ) -> None:
        super().__init__()
        widths = [in_channels, *dims]
        self.layers = nn.ModuleList(GCNConv(a, b) for a, b in pairwise(widths))
        first = self.layers[0]
        first.lin = _FeatureLinear(in_channels, widths[1], bias=False, weight_initializer="glorot")
        self.act = activation(act)
        self.act_last = act_last
        self.in_channels = in_channels
        self.out_channels = widths[-1]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed the nodes."""
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(x, edge_index, edge_weight)
            if number < last or self.act_last:
                x = self.act(x)
        return x
