"""Splits of interactions: partitions, shares of each user, the order of time."""

import numpy as np
import pytest
import torch
from hypothesis import given as examples
from hypothesis import strategies as st

from graphcl.data.interaction_splits import INTERACTION_SPLITS, InteractionSplit, draw_interactions, given
from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.errors import DataError, RequestError, UnknownNameError


@st.composite
def interactions(draw, timed=True):
    """Up to 8 users of 0 to 40 items each, one of them with 12 at least; times with ties."""
    degrees = [*draw(st.lists(st.integers(0, 40), max_size=7)), draw(st.integers(12, 40))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    users = np.repeat(np.arange(len(degrees)), degrees)
    items = np.concatenate([rng.choice(40, degree, replace=False) for degree in degrees])
    times = rng.integers(0, 30, len(users)) if timed else None
    return Interactions(users=users, items=items, num_users=len(degrees), num_items=40, times=times)


def pairs(part):
    return set(zip(part.users.tolist(), part.items.tolist(), strict=True))


@pytest.mark.parametrize("name", INTERACTION_SPLITS)
@examples(seen=interactions(), seed=st.integers(0, 9))
def test_a_partition_that_the_seed_decides(name, seen, seed):
    split = draw_interactions(name, seen, seed)
    parts = [pairs(part) for part in (split.train, split.val, split.test)]
    assert sum(map(len, parts)) == len(seen)
    assert set().union(*parts) == pairs(seen)
    assert split.whole.fingerprint == seen.fingerprint
    assert split.digest == draw_interactions(name, seen, seed).digest
    assert {(part.num_users, part.num_items) for part in (split.train, split.val, split.test)} == {(seen.num_users, 40)}


@examples(seen=interactions(), seed=st.integers(0, 9))
def test_the_tenth_of_each_user(seen, seed):
    split = draw_interactions("ratio-80-10-10", seen, seed)
    for n, val, test in zip(seen.user_degrees.tolist(), split.val.user_degrees, split.test.user_degrees, strict=True):
        assert val == test == int(n / 10 + 0.5)
        assert n >= 5 or test == 0


@examples(seen=interactions(), seed=st.integers(0, 9))
def test_the_last_one_of_each_user(seen, seed):
    split = draw_interactions("leave-one-out", seen, seed)
    for user, n in enumerate(seen.user_degrees.tolist()):
        train, val, test = (part.times[part.users == user] for part in (split.train, split.val, split.test))
        assert (len(val), len(test)) == ((1, 1) if n >= 3 else (0, 0))
        if n >= 3:
            assert train.max() <= val.min() <= test.min()


@examples(seen=interactions(timed=False))
def test_without_times_the_seed_says_what_is_last(seen):
    held = [draw_interactions("leave-one-out", seen, seed) for seed in range(4)]
    assert len({split.digest for split in held}) > 1
    assert all("drawn with seed" in split.provenance for split in held)


@examples(seen=interactions(), seed=st.integers(0, 9))
def test_nothing_is_learnt_from_the_future(seen, seed):
    split = draw_interactions("time-80-10-10", seen, seed)
    assert len(split.test) == len(split.val) == int(len(seen) / 10 + 0.5)
    assert split.train.times.max() <= split.val.times.min()
    assert split.val.times.max() <= split.test.times.min()
    assert split.digest == draw_interactions("time-80-10-10", seen, seed + 1).digest


@examples(seen=interactions(), share=st.sampled_from([0.01, 0.1, 0.5, 0.99]), seed=st.integers(0, 9))
def test_validation_out_of_the_given_training_part(seen, share, seed):
    drawn = draw_interactions("ratio-80-10-10", seen, seed)
    split = given(drawn.train, drawn.test, seed, validation=share)
    assert split.name == "given"
    assert split.test is drawn.test
    assert pairs(split.train) | pairs(split.val) == pairs(drawn.train)
    for n, val in zip(drawn.train.user_degrees.tolist(), split.val.user_degrees.tolist(), strict=True):
        assert val == (0 if n < 2 else min(max(1, int(share * n + 0.5)), n - 1))


def test_the_given_parts_as_they_are():
    drawn = draw_interactions("ratio-80-10-10", planted_factors())
    split = given(drawn.train, drawn.test, validation=0)
    assert (split.name, split.provenance, len(split.val)) == ("given-full", "as published", 0)
    assert split.train.fingerprint == drawn.train.fingerprint


def test_equal_times_are_ordered_by_the_seed():
    seen = Interactions(users=[0] * 40, items=list(range(40)), num_users=1, num_items=40, times=[5] * 40)
    assert len({draw_interactions("leave-one-out", seen, seed).test.items.item() for seed in range(8)}) > 2


def test_ratings_times_and_names_go_along():
    seen = Interactions(
        users=[0] * 10,
        items=list(range(10)),
        num_users=1,
        num_items=10,
        user_ids=["ann"],
        item_text=tuple("abcdefghij"),
        ratings=list(range(10)),
        times=list(range(10)),
    )
    split = draw_interactions("time-80-10-10", seen)
    assert (split.val.ratings.tolist(), split.test.times.tolist()) == ([8.0], [9.0])
    assert split.train.user_ids.tolist() == ["ann"]
    assert split.whole.item_text == seen.item_text


def test_refusals():
    seen = planted_factors(20, 20, 40)
    small = Interactions(users=[0, 1], items=[0, 1], num_users=2, num_items=2)
    with pytest.raises(UnknownNameError, match="did you mean 'leave-one-out'"):
        draw_interactions("leave-1-out", seen)
    with pytest.raises(RequestError, match="they have no times"):
        draw_interactions("time-80-10-10", seen)
    with pytest.raises(RequestError, match="seed = -1"):
        draw_interactions("leave-one-out", seen, -1)
    with pytest.raises(RequestError, match="validation = 1"):
        given(seen, seen, validation=1.0)
    for name in ("ratio-80-10-10", "leave-one-out"):
        with pytest.raises(DataError, match="no user has enough items"):
            draw_interactions(name, small)
    with pytest.raises(DataError, match="test part is empty"):
        given(small, small.part(torch.tensor([False, False])))
    with pytest.raises(DataError, match="2 pairs stand in two parts, the first is user 0 with item 0"):
        given(small, small, validation=0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"num_users": 3}, "do not share a numbering"),
        ({"user_ids": ["a", "b"]}, "do not share a numbering"),
    ],
)
def test_parts_of_another_numbering_are_refused(other, message):
    parts = {"users": [0], "items": [0], "num_users": 2, "num_items": 2}
    train, test = Interactions(**parts), Interactions(**{**parts, "items": [1], **other})
    with pytest.raises(DataError, match=message):
        given(train, test)


def test_nothing_to_learn_from_is_refused():
    seen = Interactions(users=[0], items=[0], num_users=1, num_items=1)
    none = seen.part(torch.tensor([False]))
    with pytest.raises(DataError, match="the training part is empty"):
        InteractionSplit(name="own", train=none, val=none, test=seen, provenance="by hand")


def test_the_digest_tells_the_parts_apart():
    seen = Interactions(users=[0, 0], items=[0, 1], num_users=1, num_items=2)
    first, second = seen.part(torch.tensor([True, False])), seen.part(torch.tensor([False, True]))
    none = seen.part(torch.tensor([False, False]))
    made = [
        InteractionSplit(name="own", train=train, val=val, test=test, provenance="by hand").digest
        for train, val, test in ((first, none, second), (second, none, first), (first, second, none))
    ]
    assert len(set(made)) == 3


def test_the_global_generators_stand_still():
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    draw_interactions("ratio-80-10-10", planted_factors())
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
