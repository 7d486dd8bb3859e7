"""Conventions on ``torch_geometric.data.Data``: what a usable graph is, its fingerprint, its normalised operators.

* ``edge_index`` is ``int64 [2, E]``; an undirected edge is stored in both directions; a self-loop once.
* ``edge_weight`` is ``[E]``, 1 where absent. Isolated nodes are nodes: ``num_nodes`` is kept, never inferred.
* ``x`` is ``float [N, F]``, ``y`` is ``int64 [N]`` (or ``[1]`` per graph) with -1 for "no label".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import coalesce, to_undirected

from graphcl.errors import DataError

__all__ = [
    "GraphShape",
    "check_graph",
    "featureless",
    "fingerprint",
    "is_symmetric",
    "normalised_adjacency",
    "row_normalised",
    "standardised",
    "symmetrised",
    "undirected_ids",
    "unit_rows",
]


@dataclass(frozen=True)
class GraphShape:
    """The sizes a method needs to build its modules.

    Args:
        num_features: F.
        level: ``node`` or ``graph``.
        classes: number of classes, for supervised references only; what learns without labels is not told.

    Example:
        >>> GraphShape.of(Data(x=torch.ones(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]])))
        GraphShape(num_features=5, level='node', classes=None)
    """

    num_features: int
    level: str = "node"
    classes: int | None = None

    @classmethod
    def of(cls, data: Data | Sequence[Data]) -> Self:
        """Read the sizes off a graph (node level) or a list or batch of graphs (graph level)."""
        if isinstance(data, Data):
            return cls(data.num_node_features, "graph" if isinstance(data, Batch) else "node")
        return cls(data[0].num_node_features, "graph")


def check_graph(data: Data, name: str = "graph") -> Data:
    """Refuse a graph that later code would silently compute nonsense on; return it unchanged otherwise.

    Args:
        data: the graph.
        name: how to call it in messages.

    Raises:
        DataError: no nodes, missing features, NaN or infinity in them, an ``edge_index`` of the wrong shape, type or
            range, weights that do not match the edges, are negative or are not finite.

    Example:
        >>> check_graph(Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [7]])))
        Traceback (most recent call last):
        graphcl.errors.DataError: graph: edge_index names node 7 but there are only 2 nodes (0..1)
    """
    if not isinstance(data, Data):
        raise DataError(f"{name}: expected a torch_geometric.data.Data, got {type(data).__name__}")
    _check_features(data.x, name)
    _check_edges(data, name)
    return data


def featureless(data: Data) -> Data:
    """The graph with a single 0 for each node in the place of its features, whether or not it has any.

    Example:
        >>> featureless(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=3)).x.shape
        torch.Size([3, 1])
    """
    out = data.__copy__()
    # without features or a number, PyG counts the nodes that have an edge
    count = data.num_nodes if data.get("text") is None or data.edge_index is not None else len(data.text)
    out.x = torch.zeros(int(count or 0), 1)
    return out


def _check_features(x: Tensor | None, name: str) -> None:
    if x is None:
        raise DataError(f"{name}: no node features; set data.x to a float tensor [N, F]")
    if not x.is_floating_point() or x.dim() != 2:
        raise DataError(f"{name}: data.x is {x.dtype} {list(x.shape)}; make it a float tensor [N, F]")
    if x.layout != torch.strided:
        raise DataError(f"{name}: data.x is sparse; make it dense with data.x.to_dense()")
    if x.size(0) == 0 or x.size(1) == 0:
        raise DataError(f"{name}: empty graph, data.x has shape {list(x.shape)}")
    # one pass over the usual, finite case: a NaN or an infinity always shows in the sum
    if not torch.isfinite(x.sum()) and not torch.isfinite(x).all():
        bad = ~torch.isfinite(x)
        row, column = bad.nonzero()[0].tolist()
        raise DataError(
            f"{name}: data.x holds {int(bad.sum())} NaN or infinite values, the first at row {row}, column {column}; "
            "clean them, for example with torch.nan_to_num"
        )


def _check_edges(data: Data, name: str) -> None:
    edges, n = data.edge_index, data.x.size(0)
    if edges is None or edges.dim() != 2 or edges.size(0) != 2:
        raise DataError(f"{name}: edge_index must have shape [2, E]")
    if edges.dtype != torch.long:
        raise DataError(f"{name}: edge_index is {edges.dtype}; make it torch.int64 with edge_index.long()")
    if edges.numel():
        low, high = int(edges.min()), int(edges.max())
        if low < 0 or high >= n:
            wrong = low if low < 0 else high
            raise DataError(f"{name}: edge_index names node {wrong} but there are only {n} nodes (0..{n - 1})")
    weight = data.get("edge_weight")
    if weight is not None:
        if not isinstance(weight, Tensor):
            raise DataError(f"{name}: edge_weight is a {type(weight).__name__}; make it a tensor [E]")
        if weight.shape != (edges.size(1),):
            raise DataError(f"{name}: edge_weight has shape {list(weight.shape)}, expected [{edges.size(1)}]")
        if not torch.isfinite(weight).all() or (weight < 0).any():
            raise DataError(f"{name}: edge_weight holds negative, NaN or infinite values; make them 0 or more")


def undirected_ids(edge_index: Tensor, num_nodes: int) -> Tensor:
    """One id per undirected edge, shared by both of its directions.

    Args:
        edge_index: ``[2, E]``.
        num_nodes: N.

    Returns:
        ``int64 [E]`` with values ``0 .. U-1``, in the order of (smaller, larger) endpoint.

    Example:
        >>> undirected_ids(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3).tolist()
        [0, 0, 1, 1]
    """
    low, high = edge_index.min(0).values, edge_index.max(0).values
    return torch.unique(low * num_nodes + high, return_inverse=True)[1]


def is_symmetric(data: Data) -> bool:
    """Whether each edge is stored in both directions (with equal weight, where there are weights)."""
    n = int(data.num_nodes or 0)
    weight = data.get("edge_weight")
    back = data.edge_index.flip(0)
    if weight is None:
        return torch.equal(coalesce(data.edge_index, num_nodes=n), coalesce(back, num_nodes=n))
    (edges, values), (reverse, mirrored) = coalesce(data.edge_index, weight, n), coalesce(back, weight, n)
    return torch.equal(edges, reverse) and torch.allclose(values, mirrored)


def symmetrised(data: Data) -> Data:
    """The undirected form of a graph: both directions of every edge, duplicates merged. Never changes its input.

    ``edge_weight`` and ``edge_attr`` of merged duplicates are averaged.
    """
    out = data.clone() if isinstance(data, Batch) else data.__copy__()
    names = [name for name in ("edge_weight", "edge_attr") if data.get(name) is not None]
    values = [data[name] for name in names]
    n = data.num_nodes
    if not values:
        out.edge_index = to_undirected(data.edge_index, num_nodes=n)
        return out
    out.edge_index, merged = to_undirected(data.edge_index, values, num_nodes=n, reduce="mean")
    for name, value in zip(names, merged, strict=True):
        out[name] = value
    return out


def row_normalised(x: Tensor) -> Tensor:
    r"""Divide every row by its absolute sum; rows of zeros stay zeros.

    .. math:: \hat x_{vf} = x_{vf} / \sum_g |x_{vg}|

    Example:
        >>> row_normalised(torch.tensor([[1.0, 3.0], [0.0, 0.0]])).tolist()
        [[0.25, 0.75], [0.0, 0.0]]
    """
    total = x.abs().sum(1, keepdim=True)
    return torch.where(total > 0, x / total.clamp(min=torch.finfo(x.dtype).tiny), torch.zeros_like(x))


def standardised(x: Tensor) -> Tensor:
    r"""Bring every column to mean 0 and (population) standard deviation 1; constant columns become 0.

    .. math:: \hat x_{vf} = (x_{vf} - \mu_f) / \sigma_f

    Example:
        >>> standardised(torch.tensor([[1.0, 3.0], [5.0, 3.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    spread, mean = torch.std_mean(x, dim=0, correction=0)
    return torch.where(spread > 0, (x - mean) / torch.where(spread > 0, spread, 1.0), 0.0)


def unit_rows(x: Tensor) -> Tensor:
    r"""Divide every row by its length; rows of zeros stay zeros.

    .. math:: \hat x_v = x_v / \lVert x_v \rVert

    Example:
        >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    length = x.norm(dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1.0)


def normalised_adjacency(data: Data, *, self_loops: bool = True) -> Tensor:
    r"""The symmetrically normalised adjacency as a sparse CSR matrix.

    .. math:: \hat A = D^{-1/2} (A + I) D^{-1/2}, \qquad D_{uu} = \sum_v (A + I)_{uv}

    Args:
        data: the graph; row v of the matrix gathers from the neighbours that point at v.
        self_loops: add the identity first (``remaining``: a node that has a loop keeps its own).

    Returns:
        ``[N, N]`` ``torch.sparse_csr`` of the dtype of ``x``. The Laplacian is ``I -`` this matrix without loops.
        Isolated nodes have empty rows when ``self_loops`` is off.

    Reference:
        Kipf & Welling, Semi-supervised classification with graph convolutional networks, ICLR 2017, equation 2.
    """
    n = int(data.num_nodes or 0)
    source, target = data.edge_index
    dtype = data.x.dtype if data.x is not None else torch.get_default_dtype()
    weight = data.get("edge_weight")
    weight = torch.ones(source.numel(), dtype=dtype, device=source.device) if weight is None else weight.to(dtype)
    if self_loops:
        has_loop = torch.zeros(n, dtype=torch.bool, device=source.device)
        has_loop[source[source == target]] = True
        missing = (~has_loop).nonzero().flatten()
        source, target = torch.cat([source, missing]), torch.cat([target, missing])
        weight = torch.cat([weight, torch.ones(missing.numel(), dtype=dtype, device=missing.device)])
    index, weight = coalesce(torch.stack([target, source]), weight, n)
    degree = torch.zeros(n, dtype=dtype, device=weight.device).index_add_(0, index[0], weight)
    scale = torch.where(degree > 0, degree.clamp(min=torch.finfo(dtype).tiny).rsqrt(), torch.zeros_like(degree))
    value = scale[index[0]] * weight * scale[index[1]]
    pointer = torch.zeros(n + 1, dtype=torch.long, device=weight.device)
    pointer[1:] = torch.bincount(index[0], minlength=n).cumsum(0)
    return torch.sparse_csr_tensor(pointer, index[1], value, (n, n), check_invariants=False)


def fingerprint(data: Data | Sequence[Data]) -> str:
    r"""What a graph is, in 16 hex digits: its edges, labels and which features are non-zero.

    Two files that hold the same graph (another order of edges, features written with fewer digits) share it; one edge,
    label or word more changes it. For a list of graphs: the digest of theirs, in order.

    .. math:: \mathrm{SHA256}(N, F, \mathrm{sort}(E), y, \{(v, f): x_{vf} \neq 0\})

    Example:
        >>> g = Data(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([0, 1]))
        >>> h = Data(x=torch.eye(2) * 0.5, edge_index=torch.tensor([[1, 0], [0, 1]]), y=torch.tensor([0, 1]))
        >>> fingerprint(g) == fingerprint(h)
        True
    """
    if not isinstance(data, Data):
        joined = "".join(_content_digest(graph) for graph in data)
        return hashlib.sha256(joined.encode()).hexdigest()[:16]
    return _content_digest(data)[:16]


def _content_digest(data: Data) -> str:
    sha = hashlib.sha256()

    def feed(tag: str, array: np.ndarray) -> None:
        sha.update(f"{tag}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array, dtype="<i8").tobytes())

    n = int(data.num_nodes or 0)
    edges = data.edge_index.cpu().numpy()
    codes = np.sort(edges[0].astype(np.int64) * max(n, 1) + edges[1])
    feed("edges", codes)
    feed("nodes", np.array([n]))
    if data.y is not None:
        feed("labels", data.y.cpu().numpy().astype(np.int64))
    if data.x is not None:
        x = data.x.cpu().numpy()
        feed("shape", np.array(x.shape))
        feed("features", np.flatnonzero(x))
    return sha.hexdigest()
