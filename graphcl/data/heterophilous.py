"""The heterophilous graphs of Platonov et al. (2023), with their ten official splits.

One npz archive a data set: ``node_features``, ``node_labels``, ``edges`` (each undirected edge once),
``train_masks``, ``val_masks`` and ``test_masks`` (ten rows each, 50 / 25 / 25 %; for the filtered Wikipedia
graphs 48 / 32 / 20 %).
"""

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphcl.data.arrays import read_arrays
from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, FixedSplit, Graphs, Layout
from graphcl.data.splits import Triple
from graphcl.errors import DataError

__all__ = [
    "AMAZON_RATINGS",
    "CHAMELEON_FILTERED",
    "MINESWEEPER",
    "QUESTIONS",
    "ROMAN_EMPIRE",
    "SQUIRREL_FILTERED",
    "TOLOKERS",
]

_URL = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data"


def _read(files: Files) -> Data:
    (path,) = files.values()
    arrays = read_arrays(path, ("node_features", "node_labels", "edges"))
    edges = torch.from_numpy(arrays["edges"].astype(np.int64))
    if edges.dim() != 2 or edges.size(1) != 2:
        raise DataError(f"{path}: edges have shape {list(edges.shape)}, expected pairs")
    x = torch.from_numpy(arrays["node_features"].astype(np.float32))
    return Data(
        x=x,
        edge_index=to_undirected(edges.t().contiguous(), num_nodes=x.size(0)),
        y=torch.from_numpy(arrays["node_labels"].astype(np.int64)),
    )


def _official(files: Files, graph: Graphs) -> tuple[Triple, ...]:
    (path,) = files.values()
    masks = read_arrays(path, ("train_masks", "val_masks", "test_masks"))
    rows = zip(
        *(torch.from_numpy(masks[f"{part}_masks"].astype(bool)) for part in ("train", "val", "test")),
        strict=True,
    )
    return tuple(Triple.of_masks(*row) for row in rows)


def _spec(
    name: str,
    counts: Counts,
    content: str | None,
    note: str,
    *,
    auc: bool = False,
    traps: tuple[str, ...] = (),
) -> DatasetSpec:
    stem = name.replace("-", "_")
    path = f"HeterophilousGraph/{stem}/raw/{stem}.npz"
    return DatasetSpec(
        name=name,
        title=name.capitalize(),
        layouts=(Layout(_read, (raw_file(path, f"{_URL}/{stem}.npz"),)),),
        counts=counts,
        content=content,
        licence="MIT (repository of the raw files)",
        citation=(
            "Platonov, Kuznedelev, Diskin, Babenko & Prokhorenkova, A critical look at the evaluation of "
            "GNNs under heterophily: are we really making progress?, ICLR 2023"
        ),
        source="https://github.com/yandex-research/heterophilous-graphs",
        note=note,
        splits={"official": FixedSplit(_official)},
        default_split="official",
        metric="auc" if auc else "acc",
        traps=traps,
    )


_FILTERED = (
    "nodes are Wikipedia pages without the duplicates, edges links made undirected, features nouns of the "
    "page, labels the monthly traffic in five classes"
)
_NOT_COMPARABLE = (
    "numbers are not comparable with those of {}, whose duplicated pages leak and whose links are directed"
)

ROMAN_EMPIRE = _spec(
    "roman-empire",
    Counts(22662, 65854, 300, 18),
    None,
    "nodes are the words of one article, edges their order and syntax, features word vectors, labels the "
    "syntactic role",
    traps=(
        "close to a chain: average degree 2.9 and diameter near 7,000, so a deep or global filter has an advantage",
    ),
)
AMAZON_RATINGS = _spec(
    "amazon-ratings",
    Counts(24492, 186100, 300, 5),
    None,
    "nodes are goods, edges 'often bought together', features word vectors of the description, labels the mean rating",
)
MINESWEEPER = _spec(
    "minesweeper",
    Counts(10000, 78804, 7, 2),
    "64977adf0df5eb0a",
    "nodes are cells of a 100 x 100 grid, edges neighbouring cells, features the number of mines around as "
    "one-hot (hidden for half of the cells), labels whether the cell holds a mine (20 %)",
    auc=True,
    traps=("synthetic; a cell and its neighbour are no more alike than by chance",),
)
TOLOKERS = _spec(
    "tolokers",
    Counts(11758, 1038000, 10, 2),
    "dd9fca9d4c4a6276",
    "nodes are crowd workers, edges a shared task, features profile and statistics, labels whether banned (22 %)",
    auc=True,
)
QUESTIONS = _spec(
    "questions",
    Counts(48921, 307080, 301, 2),
    None,
    "nodes are users of a question site, edges an answer given, features word vectors of the profile and a "
    "flag for none, labels whether still active (3 %)",
    auc=True,
    traps=("97 % of one class: accuracy says nothing, only ROC-AUC",),
)
CHAMELEON_FILTERED = _spec(
    "chameleon-filtered",
    Counts(890, 17708, 2325, 5),
    "c5969a67bec5ec93",
    _FILTERED,
    traps=(_NOT_COMPARABLE.format("chameleon"),),
)
SQUIRREL_FILTERED = _spec(
    "squirrel-filtered",
    Counts(2223, 93996, 2089, 5),
    "487396d0a8b248cf",
    _FILTERED,
    traps=(_NOT_COMPARABLE.format("squirrel"),),
)
