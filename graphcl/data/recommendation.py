"""Public interaction sets, read from the files that published work compares on.

| name | users x items | pairs | split |
|---|---|---|---|
| `gowalla` | 29,858 x 40,981 | 810,128 + 217,242 | LightGCN's |
| `ml-1m` | 6,022 x 3,043 | 796,244 + 99,455 | UltraGCN's |
| `lastfm` | 1,892 x 4,489 | 42,135 + 10,533 | LightGCN's |
| `filmtrust` | 1,508 x 2,071 | 33,748 + 1,746 | QRec's |
| `ml-100k` | 943 x 1,682 | 100,000 | none |
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from graphcl.data.arrays import read_table
from graphcl.data.checksums import raw_file
from graphcl.data.interaction_files import from_adjacency_text, from_inter
from graphcl.data.interaction_spec import InteractionCounts, InteractionSpec
from graphcl.data.interactions import Interactions
from graphcl.data.spec import Files, Layout
from graphcl.errors import DataError

__all__ = ["FILMTRUST", "GOWALLA", "LASTFM", "ML_1M", "ML_100K"]

_LIGHTGCN = "https://github.com/gusye1234/LightGCN-PyTorch"
_MOVIELENS = "Harper and Konstan, The MovieLens datasets: history and context, TiiS 2015"
_GROUPLENS = "GroupLens asks for a citation and forbids selling and passing on"


def _read_adjacency(files: Files) -> tuple[Interactions, Interactions]:
    return from_adjacency_text(files["train.txt"], files["test.txt"])


def _adjacency(folder: str) -> tuple[Layout, ...]:
    names = ("train.txt", "test.txt")
    return (Layout(_read_adjacency, tuple(raw_file(f"Recommendation/{folder}/{name}") for name in names)),)


def _read_filmtrust(files: Files) -> tuple[Interactions, Interactions]:
    train, test = (
        read_table(files[name], str(files[name]), dtype=np.float64) for name in ("trainset.txt", "testset.txt")
    )
    if train.shape[1] != 3 or test.shape[1] != 3:
        raise DataError(f"{files['trainset.txt']}: expected lines of user, item and rating")
    # numbers are given out over both files, since some items are only in test
    user_ids, users = np.unique(np.concatenate([train[:, 0], test[:, 0]]).astype(np.int64), return_inverse=True)
    item_ids, items = np.unique(np.concatenate([train[:, 1], test[:, 1]]).astype(np.int64), return_inverse=True)
    held = np.arange(len(users)) >= len(train)
    # the pair that is in both files can only be learnt from
    held_back = held & ~np.isin(users * len(item_ids) + items, (users * len(item_ids) + items)[~held])
    ratings = np.concatenate([train[:, 2], test[:, 2]])

    def part(kept: np.ndarray) -> Interactions:
        return Interactions(
            users=torch.from_numpy(users[kept]),
            items=torch.from_numpy(items[kept]),
            num_users=len(user_ids),
            num_items=len(item_ids),
            user_ids=user_ids,
            item_ids=item_ids,
            ratings=torch.from_numpy(ratings[kept]),
        )

    return part(~held), part(held_back)


def _read_ml_100k(files: Files) -> Interactions:
    return from_inter(files["ml-100k.inter"])


def _read_ml_100k_with_text(files: Files) -> Interactions:
    return _with_text(_read_ml_100k(files), files["ml-100k.item"])


def _with_text(seen: Interactions, path: Path) -> Interactions:
    """Title, year and genres of each item out of RecBole's ``.item`` file; an item that is not in it says nothing."""
    fields = ["item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq"]
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or rows[0] != fields or any(len(row) != len(fields) for row in rows):
        raise DataError(f"{path}: expected lines of {len(fields)} fields below {' '.join(fields)}")
    said = {name: f"{title} ({year}). {genres}" for name, title, year, genres in rows[1:]}
    ids = range(seen.num_items) if seen.item_ids is None else seen.item_ids.tolist()
    return replace(seen, item_text=tuple(said.get(str(one), "") for one in ids))


