r"""Products of a sparse matrix with a dense one, and the propagation of node vectors over edges.

| function | result | differentiable in |
|---|---|---|
| `Pattern` | where a sparse matrix has entries, sorted once, for both directions | – |
| `multiply` | :math:`Y = A X` | the entries of A, and X |
| `gcn_operator` | :math:`\hat A = D^{-1/2} (A + I) D^{-1/2}` as pattern and values | the edge weights |
| `sum_operator` | the adjacency A as pattern and values | the edge weights |
| `adjacency_operator` | :math:`S = D^{-1/2} A D^{-1/2}` as pattern and values | the edge weights |
| `adjacency_rows` | S, dense | the edge weights |
| `gcn_propagate` | :math:`\hat A X` | the edge weights, and X |

A view of a graph changes values, rarely the pattern; a pattern costs a sort, values cost nothing. So a pattern is an
object of its own, remembered for the graphs seen last (compared edge by edge, never by identity), and shared by all
layers and passes.

**Cost.** Floor for E entries, N rows and width D: reading :math:`E D` numbers once where the rows do not fit the
cache, and writing :math:`N D`. On processors the product is PyTorch's ``embedding_bag``: a sum of weighted table rows
per bag is a row of a sparse product. It gathers without materialising the :math:`E \times D` messages, and is four
times as fast as the CSR product of ``torch.sparse``, which sums one entry at a time. On CUDA the CSR product is used.
The gradient of X is the same product with the transposed pattern; that of the entries is one dot product per entry,
in chunks.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import RequestError
from graphcl.ops.pairwise import pair_products
from graphcl.remembered import Remembered

__all__ = [
    "Pattern",
    "adjacency_operator",
    "adjacency_rows",
    "check_rows",
    "gcn_operator",
    "gcn_operator_reference",
    "gcn_propagate",
    "multiply",
    "multiply_reference",
    "sum_operator",
]


_MOST_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where a sparse matrix has entries: sorted by row and column, and the other way where a gradient asks for it.

    Args:
        pointer: ``int64 [R + 1]``: the entries of row r are ``pointer[r] .. pointer[r + 1]``.
        columns: ``int64 [E]``, the column of each entry.
        width: number of columns C.

    Example:
        >>> pattern, order = Pattern.sorted(torch.tensor([1, 0]), torch.tensor([0, 2]), (2, 3))
        >>> pattern.columns.tolist(), order.tolist()
        ([2, 0], [1, 0])
    """

    pointer: Tensor
    columns: Tensor
    width: int

    @classmethod
    def sorted(cls, rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> tuple["Pattern", Tensor]:
        """The pattern of entries in any order, and the order that sorts values into it.

        Raises:
            RequestError: rows and columns of different number or type, or outside of the shape.
        """
        if rows.shape != columns.shape or rows.dim() != 1 or {rows.dtype, columns.dtype} != {torch.int64}:
            raise RequestError(
                f"rows are {rows.dtype} {list(rows.shape)}, columns {columns.dtype} {list(columns.shape)}; "
                "both should be int64 [E]"
            )
        for name, index, size in (("row", rows, shape[0]), ("column", columns, shape[1])):
            if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < size):
                wrong = int(index.min()) if int(index.min()) < 0 else int(index.max())
                raise RequestError(f"{name} {wrong} is outside of the shape {list(shape)}")
        order = _order(rows * shape[1] + columns, shape[0] * shape[1])
        return cls(_pointer(rows, shape[0]), columns[order], shape[1]), order

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pointer.numel() - 1, self.width

    @cached_property
    def rows(self) -> Tensor:
        """The row of each entry, ``int64 [E]``."""
        return torch.repeat_interleave(self.pointer.diff(), output_size=self.columns.numel())

    @cached_property
    def _turned(self) -> tuple["Pattern | None", Tensor]:
        pointer, order = _pointer(self.columns, self.width), _order(self.columns, self.width)
        rows = self.rows[order]
        if torch.equal(pointer, self.pointer) and torch.equal(rows, self.columns):
            # a symmetric pattern is its own transpose: one copy serves both passes
            return None, order
        return Pattern(pointer, rows, self.shape[0]), order

    def transposed(self) -> tuple["Pattern", Tensor]:
        """The pattern of the transpose, and the order that sorts the values into it; computed once."""
        turned, order = self._turned
        return turned or self, order


def _pointer(keys: Tensor, count: int) -> Tensor:
    pointer = torch.zeros(count + 1, dtype=torch.long, device=keys.device)
    torch.cumsum(torch.bincount(keys, minlength=count), 0, out=pointer[1:])
    return pointer


