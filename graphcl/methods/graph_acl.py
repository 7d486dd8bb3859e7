"""GraphACL: each node predicts the slowly moving embeddings of its neighbours, apart from those of all nodes."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import add_remaining_self_loops

from graphcl.config import Positive, Rate, Size
from graphcl.encoders.gcn import GCN, Activation
from graphcl.encoders.mlp import MLP
from graphcl.encoders.moving_average import follow
from graphcl.errors import DataError
from graphcl.graph import GraphShape, unit_rows
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.asymmetric import asymmetric_info_nce
from graphcl.ops.linear import dense_linear
from graphcl.plan import Plan

__all__ = ["GraphAcl", "GraphAclMethod"]


def _heterophilic(plan: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """What the released script for heterophilic graphs does to all of them: a linear encoder that skips the node."""
    shared = {"act": "none", "self_loops": False, "negatives": 5, "temperature": 0.5}
    return {**shared, **settings, "plan": {"epochs": 50, "lr": 1e-4, "weight_decay": 3e-4, **(plan or {})}}


@dataclass(frozen=True, kw_only=True)
class GraphAcl(Recipe):
    """Asymmetric contrastive learning: a predictor between a node and its neighbours, no augmentation.

    Args:
        dim: width of every layer.
        layers: graph convolutions; the last is linear.
        act: activation between them.
        self_loops: whether a node is its own neighbour, in the encoder and among those it predicts.
        predictor_layers: 1 for a linear predictor, 2 for a perceptron.
        temperature: of the softmax.
        momentum: of the target encoder, throughout.
        negatives: how many nodes, drawn anew in each step, each node is told apart from; ``None`` takes all.

    Reference:
        Xiao et al., Simple and asymmetric graph contrastive learning without augmentations, NeurIPS 2023; settings from
        the authors' command lines. Their two scripts are two methods: on homophilic graphs a GCN with self-loops and
        ReLU and all nodes as negatives, on heterophilic ones two linear convolutions without self-loops and five
        negatives (ten on squirrel). The presets follow the scripts; where the second draws five neighbours of each node
        in each step, all of them are taken here, which leaves the mean of the loss as it is. The filtered chameleon and
        squirrel have the settings of the original ones, which is not official.

    Example:
        >>> GraphAcl.preset("chameleon").momentum
        0.999
    """

    paper: ClassVar[Paper | None] = Paper(
        "xiao2023simple",
        "Simple and asymmetric graph contrastive learning without augmentations",
        "NeurIPS 2023",
        "https://arxiv.org/abs/2310.18884",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {"temperature": 1.0, "momentum": 0.97, "plan": {"epochs": 50, "weight_decay": 1e-6}},
        "citeseer": {
            "layers": 1, "temperature": 0.99, "momentum": 0.95,
            "plan": {"epochs": 15, "lr": 1e-3, "weight_decay": 1e-4},
        },
        "pubmed": {"dim": 1024, "temperature": 0.75, "momentum": 0.99, "plan": {"epochs": 60}},
        "amazon-computers": {
            "layers": 1, "temperature": 0.99, "momentum": 0.99, "features": "raw", "plan": {"epochs": 50},
        },
        "amazon-photo": {
            "layers": 1, "temperature": 0.75, "momentum": 0.9, "features": "raw", "plan": {"epochs": 70},
        },
        "actor": _heterophilic(dim=4096, momentum=0.95, predictor_layers=2, temperature=1.0),
        "texas": _heterophilic(momentum=0.95, temperature=0.75),
        "cornell": _heterophilic(dim=4096, momentum=0.95),
        "wisconsin": _heterophilic(dim=4096, momentum=0.97),
        "chameleon": _heterophilic({"epochs": 30}, dim=4096, momentum=0.999, features="raw"),
        "chameleon-filtered": _heterophilic({"epochs": 30}, dim=4096, momentum=0.999, features="raw"),
        "squirrel": _heterophilic(
            {"epochs": 40}, dim=8192, momentum=0.97, temperature=0.25, negatives=10, features="raw"
        ),
        "squirrel-filtered": _heterophilic(
            {"epochs": 40}, dim=8192, momentum=0.97, temperature=0.25, negatives=10, features="raw"
        ),
    }  # fmt: skip

    dim: Size = 2048
    layers: Size = 2
    act: Activation = "relu"
    self_loops: bool = True
    predictor_layers: Literal[1, 2] = 1
    temperature: Positive = 0.5
    momentum: Rate = 0.9
    negatives: Size | None = None
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=50, lr=5e-4)

    def prepare(self, data: Data) -> Data:
        """Undirected edges and scaled features, and a check that there is a neighbour to predict.

        Raises:
            DataError: without self-loops, a graph without edges.
        """
        if not self.self_loops and not data.edge_index.size(1):
            raise DataError("GraphACL without self_loops predicts neighbours and the graph has no edges")
        return super().prepare(data)

    def assemble(self, shape: GraphShape) -> "GraphAclMethod":
        """A GCN, its copy, and a predictor."""
        encoder = GCN(shape.num_features, [self.dim] * self.layers, self.act, self_loops=self.self_loops)
        predictor = (
            _Linear(self.dim, self.dim) if self.predictor_layers == 1 else MLP(self.dim, self.dim, self.dim, "relu")
        )
        return GraphAclMethod(encoder, predictor, self.temperature, self.momentum, self.negatives)


class _Linear(nn.Linear):
    def forward(self, h: Tensor) -> Tensor:
        return dense_linear(h, self.weight) + self.bias


class GraphAclMethod(Method):
    r"""Encoder, predictor, and a target encoder that follows.

    .. math::
        L = -\frac1N \sum_v \frac1{|\mathcal N(v)|} \sum_{u \in \mathcal N(v)} \log
        \frac{e^{\cos(p_v, \bar h_u) / \tau}}
        {e^{\cos(p_v, \bar h_u) / \tau} + \sum_{w} e^{\cos(h_v, h_w) / \tau}}

    with :math:`h = f_\theta(G)`, :math:`p = p(h)` and the target's :math:`\bar h = f_\phi(G)`. The sum over w is over
    all nodes, v included, as in the released code. The mean over neighbours is weighted where edges are, and nodes
    without neighbours are left out.

    Args:
        encoder: :math:`f_\theta`; :math:`f_\phi` begins as its copy.
        predictor: p.
        temperature: :math:`\tau > 0`.
        momentum: of the target.
        negatives: nodes drawn for the sum over w; ``None`` takes all.
    """

    def __init__(
        self, encoder: GCN, predictor: nn.Module, temperature: float, momentum: float, negatives: int | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.target = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = predictor
        self.temperature = temperature
        self.momentum = momentum
        self.negatives = negatives

    @property
    def takes_sparse_features(self) -> bool:
        """The encoder does."""
        return self.encoder.supports_sparse_features

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: neighbours told from all nodes."""
        online = encode(self.encoder, batch)
        with torch.no_grad():
            aimed = encode(self.target, batch)
        edges, weight = batch.edge_index, batch.get("edge_weight")
        if self.encoder.self_loops:
            edges, weight = add_remaining_self_loops(edges, weight, num_nodes=batch.num_nodes)
        drawn = None
        if self.negatives is not None:
            n = online.size(0)
            drawn = torch.randint(n, (n, self.negatives), generator=generator, device=generator.device)
        # a node without features and neighbours is zero until a bias moves: it has no cosine
        predicted, aimed, online = (unit_rows(h) for h in (self.predictor(online), aimed, online))
        return {
            "contrast": asymmetric_info_nce(
                predicted,
                aimed,
                online,
                edges.flip(0),
                None if drawn is None else drawn.to(online.device),
                self.temperature,
                weight=None if weight is None else weight.detach(),
                similarity="dot",
            )
        }

    def embed(self, batch: Data) -> Tensor:
        """The trained encoder's output."""
        return encode(self.encoder, batch)

    def after_step(self, progress: float) -> None:
        """Let the target follow."""
        follow(self.target, self.encoder, self.momentum)
