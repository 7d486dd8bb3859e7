"""The graph convolutional encoder of the node-level methods."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear

from graphcl.errors import RequestError
from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import Pattern, adjacency_operator, gcn_operator, multiply

__all__ = ["ACTIVATIONS", "GCN", "Activation", "Norm", "activation", "normalisation"]

Activation: TypeAlias = Literal["relu", "prelu", "rrelu", "elu", "none"]
Norm: TypeAlias = Literal["none", "batch", "layer"]

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


class _BatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics hold nothing of the values they start with.

    They are a plain mean over the first ``1 / momentum`` batches. Torch's begin with mean 0 and variance 1, which a
    momentum of 0.01 forgets after hundreds of updates: longer than many a training on a single graph is.
    """

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__(width, momentum=momentum)
        self.least = momentum

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            if input.size(0) < 2:
                raise RequestError(
                    "batch normalisation cannot be trained on one node: it has no spread; take norm='none'"
                )
            seen = 0 if self.num_batches_tracked is None else int(self.num_batches_tracked)
            self.momentum = max(self.least, 1 / (seen + 1))
        return super().forward(input)


def normalisation(name: Norm, width: int, momentum: float = 0.1) -> nn.Module:
    """A fresh normalisation module by name.

    Args:
        name: ``batch`` standardises each dimension over the nodes, ``layer`` each node over its dimensions, both with a
            learned scale and shift; ``none`` does nothing.
        width: D.
        momentum: of batch normalisation, in [0, 1]: the weight of the newest batch in the statistics that evaluation
            uses, as torch counts it (a decay of 0.99 is a momentum of 0.01); at first all batches weigh the same.

    Example:
        >>> normalisation("batch", 8).num_features
        8
    """
    if name == "batch":
        return _BatchNorm(width, momentum)
    return nn.LayerNorm(width) if name == "layer" else nn.Identity()


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

    .. math:: H^{(l+1)} = \sigma\!\left(\nu\!\left(\hat D^{-1/2} \hat A \hat D^{-1/2} H^{(l)} W^{(l)}
              + b^{(l)}\right)\right), \qquad \hat A = A + I

    Args:
        in_channels: F.
        dims: width of each layer's output.
        act: activation :math:`\sigma`.
        act_last: whether the last layer is followed by normalisation and activation too (GRACE, DGI, BGRL) or is linear
            (CCA-SSG, Graph Barlow Twins).
        norm: normalisation :math:`\nu` between convolution and activation.
        momentum: of batch normalisation, as in `normalisation`.
        shared_act: one activation module for all layers, as in the released codes of GRACE and GCA, which matters where
            it has a learnable slope; otherwise each layer has its own (BGRL).
        self_loops: whether nodes see themselves; without, :math:`\hat A = A`.

    Shapes:
        ``x [N, F]`` (dense, or CSR), ``edge_index [2, E]``, ``edge_weight [E]`` or ``None`` → ``[N, dims[-1]]``.

    Raises:
        RequestError: in training with batch normalisation, a graph of one node.

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
        self,
        in_channels: int,
        dims: Sequence[int],
        act: Activation = "relu",
        *,
        act_last: bool = False,
        norm: Norm = "none",
        momentum: float = 0.1,
        shared_act: bool = True,
        self_loops: bool = True,
    ) -> None:
        super().__init__()
        widths = [in_channels, *dims]
        activated = dims if act_last else dims[:-1]
        self.layers = nn.ModuleList(_Convolution(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(normalisation(norm, width, momentum) for width in activated)
        self.act = activation(act) if shared_act else nn.ModuleList(activation(act) for _ in activated)
        self.self_loops = self_loops
        self.in_channels = in_channels
        self.out_channels = widths[-1]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed the nodes."""
        dtype = next(self.parameters()).dtype
        operator = gcn_operator if self.self_loops else adjacency_operator
        pattern, values = operator(edge_index, x.size(0), edge_weight, dtype)
        for number, layer in enumerate(self.layers):
            x = layer(x, pattern, values)
            if number < len(self.norms):
                act = self.act[number] if isinstance(self.act, nn.ModuleList) else self.act
                x = act(self.norms[number](x))
        return x
