"""Graphs by how alike the nodes are: the like and the unlike edges of a graph, or new edges between the most alike.

| class | edges of the view |
|---|---|
| `HomophilicEdges` | of each node, the share to its most similar neighbours |
| `HeterophilicEdges` | of each node, the share to its least similar neighbours |
| `KNNGraph` | to the k most similar nodes of the whole graph |
| `JaccardEdges` | between nodes that share enough of their features |

Similarity is the cosine of the features (a row of zeros is similar to none, by 0), or the Jaccard index of what they
have at all. Nothing here is random.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import keep_edges, node_offsets, plain_edge_index, replace_edges
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate, Size
from graphcl.errors import DataError, EmbeddingError
from graphcl.hashing import is_undirected
from graphcl.ops.adjacency import ranked
from graphcl.ops.pairwise import knn_graph
from graphcl.remembered import Recalled

__all__ = ["HeterophilicEdges", "HomophilicEdges", "JaccardEdges", "KNNGraph", "edge_jaccard", "edge_similarity"]


def edge_similarity(x: Tensor, edge_index: Tensor) -> Tensor:
    r"""The cosine of the features at the two ends of each edge, ``[E]``; bit for bit the same in both directions.

    .. math:: s_{uv} = \frac{x_u \cdot x_v}{\lVert x_u \rVert\, \lVert x_v \rVert}

    Args:
        x: ``[N, F]``.
        edge_index: ``int64 [2, E]``.

    Example:
        >>> edge_similarity(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[0], [1]]))
        tensor([1.])
    """
    unit = F.normalize(x.detach().to(torch.promote_types(x.dtype, torch.float32)), dim=1)
    # row by row: the product of two matrices rounds by where a row stands in it, and so by direction and by batch
    chunks = (
        unit[source] * unit[target] for source, target in zip(*(end.split(2**14) for end in edge_index), strict=True)
    )
    return torch.cat([chunk.sum(1) for chunk in chunks]) if edge_index.size(1) else unit.new_empty(0)


def edge_jaccard(x: Tensor, edge_index: Tensor) -> Tensor:
    r"""The Jaccard index of the features that the two ends of each edge have, ``[E]``.

    .. math:: J_{uv} = \frac{|X_u \cap X_v|}{|X_u \cup X_v|}, \qquad X_v = \{f : x_{vf} \neq 0\}

    Two ends without any feature have an index of 0.

    Args:
        x: ``[N, F]``; only what is not 0 counts.
        edge_index: ``int64 [2, E]``.

    Example:
        >>> edge_jaccard(torch.tensor([[1.0, 0.0, 2.0], [1.0, 1.0, 0.0]]), torch.tensor([[0], [1]])).tolist()
        [0.3333333432674408]
    """
    has = (x.detach() != 0).float()
    count = has.sum(1)
    chunks = []
    for source, target in zip(*(end.split(2**14) for end in edge_index), strict=True):
        both = (has[source] * has[target]).sum(1)
        chunks.append(both / (count[source] + count[target] - both).clamp(min=1))
    return torch.cat(chunks) if edge_index.size(1) else count.new_empty(0)


def _float_features(name: str, x: Tensor) -> Tensor:
    if not x.is_floating_point():
        raise DataError(f"{name}: data.x is {x.dtype}; make it a float tensor [N, F] to compare its rows")
    if not bool(x.detach().sum().isfinite()) and not bool(x.detach().isfinite().all()):
        raise DataError(f"{name}: data.x holds NaN or infinite values; clean them, for example with torch.nan_to_num")
    return x


def _most(data: Data, scores: Tensor, share: float) -> Data:
    """The edges that are among the best of one of their ends (of their source, in a directed graph), ties included."""
    edges, n = plain_edge_index(data._store), int(data.num_nodes or 0)
    pointer, order = ranked(edges[0], scores, n)
    counts = pointer.diff()
    # of each node the score that an edge has to reach; where none is chosen or there is none, no score reaches it
    chosen = torch.ceil(counts.double() * share - 1e-9).long()
    bar = scores.new_full((n,), torch.inf)
    some = chosen > 0
    bar[some] = scores[order[pointer[:-1][some] + chosen[some] - 1]]
    keep = scores >= bar[edges[0]]
    if is_undirected(edges):
        keep |= scores >= bar[edges[1]]
    keep_edges(data, data._store, keep)
    return data


@dataclass(frozen=True)
class HomophilicEdges(Augmenter):
    r"""Keep each node's edges to its most similar neighbours.

    .. math:: E' = \{(u, v) : v \in \mathrm{top}_{\lceil share \cdot d_u \rceil}(u) \text{ or } u \in
        \mathrm{top}_{\lceil share \cdot d_v \rceil}(v)\}

    by the cosine of the features. An undirected edge stays if either end chooses it; of a directed graph each node
    chooses among the edges that leave it. Equal similarities at the boundary all stay.

    Args:
        share: share of its edges that each node chooses, rounded up, in [0, 1]; 1 keeps all, 0 none.

    Raises:
        RequestError: ``share`` is outside of [0, 1].
        DataError: ``x`` or ``edge_index`` is missing or misshapen, or ``x`` is not of floats.

    Reference:
        Yang & Mirzasoleiman, Graph contrastive learning under heterophily via graph filters (HLCL), UAI 2024; cosine
        as in the paper, dot product in its code. `HeterophilicEdges` is the other part.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> g = Data(x=x, edge_index=torch.tensor([[0, 0], [1, 2]]))
        >>> HomophilicEdges(0.5)(g).edge_index.tolist()
        [[0], [1]]
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")

    share: Rate = 0.8

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the like edges."""
        x = _float_features("HomophilicEdges", data.x)
        return data if self.share == 1.0 else _most(data, edge_similarity(x, data.edge_index), self.share)


@dataclass(frozen=True)
class HeterophilicEdges(Augmenter):
    r"""Keep each node's edges to its least similar neighbours.

    .. math:: E' = \{(u, v) : v \in \mathrm{bottom}_{\lceil share \cdot d_u \rceil}(u) \text{ or } u \in
        \mathrm{bottom}_{\lceil share \cdot d_v \rceil}(v)\}

    by the cosine of the features. An undirected edge stays if either end chooses it; of a directed graph each node
    chooses among the edges that leave it. Equal similarities at the boundary all stay.

    Args:
        share: share of its edges that each node chooses, rounded up, in [0, 1]; 1 keeps all, 0 none.

    Raises:
        RequestError: ``share`` is outside of [0, 1].
        DataError: ``x`` or ``edge_index`` is missing or misshapen, or ``x`` is not of floats.

    Reference:
        Yang & Mirzasoleiman, Graph contrastive learning under heterophily via graph filters (HLCL), UAI 2024; its code
        chooses among the edges that the same node left to `HomophilicEdges`, which comes to the same where the shares
        add up to 1 or less, but for rounding.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> g = Data(x=x, edge_index=torch.tensor([[0, 0], [1, 2]]))
        >>> HeterophilicEdges(0.5)(g).edge_index.tolist()
        [[0], [2]]
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")

    share: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the unlike edges."""
        x = _float_features("HeterophilicEdges", data.x)
        return data if self.share == 1.0 else _most(data, -edge_similarity(x, data.edge_index), self.share)


@dataclass(frozen=True)
class KNNGraph(Augmenter):
    r"""Join each node with the nodes most similar to it, in place of the edges there were.

    .. math:: E' = \{(u, v), (v, u) : u \in \mathrm{top}_k(v)\}, \qquad
        w_{uv} = \frac{x_u \cdot x_v}{\lVert x_u \rVert\, \lVert x_v \rVert}

    The view is undirected: an edge is there if either end chooses it, so that a node may have more than k neighbours.
    Similarities become ``edge_weight``; pairs that are not similar at all (0 or less) are left out. The N × N matrix of
    similarities is never formed. In a batch nodes are joined within their graph. What lay on the old edges goes.

    Args:
        k: neighbours that each node chooses, 1 or more; fewer where a graph has fewer nodes.

    Raises:
        RequestError: ``k`` is below 1.
        DataError: ``x`` is missing, no float matrix, or not finite.

    Reference:
        The feature graph of Wang et al., AM-GCN, KDD 2020, section 3.1, equation 1.

    Example:
        >>> KNNGraph(k=1)(Data(x=torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))).edge_index.tolist()
        [[0, 1, 1, 2], [1, 0, 2, 1]]
    """

    needs: ClassVar[tuple[str, ...]] = ("x",)
    differentiable: ClassVar[tuple[str, ...]] = ("x",)

    k: Size = 10

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Find the neighbours graph by graph, and add the other directions."""
        x = _float_features("KNNGraph", data.x).detach()
        offsets = node_offsets(data).tolist()
        parts, weights = [torch.empty(2, 0, dtype=torch.long, device=x.device)], [x.new_empty(0)]
        for first, last in pairwise(offsets):
            if last - first > 1:
                try:
                    edges, similar = knn_graph(x[first:last], min(self.k, last - first - 1))
                except EmbeddingError as error:
                    raise DataError(f"KNNGraph: data.x: {error}; clean it, for example with torch.nan_to_num") from None
                parts.append(edges + first)
                weights.append(similar.to(x.dtype))
        edges, similar = torch.cat(parts, 1), torch.cat(weights)
        edges, similar = edges[:, similar > 0], similar[similar > 0]
        # one weight for both directions, whichever end chose
        n = x.size(0)
        codes = edges.min(0).values * n + edges.max(0).values
        codes, where = torch.unique(codes, return_inverse=True)
        weight = similar.new_zeros(codes.numel()).scatter_reduce(0, where, similar, "amax", include_self=False)
        low, high = torch.div(codes, n, rounding_mode="floor"), codes % n
        joined, weight = torch.stack([torch.cat([low, high]), torch.cat([high, low])]), weight.repeat(2)
        order = torch.argsort(joined[0] * n + joined[1])
        replace_edges(data, data._store, joined[:, order], weight[order])
        return data


