"""XSimGCL: one noisy propagation for both tasks; its end is told apart against one of its layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.errors import RequestError
from graphcl.methods.recipe import Paper
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker, contrast_rows
from graphcl.recsys.propagation import combined, same_orthant_noise
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["XSimGcl"]


class _XSimGcl(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "XSimGcl") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe = recipe
        self.mean = [0.0] + [1 / recipe.layers] * recipe.layers
        self.one = [float(k == recipe.contrasted) for k in range(recipe.layers + 1)]

    def vectors(self) -> Tensor:
        return combined(self.operator, self.table, [self.mean])[0]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        noise = same_orthant_noise(self.recipe.noise, generator)
        x, layer = combined(self.operator, self.table, [self.mean, self.one], noise)
        contrast = contrast_rows(x, layer, self.both(batch), self.recipe.temperature)
        return {**self.rank_terms(x, batch), "contrast": self.recipe.weight * contrast}


@dataclass(frozen=True, kw_only=True)
class XSimGcl(EmbeddingRecommender):
    r"""SimGCL in one pass: the mean of the noisy layers is ranked by, and contrasted with one of them.

    .. math:: L = L_{\mathrm{BPR}}(x) + \lambda_c L_{\mathrm{InfoNCE}}(x, X_{l^*}), \qquad
        x = \frac1L \sum_{k=1}^{L} X_k

    Args:
        layers: hops L.
        contrasted: the layer :math:`l^*`, from 1 to L.
        noise: length of what is added to each row of a layer.
        weight: of InfoNCE.
        temperature: of InfoNCE.

    Raises:
        RequestError: there is no such layer.

    Reference:
        Yu et al., XSimGCL: towards extremely simple graph contrastive learning for recommendation, TKDE 2023,
        equations 8 to 10; weight, noise, layer and temperature of the authors' code for Yelp2018. Its penalty is the
        length of the propagated vectors of a batch; here it is half the squared length of the learnt ones, as in
        LightGCN.

    Example:
        >>> XSimGcl().contrasted
        1
    """

    paper: ClassVar[Paper | None] = Paper(
        "yu2023xsimgcl",
        "XSimGCL: towards extremely simple graph contrastive learning for recommendation",
        "IEEE TKDE 2023",
        "https://arxiv.org/abs/2209.02544",
    )
    name: ClassVar[str] = "xsimgcl"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(weight=0.05)

    layers: Size = 3
    contrasted: Size = 1
    noise: NonNegative = 0.2
    weight: NonNegative = 0.2
    temperature: Positive = 0.15
    plan: Plan = Plan(epochs=200, lr=1e-3, batch_size=2048)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.contrasted > self.layers:
            raise RequestError(f"XSimGcl.contrasted = {self.contrasted}: there are {self.layers} layers")

    def assemble(self, seen: Interactions) -> Ranker:
        """LightGCN's tables and propagation."""
        return _XSimGcl(seen, self)
