"""Graphs poisoned in advance, on which defences have been compared since Pro-GNN: Cora and PubMed under Metattack.

The attack knew the labels of its training part and flipped edges so that a network trained on the poisoned graph errs.
Nearly every edge that it added ends at a training node of the split ``attacked``, so most of the damage there is to
what a classifier learns from; any other split of the same graph (``random-10-10-80``) shows what happened to the rest.
"""

import json

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from torch_geometric.data import Data

from graphcl.data.arrays import read_arrays
from graphcl.data.checksums import raw_file
from graphcl.data.planetoid import PUBMED
from graphcl.data.spec import Counts, DatasetSpec, Files, FixedSplit, Graphs, Layout, Poison, RawFile
from graphcl.data.splits import Triple
from graphcl.errors import DataError

__all__ = ["CORA_METATTACK", "PUBMED_METATTACK"]

_CSR = ("data", "indices", "indptr", "shape")
_PRO_GNN = "https://github.com/ChandlerBang/Pro-GNN"
_CORA = raw_file("Attacked/cora.npz", "https://github.com/danielzuegner/gnn-meta-attack/raw/master/data/cora.npz")


def _csr(path: Files, name: str, prefix: str = "") -> sp.csr_matrix:
    arrays = read_arrays(path[name], tuple(f"{prefix}{part}" for part in _CSR))
    data, indices, pointer, shape = (arrays[f"{prefix}{part}"] for part in _CSR)
    made = sp.csr_matrix((data, indices, pointer), shape=tuple(shape))
    made.check_format(full_check=True)
    return made


def _edges(adjacency: sp.csr_matrix, name: str, nodes: int) -> torch.Tensor:
    if adjacency.shape != (nodes, nodes):
        raise DataError(f"{name}: an adjacency of shape {adjacency.shape} for {nodes} nodes")
    entries = adjacency.tocoo()
    there = entries.data != 0
    edges = np.stack([entries.row[there], entries.col[there]]).astype(np.int64)
    return torch.from_numpy(edges[:, edges[0] != edges[1]])


def _adjacency(clean: str, share: float) -> RawFile:
    name = f"{clean}_meta_adj_{share:g}.npz"
    return raw_file(f"Attacked/{name}", f"{_PRO_GNN}/raw/master/meta/{name}")


def _clean_cora(files: Files) -> tuple[Data, sp.csr_matrix]:
    """The largest component, its nodes in the order of the file."""
    adjacency = _csr(files, "cora.npz", "adj_")
    adjacency = ((adjacency + adjacency.T) > 0).astype(np.float32).tolil()
    adjacency.setdiag(0)
    adjacency = adjacency.tocsr()
    adjacency.eliminate_zeros()
    component = connected_components(adjacency, directed=False)[1]
    kept = np.flatnonzero(component == np.bincount(component).argmax())
    words = _csr(files, "cora.npz", "attr_").astype(np.float32)[kept]
    y = read_arrays(files["cora.npz"], ("labels",))["labels"].astype(np.int64)[kept]
    data = Data(x=torch.from_numpy(words.toarray()), y=torch.from_numpy(y))
    return data, adjacency[kept][:, kept]


def _cora(share: float) -> Layout:
    poisoned = _adjacency("cora", share) if share else None

    def read(files: Files) -> Data:
        data, adjacency = _clean_cora(files)
        if poisoned is not None:
            adjacency = _csr(files, poisoned.name)
        data.edge_index = _edges(adjacency, "cora", int(data.num_nodes or 0))
        return data

    return Layout(read, (_CORA, poisoned) if poisoned else (_CORA,))


def _pubmed(share: float) -> Layout:
    clean, poisoned = PUBMED.layouts[0], _adjacency("pubmed", share) if share else None

    def read(files: Files) -> Data:
        data = clean.read(files)
        assert isinstance(data, Data)
        if poisoned is not None:
            data.edge_index = _edges(_csr(files, poisoned.name), "pubmed", int(data.num_nodes or 0))
        return data

    return Layout(read, (*clean.files, poisoned) if poisoned else clean.files)


def _attacked_split(clean: str) -> FixedSplit:
    name = f"{clean}_splits.json"

    def read(files: Files, graph: Graphs) -> tuple[Triple, ...]:
        listed = json.loads(files[name].read_text())
        return (Triple(*(torch.tensor(listed[f"idx_{part}"]) for part in ("train", "val", "test"))),)

    url = f"{_PRO_GNN}/raw/master/splits/{clean}_prognn_splits.json"
    return FixedSplit(read, (raw_file(f"Attacked/{name}", url),))


def _spec(clean: str, title: str, share: float, layout: Layout, counts: Counts, content: str) -> DatasetSpec:
    percent = round(100 * share)
    component = "the largest component of " if clean == "cora" else ""
    did = f"after {percent} % of its edges were flipped by Metattack" if share else "before any attack"
    return DatasetSpec(
        name=f"{clean}-metattack-{percent}",
        title=f"{title} under Metattack, {percent} %",
        layouts=(layout,),
        counts=counts,
        content=content,
        citation=(
            "Zügner & Günnemann, Adversarial attacks on graph neural networks via meta learning, ICLR 2019; files of "
            "Jin et al., Graph structure learning for robust graph neural networks, KDD 2020"
        ),
        source=_PRO_GNN,
        note=f"{component}{title} {did}; nodes are papers, features words, labels the field",
        splits={"attacked": _attacked_split(clean)},
        default_split="attacked",
        traps=(
            "the edges that were added end at training nodes of the split 'attacked': its scores fall for what a "
            "classifier learns from, and those of other splits hardly",
        )
        if share
        else (),
        poison=Poison(f"{clean}-metattack-0", "metattack", share),
        kin=clean,
    )


CORA_METATTACK = tuple(
    _spec("cora", "Cora", share, _cora(share), Counts(2485, edges, 1433, 7), content)
    for share, edges, content in (
        (0.0, 10138, "e4fec1e7a51c5850"),
        (0.05, 10644, "66f06278e065518e"),
        (0.1, 11134, "ff8c9687d8f56e69"),
        (0.15, 11618, "af05ed9488f2c75e"),
        (0.2, 12080, "25142af487eee48c"),
        (0.25, 12492, "a6f5f649f77852ff"),
    )
)
PUBMED_METATTACK = tuple(
    _spec("pubmed", "PubMed", share, _pubmed(share), Counts(19717, edges, 500, 3), content)
    for share, edges, content in (
        (0.0, 88648, "cba9b9a69f36c2a6"),
        (0.05, 93080, "c9ffb998ad7401f2"),
        (0.1, 97512, "49b8c2766b1ae96e"),
        (0.2, 106376, "fe2fd45569e8f105"),
    )
)
