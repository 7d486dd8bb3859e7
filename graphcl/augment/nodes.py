"""Views that leave out nodes, or put some in between: for methods that compare graphs, or nodes by their ids.

| class | which nodes the view has | counterpart |
|---|---|---|
| `NodeDropout` | each with probability ``1 - rate`` | ``dropout_node``, ``NodeDropping`` (keep the nodes) |
| `EgoNet` | those within ``hops`` of random roots | ``k_hop_subgraph`` |
| `RandomWalkSubgraph` | those that random walks visit | ``RWSampling`` |
| `HalfHop` | all, and one more on each edge into a drawn node | ``HalfHop`` |

`graphcl.augment.local` has the subgraphs of personalised PageRank. Nodes are renumbered; what lies on them (``x``,
``y``, masks, positional encodings, ``batch``) goes along. To know which nodes are left, put their numbers on them:
``data.n_id = torch.arange(data.num_nodes)``.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphcl.alignment import (
    append_nodes,
    arrange_edges,
    is_batch,
    keep_nodes,
    node_offsets,
    plain_edge_index,
    set_node_mask,
)
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate, Size
from graphcl.errors import DataError
from graphcl.ops.adjacency import edges_by_node, listed
from graphcl.pieces import over_pieces, places_of, rows_of_piece
from graphcl.seeding import draw_coins, draw_uniform

__all__ = ["EgoNet", "HalfHop", "NodeDropout", "RandomWalkSubgraph"]


@dataclass(frozen=True)
class NodeDropout(Augmenter):
    r"""Leave out each node, with its edges, with probability ``rate``.

    .. math:: \tilde G = G[V'], \qquad \Pr(v \in V') = 1 - rate \text{ independently}

    Every graph of a batch (every type of nodes of a ``HeteroData``) keeps at least one node, a random one where all
    would go. So ``rate = 1`` leaves one random node.

    Args:
        rate: probability of removal, in [0, 1].

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or another attribute holds node ids.

    Reference:
        You et al., Graph contrastive learning with augmentations (GraphCL), NeurIPS 2020, table 1, node dropping. The
        released codes leave out a fixed number, 10 or 20 % of the nodes.

    Example:
        >>> g = Data(x=torch.arange(3.0).view(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> view = NodeDropout(1.0)(g)
        >>> view.num_nodes, view.num_edges
        (1, 0)
    """

    keeps_nodes: ClassVar[bool] = False
    takes_hetero: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data | HeteroData, generator: torch.Generator | None = None) -> Data | HeteroData:
        """Keep the nodes whose coin says so."""
        if self.rate == 0.0:
            return data
        kept = {}
        for store in data.node_stores:
            offsets = node_offsets(data, store._key)
            keep = draw_coins(int(offsets[-1]), rate=self.rate, generator=generator, device=offsets.device)
            keep[_survivors(keep, offsets, generator)] = True
            kept[store._key] = places_of(keep)
        keep_nodes(data, kept)
        return data


def _survivors(keep: Tensor, offsets: Tensor, generator: torch.Generator | None) -> Tensor:
    """A random node of each graph that would lose all of its nodes."""
    running = torch.cat([offsets.new_zeros(1), keep.long().cumsum(0)])
    lost = ((running[offsets].diff() == 0) & (offsets.diff() > 0)).nonzero().flatten()
    draws = draw_uniform(lost.numel(), generator=generator, device=offsets.device, dtype=torch.float64)
    return offsets[lost] + (draws * offsets.diff()[lost]).long()


def drawn_roots(data: Data, count: int, generator: torch.Generator | None) -> Tensor:
    """``count`` random nodes of each graph that has nodes, with repetition: ``int64 [B' count]``, ordered by graph."""
    offsets = node_offsets(data)
    sizes = offsets.diff().repeat_interleave(count)
    draws = draw_uniform(sizes.numel(), generator=generator, device=offsets.device, dtype=torch.float64)
    roots = offsets[:-1].repeat_interleave(count) + (draws * sizes).long()
    return roots[sizes > 0]


def _keep_few(data: Data, chosen: Tensor, pointer: Tensor, columns: Tensor, others: Tensor) -> None:
    """The subgraph of the chosen nodes, whose edges are looked for in their lists alone; ``others``: the other ends."""
    nodes = places_of(chosen)
    candidates = columns[listed(pointer, nodes)]
    keep_nodes(data, {None: nodes}, candidates[chosen[others[candidates]]].sort().values)


@dataclass(frozen=True)
class EgoNet(Augmenter):
    r"""The neighbourhood of random roots: all nodes whose messages reach one of them within ``hops`` steps.

    .. math:: \tilde G = G[\{v : \min_{r \in R} d(v \to r) \le hops\}], \qquad R \sim \mathrm{Uniform}(V)^{roots}

    Directed edges are followed backwards, from a root to what it listens to. In a batch each graph has roots of its
    own.

    Args:
        roots: number of roots of each graph, 1 or more, drawn with repetition.
        hops: 1 or more.

    Raises:
        RequestError: a parameter below 1.
        DataError: ``edge_index`` is missing, misshapen or out of range, or another attribute holds node ids.

    Reference:
        Zhu et al., Transfer learning of graph neural networks with ego-graph information maximization (EGI), NeurIPS
        2021, definition 2.1.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 4], [1, 0, 2, 1, 3, 2, 4, 3]])
        >>> EgoNet(hops=4)(Data(x=torch.ones(5, 1), edge_index=path)).num_nodes
        5
    """

    keeps_nodes: ClassVar[bool] = False

    roots: Size = 1
    hops: Size = 2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Spread from the roots against the direction of the edges."""
        edges, n = plain_edge_index(data._store), int(data.num_nodes or 0)
        pointer, columns = edges_by_node(edges, n, end=1)
        reached = torch.zeros(n, dtype=torch.bool, device=edges.device)
        front = drawn_roots(data, self.roots, generator)
        reached[front] = True
        for _ in range(self.hops):
            heard = edges[0, columns[listed(pointer, torch.unique(front))]]
            front = heard[~reached[heard]]
            if front.numel() == 0:
                break
            reached[front] = True
        _keep_few(data, reached, pointer, columns, edges[0])
        return data


@dataclass(frozen=True)
class RandomWalkSubgraph(Augmenter):
    r"""The subgraph on the nodes that random walks visit.

    .. math:: v_0 \sim \mathrm{Uniform}(V), \qquad
        v_{t+1} \sim \begin{cases} v_0 & \text{with probability } teleport \\
        \mathrm{Uniform}(\mathcal N(v_t)) & \text{otherwise} \end{cases}, \qquad
        \tilde G = G[\{v_0, \dots, v_{length}\}]

    Walks follow the direction of the edges, regardless of weights; where no edge leads on, a walk returns to its
    start. In a batch each graph has walks of its own.

    Args:
        roots: number of walks in each graph, 1 or more.
        length: steps of a walk, 1 or more.
        teleport: probability of a return to the start at each step, in [0, 1].

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or another attribute holds node ids.

    Reference:
        Qiu et al., GCC, KDD 2020, section 3.2 (walks with restart); You et al., GraphCL, NeurIPS 2020, table 1. The
        released code of the latter grows a set of neighbours until it holds a fifth of the graph.

    Example:
        >>> ring = torch.stack([torch.arange(9), (torch.arange(9) + 1) % 9])
        >>> RandomWalkSubgraph(length=3)(Data(x=torch.ones(9, 1), edge_index=ring)).num_nodes
        4
    """

    keeps_nodes: ClassVar[bool] = False

    roots: Size = 1
    length: Size = 10
    teleport: Rate = 0.0

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Walk all walks at once."""
        edges, n = plain_edge_index(data._store), int(data.num_nodes or 0)
        pointer, columns = edges_by_node(edges, n)
        start = drawn_roots(data, self.roots, generator)
        visited = torch.zeros(n, dtype=torch.bool, device=edges.device)
        visited[start] = True
        now = start
        for _ in range(self.length if columns.numel() else 0):
            draws = draw_uniform(2, now.numel(), generator=generator, device=edges.device, dtype=torch.float64)
            degree = pointer[now + 1] - pointer[now]
            step = edges[1, columns[(pointer[now] + (draws[0] * degree).long()).clamp(max=columns.numel() - 1)]]
            now = torch.where((degree == 0) | (draws[1] < self.teleport), start, step)
            visited[now] = True
        _keep_few(data, visited, pointer, columns, edges[1])
        return data


@dataclass(frozen=True)
class HalfHop(Augmenter):
    r"""Put a slow node on every edge into each drawn node, so that messages arrive there half a hop later.

    .. math:: (u \to v) \;\longrightarrow\; (u \to s), (s \to v), (v \to s), \qquad
        x_s = strength\, x_u + (1 - strength)\, x_v

    Nodes are drawn with probability ``rate``; loops stay. A slow node is marked in ``slow_node_mask`` and stands behind
    the nodes of its graph; its masks are ``False``, its label is -1, anything else is that of v. The new edges carry
    what lay on the one they come from. The view is directed: slow nodes are heard by one node only.

    Args:
        rate: probability that the edges into a node are halved, in [0, 1]; 0 leaves the graph without a mark.
        strength: share of the source in the features of a slow node, in [0, 1].

    Raises:
        RequestError: a parameter out of range.
        DataError: ``x`` or ``edge_index`` is missing or misshapen, or ``x`` is not of floats.

    Reference:
        Azabou et al., Half-Hop: a graph upsampling approach for slowing down message passing, ICML 2023, section 3;
        the released code draws target nodes too, and refuses edge attributes, which are carried along here.

    Example:
        >>> g = Data(x=torch.tensor([[0.0], [1.0]]), edge_index=torch.tensor([[0], [1]]))
        >>> HalfHop(rate=1.0)(g).x.flatten().tolist()
        [0.0, 1.0, 0.5]
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")
    keeps_symmetry: ClassVar[bool] = False
    keeps_nodes: ClassVar[bool] = False

    rate: Rate = 0.5
    strength: Rate = 0.5

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Split the edges into the drawn nodes."""
        x, edges, n = data.x, plain_edge_index(data._store), int(data.num_nodes or 0)
        if not x.is_floating_point():
            raise DataError(
                f"HalfHop: data.x is {x.dtype}; make it a float tensor, the features of slow nodes are means"
            )
        if self.rate == 0.0:
            return data
        coins = ~draw_coins(n, rate=self.rate, generator=generator, device=edges.device)
        source, target = edges
        split = coins[target] & (source != target)
        rows, rest = places_of(split), places_of(~split)
        u, v = source[rows], target[rows]
        slow = torch.arange(n, n + rows.numel(), device=edges.device)
        joined = torch.cat([edges[:, rest], torch.stack([torch.cat([u, slow, v]), torch.cat([slow, v, slow])])], 1)
        place = append_nodes(data, v, apart=("x",))
        new = place[n:]
        data.x = _with_slow(x, u, v, place, self.strength)
        slow_nodes = torch.zeros(int(data.num_nodes or 0), dtype=torch.bool, device=x.device)
        slow_nodes[new] = True
        set_node_mask(data, "slow_node_mask", slow_nodes)
        _unlabelled(data, new)
        if is_batch(data):
            joined = place[joined]
        arrange_edges(data, data._store, joined, torch.cat([rest, rows, rows, rows]))
        return data


def _with_slow(x: Tensor, u: Tensor, v: Tensor, place: Tensor, strength: float) -> Tensor:
    """The features of all nodes, those of the slow ones between the ends of their edge."""
    if x.requires_grad:
        joined = torch.cat([x, torch.lerp(x[v], x[u], strength)])
        return torch.empty_like(joined).index_copy(0, place, joined)
    out = x.new_empty(place.numel(), x.size(1))
    n, ordered = x.size(0), bool((place[1:] > place[:-1]).all())
    if ordered:
        out[:n] = x
    else:
        out[place[:n]] = x

    # in pieces that stay in the cache: the features at both ends of all edges are the largest thing there is
    def between(begin: int, end: int) -> None:
        heard = x.index_select(0, v[begin:end])
        heard.lerp_(x.index_select(0, u[begin:end]), strength)
        if ordered:
            out[n + begin : n + end] = heard
        else:
            out[place[n + begin : n + end]] = heard

    over_pieces(between, u.numel(), rows_of_piece(x))
    return out


def _unlabelled(data: Data, nodes: Tensor) -> None:
    for name, value in data.to_dict().items():
        if not isinstance(value, Tensor) or value.dim() == 0 or not data.is_node_attr(name):
            continue
        if value.dtype == torch.bool and name != "slow_node_mask":
            data[name] = value.index_fill(0, nodes, False)
        elif name == "y" and not value.is_floating_point():
            data[name] = value.index_fill(0, nodes, -1)
