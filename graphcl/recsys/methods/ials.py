"""iALS: matrix factorisation of all pairs, seen or not, by alternating least squares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from graphcl.config import NonNegative, Positive, Seed, Size
from graphcl.data.interactions import Interactions
from graphcl.errors import RequestError
from graphcl.evaluate.ranking import Embedded, Scorer
from graphcl.methods.recipe import Paper
from graphcl.recsys.recommender import Recommender
from graphcl.seeding import Seeds, draw_normal

__all__ = ["IALS", "least_squares"]

# numbers that the rows of a batch may take: their neighbours' vectors, and their systems of equations
_NUMBERS = 2**24


@dataclass(frozen=True, kw_only=True)
class IALS(Recommender):
    r"""Vectors of users and items whose products are near 1 for what was seen, and near 0 for everything.

    .. math:: L = \sum_{(u, i) \in S} (x_u^\top y_i - 1)^2 + \alpha_0 \sum_{u, i} (x_u^\top y_i)^2
        + \lambda \sum_u (|I_u| + \alpha_0 I)^\nu \|x_u\|^2 + \lambda \sum_i (|U_i| + \alpha_0 U)^\nu \|y_i\|^2

    All users are solved for exactly with the items held, then all items: the loss never rises. The sum over all pairs
    is :math:`\operatorname{tr}(X^\top X\, Y^\top Y)` and costs nothing.

    Args:
        dim: width of the vectors.
        unobserved: :math:`\alpha_0`, weight of all pairs, above 0.
        l2: λ, above 0.
        frequency: ν; with 0 all vectors are shrunk alike, with 1 in proportion to the pairs that they are in.
        deviation: of what a product of two vectors starts with, about.
        epochs: both half-steps are taken so often.

    Reference:
        Hu, Koren & Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008; the loss as in Rendle
        et al., Revisiting the performance of iALS on item recommendation benchmarks, RecSys 2022, whose advice the
        defaults follow: ν = 1, 16 epochs, a start of small vectors. ``dim``, ``unobserved`` and ``l2`` need tuning on
        each data set; the presets are ours, by validation.

    Example:
        >>> seen = Interactions(users=[0, 0, 1, 2, 2], items=[0, 1, 0, 2, 3], num_users=3, num_items=4)
        >>> IALS(dim=2).fit(seen).score(torch.tensor([1]))[0].argsort(descending=True)[:2].tolist()
        [0, 1]
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False
    paper: ClassVar[Paper | None] = Paper(
        "hu2008collaborative",
        "Collaborative filtering for implicit feedback datasets",
        "ICDM 2008",
        "https://doi.org/10.1109/ICDM.2008.22",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "lastfm": {"unobserved": 0.1, "l2": 0.006},
        "ml-100k": {"unobserved": 0.3, "l2": 0.015},
        "planted-factors": {"unobserved": 0.3, "l2": 0.03},
        "python-imports": {"unobserved": 0.3, "l2": 0.1},
    }

    dim: Size = 64
    unobserved: Positive = 0.1
    l2: Positive = 0.003
    frequency: NonNegative = 1.0
    deviation: Positive = 0.1
    epochs: Size = 16

    def fit(self, train: Interactions, seed: Seed = 0) -> Scorer:
        """Alternate from small random vectors of the items."""
        by_user = train.matrix
        by_item = by_user.T.tocsr()
        generator = Seeds(seed).torch("build")
        items = draw_normal(train.num_items, self.dim, generator=generator, device=generator.device)
        items *= self.deviation / self.dim**0.5
        for _ in range(self.epochs):
            users = least_squares(by_user, items, self.unobserved, self._ridge(by_user))
            items = least_squares(by_item, users, self.unobserved, self._ridge(by_item))
        return Embedded(users, items)

    def _ridge(self, rows: sp.csr_matrix) -> Tensor:
        counts = torch.from_numpy(np.diff(rows.indptr)) + self.unobserved * rows.shape[1]
        return self.l2 * counts.double().pow(self.frequency)


def least_squares(rows: sp.csr_matrix, other: Tensor, unobserved: float, ridge: Tensor) -> Tensor:
    r"""The vectors that fit the interactions best with those of the other side held: one half-step.

    .. math:: x_u = \Big(\sum_{i \in I_u} y_i y_i^\top + \alpha_0 Y^\top Y + \lambda_u I\Big)^{-1} \sum_{i \in I_u} y_i

    Args:
        rows: who has what, ``[U, I]``.
        other: Y, ``[I, D]``.
        unobserved: :math:`\alpha_0`.
        ridge: :math:`\lambda_u`, above 0, ``[U]``.

    Returns:
        ``[U, D]`` in the dtype of Y; 0 for a row without anything.

    Raises:
        RequestError: sizes that do not fit.

    Example:
        >>> one = sp.csr_matrix([[1.0]])
        >>> least_squares(one, torch.tensor([[1.0]]), 0.5, torch.tensor([0.5])).item()  # 1 / (1 + .5 + .5)
        0.5
    """
    if rows.shape[1] != other.size(0) or ridge.shape != (rows.shape[0],):
        raise RequestError(f"rows {list(rows.shape)}, other {list(other.shape)}, ridge {list(ridge.shape)} do not fit")
    dim = other.size(1)
    shared = unobserved * (other.T @ other)
    # rows of one batch are of about one length, and are filled up with a vector of zeros
    padded = torch.cat([other, other.new_zeros(1, dim)])
    indices = torch.from_numpy(rows.indices).long()
    starts = torch.from_numpy(rows.indptr).long()
    lengths = starts.diff()
    order = lengths.argsort(stable=True)
    order = order[lengths[order] > 0]
    out = other.new_zeros(rows.shape[0], dim)
    while len(order):
        longest = int(lengths[order[-1]])
        batch = order[-max(1, _NUMBERS // (dim * max(longest, dim))) :]
        order = order[: len(order) - len(batch)]
        place = torch.arange(longest)
        there = place < lengths[batch, None]
        near = padded[
            torch.where(there, indices[(starts[batch, None] + place).clamp(max=len(indices) - 1)], len(other))
        ]
        systems = torch.baddbmm(shared, near.mT, near)
        systems.diagonal(dim1=1, dim2=2).add_(ridge[batch, None].to(other.dtype))
        out[batch] = torch.cholesky_solve(near.sum(1)[:, :, None], torch.linalg.cholesky(systems))[:, :, 0]
    return out
