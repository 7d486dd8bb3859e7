r"""Reductions over all pairs of two sets of vectors, without the matrix of all pairs.

| function | result | memory beside the inputs |
|---|---|---|
| `logsumexp_within` | :math:`\log \sum_{j \ne i} w_j\, e^{z_i \cdot z_j}` for each i | copies, gradient, tiles |
| `logsumexp_between` | the same between two sets, for the rows of either | the same |
| `pair_products` | :math:`a_i \cdot b_j` at listed pairs | one chunk of pairs, or 32 MB |
| `nearest`, `knn_graph` | the k largest :math:`a_i \cdot b_j` for each i, as indices or as edges | one tile |

The scores are plain products: a temperature is a factor of the vectors (:math:`z / \sqrt\tau`), the cosine is the
product of normalised vectors, a positive pair is an excluded pair put back by the caller, and all of these have their
gradients from autograd. What is left for the tiles is one sum of exponentials.

**Cost.** With M vectors of width D one *unit* is the :math:`2 M^2 D` operations of all scores. Dense autograd takes 3
units and moves the M × M matrix through memory a dozen times. The scores of a set with itself are symmetric, so that
half a unit gives them all; the gradient

.. math:: \frac{\partial}{\partial z_i} \sum_k g_k\, \mathrm{lse}_k = \sum_{j} c_{ij}\, z_j, \qquad
    c_{ij} = e^{s_{ij}} \left(\frac{g_i w_j}{\sum_k w_k e^{s_{ik}}} + \frac{g_j w_i}{\sum_k w_k e^{s_{jk}}}\right)

has symmetric coefficients, so that each tile of them serves two rows of tiles: half a unit for the scores again (none
where the tiles could be kept) and one for the products. That is the floor: 2 units of arithmetic, 1.5 with kept
tiles, at the machine's rate of matrix multiplication; tiles stay in the cache.

**Range.** By the inequality of Cauchy and Schwarz no score exceeds the product of the largest norms. Where that bound
shows that no exponential can leave the range of the number format, sums are taken directly; where it does not, each
row carries its running maximum. No temperature overflows.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import EmbeddingError, RequestError
from graphcl.ops.pairwise_tiles import TiledLogSumExp, operand_type, tile_size
from graphcl.ops.product import product_for

__all__ = [
    "knn_graph",
    "logsumexp_between",
    "logsumexp_between_reference",
    "logsumexp_within",
    "logsumexp_within_reference",
    "nearest",
    "pair_products",
]

Backend = Literal["auto", "tiles", "triton"]


def logsumexp_within(
    z: Tensor,
    *,
    excluded: Tensor | None = None,
    weights: Tensor | None = None,
    include_self: bool = False,
    precision: torch.dtype | None = None,
    backend: Backend = "auto",
) -> Tensor:
    r"""Log of each row's summed exponentiated products with all other rows of the same set.

    .. math:: \mathrm{lse}_i = \log \sum_{j \ne i,\; \{i,j\} \notin \text{excluded}} w_j\, e^{z_i \cdot z_j}

    Args:
        z: ``[M, D]``, floating point; the temperature is a factor of it (:math:`z / \sqrt\tau`).
        excluded: unordered pairs that are left out, ``int64 [2, P]``; duplicates count once.
        weights: of each row as a candidate, ``[M]``, not negative, differentiable; all 1 where ``None``.
        include_self: whether j = i is a candidate too.
        precision: format of the factors of all products; ``torch.bfloat16`` computes float32 inputs about twice as fast
            with a relative error of the gradient below 1 %. ``None`` keeps that of the input; sums are float32 at
            least.
        backend: ``"tiles"`` (plain torch, any device), ``"triton"`` (one fused kernel, CUDA), or ``"auto"``: the latter
            where it can run.

    Returns:
        ``[M]``, float32 or, for float64 input, float64; :math:`-\infty` where no candidate is left.

    Raises:
        RequestError: a wrong shape, dtype or device, an index out of range, values that are not finite.

    Example:
        >>> logsumexp_within(torch.zeros(4, 2)).exp().tolist()
        [3.0, 3.0, 3.0, 3.0]
    """
    _check_operands(z, z, precision)
    _check_pairs(excluded, z.size(0), z.size(0), z.device)
    _check_weights(weights, z, "weights")
    return _backend(backend, z, precision).apply(z, None, weights, None, excluded, include_self, precision)[0]


def logsumexp_between(
    a: Tensor,
    b: Tensor,
    *,
    excluded: Tensor | None = None,
    weights_a: Tensor | None = None,
    weights_b: Tensor | None = None,
    precision: torch.dtype | None = None,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    r"""Log of the summed exponentiated products of each row of one set with all rows of another, both ways at once.

    .. math::
        r_i = \log \sum_j w^b_j\, e^{a_i \cdot b_j}, \qquad c_j = \log \sum_i w^a_i\, e^{a_i \cdot b_j}

    Args:
        a: ``[N, D]``.
        b: ``[K, D]``.
        excluded: pairs (row of ``a``, row of ``b``) left out of both sums, ``int64 [2, P]``.
        weights_a: of each row of ``a`` as a candidate, ``[N]``, not negative.
        weights_b: of each row of ``b`` as a candidate, ``[K]``, not negative.
        precision: as in `logsumexp_within`.
        backend: as in `logsumexp_within`.

    Returns:
        ``r [N]`` and ``c [K]``.

    Raises:
        RequestError: as in `logsumexp_within`.

    Example:
        >>> rows, columns = logsumexp_between(torch.zeros(2, 3), torch.zeros(5, 3))
        >>> rows.exp().round().tolist(), columns.exp().round().tolist()
        ([5.0, 5.0], [2.0, 2.0, 2.0, 2.0, 2.0])
    """
    _check_operands(a, b, precision)
    _check_pairs(excluded, a.size(0), b.size(0), a.device)
    _check_weights(weights_a, a, "weights_a")
    _check_weights(weights_b, b, "weights_b")
    rows, columns = _backend(backend, a, precision).apply(a, b, weights_a, weights_b, excluded, True, precision)
    return rows, columns


def logsumexp_within_reference(
    z: Tensor, *, excluded: Tensor | None = None, weights: Tensor | None = None, include_self: bool = False
) -> Tensor:
    """What `logsumexp_within` computes, with the whole matrix."""
    candidate = torch.full((z.size(0), z.size(0)), True, device=z.device)
    if not include_self:
        candidate.fill_diagonal_(False)
    if excluded is not None:
        candidate[excluded[0], excluded[1]] = False
        candidate[excluded[1], excluded[0]] = False
    return _logsumexp_reference(z @ z.T, candidate, weights)


def logsumexp_between_reference(
    a: Tensor,
    b: Tensor,
    *,
    excluded: Tensor | None = None,
    weights_a: Tensor | None = None,
    weights_b: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What `logsumexp_between` computes, with the whole matrix."""
    scores = a @ b.T
    candidate = torch.full_like(scores, True, dtype=torch.bool)
    if excluded is not None:
        candidate[excluded[0], excluded[1]] = False
    return _logsumexp_reference(scores, candidate, weights_b), _logsumexp_reference(scores.T, candidate.T, weights_a)


