"""HLCL: low-pass views of the similar edges, high-pass views of the dissimilar ones, each against its like."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.utils import to_undirected

from graphcl.augment.composition import Chain
from graphcl.augment.edges import EdgeDropout
from graphcl.augment.features import FeatureMask
from graphcl.augment.similarity import edge_similarity
from graphcl.config import BelowOne, Positive, Rate, Size
from graphcl.encoders.mlp import MLP
from graphcl.errors import UnfollowedError
from graphcl.graph import GraphShape, unit_rows
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.objectives.contrast import info_nce
from graphcl.ops.adjacency import ranked
from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import Pattern, adjacency_operator, gcn_operator, multiply
from graphcl.plan import Plan
from graphcl.remembered import Recalled

__all__ = ["Hlcl", "HlclMethod", "split_edges"]

HlclReadout: TypeAlias = Literal["low", "low-high"]
"""The low-pass embedding, or both side by side, each row scaled to length 1."""


@dataclass(frozen=True, kw_only=True)
class Hlcl(Recipe):
    """Graph contrastive learning under heterophily via graph filters.

    Args:
        dim: width of every layer and of the projector.
        layers: of the encoder, whose weights serve both filters.
        similar: share of the edges of each node, the most similar ones, that low-pass views keep, rounded up.
        dissimilar: share of the edges of each node, the least similar of the others, that high-pass views keep, rounded
            up.
        refresh: epochs between two splits of the edges: the first by the features, the others by the embedding.
        edge_rate: share of the edges that a view loses.
        feature_rate: share of the features that a view loses.
        dropout: before each layer.
        temperature: of the objective.
        readout: what of the two filters is the embedding.

    Reference:
        Yang & Mirzasoleiman, UAI 2024. Neither state of the released code runs as it is; its two agree on the settings
        that are the defaults here, and its only settings for a data set are those for Cora and PubMed. Following the
        abstract, low-pass views are contrasted with low-pass views and high-pass with high-pass, each pair on its own
        kind of edges (the code contrasts a view of the similar with one of the dissimilar edges); similarity is the
        cosine (there a product). Every 50 epochs the edges are split again by the embedding of that moment, there on
        the edges of the split before, here on those that the features split. Both shares are rounded up, as there:
        with 0.9 and 0.1 a node of fewer than ten edges names none as dissimilar. It trains on clusters of the two
        graphs, here they are whole.

    Example:
        >>> Hlcl.preset("cora").similar
        0.9
    """

    paper: ClassVar[Paper | None] = Paper(
        "yang2024hlcl",
        "Graph contrastive learning under heterophily via graph filters",
        "UAI 2024",
        "https://arxiv.org/abs/2303.06344",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {"similar": 0.9, "dissimilar": 0.1},
        "pubmed": {"similar": 0.8, "dissimilar": 0.2},
    }

    dim: Size = 512
    layers: Size = 2
    similar: Rate = 0.2
    dissimilar: Rate = 0.2
    refresh: Size = 50
    edge_rate: BelowOne = 0.2
    feature_rate: BelowOne = 0.2
    dropout: BelowOne = 0.2
    temperature: Positive = 0.2
    readout: HlclReadout = "low-high"
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=500, lr=1e-3, weight_decay=5e-5)

    def assemble(self, shape: GraphShape) -> "HlclMethod":
        """One encoder for both filters and one projector."""
        return HlclMethod(shape.num_features, self)


def split_edges(x: Tensor, edge_index: Tensor, similar: float, dissimilar: float) -> tuple[Tensor, Tensor]:
    r"""The most and the least similar edges of each node.

    Of its d edges a node names the :math:`\lceil similar \cdot d \rceil` with the highest cosine of the two ends, and
    of the others the :math:`\lceil dissimilar \cdot d \rceil` with the lowest. An edge is in a set if one of its ends
    names it, and then in both directions.

    Args:
        x: ``[N, F]``.
        edge_index: ``int64 [2, E]``, each edge in both directions.
        similar: share in [0, 1].
        dissimilar: share in [0, 1].

    Returns:
        Two undirected ``edge_index``.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> edges = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]])
        >>> low, high = split_edges(x, edges, similar=0.5, dissimilar=0.5)
        >>> low.tolist(), high.tolist()
        ([[0, 0, 1, 2], [1, 2, 0, 0]], [[0, 2], [2, 0]])
    """
    n = x.size(0)
    pointer, order = ranked(edge_index[0], edge_similarity(x, edge_index), n)
    degree = pointer.diff()
    source = torch.repeat_interleave(degree, output_size=order.numel())
    place = torch.arange(order.numel(), device=order.device) - pointer[source]
    top = torch.ceil(similar * degree.double() - 1e-9).long()
    bottom = torch.minimum(torch.ceil(dissimilar * degree.double() - 1e-9).long(), degree - top)
    kept = edge_index[:, order]
    low, high = place < top[source], place >= (degree - bottom)[source]
    return to_undirected(kept[:, low], num_nodes=n), to_undirected(kept[:, high], num_nodes=n)


class _Filtered(nn.Module):
    """A linear map, one of the two filters, a bias and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, pattern: Pattern, values: Tensor, high: bool) -> Tensor:
        y = feature_linear(x, self.linear.weight)
        smooth = multiply(pattern, values, y)
        return ((y - smooth if high else smooth) + self.bias).relu()


