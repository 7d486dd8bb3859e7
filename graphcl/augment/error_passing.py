r"""Edges by how much of an error they pass on (EPAGCL).

A message from u to v travels with the weight :math:`w_{uv} = 1 / \sqrt{d_u d_v}` of the normalised adjacency, and so
does the error that a wrong edge makes. Both views turn such weights into probabilities relative to their mean, so that
``rate`` is a mean rate:

| class | prefers |
|---|---|
| `ErrorPassingEdgeDropout` | to remove edges with a large weight, between nodes of low degree |
| `ErrorPassingEdgeAddition` | to add edges with a small weight, between nodes of high degree |
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import append_edges, graph_of_nodes, is_batch, keep_edges, node_offsets, plain_edge_index
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate
from graphcl.hashing import edge_coins, is_undirected
from graphcl.ops.centrality import degree
from graphcl.ops.pairs import contains, first_free, pair_codes
from graphcl.pieces import places_of
from graphcl.remembered import Recalled
from graphcl.seeding import draw_order, draw_seed, draw_uniform

__all__ = ["ErrorPassingEdgeAddition", "ErrorPassingEdgeDropout"]

_JOINED = 0.5  # mean share of the candidates that is added
_CUTOFF = 0.9
_ROUNDS = 16


def _relative(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Distances from the least value of each group, divided by their mean; 1 where all are equal."""
    least = values.new_full((groups,), torch.inf).scatter_reduce(0, group, values, "amin")[group]
    sizes = torch.bincount(group, minlength=groups).clamp(min=1)
    spread = (values.new_zeros(groups).index_add(0, group, values - least) / sizes)[group]
    level = spread <= 1e-9 * values.abs()
    return torch.where(level, 1.0, (values - least) / torch.where(level, 1.0, spread))


def _risk(edges: Tensor, n: int, graph: Tensor | None) -> Tensor:
    """How much more often than the mean each edge is removed, ``float32 [E]``."""
    entering, leaving = degree(edges, n).double(), degree(edges.flip(0), n).double()
    weights = (leaving[edges[0]] * entering[edges[1]]).rsqrt()
    group = torch.zeros_like(edges[0]) if graph is None else graph
    return _relative(weights, group, int(group.max()) + 1).float()


_RISKS: Recalled[Tensor] = Recalled()


@dataclass(frozen=True)
class ErrorPassingEdgeDropout(Augmenter):
    r"""Remove edges that pass on much more often than those that pass on little.

    .. math:: \Pr(\tilde A_{uv} = 0) = \min\Big( \frac{w_{uv} - w_{\min}}{\bar w - w_{\min}} \cdot rate,\; 1 \Big),
        \qquad w_{uv} = \frac{1}{\sqrt{d_u d_v}}

    Degrees count edges, not weights; of a directed edge, those that leave u and those that enter v. Both directions of
    an undirected edge go together. Graphs of a batch are measured by themselves.

    Args:
        rate: mean probability of removal, in [0, 1] (less where single ones reach 1).

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        Xu et al., Why does dropping edges usually outperform adding edges in graph contrastive learning? (EPAGCL),
        AAAI 2025; the weights as in the released code (rates 0.2 and 0.3 there), which draws each direction by itself.

    Example:
        >>> star = torch.tensor([[0, 0, 0, 1], [1, 2, 3, 2]])
        >>> ErrorPassingEdgeDropout(0.2)(Data(edge_index=star, num_nodes=4)).num_edges <= 4
        True
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the edges whose coin says so."""
        edges, n = plain_edge_index(data._store), int(data.num_nodes or 0)
        if self.rate == 0.0 or edges.size(1) == 0:
            return data
        graph = graph_of_nodes(data)[edges[0]] if is_batch(data) else None
        risk = _RISKS.of((edges, graph), lambda: _risk(edges, n, graph))
        keep = edge_coins(edges, draw_seed(generator), lambda place: risk[place] * self.rate)
        keep_edges(data, data._store, keep)
        return data


