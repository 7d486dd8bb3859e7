"""BGRL: one view predicts what a slowly moving copy of the encoder makes of the other; no negatives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmenter
from graphcl.augment.composition import Chain
from graphcl.augment.edges import MessageDropout
from graphcl.augment.features import FeatureMask
from graphcl.config import BelowOne, Rate, Size
from graphcl.encoders.gcn import GCN
from graphcl.encoders.mlp import MLP
from graphcl.encoders.moving_average import follow, momentum_at
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.cosine import BootstrapCosine
from graphcl.plan import Plan

__all__ = ["Bgrl", "BgrlMethod"]


@dataclass(frozen=True, kw_only=True)
class Bgrl(Recipe):
    """Bootstrapped representation learning on graphs: an encoder learns to predict its own moving average.

    Args:
        dim: width of the embedding; the first layer is twice as wide.
        predictor: width of the predictor's hidden layer.
        edge_dropout: rate of each view; each direction of an edge by itself, as in the released code.
        feature_mask: rate of each view.
        momentum: of the target at the beginning; it rises to 1 by half a cosine.
        statistics: weight of the newest view in the statistics of batch normalisation that the embedding uses.

    Reference:
        Thakoor et al., ICLR 2022; settings of Computers, Photo, Coauthor and Wiki-CS from the authors' configuration
        files. The paper has none for other graphs: width and rates of the defaults were chosen on Cora, epochs
        on Cora and CiteSeer, by validation accuracy. As in the released code the target begins with weights of
        its own. That code passes 0.99 to torch as the momentum of batch statistics, so that embeddings are
        normalised by the last view alone; here the decay is 0.99 and the statistics are averages
        (``statistics=0.99`` is the code's).

    Example:
        >>> Bgrl.preset("amazon-photo").plan.epochs
        10000
    """

    paper: ClassVar[Paper | None] = Paper(
        "thakoor2022bgrl",
        "Large-scale representation learning on graphs via bootstrapping",
        "ICLR 2022",
        "https://arxiv.org/abs/2102.06514",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "amazon-computers": {
            "dim": 128, "edge_dropout": [0.5, 0.4], "feature_mask": [0.2, 0.1],
            "plan": {"epochs": 10_000, "lr": 5e-4},
        },
        "amazon-photo": {
            "dim": 128, "edge_dropout": [0.4, 0.1], "feature_mask": [0.1, 0.2],
            "plan": {"epochs": 10_000, "lr": 1e-4},
        },
        "coauthor-cs": {
            "dim": 256, "edge_dropout": [0.3, 0.2], "feature_mask": [0.3, 0.4],
            "plan": {"epochs": 10_000, "lr": 1e-5},
        },
        "coauthor-physics": {
            "dim": 128, "edge_dropout": [0.4, 0.1], "feature_mask": [0.1, 0.4],
            "plan": {"epochs": 10_000, "lr": 1e-5},
        },
        "wiki-cs": {
            "dim": 256, "edge_dropout": [0.2, 0.3], "feature_mask": [0.2, 0.1], "features": "standard",
            "plan": {"epochs": 10_000, "lr": 5e-4},
        },
    }  # fmt: skip

    dim: Size = 512
    predictor: Size = 512
    edge_dropout: tuple[BelowOne, BelowOne] = (0.5, 0.4)
    feature_mask: tuple[BelowOne, BelowOne] = (0.5, 0.4)
    momentum: Rate = 0.99
    statistics: Rate = 0.01
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=300, lr=5e-4, weight_decay=1e-5, optimiser="adamw", warmup=0.1, decay="cosine")

    def assemble(self, shape: GraphShape) -> "BgrlMethod":
        """Two encoders with weights of their own, and a predictor."""
        online, target = (
            GCN(
                shape.num_features,
                [2 * self.dim, self.dim],
                "prelu",
                act_last=True,
                norm="batch",
                momentum=self.statistics,
                shared_act=False,
            )
            for _ in range(2)
        )
        first, second = (
            Chain((MessageDropout(edges), FeatureMask(columns)))
            for edges, columns in zip(self.edge_dropout, self.feature_mask, strict=True)
        )
        predictor = MLP(self.dim, self.predictor, self.dim, "prelu")
        return BgrlMethod(online, target, predictor, (first, second), self.momentum)


class BgrlMethod(Method):
    r"""Encoder, predictor, and a target encoder that follows.

    .. math:: L = 2 - \frac1N \sum_i \cos\!\big(p(f_\theta(t_1(G)))_i,\, f_\phi(t_2(G))_i\big)
              - \frac1N \sum_i \cos\!\big(p(f_\theta(t_2(G)))_i,\, f_\phi(t_1(G))_i\big)

    Args:
        encoder: :math:`f_\theta`.
        target: :math:`f_\phi`, built alike; no gradient reaches it.
        predictor: p.
        views: the two augmenters.
        momentum: :math:`\tau_0` of `graphcl.encoders.momentum_at`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        target: nn.Module,
        predictor: nn.Module,
        views: tuple[Augmenter, Augmenter],
        momentum: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.target = target.requires_grad_(False)
        self.predictor = predictor
        self.views = views
        self.momentum = momentum
        self.objective = BootstrapCosine()

    @property
    def takes_sparse_features(self) -> bool:
        """Whether encoder and views do."""
        views = all(view.takes_sparse_features for view in self.views)
        return views and getattr(self.encoder, "supports_sparse_features", False)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: each view predicts the target's embedding of the other."""
        first, second = (view(batch, generator) for view in self.views)
        predicted = [self.predictor(encode(self.encoder, view)) for view in (first, second)]
        with torch.no_grad():
            aimed = [encode(self.target, view) for view in (second, first)]
        directions = [self.objective(q, y) for q, y in zip(predicted, aimed, strict=True)]
        return {"bootstrap": torch.stack(directions).mean()}

    def embed(self, batch: Data) -> Tensor:
        """The trained encoder's output."""
        return encode(self.encoder, batch)

    def after_step(self, progress: float) -> None:
        """Let the target follow."""
        follow(self.target, self.encoder, momentum_at(self.momentum, progress))
