"""SP-GCL: one pass without augmentation; what a sample of nodes finds similar is drawn up, random pairs to zero."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.config import BelowOne, Size
from graphcl.encoders.gcn import GCN, Activation, Norm, activation, normalisation
from graphcl.encoders.mlp import MLP
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.spectral import spectral_contrast
from graphcl.ops.pairwise import nearest
from graphcl.ops.propagate import gcn_operator, gcn_propagate, multiply
from graphcl.plan import Plan
from graphcl.seeding import draw_order, draw_uniform

__all__ = ["SpGcl", "SpGclMethod"]


@dataclass(frozen=True, kw_only=True)
class SpGcl(Recipe):
    """Single-pass contrastive learning for homophilic and heterophilic graphs.

    Args:
        dim: width of every layer and of the projector.
        layers: graph convolutions.
        act: activation after every convolution.
        projection_act: activation inside the projector.
        norm: normalisation after every convolution.
        dropout: after every layer, the last included.
        seeds: nodes whose surroundings are sampled at a step.
        hops: how far the surroundings of a seed reach.
        sample: nodes contrasted at a step, at most.
        positives: K, the most similar of the sample that are drawn up, the node itself among them.
        negatives: random members of the sample for each node.

    Reference:
        Wang et al., TMLR 2023; settings from the authors' configuration files. Where the released code differs from
        the paper, it is the code that is followed: positives are looked for in the whole sample, not only around the
        node; a node met from several seeds may stand in the sample as often; squares of the negatives are added up.

    Example:
        >>> SpGcl.preset("chameleon").hops
        3
    """

    paper: ClassVar[Paper | None] = Paper(
        "wang2023spgcl",
        "Single-pass contrastive learning can work for both homophilic and heterophilic graph",
        "TMLR 2023",
        "https://arxiv.org/abs/2211.10890",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {
            "norm": "none", "dropout": 0.3, "seeds": 256, "sample": 256, "features": "raw",
            "plan": {"epochs": 500},
        },
        "citeseer": {
            "norm": "none", "dropout": 0.5, "sample": 256, "negatives": 200, "projection_act": "relu",
            "features": "raw", "plan": {"epochs": 600, "lr": 9e-4, "weight_decay": 1e-5},
        },
        "pubmed": {
            "dropout": 0.5, "seeds": 256, "sample": 800, "positives": 4, "projection_act": "relu",
            "plan": {"epochs": 500, "lr": 9e-4},
        },
        "wiki-cs": {"dim": 512, "dropout": 0.2, "sample": 700, "plan": {"epochs": 500}},
        "amazon-photo": {"dim": 1536, "dropout": 0.1, "seeds": 256, "sample": 700, "plan": {"epochs": 500}},
        "amazon-computers": {
            "dim": 1536, "dropout": 0.15, "sample": 1024, "plan": {"epochs": 500, "lr": 8e-4},
        },
        "coauthor-cs": {
            "norm": "none", "dropout": 0.2, "seeds": 256, "sample": 700, "positives": 12, "features": "raw",
            "plan": {"epochs": 800, "lr": 8e-4},
        },
        "coauthor-physics": {
            "norm": "none", "dropout": 0.2, "sample": 700, "positives": 10, "features": "raw",
            "plan": {"epochs": 500},
        },
        "actor": {
            "dropout": 0.5, "hops": 3, "sample": 700, "positives": 10, "plan": {"epochs": 500, "weight_decay": 0.0},
        },
        "chameleon": {
            "dropout": 0.2, "hops": 3, "sample": 1024, "projection_act": "relu",
            "plan": {"epochs": 600, "weight_decay": 1e-5},
        },
        "squirrel": {
            "dropout": 0.3, "hops": 3, "sample": 256, "plan": {"epochs": 700, "lr": 8e-4, "weight_decay": 1e-5},
        },
    }  # fmt: skip

    dim: Size = 1024
    layers: Size = 2
    act: Activation = "prelu"
    projection_act: Activation = "prelu"
    norm: Norm = "batch"
    dropout: BelowOne = 0.5
    seeds: Size = 128
    hops: Size = 2
    sample: Size = 512
    positives: Size = 5
    negatives: Size = 100
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=500, lr=1e-3, weight_decay=1e-4, optimiser="adamw")

    def assemble(self, shape: GraphShape) -> "SpGclMethod":
        """A GCN with dropout and a two-layer projector."""
        encoder = _Encoder(shape.num_features, [self.dim] * self.layers, self.act, self.norm, self.dropout)
        return SpGclMethod(encoder, MLP(self.dim, self.dim, self.dim, self.projection_act), self)


class SpGclMethod(Method):
    r"""One pass of the encoder, a sample of it projected and contrasted with itself.

    .. math::
        L = \frac{1}{|S|} \sum_{v \in S} \Big(-\frac2K \sum_{u \in \mathrm{top}_K(v)} z_v \cdot z_u
        + \sum_{u \in N_v} (z_v \cdot z_u)^2\Big), \qquad z_v = \frac{p(\mathrm{ReLU}(f(G)_v))}{\lVert\cdot\rVert}

    with :math:`\mathrm{top}_K(v)` the members of the sample S with the largest products with v, and :math:`N_v` random
    ones.

    Args:
        encoder: f.
        projector: p.
        recipe: the hyper-parameters.
    """

    def __init__(self, encoder: nn.Module, projector: nn.Module, recipe: SpGcl) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.recipe = recipe

    @property
    def takes_sparse_features(self) -> bool:
        """The first layer does."""
        return True

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: similar members of the sample against random ones."""
        recipe = self.recipe
        members = self.sampled(batch, generator)
        nodes, place = members.unique(return_inverse=True)
        h = self.encoder(batch.x, batch.edge_index, batch.get("edge_weight"), nodes)[place]
        z = F.normalize(self.projector(F.relu(h)), dim=1)
        count = members.numel()
        own = torch.arange(count, device=z.device)
        alike = nearest(z, z, min(recipe.positives, count))[1]
        draws = draw_uniform(count, recipe.negatives, generator=generator, device=z.device, dtype=torch.float64)
        return {
            "contrast": spectral_contrast(
                z,
                z,
                torch.stack([own.repeat_interleave(alike.size(1)), alike.flatten()]),
                torch.stack([own.repeat_interleave(recipe.negatives), (draws * count).long().flatten()]),
                repulsion=float(recipe.negatives),
            )
        }

    def sampled(self, batch: Data, generator: torch.Generator) -> Tensor:
        """Nodes around random seeds, ``int64 [S]``: each as often as seeds reach it, of all that a random part."""
        recipe, n = self.recipe, int(batch.num_nodes or 0)
        pattern, _ = gcn_operator(batch.edge_index, n)
        ones = torch.ones(pattern.columns.numel(), device=pattern.columns.device)
        seeds = draw_order(n, generator=generator, device=ones.device)[: recipe.seeds]
        reached = ones.new_zeros(n, seeds.numel())
        reached[seeds, torch.arange(seeds.numel(), device=seeds.device)] = 1.0
        for _ in range(recipe.hops):
            reached = multiply(pattern, ones, reached).clamp(max=1.0)
        met = torch.repeat_interleave(reached.sum(1).long())
        return met[draw_order(met.numel(), generator=generator, device=met.device)[: recipe.sample]]

    def embed(self, batch: Data) -> Tensor:
        """The encoder's output."""
        return encode(self.encoder, batch)


