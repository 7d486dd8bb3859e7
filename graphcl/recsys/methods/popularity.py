"""Popularity: the same list for everybody, by how many users have an item."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphcl.data.interactions import Interactions
from graphcl.evaluate.ranking import Scorer
from graphcl.recsys.recommender import Recommender

__all__ = ["Popularity"]


@dataclass(frozen=True, kw_only=True)
class Popularity(Recommender):
    r"""Items by the number of users who have them: what knowing nothing about a user gives.

    .. math:: s_{ui} = \sum_v R_{vi}

    Example:
        >>> seen = Interactions(users=[0, 1, 1], items=[0, 0, 1], num_users=2, num_items=3)
        >>> Popularity().fit(seen).score(seen.users[:1]).tolist()
        [[2.0, 1.0, 0.0]]
    """

    control: ClassVar[bool] = True

    def fit(self, train: Interactions, seed: int = 0) -> Scorer:
        """Count; nothing is drawn."""
        return _Counts(train.num_users, train.item_degrees.float())


@dataclass(frozen=True, eq=False)
class _Counts:
    num_users: int
    counts: Tensor

    @property
    def num_items(self) -> int:
        return self.counts.numel()

    def score(self, users: Tensor) -> Tensor:
        return self.counts.repeat(users.numel(), 1)
