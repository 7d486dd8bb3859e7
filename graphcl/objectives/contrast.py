r"""Losses that pull positive pairs together and push negative pairs apart.

| class | function | pairs | negatives |
|---|---|---|---|
| `InfoNCE` | `info_nce` | node i of view a with node i of view b | all other nodes of both views |
| `NodeGraphBCE` | `node_graph_bce` | node with its graph's summary | given rows (a corrupted graph) with the summary |
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective

__all__ = ["InfoNCE", "NodeGraphBCE", "info_nce", "node_graph_bce"]


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.dim() != 2 or a.shape != b.shape:
        raise RequestError(f"embeddings have shapes {list(a.shape)} and {list(b.shape)}; both must be [N, D]")


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.5, intra_view: bool = True) -> Tensor:
    r"""Cross-entropy of finding a node's other view among all nodes, averaged over both directions.

    .. math::
        \ell(a_i, b_i) = -\log \frac{e^{\cos(a_i, b_i)/\tau}}
        {\sum_j e^{\cos(a_i, b_j)/\tau} + \sum_{j \neq i} e^{\cos(a_i, a_j)/\tau}},
        \qquad L = \frac{1}{2N} \sum_i \ell(a_i, b_i) + \ell(b_i, a_i)

    A node is never its own negative. Random embeddings score about :math:`\log(2N - 1)`, or :math:`\log N` without
    the intra-view sum.

    Args:
        a: one view ``[N, D]``.
        b: the other ``[N, D]``.
        temperature: :math:`\tau > 0`.
        intra_view: whether the other nodes of the same view are negatives too (the second sum).

    Returns:
        A scalar.

    Raises:
        RequestError: shapes differ, or the temperature is not positive.

    Reference:
        Zhu et al., Deep graph contrastive representation learning (GRACE), 2020, equations 1 and 2; without the
        intra-view sum: van den Oord et al., Contrastive predictive coding, 2018.

    Example:
        >>> z = torch.eye(3)
        >>> round(info_nce(z, z, temperature=1.0).item(), 4)  # log(e + 4) - 1
        0.9048
    """
    _check_pair(a, b)
    if not temperature > 0:
        raise RequestError(f"temperature = {temperature}: input should be greater than 0")
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    between = a @ b.T / temperature
    positive = between.diagonal()
    if not intra_view:
        rows, columns = between.logsumexp(1), between.logsumexp(0)
        return (0.5 * (rows + columns) - positive).mean()
    itself = torch.eye(a.size(0), dtype=torch.bool, device=a.device)
    rows = torch.cat([between, (a @ a.T / temperature).masked_fill(itself, -torch.inf)], 1).logsumexp(1)
    columns = torch.cat([between.T, (b @ b.T / temperature).masked_fill(itself, -torch.inf)], 1).logsumexp(1)
    return (0.5 * (rows + columns) - positive).mean()


@dataclass(frozen=True)
class InfoNCE(Objective):
    r"""`info_nce` as a part of a method.

    Args:
        temperature: :math:`\tau > 0`.
        intra_view: whether the other nodes of the same view are negatives too.

    Example:
        >>> InfoNCE(temperature=0.4)
        InfoNCE(temperature=0.4, intra_view=True)
    """

    temperature: Positive = 0.5
    intra_view: bool = True

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, given ``negatives`` are refused (all other nodes are)."""
        if negatives is not None:
            raise RequestError("InfoNCE takes all other nodes as negatives; leave `negatives` out")
        return info_nce(a, b if positives is None else b[positives], self.temperature, self.intra_view)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n = a.size(0)
        b = b if positives is None else b[positives]

        def similarity(u: Tensor, v: Tensor) -> float:
            return math.exp(float(F.cosine_similarity(u, v, dim=0)) / self.temperature)

        total = 0.0
        for first, second in ((a, b), (b, a)):
            for i in range(n):
                denominator = sum(similarity(first[i], second[j]) for j in range(n))
                if self.intra_view:
                    denominator += sum(similarity(first[i], first[j]) for j in range(n) if j != i)
                total -= math.log(similarity(first[i], second[i]) / denominator)
        return total / (2 * n)


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
    _check_pair(nodes, corrupted)
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
