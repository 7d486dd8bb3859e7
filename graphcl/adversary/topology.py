"""Adversaries on the edges that follow the gradient of the loss.

| class | looks at | chooses |
|---|---|---|
| `PgdTopology` | all pairs of nodes (small graphs) | by projected ascent on how much of each is flipped |
| `Prbcd` | a block of pairs at a time (any graph) | the same; what matters of a block stays in it |
| `Grbcd` | a block of pairs at a time (any graph) | the largest entries of the gradient, some in each round |

How much of a pair is flipped, p in [0, 1], is the weight of a new edge, and one less the weight of one that is there.
The sum of p is kept at the budget by projection; for good are then flipped the pairs with the largest p, or a draw with
these probabilities, whichever raises the loss most. A graph without any flip is among those compared. On a very small
graph (`SEARCHED` pairs), where a gradient says little of whole flips, they are then exchanged one by one as long as
that helps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import annotated_types as at
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.adversary.adversary import Adversary, Loss, gradient_of, value_of
from graphcl.adversary.budget import Budget
from graphcl.adversary.edge_space import EdgeSpace
from graphcl.config import Positive, Rate, Size
from graphcl.seeding import draw_order, draw_uniform

__all__ = ["SEARCHED", "Grbcd", "GreedyFlips", "PgdTopology", "Prbcd", "box_simplex"]

SEARCHED = 66
"""Pairs of a graph whose flips are tried one by one after the gradient had its say: those of 12 nodes."""

_BISECTIONS = 60
_STARTS = 4
_CONTENDERS = 16
_LEAST = 1e-6
"""What is flipped by less than this is not flipped."""


def box_simplex(p: Tensor, total: float) -> Tensor:
    r"""The nearest point of a box whose sum is at most so much.

    .. math:: \Pi(p) = \arg\min_q \lVert q - p \rVert \quad \text{with } 0 \le q \le 1,\; \sum_i q_i \le total
        \quad = \operatorname{clamp}(p - \mu, 0, 1)

    Args:
        p: of any shape.
        total: 0 or more.

    Reference:
        Xu et al., Topology attack and defense for graph neural networks, IJCAI 2019, proposition 1.

    Example:
        >>> [round(q, 4) for q in box_simplex(torch.tensor([2.0, 0.5, -1.0]), 1.2).tolist()]
        [1.0, 0.2, 0.0]
    """
    inside = p.clamp(0, 1)
    if float(inside.sum()) <= total:
        return inside
    low, high = float(p.min()) - 1, float(p.max())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if float((p - middle).clamp(0, 1).sum()) > total:
            low = middle
        else:
            high = middle
    return (p - high).clamp(0, 1)


def _searched(space: EdgeSpace, loss: Loss, total: int, graph: Data, generator: torch.Generator | None) -> Data:
    """The best that adding a flip, or exchanging one, leads to: from a graph, the clean one, and some at random."""
    if total == 0:
        return graph
    every = space.every()
    best, best_value = graph, value_of(loss, graph)
    starts = [space.between(graph), space.codes[:0]]
    for _ in range(_STARTS):
        order = draw_order(every.numel(), generator=generator, device=every.device)
        starts.append(space.within(every[order], total))
    for start in starts:
        taken, value = start, value_of(loss, space.flipped(start))
        while True:
            rest = every[~torch.isin(every, taken)]
            # a flip in the place of each that was taken, or beside them
            bases = [taken[taken != code] for code in taken] + ([taken] if taken.numel() < total else [])
            tried = [torch.cat([base, code[None]]) for base in bases for code in rest]
            tried = [codes for codes in tried if space.within(codes, total).numel() == codes.numel()]
            values = [value_of(loss, space.flipped(codes)) for codes in tried]
            if not values or max(values) <= value:
                break
            value, taken = max(values), tried[values.index(max(values))]
        if value > best_value:
            best, best_value = space.flipped(taken), value
    return best


@dataclass(frozen=True)
class _Relaxed(Adversary):
    """What is common to the adversaries that flip in part first."""

    budget: Budget = Budget()
    steps: Size = 100
    rate: Positive = 0.2
    samples: Size = 20
    search: Annotated[int, at.Ge(0)] = SEARCHED

    def _ascend(
        self,
        space: EdgeSpace,
        loss: Loss,
        total: int,
        codes: Tensor,
        refresh: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> list[tuple[Tensor, Tensor]]:
        """Pairs and how much of each is flipped: at the highest loss met, and at the end."""
        p = torch.zeros(codes.numel(), dtype=space.data.x.dtype, device=codes.device)
        best, best_value = (codes, p), -float("inf")
        for step in range(self.steps):
            leaf = p.clone().requires_grad_()
            value, slope = gradient_of(loss, space.relaxed(codes, leaf), leaf, "data.edge_weight")
            if value > best_value:
                best, best_value = (codes, p), value
            # in units of the entries that the budget has room for: the scale of the loss has no part
            top = slope.clamp(min=0).topk(min(total, slope.numel())).values.mean()
            if float(top) > 0:
                p = box_simplex(p + self.rate / (1 + step) ** 0.5 * slope / top, total)
            if step + 1 < self.steps:
                codes, p = refresh(step, codes, p)
        return [best, (codes, p)]

    def _settle(
        self,
        space: EdgeSpace,
        loss: Loss,
        total: int,
        found: list[tuple[Tensor, Tensor]],
        generator: torch.Generator | None,
    ) -> Data:
        """The best of what the shares suggest, and of no flip at all."""
        best, best_value = space.data, value_of(loss, space.data)
        for codes, p in found:
            codes, p = codes[p > _LEAST], p[p > _LEAST]
            for number in range(self.samples + 1):
                some, weight = codes, p
                if number:
                    drawn = draw_uniform(p.numel(), generator=generator, device=p.device, dtype=p.dtype) < p
                    some, weight = codes[drawn], p[drawn]
                graph = space.flipped(space.within(some[weight.argsort(descending=True, stable=True)], total))
                if (value := value_of(loss, graph)) > best_value:
                    best, best_value = graph, value
        return _searched(space, loss, total, best, generator) if space.pairs <= self.search else best


@dataclass(frozen=True)
class PgdTopology(_Relaxed):
    r"""Projected gradient ascent on all pairs of nodes.

    .. math:: p \leftarrow \Pi\Big(p + \frac{\eta}{\sqrt{t}} \frac{\nabla_p \ell}{g}\Big), \qquad
        0 \le p \le 1, \; \sum p \le B

    with g the mean of the B largest entries of the gradient.

    Args:
        budget: how many flips, and which may be.
        steps: of the ascent.
        rate: η.
        samples: draws that are compared at the end.
        search: graphs of at most so many pairs are searched flip by flip at the end; 0 is none.
        looks: how often, in even distances, the gradient of all pairs is taken. In between only those move that are
            flipped in part or would raise the loss most, sixteen for each flip of the budget: a budget spread over all
            pairs is too thin to be good for whole flips.

    Raises:
        RequestError: more pairs than can be listed (beyond 4,096 nodes), or a loss that does not depend on
            ``edge_weight``.
        DataError: a graph whose edges cannot be flipped (see `Adversary`).

    Reference:
        Xu et al., Topology attack and defense for graph neural networks, IJCAI 2019, algorithm 1; there all pairs move
        in each step, which has the scale of the loss.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> PgdTopology(Budget(flips=1))(g, lambda d: -d.get("edge_weight", torch.ones(d.num_edges)).sum()).num_edges
        0
    """

    looks: Size = 10

    def check(self, data: Data) -> None:
        """As every adversary, and that the pairs can be listed."""
        super().check(data)
        EdgeSpace.of(data, self.budget, type(self).__name__).check_listed()

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Ascend, then settle."""
        space = EdgeSpace.of(data, self.budget, type(self).__name__)
        total, codes = self.budget.edge_flips(data), space.every()
        if total == 0 or not codes.numel():
            return data
        every = -(-self.steps // self.looks)

        def contenders(taken: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
            whole = p.new_zeros(codes.numel())
            whole[torch.searchsorted(codes, taken)] = p
            leaf = whole.clone().requires_grad_()
            _, slope = gradient_of(loss, space.relaxed(codes, leaf), leaf, "data.edge_weight")
            rank = torch.where(whole > _LEAST, torch.inf, slope)
            best = rank.topk(min(_CONTENDERS * total, rank.numel())).indices.sort().values
            return codes[best], whole[best]

        def refresh(step: int, taken: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
            return contenders(taken, p) if (step + 1) % every == 0 else (taken, p)

        first, _ = contenders(codes[:0], torch.zeros(0, dtype=data.x.dtype, device=codes.device))
        found = self._ascend(space, loss, total, first, refresh)
        return self._settle(space, loss, total, found, generator)


@dataclass(frozen=True)
class Prbcd(_Relaxed):
    r"""Projected randomised block coordinate ascent: a block of random pairs at a time, for graphs of any size.

    .. math:: p_b \leftarrow \Pi\Big(p_b + \frac{\eta}{\sqrt{t}} \frac{\nabla_{p_b} \ell}{g}\Big), \qquad
        b \leftarrow \{i \in b : p_i > 0\} \cup \text{new pairs}

    Memory grows with the block and the edges, never with :math:`N^2`.

    Args:
        budget: how many flips, and which may be.
        steps: of the ascent.
        rate: η.
        samples: draws that are compared at the end.
        search: graphs of at most so many pairs are searched flip by flip at the end; 0 is none.
        block: pairs looked at in one step, up to a quarter of them edges of the graph; it is never smaller than twice
            the budget.
        settle: share of the steps, the last ones, in which the block stays, in [0, 1].

    Raises:
        RequestError: a loss that does not depend on ``edge_weight``.
        DataError: a graph whose edges cannot be flipped (see `Adversary`).

    Reference:
        Geisler et al., Robustness of graph neural networks at scale, NeurIPS 2021, algorithm 1. There existing edges
        are in the block by chance alone, and the step has the scale of the loss.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> Prbcd(Budget(flips=1))(g, lambda d: d.get("edge_weight", torch.ones(d.num_edges)).sum()).num_edges
        4
    """

    block: Size = 20_000
    settle: Rate = 0.25

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Ascend on blocks, then settle."""
        space = EdgeSpace.of(data, self.budget, type(self).__name__)
        total = self.budget.edge_flips(data)
        size = max(self.block, 2 * total)
        codes = space.drawn(size, generator) if total else space.codes[:0]
        if not codes.numel():
            return data
        whole = space.pairs <= size

        def refresh(step: int, codes: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
            if whole or step + 1 >= (1 - self.settle) * self.steps:
                return codes, p
            kept = (p > _LEAST).nonzero().flatten()
            if kept.numel() > size // 2:
                kept = kept[p[kept].topk(size // 2).indices]
            fresh = space.drawn(size - kept.numel(), generator)
            made = torch.unique(torch.cat([codes[kept], fresh]))
            moved = p.new_zeros(made.numel())
            moved[torch.searchsorted(made, codes[kept])] = p[kept]
            return made, moved

        found = self._ascend(space, loss, total, codes, refresh)
        return self._settle(space, loss, total, found, generator)


@dataclass(frozen=True)
class GreedyFlips(Adversary):
    """Root of the adversaries that flip for good, round by round, where the gradient of the loss is largest.

    Args:
        budget: how many flips, and which may be.
        rounds: at most one for each flip.
        block: pairs looked at in one round, up to a quarter of them edges of the graph; it is never smaller than twice
            the flips of a round.
    """

    budget: Budget = Budget()
    rounds: Size = 20
    block: Size = 20_000

    def greedy(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Iterator[Data]:
        """The graph after each round."""
        name = type(self).__name__
        space, total = EdgeSpace.of(data, self.budget, name), self.budget.edge_flips(data)
        taken, now = space.codes[:0], data
        rounds = min(self.rounds, total)
        for number in range(rounds):
            count = -(-(total - taken.numel()) // (rounds - number))
            codes = space.drawn(max(self.block, 2 * count), generator)
            codes = codes[~torch.isin(codes, taken)]
            if count == 0 or not codes.numel():
                return
            here = EdgeSpace.of(now, self.budget, name)
            leaf = torch.zeros(codes.numel(), dtype=data.x.dtype, device=codes.device).requires_grad_()
            _, slope = gradient_of(loss, here.relaxed(codes, leaf), leaf, "data.edge_weight")
            rising = slope > 0
            ranked = codes[rising][slope[rising].argsort(descending=True, stable=True)]
            # the caps count what was flipped before
            chosen = space.within(torch.cat([taken, ranked]), taken.numel() + count)
            if chosen.numel() > taken.numel():
                taken = chosen
                now = space.flipped(taken)
                yield now


@dataclass(frozen=True)
class Grbcd(GreedyFlips):
    r"""Greedy randomised block coordinate ascent: each round flips where the gradient is largest, for good.

    .. math:: F \leftarrow F \cup \mathrm{top}_{B / R} \big( \nabla_p \ell \,|_{p = 0} \big)

    Args:
        budget: how many flips, and which may be.
        rounds: R, at most one for each flip; the best of all rounds is the outcome.
        block: pairs looked at in one round, up to a quarter of them edges of the graph; it is never smaller than twice
            the flips of a round.
        search: graphs of at most so many pairs are searched flip by flip at the end; 0 is none.

    Raises:
        RequestError: a loss that does not depend on ``edge_weight``.
        DataError: a graph whose edges cannot be flipped (see `Adversary`).

    Reference:
        Geisler et al., Robustness of graph neural networks at scale, NeurIPS 2021, section 3.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> Grbcd(Budget(flips=1))(g, lambda d: d.get("edge_weight", torch.ones(d.num_edges)).sum()).num_edges
        4
    """

    search: Annotated[int, at.Ge(0)] = SEARCHED

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Flip in rounds, and keep the best."""
        best, best_value = data, value_of(loss, data)
        for now in self.greedy(data, loss, generator):
            if (value := value_of(loss, now)) > best_value:
                best, best_value = now, value
        space = EdgeSpace.of(data, self.budget, type(self).__name__)
        if space.pairs > self.search:
            return best
        return _searched(space, loss, self.budget.edge_flips(data), best, generator)
