r"""Losses of distances: a positive should be nearer than a negative, by a margin.

| class | function | penalty of an anchor |
|---|---|---|
| `TripletMargin` | `triplet_margin` | :math:`\max(0, d^+ - d^- + \alpha)` |
| `BoundedTriplet` | the same + `distance_bound` | the same, and :math:`\max(0, d^- - d^+ - \alpha - \beta)` |

The functions take distances, so that a method that measures some of them once, or detaches some, says so in its own
words; `row_distances` measures them. The objectives take embeddings.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import NonNegative
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import alike, finite, reordered, wide

__all__ = ["BoundedTriplet", "TripletMargin", "distance_bound", "row_distances", "triplet_margin"]


def row_distances(a: Tensor, b: Tensor) -> Tensor:
    r"""Euclidean distances of rows of one set from rows of another.

    .. math:: d_r = \lVert a_{r \bmod N} - b_r \rVert

    Args:
        a: anchors ``[N, D]``.
        b: ``[N, D]``, or ``[k N, D]``: k rows for each anchor, row r for anchor r mod N.

    Returns:
        ``[N]``, or ``[k, N]`` for ``[k N, D]``; the gradient of a distance of zero is zero.

    Raises:
        RequestError: shapes, types or devices do not fit, values are not finite.

    Example:
        >>> row_distances(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).tolist()
        [5.0]
    """
    alike(a, b, same_rows=False)
    if b.size(0) % a.size(0):
        raise RequestError(f"{b.size(0)} rows for {a.size(0)} anchors: should be as many for each anchor")
    a, b = finite(wide(a), "a"), finite(wide(b), "b")
    if a.size(0) == b.size(0):
        return (a - b).norm(dim=1)
    return (a - b.view(-1, *a.shape)).norm(dim=2)


def triplet_margin(near: Tensor, far: Tensor, margin: float = 1.0) -> Tensor:
    r"""Mean amount by which positives fail to be nearer than negatives by a margin.

    .. math:: L = \operatorname{mean} \max(0, d^+ - d^- + \alpha)

    Args:
        near: distances from the positives :math:`d^+`, ``[N]``.
        far: distances from the negatives :math:`d^-`, ``[N]``, or ``[k, N]``.
        margin: :math:`\alpha \ge 0`.

    Returns:
        A scalar, not negative.

    Raises:
        RequestError: shapes do not fit, the margin is negative.

    Reference:
        Schroff et al., FaceNet, CVPR 2015, with plain distances where that has squared ones; the structural and the
        neighbour loss of Mo et al., Simple unsupervised graph representation learning (SUGRL), AAAI 2022. The released
        code of the latter sums over the k negatives: k times this.

    Example:
        >>> triplet_margin(torch.tensor([1.0, 1.0]), torch.tensor([5.0, 1.5])).item()
        0.25
    """
    _fits(near, far)
    if not 0 <= margin < torch.inf:
        raise RequestError(f"margin = {margin}: input should be 0 or more")
    return F.relu(near - far + margin).mean()


def distance_bound(near: Tensor, far: Tensor, limit: float = 1.0) -> Tensor:
    r"""Mean amount by which negatives lie further beyond the positives than a limit.

    .. math:: L = \operatorname{mean} \max(0, d^- - d^+ - \ell)

    Args:
        near: distances from the positives :math:`d^+`, ``[N]``.
        far: distances from the negatives :math:`d^-`, ``[N]``, or ``[k, N]``.
        limit: :math:`\ell \ge 0`; above the margin of the triplet loss.

    Returns:
        A scalar, not negative.

    Raises:
        RequestError: shapes do not fit, the limit is negative.

    Reference:
        Mo et al., Simple unsupervised graph representation learning (SUGRL), AAAI 2022: the upper bound loss, with
        :math:`\ell = \alpha + \beta`. Its released code holds :math:`d^+` constant (pass ``near.detach()``) and sums
        over the nodes: N times this.

    Example:
        >>> distance_bound(torch.tensor([1.0, 1.0]), torch.tensor([5.0, 1.5])).item()
        1.5
    """
    _fits(near, far)
    if not 0 <= limit < torch.inf:
        raise RequestError(f"limit = {limit}: input should be 0 or more")
    return F.relu(far - near - limit).mean()


def _fits(near: Tensor, far: Tensor) -> None:
    if near.dim() != 1 or near.numel() == 0 or far.dim() not in (1, 2) or far.shape[-1:] != near.shape:
        raise RequestError(f"distances have shapes {list(near.shape)} and {list(far.shape)}; expected [N], then [k, N]")


def _triples(a: Tensor, b: Tensor, positives: Tensor | None, negatives: Tensor) -> list[tuple[float, float]]:
    """Distance from the positive and from the negative of every triple, by loops."""

    def distance(u: Tensor, v: Tensor) -> float:
        return sum((x - y) ** 2 for x, y in zip(u.tolist(), v.tolist(), strict=True)) ** 0.5

    found = []
    for r in range(negatives.size(0)):
        i = r % a.size(0)
        found.append((distance(a[i], b[i if positives is None else int(positives[i])]), distance(a[i], negatives[r])))
    return found


def _sampled(drawn: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**drawn, "negatives": drawn["a"].flip(0) * 0.5 + 0.3}


@dataclass(frozen=True)
class TripletMargin(Objective):
    r"""`triplet_margin` as a part of a method: ``a`` anchors, ``b`` positives, ``negatives`` rows for the anchors.

    Args:
        margin: :math:`\alpha \ge 0`.

    Example:
        >>> TripletMargin(margin=0.5)(torch.zeros(1, 2), torch.ones(1, 2), negatives=torch.ones(1, 2)).item()
        0.5
    """

    margin: NonNegative = 1.0

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``; row r of ``negatives`` ``[k N, D]`` is for anchor r mod N."""
        if negatives is None:
            raise RequestError("TripletMargin needs `negatives`: one row or more for each anchor [k N, D]")
        near = row_distances(a, reordered(b, positives, a.size(0)))
        return triplet_margin(near, row_distances(a, negatives), self.margin)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over triples."""
        if negatives is None:
            raise RequestError("TripletMargin needs `negatives`: one row or more for each anchor [k N, D]")
        triples = _triples(a, b, positives, negatives)
        return sum(max(0.0, near - far + self.margin) for near, far in triples) / len(triples)

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Two views, and a negative for each anchor."""
        return _sampled(super().sample(generator, n, d))


