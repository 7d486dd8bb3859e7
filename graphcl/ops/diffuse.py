r"""Diffusion of a graph: where a walk that starts at a node is likely to be, of which only the large entries are kept.

A diffusion is a power series of a walk operator :math:`M` with coefficients that are not negative and sum to one
(`graphcl.ops.kernels`),

.. math:: S = \sum_{k \ge 0} \theta_k M^k, \qquad \theta_k \ge 0, \quad \sum_k \theta_k = 1

S is dense, and is never stored: `diffusion_edges` finds some of its rows at a time, keeps what is large in each, and
forgets them. Two engines find rows; which of them does is a question of time only.

* `expand`, in the Chebyshev basis where M is symmetric: :math:`S = \sum_k c_k T_k(M)`. Each entry of
  :math:`T_k(M)` lies in [-1, 1], for that is where the eigenvalues are, and the :math:`c_k` are positive and sum to
  one too; so the entries that K terms give are off by :math:`1 - \sum_{k \le K} c_k` at most. Where M is not
  symmetric (a directed graph), the plain powers of the stochastic M obey the same bound with :math:`\theta_k` in place
  of :math:`c_k`, and take about the square of the terms.
* `push`, for `Teleport`: an estimate P and a residual R with :math:`S_s = P_s + R_s S` for the row of every source s,
  in which all residuals of some size move at once until there are none. A row costs what it reaches, whatever N is.

**Memory.** The engines hold at most ``BUDGET`` bytes (2⁸ · 10⁶) at a time: an expansion works on blocks of B sources
in :math:`16 N B` bytes, at least one source; a push holds :math:`4 N B` bytes and at most ``2**22`` products. The
entries that are kept take 20 bytes each, and about 100 while both directions of an undirected edge are joined.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from graphcl.ops.kernels import Kernel, Teleport
from graphcl.ops.propagate import Pattern, multiply
from graphcl.ops.walk import Walk, walk_operator, walk_operator_reference
from graphcl.pieces import each_worker
from graphcl.remembered import Remembered

__all__ = ["diffusion_edges", "diffusion_reference", "expand", "nearness", "push", "sweep_cut", "sweep_cut_reference"]

BUDGET = 2**8 * 10**6
"""Bytes that the work on one block of rows may take."""
SMALL = 2**8
"""Graphs of a batch up to this size share a block."""
LOCAL = 2**15
"""Graphs up to this size are expanded; below it a push saves nothing."""
# with so few entries of the operator one expansion is cheaper than one push
_FEW = 2**15
_WIDEST = 2**7
_PIECE = 2**19
_SOURCES = 2**5
_PRODUCTS = 2**22
# one product of a push takes the time of so many of an expansion
_DEARER = 256


# -------- the engines


def expand(walk: Walk, kernel: Kernel, block: Tensor, *, turned: bool = False) -> Tensor:
    r"""The product of a diffusion with a dense block, term by term.

    .. math:: Y = S X \quad\text{or}\quad Y = S^\top X

    Args:
        walk: the operator.
        kernel: the diffusion.
        block: X, ``[N, B]``, whose type is that of the products.
        turned: with the transpose.

    Returns:
        ``[N, B]``; off by ``kernels.PRECISION`` times the largest column sum of ``block.abs()`` at most, and rounding.

    Example:
        >>> walk = walk_operator(torch.tensor([[0, 1], [1, 0]]), 2)
        >>> expand(walk, Teleport(0.5), torch.eye(2))
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]])
    """
    buffers = (torch.empty_like(block), block.clone(), torch.empty_like(block))
    return _Expansion(walk, kernel, block.size(1), turned, block.dtype)(*buffers)[0]


class _Expansion:
    """The products of an expansion in pieces of rows, so that a piece is used while it is in the cache."""

    def __init__(
        self, walk: Walk, kernel: Kernel, width: int, turned: bool = False, dtype: torch.dtype = torch.float32
    ) -> None:
        pattern, values = walk.pattern, walk.values.to(dtype)
        if turned and not walk.symmetric:
            pattern, order = pattern.transposed()
            values = values[order]
        self.coefficients = kernel.coefficients(walk.symmetric)
        self.symmetric = walk.symmetric
        n = pattern.width
        size = max(1, n if values.device.type != "cpu" else _PIECE // max(width, 1))
        self.pieces = []
        for begin in range(0, n, size):
            pointer = pattern.pointer[begin : begin + size + 1]
            inside = slice(int(pointer[0]), int(pointer[-1]))
            piece = Pattern(pointer - pointer[0], pattern.columns[inside], n)
            self.pieces.append((slice(begin, begin + size), piece, values[inside]))

    def __call__(self, previous: Tensor, current: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        """The product with ``current``, in ``total``, and a buffer that is free again; all three are written to."""
        torch.mul(current, self.coefficients[0], out=total)
        for k, coefficient in enumerate(self.coefficients[1:]):
            for rows, piece, values in self.pieces:
                part = multiply(piece, values, current)
                if self.symmetric and k:
                    part = part.mul_(2).sub_(previous[rows])
                previous[rows] = part
                total[rows].add_(part, alpha=coefficient)
            previous, current = current, previous
        return total, previous


def push(
    walk: Walk,
    rows: np.ndarray,
    nodes: np.ndarray,
    teleport: float,
    tolerance: float,
    most: float = math.inf,
    residual: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    r"""Rows of personalised PageRank by pushing residuals, all that are large at once.

    .. math:: P \leftarrow P + \alpha R^{>}, \quad R \leftarrow R - R^{>} + (1 - \alpha) R^{>} M, \qquad
        R^{>}_{sv} = R_{sv}\, [R_{sv} > tolerance \cdot b_v]

    Both keep :math:`E S = P + R S`, for E the start. In the end :math:`R \le tolerance \cdot 1 b^\top`, so
    :math:`0 \le ES - P \le tolerance \cdot 1 b^\top S`. In an undirected graph :math:`b_v = \sqrt{d_v}`, the vector
    that S leaves as it is: an entry at u misses :math:`tolerance \sqrt{d_u}` at most. In a directed one b = 1, and it
    misses the tolerance times the sum of column u of S.

    Args:
        walk: the operator.
        rows: ``int64``, ascending from 0: the row of each start.
        nodes: ``int64``: the node of each start, which gets the residual 1; a row may have several.
        teleport: :math:`\alpha`, in (0, 1].
        tolerance: more than 0.
        most: products after which it is given up.
        residual: a buffer of ``float32`` that is written to, N for each row, or more.

    Returns:
        Row, node and value of the entries of P that are not 0, sorted by row and node; ``None`` if it was given up.

    Reference:
        Andersen, Chung & Lang, Local graph partitioning using PageRank vectors, FOCS 2006, section 3 (one node at a
        time, of a lazy walk, with :math:`d_v` in place of :math:`\sqrt{d_v}`, as their M is not symmetric).
    """
    n, count = walk.pattern.width, int(rows[-1]) + 1
    limit = walk.bound * np.float32(tolerance)
    degree = np.diff(walk.matrix.indptr)
    if residual is None:
        residual = np.empty(count * n, np.float32)
    residual[: count * n] = 0.0
    places, values, done = rows * n + nodes, np.ones(nodes.size, np.float32), 0
    pushed, amounts = [], []
    while places.size:
        pushed.append(places)
        amounts.append(values * np.float32(teleport))
        residual[places] = 0.0
        rows, nodes = np.divmod(places, n)
        done += int(degree[nodes].sum())
        if done > most:
            return None
        pointer = np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)
        moved = sparse.csr_matrix((values * np.float32(1 - teleport), nodes.astype(np.int32), pointer), (count, n))
        moved = moved @ walk.matrix
        # only what has just received can have grown too large
        places = np.repeat(np.arange(count) * n, np.diff(moved.indptr)) + moved.indices
        values = residual[places] + moved.data
        residual[places] = values
        large = values > limit[moved.indices]
        places, values = places[large], values[large]
    places, inverse = np.unique(np.concatenate(pushed), return_inverse=True)
    rows, nodes = np.divmod(places, n)
    return rows, nodes, np.bincount(inverse, np.concatenate(amounts), places.size)


def nearness(walk: Walk, nodes: np.ndarray, teleport: float, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the rows of personalised PageRank of some nodes, by a push, or an expansion where there is little.

    Args:
        walk: the operator of an undirected graph or batch, on the CPU.
        nodes: ``int64``, ascending.
        teleport: in (0, 1].
        tolerance: of the `push`, whose bound holds in both cases, but for ``kernels.PRECISION``.

    Returns:
        The nodes that are reached, ascending, those that were given among them, and the entry of each.
    """
    if walk.weights.numel() > _FEW:
        entries = push(walk, np.zeros_like(nodes), nodes, teleport, tolerance)
        assert entries is not None  # no limit was set
        return entries[1:]
    block = torch.zeros(walk.pattern.width, 1, dtype=torch.float64)
    block[torch.from_numpy(nodes)] = 1.0
    found = expand(walk, Teleport(teleport), block).flatten().numpy()
    found[found <= tolerance * walk.bound] = 0.0
    found[nodes] = np.maximum(found[nodes], teleport)
    (reached,) = found.nonzero()
    return reached, found[reached]


