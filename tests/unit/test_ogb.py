"""ogbg-molhiv on six molecules in the forms OGB publishes and saves, and files that want to run something."""

import contextlib
import gzip
import os
import pickle
import sys
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.data.data import DataEdgeAttr

from graphcl.augment import AtomMask
from graphcl.data import loading
from graphcl.data.loading import find_dataset, load
from graphcl.data.ogb import ATOM_CATEGORIES, OGBG_MOLHIV, atom_categories, from_ogb, ogb_safe_load
from graphcl.data.spec import Counts
from graphcl.errors import DataError, MissingExtraError
from graphcl.graph import check_graph, fingerprint, is_symmetric

C, N, O = (5, 0, 4, 5, 2, 0, 2, 0, 0), (6, 0, 3, 5, 1, 0, 2, 0, 1), (7, 1, 2, 4, 0, 0, 1, 1, 1)  # noqa: E741
MISC = (118, 4, 11, 11, 9, 5, 5, 1, 1)
ATOMS = [[C, C, O], [N], [C, N, C, O], [MISC, C], [O, O], [C, C, C]]
BONDS = [[(0, 1), (1, 2)], [], [(0, 1), (1, 2), (3, 2), (0, 3)], [(1, 0)], [], [(2, 0), (0, 1)]]
LABELS = [0, 1, 0, 1, 0, 1]
SPLIT = {"train": [0, 1, 4], "valid": [5], "test": [2, 3]}


def rows(values):
    return "".join(",".join(map(str, np.atleast_1d(value))) + "\n" for value in values)


def tables(atoms=ATOMS, bonds=BONDS, y=LABELS, split=SPLIT):
    return {
        "raw/num-node-list": rows(map(len, atoms)),
        "raw/num-edge-list": rows(map(len, bonds)),
        "raw/edge": rows(bond for some in bonds for bond in some),
        "raw/node-feat": rows(atom for some in atoms for atom in some),
        "raw/graph-label": rows(y),
        **{f"split/scaffold/{name}": rows(index) for name, index in split.items()},
    }


def write_unpacked(root, texts):
    for name, text in texts.items():
        path = root / "ogbg_molhiv" / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))


def write_archive(root, texts):
    (root / "ogbg_molhiv").mkdir(exist_ok=True)
    with zipfile.ZipFile(root / "ogbg_molhiv" / "hiv.zip", "w") as archive:
        archive.writestr("hiv/RELEASE_v1.txt", "v1")
        for name, text in texts.items():
            archive.writestr(f"hiv/{name}.csv.gz", gzip.compress(text.encode()))


def collated(atoms=ATOMS, bonds=BONDS, y=LABELS):
    """What OGB saves: each bond followed by its reverse, whole numbers, the label as a matrix."""
    graphs = []
    for some, joined, label in zip(atoms, bonds, y, strict=True):
        both = [edge for a, b in joined for edge in ((a, b), (b, a))]
        graph = Data()
        graph.num_nodes = len(some)
        graph.edge_index = torch.tensor(both, dtype=torch.long).reshape(-1, 2).t().contiguous()
        graph.edge_attr = torch.zeros(len(both), 3, dtype=torch.long)
        graph.x = torch.tensor(some)
        graph.y = torch.tensor([[label]])
        graphs.append(graph)
    return InMemoryDataset.collate(graphs)


def write_processed(root, texts, content=None):
    write_unpacked(root, {name: text for name, text in texts.items() if name.startswith("split")})
    folder = root / "ogbg_molhiv" / "processed"
    folder.mkdir()
    torch.save(collated() if content is None else content, folder / "geometric_data_processed.pt")


FORMS = {"archive": write_archive, "unpacked": write_unpacked, "processed": write_processed}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """An empty mirror and cache, and the data set as small as what the tests write."""
    root = tmp_path / "mirror"
    root.mkdir()
    monkeypatch.setenv("GRAPHCL_MIRROR", str(root))
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path / "cache"))
    small = Counts(15, 18, 174, 2, 6)
    assert (small.nodes, small.edges) == (sum(map(len, ATOMS)), 2 * sum(map(len, BONDS)))
    monkeypatch.setattr(loading, "find_dataset", lambda name: replace(OGBG_MOLHIV, counts=small))
    return root