@dataclass(frozen=True)
class ErrorPassingEdgeAddition(Augmenter):
    r"""Join nodes of high degree that were apart, where one more edge passes on least.

    .. math:: C = \text{the } \lceil 2\, rate\, |E| \rceil \text{ pairs that no edge joins with the least }
        w_{uv} = \frac{1}{\sqrt{(d_u + 1)(d_v + 1)}}

    .. math:: \Pr(\{u, v\} \text{ is added}) = \min\big(c\, (w_{\max} - w_{uv}),\; 0.9 \big) \text{ for pairs in } C

    with the factor c that adds half the candidates on average, or fewer where most of them tie for the largest weight,
    which is added never; where all weights are equal, each is added with probability 1/2. Pairs that tie for the last
    places of C are drawn at random. The candidates are found from the degrees, without a list of all pairs: in
    :math:`O(|E| + |C|)` memory. The new edges carry the attributes of random edges of their graph. Of a directed graph,
    degrees count both directions and the direction of a new edge is drawn.

    Args:
        rate: expected number of added edges as a share of those there are, in [0, 1].

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit.

    Reference:
        Xu et al., Why does dropping edges usually outperform adding edges in graph contrastive learning? (EPAGCL),
        AAAI 2025. The released code forms the N × N matrix of all pairs (above 30,000 nodes, those of the highest
        degrees), takes :math:`w_{\max}` and the mean over all of them, counts loops, and chooses the candidates once;
        here the maximum is over the candidates, and c makes the mean one half with the cut-off, not without it.

    Example:
        >>> g = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]), num_nodes=4)
        >>> ErrorPassingEdgeAddition(1.0)(g, torch.Generator().manual_seed(0)).is_undirected()
        True
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.1

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Choose the candidates of each graph and flip their coins."""
        edges, n = plain_edge_index(data._store), int(data.num_nodes or 0)
        if self.rate == 0.0 or edges.size(1) == 0:
            return data
        both = is_undirected(edges)
        proper = places_of(edges[0] < edges[1] if both else edges[0] != edges[1])
        joined = edges[:, proper]
        # counts of undirected neighbours in an undirected graph, of both directions in a directed one
        degrees = torch.bincount(joined.flatten(), minlength=n)
        offsets = node_offsets(data)
        home = graph_of_nodes(data)[joined[0]]
        added, like = [edges.new_empty(2, 0)], [proper.new_empty(0)]
        order = torch.sort(home, stable=True).indices
        bounds = [0, *torch.bincount(home, minlength=offsets.numel() - 1).cumsum(0).tolist()]
        for graph, (first, last) in enumerate(pairwise(offsets.tolist())):
            here = order[bounds[graph] : bounds[graph + 1]]
            wanted = math.ceil(self.rate / _JOINED * here.numel() - 1e-9)
            if wanted == 0:
                continue
            pairs = _most_central_free(degrees[first:last], joined[:, here] - first, wanted, generator)
            pairs = pairs[:, self._chosen(degrees[first:last], pairs, generator)] + first
            random = draw_uniform(pairs.size(1), generator=generator, device=edges.device, dtype=torch.float64)
            added.append(pairs)
            like.append(proper[here[(random * here.numel()).long()]])
        new, origin = torch.cat(added, 1), torch.cat(like)
        if both:
            new, origin = torch.cat([new, new.flip(0)], 1), origin.repeat(2)
        else:
            turned = draw_uniform(new.size(1), generator=generator, device=edges.device) < 0.5
            new = torch.where(turned, new.flip(0), new)
        append_edges(data, data._store, new, origin)
        return data

    @staticmethod
    def _chosen(degrees: Tensor, pairs: Tensor, generator: torch.Generator | None) -> Tensor:
        weights = _passing(degrees, pairs)
        if weights.numel() == 0:
            return weights.bool()
        preference = _relative(-weights, torch.zeros_like(pairs[0]), 1)
        coins = draw_uniform(weights.numel(), generator=generator, device=pairs.device, dtype=torch.float64)
        return coins < _with_mean(preference, _JOINED, _CUTOFF)


def _with_mean(preference: Tensor, mean: float, most: float) -> Tensor:
    """Probabilities proportional to the preferences, none above ``most``, with this mean (or as near as can be)."""
    ordered = preference.sort(descending=True).values
    below = ordered.sum() - ordered.cumsum(0) + ordered  # sum of each one and all that are smaller
    bound = torch.arange(ordered.numel(), device=ordered.device, dtype=ordered.dtype) * most
    factors = (mean * ordered.numel() - bound) / below.clamp(min=torch.finfo(ordered.dtype).tiny)
    # with the k most preferred at the bound; the first k with which no other is above it
    fits = places_of(factors * ordered <= most * (1 + 1e-9))
    factor = factors[fits[0]] if fits.numel() else ordered.new_tensor(torch.inf)
    return torch.where(preference > 0, preference * factor, 0.0).clamp(0.0, most)


def _passing(degrees: Tensor, pairs: Tensor) -> Tensor:
    return ((degrees[pairs[0]] + 1) * (degrees[pairs[1]] + 1)).double().rsqrt()


