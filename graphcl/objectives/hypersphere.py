r"""What a contrastive loss does in the limit, as two losses: positives close, all rows spread over the sphere.

| class | function | measures |
|---|---|---|
| – | `alignment` | the distance of positive pairs |
| – | `uniformity` | how evenly rows cover the sphere |
| `AlignmentUniformity` | the sum of both | |
"""

import math
from dataclasses import dataclass
from typing import Annotated

import annotated_types as at
import torch
from torch import Tensor

from graphcl.config import NonNegative, Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import alike, positive, reordered, unit, wide
from graphcl.ops.pairwise import logsumexp_within

__all__ = ["AlignmentUniformity", "alignment", "uniformity"]


def alignment(a: Tensor, b: Tensor, power: float = 2.0) -> Tensor:
    r"""Mean distance of positive pairs on the unit sphere.

    .. math:: L = \frac1N \sum_i \lVert \bar a_i - \bar b_i \rVert^\alpha, \qquad \bar a = a / \lVert a \rVert

    Args:
        a: one view ``[N, D]``.
        b: the other ``[N, D]``.
        power: :math:`\alpha \ge 1`.

    Returns:
        A scalar in :math:`[0, 2^\alpha]`; float32 for 16-bit input.

    Raises:
        RequestError: shapes, types or devices differ, a row is zero or not finite, ``power`` is less than 1.

    Reference:
        Wang and Isola, Understanding contrastive representation learning through alignment and uniformity on the
        hypersphere, ICML 2020.

    Example:
        >>> alignment(torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]])).item()
        4.0
    """
    if not 1 <= power < torch.inf:
        raise RequestError(f"power = {power}: input should be greater than or equal to 1")
    alike(a, b)
    return (unit(wide(a), "a") - unit(wide(b), "b")).norm(dim=1).pow(power).mean()


def uniformity(x: Tensor, scale: float = 2.0) -> Tensor:
    r"""Log of the mean Gaussian potential of all pairs of different rows on the unit sphere.

    .. math::
        L = \log \frac{1}{N (N - 1)} \sum_i \sum_{j \neq i} e^{-t \lVert \bar x_i - \bar x_j \rVert^2}
        = \log \frac{1}{N (N - 1)} \sum_i \sum_{j \neq i} e^{2 t \cos(x_i, x_j)} - 2 t

    Exact, and no matrix of all pairs is formed: memory grows with N.

    Args:
        x: embeddings ``[N, D]``, N ≥ 2.
        scale: :math:`t > 0`.

    Returns:
        A scalar in :math:`[-4t, 0]`, 0 where all rows point the same way; float32 for 16-bit input.

    Raises:
        RequestError: fewer than two rows, a row is zero or not finite, the scale is not positive.

    Reference:
        Wang and Isola, ICML 2020, as `alignment`. A pair of a row with itself is left out, as in their released code.

    Example:
        >>> round(uniformity(torch.eye(2)).item(), 4)  # one distance, √2: -2 · 2
        -4.0
    """
    positive(scale, "scale")
    alike(x, x)
    n = x.size(0)
    if n < 2:
        raise RequestError("one row has no pairs; uniformity needs at least two")
    each = logsumexp_within(unit(wide(x), "x") * math.sqrt(2 * scale))
    return each.logsumexp(0) - math.log(n * (n - 1)) - 2 * scale


@dataclass(frozen=True)
class AlignmentUniformity(Objective):
    r"""Alignment of two views, and the uniformity of each.

    .. math:: L = \text{alignment}(A, B) + \frac{\gamma}{2} \left(\text{uniformity}(A) + \text{uniformity}(B)\right)

    Args:
        weight: :math:`\gamma \ge 0`, of the uniformity.
        power: of the distances of positive pairs, at least 1.
        scale: :math:`t > 0` of the potential.

    Example:
        >>> AlignmentUniformity()
        AlignmentUniformity(weight=1.0, power=2.0, scale=2.0)
    """

    weight: NonNegative = 1.0
    power: Annotated[float, at.Ge(1.0)] = 2.0
    scale: Positive = 2.0

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, given ``negatives`` are refused (uniformity takes all pairs)."""
        if negatives is not None:
            raise RequestError("AlignmentUniformity spreads all rows of a view; leave `negatives` out")
        spread = uniformity(a, self.scale) + uniformity(b, self.scale)
        return alignment(a, reordered(b, positives, a.size(0)), self.power) + self.weight / 2 * spread

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""

        def directions(x: Tensor) -> list[list[float]]:
            return [[value / sum(v * v for v in row) ** 0.5 for value in row] for row in x.tolist()]

        def squared(u: list[float], v: list[float]) -> float:
            return sum((p - q) ** 2 for p, q in zip(u, v, strict=True))

        first, second = directions(a), directions(b)
        n = len(first)
        total = 0.0
        for i in range(n):
            own = i if positives is None else int(positives[i])
            total += squared(first[i], second[own]) ** (self.power / 2) / n
        for view in (first, second):
            m = len(view)
            potential = [
                math.exp(-self.scale * squared(view[i], view[j])) for i in range(m) for j in range(m) if i != j
            ]
            total += self.weight / 2 * math.log(sum(potential) / len(potential))
        return total
