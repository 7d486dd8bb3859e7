r"""A loss whose minimisers are eigenvectors: the factors of the graph of positive pairs.

| class | function | pairs | negatives |
|---|---|---|---|
| `SpectralContrast` | `spectral_contrast` | node i with node i, or listed | all other pairs of the views, or listed |
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from graphcl.config import NonNegative
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import Similarity, alike, finite, listed, unit, wide
from graphcl.ops.pairwise import pair_products

__all__ = ["SpectralContrast", "spectral_contrast"]


def spectral_contrast(
    a: Tensor,
    b: Tensor,
    positives: Tensor | None = None,
    negatives: Tensor | None = None,
    repulsion: float = 1.0,
    *,
    similarity: Similarity = "cosine",
) -> Tensor:
    r"""Products of positive pairs, drawn up, and squared products of negative pairs, drawn to zero.

    .. math:: L = -2 \operatorname*{mean}_{(i,j) \in P} s_{ij} + \kappa \operatorname*{mean}_{(i,k) \in Q} s_{ik}^2

    Over all pairs, the second mean needs the D × D products of the dimensions only,
    :math:`\sum_{ij} (a_i \cdot b_j)^2 = \langle A^\top A, B^\top B \rangle`: time grows with N, not with its square.

    Args:
        a: one view ``[N, D]``, or the embeddings of the nodes.
        b: the other ``[M, D]``, or the same embeddings again.
        positives: P as ``int64 [2, P]``, or ``int64 [N]``, the row of ``b`` for each row of ``a``. ``None`` pairs row i
            with row i.
        negatives: Q as ``int64 [2, Q]``. ``None`` takes all pairs that are not positive.
        repulsion: :math:`\kappa \ge 0`.
        similarity: ``"cosine"``, or ``"dot"`` for plain products.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: shapes, types or devices do not fit, values are not finite, a row is zero under the cosine, a pair
            is out of range, there are no negatives.

    Reference:
        HaoChen et al., Provable guarantees for self-supervised deep learning with spectral contrastive loss, NeurIPS
        2021, with products and :math:`\kappa = 1`. Wang et al., Single-pass contrastive learning can work for both
        homophilic and heterophilic graph (SP-GCL), TMLR 2023, with cosines between nodes of one pass and listed pairs;
        its released code sums over the negatives of a node, so that :math:`\kappa` is their number.

    Example:
        >>> spectral_contrast(torch.eye(3), torch.eye(3)).item()
        -2.0
    """
    if not 0 <= repulsion < torch.inf:
        raise RequestError(f"repulsion = {repulsion}: input should be 0 or more")
    if similarity not in ("cosine", "dot"):
        raise RequestError(f"similarity = {similarity!r}: should be 'cosine' or 'dot'")
    alike(a, b, same_rows=False)
    rows = unit if similarity == "cosine" else finite
    a, b = rows(wide(a), "a"), rows(wide(b), "b")
    n, m = a.size(0), b.size(0)
    pairs = listed(positives, n, m, a.device)
    near = pair_products(a, b, pairs)
    if negatives is not None:
        far = pair_products(a, b, listed(negatives, n, m, a.device)).pow(2).mean()
    else:
        pairs = pairs if positives is None else pairs.unique(dim=1)
        count = n * m - pairs.size(1)
        if count == 0:
            raise RequestError("all pairs are positive: there is no negative; list fewer `positives`")
        held = near if positives is None else pair_products(a, b, pairs)
        far = (((a.T @ a) * (b.T @ b)).sum() - held.pow(2).sum()) / count
    return -2 * near.mean() + repulsion * far


@dataclass(frozen=True)
class SpectralContrast(Objective):
    r"""`spectral_contrast` as a part of a method.

    Args:
        repulsion: :math:`\kappa \ge 0`, the weight of the negatives.
        similarity: ``"cosine"`` or ``"dot"``.

    Example:
        >>> SpectralContrast(similarity="dot")
        SpectralContrast(repulsion=1.0, similarity='dot')
    """

    repulsion: NonNegative = 1.0
    similarity: Literal["cosine", "dot"] = "cosine"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` as in `spectral_contrast`, ``negatives`` are pairs or ``None`` for all others."""
        if negatives is not None and (negatives.dtype != torch.int64 or negatives.dim() != 2):
            raise RequestError("SpectralContrast takes `negatives` as pairs of rows, int64 [2, P]")
        return spectral_contrast(a, b, positives, negatives, self.repulsion, similarity=self.similarity)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n, m = a.size(0), b.size(0)
        if positives is None:
            near = [(i, i) for i in range(n)]
        elif positives.dim() == 1:
            near = list(enumerate(positives.tolist()))
        else:
            near = [(int(i), int(j)) for i, j in positives.T]
        if negatives is None:
            far = [(i, j) for i in range(n) for j in range(m) if (i, j) not in near]
        else:
            far = [(int(i), int(j)) for i, j in negatives.T]

        def score(i: int, j: int) -> float:
            lengths = float(a[i].norm() * b[j].norm()) if self.similarity == "cosine" else 1.0
            return float(a[i] @ b[j]) / lengths

        attraction = sum(score(i, j) for i, j in near) / len(near)
        return -2 * attraction + self.repulsion * sum(score(i, j) ** 2 for i, j in far) / len(far)