@dataclass(frozen=True)
class BoundedTriplet(Objective):
    r"""Triplet loss whose negatives are kept within a band: `triplet_margin` plus a weighted `distance_bound`.

    .. math::
        L = \operatorname{mean} \max(0, d^+ - d^- + \alpha)
        + \omega \operatorname{mean} \max(0, d^- - d^+ - \alpha - \beta)

    Both terms are zero where :math:`\alpha \le d^- - d^+ \le \alpha + \beta`.

    Args:
        margin: :math:`\alpha \ge 0`.
        band: :math:`\beta \ge 0`, the width of the band.
        bound: :math:`\omega \ge 0`, the weight of the second term.

    Reference:
        Mo et al., SUGRL, AAAI 2022: the structural loss with the upper bound; see `distance_bound` for the sums and the
        constant of the released code.

    Example:
        >>> BoundedTriplet(margin=0.5, band=0.5)
        BoundedTriplet(margin=0.5, band=0.5, bound=1.0)
    """

    margin: NonNegative = 0.8
    band: NonNegative = 0.2
    bound: NonNegative = 1.0

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``; row r of ``negatives`` ``[k N, D]`` is for anchor r mod N."""
        if negatives is None:
            raise RequestError("BoundedTriplet needs `negatives`: one row or more for each anchor [k N, D]")
        near, far = row_distances(a, reordered(b, positives, a.size(0))), row_distances(a, negatives)
        limit = self.margin + self.band
        return triplet_margin(near, far, self.margin) + self.bound * distance_bound(near, far, limit)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over triples."""
        if negatives is None:
            raise RequestError("BoundedTriplet needs `negatives`: one row or more for each anchor [k N, D]")
        total, triples = 0.0, _triples(a, b, positives, negatives)
        for near, far in triples:
            if far - near < self.margin:
                total += self.margin - (far - near)
            elif far - near > self.margin + self.band:
                total += self.bound * (far - near - self.margin - self.band)
        return total / len(triples)

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Two views, and a negative for each anchor."""
        return _sampled(super().sample(generator, n, d))
