"""HCCF: beside each hop over the interactions one over a learnt hypergraph, and each node told apart across the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu
from torch_geometric.data import Data

from graphcl.config import BelowOne, NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker, contrast_rows
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["Hccf"]


class _Hccf(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "Hccf") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe = recipe
        weights = [nn.init.xavier_uniform_(torch.empty(recipe.dim, recipe.hyperedges)) for _ in range(2)]
        self.user_edges, self.item_edges = (nn.Parameter(weight) for weight in weights)

    def _layers(self, keep: bool) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The sum of all layers, and of each hop both halves."""
        u = self.num_users
        x: Tensor = self.table
        rate = 0.0 if keep else self.recipe.dropout
        # which hyperedges a node belongs to follows from its learnt vector
        belongs = x[:u] @ self.user_edges, x[u:] @ self.item_edges
        total: Tensor = self.table
        local: list[Tensor] = []
        wide: list[Tensor] = []
        for _ in range(self.layers):
            near = leaky_relu(self.operator(x), self.recipe.slope)
            far = torch.cat(
                [
                    _over_hyperedges(dropout(members, rate), rows, self.recipe.slope)
                    for members, rows in zip(belongs, (x[:u], x[u:]), strict=True)
                ]
            )
            local.append(near)
            wide.append(far)
            x = near + far
            total = total + x
        return total, local, wide

    def vectors(self) -> Tensor:
        return self._layers(keep=True)[0]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        x, local, wide = self._layers(keep=False)
        groups = self.both(batch)
        apart = [
            contrast_rows(a.detach(), b, groups, self.recipe.temperature) for a, b in zip(local, wide, strict=True)
        ]
        return {**self.rank_terms(x, batch), "contrast": self.recipe.weight * torch.stack(apart).sum()}


def _over_hyperedges(members: Tensor, rows: Tensor, slope: float) -> Tensor:
    return leaky_relu(members @ leaky_relu(members.T @ rows, slope), slope)


@dataclass(frozen=True, kw_only=True)
class Hccf(EmbeddingRecommender):
    r"""Hops over the interactions and over hyperedges that every node may belong to, contrasted layer by layer.

    .. math:: Z_k = \sigma(\hat A X_{k-1}), \qquad \Gamma_k = \sigma(H\, \sigma(H^\top X_{k-1})), \quad H = E W, \qquad
        X_k = Z_k + \Gamma_k, \qquad x = \sum_{k=0}^{L} X_k

    with InfoNCE between :math:`Z_k` and :math:`\Gamma_k`, users among users and items among items of a batch (the
    paper: among all); the gradient flows into :math:`\Gamma_k` alone, as in the authors' code. That code drops edges of
    the interactions as well, and penalises the weights of the hyperedges; here memberships are dropped and the vectors
    penalised.

    Args:
        layers: hops.
        hyperedges: of users, and of items.
        slope: of the leaky ReLU :math:`\sigma`.
        dropout: rate of memberships in training.
        weight: of the contrast.
        temperature: of InfoNCE.

    Reference:
        Xia et al., Hypergraph contrastive collaborative filtering, SIGIR 2022, equations 1 to 10.

    Example:
        >>> Hccf().hyperedges
        128
    """

    paper: ClassVar[Paper | None] = Paper(
        "xia2022hccf",
        "Hypergraph contrastive collaborative filtering",
        "SIGIR 2022",
        "https://arxiv.org/abs/2204.12200",
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(hyperedges=16, plan={"lr": 0.003})

    layers: Size = 2
    hyperedges: Size = 128
    slope: Positive = 0.5
    dropout: BelowOne = 0.5
    weight: NonNegative = 1e-2
    temperature: Positive = 0.1
    plan: Plan = Plan(epochs=200, lr=1e-3, batch_size=2048)

    def assemble(self, seen: Interactions) -> Ranker:
        """Tables, and the weights of the hyperedges."""
        return _Hccf(seen, self)
