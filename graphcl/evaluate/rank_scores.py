r"""Lists of items for users, and what they are worth.

With :math:`\ell_r` the item at rank r of a user's list, T the user's test items and :math:`h_r = [\ell_r \in T]`:

| of a user | is |
|---|---|
| ``recall@k`` | :math:`\sum_{r \le k} h_r / \lvert T \rvert` (of all test items, as LightGCN has it) |
| ``precision@k`` | :math:`\sum_{r \le k} h_r / k`, whether the list is full or not |
| ``hit@k`` | 1 where one is a test item, else 0 |
| ``mrr@k`` | 1 / r of the first test item, 0 where there is none among k |
| ``ndcg@k`` | :math:`\sum_{r \le k} h_r / \log_2(r + 1)` over what the best list has |
| ``map@k`` | :math:`\sum_{r \le k} h_r\, (\sum_{q \le r} h_q / r)` over what the best list has |

The best list begins with min(k, \|T\|) test items. A user without test items is not counted.

| of all lists | is |
|---|---|
| ``coverage@k`` | the share of all items that is in somebody's list |
| ``popularity@k`` | the mean over all entries of the share of training users who have the item |
| ``gini@k`` | how unevenly the entries go to the items: 0 where all have as many, 1 - 1/I where one has all |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError
from graphcl.ops.pairs import contains
from graphcl.seeding import imported

__all__ = ["RankScores", "TopK", "paired_difference", "rank_metrics"]


@dataclass(frozen=True, eq=False)
class TopK:
    """The first items of some users, best first.

    Args:
        users: ``int64 [B]``, each once.
        items: ``int64 [B, k]``; -1 where a list has no more.
        scores: ``float [B, k]``; minus infinity there.

    Raises:
        DataError: shapes that do not fit, a user with two lists, an item twice in one.

    Example:
        >>> TopK(torch.tensor([0]), torch.tensor([[2, 2]]), torch.zeros(1, 2))
        Traceback (most recent call last):
        graphcl.errors.DataError: the list of user 0 holds item 2 twice; an item is found once
    """

    users: Tensor
    items: Tensor
    scores: Tensor

    def __post_init__(self) -> None:
        if self.items.dim() != 2 or self.items.shape != self.scores.shape or self.users.shape != self.items.shape[:1]:
            shapes = [list(part.shape) for part in (self.users, self.items, self.scores)]
            raise DataError(f"users, items and scores are {shapes}; make them [B], [B, k] and [B, k]")
        if self.users.dtype != torch.long or self.items.dtype != torch.long:
            raise DataError(f"users are {self.users.dtype} and items {self.items.dtype}; both should be int64")
        again = self.users.sort().values
        again = again[1:][again.diff() == 0]
        if again.numel():
            raise DataError(f"user {int(again[0])} has two lists; give each one")
        ordered = self.items.sort(dim=1).values
        twice = ((ordered.diff(dim=1) == 0) & (ordered[:, 1:] >= 0)).nonzero()
        if len(twice):
            row, place = twice[0].tolist()
            user, item = int(self.users[row]), int(ordered[row, place])
            raise DataError(f"the list of user {user} holds item {item} twice; an item is found once")


@dataclass(frozen=True, eq=False)
class RankScores:
    """What lists of items are worth.

    Args:
        metrics: each figure, such as ``ndcg@20``: the mean over the counted users, or that of all lists.
        per_user: those of users one by one, ``float64 [N]``.
        users: the counted users, those with test items, ``int64 [N]``.
    """

    metrics: dict[str, float]
    per_user: dict[str, Tensor]
    users: Tensor


def rank_metrics(lists: TopK, test: Interactions, train: Interactions, cutoffs: Sequence[int] = (10, 20)) -> RankScores:
    """Compare lists of items with what their users took afterwards.

    A test item that the list could not hold, because the user had it before, counts as missed.

    Args:
        lists: from `top_k`; no shorter than the cutoffs.
        test: what should be found.
        train: whose shares are the popularity of items; a training user is one with a pair in it.
        cutoffs: the values of k.

    Returns:
        `RankScores`. Those of users are means over the users of the lists who have test items; coverage, popularity
        and gini are of all lists.

    Raises:
        RequestError: a cutoff out of range, or none.
        DataError: sizes that differ, no user with test items, no item in any list, or no pair in train.

    Reference:
        He et al., LightGCN, SIGIR 2020: recall of all test items. Järvelin & Kekäläinen, Cumulated gain-based
        evaluation of IR techniques, TOIS 2002: gain, discounted. Adomavicius & Kwon, TKDE 2012: coverage and gini.

    Example:
        >>> lists = TopK(torch.tensor([0]), torch.tensor([[3, 0]]), torch.tensor([[2.0, 1.0]]))
        >>> seen = Interactions(users=[0, 1], items=[1, 3], num_users=2, num_items=4)
        >>> test = Interactions(users=[0, 0], items=[0, 2], num_users=2, num_items=4)
        >>> metrics = rank_metrics(lists, test, seen, cutoffs=(2,)).metrics
        >>> metrics["recall@2"], metrics["mrr@2"], metrics["coverage@2"], metrics["popularity@2"]
        (0.5, 0.5, 0.5, 0.25)
    """
    longest = lists.items.size(1)
    if not cutoffs or min(cutoffs) < 1 or max(cutoffs) > longest:
        raise RequestError(f"cutoffs = {list(cutoffs)} of lists of {longest} items; they should be from 1 to {longest}")
    sizes = test.num_users, test.num_items
    if (train.num_users, train.num_items) != sizes:
        raise DataError(f"{test} and {train} do not share a numbering")
    for what, index, least, size in (("user", lists.users, 0, sizes[0]), ("item", lists.items, -1, sizes[1])):
        if index.numel() and not (int(index.min()) >= least and int(index.max()) < size):
            wrong = int(index.min()) if int(index.min()) < least else int(index.max())
            raise DataError(f"a list of {what} {wrong}, and {size} {what}s in all; numbers end at {size - 1}")
    users, items = lists.users.cpu(), lists.items.cpu()
    counted = test.user_degrees[users] > 0
    users, asked = users[counted], items[counted]
    listed = int((items[:, : min(cutoffs)] >= 0).sum())
    if not (len(users) and listed and len(train)):
        raise DataError(
            f"{len(users)} users with test items, {listed} listed items, {len(train)} training pairs; "
            "nothing can be measured without one of each"
        )
    hits = (contains(test.users * sizes[1] + test.items, users[:, None] * sizes[1] + asked) & (asked >= 0)).double()
    wanted = test.user_degrees[users]
    share = train.item_degrees.double() / (train.user_degrees > 0).sum()
    per_user: dict[str, Tensor] = {}
    of_all: dict[str, float] = {}
    for k in cutoffs:
        per_user |= {f"{name}@{k}": values for name, values in _of_users(hits[:, :k], wanted).items()}
        shown = items[:, :k]
        of_all |= {f"{name}@{k}": value for name, value in _of_lists(shown[shown >= 0], share).items()}
    means = {name: float(values.mean()) for name, values in per_user.items()}
    return RankScores(means | of_all, per_user, users)


def _of_users(hits: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """From hits ``float64 [N, k]`` and how many test items there are ``int64 [N]``."""
    k = hits.size(1)
    rank = torch.arange(1, k + 1, dtype=torch.float64)
    gain = 1 / (rank + 1).log2()
    best = wanted.clamp(max=k)
    found = hits.sum(1)
    return {
        "recall": found / wanted,
        "ndcg": (hits * gain).sum(1) / gain.cumsum(0)[best - 1],
        "mrr": (hits / rank).amax(1),
        "hit": hits.amax(1),
        "precision": found / k,
        "map": (hits * hits.cumsum(1) / rank).sum(1) / best,
    }


def _of_lists(shown: Tensor, share: Tensor) -> dict[str, float]:
    """From all entries ``int64 [E]`` and the popularity of each item ``float64 [I]``."""
    size = len(share)
    counts = torch.bincount(shown, minlength=size).double().sort().values
    place = 2 * torch.arange(1, size + 1, dtype=torch.float64) - size - 1
    return {
        "coverage": float((counts > 0).double().mean()),
        "popularity": float(share[shown].mean()),
        "gini": float((place * counts).sum() / (size * counts.sum())),
    }


def paired_difference(a: RankScores, b: RankScores, metric: str) -> tuple[float, float]:
    r"""How much better one ranking serves the same users than another.

    .. math:: \bar d \pm t_{0.975,\, N-1}\, s_d / \sqrt N, \qquad d_u = a_u - b_u

    Users are what varies: it is the interval of these two trained models, and says nothing of other seeds.

    Args:
        a: one.
        b: the other, of the same users.
        metric: a figure of users, such as ``ndcg@20``.

    Returns:
        The mean of a - b, and half the width of its 95 % interval (Student's t; NaN with one user).

    Raises:
        RequestError: other users, or no such figure.

    Example:
        >>> users = torch.tensor([0, 1, 2])
        >>> better = RankScores({}, {"hit@1": torch.tensor([1.0, 1.0, 0.0])}, users)
        >>> worse = RankScores({}, {"hit@1": torch.tensor([0.0, 1.0, 0.0])}, users)
        >>> [round(number, 4) for number in paired_difference(better, worse, "hit@1")]
        [0.3333, 1.4342]
    """
    for scores in (a, b):
        if metric not in scores.per_user:
            raise RequestError(f"'{metric}' is no figure of users here; known: {', '.join(sorted(scores.per_user))}")
    if not torch.equal(a.users, b.users):
        raise RequestError(f"{len(a.users)} users and {len(b.users)} others; compare rankings of the same users")
    difference = (a.per_user[metric].double() - b.per_user[metric].double()).sort().values
    count = len(difference)
    if count < 2:
        return float(difference.mean()), math.nan
    quantile = float(imported("scipy.stats").t.ppf(0.975, count - 1))
    return float(difference.mean()), quantile * float(difference.std()) / math.sqrt(count)
