"""Pairs of nodes as numbers: whether an edge joins them, and pairs that none joins."""

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import node_offsets
from graphcl.seeding import draw_order, draw_uniform

__all__ = ["contains", "first_free", "free_pairs", "pair_codes"]

_ROUNDS = 16


def pair_codes(pairs: Tensor, num_nodes: int, undirected: bool) -> Tensor:
    """One number for each pair, ``int64 [P]``; the same for (u, v) and (v, u) where ``undirected``."""
    if undirected:
        return pairs.min(0).values * num_nodes + pairs.max(0).values
    return pairs[0] * num_nodes + pairs[1]


def _ascending(codes: Tensor) -> Tensor:
    # finding out that they are sorted costs a small part of sorting them
    return codes if bool((codes[1:] >= codes[:-1]).all()) else codes.sort().values


def contains(ordered: Tensor, codes: Tensor) -> Tensor:
    """Whether each code is among the ascending ones, ``bool``."""
    if ordered.numel() == 0:
        return torch.zeros_like(codes, dtype=torch.bool)
    place = torch.searchsorted(ordered, codes).clamp_(max=ordered.numel() - 1)
    return ordered[place] == codes


def first_free(codes: Tensor, taken: Tensor) -> Tensor:
    """Whether each code is the first of its kind and not among the ascending ones that are taken, ``bool [P]``."""
    ordered, order = codes.sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    free = torch.empty_like(first)
    free[order] = first & ~contains(taken, ordered)
    return free


def free_pairs(
    data: Data, edges: Tensor, graphs: Tensor, undirected: bool, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Pairs of nodes that no edge joins, all different, drawn uniformly: one in each graph that is named.

    Args:
        data: the graph or batch.
        edges: its edges.
        graphs: ``int64 [M]``: in which graph of the batch each pair is wanted.
        undirected: (u, v) and (v, u) are one pair; else two.
        generator: the source of randomness.

    Returns:
        The pairs ``int64 [2, M']``, and for which of the wants each is, ``int64 [M']``; M' is below M only where a
        graph has no more pairs.
    """
    n, offsets = int(data.num_nodes or 0), node_offsets(data).to(edges.device)
    sizes = offsets.diff()
    # of an undirected graph one direction is enough, and mostly sorted already
    taken = _ascending(pair_codes(edges[:, edges[0] <= edges[1]] if undirected else edges, n, undirected))
    drawn_codes = taken.new_empty(0)
    open_wants = torch.arange(graphs.numel(), device=edges.device)
    pairs, served = [edges.new_empty(2, 0)], [open_wants.new_empty(0)]
    for _ in range(_ROUNDS):
        home = graphs[open_wants]
        open_wants = open_wants[sizes[home] > 1]
        if open_wants.numel() == 0:
            break
        home = graphs[open_wants]
        draws = draw_uniform(2, open_wants.numel(), generator=generator, device=edges.device, dtype=torch.float64)
        u = (draws[0] * sizes[home]).long()
        v = (draws[1] * (sizes[home] - 1)).long()
        drawn = torch.stack([u, v + (v >= u)]) + offsets[home]
        codes = pair_codes(drawn, n, undirected)
        fresh = first_free(codes, drawn_codes) & ~contains(taken, codes)
        pairs.append(drawn[:, fresh])
        served.append(open_wants[fresh])
        open_wants = open_wants[~fresh]
        if open_wants.numel():
            drawn_codes = torch.cat([drawn_codes, codes[fresh]]).sort().values
    for graph in torch.unique(graphs[open_wants]).tolist():
        # what is left after so many rounds lies in graphs that are nearly complete: their pairs can be listed
        rest = open_wants[graphs[open_wants] == graph]
        first, size = int(offsets[graph]), int(sizes[graph])
        if size < 2:
            continue
        listed = torch.cartesian_prod(torch.arange(size), torch.arange(size)).t().to(edges.device) + first
        listed = listed[:, listed[0] < listed[1] if undirected else listed[0] != listed[1]]
        codes = pair_codes(listed, n, undirected)
        listed = listed[:, ~contains(taken, codes) & ~contains(drawn_codes, codes)]
        order = draw_order(listed.size(1), generator=generator, device=edges.device)[: rest.numel()]
        pairs.append(listed[:, order])
        served.append(rest[: order.numel()])
    return torch.cat(pairs, 1), torch.cat(served)
