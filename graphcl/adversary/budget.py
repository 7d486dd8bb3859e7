"""How much an adversary may change."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import annotated_types as at
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Config, NonNegative, Rate, Size

__all__ = ["Budget", "Edits"]

Edits: TypeAlias = Literal["flip", "add", "remove"]
"""What may be done to a pair of nodes: anything, only join it, only part it."""


@dataclass(frozen=True)
class Budget(Config):
    r"""Limits of an attack, on edges and on features.

    .. math:: |E \mathbin{\triangle} E'| \le B, \qquad \lVert X' - X \rVert_\infty \le \epsilon_\infty, \qquad
        \lVert x'_v - x_v \rVert_2 \le \epsilon_2, \qquad \lVert X' - X \rVert_0 \le B_0

    An undirected edge counts once, a self-loop is never touched.

    Args:
        edges: share of the edges of the graph that may be flipped, rounded down, in [0, 1].
        flips: their number, in place of the share.
        per_node: flips that may end at one node, at most.
        edits: ``flip`` joins and parts pairs, ``add`` only joins, ``remove`` only parts.
        nodes: one end of each flip lies among these, and no features of others change; ``None`` is all.
        linf: no entry of the features changes by more.
        l2: no row of the features moves further; ``None`` is no limit of this kind.
        l0: number of entries that may change, as a share of those that are not 0, rounded down, in [0, 1].

    Raises:
        RequestError: a value out of range.

    Example:
        >>> graph = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> Budget(edges=0.5).edge_flips(graph), Budget(flips=2).edge_flips(graph)
        (1, 2)
    """

    edges: Rate = 0.05
    flips: Annotated[int, at.Ge(0)] | None = None
    per_node: Size | None = None
    edits: Edits = "flip"
    nodes: Annotated[tuple[int, ...], at.MinLen(1)] | None = None
    linf: NonNegative = 0.0
    l2: NonNegative | None = None
    l0: Rate = 0.0

    def edge_flips(self, data: Data) -> int:
        """The number of flips B in a graph that is undirected and has no edge twice; never more than it has pairs."""
        if self.flips is not None:
            n = int(data.num_nodes or 0)
            return min(self.flips, n * (n - 1) // 2)
        source, target = data.edge_index
        return int(self.edges * int((source < target).sum()) + 1e-9)

    def entry_flips(self, data: Data) -> int:
        """The number of entries of the features that may change."""
        return int(self.l0 * int(torch.count_nonzero(data.x)) + 1e-9)

    def within_reach(self, x: Tensor) -> Tensor:
        """The nodes whose features may change, ``bool [N, 1]``."""
        if self.nodes is None:
            return torch.ones(x.size(0), 1, dtype=torch.bool, device=x.device)
        reach = torch.zeros(x.size(0), 1, dtype=torch.bool, device=x.device)
        reach[list(self.nodes)] = True
        return reach

    @property
    def changes_features(self) -> bool:
        """Whether small changes of all features are allowed."""
        return self.linf > 0 or bool(self.l2)
