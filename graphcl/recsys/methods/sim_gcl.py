"""SimGCL: no edge is dropped; small random vectors are added to every layer instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker, contrast_rows
from graphcl.recsys.propagation import combined, same_orthant_noise
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["SimGcl"]


class _SimGcl(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "SimGcl") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe = recipe
        self.weights = [[0.0] + [1 / recipe.layers] * recipe.layers]

    def vectors(self) -> Tensor:
        return combined(self.operator, self.table, self.weights)[0]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        noise = same_orthant_noise(self.recipe.noise, generator)
        first, second = (combined(self.operator, self.table, self.weights, noise)[0] for _ in range(2))
        contrast = contrast_rows(first, second, self.both(batch), self.recipe.temperature)
        return {**self.rank_terms(self.vectors(), batch), "contrast": self.recipe.weight * contrast}


@dataclass(frozen=True, kw_only=True)
class SimGcl(EmbeddingRecommender):
    r"""LightGCN without its layer 0, with InfoNCE between two copies of it whose layers carry random noise.

    .. math:: X_k = \hat A X_{k-1} + \varepsilon \,\frac{|\delta|}{\|\delta\|_2} \odot \mathrm{sign}(\hat A X_{k-1}),
        \qquad x = \frac1L \sum_{k=1}^{L} X_k

    Args:
        layers: hops.
        noise: length :math:`\varepsilon` of what is added to each row of a layer.
        weight: of InfoNCE.
        temperature: of InfoNCE.

    Reference:
        Yu et al., Are graph augmentations necessary? Simple graph contrastive learning for recommendation, SIGIR 2022,
        equations 5 to 7; noise is drawn from [0, 1) as in the authors' code.

    Example:
        >>> SimGcl().noise
        0.1
    """

    paper: ClassVar[Paper | None] = Paper(
        "yu2022simgcl",
        "Are graph augmentations necessary? Simple graph contrastive learning for recommendation",
        "SIGIR 2022",
        "https://arxiv.org/abs/2112.08679",
    )
    name: ClassVar[str] = "simgcl"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(weight=0.01)

    layers: Size = 3
    noise: NonNegative = 0.1
    weight: NonNegative = 0.5
    temperature: Positive = 0.2
    plan: Plan = Plan(epochs=200, lr=1e-3, batch_size=2048)

    def assemble(self, seen: Interactions) -> Ranker:
        """LightGCN's tables and propagation."""
        return _SimGcl(seen, self)
