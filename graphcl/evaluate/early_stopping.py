"""The probe of the official codes: a linear layer trained by Adam and stopped where validation was best.

CCA-SSG and many others score embeddings in this way. Stopping early is a regularisation of its own kind: Adam's first
steps from zero have the same length in every coordinate, so that all dimensions of an embedding speak with equal weight
however small they are. It is here to meet published numbers under the protocol they were
published with; tables of ours use `graphcl.evaluate.LogisticProbe`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import NonNegative, Positive, Size, encode
from graphcl.evaluate.probes import Fitted, Metric, Probe, Selection, check_embedding, selection_score

__all__ = ["EarlyStoppedProbe"]


@dataclass(frozen=True, eq=False)
class _Linear:
    """A linear classifier of raw embeddings."""

    weight: Tensor  # [C, D]
    bias: Tensor  # [C]
    chosen: dict[str, Any]

    def logits(self, h: Tensor) -> Tensor:
        return F.linear(h, self.weight.to(h), self.bias.to(h))


@dataclass(frozen=True)
class EarlyStoppedProbe(Probe):
    r"""A linear layer on the raw embedding, trained by Adam on cross-entropy, taken at its first best validation epoch.

    .. math::
        \theta_{t+1} = \mathrm{Adam}_{lr}(\theta_t, \nabla \mathrm{CE}(\theta_t) + \lambda \theta_t),
        \quad \theta_0 = 0, \quad t^* = \min \arg\max_t \mathrm{score}_{val}(\theta_t)

    The official codes start from small random weights; zero needs no seed. With cross-validation the
    epoch is chosen by the mean score of the folds, and the layer trained again on train for as long.

    Args:
        lr: learning rate.
        weight_decay: L2 penalty in Adam; 1e-4, and 1e-2 on CiteSeer, as the official CCA-SSG has it.
        epochs: at most.

    Reference:
        Zhang et al., CCA-SSG, NeurIPS 2021, released code: 2000 epochs of Adam with rate 0.01, the score of the first
        epoch with the best validation accuracy.

    Example:
        >>> h, y = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
        >>> seen = Selection(y, torch.tensor([0, 2]), ((torch.tensor([0, 2]), torch.tensor([1, 3])),))
        >>> EarlyStoppedProbe(epochs=5).fit(h, [seen], classes=2, metric="acc")[0].chosen
        {'epoch': 1, 'score': 1.0}
    """

    name: ClassVar[str] = "early-stopped"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "citeseer": {"weight_decay": 1e-2},
        "coauthor-physics": {"lr": 5e-3},
    }

    lr: Positive = 0.01
    weight_decay: NonNegative = 1e-4
    epochs: Size = 2000

    def fit(self, h: Tensor, selections: Sequence[Selection], classes: int, metric: Metric) -> list[Fitted]:
        """Train one layer per selection."""
        check_embedding(h, selections, classes, metric)
        x = h.detach().cpu().float()
        return [self._fit_one(x, selection, classes, metric) for selection in selections]

    def _fit_one(self, x: Tensor, selection: Selection, classes: int, metric: Metric) -> _Linear:
        labels = selection.labels
        walks = [self._walk(x[rows], labels[rows], classes) for rows, _ in selection.pairs]
        best, best_epoch, kept = -1.0, 0, None
        for epoch in range(1, self.epochs + 1):
            layers = [next(walk) for walk in walks]
            scores = [
                selection_score(F.linear(x[rows], weight, bias), labels[rows], metric)
                for (weight, bias), (_, rows) in zip(layers, selection.pairs, strict=True)
            ]
            score = float(torch.stack(scores).mean())
            if score > best:
                best, best_epoch = score, epoch
                kept = (layers[0][0].clone(), layers[0][1].clone())
            if best == 1.0:
                break
        if kept is None or len(walks) > 1:
            walk = self._walk(x[selection.train], labels[selection.train], classes)
            kept = [next(walk) for _ in range(best_epoch)][-1]
        return _Linear(*kept, {"epoch": best_epoch, "score": best})

    def _walk(self, x: Tensor, y: Tensor, classes: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Weight and bias after each epoch."""
        weight = torch.zeros(classes, x.size(1), requires_grad=True)
        bias = torch.zeros(classes, requires_grad=True)
        optimiser = torch.optim.Adam([weight, bias], lr=self.lr, weight_decay=self.weight_decay)
        while True:
            with torch.enable_grad():
                weight.grad, bias.grad = torch.autograd.grad(
                    F.cross_entropy(F.linear(x, weight, bias), y), [weight, bias]
                )
            optimiser.step()
            yield weight.detach(), bias.detach()

    def describe(self) -> dict[str, Any]:
        """The training, and the rule of choice."""
        return {"probe": self.name, **encode(self), "rule": "first epoch with the best validation score; raw embedding"}
