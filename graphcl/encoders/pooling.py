"""From the nodes of graphs to one vector for each graph."""

from typing import Literal, TypeAlias

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import scatter

from graphcl.alignment import graph_of_nodes, node_offsets

__all__ = ["Readout", "readout"]

Readout: TypeAlias = Literal["sum", "mean", "max"]


def readout(nodes: Tensor, batch: Data, kind: Readout = "sum") -> Tensor:
    r"""Sum, mean or maximum of a graph's node embeddings.

    .. math:: s_g = \sum_{v \in g} h_v, \qquad s_g = \tfrac{1}{|g|} \sum_{v \in g} h_v, \qquad
              s_{gk} = \max_{v \in g} h_{vk}

    Args:
        nodes: ``[N, D]``.
        batch: the graphs, a PyG ``Batch``; a single graph counts as one.
        kind: ``sum``, ``mean`` or ``max``.

    Returns:
        ``[B, D]``, also for graphs without nodes, which read 0.

    Reference:
        Xu et al., How powerful are graph neural networks?, ICLR 2019, section 5: of the three only the sum tells
        multisets apart.

    Example:
        >>> import torch
        >>> graphs = Data(batch=torch.tensor([0, 0, 1]), num_nodes=3)
        >>> readout(torch.tensor([[1.0], [2.0], [5.0]]), graphs, "sum").tolist()
        [[3.0], [5.0]]
    """
    graphs = node_offsets(batch).numel() - 1
    return scatter(nodes, graph_of_nodes(batch), 0, dim_size=graphs, reduce=kind)
