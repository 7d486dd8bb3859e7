"""What a training loop walks over: plain iterables of graphs, started anew each epoch."""

import copy
from collections.abc import Iterator

import torch
from torch_geometric.data import Data

__all__ = ["FullGraph"]


class FullGraph:
    """One batch an epoch: the whole graph.

    Args:
        data: the graph.
        device: where the batch lives.

    Example:
        >>> g = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> [batch.num_nodes for batch in FullGraph(g)]
        [2]
    """

    def __init__(self, data: Data, device: torch.device | str = "cpu") -> None:
        # PyG moves a graph in place: a copy moves, the caller's stays where it is
        self.data = copy.copy(data).to(device)

    def __iter__(self) -> Iterator[Data]:
        yield self.data

    def __len__(self) -> int:
        return 1
