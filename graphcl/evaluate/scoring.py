"""From an embedding and a split to scores: selection sees train and validation, the test part is read after it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.data.loading import labels
from graphcl.data.splits import Split
from graphcl.errors import DataError
from graphcl.evaluate.logistic import LogisticProbe
from graphcl.evaluate.probes import Fitted, Metric, Probe, selections
from graphcl.seeding import Seeds, imported

__all__ = ["Scores", "accuracy", "count_classes", "fit_probe", "macro_f1", "probe", "roc_auc", "score", "score_outputs"]


@dataclass(frozen=True)
class Scores:
    """Scores of one embedding.

    Args:
        metrics: ``name/part`` to the mean over the triples of the split, in [0, 1].
        per_split: ``name/part`` to the value of each triple.
        chosen: what selection chose, per triple.
    """

    metrics: dict[str, float]
    per_split: dict[str, list[float]]
    chosen: list[dict[str, Any]]


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of rows whose largest logit is the label."""
    return float((logits.argmax(1) == y).double().mean())


def roc_auc(logits: Tensor, y: Tensor) -> float:
    """Area under the ROC curve of a two-class problem, from scores (never from predicted labels).

    Raises:
        DataError: the rows hold one class only, or there are more than two.
    """
    if logits.size(1) != 2 or y.unique().numel() != 2:
        raise DataError(f"ROC-AUC needs rows of exactly two classes, found {y.unique().numel()} of {logits.size(1)}")
    roc_auc_score = imported("sklearn.metrics").roc_auc_score
    return float(roc_auc_score(y.numpy(), (logits[:, 1] - logits[:, 0]).numpy()))


def macro_f1(logits: Tensor, y: Tensor) -> float:
    r"""Mean over the classes of the harmonic mean of precision and recall; a class never found counts 0.

    .. math:: \frac{1}{C} \sum_c \frac{2\,\mathrm{TP}_c}{2\,\mathrm{TP}_c + \mathrm{FP}_c + \mathrm{FN}_c}

    over the classes that labels or predictions hold. Beside accuracy it shows what the frequent classes hide.

    Args:
        logits: ``[N, C]``, N > 0.
        y: labels ``int64 [N]``, no -1.

    Reference:
        scikit-learn's ``f1_score(average="macro", zero_division=0)``.

    Example:
        >>> macro_f1(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]))
        0.4
    """
    f1_score = imported("sklearn.metrics").f1_score
    return float(f1_score(y.numpy(), logits.argmax(1).numpy(), average="macro", zero_division=0.0))


def _measure(logits: Tensor, y: Tensor, metric: Metric) -> dict[str, float]:
    found = {"acc": accuracy(logits, y), "f1": macro_f1(logits, y)}
    # beside accuracy the AUC is a courtesy: a part that holds one class only has none
    if metric == "auc" or (logits.size(1) == 2 and y.unique().numel() == 2):
        found["auc"] = roc_auc(logits, y)
    return found


def score(h: Tensor, y: Tensor, split: Split, probe: Probe, metric: Metric = "acc", seed: int = 0) -> Scores:
    """Fit a probe on every triple of a split and score it.

    Args:
        h: embedding ``[N, D]``.
        y: labels ``int64 [N]``, -1 for unlabelled rows.
        split: the triples.
        probe: how to fit and select.
        metric: what selection maximises.
        seed: draws the folds where selection is by cross-validation.

    Returns:
        `Scores` with ``acc/val``, ``acc/test``, ``f1/val``, ``f1/test`` (macro) and, for two classes, ``auc/val``,
        ``auc/test``. Where a split has no
        validation part, the ``val`` figures are missing and ``{metric}/cv`` is the cross-validated score in train.

    Raises:
        DataError: embedding, labels and split do not fit together.
    """
    fitted = fit_probe(h, y, split, probe, metric, seed)
    outputs = [partial(_read, one, h) for one in fitted]
    return _measured(outputs, y, split, metric, [one.chosen for one in fitted])


