"""Scores by similarity: the interactions times a matrix that says how alike items, or users, are.

| member | what it gives |
|---|---|
| `largest_products` | the largest entries of each row of a product of sparse matrices, which is never dense |
| `largest_of_rows` | the same of a matrix that is there |
| `ItemSimilarity` | scores of items that are like those a user has |
| `UserSimilarity` | scores of items that users like this one have |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from graphcl.errors import DataError

__all__ = ["ItemSimilarity", "UserSimilarity", "inverse_powers", "largest_of_rows", "largest_products"]

Adjust: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

# entries that a block of rows may have, of 12 bytes each; some copies of them are alive at once
_ENTRIES = 2**24


def _dense(product: sp.csr_matrix | np.ndarray) -> Tensor:
    values = product if isinstance(product, np.ndarray) else product.toarray()
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _square(similarity: sp.csr_matrix | np.ndarray, size: int, what: str) -> None:
    if similarity.shape != (size, size):
        raise DataError(f"a similarity of {list(similarity.shape)} for {size} {what}; make it [{size}, {size}]")


@dataclass(frozen=True, eq=False)
class ItemSimilarity:
    r"""Score items by what those that a user has say about them.

    .. math:: s_{ui} = b_i + \sum_{j : R_{uj} = 1} W_{ji}

    Args:
        seen: R, ``[U, I]``.
        similarity: W, ``[I, I]``, sparse or dense: row j is what having item j says for each item.
        offset: b, ``float32 [I]``, what each item has for everybody; 0 where ``None``.

    Raises:
        DataError: W is not I × I, or b not I long.

    Example:
        >>> seen = sp.csr_matrix([[1.0, 0.0, 1.0]])
        >>> alike = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
        >>> ItemSimilarity(seen, alike).score(torch.tensor([0])).tolist()
        [[0.0, 5.0, 0.0]]
    """

    seen: sp.csr_matrix
    similarity: sp.csr_matrix | np.ndarray
    offset: Tensor | None = None

    def __post_init__(self) -> None:
        _square(self.similarity, self.seen.shape[1], "items")
        if self.offset is not None and self.offset.shape != (self.num_items,):
            raise DataError(f"an offset of {list(self.offset.shape)} for {self.num_items} items; one each")

    @property
    def num_users(self) -> int:
        """U."""
        return self.seen.shape[0]

    @property
    def num_items(self) -> int:
        """I."""
        return self.seen.shape[1]

    def score(self, users: Tensor) -> Tensor:
        """Scores of all items for some users, ``float32 [B, I]``."""
        scores = _dense(self.seen[users.numpy()] @ self.similarity)
        return scores if self.offset is None else scores + self.offset


@dataclass(frozen=True, eq=False)
class UserSimilarity:
    r"""Score items by how alike the users are who have them.

    .. math:: s_{ui} = \sum_{v : R_{vi} = 1} W_{uv}

    Args:
        seen: R, ``[U, I]``.
        similarity: W, ``[U, U]``, sparse or dense: row u is what each user counts for user u.

    Raises:
        DataError: W is not U × U.

    Example:
        >>> seen = sp.csr_matrix([[1.0, 0.0], [1.0, 1.0]])
        >>> UserSimilarity(seen, np.array([[0.0, 0.5], [0.5, 0.0]])).score(torch.tensor([0])).tolist()
        [[0.5, 0.5]]
    """

    seen: sp.csr_matrix
    similarity: sp.csr_matrix | np.ndarray

    def __post_init__(self) -> None:
        _square(self.similarity, self.seen.shape[0], "users")

    @property
    def num_users(self) -> int:
        """U."""
        return self.seen.shape[0]

    @property
    def num_items(self) -> int:
        """I."""
        return self.seen.shape[1]

    def score(self, users: Tensor) -> Tensor:
        """Scores of all items for some users, ``float32 [B, I]``."""
        return _dense(self.similarity[users.numpy()] @ self.seen)


def inverse_powers(counts: Tensor, power: float) -> np.ndarray:
    r"""Counts to a negative power, 0 where the count is 0.

    .. math:: d_i^{-p}

    Args:
        counts: d, whole numbers.
        power: p.

    Returns:
        ``float64`` of the same length.

    Example:
        >>> inverse_powers(torch.tensor([4, 0, 1]), 0.5).tolist()
        [0.5, 0.0, 1.0]
    """
    values = counts.double()
    return torch.where(values > 0, values.clamp(min=1).pow(-power), 0.0).numpy()


def largest_products(
    left: sp.csr_matrix, right: sp.csr_matrix, k: int, adjusted: Adjust | None = None
) -> sp.csr_matrix:
    r"""The k largest entries of each row of a square product, beside the diagonal, block of rows by block.

    .. math:: S_{ij} = f\big(i, j, (L R)_{ij}\big) \quad\text{where it is among the } k \text{ largest of row } i,
        \text{ above } 0, \text{ and } j \ne i

    Of equal entries the one of the smaller column is kept first. The product costs a multiplication for each pair of
    entries that meet in it; N × N memory is not needed.

    Args:
        left: L, ``[N, M]``.
        right: R, ``[M, N]``.
        k: entries kept of each row; where fewer are above 0, all of them.
        adjusted: f, of the rows, columns and values of the entries of the product that are not zero.

    Returns:
        ``[N, N]`` in the dtype of what f returns, columns in order.

    Example:
        >>> pairs = sp.csr_matrix([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> largest_products(pairs.T.tocsr(), pairs, 1).toarray().tolist()  # items 1 and 2 share two users
        [[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 2.0, 0.0]]
    """
    n = left.shape[0]
    rows_at_once = max(1, _ENTRIES // max(1, right.shape[1]))
    blocks = [sp.csr_matrix((0, n), dtype=left.dtype)]
    for first in range(0, n, rows_at_once):
        product = (left[first : first + rows_at_once] @ right).tocsr()
        rows = np.repeat(np.arange(first, first + product.shape[0]), np.diff(product.indptr))
        if adjusted is not None:
            product.data = adjusted(rows, product.indices, product.data)
        product.data[product.indices == rows] = 0
        blocks.append(largest_of_rows(product, k))
    return sp.vstack(blocks, format="csr")


def largest_of_rows(matrix: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k largest entries of each row that are above 0, of equal ones those of smaller columns.

    Args:
        matrix: ``[N, M]``.
        k: entries kept of each row; where fewer are above 0, all of them.

    Returns:
        ``[N, M]``, columns in order.

    Example:
        >>> largest_of_rows(sp.csr_matrix([[2.0, 1.0, 2.0, 3.0]]), 2).toarray().tolist()
        [[2.0, 0.0, 0.0, 3.0]]
    """
    matrix = matrix.sorted_indices()
    kept = matrix.data > 0
    for row in np.flatnonzero(np.diff(matrix.indptr) > k):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        kept[part] &= _largest(matrix.data[part], k)
    pointer = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sp.csr_matrix((matrix.data[kept], matrix.indices[kept], pointer), shape=matrix.shape)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Which are the k largest, the first of equal ones."""
    least = np.partition(values, len(values) - k)[len(values) - k]
    chosen = values > least
    chosen[np.flatnonzero(values == least)[: k - int(chosen.sum())]] = True
    return chosen