def _most_central_free(degrees: Tensor, joined: Tensor, wanted: int, generator: torch.Generator | None) -> Tensor:
    """The ``wanted`` free pairs with the largest product of (degree + 1), ties drawn at random: ``int64 [2, C]``."""
    n = degrees.numel()
    level = degrees + 1
    values, counts = torch.unique(level, return_counts=True)
    products = level[joined[0]] * level[joined[1]]

    def above(bound: int) -> int:
        """How many free pairs have a product above the bound; products are whole numbers."""
        # of each value, the nodes whose value is large enough to go with it
        least = torch.div(bound, values, rounding_mode="floor")
        beyond = (
            counts.sum()
            - torch.cat([counts.new_zeros(1), counts.cumsum(0)])[torch.searchsorted(values, least, right=True)]
        )
        ordered = int((counts * beyond).sum()) - int(counts[values * values > bound].sum())
        distinct = torch.unique(pair_codes(joined[:, products > bound], n, True)).numel()
        return ordered // 2 - distinct

    low, high = 0, int(values[-1]) ** 2  # above(low) is the most there can be, above(high) is 0
    if above(low) <= wanted:
        high = low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if above(middle) > wanted else (low, middle)
    taken = pair_codes(joined, n, True).sort().values
    sure = _listed(level, high)
    sure = sure[:, ~contains(taken, pair_codes(sure, n, True))]
    rest = wanted - sure.size(1)
    if rest <= 0 or high == 0:
        return sure
    return torch.cat([sure, _tied(level, values, counts, high, rest, taken, generator)], 1)


def _listed(level: Tensor, bound: int) -> Tensor:
    """All pairs of different nodes with a product above the bound, each once."""
    ordered, nodes = level.sort(descending=True, stable=True)
    # ascending copy for the search: how many nodes go with each one
    least = torch.div(bound, ordered, rounding_mode="floor")
    partners = ordered.numel() - torch.searchsorted(ordered.flip(0).contiguous(), least, right=True)
    place = torch.arange(ordered.numel(), device=level.device)
    counts = (partners - place - 1).clamp(min=0)
    one = torch.repeat_interleave(place, counts)
    within = torch.arange(one.numel(), device=level.device) - (counts.cumsum(0) - counts)[one]
    return torch.stack([nodes[one], nodes[one + 1 + within]])


def _tied(
    level: Tensor, values: Tensor, counts: Tensor, product: int, wanted: int, taken: Tensor,
    generator: torch.Generator | None,
) -> Tensor:  # fmt: skip
    """Free pairs with exactly this product, drawn without repetition; fewer where there are hardly any."""
    n = level.numel()
    small = values[(product % values == 0) & (values * values <= product)]
    large = torch.div(product, small, rounding_mode="floor")
    place = torch.searchsorted(values, large).clamp(max=values.numel() - 1)
    known = values[place] == large
    small, place = small[known], place[known]
    own = torch.searchsorted(values, small)
    ways = torch.where(own == place, counts[own] * (counts[own] - 1) // 2, counts[own] * counts[place])
    nodes = torch.argsort(level, stable=True)
    begins = counts.cumsum(0) - counts
    found = [taken.new_empty(2, 0)]
    total = ways.sum()
    if int(total) <= 4 * wanted + 2 * taken.numel():
        # few enough to be listed, or mostly joined already
        every = _listed(level, product - 1)
        every = every[:, level[every[0]] * level[every[1]] == product]
        every = every[:, ~contains(taken, pair_codes(every, n, True))]
        return every[:, draw_order(every.size(1), generator=generator, device=level.device)[:wanted]]
    for _ in range(_ROUNDS):
        left = wanted - sum(part.size(1) for part in found)
        if left == 0:
            break
        draws = draw_uniform(3, left, generator=generator, device=level.device, dtype=torch.float64)
        which = torch.searchsorted(ways.cumsum(0), (draws[0] * total).long(), right=True)
        first, second = own[which], place[which]
        u = (draws[1] * counts[first]).long()
        same = first == second
        v = (draws[2] * (counts[second] - same.long())).long()
        v = v + (same & (v >= u))
        pairs = torch.stack([nodes[begins[first] + u], nodes[begins[second] + v]])
        codes = pair_codes(pairs, n, True)
        free = first_free(codes, taken)
        found.append(pairs[:, free])
        taken = torch.cat([taken, codes[free]]).sort().values
    return torch.cat(found, 1)
