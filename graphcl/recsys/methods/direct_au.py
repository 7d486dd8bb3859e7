"""DirectAU: no negatives; a user near its items, users spread out, items spread out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import annotated_types as at
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.data import Data

from graphcl.config import NonNegative
from graphcl.data.interactions import Interactions
from graphcl.errors import RequestError
from graphcl.methods.recipe import Paper
from graphcl.objectives.hypersphere import alignment, uniformity
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["DirectAu"]


class _DirectAu(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "DirectAu") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.weight = recipe.weight

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        x = self.vectors()
        user, item = (normalize(x[rows]) for rows in (batch.user, batch.positive + self.num_users))
        # a single pair has nobody to keep away from
        spread = (uniformity(user) + uniformity(item)) / 2 if len(user) > 1 else user.sum() * 0
        terms = {"alignment": alignment(user, item), "uniformity": self.weight * spread}
        if self.penalty:
            terms["penalty"] = self.penalty_of(torch.cat([batch.user, batch.positive + self.num_users]), len(user))
        return terms


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

    Raises:
        RequestError: something is said about negatives.

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

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(
        weight=0.3, layers=2, looks=2, plan={"lr": 0.003, "batch_size": 1024}
    )

    weight: NonNegative = 1.0
    layers: Annotated[int, at.Ge(0)] = 0
    penalty: NonNegative = 0.0
    plan: Plan = Plan(epochs=300, lr=1e-3, weight_decay=1e-6, batch_size=1024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.negatives, self.candidates) != ("uniform", 8):
            raise RequestError("DirectAu looks at no negatives; leave negatives and candidates out")

    def assemble(self, seen: Interactions) -> Ranker:
        """Tables, with or without propagation."""
        return _DirectAu(seen, self)
