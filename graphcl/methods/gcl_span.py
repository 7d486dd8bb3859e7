"""GCL-SPAN: two views at either end of the spectrum, each told from a shuffled one by the summary of the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.composition import Chain
from graphcl.augment.features import FeatureMask, FeatureShuffle
from graphcl.augment.spectrum import SpectralPerturbation
from graphcl.config import BelowOne, Rate, Size
from graphcl.encoders.gcn import GCN, Activation
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.node_graph import NodeGraphBCE
from graphcl.plan import Plan

__all__ = ["GclSpan", "GclSpanMethod"]


@dataclass(frozen=True, kw_only=True)
class GclSpan(Recipe):
    """Graph contrastive learning with spectral augmentation, opposite-direction scheme, an encoder for each view.

    Args:
        dim: width of every layer; the embedding is twice as wide.
        layers: graph convolutions of each encoder.
        act: activation after every layer.
        budget: expected number of flipped edges in a view, as a share of the edges.
        steps: of the ascent that finds the flip probabilities, once before the training.
        feature_mask: rate of both views.

    Reference:
        Lin, Chen & Wang, ICLR 2023, section 4; settings from the released code, whose node-level script gives one set
        for all graphs and says Cora. It embeds two random views with the features masked, and concatenates; here the
        graph itself is embedded by both encoders, so that an embedding is no draw. Its PReLU has a slope for each
        channel, ours one. How the views differ stands at `graphcl.augment.SpectralPerturbation`.

    Example:
        >>> GclSpan().budget
        0.3
    """

    paper: ClassVar[Paper | None] = Paper(
        "lin2023span",
        "Spectral augmentation for self-supervised learning on graphs",
        "ICLR 2023",
        "https://arxiv.org/abs/2210.00643",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cora": {}, "citeseer": {}, "pubmed": {}}

    dim: Size = 512
    layers: Size = 2
    act: Activation = "prelu"
    budget: Rate = 0.3
    steps: Size = 40
    feature_mask: BelowOne = 0.4
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=200, lr=1e-4)

    def assemble(self, shape: GraphShape) -> "GclSpanMethod":
        """Two GCNs and the projection of their summaries."""
        views = (
            Chain((SpectralPerturbation("raise", self.budget, self.steps), FeatureMask(self.feature_mask))),
            Chain((SpectralPerturbation("lower", self.budget, self.steps), FeatureMask(self.feature_mask))),
        )
        encoders = (GCN(shape.num_features, [self.dim] * self.layers, self.act, act_last=True) for _ in views)
        return GclSpanMethod(tuple(encoders), views)


class GclSpanMethod(Method):
    r"""An encoder for each view, a mean readout, and one projection of both summaries.

    .. math:: L = \tfrac12 \big( \mathrm{BCE}(H_1, s_2; \tilde H_1) + \mathrm{BCE}(H_2, s_1; \tilde H_2) \big),
        \qquad s_k = W \sigma\big(\tfrac1N \textstyle\sum_v h_{k,v}\big) + b

    with :math:`\tilde H_k` the embeddings of view k with shuffled features.

    Args:
        encoders: of the first view and of the second.
        views: the augmenters.
    """

    def __init__(self, encoders: tuple[GCN, ...], views: tuple[Chain, Chain]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        width = encoders[0].out_channels
        self.project = nn.Linear(width, width)
        self.views = views
        self.corruption = FeatureShuffle()
        self.objective = NodeGraphBCE()

    @property
    def takes_sparse_features(self) -> bool:
        """Whether the encoders do; the views and the corruption do."""
        return all(getattr(encoder, "supports_sparse_features", False) for encoder in self.encoders)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: nodes of each view from shuffled ones, by the summary of the other."""
        real, fake = [], []
        for encoder, view in zip(self.encoders, self.views, strict=True):
            seen = view(batch, generator)
            real.append(encode(encoder, seen))
            fake.append(encode(encoder, self.corruption(seen, generator)))
        summaries = [self.project(torch.sigmoid(h.mean(0, keepdim=True))) for h in real]
        terms = (
            self.objective(nodes, summary, negatives=corrupted)
            for nodes, summary, corrupted in zip(real, reversed(summaries), fake, strict=True)
        )
        return {"contrast": torch.stack(list(terms)).mean()}

    def embed(self, batch: Data) -> Tensor:
        """What both encoders make of the graph itself, side by side."""
        return torch.cat([encode(encoder, batch) for encoder in self.encoders], 1)
