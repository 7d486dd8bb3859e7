"""Who did something with what: users and items, numbered from 0, and the pairs that were seen.

| rule | what is done |
|---|---|
| the same pair more than once | the earliest stays, by time where there are times, else the first row |
| ids that are whole numbers | numbered by their size; where they are 0, 1, 2, … without a gap, they are the numbers |
| ids that are not, or beyond 64 bits | names: kept as they are, and numbered in the order of their first row |
| a user or item without a pair | stays, where the sizes are given; so does what is only in a test part |
| a negative or missing rating, an empty id | refused, with the row |
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.errors import DataError

__all__ = ["Interactions"]


def _index(values: Any, what: str) -> Tensor:
    tensor = torch.as_tensor(values)
    if tensor.dim() != 1 or tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise DataError(f"{what} are {tensor.dtype} {list(tensor.shape)}; make them whole numbers [E]")
    return tensor.long()


def _names(ids: Any, count: int, what: str) -> np.ndarray | None:
    if ids is None:
        return None
    names = np.asarray(ids)
    if names.shape != (count,):
        raise DataError(f"{what}: {list(names.shape)} ids for {count}; one each")
    return names


def _earliest(code: Tensor, times: Tensor | None) -> Tensor:
    """Rows in the order of their codes, of each code the earliest alone."""
    order = torch.arange(code.numel()) if times is None else times.sort(stable=True).indices
    order = order[code[order].sort(stable=True).indices]
    return order[torch.cat([torch.ones(1, dtype=torch.bool), code[order].diff() > 0])]


def _of_pairs(given: Any, name: str, dtype: torch.dtype, pairs: int) -> Tensor:
    values = torch.as_tensor(given).to(dtype)
    if values.shape != (pairs,):
        raise DataError(f"{list(values.shape)} {name} for {pairs} pairs; one each")
    if not torch.isfinite(values).all():
        raise DataError(f"{name}: that of pair {int((~torch.isfinite(values)).int().argmax())} is no number")
    if name == "ratings" and bool((values < 0).any()):
        raise DataError(f"ratings: {float(values.min()):g} is negative; drop what is no liking before (`least_rating`)")
    return values


@dataclass(frozen=True, eq=False, kw_only=True)
class Interactions:
    r"""The pairs of a user and an item, each once, sorted by user and item.

    .. math:: R \in \{0, 1\}^{U \times I}, \qquad R_{ui} = 1 \iff (u, i) \text{ was seen}

    Args:
        users: ``int64 [E]``, the user of each pair, from 0 to U - 1.
        items: ``int64 [E]``, its item, from 0 to I - 1.
        num_users: U.
        num_items: I.
        user_ids: what the source calls user number k, ``[U]``; ``None`` where it says k itself.
        item_ids: the same of items, ``[I]``.
        times: of each pair, in any unit that grows, ``float64 [E]``.
        ratings: of each pair, ``float32 [E]``, 0 or more; the models here take every pair alike.
        item_text: what is said about each item, I strings.

    Raises:
        DataError: a number outside of its range, lengths that do not fit, ids that occur twice, or a time or rating
            that is not finite or is negative.

    Example:
        >>> seen = Interactions(users=[1, 0, 1], items=[2, 0, 2], num_users=2, num_items=3)
        >>> len(seen), seen.items.tolist(), seen.density
        (2, [0, 2], 0.3333333333333333)
    """

    users: Tensor
    items: Tensor
    num_users: int
    num_items: int
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None
    times: Tensor | None = None
    ratings: Tensor | None = None
    item_text: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        users, items = _index(self.users, "users"), _index(self.items, "items")
        if users.shape != items.shape:
            raise DataError(f"{users.numel()} users and {items.numel()} items; each pair has one of both")
        for what, index, size in (("user", users, self.num_users), ("item", items, self.num_items)):
            if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < size):
                wrong = int(index.min()) if int(index.min()) < 0 else int(index.max())
                raise DataError(f"{what} {wrong} of {size}; numbers go from 0 to {size - 1}")
        of_pairs = {
            name: _of_pairs(getattr(self, name), name, dtype, users.numel())
            for name, dtype in (("times", torch.float64), ("ratings", torch.float32))
            if getattr(self, name) is not None
        }
        for name, count in (("user_ids", self.num_users), ("item_ids", self.num_items)):
            ids = _names(getattr(self, name), count, name)
            if ids is not None and len(set(ids.tolist())) != count:
                raise DataError(f"{name}: an id occurs twice; each user and item has its own")
            object.__setattr__(self, name, ids)
        if self.item_text is not None:
            if len(self.item_text) != self.num_items:
                raise DataError(f"{len(self.item_text)} texts for {self.num_items} items; one each")
            object.__setattr__(self, "item_text", tuple(self.item_text))
        code = users * max(self.num_items, 1) + items
        # what is in order already (a part of another) is not sorted again
        if not bool((code.diff() > 0).all()):
            order = _earliest(code, of_pairs.get("times"))
            users, items = users[order], items[order]
            of_pairs = {name: values[order] for name, values in of_pairs.items()}
        for name, values in {"users": users, "items": items, **of_pairs}.items():
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return self.users.numel()

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} of {self.num_users:,} users with {self.num_items:,} items)"

    @property
    def density(self) -> float:
        """Share of all pairs that were seen."""
        return len(self) / max(1, self.num_users * self.num_items)

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """R as ``float32 [U, I]``, sorted within each row."""
        pointer = np.zeros(self.num_users + 1, dtype=np.int64)
        np.cumsum(self.user_degrees.numpy(), out=pointer[1:])
        ones = np.ones(len(self), dtype=np.float32)
        return sp.csr_matrix((ones, self.items.numpy(), pointer), shape=(self.num_users, self.num_items))

    @cached_property
    def user_degrees(self) -> Tensor:
        """Items of each user, ``int64 [U]``."""
        return torch.bincount(self.users, minlength=self.num_users)

    @cached_property
    def item_degrees(self) -> Tensor:
        """Users of each item, ``int64 [I]``."""
        return torch.bincount(self.items, minlength=self.num_items)

    @cached_property
    def fingerprint(self) -> str:
        """The sizes and the pairs, in 16 hex digits: data of one name exist in several versions."""
        sha = hashlib.sha256(f"{self.num_users} {self.num_items} ".encode())
        for index in (self.users, self.items):
            sha.update(np.ascontiguousarray(index.numpy(), dtype="<i8").tobytes())
        return sha.hexdigest()[:16]

    def part(self, kept: Tensor) -> Self:
        """Some of the pairs, with the same numbering.

        Args:
            kept: ``bool [E]``.
        """
        if kept.dtype != torch.bool or kept.shape != self.users.shape:
            raise DataError(f"kept is {kept.dtype} {list(kept.shape)}; make it bool [{len(self)}]")
        return replace(
            self,
            users=self.users[kept],
            items=self.items[kept],
            times=None if self.times is None else self.times[kept],
            ratings=None if self.ratings is None else self.ratings[kept],
        )

    def joined(self, other: "Interactions") -> Self:
        """The pairs of both, with the same numbering.

        Raises:
            DataError: other sizes.
        """
        if (self.num_users, self.num_items) != (other.num_users, other.num_items):
            raise DataError(f"{self} and {other} do not share a numbering")

        def both(name: str) -> Tensor | None:
            mine, theirs = getattr(self, name), getattr(other, name)
            return None if mine is None or theirs is None else torch.cat([mine, theirs])

        return replace(
            self,
            users=torch.cat([self.users, other.users]),
            items=torch.cat([self.items, other.items]),
            times=both("times"),
            ratings=both("ratings"),
        )

    def graph(self) -> Data:
        """The bipartite graph for augmenters: users first, then items, each pair in both directions.

        Example:
            >>> Interactions(users=[0], items=[1], num_users=1, num_items=2).graph().edge_index.tolist()
            [[0, 2], [2, 0]]
        """
        there = torch.stack([self.users, self.items + self.num_users])
        return Data(edge_index=torch.cat([there, there.flip(0)], 1), num_nodes=self.num_users + self.num_items)

    def user_numbers(self, ids: Sequence[Any]) -> Tensor:
        """Numbers of users by their ids, -1 for those that are not known."""
        return _numbers(ids, self.user_ids, self.num_users)

    def item_numbers(self, ids: Sequence[Any]) -> Tensor:
        """Numbers of items by their ids, -1 for those that are not known."""
        return _numbers(ids, self.item_ids, self.num_items)


def _numbers(ids: Sequence[Any], names: np.ndarray | None, count: int) -> Tensor:
    asked = np.asarray(ids)
    if names is None and asked.dtype.kind in "iu":
        return torch.from_numpy(np.where((asked >= 0) & (asked < count), asked, -1).astype(np.int64))
    known = range(count) if names is None else names.tolist()
    place = {name: number for number, name in enumerate(known)}
    return torch.tensor([place.get(getattr(one, "item", lambda one=one: one)(), -1) for one in ids], dtype=torch.long)
