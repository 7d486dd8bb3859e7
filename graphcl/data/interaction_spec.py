"""What is known of a set of interactions before a file is opened: where it comes from, and what it must contain."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from graphcl.data.interaction_splits import INTERACTION_SPLITS
from graphcl.data.interactions import Interactions
from graphcl.data.spec import Layout

__all__ = ["InteractionContent", "InteractionCounts", "InteractionSpec", "interaction_fingerprint"]

InteractionContent: TypeAlias = Interactions | tuple[Interactions, Interactions]
"""What files hold: all pairs, or a training and a test part."""


@dataclass(frozen=True)
class InteractionCounts:
    """What must come out of reading.

    Args:
        users: U.
        items: I.
        train: pairs of the training part; all pairs where there is no test part.
        test: pairs of the test part, ``None`` where there is none.
    """

    users: int
    items: int
    train: int
    test: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class InteractionSpec:
    """All the facts about one set of interactions.

    Args:
        name: kebab-case catalogue name.
        title: the name that papers print.
        layouts: the accepted layouts of the raw files; their ``read`` gives an `InteractionContent`.
        counts: expected sizes; ``None`` where they depend on the machine (``python-imports``).
        citation: the paper to cite.
        source: the page or repository the files come from.
        note: what the users, items and pairs are.
        content: `interaction_fingerprint` of what is read; ``None`` where it depends on the machine.
        licence: the licence of the data, as far as stated.
        has_test: whether the files bring a test part.
        timed: whether each pair has a time.
        text: whether items say something (``item_text``).
        traps: known flaws that anybody quoting a number must know.
        default_split: what ``split=None`` means; left out, ``given`` with a test part, else ``ratio-80-10-10``.

    Example:
        >>> from graphcl.data.interaction_loading import find_interactions
        >>> find_interactions("gowalla").splits
        ('given', 'given-full', 'ratio-80-10-10', 'leave-one-out')
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    counts: InteractionCounts | None
    citation: str
    source: str
    note: str
    content: str | None = None
    licence: str = "none stated"
    has_test: bool = False
    timed: bool = False
    text: bool = False
    traps: tuple[str, ...] = ()
    default_split: str = ""

    level: ClassVar[str] = "interactions"
    """Neither nodes nor graphs are classified: items are ranked."""

    def __post_init__(self) -> None:
        if not self.default_split:
            object.__setattr__(self, "default_split", self.splits[0])

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it can be loaded with."""
        drawn = tuple(name for name in INTERACTION_SPLITS if self.timed or not name.startswith("time-"))
        return (*(("given", "given-full") if self.has_test else ()), *drawn)

    @property
    def embedded(self) -> bool:
        """Whether it needs no file from outside."""
        return any(not layout.files for layout in self.layouts)


def interaction_fingerprint(content: InteractionContent) -> str:
    """The sizes and the pairs, 16 hex digits; of two parts also which pair is in which.

    Example:
        >>> seen = Interactions(users=[0], items=[1], num_users=1, num_items=2)
        >>> interaction_fingerprint(seen) == seen.fingerprint, interaction_fingerprint((seen, seen)) == seen.fingerprint
        (True, False)
    """
    if isinstance(content, Interactions):
        return content.fingerprint
    return hashlib.sha256("|".join(part.fingerprint for part in content).encode()).hexdigest()[:16]
