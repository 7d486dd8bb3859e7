"""GREET: which edges join alike nodes is learned; low-pass along those, high-pass along the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import annotated_types
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.features import FeatureMask
from graphcl.augment.gates import relaxed_gates, undirected_pairs
from graphcl.config import BelowOne, NonNegative, Positive, Rate, Size
from graphcl.encoders.mlp import MLP
from graphcl.graph import GraphShape
from graphcl.hashing import edge_uniform
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.objectives.multi_positive import MultiPositiveNCE
from graphcl.ops.pairwise import knn_graph, pair_products
from graphcl.ops.propagate import Pattern, gcn_operator, multiply
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.seeding import draw_seed, draw_uniform
from graphcl.spectral.descriptors import return_probabilities

__all__ = ["Greet", "GreetMethod"]


@dataclass(frozen=True, kw_only=True)
class Greet(Recipe):
    """Unsupervised graph representation learning with edge heterophily discriminating.

    Args:
        dim: width of each of the two embeddings, which stand side by side, and of the discriminator.
        steps: propagations behind the linear map of each encoder.
        walk: steps of the random walk whose return probabilities the discriminator sees.
        alpha: how sharp the high-pass filter is.
        neighbours: k of the nearest neighbours by features that are positives too; 0 takes none.
        projection: layers of the projectors.
        low_feature_rate: share of the features that the low-pass view loses.
        high_feature_rate: share of the features that the high-pass view loses.
        low_entry_rate: dropout of the entries of the low-pass operator.
        high_entry_rate: dropout of the entries of the high-pass operator.
        similar_margin: by which a similar edge should beat a random pair.
        dissimilar_margin: by which a random pair should beat a dissimilar edge.
        temperature: of the objective.

    Reference:
        Liu et al., AAAI 2023, and the released code, from which the settings are. The code takes two steps (three on
        Amazon) of the encoders for each of the discriminator, here they take turns; it draws the gates for each
        direction of an edge and in evaluation as well, here both directions share one and evaluation takes its mean; on
        WebKB, Actor and Wikipedia graphs its edges are directed; large sets are contrasted in batches there, in tiles
        here.

    Example:
        >>> Greet.preset("texas").neighbours
        20
    """

    paper: ClassVar[Paper | None] = Paper(
        "liu2023greet",
        "Beyond smoothing: unsupervised graph representation learning with edge heterophily discriminating",
        "AAAI 2023",
        "https://arxiv.org/abs/2211.14065",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {
            "projection": projection, "alpha": alpha, "neighbours": neighbours,
            "low_feature_rate": low_feature, "high_feature_rate": high_feature,
            "low_entry_rate": low_entry, "high_entry_rate": high_entry,
            "similar_margin": similar, "dissimilar_margin": dissimilar,
            "plan": {"epochs": epochs} | ({"part_lr": {"discriminator": 1e-4}} if name.startswith("amazon") else {}),
        }
        | ({"features": "row"} if name == "squirrel" or name.startswith(("amazon", "coauthor")) else {})
        for name, epochs, projection, alpha, neighbours, low_feature, high_feature, low_entry, high_entry, similar,
        dissimilar in (
            ("cora", 400, 1, 0.5, 20, 0.8, 0.1, 0.8, 0.8, 0.5, 0.5),
            ("citeseer", 400, 2, 0.1, 30, 0.1, 0.1, 0.8, 0.1, 0.5, 0.5),
            ("pubmed", 800, 2, 0.1, 0, 0.1, 0.5, 0.5, 0.1, 0.5, 0.5),
            ("cornell", 400, 2, 0.3, 25, 0.1, 0.5, 0.5, 0.1, 0.3, 0.3),
            ("texas", 400, 2, 0.5, 20, 0.5, 0.1, 0.1, 0.1, 0.5, 0.5),
            ("wisconsin", 400, 2, 0.5, 25, 0.1, 0.1, 0.1, 0.3, 0.5, 0.5),
            ("actor", 1000, 2, 0.1, 20, 0.1, 0.5, 0.5, 0.8, 0.1, 0.5),
            ("chameleon", 500, 1, 0.1, 0, 0.1, 0.5, 0.5, 0.1, 0.5, 0.5),
            ("squirrel", 1000, 2, 0.1, 0, 0.1, 0.1, 0.1, 0.8, 0.1, 0.3),
            ("amazon-computers", 1500, 1, 0.3, 10, 0.1, 0.1, 0.5, 0.1, 0.1, 0.5),
            ("amazon-photo", 1500, 1, 0.3, 30, 0.1, 0.1, 0.8, 0.5, 0.5, 0.5),
            ("coauthor-cs", 1500, 1, 0.5, 30, 0.1, 0.5, 0.5, 0.1, 0.1, 0.5),
            ("coauthor-physics", 800, 1, 0.1, 25, 0.1, 0.5, 0.5, 0.1, 0.5, 0.5),
            ("wiki-cs", 1500, 1, 0.1, 30, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5),
        )
    }  # fmt: skip

    dim: Size = 128
    steps: Size = 2
    walk: Size = 16
    alpha: Rate = 0.1
    neighbours: Annotated[int, annotated_types.Ge(0)] = 20
    projection: Annotated[int, annotated_types.Interval(ge=1, le=2)] = 1
    low_feature_rate: BelowOne = 0.1
    high_feature_rate: BelowOne = 0.1
    low_entry_rate: BelowOne = 0.5
    high_entry_rate: BelowOne = 0.1
    similar_margin: NonNegative = 0.5
    dissimilar_margin: NonNegative = 0.5
    temperature: Positive = 0.2
    features: FeatureScale = "raw"
    plan: Plan = Plan(epochs=400, lr=1e-3)

    def assemble(self, shape: GraphShape) -> "GreetMethod":
        """Two encoders, their projectors, and the discriminator of edges."""
        return GreetMethod(shape.num_features, self)


class _Discriminator(nn.Module):
    """A score for each edge, the same in both directions: positive where it thinks the ends alike."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.nodes = nn.Linear(width, dim)
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        share = self.score(self.nodes(x).relu())[:, 0]
        return share[pairs[0]] + share[pairs[1]]


