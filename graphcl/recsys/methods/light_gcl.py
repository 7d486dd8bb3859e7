"""LightGCL: the graph's own strongest directions are the second view."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.ops.pairwise import logsumexp_between
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker
from graphcl.recsys.propagation import combined
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["LightGcl"]


class _LightGcl(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "LightGcl") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe = recipe
        self.left, self.right = (part.to(self.device) for part in _strongest(seen, recipe.rank))
        ones = [1.0] * recipe.layers
        # the sum of all layers, and of those that the low-rank view starts from
        self.sums = [[*ones, 1.0], [*ones, 0.0]]

    def vectors(self) -> Tensor:
        return combined(self.operator, self.table, self.sums[:1])[0]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        x, below = combined(self.operator, self.table, self.sums)
        user, item = self.num_users, self.num_users
        # the view of a user comes from the items, that of an item from the users: U S Vᵀ and its transpose
        views = (
            self.table[:user] + self.left @ (self.right.T @ below[user:]),
            self.table[item:] + self.right @ (self.left.T @ below[:item]),
        )
        groups = batch.user, torch.cat([batch.positive, batch.negative[:, 0]])
        contrast = torch.stack(
            [
                self._contrast(view, own, rows)
                for view, own, rows in zip(views, (x[:user], x[user:]), groups, strict=True)
            ]
        ).sum()
        return {**self.rank_terms(x, batch), "contrast": self.recipe.weight * contrast}

    def _contrast(self, view: Tensor, own: Tensor, rows: Tensor) -> Tensor:
        tau = self.recipe.temperature
        # a node that a batch holds several times is compared once, and counts as often
        rows, times = rows.unique(return_counts=True)
        pulled = ((view[rows] * own[rows]).sum(1) / tau).clamp(-5.0, 5.0)
        return (times * (logsumexp_between(view[rows] / tau, own)[0] - pulled)).sum() / times.sum()


def _strongest(seen: Interactions, rank: int) -> tuple[Tensor, Tensor]:
    r"""Rows of :math:`U \sqrt S` and :math:`V \sqrt S` of the normalised interactions, as many as there are."""
    matrix = seen.matrix
    scale = [1 / np.sqrt(np.maximum(degree.numpy(), 1)) for degree in (seen.user_degrees, seen.item_degrees)]
    normal = matrix.multiply(scale[0][:, None]).multiply(scale[1][None, :]).tocsr().astype(np.float64)
    q = min(rank, min(normal.shape) - 1)
    if q < 1:
        return torch.zeros(seen.num_users, 1), torch.zeros(seen.num_items, 1)
    u, s, vt = svds(normal, k=q, v0=np.ones(min(normal.shape)), solver="arpack")
    root = np.sqrt(s)
    own = torch.get_default_dtype()
    return torch.from_numpy((u * root).copy()).to(own), torch.from_numpy((vt.T * root).copy()).to(own)


@dataclass(frozen=True, kw_only=True)
class LightGcl(EmbeddingRecommender):
    r"""LightGCN (a sum of the layers) with InfoNCE against one propagation over a low-rank reconstruction of the graph.

    .. math:: G_u = E_u + U S V^\top \sum_{k<L} X_{i,k}, \qquad
        L_c = \ln \sum_{u'} e^{g_u^\top x_{u'} / \tau} - \left[ g_u^\top x_u / \tau \right]_{-5}^{5}

    and the same of items, over all users and items and not over those of a batch.

    Args:
        layers: hops L.
        rank: directions that are kept.
        weight: of the contrast.
        temperature: :math:`\tau`.

    Reference:
        Cai et al., LightGCL: simple yet effective graph contrastive learning for recommendation, ICLR 2023, equations 3
        to 9; the loss as in the authors' code (products, not cosines; the positive bounded). Their penalty on all
        vectors, 1e-7, is ``plan.weight_decay`` 2e-7. The directions are exact (Lanczos), not from a random sketch.

    Example:
        >>> LightGcl().rank
        5
    """

    paper: ClassVar[Paper | None] = Paper(
        "cai2023lightgcl",
        "LightGCL: simple yet effective graph contrastive learning for recommendation",
        "ICLR 2023",
        "https://arxiv.org/abs/2302.08191",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gowalla": {"plan": {"weight_decay": 0.0}},
        **small(weight=0.01, plan={"weight_decay": 0.0}),
    }

    layers: Size = 2
    rank: Size = 5
    weight: NonNegative = 0.2
    temperature: Positive = 0.2
    penalty: NonNegative = 0.0
    plan: Plan = Plan(epochs=200, lr=1e-3, weight_decay=2e-7, batch_size=4096)

    def assemble(self, seen: Interactions) -> Ranker:
        """LightGCN's tables, and the strongest directions of the graph."""
        return _LightGcl(seen, self)
