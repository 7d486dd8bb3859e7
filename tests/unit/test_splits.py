"""Splits: disjoint, complete, of the stated size, the same on every machine."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from graphcl.data.splits import RANDOM, Split, Triple, draw, is_random
from graphcl.errors import DataError, RequestError, UnknownNameError

FRACTIONS = {
    "random-10-10-80": (0.1, 0.1),
    "random-60-20-20": (0.6, 0.2),
    "random-10-90": (0.1, 0.0),
    "random-20-80-cv": (0.2, 0.0),
}


@st.composite
def label_vectors(draw_value, least=40):
    """Labels of 1 to 5 classes with at least `least` members each and some unlabelled rows, shuffled."""
    sizes = draw_value(st.lists(st.integers(least, least + 60), min_size=1, max_size=5))
    unlabelled = draw_value(st.integers(0, 30))
    order = draw_value(st.integers(0, 2**32 - 1))
    y = np.concatenate([np.full(size, c) for c, size in enumerate(sizes)] + [np.full(unlabelled, -1)])
    return torch.from_numpy(np.random.default_rng(order).permutation(y))


def drawn(name, y, seed):
    """A draw may, rarely, leave a class without training rows, which is refused; such a case says nothing here."""
    try:
        return draw(name, y, seed)
    except DataError as error:
        assume("no training row of class" not in str(error))
        raise


def everything(triple):
    return torch.cat([triple.train, triple.val, triple.test])


@settings(max_examples=25, deadline=None)
@given(y=label_vectors(), seed=st.integers(0, 1000), name=st.sampled_from([*RANDOM, "few-1", "few-20"]))
def test_every_split_is_a_partition_of_the_labelled_rows(y, seed, name):
    labelled = (y >= 0).nonzero().flatten()
    try:
        split = draw(name, y, seed)
    except DataError:
        assume(name.startswith("random"))  # a class may by chance have no training row
        reject()
    for triple in split:
        assert torch.equal(everything(triple).sort().values, labelled)
        assert all(torch.equal(part, part.sort().values) for part in (triple.train, triple.val, triple.test))


@settings(max_examples=25, deadline=None)
@given(y=label_vectors(), seed=st.integers(0, 1000), name=st.sampled_from(sorted(FRACTIONS)))
def test_percentages_are_exact_counts(y, seed, name):
    n = int((y >= 0).sum())
    train, val = (round(part * n) for part in FRACTIONS[name])
    (triple,) = drawn(name, y, seed)
    assert (triple.train.numel(), triple.val.numel()) == (train, val)
    assert triple.test.numel() == n - train - val


@settings(max_examples=25, deadline=None)
@given(y=label_vectors(), seed=st.integers(0, 1000))
def test_balanced_takes_the_same_number_of_each_class(y, seed):
    (triple,) = draw("random-60-20-20-balanced", y, seed)
    rows = y[y >= 0]
    sizes = torch.bincount(rows)
    quota = round(0.6 * rows.numel() / sizes.numel())
    assert torch.equal(torch.bincount(y[triple.train]), sizes.clamp(max=quota))
    assert triple.val.numel() == round(0.2 * rows.numel())


@settings(max_examples=25, deadline=None)
@given(y=label_vectors(), seed=st.integers(0, 1000), k=st.integers(1, 20))
def test_few_takes_k_and_at_most_thirty_of_each_class(y, seed, k):
    (triple,) = draw(f"few-{k}", y, seed)
    sizes = torch.bincount(y[y >= 0])
    assert (torch.bincount(y[triple.train]) == k).all()
    val = torch.bincount(y[triple.val], minlength=sizes.numel())
    assert torch.equal(val, ((sizes - k) // 2).clamp(max=30))
    assert set(y[triple.test].tolist()) == set(range(sizes.numel()))


@settings(max_examples=15, deadline=None)
@given(y=label_vectors(), seed=st.integers(0, 1000))
def test_folds_are_stratified_and_every_row_is_tested_once(y, seed):
    split = draw("folds-10", y, seed)
    assert len(split) == 10
    labelled = (y >= 0).nonzero().flatten()
    assert torch.equal(torch.cat([triple.test for triple in split]).sort().values, labelled)
    assert torch.equal(torch.cat([triple.val for triple in split]).sort().values, labelled)
    for c in range(int(y.max()) + 1):
        share = int((y == c).sum()) / 10
        for triple in split:
            assert abs(int((y[triple.test] == c).sum()) - share) <= 1


def test_few_leaves_a_test_row_for_a_class_of_three():
    (triple,) = draw("few-1", torch.tensor([0] * 3 + [1] * 200))
    assert [
        int((torch.tensor([0] * 3 + [1] * 200)[part] == 0).sum()) for part in (triple.train, triple.val, triple.test)
    ] == [1, 1, 1]


PINNED = {
    "few-3": "a79645f6421fede8",
    "folds-10": "374263518dca0c05",
    "folds-10-cv": "c5e457191e6a7a7e",
    "random-10-10-80": "9eba0619218c293d",
    "random-10-90": "e4e90ae192b1d864",
    "random-20-80-cv": "68ec621f9a3bbe9c",
    "random-60-20-20": "2b715a102296ef61",
    "random-60-20-20-balanced": "da7dbc3e74693bb2",
}


def test_pinned_list_is_complete():
    assert set(PINNED) == {*RANDOM, "few-3"}


@pytest.mark.parametrize("name", sorted(PINNED))
def test_the_same_seed_gives_the_same_split_on_every_machine(name):
    y = torch.arange(200) % 4
    state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert draw(name, y, seed=7).digest == PINNED[name]
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()  # noqa: NPY002


def test_seeds_and_names_draw_differently():
    y = torch.arange(200) % 4
    digests = {draw(name, y, seed).digest for name in RANDOM for seed in range(3)}
    assert len(digests) == 3 * len(RANDOM)


def test_digest_tells_parts_apart():
    one = Split("a", (Triple(torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3])),), "")
    two = Split("b", (Triple(torch.tensor([0]), torch.tensor([1, 2]), torch.tensor([3])),), "")
    same = Split("c", (Triple(torch.tensor([1, 0]), torch.tensor([2]), torch.tensor([3])),), "elsewhere")
    assert one.digest != two.digest
    assert one.digest == same.digest


def test_masks_become_indices():
    triple = Triple.of_masks([True, False, False], torch.tensor([0, 1, 0]), torch.tensor([False, False, True]))
    assert [part.tolist() for part in (triple.train, triple.val, triple.test)] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([0, 1], [1], [2]), "two parts"),
        (([0, 0], [1], [2]), "twice"),
        (([], [1], [2]), "training part is empty"),
    ],
)
def test_overlapping_or_empty_parts_are_refused(parts, message):
    with pytest.raises(DataError, match=message):
        Triple(*(torch.tensor(part, dtype=torch.long) for part in parts))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], "names row 2 of 2"),
        ([0, 1, -1], "unlabelled"),
        ([0, 1, 2], "no training row of class 1, 2"),
    ],
)
def test_check_refuses_what_cannot_be_learnt_from(y, message):
    triple = Triple(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    with pytest.raises(DataError, match=message):
        Split("mine", (triple,), "").check(torch.tensor(y))


def test_a_published_split_may_lack_a_class_in_training():
    triple = Triple(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    split = Split("official", (triple,), "", published=True)
    assert split.check(torch.tensor([0, 1, 2])) is split


def test_a_split_without_partition_is_refused():
    with pytest.raises(DataError, match="no partition"):
        Split("mine", (), "")


@pytest.mark.parametrize("name", ["few-0", "few-", "few-3x", "random", "public", "folds-5"])
def test_unknown_names(name):
    assert not is_random(name)
    with pytest.raises(UnknownNameError, match="unknown split"):
        draw(name, torch.arange(200) % 4)


def test_negative_seed_and_unlabelled_data_are_refused():
    with pytest.raises(RequestError, match="seed = -1"):
        draw("random-10-90", torch.arange(200) % 4, seed=-1)
    with pytest.raises(DataError, match="no labels"):
        draw("random-10-90", torch.full((20,), -1))


def test_too_small_a_class_for_ten_folds():
    with pytest.raises(DataError, match="smallest class has 3"):
        draw("folds-10", torch.tensor([0] * 50 + [1] * 3))


def test_selection_follows_the_protocol():
    y = torch.arange(200) % 4
    assert {name for name in RANDOM if draw(name, y).selection == "cross-validation"} == {
        "folds-10-cv",
        "random-10-90",
        "random-20-80-cv",
    }


def test_repeated_draws_begin_with_the_single_one() -> None:
    y = torch.arange(200) % 4
    once, often = draw("random-10-10-80", y, seed=3), draw("random-10-10-80x4", y, seed=3)
    assert len(often) == 4
    assert often.provenance == "drawn 4 times with seed 3"
    assert torch.equal(often.triples[0].train, once.triples[0].train)
    assert len({tuple(triple.train.tolist()) for triple in often}) == 4
    assert draw("random-20-80-cvx2", y, seed=0).selection == "cross-validation"
    assert len(draw("few-3x5", y, seed=0)) == 5


@pytest.mark.parametrize("name", ["random-10-10-80x0", "random-10-10-80x", "x3", "publicx2", "random-10-10-80x100"])
def test_names_that_only_look_repeated(name: str) -> None:
    assert not is_random(name)
