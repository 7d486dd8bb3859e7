"""Adversaries on the features: small changes of all of them, or flips of a few."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.adversary.adversary import Adversary, Loss, gradient_of, value_of
from graphcl.adversary.budget import Budget
from graphcl.config import Positive, Size
from graphcl.errors import DataError

__all__ = ["FeatureFlips", "FeaturePgd", "two_values"]


def two_values(x: Tensor, name: str) -> float:
    """The value c of features whose entries are 0 or c.

    Raises:
        DataError: there are other values.

    Example:
        >>> two_values(torch.tensor([[0.0, 0.5]]), "FeatureFlips")
        0.5
    """
    high = float(x.max())
    if high <= 0 or not bool(((x == 0) | (x == high)).all()):
        raise DataError(
            f"{name} flips features of two values, 0 and another, and data.x has more; attack them by FeaturePgd"
        )
    return high


@dataclass(frozen=True)
class FeaturePgd(Adversary):
    r"""Projected gradient ascent on the features.

    .. math:: X' \leftarrow \Pi\big(X' + \eta\, \mathrm{sign}(\nabla_{X'} \ell)\big), \qquad
        \Pi: \lVert X' - X \rVert_\infty \le \epsilon_\infty, \; \lVert x'_v - x_v \rVert_2 \le \epsilon_2

    Where only the rows are limited, the step is along the gradient of each row. The best of all steps is the outcome.

    Args:
        budget: ``linf``, ``l2`` or both.
        steps: of the ascent.
        rate: length of all steps together, in radii of the budget.

    Raises:
        RequestError: the loss does not depend on the features.

    Reference:
        Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018, section 2.1.

    Example:
        >>> g = Data(x=torch.zeros(1, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> FeaturePgd(Budget(linf=0.5))(g, lambda d: (d.x * torch.tensor([1.0, -2.0])).sum()).x.tolist()
        [[0.5, -0.5]]
    """

    on_edges: ClassVar[bool] = False
    on_features: ClassVar[bool] = True

    budget: Budget = Budget(linf=0.01)
    steps: Size = 20
    rate: Positive = 2.5

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Ascend, and keep the best."""
        if not self.budget.changes_features:
            return data
        clean = data.x
        best, best_value = clean, value_of(loss, data)
        moved, reach = torch.zeros_like(clean), self.budget.within_reach(clean)
        for _ in range(self.steps):
            leaf = (clean + moved).requires_grad_()
            data.x = leaf
            value, slope = gradient_of(loss, data, leaf, "data.x")
            if value > best_value:
                best, best_value = leaf.detach(), value
            moved = self._projected(moved + self._step(slope)) * reach
        data.x = clean + moved
        return _with_features(data, data.x if value_of(loss, data) > best_value else best)

    def _step(self, slope: Tensor) -> Tensor:
        share = self.rate / self.steps
        if self.budget.linf > 0:
            return share * self.budget.linf * slope.sign()
        length = slope.norm(dim=1, keepdim=True)
        return share * (self.budget.l2 or 0.0) * slope / torch.where(length > 0, length, 1.0)

    def _projected(self, moved: Tensor) -> Tensor:
        if self.budget.linf > 0:
            moved = moved.clamp(-self.budget.linf, self.budget.linf)
        if self.budget.l2 is not None:
            length = moved.norm(dim=1, keepdim=True)
            # shorter rows stay within the other limit too
            moved = moved * (self.budget.l2 / torch.where(length > 0, length, 1.0)).clamp(max=1.0)
        return moved


@dataclass(frozen=True)
class FeatureFlips(Adversary):
    r"""Flip the entries of two-valued features that raise the loss most, by its gradient, some at a time.

    .. math:: F = \mathrm{top}_{B_0} \big( (c - 2 x_{vf})\, \partial \ell / \partial x_{vf} \big)

    Args:
        budget: how many entries, by ``l0``.
        rounds: after each the gradient is taken anew; the best of all rounds is the outcome.

    Raises:
        DataError: features of more than two values.
        RequestError: the loss does not depend on the features.

    Reference:
        The features' part of Zügner et al., Nettack, KDD 2018, for all nodes at once.

    Example:
        >>> g = Data(x=torch.tensor([[0.0, 1.0]]), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> FeatureFlips(Budget(l0=1.0))(g, lambda d: (d.x * torch.tensor([3.0, -1.0])).sum()).x.tolist()
        [[1.0, 1.0]]
    """

    on_edges: ClassVar[bool] = False
    on_features: ClassVar[bool] = True

    budget: Budget = Budget(l0=0.05)
    rounds: Size = 10

    def check(self, data: Data) -> None:
        """As every adversary, and that features have two values."""
        super().check(data)
        two_values(data.x, type(self).__name__)

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Flip in rounds, and keep the best."""
        high, left = two_values(data.x, type(self).__name__), self.budget.entry_flips(data)
        best, best_value = data.x, value_of(loss, data)
        x, fresh = data.x, self.budget.within_reach(data.x).expand_as(data.x).flatten().clone()
        for number in range(self.rounds):
            count = -(-left // (self.rounds - number))
            if count == 0:
                continue
            leaf = x.detach().clone().requires_grad_()
            data.x = leaf
            _, slope = gradient_of(loss, data, leaf, "data.x")
            gain = ((high - 2 * x) * slope).flatten()
            # each entry once, and none that would lower the loss
            gain = torch.where(fresh & (gain > 0), gain, -torch.inf)
            values, chosen = gain.topk(min(count, gain.numel()))
            chosen = chosen[values > 0]
            if not chosen.numel():
                break
            left -= chosen.numel()
            fresh[chosen] = False
            flat = x.flatten().clone()
            flat[chosen] = high - flat[chosen]
            x = flat.view_as(x)
            data.x = x
            if (value := value_of(loss, data)) > best_value:
                best, best_value = x, value
        return _with_features(data, best)


def _with_features(data: Data, x: Tensor) -> Data:
    data.x = x.detach()
    return data
