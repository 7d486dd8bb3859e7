"""The neighbours of each node as one array: where walks, pushes and rankings look them up."""

import torch
from torch import Tensor

__all__ = ["neighbours", "ranked"]


def neighbours(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The targets of each node's edges, node after node.

    Args:
        edge_index: ``int64 [2, E]``, in any order.
        num_nodes: N.

    Returns:
        ``pointer`` ``int64 [N + 1]`` and ``targets`` ``int64 [E]``: node u has the targets
        ``targets[pointer[u] : pointer[u + 1]]``, in the order of ``edge_index``.

    Example:
        >>> pointer, targets = neighbours(torch.tensor([[1, 0, 1], [0, 2, 2]]), 3)
        >>> pointer.tolist(), targets.tolist()
        ([0, 1, 3, 3], [2, 0, 2])
    """
    source, target = edge_index
    pointer = torch.zeros(num_nodes + 1, dtype=torch.long, device=source.device)
    torch.cumsum(torch.bincount(source, minlength=num_nodes), 0, out=pointer[1:])
    # most graphs come sorted, and finding that out costs a small part of sorting them
    if not bool((source[1:] >= source[:-1]).all()):
        target = target[_order(source, num_nodes)]
    return pointer, target


def _order(keys: Tensor, limit: int) -> Tensor:
    # half the bytes, half the time
    return torch.sort(keys.int() if limit < 2**31 else keys, stable=True).indices


def _falling(scores: Tensor) -> Tensor:
    """Whole numbers that ascend where the scores fall: sorting them takes half the time of sorting floats."""
    if scores.dtype != torch.float32:
        return -scores
    bits = (scores + 0.0).view(torch.int32)  # no negative zero
    return ~(bits ^ ((bits >> 31) & 0x7FFFFFFF))


def ranked(source: Tensor, scores: Tensor, num_nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of each node ordered by falling score.

    Args:
        source: ``int64 [E]``: the node each edge belongs to.
        scores: ``[E]``.
        num_nodes: N.

    Returns:
        ``pointer`` ``int64 [N + 1]``, ``order`` ``int64 [E]``, the edges node after node and best first, and ``rank``
        ``int64 [E]``, the place of each edge in ``order`` among those of its node, from 0.

    Example:
        >>> ranked(torch.tensor([0, 1, 0]), torch.tensor([0.1, 0.5, 0.9]), 2)[1].tolist()
        [2, 0, 1]
    """
    pointer = torch.zeros(num_nodes + 1, dtype=torch.long, device=source.device)
    torch.cumsum(torch.bincount(source, minlength=num_nodes), 0, out=pointer[1:])
    order = torch.sort(_falling(scores), stable=True).indices
    order = order[_order(source[order], num_nodes)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(order.numel(), device=order.device) - pointer[source[order]]
    return pointer, order, rank