def _logsumexp_reference(scores: Tensor, candidate: Tensor, weights: Tensor | None) -> Tensor:
    top = scores.detach().masked_fill(~candidate, -torch.inf).amax(1, keepdim=True)
    top = torch.where(top.isfinite(), top, 0.0)
    powers = (scores - top).masked_fill(~candidate, -torch.inf).exp()
    total = (powers if weights is None else powers * weights).sum(1)
    some = total > 0
    return torch.where(some, torch.where(some, total, 1.0).log() + top[:, 0], -torch.inf)


def pair_products(a: Tensor, b: Tensor, pairs: Tensor) -> Tensor:
    r"""Products of listed pairs of rows.

    .. math:: s_p = a_{i_p} \cdot b_{j_p}

    Gathered in chunks, forward and backward, so that memory grows with the rows and the pairs but never with
    pairs × width; where many of all pairs are listed, taken from the product of both matrices (32 MB in float32 at
    most).

    Args:
        a: ``[N, D]``.
        b: ``[K, D]``.
        pairs: ``int64 [2, P]``: rows of ``a`` and rows of ``b``.

    Returns:
        ``[P]``, differentiable in ``a`` and ``b``.

    Raises:
        RequestError: a wrong shape, dtype or device, or an index out of range.

    Example:
        >>> pair_products(torch.eye(2), torch.eye(2), torch.tensor([[0, 1], [0, 0]])).tolist()
        [1.0, 0.0]
    """
    _check_operands(a, b, None, finite=False)
    _check_pairs(pairs, a.size(0), b.size(0), a.device)
    return _PairProducts.apply(a, b, pairs)


