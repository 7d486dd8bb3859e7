"""BPR-MF: a vector for each user and item, and pairs ranked above pairs that were not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.data.interactions import Interactions
from graphcl.methods.recipe import Paper
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, small

__all__ = ["MfBpr"]


class _Factors(Ranker):
    def vectors(self) -> Tensor:
        return self.table

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        return self.rank_terms(self.table, batch)


@dataclass(frozen=True, kw_only=True)
class MfBpr(EmbeddingRecommender):
    r"""Matrix factorisation by Bayesian personalised ranking.

    .. math:: \hat r_{ui} = e_u^\top e_i, \qquad
        L = -\frac1B \sum \ln \sigma(\hat r_{ui} - \hat r_{uj}) + \frac{\lambda}{2B} \sum \|e\|^2

    Reference:
        Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009, section 4.

    Example:
        >>> MfBpr().dim
        64
    """

    paper: ClassVar[Paper | None] = Paper(
        "rendle2009bpr",
        "BPR: Bayesian personalized ranking from implicit feedback",
        "UAI 2009",
        "https://arxiv.org/abs/1205.2618",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small(penalty=1e-3)

    def assemble(self, seen: Interactions) -> Ranker:
        """The tables alone."""
        return _Factors(seen, self.dim, self.penalty)
