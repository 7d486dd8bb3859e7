"""The graph convolutional encoder of the node-level methods."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear

from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import Pattern, gcn_operator, multiply

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


class _Convolution(nn.Module):
    """One graph convolution: transform, then propagate with an operator made once for all layers."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, pattern: Pattern, values: Tensor) -> Tensor:
        h = feature_linear(x, self.lin.weight)
        # under autocast the product comes in a narrower format than the parameters
        return multiply(pattern, values.to(h.dtype), h) + self.bias


class GCN(nn.Module):
    r"""Stacked graph convolutions.

    .. math:: H^{(l+1)} = \sigma\!\left(\hat D^{-1/2} \hat A \hat D^{-1/2} H^{(l)} W^{(l)} + b^{(l)}\right)

    Args:
        in_channels: F.
        dims: width of each layer's output.
        act: activation; one module shared by all layers, as in the official codes with a learnable slope.
        act_last: whether the last layer is followed by the activation too (GRACE, DGI) or not (CCA-SSG).

    Shapes:
        ``x [N, F]`` (dense, or CSR), ``edge_index [2, E]``, ``edge_weight [E]`` or ``None`` → ``[N, dims[-1]]``.

    Reference:
        Kipf & Welling, ICLR 2017, equation 2.

    Example:
        >>> import torch
        >>> GCN(3, [8, 4])(torch.ones(2, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([2, 4])
    """

    supports_edge_weight = True
    supports_sparse_features = True

    def __init__(
        self, in_channels: int, dims: Sequence[int], act: Activation = "relu", *, act_last: bool = False
    ) -> None:
        super().__init__()
        widths = [in_channels, *dims]
        self.layers = nn.ModuleList(_Convolution(a, b) for a, b in pairwise(widths))
        self.act = activation(act)
        self.act_last = act_last
        self.in_channels = in_channels
        self.out_channels = widths[-1]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed the nodes."""
        last = len(self.layers) - 1
        dtype = next(self.parameters()).dtype
        pattern, values = gcn_operator(edge_index, x.size(0), edge_weight, dtype)
        for number, layer in enumerate(self.layers):
            x = layer(x, pattern, values)
            if number < last or self.act_last:
                x = self.act(x)
        return x
