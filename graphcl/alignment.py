"""What lies on an edge or a node goes with it: edges and nodes of a graph are chosen together with all they carry.

Everything here changes the store of a graph that is already a copy, by replacing tensors, never by writing into them.
A `Batch` stays a batch: its edges stay grouped by graph, and it can be taken apart again afterwards.

| function | what becomes of the graph |
|---|---|
| `keep_edges` | only the listed edges, with all that PyG knows to be aligned with them |
| `append_edges` | more edges, each with the attributes of an edge there was |
| `arrange_edges` | other edges, each with the attributes of an edge there was |
| `replace_edges` | other edges with nothing but a weight |
| `keep_nodes` | the subgraph on the listed nodes, renumbered |
| `append_nodes` | more nodes, behind those of their graph |
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.storage import BaseStorage

from graphcl.errors import DataError
from graphcl.pieces import PIECE, kept_columns, over_pieces, places_of

__all__ = [
    "append_edges",
    "append_nodes",
    "arrange_edges",
    "graph_of_nodes",
    "is_batch",
    "keep_edges",
    "keep_nodes",
    "node_offsets",
    "plain_edge_index",
    "replace_edges",
    "set_edge_weight",
    "set_node_mask",
]

Graph: TypeAlias = Data | HeteroData


def plain_edge_index(store: BaseStorage) -> Tensor:
    """The edges as a plain tensor: PyG's ``EdgeIndex`` remembers an order that a view need not keep."""
    edges = store["edge_index"]
    return edges.as_tensor() if isinstance(edges, EdgeIndex) else edges


def is_batch(data: Graph, kind: str | None = None) -> bool:
    """Whether the nodes belong to several graphs: a `Batch`, or a graph with a vector ``batch``."""
    store = data if kind is None else data[kind]
    return isinstance(data, Batch) or store.get("batch") is not None


def node_offsets(data: Graph, kind: str | None = None) -> Tensor:
    """Where the nodes of each graph of a batch begin, and N at the end: ``int64 [B + 1]`` (``[0, N]`` for one graph).

    Args:
        data: a graph or a batch, also one that only has the vector ``batch``.
        kind: node type of a heterogeneous graph.

    Raises:
        DataError: ``batch`` is not sorted.
    """
    store = data if kind is None else data[kind]
    n = int(store.num_nodes or 0)
    if not is_batch(data, kind):
        return torch.tensor([0, n], device=_device(data))
    if store.get("ptr") is not None:
        return store["ptr"]
    batch = store["batch"]
    if bool((batch[1:] < batch[:-1]).any()):
        raise DataError("data.batch is not sorted; put the nodes of a graph next to each other")
    graphs = data.num_graphs if isinstance(data, Batch) else int(batch[-1]) + 1 if n else 1
    counts = torch.bincount(batch, minlength=graphs)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def graph_of_nodes(data: Graph, kind: str | None = None) -> Tensor:
    """The graph of each node of a batch, ``int64 [N]``; zeros for one graph."""
    store = data if kind is None else data[kind]
    if is_batch(data, kind) and store.get("batch") is not None:
        return store["batch"]
    offsets = node_offsets(data, kind)
    return torch.repeat_interleave(offsets.diff())


def _device(data: Graph) -> torch.device:
    for store in data.stores:
        for value in store.values():
            if isinstance(value, Tensor):
                return value.device
    return torch.device("cpu")


