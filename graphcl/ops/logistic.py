"""Many small L2-regularised logistic regressions, solved as one batch.

A table row asks for (splits × folds × strengths) fits that differ in little. They are minimised together, in float64,
by a batched L-BFGS; the strengths of one split share its matrix. Three exact reformulations make the problems easy:

1. The bias is not penalised, so subtracting the mean of the fit rows only moves the bias.
2. The penalty does not see rotations, so the features are turned into their principal axes, where the
   curvature is nearly diagonal. L-BFGS starts from that diagonal.
3. With fewer rows than columns the solution lies in the span of the rows, so n axes are enough.

Logits are linear along a search direction, so the line search costs no matrix product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Solution", "solve_logistic"]

_MEMORY = 8  # pairs that L-BFGS remembers; more cost more time than they save
_REFRESH = 10  # steps between two looks at the diagonal of the curvature
_HALVINGS = 40
_ARMIJO = 1e-4
_ROUNDING = 1e-12  # relative rise of the objective that is taken for rounding
_CHUNK = 2**25  # matrix entries held at once, 256 MiB in float64


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights of S problems at K strengths each.

    Args:
        weight: ``[S, K, C, D]``.
        bias: ``[S, K, C]``.
        present: ``[S, C]`` bool, whether the class has rows in the problem; else weight and bias are 0.
        gradient: ``[S, K]``, the relative gradient norm reached (see `solve_logistic`).
        steps: ``[S, K]`` int64, L-BFGS steps taken.
    """

    weight: Tensor
    bias: Tensor
    present: Tensor
    gradient: Tensor
    steps: Tensor


def solve_logistic(
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    strengths: Tensor,
    classes: int,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    r"""Fit L2-regularised multinomial logistic regressions, all at once.

    .. math:: \min_{W, b} \; s \sum_i -\log \mathrm{softmax}(W x_i + b)_{y_i} + \tfrac12 \lVert W \rVert^2

    over the classes that occur in y; the bias is free. With exactly two of them :math:`\lVert W \rVert^2`
    stands for :math:`\lVert w_1 - w_0 \rVert^2`. Both are what ``LogisticRegression(C=s)`` of scikit-learn
    minimises.

    A problem counts as solved when :math:`\lVert \nabla f \rVert \le` ``tolerance`` :math:`f`, for f the
    above over (s n) and features divided by their root mean square length about the mean. Being relative, the
    rule means the same for embeddings of any scale and for separable classes, where f itself is tiny.

    Args:
        x: S feature matrices ``[n_s, D]``.
        y: S label vectors ``[n_s]``, values in 0 .. C - 1.
        strengths: ``[S, K]`` values of s above 0; smaller ones regularise more.
        classes: number of classes C.
        tolerance: the relative gradient norm to reach.
        max_iterations: steps after which a problem is left as it is.

    Example:
        >>> x, y = torch.tensor([[-2.0], [-1.0], [1.0], [3.0]]), torch.tensor([0, 0, 1, 1])
        >>> found = solve_logistic([x], [y], torch.tensor([[1.0]]), 2, tolerance=1e-9, max_iterations=99)
        >>> f"{(found.weight[0, 0, 1] - found.weight[0, 0, 0]).item():.3f}"  # coef_ of scikit-learn
        '0.962'
    """
    parts = [
        _solve_chunk(x[part], y[part], strengths[part].double(), classes, tolerance, max_iterations)
        for part in _chunks([matrix.shape for matrix in x])
    ]
    return Solution(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Solution)))


def _chunks(shapes: Sequence[torch.Size]) -> Iterator[slice]:
    first, rows = 0, 0
    for number, (n, dim) in enumerate(shapes):
        rows = max(rows, n)
        if number > first and (number + 1 - first) * rows * dim > _CHUNK:
            yield slice(first, number)
            first, rows = number, n
    yield slice(first, len(shapes))


