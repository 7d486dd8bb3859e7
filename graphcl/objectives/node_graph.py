r"""Losses that tell the nodes of a graph from corrupted ones by the graph's summary.

| class | function | pairs | negatives |
|---|---|---|---|
| `NodeGraphBCE` | `node_graph_bce` | node with its graph's summary | given rows (a corrupted graph) with the summary |
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective

__all__ = ["NodeGraphBCE", "node_graph_bce"]


def node_graph_bce(nodes: Tensor, summaries: Tensor, corrupted: Tensor, graph: Tensor | None = None) -> Tensor:
    r"""Binary cross-entropy of telling a graph's nodes from corrupted ones by their product with its summary.

    .. math::
        L = \frac{1}{2N}\left(\sum_v \mathrm{softplus}(-h_v \cdot s_{g(v)})
        + \sum_v \mathrm{softplus}(\tilde h_v \cdot s_{g(v)})\right)

    This is the Jensen–Shannon bound on mutual information up to the constant :math:`2 \log 2` and a factor 2. The
    bilinear score of DGI is a product too: pass ``s = W σ(mean h)``. Untrained, the loss is :math:`\log 2`.

    Args:
        nodes: embeddings of the real graph ``[N, D]``.
        summaries: one summary per graph ``[B, D]``.
        corrupted: embeddings of the corrupted graph ``[N, D]``.
        graph: which summary belongs to each node, ``int64 [N]``; ``None`` where there is one graph.

    Returns:
        A scalar.

    Raises:
        RequestError: shapes do not fit.

    Reference:
        Veličković et al., Deep graph infomax, ICLR 2019, equation 1.

    Example:
        >>> round(node_graph_bce(torch.zeros(2, 3), torch.ones(1, 3), torch.zeros(2, 3)).item(), 4)
        0.6931
    """
    if nodes.dim() != 2 or nodes.shape != corrupted.shape:
        raise RequestError(
            f"embeddings have shapes {list(nodes.shape)} and {list(corrupted.shape)}; both must be [N, D]"
        )
    if summaries.dim() != 2 or summaries.size(1) != nodes.size(1):
        raise RequestError(f"summaries have shape {list(summaries.shape)}; expected [B, {nodes.size(1)}]")
    if graph is None and summaries.size(0) != 1:
        raise RequestError(f"{summaries.size(0)} summaries: say which belongs to each node with `graph` [N]")
    each = summaries if graph is None else summaries[graph]
    real, fake = (nodes * each).sum(1), (corrupted * each).sum(1)
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


@dataclass(frozen=True)
class NodeGraphBCE(Objective):
    """`node_graph_bce` as a part of a method: ``a`` nodes, ``b`` summaries, ``negatives`` corrupted nodes.

    Example:
        >>> NodeGraphBCE()(torch.zeros(2, 3), torch.ones(1, 3), negatives=torch.zeros(2, 3)).shape
        torch.Size([])
    """

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` is the graph of each node, ``negatives`` must be given."""
        if negatives is None:
            raise RequestError("NodeGraphBCE needs `negatives`: the embeddings of a corrupted graph [N, D]")
        return node_graph_bce(a, b, negatives, positives)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by a plain loop over nodes."""
        if negatives is None:
            raise RequestError("NodeGraphBCE needs `negatives`: the embeddings of a corrupted graph [N, D]")
        total = 0.0
        for v in range(a.size(0)):
            summary = b[0 if positives is None else int(positives[v])]
            total += math.log1p(math.exp(-float(a[v] @ summary)))
            total += math.log1p(math.exp(float(negatives[v] @ summary)))
        return total / (2 * a.size(0))

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Nodes of two graphs, their summaries, and corrupted nodes."""
        drawn = super().sample(generator, n, d)
        return {
            "a": drawn["a"],
            "b": drawn["b"][:2],
            "positives": torch.arange(n, device=generator.device) % 2,
            "negatives": drawn["a"].flip(0) + 1,
        }
