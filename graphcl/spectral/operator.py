"""The operator that spectral filters are polynomials of, and what a graph must be to have one."""

import torch
from torch import Tensor
from torch_geometric.utils import coalesce

from graphcl.errors import DataError
from graphcl.ops.propagate import Pattern, adjacency_operator, gcn_operator, sum_operator

__all__ = ["spectral_operator"]


def spectral_operator(
    edge_index: Tensor,
    num_nodes: int,
    edge_weight: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    *,
    self_loops: bool = False,
) -> tuple[Pattern, Tensor]:
    r"""The normalised adjacency S of an undirected graph; its Laplacian is :math:`L = I - S`, with spectrum in [0, 2].

    .. math:: S = D^{-1/2} A D^{-1/2}

    Args:
        edge_index: ``int64 [2, E]``, each edge in both directions.
        num_nodes: N. An isolated node has an empty row, and so the eigenvalue 1 of L.
        edge_weight: ``[E]``, not negative, differentiable; 1 where ``None``.
        dtype: of the values where there are no weights.
        self_loops: take :math:`A + I` (nodes that have a loop keep their own), which leaves eigenvalues near 2 out.

    Returns:
        The pattern ``[N, N]`` and the values ``[E']``.

    Raises:
        DataError: no edges, edges (or weights) that are not the same in both directions, or negative weights.
        RequestError: edges of the wrong shape or type, out of range, or weights that do not match them.

    Example:
        >>> pattern, values = spectral_operator(torch.tensor([[0, 1], [1, 0]]), 2)
        >>> pattern.shape, values.max().item()
        ((2, 2), 1.0)
    """
    if edge_index.numel() == 0:
        raise DataError("the graph has no edges: a spectral filter has nothing to tell apart there; use the features")
    if edge_weight is not None:
        if not bool((edge_weight >= 0).all()):
            raise DataError("edge_weight is negative or NaN somewhere; a spectrum in [0, 2] needs weights of 0 or more")
        edge_weight = edge_weight if edge_weight.is_floating_point() else edge_weight.to(dtype)
    operator = gcn_operator if self_loops else adjacency_operator
    pattern, values = operator(edge_index, num_nodes, edge_weight, dtype)
    # of the edges themselves: what leads to a node without any in return has been normalised to 0
    wrong = _one_sided(
        *sum_operator(edge_index, num_nodes, None if edge_weight is None else edge_weight.detach(), dtype)
    )
    if wrong is not None:
        source, target = wrong
        raise DataError(
            f"the edges are directed (edge {source} -> {target} has no counterpart"
            f"{'' if edge_weight is None else ' of the same weight'}), and a directed graph has no spectrum in "
            "[0, 2]; make it undirected with graphcl.graph.symmetrised"
        )
    return pattern, values


def _one_sided(pattern: Pattern, values: Tensor) -> tuple[int, int] | None:
    """Source and target of an entry that its mirror image differs from."""
    turned, order = pattern.transposed()
    # of each entry by itself: beside a heavy edge a light one counts as well
    relative = 1e-4
    if turned is pattern and torch.allclose(values, values[order], rtol=relative, atol=0.0):
        return None
    # parallel edges may come in another order there and back, and be more on one side: what counts is their sum
    n = pattern.shape[0]
    entries = torch.stack([pattern.columns, pattern.rows])
    index, summed = coalesce(entries, values, n)
    there = torch.sparse_coo_tensor(index, summed, (n, n))
    left, total = (there - there.t()).coalesce(), (there + there.t()).coalesce()
    far = left.values().abs() > relative * total.values()
    if not bool(far.any()):
        return None
    u, v = left.indices()[:, far][:, 0].tolist()
    forward = float(left.values()[far][0]) > 0
    return (u, v) if forward else (v, u)
