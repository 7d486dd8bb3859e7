r"""Dropping by importance (GCA): what hangs on central nodes is kept more often.

Both views turn scores into probabilities the same way: with the logarithm :math:`s` of an importance, its largest
value and its mean,

.. math:: p = \min\Big( \frac{s_{\max} - s}{s_{\max} - \bar s} \cdot rate,\; cutoff \Big)

so that the least important go most often, nothing goes with a probability above ``cutoff``, and ``rate`` is the mean
probability where the cut-off does not bite. Where all are equally important, all go with probability ``rate``.

| class | importance |
|---|---|
| `AdaptiveEdgeDropout` | mean centrality of the two ends; of the target in a directed graph |
| `AdaptiveFeatureMask` | centrality of the nodes that have the feature, summed |
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import graph_of_nodes, is_batch, keep_edges, plain_edge_index
from graphcl.augment.augmenter import Augmenter, refuse_negative
from graphcl.config import Rate
from graphcl.errors import DataError
from graphcl.hashing import edge_coins, is_undirected
from graphcl.ops.centrality import degree, eigenvector_centrality, pagerank
from graphcl.pieces import over_pieces, rows_of_piece
from graphcl.remembered import Recalled
from graphcl.seeding import draw_seed, draw_uniform

__all__ = ["AdaptiveEdgeDropout", "AdaptiveFeatureMask", "Centrality"]

Centrality = Literal["degree", "eigenvector", "pagerank"]
"""What makes a node central."""

_FLOOR = 1e-8
_TINY = 1e-300
_EQUAL = 1e-6


def _centrality(data: Data, kind: Centrality) -> Tensor:
    """The centrality of each node, ``float64 [N]``."""
    edges, n, weight = plain_edge_index(data._store), int(data.num_nodes or 0), data.get("edge_weight")
    if kind == "degree":
        return degree(edges, n, weight).double()
    of = eigenvector_centrality if kind == "eigenvector" else pagerank
    return of(edges, n, weight, graph_of_nodes(data))


def _graph(data: Data) -> tuple[Tensor | None, ...]:
    """All that the centralities of a graph hang on."""
    graph = graph_of_nodes(data) if is_batch(data) else None
    return plain_edge_index(data._store), data.get("edge_weight"), graph


def _relative_risk(importance: Tensor, group: Tensor | None) -> Tensor:
    r"""How much more often than the mean each thing is removed: :math:`(s_{\max} - s) / (s_{\max} - \bar s)`.

    Args:
        importance: ``float64 [M]``, overwritten; none counts as less than 1e-8 of the largest.
        group: ``int64 [M]``: each group has a maximum and a mean of its own.

    Returns:
        ``[M]``, of mean 1 in each group, and 1 throughout where all are equally important.
    """
    if group is None:
        # relative to the largest, so that no scale of the weights reaches the floor
        scores = importance.div_(importance.max().clamp(min=_TINY)).clamp_(min=_FLOOR).log_()
        mean = -float(scores.mean())
        # equal scores differ by rounding only
        return scores.fill_(1.0) if mean <= _EQUAL else scores.mul_(-1 / mean)
    count = int(group.max()) + 1
    most = importance.new_zeros(count).scatter_reduce(0, group, importance, "amax").clamp_(min=_TINY)
    scores = importance.div_(most[group]).clamp_(min=_FLOOR).log_()
    gap = -scores.new_zeros(count).index_add(0, group, scores) / torch.bincount(group, minlength=count).clamp(min=1)
    gap = gap[group]
    level = gap <= _EQUAL
    return torch.where(level, 1.0, -scores / torch.where(level, 1.0, gap))


def _probabilities(risk: Tensor, rate: float, cutoff: float) -> Tensor:
    """Of removal."""
    return torch.mul(risk, rate).clamp_(max=cutoff)


def _risk_of_edges(data: Data, kind: Centrality) -> Tensor:
    edges = plain_edge_index(data._store)
    central = _centrality(data, kind)
    importance = central.index_select(0, edges[1])
    if is_undirected(edges):
        importance.add_(central.index_select(0, edges[0])).mul_(0.5)
    return _relative_risk(importance, graph_of_nodes(data)[edges[0]] if is_batch(data) else None).float()


def _risk_of_columns(x: Tensor, central: Tensor) -> Tensor:
    """0 where a column holds nothing: it has no importance, and nothing to lose."""
    central = central / central.max().clamp(min=_TINY)
    if x.layout == torch.sparse_csr:
        rows = torch.repeat_interleave(x.crow_indices().diff())
        parts = x.values().abs().double() * central[rows]
        importance = parts.new_zeros(x.size(1)).index_add(0, x.col_indices(), parts)
    else:
        wide, size = torch.promote_types(x.dtype, torch.float32), rows_of_piece(x)
        sums = torch.zeros(-(-x.size(0) // size), x.size(1), dtype=torch.float64, device=x.device)
        weights = central.to(wide)

        def add(begin: int, end: int) -> None:
            sums[begin // size] = weights[begin:end] @ x[begin:end].to(wide).abs()

        over_pieces(add, x.size(0), size)
        importance = sums.sum(0)
    some = importance > 0
    risk = torch.zeros_like(importance)
    if bool(some.any()):
        risk[some] = _relative_risk(importance[some], None)
    return risk


_RISKS: Recalled[Tensor] = Recalled()


@dataclass(frozen=True)
class AdaptiveEdgeDropout(Augmenter):
    r"""Remove edges between peripheral nodes more often than those between central ones.

    .. math:: \Pr(\tilde A_{uv} = 0) = \min\Big( \frac{s_{\max} - s_{uv}}{s_{\max} - \bar s} \cdot rate,\; cutoff
        \Big), \qquad s_{uv} = \log \frac{\phi_u + \phi_v}{2}

    :math:`\phi` is the centrality; a directed edge takes that of its target. Both directions of an undirected edge go
    together. Graphs of a batch are measured by themselves.

    Args:
        rate: mean probability of removal, in [0, 1] (less where the cut-off bites).
        centrality: ``degree`` (edge weights count), ``eigenvector`` or ``pagerank`` (teleport 0.15).
        cutoff: the largest probability of removal, in [0, 1].

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        Zhu et al., Graph contrastive learning with adaptive augmentation (GCA), WWW 2021, section 3.2.1. The released
        code takes the target's centrality everywhere, draws each direction by itself, and computes as PageRank a lazy
        walk whose limit is the degree; here it is the paper's.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 0, 1, 2], [1, 2, 2, 3]]))
        >>> AdaptiveEdgeDropout(0.3)(g, torch.Generator().manual_seed(0)).num_edges <= 4
        True
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.3
    centrality: Centrality = "degree"
    cutoff: Rate = 0.7

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the edges whose coin says so."""
        edges = plain_edge_index(data._store)
        refuse_negative("AdaptiveEdgeDropout", data.get("edge_weight"))
        if self.rate == 0.0 or edges.size(1) == 0:
            return data
        key = ("edges", self.centrality, int(data.num_nodes or 0), *_graph(data))
        risk = _RISKS.of(key, lambda: _risk_of_edges(data, self.centrality))
        seed = draw_seed(generator)
        keep = edge_coins(edges, seed, lambda place: _probabilities(risk[place], self.rate, self.cutoff))
        keep_edges(data, data._store, keep)
        return data


@dataclass(frozen=True)
class AdaptiveFeatureMask(Augmenter):
    r"""Clear the feature columns that central nodes rarely have more often than others, for all nodes at once.

    .. math:: \Pr(\tilde x_{\cdot f} = 0) = \min\Big( \frac{s_{\max} - s_f}{s_{\max} - \bar s} \cdot rate,\; cutoff
        \Big), \qquad s_f = \log \sum_u |x_{uf}|\, \phi_u

    Columns without any value have no importance; they stay the zeros they are and are left out of maximum and mean.
    Sparse (CSR) features give the view of the dense ones.

    Args:
        rate: mean probability of masking, in [0, 1] (less where the cut-off bites).
        centrality: ``degree`` (edge weights count), ``eigenvector`` or ``pagerank`` (teleport 0.15).
        cutoff: the largest probability of masking, in [0, 1].

    Raises:
        RequestError: a parameter out of range.
        DataError: ``x`` or ``edge_index`` is missing or misshapen.

    Reference:
        Zhu et al., Graph contrastive learning with adaptive augmentation (GCA), WWW 2021, section 3.2.2, equations for
        dense features (for 0/1 features they are those for sparse ones). In the released code a column of zeros makes
        all probabilities the cut-off.

    Example:
        >>> g = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> AdaptiveFeatureMask(0.5)(g, torch.Generator().manual_seed(0)).x.shape
        torch.Size([3, 3])
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")
    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.3
    centrality: Centrality = "degree"
    cutoff: Rate = 0.7

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Clear the columns whose coin says so."""
        x = data.x
        refuse_negative("AdaptiveFeatureMask", data.get("edge_weight"))
        if not x.is_floating_point():
            raise DataError(f"AdaptiveFeatureMask: data.x is {x.dtype}; make it a float tensor [N, F]")
        if self.rate == 0.0 or x.numel() == 0:
            return data
        key = ("nodes", self.centrality, int(data.num_nodes or 0), *_graph(data))
        central = _RISKS.of(key, lambda: _centrality(data, self.centrality))
        removed = _probabilities(_risk_of_columns(x.detach(), central), self.rate, self.cutoff)
        keep = draw_uniform(x.size(1), generator=generator, device=x.device, dtype=torch.float64) >= removed
        keep = keep.to(x.dtype)
        if x.layout == torch.sparse_csr:
            values = x.values() * keep[x.col_indices()]
            data.x = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
        else:
            data.x = x * keep
        return data
