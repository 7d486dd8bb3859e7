"""Adversaries that do not look at the loss: the floor that others must lie above."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.adversary.adversary import Adversary, Loss
from graphcl.adversary.budget import Budget
from graphcl.adversary.edge_space import EdgeSpace
from graphcl.adversary.features import two_values
from graphcl.config import Rate
from graphcl.ops.pairs import contains
from graphcl.seeding import draw_order

__all__ = ["Dice", "RandomFeatureFlips", "RandomFlips"]

_ROUNDS = 64


@dataclass(frozen=True)
class RandomFlips(Adversary):
    r"""Flip edges at random: some are taken away, in the place of others random pairs are joined.

    .. math:: E' = E \mathbin{\triangle} F, \qquad |F| \le B

    Args:
        budget: how many, and which may be.
        added: share of the flips that join a pair, in [0, 1], where the budget allows both.

    Raises:
        RequestError: a share outside of [0, 1].
        DataError: a graph whose edges cannot be flipped (see `Adversary`).

    Reference:
        The control of Zügner & Günnemann, ICLR 2019; joined pairs alone are the random attack of Li et al., SP-AGCL,
        KDD 2023.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> RandomFlips(Budget(flips=1), added=0.0)(g, generator=torch.Generator().manual_seed(0)).num_edges
        2
    """

    blind: ClassVar[bool] = True

    budget: Budget = Budget()
    added: Rate = 0.5

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Draw pairs until there are enough, or no more."""
        space = EdgeSpace.of(data, self.budget, type(self).__name__)
        return _flip_at_random(space, self.added, None, generator)


@dataclass(frozen=True)
class Dice(Adversary):
    r"""Delete internally, connect externally: part nodes of one class, join nodes of different ones.

    .. math:: F = \{(u, v) \in E : y_u = y_v\}\text{ in part} \;\cup\; \{(u, v) \notin E : y_u \neq y_v\}\text{ in part}

    Args:
        budget: how many flips, and which may be.
        added: share of the flips that join a pair, in [0, 1], where the budget allows both.

    Raises:
        RequestError: a share outside of [0, 1].
        DataError: no labels, or a graph whose edges cannot be flipped. A node of label -1 is left alone.

    Reference:
        Waniek et al., Hiding individuals and communities in a social network, Nature Human Behaviour 2018.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([0, 0, 1, 1]))
        >>> Dice(Budget(flips=1), added=0.0)(g).num_edges
        0
    """

    blind: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    budget: Budget = Budget()
    added: Rate = 0.5

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Draw pairs of the right labels until there are enough, or no more."""
        space = EdgeSpace.of(data, self.budget, type(self).__name__)
        return _flip_at_random(space, self.added, data.y.flatten(), generator)


def _flip_at_random(space: EdgeSpace, added: float, labels: Tensor | None, generator: torch.Generator | None) -> Data:
    """A share of the flips joins pairs, the others part some; with labels, as `Dice` does."""
    total, edits = space.budget.edge_flips(space.data), space.budget.edits
    joined = total if edits == "add" else 0 if edits == "remove" else round(added * total)
    device = space.codes.device
    there = space.codes[space.allowed(space.codes)] if space.budget.edits != "add" else space.codes[:0]
    if labels is not None:
        u, v = labels[space.ends(there)]
        there = there[(u == v) & (u >= 0)]
    order = draw_order(there.numel(), generator=generator, device=device)
    parted = there[order]
    found = space.codes[:0]
    for _ in range(_ROUNDS):
        if found.numel() >= joined:
            break
        codes = space.drawn(max(4 * joined, 256), generator)
        codes = codes[~contains(space.codes, codes) & ~contains(found.sort().values, codes)]
        if labels is not None:
            u, v = labels[space.ends(codes)]
            codes = codes[(u != v) & (u >= 0) & (v >= 0)]
        found = torch.cat([found, codes[draw_order(codes.numel(), generator=generator, device=device)]])
    # what is wanted of each kind first, and more of one where the other gave out
    least = total - min(joined, found.numel())
    ranked = torch.cat(
        [found[:joined], parted[:least], found[joined:] if space.budget.edits != "remove" else found[:0]]
    )
    return space.flipped(space.within(ranked, total))


@dataclass(frozen=True)
class RandomFeatureFlips(Adversary):
    r"""Flip entries of two-valued features at random.

    .. math:: x'_{vf} = c - x_{vf} \quad \text{for } (v, f) \in F, \qquad |F| \le B_0

    Args:
        budget: how many entries, by ``l0``.

    Raises:
        DataError: features of more than two values.

    Reference:
        The random attack on features of Li et al., SP-AGCL, KDD 2023, which flips each entry with a probability.

    Example:
        >>> g = Data(x=torch.eye(4), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> out = RandomFeatureFlips(Budget(l0=0.5))(g, generator=torch.Generator().manual_seed(0))
        >>> int((out.x != g.x).sum())
        2
    """

    blind: ClassVar[bool] = True
    on_edges: ClassVar[bool] = False
    on_features: ClassVar[bool] = True

    budget: Budget = Budget(l0=0.05)

    def check(self, data: Data) -> None:
        """As every adversary, and that features have two values."""
        super().check(data)
        two_values(data.x, type(self).__name__)

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Draw entries."""
        high = two_values(data.x, type(self).__name__)
        count = self.budget.entry_flips(data)
        order = draw_order(data.x.numel(), generator=generator, device=data.x.device)
        chosen = order[self.budget.within_reach(data.x).expand_as(data.x).flatten()[order]][:count]
        x = data.x.flatten().clone()
        x[chosen] = high - x[chosen]
        data.x = x.view_as(data.x)
        return data
