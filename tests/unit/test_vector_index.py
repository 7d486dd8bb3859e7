"""Vectors as files: what is written, what is refused, and that an index finds what `top_k` finds."""

import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.errors import DataError, MissingExtraError, RequestError, RunFailedError
from graphcl.evaluate import Embedded, top_k
from graphcl.recsys.adapters import export_vectors, load_vectors, search_unseen, to_faiss, to_parquet, vector_index
from graphcl.recsys.methods import EASE


class Exact:
    """Inner products, as an exact index has them."""

    def __init__(self, items):
        self.items, self.ntotal = items, len(items)
        self.asked = 0

    def search(self, x, k):
        self.asked += len(x) * k
        scores = x @ self.items.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), order


@pytest.fixture
def seen():
    return planted_factors(users=60, items=50, pairs=375)


@pytest.fixture
def scorer():
    generator = torch.Generator().manual_seed(0)
    return Embedded(torch.randn(60, 8, generator=generator), torch.randn(50, 8, generator=generator))


def named(seen, users=None, items=None):
    return Interactions(
        users=seen.users,
        items=seen.items,
        num_users=seen.num_users,
        num_items=seen.num_items,
        user_ids=users,
        item_ids=items,
    )


@pytest.mark.parametrize(
    "ids",
    [
        None,
        np.arange(50) + 7,
        np.array([f"ü{k}" for k in range(50)]),
        np.array([2**70 + k for k in range(50)], dtype=object),
        np.array([k if k % 2 else str(k) for k in range(50)], dtype=object),
    ],
    ids=["numbers", "whole", "strings", "large", "mixed"],
)
def test_vectors_and_ids_come_back(scorer, seen, tmp_path, ids):
    found = load_vectors(export_vectors(scorer, named(seen, items=ids), tmp_path / "there" / "not yet"))
    assert np.array_equal(found.users, scorer.users.numpy())
    assert np.array_equal(found.items, scorer.items.numpy())
    assert found.user_ids is None
    assert (found.item_ids is None) if ids is None else (found.item_ids.tolist() == ids.tolist())
    assert torch.equal(found.scorer().items, scorer.items)


def test_what_is_said_about_it(scorer, seen, tmp_path):
    export_vectors(scorer, seen, tmp_path, {"recommender": "xsimgcl", "seed": 3})
    about = json.loads((tmp_path / "about.json").read_text())
    assert (about["users"], about["items"], about["dim"], about["measure"]) == (60, 50, 8, "inner product")
    assert about["interactions"] == seen.fingerprint
    assert about["note"] == {"recommender": "xsimgcl", "seed": 3}
    with pytest.raises(RequestError, match="what JSON holds"):
        export_vectors(scorer, seen, tmp_path, {"recommender": object()})
    assert load_vectors(tmp_path).about == about


def test_an_export_replaces_another(scorer, seen, tmp_path):
    export_vectors(scorer, named(seen, items=np.arange(50) + 7), tmp_path)
    export_vectors(scorer, seen, tmp_path)
    assert load_vectors(tmp_path).item_ids is None


def test_other_precisions_are_written_as_float32(scorer, seen, tmp_path):
    export_vectors(Embedded(scorer.users.double(), scorer.items.double()), seen, tmp_path)
    assert load_vectors(tmp_path).users.dtype == np.float32


def test_what_has_no_vectors_is_refused(seen, tmp_path):
    without = EASE().fit(seen)
    for export in (lambda: export_vectors(without, seen, tmp_path), lambda: to_parquet(without, seen, tmp_path)):
        with pytest.raises(RequestError, match="ItemSimilarity scores without vectors"):
            export()
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused(scorer, seen, tmp_path):
    with pytest.raises(RequestError, match="fitted to"):
        export_vectors(Embedded(scorer.users[:9], scorer.items), seen, tmp_path)
    with pytest.raises(RunFailedError, match="NaN"):
        export_vectors(Embedded(scorer.users * torch.nan, scorer.items), seen, tmp_path)
    with pytest.raises(DataError, match="float"):
        export_vectors(scorer, named(seen, items=np.arange(50) + 0.5), tmp_path)


def test_a_broken_export_is_refused(scorer, seen, tmp_path):
    with pytest.raises(RequestError, match="no about.json"):
        load_vectors(tmp_path)
    export_vectors(scorer, named(seen, items=np.arange(50) + 7), tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    ragged = {
        "items.npy": whole[tmp_path / "items.npy"][:200],
        "users.npy": whole[tmp_path / "items.npy"],
        "item_ids.json": b"[1, 2]",
        "about.json": b'{"format": "another"}',
    }
    for name, content in ragged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError):
            load_vectors(tmp_path)
        (tmp_path / name).write_bytes(whole[tmp_path / name])
    (tmp_path / "users.npy").unlink()
    with pytest.raises(DataError, match="FileNotFoundError"):
        load_vectors(tmp_path)


