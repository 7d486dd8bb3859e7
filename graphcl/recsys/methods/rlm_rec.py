"""RLMRec: LightGCN whose vectors are held to what is said about items and users."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.data import Data

from graphcl.config import NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.encoders.mlp import MLP
from graphcl.features.feature_set import FeatureSet
from graphcl.methods.recipe import Paper
from graphcl.plan import Plan
from graphcl.recsys.propagated_ranker import PropagatedRanker, contrast_rows
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["RlmRec"]


class _RlmRec(PropagatedRanker):
    def __init__(self, seen: Interactions, recipe: "RlmRec") -> None:
        super().__init__(seen, recipe.dim, recipe.penalty, recipe.layers, recipe.plan)
        self.recipe = recipe
        said = _said(seen, recipe.sources())
        self.there = (said.abs().sum(1) > 0).to(self.device)
        self.said = said.to(self.device)
        self.project = MLP(said.size(1), (said.size(1) + recipe.dim) // 2, recipe.dim, "elu")

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        x = self.vectors()
        terms = self.rank_terms(x, batch)
        rows = [some[self.there[some]] for some in self.both(batch)]
        groups = [some for some in rows if some.numel()]
        if groups:
            where = torch.cat(groups)
            said = self.project(self.said[where])
            ends = torch.tensor([0, *(some.numel() for some in groups)]).cumsum(0).tolist()
            places = [torch.arange(a, b, device=x.device) for a, b in itertools.pairwise(ends)]
            terms["text"] = self.recipe.weight * contrast_rows(x[where], said, places, self.recipe.temperature)
        return terms


def _said(seen: Interactions, source: FeatureSet) -> Tensor:
    """The vector of each item's text, and for each user the mean of those of the items; users first, zeros for none."""
    assert seen.item_text is not None  # refused by `EmbeddingRecommender.start`
    graph = Data(text=list(seen.item_text), edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=seen.num_items)
    if seen.item_ids is not None:
        graph.node_ids = seen.item_ids.tolist()
    items = normalize(source(graph).to(torch.get_default_dtype()))
    users = items.new_zeros(seen.num_users, items.size(1)).index_add_(0, seen.users, items[seen.items])
    return torch.cat([normalize(users), items])


@dataclass(frozen=True, kw_only=True)
class RlmRec(EmbeddingRecommender):
    r"""LightGCN with InfoNCE between its vectors and those of texts (the contrastive variant, RLMRec-Con).

    .. math:: L = L_{\mathrm{BPR}} + \lambda_t L_{\mathrm{InfoNCE}}\big(x_v, \mathrm{MLP}(s_v)\big)

    The paper's profiles of users are written by a language model; here a user's text vector is the mean of those of the
    items that the user has. Profiles of items of any make come in through ``text`` as a file of features, its rows by
    the ids of the items. The nodes of a batch are told from each other; the authors' code adds the drawn items and
    looks at all users.

    Args:
        layers: hops.
        text: sources of features by name, as ``--features`` takes them: ``lsa``, ``minilm``, ``lsa+minilm``, a file.
        source: settings of the sources.
        weight: :math:`\lambda_t`.
        temperature: of InfoNCE.

    Raises:
        DataError: nothing is said about the items.
        UnknownNameError: a source or setting that is not known.

    Reference:
        Ren et al., Representation learning with large language models for recommendation, WWW 2024, equations 6 to 10.

    Example:
        >>> RlmRec().text
        'lsa'
    """

    paper: ClassVar[Paper | None] = Paper(
        "ren2024rlmrec",
        "Representation learning with large language models for recommendation",
        "WWW 2024",
        "https://arxiv.org/abs/2310.15950",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(weight=0.01)
    reads_text: ClassVar[bool] = True

    layers: Size = 3
    text: str = "lsa"
    source: dict[str, Any] | None = None
    weight: NonNegative = 0.1
    temperature: Positive = 0.2
    plan: Plan = Plan(epochs=300, lr=1e-3, batch_size=2048)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sources()

    def __hash__(self) -> int:
        return hash(repr(self))

    def sources(self) -> FeatureSet:
        """What makes vectors of the texts."""
        return FeatureSet.of(self.text, self.source)

    def pinned(self) -> Self:
        """With the content of files and checkpoints noted in ``source``."""
        made = self.sources()
        names = [name.strip() for name in self.text.split("+")]
        told = {
            name: {key: value for key, value in part.items() if key not in {"name", "path"}}
            for name, part in zip(names, made.sources, strict=True)
        }
        # settings of a single source may have stood beside the name of it
        kept = {key: (self.source or {})[key] for key in ("spread", "principal") if key in (self.source or {})}
        return self.replace(source={**kept, **told})

    def assemble(self, seen: Interactions) -> Ranker:
        """LightGCN's tables, and a projection of the texts."""
        return _RlmRec(seen, self)
