"""LightGCN: matrix factorisation whose vectors are averaged over the hops of the graph."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Size
from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.recsys.propagated_ranker import PropagatedRanker
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker

__all__ = ["LightGcn"]


class _LightGcn(PropagatedRanker):
    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        return self.rank_terms(self.vectors(), batch)


@dataclass(frozen=True, kw_only=True)
class LightGcn(EmbeddingRecommender):
    r"""Vectors that are the mean of those learnt and of what comes of them over one, two, … hops.

    .. math:: X_k = \hat A X_{k-1}, \qquad x = \frac{1}{L+1} \sum_{k=0}^{L} X_k, \qquad \hat r_{ui} = x_u^\top x_i

    Args:
        layers: hops L.

    Reference:
        He et al., LightGCN: simplifying and powering graph convolution network for recommendation, SIGIR 2020,
        equations 3 to 15. Layers, width, rate, batch and penalty are those of the authors' code. That draws users
        evenly and an item of each, from normal vectors, for 1,000 epochs; here every pair comes once an epoch, from
        uniform ones.

    Example:
        >>> LightGcn().layers
        3
    """

    name: ClassVar[str] = "lightgcn"
    paper: ClassVar[Paper | None] = Paper(
        "he2020lightgcn",
        "LightGCN: simplifying and powering graph convolution network for recommendation",
        "SIGIR 2020",
        "https://arxiv.org/abs/2002.02126",
    )

    layers: Size = 3

    def assemble(self, seen: Interactions) -> Ranker:
        """Tables and the propagation over what was seen."""
        return _LightGcn(seen, self.dim, self.penalty, self.layers, self.plan)