def test_a_pickle_is_not_opened(scorer, seen, tmp_path):
    export_vectors(scorer, seen, tmp_path)
    np.save(tmp_path / "items.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        load_vectors(tmp_path)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 10))
def test_an_exact_index_finds_what_top_k_finds(count, k, seed):
    generator = torch.Generator().manual_seed(seed)
    # whole numbers: products are exact in any order, and ties are many
    vectors = [torch.randint(-3, 4, (n, 4), generator=generator).float() for n in (60, 50)]
    scorer, seen = Embedded(*vectors), planted_factors(users=60, items=50, pairs=375)
    users = torch.randperm(60, generator=generator)[:count]
    for known in (None, seen):
        expected = top_k(scorer, users, k, known)
        found = search_unseen(Exact(vectors[1].numpy()), vectors[0].numpy(), users, k, known, batch=7)
        assert torch.equal(found.users, expected.users)
        assert torch.equal(found.scores, expected.scores)
        assert torch.equal(found.items, expected.items)


def test_no_more_is_asked_of_an_index_than_a_user_needs():
    seen = Interactions(users=[0] * 40, items=range(40), num_users=100, num_items=50)
    index = Exact(np.ones((50, 1), dtype=np.float32))
    search_unseen(index, np.ones((100, 1), dtype=np.float32), torch.arange(100), 5, seen, batch=10)
    assert index.asked == 90 * 5 + 10 * 45


def test_a_wrong_search_is_refused(scorer, seen):
    index, queries, users = Exact(scorer.items.numpy()), scorer.users.numpy(), torch.arange(3)
    with pytest.raises(RequestError, match="k = 0"):
        search_unseen(index, queries, users, 0)
    with pytest.raises(RequestError, match="numbers start at 0"):
        search_unseen(index, queries, torch.tensor([60]), 3)
    with pytest.raises(RequestError, match="is seen, and the index has 50 items"):
        search_unseen(index, queries, users, 3, planted_factors(users=60, items=40, pairs=200))
    assert search_unseen(index, queries, users[:0], 3, seen).items.shape == (0, 3)


def test_parquet_holds_ids_and_vectors(scorer, seen, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    ids = np.array([f"i{k}" for k in range(50)])
    files = to_parquet(scorer, named(seen, items=ids), tmp_path)
    users, items = (parquet.read_table(path) for path in files)
    assert users.column("id").to_pylist() == list(range(60))
    assert items.column("id").to_pylist() == ids.tolist()
    assert str(items.schema.field("vector").type) == "fixed_size_list<element: float>[8]"
    assert np.array_equal(np.array(items.column("vector").to_pylist(), dtype=np.float32), scorer.items.numpy())


def test_a_faiss_index_finds_the_same_in_a_fresh_process(scorer, seen, tmp_path):
    faiss = pytest.importorskip("faiss")
    path = tmp_path / "items.faiss"
    assert isinstance(to_faiss(scorer, path), faiss.IndexFlatIP)
    export_vectors(scorer, seen, tmp_path / "vectors")
    expected = top_k(scorer, torch.arange(60), 10, seen)
    code = (
        "import faiss, sys, torch\n"
        "from graphcl.data import planted_factors\n"
        "from graphcl.recsys.adapters import load_vectors, search_unseen\n"
        "vectors, seen = load_vectors(sys.argv[2]), planted_factors(users=60, items=50, pairs=375)\n"
        "found = search_unseen(faiss.read_index(sys.argv[1]), vectors.users, torch.arange(60), 10, seen)\n"
        "print(found.items.tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "vectors")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected.items.tolist()


@pytest.mark.parametrize("library", ["faiss", "pyarrow"])
def test_a_missing_library_is_named(library, scorer, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(vector_index, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"{library}.* is not installed: pip install 'graphcl\[recsys\]'"):
        if library == "faiss":
            to_faiss(scorer, tmp_path / "items.faiss")
        else:
            to_parquet(scorer, seen, tmp_path)


@pytest.mark.parametrize(
    ("module", "name", "library"),
    [("lenskit_scorer", "LensKitScorer", "lenskit"), ("cornac_recommender", "CornacRecommender", "cornac")],
)
def test_without_a_framework_the_rest_of_its_module_is_there(module, name, library, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = runpy.run_path(str(Path(vector_index.__file__).with_name(f"{module}.py")), run_name=module)
    assert name not in found
    with pytest.raises(MissingExtraError, match=rf"{library} is not installed: pip install 'graphcl\[recsys\]'"):
        found["__getattr__"](name)
    with pytest.raises(AttributeError):
        found["__getattr__"]("another")
