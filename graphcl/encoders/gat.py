"""The graph attention encoder, and the attention it is made of."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphcl.encoders.gcn import Activation, activation
from graphcl.errors import RequestError
from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import Pattern, multiply, sum_operator

__all__ = ["GAT", "edge_attention", "looped_pattern"]


def looped_pattern(
    edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None
) -> tuple[Pattern, Tensor | None]:
    """The pattern of a graph with a self-loop at every node, and the weights of its entries.

    Args:
        edge_index: ``[2, E]``: row v of the pattern gathers from the sources of the edges that point at v.
        num_nodes: N.
        edge_weight: ``[E]``, differentiable; 1 where ``None``. An added loop has weight 1.

    Returns:
        The pattern ``[N, N]``, shared between calls with the same edges, and its weights, or ``None``.

    Raises:
        RequestError: edges of the wrong shape or type, out of range, or weights that do not match them.

    Example:
        >>> pattern, weights = looped_pattern(torch.tensor([[0], [1]]), 2)
        >>> pattern.columns.tolist(), weights
        ([0, 0, 1], None)
    """
    pattern, stored = sum_operator(edge_index, num_nodes)
    if edge_weight is None:
        return pattern, None
    # the stored edges have 1, the added loops 0
    return pattern, sum_operator(edge_index, num_nodes, edge_weight)[1] + (1 - stored).to(edge_weight.dtype)


def edge_attention(
    source: Tensor, target: Tensor, pattern: Pattern, weights: Tensor | None = None, slope: float = 0.2
) -> Tensor:
    r"""How much of each neighbour a node takes: a softmax over the entries of its row, for each head.

    .. math::
        \alpha_{vu} = \frac{w_{vu} \exp \mathrm{LeakyReLU}(s_u + t_v)}
        {\sum_{u'} w_{vu'} \exp \mathrm{LeakyReLU}(s_{u'} + t_v)}

    An edge of weight 2 counts like two edges, one of weight 0 like none.

    Args:
        source: :math:`s`, the part of the score that the neighbour has, ``[N, H]``.
        target: :math:`t`, the part that the node has, ``[N, H]``.
        pattern: where the entries are, ``[N, N]``.
        weights: :math:`w \ge 0` in the order of the pattern, ``[E]``; 1 where ``None``.
        slope: of the rectifier below zero.

    Returns:
        ``[E, H]`` in the order of the pattern, differentiable in everything.

    Reference:
        Veličković et al., Graph attention networks, ICLR 2018, equation 3 with the vector :math:`a` in two parts; the
        weights are an addition.

    Example:
        >>> pattern, weights = looped_pattern(torch.tensor([[0, 1], [1, 0]]), 2, torch.tensor([1.0, 3.0]))
        >>> edge_attention(torch.zeros(2, 1), torch.zeros(2, 1), pattern, weights).flatten().tolist()
        [0.25, 0.75, 0.5, 0.5]
    """
    rows = pattern.rows
    scores = F.leaky_relu(source[pattern.columns] + target[rows], slope)
    place = rows[:, None].expand_as(scores)
    low = scores.new_full((pattern.shape[0], scores.size(1)), -torch.inf)
    top = low.scatter_reduce(0, place, scores.detach(), "amax")
    powers = (scores - top[rows]).exp()
    if weights is not None:
        powers = powers * weights[:, None].to(powers.dtype)
    total = powers.new_zeros(top.shape).index_add(0, rows, powers)
    # a row of which nothing has a weight takes nothing
    return powers / total.clamp(min=torch.finfo(total.dtype).tiny)[rows]


class _Attention(nn.Module):
    """One layer of attention, its heads side by side."""

    def __init__(
        self, in_channels: int, out_channels: int, heads: int, dropout: float, attention_dropout: float, slope: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.slope = slope
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.source = nn.Parameter(torch.empty(1, heads, out_channels // heads))
        self.target = nn.Parameter(torch.empty(1, heads, out_channels // heads))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.dropout = nn.Dropout(dropout)
        self.attention_dropout = nn.Dropout(attention_dropout)
        for parameter in (self.weight, self.source, self.target):
            nn.init.xavier_normal_(parameter, gain=nn.init.calculate_gain("relu"))

    def forward(self, x: Tensor, pattern: Pattern, weights: Tensor | None) -> Tensor:
        h = feature_linear(self.dropout(x), self.weight)
        parts = h.view(h.size(0), self.heads, -1)
        source, target = ((parts * vector).sum(2) for vector in (self.source, self.target))
        shares = self.attention_dropout(edge_attention(source, target, pattern, weights, self.slope))
        gathered = [
            multiply(pattern, share, part) for share, part in zip(shares.T.contiguous(), parts.unbind(1), strict=True)
        ]
        return torch.cat(gathered, 1) + self.bias


class GAT(nn.Module):
    r"""Stacked layers of attention over a node and its neighbours, the heads of a layer side by side.

    .. math::
        h_v^{(l+1)} = \sigma\Big(\big\Vert_k \sum_{u \in N(v) \cup \{v\}} \alpha_{vu}^{(k)}\, W^{(k)} h_u^{(l)}
        + b^{(l)}\Big)

    with :math:`\alpha^{(k)}` of `edge_attention` for :math:`s_u = a_1^{(k)} \cdot W^{(k)} h_u` and
    :math:`t_v = a_2^{(k)} \cdot W^{(k)} h_v`.

    Args:
        in_channels: F.
        dims: width of each layer's output, all heads together; a multiple of ``heads``.
        heads: H.
        act: activation, a module for each layer.
        act_last: whether the last layer is followed by the activation too.
        dropout: of what enters a layer, in [0, 1].
        attention_dropout: of the shares α, in [0, 1].
        slope: of the scores' rectifier below zero.

    Shapes:
        ``x [N, F]``, ``edge_index [2, E]``, ``edge_weight [E]`` or ``None`` → ``[N, dims[-1]]``.

    Raises:
        RequestError: a width that the heads do not divide.

    Reference:
        Veličković et al., Graph attention networks, ICLR 2018, equations 3 to 5. Weights are initialised as in the
        released code of GraphMAE (normal Glorot with the gain of a rectifier).

    Example:
        >>> GAT(3, [8, 4], heads=2)(torch.ones(2, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([2, 4])
    """

    supports_edge_weight = True

    def __init__(
        self,
        in_channels: int,
        dims: Sequence[int],
        heads: int = 4,
        act: Activation = "prelu",
        *,
        act_last: bool = True,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        for width in dims:
            if width % heads:
                raise RequestError(f"a layer of {width} has no {heads} heads of one width; make it a multiple of them")
        widths = [in_channels, *dims]
        self.layers = nn.ModuleList(
            _Attention(a, b, heads, dropout, attention_dropout, slope) for a, b in pairwise(widths)
        )
        acts = [act] * len(dims) if act_last else [*[act] * (len(dims) - 1), "none"]
        self.acts = nn.ModuleList(activation(name) for name in acts)
        self.in_channels = in_channels
        self.out_channels = widths[-1]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Embed the nodes."""
        pattern, weights = looped_pattern(edge_index, x.size(0), edge_weight)
        for layer, act in zip(self.layers, self.acts, strict=True):
            x = act(layer(x, pattern, weights))
        return x