class GreetMethod(Method):
    r"""Encoders that tell nodes apart along gated edges, and gates that follow how alike the ends have become.

    .. math::
        w_{uv} = \sigma(\theta_{uv} + \epsilon_{uv}), \quad
        H_L = \hat A_w^2\, \mathrm{ReLU}(X W_L), \quad
        H_H = \big(I - \alpha\, (\hat A_{1-w} - \operatorname{diag})\big)^2\, \mathrm{ReLU}(X W_H), \\
        L_{disc} = \tfrac12 \operatorname*{mean}_{uv} \big[w_{uv} - \tfrac12\big]_+ \big[c_r - c_{uv} + m_s\big]_+
        + \big[\tfrac12 - w_{uv}\big]_+ \big[c_{uv} - c_r + m_d\big]_+

    with c the cosine of the embeddings of an edge's ends, and :math:`c_r` that of a random pair. The loss of the
    encoders is the symmetric `MultiPositiveNCE` between the two.

    Args:
        num_features: F.
        recipe: the hyper-parameters.
    """

    parts = ("model", "discriminator")

    def __init__(self, num_features: int, recipe: Greet) -> None:
        super().__init__()
        self.recipe = recipe
        dim, hidden = recipe.dim, recipe.dim if recipe.projection == 2 else None
        heads = [nn.Linear(dim, dim) if hidden is None else MLP(dim, hidden, dim, "relu") for _ in range(2)]
        self.model = nn.ModuleDict(
            {
                "low": nn.Linear(num_features, dim),
                "high": nn.Linear(num_features, dim),
                "low_head": heads[0],
                "high_head": heads[1],
            }
        )
        self.discriminator = _Discriminator(num_features + recipe.walk, dim)
        self.masks = (FeatureMask(recipe.low_feature_rate), FeatureMask(recipe.high_feature_rate))
        self.objective = MultiPositiveNCE(recipe.temperature, symmetric=True)

    def gates(self, batch: Data, generator: torch.Generator | None) -> Tensor:
        """How much each edge is taken for one of alike nodes, ``[E]``: drawn, without a generator the mean."""
        n = batch.x.size(0)
        pairs, place = undirected_pairs(batch.edge_index, n)
        walk = self.recipe.walk
        returns = _RETURNS.of((batch.edge_index, n, walk), lambda: return_probabilities(batch.edge_index, n, walk)).to(
            batch.x
        )
        logits = self.discriminator(torch.cat([batch.x, returns], 1), pairs)
        if generator is None:
            drawn = logits.sigmoid()
        else:
            drawn = relaxed_gates(logits, edge_uniform(pairs, draw_seed(generator)), 1.0)
        return drawn[place]

    def channels(
        self, x: tuple[Tensor, Tensor], batch: Data, gates: Tensor, rates: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[Tensor, Tensor]:
        """The low-pass and the high-pass embedding, ``[N, D]`` each."""
        weight = batch.get("edge_weight")
        out = []
        for name, features, share, rate in zip(("low", "high"), x, (gates, 1 - gates), rates, strict=True):
            share = share if weight is None else share * weight
            pattern, values = gcn_operator(batch.edge_index, features.size(0), share)
            if name == "high":
                values = torch.where(_diagonal(pattern), 1.0, -self.recipe.alpha * values)
            values = F.dropout(values, rate)
            h = self.model[name](features).relu()
            for _ in range(self.recipe.steps):
                h = multiply(pattern, values.to(h.dtype), h)
            out.append(h)
        return out[0], out[1]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The contrast of the channels, or the ranking of edges and random pairs."""
        recipe, n = self.recipe, batch.x.size(0)
        gates = self.gates(batch, generator)
        if part == "discriminator":
            h = torch.cat(self.channels((batch.x, batch.x), batch, gates), 1)
            unit = F.normalize(h, dim=1)
            pairs = draw_uniform(2, gates.numel(), generator=generator, device=h.device, dtype=torch.float64)
            alike, chance = (pair_products(unit, unit, ends) for ends in (batch.edge_index, (pairs * n).long()))
            similar = (gates - 0.5).relu() * (chance - alike + recipe.similar_margin).relu()
            dissimilar = (0.5 - gates).relu() * (alike - chance + recipe.dissimilar_margin).relu()
            return {"rank": (similar.mean() + dissimilar.mean()) / 2}
        seen = (self.masks[0](batch, generator).x, self.masks[1](batch, generator).x)
        rates = (recipe.low_entry_rate, recipe.high_entry_rate)
        low, high = self.channels(seen, batch, gates.detach(), rates)
        pairs = _positives(batch.x, max(0, min(recipe.neighbours, n - 2)))
        z = (_directed(self.model["low_head"](low)), _directed(self.model["high_head"](high)))
        return {"contrast": self.objective(*z, pairs)}

    def embed(self, batch: Data) -> Tensor:
        """Both channels side by side."""
        return torch.cat(self.channels((batch.x, batch.x), batch, self.gates(batch, None)), 1)


def _directed(z: Tensor) -> Tensor:
    # a head without hidden layer and its bias at 0 may leave a node without features at 0, which has no direction
    return z + torch.where(z.any(1, keepdim=True), 0.0, 1e-6)


def _diagonal(pattern: Pattern) -> Tensor:
    return pattern.rows == pattern.columns


def _positives(x: Tensor, k: int) -> Tensor:
    def make() -> Tensor:
        own = torch.arange(x.size(0), device=x.device).expand(2, -1)
        return own if k == 0 else torch.cat([own, knn_graph(x, k)[0].flip(0)], 1)

    return _NEAR.of((x, k), make)


_NEAR: Recalled[Tensor] = Recalled()
_RETURNS: Recalled[Tensor] = Recalled()
