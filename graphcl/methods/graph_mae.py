"""GraphMAE: the features of masked nodes, rebuilt from what an encoder makes of the others; nothing is contrasted."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import annotated_types
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.config import BelowOne, Rate, Size
from graphcl.encoders.gat import GAT, edge_attention, looped_pattern
from graphcl.encoders.gcn import Activation, activation, normalisation
from graphcl.encoders.pooling import Readout, readout
from graphcl.errors import DataError
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.cosine import scaled_cosine_error
from graphcl.ops.linear import dense_linear
from graphcl.ops.propagate import Pattern, multiply
from graphcl.plan import Plan
from graphcl.seeding import draw_order

__all__ = ["GraphMae", "GraphMaeMethod"]


@dataclass(frozen=True, kw_only=True)
class GraphMae(Recipe):
    """Self-supervised masked graph autoencoder: the yardstick that contrasts nothing.

    Nodes are embedded by attention (`GAT`) and decoded by one more layer of it; nodes of many graphs by isomorphism
    layers and decoded by one more of these.

    Args:
        dim: width of every layer, all heads together.
        layers: of the encoder.
        heads: of the attention; unused at graph level.
        act: activation after every layer of the encoder.
        mask: share of the nodes whose features are hidden and rebuilt.
        replacement: share of these that show the features of a random node in the place of the mask token.
        gamma: power of the scaled cosine error.
        dropout: of what enters a layer.
        attention_dropout: of the attention; unused at graph level.
        pooling: how nodes become a graph's embedding; unused at node level.

    Reference:
        Hou et al., GraphMAE: self-supervised masked graph autoencoders, KDD 2022, equations 2 and 3; settings from the
        authors' configuration file, whose learning rate falls by half a cosine where its ``scheduler`` is on. As in the
        released code the decoder has one head and no activation, a linear map lies between encoder and decoder, and the
        isomorphism layers see each node twice (released graphs have self-loops beside the node itself). The paper's
        graph-level scores come from a support vector machine with a radial kernel.

    Example:
        >>> GraphMae.preset("citeseer").heads
        2
    """

    paper: ClassVar[Paper | None] = Paper(
        "hou2022graphmae",
        "GraphMAE: self-supervised masked graph autoencoders",
        "KDD 2022",
        "https://arxiv.org/abs/2205.10803",
    )
    levels: ClassVar[tuple[str, ...]] = ("node", "graph")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {"plan": {"epochs": 1500, "weight_decay": 2e-4}},
        "citeseer": {"heads": 2, "replacement": 0.1, "gamma": 1.0, "plan": {"epochs": 300, "weight_decay": 2e-5}},
        "pubmed": {"dim": 1024, "mask": 0.75, "replacement": 0.0, "plan": {"epochs": 1000, "weight_decay": 1e-5}},
        "mutag": {
            "dim": 32, "layers": 5, "mask": 0.75, "replacement": 0.1, "gamma": 2.0, "pooling": "sum",
            "plan": {"epochs": 20, "lr": 5e-4, "weight_decay": 0.0, "decay": "constant", "batch_size": 64},
        },
        "proteins": {
            "layers": 3, "replacement": 0.0, "gamma": 1.0, "pooling": "max",
            "plan": {"epochs": 100, "lr": 1.5e-4, "weight_decay": 0.0, "decay": "constant", "batch_size": 32},
        },
        "imdb-binary": {
            "replacement": 0.0, "gamma": 1.0, "pooling": "mean",
            "plan": {"epochs": 60, "lr": 1.5e-4, "weight_decay": 0.0, "decay": "constant", "batch_size": 32},
        },
        "imdb-multi": {
            "layers": 3, "replacement": 0.0, "gamma": 1.0, "pooling": "mean",
            "plan": {"epochs": 50, "lr": 1.5e-4, "weight_decay": 0.0, "decay": "constant", "batch_size": 32},
        },
        "collab": {
            "dim": 256, "act": "relu", "mask": 0.75, "replacement": 0.0, "gamma": 1.0, "pooling": "max",
            "plan": {"epochs": 20, "lr": 1.5e-4, "weight_decay": 0.0, "batch_size": 32},
        },
        "nci1": {
            "mask": 0.25, "replacement": 0.1, "gamma": 2.0, "pooling": "mean",
            "plan": {"epochs": 300, "lr": 1e-3, "weight_decay": 0.0, "batch_size": 16},
        },
    }  # fmt: skip

    dim: Size = 512
    layers: Size = 2
    heads: Size = 4
    act: Activation = "prelu"
    mask: Annotated[float, annotated_types.Interval(gt=0.0, lt=1.0)] = 0.5
    replacement: Rate = 0.05
    gamma: Annotated[float, annotated_types.Ge(1.0)] = 3.0
    dropout: BelowOne = 0.2
    attention_dropout: BelowOne = 0.1
    pooling: Readout = "mean"
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=500, lr=1e-3, weight_decay=2e-4, decay="cosine")

    def assemble(self, shape: GraphShape) -> "GraphMaeMethod":
        """An encoder and a decoder of one layer: attention for nodes, isomorphism layers for graphs."""
        encoder: nn.Module
        decoder: nn.Module
        if shape.level == "graph":
            encoder = _Isomorphism(shape.num_features, [self.dim] * self.layers, self.act, self.dropout)
            decoder = _IsomorphismDecoder(self.dim, shape.num_features, self.act, self.dropout)
        else:
            encoder = GAT(
                shape.num_features,
                [self.dim] * self.layers,
                self.heads,
                self.act,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
            )
            decoder = _AttentionDecoder(self.dim, shape.num_features, self.dropout, self.attention_dropout)
        return GraphMaeMethod(encoder, decoder, shape.num_features, self, shape.level)


class GraphMaeMethod(Method):
    r"""Encoder, linear map and decoder; masked nodes are hidden from the encoder, and again from the decoder.

    .. math::
        \tilde x_v = \begin{cases} m & v \in T \\ x_{r(v)} & v \in R \\ x_v & \text{else}\end{cases}, \qquad
        Z = g\big(\bar H W\big), \quad \bar h_v = 0 \text{ for } v \in T \cup R, \quad H = f(\tilde X), \qquad
        L = \operatorname{mean}_{v \in T \cup R} \big(1 - \cos(x_v, z_v)\big)^\gamma

    with T the nodes that show the learnt token m and R those that show the features of a random node r(v).

    Args:
        encoder: f.
        decoder: g, called with the rows that are wanted of it.
        num_features: F.
        recipe: the hyper-parameters.
        level: ``node`` or ``graph``: what is embedded.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, num_features: int, recipe: GraphMae, level: str = "node"
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.level = level
        self.encoder = encoder
        self.bridge = nn.Linear(recipe.dim, recipe.dim, bias=False)
        self.decoder = decoder
        self.token = nn.Parameter(torch.zeros(num_features))

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The error of the rebuilt features, on masked nodes."""
        recipe, x = self.recipe, batch.x
        masked = draw_order(x.size(0), generator=generator, device=x.device)[: int(recipe.mask * x.size(0))]
        if masked.numel() == 0:
            raise DataError(f"mask = {recipe.mask} of {x.size(0)} nodes is none; take a larger share or graph")
        replaced = int(recipe.replacement * masked.numel())
        tokens, strangers = masked[replaced:], masked[:replaced]
        others = draw_order(x.size(0), generator=generator, device=x.device)[:replaced]
        seen = batch.__copy__()
        seen.x = x.index_put((strangers,), x[others]).index_put((tokens,), self.token.expand(tokens.numel(), -1))
        hidden = dense_linear(encode(self.encoder, seen), self.bridge.weight).index_fill(0, masked, 0.0)
        rebuilt = self.decoder(hidden, batch.edge_index, batch.get("edge_weight"), masked)
        return {"error": scaled_cosine_error(rebuilt, x[masked], recipe.gamma)}

    def embed(self, batch: Data) -> Tensor:
        """The encoder's output on the whole graph; the readout of it at graph level."""
        nodes = encode(self.encoder, batch)
        return nodes if self.level == "node" else readout(nodes, batch, self.recipe.pooling)


