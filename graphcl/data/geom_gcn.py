"""The raw form of Geom-GCN (Pei et al., 2020): WebKB, two Wikipedia graphs and Actor, each with ten splits.

Two tab-separated files with a title line each: ``out1_graph_edges.txt`` (source, target) and
``out1_node_feature_label.txt`` (node, features, label), where the features are the row of the matrix, or for
Actor the list of its non-zero columns. The split files are called ``0.6_0.2`` but hold about 48 / 32 / 20 %.
"""

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphcl.data.arrays import read_arrays, read_table
from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, FixedSplit, Graphs, Layout
from graphcl.data.splits import Triple
from graphcl.errors import DataError

__all__ = ["ACTOR", "CHAMELEON", "CORNELL", "SQUIRREL", "TEXAS", "WISCONSIN", "geom_gcn_split", "read_masks"]

_SOURCE = "https://github.com/graphdml-uiuc-jlu/geom-gcn"
_SOURCE_OF_FIRST_AUTHOR = "https://github.com/bingzhewei/geom-gcn"
_EDGES, _NODES = "out1_graph_edges.txt", "out1_node_feature_label.txt"


def read_masks(files: Files, names: list[str]) -> tuple[Triple, ...]:
    """Triples from npz files with the keys ``train_mask``, ``val_mask`` and ``test_mask``."""
    keys = ("train_mask", "val_mask", "test_mask")
    archives = [read_arrays(files[name], keys) for name in names]
    return tuple(Triple.of_masks(*(torch.from_numpy(masks[key]) for key in keys)) for masks in archives)


def geom_gcn_split(folder: str, stem: str) -> FixedSplit:
    """The ten published splits of one data set.

    Args:
        folder: where the files lie below a mirror.
        stem: ``cora`` for ``cora_split_0.6_0.2_0.npz``.
    """
    names = [f"{stem}_split_0.6_0.2_{number}.npz" for number in range(10)]

    def read(found: Files, graph: Graphs) -> tuple[Triple, ...]:
        return read_masks(found, names)

    return FixedSplit(
        read, tuple(raw_file(f"{folder}/{name}", f"{_SOURCE}/raw/master/splits/{name}") for name in names)
    )


def _read(files: Files, index_lists: bool = False) -> Data:
    edges = torch.from_numpy(read_table(files[_EDGES], str(files[_EDGES]), header=1))
    if edges.size(1) != 2:
        raise DataError(f"{files[_EDGES]}: {edges.size(1)} columns, expected source and target")
    nodes, x, y = (_index_lists if index_lists else _matrix)(files[_NODES])
    if not np.array_equal(np.sort(nodes), np.arange(nodes.size)):
        raise DataError(f"{files[_NODES]}: the nodes are not numbered 0..{nodes.size - 1}, each once")
    order = torch.from_numpy(np.argsort(nodes))
    return Data(
        x=torch.from_numpy(x)[order],
        edge_index=coalesce(edges.t().contiguous(), num_nodes=nodes.size),
        y=torch.from_numpy(y)[order],
    )


