"""The first items of every user, for recommendation: `evaluate_ranking` lists them and says what they are worth.

Users times items never lie in memory. The figures are those of `graphcl.evaluate.rank_scores`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from graphcl.data.interactions import Interactions
from graphcl.errors import RequestError, RunFailedError
from graphcl.evaluate.rank_scores import RankScores, TopK, rank_metrics

# `Scorer` is imported from here: `graphcl.evaluate.Scorer` is that of `links`
__all__ = ["Embedded", "evaluate_ranking", "top_k"]

_BYTES = 2**24
"""Of the scores in memory at a time: they stay in a processor's cache. Four times as many took 1.4 times as long."""


class Scorer(Protocol):
    """Whatever gives every item a score for a user, higher where the user would rather have it."""

    @property
    def num_users(self) -> int:
        """U."""

    @property
    def num_items(self) -> int:
        """I."""

    def score(self, users: Tensor) -> Tensor:
        """The scores of all items.

        Args:
            users: ``int64 [B]``, on the CPU.

        Returns:
            Finite numbers, ``float [B, I]``, on any device.
        """


@dataclass(frozen=True, eq=False)
class Embedded:
    r"""Users and items as vectors, compared by their product.

    .. math:: s_{ui} = p_u \cdot q_i

    Args:
        users: ``float [U, D]``.
        items: ``float [I, D]``, of the same type and on the same device.

    Raises:
        RequestError: they do not fit together.

    Example:
        >>> both = Embedded(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 5.0], [3.0, 1.0]]))
        >>> both.score(torch.tensor([0]))
        tensor([[2., 3.]])
    """

    users: Tensor
    items: Tensor

    def __post_init__(self) -> None:
        p, q = self.users, self.items
        fit = p.dim() == q.dim() == 2 and p.size(1) == q.size(1) and p.dtype == q.dtype and p.device == q.device
        if not fit or not p.is_floating_point():
            raise RequestError(
                f"users are {p.dtype} {list(p.shape)} on {p.device} and items {q.dtype} {list(q.shape)} on {q.device}; "
                "make them floating point [U, D] and [I, D], alike"
            )

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.items)

    def score(self, users: Tensor) -> Tensor:
        """Products with all items, ``float [B, I]``."""
        return self.users[users.to(self.users.device)] @ self.items.T