class _AttentionDecoder(nn.Module):
    """One layer of attention with one head, of which only rows that come in as zeros are wanted.

    A single head transforms a sum of its neighbours as well as it sums transformed ones; the sum is the narrower. The
    part of the scores that belongs to the node itself is zero where the node is, so that it has no parameter.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.source = nn.Parameter(torch.empty(1, 1, out_channels))
        # at zero, a masked node without a visible neighbour would be rebuilt as zero, which has no cosine
        self.bias = nn.Parameter(torch.empty(out_channels).normal_(std=1e-3))
        self.dropout = nn.Dropout(dropout)
        self.attention_dropout = nn.Dropout(attention_dropout)
        for parameter in (self.weight, self.source):
            nn.init.xavier_normal_(parameter, gain=nn.init.calculate_gain("relu"))

    def forward(self, h: Tensor, edge_index: Tensor, edge_weight: Tensor | None, rows: Tensor) -> Tensor:
        h = self.dropout(h)
        pattern, weights = looped_pattern(edge_index, h.size(0), edge_weight)
        source = h @ (self.source.flatten() @ self.weight)[:, None]
        shares = self.attention_dropout(edge_attention(source, torch.zeros_like(source), pattern, weights))
        return dense_linear(multiply(pattern, shares.flatten(), h)[rows], self.weight) + self.bias


def _gathered(h: Tensor, pattern: Pattern, weights: Tensor | None) -> Tensor:
    """Each node twice and its neighbours once."""
    values = h.new_ones(pattern.columns.numel()) if weights is None else weights.to(h.dtype)
    return h + multiply(pattern, values, h)


def _perceptron(in_channels: int, hidden: int, out_channels: int, act: Activation) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden), normalisation("batch", hidden), activation(act), nn.Linear(hidden, out_channels)
    )


class _Isomorphism(nn.Module):
    """Isomorphism layers with a normalisation in each perceptron and after it; the last one's output."""

    supports_edge_weight = True

    def __init__(self, in_channels: int, dims: list[int], act: Activation, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.Sequential(*_perceptron(a, b, b, act), normalisation("batch", b), activation(act))
            for a, b in pairwise([in_channels, *dims])
        )

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        pattern, weights = looped_pattern(edge_index, x.size(0), edge_weight)
        for layer in self.layers:
            x = layer(_gathered(self.dropout(x), pattern, weights))
        return x


class _IsomorphismDecoder(nn.Module):
    """One isomorphism layer without activation, of which only some rows are wanted."""

    def __init__(self, in_channels: int, out_channels: int, act: Activation, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.perceptron = _perceptron(in_channels, in_channels, out_channels, act)

    def forward(self, h: Tensor, edge_index: Tensor, edge_weight: Tensor | None, rows: Tensor) -> Tensor:
        pattern, weights = looped_pattern(edge_index, h.size(0), edge_weight)
        return self.perceptron(_gathered(self.dropout(h), pattern, weights))[rows]
