r"""Losses without negatives: two views agree, and the dimensions of an embedding do not repeat each other.

| class | function | invariance | decorrelation |
|---|---|---|---|
| `CCA` | `cca` | correlation of each dimension between the views | squared off-diagonal correlation within a view |
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from graphcl.config import NonNegative
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective

__all__ = ["CCA", "cca"]


def _standardised(h: Tensor) -> Tensor:
    # a collapsed dimension has no spread beyond rounding: it stays zero, and so does its gradient, instead of becoming
    # NaN (the root of a zero variance has an infinite slope, so that it must not be taken there at all)
    centred = h - h.mean(0)
    variance = centred.pow(2).sum(0).div(h.size(0) - 1)
    live = variance > (16 * torch.finfo(h.dtype).eps * h.detach().abs().amax(0)) ** 2
    spread = torch.where(live, variance, torch.ones_like(variance)).sqrt()
    return torch.where(live, centred / spread, torch.zeros_like(centred))


def cca(a: Tensor, b: Tensor, decorrelation: float = 1e-3) -> Tensor:
    r"""Soft canonical correlation analysis of two views.

    .. math::
        L = -\operatorname{tr} C_{ab}
        + \lambda \left(\lVert C_{aa} - I \rVert_F^2 + \lVert C_{bb} - I \rVert_F^2\right),
        \qquad C_{ab} = \tfrac1N \tilde A^\top \tilde B

    where tilde standardises every dimension over the nodes (sample deviation, N − 1). The trace term is
    :math:`\frac1N\sum_i (\lVert\tilde a_i - \tilde b_i\rVert^2)/2` up to a constant: the paper's invariance term.

    Args:
        a: one view ``[N, D]``, N ≥ 2.
        b: the other ``[N, D]``.
        decorrelation: :math:`\lambda \ge 0`.

    Returns:
        A scalar; at best about −D.

    Raises:
        RequestError: shapes differ or N < 2.

    Reference:
        Zhang et al., From canonical correlation analysis to self-supervised graph neural networks, NeurIPS 2021,
        equation 3. Paper and released code agree on dividing the products by N after standardising.

    Example:
        >>> h = torch.tensor([[1.0], [-1.0]])
        >>> round(cca(h, h, decorrelation=0.0).item(), 4)
        -0.5
    """
    if a.dim() != 2 or a.shape != b.shape or a.size(0) < 2:
        raise RequestError(f"embeddings have shapes {list(a.shape)} and {list(b.shape)}; both must be [N, D], N >= 2")
    n, d = a.shape
    a, b = _standardised(a), _standardised(b)
    invariance = -(a * b).sum() / n
    identity = torch.eye(d, dtype=a.dtype, device=a.device)
    redundancy = sum(((h.T @ h) / n - identity).pow(2).sum() for h in (a, b))
    return invariance + decorrelation * redundancy


@dataclass(frozen=True)
class CCA(Objective):
    """`cca` as a part of a method.

    Args:
        decorrelation: weight of the decorrelation term, λ ≥ 0.

    Example:
        >>> CCA()
        CCA(decorrelation=0.001)
    """

    decorrelation: NonNegative = 1e-3

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, ``negatives`` are refused (there are none)."""
        if negatives is not None:
            raise RequestError("CCA has no negatives; leave `negatives` out")
        return cca(a, b if positives is None else b[positives], self.decorrelation)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over dimensions."""
        n, d = a.shape
        b = b if positives is None else b[positives]

        def standard(h: Tensor) -> list[list[float]]:
            columns = []
            for k in range(d):
                column = h[:, k].tolist()
                mean = sum(column) / n
                deviation = (sum((value - mean) ** 2 for value in column) / (n - 1)) ** 0.5
                columns.append([(value - mean) / deviation for value in column])
            return columns

        p, q = standard(a), standard(b)
        total = -sum(p[k][i] * q[k][i] for k in range(d) for i in range(n)) / n
        for view in (p, q):
            for k in range(d):
                for m in range(d):
                    product = sum(view[k][i] * view[m][i] for i in range(n)) / n
                    total += self.decorrelation * (product - (k == m)) ** 2
        return total
