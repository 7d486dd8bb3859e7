"""Memories of what was computed last, keyed by content: a graph never gets another graph's answer."""

import itertools
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

__all__ = ["Recalled", "Remembered", "forget"]

T = TypeVar("T")


_BUDGET = 2**27
"""Entries that all memories together may hold: a gigabyte of int64."""
_ALL: "weakref.WeakSet[Remembered[Any]]" = weakref.WeakSet()
_CLOCK = itertools.count()


def forget() -> None:
    """Empty all memories: what was remembered of past graphs is freed, on every device.

    Example:
        >>> forget()
    """
    for memory in list(_ALL):
        memory.items = ()


class Remembered(Generic[T]):
    """The few things used last, found by a test of their content.

    A hit is proved by comparing all entries, which costs a small part of sorting them. Identity would give what was
    changed in place the answer of its old self. What is larger than ``2**24`` entries is not kept alive for the next
    call, and all memories of a process share a budget: what was not used for longest goes first.
    """

    def __init__(self, count: int = 4, largest: int = 2**24) -> None:
        self.count = count
        self.largest = largest
        self.items: tuple[T, ...] = ()
        self._noted: dict[int, tuple[int, int]] = {}  # entries and last use, by identity of the item
        _ALL.add(self)

    def find(self, fits: Callable[[T], bool]) -> T | None:
        """The one that fits, from now on the last used."""
        for item in self.items:
            if fits(item):
                # one assignment: threads may lose an entry to each other, never mix two up
                self.items = (item, *(other for other in self.items if other is not item))
                self._noted[id(item)] = (self._noted.get(id(item), (0, 0))[0], next(_CLOCK))
                return item
        return None

    def add(self, item: T, entries: int) -> T:
        """Keep a new one in place of the one not used for longest."""
        if entries <= self.largest:
            self.items = (item, *self.items[: self.count - 1])
            self._noted[id(item)] = (entries, next(_CLOCK))
            _within_budget()
        return item

    def held(self) -> list[tuple[int, int, T]]:
        """Last use, entries and item of all that is kept."""
        self._noted = {id(item): self._noted.get(id(item), (0, 0)) for item in self.items}
        return [(self._noted[id(item)][1], self._noted[id(item)][0], item) for item in self.items]


def _within_budget() -> None:
    held = [(used, entries, memory, item) for memory in list(_ALL) for used, entries, item in memory.held()]
    total = sum(entries for _, entries, _, _ in held)
    for _, entries, memory, item in sorted(held, key=lambda kept: kept[0]):
        if total <= _BUDGET:
            return
        memory.items = tuple(other for other in memory.items if other is not item)
        total -= entries


Key = tuple[Tensor | str | float | int | bool | None, ...]


def _same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        alike = a.device == b.device and a.dtype == b.dtype and a.layout == b.layout and a.shape == b.shape
        if alike and a.layout == torch.sparse_csr:
            parts = (torch.Tensor.crow_indices, torch.Tensor.col_indices, torch.Tensor.values)
            return all(torch.equal(part(a), part(b)) for part in parts)
        return alike and torch.equal(a, b)
    return type(a) is type(b) and a == b


class Recalled(Generic[T]):
    """What a function made of its last arguments, which may be tensors.

    Args:
        count: how many results are kept.

    Example:
        >>> totals: Recalled[float] = Recalled()
        >>> x = torch.ones(3)
        >>> totals.of((x, "sum"), lambda: float(x.sum()))
        3.0
    """

    def __init__(self, count: int = 4) -> None:
        self._known: Remembered[tuple[Key, T]] = Remembered(count)

    def of(self, key: Key, make: Callable[[], T]) -> T:
        """The result for a key, made where no equal key is known.

        Args:
            key: all that the result hangs on, tensors and plain values.
            make: makes it, without gradients and outside of inference mode, whose tensors could never be trained with.
        """
        known = self._known.find(lambda item: len(item[0]) == len(key) and all(map(_same, item[0], key)))
        if known is not None:
            return known[1]
        with torch.inference_mode(False), torch.no_grad():
            # the caller may change its tensors in place
            kept = tuple(part.detach().clone() if isinstance(part, Tensor) else part for part in key)
            entries = sum(part.numel() for part in key if isinstance(part, Tensor))
            return self._known.add((kept, make()), entries)[1]
