"""The encoder of the graph-level methods: a graph isomorphism network."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from graphcl.encoders.gcn import Activation, Norm, activation, normalisation
from graphcl.ops.propagate import Pattern, multiply, sum_operator

__all__ = ["GIN", "Outputs", "glorot_linears"]

Outputs: TypeAlias = Literal["all", "last"]


def glorot_linears(module: nn.Module) -> None:
    r"""Draw the weights of all linear layers in a module anew, and clear their biases.

    .. math:: W_{ij} \sim U\Big(-\sqrt{\tfrac{6}{D_{in} + D_{out}}},\; \sqrt{\tfrac{6}{D_{in} + D_{out}}}\Big),
        \qquad b = 0

    The released codes of InfoGraph, GraphCL, JOAO, AD-GCL and SimGRACE do so with encoder, projector and
    discriminators.

    Args:
        module: changed in place.

    Reference:
        Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010,
        equation 16.

    Example:
        >>> layer = nn.Linear(3, 3)
        >>> glorot_linears(layer)
        >>> bool(layer.weight.abs().max() <= 1), layer.bias.tolist()
        (True, [0.0, 0.0, 0.0])
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class _Layer(nn.Module):
    """A perceptron of the sum of a node and its neighbours, and what comes after it."""

    def __init__(self, in_channels: int, out_channels: int, act: Activation, after: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(in_channels, out_channels)
        self.act = activation(act)
        self.second = nn.Linear(out_channels, out_channels)
        self.after = after

    def forward(self, x: Tensor, pattern: Pattern, values: Tensor) -> Tensor:
        h = x + multiply(pattern, values.to(x.dtype), x)
        return self.after(self.second(self.act(self.first(h))))


class GIN(nn.Module):
    r"""Stacked graph isomorphism layers.

    .. math::
        a_v^{(l)} = \mathrm{MLP}^{(l)}\Big(h_v^{(l-1)} + \sum_{u \to v} w_{uv} h_u^{(l-1)}\Big), \qquad
        \begin{array}{lll}
        \text{all:} & h_v^{(l)} = \nu(\sigma(a_v^{(l)})), & h_v = \big\Vert_l\, h_v^{(l)} \\
        \text{last:} & h_v^{(l)} = \sigma(\nu(a_v^{(l)})), & h_v = \nu(a_v^{(L)})
        \end{array}

    Weights are drawn by `glorot_linears`.

    Args:
        in_channels: F.
        dims: width of each layer.
        act: activation :math:`\sigma`, inside the perceptrons as well.
        norm: normalisation :math:`\nu`.
        outputs: the two forms in which the network is released: ``all`` layers side by side, each normalised after its
            activation (InfoGraph, GraphCL, JOAO, SimGRACE); or the ``last`` alone, normalised before the activation,
            which the last layer lacks (AD-GCL).

    Shapes:
        ``x [N, F]``, ``edge_index [2, E]``, ``edge_weight [E]`` or ``None`` → ``[N, sum(dims)]``, or
        ``[N, dims[-1]]`` of the last layer.

    Raises:
        RequestError: in training with batch normalisation, a single node.

    Reference:
        Xu et al., How powerful are graph neural networks?, ICLR 2019, equation 4.1 with :math:`\epsilon = 0`.

    Example:
        >>> import torch
        >>> GIN(3, [8, 8])(torch.ones(2, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([2, 16])
    """

    supports_edge_weight = True

    def __init__(
        self,
        in_channels: int,
        dims: Sequence[int],
        act: Activation = "relu",
        *,
        norm: Norm = "batch",
        outputs: Outputs = "all",
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for number, (a, b) in enumerate(pairwise([in_channels, *dims]), 1):
            scale = normalisation(norm, b)
            if outputs == "all":
                after: nn.Module = nn.Sequential(activation(act), scale)
            else:
                after = scale if number == len(dims) else nn.Sequential(scale, activation(act))
            self.layers.append(_Layer(a, b, act, after))
        glorot_linears(self)
        self.outputs = outputs
        self.in_channels = in_channels
        self.out_channels = sum(dims) if outputs == "all" else dims[-1]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed the nodes."""
        pattern, values = sum_operator(edge_index, x.size(0), edge_weight, x.dtype)
        hidden = []
        for layer in self.layers:
            x = layer(x, pattern, values)
            hidden.append(x)
        return torch.cat(hidden, 1) if self.outputs == "all" else x