@torch.no_grad()
def top_k(scorer: Scorer, users: Tensor, k: int, seen: Interactions | None = None, batch: int | None = None) -> TopK:
    r"""The k best items of each user among those that the user has not seen.

    Of items with equal scores the one with the lower number comes first, and is the one that is taken; all is exact.
    (A matrix product may round differently in batches of another size: scores that differ in their last bit are not
    equal.)

    At least: 2 U I D floating-point operations of the scorer (`Embedded`), and U I comparisons over 4 U I bytes that
    are written once and read twice. At hand are ``batch`` × I scores at a time (16 MiB of float32, one user at least)
    and, where scores are equal at rank k, about twice as much beside them; never U × I.

    Args:
        scorer: what scores.
        users: ``int64 [B]``, each once.
        k: length of the lists, 1 or more; what exceeds the unseen items is filled with -1.
        seen: pairs that are not listed; ``None`` lists whatever there is.
        batch: users at a time.

    Returns:
        `TopK` on the CPU.

    Raises:
        RequestError: a number out of range, sizes that differ, or scores of another shape.
        RunFailedError: a score is NaN or infinite.

    Example:
        >>> scorer = Embedded(torch.ones(1, 1), torch.tensor([[1.0], [3.0], [2.0], [3.0]]))
        >>> top_k(scorer, torch.tensor([0]), 3, Interactions(users=[0], items=[1], num_users=1, num_items=4)).items
        tensor([[3, 2, 0]])
    """
    sizes = scorer.num_users, scorer.num_items
    if k < 1 or (batch is not None and batch < 1) or min(sizes) < 1:
        raise RequestError(f"k = {k}, batch = {batch}, {sizes[0]} users, {sizes[1]} items: all should be 1 or more")
    if seen is not None and (seen.num_users, seen.num_items) != sizes:
        raise RequestError(f"{seen} is seen, and the scorer has {sizes[0]:,} users and {sizes[1]:,} items; fit it anew")
    users = users.detach().cpu()
    if users.dim() != 1 or users.dtype != torch.long:
        raise RequestError(f"users are {users.dtype} {list(users.shape)}; make them int64 [B]")
    if users.numel() and not (int(users.min()) >= 0 and int(users.max()) < sizes[0]):
        raise RequestError(f"users {int(users.min())} to {int(users.max())} of {sizes[0]}; numbers start at 0")
    if len(users.unique()) < len(users):
        raise RequestError(f"{len(users)} users, and {len(users.unique())} different ones; name each once")
    start = None if seen is None else seen.user_degrees.cumsum(0) - seen.user_degrees
    parts = users.split(batch or max(1, _BYTES // (4 * sizes[1])))
    lists = [_list_unseen(scorer, part, k, seen, start) for part in parts if len(part)]
    if not lists:
        return TopK(users, users.new_empty(0, k), torch.empty(0, k))
    scores, items = (torch.cat(parts) for parts in zip(*lists, strict=True))
    return TopK(users, items, scores)


def _list_unseen(
    scorer: Scorer, users: Tensor, k: int, seen: Interactions | None, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Scores and items of some users, ``[B, k]`` each; start is each user's first pair in seen, ``[U]``."""
    scores = _checked(scorer.score(users), len(users), scorer.num_items)
    if seen is None or start is None:
        values, items = _first(scores, k)
    else:
        where = _seen_by(users, seen, start).to(scores.device).unbind()
        before = scores[where]
        scores[where] = -math.inf
        values, items = _first(scores, k)
        # a scorer may have handed out a table of its own
        scores[where] = before
    return values.cpu(), items.cpu()


def _checked(scores: Tensor, count: int, width: int) -> Tensor:
    if scores.shape != (count, width) or not scores.is_floating_point():
        raise RequestError(
            f"the scorer gave {scores.dtype} {list(scores.shape)}; expected floating point [{count}, {width}]"
        )
    # a finite sum has no other terms, and is taken many times faster than each is looked at
    if not torch.isfinite(scores.sum()) and not torch.isfinite(scores).all():
        raise RunFailedError("the scorer gave NaN or infinity; it diverged: lower the learning rate")
    if scores.itemsize < 4:
        return scores.float()
    # what cannot be written to: rows that share memory, and what an inference mode has left
    shared = not scores.is_contiguous() or scores.is_inference()
    return scores.clone(memory_format=torch.contiguous_format) if shared else scores


def _seen_by(users: Tensor, seen: Interactions, start: Tensor) -> Tensor:
    """Row and column of what some users have seen, ``int64 [2, E]``."""
    count = seen.user_degrees[users]
    rows = torch.arange(len(users)).repeat_interleave(count)
    first = (start[users] - (count.cumsum(0) - count)).repeat_interleave(count)
    return torch.stack([rows, seen.items[first + torch.arange(len(rows))]])


def _first(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row above minus infinity and their columns, of equals the lower column first."""
    width = scores.size(1)
    values, items = _largest(scores, min(k + 1, width))
    if k < width:
        least = values[:, k - 1]
        tied = ((least == values[:, k]) & (least > -math.inf)).nonzero()[:, 0]
        values, items = values[:, :k], items[:, :k]
        if len(tied):
            # the largest are known, and which of the equal ones are taken is not: the first as many as there is room
            equal = scores[tied] == least[tied, None]
            room = values[tied] == least[tied, None]
            taken = equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room.sum(dim=1, keepdim=True, dtype=torch.int32))
            items[tied] = items[tied].masked_scatter(room, taken.nonzero()[:, 1])
    items, order = items.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    items = items.gather(1, order).masked_fill(values == -math.inf, -1)
    missing = (0, k - values.size(1))
    return pad(values, missing, value=-math.inf), pad(items, missing, value=-1)


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As ``scores.topk(k)``, as fast in any order of the columns: the k largest lie in the k blocks of largest maxima.

    A block is every n-th column, so that maxima are taken of whole stretches of memory; with about √(I / k) columns in
    each, the maxima and the columns of the chosen blocks are 2 √(I k) together, and little beside I. On a processor
    `torch.topk` alone takes a tenth longer where scores are in random order, and ten times as long where they ascend.
    """
    width = scores.size(1)
    high = math.isqrt(width // k)
    if high < 4:
        return scores.topk(k, dim=1)
    blocks = width // high
    rest = width - high * blocks
    maxima = scores[:, : high * blocks].unflatten(1, (high, blocks)).amax(dim=1)
    if rest:
        maxima[:, :rest] = torch.maximum(maxima[:, :rest], scores[:, high * blocks :])
    chosen = maxima.topk(k, dim=1, sorted=False).indices
    layers = torch.arange(high + bool(rest), device=scores.device) * blocks
    columns = (chosen[:, None] + layers[:, None]).flatten(1)
    inside = scores.gather(1, columns.clamp(max=width - 1)).masked_fill_(columns >= width, -math.inf)
    values, place = inside.topk(k, dim=1)
    return values, columns.gather(1, place)


def evaluate_ranking(
    scorer: Scorer,
    test: Interactions,
    seen: Interactions | None,
    train: Interactions,
    cutoffs: Sequence[int] = (10, 20),
    batch: int | None = None,
) -> RankScores:
    """List the best items of every user with test items, and compare.

    Args:
        scorer: what scores.
        test: what should be found; users without a pair in it get no list, not even for coverage.
        seen: pairs that are not listed: what was trained on, and the validation part when testing.
        train: as in `rank_metrics`.
        cutoffs: as in `rank_metrics`.
        batch: as in `top_k`, which bounds the memory; the lists themselves are U × k.

    Returns:
        `RankScores`.

    Raises:
        RequestError: as `top_k` and `rank_metrics`.
        DataError: as `rank_metrics`.
        RunFailedError: as `top_k`.

    Example:
        >>> scorer = Embedded(torch.ones(2, 1), torch.tensor([[1.0], [3.0], [2.0]]))
        >>> train = Interactions(users=[0, 1], items=[1, 0], num_users=2, num_items=3)
        >>> test = Interactions(users=[0, 1], items=[2, 2], num_users=2, num_items=3)
        >>> evaluate_ranking(scorer, test, train, train, cutoffs=(1, 2)).metrics["recall@1"]
        0.5
    """
    if not cutoffs or min(cutoffs) < 1:
        raise RequestError(f"cutoffs = {list(cutoffs)}; they should be 1 or more")
    if (scorer.num_users, scorer.num_items) != (test.num_users, test.num_items):
        raise RequestError(f"{test} is the test, and the scorer has {scorer.num_users:,} users; fit it anew")
    users = (test.user_degrees > 0).nonzero()[:, 0]
    return rank_metrics(top_k(scorer, users, max(cutoffs), seen, batch), test, train, cutoffs)
