r"""A loss that predicts the neighbours of a node from the node, and tells nodes apart by what they are themselves.

| class | function | pairs | negatives |
|---|---|---|---|
| `AsymmetricInfoNCE` | `asymmetric_info_nce` | prediction of node i with target of node j | nodes with nodes |
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import Similarity, listed, scaled
from graphcl.ops.pairwise import logsumexp_within, pair_products

__all__ = ["AsymmetricInfoNCE", "asymmetric_info_nce"]


def asymmetric_info_nce(
    prediction: Tensor,
    target: Tensor,
    h: Tensor,
    positives: Tensor | None = None,
    sampled: Tensor | None = None,
    temperature: float | Tensor = 0.5,
    *,
    weight: Tensor | None = None,
    similarity: Similarity = "cosine",
    precision: torch.dtype | None = None,
) -> Tensor:
    r"""Predictions are drawn to the targets of the neighbours, embeddings are pushed apart.

    .. math::
        L = \frac{1}{|V^+|} \sum_{i \in V^+} \sum_{j \in P_i} \frac{w_{ij}}{\sum_{k \in P_i} w_{ik}} \cdot -\log
        \frac{e^{\cos(q_i, u_j)/\tau}}{e^{\cos(q_i, u_j)/\tau} + \sum_{k \in Q_i} e^{\cos(h_i, h_k)/\tau}}

    where :math:`V^+` are the nodes with a positive. Nodes that share neighbours become alike, whether or not they are
    alike to them. Without ``sampled``, Q are all nodes with i itself, which adds the constant :math:`e^{1/\tau}`; time
    is that of `info_nce`, and memory grows with N.

    Args:
        prediction: :math:`q`, what the predictor makes of the embeddings, ``[N, D]``.
        target: :math:`u`, the target encoder's embeddings ``[N, D]``, which the caller detaches.
        h: the embeddings ``[N, D]``.
        positives: edges ``int64 [2, P]``, from a node of ``prediction`` to a node of ``target``. ``None`` pairs row i
            with row i.
        sampled: Q as ``int64 [N, S]``, the rows of ``h`` that are the negatives of each node.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        weight: :math:`w \ge 0` of each positive, ``[P]``; ``None`` weighs all alike. A node whose positives all weigh 0
            has none.
        similarity: ``"cosine"``, or ``"dot"`` for plain products: rows that may be zero are brought to length one by
            the caller.
        precision: as in `info_nce`, for the negatives.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: as `info_nce`; an index is out of range, or the weights are not one for each positive.

    Reference:
        Xiao et al., Simple and asymmetric graph contrastive learning without augmentations (GraphACL), NeurIPS 2023.
        As the released code: for homophilic graphs edges with self-loops and all nodes as negatives, own row among
        them; for heterophilic graphs a sample of neighbours, and as many random nodes as negatives of each node.

    Example:
        >>> z = torch.eye(3)
        >>> round(asymmetric_info_nce(z, z, z, temperature=1.0).item(), 4)  # log(2e + 2) - 1
        1.0064
    """
    h, _, kept = scaled(h, h, temperature, similarity, precision)
    q, u, _ = scaled(prediction, target, temperature, similarity, precision)
    n = h.size(0)
    if h.shape != q.shape:
        raise RequestError(
            f"predictions have shape {list(q.shape)} and embeddings {list(h.shape)}; both must be [N, D]"
        )
    i, j = listed(positives, n, n, h.device)
    if weight is None:
        weight = h.new_ones(i.numel())
    elif weight.shape != i.shape or not weight.is_floating_point() or not bool((weight >= 0).all()):
        raise RequestError(f"weights are {weight.dtype} {list(weight.shape)}; expected floats from 0, [{i.numel()}]")
    score = pair_products(q, u, torch.stack([i, j]))
    if sampled is None:
        negative = logsumexp_within(h, include_self=True, precision=kept)
    else:
        if sampled.dim() != 2 or sampled.size(0) != n or sampled.dtype != torch.int64 or sampled.size(1) == 0:
            raise RequestError(f"sampled negatives are {sampled.dtype} {list(sampled.shape)}; expected int64 [{n}, S]")
        each = torch.arange(n, device=h.device).repeat_interleave(sampled.size(1))
        negative = pair_products(h, h, torch.stack([each, sampled.flatten()])).view(n, -1).logsumexp(1)
    loss = F.softplus(negative[i] - score, threshold=40)
    total = weight.new_zeros(n).index_add(0, i, weight)
    share = weight / torch.where(total > 0, total, 1.0)[i]
    return (share.to(loss.dtype) * loss).sum() / (total > 0).sum().clamp(min=1)


@dataclass(frozen=True)
class AsymmetricInfoNCE(Objective):
    r"""`asymmetric_info_nce` as a part of a method: ``a`` predictions, ``b`` targets, ``negatives`` embeddings.

    Args:
        temperature: :math:`\tau > 0`.

    Example:
        >>> AsymmetricInfoNCE()
        AsymmetricInfoNCE(temperature=0.5)
    """

    temperature: Positive = 0.5

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` are edges ``int64 [2, P]``, ``negatives`` the embeddings of the nodes ``[N, D]``."""
        if negatives is None:
            raise RequestError("AsymmetricInfoNCE needs `negatives`: the embeddings of the nodes [N, D]")
        return asymmetric_info_nce(a, b, negatives, positives, temperature=self.temperature)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over edges and nodes."""
        if negatives is None:
            raise RequestError("AsymmetricInfoNCE needs `negatives`: the embeddings of the nodes [N, D]")
        n = a.size(0)
        if positives is None:
            neighbours = {i: [i] for i in range(n)}
        elif positives.dim() == 1:
            neighbours = {i: [int(positives[i])] for i in range(n)}
        else:
            neighbours = {i: [int(j) for k, j in positives.T if int(k) == i] for i in range(n)}
        losses = []
        for i, found in neighbours.items():
            apart = 0.0
            for k in range(n):
                apart += math.exp(float(F.cosine_similarity(negatives[i], negatives[k], dim=0)) / self.temperature)
            own = []
            for j in found:
                power = math.exp(float(F.cosine_similarity(a[i], b[j], dim=0)) / self.temperature)
                own.append(-math.log(power / (power + apart)))
            if own:
                losses.append(sum(own) / len(own))
        return sum(losses) / len(losses)

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Predictions, targets and embeddings."""
        drawn = super().sample(generator, n, d)
        return {**drawn, "negatives": super().sample(generator, n, d)["a"]}
