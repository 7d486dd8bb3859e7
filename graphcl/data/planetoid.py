"""Cora, CiteSeer and PubMed in the form of Yang et al. (2016): where every GCL paper starts."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops, to_undirected

from graphcl.data.checksums import raw_file
from graphcl.data.geom_gcn import geom_gcn_split
from graphcl.data.spec import Counts, DatasetSpec, Files, FixedSplit, Graphs, Layout
from graphcl.data.splits import Triple
from graphcl.data.unpickle import read_pickle
from graphcl.errors import DataError

__all__ = ["CITESEER", "CORA", "PUBMED"]

_URL = "https://github.com/kimiyoung/planetoid/raw/master/data"
_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")


def _reader(prefix: str) -> Layout:
    folder = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed"}[prefix]
    files = tuple(
        raw_file(f"Planetoid/{folder}/raw/ind.{prefix}.{part}", f"{_URL}/ind.{prefix}.{part}") for part in _PARTS
    )

    def read(found: Files) -> Data:
        def part(name: str) -> Any:
            return read_pickle(found[f"ind.{prefix}.{name}"])

        return _assemble(
            sp.csr_matrix(part("allx")),
            sp.csr_matrix(part("tx")),
            np.asarray(part("ally")),
            np.asarray(part("ty")),
            part("graph"),
            np.loadtxt(found[f"ind.{prefix}.test.index"], dtype=np.int64),
        )

    return Layout(read, files)


def _assemble(
    allx: sp.csr_matrix, tx: sp.csr_matrix, ally: np.ndarray, ty: np.ndarray, graph: object, test: np.ndarray
) -> Data:
    if not isinstance(graph, dict):
        raise DataError("ind.*.graph holds no mapping of node to neighbours")
    n = max(int(test.max()) + 1, allx.shape[0] + tx.shape[0])
    x = np.zeros((n, allx.shape[1]), dtype=np.float32)
    y = np.zeros((n, ally.shape[1]))
    x[: allx.shape[0]], y[: ally.shape[0]] = allx.toarray(), ally
    # CiteSeer names 15 isolated papers that are in no file: they stay as rows of zeros, with class 0 as
    # everywhere
    x[test], y[test] = tx.toarray(), ty
    source = np.repeat(np.fromiter(graph, np.int64, len(graph)), [len(to) for to in graph.values()])
    target = np.fromiter((v for to in graph.values() for v in to), np.int64, source.size)
    edges, _ = remove_self_loops(torch.from_numpy(np.stack([source, target])))
    return Data(
        x=torch.from_numpy(x),
        edge_index=to_undirected(edges, num_nodes=n),
        y=torch.from_numpy(y.argmax(1)),
    )


def _public(prefix: str) -> FixedSplit:
    def read(found: Files, graph: Graphs) -> tuple[Triple, ...]:
        train = np.asarray(read_pickle(found[f"ind.{prefix}.y"])).shape[0]
        test = np.loadtxt(found[f"ind.{prefix}.test.index"], dtype=np.int64)
        return (Triple(torch.arange(train), torch.arange(train, train + 500), torch.from_numpy(test)),)

    return FixedSplit(read)


def _spec(prefix: str, title: str, counts: Counts, content: str, traps: tuple[str, ...]) -> DatasetSpec:
    return DatasetSpec(
        name=prefix,
        title=title,
        layouts=(_reader(prefix),),
        counts=counts,
        content=content,
        licence="MIT (repository of the raw files)",
        citation=("Yang, Cohen & Salakhutdinov, Revisiting semi-supervised learning with graph embeddings, ICML 2016"),
        source="https://github.com/kimiyoung/planetoid",
        note="nodes are papers, edges citations, features words of the abstract, labels the field",
        splits={
            "public": _public(prefix),
            "geom-gcn": geom_gcn_split("Planetoid/geom_gcn_splits", prefix),
        },
        default_split="public",
        traps=traps,
    )


CORA = _spec(
    "cora",
    "Cora",
    Counts(2708, 10556, 1433, 7),
    "7f71ac9b4d3533d1",
    ("the geom-gcn splits cover the largest component only: 2,485 of 2,708 papers",),
)
CITESEER = _spec(
    "citeseer",
    "CiteSeer",
    Counts(3327, 9104, 3703, 6),
    "bb34605b83464075",
    (
        "48 papers are isolated, and 15 of them are in no file of the release: their features are zero and "
        "their class 0 is an artefact of the usual loaders, kept so that random splits are the ones others "
        "draw",
        "the geom-gcn splits numbered 4 and 5 cover 2,120 papers only, the other eight all 3,327",
    ),
)
PUBMED = _spec(
    "pubmed",
    "PubMed",
    Counts(19717, 88648, 500, 3),
    "cba9b9a69f36c2a6",
    (
        "the copy of ind.pubmed.allx whose checksum is listed was rebuilt from a text dump with six digits; "
        "on the 1,060 rows that other files repeat it differs by at most 5e-7",
    ),
)