def _slices(data: Graph, store: BaseStorage) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Where each attribute of a batch is cut into graphs, and what is added to it in each, as copies; else ``None``."""
    if not isinstance(data, Batch) or getattr(data, "_slice_dict", None) is None:
        return None
    slices, added = dict(data._slice_dict), dict(data._inc_dict)
    key = store._key
    if key is not None:
        slices[key], added[key] = dict(slices.get(key, {})), dict(added.get(key, {}))
    data._slice_dict, data._inc_dict = slices, added
    return (slices, added) if key is None else (slices[key], added[key])


def _aligned(data: Graph, store: BaseStorage, with_edges: bool) -> Iterator[tuple[str, Any, int]]:
    """Attributes that lie on the edges (else on the nodes) of a store: name, value, axis.

    PyG decides by name and size. In a batch the cuts between graphs decide, which cannot be mistaken.

    Raises:
        DataError: a batch has a list for each graph with an entry for each edge (node), which cannot be cut.
    """
    cuts = getattr(data, "_slice_dict", None) if isinstance(data, Batch) else None
    if cuts is not None and store._key is not None:
        cuts = cuts.get(store._key, {})
    found = []
    for name, value in store.items():
        # labels of edges to be predicted are no edges
        if name in ("edge_index", "ptr", "num_nodes") or name.startswith("edge_label"):
            continue
        if cuts is not None:
            fits = _cut_like(data, store, cuts, name, value, with_edges)
        elif isinstance(value, (Tensor, np.ndarray, list, tuple)):
            fits = store.is_edge_attr(name) if with_edges else store.is_node_attr(name)
            # the one label of a graph with one edge
            fits = fits and not (with_edges and "edge" not in name and len(value) == 1)
        else:
            fits = False
        if fits:
            axis = data.__cat_dim__(name, value, store) if isinstance(value, (Tensor, np.ndarray)) else 0
            found.append((name, value, axis))
    # all are named before the first of them changes its size, on which PyG's decision hangs
    return iter(found)


def _cut_like(data: Graph, store: BaseStorage, cuts: dict[str, Any], name: str, value: Any, with_edges: bool) -> bool:
    """Whether an attribute of a batch is cut where the edges (the nodes) are."""
    nodes = store["ptr"].cpu() if "ptr" in store else None
    places = cuts.get("edge_index") if with_edges else nodes
    if name == "batch":
        return not with_edges
    if isinstance(value, (list, tuple)) and places is not None and len(value) == places.numel() - 1:
        sizes = places.diff().tolist()
        parts = [part for part in value if isinstance(part, (list, tuple, np.ndarray))]
        if len(parts) == len(sizes) and [len(part) for part in parts] == sizes and any(size > 1 for size in sizes):
            what = "edge" if with_edges else "node"
            raise DataError(
                f"data.{name} is a list for each graph of the batch with an entry for each {what}; "
                "make it a tensor, which a view can cut"
            )
    if not isinstance(value, Tensor) or not isinstance(cuts.get(name), Tensor) or places is None:
        return False
    if not torch.equal(cuts[name], places):
        return False
    other = nodes if with_edges else cuts.get("edge_index")
    if other is not None and torch.equal(other, places) and store._key is None:
        # as many edges as nodes in each graph: PyG decides by the name
        return ("edge" in name) == with_edges
    return True


def _mend_followed(store: BaseStorage, slices: dict[str, Any]) -> None:
    """What ``follow_batch`` made of the cuts of an attribute follows them."""
    for name, cut in slices.items():
        if f"{name}_ptr" in store:
            device = store[f"{name}_ptr"].device
            store[f"{name}_ptr"] = cut.to(device)
            store[f"{name}_batch"] = torch.repeat_interleave(cut.diff()).to(device)


def _taken(value: Any, axis: int, rows: Tensor | None) -> Any:
    assert rows is not None
    if isinstance(value, Tensor):
        return value.index_select(axis, rows)
    if isinstance(value, np.ndarray):
        return np.take(value, rows.cpu().numpy(), axis)
    return type(value)(value[row] for row in rows.tolist())


def _fix_num_nodes(store: BaseStorage, n: int) -> None:
    # the number of nodes must not shrink with the edges that it may have been told by
    if store._key is None and not any(name in store for name in ("x", "pos", "batch", "num_nodes")):
        store["num_nodes"] = n


def keep_edges(
    data: Graph, store: BaseStorage, keep: Tensor, numbers: tuple[Tensor | None, Tensor | None] = (None, None)
) -> None:
    """Keep some edges of a store, in their order, with all that is aligned with them.

    Args:
        data: the graph, a copy.
        store: of ``data.edge_stores``.
        keep: which columns of ``edge_index`` stay: ``bool [E]``, or ascending ``int64``, which is faster for few.
        numbers: for the sources and the targets, new numbers of the nodes by their old ones.
    """
    edges, n = plain_edge_index(store), _nodes_of(store)
    aligned = list(_aligned(data, store, with_edges=True))
    _forget_sampling(store)
    cuts = _slices(data, store)
    if cuts is not None:
        old = cuts[0]["edge_index"]
        if keep.dtype == torch.bool:
            new = torch.cat([torch.zeros(1, dtype=torch.long), keep.cpu().long().cumsum(0)])[old]
        else:
            new = torch.searchsorted(keep.cpu(), old)
        for name in ("edge_index", *(name for name, _, _ in aligned)):
            cuts[0][name] = new
    if keep.dtype == torch.bool:
        # what is plain goes through in pieces, together
        plain = [name for name, value, axis in aligned if _is_plain(value) and axis == 0]
        kept, picked = kept_columns(keep, edges, [store[name] for name in plain], numbers)
        rows = places_of(keep) if len(plain) < len(aligned) else None
    else:
        plain, picked, rows = [], [], keep
        ends = [nodes.index_select(0, keep) for nodes in edges]
        kept = torch.stack([x if number is None else number[x] for x, number in zip(ends, numbers, strict=True)])
    for name, value, axis in aligned:
        store[name] = picked[plain.index(name)] if name in plain else _taken(value, axis, rows)
    store["edge_index"] = kept
    _fix_num_nodes(store, n)
    if cuts is not None:
        _mend_followed(store, cuts[0])


def _is_plain(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.requires_grad


def _nodes_of(store: BaseStorage) -> int:
    return int(store.num_nodes or 0) if store._key is None else 0


def append_edges(data: Graph, store: BaseStorage, added: Tensor, like: Tensor) -> None:
    """Add edges to a store, each with the attributes of one that is there.

    Args:
        data: the graph, a copy.
        store: of ``data.edge_stores``.
        added: ``int64 [2, A]``; in a batch both ends lie in one graph.
        like: ``int64 [A]``: the column of ``edge_index`` whose attributes each new edge gets.
    """
    edges = plain_edge_index(store)
    origin = torch.cat([torch.arange(edges.size(1), device=edges.device), like])
    arrange_edges(data, store, torch.cat([edges, added], 1), origin)


def arrange_edges(data: Graph, store: BaseStorage, edge_index: Tensor, origin: Tensor) -> None:
    """Give a store other edges, each with the attributes of one that was there; a batch gets them grouped by graph.

    Args:
        data: the graph, a copy.
        store: of ``data.edge_stores``.
        edge_index: ``int64 [2, E']``; in a batch both ends of each edge lie in one graph.
        origin: ``int64 [E']``: the column of the old ``edge_index`` whose attributes each edge gets.
    """
    n = _nodes_of(store)
    aligned = list(_aligned(data, store, with_edges=True))
    _forget_sampling(store)
    cuts = _slices(data, store)
    if cuts is not None:
        edge_index, order, new = _grouped(data, store, edge_index)
        origin = origin[order]
        for name in ("edge_index", *(name for name, _, _ in aligned)):
            cuts[0][name] = new
    for name, value, axis in aligned:
        store[name] = _taken(value, axis, origin)
    store["edge_index"] = edge_index
    _fix_num_nodes(store, n)
    if cuts is not None:
        _mend_followed(store, cuts[0])


def _grouped(data: Graph, store: BaseStorage, edge_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of a batch grouped by graph, the order that did it, and where each graph's begin."""
    offsets = node_offsets(data, store._key[0] if store._key is not None else None)
    graph = torch.searchsorted(offsets.to(edge_index.device), edge_index[0].contiguous(), right=True) - 1
    counts = torch.bincount(graph, minlength=offsets.numel() - 1).cpu()
    new = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    order = torch.sort(graph, stable=True).indices
    return edge_index[:, order], order, new


def set_edge_weight(data: Graph, store: BaseStorage, edge_weight: Tensor) -> None:
    """Give the edges of a store a weight each, ``[E]``; a batch can be taken apart with them."""
    cuts = _slices(data, store)
    store["edge_weight"] = edge_weight
    if cuts is not None:
        cuts[0]["edge_weight"] = cuts[0]["edge_index"]
        cuts[1]["edge_weight"] = torch.zeros(cuts[0]["edge_index"].numel() - 1, dtype=torch.long)


def set_node_mask(data: Data, name: str, mask: Tensor) -> None:
    """Give the nodes a new mask ``[N]``; a batch can be taken apart with it."""
    cuts = _slices(data, data._store)
    data[name] = mask
    if cuts is not None:
        cuts[0][name] = node_offsets(data).cpu()
        cuts[1][name] = torch.zeros(data.num_graphs, dtype=torch.long)


def replace_edges(data: Graph, store: BaseStorage, edge_index: Tensor, edge_weight: Tensor | None = None) -> None:
    """Give a store other edges; what lay on the old ones has no meaning for them and goes.

    Args:
        data: the graph, a copy.
        store: of ``data.edge_stores``.
        edge_index: ``int64 [2, E']``; in a batch both ends of each edge lie in one graph.
        edge_weight: ``[E']``.
    """
    n = _nodes_of(store)
    aligned = [name for name, _, _ in _aligned(data, store, with_edges=True)]
    _forget_sampling(store)
    cuts = _slices(data, store)
    for name in aligned:
        del store[name]
    store["edge_index"] = edge_index
    if edge_weight is not None:
        store["edge_weight"] = edge_weight
    _fix_num_nodes(store, n)
    if cuts is not None:
        store["edge_index"], order, new = _grouped(data, store, edge_index)
        for name in aligned:
            cuts[0].pop(name, None)
            cuts[1].pop(name, None)
        cuts[0]["edge_index"] = new
        if cuts[1].get("edge_index") is None:
            # there were no edges: nodes of later graphs count on from those of earlier ones
            ends = [None] if store._key is None else [store._key[0], store._key[2]]
            begins = torch.stack([node_offsets(data, end)[:-1].cpu() for end in ends], 1)
            cuts[1]["edge_index"] = begins[:, 0] if store._key is None else begins[:, :, None]
        _mend_followed(store, cuts[0])
        if edge_weight is not None:
            set_edge_weight(data, store, edge_weight[order])


def _forget_sampling(store: BaseStorage) -> None:
    # how many edges and nodes each hop of a sampler gave is no longer true; layers that trim by it would cut wrongly
    for name in ("num_sampled_edges", "num_sampled_nodes"):
        if name in store:
            del store[name]


def keep_nodes(data: Graph, kept: dict[str | None, Tensor], inside: Tensor | None = None) -> None:
    """The subgraph that some nodes induce, renumbered in their order; each graph of a batch keeps its place.

    Args:
        data: the graph, a copy.
        kept: ascending node ids by node type (``None`` for a graph of one kind of nodes); types left out keep all.
        inside: ascending columns of ``edge_index`` that have both ends among them, where the caller of a graph of one
            kind knows them.

    Raises:
        DataError: another attribute than ``edge_index`` holds node ids, which would point at other nodes afterwards.
    """
    places: dict[str | None, tuple[Tensor, int]] = {}
    for store in data.node_stores:
        rows = kept.get(store._key)
        if rows is not None:
            places[store._key] = (rows, int(store.num_nodes or 0))
    offsets = {key: node_offsets(data, key) for key in places}
    _refuse_node_ids(data, set(places))
    for store in data.node_stores:
        if store._key in places and store.get("batch_size") is not None:
            raise DataError(
                "data.batch_size says that the first nodes are the seeds of a sample, which a choice of nodes would "
                "lose; augment before the loader, or take an augmenter that keeps_nodes"
            )
    for store in data.edge_stores:
        if "edge_index" not in store:
            continue
        ends = (None, None) if store._key is None else (store._key[0], store._key[2])
        if not any(end in places for end in ends):
            continue
        edges = plain_edge_index(store)
        picked = _inside(edges, [places.get(end) for end in ends]) if inside is None else inside
        aligned_nodes = list(_aligned(data, store, with_edges=False)) if store._key is None else []
        first, second = (_numbers(edges, places.get(end)) for end in ends)
        keep_edges(data, store, picked, (first, second))
        if store._key is None:
            _keep_rows(data, store, *places[None], offsets[None], aligned_nodes)
        else:
            _mend_increments(data, store, [(end, places, offsets) for end in ends])
    for store in data.node_stores:
        if store._key is not None and store._key in places:
            aligned_nodes = list(_aligned(data, store, with_edges=False))
            _keep_rows(data, store, *places[store._key], offsets[store._key], aligned_nodes)
    if None in places and data.get("edge_index") is None:
        store = data._store
        _keep_rows(data, store, *places[None], offsets[None], list(_aligned(data, store, with_edges=False)))


def _inside(edges: Tensor, ends: list[tuple[Tensor, int] | None]) -> Tensor:
    """Which edges have both ends among the kept nodes, ``bool [E]``."""
    asked = []
    for place, nodes in zip(ends, edges, strict=True):
        if place is not None:
            table = torch.zeros(place[1], dtype=torch.bool, device=edges.device)
            table[place[0]] = True
            asked.append((table, nodes))
    few = min(place[0].numel() / max(place[1], 1) for place in ends if place is not None) < 0.5
    out = torch.zeros(edges.size(1), dtype=torch.bool, device=edges.device)

    def ask(begin: int, end: int) -> None:
        table, nodes = asked[0]
        alive = table.index_select(0, nodes[begin:end])
        for table, nodes in asked[1:]:
            if few:
                # the second end is asked only where the first one stays
                rows = places_of(alive)
                alive[rows] = table.index_select(0, nodes[begin:end].index_select(0, rows))
            else:
                alive.logical_and_(table.index_select(0, nodes[begin:end]))
        out[begin:end] = alive

    over_pieces(ask, edges.size(1), PIECE if edges.device.type == "cpu" else max(edges.size(1), 1))
    return out


def _numbers(edges: Tensor, place: tuple[Tensor, int] | None) -> Tensor | None:
    """The new number of each node, by its old one."""
    if place is None:
        return None
    rows, n = place
    numbers = torch.empty(n, dtype=torch.long, device=edges.device)
    numbers[rows] = torch.arange(rows.numel(), device=edges.device)
    return numbers


def append_nodes(data: Data, like: Tensor, apart: tuple[str, ...] = ()) -> Tensor:
    """Add nodes to a graph, each with the attributes of one that is there, behind the nodes of its graph in a batch.

    The edges are the caller's business: those of a batch are to be renumbered.

    Args:
        data: the graph, a copy.
        like: ``int64 [A]``: the node whose attributes (and graph) each new node gets.
        apart: attributes that the caller sees to.

    Returns:
        Where each node, old (``0 .. N - 1``) or new (``N .. N + A - 1``), stands now: ``int64 [N + A]``.

    Raises:
        DataError: another attribute than ``edge_index`` holds node ids, and those of a batch change.
    """
    store, n = data._store, int(data.num_nodes or 0)
    aligned = list(_aligned(data, store, with_edges=False))
    rows = torch.cat([torch.arange(n, device=like.device), like])
    place = torch.arange(rows.numel(), device=rows.device)
    cuts = None
    if is_batch(data):
        _refuse_node_ids(data, {None})
        graph = graph_of_nodes(data)[rows]
        order = torch.sort(graph, stable=True).indices
        place[order] = place.clone()
        counts = torch.bincount(graph, minlength=node_offsets(data).numel() - 1)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        rows = rows[order]
        if "ptr" in store:
            store["ptr"] = offsets
        if getattr(store, "_num_nodes", None) is not None:
            store._num_nodes = counts.tolist()
        cuts = _slices(data, store)
        if cuts is not None:
            _cut_nodes(cuts, [name for name, _, _ in aligned], offsets.cpu())
            _mend_followed(store, cuts[0])
    for name, value, axis in aligned:
        if name not in apart:
            store[name] = _taken(value, axis, rows)
    if "num_nodes" in store or not any(name in store for name in ("x", "pos", "batch")):
        store["num_nodes"] = rows.numel()
    return place


def _cut_nodes(cuts: tuple[dict[str, Any], dict[str, Any]], names: list[str], offsets: Tensor) -> None:
    for name in names:
        if name in cuts[0]:
            cuts[0][name] = offsets
    if cuts[1].get("edge_index") is not None:
        cuts[1]["edge_index"] = offsets[:-1].view_as(cuts[1]["edge_index"])


def _refuse_node_ids(data: Graph, kinds: set[str | None]) -> None:
    for store in data.stores:
        for name, value in store.items():
            ids = ("index" in name or name == "face") and name != "edge_index" and isinstance(value, Tensor)
            if ids and kinds and not value.is_floating_point():
                raise DataError(f"data.{name} holds node ids, which a choice of nodes renumbers; take it off first")


def _keep_rows(
    data: Graph, store: BaseStorage, rows: Tensor, n: int, offsets: Tensor, aligned: list[tuple[str, Any, int]]
) -> None:
    cuts = _slices(data, store)
    for name, value, axis in aligned:
        store[name] = _taken(value, axis, rows)
    if "num_nodes" in store or not any(name in store for name in ("x", "pos", "batch")):
        store["num_nodes"] = rows.numel()
    if not isinstance(data, Batch):
        return
    new = torch.searchsorted(rows, offsets.to(rows.device))
    if "ptr" in store:
        store["ptr"] = new
    if getattr(store, "_num_nodes", None) is not None:
        store._num_nodes = new.diff().tolist()
    if cuts is not None:
        slices, increments = cuts
        _cut_nodes((slices, increments if store._key is None else {}), [name for name, _, _ in aligned], new.cpu())
        _mend_followed(store, slices)


def _mend_increments(data: Graph, store: BaseStorage, ends: list[Any]) -> None:
    cuts = _slices(data, store)
    if cuts is None or cuts[1].get("edge_index") is None:
        return
    columns = []
    for row, (end, places, offsets) in enumerate(ends):
        if end in places:
            columns.append(torch.searchsorted(places[end][0], offsets[end]).cpu()[:-1])
        else:
            columns.append(cuts[1]["edge_index"].view(-1, 2)[:, row])
    cuts[1]["edge_index"] = torch.stack(columns, 1).view_as(cuts[1]["edge_index"])
