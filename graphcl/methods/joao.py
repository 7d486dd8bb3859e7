"""JOAO: GraphCL that learns which augmentation to draw, the hard ones more often."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.composition import Chain
from graphcl.augment.edges import MessageDropout
from graphcl.augment.features import NodeFeatureMask
from graphcl.augment.nodes import EgoNet, NodeDropout
from graphcl.augment.policy import AugmentationPolicy, PolicyView
from graphcl.config import BelowOne, NonNegative, Positive, Size
from graphcl.encoders.gin import GIN, glorot_linears
from graphcl.encoders.mlp import MLP
from graphcl.encoders.pooling import Readout
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Paper, Recipe
from graphcl.methods.two_view import TwoView
from graphcl.objectives.contrast import DecoupledInfoNCE
from graphcl.objectives.objective import Objective
from graphcl.plan import Plan

__all__ = ["Joao", "JoaoMethod"]


@dataclass(frozen=True, kw_only=True)
class Joao(Recipe):
    """Joint augmentation optimisation: a distribution over augmentations climbs the loss, once an epoch.

    Args:
        pull: strength γ of the pull towards even chances.
        policy_lr: step β of the distribution.
        rate: share of the nodes (of the edges) that an augmentation removes or masks.
        hops: reach of the subgraphs around a random node.
        dim: width of each layer.
        layers: graph isomorphism layers; the embedding holds all of them, ``dim * layers`` wide.
        readout: of the nodes to a graph.
        temperature: of the objective.

    Reference:
        You et al., ICML 2021, without the several projectors of JOAOv2. As in the released code for TU sets, one
        view is the graph itself, and the distribution is over five augmentations of the other: no change, and
        those of GraphCL at the rate 0.2 (the paper's is over the 25 pairs of two views); β is 1, and γ is chosen among
        0.01, 0.1 and 1, for which set which is not said (0.1 is the default). The released random walk never leaves
        the neighbours of its root: subgraphs are ego nets here. It draws an augmentation for each graph, here for each
        batch; it measures the losses on a fifth of the batches after each epoch, here on one batch of each; it masks
        with normal noise, here with the mean row. At these settings the distribution soon holds one augmentation alone,
        the ego nets: losses differ by more than 1, and with β = 1 nothing pulls it back.

    Example:
        >>> [type(choice).__name__ for choice in Joao().policy().choices]
        ['NodeDropout', 'MessageDropout', 'EgoNet', 'NodeFeatureMask', 'Chain']
    """

    paper: ClassVar[Paper | None] = Paper(
        "you2021joao", "Graph contrastive learning automated", "ICML 2021", "https://arxiv.org/abs/2106.07594"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # sets without node labels: the code gives every node the same feature
        name: {"features": "ones"}
        for name in ("collab", "imdb-binary", "reddit-binary")
    }
    levels: ClassVar[tuple[str, ...]] = ("graph",)

    pull: NonNegative = 0.1
    policy_lr: Positive = 1.0
    rate: BelowOne = 0.2
    hops: Size = 1
    dim: Size = 32
    layers: Size = 3
    readout: Readout = "sum"
    temperature: Positive = 0.2
    plan: Plan = Plan(epochs=20, lr=0.01, batch_size=128)

    def policy(self) -> AugmentationPolicy:
        """The augmented view."""
        choices = (
            NodeDropout(self.rate),
            MessageDropout(self.rate),
            EgoNet(hops=self.hops),
            NodeFeatureMask(self.rate),
            Chain(),
        )
        return AugmentationPolicy(choices, self.policy_lr, self.pull)

    def assemble(self, shape: GraphShape) -> "JoaoMethod":
        """A graph isomorphism network, a two-layer projector and an even distribution."""
        encoder = GIN(shape.num_features, [self.dim] * self.layers)
        projector = MLP(encoder.out_channels, encoder.out_channels, encoder.out_channels, "relu")
        glorot_linears(projector)
        policy = self.policy().assemble(shape)
        return JoaoMethod(encoder, projector, policy, DecoupledInfoNCE(self.temperature), self.readout)


class JoaoMethod(TwoView):
    """The graph itself and a view by the policy, which is updated between two epochs.

    Args:
        encoder: of the nodes.
        projector: of the graphs.
        policy: the augmented view.
        objective: the loss, which the policy climbs.
        readout: how nodes become a graph's embedding.
    """

    due = False

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, policy: PolicyView, objective: Objective, readout: Readout
    ) -> None:
        super().__init__(encoder, projector, (Chain(), policy), objective, readout)
        self.policy = policy

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The objective between both views; in the first batch after an epoch, an update of the policy before."""
        if self.due:
            self.due = False
            self.policy.update(self.losses(batch, generator))
        return super().loss(batch, generator, part)

    @torch.no_grad()
    def losses(self, batch: Data, generator: torch.Generator) -> Tensor:
        """The objective under each choice of the policy, ``float64 [K]``."""
        plain = self.projector(self.embed(batch))
        return self.policy.measure(
            lambda view: self.objective(plain, self.projector(self.embed(view))), batch, generator
        )

    def after_epoch(self) -> None:
        """The first batch of the next epoch is measured."""
        self.due = True
