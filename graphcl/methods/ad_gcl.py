"""AD-GCL: an adversary weighs the edges of the view, and pays for those it takes away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.edge_dropper import LearnedEdgeDropout
from graphcl.augment.gates import EdgeView
from graphcl.augment.learned import LearnedView
from graphcl.config import NonNegative, Positive, Size
from graphcl.encoders.gcn import GCN
from graphcl.encoders.gin import GIN, glorot_linears
from graphcl.encoders.mlp import MLP
from graphcl.encoders.pooling import Readout, readout
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.contrast import DecoupledInfoNCE
from graphcl.plan import Plan

__all__ = ["AdGcl", "AdGclMethod"]


@dataclass(frozen=True, kw_only=True)
class AdGcl(Recipe):
    r"""Adversarial graph augmentation: a graph against itself with edges that an adversary thins out.

    .. math:: \min_\theta \max_\phi\; \ell\big(p(f_\theta(G)),\; p(f_\theta(t_\phi(G)))\big)
        - \lambda\, \mathrm{dropped}(t_\phi(G))

    Args:
        penalty: price λ of the edges that are dropped, 0 or more.
        dim: width of each layer, of the encoder's and the adversary's.
        layers: of either, graph isomorphism layers for graphs and graph convolutions for nodes; the embedding is the
            last one's, ``dim`` wide.
        hidden: width of the hidden layer of the adversary's score.
        gate_temperature: of the adversary's gates.
        readout: of the nodes to a graph; nodes are embedded as they are.
        temperature: of the objective.
        constant_features: whether all nodes have the one feature 1 in place of their own.

    Reference:
        Suresh et al., NeurIPS 2021; settings of AD-GCL-FIX, λ = 5 on all sets (AD-GCL-OPT chooses
        λ by validation accuracy). As in the released code, adversary and encoder step in turn, each on a draw of its
        own and with the other's batch normalisation at rest; the positive is left out of the denominator; and on TU
        sets no node has features (``constant_features`` in the official settings). The code chooses the epoch within
        150 by validation accuracy, here the last one counts. Scores, gates and price of the edges are those of
        `LearnedEdgeDropout`, which says how they differ, over the paper's network. The paper embeds graphs; on nodes
        the objective compares each with itself, and the settings for Cora, CiteSeer and PubMed are this project's, by
        validation accuracy on Cora.

    Example:
        >>> AdGcl.preset("mutag").constant_features
        True
    """

    paper: ClassVar[Paper | None] = Paper(
        "suresh2021adgcl",
        "Adversarial graph augmentation to improve graph contrastive learning",
        "NeurIPS 2021",
        "https://arxiv.org/abs/2106.05819",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {"constant_features": True}
        for name in ("collab", "dd", "imdb-binary", "imdb-multi", "mutag", "nci1", "proteins", "reddit-binary")
    } | {
        name: {"dim": 256, "layers": 2, "temperature": 0.4, "plan": {"epochs": 200}}
        for name in ("citeseer", "cora", "pubmed")
    }
    levels: ClassVar[tuple[str, ...]] = ("node", "graph")

    penalty: NonNegative = 5.0
    dim: Size = 32
    layers: Size = 5
    hidden: Size = 64
    gate_temperature: Positive = 1.0
    readout: Readout = "sum"
    temperature: Positive = 0.2
    constant_features: bool = False
    plan: Plan = Plan(epochs=150, lr=1e-3, batch_size=32)

    def prepare(self, data: Data) -> Data:
        """The graph as all recipes take it, and the constant in place of its features where that is wanted."""
        out = super().prepare(data)
        if self.constant_features:
            out.x = out.x.new_ones(out.x.size(0), 1)
        return out

    def assemble(self, shape: GraphShape) -> "AdGclMethod":
        """An encoder with a two-layer projector, and the adversary."""
        gates = LearnedEdgeDropout(
            self.dim, self.layers, self.hidden, self.gate_temperature, self.penalty, direction="cooperate"
        )
        widths, nodes = [self.dim] * self.layers, shape.level == "node"
        return AdGclMethod(
            GCN(shape.num_features, widths) if nodes else GIN(shape.num_features, widths, outputs="last"),
            MLP(self.dim, self.dim, self.dim, "relu"),
            gates.assemble(shape) if nodes else _Adversary(gates, shape.num_features),
            DecoupledInfoNCE(self.temperature, symmetric=True),
            None if nodes else self.readout,
        )


class _Adversary(EdgeView):
    """`LearnedEdgeDropout` with a graph isomorphism network."""

    recipe: LearnedEdgeDropout

    def __init__(self, recipe: LearnedEdgeDropout, num_features: int) -> None:
        super().__init__(recipe, num_features, dim=recipe.dim, hidden=recipe.hidden, temperature=recipe.temperature)
        self.encoder = GIN(num_features, [recipe.dim] * recipe.layers, outputs="last")

    def embed(self, data: Data, edge_index: Tensor) -> Tensor:
        weight = data.get("edge_weight")
        return self.encoder(self.read(data.x), edge_index, None if weight is None else self.read(weight))

    def price(self, logits: Tensor) -> Tensor:
        return self.recipe.penalty * torch.sigmoid(-logits)


class AdGclMethod(Method):
    """Two parts that step in turn: the adversary up the objective less its price, the model down the objective.

    Args:
        encoder: of the nodes.
        projector: of what is compared.
        adversary: weighs the edges of the view.
        objective: between the graph and its view.
        readout: how nodes become a graph's embedding; ``None`` embeds the nodes.
    """

    parts = ("adversary", "model")

    def __init__(
        self,
        encoder: GCN | GIN,
        projector: MLP,
        adversary: LearnedView,
        objective: DecoupledInfoNCE,
        readout: Readout | None,
    ) -> None:
        super().__init__()
        glorot_linears(projector)
        self.model = nn.ModuleDict({"encoder": encoder, "projector": projector})
        self.adversary = adversary
        self.objective = objective
        self.readout: Readout | None = readout

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The objective on a new draw; of the adversary its negative, and the price."""
        # what does not step normalises by what it has seen, and the gates are drawn in either case
        self.model.train(part == "model")
        self.adversary.get_submodule("encoder").train(part == "adversary")
        view, price = self.adversary.penalised(batch, generator)
        if part == "model":
            view.edge_weight = view.edge_weight.detach()
        objective = self.objective(self.project(batch), self.project(view))
        return {"contrast": -objective, "price": price} if part == "adversary" else {"contrast": objective}

    def project(self, batch: Data) -> Tensor:
        """What the objective compares, ``[N, D]`` of nodes or ``[B, D]`` of graphs."""
        return self.model["projector"](self.embed(batch))

    def embed(self, batch: Data) -> Tensor:
        """The last layer, or its readout."""
        nodes = encode(self.model["encoder"], batch)
        return nodes if self.readout is None else readout(nodes, batch, self.readout)