def fit_probe(h: Tensor, y: Tensor, split: Split, probe: Probe, metric: Metric = "acc", seed: int = 0) -> list[Fitted]:
    """Fit a probe on every triple of a split, to be read on whatever embedding comes later.

    Args:
        h: embedding ``[N, D]``.
        y: labels ``int64 [N]``, -1 for unlabelled rows.
        split: the triples.
        probe: how to fit and select.
        metric: what selection maximises.
        seed: draws the folds where selection is by cross-validation.

    Returns:
        One fitted probe for each triple.

    Raises:
        DataError: embedding, labels and split do not fit together.
    """
    if not isinstance(h, Tensor) or not isinstance(split, Split):
        raise DataError("score takes a tensor [N, D] and a Split, as graphcl.embed and graphcl.load give them")
    if h.dim() != 2 or h.size(0) != y.numel():
        raise DataError(f"the embedding has shape {list(h.shape)}; expected [{y.numel()}, D], one row per label")
    classes = count_classes(y, split)
    visible = selections(y, split, Seeds(seed).torch("folds"))
    return probe.fit(h, visible, classes, metric)


def _read(fitted: Fitted, h: Tensor, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return fitted.logits(h[rows])


def score_outputs(
    outputs: Sequence[Tensor], y: Tensor, split: Split, metric: Metric, chosen: Sequence[dict[str, Any]]
) -> Scores:
    """Score the class scores that a supervised reference gives, one matrix per triple of a split.

    Args:
        outputs: ``[N, C]`` for each triple.
        y: labels ``int64 [N]``, -1 for unlabelled rows.
        split: the triples.
        metric: what selection maximised.
        chosen: what selection chose, per triple.

    Returns:
        `Scores` as of `score`.
    """
    return _measured([partial(torch.index_select, z, 0) for z in outputs], y, split, metric, list(chosen))


def count_classes(y: Tensor, split: Split) -> int:
    """The number of classes C of labels 0 .. C - 1 that a split can be learnt from with.

    Raises:
        DataError: classes are missing in between, or the split does not fit the labels.
    """
    split.check(y)
    classes = int(y.max()) + 1
    if y[y >= 0].unique().numel() != classes:
        raise DataError(
            f"labels go up to {classes - 1} with gaps between; number the classes 0, 1, 2 … "
            "(torch.unique(y, return_inverse=True)[1])"
        )
    return classes


def _measured(
    readers: Sequence[Callable[[Tensor], Tensor]],
    y: Tensor,
    split: Split,
    metric: Metric,
    chosen: list[dict[str, Any]],
) -> Scores:
    per_split: dict[str, list[float]] = {}
    for triple, read, choice in zip(split, readers, chosen, strict=True):
        parts = {"val": triple.val, "test": triple.test}
        for part, rows in parts.items():
            if rows.numel() == 0:
                continue
            for name, value in _measure(read(rows), y[rows], metric).items():
                per_split.setdefault(f"{name}/{part}", []).append(value)
        if triple.val.numel() == 0 and "score" in choice:
            per_split.setdefault(f"{metric}/cv", []).append(float(choice["score"]))
    metrics = {name: sum(values) / len(values) for name, values in per_split.items()}
    return Scores(metrics, per_split, chosen)


def probe(h: Tensor, data: Data | list[Data], split: Split, seed: int = 0) -> dict[str, float]:
    """Score an embedding with the standard logistic probe.

    Args:
        h: ``[N, D]`` (``[B, D]`` for a list of B graphs).
        data: the graph or graphs, for the labels.
        split: as `graphcl.load` gives it.
        seed: draws the folds where selection is by cross-validation.

    Returns:
        ``{"acc/val": …, "acc/test": …}`` in [0, 1], means over the triples of the split.

    Example:
        >>> import graphcl
        >>> data, split = graphcl.load("karate", split="few-4")
        >>> sorted(graphcl.evaluate.probe(data.x, data, split))
        ['acc/test', 'acc/val', 'auc/test', 'auc/val', 'f1/test', 'f1/val']
    """
    return score(h, labels(data), split, LogisticProbe(), seed=seed).metrics
