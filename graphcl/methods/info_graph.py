"""InfoGraph: nodes of a graph against nodes of the others, by the graph's summary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import graph_of_nodes
from graphcl.config import Size
from graphcl.encoders.gin import GIN, glorot_linears
from graphcl.encoders.pooling import Readout, readout
from graphcl.encoders.residual import ResidualMLP
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.jensen_shannon import NodeGraphJSD
from graphcl.plan import Plan

__all__ = ["InfoGraph", "InfoGraphMethod"]


@dataclass(frozen=True, kw_only=True)
class InfoGraph(Recipe):
    """Mutual information between a graph's summary and its nodes, at every depth of the encoder.

    Args:
        dim: width of each layer.
        layers: graph isomorphism layers; the embedding holds all of them, ``dim * layers`` wide.
        readout: of the nodes to a graph.

    Reference:
        Sun et al., ICLR 2020, without the semi-supervised InfoGraph*. Layers and rate are those of the example command
        of the released code, where 20 epochs and batches of 128 are fixed (its default are 5 layers). The code
        scores the embedding before training and after every epoch, and the authors' tables took the best of these means
        on test, over four depths and several rates too (a script in the history of their repository), which is a legacy
        figure here; an honest one is that of the last epoch. Its option of a prior on the embedding
        is off by default, and absent here.

    Example:
        >>> InfoGraph.preset("mutag").layers
        3
    """

    paper: ClassVar[Paper | None] = Paper(
        "sun2020infograph",
        "InfoGraph: unsupervised and semi-supervised graph-level representation learning via mutual information "
        "maximization",
        "ICLR 2020",
        "https://openreview.net/forum?id=r1lfF2NYvH",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # sets without node labels: the code gives every node the same feature
        name: {"features": "ones"}
        for name in ("collab", "imdb-binary", "reddit-binary")
    }
    levels: ClassVar[tuple[str, ...]] = ("graph",)

    dim: Size = 32
    layers: Size = 3
    readout: Readout = "sum"
    plan: Plan = Plan(epochs=20, lr=1e-3, batch_size=128)

    def assemble(self, shape: GraphShape) -> "InfoGraphMethod":
        """A graph isomorphism network and a head each for nodes and graphs."""
        return InfoGraphMethod(GIN(shape.num_features, [self.dim] * self.layers), self.readout)


class InfoGraphMethod(Method):
    r"""Encoder and two heads, whose product says whether a node belongs to a graph.

    .. math:: L = \mathrm{JSD}\big(\phi(h_v),\; \psi(s_g)\big), \qquad s_g = \mathrm{readout}\{h_v : v \in g\}

    Args:
        encoder: of the nodes.
        readout: how nodes become a graph's embedding.
    """

    def __init__(self, encoder: GIN, readout: Readout) -> None:
        super().__init__()
        self.encoder = encoder
        self.readout: Readout = readout
        self.of_nodes = ResidualMLP(encoder.out_channels, encoder.out_channels)
        self.of_graphs = ResidualMLP(encoder.out_channels, encoder.out_channels)
        glorot_linears(self.of_nodes)
        glorot_linears(self.of_graphs)
        self.objective = NodeGraphJSD()

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: nodes of each graph from nodes of the others."""
        nodes = encode(self.encoder, batch)
        graphs = readout(nodes, batch, self.readout)
        return {"contrast": self.objective(self.of_nodes(nodes), self.of_graphs(graphs), graph_of_nodes(batch))}

    def embed(self, batch: Data) -> Tensor:
        """The readout of all layers."""
        return readout(encode(self.encoder, batch), batch, self.readout)
