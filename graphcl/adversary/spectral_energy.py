"""The spectral-energy adversary: views that differ in where on the spectrum their energy lies."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.adversary.adversary import Adversary, Loss, gradient_of, value_of
from graphcl.adversary.budget import Budget
from graphcl.adversary.edge_space import EdgeSpace
from graphcl.adversary.features import FeaturePgd
from graphcl.adversary.topology import Prbcd
from graphcl.config import NonNegative, Positive, Size
from graphcl.errors import UnfollowedError
from graphcl.seeding import draw_seed
from graphcl.spectral.descriptors import rayleigh_quotient

__all__ = ["Band", "SpectralEnergy"]

Band: TypeAlias = Literal["high", "low", "auto"]
"""Where energy is pushed: up, down, or whichever of the two raises the loss more."""


@dataclass(frozen=True)
class SpectralEnergy(Adversary):
    r"""Raise a loss, and push the energy of the features to one end of the spectrum while doing so.

    .. math:: \max_{G', X'} \; \ell(G', X') \pm \eta\, R(X', L'), \qquad
        R(X, L) = \frac{\operatorname{tr}(X^\top L X)}{\operatorname{tr}(X^\top X)}

    Edges come first (`Prbcd`), then the features (`FeaturePgd`), each within its part of the budget. What is returned
    is no worse for the loss itself than the graph as it was.

    Args:
        budget: of the edges, and of the features by ``linf`` or ``l2``.
        band: ``high`` takes the plus, ``low`` the minus, ``auto`` tries both and keeps what raises the loss more.
        weight: η.
        steps: of each ascent.
        rate: of the flips, as in `Prbcd`.
        block: pairs looked at in one step, as in `Prbcd`.

    Raises:
        UnfollowedError: a loss that depends on nothing that may change; a part it does not depend on is left alone.
        DataError: a graph whose edges cannot be flipped (see `Adversary`).

    Reference:
        The adversary of ASPECT-S (Li et al., arXiv 2604.01878), of which the Rayleigh quotient is public and the rest
        is not; which sign is meant is not said either, hence ``band``.

    Example:
        >>> g = Data(x=torch.tensor([[1.0], [1.0], [-1.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> out = SpectralEnergy(Budget(flips=1), band="high")(g, lambda d: 0 * d.get("edge_weight", d.x).sum())
        >>> out.num_edges
        2
    """

    on_features: ClassVar[bool] = True

    budget: Budget = Budget(edges=0.05, linf=0.01)
    band: Band = "auto"
    weight: NonNegative = 1.0
    steps: Size = 20
    rate: Positive = 0.2
    block: Size = 20_000

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Attack in each band that is asked for, with the same draws, and compare by the loss."""
        parts = self._followed(data, loss)
        seed = draw_seed(generator)
        best, best_value = data, value_of(loss, data)
        for sign in {"high": (1.0,), "low": (-1.0,), "auto": (1.0, -1.0)}[self.band]:
            found, draws = data, torch.Generator().manual_seed(seed)
            for part in parts:
                found = part(found, self._pushed(loss, sign), draws)
            value = value_of(loss, found)
            if value > best_value:
                best, best_value = found, value
        return best

    def _followed(self, data: Data, loss: Loss) -> list[Adversary]:
        """The parts of the attack that the loss can be followed through: beside the quotient nobody would see."""
        parts, lost = list[Adversary](), list[UnfollowedError]()
        if self.budget.edge_flips(data):
            space = EdgeSpace.of(data, self.budget, type(self).__name__)
            leaf = torch.zeros(space.codes.numel(), dtype=data.x.dtype, device=data.x.device).requires_grad_()
            edges = Prbcd(self.budget, steps=self.steps, rate=self.rate, block=self.block)
            _try(parts, lost, edges, loss, space.relaxed(space.codes, leaf), leaf, "data.edge_weight")
        if self.budget.changes_features:
            seen = data.__copy__()
            seen.x = data.x.detach().clone().requires_grad_()
            _try(parts, lost, FeaturePgd(self.budget, steps=self.steps), loss, seen, seen.x, "data.x")
        if lost and not parts:
            raise lost[0]
        return parts

    def _pushed(self, loss: Loss, sign: float) -> Loss:
        def both(graph: Data) -> Tensor:
            energy = rayleigh_quotient(graph.x, graph.edge_index, graph.get("edge_weight"))
            return loss(graph) + sign * self.weight * energy

        return both


def _try(
    parts: list[Adversary],
    lost: list[UnfollowedError],
    part: Adversary,
    loss: Loss,
    data: Data,
    leaf: Tensor,
    name: str,
) -> None:
    try:
        gradient_of(loss, data, leaf, name)
        parts.append(part)
    except UnfollowedError as error:
        lost.append(error)
