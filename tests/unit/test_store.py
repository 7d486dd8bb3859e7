"""The road in: mirrors, cache and downloads, and every way in which a raw file can be the wrong one."""

import hashlib
import json
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from torch_geometric.data import Data

from graphcl.data import loading, store
from graphcl.data.spec import Counts, DatasetSpec, FixedSplit, Layout, RawFile
from graphcl.data.splits import Triple
from graphcl.errors import DataError, UnknownNameError
from graphcl.graph import fingerprint

PATH = "Tiny/raw/tiny.json"
CONTENT = {"edges": [[0, 1], [1, 0]], "x": [[1.0], [1.0], [1.0]], "y": [0, 1, 0]}
TEXT = json.dumps(CONTENT)


def read(files):
    content = json.loads(files["tiny.json"].read_text())
    return Data(
        x=torch.tensor(content["x"]),
        edge_index=torch.tensor(content["edges"]).t().contiguous(),
        y=torch.tensor(content["y"]),
    )


def sha_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


CHECKSUM = sha_of(TEXT)


def write(folder, text=TEXT, path=PATH):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


def changed(**changes):
    return json.dumps({**CONTENT, **changes})


FINGERPRINT = fingerprint(
    Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([0, 1, 0]))
)


def tiny(url=None, sha256=(CHECKSUM,), content=FINGERPRINT, comparable=True, **more):
    more.setdefault("default_split", "few-1")
    return DatasetSpec(
        name="tiny",
        title="Tiny",
        layouts=(Layout(read, (RawFile(PATH, sha256, url),), comparable),),
        counts=Counts(3, 2, 1, 2),
        content=content,
        citation="",
        source="",
        note="",
        **more,
    )


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty mirror and an empty cache."""
    mirror, cache = tmp_path / "mirror", tmp_path / "cache"
    mirror.mkdir()
    monkeypatch.setenv("GRAPHCL_MIRROR", str(mirror))
    monkeypatch.setenv("GRAPHCL_CACHE", str(cache))
    return mirror, cache


@pytest.fixture
def known(monkeypatch):
    """Makes a specification the one that is found."""

    def register(spec):
        monkeypatch.setattr(loading, "find_dataset", lambda name: spec)
        return spec

    register(tiny())
    return register


def listing(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ------------------------------------------------------------------------------------------------- mirrors
# and cache


def test_mirror_is_read_and_never_written(places, known):
    mirror, cache = places
    write(mirror)
    before = listing(mirror)
    _, split = loading.load("tiny")
    assert split.name == "few-1"
    assert listing(mirror) == before
    assert not cache.exists()


def test_mirrors_come_in_order_and_before_the_cache(places, known, monkeypatch, tmp_path):
    mirror, cache = places
    second = tmp_path / "second"
    write(second)
    write(cache, "broken")
    monkeypatch.setenv("GRAPHCL_MIRROR", f"{mirror}{store.os.pathsep}{second}")
    _, _, files = loading.open_dataset("tiny")
    assert files["tiny.json"] == second / PATH


def test_a_mirror_that_does_not_exist_is_named(places, known, monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHCL_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"GRAPHCL_MIRROR names '.*nowhere', which is no folder"):
        loading.load("tiny")


def test_a_data_set_without_files_needs_no_mirror(places, known, monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHCL_MIRROR", str(tmp_path / "nowhere"))
    known(replace(tiny(), layouts=(Layout(lambda files: read_text(TEXT, tmp_path)),)))
    graph, _ = loading.load("tiny")
    assert graph.num_nodes == 3


def read_text(text, folder):
    path = folder / "tiny.json"
    path.write_text(text)
    return read({"tiny.json": path})


def test_the_first_layout_that_is_there_is_taken(places, known):
    mirror, _ = places
    write(mirror)
    first = Layout(read, (RawFile("Tiny/tiny.zip", (), "http://127.0.0.1:9/tiny.zip"),))
    known(replace(tiny(), layouts=(first, *tiny().layouts)))
    assert loading.open_dataset("tiny")[2]["tiny.json"] == mirror / PATH


# ---------------------------------------------------------------------------------------------------- the
# wrong file


@pytest.mark.parametrize("text", [TEXT[:-9], "", "\x00\x01", changed(y=[0, 0, 1]), changed(edges=[[0, 1], [0, 2]])])
def test_corrupt_file_in_a_mirror(places, known, text):
    mirror, _ = places
    path = write(mirror, text)
    with pytest.raises(DataError) as caught:
        loading.load("tiny")
    message = str(caught.value)
    assert message.startswith("tiny: ")
    assert "\n" not in message
    for part in (str(path), f"expected {CHECKSUM}", f"found {sha_of(text)}", "mend it there"):
        assert part in message
    assert path.read_text() == text


def test_corrupt_file_in_the_cache_is_moved_aside(places, known):
    _, cache = places
    path = write(cache, TEXT[:-9])
    with pytest.raises(DataError, match=r"moved to tiny\.json\.refused"):
        loading.load("tiny")
    assert files_below(cache) == ["tiny.json.refused"]
    assert not path.exists()


def test_a_folder_that_is_mirror_and_cache_is_left_alone(places, known, monkeypatch):
    mirror, _ = places
    monkeypatch.setenv("GRAPHCL_CACHE", str(mirror))
    write(mirror, "broken")
    with pytest.raises(DataError, match="mend it there"):
        loading.load("tiny")
    assert files_below(mirror) == ["tiny.json"]


def test_another_writing_of_the_same_content_is_accepted(places, known):
    write(places[0], json.dumps(CONTENT, indent=2))
    assert loading.load("tiny")[0].num_edges == 2
    write(places[0], changed(x=[[2.0], [0.5], [3.0]], edges=[[1, 0], [0, 1]]))
    assert loading.load("tiny")[0].num_edges == 2


def test_without_a_fingerprint_only_listed_checksums_are_accepted(places, known):
    known(tiny(content=None))
    write(places[0])
    loading.load("tiny")
    write(places[0], json.dumps(CONTENT, indent=2))
    with pytest.raises(DataError, match="no fingerprint on record"):
        loading.load("tiny")


def test_without_a_checksum_the_content_decides(places, known):
    write(places[0], changed(y=[0, 0, 1]))
    known(tiny(sha256=()))
    with pytest.raises(DataError, match=f"none on record, found .* expected {FINGERPRINT}"):
        loading.load("tiny")
    known(tiny(sha256=(), comparable=False))
    assert loading.load("tiny")[0].y.tolist() == [0, 0, 1]


def test_without_checksum_and_fingerprint_the_sizes_decide(places, known):
    known(tiny(sha256=(), content=None))
    write(places[0], changed(y=[0, 0, 1]))
    assert loading.load("tiny")[0].y.tolist() == [0, 0, 1]
    write(places[0], changed(y=[0, 0, 0]))
    with pytest.raises(DataError, match="read 1 classes, expected 2"):
        loading.load("tiny")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": [[1.0], [float("nan")], [1.0]]}, "NaN or infinite"),
        ({"x": [[1.0], [1.0]]}, "read 2 nodes|labels for 2 nodes"),
        ({"x": [[1], [1], [1]]}, "make it a float tensor"),
        ({"edges": [[0, 7], [1, 0]]}, "names node 7"),
        ({"edges": [[0, 1]]}, "read 1 edges, expected 2"),
        ({"y": [0, 1]}, "2 labels for 3 nodes"),
        ({"y": [0.0, 1.0, 0.0]}, "int64 vector"),
        ({"y": [0, 1, -2]}, "go down to -2"),
        ({"y": [[0], [1], [0]]}, "int64 vector"),
    ],
)
def test_unusable_content_is_named(places, known, changes, message):
    known(tiny(sha256=(), content=None))
    write(places[0], changed(**changes))
    with pytest.raises(DataError, match=message):
        loading.load("tiny")


def test_labels_of_a_list_of_graphs():
    graph = read_of(CONTENT)
    with pytest.raises(DataError, match="6 labels for 2 graphs"):
        loading.labels([graph, graph])
    with pytest.raises(DataError, match="no label"):
        loading.labels([Data(x=torch.ones(1, 1))])
    with pytest.raises(DataError, match="no labels"):
        loading.labels(Data(x=torch.ones(1, 1)))
    assert loading.labels([Data(y=torch.tensor([2])), Data(y=torch.tensor(1))]).tolist() == [2, 1]


def read_of(content):
    return Data(
        x=torch.tensor(content["x"]),
        edge_index=torch.tensor(content["edges"]).t(),
        y=torch.tensor(content["y"]),
    )


def test_memory_running_out_is_not_blamed_on_the_file(places, known):
    def greedy(files):
        raise MemoryError

    path = write(places[1], "broken")
    known(replace(tiny(), layouts=(Layout(greedy, tiny().layouts[0].files),)))
    with pytest.raises(MemoryError):
        loading.load("tiny")
    assert path.exists()


# ------------------------------------------------------------------------------------------------------------
# - names


def test_unknown_names_are_refused_before_any_file_is_looked_for(places, monkeypatch):
    monkeypatch.setenv("GRAPHCL_MIRROR", "/nowhere")
    with pytest.raises(UnknownNameError, match="unknown data set 'corra': did you mean 'cora'"):
        loading.load("corra")
    with pytest.raises(UnknownNameError, match="unknown split of cora 'publik': did you mean 'public'"):
        loading.load("cora", split="publik")


# ---------------------------------------------------------------------------------------------------
# published splits


def with_split(triples, sha256=(), url=None):
    def official(files, graph):
        return tuple(
            Triple(*(torch.tensor(part) for part in parts)) for parts in json.loads(files["split.json"].read_text())
        )

    file = RawFile("Tiny/split.json", sha256, url)
    return tiny(splits={"official": FixedSplit(official, (file,))}, default_split="official"), json.dumps(triples)


def test_published_split(places, known):
    spec, text = with_split([[[0], [1], [2]], [[1], [0], [2]]])
    known(spec)
    write(places[0])
    write(places[0], text, "Tiny/split.json")
    _, split = loading.load("tiny")
    assert [triple.train.tolist() for triple in split] == [[0], [1]]
    assert split.provenance == "published with the data set (2 fixed)"


def test_published_split_leaves_unlabelled_rows_out(places, known):
    spec, text = with_split([[[0, 1], [], [2]]])
    known(replace(spec, content=None, layouts=tiny(sha256=()).layouts, counts=Counts(3, 2, 1, 2)))
    write(places[0], changed(y=[0, -1, 1]))
    write(places[0], text, "Tiny/split.json")
    (triple,) = loading.load("tiny")[1]
    assert (triple.train.tolist(), triple.val.tolist(), triple.test.tolist()) == ([0], [], [2])


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        ([[[0], [0], [2]]], "two parts"),
        ([[[0], [1], [3]]], "names row 3 of 3"),
        ([[[0], [1]]], "TypeError"),
        ([], "no partition"),
    ],
)
def test_unusable_split_file(places, known, triples, message):
    spec, text = with_split(triples)
    known(spec)
    write(places[0])
    path = write(places[0], text, "Tiny/split.json")
    with pytest.raises(DataError, match=message) as caught:
        loading.load("tiny")
    assert str(path) in str(caught.value)


def test_split_file_with_another_checksum_is_refused(places, known):
    spec, text = with_split([[[0], [1], [2]]], sha256=("0" * 64,))
    known(spec)
    write(places[0])
    write(places[1], text, "Tiny/split.json")
    with pytest.raises(DataError, match=r"split\.json is corrupt or another version"):
        loading.load("tiny")
    assert files_below(places[1]) == ["split.json.refused"]


# ----------------------------------------------------------------------------------------------------------
# downloads


@pytest.fixture
def server():
    """A server on this machine; the last part of the address says how it behaves."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            kind = self.path.rpartition("/")[2]
            if kind == "silent":
                time.sleep(3)
                return
            if kind == "missing":
                self.send_error(404)
                return
            body = {"empty": b"", "page": b"<html>rate limit</html>"}.get(kind, TEXT.encode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + (100 if kind == "cut" else 0)))
            self.end_headers()
            if kind == "slow":
                time.sleep(0.3)
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", asked
    http.shutdown()
    http.server_close()


