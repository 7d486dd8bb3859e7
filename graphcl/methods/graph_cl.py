"""GraphCL: a graph and a random view of it, told apart from the other graphs of the batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import annotated_types

from graphcl.augment.augmenter import Augmenter
from graphcl.augment.composition import Chain, OneOf
from graphcl.augment.edges import MessageDropout
from graphcl.augment.features import NodeFeatureMask
from graphcl.augment.nodes import EgoNet, NodeDropout
from graphcl.config import BelowOne, Positive, Size
from graphcl.encoders.gin import GIN, glorot_linears
from graphcl.encoders.mlp import MLP
from graphcl.encoders.pooling import Readout
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Paper, Recipe
from graphcl.methods.two_view import TwoView
from graphcl.objectives.contrast import DecoupledInfoNCE
from graphcl.plan import Plan

__all__ = ["GraphCl"]

ViewName: TypeAlias = Literal["node-dropout", "subgraph", "edge-dropout", "feature-mask"]


@dataclass(frozen=True, kw_only=True)
class GraphCl(Recipe):
    """Graph contrastive learning with augmentations, of which one is drawn for each batch.

    Args:
        augmentations: those that are drawn from, at least one.
        rate: share of the nodes (of the edges) that an augmentation removes or masks.
        hops: reach of the subgraphs around a random node.
        dim: width of each layer.
        layers: graph isomorphism layers; the embedding holds all of them, ``dim * layers`` wide.
        readout: of the nodes to a graph.
        temperature: of the objective.

    Reference:
        You et al., NeurIPS 2020, section 3 and table 1. As in the released code for TU sets, one view is the graph
        itself (the paper augments both), the positive is left out of the denominator (the paper writes NT-Xent), and
        the rate is 0.1. Its random walk never leaves the neighbours of its root, and takes at most a fifth of the
        nodes: so subgraphs are ego nets here; the paper's are `RandomWalkSubgraph`. It draws an augmentation for each
        graph, here for each batch; it masks with normal noise, here with the mean row; and it gives loops to the nodes
        of unaugmented graphs, a difference between the views that is left out here. It reports the mean of five seeds
        after 20 epochs, and does not say which choice of augmentations (two, three or all of them) a number belongs to.

    Example:
        >>> GraphCl(augmentations=("node-dropout", "subgraph")).view()
        OneOf(choices=(NodeDropout(rate=0.1), EgoNet(roots=1, hops=1)), weights=None)
    """

    paper: ClassVar[Paper | None] = Paper(
        "you2020graphcl",
        "Graph contrastive learning with augmentations",
        "NeurIPS 2020",
        "https://arxiv.org/abs/2010.13902",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # sets without node labels: the code gives every node the same feature
        name: {"features": "ones"}
        for name in ("collab", "imdb-binary", "reddit-binary")
    }
    levels: ClassVar[tuple[str, ...]] = ("graph",)

    augmentations: Annotated[tuple[ViewName, ...], annotated_types.MinLen(1)] = (
        "node-dropout", "subgraph", "edge-dropout", "feature-mask",
    )  # fmt: skip
    rate: BelowOne = 0.1
    hops: Size = 1
    dim: Size = 32
    layers: Size = 3
    readout: Readout = "sum"
    temperature: Positive = 0.2
    plan: Plan = Plan(epochs=20, lr=0.01, batch_size=128)

    def view(self) -> OneOf:
        """The augmented view."""
        known: dict[ViewName, Augmenter] = {
            "node-dropout": NodeDropout(self.rate),
            "subgraph": EgoNet(hops=self.hops),
            "edge-dropout": MessageDropout(self.rate),
            "feature-mask": NodeFeatureMask(self.rate),
        }
        return OneOf(tuple(known[name] for name in self.augmentations))

    def assemble(self, shape: GraphShape) -> TwoView:
        """A graph isomorphism network with a two-layer projector."""
        encoder = GIN(shape.num_features, [self.dim] * self.layers)
        projector = MLP(encoder.out_channels, encoder.out_channels, encoder.out_channels, "relu")
        glorot_linears(projector)
        return TwoView(
            encoder, projector, (Chain(), self.view()), DecoupledInfoNCE(self.temperature), readout=self.readout
        )
