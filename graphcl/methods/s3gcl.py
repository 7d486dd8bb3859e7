"""S3GCL: a perceptron that learns, from two filtered views, what a graph would have told it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.config import BelowOne, Positive, Rate, Size
from graphcl.encoders.gcn import normalisation
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.objectives.multi_positive import MultiPositiveNCE
from graphcl.ops.pairwise import knn_graph
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.spectral.filters import CosineHigh, CosineLow, SpectralFilter

__all__ = ["S3gcl", "S3gclMethod"]


@dataclass(frozen=True, kw_only=True)
class S3gcl(Recipe):
    """Spectral, swift, spatial graph contrastive learning: the embedding needs no graph.

    Args:
        dim: width of every layer.
        order: of both filters.
        neighbours: k of the nearest neighbours by features that are positives of a high-pass view.
        structure: share of the low-pass view, whose positives are the neighbours in the graph, in the loss.
        dropout: before and after the filters.
        temperature: of the objective.

    Reference:
        Wan et al., ICML 2024. The module of the filters is missing from the released code, which has the curve of their
        coefficients: here they are `CosineLow` and `CosineHigh`, evaluated as the filters of PolyGCL, whose names it
        uses. Settings exist for Cora and Wisconsin (where ``structure`` is 0); the defaults are those of Cora, narrower
        by half. The code scores with the statistics of the whole graph at that moment, here they are those of the last
        epochs.

    Example:
        >>> S3gcl.preset("wisconsin").structure
        0.0
    """

    paper: ClassVar[Paper | None] = Paper(
        "wan2024s3gcl",
        "S3GCL: spectral, swift, spatial graph contrastive learning",
        "ICML 2024",
        "https://proceedings.mlr.press/v235/wan24c.html",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {"dim": 1024},
        "wisconsin": {"dim": 2048, "order": 6, "neighbours": 20, "structure": 0.0},
    }

    dim: Size = 512
    order: Size = 10
    neighbours: Size = 5
    structure: Rate = 0.75
    dropout: BelowOne = 0.5
    temperature: Positive = 0.5
    plan: Plan = Plan(epochs=200, lr=5e-4, weight_decay=1e-6)

    def assemble(self, shape: GraphShape) -> "S3gclMethod":
        """A perceptron with a linear projector, and two filtered branches."""
        return S3gclMethod(shape.num_features, self)


class _Branch(nn.Module):
    """A filter between two dropouts, batch normalisation, a linear map and ReLU."""

    def __init__(self, filter: SpectralFilter, num_features: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.filter = filter
        self.dropout = nn.Dropout(dropout)
        self.norm = normalisation("batch", num_features, 0.01)
        self.linear = nn.Linear(num_features, dim)

    def forward(self, batch: Data) -> Tensor:
        h = self.filter(self.dropout(batch.x), batch.edge_index, batch.get("edge_weight"))
        return self.linear(self.norm(self.dropout(h))).relu()


class S3gclMethod(Method):
    r"""The perceptron's rows as anchors, the filtered branches as candidates.

    .. math::
        L = (1 - \gamma)\, \ell\big(p(m(X)), h_H;\, P_{knn}\big)
        + \gamma\, \ell\big(p(m(X)), h_L;\, P_{A + I}\big)

    with :math:`\ell` the `MultiPositiveNCE`.

    Args:
        num_features: F.
        recipe: the hyper-parameters.
    """

    def __init__(self, num_features: int, recipe: S3gcl) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = nn.Sequential(
            nn.Linear(num_features, recipe.dim),
            normalisation("batch", recipe.dim),
            nn.ReLU(),
            nn.Linear(recipe.dim, recipe.dim),
        )
        self.projector = nn.Linear(recipe.dim, recipe.dim)
        self.objective = MultiPositiveNCE(recipe.temperature)
        self.high = self.low = None
        if recipe.structure < 1:
            self.high = _Branch(CosineHigh(recipe.order), num_features, recipe.dim, recipe.dropout)
        if recipe.structure > 0:
            self.low = _Branch(CosineLow(recipe.order), num_features, recipe.dim, recipe.dropout)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """A term for each branch that counts."""
        share, n = self.recipe.structure, batch.x.size(0)
        anchors = self.projector(self.encoder(batch.x))
        own = torch.arange(n, device=batch.x.device).expand(2, -1)
        terms = {}
        if self.high is not None:
            k = max(1, min(self.recipe.neighbours, n - 2))
            near = _NEAR.of((batch.x, k), lambda: torch.cat([own, knn_graph(batch.x, k)[0].flip(0)], 1))
            terms["high"] = (1 - share) * self.objective(anchors, self._never_zero(self.high(batch)), near)
        if self.low is not None:
            pairs = _JOINED.of((batch.edge_index, n), lambda: _joined(batch.edge_index, own))
            terms["low"] = share * self.objective(anchors, self._never_zero(self.low(batch)), pairs)
        return terms

    @staticmethod
    def _never_zero(h: Tensor) -> Tensor:
        # a row that ReLU has emptied has no direction: it gets one that no gradient moves
        return h + torch.where(h.any(1, keepdim=True), 0.0, 1e-6)

    def embed(self, batch: Data) -> Tensor:
        """The perceptron's output: features alone."""
        return self.encoder(batch.x)


def _joined(pairs: Tensor, own: Tensor) -> Tensor:
    return torch.unique(torch.cat([pairs, own], 1), dim=1)


_NEAR: Recalled[Tensor] = Recalled()
_JOINED: Recalled[Tensor] = Recalled()
