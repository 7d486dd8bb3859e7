"""CCA-SSG: two views whose dimensions correlate with each other and with nothing else; no negatives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from graphcl.augment.composition import Chain
from graphcl.augment.edges import MessageDropout
from graphcl.augment.features import FeatureMask
from graphcl.config import BelowOne, NonNegative, Size
from graphcl.encoders.gcn import GCN
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Paper, Recipe
from graphcl.methods.two_view import TwoView
from graphcl.objectives.redundancy import CCA
from graphcl.plan import Plan

__all__ = ["CcaSsg"]


@dataclass(frozen=True, kw_only=True)
class CcaSsg(Recipe):
    """Self-supervised learning by soft canonical correlation analysis of two views.

    Args:
        dim: width of every layer.
        layers: graph convolutions; ReLU between them, none after the last.
        edge_dropout: rate of both views; each direction of an edge by itself, as in the released code.
        feature_mask: rate of both views.
        decorrelation: weight λ of the decorrelation term.

    Reference:
        Zhang et al., NeurIPS 2021, equation 3 and appendix; settings from the authors' command lines.

    Example:
        >>> CcaSsg.preset("citeseer").layers
        1
    """

    paper: ClassVar[Paper | None] = Paper(
        "zhang2021cca",
        "From canonical correlation analysis to self-supervised graph neural networks",
        "NeurIPS 2021",
        "https://arxiv.org/abs/2106.12484",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {"edge_dropout": 0.4, "feature_mask": 0.1, "plan": {"epochs": 50}},
        "citeseer": {
            "layers": 1, "decorrelation": 5e-4, "edge_dropout": 0.4, "feature_mask": 0.0, "plan": {"epochs": 20},
        },
        "pubmed": {"edge_dropout": 0.5, "feature_mask": 0.3, "plan": {"epochs": 100}},
        "amazon-computers": {
            "decorrelation": 5e-4, "edge_dropout": 0.3, "feature_mask": 0.1, "features": "raw", "plan": {"epochs": 50},
        },
        "amazon-photo": {"edge_dropout": 0.3, "feature_mask": 0.2, "features": "raw", "plan": {"epochs": 50}},
        "coauthor-physics": {"edge_dropout": 0.5, "feature_mask": 0.5, "features": "raw", "plan": {"epochs": 100}},
    }  # fmt: skip

    dim: Size = 512
    layers: Size = 2
    edge_dropout: BelowOne = 0.4
    feature_mask: BelowOne = 0.1
    decorrelation: NonNegative = 1e-3
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=50, lr=1e-3)

    def assemble(self, shape: GraphShape) -> TwoView:
        """A GCN without a projector, as in the paper."""
        view = Chain((MessageDropout(self.edge_dropout), FeatureMask(self.feature_mask)))
        return TwoView(
            GCN(shape.num_features, [self.dim] * self.layers, "relu"),
            nn.Identity(),
            (view, view),
            CCA(self.decorrelation),
        )
