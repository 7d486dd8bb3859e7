r"""Losses without negatives: two views agree, and the dimensions of an embedding do not repeat each other.

| class | function | invariance | decorrelation |
|---|---|---|---|
| `CCA` | `cca` | correlation of each dimension between the views | squared off-diagonal correlation within a view |
| `BarlowTwins` | `barlow_twins` | squared distance of that correlation from 1 | the same between the views |
| `VICReg` | `vicreg` | mean squared difference of the views | squared covariance within a view, and a least deviation |
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import NonNegative, Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import alike, finite, reordered, wide

__all__ = ["CCA", "BarlowTwins", "VICReg", "barlow_twins", "cca", "vicreg"]


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
        RequestError: shapes, types or devices differ, or N < 2.
        EmbeddingError: a row holds NaN or infinity.

    Reference:
        Zhang et al., From canonical correlation analysis to self-supervised graph neural networks, NeurIPS 2021,
        equation 3. Paper and released code agree on dividing the products by N after standardising.

    Example:
        >>> h = torch.tensor([[1.0], [-1.0]])
        >>> round(cca(h, h, decorrelation=0.0).item(), 4)
        -0.5
    """
    a, b = _checked(a, b)
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


def _checked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    alike(a, b)
    if a.size(0) < 2:
        raise RequestError("one node has no spread: embeddings must be [N, D], N >= 2")
    return finite(wide(a), "a"), finite(wide(b), "b")


def _products(a: Tensor, b: Tensor) -> Tensor:
    # autocast would sum over the nodes in the format of the rows, but hand on 8 bits of it
    with torch.autocast(a.device.type, enabled=False):
        return a.T @ b


def barlow_twins(a: Tensor, b: Tensor, decorrelation: float | None = None) -> Tensor:
    r"""Cross-correlation of the dimensions of two views pulled to the identity.

    .. math:: L = \sum_k (1 - C_{kk})^2 + \lambda \sum_{k \neq l} C_{kl}^2, \qquad C = \tfrac1N \tilde A^\top \tilde B

    where tilde standardises every dimension over the nodes (sample deviation, N − 1). Two equal views with uncorrelated
    dimensions score :math:`D / N^2`, and not 0, as products are divided by N. A dimension that is constant counts 1.

    Args:
        a: one view ``[N, D]``, N ≥ 2.
        b: the other ``[N, D]``.
        decorrelation: :math:`\lambda \ge 0`; ``None`` takes 1/D.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: shapes or types differ, N < 2, values are not finite.

    Reference:
        Zbontar et al., Barlow twins, ICML 2021, equation 1 (:math:`\lambda` 0.005); on graphs, with 1/D: Bielak et al.,
        Graph Barlow twins, Knowledge-Based Systems 2022. The released code of the latter standardises by N − 1 and
        divides by N, as here.

    Example:
        >>> h = torch.tensor([[1.0], [-1.0]])
        >>> barlow_twins(h, h).item()  # the correlation comes out as 1/2
        0.25
    """
    a, b = _checked(a, b)
    if decorrelation is not None and not decorrelation >= 0:
        raise RequestError(f"decorrelation = {decorrelation}: input should be 0 or more")
    n, d = a.shape
    correlation = _products(_standardised(a), _standardised(b)) / n
    own = correlation.diagonal()
    others = correlation - own.diag()
    weight = 1 / d if decorrelation is None else decorrelation
    return (1 - own).pow(2).sum() + weight * others.pow(2).sum()


@dataclass(frozen=True)
class BarlowTwins(Objective):
    """`barlow_twins` as a part of a method.

    Args:
        decorrelation: weight of the off-diagonal term, λ ≥ 0; ``None`` takes one over the width.

    Example:
        >>> BarlowTwins()
        BarlowTwins(decorrelation=None)
    """

    decorrelation: NonNegative | None = None

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, ``negatives`` are refused (there are none)."""
        if negatives is not None:
            raise RequestError("BarlowTwins has no negatives; leave `negatives` out")
        return barlow_twins(a, reordered(b, positives, a.size(0)), self.decorrelation)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over dimensions."""
        n, d = a.shape
        b = b if positives is None else b[positives]
        weight = 1 / d if self.decorrelation is None else self.decorrelation
        total = 0.0
        for k in range(d):
            p = a[:, k].tolist()
            for m in range(d):
                q = b[:, m].tolist()
                p_mean, q_mean = sum(p) / n, sum(q) / n
                product = sum((u - p_mean) * (v - q_mean) for u, v in zip(p, q, strict=True)) / n
                p_spread = (sum((u - p_mean) ** 2 for u in p) / (n - 1)) ** 0.5
                q_spread = (sum((v - q_mean) ** 2 for v in q) / (n - 1)) ** 0.5
                correlation = product / (p_spread * q_spread)
                total += (1 - correlation) ** 2 if k == m else weight * correlation**2
        return total


