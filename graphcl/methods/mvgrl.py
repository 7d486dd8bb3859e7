"""MVGRL: the graph and its diffusion as two views, each told from a shuffled one by the other's summary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import annotated_types
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.dense.linear import Linear

from graphcl.augment.diffusion import PPRDiffusion
from graphcl.augment.features import FeatureShuffle
from graphcl.config import NonNegative, Size
from graphcl.encoders.gcn import GCN
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.node_graph import NodeGraphBCE
from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import multiply, sum_operator
from graphcl.plan import Plan

__all__ = ["Mvgrl", "MvgrlMethod"]


@dataclass(frozen=True, kw_only=True)
class Mvgrl(Recipe):
    """Contrastive multi-view representation learning, at node level.

    Args:
        dim: width of the embedding.
        teleport: of the diffusion, in (0, 1].
        k: entries that are kept in each row of the diffusion, the largest.
        threshold: the least entry that is kept.

    Reference:
        Hassani & Khasahmadi, ICML 2020, section 3; settings from the released code: personalised PageRank with
        teleport 0.2, one layer of width 512 with PReLU for each view, the sum of both as embedding, Adam with rate
        0.001, 20 epochs of patience on the training loss. The paper's projection heads are absent from it at node
        level, and here. It trains on four blocks of 2000 consecutive nodes at a time with all N² entries of the
        diffusion; here each step sees the whole graph, and the diffusion keeps its large entries, without another
        normalisation. It also adds the self-loops of the adjacency twice; here once, as the paper writes.

    Example:
        >>> Mvgrl().teleport
        0.2
    """

    paper: ClassVar[Paper | None] = Paper(
        "hassani2020mvgrl",
        "Contrastive multi-view representation learning on graphs",
        "ICML 2020",
        "https://arxiv.org/abs/2006.05582",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cora": {}, "citeseer": {}, "pubmed": {}}

    dim: Size = 512
    teleport: Annotated[float, annotated_types.Interval(gt=0.0, le=1.0)] = 0.2
    k: Size | None = 32
    threshold: NonNegative = 0.0
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=3000, lr=1e-3, patience=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.diffusion()

    def diffusion(self) -> PPRDiffusion:
        """The second view."""
        return PPRDiffusion(self.teleport, self.k, self.threshold)

    def assemble(self, shape: GraphShape) -> "MvgrlMethod":
        """An encoder for each view and a bilinear discriminator."""
        return MvgrlMethod(
            GCN(shape.num_features, [self.dim], "prelu", act_last=True),
            _Diffused(shape.num_features, self.dim),
            self.diffusion(),
        )


class _Diffused(nn.Module):
    r"""One layer over given weights, as they are: :math:`\sigma(S X W + b)`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.act = nn.PReLU()

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        h = feature_linear(x, self.lin.weight)
        pattern, values = sum_operator(edge_index, x.size(0), edge_weight)
        # under autocast the product comes in a narrower format than the weights
        return self.act(multiply(pattern, values.to(h.dtype), h) + self.bias)


class MvgrlMethod(Method):
    r"""An encoder for each view, mean readouts and one bilinear discriminator.

    .. math:: L = \tfrac12 \big( \mathrm{BCE}(H_A, s_S; \tilde H_A) + \mathrm{BCE}(H_S, s_A; \tilde H_S) \big),
        \qquad s = W \sigma\big(\tfrac1N \textstyle\sum_v h_v\big)

    with the graph A, its diffusion S, and :math:`\tilde H` the embeddings of shuffled features, the same for both.

    Args:
        plain: encoder of the graph.
        diffused: encoder of the diffusion, called with its edges and weights.
        diffusion: the second view.
    """

    def __init__(self, plain: GCN, diffused: nn.Module, diffusion: PPRDiffusion) -> None:
        super().__init__()
        self.plain = plain
        self.diffused = diffused
        self.weight = nn.Parameter(torch.empty(plain.out_channels, plain.out_channels))
        nn.init.xavier_uniform_(self.weight)
        self.diffusion = diffusion
        self.corruption = FeatureShuffle()
        self.objective = NodeGraphBCE()

    @property
    def takes_sparse_features(self) -> bool:
        """Both encoders do, and so does the corruption."""
        return True

    def both(self, batch: Data) -> tuple[Tensor, Tensor]:
        """Embeddings ``[N, D]`` of the nodes in the graph and in its diffusion."""
        # no draw: found once for a graph, then remembered by its edges
        spread = self.diffusion(batch)
        return encode(self.plain, batch), self.diffused(batch.x, spread.edge_index, spread.edge_weight)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: nodes of each view from shuffled ones, by the summary of the other."""
        real = self.both(batch)
        fake = self.both(self.corruption(batch, generator))
        summaries = [torch.sigmoid(h.mean(0, keepdim=True)) @ self.weight.T for h in real]
        terms = (
            self.objective(nodes, summary, negatives=corrupted)
            for nodes, summary, corrupted in zip(real, reversed(summaries), fake, strict=True)
        )
        return {"contrast": torch.stack(list(terms)).mean()}

    def embed(self, batch: Data) -> Tensor:
        """The sum of both embeddings."""
        plain, diffused = self.both(batch)
        return plain + diffused
