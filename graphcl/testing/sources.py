"""The contract of feature sources."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.errors import DataError
from graphcl.features.source import FeatureSource
from graphcl.testing.promises import Promises, check_config, leaves_global_random_state, same_graph

__all__ = ["check_source", "moved_texts", "sample_texts"]

_SAID = (
    "Graphs learn from their neighbours. Contrast makes them differ.",
    "A probe reads the labels off; nothing else is trained.",
    "Contrast of graphs: two views of one graph, e.g. without some edges.",
    "The labels of a graph are read by a probe. Views are not.",
    "Neighbours of neighbours learn as well.",
    "Edges and views of edges, and the graphs of their neighbours.",
    "A probe without labels learns nothing from views.",
    "Two graphs differ in their edges; their labels are one.",
)


def sample_texts() -> Data:
    """A graph of eight nodes that say something, with labels and masks that no source may read."""
    forth = torch.arange(7)
    edges = torch.stack([forth, forth + 1])
    return Data(
        x=torch.ones(8, 1),
        edge_index=torch.cat([edges, edges.flip(0)], 1),
        y=torch.arange(8) % 2,
        train_mask=torch.arange(8) < 4,
        text=list(_SAID),
        node_ids=[f"n{number}" for number in range(8)],
    )


def moved_texts(data: Data, order: Sequence[int]) -> Data:
    """The same nodes under other numbers: what is node ``order[i]`` becomes node i."""
    place = torch.empty(len(order), dtype=torch.long)
    place[list(order)] = torch.arange(len(order))
    return Data(
        edge_index=place[data.edge_index],
        text=[data.text[node] for node in order],
        node_ids=[data.node_ids[node] for node in order],
        num_nodes=len(order),
    )


def check_source(source: FeatureSource) -> list[str]:
    """A row for each node by what it says; deterministic, blind to labels, free of side effects.

    Args:
        source: an instance that can make features of `sample_texts`.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.features import BagOfWords
        >>> "labels and masks are not read" in check_source(BagOfWords(least=1))
        True
    """
    promises = Promises(source)
    promises.kept += check_config(source)
    data = sample_texts()
    before = copy.deepcopy(data)
    found: list[Tensor] = []
    silent = leaves_global_random_state(lambda: found.append(source(data)))
    (x,) = found
    promises.require(
        x.dim() == 2 and x.size(0) == 8 and x.dtype == torch.float32, "a row of float32 for each node", x.shape
    )
    promises.require(silent, "the global random state stays as it was")
    promises.require(same_graph(data, before) and data.text == before.text, "the graph is never changed")
    promises.require(torch.equal(source(data), x), "the same graph gives the same bits")
    blind = Data(edge_index=data.edge_index, text=data.text, node_ids=data.node_ids, num_nodes=8)
    promises.require(torch.equal(source(blind), x), "labels and masks are not read")

    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    moved = moved_texts(data, order.tolist())
    promises.require(torch.allclose(source(moved), x[order], atol=1e-5), "renumbering the nodes renumbers the rows")
    fewer = Data(edge_index=torch.empty(2, 0, dtype=torch.long), text=list(_SAID[:3]), num_nodes=4)
    try:
        source(fewer)
    except DataError:
        promises.kept.append("texts that do not fit the nodes are refused")
    else:
        promises.require(False, "texts that do not fit the nodes are refused")
    described = source.describe()
    promises.require(described.get("source") == type(source).__name__, "says what it is")
    return promises.kept