def sweep_cut(walk: Walk, nodes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    r"""The prefix of an order of nodes that has the least conductance.

    .. math:: \phi(S) = \frac{\sum_{u \in S, v \notin S} W_{uv}}
        {\min\big(\mathrm{vol}(S), \mathrm{vol}(\mathcal V \setminus S)\big)}, \qquad
        \mathrm{vol}(S) = \sum_{u \in S} d_u

    Args:
        walk: the operator of an undirected graph or batch.
        nodes: ``int64 [n]``: candidates in their order, those of one graph side by side.
        offsets: where the graphs of a batch begin, and N.

    Returns:
        ``bool [n]``: which lie in the prefix, of several equal ones the first; at least the first node of each graph.
        A prefix without anything outside has no conductance.
    """
    pointer, degree = walk.pattern.pointer.numpy(), walk.degree.numpy()
    # the entries in the rows of the candidates, and where in the order their other end is
    counts = pointer[nodes + 1] - pointer[nodes]
    here = np.repeat(np.arange(nodes.size), counts)
    entry = np.arange(here.size) + np.repeat(pointer[nodes] - (np.cumsum(counts) - counts), counts)
    place = np.full(walk.pattern.width, -1)
    place[nodes] = np.arange(nodes.size)
    there = place[walk.pattern.columns.numpy()[entry]]
    both = there >= 0
    # an entry is inside from the later of its ends on
    weights = walk.weights.numpy()[entry[both]].astype(np.float64)
    joined = np.bincount(np.maximum(here, there)[both], weights, nodes.size)
    graph = np.searchsorted(offsets, nodes, side="right") - 1
    begin = np.searchsorted(graph, graph)
    volume, inside = (np.cumsum(part) for part in (degree[nodes], joined))
    volume, inside = (part - np.concatenate([[0.0], part])[begin] for part in (volume, inside))
    total = np.concatenate([[0.0], np.cumsum(degree)])
    outside = total[offsets[graph + 1]] - total[offsets[graph]] - volume
    # to what the weights, in float32, say
    some = outside > 1e-6 * volume
    conductance = np.where(some, (volume - inside) / np.where(some, np.minimum(volume, outside), 1.0), np.inf)
    best = np.lexsort((np.arange(nodes.size), conductance.round(6), graph))[begin]
    return np.arange(nodes.size) <= best


def sweep_cut_reference(matrix: np.ndarray, order: list[int]) -> list[int]:
    """The same for one graph with the dense W, by its definition: every prefix, every pair."""
    best, least = order[:1], math.inf
    for size in range(1, len(order) + 1):
        inside = set(order[:size])
        outside = set(range(len(matrix))) - inside
        cut = sum(matrix[u][v] for u in inside for v in outside)
        volume = min(sum(matrix[u][v] for u in part for v in range(len(matrix))) for part in (inside, outside))
        if volume > 0 and round(cut / volume, 6) < least:
            best, least = order[:size], round(cut / volume, 6)
    return best


# -------- all rows, of which the large entries are kept


@dataclass(frozen=True, eq=False)
class _Diffused:
    walk: Walk
    offsets: tuple[int, ...]
    options: tuple[Any, ...]
    edges: Tensor
    weight: Tensor


_DIFFUSED: Remembered[_Diffused] = Remembered(count=2)


def diffusion_edges(
    edge_index: Tensor,
    num_nodes: int,
    kernel: Kernel,
    edge_weight: Tensor | None = None,
    *,
    k: int | None = 32,
    threshold: float = 0.0,
    tolerance: float = 1e-4,
    self_loops: bool = True,
    offsets: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The large entries of a diffusion as a graph: edge u → v has the weight of row v and column u.

    Args:
        edge_index: ``int64 [2, E]``, in range.
        num_nodes: N.
        kernel: the diffusion.
        edge_weight: ``[E]``, 0 or more; 1 where ``None``.
        k: the most entries that are kept of a row, the largest ones; ``None`` keeps all from the threshold on.
        threshold: the least entry that is kept; entries of 0 never are.
        tolerance: of `push`, where it is used: for `Teleport`, on the CPU, in graphs of more than ``LOCAL`` nodes.
        self_loops: as `walk_operator`.
        offsets: where the graphs of a batch begin, and N; no edge leads from one to another.

    Returns:
        Edges ``int64 [2, E']``, sorted by source and target, and their weights ``float32 [E']``. Where the graph is
        undirected, an edge that one of its ends keeps is there in both directions, with one weight.

    Example:
        >>> edges, weight = diffusion_edges(torch.tensor([[0, 1], [1, 0]]), 2, Teleport(0.5), k=1)
        >>> edges.tolist(), weight
        ([[0, 1], [0, 1]], tensor([0.7500, 0.7500]))
    """
    walk = walk_operator(edge_index, num_nodes, edge_weight, self_loops=self_loops)
    bounds = (0, num_nodes) if offsets is None else tuple(offsets.tolist())
    options = (kernel, k, threshold, tolerance)
    known = _DIFFUSED.find(lambda item: item.walk is walk and (item.offsets, item.options) == (bounds, options))
    if known is None:
        with torch.inference_mode(False), torch.no_grad():
            kept = _Kept(num_nodes * min(k or 32, num_nodes), walk.degree.device)
            for begin, end, width in _chunks(bounds):
                for entries in _entries(walk.part(begin, end), begin, bounds, width, options):
                    kept.add(*entries)
            edges, weight = _joined(walk, kept)
        known = _DIFFUSED.add(_Diffused(walk, bounds, options, edges, weight), weight.numel())
    # the caller may change them in place
    return known.edges.clone(), known.weight.clone()


def diffusion_reference(
    edge_index: Tensor,
    num_nodes: int,
    kernel: Kernel,
    edge_weight: Tensor | None = None,
    *,
    self_loops: bool = True,
) -> Tensor:
    """All of S as a dense matrix, in float64."""
    return kernel.reference(walk_operator_reference(edge_index, num_nodes, edge_weight, self_loops=self_loops))


def _chunks(offsets: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Nodes ``begin .. end`` of whole graphs, a large one or as many small ones as fit, and the size of the largest."""
    begin = width = 0
    for start, end in pairwise(offsets):
        grown = max(width, end - start)
        if start > begin and (grown > SMALL or 16 * (end - begin) * grown > BUDGET):
            yield begin, start, width
            begin, grown = start, end - start
        width = grown
    if offsets[-1] > begin:
        yield begin, offsets[-1], width


Entries = tuple[Tensor, Tensor, Tensor]


def _entries(
    walk: Walk, begin: int, offsets: tuple[int, ...], width: int, options: tuple[Any, ...]
) -> Iterator[Entries]:
    """Row, column and value of the entries that are kept, block by block."""
    kernel, k, threshold, tolerance = options
    n, device = walk.pattern.width, walk.degree.device
    if width < n or n <= SMALL:
        # column j of the block is the j-th node of each graph
        starts = torch.tensor([start - begin for start in offsets if begin <= start < begin + n], device=device)
        nodes = torch.arange(n, device=device)
        first = starts[torch.searchsorted(starts, nodes, right=True) - 1]
        block = torch.zeros(n, width, device=device)
        block[nodes, nodes - first] = 1.0
        row, column, value = _large(expand(walk, kernel, block), k, threshold)
        yield row + begin, column + first[row] + begin, value
        return
    # cheap rows first: what is given up for one block would be for all later ones
    sources = torch.sort(walk.degree, stable=True).indices
    if isinstance(kernel, Teleport) and device.type == "cpu" and n > LOCAL:
        size = max(1, min(_SOURCES, BUDGET // (16 * n)))
        # a block for each thread: SciPy's products let the others run
        workers = max(1, min(torch.get_num_threads(), 8, BUDGET // (16 * n * size)))
        residuals = np.empty((workers, size * n), np.float32)
        while sources.numel():
            blocks = sources[: size * workers].split(size)

            def work(number: int, blocks: tuple[Tensor, ...] = blocks) -> Entries | None:
                return _pushed(walk, kernel, blocks[number], k, threshold, tolerance, residuals[number])

            found = list(takewhile(lambda entries: entries is not None, each_worker(work, len(blocks))))
            for entries in found:
                assert entries is not None
                yield entries[0] + begin, entries[1] + begin, entries[2]
            sources = sources[sum(block.numel() for block in blocks[: len(found)]) :]
            if len(found) < len(blocks):
                break
    size = max(1, min(_WIDEST, BUDGET // (16 * n), sources.numel()))
    expansion = _Expansion(walk, kernel, size, turned=True)
    buffers = torch.empty(3, n * size, device=device)
    for block in sources.split(size) if sources.numel() else ():
        count = block.numel()
        previous, current, total = buffers[:, : n * count].view(3, n, count)
        current.zero_()[block, torch.arange(count, device=device)] = 1.0
        columns, free = expansion(previous, current, total)
        row, column, value = _large(free.view(count, n).copy_(columns.t()), k, threshold)
        yield block[row] + begin, column + begin, value


def _pushed(
    walk: Walk,
    kernel: Teleport,
    sources: Tensor,
    k: int | None,
    threshold: float,
    tolerance: float,
    residual: np.ndarray,
) -> Entries | None:
    count = sources.numel()
    terms = len(kernel.coefficients(walk.symmetric))
    most = min(_PRODUCTS, count * walk.weights.numel() * terms // _DEARER)
    entries = push(walk, np.arange(count), sources.numpy(), kernel.teleport, tolerance, most, residual)
    if entries is None:
        return None
    rows, nodes, values = (torch.from_numpy(part) for part in entries)
    # side by side, each row from its left end on
    counts = torch.bincount(rows, minlength=count)
    place = torch.arange(rows.numel()) - (counts.cumsum(0) - counts)[rows]
    table, names = torch.zeros(count, int(counts.max())), torch.zeros(count, int(counts.max()), dtype=torch.long)
    table[rows, place] = values.float()
    names[rows, place] = nodes
    row, column, value = _large(table, k, threshold)
    return sources[row], names[row, column], value


def _large(rows: Tensor, k: int | None, threshold: float) -> Entries:
    if k is None or k >= rows.size(1):
        row, column = ((rows > 0) & (rows >= threshold)).nonzero(as_tuple=True)
        return row, column, rows[row, column]
    value, column = rows.topk(k, 1)
    row, place = ((value > 0) & (value >= threshold)).nonzero(as_tuple=True)
    return row, column[row, place], value[row, place]


class _Kept:
    """Entries that are kept, in one buffer: small pieces between the large blocks would pin the memory of those."""

    def __init__(self, room: int, device: torch.device) -> None:
        self.count = 0
        self.places = torch.empty(2, room, dtype=torch.int32, device=device)
        self.values = torch.empty(room, device=device)

    def add(self, row: Tensor, column: Tensor, value: Tensor) -> None:
        end = self.count + value.numel()
        if end > self.values.numel():
            self.places = F.pad(self.places, (0, end))
            self.values = F.pad(self.values, (0, end))
        here = slice(self.count, end)
        self.places[0, here], self.places[1, here], self.values[here] = row, column, value
        self.count = end


def _joined(walk: Walk, kept: _Kept) -> tuple[Tensor, Tensor]:
    n = walk.pattern.width
    (row, column), value = kept.places[:, : kept.count], kept.values[: kept.count]
    if walk.symmetric:
        # one number for each pair: what a push misses of it, it misses less of the larger
        codes, order = torch.minimum(row, column).long().mul_(n).add_(torch.maximum(row, column)).sort()
        value = value[order]
        del order
        first = torch.ones_like(codes, dtype=torch.bool)
        torch.ne(codes[1:], codes[:-1], out=first[1:])
        place = first.cumsum(0).sub_(1)
        codes = codes[first]
        value = torch.zeros_like(codes, dtype=value.dtype).scatter_reduce_(0, place, value, "amax")
        del place, first
        row, column = codes // max(n, 1), codes % max(n, 1)
        twice = (row != column).nonzero().flatten()
        codes = torch.cat([codes, column[twice].mul_(n).add_(row[twice])])
        value = torch.cat([value, value[twice]])
        del row, column, twice
    else:
        codes = column.long().mul_(n).add_(row)
    codes, order = codes.sort()
    value = value[order]
    del order
    edges = codes.new_empty(2, codes.numel())
    torch.div(codes, max(n, 1), rounding_mode="floor", out=edges[0])
    torch.remainder(codes, max(n, 1), out=edges[1])
    return edges, value
