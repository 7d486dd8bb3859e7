"""The public data sets themselves: read, compared with the specifications and with PyG's own loaders."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from torch_geometric import datasets as pyg
from torch_geometric.utils import coalesce

from graphcl.data.loading import all_datasets, labels, load, open_dataset
from graphcl.data.store import find_files, locate, mirrors
from graphcl.errors import DataError
from graphcl.graph import fingerprint, is_symmetric

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("GRAPHCL_MIRROR"), reason="GRAPHCL_MIRROR is not set: no raw files"),
]

FROM_FILES = sorted(name for name, spec in all_datasets().items() if not spec.embedded)


def present(name):
    spec = all_datasets()[name]
    if all(find_files(layout.files) is None for layout in spec.layouts):
        pytest.skip(f"the raw files of {name} are in no folder of GRAPHCL_MIRROR")
    return spec


@pytest.mark.parametrize("name", FROM_FILES)
def test_counts_fingerprint_and_published_splits(name):
    spec = present(name)
    spec, graphs, files = open_dataset(name)
    layout, _ = locate(spec)
    if layout.comparable:
        assert spec.content is not None, f"{name} can be read: write {fingerprint(graphs)} into its specification"
        assert fingerprint(graphs) == spec.content
    if not spec.directed:
        members = graphs if isinstance(graphs, list) else [graphs]
        assert all(is_symmetric(graph) for graph in members[:50])
    for split_name, split in spec.splits.items():
        extra = find_files(split.files)
        if extra is None:
            continue
        triples = split.read({**files, **extra}, graphs)
        y = labels(graphs)
        rows = [torch.cat([triple.train, triple.val, triple.test]) for triple in triples]
        assert all(int(row.max()) < y.numel() for row in rows), split_name
        if (name, split_name) != ("citeseer", "geom-gcn"):  # a known flaw, named on its card
            assert len({row.numel() for row in rows}) == 1, split_name


@pytest.mark.parametrize("name", ["cora", "texas", "minesweeper", "reed98", "mutag"])
def test_default_split_by_the_front_door(name):
    present(name)
    _, split = load(name)
    assert split.name == all_datasets()[name].default_split
    assert len(split) == {"cora": 1, "reed98": 1}.get(name, 10)


def test_public_split_of_cora_is_the_one_of_the_papers():
    present("cora")
    graph, split = load("cora")
    (triple,) = split
    assert (triple.train.numel(), triple.val.numel(), triple.test.numel()) == (140, 500, 1000)
    assert torch.bincount(graph.y[triple.train]).tolist() == [20] * 7
    assert triple.test.tolist() == list(range(1708, 2708))


# ------------------------------------------------------------------------------------------------------------
# --- PyG

NODE_LEVEL = {
    "cora": ("Planetoid/Cora", lambda root: pyg.Planetoid(root, "Cora")),
    "citeseer": ("Planetoid/CiteSeer", lambda root: pyg.Planetoid(root, "CiteSeer")),
    "pubmed": ("Planetoid/PubMed", lambda root: pyg.Planetoid(root, "PubMed")),
    "texas": ("WebKB/texas", lambda root: pyg.WebKB(root, "texas")),
    "amazon-photo": ("Amazon/Photo", lambda root: pyg.Amazon(root, "Photo")),
    "cora-ml": ("CitationFull/cora_ml", lambda root: pyg.CitationFull(root, "Cora_ML")),
    "dblp": ("CitationFull/dblp", lambda root: pyg.CitationFull(root, "DBLP")),
    "minesweeper": (
        "HeterophilousGraph/minesweeper",
        lambda root: pyg.HeterophilousGraphDataset(root, "Minesweeper"),
    ),
    "reed98": ("LINKX/reed98", lambda root: pyg.LINKXDataset(root, "reed98")),
}
GRAPH_LEVEL = {"mutag": "MUTAG", "proteins": "PROTEINS", "enzymes": "ENZYMES", "imdb-binary": "IMDB-BINARY"}


def scratch_copy(folder, tmp_path):
    """A copy that PyG may write its own files into."""
    found = [mirror / folder for mirror in mirrors() if (mirror / folder).is_dir()]
    if not found:
        pytest.skip(f"{folder} is in no folder of GRAPHCL_MIRROR")
    target = tmp_path / Path(folder).name
    shutil.copytree(found[0], target, ignore=shutil.ignore_patterns("processed"))
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return str(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(NODE_LEVEL))
def test_node_level_equals_pyg(name, tmp_path):
    folder, loader = NODE_LEVEL[name]
    theirs = loader(scratch_copy(folder, tmp_path))[0]
    _, ours, _ = open_dataset(name)
    assert torch.equal(ours.x, theirs.x.float())
    # PyG leaves Planetoid's edges sorted by their target
    assert torch.equal(ours.edge_index, coalesce(theirs.edge_index))
    assert torch.equal(ours.y, theirs.y)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "parts"), [("cora", "public"), ("texas", "geom-gcn"), ("minesweeper", "official")])
def test_published_splits_equal_pyg(name, parts, tmp_path):
    folder, loader = NODE_LEVEL[name]
    theirs = loader(scratch_copy(folder, tmp_path))[0]
    _, split = load(name, split=parts)
    for number, triple in enumerate(split):
        for ours, mask in (
            (triple.train, theirs.train_mask),
            (triple.val, theirs.val_mask),
            (triple.test, theirs.test_mask),
        ):
            column = mask if mask.dim() == 1 else mask[:, number]
            assert torch.equal(ours, column.nonzero().flatten())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(GRAPH_LEVEL))
def test_graph_level_equals_pyg(name, tmp_path):
    folder = GRAPH_LEVEL[name]
    theirs = pyg.TUDataset(scratch_copy(f"TUDataset/{folder}", tmp_path), folder)
    _, ours, _ = open_dataset(name)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.edge_index, b.edge_index)
        assert torch.equal(a.y, b.y)
        if b.x is not None:
            assert torch.equal(a.x, b.x)


# ------------------------------------------------------------------------------------------------------------
# - damage


def test_a_truncated_copy_of_a_real_file_is_refused(tmp_path, monkeypatch):
    spec = present("mutag")
    files = locate(spec)[1]
    folder = tmp_path / "TUDataset" / "MUTAG" / "raw"
    folder.mkdir(parents=True)
    for name, path in files.items():
        content = path.read_bytes()
        # cut at a line end, so that nothing but the number of edges tells
        (folder / name).write_bytes(content[: content[:-1].rindex(b"\n") + 1] if name == "MUTAG_A.txt" else content)
    monkeypatch.setenv("GRAPHCL_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=r"mutag: .*MUTAG_A\.txt is corrupt or another version: sha256 expected "):
        load("mutag")
