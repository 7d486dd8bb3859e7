"""DirectAU: no negatives; a user near its items, users spread out, items spread out."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.data import Data

from graphcl.config import NonNegative
from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.objectives.hypersphere import alignment, uniformity
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker

__all__ = ["DirectAu"]


class _DirectAu(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "DirectAu") -> None:
        super().__init__(seen, recipe.dim, 0.0, recipe.layers, recipe.plan)
        self.weight = recipe.weight

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        x = self.vectors()
        user, item = (normalize(x[rows]) for rows in (batch.user, batch.positive + self.num_users))
        spread = (uniformity(user) + uniformity(item)) / 2
        return {"alignment": alignment(user, item), "uniformity": self.weight * spread}


@dataclass(frozen=True, kw_only=True)
class DirectAu(EmbeddingRecommender):
    r"""Alignment of the pairs that were seen and uniformity of users and of items, on the sphere.

    .. math:: L = \mathbb E_{(u,i)} \|\bar x_u - \bar x_i\|^2 + \frac\gamma2 \left(
        \ln \mathbb E_{u, u'} e^{-2\|\bar x_u - \bar x_{u'}\|^2}
        + \ln \mathbb E_{i, i'} e^{-2\|\bar x_i - \bar x_{i'}\|^2}\right)

    Pairs of a batch are taken as they come, so that a user with two of them is there twice, as in the paper. Ranking is
    by the product of the vectors, not of their directions.

    Args:
        weight: :math:`\gamma`.
        layers: hops; 0 is matrix factorisation, as in the paper's tables.

    Reference:
        Wang et al., Towards representation alignment and uniformity in collaborative filtering, KDD 2022, equations 5
        to 7.

    Example:
        >>> DirectAu().layers
        0
    """

    paper: ClassVar[Paper | None] = Paper(
        "wang2022directau",
        "Towards representation alignment and uniformity in collaborative filtering",
        "KDD 2022",
        "https://arxiv.org/abs/2206.12811",
    )

    weight: NonNegative = 1.0
    layers: int = 0
    penalty: NonNegative = 0.0
    plan: Plan = Plan(epochs=300, lr=1e-3, weight_decay=1e-6, batch_size=1024)

    def assemble(self, seen: Interactions) -> Ranker:
        """Tables, with or without propagation."""
        return _DirectAu(seen, self)
