r"""A loss whose positives are all rows of the same class.

| class | function | pairs | negatives |
|---|---|---|---|
| `SupCon` | `sup_con` | all rows of one class, in both views | all other rows of both views |
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import scaled
from graphcl.ops.pairwise import logsumexp_within

__all__ = ["SupCon", "sup_con"]


def sup_con(
    a: Tensor, b: Tensor, y: Tensor, temperature: float | Tensor = 0.1, *, precision: torch.dtype | None = None
) -> Tensor:
    r"""Cross-entropy of finding the rows of one's class among all rows of both views.

    .. math::
        L = \frac{1}{2N} \sum_{i=1}^{2N} \frac{-1}{|P(i)|} \sum_{p \in P(i)}
        \log \frac{e^{\cos(z_i, z_p)/\tau}}{\sum_{k \neq i} e^{\cos(z_i, z_k)/\tau}}

    where :math:`P(i)` are the other rows of the class of i. Their mean score is a product with the sum of a class, so
    that no pair is listed: time is that of `info_nce`, memory grows with N. Where every node is a class of its own the
    loss is `info_nce` with the intra-view negatives.

    Args:
        a: one view ``[N, D]``.
        b: the other ``[N, D]``.
        y: class of each node ``int64 [N]``; −1 where it is unknown: only the node's other view is then its positive.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        precision: as in `info_nce`.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: as `info_nce`; the classes are not int64 [N], at least −1.

    Reference:
        Khosla et al., Supervised contrastive learning, NeurIPS 2020, equation 2.

    Example:
        >>> z = torch.eye(3)
        >>> round(sup_con(z, z, torch.tensor([0, 1, 2]), temperature=1.0).item(), 4)  # log(e + 4) - 1
        0.9048
    """
    a, b, precision = scaled(a, b, temperature, "cosine", precision)
    n = a.size(0)
    if y.dtype != torch.int64 or y.shape != (n,) or y.device != a.device or int(y.min()) < -1:
        raise RequestError(f"classes are {y.dtype} {list(y.shape)} on {y.device}; expected int64 [{n}], at least -1")
    alone = torch.arange(n, device=a.device) + y.max() + 1
    group = torch.where(y < 0, alone, y).unique(return_inverse=True)[1].repeat(2)
    z = torch.cat([a, b])
    counts = torch.bincount(group)
    sums = z.new_zeros(len(counts), z.size(1)).index_add(0, group, z)
    score = (z * (sums[group] - z)).sum(1) / (counts[group] - 1)
    return (logsumexp_within(z, precision=precision) - score).mean()


@dataclass(frozen=True)
class SupCon(Objective):
    r"""`sup_con` as a part of a method; ``positives`` are the classes of the nodes.

    Args:
        temperature: :math:`\tau > 0`.
        precision: as in `InfoNCE`.

    Example:
        >>> SupCon()
        SupCon(temperature=0.1, precision='input')
    """

    temperature: Positive = 0.1
    precision: Literal["input", "bfloat16"] = "input"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` is the class of each node, −1 for none; given ``negatives`` are refused."""
        if negatives is not None:
            raise RequestError("SupCon takes all other rows as negatives; leave `negatives` out")
        if positives is None:
            raise RequestError(
                "SupCon needs `positives`: the class of each node, int64 [N]; without classes use InfoNCE"
            )
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        return sup_con(a, b, positives, self.temperature, precision=precision)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs of rows."""
        if positives is None:
            raise RequestError(
                "SupCon needs `positives`: the class of each node, int64 [N]; without classes use InfoNCE"
            )
        n, z = a.size(0), [*a, *b]
        total = 0.0
        for i in range(2 * n):
            scores = [float(F.cosine_similarity(z[i], z[k], dim=0)) / self.temperature for k in range(2 * n)]
            denominator = sum(math.exp(score) for k, score in enumerate(scores) if k != i)
            own = int(positives[i % n])
            fellows = [
                k for k in range(2 * n) if k != i and (k % n == i % n or (own >= 0 and own == int(positives[k % n])))
            ]
            total -= sum(scores[k] - math.log(denominator) for k in fellows) / len(fellows)
        return total / (2 * n)

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Two views of nodes of three classes, one node without a class."""
        classes = torch.arange(n, device=generator.device) % 4
        return {**super().sample(generator, n, d), "positives": torch.where(classes == 3, -1, classes)}
