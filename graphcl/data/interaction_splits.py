"""Splits of interactions: which pairs may be learnt from, selected on, and scored.

| name | train / validation / test | needs |
|---|---|---|
| `ratio-80-10-10` | of each user's n items round(n / 10) to validation and as many to test, drawn by the seed | |
| `leave-one-out` | each user's last item to test, the one before it to validation; by the seed without times | |
| `time-80-10-10` | the oldest 80 % of all pairs, the next 10 %, the newest 10 % | times |
| `given` | as published; of each user's n training items round(n / 10), at least one, to validation | a test part |
| `given-full` | as published, no validation part: for protocols with a fixed number of epochs | a test part |

Halves are rounded up, so that `ratio-80-10-10` leaves users with fewer than 5 items wholly in train; `leave-one-out`
does so with fewer than 3, and `given` takes nothing from users with fewer than 2. Where a user's times are equal the
seed decides which is the last; `time-80-10-10` counts pairs, and orders those of one time by user and item, so that it
hangs on no seed. Every part keeps the numbering of the whole: what is only in test is a user or item all the same.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.seeding import Seeds

__all__ = ["INTERACTION_SPLITS", "InteractionSplit", "draw_interactions", "given"]

INTERACTION_SPLITS = ("ratio-80-10-10", "leave-one-out", "time-80-10-10")
"""What `draw_interactions` draws."""

_PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False, kw_only=True)
class InteractionSplit:
    """Three sets of pairs that share users, items and their numbers, and no pair.

    Args:
        name: ``ratio-80-10-10``, ``given`` ...
        train: the pairs that may be learnt from.
        val: those that are selected on; may be empty.
        test: those that are scored.
        provenance: how the parts came about, in words, for the record.

    Raises:
        DataError: parts of different numbering, a pair in two of them, or nothing to learn from.

    Example:
        >>> seen = Interactions(users=[0] * 10, items=list(range(10)), num_users=1, num_items=10)
        >>> draw_interactions("ratio-80-10-10", seen, seed=0)
        InteractionSplit('ratio-80-10-10', train / val / test 8 / 1 / 1, drawn with seed 0)
    """

    name: str
    train: Interactions
    val: Interactions
    test: Interactions
    provenance: str

    def __post_init__(self) -> None:
        for part in (self.val, self.test):
            if not _same_numbering(self.train, part):
                raise DataError(f"split {self.name}: {self.train} and {part} do not share a numbering")
        if len(self.train) == 0:
            raise DataError(f"split {self.name}: the training part is empty")
        codes = np.concatenate([_codes(part) for part in self._parts])
        # three runs that are sorted already: merging them takes a fraction of sorting them
        codes.sort(kind="stable")
        shared = np.flatnonzero(codes[1:] == codes[:-1])
        if shared.size:
            user, item = divmod(int(codes[shared[0]]), self.train.num_items)
            raise DataError(
                f"split {self.name}: {shared.size} pairs stand in two parts, the first is user {user} with item "
                f"{item}; take them out of one (`Interactions.part`)"
            )

    @property
    def _parts(self) -> tuple[Interactions, Interactions, Interactions]:
        return self.train, self.val, self.test

    def __repr__(self) -> str:
        sizes = " / ".join(f"{len(part):,}" for part in self._parts)
        return f"InteractionSplit('{self.name}', train / val / test {sizes}, {self.provenance})"

    @cached_property
    def digest(self) -> str:
        """Content hash of the pairs of all three parts, 16 hex digits: the same digest is the same split."""
        return hashlib.sha256("|".join(part.fingerprint for part in self._parts).encode()).hexdigest()[:16]

    @cached_property
    def whole(self) -> Interactions:
        """The pairs of all three parts."""
        return self.train.joined(self.val).joined(self.test)


def draw_interactions(name: str, interactions: Interactions, seed: int = 0) -> InteractionSplit:
    """Draw a split.

    Args:
        name: one of `INTERACTION_SPLITS`; the table above says what each does.
        interactions: what is split.
        seed: 0 or more; the same seed gives the same split of the same pairs on every machine.

    Returns:
        The split; its parts together are ``interactions``.

    Raises:
        UnknownNameError: no such split.
        RequestError: a split by time of interactions without times, or a negative seed.
        DataError: no user has enough items to give one to test.

    Example:
        >>> seen = Interactions(users=[0, 0, 0], items=[0, 1, 2], num_users=1, num_items=3, times=[7, 9, 8])
        >>> draw_interactions("leave-one-out", seen).test.items
        tensor([1])
    """
    if name not in INTERACTION_SPLITS:
        raise UnknownNameError("split of interactions", name, INTERACTION_SPLITS, " (and given, for published parts)")
    chance = _permutation(interactions, seed)
    times = interactions.times
    if name == "time-80-10-10":
        if times is None:
            raise RequestError(f"{name} of {interactions}: they have no times; use ratio-80-10-10 or leave-one-out")
        place = np.empty(len(times), dtype=np.int64)
        place[times.sort(stable=True).indices.numpy()] = np.arange(len(times))
        fewer = _tenth(np.array(len(times)))
        return _split(name, interactions, len(times) - 1 - place, fewer, "by time")
    counts = interactions.user_degrees.numpy()
    if name == "ratio-80-10-10":
        held, provenance = _tenth(counts), f"drawn with seed {seed}"
        place = _within(interactions, chance)
    else:
        held = (counts >= 3).astype(np.int64)
        if times is None:
            provenance = f"the last of an order drawn with seed {seed}"
        else:
            # sorted in an order of chance, equal times stay in that order
            order = chance[times[torch.from_numpy(chance)].sort(stable=True).indices.numpy()]
            chance = np.empty_like(order)
            chance[order] = np.arange(len(order))
            provenance = f"the last by time; equal times in the order drawn with seed {seed}"
        place = counts[interactions.users.numpy()] - 1 - _within(interactions, chance)
    return _split(name, interactions, place, held[interactions.users.numpy()], provenance)


def given(train: Interactions, test: Interactions, seed: int = 0, validation: float = 0.1) -> InteractionSplit:
    """A published split, with a validation part carved out of its training part.

    Args:
        train: the published training part.
        test: the published test part, in the same numbering.
        seed: 0 or more; draws the validation part.
        validation: share of each user's training items, at least one of 2 or more, to be selected on; with 0 there is
            no validation part, and the name is ``given-full``.

    Raises:
        RequestError: a share outside of 0 to 1 (1 excluded), or a negative seed.
        DataError: parts that share a pair or do not share a numbering, or an empty one.

    Example:
        >>> train = Interactions(users=[0, 0, 1], items=[0, 1, 2], num_users=2, num_items=3)
        >>> test = Interactions(users=[1], items=[0], num_users=2, num_items=3)
        >>> given(train, test)
        InteractionSplit('given', train / val / test 2 / 1 / 1, as published, validation drawn with seed 0)
        >>> given(train, test, validation=0)
        InteractionSplit('given-full', train / val / test 3 / 0 / 1, as published)
    """
    if not 0 <= validation < 1:
        raise RequestError(f"given: validation = {validation}: input should be 0 or more and less than 1")
    name = "given" if validation else "given-full"
    if len(test) == 0:
        raise DataError(f"split {name}: the test part is empty; nothing could be scored")
    chance = _permutation(train, seed)
    held = np.zeros(len(train), dtype=bool)
    if validation:
        counts = train.user_degrees.numpy()
        taken = np.floor(validation * counts + 0.5).astype(np.int64)
        taken = np.where(counts < 2, 0, np.clip(taken, 1, np.maximum(counts - 1, 1)))
        held = _within(train, chance) < taken[train.users.numpy()]
    drawn = f", validation drawn with seed {seed}" if validation else ""
    kept = torch.from_numpy(~held)
    return InteractionSplit(
        name=name, train=train.part(kept), val=train.part(~kept), test=test, provenance=f"as published{drawn}"
    )


def _same_numbering(one: Interactions, other: Interactions) -> bool:
    def same(mine: np.ndarray | None, theirs: np.ndarray | None) -> bool:
        if mine is theirs:
            return True
        return mine is not None and theirs is not None and np.array_equal(mine, theirs)

    return (
        (one.num_users, one.num_items) == (other.num_users, other.num_items)
        and same(one.user_ids, other.user_ids)
        and same(one.item_ids, other.item_ids)
    )


def _codes(part: Interactions) -> np.ndarray:
    return part.users.numpy() * part.num_items + part.items.numpy()


def _permutation(interactions: Interactions, seed: int) -> np.ndarray:
    if seed < 0:
        raise RequestError(f"seed = {seed}: input should be 0 or more")
    return Seeds(seed).numpy("split").permutation(len(interactions))


def _tenth(counts: np.ndarray) -> np.ndarray:
    """A tenth, halves rounded up: in whole numbers, since 0.1 is none of the computer's."""
    return (counts + 5) // 10


def _within(interactions: Interactions, key: np.ndarray) -> np.ndarray:
    """The place of each pair, from 0, among those of its user in the order of ``key``, a permutation of all pairs."""
    users = interactions.users.numpy()
    degrees = interactions.user_degrees.numpy()
    # no two of these are equal, so that every way of sorting gives the same order; merging likes users in order
    order = np.argsort(users * len(users) + key, kind="stable")
    place = np.empty(len(users), dtype=np.int64)
    place[order] = np.arange(len(users)) - (np.cumsum(degrees) - degrees)[users]
    return place


def _split(
    name: str, interactions: Interactions, place: np.ndarray, held: np.ndarray, provenance: str
) -> InteractionSplit:
    """The first ``held`` places to test, as many next ones to validation, the rest to train."""
    test, val = torch.from_numpy(place < held), torch.from_numpy((place >= held) & (place < 2 * held))
    if not bool(test.any()):
        raise DataError(f"split {name} of {interactions}: no user has enough items to give one to test")
    parts = dict(zip(_PARTS, (interactions.part(kept) for kept in (~(test | val), val, test)), strict=True))
    return InteractionSplit(name=name, provenance=provenance, **parts)