@torch.no_grad()
def nearest(a: Tensor, b: Tensor | None = None, k: int = 10) -> tuple[Tensor, Tensor]:
    r"""The ``k`` rows of ``b`` with the largest product with each row of ``a``; nothing here is differentiable.

    Args:
        a: ``[N, D]``; normalise the rows for the cosine.
        b: ``[K, D]``; ``None`` looks among the *other* rows of ``a``.
        k: how many, at most K (at most N - 1 among the other rows).

    Returns:
        The products ``[N, k]``, largest first, and the rows ``int64 [N, k]``.

    Raises:
        RequestError: a wrong shape, dtype or device, ``k`` out of range, values that are not finite.

    Example:
        >>> nearest(torch.tensor([[0.0], [1.0], [3.0]]), k=1)[1].flatten().tolist()
        [1, 2, 1]
    """
    other = a if b is None else b
    _check_operands(a, other, None)
    limit = other.size(0) - (b is None)
    if not 1 <= k <= limit:
        raise RequestError(f"k = {k}: there are {limit} candidates; k should be between 1 and {limit}")
    a, other = (x.detach().to(operand_type(x.dtype, None, x.size(1))).contiguous() for x in (a, other))
    product = product_for(a)
    best_scores, best_rows, tile_rows = [], [], tile_size(a.device.type)
    for r in range(0, a.size(0), tile_rows):
        scores, rows = a.new_empty(0), None
        for c in range(0, other.size(0), 8 * tile_rows):
            tile = product(a[r : r + tile_rows], other[c : c + 8 * tile_rows])
            if b is None and -tile.size(0) < r - c < tile.size(1):
                # the diagonal of the whole matrix, where it crosses this tile
                tile.diagonal(r - c).fill_(-torch.inf)
            found, where = tile.topk(min(k, tile.size(1)), 1)
            where = where + c
            if rows is not None:
                found, where = torch.cat([scores, found], 1), torch.cat([rows, where], 1)
                found, order = found.topk(min(k, found.size(1)), 1)
                where = where.gather(1, order)
            scores, rows = found, where
        best_scores.append(scores)
        best_rows.append(rows)
    return torch.cat(best_scores), torch.cat(best_rows)  # type: ignore[arg-type]


def knn_graph(x: Tensor, k: int = 10, *, cosine: bool = True) -> tuple[Tensor, Tensor]:
    r"""Edges from the ``k`` most similar other rows to each row, by cosine (PyG's function of this name: by distance).

    Args:
        x: ``[N, F]``.
        k: neighbours of each node, between 1 and N - 1.
        cosine: similarity of directions (a row of zeros is similar to none, by 0); plain products otherwise.

    Returns:
        ``edge_index`` ``int64 [2, N k]``, from neighbour to node, and the similarities ``[N k]``. It is directed:
        a neighbour need not return the choice (``torch_geometric.utils.to_undirected`` adds the other direction).

    Raises:
        RequestError: as `nearest`.

    Example:
        >>> knn_graph(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), k=1)[0].tolist()
        [[1, 0, 1], [0, 1, 2]]
    """
    if cosine:
        # the length of a row of small numbers is none of 16 bits
        x = F.normalize(x.detach().to(torch.promote_types(x.dtype, torch.float32)), dim=1).to(x.dtype)
    scores, neighbours = nearest(x, k=k)
    node = torch.arange(x.size(0), device=x.device).repeat_interleave(k)
    return torch.stack([neighbours.flatten(), node]), scores.flatten()


def _check_operands(a: Tensor, b: Tensor, precision: torch.dtype | None, finite: bool = True) -> None:
    if a.dim() != 2 or b.dim() != 2 or a.size(1) != b.size(1):
        raise RequestError(f"vectors have shapes {list(a.shape)} and {list(b.shape)}; expected [N, D] and [K, D]")
    if 0 in a.shape or 0 in b.shape:
        raise RequestError(f"vectors have shapes {list(a.shape)} and {list(b.shape)}: an empty set has no pairs")
    if not a.dtype.is_floating_point or a.dtype != b.dtype:
        raise RequestError(f"vectors are {a.dtype} and {b.dtype}; both should be of one floating-point type")
    if a.device != b.device:
        raise RequestError(f"vectors are on {a.device} and {b.device}; move both to one device")
    if precision not in (None, torch.bfloat16, torch.float16, torch.float32, torch.float64):
        raise RequestError(f"precision = {precision}: should be None or a floating-point torch.dtype")
    if finite:
        for x in (a,) if a is b else (a, b):
            if not bool(x.detach().sum().isfinite()):  # cheap; only a suspicion, as a sum may overflow
                bad = (~x.detach().isfinite().all(1)).nonzero().flatten()
                if len(bad):
                    raise EmbeddingError(f"{len(bad)} of {len(x)} rows hold NaN or infinity, first row {int(bad[0])}")


