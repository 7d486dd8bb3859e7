"""GF-CF: a linear and an ideal low-pass filter on the graph of items, without training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from graphcl.config import NonNegative, Seed, Size
from graphcl.data.interactions import Interactions
from graphcl.evaluate.ranking import Scorer
from graphcl.methods.recipe import Paper
from graphcl.recsys.recommender import Recommender
from graphcl.recsys.similarity import inverse_powers
from graphcl.seeding import Seeds

__all__ = ["GFCF"]

# singular values below are what rounding leaves of a zero
_ZERO = 1e-6


@dataclass(frozen=True, kw_only=True)
class GFCF(Recommender):
    r"""Smooth what a user has over the graph of items: by its normalised Gram matrix, and by its strongest directions.

    .. math:: s_u = r_u \big(\tilde R^\top \tilde R + \alpha\, D_I^{-1/2} V V^\top D_I^{1/2}\big), \qquad
        \tilde R = D_U^{-1/2} R\, D_I^{-1/2}

    V holds the right singular vectors of the q largest singular values of :math:`\tilde R`. As
    :math:`r_u D_I^{-1/2} = d_u^{1/2} \tilde r_u`, the second part is a product of two thin matrices. The vectors are
    found by Lanczos iteration (ARPACK) to the precision of the machine: this spectrum falls slowly, and a randomised
    decomposition of a few steps would give other directions than the strongest. The seed draws the start; where the
    q-th singular value comes more than once, on it depends which of its directions are taken.

    Args:
        alpha: α, weight of the ideal filter, 0 or more.
        rank: q; where R has fewer rows or columns, all directions are taken.

    Reference:
        Shen et al., How powerful is graph convolution for recommendation?, CIKM 2021, equation 14 and section 5;
        settings of the authors' code, which leaves the ideal filter out on Amazon-Book; ours for the small sets, by
        validation.

    Example:
        >>> seen = Interactions(users=[0, 0, 1, 1], items=[0, 1, 1, 2], num_users=2, num_items=4)
        >>> scores = GFCF(alpha=0.0).fit(seen).score(torch.tensor([0]))
        >>> [round(score, 4) for score in scores[0].tolist()]
        [0.8536, 0.8536, 0.3536, 0.0]
    """

    name: ClassVar[str] = "gf-cf"
    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False
    paper: ClassVar[Paper | None] = Paper(
        "shen2021powerful",
        "How powerful is graph convolution for recommendation?",
        "CIKM 2021",
        "https://arxiv.org/abs/2108.07567",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "amazon-book": {"alpha": 0.0},
        "lastfm": {"rank": 128},
        "ml-100k": {"alpha": 0.1, "rank": 64},
        "planted-factors": {"rank": 16},
        "python-imports": {"rank": 16},
    }

    alpha: NonNegative = 0.3
    rank: Size = 256

    def fit(self, train: Interactions, seed: Seed = 0) -> Scorer:
        """Find the singular vectors."""
        of_users, of_items = (inverse_powers(d, 0.5) for d in (train.user_degrees, train.item_degrees))
        normal = (sp.diags(of_users) @ train.matrix.astype(np.float64) @ sp.diags(of_items)).tocsr()
        users, items = np.zeros((train.num_users, 0)), np.zeros((train.num_items, 0))
        if self.alpha and len(train):
            left, singular, right = _strongest(normal, self.rank, Seeds(seed).numpy("start"))
            users = train.user_degrees.sqrt().numpy()[:, None] * left * (self.alpha * singular)
            items = train.item_degrees.sqrt().numpy()[:, None] * right
        thin = [torch.from_numpy(part.astype(np.float32)) for part in (users, items)]
        return _Filtered(train.matrix, normal.astype(np.float32), normal.T.tocsr().astype(np.float32), *thin)


def _strongest(
    matrix: sp.csr_matrix, rank: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular triplets of the largest singular values that are not 0: ``[U, q]``, ``[q]`` and ``[I, q]``."""
    if min(matrix.shape) > 2 * rank:
        start = generator.standard_normal(min(matrix.shape))
        left, singular, right = svds(matrix, k=rank, v0=start, solver="arpack")
        kept = singular > _ZERO
        return left[:, kept], singular[kept], right[kept].T
    # Lanczos vectors would fill the space: the eigenvectors of the smaller Gram matrix cost no more
    flat = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares, vectors = np.linalg.eigh((flat @ flat.T).toarray())
    kept = np.flatnonzero(squares > _ZERO**2)[-rank:]
    near, singular = vectors[:, kept], np.sqrt(squares[kept])
    far = flat.T @ near / singular
    return (near, singular, far) if flat is matrix else (far, singular, near)


@dataclass(frozen=True, eq=False)
class _Filtered:
    seen: sp.csr_matrix
    normal: sp.csr_matrix
    turned: sp.csr_matrix
    users: Tensor
    items: Tensor

    @property
    def num_users(self) -> int:
        return self.seen.shape[0]

    @property
    def num_items(self) -> int:
        return self.seen.shape[1]

    def score(self, users: Tensor) -> Tensor:
        linear = (self.seen[users.numpy()] @ self.turned @ self.normal).toarray()
        return torch.from_numpy(linear).addmm_(self.users[users], self.items.T)
