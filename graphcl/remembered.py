"""A memory of what was computed last, keyed by content: a graph never gets another graph's answer."""

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")


class Remembered(Generic[T]):
    """The few things used last, found by a test of their content.

    A hit is proved by comparing all entries, which costs a small part of sorting them. Identity would give what was
    changed in place the answer of its old self. What is larger than ``2**24`` entries is not kept alive for the next
    call.
    """

    def __init__(self, count: int = 4, largest: int = 2**24) -> None:
        self.count = count
        self.largest = largest
        self.items: tuple[T, ...] = ()

    def find(self, fits: Callable[[T], bool]) -> T | None:
        """The one that fits, from now on the last used."""
        for item in self.items:
            if fits(item):
                # one assignment: threads may lose an entry to each other, never mix two up
                self.items = (item, *(other for other in self.items if other is not item))
                return item
        return None

    def add(self, item: T, entries: int) -> T:
        """Keep a new one in place of the one not used for longest."""
        if entries <= self.largest:
            self.items = (item, *self.items[: self.count - 1])
        return item
