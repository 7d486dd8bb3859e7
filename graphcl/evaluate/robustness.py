"""What an attack on an embedding and its probe raises, and how a score under attack is summed up."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.errors import DataError

__all__ = ["area_under_curve", "evasion_loss", "margins"]


def margins(logits: Tensor, y: Tensor) -> Tensor:
    r"""How far each row is from being told right, negative where it is.

    .. math:: m_v = \max_{c \neq y_v} z_{vc} - z_{v y_v}

    Args:
        logits: ``[N, C]``, C at least 2.
        y: ``int64 [N]``, none below 0.

    Example:
        >>> margins(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([1]))
        tensor([2.])
    """
    own = logits.gather(1, y[:, None])
    others = logits.masked_fill(torch.zeros_like(logits, dtype=torch.bool).scatter(1, y[:, None], True), -torch.inf)
    return others.amax(1) - own[:, 0]


def evasion_loss(logits: Callable[[Data], Tensor], data: Data, y: Tensor, rows: Tensor) -> Callable[[Data], Tensor]:
    r"""What an attack at test time raises: margins of wrong answers, each counting no more than it can.

    .. math:: \ell(G) = \frac{1}{|V|} \sum_{v \in V} \tanh\frac{m_v(G)}{s}, \qquad
        s = \frac{1}{|V|} \sum_{v \in V} |m_v(G_0)|

    A node that is lost already, or beyond reach, has hardly any gradient, so that none of the budget is wasted on it.
    The unit s is taken from the graph before the attack: however large or small somebody makes the logits, the loss is
    the same, and a defence that saturates its softmax hides nothing.

    Args:
        logits: from a graph to class scores ``[N, C]``, differentiable in its ``edge_weight`` or features: encoder and
            probe in one, deterministic.
        data: the graph before the attack.
        y: labels ``int64 [N]``, -1 where there is none.
        rows: the nodes that are attacked.

    Returns:
        A loss for an adversary.

    Raises:
        DataError: no rows, or some without a label.

    Reference:
        Geisler et al., Robustness of graph neural networks at scale, NeurIPS 2021, equation 5; the unit is ours.
    """
    if rows.numel() == 0 or bool((y[rows] < 0).any()):
        raise DataError("evasion_loss needs rows to attack, each with a label; leave out those of -1")

    def missed(graph: Data) -> Tensor:
        # a model may sit on another device than the graph
        scores = logits(graph)
        return margins(scores[rows.to(scores.device)], y[rows].to(scores.device))

    with torch.no_grad():
        unit = missed(data).abs().mean()
    unit = torch.where(unit > 0, unit, 1.0)

    def loss(graph: Data) -> Tensor:
        return torch.tanh(missed(graph) / unit).mean()

    return loss


def area_under_curve(scores: Mapping[float, float] | Sequence[tuple[float, float]]) -> float:
    r"""The mean height of a score over the strength of an attack, straight between the points.

    .. math:: \frac{1}{b_n - b_0} \int_{b_0}^{b_n} s(b)\, db

    Args:
        scores: score by strength, at two strengths at least.

    Raises:
        DataError: fewer than two strengths.

    Example:
        >>> area_under_curve({0.0: 0.8, 0.1: 0.6, 0.2: 0.6})
        0.65
    """
    points = sorted(dict(scores).items())
    if len(points) < 2:
        raise DataError("the area under a curve needs scores at two strengths at least")
    area = sum((b - a) * (s + t) / 2 for (a, s), (b, t) in pairwise(points))
    return area / (points[-1][0] - points[0][0])
