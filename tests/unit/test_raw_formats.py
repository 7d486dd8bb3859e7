"""Each raw format, read from files of a few rows that the test writes; real files may be absent."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch

from graphcl.data.arrays import read_table
from graphcl.data.loading import find_dataset
from graphcl.data.unpickle import read_pickle
from graphcl.errors import DataError


def read(name, files, layout=0):
    return find_dataset(name).layouts[layout].read(files)


def pairs(graph):
    return [tuple(edge) for edge in graph.edge_index.t().tolist()]


# ------------------------------------------------------------------------------------------------------------
# tables


@pytest.mark.parametrize("text", [b"1, 2\n3, 4\n", b"1,2\r\n3,4", b"1\t2\n3 4\n\n", b" 1  2\n3,\t4"])
def test_separators_and_line_ends_do_not_matter(text):
    assert read_table(text, "t").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("text", [b"", b"\n", b"1 2\n3\n", b"1 2\n3 x\n", b"1 2\n3 4.5\n", b"<html>\n", b"\x00\x01"])
def test_what_is_no_table_of_integers_is_refused(text):
    with pytest.raises(DataError, match=r"^t: "):
        read_table(text, "t")


def test_real_numbers():
    assert read_table(b"a\n0.5 -1e3\n", "t", header=1, dtype=np.float32).tolist() == [[0.5, -1000.0]]


# ----------------------------------------------------------------------------------------------------------
# planetoid


@pytest.fixture
def planetoid(tmp_path):
    """Seven nodes: 2 training, 4 with features in `allx`, test nodes 5 and 6, and node 4 in no file."""
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    y = np.eye(3, dtype=np.int32)[[0, 1, 2, 0, 1, 2]]
    parts = {
        "x": sp.csr_matrix(x[:2]),
        "y": y[:2],
        "allx": sp.csr_matrix(x[:4]),
        "ally": y[:4],
        "tx": sp.csr_matrix(x[4:]),
        "ty": y[4:],
        "graph": {0: [1, 1, 0], 1: [0], 2: [6], 3: [], 5: [6]},
    }
    for name, value in parts.items():
        (tmp_path / f"ind.cora.{name}").write_bytes(pickle.dumps(value, protocol=2))
    (tmp_path / "ind.cora.test.index").write_text("6\n5\n")
    return {path.name: path for path in tmp_path.iterdir()}


def test_planetoid(planetoid):
    graph = read("cora", planetoid)
    assert pairs(graph) == [(0, 1), (1, 0), (2, 6), (5, 6), (6, 2), (6, 5)]
    assert graph.y.tolist() == [0, 1, 2, 0, 0, 2, 1]
    assert graph.x[4].tolist() == [0, 0]
    assert graph.x[6].tolist() == [8, 9]


def test_planetoid_graph_that_is_no_mapping(planetoid):
    planetoid["ind.cora.graph"].write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="no mapping"):
        read("cora", planetoid)


class Payload:
    """Pickles into a call, as a hostile file would."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "make",
    [
        lambda mark: Payload((__import__("os").system, (f"touch {mark}",))),
        lambda mark: Payload((eval, (f"open({str(mark)!r}, 'w')",))),
        lambda mark: {"graph": [Payload((__import__("subprocess").call, (["touch", str(mark)],)))]},
        lambda mark: np.array([Payload((__import__("os").system, (f"touch {mark}",)))], dtype=object),
    ],
)
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path, make):
    mark, path = tmp_path / "mark", tmp_path / "ind.cora.graph"
    path.write_bytes(pickle.dumps(make(mark), protocol=2))
    with pytest.raises(DataError, match="nothing was run"):
        read_pickle(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps({0: [1]}, protocol=2)[:-3], b"\x80\x02cos\n"])
def test_a_damaged_pickle_is_refused(tmp_path, content):
    path = tmp_path / "ind.cora.graph"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"ind\.cora\.graph: not a readable pickle"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_plain_objects_of_every_protocol_are_read(tmp_path, protocol):
    path = tmp_path / "value"
    path.write_bytes(pickle.dumps({0: [1, 2], 1: []}, protocol=protocol))
    assert read_pickle(path) == {0: [1, 2], 1: []}


# -----------------------------------------------------------------------------------------------------------
# geom-gcn


