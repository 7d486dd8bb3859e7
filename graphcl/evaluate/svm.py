r"""Support vector machines on frozen embeddings: the probes that papers on graph classification publish with.

| probe | scikit-learn | used by the released code of | normalisation there |
|---|---|---|---|
| `SVMProbe` | the problem of ``LinearSVC(dual=False)`` | AD-GCL and its followers | z-score |
| `KernelSVMProbe` | ``SVC()``, whose kernel is RBF | InfoGraph, GraphCL | none |

Both codes take C from 0.001, 0.01 … 1000 by five-fold cross-validation inside the training part of ten outer folds. A
split that selects by cross-validation is that protocol, but that the folds are drawn once here, and anew for each fit
there. Papers call either "an SVM" or "a linear classifier"; the first is linear in the embedding, **the second is
not**, and the two never share a column.
"""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import annotated_types as at
import numpy as np
import torch
from torch import Tensor

from graphcl.config import Positive, Size, encode
from graphcl.evaluate.logistic import LinearClassifier
from graphcl.evaluate.probes import Fitted, Metric, Probe, Selection, check_embedding, selection_score
from graphcl.seeding import imported

__all__ = ["ColumnNormalisation", "KernelSVMProbe", "SVMProbe"]

ColumnNormalisation = Literal["none", "z-score"]
"""What happens first: nothing; columns to mean 0 and variance 1 over the fit rows."""

_STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
_TILE = 2**22
"""Kernel values that are in memory at a time, where no gradient is wanted."""


def _column_statistics(x: Tensor, normalisation: ColumnNormalisation) -> tuple[Tensor, Tensor]:
    """What is subtracted from each column and what it is divided by; a constant column is not divided."""
    if normalisation == "none":
        return x.new_zeros(x.size(1)), x.new_ones(x.size(1))
    constant = x.amax(dim=0) == x.amin(dim=0)
    return x.mean(dim=0), torch.where(constant, 1.0, x.std(dim=0, correction=0))