def _matrix(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = read_table(path, str(path), header=1, dtype=np.float32)
    if table.shape[1] < 3:
        raise DataError(f"{path}: {table.shape[1]} columns, expected node, features and label")
    return table[:, 0].astype(np.int64), np.ascontiguousarray(table[:, 1:-1]), table[:, -1].astype(np.int64)


def _index_lists(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()[1:] if line.strip()]
    if not rows or any(len(row) != 3 for row in rows):
        raise DataError(f"{path}: expected lines of node, list of words and label")
    words = [[int(word) for word in row[1].split(",") if word] for row in rows]
    x = np.zeros((len(rows), max(max(some, default=-1) for some in words) + 1), dtype=np.float32)
    x[
        np.repeat(np.arange(len(rows)), [len(some) for some in words]),
        [word for some in words for word in some],
    ] = 1
    return np.array([int(row[0]) for row in rows]), x, np.array([int(row[2]) for row in rows])


def _read_matrix(files: Files) -> Data:
    return _read(files)


def _read_lists(files: Files) -> Data:
    return _read(files, index_lists=True)


_LEAK = (
    "duplicated pages leak between training and test part (Platonov et al., 2023); claims belong on the "
    "filtered version, {}-filtered"
)
_ONE_PAGE = "one class has a single page, so no random split can hold it in every part"
_SMALL = "under 300 nodes: the spread over the ten splits is several points of accuracy"


def _spec(
    name: str,
    title: str,
    folder: str,
    counts: Counts,
    content: str,
    note: str,
    traps: tuple[str, ...],
    stem: str | None = None,
    source: str = _SOURCE,
) -> DatasetSpec:
    stem = stem or name
    url = f"{source}/raw/master/new_data/{stem}"
    return DatasetSpec(
        name=name,
        title=title,
        layouts=(
            Layout(
                _read_lists if name == "actor" else _read_matrix,
                tuple(raw_file(f"{folder}/{file}", f"{url}/{file}") for file in (_EDGES, _NODES)),
            ),
        ),
        counts=counts,
        content=content,
        citation="Pei, Wei, Chang, Lei & Yang, Geom-GCN: geometric graph convolutional networks, ICLR 2020",
        source=source,
        note=note,
        splits={"geom-gcn": geom_gcn_split(folder, stem)},
        default_split="geom-gcn",
        directed=True,
        traps=traps,
    )


_WEB = (
    "nodes are pages of a university's computer science department, edges links, features words, labels the "
    "kind of page"
)
_WIKIPEDIA = (
    "nodes are Wikipedia pages, edges links, features nouns of the page, labels the monthly traffic in five classes"
)
_FEATURES = (
    "in the copy whose checksum is listed the features were written out again from the release of Platonov "
    "et al.; edges and splits are the files of Geom-GCN"
)

TEXAS = _spec(
    "texas",
    "Texas",
    "WebKB/texas/raw",
    Counts(183, 325, 1703, 5),
    "88bfeada7abc86cf",
    _WEB,
    (_ONE_PAGE, _SMALL),
)
WISCONSIN = _spec(
    "wisconsin",
    "Wisconsin",
    "WebKB/wisconsin/raw",
    Counts(251, 515, 1703, 5),
    "79522e765c75531d",
    _WEB,
    (_SMALL,),
)
CORNELL = _spec(
    "cornell",
    "Cornell",
    "WebKB/cornell/raw",
    Counts(183, 298, 1703, 5),
    "77539c0615cbb40b",
    _WEB,
    (
        _SMALL,
        "graphdml-uiuc-jlu/geom-gcn, from which most loaders download, holds the features and labels of "
        "Texas in the place of Cornell's, beside another list of 298 edges; these are the files of the first "
        "author's repository, which equal the release of Platonov et al., and published numbers for "
        "Cornell may be on either",
    ),
    source=_SOURCE_OF_FIRST_AUTHOR,
)
CHAMELEON = _spec(
    "chameleon",
    "Chameleon",
    "WikipediaNetwork/chameleon/geom_gcn/raw",
    Counts(2277, 36101, 2325, 5),
    "e06734a13ea9e270",
    f"{_WIKIPEDIA}; {_FEATURES}",
    (_LEAK.format("chameleon"),),
)
SQUIRREL = _spec(
    "squirrel",
    "Squirrel",
    "WikipediaNetwork/squirrel/geom_gcn/raw",
    Counts(5201, 217073, 2089, 5),
    "f69e1fa0cb829017",
    f"{_WIKIPEDIA}; {_FEATURES}",
    (_LEAK.format("squirrel"),),
)
ACTOR = _spec(
    "actor",
    "Actor",
    "Actor/raw",
    Counts(7600, 30019, 932, 5),
    "342c63dc5779f5d3",
    "nodes are actors, edges co-occurrence on a Wikipedia page, features words of the page, labels five "
    "groups of such words",
    (
        "next to no signal in the edges: in published comparisons a multi-layer perceptron on the features "
        "does as well as most graph methods",
    ),
    stem="film",
)
