"""Interactions: what is refused, what is numbered how, and the sets that come with graphcl."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graphcl
from graphcl.catalogue import entries
from graphcl.data import interaction_loading
from graphcl.data.interaction_loading import find_interactions, load_interactions, open_interactions
from graphcl.data.interaction_spec import InteractionCounts, InteractionSpec, interaction_fingerprint
from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.data.python_imports import import_pairs
from graphcl.data.spec import Layout, RawFile
from graphcl.errors import DataError, RequestError, UnknownNameError

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), min_size=1, max_size=60)


def of(pairs, **more):
    users, items = zip(*pairs, strict=True)
    return Interactions(users=users, items=items, num_users=7, num_items=9, **more)


@given(PAIRS)
def test_each_pair_once_in_order(pairs):
    seen = of(pairs)
    assert list(zip(seen.users.tolist(), seen.items.tolist(), strict=True)) == sorted(set(pairs))
    assert seen.matrix.sum() == len(seen) == seen.user_degrees.sum() == seen.item_degrees.sum()


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(pairs, random):
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    assert of(pairs).fingerprint == of(shuffled).fingerprint


@given(PAIRS)
def test_of_a_pair_that_comes_again_the_earliest_stays(pairs):
    times = [float(hash(pair) % 5 - k % 3) for k, pair in enumerate(pairs)]
    seen = of(pairs, times=times, ratings=range(len(pairs)))
    for user, item, time, row in zip(
        *(t.tolist() for t in (seen.users, seen.items, seen.times, seen.ratings)), strict=True
    ):
        rivals = [(t, k) for k, (pair, t) in enumerate(zip(pairs, times, strict=True)) if pair == (user, item)]
        assert (time, row) == min(rivals)


def test_a_million_rows_of_one_pair():
    seen = Interactions(users=torch.zeros(10**6).long(), items=torch.ones(10**6).long(), num_users=1, num_items=2)
    assert len(seen) == 1


def test_a_user_without_pairs_stays():
    seen = Interactions(users=[0, 2], items=[0, 0], num_users=4, num_items=2)
    assert seen.user_degrees.tolist() == [1, 0, 1, 0]
    assert seen.matrix.shape == (4, 2)
    assert seen.graph().num_nodes == 6


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"users": [0, 5]}, "user 5 of 2"),
        ({"users": [0, -1]}, "user -1 of 2"),
        ({"users": [0.0, 1.0]}, "whole numbers"),
        ({"users": [0]}, "1 users and 2 items"),
        ({"ratings": [1, -2]}, "-2 is negative"),
        ({"ratings": [1, float("nan")]}, "pair 1 is no number"),
        ({"times": [float("inf"), 0]}, "pair 0 is no number"),
        ({"times": [0]}, "one each"),
        ({"user_ids": ["a", "a"]}, "occurs twice"),
        ({"user_ids": ["a"]}, "one each"),
        ({"item_text": ("a",)}, "1 texts for 3 items"),
    ],
)
def test_refusals(more, message):
    with pytest.raises(DataError, match=message):
        Interactions(**{"users": [0, 1], "items": [0, 1], "num_users": 2, "num_items": 3, **more})


def test_numbers_of_ids():
    named = Interactions(users=[0], items=[0], num_users=2, num_items=1, user_ids=np.array(["b", "a"], dtype=object))
    assert named.user_numbers(["a", "z", "b"]).tolist() == [1, -1, 0]
    assert named.item_numbers([0, 1, -1]).tolist() == [0, -1, -1]
    assert named.item_numbers(["x", 10**30]).tolist() == [-1, -1]
    numbered = Interactions(users=[0], items=[0], num_users=1, num_items=2, item_ids=np.array([7, 2**40]))
    assert numbered.item_numbers(np.array([2**40, 7, 1])).tolist() == [1, 0, -1]


def test_parts_and_joining():
    seen = Interactions(users=[0, 0, 1], items=[0, 1, 0], num_users=2, num_items=2, times=[3, 1, 2])
    part, rest = seen.part(seen.users == 0), seen.part(seen.users == 1)
    assert part.joined(rest).fingerprint == seen.fingerprint
    assert part.joined(rest).times.tolist() == seen.times.tolist()
    with pytest.raises(DataError, match="do not share"):
        part.joined(Interactions(users=[0], items=[0], num_users=3, num_items=2))
    with pytest.raises(DataError, match=r"bool \[3\]"):
        seen.part(torch.tensor([True]))


# --- sets ---------------------------------------------------------------------------------------------------------


def test_the_catalogue_of_sets():
    known = entries("interactions")
    assert set(known) >= {"gowalla", "ml-1m", "lastfm", "filmtrust", "ml-100k", "python-imports", "planted-factors"}
    for spec in known.values():
        assert spec.default_split in spec.splits
        assert (spec.counts is None) == (spec.content is None)
        assert spec.embedded or all(file.sha256 for layout in spec.layouts for file in layout.files), spec.name


def test_graphs_and_interaction_sets_point_to_each_other():
    with pytest.raises(RequestError, match=r"load_interactions\('ml-100k'\)"):
        graphcl.load("ml-100k")
    with pytest.raises(RequestError, match=r"load\('karate'\)"):
        load_interactions("karate")
    with pytest.raises(UnknownNameError, match="did you mean 'gowalla'"):
        find_interactions("gowala")
    with pytest.raises(UnknownNameError, match="split of gowalla 'time-80-10-10'"):
        load_interactions("gowalla", "time-80-10-10")


def test_python_imports():
    spec, seen, _ = open_interactions("python-imports")
    assert spec.counts is None
    assert seen.num_users > 300
    assert seen.num_items > 100
    assert int(seen.user_degrees.min()) >= 1
    assert int(seen.item_degrees.min()) >= 1
    text = dict(zip(seen.item_ids.tolist(), seen.item_text, strict=True))
    assert text["re"] == "Support for regular expressions (RE)."
    assert text["_socket"] == "_socket"  # compiled: no source, so it says its name
    assert not {"test", "json"} & {name for name in seen.user_ids.tolist() if "test" in name.split(".")}
    own = seen.user_numbers(["asyncio.events"]).item()
    assert seen.item_numbers(["asyncio"]).item() not in seen.items[seen.users == own].tolist()
    assert import_pairs().fingerprint == seen.fingerprint


def test_planted_factors():
    one, again, other = (planted_factors(100, 80, 600, seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    even, skewed = (planted_factors(300, 200, 6000, skew=skew).item_degrees.float() for skew in (0.0, 1.0))
    assert skewed.std() > 3 * even.std()
    for wrong in ({"pairs": 0}, {"pairs": 10**6}, {"users": 0}, {"skew": -1}, {"factors": 0}, {"seed": -1}):
        with pytest.raises(RequestError, match=f"{next(iter(wrong))} = "):
            planted_factors(**wrong)


def test_planted_tastes_can_be_learnt():
    seen = planted_factors(skew=0.0, factors=2)
    # tastes of two factors: of the matrix without its mean, two directions hold far more than chance would
    values = np.linalg.svd(seen.matrix.toarray() - len(seen) / 240_000, compute_uv=False)
    assert values[1] > 1.5 * values[8]


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A set of one file in the cache, as given to `open_interactions`."""
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path))
    monkeypatch.delenv("GRAPHCL_MIRROR", raising=False)
    (tmp_path / "pairs.txt").write_text("anything")
    good = planted_factors(20, 20, 30)

    def make(read=lambda files: good, checksum="0" * 64, **more):
        facts = {"counts": InteractionCounts(20, 20, 30), "content": interaction_fingerprint(good), **more}
        layout = Layout(read=read, files=(RawFile("pairs.txt", (checksum,)),))
        spec = InteractionSpec(name="made", title="", layouts=(layout,), citation="", source="", note="", **facts)
        monkeypatch.setattr(interaction_loading, "find_interactions", lambda name: spec)
        return good

    return make


def test_an_unknown_file_is_accepted_by_its_content(made):
    good = made()
    assert open_interactions("made")[1] is good


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"counts": InteractionCounts(20, 20, 31)}, "read 30 pairs in train, expected 31"),
        ({"counts": InteractionCounts(21, 20, 30)}, "read 20 users, expected 21"),
        ({"content": "0" * 16}, "expected 0000000000000000"),
        ({"content": None}, "no fingerprint on record"),
        ({"timed": True}, "no times"),
        ({"has_test": True}, r"read 1 part\(s\), expected 2"),
        ({"read": lambda files: 1 // 0}, "ZeroDivisionError"),
    ],
)
def test_other_content_is_refused(made, more, message, tmp_path):
    made(**more)
    with pytest.raises(DataError, match=message) as caught:
        open_interactions("made")
    assert "corrupt or another version" in str(caught.value)
    assert (tmp_path / "pairs.txt.refused").exists()


def test_missing_files_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path))
    monkeypatch.delenv("GRAPHCL_MIRROR", raising=False)
    with pytest.raises(DataError, match=r"put Recommendation/gowalla/train.txt"):
        load_interactions("gowalla")
