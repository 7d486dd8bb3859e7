"""The public interaction sets themselves, against the sizes that were published with them."""

import os

import pytest
import torch

from graphcl.catalogue import entries
from graphcl.data.interaction_loading import load_interactions, open_interactions
from graphcl.data.interaction_spec import interaction_fingerprint
from graphcl.data.interactions import Interactions
from graphcl.data.store import find_files

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("GRAPHCL_MIRROR"), reason="GRAPHCL_MIRROR is not set: no raw files"),
]

# users, items, rows of the training and of the test file, and of these the pairs
PUBLISHED = {
    "gowalla": (29_858, 40_981, 810_128, 217_242),
    "ml-1m": (6_022, 3_043, 796_244, 99_455),
    "lastfm": (1_892, 4_489, 42_135, 10_533),
    "filmtrust": (1_508, 2_071, 33_750 - 2, 1_747 - 1),  # rows that come again; see its traps
    "ml-100k": (943, 1_682, 100_000),
}


def opened(name):
    spec = entries("interactions")[name]
    if all(find_files(layout.files) is None for layout in spec.layouts):
        pytest.skip(f"the raw files of {name} are in no folder of GRAPHCL_MIRROR")
    return open_interactions(name)


def parts_of(content):
    return (content,) if isinstance(content, Interactions) else content


def test_every_set_from_files_has_published_sizes():
    assert {name for name, spec in entries("interactions").items() if not spec.embedded} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_and_the_recorded_fingerprint(name):
    spec, content, _ = opened(name)
    parts = parts_of(content)
    assert (parts[0].num_users, parts[0].num_items, *map(len, parts)) == PUBLISHED[name]
    assert interaction_fingerprint(content) == spec.content


@pytest.mark.parametrize("name", [name for name, sizes in PUBLISHED.items() if len(sizes) == 4])
def test_training_and_test_part_share_no_pair(name):
    _, (train, test), _ = opened(name)
    assert len(train.joined(test)) == len(train) + len(test)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_split_keeps_all_pairs(name):
    spec, content, _ = opened(name)
    whole = parts_of(content)[0] if isinstance(content, Interactions) else content[0].joined(content[1])
    for split_name in spec.splits:
        split = load_interactions(name, split_name)
        assert split.name == split_name
        assert split.whole.fingerprint == whole.fingerprint
    assert load_interactions(name).name == spec.default_split
    assert spec.default_split == ("ratio-80-10-10" if name == "ml-100k" else "given")


def test_ml_100k_keeps_what_is_known_of_its_pairs():
    _, seen, _ = opened("ml-100k")
    assert seen.ratings.unique().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    first = seen.user_numbers([196]).item(), seen.item_numbers([242]).item()
    row = (seen.users == first[0]) & (seen.items == first[1])
    assert (seen.ratings[row].item(), seen.times[row].item()) == (3.0, 881250949.0)
    if seen.item_text is not None:
        assert seen.item_text[seen.item_numbers([1]).item()] == "Toy Story (1995). Animation Children's Comedy"
    assert torch.equal(seen.user_degrees.min(), torch.tensor(20))


def test_lastfm_keeps_users_without_pairs():
    _, (train, test), _ = opened("lastfm")
    assert int((train.user_degrees == 0).sum()) == 14
    assert int((train.joined(test).user_degrees == 0).sum()) == 12
