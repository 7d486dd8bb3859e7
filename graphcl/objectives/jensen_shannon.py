r"""The Jensen–Shannon estimate of mutual information: pairs that belong together against all that do not.

| class | function | pairs | negatives |
|---|---|---|---|
| `NodeGraphJSD` | `node_graph_jsd` | node with its graph's summary | node with other summaries, or given rows |
| `NodeNodeJSD` | `node_node_jsd` | row i with row i of the other view | row i with the other rows of the other view |

With the score :math:`s` a plain product,

.. math::
    L = \operatorname*{mean}_{+} \mathrm{softplus}(-s) + \operatorname*{mean}_{-} \mathrm{softplus}(s) - 2 \log 2

which is 0 where all scores are 0 and at best :math:`-2 \log 2`. Its negative is a lower bound of twice the
Jensen–Shannon divergence of the two distributions of pairs.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import alike, check_index, finite, wide

__all__ = ["NodeGraphJSD", "NodeNodeJSD", "node_graph_jsd", "node_node_jsd"]


class _SoftplusOfOthers(torch.autograd.Function):
    """Sum of ``softplus(a_i · b_j)`` over all j but ``own[i]``, in row blocks; never all scores at once.

    What comes from above is one number, so that the gradient is gathered in the same pass.
    """

    SCORES = 2**20
    """Scores of a block."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, own: Tensor) -> Tensor:
        of_a, of_b = (torch.zeros_like(x) if ctx.needs_input_grad[k] else None for k, x in enumerate((a, b)))
        total = torch.zeros((), dtype=torch.float64, device=a.device)
        rows = max(1, _SoftplusOfOthers.SCORES // b.size(0))
        with torch.autocast(a.device.type, enabled=False):
            for start in range(0, a.size(0), rows):
                block = a[start : start + rows]
                scores = (block @ b.T).scatter_(1, own[start : start + rows, None], -torch.inf)
                total += _softplus(scores).sum()
                if of_a is None and of_b is None:
                    continue
                slopes = scores.sigmoid_()
                if of_a is not None:
                    of_a[start : start + rows] = slopes @ b
                if of_b is not None:
                    of_b += slopes.T @ block
        ctx.save_for_backward(of_a, of_b)
        return total.to(a.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        of_a, of_b = (None if gradient is None else gradient * upstream for gradient in ctx.saved_tensors)
        return of_a, of_b, None


def _softplus(x: Tensor) -> Tensor:
    # torch's default calls the function linear from 20 on, an error of 2e-9: not exact in float64
    return F.softplus(x, threshold=40)


def node_graph_jsd(
    nodes: Tensor, summaries: Tensor, graph: Tensor | None = None, corrupted: Tensor | None = None
) -> Tensor:
    r"""Jensen–Shannon estimate of the information that nodes share with their graph's summary.

    .. math::
        L = \frac1N \sum_v \mathrm{softplus}(-h_v \cdot s_{g(v)})
        + \frac{1}{N (B - 1)} \sum_v \sum_{g \neq g(v)} \mathrm{softplus}(h_v \cdot s_g) - 2 \log 2

    With corrupted nodes the second term is the mean of :math:`\mathrm{softplus}(\tilde h_v \cdot s_{g(v)})`: twice
    `node_graph_bce` less the constant. Memory grows with the nodes, not with nodes × graphs.

    Args:
        nodes: embeddings of all nodes ``[N, D]``.
        summaries: one summary per graph ``[B, D]``.
        graph: which summary belongs to each node, ``int64 [N]``; ``None`` where there is one graph.
        corrupted: embeddings of the corrupted graphs ``[N, D]``, the negatives in place of the other graphs; one graph
            has no others, and needs them.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: shapes do not fit, values are not finite, there is one graph and nothing corrupted.

    Reference:
        Sun et al., InfoGraph, ICLR 2020, with the offset and the averages of its released code (those of
        Hjelm et al., Deep InfoMax, ICLR 2019); Hassani and Khasahmadi, MVGRL, ICML 2020, at graph level: nodes of one
        view with summaries of the other, both ways, summed.

    Example:
        >>> h, s = torch.eye(2), torch.eye(2)
        >>> round(node_graph_jsd(h, s, torch.tensor([0, 1])).item(), 4)  # softplus(-1) + softplus(0) - 2 log 2
        -0.3799
    """
    alike(nodes, summaries, same_rows=False)
    nodes, summaries = finite(wide(nodes), "nodes"), finite(wide(summaries), "summaries")
    n, graphs = nodes.size(0), summaries.size(0)
    if graph is None:
        if graphs != 1:
            raise RequestError(f"{graphs} summaries: say which belongs to each node with `graph` [N]")
        graph = torch.zeros(n, dtype=torch.int64, device=nodes.device)
    check_index(graph, n, graphs, "graphs of the nodes")
    own = summaries[graph]
    positive = _softplus(-(nodes * own).sum(1)).mean()
    if corrupted is not None:
        if corrupted.shape != nodes.shape:
            raise RequestError(f"corrupted nodes have shape {list(corrupted.shape)}; expected {list(nodes.shape)}")
        negative = _softplus((finite(wide(corrupted), "corrupted") * own).sum(1)).mean()
    elif graphs == 1:
        raise RequestError("one graph has no other to contrast with: give `corrupted` nodes, or a batch of graphs")
    else:
        negative = _SoftplusOfOthers.apply(nodes, summaries, graph) / (n * (graphs - 1))
    return positive + negative - 2 * math.log(2)


@dataclass(frozen=True)
class NodeGraphJSD(Objective):
    """`node_graph_jsd` as a part of a method: ``a`` nodes, ``b`` summaries, ``positives`` the graph of each node.

    Example:
        >>> NodeGraphJSD()(torch.zeros(3, 2), torch.ones(2, 2), torch.tensor([0, 0, 1])).item()
        0.0
    """

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``negatives`` are corrupted nodes, and ``None`` takes the other graphs."""
        return node_graph_jsd(a, b, positives, negatives)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over nodes and graphs."""
        n, graphs = a.size(0), b.size(0)
        found: dict[bool, list[float]] = {True: [], False: []}
        for v in range(n):
            own = 0 if positives is None else int(positives[v])
            for g in range(graphs):
                if g == own or negatives is None:
                    found[g == own].append(float(a[v] @ b[g]))
            if negatives is not None:
                found[False].append(float(negatives[v] @ b[own]))
        real = sum(math.log(2) - math.log1p(math.exp(-score)) for score in found[True]) / len(found[True])
        fake = sum(math.log1p(math.exp(-score)) + score - math.log(2) for score in found[False]) / len(found[False])
        return fake - real

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Nodes of three graphs and their summaries."""
        drawn = super().sample(generator, n, d)
        return {"a": drawn["a"], "b": drawn["b"][:3], "positives": torch.arange(n, device=generator.device) % 3}


def node_node_jsd(a: Tensor, b: Tensor, positives: Tensor | None = None) -> Tensor:
    r"""Jensen–Shannon estimate of the information that the rows of two views share.

    .. math::
        L = \frac1N \sum_i \mathrm{softplus}(-a_i \cdot b_i)
        + \frac{1}{N (M - 1)} \sum_i \sum_{j \neq i} \mathrm{softplus}(a_i \cdot b_j) - 2 \log 2

    Memory grows with the rows, not with their square.

    Args:
        a: one view ``[N, D]``.
        b: the other ``[M, D]``, M ≥ 2.
        positives: ``int64 [N]``, the row of ``b`` that belongs to each row of ``a``; ``None`` pairs row i with row i.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: shapes, types or devices do not fit, values are not finite, ``b`` has one row.

    Reference:
        Hjelm et al., Deep InfoMax, ICLR 2019, equation 4, between nodes.

    Example:
        >>> round(node_node_jsd(torch.eye(2), torch.eye(2)).item(), 4)
        -0.3799
    """
    alike(a, b, same_rows=positives is None)
    a, b = finite(wide(a), "a"), finite(wide(b), "b")
    n, others = a.size(0), b.size(0) - 1
    if others < 1:
        raise RequestError("one row has no negatives; node_node_jsd needs at least two rows in `b`")
    if positives is None:
        positives = torch.arange(n, device=a.device)
        score = (a * b).sum(1)
    else:
        check_index(positives, n, others + 1)
        score = (a * b[positives]).sum(1)
    negative = _SoftplusOfOthers.apply(a, b, positives) / (n * others)
    return _softplus(-score).mean() + negative - 2 * math.log(2)


@dataclass(frozen=True)
class NodeNodeJSD(Objective):
    """`node_node_jsd` as a part of a method.

    Example:
        >>> NodeNodeJSD()(torch.zeros(3, 2), torch.ones(3, 2)).item()
        0.0
    """

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` as in `node_node_jsd`, given ``negatives`` are refused (all other rows are)."""
        if negatives is not None:
            raise RequestError("NodeNodeJSD takes all other rows as negatives; leave `negatives` out")
        return node_node_jsd(a, b, positives)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        total = -2 * math.log(2)
        for i in range(a.size(0)):
            own = i if positives is None else int(positives[i])
            total += math.log(1 + math.exp(-float(a[i] @ b[own]))) / a.size(0)
            for j in range(b.size(0)):
                if j != own:
                    total += math.log(1 + math.exp(float(a[i] @ b[j]))) / (a.size(0) * (b.size(0) - 1))
        return total
