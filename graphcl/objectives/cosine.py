r"""Losses of the angle between a row and what it should point at, without negatives.

| class | function | loss of a pair | keeps embeddings apart |
|---|---|---|---|
| `BootstrapCosine` | `bootstrap_cosine` | :math:`2 - 2\cos` | a predictor, and a target that is not trained |
| `ScaledCosineError` | `scaled_cosine_error` | :math:`(1 - \cos)^\gamma` | the target is data |
"""

from dataclasses import dataclass
from typing import Annotated

import annotated_types as at
import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import alike, finite, listed, reordered, unit, wide
from graphcl.ops.pairwise import pair_products

__all__ = ["BootstrapCosine", "ScaledCosineError", "bootstrap_cosine", "scaled_cosine_error"]


def bootstrap_cosine(
    prediction: Tensor, target: Tensor, positives: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    r"""Distance of predictions from their targets on the unit sphere.

    .. math:: L = \frac{\sum_p w_p \left(2 - 2 \cos(q_{i_p}, y_{j_p})\right)}{\sum_p w_p}

    The target is detached by the caller: what is not trained is a property of the method. A symmetric loss is the sum,
    or the mean, of two calls with the roles of the views exchanged.

    Args:
        prediction: :math:`q`, what the predictor makes of one view, ``[N, D]``.
        target: :math:`y`, what the target encoder makes of the other, ``[M, D]``.
        positives: ``int64 [N]``, the row of ``target`` for each prediction, or ``int64 [2, P]``, pairs of a prediction
            and a target. ``None`` pairs row i with row i.
        weights: of each pair, ``[P]``, not negative; ``None`` weighs all alike.

    Returns:
        A scalar in [0, 4]; float32 for 16-bit input.

    Raises:
        RequestError: shapes, types or devices do not fit, a row is zero or not finite, a pair is out of range, weights
            are negative or all zero.

    Reference:
        Thakoor et al., Large-scale representation learning on graphs via bootstrapping (BGRL), ICLR 2022:
        its released code minimises the mean of the two directions of this loss. With several positives: Lee et al.,
        Augmentation-free self-supervised learning on graphs (AFGRL), AAAI 2022; its released code sums the two
        directions of this loss, each a mean over pairs, where the paper's equation takes a mean over nodes of sums.

    Example:
        >>> bootstrap_cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])).item()
        2.0
    """
    alike(prediction, target, same_rows=False)
    prediction, target = unit(wide(prediction), "prediction"), unit(wide(target), "target")
    pairs = listed(positives, prediction.size(0), target.size(0), prediction.device)
    cosine = (prediction * target).sum(1) if positives is None else pair_products(prediction, target, pairs)
    if weights is None:
        return 2 - 2 * cosine.mean()
    if weights.shape != cosine.shape or not weights.is_floating_point():
        raise RequestError(f"weights are {weights.dtype} {list(weights.shape)}; expected numbers [{len(cosine)}]")
    total = weights.sum()
    if not bool((weights >= 0).all()) or not 0 < float(total.detach()) < torch.inf:
        raise RequestError("weights should be finite, not negative and not all zero")
    return 2 - 2 * (weights * cosine).sum() / total


def _cosine(u: Tensor, v: Tensor) -> float:
    product, squares_u, squares_v = 0.0, 0.0, 0.0
    for x, y in zip(u.tolist(), v.tolist(), strict=True):
        product, squares_u, squares_v = product + x * y, squares_u + x * x, squares_v + y * y
    return 0.0 if squares_u * squares_v == 0 else product / (squares_u * squares_v) ** 0.5


@dataclass(frozen=True)
class BootstrapCosine(Objective):
    """`bootstrap_cosine` as a part of a method: ``a`` predictions, ``b`` targets, which the caller detaches.

    Example:
        >>> BootstrapCosine()(torch.eye(2), torch.eye(2)).item()
        0.0
    """

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` as in `bootstrap_cosine`, ``negatives`` are refused (there are none)."""
        if negatives is not None:
            raise RequestError("BootstrapCosine has no negatives; leave `negatives` out")
        return bootstrap_cosine(a, b, positives)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by a plain loop over pairs."""
        if positives is None:
            pairs = [(i, i) for i in range(a.size(0))]
        elif positives.dim() == 1:
            pairs = list(enumerate(positives.tolist()))
        else:
            pairs = [(int(i), int(j)) for i, j in positives.T]
        return sum(2 - 2 * _cosine(a[i], b[j]) for i, j in pairs) / len(pairs)


def scaled_cosine_error(reconstruction: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    r"""Cosine error of reconstructed rows, a power of which turns the attention to those that are far off.

    .. math:: L = \frac1N \sum_i \left(1 - \cos(z_i, x_i)\right)^\gamma

    A target that is zero (a node without features) has no direction: its cosine is 0, so that it adds a constant and
    pulls at nothing, as in the released code.

    Args:
        reconstruction: what the decoder made of the masked nodes, ``[N, F]``.
        target: their features ``[N, F]``.
        gamma: :math:`\gamma \ge 1`.

    Returns:
        A scalar in :math:`[0, 2^\gamma]`; float32 for 16-bit input.

    Raises:
        RequestError: shapes, types or devices differ, a reconstruction is zero, values are not finite, ``gamma`` is
            less than 1.

    Reference:
        Hou et al., GraphMAE, KDD 2022, the scaled cosine error.

    Example:
        >>> scaled_cosine_error(torch.tensor([[1.0, 0.0]]), torch.tensor([[-2.0, 0.0]]), gamma=3).item()
        8.0
    """
    if not 1 <= gamma < torch.inf:
        raise RequestError(f"gamma = {gamma}: input should be greater than or equal to 1")
    alike(reconstruction, target)
    reconstruction, target = unit(wide(reconstruction), "reconstruction"), finite(wide(target), "target")
    cosine = (reconstruction * F.normalize(target, dim=1)).sum(1)
    # rounding may leave a cosine above 1, and a broken power of a negative number is NaN
    return (1 - cosine).clamp(min=0).pow(gamma).mean()


@dataclass(frozen=True)
class ScaledCosineError(Objective):
    r"""`scaled_cosine_error` as a part of a method: ``a`` reconstructions, ``b`` features.

    Args:
        gamma: :math:`\gamma \ge 1`.

    Example:
        >>> ScaledCosineError(gamma=3.0)
        ScaledCosineError(gamma=3.0)
    """

    gamma: Annotated[float, at.Ge(1.0)] = 2.0

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, ``negatives`` are refused (there are none)."""
        if negatives is not None:
            raise RequestError("ScaledCosineError has no negatives; leave `negatives` out")
        return scaled_cosine_error(a, reordered(b, positives, a.size(0)), self.gamma)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by a plain loop over rows."""
        n = a.size(0)
        rows = [(a[i], b[i if positives is None else int(positives[i])]) for i in range(n)]
        return sum(max(0.0, 1 - _cosine(u, v)) ** self.gamma for u, v in rows) / n
