"""SUGRL: a perceptron's output against shuffled rows of its own, with a propagated and a sampled positive."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import annotated_types
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.features import FeatureDropout
from graphcl.config import BelowOne, NonNegative, Size
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.objectives.margin import distance_bound, row_distances, triplet_margin
from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import gcn_operator, gcn_propagate
from graphcl.plan import Plan
from graphcl.seeding import draw_order, draw_uniform

__all__ = ["Sugrl", "SugrlMethod"]


@dataclass(frozen=True, kw_only=True)
class Sugrl(Recipe):
    """Simple unsupervised graph representation learning: triplet losses, no augmentation, projector or discriminator.

    Args:
        dims: widths of the perceptron's layers, the embedding last; ReLU between them.
        dropout: of the features.
        propagation_dropout: of the perceptron's output on its way to the structural positive.
        neighbours: sampled neighbours (the node among them) whose mean is the second positive.
        negatives: shuffled rows for each node.
        margin: α, by which a positive has to be nearer than a negative.
        band: β; negatives further off than the structural positive by more than α + β are drawn in.
        structure: weight ω₁ of the triplet loss with the structural positive.
        neighbourhood: weight ω₂ of the triplet loss with the neighbours.
        bound: weight ω₃ of the upper bound.

    Reference:
        Mo et al., AAAI 2022; settings from the authors' configuration file (node classification).
        Where the released code differs from the paper, it is the code that is followed: the losses of the negatives are
        added up, the upper bound is a sum over the nodes of their mean and holds the positive's distance constant, and
        what is scored is the structural positive with rows of length 1. The code takes neighbours in turn from a list,
        five at an epoch; here they are drawn.

    Example:
        >>> Sugrl.preset("citeseer").dims
        (128,)
    """

    paper: ClassVar[Paper | None] = Paper(
        "mo2022sugrl",
        "Simple unsupervised graph representation learning",
        "AAAI 2022",
        "https://doi.org/10.1609/aaai.v36i7.20748",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {
            "dropout": 0.3, "negatives": 4, "margin": 0.8, "band": 0.2, "structure": 10.0, "neighbourhood": 10.0,
            "plan": {"epochs": 500, "lr": 5e-3, "weight_decay": 5e-5},
        },
        "citeseer": {
            "dims": [128], "dropout": 0.1, "negatives": 5, "margin": 0.8, "band": 0.4,
            "structure": 5.0, "neighbourhood": 5.0, "plan": {"epochs": 100, "lr": 5e-3, "weight_decay": 1e-4},
        },
        "pubmed": {
            "dropout": 0.4, "negatives": 3, "margin": 0.5, "band": 0.5, "structure": 20.0, "neighbourhood": 20.0,
            "plan": {"epochs": 1000, "lr": 0.01, "weight_decay": 1e-4},
        },
        "amazon-photo": {
            "dropout": 0.1, "negatives": 1, "margin": 0.9, "band": 0.9, "structure": 100.0, "neighbourhood": 100.0,
            "plan": {"epochs": 1000, "lr": 0.01, "weight_decay": 1e-4},
        },
        "amazon-computers": {
            "dropout": 0.1, "negatives": 5, "margin": 0.4, "band": 0.6, "structure": 100.0, "neighbourhood": 100.0,
            "bound": 2.0, "plan": {"epochs": 1000, "lr": 0.01, "weight_decay": 1e-4},
        },
    }  # fmt: skip

    dims: Annotated[tuple[Size, ...], annotated_types.MinLen(1)] = (512, 128)
    dropout: BelowOne = 0.3
    propagation_dropout: BelowOne = 0.2
    neighbours: Size = 5
    negatives: Size = 4
    margin: NonNegative = 0.8
    band: NonNegative = 0.2
    structure: NonNegative = 10.0
    neighbourhood: NonNegative = 10.0
    bound: NonNegative = 1.0
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=500, lr=5e-3, weight_decay=5e-5)

    def assemble(self, shape: GraphShape) -> "SugrlMethod":
        """A perceptron."""
        return SugrlMethod(shape.num_features, self)


class SugrlMethod(Method):
    r"""A perceptron f whose output is anchor and, with its rows shuffled, negative; propagated, the embedding.

    .. math::
        h = f(x), \quad h^+ = \hat A h, \quad \tilde h_v = \tfrac1m \sum_{u \in S_v} h_u, \qquad
        L = \omega_1 \sum_k \ell(h, h^+, h_{\pi_k}) + \omega_2 \sum_k \ell(h, \tilde h, h_{\pi_k})
        + \omega_3 \sum_v \operatorname{mean}_k \max\big(0, d(h_v, h_{\pi_k(v)}) - d(h_v, h_v^+) - \alpha - \beta\big)

    with :math:`\ell` the mean triplet loss of margin α, :math:`\pi_k` random orders of the nodes, :math:`S_v` m draws
    from the neighbours of v and v itself, and no gradient through the last :math:`d(h_v, h_v^+)`.

    Args:
        in_channels: F.
        recipe: the hyper-parameters.
    """

    def __init__(self, in_channels: int, recipe: Sugrl) -> None:
        super().__init__()
        self.recipe = recipe
        self.first, *others = (_linear(a, b) for a, b in pairwise([in_channels, *recipe.dims]))
        self.others = nn.Sequential(*(part for layer in others for part in (nn.ReLU(), layer)))

    @property
    def takes_sparse_features(self) -> bool:
        """The first layer does."""
        return True

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """Two triplet losses and the upper bound."""
        recipe, n = self.recipe, int(batch.num_nodes or 0)
        seen = FeatureDropout(recipe.dropout)(batch, generator).x
        anchor = self._perceptron(seen, 1 / (1 - recipe.dropout))
        structural = self._propagated(F.dropout(anchor, recipe.propagation_dropout), batch)
        sample = _neighbour_draws(batch, recipe.neighbours, generator)
        neighbouring = anchor[sample].view(recipe.neighbours, n, -1).mean(0)
        orders = [draw_order(n, generator=generator, device=anchor.device) for _ in range(recipe.negatives)]
        far = row_distances(anchor, anchor[torch.cat(orders)]).view(recipe.negatives, n)
        near = row_distances(anchor, structural)
        nearby = row_distances(anchor, neighbouring)
        return {
            "structure": recipe.structure * recipe.negatives * triplet_margin(near, far, recipe.margin),
            "neighbourhood": recipe.neighbourhood * recipe.negatives * triplet_margin(nearby, far, recipe.margin),
            "bound": recipe.bound * n * distance_bound(near.detach(), far, recipe.margin + recipe.band),
        }

    def embed(self, batch: Data) -> Tensor:
        """The structural positive, rows of length 1."""
        return F.normalize(self._propagated(self._perceptron(batch.x), batch), dim=1)

    def _perceptron(self, x: Tensor, scale: float = 1.0) -> Tensor:
        # the product is scaled in the place of sparse features, which torch does not scale
        return self.others(feature_linear(x, self.first.weight) * scale + self.first.bias)

    def _propagated(self, h: Tensor, batch: Data) -> Tensor:
        return gcn_propagate(h, batch.edge_index, batch.get("edge_weight"))


def _linear(in_channels: int, out_channels: int) -> nn.Linear:
    layer = nn.Linear(in_channels, out_channels)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _neighbour_draws(batch: Data, count: int, generator: torch.Generator) -> Tensor:
    """Draws for each node from its neighbours and itself: ``int64 [count N]``, N of the first draw, N of the second."""
    pattern, _ = gcn_operator(batch.edge_index, int(batch.num_nodes or 0))
    degree = pattern.pointer.diff()
    share = draw_uniform(count, degree.numel(), generator=generator, device=degree.device, dtype=torch.float64)
    return pattern.columns[pattern.pointer[:-1] + (share * degree).long()].flatten()
