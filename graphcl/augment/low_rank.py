r"""The view that the strongest singular directions of a graph draw of it.

.. math:: \hat A = D_t^{-1/2} A D_s^{-1/2} \approx U S V^\top

The best matrix of rank q (Eckart & Young) keeps what many nodes share and drops what is particular, noise included; it
joins nodes that no edge joins. It has no zeros, so it is never formed: it is used as its factors, or cut to its
largest entries.

| member | what it gives |
|---|---|
| `low_rank_factors` | U, S and V: products with the view cost 2 N q per column of features |
| `LowRankView` | the largest entries of each row, as the edges of a graph |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import node_offsets, plain_edge_index, replace_edges
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Size
from graphcl.errors import DataError, RequestError
from graphcl.hashing import is_undirected
from graphcl.ops.pairwise import nearest, pair_products
from graphcl.ops.propagate import Pattern, multiply
from graphcl.remembered import Remembered
from graphcl.seeding import draw_normal

__all__ = ["LowRankView", "low_rank_factors"]

# more directions than asked for, without which the last ones converge slowly (Halko et al., section 4.2)
_SPARE = 8


def low_rank_factors(
    edge_index: Tensor,
    num_nodes: int,
    rank: int = 5,
    edge_weight: Tensor | None = None,
    *,
    iterations: int = 10,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The strongest singular directions of a graph's normalised adjacency, by products with sparse matrices only.

    .. math:: \hat A_{vu} = \frac{A_{vu}}{\sqrt{d_v\, d_u}} \approx \sum_{i=1}^{q} s_i\, l_{vi}\, r_{ui}

    Row v stands for a target, column u for a source; :math:`d_v` is the weight that arrives at v, :math:`d_u` that
    which leaves u. The low-rank view propagates features by ``left * singular @ (right.T @ x)``, without any matrix of
    N rows and N columns. Users and items are one graph: with edges from items to users alone (a directed graph), the
    factors are those of the users × items matrix; with both directions each singular value comes twice.

    Args:
        edge_index: ``int64 [2, E]``.
        num_nodes: N.
        rank: q, 1 or more; where N is less, the last directions are zero.
        edge_weight: ``[E]``, not negative; 1 where ``None``.
        iterations: of the subspace iteration; each takes two products. More of them tell close singular values apart.
        generator: draws the start; the result depends on it only as far as it has not converged.

    Returns:
        ``left [N, q]``, ``singular [q]``, largest first, and ``right [N, q]``. Signs are fixed: each column of ``left``
        leans to the positive side.

    Raises:
        RequestError: ``rank`` or ``iterations`` is below 1, or weights that do not match the edges or are negative.

    Reference:
        Cai et al., LightGCL: simple yet effective graph contrastive learning for recommendation, ICLR 2023, there with
        ``torch.svd_lowrank`` and two iterations. The algorithm is 4.4 of Halko, Martinsson & Tropp, Finding structure
        with randomness, SIAM Review 2011.

    Example:
        >>> pair = torch.tensor([[0, 1], [1, 0]])
        >>> left, singular, right = low_rank_factors(pair, 2, rank=2)
        >>> (left * singular @ right.T).abs().round().tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if rank < 1 or iterations < 1:
        raise RequestError(f"rank = {rank}, iterations = {iterations}: both should be 1 or more")
    if edge_weight is not None:
        if edge_weight.shape != edge_index.shape[1:]:
            raise RequestError(f"edge_weight has shape {list(edge_weight.shape)}, expected [{edge_index.size(1)}]")
        if bool((edge_weight < 0).any()):
            raise RequestError("edge_weight is negative somewhere; make it 0 or more")
    dtype = None if edge_weight is None else torch.promote_types(edge_weight.dtype, torch.float32)
    with torch.no_grad():
        width = rank + _SPARE
        start = draw_normal(num_nodes, width, generator=generator, device=edge_index.device, dtype=dtype)
        sizes = torch.tensor([num_nodes])
        left, singular, right = _factors(edge_index, sizes, rank, edge_weight, iterations, start)
    return left, singular[0], right


def _factors(
    edges: Tensor, sizes: Tensor, rank: int, weight: Tensor | None, iterations: int, start: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of each graph of a batch for itself; singular values ``[B, q]``."""
    n = start.size(0)
    if weight is None:
        weight = start.new_ones(edges.size(1))
    values = weight.detach().to(start.dtype)
    source, target = edges
    arriving, leaving = (values.new_zeros(n).index_add(0, index, values) for index in (target, source))
    scale = [torch.where(d > 0, torch.where(d > 0, d, 1.0).rsqrt(), 0.0) for d in (arriving, leaving)]
    values = values * (scale[0][target] * scale[1][source])
    pattern, order = Pattern.sorted(target, source, (n, n))
    turned, back = pattern.transposed()
    values = values[order]
    there, again = (pattern, values), (turned, values[back])
    (basis,) = _by_graph(_orthonormal, sizes, multiply(*there, start))
    for _ in range(iterations):
        (basis,) = _by_graph(_orthonormal, sizes, multiply(*again, basis))
        (basis,) = _by_graph(_orthonormal, sizes, multiply(*there, basis))
    left, right, singular = _by_graph(_decomposed, sizes, basis, multiply(*again, basis))
    return left[:, :rank], singular[:, :rank], right[:, :rank]