def write_geom_gcn(folder, rows, edges="0\t1\n1\t0\n0\t1\n2\t2\n"):
    (folder / "out1_graph_edges.txt").write_text("node_id\tnode_id\n" + edges)
    (folder / "out1_node_feature_label.txt").write_text("node_id\tfeature\tlabel\n" + rows)
    return {path.name: path for path in folder.iterdir()}


def test_webkb_keeps_directions_and_loops_and_merges_duplicates(tmp_path):
    graph = read("texas", write_geom_gcn(tmp_path, "0\t0,1,0\t2\n2\t1,1,1\t0\n1\t0,0,1\t1\n"))
    assert pairs(graph) == [(0, 1), (1, 0), (2, 2)]
    assert graph.x.tolist() == [[0, 1, 0], [0, 0, 1], [1, 1, 1]]
    assert graph.y.tolist() == [2, 1, 0]


def test_actor_lists_the_words(tmp_path):
    graph = read("actor", write_geom_gcn(tmp_path, "2\t4,0\t1\n0\t\t0\n1\t3\t2\n"))
    assert graph.x.tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 1]]
    assert graph.y.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0\t0,1\t2\n0\t1,1\t0\n", "not numbered"),
        ("0\t0,1\t2\n5\t1,1\t0\n", "not numbered"),
        ("0\t0,1\t2\n1\t1\t0\n", "truncated"),
        ("0\t0\n1\t1\n", "2 columns"),
    ],
)
def test_geom_gcn_refuses_what_does_not_fit(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read("texas", write_geom_gcn(tmp_path, rows))


def test_geom_gcn_refuses_edges_of_three_columns(tmp_path):
    with pytest.raises(DataError, match="3 columns"):
        read("texas", write_geom_gcn(tmp_path, "0\t1,0\t0\n1\t1,1\t1\n", "0\t1\t1\n"))


def test_geom_gcn_masks(tmp_path):
    spec = find_dataset("actor")
    files = {}
    for number, file in enumerate(spec.splits["geom-gcn"].files):
        files[file.name] = tmp_path / file.name
        train = np.eye(10, dtype=np.uint8)[number]
        val = np.roll(train, 1)
        np.savez(files[file.name], train_mask=train, val_mask=val, test_mask=1 - train - val)
    triples = spec.splits["geom-gcn"].read(files, None)
    assert [triple.train.tolist() for triple in triples] == [[number] for number in range(10)]
    assert all(triple.test.numel() == 8 for triple in triples)
    files["film_split_0.6_0.2_3.npz"].write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match=r"film_split_0\.6_0\.2_3\.npz: no readable npz archive"):
        spec.splits["geom-gcn"].read(files, None)


# ---------------------------------------------------------------------------------------------------- npz of
# CSR parts


def csr_parts(prefix, matrix):
    matrix = sp.csr_matrix(matrix)
    parts = {
        "data": matrix.data,
        "indices": matrix.indices,
        "indptr": matrix.indptr,
        "shape": np.array(matrix.shape),
    }
    return {f"{prefix}_{part}": value for part, value in parts.items()}


@pytest.fixture
def coauthor(tmp_path):
    path = tmp_path / "ms_academic_cs.npz"
    adjacency = np.array([[1, 1, 0], [0, 0, 2], [0, 0, 0]], dtype=np.float32)
    words = np.array([[0, 3.0], [0.2, 0], [0, 0]], dtype=np.float64)
    arrays = {**csr_parts("adj", adjacency), **csr_parts("attr", words), "labels": np.array([4, 0, 1])}
    # releases carry names as arrays of Python objects: they must not be opened
    np.savez(path, **arrays, attr_names=np.array(["a", "b"], dtype=object))
    return {path.name: path}, arrays


def test_npz_graph_is_made_undirected_without_loops_and_features_become_presence(coauthor):
    graph = read("coauthor-cs", coauthor[0])
    assert pairs(graph) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert graph.x.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert graph.x.dtype == torch.float32
    assert graph.y.tolist() == [4, 0, 1]


def test_npz_graph_faults(coauthor):
    files, arrays = coauthor
    (path,) = files.values()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="no readable npz archive"):
        read("coauthor-cs", files)
    np.savez(path, **{key: value for key, value in arrays.items() if key != "labels"})
    with pytest.raises(DataError, match="labels"):
        read("coauthor-cs", files)
    np.savez(path, **{**arrays, "labels": np.array([Payload((print, ("run",)))], dtype=object)})
    with pytest.raises(DataError, match="allow_pickle"):
        read("coauthor-cs", files)
    np.savez(path, **{**arrays, "adj_indices": np.array([1, 2, 99])})
    with pytest.raises(ValueError, match="indices"):
        read("coauthor-cs", files)


