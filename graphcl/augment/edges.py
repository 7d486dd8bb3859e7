"""Views that change which edges there are, blind to what the edges join.

| class | what happens to an edge | PyG's or PyGCL's counterpart |
|---|---|---|
| `EdgeDropout` | goes with probability ``rate``, both directions together | ``dropout_edge(force_undirected=True)`` |
| `MessageDropout` | each stored direction goes by itself | ``dropout_edge``, ``EdgeRemoving`` |
| `EdgeAddition` | joins a random pair that was apart | ``add_random_edge``, ``EdgeAdding`` |
| `EdgeRewiring` | swaps ends with another edge, so that all degrees stay | none |

What lies on an edge (``edge_weight``, ``edge_attr``, whatever PyG knows to be aligned) goes with it.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import BaseStorage

from graphcl.alignment import append_edges, graph_of_nodes, keep_edges, plain_edge_index
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate
from graphcl.hashing import edge_coins, is_undirected
from graphcl.ops.pairs import first_free, free_pairs, pair_codes
from graphcl.pieces import places_of
from graphcl.seeding import draw_coins, draw_order, draw_seed

__all__ = ["EdgeAddition", "EdgeDropout", "EdgeRewiring", "MessageDropout"]

_ROUNDS = 16


@dataclass(frozen=True)
class EdgeDropout(Augmenter):
    r"""Remove each edge with probability ``rate``; both directions of an undirected edge go together.

    .. math:: \tilde A_{uv} = A_{uv}\, m_{\{u,v\}}, \qquad m_{\{u,v\}} \sim \mathrm{Bernoulli}(1 - rate)

    The coin of an edge is a hash of its two endpoints and one random seed, so the two directions agree without any
    search for the reverse edge, an undirected graph stays undirected, and the same seed gives the same view on every
    device. Parallel edges between one pair of nodes share their coin. Isolated nodes stay. In a ``HeteroData`` every
    type of edges is thinned, and an edge goes together with its twin of the reverse type ``rev_…``.

    Args:
        rate: probability of removal, in [0, 1]; 1 removes all edges.

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        Rong et al., DropEdge, ICLR 2020; the removing-edges view of GRACE (Zhu et al., 2020), section 3.2.1.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> EdgeDropout(0.5)(g, torch.Generator().manual_seed(0)).is_undirected()
        True
    """

    takes_sparse_features: ClassVar[bool] = True
    takes_hetero: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data | HeteroData, generator: torch.Generator | None = None) -> Data | HeteroData:
        """Keep the edges whose coin says so."""
        if self.rate == 0.0:
            return data
        seed = draw_seed(generator)
        for store in data.edge_stores:
            if "edge_index" in store:
                keep_edges(data, store, _coins(data, store, seed, self.rate))
        return data


def _coins(data: Data | HeteroData, store: BaseStorage, seed: int, rate: float) -> Tensor:
    edges = plain_edge_index(store)
    if store._key is None:
        return edge_coins(edges, seed, rate)
    source, relation, target = store._key
    twin = (target, relation.removeprefix("rev_"), source)
    if relation.startswith("rev_") and twin in data.edge_types:
        edges, (source, relation, target) = edges.flip(0), twin
    # types are told apart by their names: the same pair of ids is another edge in each
    tag = hashlib.sha256("\x00".join((source, relation, target)).encode()).digest()
    return edge_coins(edges, seed ^ int.from_bytes(tag[:7], "little"), rate, ordered=source != target)


@dataclass(frozen=True)
class MessageDropout(Augmenter):
    r"""Remove each stored direction of an edge by itself with probability ``rate``: messages, not edges, are lost.

    .. math:: \tilde A_{uv} = A_{uv}\, m_{uv}, \qquad m_{uv} \sim \mathrm{Bernoulli}(1 - rate) \text{ independently}

    The view of an undirected graph is a directed one: v may still hear u where u no longer hears v. This is what the
    released codes of GRACE, GCA, BGRL and CCA-SSG do where their papers say "removing edges"; with the same rate an
    undirected edge survives in some direction with probability :math:`1 - rate^2`. Where a view must stay undirected,
    take `EdgeDropout`.

    Args:
        rate: probability of removal, in [0, 1]; 1 removes all edges.

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        Zhang et al., CCA-SSG, NeurIPS 2021, released code: a Bernoulli draw per directed edge; likewise GRACE's, which
        calls PyG's ``dropout_adj`` with its default.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> MessageDropout(1.0)(g).num_edges, MessageDropout(0.0)(g).num_edges
        (0, 4)
    """

    keeps_symmetry: ClassVar[bool] = False
    takes_sparse_features: ClassVar[bool] = True
    takes_hetero: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data | HeteroData, generator: torch.Generator | None = None) -> Data | HeteroData:
        """Keep the directed edges whose coin says so."""
        if self.rate == 0.0:
            return data
        for store in data.edge_stores:
            if "edge_index" in store:
                edges = store["edge_index"]
                coins = draw_coins(edges.size(1), rate=self.rate, generator=generator, device=edges.device)
                keep_edges(data, store, coins)
        return data


@dataclass(frozen=True)
class EdgeAddition(Augmenter):
    r"""Join random pairs of nodes that were apart: for each edge of the graph one more, with probability ``rate``.

    .. math:: \tilde A = A + \sum_{i=1}^{M} (e_{u_i} e_{v_i}^\top + e_{v_i} e_{u_i}^\top), \qquad
        M \sim \mathrm{Binomial}(|E|, rate), \quad \{u_i, v_i\} \sim \mathrm{Uniform}(\bar E)

    New edges are drawn uniformly, without repetition, from the pairs that the graph does not join; loops are not
    added. In a batch the coin of an edge adds an edge to its own graph. The new edge takes over the weight and the
    attributes of the edge whose coin it was, so that they keep their distribution. An undirected graph gets both
    directions; a directed one a single direction. Where a graph is so dense that there is no room for all, the missing
    pairs that there are, are added.

    Args:
        rate: number of added edges as a share of those there are, in [0, 1]; 1 doubles them.

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        You et al., Graph contrastive learning with augmentations (GraphCL), NeurIPS 2020, table 1, edge perturbation.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> EdgeAddition(1.0)(g, torch.Generator().manual_seed(0)).num_edges
        4
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Draw pairs, and draw again for those that were taken."""
        store = data._store
        edges = plain_edge_index(store)
        if self.rate == 0.0 or edges.size(1) == 0:
            return data
        both = is_undirected(edges)
        # one coin per edge that is no loop: of an undirected edge, its ascending direction
        counts = edges[0] < edges[1] if both else edges[0] != edges[1]
        chosen = ~draw_coins(edges.size(1), rate=self.rate, generator=generator, device=edges.device)
        like = places_of(chosen.logical_and_(counts))
        added, found = free_pairs(data, edges, graph_of_nodes(data)[edges[0, like]], both, generator)
        like = like[found]
        if both:
            added, like = torch.cat([added, added.flip(0)], 1), like.repeat(2)
        append_edges(data, store, added, like)
        return data


@dataclass(frozen=True)
class EdgeRewiring(Augmenter):
    r"""Let random pairs of edges swap their ends: another graph with the degree of every node.

    .. math:: (a, b), (c, d) \;\longrightarrow\; (a, d), (c, b)

    A swap that would make a loop or an edge that is there already is drawn again, and after some rounds left out (in a
    complete graph nothing can be swapped). Undirected edges swap with both directions; directed ones so that in- and
    out-degrees stay. In a batch edges swap within their graph. An edge keeps its weight and attributes, of which it
    takes one end along.

    Args:
        rate: share of the edges that take part, in [0, 1].

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        The switching chain of Maslov & Sneppen, Specificity and stability in topology of protein networks, Science
        2002; many of its steps at once.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]))
        >>> EdgeRewiring(1.0)(g, torch.Generator().manual_seed(0)).edge_index.max(0).values.unique().numel() > 1
        True
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Pair off the chosen edges at random; pair off again those whose swap was refused."""
        store = data._store
        edges = plain_edge_index(store)
        if self.rate == 0.0 or edges.size(1) < 2:
            return data
        both = is_undirected(edges)
        n = int(data.num_nodes or 0)
        there, back = _directions(edges, n, both)
        chosen = ~draw_coins(there.numel(), rate=self.rate, generator=generator, device=edges.device)
        waiting = places_of(chosen)
        graph = graph_of_nodes(data)[edges[0, there]]
        ends = edges[:, there].clone()
        for _ in range(_ROUNDS):
            one, two = _paired(waiting, graph, generator)
            if one.numel() == 0:
                break
            waiting = self._swap(ends, one, two, n, both, waiting, generator)
        joined = edges.clone()
        joined[:, there] = ends
        if both:
            joined[:, back] = ends.flip(0)
        store["edge_index"] = joined
        return data

    @staticmethod
    def _swap(
        ends: Tensor, one: Tensor, two: Tensor, n: int, both: bool, waiting: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        (a, b), (c, d) = ends[:, one], ends[:, two]
        if both:
            # an undirected edge has no first end: which is which is drawn
            turned = draw_coins(one.numel(), rate=0.5, generator=generator, device=ends.device)
            c, d = torch.where(turned, d, c), torch.where(turned, c, d)
        drawn = torch.cat([torch.stack([a, d]), torch.stack([c, b])], 1)
        taken = pair_codes(ends, n, both).sort().values
        fine = first_free(pair_codes(drawn, n, both), taken) & (drawn[0] != drawn[1])
        fine = fine[: one.numel()] & fine[one.numel() :]
        ends[:, one[fine]] = drawn[:, : one.numel()][:, fine]
        ends[:, two[fine]] = drawn[:, one.numel() :][:, fine]
        done = torch.cat([one[fine], two[fine]])
        left = torch.zeros(ends.size(1), dtype=torch.bool, device=ends.device)
        left[waiting] = True
        left[done] = False
        return places_of(left)


def _directions(edges: Tensor, n: int, both: bool) -> tuple[Tensor, Tensor]:
    """Columns of the edges that may swap, and of their other directions (none in a directed graph); loops stay."""
    if not both:
        return places_of(edges[0] != edges[1]), edges.new_empty(0)
    up, down = places_of(edges[0] < edges[1]), places_of(edges[0] > edges[1])
    # both sorted by the pair they join: the directions of an edge stand side by side
    up = up[pair_codes(edges[:, up], n, True).sort(stable=True).indices]
    down = down[pair_codes(edges[:, down], n, True).sort(stable=True).indices]
    return up, down


def _paired(waiting: Tensor, graph: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """The waiting edges in random pairs within their graphs; the odd one out of a graph waits."""
    mixed = waiting[draw_order(waiting.numel(), generator=generator, device=waiting.device)]
    home = graph[mixed]
    if graph.numel() and int(graph.max()) > int(graph.min()):
        home, order = home.sort(stable=True)
        mixed = mixed[order]
    counts = torch.bincount(home, minlength=1)
    place = torch.arange(mixed.numel(), device=mixed.device) - (counts.cumsum(0) - counts)[home]
    first = (place % 2 == 0) & (place + 1 < counts[home])
    one = places_of(first)
    return mixed[one], mixed[one + 1]