class _Encoder(nn.Module):
    """Graph convolutions with normalisation, a shared activation and dropout after each of them; all or some rows."""

    supports_edge_weight = True
    supports_sparse_features = True

    def __init__(self, in_channels: int, dims: list[int], act: Activation, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GCN(a, [b]) for a, b in pairwise([in_channels, *dims]))
        self.norms = nn.ModuleList(normalisation(norm, width) for width in dims)
        self.act = activation(act)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        for layer, norm in zip(self.layers[:-1], self.norms[:-1], strict=True):
            x = self._finished(layer(x, edge_index, edge_weight), norm)
        last, norm = self.layers[-1], self.norms[-1]
        if rows is None:
            return self._finished(last(x, edge_index, edge_weight), norm)
        if isinstance(norm, nn.BatchNorm1d) or x.layout != torch.strided:
            return self._finished(last(x, edge_index, edge_weight), norm)[rows]
        # the transform of a sum is the sum of transforms, and only some rows are wanted; without edges, a convolution
        # is its transform
        gathered = gcn_propagate(x, edge_index, edge_weight)[rows]
        return self._finished(last(gathered, edge_index.new_empty(2, 0)), norm)

    def _finished(self, h: Tensor, norm: nn.Module) -> Tensor:
        return self.dropout(self.act(norm(h)))
