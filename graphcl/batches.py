"""What a training loop walks over: plain iterables of graphs, started anew each epoch."""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch_geometric.data import Batch, Data

from graphcl.errors import RequestError
from graphcl.seeding import draw_order

__all__ = ["FullGraph", "GraphBatches"]


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


class GraphBatches:
    """Graphs in a new random order each epoch, ``size`` of them in a batch; the last batch holds what is left.

    A last batch of a single graph is joined to the one before it: contrastive losses compare graphs with each other.

    Args:
        graphs: at least one.
        size: graphs in a batch.
        generator: draws the orders.
        device: where the batches live.

    Example:
        >>> graphs = [Data(x=torch.full((2, 1), float(i)), edge_index=torch.zeros(2, 0).long()) for i in range(5)]
        >>> [batch.num_graphs for batch in GraphBatches(graphs, 2, torch.Generator().manual_seed(0))]
        [2, 3]
    """

    def __init__(
        self,
        graphs: Sequence[Data],
        size: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        if not graphs or size < 1:
            raise RequestError(f"{len(graphs)} graphs in batches of {size}: both should be 1 or more")
        self.graphs = graphs
        self.size = size
        self.generator = generator
        self.device = device

    def __len__(self) -> int:
        full, left = divmod(len(self.graphs), self.size)
        return max(1, full + (left > 1 or (left == 1 and self.size == 1)))

    def __iter__(self) -> Iterator[Data]:
        order = draw_order(len(self.graphs), generator=self.generator, device=torch.device("cpu")).tolist()
        for number in range(len(self)):
            end = len(order) if number + 1 == len(self) else (number + 1) * self.size
            chosen = [self.graphs[i] for i in order[number * self.size : end]]
            yield Batch.from_data_list(chosen).to(self.device)
