"""The edges of each node as one array: where walks, neighbourhoods and rankings look them up."""

import torch
from torch import Tensor

from graphcl.remembered import Recalled

__all__ = ["edges_by_node", "listed", "ranked"]


def edges_by_node(edge_index: Tensor, num_nodes: int, end: int = 0) -> tuple[Tensor, Tensor]:
    """The edges at each node: those that leave it (``end=0``), or those that point at it (``end=1``).

    The lists of the graphs seen last are remembered by content.

    Args:
        edge_index: ``int64 [2, E]``, in any order.
        num_nodes: N.
        end: 0 sorts by source, 1 by target.

    Returns:
        ``pointer`` ``int64 [N + 1]`` and ``columns`` ``int64 [E]``: node u has the columns
        ``columns[pointer[u] : pointer[u + 1]]`` of ``edge_index``, ascending.

    Example:
        >>> pointer, columns = edges_by_node(torch.tensor([[1, 0, 1], [0, 2, 2]]), 3)
        >>> pointer.tolist(), columns.tolist()
        ([0, 1, 3, 3], [1, 0, 2])
    """

    def make() -> tuple[Tensor, Tensor]:
        nodes = edge_index[end]
        pointer = torch.zeros(num_nodes + 1, dtype=torch.long, device=nodes.device)
        torch.cumsum(torch.bincount(nodes, minlength=num_nodes), 0, out=pointer[1:])
        # most graphs come sorted, and finding that out costs a small part of sorting them
        if bool((nodes[1:] >= nodes[:-1]).all()):
            return pointer, torch.arange(nodes.numel(), device=nodes.device)
        return pointer, _order(nodes, num_nodes)

    return _LISTS.of((edge_index, num_nodes, end), make)


_LISTS: Recalled[tuple[Tensor, Tensor]] = Recalled()


def listed(pointer: Tensor, nodes: Tensor) -> Tensor:
    """The places in the lists of some nodes, list after list.

    Example:
        >>> listed(torch.tensor([0, 1, 3, 3]), torch.tensor([1, 0])).tolist()
        [1, 2, 0]
    """
    counts = pointer[nodes + 1] - pointer[nodes]
    shift = pointer[nodes] - (counts.cumsum(0) - counts)
    return torch.repeat_interleave(shift, counts) + torch.arange(int(counts.sum()), device=nodes.device)


def _order(keys: Tensor, limit: int) -> Tensor:
    # half the bytes, half the time
    return torch.sort(keys.int() if limit < 2**31 else keys, stable=True).indices


def _falling(scores: Tensor) -> Tensor:
    """Whole numbers that ascend where the scores fall: sorting them takes half the time of sorting floats."""
    if scores.dtype != torch.float32:
        return -scores
    bits = (scores + 0.0).view(torch.int32)  # no negative zero
    return ~(bits ^ ((bits >> 31) & 0x7FFFFFFF))


def ranked(source: Tensor, scores: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The edges of each node ordered by falling score.

    Args:
        source: ``int64 [E]``: the node each edge belongs to.
        scores: ``[E]``.
        num_nodes: N.

    Returns:
        ``pointer`` ``int64 [N + 1]``, and ``order`` ``int64 [E]``: the edges node after node, best first.

    Example:
        >>> ranked(torch.tensor([0, 1, 0]), torch.tensor([0.1, 0.5, 0.9]), 2)[1].tolist()
        [2, 0, 1]
    """
    pointer = torch.zeros(num_nodes + 1, dtype=torch.long, device=source.device)
    torch.cumsum(torch.bincount(source, minlength=num_nodes), 0, out=pointer[1:])
    order = torch.sort(_falling(scores), stable=True).indices
    return pointer, order[_order(source[order], num_nodes)]
