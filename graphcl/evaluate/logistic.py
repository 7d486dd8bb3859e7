"""The standard probe: L2-regularised multinomial logistic regression on a frozen embedding.

All splits, folds and strengths of one normalisation are one call of `graphcl.ops.logistic.solve_logistic`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import annotated_types as at
import torch
from torch import Tensor

from graphcl.config import Positive, Size, encode
from graphcl.evaluate.probes import Fitted, Metric, Probe, Selection, check_embedding, selection_score
from graphcl.graph import unit_rows
from graphcl.ops.logistic import Solution, solve_logistic

__all__ = ["LinearClassifier", "LogisticProbe", "Normalisation"]

Normalisation = Literal["none", "unit", "z-score"]
"""What happens first: nothing; rows to length 1; columns to mean 0 and variance 1 over the fit rows."""

_ABSENT = 50.0  # a class without fit rows lies this far below the lowest logit of a row: at most e^-50


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    r"""A fitted linear probe.

    .. math:: z = W \tilde h + b

    with :math:`\tilde h = h / \lVert h \rVert` if ``unit`` (a zero row stays zero), else h. A class without
    fit rows lies 50 below the lowest logit of the row.

    Args:
        weight: ``[C, D]`` float64, column statistics folded in.
        bias: ``[C]``.
        present: ``[C]`` bool, whether the class had fit rows.
        unit: whether rows are brought to length 1 first.
        chosen: what selection settled on.
    """

    weight: Tensor
    bias: Tensor
    present: Tensor
    unit: bool
    chosen: dict[str, Any]

    def logits(self, h: Tensor) -> Tensor:
        """Class scores ``[N, C]`` in float64, differentiable with respect to ``h`` ``[N, D]``."""
        x = unit_rows(h.double()) if self.unit else h.double()
        return _logits(x, *(tensor.to(h.device) for tensor in (self.weight, self.bias, self.present)))


def _logits(x: Tensor, weight: Tensor, bias: Tensor, present: Tensor) -> Tensor:
    z = x @ weight.mT + bias[..., None, :]
    if present.all():
        return z
    return torch.where(present, z, z[..., present].amin(dim=-1, keepdim=True) - _ABSENT)


@dataclass(frozen=True)
class LogisticProbe(Probe):
    r"""Multinomial logistic regression with selected normalisation and strength: the standard linear probe.

    .. math:: \min_{W, b} \; s \sum_i -\log \mathrm{softmax}(W \tilde h_i + b)_{y_i}
              + \tfrac12 \lVert W \rVert^2

    as in `solve_logistic`. Of all (normalisation, s) the best mean selection score wins, then the lowest
    mean cross-entropy on the score rows, then the smallest s, then the normalisation named first. With a
    validation part the fit that won is the probe; after cross-validation it is fitted again on all of train.

    Args:
        normalisations: what may be done to the embedding.
        strengths: the values of s (scikit-learn's C), above 0.
        tolerance: relative gradient norm at which a fit is done, in [1e-10, 1); float64 reaches no further.
        max_iterations: steps after which a fit is taken as it is, and ``chosen["converged"]`` is false.

    Example:
        >>> h, rows = torch.tensor([[-1.0], [1.0], [-2.0], [2.0]]), torch.arange(4)
        >>> seen = Selection(torch.tensor([0, 1, 0, 1]), rows[:2], ((rows[:2], rows[2:]),))
        >>> [fitted] = LogisticProbe(strengths=(1.0, 4.0)).fit(h, [seen], classes=2, metric="acc")
        >>> [fitted.chosen[key] for key in ("score", "normalisation", "strength")]
        [1.0, 'none', 4.0]
    """

    name: ClassVar[str] = "logistic"

    normalisations: Annotated[tuple[Normalisation, ...], at.MinLen(1)] = ("none", "unit", "z-score")
    strengths: Annotated[tuple[Positive, ...], at.MinLen(1)] = tuple(2.0**k for k in range(-10, 11))
    tolerance: Annotated[float, at.Interval(ge=1e-10, lt=1.0)] = 1e-4
    max_iterations: Size = 2000

    def fit(self, h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> list[Fitted]:
        """Select and fit one classifier per selection, all fits of a normalisation at once."""
        check_embedding(h, selections, classes, metric)
        x = h.detach().cpu().double()
        found = [self._select(x, kind, selections, classes, metric) for kind in self.normalisations]
        # of equals max takes the first, so an earlier normalisation wins
        best = [max(options, key=lambda option: option[0])[1] for options in zip(*found, strict=True)]
        for kind in self.normalisations:
            again = [
                i
                for i, selection in enumerate(selections)
                if best[i].chosen["normalisation"] == kind and not _is_final(selection)
            ]
            if again:
                strengths = torch.tensor([[best[i].chosen["strength"]] for i in again], dtype=torch.float64)
                parts = [(selections[i].train, selections[i].labels) for i in again]
                solution = self._solve(x, kind, parts, strengths, classes)
                for number, i in enumerate(again):
                    best[i] = self._classifier(solution, number, 0, best[i].chosen)
        return list(best)

    def describe(self) -> dict[str, Any]:
        """The grid, the stopping rule and the rule of choice."""
        return {
            "probe": self.name,
            **encode(self),
            "rule": "best mean score; ties: lowest mean cross-entropy, least strength, first normalisation",
            "final": "the fit on train that won; after cross-validation fitted again on train",
        }

    def _select(
        self,
        x: Tensor,
        normalisation: Normalisation,
        selections: Sequence[Selection],
        classes: int,
        metric: Metric,
    ) -> list[tuple[tuple[float, ...], LinearClassifier]]:
        """The best strength of each selection under one normalisation, and its rank."""
        pairs = [(fit, score, selection.labels) for selection in selections for fit, score in selection.pairs]
        strengths = torch.tensor(self.strengths, dtype=torch.float64)
        parts = [(fit, labels) for fit, _, labels in pairs]
        solution = self._solve(x, normalisation, parts, strengths.expand(len(pairs), -1), classes)
        scores, losses = [], []
        for i, (_, rows, labels) in enumerate(pairs):
            seen = unit_rows(x[rows]) if normalisation == "unit" else x[rows]
            logits = _logits(seen, solution.weight[i], solution.bias[i], solution.present[i])
            scores.append(selection_score(logits, labels[rows], metric))
            own = labels[rows].expand(len(strengths), -1)[:, :, None]
            losses.append((logits.logsumexp(dim=2) - logits.gather(2, own).squeeze(2)).mean(dim=1))
        best: list[tuple[tuple[float, ...], LinearClassifier]] = []
        first = 0
        for selection in selections:
            last = first + len(selection.pairs)
            score = torch.stack(scores[first:last]).mean(dim=0).tolist()
            loss = torch.stack(losses[first:last]).mean(dim=0).tolist()
            # the mean over folds is rounded, so that equal scores stay equal however they were summed
            ranks = [(round(a, 12), -b, -c) for a, b, c in zip(score, loss, self.strengths, strict=True)]
            k = max(range(len(ranks)), key=ranks.__getitem__)
            chosen = {
                "normalisation": normalisation,
                "strength": self.strengths[k],
                "score": score[k],
                "cross_entropy": loss[k],
            }
            best.append((ranks[k], self._classifier(solution, first, k, chosen)))
            first = last
        return best

    def _solve(
        self,
        x: Tensor,
        normalisation: Normalisation,
        parts: Sequence[tuple[Tensor, Tensor]],
        strengths: Tensor,
        classes: int,
    ) -> Solution:
        """Solve one problem per (rows, labels); column statistics come from its rows, and end in its weights."""
        matrices = [unit_rows(x[rows]) if normalisation == "unit" else x[rows] for rows, _ in parts]
        targets = [labels[rows] for rows, labels in parts]
        if normalisation != "z-score":
            return solve_logistic(matrices, targets, strengths, classes, self.tolerance, self.max_iterations)
        shift = torch.stack([matrix.mean(dim=0) for matrix in matrices])
        scale = torch.stack([_deviation(matrix) for matrix in matrices])
        matrices = [(matrix - shift[i]) / scale[i] for i, matrix in enumerate(matrices)]
        solution = solve_logistic(matrices, targets, strengths, classes, self.tolerance, self.max_iterations)
        weight = solution.weight / scale[:, None, None]
        return replace(solution, weight=weight, bias=solution.bias - (weight * shift[:, None, None]).sum(dim=-1))

    def _classifier(self, solution: Solution, problem: int, k: int, chosen: dict[str, Any]) -> LinearClassifier:
        gradient = float(solution.gradient[problem, k])
        chosen = {
            **chosen,
            "gradient": gradient,
            "steps": int(solution.steps[problem, k]),
            "converged": gradient <= self.tolerance,
        }
        return LinearClassifier(
            solution.weight[problem, k].clone(),
            solution.bias[problem, k].clone(),
            solution.present[problem],
            chosen["normalisation"] == "unit",
            chosen,
        )


def _deviation(x: Tensor) -> Tensor:
    constant = x.amax(dim=0) == x.amin(dim=0)  # exactly: rounding would give its deviation some tiny value
    return torch.where(constant, 1.0, x.std(dim=0, correction=0))


def _is_final(selection: Selection) -> bool:
    return len(selection.pairs) == 1 and torch.equal(selection.pairs[0][0], selection.train)