# ------------------------------------------------------------------------------------------------------------
# the three forms


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_molecules(mirror, form):
    FORMS[form](mirror, tables())
    graphs, split = load("ogbg-molhiv")
    for graph, atoms, bonds, label in zip(graphs, ATOMS, BONDS, LABELS, strict=True):
        check_graph(graph)
        assert graph.x.dtype == torch.float32
        assert graph.x.shape == (len(atoms), 174)
        assert atom_categories(graph.x).tolist() == [list(atom) for atom in atoms]
        assert graph.edge_index.t().tolist() == sorted([list(e) for a, b in bonds for e in ((a, b), (b, a))])
        assert is_symmetric(graph)
        assert graph.y.tolist() == [label]
        # a graph of its own, not a view that would carry the whole set into a file
        assert graph.x.untyped_storage().nbytes() == graph.x.numel() * 4
    assert split.published
    assert [part.tolist() for part in (split.triples[0].train, split.triples[0].val, split.triples[0].test)] == [
        *SPLIT.values()
    ]


def test_one_hot_by_hand(mirror):
    write_unpacked(mirror, tables())
    graphs, _ = load("ogbg-molhiv")
    # 119 | 5 | 12 | 12 | 10 | 6 | 6 | 2 | 2 columns
    starts = [0, 119, 124, 136, 148, 158, 164, 170, 172]
    assert graphs[1].x[0].nonzero().flatten().tolist() == [start + code for start, code in zip(starts, N, strict=True)]
    assert graphs[3].x[0].nonzero().flatten().tolist()[-1] == 173
    assert all(float(graph.x.sum()) == 9 * graph.num_nodes for graph in graphs)


def test_a_linear_layer_is_a_sum_of_embeddings(mirror):
    write_unpacked(mirror, tables())
    x = torch.cat([graph.x for graph in load("ogbg-molhiv")[0]])
    codes = torch.tensor([atom for some in ATOMS for atom in some])
    generator = torch.Generator().manual_seed(0)
    embeddings = [torch.randn(size, 8, generator=generator) for size in ATOM_CATEGORIES.values()]
    expected = sum(table[codes[:, column]] for column, table in enumerate(embeddings))
    torch.testing.assert_close(x @ torch.cat(embeddings), expected)


def test_atom_mask_takes_the_categories(mirror):
    write_unpacked(mirror, tables())
    graph = load("ogbg-molhiv")[0][2]
    categories = Data(x=atom_categories(graph.x), edge_index=graph.edge_index)
    assert AtomMask(1.0)(categories).x.tolist() == [[119] + [0] * 8] * 4
    with pytest.raises(DataError, match=r"features are \[2, 9\]"):
        atom_categories(torch.zeros(2, 9))


def test_whole_numbers_may_be_written_as_real_ones(mirror):
    texts = tables()
    texts["raw/graph-label"] = "0.0\n1.0\n0.0\n1.0\n0.0\n1.0\n"
    write_unpacked(mirror, texts)
    assert [int(graph.y) for graph in load("ogbg-molhiv")[0]] == LABELS


def test_the_specification_states_what_ogb_publishes():
    spec = find_dataset("ogbg-molhiv")
    assert spec is OGBG_MOLHIV
    assert spec.counts == Counts(1049163, 2259376, 174, 2, 41127)
    assert (spec.level, spec.metric, spec.default_split) == ("graph", "auc", "official")
    assert sum(ATOM_CATEGORIES.values()) == spec.counts.features
    assert spec.layouts[0].files[0].url.endswith("/hiv.zip")
    assert all(layout.files for layout in spec.layouts)


def test_a_set_of_another_size_is_refused(mirror):
    write_archive(mirror, tables(ATOMS[:4], BONDS[:4], LABELS[:4], {"train": [0, 1], "valid": [2], "test": [3]}))
    with pytest.raises(DataError, match="read 10 nodes, expected 15"):
        load("ogbg-molhiv")


