"""SGL: two random thinnings of the interaction graph an epoch, and every node told from the others across them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.augment.edges import EdgeDropout
from graphcl.config import BelowOne, NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker, contrast_rows
from graphcl.recsys.propagation import BipartiteOperator, mean_of_layers
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small
from graphcl.seeding import draw_coins

__all__ = ["Sgl"]

View = Literal["edge", "node", "walk"]


class _Sgl(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "Sgl") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe, self.graph = recipe, seen.graph()
        self.views: tuple[list[BipartiteOperator], list[BipartiteOperator]] | None = None

    def _view(self, generator: torch.Generator) -> list[BipartiteOperator]:
        drop = _without_nodes if self.recipe.view == "node" else _without_edges
        # a random walk meets other edges at each hop
        drawn = self.layers if self.recipe.view == "walk" else 1
        made = [
            BipartiteOperator.of_graph(drop(self.graph, self.recipe.rate, generator), self.num_users).to(self.device)
            for _ in range(drawn)
        ]
        return made if drawn > 1 else made * self.layers

    def after_epoch(self) -> None:
        self.views = None

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        if self.views is None:
            self.views = self._view(generator), self._view(generator)
        first, second = (self._over(view) for view in self.views)
        contrast = contrast_rows(first, second, self.both(batch), self.recipe.temperature)
        return {**self.rank_terms(self.vectors(), batch), "contrast": self.recipe.weight * contrast}

    def _over(self, view: Sequence[BipartiteOperator]) -> Tensor:
        return mean_of_layers(view, self.table, self.layers)


def _without_edges(graph: Data, rate: float, generator: torch.Generator) -> Data:
    return EdgeDropout(rate)(graph, generator)


def _without_nodes(graph: Data, rate: float, generator: torch.Generator) -> Data:
    """Some nodes lose all their edges; `NodeDropout` would take them out of the numbering."""
    kept = draw_coins(int(graph.num_nodes or 0), rate=rate, generator=generator, device=torch.device("cpu"))
    return Data(edge_index=graph.edge_index[:, kept[graph.edge_index].all(0)], num_nodes=graph.num_nodes)


@dataclass(frozen=True, kw_only=True)
class Sgl(EmbeddingRecommender):
    r"""LightGCN with InfoNCE between its vectors on two random subgraphs, drawn anew each epoch.

    .. math:: L = L_{\mathrm{BPR}}
        + \lambda_c \, (L_{\mathrm{InfoNCE}}^{\mathrm{users}} + L_{\mathrm{InfoNCE}}^{\mathrm{items}})

    Args:
        layers: hops.
        view: what is dropped: an ``edge``, a ``node`` with its edges, or edges anew at each hop (``walk``).
        rate: of dropping.
        weight: :math:`\lambda_c`.
        temperature: of InfoNCE.

    Reference:
        Wu et al., Self-supervised graph learning for recommendation, SIGIR 2021, equations 4 to 12; the nodes of a
        batch are told from each other, as in SELFRec, rather than from all nodes.

    Example:
        >>> Sgl().view
        'edge'
    """

    paper: ClassVar[Paper | None] = Paper(
        "wu2021sgl",
        "Self-supervised graph learning for recommendation",
        "SIGIR 2021",
        "https://arxiv.org/abs/2010.10783",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(weight=0.01)

    layers: Size = 3
    view: View = "edge"
    rate: BelowOne = 0.1
    weight: NonNegative = 0.1
    temperature: Positive = 0.2
    plan: Plan = Plan(epochs=200, lr=1e-3, batch_size=2048)

    def assemble(self, seen: Interactions) -> Ranker:
        """LightGCN's tables and propagation, and two views."""
        return _Sgl(seen, self)