_INTER, _ITEM = (raw_file(f"Recommendation/ml-100k/ml-100k.{kind}") for kind in ("inter", "item"))

GOWALLA = InteractionSpec(
    name="gowalla",
    title="Gowalla",
    layouts=_adjacency("gowalla"),
    counts=InteractionCounts(29_858, 40_981, 810_128, 217_242),
    content="26775ea3aca7f41c",
    has_test=True,
    citation=("Cho, Myers and Leskovec, Friendship and mobility, KDD 2011; split of He et al., LightGCN, SIGIR 2020"),
    source=_LIGHTGCN,
    note="users and the places where they checked in, those with 10 pairs or more; the split that most papers quote",
    traps=(
        "No validation part is published: many numbers in papers were selected on test.",
        "train.txt is rebuilt from the adjacency matrix that the source keeps beside it; its items are sorted.",
    ),
)

ML_1M = InteractionSpec(
    name="ml-1m",
    title="MovieLens-1M",
    layouts=_adjacency("ml-1m"),
    counts=InteractionCounts(6_022, 3_043, 796_244, 99_455),
    content="6932c200cdc11974",
    has_test=True,
    citation=f"{_MOVIELENS}; split of Mao et al., UltraGCN, CIKM 2021",
    licence=f"Apache-2.0 (repository of the raw files); {_GROUPLENS}",
    source="https://github.com/xue-pai/UltraGCN",
    note="users and the films they rated, taken as seen or not",
    traps=(
        "Papers split ML-1M in many ways and with other filters: numbers compare at equal counts only.",
        "Whoever rates has chosen the film: a rating of 1 counts as seen all the same.",
    ),
)

LASTFM = InteractionSpec(
    name="lastfm",
    title="Last.fm",
    layouts=_adjacency("lastfm"),
    counts=InteractionCounts(1_892, 4_489, 42_135, 10_533),
    content="b934f0cf5c17661b",
    has_test=True,
    citation="Cantador, Brusilovsky and Kuflik, HetRec 2011; split as in He et al., LightGCN, SIGIR 2020",
    source=_LIGHTGCN,
    note="listeners and the artists they listened to",
    traps=("12 users have no pair at all and keep their numbers; two more have test pairs and none to learn from.",),
)

FILMTRUST = InteractionSpec(
    name="filmtrust",
    title="FilmTrust",
    layouts=(
        Layout(
            _read_filmtrust, tuple(raw_file(f"Recommendation/FilmTrust/{name}set.txt") for name in ("train", "test"))
        ),
    ),
    counts=InteractionCounts(1_508, 2_071, 33_748, 1_746),
    content="42b4ea25da336c72",
    has_test=True,
    citation="Guo, Zhang and Yorke-Smith, A novel Bayesian similarity measure for recommender systems, IJCAI 2013",
    source="https://github.com/Coder-Yu/QRec",
    note="users and the films they rated from 0.5 to 4, taken as seen or not; ratings are kept",
    traps=(
        "Two rows of trainset.txt come twice, and one pair of testset.txt is in trainset.txt too, where it stays: "
        "33,750 and 1,747 rows become 33,748 and 1,746 pairs.",
    ),
)

ML_100K = InteractionSpec(
    name="ml-100k",
    title="MovieLens-100K",
    layouts=(Layout(_read_ml_100k_with_text, (_INTER, _ITEM)), Layout(_read_ml_100k, (_INTER,))),
    counts=InteractionCounts(943, 1_682, 100_000),
    content="f211b6e4ca4de248",
    timed=True,
    text=True,
    citation=_MOVIELENS,
    licence=f"MIT (repository of the raw files); {_GROUPLENS}",
    source="https://github.com/RUCAIBox/RecBole",
    note=(
        "users and the films they rated, all ratings taken as seen; ratings and times are kept, and an item says "
        "title, year and genres where the .item file is there"
    ),
    traps=("Whoever rates has chosen the film: a rating of 1 counts as seen all the same.",),
)
