"""SLIM: each item as a sparse sum of others with weights that are not negative."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from graphcl.config import NonNegative, Positive, Size
from graphcl.data.interactions import Interactions
from graphcl.evaluate.ranking import Scorer
from graphcl.methods.recipe import Paper
from graphcl.recsys.recommender import Recommender
from graphcl.recsys.similarity import ItemSimilarity
from graphcl.seeding import imported

__all__ = ["SLIM"]

# items whose neighbours are looked up at once
_BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class SLIM(Recommender):
    r"""Write each item as a sum of others, with weights that are sparse and not negative.

    .. math:: \min_W \tfrac12 \|R - R W\|_F^2 + \tfrac{\lambda_2}{2} \|W\|_F^2 + \lambda_1 \|W\|_1
        \quad\text{with } W \ge 0,\ \operatorname{diag} W = 0

    One elastic net for each item. Only the items that share more than :math:`\lambda_1` users with it are put into its
    net; the weights of all others are 0 at the optimum, since without negative weights a prediction can only take from
    what is left to explain. So the restriction changes nothing but the time.

    Args:
        l1: :math:`\lambda_1`, 0 or more.
        l2: :math:`\lambda_2`, above 0.
        k: largest weights kept of each item afterwards; all where ``None``.
        tolerance: of the gap to the optimum, as a share of the item's users.
        sweeps: of coordinate descent at most, over all weights of an item. With :math:`\lambda_1 = 0` the gap
            is not known, and all are taken, long after the weights stand still.

    Reference:
        Ning & Karypis, SLIM: sparse linear methods for top-n recommender systems, ICDM 2011, equation 4. The preset
        ``gowalla`` is that of BARS-Match (Zhu et al., SIGIR 2022: .1699 recall, .1382 NDCG, both at 20): there α = .005
        with a share of 1e-6 of L1, of means over the users, which are sums here, and at most 100 sweeps. That of
        Last.fm is ours, by validation.

    Example:
        >>> seen = Interactions(users=[0, 0, 1, 1, 2], items=[0, 1, 0, 1, 0], num_users=3, num_items=3)
        >>> SLIM(l1=0.0, l2=2.0).fit(seen).score(seen.users[:1]).round(decimals=3)
        tensor([[0.5000, 0.4000, 0.0000]])
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False
    paper: ClassVar[Paper | None] = Paper(
        "ning2011slim",
        "SLIM: sparse linear methods for top-n recommender systems",
        "ICDM 2011",
        "https://doi.org/10.1109/ICDM.2011.134",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # 29,858 users times .005, and times 1e-6
        "gowalla": {"l1": 1.4929e-4, "l2": 149.29, "k": 100},
        "lastfm": {"l1": 0.3, "l2": 30.0},
    }

    l1: NonNegative = 1.0
    l2: Positive = 100.0
    k: Size | None = None
    tolerance: Positive = 1e-4
    sweeps: Size = 100

    def fit(self, train: Interactions, seed: int = 0) -> Scorer:
        """Solve one net for each item; nothing is drawn."""
        by_item = train.matrix.astype(np.float64).tocsc()
        turned = by_item.T.tocsr()
        slow = imported("sklearn.exceptions").ConvergenceWarning
        total = self.l1 + self.l2
        net = imported("sklearn.linear_model").ElasticNet(
            # scikit-learn takes means over the users
            alpha=total / max(1, train.num_users),
            l1_ratio=self.l1 / total,
            fit_intercept=False,
            positive=True,
            copy_X=False,
            tol=self.tolerance,
            max_iter=self.sweeps,
            random_state=0,  # nothing is drawn, but without one the global state moves
        )
        columns, weights = [], []
        for first in range(0, train.num_items, _BLOCK):
            common = (turned[first : first + _BLOCK] @ by_item).tocsr()
            common.sort_indices()
            for item in range(first, first + common.shape[0]):
                part = slice(*common.indptr[item - first : item - first + 2])
                others = common.indices[part][common.data[part] > self.l1]
                others = others[others != item]
                found = np.zeros(0)
                if len(others):
                    with warnings.catch_warnings():
                        # what the last sweep leaves is taken
                        warnings.simplefilter("ignore", slow)
                        net.fit(by_item[:, others], by_item[:, [item]].toarray().ravel(), check_input=False)
                    found = net.coef_
                kept = np.argsort(-found, kind="stable")[: self.k]
                kept = np.sort(kept[found[kept] > 0])
                columns.append(others[kept])
                weights.append(found[kept].astype(np.float32))
        pointer = np.concatenate([[0], np.cumsum([len(part) for part in columns])]).astype(np.int64)
        size = (train.num_items, train.num_items)
        if not columns:
            return ItemSimilarity(train.matrix, sp.csr_matrix(size, dtype=np.float32))
        found = sp.csc_matrix((np.concatenate(weights), np.concatenate(columns), pointer), shape=size)
        return ItemSimilarity(train.matrix, found.tocsr())