@dataclass(frozen=True)
class JaccardEdges(Augmenter):
    r"""Keep the edges whose ends share enough of their features: what an attacker adds mostly joins strangers.

    .. math:: E' = \{(u, v) \in E : J_{uv} > threshold\}, \qquad J_{uv} = \frac{|X_u \cap X_v|}{|X_u \cup X_v|}

    with :math:`X_v` the features that node v has (what is not 0).

    Args:
        threshold: in [0, 1]; an edge goes if the index of its ends is not above it.

    Raises:
        RequestError: ``threshold`` is outside of [0, 1].
        DataError: ``x`` or ``edge_index`` is missing or misshapen.

    Reference:
        Wu et al., Adversarial examples for graph data: deep insights into attack and defense (GCN-Jaccard), IJCAI 2019,
        section 4.

    Example:
        >>> x = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> g = Data(x=x, edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> JaccardEdges(0.0)(g).edge_index.tolist()
        [[0], [1]]
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")

    threshold: Rate = 0.01

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the edges above the threshold."""
        edges = plain_edge_index(data._store)
        index = _JACCARD.of((data.x.detach(), edges), lambda: edge_jaccard(data.x, edges))
        keep_edges(data, data._store, index > self.threshold)
        return data


# a network that leaves edges out asks at every step
_JACCARD: Recalled[Tensor] = Recalled()