class HlclMethod(Method):
    r"""Two filters, one set of weights.

    .. math::
        f_P(X) = \sigma(P\, \sigma(P X W_1 + b_1) W_2 + b_2), \qquad
        L = \tfrac12 \ell\big(p f_{\hat A}(G_s^1), p f_{\hat A}(G_s^2)\big)
        + \tfrac12 \ell\big(p f_L(G_d^1), p f_L(G_d^2)\big)

    with views of the graph of similar edges :math:`G_s` and of that of dissimilar ones :math:`G_d`, and
    :math:`\ell` the loss of GRACE.

    Args:
        num_features: F.
        recipe: the hyper-parameters.
    """

    epoch: Tensor
    """Epochs trained, part of the state: what the embedding's edges are split by hangs on it."""

    def __init__(self, num_features: int, recipe: Hlcl) -> None:
        super().__init__()
        self.recipe = recipe
        widths = [num_features, *[recipe.dim] * recipe.layers]
        self.layers = nn.ModuleList(_Filtered(a, b) for a, b in pairwise(widths))
        self.past = copy.deepcopy(self.layers).requires_grad_(False)
        self.dropout = nn.Dropout(recipe.dropout)
        self.projector = MLP(recipe.dim, recipe.dim, recipe.dim, "elu")
        self.view = Chain((EdgeDropout(recipe.edge_rate), FeatureMask(recipe.feature_rate)))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))

    def encode(self, layers: nn.ModuleList, x: Tensor, edge_index: Tensor, *, high: bool) -> Tensor:
        """One filter's embedding ``[N, D]`` on the edges of its kind."""
        n = x.size(0)
        pattern, values = (adjacency_operator if high else gcn_operator)(edge_index, n, None, x.dtype)
        for layer in layers:
            x = layer(self.dropout(x), pattern, values, high)
        return x

    def split(self, batch: Data) -> tuple[Tensor, Tensor]:
        """The similar and the dissimilar edges: by the features, after the first refresh by their embedding.

        The embedding is that of the layers as they were at the last refresh, which are part of the state.
        """
        if batch.get("edge_weight") is not None:
            raise UnfollowedError("Hlcl takes edges by how alike their ends are, and no edge_weight; drop the weights")
        recipe = self.recipe
        shares = (recipe.similar, recipe.dissimilar)
        refreshed = int(self.epoch) >= recipe.refresh

        def make() -> tuple[Tensor, Tensor]:
            low, high = split_edges(batch.x, batch.edge_index, *shares)
            if not refreshed:
                return low, high
            mode = self.training
            self.eval()
            both = self._both(self.past, batch.x, low, high)
            self.train(mode)
            return split_edges(both, batch.edge_index, *shares)

        state = list(self.past.parameters()) if refreshed else []
        return _SPLIT.of((batch.x, batch.edge_index, *shares, *state), make)

    def _both(self, layers: nn.ModuleList, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return torch.cat([self.encode(layers, x, low, high=False), self.encode(layers, x, high, high=True)], 1)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """Two terms: low-pass views against each other, high-pass views against each other."""
        terms = {}
        for name, edges in zip(("low", "high"), self.split(batch), strict=True):
            kind = Data(x=batch.x, edge_index=edges)
            z = [
                self.projector(self.encode(self.layers, seen.x, seen.edge_index, high=name == "high"))
                for seen in (self.view(kind, generator), self.view(kind, generator))
            ]
            terms[name] = info_nce(z[0], z[1], self.recipe.temperature) / 2
        return terms

    def embed(self, batch: Data) -> Tensor:
        """By the readout of the recipe, on all edges of each kind."""
        low, high = self.split(batch)
        if self.recipe.readout == "low":
            return self.encode(self.layers, batch.x, low, high=False)
        h = self._both(self.layers, batch.x, low, high)
        return torch.cat([unit_rows(part) for part in h.split(self.recipe.dim, 1)], 1)

    def after_epoch(self) -> None:
        """Count towards the refresh, and keep the layers of that moment."""
        self.epoch.add_(1)
        if int(self.epoch) % self.recipe.refresh == 0:
            self.past.load_state_dict(self.layers.state_dict())


_SPLIT: Recalled[tuple[Tensor, Tensor]] = Recalled()