# ------------------------------------------------------------------------------------------------------------
# tables that do not belong together, damage


BAD = {
    "an atom beyond its molecule": ("raw/edge", "1,2\n", "1,3\n", "beyond those of its molecule"),
    "a negative atom": ("raw/edge", "1,2\n", "1,-2\n", "beyond those of its molecule"),
    "a self-loop": ("raw/edge", "1,2\n", "1,1\n", "with itself"),
    "a bond twice": ("raw/edge", "1,2\n", "1,0\n", "listed twice"),
    "too few bonds": ("raw/edge", "0,1\n", "", r"6 numbers of bonds that make 9 stand for 6 molecules with 8 rows"),
    "three columns of bonds": ("raw/edge", "\n", ",0\n", "3 columns"),
    "too few atoms": ("raw/node-feat", "6,0,3,5,1,0,2,0,1\n", "", "that make 15 stand for 6 labels and 14 rows"),
    "one column too many": ("raw/node-feat", "\n", ",0\n", "not in OGB's vocabulary"),
    "an unknown element": ("raw/node-feat", "118,", "119,", "not in OGB's vocabulary"),
    "a negative category": ("raw/node-feat", "118,", "-1,", "not in OGB's vocabulary"),
    "a lost molecule": ("raw/num-node-list", "3\n1\n", "4\n", "6 numbers of bonds that make 9 stand for 5 molecules"),
    "a molecule without atoms": ("raw/num-node-list", "3\n1\n", "4\n0\n", "numbers of atoms from 0 up"),
    "negative numbers of bonds": ("raw/num-edge-list", "2\n0\n", "3\n-1\n", "numbers of bonds"),
    "two columns of numbers": ("raw/num-edge-list", "\n", ",1\n", "num-edge-list.csv.gz has 2 columns"),
    "a missing label": ("raw/graph-label", "0\n1\n", "1\n", "5 labels"),
    "NaN for a label": ("raw/graph-label", "0\n1\n", "nan\n1\n", "holds nan, expected whole numbers"),
    "half a label": ("raw/graph-label", "0\n1\n", "0.5\n1\n", "holds 0.5, expected whole numbers"),
    "a huge label": ("raw/graph-label", "0\n1\n", "inf\n1\n", "holds inf, expected whole numbers"),
    "a negative label": ("raw/graph-label", "0\n1\n", "-1\n1\n", "labels go down to -1"),
    "words": ("raw/graph-label", "0\n1\n", "no\n1\n", "unmatched data|no text of numbers"),
    "a test molecule that is not there": ("split/scaffold/test", "3\n", "6\n", "names molecule 6 of 6"),
    "a negative test molecule": ("split/scaffold/test", "3\n", "-1\n", "names molecule -1 of 6"),
    "a molecule in two parts": ("split/scaffold/test", "3\n", "4\n", "must not meet"),
    "a molecule in no part": ("split/scaffold/test", "3\n", "", "names 5 of 6 molecules"),
}


@pytest.mark.parametrize("form", ["archive", "unpacked"])
@pytest.mark.parametrize("case", BAD)
def test_tables_that_do_not_add_up_are_refused(mirror, form, case):
    name, old, new, message = BAD[case]
    texts = tables()
    assert old in texts[name]
    texts[name] = texts[name].replace(old, new, -1 if old == "\n" else 1)
    FORMS[form](mirror, texts)
    with pytest.raises(DataError, match=message):
        load("ogbg-molhiv")


@pytest.mark.parametrize("name", ["raw/edge", "raw/node-feat", "raw/graph-label", "split/scaffold/train"])
@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:5], lambda raw: b"", lambda raw: b"<html>"])
def test_a_truncated_table_is_named(mirror, name, damage):
    write_unpacked(mirror, tables())
    path = mirror / "ogbg_molhiv" / f"{name}.csv.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{path.name}"):
        load("ogbg-molhiv")


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-30], lambda raw: b"", lambda raw: raw.replace(b"\x1f\x8b", b"xx")]
)
def test_a_damaged_archive_is_named(mirror, damage):
    write_archive(mirror, tables())
    path = mirror / "ogbg_molhiv" / "hiv.zip"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"hiv\.zip"):
        load("ogbg-molhiv")