def _check_pairs(pairs: Tensor | None, n: int, m: int, device: torch.device) -> None:
    if pairs is None:
        return
    if pairs.dim() != 2 or pairs.size(0) != 2 or pairs.dtype != torch.int64:
        raise RequestError(f"pairs are {pairs.dtype} {list(pairs.shape)}; expected int64 [2, P]")
    if pairs.device != device:
        raise RequestError(f"pairs are on {pairs.device}, the vectors on {device}; move both to one device")
    if pairs.size(1):
        low, high = pairs.amin(1), pairs.amax(1)
        if int(low.min()) < 0 or int(high[0]) >= n or int(high[1]) >= m:
            raise RequestError(
                f"pairs reach from {low.tolist()} to {high.tolist()}; there are {n} rows on the left, {m} on the right"
            )


def _check_weights(weights: Tensor | None, rows: Tensor, name: str) -> None:
    if weights is None:
        return
    if weights.shape != rows.shape[:1] or not weights.dtype.is_floating_point or weights.device != rows.device:
        raise RequestError(
            f"{name} are {weights.dtype} {list(weights.shape)} on {weights.device}; "
            f"expected floating point [{rows.size(0)}] on {rows.device}"
        )
    if not bool((weights >= 0).all()) or not bool(weights.detach().sum().isfinite()):
        raise RequestError(f"{name} should be finite and not negative")


def _backend(backend: Backend, example: Tensor, precision: torch.dtype | None) -> type[torch.autograd.Function]:
    if backend not in ("auto", "tiles", "triton"):
        raise RequestError(f"backend = {backend!r}: should be 'auto', 'tiles' or 'triton'")
    if backend == "tiles" or (backend == "auto" and example.device.type != "cuda"):
        return TiledLogSumExp
    from graphcl.ops import pairwise_triton  # loads triton: only where it may be used

    reason = pairwise_triton.refusal(example, precision)
    if backend == "triton" and reason is not None:
        raise RequestError(f"backend = 'triton': {reason}; use backend='tiles'")
    return TiledLogSumExp if reason is not None else pairwise_triton.TritonLogSumExp


class _PairProducts(torch.autograd.Function):
    """Products of listed rows, in chunks; where many of all pairs are listed, by the product of both matrices.

    A gathered product moves three numbers through memory for each coordinate, one inside a matrix product takes two
    operations from cache: the whole matrix is cheaper until the list is about 30 times shorter.
    """

    CHUNK = 2**14
    SPARSE = 30
    LARGEST = 2**23

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, pairs: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, pairs)
        every = a.size(0) * b.size(0)
        ctx.dense = (
            a.dtype in (torch.float32, torch.float64)
            and every <= min(_PairProducts.SPARSE * pairs.size(1), _PairProducts.LARGEST)
            # a row that no pair lists reaches nobody, whatever it holds
            and bool((a.sum() + b.sum()).isfinite())
        )
        if ctx.dense:
            return (a @ b.T).view(-1)[pairs[0] * b.size(0) + pairs[1]]
        found = a.new_empty(pairs.size(1))
        for start in range(0, pairs.size(1), _PairProducts.CHUNK):
            i, j = pairs[:, start : start + _PairProducts.CHUNK]
            found[start : start + _PairProducts.CHUNK] = (a[i] * b[j]).sum(1)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, b, pairs = ctx.saved_tensors
        if ctx.dense:
            n, m = a.size(0), b.size(0)
            slots = upstream.new_zeros(n * m).index_add_(0, pairs[0] * m + pairs[1], upstream).view(n, m)
            return (
                slots @ b if ctx.needs_input_grad[0] else None,
                slots.T @ a if ctx.needs_input_grad[1] else None,
                None,
            )
        # a sum of many 16-bit terms loses the small ones
        wide = torch.promote_types(a.dtype, torch.float32)
        gradients = [
            torch.zeros_like(x, dtype=wide) if needed else None
            for x, needed in zip((a, b), ctx.needs_input_grad, strict=False)
        ]
        for start in range(0, pairs.size(1), _PairProducts.CHUNK):
            i, j = pairs[:, start : start + _PairProducts.CHUNK]
            g = upstream[start : start + _PairProducts.CHUNK, None]
            if gradients[0] is not None:
                gradients[0].index_add_(0, i, (g * b[j]).to(wide))
            if gradients[1] is not None:
                gradients[1].index_add_(0, j, (g * a[i]).to(wide))
        return gradients[0], gradients[1], None