def _by_graph(function: Callable[..., tuple[Tensor, ...]], sizes: Tensor, *rows: Tensor) -> tuple[Tensor, ...]:
    """Call a function of ``[B, n, p]`` on ``[N, p]``: what has a row per node in its results is flat again."""
    count, longest = sizes.numel(), int(sizes.max())
    if count > 1 and count * longest > 4 * rows[0].size(0) + 2**16:
        # graphs of very different sizes would be padding for the most part
        cuts = zip(*(part.split(sizes.tolist()) for part in rows), strict=True)
        alone = [function(*(part[None] for part in parts)) for parts in cuts]
        return tuple(torch.cat([part.flatten(0, -2) for part in parts]) for parts in zip(*alone, strict=True))
    there = torch.arange(longest, device=rows[0].device) < sizes.to(rows[0].device)[:, None]
    padded = []
    for part in rows:
        blocks = part.new_zeros(count, longest, part.size(1))
        blocks[there] = part
        padded.append(blocks)
    return tuple(part[there] if part.dim() == 3 else part for part in function(*padded))


def _orthonormal(rows: Tensor) -> tuple[Tensor]:
    basis = torch.linalg.qr(rows).Q
    # as wide as it was: fewer nodes than directions leave some of them empty
    return (F.pad(basis, (0, rows.size(2) - basis.size(2))),)


