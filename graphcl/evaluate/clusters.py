"""Clusters of an embedding against the classes: what can be seen in it without a single label.

It is no probe, as it fits no labels and needs no split. Labels are compared with, and each row that has one counts.
"""

import warnings

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from graphcl.errors import DataError, RequestError
from graphcl.seeding import Seeds, imported

__all__ = ["clustering", "matched_accuracy"]


def matched_accuracy(y: Tensor, clusters: Tensor) -> float:
    r"""Accuracy under the best one-to-one naming of clusters by classes.

    .. math:: \mathrm{acc} = \max_{\pi \text{ injective}} \frac1N \sum_i [\pi(k_i) = y_i]

    Args:
        y: classes ``int64 [N]``.
        clusters: ``int64 [N]``; more clusters than classes leave some without a name.

    Returns:
        A share in (0, 1], by the Hungarian algorithm.

    Example:
        >>> matched_accuracy(torch.tensor([0, 0, 1, 1]), torch.tensor([5, 5, 5, 2]))
        0.75
    """
    contingency_matrix = imported("sklearn.metrics.cluster").contingency_matrix
    table = contingency_matrix(y.numpy(), clusters.numpy())
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def clustering(h: Tensor, y: Tensor, *, runs: int = 5, seed: int = 0) -> dict[str, float]:
    r"""Cluster an embedding by k-means into as many parts as there are classes, and compare with the classes.

    .. math:: \mathrm{NMI} = \frac{2\, I(K; Y)}{H(K) + H(Y)}, \qquad
              \mathrm{ARI} = \frac{\mathrm{RI} - \mathbb E\, \mathrm{RI}}{1 - \mathbb E\, \mathrm{RI}}

    All rows are clustered as they are (``torch.nn.functional.normalize(h)`` first clusters directions), the best of ten
    starts by k-means' own objective is a run, and figures are means over runs: nothing is chosen by the labels.

    Args:
        h: embedding ``[N, D]``.
        y: labels ``int64 [N]``, -1 for rows that are clustered but not compared.
        runs: how often, each with random starts of its own.
        seed: of the starts.

    Returns:
        ``nmi``, ``ari`` and ``acc`` (`matched_accuracy`); NMI and accuracy lie in [0, 1], ARI is 0 at chance.

    Raises:
        DataError: the embedding is no finite floating-point matrix with a row for each label, there are no labels, or
            fewer rows than classes.
        RequestError: no runs.

    Example:
        >>> h = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> clustering(h, torch.tensor([1, 1, 0, 0]))
        {'nmi': 1.0, 'ari': 1.0, 'acc': 1.0}
    """
    if h.dim() != 2 or not h.is_floating_point() or y.shape != h.shape[:1]:
        raise DataError(
            f"embedding {h.dtype} {list(h.shape)} and labels {list(y.shape)}; expected float [N, D] and [N]"
        )
    if not torch.isfinite(h).all():
        raise DataError("the embedding holds NaN or infinity; lower the learning rate")
    if runs < 1:
        raise RequestError(f"runs = {runs}: input should be 1 or more")
    k_means = imported("sklearn.cluster").KMeans
    slow = imported("sklearn.exceptions").ConvergenceWarning
    adjusted_rand_score = imported("sklearn.metrics").adjusted_rand_score
    normalized_mutual_info_score = imported("sklearn.metrics").normalized_mutual_info_score
    h, y = h.detach().cpu(), y.cpu()
    known = y >= 0
    classes = int(y[known].unique().numel())
    if not 1 <= classes <= len(h):
        raise DataError(f"{classes} classes in {len(h)} rows; there should be one at least, and a row for each")
    found: dict[str, list[float]] = {"nmi": [], "ari": [], "acc": []}
    starts = Seeds(seed).numpy("clustering").integers(2**31, size=runs)
    for start in starts.tolist():
        with warnings.catch_warnings():
            # an embedding with fewer different rows than classes has collapsed: the figures say so
            warnings.simplefilter("ignore", slow)
            clusters = k_means(classes, n_init=10, random_state=start).fit_predict(h.double().numpy())
        own, theirs = y[known].numpy(), clusters[known.numpy()]
        found["nmi"].append(float(normalized_mutual_info_score(own, theirs)))
        found["ari"].append(float(adjusted_rand_score(own, theirs)))
        found["acc"].append(matched_accuracy(y[known], torch.from_numpy(np.asarray(theirs))))
    return {name: sum(values) / runs for name, values in found.items()}
