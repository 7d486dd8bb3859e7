"""Several positives for each anchor, and negatives that none of them is among."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import listed, scaled
from graphcl.ops.pairwise import logsumexp_between, pair_products

__all__ = ["MultiPositiveNCE", "multi_positive_nce"]


def multi_positive_nce(
    a: Tensor,
    b: Tensor,
    temperature: float | Tensor = 0.5,
    symmetric: bool = False,
    *,
    positives: Tensor | None = None,
    precision: torch.dtype | None = None,
) -> Tensor:
    r"""Each anchor's positives drawn up one by one, against all rows that are no positive of it.

    .. math:: L = -\frac1N \sum_i \frac{1}{|P_i|} \sum_{j \in P_i}
              \log \frac{e^{\cos(a_i, b_j)/\tau}}{\sum_{k \notin P_i} e^{\cos(a_i, b_k)/\tau}}

    With one positive each it is `decoupled_info_nce`. No matrix of all pairs is formed.

    Args:
        a: anchors ``[N, D]``.
        b: candidates ``[M, D]``.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        symmetric: whether rows of ``b`` are anchors too, of the same pairs; the loss is then the mean of both.
        positives: ``int64 [2, P]``, pairs of a row of ``a`` and a row of ``b``, each once, at least one for each
            anchor; or ``int64 [N]``, one row of ``b`` for each row of ``a``. ``None`` pairs row i with row i.
        precision: as in `info_nce`.

    Returns:
        A scalar.

    Raises:
        RequestError: shapes, types or devices differ, values are not finite, a row is zero, a pair is out of range, or
            an anchor has no positive or no negative.

    Reference:
        Wan et al., S3GCL, ICML 2024, and, symmetric, Liu et al., GREET, AAAI 2023, equation 13: what their released
        codes minimise.

    Example:
        >>> z = torch.eye(3)
        >>> pairs = torch.tensor([[0, 0, 1, 2], [0, 1, 1, 2]])
        >>> round(multi_positive_nce(z, z, 1.0, positives=pairs).item(), 4)  # (-1/2 + 2 (log 2 - 1)) / 3
        -0.3712
    """
    a, b, precision = scaled(a, b, temperature, "cosine", precision, same_rows=False)
    pairs = listed(positives, a.size(0), b.size(0), a.device)
    of_a, of_b = logsumexp_between(a, b, excluded=pairs, precision=precision)
    products = pair_products(a, b, pairs)
    loss = _side(products, pairs[0], of_a)
    return (loss + _side(products, pairs[1], of_b)) / 2 if symmetric else loss


def _side(products: Tensor, anchor: Tensor, negative: Tensor) -> Tensor:
    count = torch.bincount(anchor, minlength=negative.numel())
    if int(count.min()) == 0:
        raise RequestError(f"row {int(count.argmin())} has no positive; pair each anchor with one row at least")
    if bool((negative == -torch.inf).any()):
        row = int((negative == -torch.inf).nonzero()[0])
        raise RequestError(
            f"row {row} has no negative: every candidate is its positive; give fewer (`neighbours` of a "
            "method), or leave out a node that is joined to all others"
        )
    mean = torch.zeros_like(negative).index_add(0, anchor, products.to(negative)) / count
    return (negative - mean).mean()


@dataclass(frozen=True)
class MultiPositiveNCE(Objective):
    r"""`multi_positive_nce` as a part of a method: the loss of S3GCL and (symmetric) GREET.

    Args:
        temperature: :math:`\tau > 0`.
        symmetric: whether rows of ``b`` are anchors too.

    Example:
        >>> MultiPositiveNCE(0.2, symmetric=True)
        MultiPositiveNCE(temperature=0.2, symmetric=True)
    """

    temperature: Positive = 0.5
    symmetric: bool = False

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; given ``negatives`` are refused (all rows that are no positive are)."""
        if negatives is not None:
            raise RequestError("MultiPositiveNCE takes all rows that are no positive; leave `negatives` out")
        return multi_positive_nce(a, b, self.temperature, self.symmetric, positives=positives)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n, m = a.size(0), b.size(0)
        if positives is None:
            pairs = {(i, i) for i in range(n)}
        elif positives.dim() == 1:
            pairs = set(enumerate(positives.tolist()))
        else:
            pairs = {(i, j) for i, j in positives.T.tolist()}
        score = [[float(F.cosine_similarity(a[i], b[j], dim=0)) / self.temperature for j in range(m)] for i in range(n)]

        def one_way(count: int, others: int, turned: bool) -> float:
            total = 0.0
            for i in range(count):
                row = [score[j][i] if turned else score[i][j] for j in range(others)]
                mine = [j for j in range(others) if ((j, i) if turned else (i, j)) in pairs]
                below = sum(math.exp(row[j]) for j in range(others) if j not in mine)
                total -= sum(row[j] - math.log(below) for j in mine) / len(mine)
            return total / count

        loss = one_way(n, m, False)
        return (loss + one_way(m, n, True)) / 2 if self.symmetric else loss
