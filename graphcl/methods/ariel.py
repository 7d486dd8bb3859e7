"""ARIEL: beside two random views one that an adversary makes, and a bound on how alike views may be."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphcl.adversary.budget import Budget
from graphcl.adversary.features import FeaturePgd
from graphcl.adversary.topology import Prbcd
from graphcl.alignment import keep_nodes
from graphcl.augment.composition import Chain
from graphcl.augment.edges import MessageDropout
from graphcl.augment.features import FeatureMask
from graphcl.augment.learned import Direction
from graphcl.config import BelowOne, NonNegative, Positive, Rate, Size
from graphcl.encoders.gcn import GCN, Activation
from graphcl.encoders.mlp import MLP
from graphcl.graph import GraphShape
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.contrast import InfoNCE
from graphcl.plan import Plan
from graphcl.seeding import draw_order

__all__ = ["Ariel", "ArielMethod"]


@dataclass(frozen=True, kw_only=True)
class Ariel(Recipe):
    """Adversarial graph contrastive learning with information regularisation.

    Args:
        dim: width of the embedding; hidden layers are twice as wide.
        layers: graph convolutions.
        projection: width of the projector.
        act: activation after every layer, the last included.
        edge_dropout: rate of each random view; each direction of an edge by itself, as in the released code.
        feature_mask: rate of each random view.
        temperature: of InfoNCE.
        adversarial: ε, weight of the loss between the first view and the adversary's.
        edges: share of the edges of the sample that the adversary may flip.
        radius: no feature changes by more.
        steps: of each ascent.
        block: pairs that it looks at in one step.
        regularisation: λ, weight of the information regularisation.
        sample: nodes whose subgraph a step is made of.
        direction: ``oppose`` raises the loss; ``cooperate`` lowers it, as a control of what opposition is worth.

    Reference:
        Feng et al., Adversarial graph contrastive learning with information regularization, WWW 2022, and the released
        code: five steps on all pairs of 500 nodes; a tenth of the edges, though a fifth is said, because both entries
        of an edge are counted and one is kept; features by β in each step. There edges and features move together by
        the sign of the gradient, whose rate α saturates at once; here edges first, by `Prbcd`, then features, by
        `FeaturePgd`, and a view is never worse for the adversary than none.

    Example:
        >>> Ariel.preset("cora").adversarial
        0.5
    """

    paper: ClassVar[Paper | None] = Paper(
        "feng2022ariel",
        "Adversarial graph contrastive learning with information regularization",
        "WWW 2022",
        "https://arxiv.org/abs/2202.06491",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cora": {
            "dim": 128, "projection": 128, "act": "relu",
            "edge_dropout": [0.2, 0.4], "feature_mask": [0.3, 0.4], "temperature": 0.4,
            "adversarial": 0.5, "radius": 0.05, "plan": {"epochs": 300, "lr": 5e-4},
        },
        "citeseer": {
            "dim": 256, "projection": 256, "act": "prelu",
            "edge_dropout": [0.2, 0.0], "feature_mask": [0.3, 0.2], "temperature": 0.9,
            "adversarial": 2.0, "radius": 0.005, "regularisation": 1.0, "plan": {"epochs": 200, "lr": 1e-3},
        },
        "amazon-computers": {
            "dim": 128, "projection": 128, "act": "rrelu",
            "edge_dropout": [0.6, 0.3], "feature_mask": [0.2, 0.3], "temperature": 0.2,
            "adversarial": 0.5, "radius": 0.05, "plan": {"epochs": 2000, "lr": 1e-2},
        },
        "amazon-photo": {
            "dim": 256, "projection": 64, "act": "relu",
            "edge_dropout": [0.3, 0.5], "feature_mask": [0.1, 0.1], "temperature": 0.3,
            "adversarial": 2.0, "radius": 0.05, "regularisation": 1.0, "plan": {"epochs": 2000, "lr": 0.1},
        },
        "coauthor-cs": {
            "dim": 256, "projection": 256, "act": "rrelu",
            "edge_dropout": [0.3, 0.2], "feature_mask": [0.3, 0.4], "temperature": 0.4,
            "adversarial": 1.5, "radius": 0.005, "plan": {"epochs": 1000, "lr": 5e-4},
        },
        "coauthor-physics": {
            "dim": 128, "projection": 64, "act": "rrelu",
            "edge_dropout": [0.4, 0.1], "feature_mask": [0.1, 0.4], "temperature": 0.5,
            "adversarial": 1.0, "radius": 0.005, "regularisation": 0.5, "plan": {"epochs": 1500, "lr": 1e-2},
        },
    }  # fmt: skip

    dim: Size = 256
    layers: Size = 2
    projection: Size = 256
    act: Activation = "prelu"
    edge_dropout: tuple[BelowOne, BelowOne] = (0.3, 0.4)
    feature_mask: tuple[BelowOne, BelowOne] = (0.1, 0.0)
    temperature: Positive = 0.4
    adversarial: NonNegative = 1.0
    edges: Rate = 0.1
    radius: NonNegative = 0.05
    steps: Size = 5
    block: Size = 20_000
    regularisation: NonNegative = 0.0
    sample: Size = 500
    direction: Direction = "oppose"
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=1000, lr=1e-3, weight_decay=1e-5)

    def prepare(self, data: Data) -> Data:
        """The graph as all recipes take it, each edge once and with nothing on it: it may be flipped."""
        out = super().prepare(data)
        for name in [key for key in out.keys() if key != "edge_index" and out.is_edge_attr(key)]:  # noqa: SIM118
            del out[name]
        out.edge_index = coalesce(out.edge_index, num_nodes=out.num_nodes)
        return out

    def assemble(self, shape: GraphShape) -> "ArielMethod":
        """A GCN with a two-layer projector, as GRACE's."""
        hidden = [2 * self.dim] * (self.layers - 1)
        encoder = GCN(shape.num_features, [*hidden, self.dim], self.act, act_last=True)
        return ArielMethod(encoder, MLP(self.dim, self.projection, self.dim, "elu"), self)


