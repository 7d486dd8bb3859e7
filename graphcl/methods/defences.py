"""Training-free defences: what a method must beat before its robustness is worth anything. None of them learns.

An attack on the edges leaves the features as they are, so a graph made of the features alone is one it cannot touch.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import annotated_types as at
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.augment.similarity import JaccardEdges, KNNGraph
from graphcl.config import Rate, Size
from graphcl.graph import GraphShape, unit_rows
from graphcl.methods.recipe import FeatureScale, Method, Recipe
from graphcl.ops.propagate import gcn_propagate
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.spectral.filters import PPRFilter

__all__ = ["Knn", "KnnJaccardPpr", "KnnPpr", "along_neighbours", "idf_weighted", "rarity", "robust_smooth"]


def idf_weighted(x: Tensor) -> Tensor:
    r"""Features times how rare they are, rows scaled to length 1.

    .. math:: \tilde x_{vf} \propto x_{vf} \log \frac{1 + N}{|\{u : x_{uf} \neq 0\}|}

    A column that every node has loses nearly all its weight.

    Args:
        x: ``[N, F]``.

    Example:
        >>> idf_weighted(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
        tensor([[0.3462, 0.9381],
                [1.0000, 0.0000]])
    """
    return unit_rows(x * rarity(x))


def rarity(x: Tensor) -> Tensor:
    """How rare each column is among the rows, ``[F]``: the factors of `idf_weighted`; ``x`` dense or CSR."""
    if x.layout == torch.strided:
        holders = (x.detach() != 0).sum(0)
    else:
        held = x.col_indices()[x.values() != 0].long()
        holders = torch.bincount(held, minlength=x.size(1))
    return ((1 + x.size(0)) / holders.clamp(min=1)).log().to(x.dtype)


def along_neighbours(x: Tensor, like: Tensor, k: int) -> Tensor:
    r"""Signals smoothed twice along the graph of nearest neighbours, :math:`\hat A_{kNN}^2 X`.

    Args:
        x: ``[N, F]``, differentiable.
        like: ``[N, D]``: whose cosines say what is near; not differentiable.
        k: neighbours of a node.
    """
    graph = _NEIGHBOURS.of((like, k), lambda: KNNGraph(k)(Data(x=like.detach())))
    return gcn_propagate(gcn_propagate(x, graph.edge_index), graph.edge_index)


def robust_smooth(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    *,
    k: int = 20,
    share: float = 0.5,
    threshold: float | None = None,
    teleport: float = 0.1,
) -> Tensor:
    r"""Features smoothed along the graph and along that of their own nearest neighbours, in one space.

    .. math:: H = w\, \nu\big(\hat A_{kNN}^2 \tilde X\big)
        + (1 - w)\, \nu\big(\alpha (I - (1 - \alpha) \hat A)^{-1} X\big)

    with :math:`\nu` rows scaled to length 1 and :math:`\tilde X` of `idf_weighted`. Side by side in place of the sum
    the two would be columns that a classifier trusts one by one, and an attacked training node misleads it in one.

    Args:
        x: ``[N, F]``.
        edge_index: ``int64 [2, E]``.
        edge_weight: ``[E]``, differentiable; 1 where ``None``.
        k: neighbours of a node by cosine.
        share: weight w of what came along the nearest neighbours, in [0, 1]; 1 does not look at the graph.
        threshold: edges whose ends have a Jaccard index of their features up to this are left out; ``None`` keeps all.
        teleport: α of the PageRank, in (0, 1].

    Returns:
        ``[N, F]``, differentiable in x and the weights; the choice of neighbours and edges is not.

    Example:
        >>> x, edges = torch.eye(3), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> robust_smooth(x, edges, k=1).shape
        torch.Size([3, 3])
    """
    parts = []
    if share > 0:
        rare = idf_weighted(x)
        parts.append(share * unit_rows(along_neighbours(rare, rare, k)))
    if share < 1:
        seen = Data(x=x, edge_index=edge_index)
        if edge_weight is not None:
            seen.edge_weight = edge_weight
        if threshold is not None:
            seen = JaccardEdges(threshold)(seen)
        # without any edge the walk stays where it is
        smooth = PPRFilter(teleport)(x, seen.edge_index, seen.get("edge_weight")) if seen.edge_index.size(1) else x
        parts.append((1 - share) * unit_rows(smooth))
    return torch.stack(parts).sum(0)


_NEIGHBOURS: Recalled[Data] = Recalled()


@dataclass(frozen=True, kw_only=True)
class Knn(Recipe):
    r"""Features smoothed twice along the graph of their own nearest neighbours: no edge of the data set is looked at.

    Args:
        k: neighbours of a node by cosine.

    Example:
        >>> Knn().k
        20
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False

    k: Size = 20
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _SmoothMethod(self.k, 1.0, None, 0.1)


@dataclass(frozen=True, kw_only=True)
class KnnPpr(Recipe):
    r"""Half smoothed along nearest neighbours, half by PageRank along the edges, summed: `robust_smooth`.

    Args:
        k: neighbours of a node by cosine.
        share: weight of the first half.
        teleport: of the PageRank.

    Example:
        >>> KnnPpr().share
        0.5
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False

    k: Size = 20
    share: Rate = 0.5
    teleport: Annotated[float, at.Interval(gt=0, le=1)] = 0.1
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _SmoothMethod(self.k, self.share, None, self.teleport)


@dataclass(frozen=True, kw_only=True)
class KnnJaccardPpr(KnnPpr):
    r"""As `KnnPpr`, with the PageRank along the edges whose ends share features.

    Args:
        k: neighbours of a node by cosine.
        share: weight of the first half.
        teleport: of the PageRank.
        threshold: edges whose ends have a Jaccard index of their features up to this are left out.

    Example:
        >>> KnnJaccardPpr().threshold
        0.03
    """

    threshold: Rate = 0.03

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _SmoothMethod(self.k, self.share, self.threshold, self.teleport)


class _SmoothMethod(Method):
    def __init__(self, k: int, share: float, threshold: float | None, teleport: float) -> None:
        super().__init__()
        self.k, self.share, self.threshold, self.teleport = k, share, threshold, teleport

    def embed(self, batch: Data) -> Tensor:
        return robust_smooth(
            batch.x,
            batch.edge_index,
            batch.get("edge_weight"),
            k=self.k,
            share=self.share,
            threshold=self.threshold,
            teleport=self.teleport,
        )
