"""Interactions whose tastes and popularity are known because set: a test bed of any size, and the embedded one."""

import numpy as np
import torch

from graphcl.data.interaction_spec import InteractionCounts, InteractionSpec
from graphcl.data.interactions import Interactions
from graphcl.data.spec import Files, Layout
from graphcl.errors import RequestError
from graphcl.seeding import Seeds

__all__ = ["PLANTED_FACTORS", "planted_factors"]

_LEVEL = 3
"""Factors are whole numbers from -3 to 3: their products are exact, and the same on every machine."""
_STEEP, _PICKY = 3.0, 1.0
_PROPOSALS = 1 << 18


def planted_factors(
    users: int = 600, items: int = 400, pairs: int = 12_000, factors: int = 8, skew: float = 0.8, seed: int = 0
) -> Interactions:
    r"""Draw pairs by popularity and taste, without ever holding users times items.

    .. math::
        P(u, i) \propto r_u^{-s / 2} \; r_i^{-s} \; \sigma\big(3 (z_{ui} - 1)\big), \quad
        z_{ui} = \frac{p_u^\top q_i}{4 \sqrt{K}}, \quad p_u, q_i \in \{-3, \dots, 3\}^K \text{ uniform}

    with :math:`r` a random ranking of the users (items) from 1, so that z has mean 0 and variance 1. A pair that comes
    again is drawn anew; the taste alone tells which of two equally popular items a user has.

    Args:
        users: U, 1 or more.
        items: I, 1 or more.
        pairs: E, 1 to U I / 8.
        factors: K, 1 or more; the fewer, the easier to learn.
        skew: s, 0 or more; 0 makes all users and items alike, 1 is Zipf's law for items.
        seed: 0 or more; draws everything.

    Returns:
        E pairs; a user or item may have none.

    Raises:
        RequestError: a value out of range, or so skewed that so many different pairs do not come up.

    Example:
        >>> planted_factors(users=50, items=40, pairs=200)
        Interactions(200 of 50 users with 40 items)
    """
    for name, value, least in (("users", users, 1), ("items", items, 1), ("factors", factors, 1), ("seed", seed, 0)):
        if value < least:
            raise RequestError(f"planted_factors: {name} = {value}: input should be {least} or more")
    if not 1 <= pairs <= users * items // 8:
        raise RequestError(f"planted_factors: pairs = {pairs}: input should be between 1 and {users * items // 8}")
    if not 0 <= skew < np.inf:
        raise RequestError(f"planted_factors: skew = {skew}: input should be 0 or more")
    rng = Seeds(seed).numpy("planted-factors")
    tastes, traits = (rng.integers(-_LEVEL, _LEVEL + 1, (n, factors), dtype=np.int16) for n in (users, items))
    urns = [_urn(rng, users, skew / 2), _urn(rng, items, skew)]
    largest = factors * _LEVEL**2
    scores = np.arange(-largest, largest + 1) / (4 * np.sqrt(factors))
    liking = 1 / (1 + np.exp(-_STEEP * (scores - _PICKY)))
    found = np.empty(0, dtype=np.int64)
    idle = 0
    while len(found) < pairs:
        drawn: list[np.ndarray] = []
        accepted = 0
        # as many as are missing, and a little more, before they are held against those found
        while accepted < 1.05 * (pairs - len(found)):
            user, item = (urn[rng.integers(0, len(urn), _PROPOSALS)] for urn in urns)
            score = np.einsum("pk,pk->p", tastes.take(user, 0), traits.take(item, 0), dtype=np.int32)
            taken = rng.random(_PROPOSALS) < liking[score + largest]
            drawn.append(user[taken] * items + item[taken])
            accepted += len(drawn[-1])
        codes, first = np.unique(np.concatenate(drawn), return_index=True)
        fresh = ~np.isin(codes, found, assume_unique=True)
        # in the order they were drawn: the smallest codes would be those of the first users
        fresh_codes = codes[fresh][np.argsort(first[fresh])][: pairs - len(found)]
        idle = idle + 1 if len(fresh_codes) < 0.001 * pairs and len(found) + len(fresh_codes) < pairs else 0
        if idle > 200:
            raise RequestError(f"planted_factors: skew = {skew}: {pairs} different pairs do not come up; lower either")
        found = np.concatenate([found, fresh_codes])
    return Interactions(
        users=torch.from_numpy(found // items),
        items=torch.from_numpy(found % items),
        num_users=users,
        num_items=items,
    )


def _urn(rng: np.random.Generator, count: int, skew: float) -> np.ndarray:
    """Each number as often as its probability says, one time at least: drawing from it is one look-up."""
    weight = (1.0 + rng.permutation(count)) ** -skew
    balls = max(1 << 20, 8 * count)
    return np.repeat(np.arange(count), 1 + (weight * (balls / weight.sum())).astype(np.int64))


def _planted(files: Files) -> Interactions:
    return planted_factors()


PLANTED_FACTORS = InteractionSpec(
    name="planted-factors",
    title="Planted factors",
    layouts=(Layout(read=_planted),),
    counts=InteractionCounts(600, 400, 12_000),
    content="b40106ad25c71285",
    licence="MIT (made by graphcl)",
    citation="The documentation of graphcl.data.planted_factors.",
    source="drawn on the spot",
    note="users and items with 8 planted factors and a skewed popularity; a pair is popularity times taste",
    traps=("drawn by a model that factorisation fits exactly: what is best here need not be best anywhere else",),
)