def test_an_archive_without_a_table_is_named(mirror):
    texts = tables()
    del texts["raw/node-feat"]
    write_archive(mirror, texts)
    with pytest.raises(DataError, match=r"cannot read hiv/raw/node-feat\.csv\.gz"):
        load("ogbg-molhiv")


# ------------------------------------------------------------------------------------------------------------
# pickles


class Payload:
    """Pickles into a call, as a hostile file would."""

    def __init__(self, mark):
        self.call = (os.system, (f"touch {mark}",))

    def __reduce__(self):
        return self.call


class Sneaky(Data):
    """A graph of a class of somebody's own."""


def hostile(mark):
    data, slices = collated()
    carrier = data.clone()
    carrier.note = Payload(mark)
    return {
        "instead of the graphs": Payload(mark),
        "beside the graphs": (data, slices, Payload(mark)),
        "in a list": (data, {**slices, "x": [Payload(mark)]}),
        "as an attribute of the graph": (carrier, slices),
    }


def graph_file(root):
    return root / "ogbg_molhiv" / "processed" / "geometric_data_processed.pt"


@pytest.mark.parametrize("case", hostile("m"))
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("loosened", [False, True])
def test_a_hostile_file_is_refused_and_nothing_runs(mirror, tmp_path, monkeypatch, case, legacy, loosened):
    mark = tmp_path / "mark"
    write_processed(mirror, tables())
    torch.save(hostile(mark)[case], graph_file(mirror), _use_new_zipfile_serialization=not legacy)
    if loosened:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(DataError, match=r"names (posix|nt)\.system, which no set of graphs needs; refused, nothing"):
        load("ogbg-molhiv")
    assert not mark.exists()
    # the file is what it is meant to be: loaded without care, it runs
    torch.load(graph_file(mirror), weights_only=False)
    assert mark.exists()


def test_a_plain_pickle_and_a_class_of_ones_own_are_refused(mirror, tmp_path):
    mark = tmp_path / "mark"
    write_processed(mirror, tables())
    graph_file(mirror).write_bytes(pickle.dumps(Payload(mark), protocol=2))
    with pytest.raises(DataError, match="geometric_data_processed"):
        load("ogbg-molhiv")
    assert not mark.exists()
    data, slices = collated()
    torch.save((Sneaky(x=data.x, edge_index=data.edge_index, y=data.y), slices), graph_file(mirror))
    with pytest.raises(DataError, match=r"names \S*Sneaky"):
        load("ogbg-molhiv")


def changed(**fields):
    data, slices = collated()
    for name, value in fields.items():
        data[name] = value
    return data, slices


