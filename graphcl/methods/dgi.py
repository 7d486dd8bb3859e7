"""DGI: nodes of the graph against nodes of a shuffled one, both compared with a summary of the graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.features import FeatureShuffle
from graphcl.config import Size
from graphcl.encoders.gcn import GCN, Activation
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.node_graph import NodeGraphBCE
from graphcl.plan import Plan

__all__ = ["Dgi", "DgiMethod"]


@dataclass(frozen=True, kw_only=True)
class Dgi(Recipe):
    """Deep graph infomax: mutual information between patch and graph representations.

    Args:
        dim: width of every layer.
        layers: graph convolutions.
        act: activation after every layer.

    Reference:
        Veličković et al., ICLR 2019, sections 3.3 and 4.2: one GCN layer with PReLU, 512 features, Adam with rate
        0.001, "early stopping with a patience of 20 epochs" on the training loss.

    Example:
        >>> Dgi().plan.patience
        20
    """

    paper: ClassVar[Paper | None] = Paper(
        "velickovic2019dgi", "Deep graph infomax", "ICLR 2019", "https://arxiv.org/abs/1809.10341"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"pubmed": {"dim": 256}}

    dim: Size = 512
    layers: Size = 1
    act: Activation = "prelu"
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=1000, lr=1e-3, patience=20)

    def assemble(self, shape: GraphShape) -> "DgiMethod":
        """A GCN and a bilinear discriminator."""
        return DgiMethod(GCN(shape.num_features, [self.dim] * self.layers, self.act, act_last=True))


class DgiMethod(Method):
    r"""Encoder, mean readout and bilinear discriminator.

    .. math:: s = W\,\sigma\!\left(\tfrac1N \sum_v h_v\right), \qquad D(h, s) = h \cdot s

    Args:
        encoder: the encoder of the nodes.
    """

    def __init__(self, encoder: GCN) -> None:
        super().__init__()
        self.encoder = encoder
        self.weight = nn.Parameter(torch.empty(encoder.out_channels, encoder.out_channels))
        nn.init.xavier_uniform_(self.weight)
        self.corruption = FeatureShuffle()
        self.objective = NodeGraphBCE()

    @property
    def takes_sparse_features(self) -> bool:
        """The encoder does, and so does the corruption."""
        return getattr(self.encoder, "supports_sparse_features", False)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: nodes of the graph from nodes of the shuffled one."""
        real = encode(self.encoder, batch)
        fake = encode(self.encoder, self.corruption(batch, generator))
        summary = torch.sigmoid(real.mean(0, keepdim=True)) @ self.weight.T
        return {"contrast": self.objective(real, summary, negatives=fake)}

    def embed(self, batch: Data) -> Tensor:
        """The encoder's output."""
        return encode(self.encoder, batch)
