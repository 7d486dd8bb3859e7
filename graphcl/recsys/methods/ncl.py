"""NCL: a node's own vector against what two hops make of it, and against the centre of its cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch_geometric.data import Data

from graphcl.config import NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.errors import RequestError
from graphcl.methods.recipe import Paper
from graphcl.ops.pairwise import logsumexp_between
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker
from graphcl.recsys.propagation import combined
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small
from graphcl.seeding import draw_seed, imported

__all__ = ["Ncl"]


class _Ncl(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "Ncl") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe = recipe
        mean = [1 / (recipe.layers + 1)] * (recipe.layers + 1)
        self.sums = [mean, [float(k == 2) for k in range(recipe.layers + 1)]]
        self.epochs = 0
        # of users, then of items: directions of the centres, and the centre of each row
        self.clusters: list[tuple[Tensor, Tensor]] | None = None

    def vectors(self) -> Tensor:
        return combined(self.operator, self.table, self.sums[:1])[0]

    def after_epoch(self) -> None:
        self.epochs += 1
        self.clusters = None

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        x, second = combined(self.operator, self.table, self.sums)
        sides = (batch.user, slice(0, self.num_users)), (batch.positive, slice(self.num_users, None))
        weights = self.recipe.structure, self.recipe.structure * self.recipe.items
        near = [
            weight * self._neighbours(second[side], self.table[side], rows)
            for (rows, side), weight in zip(sides, weights, strict=True)
        ]
        terms = {**self.rank_terms(x, batch), "structure": torch.stack(near).sum()}
        if self.recipe.prototype and self.epochs >= self.recipe.warm_up:
            if self.clusters is None:
                self.clusters = [self._clustered(self.table[side], generator) for _, side in sides]
            alike = [
                self._prototypes(self.table[side][rows], *found, rows)
                for (rows, side), found in zip(sides, self.clusters, strict=True)
            ]
            terms["prototype"] = self.recipe.prototype * torch.stack(alike).sum()
        return terms

    def _neighbours(self, far: Tensor, own: Tensor, rows: Tensor) -> Tensor:
        tau = self.recipe.temperature
        # a node that a batch holds several times is compared once, and counts as often
        rows, times = rows.unique(return_counts=True)
        a, b = normalize(far[rows]) / tau, normalize(own)
        return (times * (logsumexp_between(a, b)[0] - (a * b[rows]).sum(1))).sum() / times.sum()

    def _prototypes(self, own: Tensor, centres: Tensor, cluster: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(normalize(own) @ centres.T / self.recipe.temperature, cluster[rows])

    def _clustered(self, table: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        cluster = imported("sklearn.cluster")
        rows = table.detach().cpu().numpy()
        # a cluster of one is no prototype: at least ten rows each, on average
        count = max(1, min(self.recipe.clusters, len(rows) // 10))
        means = cluster.MiniBatchKMeans(count, n_init=1, random_state=draw_seed(generator) % 2**32, batch_size=4096)
        found = torch.from_numpy(means.fit_predict(rows)).long()
        centres = torch.from_numpy(means.cluster_centers_).to(table.dtype)
        return normalize(centres).to(self.device), found.to(self.device)


@dataclass(frozen=True, kw_only=True)
class Ncl(EmbeddingRecommender):
    r"""LightGCN with two contrasts of the learnt vectors: their structural neighbours, and their semantic ones.

    .. math:: L_S = -\ln \frac{e^{\cos(x_u^{(2)}, e_u)/\tau}}{\sum_{v} e^{\cos(x_u^{(2)}, e_v)/\tau}}, \qquad
        L_P = -\ln \frac{e^{\cos(e_u, c_{k(u)})/\tau}}{\sum_k e^{\cos(e_u, c_k)/\tau}}

    over all users v and the centres :math:`c_k` of their clusters, and the same of items. Means over a batch, where the
    authors' code sums: their weights times the size of a batch are these.

    Args:
        layers: hops, 2 or more.
        structure: weight of :math:`L_S`.
        items: of :math:`L_S` of items beside that of users (the paper's :math:`\alpha`).
        prototype: weight of :math:`L_P`.
        clusters: of users, and of items; at most a tenth of them.
        warm_up: epochs without :math:`L_P`.
        temperature: :math:`\tau`.

    Raises:
        RequestError: a single layer.

    Reference:
        Lin et al., Improving graph collaborative filtering with neighborhood-enriched contrastive learning, WWW 2022,
        equations 6 to 14. Clusters are fitted anew each epoch, by mini-batch k-means.

    Example:
        >>> Ncl().layers
        3
    """

    paper: ClassVar[Paper | None] = Paper(
        "lin2022ncl",
        "Improving graph collaborative filtering with neighborhood-enriched contrastive learning",
        "WWW 2022",
        "https://arxiv.org/abs/2202.06200",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(clusters=50)

    layers: Size = 3
    structure: NonNegative = 2e-3
    items: NonNegative = 1.5
    prototype: NonNegative = 2e-4
    clusters: Size = 1000
    warm_up: int = 20
    temperature: Positive = 0.1
    plan: Plan = Plan(epochs=300, lr=1e-3, batch_size=2048)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 2 or self.warm_up < 0:
            raise RequestError(f"Ncl: layers = {self.layers} should be 2 or more, warm_up = {self.warm_up} 0 or more")

    def assemble(self, seen: Interactions) -> Ranker:
        """LightGCN's tables and propagation."""
        return _Ncl(seen, self)