def _order(keys: Tensor, limit: int) -> Tensor:
    # half the bytes, half the time
    return torch.sort(keys.int() if limit < 2**31 else keys, stable=True).indices


def _product(pattern: Pattern, values: Tensor, dense: Tensor) -> Tensor:
    if pattern.columns.numel() == 0:
        return dense.new_zeros(pattern.shape[0], dense.size(1))
    if dense.device.type == "cpu":
        return F.embedding_bag(
            pattern.columns,
            dense,
            pattern.pointer,
            mode="sum",
            per_sample_weights=values,
            include_last_offset=True,
        )
    matrix = torch.sparse_csr_tensor(pattern.pointer, pattern.columns, values, pattern.shape, check_invariants=False)
    return matrix @ dense


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, values: Tensor, dense: Tensor) -> Tensor:
        dense = dense.contiguous()
        ctx.pattern = pattern
        # what the gradient does not need is not kept alive
        ctx.save_for_backward(values if ctx.needs_input_grad[2] else None, dense if ctx.needs_input_grad[1] else None)
        return _product(pattern, values, dense)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        values, dense = ctx.saved_tensors
        upstream = upstream.contiguous()
        of_values = of_dense = None
        if dense is not None:
            pairs = torch.stack([ctx.pattern.rows, ctx.pattern.columns])
            of_values = pair_products(upstream, dense, pairs)
        if values is not None:
            turned, order = ctx.pattern.transposed()
            of_dense = _product(turned, values[order], upstream)
        return None, of_values, of_dense


def multiply(pattern: Pattern, values: Tensor, dense: Tensor) -> Tensor:
    r"""The product of a sparse matrix with a dense one.

    .. math:: y_r = \sum_{e \in \text{row } r} v_e\, x_{c(e)}

    Args:
        pattern: where the entries are, ``[R, C]``.
        values: the entries in the order of the pattern, ``[E]``.
        dense: ``[C, D]``.

    Returns:
        ``[R, D]``, differentiable in ``values`` and ``dense``.

    Raises:
        RequestError: shapes, types or devices do not fit.

    Example:
        >>> pattern, order = Pattern.sorted(torch.tensor([0, 0]), torch.tensor([0, 1]), (1, 2))
        >>> multiply(pattern, torch.tensor([2.0, 3.0]), torch.tensor([[1.0], [10.0]])).tolist()
        [[32.0]]
    """
    if values.shape != pattern.columns.shape or dense.dim() != 2 or dense.size(0) != pattern.width:
        raise RequestError(
            f"values {list(values.shape)} and matrix {list(dense.shape)} do not fit a pattern of "
            f"{pattern.columns.numel()} entries and shape {list(pattern.shape)}"
        )
    if values.dtype != dense.dtype or values.device != dense.device:
        raise RequestError(
            f"values are {values.dtype} on {values.device}, the matrix {dense.dtype} on {dense.device}; "
            "both should be of one type and device"
        )
    return _Multiply.apply(pattern, values, dense)


def multiply_reference(pattern: Pattern, values: Tensor, dense: Tensor) -> Tensor:
    """The same product through the dense matrix."""
    matrix = torch.zeros(pattern.shape, dtype=values.dtype, device=values.device)
    return matrix.index_put((pattern.rows, pattern.columns), values, accumulate=True) @ dense


@dataclass(eq=False)
class _Looped:
    """The pattern of a graph with self-loops added where there are none; rows are targets, columns sources."""

    edges: Tensor
    num_nodes: int
    pattern: Pattern
    order: Tensor
    added: int
    plain: dict[torch.dtype, Tensor] = field(default_factory=dict)
    """Values of the unweighted operator."""

    def values(self, weight: Tensor) -> Tensor:
        """Normalised entries in the order of the pattern; degrees are counted in float32 at least."""
        wide = torch.promote_types(weight.dtype, torch.float32)
        dtype = weight.dtype if weight.is_floating_point() else wide
        weight = weight.to(wide)
        weight = torch.cat([weight, weight.new_ones(self.added)])[self.order]
        target, source = self.pattern.rows, self.pattern.columns
        degree = weight.new_zeros(self.num_nodes).index_add(0, target, weight)
        some = degree > 0
        scale = torch.where(some, torch.where(some, degree, 1.0).pow(-0.5), 0.0)
        return (scale[source] * weight * scale[target]).to(dtype)


_SEEN: Remembered[_Looped] = Remembered()