# ------------------------------------------------------------------------------------------------------------
# -- linkx


def test_facebook(tmp_path):
    path = tmp_path / "data.mat"
    adjacency = sp.csc_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=float))
    traits = np.array([[1, 2, 7, 0, 0, 2006, 5], [2, 0, 7, 0, 0, 2007, 6], [1, 1, 9, 0, 0, 2006, 7]], dtype=np.uint16)
    scipy.io.savemat(path, {"A": adjacency, "local_info": traits})
    graph = read("reed98", {path.name: path})
    assert pairs(graph) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert graph.y.tolist() == [1, -1, 0]
    # status 2 values, major 2, second major 1, dormitory 1, year 2, school 3
    assert graph.x.tolist() == [
        [1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0],
        [0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 0],
        [1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1],
    ]
    scipy.io.savemat(path, {"A": adjacency, "local_info": traits[:2]})
    with pytest.raises(DataError, match="local_info has shape"):
        read("reed98", {path.name: path})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="no readable MATLAB file"):
        read("reed98", {path.name: path})


# ------------------------------------------------------------------------------------------------------
# heterophilous


def test_heterophilous_edges_and_official_splits(tmp_path):
    path = tmp_path / "roman_empire.npz"
    train = np.eye(10, 12, dtype=bool)
    val = np.roll(train, 1, axis=1)
    content = {
        "node_features": np.arange(36, dtype=np.float32).reshape(12, 3),
        "node_labels": np.arange(12) % 3,
        "edges": np.array([[0, 1], [2, 1], [5, 5]]),
        "train_masks": train,
        "val_masks": val,
        "test_masks": ~(train | val),
    }
    np.savez(path, **content)
    files = {path.name: path}
    graph = read("roman-empire", files)
    assert pairs(graph) == [(0, 1), (1, 0), (1, 2), (2, 1), (5, 5)]
    assert graph.x[11].tolist() == [33, 34, 35]
    triples = find_dataset("roman-empire").splits["official"].read(files, graph)
    assert [triple.train.item() for triple in triples] == list(range(10))
    assert all(triple.test.numel() == 10 for triple in triples)
    np.savez(path, **{**content, "edges": np.zeros((3, 3), dtype=int)})
    with pytest.raises(DataError, match="expected pairs"):
        read("roman-empire", files)


# ------------------------------------------------------------------------------------------------------------
# wiki-cs


def test_wiki_cs(tmp_path):
    path = tmp_path / "data.json"
    masks = {
        "train_masks": [[True, False, False, False], [False, True, False, False]],
        "val_masks": [[False, True, False, False], [True, False, False, False]],
        "stopping_masks": [[False, True, False, False], [True, False, False, False]],
        "test_mask": [False, False, True, True],
    }
    content = {
        "features": [[0.5, 1.0], [0, 0], [1, 1], [2, -2]],
        "labels": [0, 1, 0, 1],
        "links": [[1, 1], [], [2], [0]],
    }
    path.write_text(json.dumps({**content, **masks}))
    files = {path.name: path}
    graph = read("wiki-cs", files)
    assert pairs(graph) == [(0, 1), (0, 3), (1, 0), (2, 2), (3, 0)]
    assert graph.x.tolist() == [[0.5, 1], [0, 0], [1, 1], [2, -2]]
    assert graph.y.tolist() == [0, 1, 0, 1]
    triples = find_dataset("wiki-cs").splits["official"].read(files, graph)
    assert [(t.train.tolist(), t.val.tolist(), t.test.tolist()) for t in triples] == [
        ([0], [1], [2, 3]),
        ([1], [0], [2, 3]),
    ]
    path.write_text(json.dumps(content)[:-20])
    with pytest.raises(DataError, match="not the expected JSON"):
        read("wiki-cs", files)
    path.write_text("[]")
    with pytest.raises(DataError, match="not the expected JSON"):
        read("wiki-cs", files)


# ------------------------------------------------------------------------------------------------------------
# ----- tu

TU = {
    # a triangle with a loop and a doubled edge; a pair; a lonely node
    "A": "1, 2\n2, 1\n2, 3\n3, 2\n1, 3\n3, 1\n1, 1\n1, 2\n4, 5\n5, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n3\n",
    "graph_labels": "1\n-1\n1\n",
    "node_labels": "3\n5\n3\n4\n4\n5\n",
}