WRONG = {
    "no pair": (lambda: torch.zeros(3), "no graphs of OGB"),
    "no graph": (lambda: ({"x": 1}, {}), "x is no matrix"),
    "no slices": (lambda: (collated()[0], {}), "no graphs of OGB"),
    "no features": (lambda: changed(x=None), "x is no matrix"),
    "real features": (lambda: changed(x=torch.zeros(15, 9)), "x is no matrix of whole numbers"),
    "real labels": (lambda: changed(y=torch.full((6, 1), torch.nan)), "y is no matrix of whole numbers"),
    "several tasks": (lambda: changed(y=torch.zeros(6, 2, dtype=torch.long)), "one label each"),
    "too many labels": (lambda: changed(y=torch.zeros(7, 1, dtype=torch.long)), "7 labels"),
    "an edge one way": (
        lambda: changed(edge_index=torch.cat([collated()[0].edge_index[:, :-1], torch.tensor([[1], [2]])], 1)),
        "in one direction only",
    ),
    "slices that do not add up": (
        lambda: (collated()[0], {**collated()[1], "x": torch.tensor([0, 3, 4, 8, 10, 12, 14])}),
        "that make 14 stand for 6 labels and 15 rows",
    ),
    "slices that go back": (
        lambda: (collated()[0], {**collated()[1], "edge_index": torch.tensor([0, 4, 2, 12, 14, 14, 18])}),
        "numbers of bonds",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_of_something_else_is_refused(mirror, case):
    make, message = WRONG[case]
    write_processed(mirror, tables(), make())
    with pytest.raises(DataError, match=rf"geometric_data_processed.*{message}"):
        load("ogbg-molhiv")


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_truncated_file_is_refused(mirror, keep):
    write_processed(mirror, tables())
    graph_file(mirror).write_bytes(graph_file(mirror).read_bytes()[:keep])
    with pytest.raises(DataError, match="geometric_data_processed"):
        load("ogbg-molhiv")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("force", [None, "0", "1"])
@pytest.mark.parametrize("force_not", [None, "0", "1"])
def test_everything_is_as_before_on_leaving(monkeypatch, fails, force, force_not):
    settings = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": force, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": force_not}
    for name, value in settings.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    allowed = set(torch.serialization.get_safe_globals())
    load_function = torch.load
    with pytest.raises(KeyError) if fails else contextlib.nullcontext(), ogb_safe_load():
        with ogb_safe_load():
            pass
        assert DataEdgeAttr in torch.serialization.get_safe_globals()
        if fails:
            raise KeyError
    assert {name: os.environ.get(name) for name in settings} == settings
    assert set(torch.serialization.get_safe_globals()) == allowed
    assert torch.load is load_function


def test_a_load_that_asks_to_be_unsafe_is_not(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "pre_transform.pt"
    torch.save(Payload(mark), path)
    with pytest.raises(DataError, match="refused, nothing was run"), ogb_safe_load():
        torch.load(path, weights_only=False)
    assert not mark.exists()
    torch.save("None", path)
    with ogb_safe_load():
        assert torch.load(path, weights_only=False) == "None"


def test_threads_wait_for_each_other(tmp_path):
    path = tmp_path / "graphs.pt"
    torch.save(collated(), path)
    allowed = set(torch.serialization.get_safe_globals())
    inside, most, failed = [], [], []

    def work():
        try:
            for _ in range(20):
                with ogb_safe_load():
                    inside.append(1)
                    most.append(len(inside))
                    assert torch.load(path)[0].x.shape == (15, 9)
                    inside.pop()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert max(most) == 1
    assert set(torch.serialization.get_safe_globals()) == allowed
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


# ------------------------------------------------------------------------------------------------------------
# through OGB's own classes


STAND_IN = '''
"""Opens its files as OGB 1.3.6 does: with a bare torch.load, after PyG has looked at pre_transform.pt."""
from pathlib import Path

import torch
from torch_geometric.data import InMemoryDataset


class PygGraphPropPredDataset(InMemoryDataset):
    def __init__(self, name, root="dataset"):
        if name not in ("ogbg-molhiv", "ogbg-molbace"):
            raise ValueError(f"Invalid dataset name {name}.\\nAvailable datasets are as follows:\\nogbg-molhiv")
        super().__init__(str(Path(root) / name.replace("-", "_")))
        self.data, self.slices = torch.load(self.processed_paths[0])

    raw_file_names = property(lambda self: ["edge.csv.gz"])
    processed_file_names = property(lambda self: "geometric_data_processed.pt")

    def process(self):
        raise AssertionError("there is something to open")

    def get_idx_split(self):
        return torch.load(Path(self.root) / "split" / "scaffold" / "split_dict.pt")
'''


@pytest.fixture
def ogb_root(tmp_path, monkeypatch):
    """A root that OGB has worked in, and a package `ogb` that opens it the way OGB does."""
    package = tmp_path / "packages" / "ogb" / "graphproppred"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "ogb"]:
        monkeypatch.delitem(sys.modules, name)
    root = tmp_path / "dataset"
    root.mkdir()
    write_unpacked(root, tables())
    folder = root / "ogbg_molhiv"
    (folder / "RELEASE_v1.txt").write_text("v1")
    (folder / "processed").mkdir()
    torch.save(collated(), graph_file(root))
    for name in ("pre_transform.pt", "pre_filter.pt"):
        torch.save("None", folder / "processed" / name)
    torch.save(
        {name: torch.tensor(index) for name, index in SPLIT.items()}, folder / "split" / "scaffold" / "split_dict.pt"
    )
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "ogb"]:
        del sys.modules[name]


