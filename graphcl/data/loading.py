"""From a name to a graph and a split: the one way data enters."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphcl.catalogue import entries, find
from graphcl.data.spec import DatasetSpec, Files, Graphs, Layout, RawFile
from graphcl.data.splits import RANDOM, Split, Triple, draw, is_random
from graphcl.data.store import describe_mismatch, locate, obtain, set_aside, sha256
from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.graph import check_graph, fingerprint
from graphcl.pieces import one_thread

__all__ = ["all_datasets", "find_dataset", "labels", "load", "open_dataset", "split_names"]


def find_dataset(name: str) -> DatasetSpec:
    """The facts about a data set by name.

    Raises:
        UnknownNameError: with the nearest known name.
        RequestError: the name of an interaction set, which is no graph with labels.
    """
    if name not in entries("datasets") and name in entries("interactions"):
        raise RequestError(
            f"'{name}' is an interaction set, no graph: take graphcl.data.load_interactions('{name}') instead"
        )
    return find("datasets", name)


def split_names(spec: DatasetSpec) -> list[str]:
    """The splits this data set can be loaded with (``few-K``: any K; random ones also with ``xN`` behind)."""
    random = [name for name in RANDOM if name.startswith("folds-") == (spec.level == "graph")]
    return [*spec.splits, *random, "few-K"]


def labels(graphs: Graphs) -> Tensor:
    """Labels ``int64 [N]`` of a graph's nodes or of a list of graphs.

    Raises:
        DataError: there are none, or not one whole number from -1 up for each node (or graph).
    """
    if isinstance(graphs, Data):
        if graphs.y is None:
            raise DataError("the graph has no labels; set data.y to an int64 tensor [N] (-1 for unlabelled nodes)")
        y = graphs.y
        rows = graphs.num_graphs if isinstance(graphs, Batch) else int(graphs.num_nodes or 0)
    else:
        if any(graph.y is None for graph in graphs):
            raise DataError("a graph of the list has no label; set graph.y to an int64 tensor [1]")
        y, rows = torch.cat([graph.y.view(-1) for graph in graphs]), len(graphs)
    if y.is_floating_point() or y.dim() != 1:
        raise DataError(f"labels are {y.dtype} {list(y.shape)}; make them an int64 vector of class numbers")
    if y.numel() != rows:
        raise DataError(f"{y.numel()} labels for {rows} {'nodes' if isinstance(graphs, Data) else 'graphs'}; one each")
    if rows and int(y.min()) < -1:
        raise DataError(f"labels go down to {int(y.min())}; classes count from 0, and -1 marks what has none")
    return y.long()


def open_dataset(name: str) -> tuple[DatasetSpec, Graphs, Files]:
    """Read a data set, checked against what is known of it.

    Args:
        name: catalogue name.

    Returns:
        The facts, the graph (or list of graphs), and the raw files used.

    Raises:
        UnknownNameError: no such data set.
        DataError: files missing with no way to get them, corrupt, or with another content than the stated
            one.
    """
    spec = find_dataset(name)
    layout, files = locate(spec)
    unproven = unproven_among(layout.files, files)
    try:
        graphs = layout.read(files)
        _check_content(spec, graphs)
    except MemoryError:
        raise
    except Exception as error:  # raw formats break in many ways; whatever it is, the file is to blame
        raise refusal(name, files, unproven, error) from error
    if unproven:
        _accept_by_content(spec, layout, graphs, files, unproven)
    return spec, graphs, files


def unproven_among(files: Sequence[RawFile], found: Files) -> list[RawFile]:
    """The files whose checksum is not among the accepted ones."""
    return [file for file in files if sha256(found[file.name]) not in file.sha256]


def _accept_by_content(
    spec: DatasetSpec, layout: Layout, graphs: Graphs, files: Files, unproven: list[RawFile]
) -> None:
    if spec.content is not None and layout.comparable:
        found = fingerprint(graphs)
        if found != spec.content:
            reason = DataError(f"the graph read from it has fingerprint {found}, expected {spec.content}")
            raise refusal(spec.name, files, unproven, reason)
    elif any(file.sha256 for file in unproven):
        raise refusal(spec.name, files, unproven, DataError("no fingerprint on record to compare the content with"))


def refusal(name: str, files: Files, unproven: Sequence[RawFile], error: Exception) -> DataError:
    """The error for files that could not be read as what they should be; one in the cache is set aside.

    Args:
        name: of the data set.
        files: all of its files.
        unproven: those of them whose checksum is not known.
        error: what went wrong in reading or checking.
    """
    reason = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
    if not unproven:
        return DataError(reason if reason.startswith((f"{name}:", f"{name}[")) else f"{name}: {reason}")
    # the file the reader complained about, else one that is known to differ, else any that is not known
    guilty = max(unproven, key=lambda file: (str(files[file.name]) in reason, bool(file.sha256)))
    path = files[guilty.name]
    described = describe_mismatch(path, guilty)
    return DataError(f"{name}: {described}; {set_aside(path)} ({reason})")


def _check_content(spec: DatasetSpec, graphs: Graphs) -> None:
    members = [graphs] if isinstance(graphs, Data) else graphs
    if isinstance(graphs, Data):
        check_graph(graphs, spec.name)
    else:
        with one_thread():
            for number, graph in enumerate(graphs):
                check_graph(graph, f"{spec.name}[{number}]")
    if spec.counts is None:
        return
    y = labels(graphs)
    expected = spec.counts
    found = {
        "nodes": sum(int(graph.num_nodes or 0) for graph in members),
        "edges": sum(int(graph.num_edges) for graph in members),
        "features": members[0].num_node_features,
        "classes": int(y[y >= 0].unique().numel()),
        "graphs": expected.graphs and len(members),
    }
    for what, number in found.items():
        if number != getattr(expected, what):
            raise DataError(f"{spec.name}: read {number} {what}, expected {getattr(expected, what)}")


def load(name: str, split: str | None = None, seed: int = 0) -> tuple[Graphs, Split]:
    """A data set and a split of it, by name.

    Looked for in the folders of ``GRAPHCL_MIRROR``, then in the cache, then downloaded. Embedded sets
    (``karate``, ``digits-knn``, ``csbm-homophilic``, ``csbm-heterophilic``, ``python-stdlib``,
    ``python-packages``) need nothing.

    Args:
        name: catalogue name (``graphcl data ls``).
        split: a split of `split_names`; ``None`` takes the data set's default.
        seed: draws the split where it is a random one.

    Returns:
        The graph (``Data``, or a list of ``Data`` at graph level) and the `Split`.

    Raises:
        UnknownNameError: no such data set or split.
        DataError: the files cannot be had or are not what they should be.

    Example:
        >>> data, split = load("karate", split="few-4")
        >>> data.num_nodes, split.triples[0].train.numel()
        (34, 8)
    """
    spec = find_dataset(name)
    wanted = split or spec.default_split
    # refused before any file is read or fetched
    if wanted not in spec.splits and not is_random(wanted):
        raise UnknownNameError(f"split of {name}", wanted, split_names(spec))
    spec, graphs, files = open_dataset(name)
    if wanted not in spec.splits:
        return graphs, draw(wanted, labels(graphs), seed)
    fixed = spec.splits[wanted]
    extra = obtain(fixed.files, name)
    unproven = unproven_among(fixed.files, extra)
    if any(file.sha256 for file in unproven):
        raise refusal(name, extra, unproven, DataError("a split file has no content to judge it by"))
    try:
        triples = fixed.read({**files, **extra}, graphs)
        y = labels(graphs)
        made = Split(
            wanted,
            _labelled_only(triples, y),
            f"published with the data set ({len(triples)} fixed)",
            published=True,
        )
        return graphs, made.check(y)
    except Exception as error:
        raise refusal(name, extra, unproven, error) from error


def _labelled_only(triples: Iterable[Triple], y: Tensor) -> tuple[Triple, ...]:
    # published masks may cover unlabelled rows, which nothing can be learnt from or scored on
    def kept(index: Tensor) -> Tensor:
        return index[(index >= y.numel()) | (y[index.clamp(max=y.numel() - 1)] >= 0)]

    return tuple(Triple(*(kept(part) for part in (triple.train, triple.val, triple.test))) for triple in triples)


def all_datasets() -> dict[str, DatasetSpec]:
    """Every data set known, by name."""
    return entries("datasets")
