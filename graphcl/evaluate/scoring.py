"""From an embedding and a split to scores: selection sees train and validation, the test part is read after it."""

from dataclasses import dataclass
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch_geometric.data import Data

from graphcl.data.loading import labels
from graphcl.data.splits import Split
from graphcl.errors import DataError
from graphcl.evaluate.logistic import LogisticProbe
from graphcl.evaluate.probes import Fitted, Metric, Probe, selections
from graphcl.seeding import Seeds

__all__ = ["Scores", "accuracy", "probe", "roc_auc", "score"]


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
    return float(roc_auc_score(y.numpy(), (logits[:, 1] - logits[:, 0]).numpy()))


def _measure(fitted: Fitted, h: Tensor, y: Tensor, rows: Tensor, metric: Metric) -> dict[str, float]:
    with torch.no_grad():
        logits = fitted.logits(h[rows])
    found = {"acc": accuracy(logits, y[rows])}
    # beside accuracy the AUC is a courtesy: a part that holds one class only has none
    if metric == "auc" or (logits.size(1) == 2 and y[rows].unique().numel() == 2):
        found["auc"] = roc_auc(logits, y[rows])
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
        `Scores` with ``acc/val``, ``acc/test`` and, for two classes, ``auc/val``, ``auc/test``. Where a split has no
        validation part, the ``val`` figures are missing and ``{metric}/cv`` is the cross-validated score in train.

    Raises:
        DataError: embedding, labels and split do not fit together.
    """
    if not isinstance(h, Tensor) or not isinstance(split, Split):
        raise DataError("score takes a tensor [N, D] and a Split, as graphcl.embed and graphcl.load give them")
    split.check(y)
    if h.dim() != 2 or h.size(0) != y.numel():
        raise DataError(f"the embedding has shape {list(h.shape)}; expected [{y.numel()}, D], one row per label")
    classes = int(y.max()) + 1
    if y[y >= 0].unique().numel() != classes:
        raise DataError(
            f"labels go up to {classes - 1} with gaps between; number the classes 0, 1, 2 … "
            "(torch.unique(y, return_inverse=True)[1])"
        )
    visible = selections(y, split, Seeds(seed).torch("folds"))
    fitted = probe.fit(h, visible, classes, metric)
    per_split: dict[str, list[float]] = {}
    for triple, one in zip(split, fitted, strict=True):
        parts = {"val": triple.val, "test": triple.test}
        for part, rows in parts.items():
            if rows.numel() == 0:
                continue
            for name, value in _measure(one, h, y, rows, metric).items():
                per_split.setdefault(f"{name}/{part}", []).append(value)
        if triple.val.numel() == 0 and "score" in one.chosen:
            per_split.setdefault(f"{metric}/cv", []).append(float(one.chosen["score"]))
    metrics = {name: sum(values) / len(values) for name, values in per_split.items()}
    return Scores(metrics, per_split, [one.chosen for one in fitted])


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
        ['acc/test', 'acc/val', 'auc/test', 'auc/val']
    """
    return score(h, labels(data), split, LogisticProbe(), seed=seed).metrics