def test_from_ogb(ogb_root, mirror):
    write_archive(mirror, tables())
    graphs, split = load("ogbg-molhiv")
    theirs, their_split = from_ogb(root=ogb_root)
    assert fingerprint(theirs) == fingerprint(graphs)
    assert all(torch.equal(a.x, b.x) for a, b in zip(graphs, theirs, strict=True))
    assert (their_split.digest, their_split.name, their_split.published) == (split.digest, "official", True)


@pytest.mark.parametrize("file", ["processed/geometric_data_processed.pt", "processed/pre_transform.pt",
                                  "processed/pre_filter.pt", "split/scaffold/split_dict.pt"])  # fmt: skip
@pytest.mark.parametrize("loosened", [False, True])
def test_a_hostile_file_in_ogbs_folder_is_refused_and_nothing_runs(ogb_root, tmp_path, monkeypatch, file, loosened):
    mark = tmp_path / "mark"
    if loosened:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(Payload(mark), ogb_root / "ogbg_molhiv" / file)
    with pytest.raises(DataError, match=r"ogbg-molhiv below .*names (posix|nt)\.system.*nothing was run"):
        from_ogb(root=ogb_root)
    assert not mark.exists()


def test_what_ogb_refuses_is_told_in_a_line(ogb_root):
    with pytest.raises(DataError, match=r"^ogbg-molhvi below .*Invalid dataset name ogbg-molhvi\. Available"):
        from_ogb("ogbg-molhvi", ogb_root)


def test_ogb_is_not_left_to_ask_at_the_console(ogb_root):
    (ogb_root / "ogbg_molhiv" / "RELEASE_v1.txt").unlink()
    with pytest.raises(DataError, match="holds no release note"):
        from_ogb(root=ogb_root)


def test_a_split_of_ogb_that_does_not_fit(ogb_root):
    path = ogb_root / "ogbg_molhiv" / "split" / "scaffold" / "split_dict.pt"
    torch.save({name: torch.tensor(index) + 1 for name, index in SPLIT.items()}, path)
    with pytest.raises(DataError, match="names molecule 6 of 6"):
        from_ogb(root=ogb_root)


def test_without_the_extra(mirror, monkeypatch):
    monkeypatch.setitem(sys.modules, "ogb", None)
    monkeypatch.setitem(sys.modules, "ogb.graphproppred", None)
    with pytest.raises(MissingExtraError, match=r"ogb is not installed: pip install 'graphcl\[ogb\]'"):
        from_ogb()
    # the data set itself needs no package of theirs
    for write in FORMS.values():
        write(mirror, tables())
    assert len(load("ogbg-molhiv")[0]) == 6


def test_with_ogb_itself(tmp_path, mirror):
    """Where the extra is installed: OGB processes the tables, and we agree with it on every molecule."""
    pytest.importorskip("pandas")
    pytest.importorskip("ogb.graphproppred")
    features = pytest.importorskip("ogb.utils.features")
    assert features.get_atom_feature_dims() == [*ATOM_CATEGORIES.values()]
    root = tmp_path / "dataset"
    root.mkdir()
    texts = tables()
    write_unpacked(root, {**texts, "raw/edge-feat": rows([(0, 0, 0)] * sum(map(len, BONDS)))})
    (root / "ogbg_molhiv" / "RELEASE_v1.txt").write_text("v1")
    theirs, their_split = from_ogb(root=root)  # makes the file
    again, _ = from_ogb(root=root)  # opens it
    write_archive(mirror, texts)
    graphs, split = load("ogbg-molhiv")
    assert fingerprint(theirs) == fingerprint(again) == fingerprint(graphs)
    assert their_split.digest == split.digest
    # and the file it has made is one of the forms
    made = OGBG_MOLHIV.layouts[2].read({"geometric_data_processed.pt": graph_file(root)})
    assert fingerprint(made) == fingerprint(graphs)
