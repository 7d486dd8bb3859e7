"""Probes: what a frozen embedding lets a simple classifier read off.

A probe is fitted once per triple of a split. It is handed a `Selection` and never the split itself, so the
labels it could be tempted to select on are not there: whatever lies outside train and validation reads -1.

| probe | fits | selects |
|---|---|---|
| `logistic` | L2-regularised multinomial logistic regression | normalisation and strength, from one grid |
| `early-stopped` | a linear layer by Adam, as the official codes do | the first best epoch |
| `majority` | the most frequent label, whatever the embedding | nothing; it is the floor of a table |
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor

from graphcl.config import Config, updated
from graphcl.data.splits import Split, Triple
from graphcl.errors import DataError

__all__ = [
    "FOLDS",
    "Fitted",
    "MajorityProbe",
    "Metric",
    "Probe",
    "Selection",
    "check_embedding",
    "selection_score",
    "selections",
]

Metric = Literal["acc", "auc"]
"""What selection maximises: accuracy, or the area under the ROC curve of a two-class problem."""

FOLDS = 5
"""Folds of the cross-validation inside train, for splits without a validation part."""


@dataclass(frozen=True, eq=False)
class Selection:
    """What fitting and selecting may see of one split triple; the test labels are not in it.

    Args:
        labels: ``[N]`` int64, -1 for every row outside train and validation.
        train: rows of the final fit.
        pairs: (fit rows, score rows) to select on, scores being averaged over them.
    """

    labels: Tensor
    train: Tensor
    pairs: tuple[tuple[Tensor, Tensor], ...]


def selections(y: Tensor, split: Split, generator: torch.Generator) -> list[Selection]:
    """Reduce each triple of a split to what selection may see.

    A split that selects on its validation part yields the one pair (train, val). One that selects by
    cross-validation yields `FOLDS` pairs inside train (fewer if it has fewer rows), drawn class by class: the
    counts of a class in two folds differ by at most one, and with fewer members than folds some hold none.

    Args:
        y: labels ``[N]``, -1 for "no label".
        split: the partitions.
        generator: draws the folds; left alone where there are none to draw.

    Raises:
        DataError: there is nothing to select on: an empty validation part, or a single training row.

    Example:
        >>> y = torch.tensor([0, 1, 0, 1, 0, 1])
        >>> triple = Triple(torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([4, 5]))
        >>> selections(y, Split("public", (triple,), "by hand"), torch.Generator())[0].labels.tolist()
        [0, 1, 0, 1, -1, -1]
    """
    y = y.flatten().long().cpu()
    chosen = []
    for number, triple in enumerate(split):
        where = f"split {split.name}[{number}]"
        visible = torch.cat([triple.train, triple.val])
        labels = torch.full_like(y, -1)
        labels[visible] = y[visible]
        if split.selection == "cross-validation":
            pairs = _folds(labels, triple, generator, where)
        elif triple.val.numel():
            pairs = ((triple.train, triple.val),)
        else:
            raise DataError(f"{where}: the validation part is empty; use a split that selects by cross-validation")
        chosen.append(Selection(labels, triple.train, pairs))
    return chosen


def _folds(labels: Tensor, triple: Triple, generator: torch.Generator, where: str) -> tuple[tuple[Tensor, Tensor], ...]:
    train = triple.train
    count = min(FOLDS, train.numel())
    if count < 2:
        raise DataError(f"{where}: one training row cannot be cross-validated; use a larger training part")
    shuffled = train[torch.randperm(train.numel(), generator=generator)]
    # dealt out class after class like cards, so every fold gets its share of each class and of the rows
    dealt = shuffled[labels[shuffled].argsort(stable=True)]
    fold = torch.arange(dealt.numel()) % count
    return tuple((dealt[fold != i].sort().values, dealt[fold == i].sort().values) for i in range(count))


class Fitted(Protocol):
    """A probe fitted on one `Selection`."""

    @property
    def chosen(self) -> dict[str, Any]:
        """What selection settled on, as plain JSON values."""
        ...

    def logits(self, h: Tensor) -> Tensor:
        """Class scores ``[N, C]`` of an embedding ``[N, D]``, differentiable with respect to it."""
        ...


@dataclass(frozen=True)
class Probe(Config, ABC):
    """A rule that turns a frozen embedding and visible labels into a classifier."""

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by data set, the same for every method: one table, one probe."""

    @classmethod
    def preset(cls, dataset: str, changes: Mapping[str, Any] | None = None) -> Self:
        """The settings for a data set (the defaults where there are none), with changes merged in."""
        return updated(updated(cls(), cls.presets.get(dataset, {})), changes or {})

    @abstractmethod
    def fit(self, h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> list[Fitted]:
        """Fit one classifier per selection.

        Args:
            h: embedding ``[N, D]``; it is read, never changed, and no gradient is traced.
            selections: what may be seen of each triple.
            classes: number of classes C; labels are 0 .. C - 1.
            metric: what selection maximises.

        Raises:
            DataError: the embedding or the labels cannot be used (see `check_embedding`).
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """State the grid and the rule of choice for the record, as plain JSON values."""


def check_embedding(h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> None:
    """Refuse an embedding that no probe can be fitted on.

    Raises:
        DataError: ``h`` is not a floating-point matrix with one row per label, or holds NaN or infinity; a
            label is not below ``classes``; a row to fit or score on has none; AUC without two classes.
    """
    if h.dim() != 2 or not h.is_floating_point():
        raise DataError(f"the embedding is {h.dtype} of shape {tuple(h.shape)}; give a floating-point matrix [N, D]")
    if not torch.isfinite(h).all():
        rows = int((~torch.isfinite(h)).any(dim=1).sum())
        raise DataError(f"the embedding holds NaN or infinity in {rows} of {len(h)} rows; lower the learning rate")
    if metric == "auc" and classes != 2:
        raise DataError(f"metric auc needs two classes and there are {classes}; use metric acc")
    for selection in selections:
        labels = selection.labels
        if labels.numel() != len(h):
            raise DataError(f"the embedding has {len(h)} rows for {labels.numel()} labels; embed every row")
        if int(labels.max()) >= classes:
            raise DataError(f"label {int(labels.max())} with {classes} classes; number them from 0")
        if any((labels[rows] < 0).any() for rows in (selection.train, *chain(*selection.pairs))):
            raise DataError("a row to fit or score on has no label (-1); leave such rows out of the split")


def selection_score(logits: Tensor, y: Tensor, metric: Metric) -> Tensor:
    r"""Score classifiers on the rows that selection looks at.

    .. math:: \mathrm{acc} = \tfrac1M \sum_i [\arg\max_c z_{ic} = y_i], \qquad
              \mathrm{auc} = P(s_+ > s_-) + \tfrac12 P(s_+ = s_-), \quad s = z_1 - z_0

    Args:
        logits: class scores ``[..., M, C]``.
        y: labels ``[M]``.
        metric: accuracy or AUC; rows of one class only say nothing about a ranking and have AUC 1/2.

    Returns:
        Scores ``[...]`` in [0, 1], float64.

    Example:
        >>> z = torch.tensor([[2.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
        >>> y = torch.tensor([0, 1, 1])
        >>> [round(selection_score(z, y, metric).item(), 4) for metric in ("acc", "auc")]
        [0.6667, 0.75]
    """
    if metric == "acc":
        return (logits.argmax(dim=-1) == y).double().mean(dim=-1)
    gap = logits[..., 1] - logits[..., 0]
    positive, negative = gap[..., y == 1].contiguous(), gap[..., y == 0].sort(dim=-1).values.contiguous()
    if positive.shape[-1] == 0 or negative.shape[-1] == 0:
        return torch.full(gap.shape[:-1], 0.5, dtype=torch.float64)
    below = torch.searchsorted(negative, positive) + torch.searchsorted(negative, positive, right=True)
    return below.double().mean(dim=-1) / (2 * negative.shape[-1])


@dataclass(frozen=True, eq=False)
class _Prior:
    """The same class scores for every row: log frequencies, one added to each count."""

    scores: Tensor
    chosen: dict[str, Any]

    def logits(self, h: Tensor) -> Tensor:
        # a vanishing share of h keeps the gradient defined (it is zero) for callers that ask for one
        return self.scores.to(h.device) + h.double().sum(dim=1, keepdim=True) * 0.0


@dataclass(frozen=True)
class MajorityProbe(Probe):
    r"""Predicts the most frequent visible label, whatever the embedding: the floor of every table.

    .. math:: z_c = \log \frac{n_c + 1}{n + C}

    with :math:`n_c` the visible labels of class c; of equally frequent classes the first wins.

    Example:
        >>> seen = Selection(torch.tensor([1, 1, 0, -1]), torch.tensor([0, 1]), ())
        >>> MajorityProbe().fit(torch.zeros(4, 2), [seen], classes=2, metric="acc")[0].chosen
        {'label': 1, 'rows': 3}
    """

    name: ClassVar[str] = "majority"

    def fit(self, h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> list[Fitted]:
        """Count the visible labels of each selection."""
        check_embedding(h, selections, classes, metric)
        fitted: list[Fitted] = []
        for selection in selections:
            counts = torch.bincount(selection.labels[selection.labels >= 0], minlength=classes)
            scores = ((counts + 1).double() / (counts.sum() + classes)).log()
            label = int((counts == counts.max()).nonzero()[0])
            fitted.append(_Prior(scores, {"label": label, "rows": int(counts.sum())}))
        return fitted

    def describe(self) -> dict[str, Any]:
        """The rule in words."""
        return {"probe": self.name, "rule": "most frequent label of train and validation"}
