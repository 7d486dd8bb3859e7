"""The probe without parameters: the classes of the nearest training rows.

It asks whether a class lies together in the embedding, not whether a plane cuts it off, and so sees what a linear probe
cannot. Nothing is fitted but how many neighbours speak and how fast their voice fades.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import annotated_types as at
import torch
from torch import Tensor

from graphcl.config import Positive, Size, encode
from graphcl.evaluate.probes import Fitted, Metric, Probe, Selection, check_embedding, selection_score
from graphcl.graph import unit_rows
from graphcl.ops.pairwise import pair_products

__all__ = ["KNNProbe"]

_TILE = 2**22
"""Similarities that are in memory at a time."""
_STEPS = 2**30
"""Similarities are compared as multiples of 1 / _STEPS."""
_DOUBT = 1e-6
"""Share of the vote that all classes have without a neighbour, so that logarithms exist."""


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Training rows, their classes, and how they vote."""

    rows: Tensor  # [T, D] float64, of length 1
    labels: Tensor  # [T]
    classes: int
    chosen: dict[str, Any]

    def logits(self, h: Tensor) -> Tensor:
        x, rows = unit_rows(h.double()), self.rows.to(h.device)
        near = _nearest(x.detach(), rows, self.chosen["neighbours"])
        # the choice of neighbours is piecewise constant; how much each counts has a gradient
        similarity = _similarities(x, rows, near)
        return _votes(similarity, self.labels.to(h.device)[near], self.classes, self.chosen["temperature"])


def _nearest(x: Tensor, rows: Tensor, k: int) -> Tensor:
    """The ``k`` rows with the largest products, ``int64 [N, k]``; of equals the first, whatever rounding does."""
    count = rows.size(0)
    place = torch.arange(count - 1, -1, -1, device=x.device)
    found = []
    for part in x.split(max(1, _TILE // count)):
        # one whole number from similarity and place: no two are equal, so that there is nothing left to chance
        key = ((part @ rows.T).clamp(-1.0, 1.0) * _STEPS).round().long() * count + place
        found.append(key.topk(k, dim=1).indices)
    return torch.cat(found)


def _similarities(x: Tensor, rows: Tensor, near: Tensor) -> Tensor:
    own = torch.arange(x.size(0), device=x.device).repeat_interleave(near.size(1))
    return pair_products(x, rows, torch.stack([own, near.flatten()])).view(near.shape)


def _votes(similarity: Tensor, labels: Tensor, classes: int, temperature: float) -> Tensor:
    weight = (similarity / temperature).softmax(dim=1)
    share = weight.new_zeros(len(weight), classes).scatter_add(1, labels, weight)
    return ((1 - _DOUBT) * share + _DOUBT / classes).log()


@dataclass(frozen=True)
class KNNProbe(Probe):
    r"""The classes of the k training rows nearest in cosine, each with a weight that grows with its similarity.

    .. math:: p_c(h) = \frac{\sum_{j \in N_k(h),\, y_j = c} e^{\cos(h, h_j) / \tau}}
                            {\sum_{j \in N_k(h)} e^{\cos(h, h_j) / \tau}}, \qquad
              z_c = \log\left((1 - \epsilon)\, p_c + \epsilon / C\right), \quad \epsilon = 10^{-6}

    A large :math:`\tau` counts heads, and where heads are equal the nearer side wins. Of equally near rows (to
    :math:`2^{-30}`) the first in train is taken. A row of zeros has no direction; it is similar to none, by 0. Of all
    (k, τ) the best mean selection score wins, then the lowest mean cross-entropy on the score rows, then the
    smallest k, then the temperature named first. The final neighbours are the rows of train.

    Time grows with the rows times the training rows, memory with the rows times k.

    Args:
        neighbours: the values of k; what exceeds the fit rows is cut to their number.
        temperatures: the values of τ, above 0. That of the paper below, and one that counts heads.

    Reference:
        Wu et al., Unsupervised feature learning via non-parametric instance discrimination, CVPR 2018: weighted
        voting with τ = 0.07.

    Example:
        >>> h, rows = torch.tensor([[1.0, 0.1], [0.1, 1.0], [2.0, 0.0], [0.0, 2.0]]), torch.arange(4)
        >>> seen = Selection(torch.tensor([0, 1, 0, 1]), rows[:2], ((rows[:2], rows[2:]),))
        >>> [fitted] = KNNProbe(temperatures=(0.07,)).fit(h, [seen], classes=2, metric="acc")
        >>> fitted.chosen["neighbours"], fitted.logits(torch.tensor([[3.0, 1.0]])).argmax().item()
        (1, 0)
    """

    name: ClassVar[str] = "knn"

    neighbours: Annotated[tuple[Size, ...], at.MinLen(1)] = (1, 3, 5, 10, 20, 50, 100)
    temperatures: Annotated[tuple[Positive, ...], at.MinLen(1)] = (0.07, 1000.0)

    def fit(self, h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> list[Fitted]:
        """Choose the neighbours of each selection."""
        check_embedding(h, selections, classes, metric)
        x = unit_rows(h.detach().cpu().double())
        return [self._fit_one(x, selection, classes, metric) for selection in selections]

    def _fit_one(self, x: Tensor, selection: Selection, classes: int, metric: Metric) -> _Neighbours:
        fewest = min(rows.numel() for rows, _ in selection.pairs)
        counts = sorted({min(k, fewest) for k in self.neighbours})
        options = [(k, temperature) for k in counts for temperature in self.temperatures]
        # [pairs, options]
        scores, losses = (
            torch.stack(values)
            for values in zip(
                *(self._measured(x, selection, pair, options, classes, metric) for pair in selection.pairs), strict=True
            )
        )
        score, loss = scores.mean(dim=0).tolist(), losses.mean(dim=0).tolist()
        # means are rounded, so that equal scores stay equal however they were summed
        best = max(range(len(options)), key=lambda i: (round(score[i], 12), -round(loss[i], 12), -options[i][0]))
        k, temperature = options[best]
        chosen = {"neighbours": k, "temperature": temperature, "score": score[best], "cross_entropy": loss[best]}
        train = selection.train
        return _Neighbours(x[train], selection.labels[train], classes, chosen)

    def _measured(
        self,
        x: Tensor,
        selection: Selection,
        pair: tuple[Tensor, Tensor],
        options: Sequence[tuple[int, float]],
        classes: int,
        metric: Metric,
    ) -> tuple[Tensor, Tensor]:
        """Score and cross-entropy of every option on one pair of fit and score rows."""
        known, asked = x[pair[0]], x[pair[1]]
        own = selection.labels[pair[1]]
        near = _nearest(asked, known, options[-1][0])
        similarity, labels = _similarities(asked, known, near), selection.labels[pair[0]][near]
        scores, losses = [], []
        for k, temperature in options:
            logits = _votes(similarity[:, :k], labels[:, :k], classes, temperature)
            scores.append(selection_score(logits, own, metric))
            losses.append(-logits.gather(1, own[:, None]).mean())
        return torch.stack(scores), torch.stack(losses)

    def describe(self) -> dict[str, Any]:
        """The grid and the rule of choice."""
        return {
            "probe": self.name,
            **encode(self),
            "rule": "cosine, similarity-weighted vote; best mean score; ties: lowest mean cross-entropy, fewest "
            "neighbours, first temperature",
            "final": "the rows of train",
        }