def _decomposed(basis: Tensor, thin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular triplets of basis × thinᵀ, where the basis is orthonormal."""
    right, singular, turn = torch.linalg.svd(thin, full_matrices=False)
    left = basis @ turn.mT
    signs = torch.where(left.pow(3).sum(1, keepdim=True) < 0, -1.0, 1.0).to(left.dtype)
    pad = (0, thin.size(2) - singular.size(1))
    return F.pad(left * signs, pad), F.pad(right * signs, pad), F.pad(singular, pad)


@dataclass(frozen=True, eq=False)
class _Known:
    """A low-rank view, and of which graph with which parameters it is one."""

    edges: Tensor
    weight: Tensor | None
    offsets: Tensor
    key: tuple[int, int, int, torch.dtype]
    view: Tensor
    view_weight: Tensor


_SEEN: Remembered[_Known] = Remembered()


@dataclass(frozen=True)
class LowRankView(Augmenter):
    r"""Put the largest entries of the low-rank approximation in place of the edges.

    .. math:: \tilde A_{vu} = \Big[\sum_{i=1}^{q} s_i\, l_{vi}\, r_{ui}\Big]_+ \quad\text{for the } k
        \text{ largest } u \ne v \text{ of each } v

    The factors are those of `low_rank_factors`, of each graph of a batch for itself. The entries are found tile by
    tile, in time that grows with N² q but without N² memory, and the view is remembered for the graphs seen last. In
    an undirected graph an edge is there if one of its ends chose it. Entries of 0 or less are no edges. Attributes of
    the old edges other than their weight go. Nothing here is random.

    A graph of C components has the singular value 1 C times. With a ``rank`` below C the view is a mixture of a few
    components that nothing singles out: take the largest component (PyG's ``T.LargestConnectedComponents``) first.

    Whoever only propagates features does without edges: ``left * singular @ (right.T @ x)``.

    Args:
        rank: q, number of singular directions, 1 or more.
        k: largest number of edges that a node chooses, 1 or more.
        iterations: of the subspace iteration, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Cai et al., LightGCL, ICLR 2023 (arXiv 2302.08191); q = 5 in the released code. There the view is
        propagated through its factors and has all entries; here it is a graph, so that any encoder takes it, which is
        why it is cut to its largest entries.

    Example:
        >>> square = Data(num_nodes=4, edge_index=torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3], [1, 3, 0, 2, 1, 3, 0, 2]]))
        >>> LowRankView(rank=2, k=2)(square).edge_index.tolist()
        [[0, 0, 1, 1, 2, 2, 3, 3], [1, 3, 0, 2, 1, 3, 0, 2]]
    """

    takes_sparse_features: ClassVar[bool] = True
    differentiable: ClassVar[tuple[str, ...]] = ("x",)

    rank: Size = 5
    k: Size = 32
    iterations: Size = 10

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Find the view, or remember it."""
        store = data._store
        edges, weight = plain_edge_index(store), store.get("edge_weight")
        if edges.size(1) == 0:
            # no edge, but the form of other views: lists of them can be put into a batch
            replace_edges(data, store, edges, torch.empty(0, device=edges.device))
            return data
        if weight is not None:
            weight = weight.detach().flatten()
            if bool((weight < 0).any()):
                raise DataError("LowRankView: data.edge_weight is negative somewhere; make it 0 or more")
        x, offsets = store.get("x"), node_offsets(data).cpu()
        floats = isinstance(x, Tensor) and x.is_floating_point()
        key = (self.rank, self.k, self.iterations, x.dtype if floats else torch.get_default_dtype())
        known = _SEEN.find(lambda item: _is_of(item, edges, weight, offsets, key))
        if known is None:
            with torch.inference_mode(False), torch.no_grad():
                view, view_weight = self._view(edges, weight, offsets, key[3])
                copy = None if weight is None else weight.clone()
                known = _Known(edges.clone(), copy, offsets.clone(), key, view, view_weight)
                _SEEN.add(known, edges.size(1) + view.size(1))
        # copies: what is remembered must not change with a view
        replace_edges(data, store, known.view.clone(), known.view_weight.clone())
        return data

    def _view(self, edges: Tensor, weight: Tensor | None, offsets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        n, sizes = int(offsets[-1]), offsets.diff()
        # a fixed start, of which a graph of a batch gets its part: a second call finds the same view
        start = draw_normal(
            n,
            self.rank + _SPARE,
            generator=torch.Generator().manual_seed(0),
            device=edges.device,
            dtype=torch.promote_types(dtype, torch.float32),
        )
        left, singular, right = _factors(edges, sizes, self.rank, weight, self.iterations, start)
        graph = torch.repeat_interleave(sizes).to(edges.device)
        left = left * singular[graph]
        chosen = [
            _largest(left, right, first, size, self.k)
            for first, size in zip(offsets.tolist(), sizes.tolist(), strict=False)
        ]
        pairs = torch.cat(chosen, 1)
        if is_undirected(edges):
            codes = torch.unique(pairs.min(0).values * n + pairs.max(0).values)
            pairs = torch.stack([codes // n, codes % n])
            values = (pair_products(left, right, pairs) + pair_products(left, right, pairs.flip(0))) / 2
            pairs, values = torch.cat([pairs, pairs.flip(0)], 1), values.repeat(2)
        else:
            values = pair_products(left, right, pairs)
        # what rounding leaves of a zero is no edge
        rows = (values > 32 * torch.finfo(values.dtype).eps).nonzero().flatten()
        # sorted by source, as a batch wants its edges by graph
        rows = rows[torch.sort(pairs[1, rows] * n + pairs[0, rows]).indices]
        return pairs.flip(0)[:, rows], values[rows].to(dtype)


def _is_of(
    known: _Known, edges: Tensor, weight: Tensor | None, offsets: Tensor, key: tuple[int, int, int, torch.dtype]
) -> bool:
    if known.key != key or known.edges.device != edges.device or known.edges.shape != edges.shape:
        return False
    if (known.weight is None) != (weight is None) or not torch.equal(known.offsets, offsets):
        return False
    if weight is not None and known.weight is not None and not torch.equal(known.weight, weight):
        return False
    return torch.equal(known.edges, edges)


def _largest(left: Tensor, right: Tensor, first: int, size: int, k: int) -> Tensor:
    """The columns of the largest entries beside the diagonal of each row of one graph, as pairs (row, column)."""
    if size < 2:
        return torch.empty(2, 0, dtype=torch.long, device=left.device)
    a, b = left[first : first + size], right[first : first + size]
    scores, columns = nearest(a, b, k=min(k + 1, size))
    row = torch.arange(size, device=left.device)[:, None].expand_as(columns)
    good = (columns != row) & (scores > 0)
    good &= good.cumsum(1) <= k
    return torch.stack([row[good], columns[good]]) + first