def test_download_goes_to_the_cache_once(places, known, server):
    mirror, cache = places
    url, asked = server
    known(tiny(f"{url}/good"))
    for _ in range(3):
        assert loading.load("tiny")[0].num_nodes == 3
    assert asked == ["/good"]
    assert files_below(cache) == ["tiny.json"]
    assert not listing(mirror)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", r"stopped after \d+ of \d+ bytes|IncompleteRead"),
        ("empty", "empty file"),
        ("missing", "404"),
        ("silent", "timed out"),
    ],
)
def test_failed_download_leaves_nothing_and_says_what_to_do(places, known, server, monkeypatch, kind, message):
    _, cache = places
    url, _ = server
    monkeypatch.setattr(store, "SILENCE", 0.5)
    known(tiny(f"{url}/{kind}"))
    with pytest.raises(DataError, match=message) as caught:
        loading.load("tiny")
    for part in (
        f"fetch {url}/{kind} by hand",
        f"put it at {cache / PATH}",
        f"GRAPHCL_MIRROR at a folder that holds {PATH}",
    ):
        assert part in str(caught.value)
    assert files_below(cache) == []


def test_no_network(places, known):
    known(tiny("http://127.0.0.1:9/tiny.json"))
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"cannot download .* by hand"):
        loading.load("tiny")
    assert time.perf_counter() - start < store.SILENCE
    known(tiny("nonsense"))
    with pytest.raises(DataError, match="cannot download"):
        loading.load("tiny")


