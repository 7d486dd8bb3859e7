"""The npz form of Shchur et al. (2018): citation, co-purchase and co-author graphs.

An archive holds two CSR matrices in parts (``adj_data``, ``adj_indices``, ``adj_indptr``, ``adj_shape``, and
the same with ``attr_``) and ``labels``. Releases add the names of words, papers and classes, mostly as arrays of Python
objects, which are pickles; these stay closed, and what is opened beside the numbers is the names of the words where
they are stored as plain text.
"""

from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops, to_undirected

from graphcl.data.arrays import read_arrays
from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, Layout
from graphcl.errors import DataError

__all__ = [
    "AMAZON_COMPUTERS",
    "AMAZON_PHOTO",
    "CITESEER_FULL",
    "COAUTHOR_CS",
    "COAUTHOR_PHYSICS",
    "CORA_ML",
    "DBLP",
]


def _read(files: Files) -> Data:
    (path,) = files.values()
    parts = ("data", "indices", "indptr", "shape")
    arrays = read_arrays(path, (*(f"adj_{p}" for p in parts), *(f"attr_{p}" for p in parts), "labels"))

    def matrix(prefix: str) -> sp.csr_matrix:
        data, indices, pointer, shape = (arrays[f"{prefix}_{part}"] for part in parts)
        made = sp.csr_matrix((data, indices, pointer), shape=tuple(shape))
        made.check_format(full_check=True)
        return made

    words = matrix("attr").astype(np.float32)
    # word counts and tf-idf weights become presence, as in the loaders whose numbers are in the papers
    words.data[words.data > 0] = 1
    named = _plain_names(path)
    adjacency = matrix("adj").tocoo()
    edges = torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64))
    return Data(
        x=torch.from_numpy(words.toarray()),
        edge_index=to_undirected(remove_self_loops(edges)[0], num_nodes=adjacency.shape[0]),
        y=torch.from_numpy(arrays["labels"].astype(np.int64)),
        # with them, rows of features can be read as text
        **({"vocabulary": named} if len(named) == words.shape[1] else {}),
    )


def _plain_names(path: Path) -> list[str]:
    try:
        return [str(name) for name in read_arrays(path, ("attr_names",))["attr_names"]]
    except DataError:
        return []  # none, or a pickle


_SHCHUR = "Shchur, Mumme, Bojchevski & Günnemann, Pitfalls of graph neural network evaluation, NeurIPS workshop 2018"
_BOJCHEVSKI = "Bojchevski & Günnemann, Deep Gaussian embedding of graphs, ICLR 2018"
_GNN_BENCHMARK = "https://github.com/shchur/gnn-benchmark"
_GRAPH2GAUSS = "https://github.com/abojchevski/graph2gauss"
_REWRITTEN = "; the copy whose checksum is listed was rewritten from SciPy matrices into these arrays"


def _spec(
    name: str,
    title: str,
    path: str,
    counts: Counts,
    content: str | None,
    note: str,
    traps: tuple[str, ...] = (),
    amazon_or_coauthor: bool = True,
    text: bool = False,
) -> DatasetSpec:
    source = _GNN_BENCHMARK if amazon_or_coauthor else _GRAPH2GAUSS
    folder = "data/npz" if amazon_or_coauthor else "data"
    url = f"{source}/raw/master/{folder}/{path.rpartition('/')[2]}"
    return DatasetSpec(
        name=name,
        title=title,
        layouts=(Layout(_read, (raw_file(path, url),)),),
        counts=counts,
        content=content,
        licence="MIT (repository of the raw files)",
        citation=_SHCHUR if amazon_or_coauthor else _BOJCHEVSKI,
        source=source,
        note=note,
        traps=traps,
        text=text,
    )


_PAPERS = "nodes are papers, edges citations made undirected, features words of title and abstract present or not"
_GOODS = "nodes are goods, edges 'often bought together', features words of the reviews, labels the kind of article"
_AUTHORS = "nodes are authors, edges joint papers, features keywords of their papers, labels the field"

CORA_ML = _spec(
    "cora-ml",
    "Cora-ML",
    "CitationFull/cora_ml/raw/cora_ml.npz",
    Counts(2995, 16316, 2879, 7),
    "0ac04a4d8f78d115",
    f"{_PAPERS}, labels the field{_REWRITTEN}",
    ("another graph than cora: 2,995 papers and not 2,708",),
    amazon_or_coauthor=False,
)
CITESEER_FULL = _spec(
    "citeseer-full",
    "CiteSeer (full)",
    "CitationFull/citeseer/raw/citeseer.npz",
    Counts(4230, 10674, 602, 6),
    "c1535aa7c6ed2835",
    f"{_PAPERS}, labels the field{_REWRITTEN}",
    ("another graph than citeseer: 4,230 papers, 602 words, and not 3,327 and 3,703",),
    amazon_or_coauthor=False,
)
DBLP = _spec(
    "dblp",
    "DBLP",
    "CitationFull/dblp/raw/dblp.npz",
    Counts(17716, 105734, 1639, 4),
    "25ef8e8fc19d6e10",
    f"{_PAPERS}, labels the field{_REWRITTEN}",
    amazon_or_coauthor=False,
)
AMAZON_COMPUTERS = _spec(
    "amazon-computers",
    "Amazon Computers",
    "Amazon/Computers/raw/amazon_electronics_computers.npz",
    Counts(13752, 491722, 767, 10),
    "2cff99824f2f6168",
    f"{_GOODS}{_REWRITTEN}",
    ("281 goods are isolated",),
)
AMAZON_PHOTO = _spec(
    "amazon-photo",
    "Amazon Photo",
    "Amazon/Photo/raw/amazon_electronics_photo.npz",
    Counts(7650, 238162, 745, 8),
    "deed64c9962670df",
    f"{_GOODS}{_REWRITTEN}",
    ("115 goods are isolated",),
)
COAUTHOR_CS = _spec(
    "coauthor-cs",
    "Coauthor CS",
    "Coauthor/CS/raw/ms_academic_cs.npz",
    Counts(18333, 163788, 6805, 15),
    None,
    _AUTHORS,
)
COAUTHOR_PHYSICS = _spec(
    "coauthor-physics",
    "Coauthor Physics",
    "Coauthor/Physics/raw/ms_academic_phy.npz",
    Counts(34493, 495924, 8415, 5),
    "2e89d45eb5fff570",
    f"{_AUTHORS}{_REWRITTEN}",
    ("the dense feature matrix takes 1.2 GB in memory",),
    text=True,
)
