"""EPAGCL: GRACE with views that drop edges, and add a few, by how much of an error they would pass on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from graphcl.augment.composition import Chain
from graphcl.augment.error_passing import ErrorPassingEdgeAddition, ErrorPassingEdgeDropout
from graphcl.augment.features import FeatureMask
from graphcl.config import BelowOne, Positive, Rate, Size
from graphcl.encoders.gcn import GCN, Activation
from graphcl.encoders.mlp import MLP
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Paper, Recipe
from graphcl.methods.two_view import TwoView
from graphcl.objectives.contrast import InfoNCE
from graphcl.plan import Plan

__all__ = ["Epagcl"]


@dataclass(frozen=True, kw_only=True)
class Epagcl(Recipe):
    r"""Error-passing adaptive graph contrastive learning: node-level InfoNCE, edges drawn by their weight in the GCN.

    .. math:: w_{uv} = \frac{1}{\sqrt{d_u d_v}}, \qquad \Pr(uv \text{ goes}) \propto w_{uv} - w_{\min}, \qquad
        \Pr(uv \text{ comes}) \propto w_{\max} - w_{uv}

    Args:
        dim: width of the embedding; the hidden layer is twice as wide.
        projection: width of the projector.
        act: activation after both layers.
        edge_dropout: mean rate of each view.
        edge_addition: edges added to each view, as a share of those there are, on average.
        feature_mask: rate of each view.
        temperature: of InfoNCE.

    Reference:
        Xu et al., AAAI 2025; all settings from the defaults of the released code with its option ``--add_single``,
        under which edges are added to the first view only. Its pool of candidates is a tenth of the edges, each of
        which comes with probability 1/2: a share of 0.05. It adds to edges that were dropped before; here what is
        added may be dropped again, but hardly is, as the added edges pass on least. Both directions of an edge go, and
        come, together here, and apart there. The features of the citation graphs are left as they are, those of other
        graphs divided by their row sums, as there.

    Example:
        >>> Epagcl().edge_addition
        (0.05, 0.0)
    """

    paper: ClassVar[Paper | None] = Paper(
        "xu2025epagcl",
        "Why does dropping edges usually outperform adding edges in graph contrastive learning?",
        "AAAI 2025",
        "https://arxiv.org/abs/2412.08128",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {"features": "raw"},
        "citeseer": {"features": "raw"},
        "pubmed": {"features": "raw"},
        "wiki-cs": {"features": "raw"},
    }

    dim: Size = 256
    projection: Size = 256
    act: Activation = "prelu"
    edge_dropout: tuple[BelowOne, BelowOne] = (0.2, 0.3)
    edge_addition: tuple[Rate, Rate] = (0.05, 0.0)
    feature_mask: tuple[BelowOne, BelowOne] = (0.1, 0.1)
    temperature: Positive = 0.3
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=500, lr=1e-3, weight_decay=1e-4)

    def assemble(self, shape: GraphShape) -> TwoView:
        """A GCN of two layers with a two-layer projector."""
        first, second = (
            Chain((ErrorPassingEdgeAddition(added), ErrorPassingEdgeDropout(dropped), FeatureMask(columns)))
            for added, dropped, columns in zip(self.edge_addition, self.edge_dropout, self.feature_mask, strict=True)
        )
        return TwoView(
            GCN(shape.num_features, [2 * self.dim, self.dim], self.act, act_last=True),
            MLP(self.dim, self.projection, self.dim, "relu"),
            (first, second),
            InfoNCE(self.temperature),
        )