def _solve_chunk(
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    strengths: Tensor,
    classes: int,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    sets, dim, rows = len(x), x[0].shape[1], max(len(matrix) for matrix in x)
    features = torch.zeros(sets, rows, dim, dtype=torch.float64)
    target = torch.zeros(sets, classes, rows, dtype=torch.float64)
    mean = torch.stack([matrix.double().mean(dim=0) for matrix in x])
    for i, (matrix, labels) in enumerate(zip(x, y, strict=True)):
        n = len(matrix)
        features[i, :n] = matrix.double() - mean[i]
        target[i, labels, torch.arange(n)] = 1.0
    axes = _principal_axes(features)
    problems = _Problems.build(features @ axes, target, strengths)
    theta, gradient, steps = _minimise(problems, tolerance, max_iterations)
    present = target.any(dim=2)
    # softmax does not see what all classes have in common; none is the form with the smaller norm
    common = theta.sum(dim=2, keepdim=True) / present.sum(dim=1)[:, None, None, None]
    theta = torch.where(present[:, None, :, None], theta - common, 0.0)
    weight = (theta[..., :-1].flatten(1, 2) @ axes.mT).unflatten(1, theta.shape[1:3])
    bias = theta[..., -1] - (weight @ mean[:, None, :, None]).squeeze(-1)
    return Solution(weight, bias, present, gradient, steps)


def _principal_axes(features: Tensor) -> Tensor:
    """Uncorrelated orthonormal axes ``[S, D, min(n, D)]`` that span the rows of ``[S, n, D]``."""
    if features.shape[1] >= features.shape[2]:
        return torch.linalg.eigh(features.mT @ features).eigenvectors
    # QR first: the span is then exact to rounding, however small some of the axes are
    span = torch.linalg.qr(features.mT).Q
    inside = features @ span
    return span @ torch.linalg.eigh(inside.mT @ inside).eigenvectors


@dataclass(frozen=True, eq=False)
class _Problems:
    """Mean objectives of S matrices at K strengths, in parameters theta ``[S, K, C, R + 1]``, bias last."""

    features: Tensor  # [S, n, R + 1], last column 1; rows that only fill up are 0
    squares: Tensor  # [S, n, R + 1]
    target: Tensor  # [S, 1, C, n] one-hot, 0 for filling rows
    weight: Tensor  # [S, 1, 1, n] one over the number of rows, 0 for filling rows
    absent: Tensor  # [S, 1, C, 1] -inf for a class without rows, else 0
    others: Tensor  # [S, 1, C, n] -inf for a class without rows and for the row's own class, else 0
    penalty: Tensor  # [S, K, 1, R + 1], 0 for the bias
    scale: Tensor  # [S, 1, 1, R + 1] root mean square length of the features, 1 for the bias

    @classmethod
    def build(cls, features: Tensor, target: Tensor, strengths: Tensor) -> Self:
        real = target.sum(dim=1)
        count = real.sum(dim=1, keepdim=True)
        present = target.any(dim=2)
        pair = present.sum(dim=1, keepdim=True) == 2
        free = torch.ones(features.shape[2] + 1, dtype=torch.float64)
        free[-1] = 0.0
        length = (features.square().sum(dim=(1, 2)) / count.flatten()).sqrt()
        length = torch.where(length > 0, length, 1.0)
        features = torch.cat([features, real[:, :, None]], dim=2)
        absent = torch.zeros(present.shape, dtype=torch.float64).masked_fill(~present, -torch.inf)
        return cls(
            features=features,
            squares=features.square(),
            target=target[:, None],
            weight=(real / count)[:, None, None],
            absent=absent[:, None, :, None],
            others=absent[:, None, :, None].masked_fill(target[:, None] > 0, -torch.inf),
            # of two classes w0 = -w1 at the solution, so ||w1 - w0||^2 = 2 ||W||^2
            penalty=(torch.where(pair, 2.0, 1.0) / (strengths * count))[:, :, None, None] * free,
            scale=length[:, None, None, None] * free + (1 - free),
        )

    def at(self, sets: Tensor, slots: Tensor) -> "_Problems":
        """Some of the matrices ``[S']``, each at some of its strengths ``[S', K']``."""
        penalty = self.penalty[sets[:, None], slots]
        if len(sets) == len(self.features):
            return replace(self, penalty=penalty)
        return _Problems(
            self.features[sets],
            self.squares[sets],
            self.target[sets],
            self.weight[sets],
            self.absent[sets],
            self.others[sets],
            penalty,
            self.scale[sets],
        )

    def logits(self, theta: Tensor) -> Tensor:
        """``[S, K, C, n]``."""
        return (theta.flatten(1, 2) @ self.features.mT).unflatten(1, theta.shape[1:3])

    def value(self, logits: Tensor, theta: Tensor) -> Tensor:
        """``[S, K]``."""
        # log(1 + sum of the other classes' odds) keeps its digits where the row's own probability rounds to 1
        own = (logits * self.target).sum(dim=2, keepdim=True)
        loss = F.softplus((logits - own + self.others).logsumexp(dim=2, keepdim=True), threshold=50.0)
        return (loss * self.weight).sum(dim=(2, 3)) + 0.5 * (self.penalty * theta.square()).sum(dim=(2, 3))

    def gradient(self, probabilities: Tensor, theta: Tensor) -> Tensor:
        """``[S, K, C, R + 1]``."""
        residual = (probabilities - self.target) * self.weight
        return (residual.flatten(1, 2) @ self.features).unflatten(1, theta.shape[1:3]) + self.penalty * theta

    def probabilities(self, logits: Tensor) -> Tensor:
        """``[S, K, C, n]``."""
        return (logits + self.absent).softmax(dim=2)

    def curvature(self, probabilities: Tensor) -> Tensor:
        """Diagonal of the Hessian ``[S, K, C, R + 1]``, kept above rounding."""
        spread = probabilities * (1 - probabilities) * self.weight
        diagonal = (spread.flatten(1, 2) @ self.squares).unflatten(1, probabilities.shape[1:3]) + self.penalty
        return torch.maximum(diagonal, 1e-12 * self.scale.square())

    def relative(self, gradient: Tensor, value: Tensor) -> Tensor:
        """Gradient norm over objective ``[S, K]``, for features of root mean square length 1."""
        norm = (gradient / self.scale).flatten(2).norm(dim=2)
        return torch.where(norm > 0, norm / value, 0.0)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products ``[S, K, 1, 1]`` of parameters ``[S, K, C, R + 1]``."""
    return torch.linalg.vecdot(a.flatten(2), b.flatten(2))[:, :, None, None]


class _Memory:
    """The last steps of each problem and how they changed its gradient: the L-BFGS model of the curvature."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def remember(self, step: Tensor, change: Tensor) -> None:
        along = _dot(step, change)
        # a problem at rest has seen no curvature: its pair is void
        inverse = torch.where(along > 0, 1 / along, 0.0)
        self._pairs = [*self._pairs[1 - _MEMORY :], (step, change, inverse)]

    def direction(self, gradient: Tensor, diagonal: Tensor) -> Tensor:
        """Minus the approximate inverse Hessian times the gradient, by the two-loop recursion."""
        result, shares = -gradient, []
        for step, change, inverse in reversed(self._pairs):
            share = inverse * _dot(step, result)
            result = torch.addcmul(result, share, change, value=-1.0)
            shares.append(share)
        result = result / diagonal
        if self._pairs:
            step, change, inverse = self._pairs[-1]
            ratio = _dot(step, change) / _dot(change, change / diagonal)
            result = result * torch.where(inverse > 0, ratio, 1.0)
        for (step, change, inverse), share in zip(self._pairs, reversed(shares), strict=True):
            result = torch.addcmul(result, share - inverse * _dot(change, result), step)
        return result

    def keep(self, sets: Tensor, slots: Tensor) -> None:
        self._pairs = [
            (step[sets[:, None], slots], change[sets[:, None], slots], inverse[sets[:, None], slots])
            for step, change, inverse in self._pairs
        ]


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the minimisation of each problem stands."""

    theta: Tensor  # [S, K, C, R + 1]
    logits: Tensor  # [S, K, C, n]
    value: Tensor  # [S, K]
    probabilities: Tensor  # [S, K, C, n]
    gradient: Tensor  # [S, K, C, R + 1]
    active: Tensor  # [S, K] bool, whether the problem still moves

    @classmethod
    def zero(cls, problems: _Problems) -> Self:
        shape = (*problems.penalty.shape[:2], problems.target.shape[2], problems.features.shape[2])
        theta = torch.zeros(shape, dtype=torch.float64)
        logits = problems.logits(theta)
        active = torch.ones(shape[:2], dtype=torch.bool)
        return cls._at(problems, theta, logits, problems.value(logits, theta), active)

    @classmethod
    def _at(cls, problems: _Problems, theta: Tensor, logits: Tensor, value: Tensor, active: Tensor) -> Self:
        probabilities = problems.probabilities(logits)
        return cls(theta, logits, value, probabilities, problems.gradient(probabilities, theta), active)

    def only(self, sets: Tensor, slots: Tensor) -> "_Point":
        return _Point(*(getattr(self, field.name)[sets[:, None], slots] for field in fields(self)))

    def move(self, problems: _Problems, direction: Tensor) -> "_Point":
        """Along the direction, halving the step of each problem until its objective falls enough.

        A problem whose objective does not fall any more has reached rounding; it stays and becomes inactive.
        """
        ahead = problems.logits(direction)
        slope = _dot(self.gradient, direction).flatten(1)
        size = self.active.double()
        for _ in range(_HALVINGS):
            step = size[:, :, None, None]
            theta, logits = self.theta + step * direction, self.logits + step * ahead
            value = problems.value(logits, theta)
            fell = value <= self.value + _ARMIJO * size * slope + _ROUNDING * self.value
            if fell.all():
                return self._at(problems, theta, logits, value, self.active)
            size = torch.where(fell, size, size / 2)
        step = torch.where(fell, size, 0.0)[:, :, None, None]
        theta, logits = self.theta + step * direction, self.logits + step * ahead
        return self._at(problems, theta, logits, problems.value(logits, theta), self.active & fell)


def _minimise(problems: _Problems, tolerance: float, max_iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """Batched L-BFGS from zero; solved problems stand still, and leave once that makes the batch smaller.

    Returns:
        Parameters ``[S, K, C, R + 1]``, relative gradient norms and steps ``[S, K]``.
    """
    point, memory = _Point.zero(problems), _Memory()
    found, diagonal = point.theta.clone(), problems.curvature(point.probabilities)
    relative, steps = torch.zeros_like(point.value), torch.zeros_like(point.active, dtype=torch.long)
    # where each problem of the current batch belongs in the results
    home = torch.arange(len(found))[:, None], torch.arange(found.shape[1]).expand(found.shape[:2])
    for step in range(max_iterations + 1):
        reached = problems.relative(point.gradient, point.value)
        found[home], relative[home] = point.theta, reached
        point = replace(point, active=point.active & (reached > tolerance))
        if step == max_iterations or not point.active.any():
            break
        steps[home] += point.active
        sets = point.active.any(dim=1).nonzero().flatten()
        width = int(point.active.sum(dim=1).max())
        if len(sets) * width < 0.9 * point.active.numel():
            slots = point.active[sets].long().argsort(dim=1, descending=True, stable=True)[:, :width]
            home = home[0][sets], home[1][sets[:, None], slots]
            problems, point, diagonal = (
                problems.at(sets, slots),
                point.only(sets, slots),
                diagonal[sets[:, None], slots],
            )
            memory.keep(sets, slots)
        if step % _REFRESH == 0:
            diagonal = problems.curvature(point.probabilities)
        before = point
        point = before.move(problems, memory.direction(before.gradient, diagonal))
        memory.remember(point.theta - before.theta, point.gradient - before.gradient)
    return found, relative, steps