def test_a_page_in_place_of_the_file_is_refused_and_fetched_anew(places, known, server):
    _, cache = places
    url, asked = server
    known(tiny(f"{url}/page"))
    for _ in range(2):
        with pytest.raises(DataError, match="the next call fetches it anew"):
            loading.load("tiny")
    assert asked == ["/page", "/page"]
    known(tiny(f"{url}/good"))
    assert loading.load("tiny")[0].num_nodes == 3
    assert files_below(cache) == ["tiny.json", "tiny.json.refused"]


def test_interrupted_download_leaves_nothing(places, known, monkeypatch):
    def interrupted(url, target):
        target.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_fetch", interrupted)
    known(tiny("http://127.0.0.1:9/tiny.json"))
    with pytest.raises(KeyboardInterrupt):
        loading.load("tiny")
    assert files_below(places[1]) == []


def test_no_address(places, known):
    with pytest.raises(DataError, match=f"without an address; put {PATH} below"):
        loading.load("tiny")
    known(with_split([])[0])
    write(places[0])
    with pytest.raises(DataError, match=r"Tiny/split\.json is in no mirror and has no address"):
        loading.load("tiny")


def test_cache_that_cannot_be_written(places, known, server, monkeypatch, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    monkeypatch.setenv("GRAPHCL_CACHE", str(blocked))
    known(tiny(f"{server[0]}/good"))
    with pytest.raises(DataError, match="cannot download"):
        loading.load("tiny")


def fetch_in_process(url):
    return str(store.obtain((RawFile(PATH, (), url),), "tiny")["tiny.json"])


def test_several_processes_fetch_the_same_file(places, server):
    _, cache = places
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(fetch_in_process, [f"{server[0]}/slow"] * 4)
    assert set(found) == {str(cache / PATH)}
    assert (cache / PATH).read_text() == TEXT
    assert files_below(cache) == ["tiny.json"]


def test_several_threads_load_at_once(places, known, server):
    known(tiny(f"{server[0]}/slow"))
    with ThreadPoolExecutor(8) as pool:
        graphs = list(pool.map(lambda _: loading.load("tiny")[0], range(8)))
    assert all(graph.num_nodes == 3 for graph in graphs)
    assert files_below(places[1]) == ["tiny.json"]