def _looped(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None) -> _Looped:
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        raise RequestError(f"edge_index is {edge_index.dtype} {list(edge_index.shape)}; expected int64 [2, E]")
    if edge_index.numel():
        low, high = (int(v) for v in edge_index.aminmax())
        if low < 0 or high >= num_nodes:
            wrong = low if low < 0 else high
            raise RequestError(f"edge_index names node {wrong} but there are only {num_nodes} nodes")
    if edge_weight is not None and edge_weight.shape != edge_index.shape[1:]:
        raise RequestError(f"edge_weight has shape {list(edge_weight.shape)}, expected [{edge_index.size(1)}]")

    def fits(known: _Looped) -> bool:
        same = known.num_nodes == num_nodes and known.edges.device == edge_index.device
        return same and known.edges.shape == edge_index.shape and torch.equal(known.edges, edge_index)

    known = _SEEN.find(fits)
    if known is not None:
        return known
    # outside of inference mode, whose tensors could never be part of a training step
    with torch.inference_mode(False), torch.no_grad():
        edges = edge_index.clone()  # the caller may change the edges in place
        source, target = edges
        lonely = torch.ones(num_nodes, dtype=torch.bool, device=edges.device)
        lonely[source[source == target]] = False
        missing = lonely.nonzero().flatten()
        shape = (num_nodes, num_nodes)
        pattern, order = Pattern.sorted(torch.cat([target, missing]), torch.cat([source, missing]), shape)
        return _SEEN.add(_Looped(edges, num_nodes, pattern, order, missing.numel()), edges.size(1))


def gcn_operator(
    edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Pattern, Tensor]:
    r"""The symmetrically normalised adjacency with self-loops.

    .. math:: \hat A = D^{-1/2} (A + I) D^{-1/2}, \qquad D_{vv} = \sum_u (A + I)_{vu}

    Args:
        edge_index: ``[2, E]``: row v of the operator gathers from the sources of the edges that point at v.
        num_nodes: N.
        edge_weight: ``[E]``, differentiable; 1 where ``None``. A node that has a loop keeps its own weight.
        dtype: of the values where there are no weights.

    Returns:
        The pattern ``[N, N]``, shared between calls with the same edges, and its values.

    Raises:
        RequestError: edges of the wrong shape or type, out of range, or weights that do not match them.

    Reference:
        Kipf & Welling, Semi-supervised classification with graph convolutional networks, ICLR 2017, equation 2; loops
        as PyG's ``GCNConv`` adds them, but for several loops at one node: they are summed, like all parallel edges.

    Example:
        >>> pattern, values = gcn_operator(torch.tensor([[0, 1], [1, 0]]), 2)
        >>> [round(value, 4) for value in values.tolist()]
        [0.5, 0.5, 0.5, 0.5]
    """
    graph = _looped(edge_index, num_nodes, edge_weight)
    if edge_weight is not None:
        return graph.pattern, graph.values(edge_weight)
    if dtype not in graph.plain:
        with torch.inference_mode(False), torch.no_grad():
            graph.plain[dtype] = graph.values(torch.ones(edge_index.size(1), dtype=dtype, device=edge_index.device))
    return graph.pattern, graph.plain[dtype].clone()


def sum_operator(
    edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Pattern, Tensor]:
    r"""The adjacency itself: every node sums its neighbours.

    .. math:: A_{vu} = \sum_{e: u \to v} w_e

    Args:
        edge_index: ``[2, E]``: row v of the operator gathers from the sources of the edges that point at v.
        num_nodes: N.
        edge_weight: ``[E]``, differentiable; 1 where ``None``.
        dtype: of the values where there are no weights.

    Returns:
        The pattern ``[N, N]`` that `gcn_operator` has for the same edges, and its values: those of added loops are 0.

    Raises:
        RequestError: as `gcn_operator`.

    Example:
        >>> pattern, values = sum_operator(torch.tensor([[0, 0], [1, 1]]), 2)
        >>> multiply(pattern, values, torch.tensor([[5.0], [7.0]])).tolist()
        [[0.0], [10.0]]
    """
    graph = _looped(edge_index, num_nodes, edge_weight)
    if edge_weight is None:
        edge_weight = torch.ones(edge_index.size(1), dtype=dtype, device=edge_index.device)
    return graph.pattern, torch.cat([edge_weight, edge_weight.new_zeros(graph.added)])[graph.order]


