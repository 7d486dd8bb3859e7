"""ProGCL: negatives weighed by how similar they are, and by how likely they are to be true ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.adaptive import AdaptiveEdgeDropout, AdaptiveFeatureMask, Centrality
from graphcl.augment.augmenter import Augmenter
from graphcl.augment.composition import Chain
from graphcl.config import BelowOne, Positive, Size
from graphcl.encoders.gcn import GCN, Activation
from graphcl.encoders.mlp import MLP
from graphcl.errors import RequestError
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Paper, Recipe
from graphcl.methods.two_view import TwoView, encode
from graphcl.objectives.contrast import InfoNCE
from graphcl.objectives.mixture import BetaMixture, fit_beta_mixture, mixture_info_nce, sampled_similarities
from graphcl.plan import Plan

__all__ = ["ProGcl", "ProGclMethod"]

_ROUNDS, _FLOOR = 10, 1.01
"""Of the fit in the released code."""


@dataclass(frozen=True, kw_only=True)
class ProGcl(Recipe):
    r"""InfoNCE whose negatives are weighed by similarity and the probability of being true negatives (ProGCL-weight).

    .. math:: w_{ij} \propto p(\text{true} \mid s_{ij})\, s_{ij}, \qquad s_{ij} = \tfrac12 (1 + \cos(a_i, b_j)),
        \qquad \tfrac{1}{N - 1} \textstyle\sum_j w_{ij} = 1

    with p from a mixture of two Beta distributions, fitted once, and s from the views of that step. Until then the loss
    is GRACE's.

    Args:
        dim: width of the embedding; hidden layers are twice as wide.
        layers: graph convolutions.
        projection: width of the projector.
        act: activation after every layer, the last included.
        centrality: by which GCA's views spare edges and features.
        edge_dropout: mean rate of each view.
        feature_mask: mean rate of each view.
        cutoff: the largest probability with which anything is dropped.
        temperature: of InfoNCE.
        begin: share of the training after which the mixture is fitted and the weights come in.
        prior: share of false negatives from which the fit starts, in (0, 1).

    Reference:
        Xia et al., ICML 2022; settings from the released code, where the fit is in epoch 400, with ten steps of
        expectation and maximisation, and the views default to GCA's by eigenvector centrality. As there, the weights
        are found once and kept to the end, those between the views serve within a view too, and they have no gradient;
        it holds them as an N × N matrix, which is computed anew here, slice by slice, from the embeddings of that step.
        The presets of the citation graphs are not the authors': they are GRACE's rates and widths. ProGCL-mix is left
        out.

    Example:
        >>> ProGcl.preset("coauthor-cs").begin
        0.4
    """

    paper: ClassVar[Paper | None] = Paper(
        "xia2022progcl",
        "ProGCL: rethinking hard negative mining in graph contrastive learning",
        "ICML 2022",
        "https://arxiv.org/abs/2110.02027",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "amazon-computers": {"plan": {"epochs": 2000}, "begin": 0.2},
        "amazon-photo": {"plan": {"epochs": 2500}, "begin": 0.16, "prior": 0.15},
        "coauthor-cs": {
            "dim": 256, "projection": 256,
            "edge_dropout": [0.3, 0.2], "feature_mask": [0.3, 0.4],
            "begin": 0.4, "plan": {"epochs": 1000, "lr": 1e-4},
        },
        "wiki-cs": {
            "dim": 256, "projection": 256, "act": "prelu",
            "edge_dropout": [0.2, 0.3], "feature_mask": [0.1, 0.1], "temperature": 0.4,
            "begin": 400 / 3000, "plan": {"epochs": 3000},
        },
        "cora": {
            "dim": 256, "projection": 256, "act": "relu",
            "edge_dropout": [0.2, 0.4], "feature_mask": [0.3, 0.4], "temperature": 0.4,
            "plan": {"epochs": 200, "lr": 1e-3},
        },
        "citeseer": {
            "dim": 256, "projection": 256, "act": "prelu",
            "edge_dropout": [0.2, 0.0], "feature_mask": [0.3, 0.2], "temperature": 0.9,
            "plan": {"epochs": 200, "lr": 1e-3},
        },
    }  # fmt: skip

    dim: Size = 128
    layers: Size = 2
    projection: Size = 128
    act: Activation = "rrelu"
    centrality: Centrality = "eigenvector"
    edge_dropout: tuple[BelowOne, BelowOne] = (0.6, 0.3)
    feature_mask: tuple[BelowOne, BelowOne] = (0.2, 0.3)
    cutoff: BelowOne = 0.7
    temperature: Positive = 0.2
    begin: BelowOne = 0.2
    prior: BelowOne = 0.05
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=2000, lr=1e-2, weight_decay=1e-5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior == 0.0:
            raise RequestError("ProGcl.prior = 0.0: input should be greater than 0; without false negatives use Gca")

    def assemble(self, shape: GraphShape) -> "ProGclMethod":
        """A GCN with a two-layer projector."""
        hidden = [2 * self.dim] * (self.layers - 1)
        first, second = (
            Chain(
                (
                    # first, while all edges are there: both measure the centrality of the whole graph
                    AdaptiveFeatureMask(columns, self.centrality, self.cutoff),
                    AdaptiveEdgeDropout(edges, self.centrality, self.cutoff),
                )
            )
            for edges, columns in zip(self.edge_dropout, self.feature_mask, strict=True)
        )
        return ProGclMethod(
            GCN(shape.num_features, [*hidden, self.dim], self.act, act_last=True),
            MLP(self.dim, self.projection, self.dim, "elu"),
            (first, second),
            InfoNCE(self.temperature),
            BetaMixture((1 - self.prior, self.prior)),
            self.begin,
        )


class ProGclMethod(TwoView):
    """GRACE whose negatives have weights from some moment of the training on.

    Mixture and weights are no part of a checkpoint: the embedding does not depend on them, and a training that goes on
    from one finds them anew.

    Args:
        encoder: as in `TwoView`.
        projector: as in `TwoView`.
        views: the two augmenters.
        objective: the loss before that moment; its temperature holds after it too.
        guess: the mixture of similarities that the fit starts from.
        begin: share of the training after which it is fitted.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        views: tuple[Augmenter, Augmenter],
        objective: InfoNCE,
        guess: BetaMixture,
        begin: float,
    ) -> None:
        super().__init__(encoder, projector, views, objective)
        self.temperature = objective.temperature
        self.guess = guess
        self.begin = begin
        self.mixture: BetaMixture | None = None
        self.seen: tuple[Tensor, Tensor] | None = None

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """InfoNCE between the two views, from ``begin`` on with weighted negatives."""
        a, b = (self.projector(encode(self.encoder, view(batch, generator))) for view in self.now)
        if self.progress < self.begin:
            return {"contrast": self.objective(a, b)}
        if self.mixture is None:
            values = sampled_similarities(a, b, generator=generator)
            self.mixture = fit_beta_mixture(values, _ROUNDS, self.guess, floor=_FLOOR)
            self.seen = a.detach(), b.detach()
        return {"contrast": mixture_info_nce(a, b, self.mixture, self.temperature, seen=self.seen)}

    def after_step(self, progress: float) -> None:
        """Note the moment."""
        super().after_step(progress)
        self.progress = progress