@dataclass(frozen=True)
class _SupportVectorProbe(Probe):
    """Selection of C; how one machine is fitted is the subclass's."""

    strengths: Annotated[tuple[Positive, ...], at.MinLen(1)] = _STRENGTHS
    normalisation: ColumnNormalisation = "none"

    def fit(self, h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> list[Fitted]:
        """Select C for each selection and fit on its train rows."""
        check_embedding(h, selections, classes, metric)
        x = h.detach().cpu().double()
        return [self._fit_one(x, selection, classes, metric) for selection in selections]

    def _fit_one(self, x: Tensor, selection: Selection, classes: int, metric: Metric) -> Fitted:
        y, ascending = selection.labels, sorted(self.strengths)
        scores = torch.stack(
            [
                torch.stack(
                    [
                        selection_score(machine.logits(x[rows]), y[rows], metric)
                        for machine in self._machines(x[fit], y[fit], classes, ascending)
                    ]
                )
                for fit, rows in selection.pairs
            ]
        ).mean(dim=0)
        # the mean over folds is rounded, so that equal scores stay equal however they were summed; of equals the first
        best = max(range(len(ascending)), key=lambda i: round(float(scores[i]), 12))
        [machine] = self._machines(x[selection.train], y[selection.train], classes, ascending[best : best + 1])
        machine.chosen.update(strength=ascending[best], score=float(scores[best]))
        return machine

    @abstractmethod
    def _machines(self, x: Tensor, y: Tensor, classes: int, strengths: Sequence[float]) -> Iterator[Fitted]:
        """One fitted machine for each of ascending strengths."""

    def describe(self) -> dict[str, Any]:
        """The grid and the rule of choice."""
        return {
            "probe": self.name,
            **encode(self),
            "rule": "best mean score; ties: least strength",
            "final": "fitted on train with the strength chosen",
        }


def _hyperplane(
    x: Tensor, side: Tensor, strength: float, start: Tensor, tolerance: float, steps: int
) -> tuple[Tensor, bool]:
    r"""Minimise :math:`\tfrac12 \lVert w \rVert^2 + C \sum_i \max(0, 1 - t_i w^\top x_i)^2` by Newton's method.

    The objective is quadratic as long as no row crosses its margin, so that a handful of steps ends at the optimum,
    however the columns are conditioned.

    Args:
        x: ``[n, d]``.
        side: t, 1 or -1, ``[n]``.
        strength: C.
        start: ``[d]``.
        tolerance: share of the objective that may be left to gain.
        steps: at most.

    Returns:
        w, and whether the tolerance was reached.
    """

    def value(w: Tensor) -> float:
        return float(0.5 * w.square().sum() + strength * (1 - side * (x @ w)).clamp(min=0).square().sum())

    w = start
    for _ in range(steps):
        slack = 1 - side * (x @ w)
        inside = x[slack > 0]
        gradient = w - 2 * strength * (inside.T @ (side * slack)[slack > 0])
        step = -_inverse_times(inside, 2 * strength, gradient)
        # half of the slope is what the step would gain, were no row to cross its margin; a gradient has no such scale
        slope, now, length = float(gradient @ step), value(w), 1.0
        if -slope <= 2 * tolerance * now:
            return w, True
        while length > 1e-6 and value(w + length * step) > now + 1e-4 * length * slope:
            length /= 2
        w = w + length * step
    return w, False


def _inverse_times(rows: Tensor, factor: float, vector: Tensor) -> Tensor:
    r""":math:`(I + c R^\top R)^{-1} v`, through the smaller of the two Gram matrices."""
    wide = rows.size(0) < rows.size(1)
    gram = rows @ rows.T if wide else rows.T @ rows
    gram.mul_(factor).diagonal().add_(1.0)
    if wide:
        return vector - factor * (rows.T @ _solved(gram, rows @ vector))
    return _solved(gram, vector)


def _solved(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.cholesky_solve(vector[:, None], torch.linalg.cholesky(matrix))[:, 0]


@dataclass(frozen=True)
class SVMProbe(_SupportVectorProbe):
    r"""A linear support vector machine, one class against the rest, as AD-GCL's released code fits it.

    .. math:: \min_{w_c, b_c}\; \tfrac12 \lVert w_c \rVert^2 + \tfrac12 b_c^2
              + C \sum_i \max\left(0, 1 - t_{ic} (w_c^\top \tilde h_i + b_c)\right)^2, \qquad
              t_{ic} = \begin{cases} 1 & y_i = c \\ -1 & \text{else} \end{cases}

    The squared hinge and the penalised intercept are those of scikit-learn's ``LinearSVC``. Where its solver comes to
    its end the results are the same; on embeddings whose columns nearly repeat each other, as sums over the nodes of a
    graph do, and for large C it needs thousands of iterations and stops before. Newton's method needs about ten. Of all
    C the best mean selection score wins, then the smallest. A class without fit rows lies below all others, as in
    `LinearClassifier`. Two classes have one hyperplane, and the scores ∓ its margin.

    Args:
        strengths: the values of C, above 0.
        normalisation: ``"z-score"``, with the statistics of the fit rows (AD-GCL), or ``"none"``.
        tolerance: share of the objective that may be left to gain where a fit is done, in [1e-12, 1).
        max_iterations: steps after which a fit is taken as it is, and ``chosen["converged"]`` is false.

    Reference:
        Suresh et al., Adversarial graph augmentation to improve graph contrastive learning, NeurIPS 2021, released
        code. Its statistics are those of the whole outer training part during the inner cross-validation as well;
        here each fit takes its own.

    Example:
        >>> h, rows = torch.tensor([[-1.0], [1.0], [-2.0], [2.0]]), torch.arange(4)
        >>> seen = Selection(torch.tensor([0, 1, 0, 1]), rows[:2], ((rows[:2], rows[2:]),))
        >>> SVMProbe().fit(h, [seen], classes=2, metric="acc")[0].chosen
        {'converged': True, 'strength': 0.001, 'score': 1.0}
    """

    name: ClassVar[str] = "svm"

    normalisation: ColumnNormalisation = "z-score"
    tolerance: Annotated[float, at.Interval(ge=1e-12, lt=1.0)] = 1e-9
    max_iterations: Size = 100

    def _machines(self, x: Tensor, y: Tensor, classes: int, strengths: Sequence[float]) -> Iterator[LinearClassifier]:
        present = torch.bincount(y, minlength=classes) > 0
        shift, scale = _column_statistics(x, self.normalisation)
        # the intercept is a column of ones like any other
        rows = torch.cat([(x - shift) / scale, x.new_ones(len(x), 1)], 1)
        seen = present.nonzero().flatten()
        sides = [torch.where(y == c, 1.0, -1.0).to(x) for c in (seen[1:] if len(seen) == 2 else seen)]
        planes = [x.new_zeros(rows.size(1)) for _ in sides]
        for strength in strengths:
            # the plane of the last strength is near
            found = [
                _hyperplane(rows, side, strength, plane, self.tolerance, self.max_iterations)
                for side, plane in zip(sides, planes, strict=True)
            ]
            planes = [plane for plane, _ in found]
            both = torch.stack([-planes[0], planes[0]] if len(seen) == 2 else planes)
            weight, bias = x.new_zeros(classes, x.size(1)), x.new_zeros(classes)
            weight[present] = both[:, :-1] / scale
            bias[present] = both[:, -1]
            chosen = {"converged": all(converged for _, converged in found)}
            yield LinearClassifier(weight, bias - weight @ shift, present, False, chosen)


@dataclass(frozen=True, eq=False)
class _KernelMachine:
    """A fitted machine with RBF kernel: one decision for each pair of classes."""

    shift: Tensor
    scale: Tensor
    vectors: Tensor  # [S, D]
    coefficients: Tensor  # [pairs, S]
    intercepts: Tensor  # [pairs]
    pairs: Tensor  # [pairs, 2], classes; a positive decision speaks for the first
    present: Tensor  # [C]
    gamma: float
    chosen: dict[str, Any]

    def logits(self, h: Tensor) -> Tensor:
        if torch.is_grad_enabled() and h.requires_grad:
            return self._logits(h)
        return torch.cat([self._logits(part) for part in h.split(max(1, _TILE // max(1, len(self.vectors))))])

    def _logits(self, h: Tensor) -> Tensor:
        shift, scale, vectors, coefficients, intercepts, pairs, present = (
            part.to(h.device)
            for part in (
                self.shift, self.scale, self.vectors, self.coefficients, self.intercepts, self.pairs, self.present,
            )
        )  # fmt: skip
        x = (h.double() - shift) / scale
        # by products: a difference for each dimension of each pair would not fit
        distance = x.square().sum(dim=1)[:, None] + vectors.square().sum(dim=1) - 2 * x @ vectors.T
        decision = (-self.gamma * distance.clamp(min=0)).exp() @ coefficients.T + intercepts
        first, second = pairs.T
        none = x.new_zeros(len(x), len(present))
        won = none.index_add(1, first, (decision > 0).to(x)).index_add(1, second, (decision <= 0).to(x))
        margin = none.index_add(1, first, decision).index_add(1, second, -decision)
        # won pairs decide, of equals the first class, as in ``SVC.predict``; margins, squeezed, move nothing but scores
        count = len(present)
        order = torch.arange(count, 0, -1, device=x.device) / (2 * count)
        return torch.where(present, won + order + margin / (6 * count * (margin.abs() + 1)), -1.0)


@dataclass(frozen=True)
class KernelSVMProbe(_SupportVectorProbe):
    r"""A support vector machine with RBF kernel: what the released codes of InfoGraph and GraphCL call their SVM.

    .. math:: \min_{w, b, \xi \ge 0} \tfrac12 \lVert w \rVert^2 + C \sum_i \xi_i, \quad
              t_i (w^\top \phi(\tilde h_i) + b) \ge 1 - \xi_i, \quad
              \phi(h)^\top \phi(h') = e^{-\gamma \lVert h - h' \rVert^2}

    for each pair of classes. The class with most won pairs has the largest logit, of equals the first, as in
    ``SVC.predict``; below that the logits move with the margins. **It is not linear**, so that its score says less
    about the embedding and more about its neighbourhoods; it is here to meet numbers that were published with it. Of
    all C the best mean selection score wins, then the smallest.

    Time grows with the square of the fit rows at least: for sets of graphs, not for the nodes of a large one.

    Args:
        strengths: the values of C, above 0.
        normalisation: ``"none"`` (InfoGraph, GraphCL), or ``"z-score"`` with the statistics of the fit rows.
        gamma: ``"scale"`` is :math:`1 / (D\, \mathrm{var}(\tilde H))` over all entries of the fit rows, ``"auto"`` is
            :math:`1 / D`. The codes leave it at scikit-learn's default, which became the former with version 0.22 of
            December 2019; what came before, InfoGraph's numbers among it, was presumably computed with the latter.
        tolerance: libsvm's stopping tolerance, above 0.
        max_iterations: of the solver; where it stopped there, ``chosen["converged"]`` is false.

    Reference:
        Sun et al., InfoGraph, ICLR 2020, and You et al., Graph contrastive learning with augmentations, NeurIPS 2020,
        released codes: ``GridSearchCV(SVC(), {"C": …}, cv=5)`` in ten stratified folds, after every few epochs of
        training, all of it logged (InfoGraph's beside logistic regression, ``LinearSVC`` and a random forest); how one
        number is taken from the log is not in the code. Here an embedding is scored once.

    Example:
        >>> h, rows = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), torch.arange(4)
        >>> seen = Selection(torch.tensor([0, 0, 1, 1]), rows, ((rows, rows),))  # no plane parts these two classes
        >>> KernelSVMProbe().fit(h, [seen], classes=2, metric="acc")[0].chosen["score"]
        1.0
    """

    name: ClassVar[str] = "svm-rbf"

    gamma: Literal["scale", "auto"] = "scale"
    tolerance: Positive = 1e-3
    max_iterations: Size = 10_000_000

    def _machines(self, x: Tensor, y: Tensor, classes: int, strengths: Sequence[float]) -> Iterator[_KernelMachine]:
        slow = imported("sklearn.exceptions").ConvergenceWarning
        machine_of = imported("sklearn.svm").SVC
        shift, scale = _column_statistics(x, self.normalisation)
        x = (x - shift) / scale
        spread = float(x.var(correction=0)) if self.gamma == "scale" else 1.0
        gamma = 1 / (x.size(1) * (spread if spread > 0 else 1.0))
        present = torch.bincount(y, minlength=classes) > 0
        pairs = torch.combinations(present.nonzero().flatten())
        for strength in strengths:
            if len(pairs) == 0:
                none = x.new_zeros(0)
                yield _KernelMachine(shift, scale, x[:0], none[None], none, pairs, present, gamma, {"converged": True})
                continue
            machine = machine_of(
                C=strength, gamma=gamma, tol=self.tolerance, max_iter=self.max_iterations, random_state=0
            )
            with warnings.catch_warnings():
                # what did not converge is in the record
                warnings.simplefilter("ignore", slow)
                machine.fit(x.numpy(), y.numpy())
            yield _KernelMachine(
                shift,
                scale,
                x[torch.from_numpy(machine.support_).long()],
                _pairwise_coefficients(machine),
                torch.from_numpy(machine.intercept_),
                # scikit-learn turns the one decision of two classes around
                pairs if len(pairs) > 1 else pairs.flip(1),
                present,
                gamma,
                {"converged": int(np.max(machine.n_iter_)) < machine.max_iter},
            )


def _pairwise_coefficients(machine: Any) -> Tensor:
    """The coefficient of each support vector in the decision of each pair of classes, ``[pairs, S]``.

    libsvm keeps C - 1 rows: the vectors of class i have the one against class j in row j - 1 for j > i, else in row j.
    """
    ends = np.concatenate([[0], np.cumsum(machine.n_support_)])
    dual, count = np.asarray(machine.dual_coef_), len(machine.n_support_)
    rows = []
    for i in range(count):
        for j in range(i + 1, count):
            row = np.zeros(dual.shape[1])
            row[ends[i] : ends[i + 1]] = dual[j - 1, ends[i] : ends[i + 1]]
            row[ends[j] : ends[j + 1]] = dual[i, ends[j] : ends[j + 1]]
            rows.append(row)
    return torch.from_numpy(np.stack(rows))
