"""The TU collection (Morris et al., 2020): sets of graphs for graph classification.

Text files whose line numbers are the ids: ``DS_A.txt`` (an edge a line, ids from 1 over all graphs),
``DS_graph_indicator.txt`` (graph of each node), ``DS_graph_labels.txt``, and where there are any
``DS_node_labels.txt``. They are read from the published archive, from its unpacked files, or (COLLAB) from a
compact npz of the same graphs.

Features of a node, the same rule for every set:

* where there are node labels, the label as one-hot (from the smallest to the largest that occurs);
* where there are none, the degree as one-hot, 0 to 100, with all larger degrees in the last column. This is
  the ``odeg100`` of GraphCL (You et al., 2020) without its extra column for the degree itself.

Real-valued node attributes (PROTEINS, ENZYMES) and edge labels (MUTAG) are left out. Self-loops are dropped
and duplicated edges merged, which gives the counts that papers print.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from graphcl.data.arrays import read_arrays, read_table
from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, Layout
from graphcl.errors import DataError

__all__ = [
    "COLLAB",
    "DD",
    "ENZYMES",
    "IMDB_BINARY",
    "IMDB_MULTI",
    "MUTAG",
    "NCI1",
    "PROTEINS",
    "REDDIT_BINARY",
]

_URL = "https://www.chrsmrrs.com/graphkerneldatasets"
_LARGEST_DEGREE = 100
_Part = Callable[[str], np.ndarray]


def _read_text(files: Files, stem: str, labelled: bool) -> list[Data]:
    def part(name: str) -> np.ndarray:
        path = files[f"{stem}_{name}.txt"]
        return read_table(path, str(path))

    return _assemble(part, labelled)


def _read_archive(path: Path, stem: str, labelled: bool) -> list[Data]:
    def part(name: str) -> np.ndarray:
        member = f"{stem}/{stem}_{name}.txt"
        try:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(member)
        except Exception as error:  # a damaged archive fails in many ways inside zipfile and zlib
            raise DataError(f"{path}: cannot read {member} ({type(error).__name__}: {error})") from None
        return read_table(text, f"{path}: {member}")

    return _assemble(part, labelled)


def _read_compact(files: Files) -> list[Data]:
    # an undirected edge u <= v of a graph with n nodes is the code u * n + v; `gap` is the step to the next
    # code
    (path,) = files.values()
    arrays = read_arrays(path, ("gap", "num_edges", "num_nodes", "y"))
    nodes, edges = arrays["num_nodes"].astype(np.int64), arrays["num_edges"].astype(np.int64)
    if edges.sum() != arrays["gap"].size or nodes.size != edges.size or nodes.size != arrays["y"].size:
        raise DataError(f"{path}: the arrays do not belong together")
    code = np.cumsum(arrays["gap"], dtype=np.int64)
    before = np.concatenate([[0], code])[np.cumsum(edges) - edges]
    code -= np.repeat(before, edges)
    width = np.repeat(nodes, edges)
    first = np.repeat(np.cumsum(nodes) - nodes, edges)
    low, high = np.divmod(code, width)
    low, high = low + first, high + first
    return _graphs(np.concatenate([low, high]), np.concatenate([high, low]), nodes, arrays["y"].astype(np.int64), None)


def _assemble(part: _Part, labelled: bool) -> list[Data]:
    owner = part("graph_indicator")[:, 0] - 1
    edges = part("A") - 1
    y = part("graph_labels")[:, 0]
    if edges.shape[1] != 2:
        raise DataError(f"DS_A.txt has {edges.shape[1]} columns, expected source and target")
    if owner[0] != 0 or np.any((steps := np.diff(owner)) < 0) or np.any(steps > 1) or owner[-1] + 1 != y.size:
        raise DataError("DS_graph_indicator.txt does not number the graphs of DS_graph_labels.txt in order")
    if edges.min() < 0 or edges.max() >= owner.size:
        raise DataError(f"DS_A.txt names node {edges.max() + 1} of {owner.size}")
    if np.any(owner[edges[:, 0]] != owner[edges[:, 1]]):
        raise DataError("DS_A.txt joins nodes of different graphs")
    labels = part("node_labels")[:, 0] if labelled else None
    if labels is not None and labels.size != owner.size:
        raise DataError(f"DS_node_labels.txt has {labels.size} lines for {owner.size} nodes")
    return _graphs(edges[:, 0], edges[:, 1], np.bincount(owner), np.unique(y, return_inverse=True)[1], labels)


def _graphs(
    source: np.ndarray, target: np.ndarray, nodes: np.ndarray, y: np.ndarray, labels: np.ndarray | None
) -> list[Data]:
    """Cut one numbering over all graphs into graphs: edges sorted, merged and without self-loops."""
    total = int(nodes.sum())
    key = np.sort((source * total + target)[source != target])
    if key.size:
        key = key[np.concatenate([[True], key[1:] != key[:-1]])]
    source = key // total
    target = key - source * total
    ends = np.cumsum(nodes)
    cuts = np.searchsorted(source, ends)
    if labels is None:
        value, width = np.minimum(np.bincount(source, minlength=total), _LARGEST_DEGREE), _LARGEST_DEGREE + 1
    else:
        value, width = labels - labels.min(), int(labels.max() - labels.min()) + 1
    graphs = []
    # NumPy, because torch starts its threads for each of thousands of small arrays
    for number, (end, count) in enumerate(zip(ends.tolist(), nodes.tolist(), strict=True)):
        begin = end - count
        some = slice(cuts[number - 1] if number else 0, cuts[number])
        x = np.zeros((count, width), dtype=np.float32)
        x[np.arange(count), value[begin:end]] = 1
        graphs.append(
            Data(
                x=torch.from_numpy(x),
                edge_index=torch.from_numpy(np.stack([source[some], target[some]]) - begin),
                y=torch.tensor([int(y[number])]),
            )
        )
    return graphs


def _spec(
    name: str,
    counts: Counts,
    content: str | None,
    note: str,
    *,
    labelled: bool = False,
    reordered: bool = False,
    compact: bool = False,
    source: str = "https://chrsmrrs.github.io/datasets",
    traps: tuple[str, ...] = (),
) -> DatasetSpec:
    stem = name.upper()

    def text(files: Files) -> list[Data]:
        return _read_text(files, stem, labelled)

    def archive(files: Files) -> list[Data]:
        return _read_archive(files[f"{stem}.zip"], stem, labelled)

    parts = ("A", "graph_indicator", "graph_labels", *(("node_labels",) if labelled else ()))
    unpacked = tuple(raw_file(f"TUDataset/{stem}/raw/{stem}_{part}.txt") for part in parts)
    layouts = [
        # not below zips/, where a copy in another order may lie under the same name
        Layout(archive, (raw_file(f"TUDataset/{stem}/{stem}.zip", f"{_URL}/{stem}.zip"),), not reordered),
        Layout(text, unpacked, not reordered),
        Layout(archive, (raw_file(f"TUDataset/zips/{stem}.zip"),)),
    ]
    if compact:
        layouts.append(Layout(_read_compact, (raw_file(f"TUDataset/compact/{stem}.npz"),)))
    order = (
        "the copy read for this card was converted from the adjacency lists of yeweiysh/IHGNN and may list "
        "the graphs in another order than the TU archive, which is accepted too: fingerprint and folds may "
        "differ"
    )
    return DatasetSpec(
        name=name,
        title=stem,
        level="graph",
        layouts=tuple(layouts),
        counts=counts,
        content=content,
        citation=(
            "Morris, Kriege, Bause, Kersting, Mutzel & Neumann, TUDataset: a collection of benchmark "
            "datasets for learning with graphs, ICML workshop 2020"
        ),
        source=source,
        note=f"{note}; features {'the node label' if labelled else 'the degree up to 100'} as one-hot",
        default_split="folds-10",
        traps=(*traps, *((order,) if reordered else ())),
    )


_SOCIAL = "nodes have no features of their own: numbers depend on what stands in for them"
_ISOMORPHIC = "many graphs of it are isomorphic to each other, also across folds (Ivanov et al., 2019)"

MUTAG = _spec(
    "mutag",
    Counts(3371, 7442, 7, 2, 188),
    "16794071fe380543",
    "graphs are molecules, nodes atoms, edges bonds (kinds of bond left out), labels mutagenic or not",
    labelled=True,
    traps=("188 graphs: a fold tests on 18 or 19, so one graph is 5 points of accuracy",),
)
PROTEINS = _spec(
    "proteins",
    Counts(43471, 162088, 3, 2, 1113),
    "7b3cdcb2f7aafe2d",
    "graphs are proteins, nodes parts of the secondary structure, edges nearness, labels enzyme or not",
    labelled=True,
    traps=("the length attribute is left out, as in the usual loader's default; with it numbers differ",),
)
ENZYMES = _spec(
    "enzymes",
    Counts(19580, 74564, 3, 6, 600),
    "5a3cc2b61468d762",
    "graphs are enzymes, nodes parts of the secondary structure, edges nearness, labels the class of reaction",
    labelled=True,
    traps=("the 18 attributes are left out, as in the usual loader's default; with them numbers are far higher",),
)
NCI1 = _spec(
    "nci1",
    Counts(122747, 265506, 37, 2, 4110),
    "1de1e8e237ec198f",
    "graphs are molecules, nodes atoms, edges bonds, labels active against lung cancer cells or not",
    labelled=True,
)
DD = _spec(
    "dd",
    Counts(334925, 1686092, 89, 2, 1178),
    "83d91b64e15533ba",
    "graphs are proteins, nodes amino acids, edges nearness below 6 Angstrom, labels enzyme or not",
    labelled=True,
    reordered=True,
)
IMDB_BINARY = _spec(
    "imdb-binary",
    Counts(19773, 193062, 101, 2, 1000),
    "0701844b01c70b4b",
    "graphs are the circles around actors, nodes actors, edges a joint film, labels the genre",
    traps=(_SOCIAL, _ISOMORPHIC),
)
IMDB_MULTI = _spec(
    "imdb-multi",
    Counts(19502, 197806, 101, 3, 1500),
    "4bc84b03d4ac799d",
    "graphs are the circles around actors, nodes actors, edges a joint film, labels the genre",
    traps=(_SOCIAL, _ISOMORPHIC),
)
COLLAB = _spec(
    "collab",
    Counts(372474, 24572158, 101, 3, 5000),
    "632b1bb11d7421f5",
    "graphs are the circles around researchers, nodes researchers, edges a joint paper, labels the field of physics",
    reordered=True,
    compact=True,
    traps=(_SOCIAL,),
)
REDDIT_BINARY = _spec(
    "reddit-binary",
    Counts(859254, 1991016, 101, 2, 2000),
    "227e1c5f5bc17b36",
    "graphs are discussions, nodes users, edges an answer, labels the kind of forum",
    reordered=True,
    traps=(_SOCIAL, "GIN and InfoGraph give every node the same constant feature here, not its degree"),
)