def vicreg(
    a: Tensor,
    b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    *,
    spread: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    r"""Two views agree, every dimension keeps a least deviation, and no two dimensions vary together.

    .. math::
        L = \frac{\lambda}{ND} \sum_i \lVert a_i - b_i \rVert^2
        + \frac{\mu}{2} \left(v(A) + v(B)\right) + \nu \left(c(A) + c(B)\right)

    .. math::
        v(H) = \frac1D \sum_k \max\left(0, \gamma - \sqrt{\operatorname{Var} h_k + \epsilon}\right), \qquad
        c(H) = \frac1D \sum_{k \neq l} \operatorname{Cov}(h_k, h_l)^2

    with sample variances and covariances (N − 1).

    Args:
        a: one view ``[N, D]``, N ≥ 2.
        b: the other ``[N, D]``.
        invariance: :math:`\lambda \ge 0`.
        variance: :math:`\mu \ge 0`.
        covariance: :math:`\nu \ge 0`.
        spread: :math:`\gamma > 0`, the least deviation.
        eps: :math:`\epsilon > 0`, keeps the root differentiable where a dimension is constant.

    Returns:
        A scalar, not negative; float32 for 16-bit input.

    Raises:
        RequestError: shapes or types differ, N < 2, values are not finite, a weight is negative.

    Reference:
        Bardes et al., VICReg, ICLR 2022, equations 1 to 6. As the released code, which the published weights belong to:
        equation 5 sums the squared differences over the dimensions and equation 6 the two variance terms, the code
        takes the mean of both.

    Example:
        >>> h = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> vicreg(h, h).item()  # spread out and uncorrelated
        0.0
    """
    a, b = _checked(a, b)
    named = {"invariance": invariance, "variance": variance, "covariance": covariance}
    for name, value in named.items():
        if not value >= 0:
            raise RequestError(f"{name} = {value}: input should be 0 or more")
    if not (spread > 0 and eps > 0):
        raise RequestError(f"spread = {spread}, eps = {eps}: both should be greater than 0")
    n, d = a.shape
    loss = invariance * (a - b).pow(2).mean()
    for h in (a, b):
        centred = h - h.mean(0)
        products = _products(centred, centred) / (n - 1)
        own = products.diagonal()
        loss = loss + variance * F.relu(spread - (own + eps).sqrt()).mean() / 2
        loss = loss + covariance * (products - own.diag()).pow(2).sum() / d
    return loss


@dataclass(frozen=True)
class VICReg(Objective):
    """`vicreg` as a part of a method.

    Args:
        invariance: weight of the agreement of the views, at least 0.
        variance: weight of the deviation of each dimension, at least 0.
        covariance: weight of the covariance of the dimensions, at least 0.
        spread: the least deviation, above 0.
        eps: added to variances under the root, above 0.

    Example:
        >>> VICReg()
        VICReg(invariance=25.0, variance=25.0, covariance=1.0, spread=1.0, eps=0.0001)
    """

    name: ClassVar[str] = "vicreg"

    invariance: NonNegative = 25.0
    variance: NonNegative = 25.0
    covariance: NonNegative = 1.0
    spread: Positive = 1.0
    eps: Positive = 1e-4

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, ``negatives`` are refused (there are none)."""
        if negatives is not None:
            raise RequestError("VICReg has no negatives; leave `negatives` out")
        weights = (self.invariance, self.variance, self.covariance)
        return vicreg(a, reordered(b, positives, a.size(0)), *weights, spread=self.spread, eps=self.eps)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over nodes and dimensions."""
        n, d = a.shape
        b = b if positives is None else b[positives]
        apart = sum((float(a[i, k]) - float(b[i, k])) ** 2 for i in range(n) for k in range(d)) / (n * d)
        narrow = together = 0.0
        for view in (a.tolist(), b.tolist()):
            mean = [sum(row[k] for row in view) / n for k in range(d)]
            for k in range(d):
                for m in range(d):
                    joint = sum((row[k] - mean[k]) * (row[m] - mean[m]) for row in view) / (n - 1)
                    if k == m:
                        narrow += max(0.0, self.spread - (joint + self.eps) ** 0.5) / (2 * d)
                    else:
                        together += joint**2 / d
        return self.invariance * apart + self.variance * narrow + self.covariance * together
