"""EASE: each item as a linear function of all others, in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from torch import Tensor

from graphcl.config import Positive
from graphcl.data.interactions import Interactions
from graphcl.errors import RunFailedError
from graphcl.evaluate.ranking import Scorer
from graphcl.methods.recipe import Paper
from graphcl.recsys.recommender import Recommender
from graphcl.recsys.similarity import ItemSimilarity

__all__ = ["EASE", "inverted"]

# large enough for the products to be most of the work, small enough for a block column of many items to be little
_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class EASE(Recommender):
    r"""The linear model of items by items that fits the interactions best, with no item speaking for itself.

    .. math:: \min_B \|R - R B\|_F^2 + \lambda \|B\|_F^2 \ \text{ with } \operatorname{diag} B = 0
        \quad\Longrightarrow\quad B = I - P \operatorname{diag}(P)^{-1}, \qquad P = (R^\top R + \lambda I)^{-1}

    Where there are fewer users than items, P is never formed. For the users who were fitted,

    .. math:: R P = M R, \qquad M = (R R^\top + \lambda I)^{-1}, \qquad
        P_{ii} = \frac{1 - (R^\top M R)_{ii}}{\lambda}

    gives the same scores from a matrix of users by users. Either is inverted in its own memory, in ``float32``: time
    grows with the cube of the smaller of the two numbers n, memory is :math:`4 n^2` bytes and little more.

    Args:
        l2: λ, above 0.

    Raises:
        RunFailedError: ``fit``, where λ is too small for ``float32``.

    Reference:
        Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019, equations 4 to 8. The preset ``gowalla``
        is that of BARS-Match (Zhu et al., SIGIR 2022: .1765 recall, .1467 NDCG, both at 20), and so are ``yelp2018``
        and ``amazon-book``, all three chosen there by the test part; those that end in ``-tuned`` are those of Anelli
        et al., Challenging the myth of graph collaborative filtering, RecSys 2023. Those of MovieLens are ours, by
        validation.

    Example:
        >>> seen = Interactions(users=[0, 0, 1, 1], items=[0, 1, 1, 2], num_users=2, num_items=3)
        >>> EASE(l2=1.0).fit(seen).score(torch.tensor([0]))[0].argsort(descending=True).tolist()
        [1, 0, 2]
    """

    control: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper(
        "steck2019ease",
        "Embarrassingly shallow autoencoders for sparse data",
        "WWW 2019",
        "https://arxiv.org/abs/1905.03375",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gowalla": {"l2": 80.0},
        "gowalla-tuned": {"l2": 15.930101258108873},
        "yelp2018": {"l2": 300.0},
        "yelp2018-tuned": {"l2": 212.98774633994572},
        "amazon-book": {"l2": 50.0},
        "ml-100k": {"l2": 300.0},
        "ml-1m": {"l2": 1000.0},
    }

    l2: Positive = 100.0

    def fit(self, train: Interactions, seed: int = 0) -> Scorer:
        """Invert the smaller of the two Gram matrices; nothing is drawn."""
        seen = train.matrix
        by_users = train.num_users < train.num_items
        rows = seen if by_users else seen.T.tocsr()
        gram = _gram(rows)
        gram.flat[:: gram.shape[0] + 1] += np.float32(self.l2)
        try:
            inverse = inverted(gram)
        except LinAlgError:
            raise RunFailedError(f"EASE.l2 = {self.l2}: too small to invert in float32; make it larger") from None
        if by_users:
            return _ByUsers(seen, inverse, _scales(seen, inverse, train.item_degrees.numpy(), self.l2))
        inverse /= -inverse.diagonal()
        np.fill_diagonal(inverse, 0)
        return ItemSimilarity(seen, inverse)


def _gram(rows: sp.csr_matrix) -> np.ndarray:
    out = np.empty((rows.shape[0], rows.shape[0]), dtype=np.float32)
    columns = rows.T.tocsr()
    for first in range(0, len(out), _BLOCK):
        out[first : first + _BLOCK] = (rows[first : first + _BLOCK] @ columns).toarray()
    return out


def inverted(matrix: np.ndarray) -> np.ndarray:
    r"""The inverse of a symmetric positive definite matrix, in the memory of the matrix itself.

    .. math:: A_{KK} \to -A_{KK}^{-1}, \qquad A_{iK} \to A_{iK} A_{KK}^{-1}, \qquad
        A_{ij} \to A_{ij} - A_{iK} A_{KK}^{-1} A_{Kj}

    for one block K of rows and columns after the other leaves :math:`-A^{-1}`. As everything is symmetric the lower
    half is enough. That takes :math:`n^3` multiplications and additions, as many as a Cholesky decomposition and the
    inverse from it, but nearly all in products of large matrices, in which LAPACK's inverse spends a small part.

    Args:
        matrix: ``[n, n]``, overwritten.

    Returns:
        The same array.

    Raises:
        LinAlgError: not positive definite in this precision; what is in ``matrix`` is of no use then.

    Reference:
        The sweep operator of Beaton, 1964, by blocks; Goodnight, A tutorial on the SWEEP operator, The American
        Statistician 1979.

    Example:
        >>> inverted(np.array([[4.0, 0.0], [0.0, 16.0]])).tolist()
        [[0.25, 0.0], [0.0, 0.0625]]
    """
    n = len(matrix)
    product = np.empty(n * min(n, _BLOCK), dtype=matrix.dtype)
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        # A_iK for all i outside of K; rows of K are 0, which leaves them out of the products
        column = np.zeros((n, last - first), dtype=matrix.dtype)
        column[:first] = matrix[first:last, :first].T
        column[last:] = matrix[last:, first:last]
        pivot = cho_factor(matrix[first:last, first:last].astype(np.float64), lower=True, overwrite_a=True)
        solved = cho_solve(pivot, np.eye(last - first), overwrite_b=True).astype(matrix.dtype)
        scaled = column @ solved
        for left in range(0, n, _BLOCK):
            right = min(left + _BLOCK, n)
            part = product[: (n - left) * (right - left)].reshape(n - left, right - left)
            np.matmul(scaled[left:], column[left:right].T, out=part)
            matrix[left:, left:right] -= part
        matrix[first:last, :first] = scaled[:first].T
        matrix[last:, first:last] = scaled[last:]
        matrix[first:last, first:last] = -solved
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        np.negative(matrix[first:last, :last], out=matrix[first:last, :last])
        matrix[:first, first:last] = matrix[first:last, :first].T
    return matrix


def _scales(seen: sp.csr_matrix, inverse: np.ndarray, degrees: np.ndarray, l2: float) -> np.ndarray:
    """1 / diag P from the inverse over users."""
    explained = np.zeros(seen.shape[1])
    for first in range(0, seen.shape[0], _BLOCK):
        rows = seen[first : first + _BLOCK]
        predicted = inverse[first : first + _BLOCK] @ seen
        np.add.at(explained, rows.indices, predicted[rows.nonzero()].astype(np.float64))
    # λ P_ii, at least λ / (λ + d_i), of which rounding must not take anything
    left = np.maximum(1 - explained, l2 / (l2 + degrees))
    return (l2 / left).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _ByUsers:
    seen: sp.csr_matrix
    inverse: np.ndarray
    scales: np.ndarray

    @property
    def num_users(self) -> int:
        return self.seen.shape[0]

    @property
    def num_items(self) -> int:
        return self.seen.shape[1]

    def score(self, users: Tensor) -> Tensor:
        rows = self.seen[users.numpy()]
        scores = (self.inverse[users.numpy()] @ self.seen) * -self.scales
        return torch.from_numpy(rows.toarray() + scores)