def adjacency_operator(
    edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Pattern, Tensor]:
    r"""The symmetrically normalised adjacency as it is: no self-loops are added.

    .. math:: S = D^{-1/2} A D^{-1/2}, \qquad D_{vv} = \sum_u A_{vu}

    The normalised Laplacian is :math:`L = I - S`. Isolated nodes have empty rows.

    Args:
        edge_index: ``[2, E]``: row v of the operator gathers from the sources of the edges that point at v.
        num_nodes: N.
        edge_weight: ``[E]``, differentiable; 1 where ``None``.
        dtype: of the values where there are no weights.

    Returns:
        The pattern ``[N, N]`` that `gcn_operator` has for the same edges, and its values: those of added loops are 0.

    Raises:
        RequestError: as `gcn_operator`.

    Example:
        >>> pattern, values = adjacency_operator(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3)
        >>> multiply(pattern, values, torch.tensor([[1.0], [0.0], [0.0]])).flatten().tolist()
        [0.0, 0.7071067690849304, 0.0]
    """
    if edge_weight is not None:
        dtype = edge_weight.dtype if edge_weight.is_floating_point() else torch.float32
        edge_weight = edge_weight.to(torch.promote_types(edge_weight.dtype, torch.float32))
    # degrees are counted in float32 at least
    pattern, values = sum_operator(edge_index, num_nodes, edge_weight, torch.promote_types(dtype, torch.float32))
    degree = multiply(pattern, values, values.new_ones(num_nodes, 1))[:, 0]
    some = degree > 0
    scale = torch.where(some, torch.where(some, degree, 1.0).rsqrt(), 0.0)
    return pattern, (scale[pattern.rows] * values * scale[pattern.columns]).to(dtype)


def check_rows(num_nodes: int) -> None:
    """Refuse what `adjacency_rows` refuses, before anything is computed.

    Raises:
        RequestError: more than 8192 nodes.
    """
    if num_nodes > _MOST_ROWS:
        raise RequestError(
            f"rows of the adjacency of {num_nodes} nodes: at most {_MOST_ROWS}; take the strongest directions of the "
            "graph instead (control 'structure', block 'factors' of Aspect)"
        )


def adjacency_rows(
    edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    r"""The matrix of `adjacency_operator`, dense: each node's neighbours as its features.

    .. math:: S = D^{-1/2} A D^{-1/2}

    Args:
        edge_index: ``[2, E]``.
        num_nodes: N, at most 8192: the matrix takes a quarter of a gigabyte then, and a linear probe of it minutes.
        edge_weight: ``[E]``, differentiable; 1 where ``None``.
        dtype: of the values where there are no weights.

    Returns:
        ``[N, N]``.

    Raises:
        RequestError: more than 8192 nodes, and as `gcn_operator`.

    Example:
        >>> adjacency_rows(torch.tensor([[0, 1], [1, 0]]), 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    check_rows(num_nodes)
    pattern, values = adjacency_operator(edge_index, num_nodes, edge_weight, dtype)
    return values.new_zeros(num_nodes, num_nodes).index_put((pattern.rows, pattern.columns), values, accumulate=True)


def gcn_operator_reference(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None) -> Tensor:
    """The same operator as a dense matrix, in float64."""
    weight = torch.ones(edge_index.size(1)) if edge_weight is None else edge_weight
    matrix = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    matrix = matrix.index_put((edge_index[1], edge_index[0]), weight.double(), accumulate=True)
    looped = torch.zeros(num_nodes, dtype=torch.bool)
    looped[edge_index[0][edge_index[0] == edge_index[1]]] = True
    matrix = matrix + torch.diag((~looped).double())
    degree = matrix.sum(1)
    scale = torch.where(degree > 0, degree.clamp(min=1e-300).rsqrt(), 0.0)
    return scale[:, None] * matrix * scale


def gcn_propagate(x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
    r"""One step of normalised propagation: every node takes the weighted mean-like sum of itself and its neighbours.

    .. math:: Y = \hat A X

    Args:
        x: ``[N, D]``.
        edge_index: ``[2, E]``.
        edge_weight: ``[E]``; 1 where ``None``.

    Returns:
        ``[N, D]``, differentiable in ``x`` and ``edge_weight``.

    Raises:
        RequestError: as `gcn_operator`.

    Example:
        >>> gcn_propagate(torch.tensor([[2.0], [4.0]]), torch.tensor([[0, 1], [1, 0]])).round().tolist()
        [[3.0], [3.0]]
    """
    pattern, values = gcn_operator(edge_index, x.size(0), edge_weight, x.dtype)
    return multiply(pattern, values.to(x.dtype), x)
