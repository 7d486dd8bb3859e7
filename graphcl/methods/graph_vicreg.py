"""VICReg on graphs: two views agree, no dimension collapses, no two dimensions vary together; no negatives."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from graphcl.augment.composition import Chain
from graphcl.augment.edges import MessageDropout
from graphcl.augment.features import FeatureMask
from graphcl.config import BelowOne, NonNegative, Rate, Size
from graphcl.encoders.gcn import GCN
from graphcl.encoders.mlp import MLP
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Paper, Recipe
from graphcl.methods.two_view import TwoView
from graphcl.objectives.redundancy import VICReg
from graphcl.plan import Plan

__all__ = ["GraphVicreg"]


@dataclass(frozen=True, kw_only=True)
class GraphVicreg(Recipe):
    """Variance-invariance-covariance regularisation of two views of a graph.

    Args:
        dim: width of the embedding; the first layer is twice as wide.
        projection: width of both layers of the expander before the loss; ``None`` compares the embeddings themselves.
        edge_dropout: rate of both views; each direction of an edge by itself.
        feature_mask: rate of both views.
        invariance: weight of the agreement of the views.
        variance: weight of the deviation of each dimension.
        covariance: weight of the covariance of the dimensions.
        statistics: weight of the newest view in the statistics of batch normalisation that the embedding uses.

    Reference:
        Bardes et al., VICReg: variance-invariance-covariance regularization for self-supervised learning, ICLR 2022,
        equations 1 to 6, with its weights. The paper is about images and no paper of graphs is the
        reference for it: encoder, views and training are those of Graph Barlow Twins, the nearest relative,
        with rates chosen on Cora by validation accuracy, its epochs (on Cora and CiteSeer 20 and 50 are alike on
        validation, 100 is worse), and without the paper's expander, which lowered it. No setting here is official.

    Example:
        >>> GraphVicreg().invariance
        25.0
    """

    paper: ClassVar[Paper | None] = Paper(
        "bardes2022vicreg",
        "VICReg: variance-invariance-covariance regularization for self-supervised learning",
        "ICLR 2022",
        "https://arxiv.org/abs/2105.04906",
    )

    dim: Size = 512
    projection: Size | None = None
    edge_dropout: BelowOne = 0.5
    feature_mask: BelowOne = 0.3
    invariance: NonNegative = 25.0
    variance: NonNegative = 25.0
    covariance: NonNegative = 1.0
    statistics: Rate = 0.01
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=50, lr=5e-4, weight_decay=1e-5, optimiser="adamw", warmup=0.1, decay="cosine")

    def assemble(self, shape: GraphShape) -> TwoView:
        """A GCN with batch normalisation between its layers, and an expander where one is asked for."""
        view = Chain((MessageDropout(self.edge_dropout), FeatureMask(self.feature_mask)))
        dims = [2 * self.dim, self.dim]
        width = self.projection
        return TwoView(
            GCN(shape.num_features, dims, "prelu", norm="batch", momentum=self.statistics),
            nn.Identity() if width is None else MLP(self.dim, width, width, "relu", norm="batch"),
            (view, view),
            VICReg(self.invariance, self.variance, self.covariance),
        )