class ArielMethod(Method):
    r"""Two random views and an adversarial one of a sample of nodes.

    .. math::
        L = \ell(Z_1, Z_2) + \epsilon\, \ell(Z_1, Z_a)
        + \frac{\lambda}{N} \sum_v \big[ 2 \cos(z_{1v}, z_{2v}) - \cos(z_{1v}, z_v) - \cos(z_{2v}, z_v) \big]_+, \qquad
        G_a = \arg\max_{G'} \ell\big(Z_1, Z(G')\big)

    with Z of the sample itself, whose similarities are taken without gradient.

    Args:
        encoder: of the nodes.
        projector: of their embeddings, for the loss only.
        recipe: the hyper-parameters.
    """

    def __init__(self, encoder: GCN, projector: MLP, recipe: Ariel) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.recipe = recipe
        self.views = [
            Chain((MessageDropout(edges), FeatureMask(columns)))
            for edges, columns in zip(recipe.edge_dropout, recipe.feature_mask, strict=True)
        ]
        self.objective = InfoNCE(recipe.temperature)
        self.adversaries = (
            Prbcd(
                Budget(edges=recipe.edges),
                steps=recipe.steps,
                rate=1.0,
                samples=1,
                search=0,
                block=recipe.block,
                settle=0.0,
            ),
            FeaturePgd(Budget(edges=0.0, linf=recipe.radius), steps=recipe.steps, rate=float(recipe.steps)),
        )

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The objective between the random views, that with the adversary's, and the regularisation."""
        recipe, sample = self.recipe, self._sampled(batch, generator)
        first, second = (self.projector(self.embed(view(sample, generator))) for view in self.views)
        terms = {"contrast": self.objective(first, second)}
        if recipe.adversarial:
            view = self._attacked(sample, first.detach(), generator)
            terms["adversarial"] = recipe.adversarial * self.objective(first, self.projector(self.embed(view)))
        if recipe.regularisation:
            whole = self.projector(self.embed(sample))
            with torch.no_grad():
                bound = F.cosine_similarity(first, whole) + F.cosine_similarity(second, whole)
            excess = (2 * F.cosine_similarity(first, second) - bound).clamp(min=0)
            terms["information"] = recipe.regularisation * excess.mean()
        return terms

    def _sampled(self, batch: Data, generator: torch.Generator) -> Data:
        """The subgraph on random nodes."""
        n, out = int(batch.num_nodes or 0), copy.copy(batch)
        if self.recipe.sample < n:
            order = draw_order(n, generator=generator, device=batch.edge_index.device)
            keep_nodes(out, {None: order[: self.recipe.sample].sort().values})
        return out

    def _attacked(self, sample: Data, anchor: Tensor, generator: torch.Generator) -> Data:
        """What an adversary makes of the sample; parameters have no part in it."""
        sign = 1.0 if self.recipe.direction == "oppose" else -1.0
        mode = self.training
        self.eval()

        def against(data: Data) -> Tensor:
            return sign * self.objective(anchor, self.projector(self.embed(data)))

        try:
            for adversary in self.adversaries:
                sample = adversary(sample, against, generator)
        finally:
            self.train(mode)
        return sample

    def embed(self, batch: Data) -> Tensor:
        """The encoder's output before the projector."""
        return encode(self.encoder, batch)
