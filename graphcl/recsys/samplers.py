r"""Triples to learn from: a user, an item that was seen, and items that were not.

A negative is never one of the user's own items. It is drawn in one pass, without rejection: of a user's n items,
sorted, item number j (from 0) has :math:`p_j - j` unseen items before it, so that the r-th unseen item is
:math:`r + |\{j : p_j - j \le r\}|`, which one binary search over all users finds.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError
from graphcl.seeding import draw_order, draw_uniform

__all__ = ["NegativeSampler", "Negatives", "Triples"]

Negatives: TypeAlias = Literal["uniform", "popularity", "hard"]
"""Unseen items by chance, by their popularity, or the one among several by chance that the model likes best."""


class NegativeSampler:
    """Draws items that a user has not seen.

    Args:
        seen: what was seen.
        power: an unseen item is drawn in proportion to its degree to this power, one that nobody has like one that a
            single user has; 0 is uniform.

    Raises:
        DataError: somebody has seen everything, when a negative is asked for.

    Example:
        >>> seen = Interactions(users=[0, 0], items=[0, 2], num_users=1, num_items=4)
        >>> sorted(set(NegativeSampler(seen).draw(torch.zeros(50).long(), torch.Generator().manual_seed(0)).tolist()))
        [1, 3]
    """

    def __init__(self, seen: Interactions, power: float = 0.0) -> None:
        if not 0 <= power < float("inf"):
            raise RequestError(f"power = {power}: input should be 0 or more")
        self.seen = seen
        self.power = power
        self.free = seen.num_items - seen.user_degrees
        self._start = torch.cat([torch.zeros(1, dtype=torch.long), seen.user_degrees.cumsum(0)])

    @cached_property
    def _gaps(self) -> Tensor:
        """For each pair its user's key plus the unseen items before it: sorted over all users."""
        position = torch.arange(len(self.seen)) - self._start[self.seen.users]
        return self.seen.users * (self.seen.num_items + 1) + self.seen.items - position

    @cached_property
    def _cumulative(self) -> Tensor:
        return (self.seen.item_degrees.double().clamp(min=1) ** self.power).cumsum(0)

    def draw(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """One unseen item for each user, ``int64``, of the shape of ``users``."""
        flat = users.flatten()
        if flat.numel() and not bool((self.free[flat] > 0).all()):
            full = int(flat[self.free[flat] <= 0][0])
            raise DataError(f"user {full} has seen all {self.seen.num_items} items: nothing unseen can be drawn")
        drawn = self._by_popularity(flat, generator) if self.power else self._uniform(flat, generator)
        return drawn.view(users.shape)

    def _uniform(self, users: Tensor, generator: torch.Generator) -> Tensor:
        chance = draw_uniform(users.numel(), generator=generator, device=torch.device("cpu"), dtype=torch.float64)
        free = self.free[users]
        rank = torch.minimum((chance * free).long(), free - 1)
        found = torch.searchsorted(self._gaps, users * (self.seen.num_items + 1) + rank, right=True)
        return rank + found - self._start[users]

    def _by_popularity(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """By the whole distribution, and again where it was a seen item; what is left after 32 rounds is uniform."""
        out = torch.empty_like(users)
        left = torch.arange(users.numel())
        for _ in range(32):
            chance = draw_uniform(left.numel(), generator=generator, device=torch.device("cpu"), dtype=torch.float64)
            item = torch.searchsorted(self._cumulative, chance * self._cumulative[-1], right=True)
            item = item.clamp(max=self.seen.num_items - 1)
            out[left] = item
            left = left[self._is_seen(users[left], item)]
            if not left.numel():
                return out
        out[left] = self._uniform(users[left], generator)
        return out

    @cached_property
    def _codes(self) -> Tensor:
        return self.seen.users * self.seen.num_items + self.seen.items

    def _is_seen(self, users: Tensor, items: Tensor) -> Tensor:
        code = users * self.seen.num_items + items
        place = torch.searchsorted(self._codes, code).clamp(max=len(self.seen) - 1)
        return self._codes[place] == code


class Triples:
    """All pairs in a new random order each epoch, each with items that its user has not seen.

    Users who have seen everything are left out, as there is nothing to tell their items from.

    Args:
        seen: what was seen.
        size: pairs in a batch; the last one holds what is left.
        generator: draws orders and negatives.
        negatives: ``uniform``, ``popularity`` (by the square root of the degree), or ``hard``: several by chance, of
            which the loss takes the one that the model likes best.
        candidates: of each pair, where they are hard.

    Raises:
        RequestError: a size below 1.
        DataError: nothing to learn from.

    Example:
        >>> seen = Interactions(users=[0, 0, 1], items=[0, 1, 2], num_users=2, num_items=3)
        >>> batches = Triples(seen, 2, torch.Generator().manual_seed(0))
        >>> [list(batch.negative.shape) for batch in batches]
        [[2, 1], [1, 1]]
    """

    def __init__(
        self,
        seen: Interactions,
        size: int,
        generator: torch.Generator,
        negatives: Negatives = "uniform",
        candidates: int = 8,
    ) -> None:
        if size < 1 or candidates < 1:
            raise RequestError(f"batches of {size} with {candidates} candidates: both should be 1 or more")
        self.sampler = NegativeSampler(seen, 0.5 if negatives == "popularity" else 0.0)
        usable = self.sampler.free[seen.users] > 0
        self.users, self.items = seen.users[usable], seen.items[usable]
        if not self.users.numel():
            raise DataError(f"{seen}: no user has both an item and one left to tell it from")
        self.size = size
        self.generator = generator
        self.each = candidates if negatives == "hard" else 1

    def __len__(self) -> int:
        return -(-self.users.numel() // self.size)

    def __iter__(self) -> Iterator[Data]:
        order = draw_order(self.users.numel(), generator=self.generator, device=torch.device("cpu"))
        users, items = self.users[order], self.items[order]
        # a batch at a time: an epoch of hard negatives need not fit into memory
        for start in range(0, users.numel(), self.size):
            batch = users[start : start + self.size]
            negative = self.sampler.draw(batch[:, None].expand(-1, self.each), self.generator)
            yield Data(user=batch, positive=items[start : start + self.size], negative=negative)
