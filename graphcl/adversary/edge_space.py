"""The pairs of nodes of a graph as numbers that an adversary may flip, in part or for good."""

import copy
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.adversary.budget import Budget
from graphcl.errors import DataError, RequestError
from graphcl.hashing import is_undirected
from graphcl.ops.pairs import contains
from graphcl.seeding import draw_uniform

__all__ = ["EdgeSpace"]

_LISTED = 2**23
"""Pairs that are listed one by one, at most: those of 4,096 nodes."""


@dataclass(frozen=True, eq=False)
class EdgeSpace:
    """A graph whose pairs (u, v), u < v, have the numbers u N + v.

    Args:
        data: the graph.
        nodes: N.
        codes: of the edges, ascending, ``int64 [U]``.
        place: of each stored edge, which of them it is, ``int64 [E]``; U for a self-loop.
        budget: what may be flipped.
    """

    data: Data
    nodes: int
    codes: Tensor
    place: Tensor
    budget: Budget

    @classmethod
    def of(cls, data: Data, budget: Budget, name: str) -> Self:
        """Look at a graph, which must be one that edges can be flipped in.

        Raises:
            DataError: it is directed, has an edge twice, or carries something on its edges.
        """
        store, n = data._store, int(data.num_nodes or 0)
        laden = [key for key in store if key != "edge_index" and store.is_edge_attr(key)]
        if laden:
            raise DataError(
                f"{name} flips edges, and a new one would have no data.{laden[0]}; take it off (del data.{laden[0]})"
            )
        edges = data.edge_index
        if not is_undirected(edges):
            raise DataError(f"{name}: data.edge_index is directed; add the other directions with T.ToUndirected()")
        low, high = edges.min(0).values, edges.max(0).values
        single = low * n + high
        loops = low == high
        codes, counts = torch.unique(single[~loops], return_counts=True)
        if counts.numel() and int(counts.max()) > 2:
            raise DataError(f"{name}: some edges are stored more than once; merge them with T.Coalesce()")
        place = torch.searchsorted(codes, single) if codes.numel() else torch.zeros_like(single)
        return cls(data, n, codes, torch.where(loops, codes.numel(), place), budget)

    @property
    def pairs(self) -> int:
        """The number of pairs of nodes."""
        return self.nodes * (self.nodes - 1) // 2

    def ends(self, codes: Tensor) -> Tensor:
        """The two nodes of each pair, ``int64 [2, P]``."""
        return torch.stack([torch.div(codes, self.nodes, rounding_mode="floor"), codes % self.nodes])

    def allowed(self, codes: Tensor) -> Tensor:
        """Which pairs the budget lets be flipped, ``bool [P]``."""
        keep = torch.ones_like(codes, dtype=torch.bool)
        if self.budget.edits != "flip":
            there = contains(self.codes, codes)
            keep = there if self.budget.edits == "remove" else ~there
        if self.budget.nodes is not None:
            chosen = torch.zeros(self.nodes, dtype=torch.bool, device=codes.device)
            chosen[list(self.budget.nodes)] = True
            keep = keep & chosen[self.ends(codes)].any(0)
        return keep

    def check_listed(self) -> None:
        """Refuse a graph with too many pairs to list.

        Raises:
            RequestError: more than those of 4,096 nodes.
        """
        if self.pairs > _LISTED:
            raise RequestError(
                f"a graph of {self.nodes} nodes has {self.pairs} pairs, too many to hold a number for each; take an "
                "adversary that looks at a block of them at a time, such as Prbcd"
            )

    def every(self) -> Tensor:
        """All pairs that may be flipped, ascending.

        Raises:
            RequestError: there are too many to list.
        """
        self.check_listed()
        u, v = torch.triu_indices(self.nodes, self.nodes, 1, device=self.codes.device)
        codes = u * self.nodes + v
        return codes[self.allowed(codes)]

    def drawn(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Some pairs that may be flipped, each once and ascending, as many as that or fewer.

        A quarter of them, at most, are edges of the graph, which would hardly be met by chance.
        """
        device = self.codes.device
        if self.pairs <= min(count, _LISTED):
            return self.every()
        if self.budget.edits == "remove":
            there = self.codes[self.allowed(self.codes)]
            return there[self._some(there.numel(), count, generator)]
        picked = [self._joined(count, generator)]
        if self.budget.edits == "flip":
            there = self.codes[self.allowed(self.codes)]
            picked.append(there[self._some(there.numel(), count // 4, generator)])
        codes = torch.unique(torch.cat(picked))
        codes = codes[self.allowed(codes)]
        return codes if codes.numel() <= count else codes[self._some(codes.numel(), count, generator)].to(device)

    def _some(self, size: int, count: int, generator: torch.Generator | None) -> Tensor:
        device = self.codes.device
        if size <= count:
            return torch.arange(size, device=device)
        draws = draw_uniform(size, generator=generator, device=device)
        return draws.argsort()[:count].sort().values

    def _joined(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Random pairs, each once."""
        device, n = self.codes.device, self.nodes
        draws = draw_uniform(2, count, generator=generator, device=device, dtype=torch.float64)
        if self.budget.nodes is not None:
            chosen = torch.tensor(self.budget.nodes, dtype=torch.long, device=device)
            u = chosen[(draws[0] * chosen.numel()).long()]
        else:
            u = (draws[0] * n).long()
        v = (draws[1] * (n - 1)).long()
        v = v + (v >= u).long()
        return torch.unique(torch.minimum(u, v) * n + torch.maximum(u, v))

    def relaxed(self, codes: Tensor, amount: Tensor) -> Data:
        r"""The graph with some pairs flipped in part: an edge has weight :math:`1 - p`, a new one :math:`p`.

        Args:
            codes: ascending, ``int64 [P]``.
            amount: p in [0, 1], ``[P]``, that gradients flow to.
        """
        there = contains(self.codes, codes)
        left = torch.ones(self.codes.numel() + 1, dtype=amount.dtype, device=amount.device)
        left = left.index_add(0, torch.searchsorted(self.codes, codes[there]), -amount[there])
        added = self.ends(codes[~there])
        out = copy.copy(self.data)
        out.edge_index = torch.cat([self.data.edge_index, added, added.flip(0)], 1)
        out.edge_weight = torch.cat([left[self.place], amount[~there], amount[~there]])
        return out

    def flipped(self, codes: Tensor) -> Data:
        """The graph with some pairs flipped for good."""
        codes = torch.unique(codes)
        there = contains(self.codes, codes)
        gone = torch.zeros(self.codes.numel() + 1, dtype=torch.bool, device=codes.device)
        gone[torch.searchsorted(self.codes, codes[there])] = True
        added = self.ends(codes[~there])
        out = copy.copy(self.data)
        kept = self.data.edge_index[:, ~gone[self.place]]
        out.edge_index = torch.cat([kept, added, added.flip(0)], 1) if added.size(1) else kept
        return out

    def between(self, data: Data) -> Tensor:
        """The pairs in which another graph on these nodes differs, ascending."""
        low, high = data.edge_index.min(0).values, data.edge_index.max(0).values
        other = torch.unique((low * self.nodes + high)[low != high])
        both, counts = torch.unique(torch.cat([self.codes, other]), return_counts=True)
        return both[counts == 1]

    def within(self, codes: Tensor, limit: int) -> Tensor:
        """The first of a list of pairs that the budget has room for: so many in all, and so many at each node."""
        cap = self.budget.per_node
        if cap is None:
            return codes[:limit]
        counts = [0] * self.nodes
        kept: list[int] = []
        for place, (u, v) in enumerate(self.ends(codes).t().tolist()):
            if len(kept) == limit:
                break
            if counts[u] < cap and counts[v] < cap:
                counts[u] += 1
                counts[v] += 1
                kept.append(place)
        return codes[torch.tensor(kept, dtype=torch.long, device=codes.device)]