def write_tu(folder, stem, **changes):
    files = {}
    for part, text in {**TU, **changes}.items():
        files[f"{stem}_{part}.txt"] = folder / f"{stem}_{part}.txt"
        files[f"{stem}_{part}.txt"].write_text(text)
    return files


def check_tu(graphs):
    assert [pairs(graph) for graph in graphs] == [
        [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)],
        [(0, 1), (1, 0)],
        [],
    ]
    assert [graph.num_nodes for graph in graphs] == [3, 2, 1]
    assert [graph.y.tolist() for graph in graphs] == [[1], [0], [1]]


def test_tu_with_node_labels(tmp_path):
    graphs = read("nci1", write_tu(tmp_path, "NCI1"), layout=1)
    check_tu(graphs)
    assert graphs[0].x.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert graphs[2].x.tolist() == [[0, 0, 1]]


def test_tu_without_node_labels_gives_the_degree(tmp_path):
    graphs = read("imdb-binary", write_tu(tmp_path, "IMDB-BINARY"), layout=1)
    check_tu(graphs)
    assert graphs[0].x.shape == (3, 101)
    assert [graph.x.argmax(1).tolist() for graph in graphs] == [[2, 2, 2], [1, 1], [0]]


def test_tu_degrees_beyond_the_largest_share_a_column(tmp_path):
    star = "".join(f"1, {leaf}\n{leaf}, 1\n" for leaf in range(2, 152))
    files = write_tu(tmp_path, "IMDB-BINARY", A=star, graph_indicator="1\n" * 151, graph_labels="1\n")
    (graph,) = read("imdb-binary", files, layout=1)
    assert graph.x.argmax(1).tolist() == [100] + [1] * 150
    assert graph.num_edges == 300


def test_tu_archive_holds_the_same_graphs(tmp_path):
    path = tmp_path / "MUTAG.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in TU.items():
            archive.writestr(f"MUTAG/MUTAG_{part}.txt", text)
    check_tu(read("mutag", {path.name: path}))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MUTAG/MUTAG_A.txt", TU["A"])
    with pytest.raises(DataError, match="cannot read MUTAG/MUTAG_graph_indicator"):
        read("mutag", {path.name: path})
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"MUTAG\.zip: cannot read"):
        read("mutag", {path.name: path})


def test_tu_compact(tmp_path):
    path = tmp_path / "COLLAB.npz"
    # triangle with a loop at 0: codes 0 1 2 5; pair: code 1; lonely node: none
    np.savez(
        path,
        gap=np.array([0, 1, 1, 3, 1], dtype=np.uint16),
        num_edges=np.array([4, 1, 0]),
        num_nodes=np.array([3, 2, 1]),
        y=np.array([1, 0, 1], dtype=np.int8),
    )
    layout = len(find_dataset("collab").layouts) - 1
    check_tu(read("collab", {path.name: path}, layout))
    np.savez(
        path,
        gap=np.array([0, 1]),
        num_edges=np.array([4, 1, 0]),
        num_nodes=np.array([3, 2, 1]),
        y=np.array([1, 0, 1]),
    )
    with pytest.raises(DataError, match="do not belong together"):
        read("collab", {path.name: path}, layout)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": "1, 4\n"}, "different graphs"),
        ({"A": "1, 9\n"}, "names node 9 of 6"),
        ({"A": "0, 1\n"}, "names node"),
        ({"A": "1, 2, 3\n"}, "3 columns"),
        ({"graph_indicator": "1\n1\n1\n3\n3\n3\n"}, "in order"),
        ({"graph_indicator": "2\n2\n1\n1\n3\n3\n"}, "in order"),
        ({"graph_labels": "1\n1\n"}, "in order"),
        ({"node_labels": "1\n1\n"}, "2 lines for 6 nodes"),
        ({"A": ""}, "no rows"),
    ],
)
def test_tu_refuses_what_does_not_fit(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read("nci1", write_tu(tmp_path, "NCI1", **changes), layout=1)


def test_graphs_of_a_set_own_their_memory(tmp_path):
    graphs = read("nci1", write_tu(tmp_path, "NCI1"), layout=1)
    for graph in graphs:
        assert graph.edge_index.untyped_storage().nbytes() == graph.edge_index.numel() * 8
        assert graph.x.untyped_storage().nbytes() == graph.x.numel() * 4
