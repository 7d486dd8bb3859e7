r"""Losses that pull positive pairs together and push negative pairs apart.

| class | function | pairs | negatives |
|---|---|---|---|
| `InfoNCE` | `info_nce` | node i of view a with node i of view b, or listed pairs | all other nodes of both views |
| `NTXent` | `info_nce` | row i with row i | all other rows of both views: `InfoNCE` in the words of SimCLR |
| `DecoupledInfoNCE` | `decoupled_info_nce` | row i with row i | other rows of the other view, positive left out |
| `HardInfoNCE` | `hard_info_nce` | node i with node i | the same, the hard ones heavier, the expected false ones off |
| `DebiasedInfoNCE` | `hard_info_nce` | node i with node i | the same, all alike, the expected false ones off |
| – | `sampled_info_nce` | node i with node i | a random sample of the nodes, reweighted |

They see all pairs of nodes through `graphcl.ops.pairwise`, tile by tile: memory grows with the nodes, not
with their square. With :math:`s` the similarity over the temperature, each anchor's loss is

.. math:: \ell_i = -\log \frac{e^{s_i^+}}{e^{s_i^+} + n_i} = \mathrm{softplus}(\log n_i - s_i^+)

where :math:`n_i` sums :math:`e^{s}` over its negatives. The positive is never part of that sum, so that neither the
loss nor its gradient is a difference of nearly equal numbers where positives dominate.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from graphcl.config import BelowOne, NonNegative, Positive
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import Similarity, check_index, matching, permuted, scaled
from graphcl.ops.pairwise import logsumexp_between, logsumexp_within, pair_products

__all__ = [
    "DebiasedInfoNCE",
    "DecoupledInfoNCE",
    "HardInfoNCE",
    "InfoNCE",
    "NTXent",
    "decoupled_info_nce",
    "hard_info_nce",
    "info_nce",
    "sampled_info_nce",
]


def _negatives(
    a: Tensor,
    b: Tensor,
    pairs: Tensor,
    intra_view: bool,
    excluded: Tensor | None = None,
    weights: Tensor | None = None,
    precision: torch.dtype | None = None,
) -> Tensor:
    """Log of the summed negatives of every anchor, ``[2, N]``: those of ``a``, then those of ``b``.

    ``pairs`` are positive, row of ``a`` and row of ``b``; ``excluded`` are pairs of nodes, whatever the view.
    """
    n = a.size(0)
    if excluded is None:
        excluded = pairs.new_empty(2, 0)
    elif excluded.dim() != 2 or excluded.size(0) != 2 or excluded.dtype != torch.int64:
        raise RequestError(f"excluded pairs are {excluded.dtype} {list(excluded.shape)}; expected int64 [2, P]")
    elif excluded.numel() and not (int(excluded.min()) >= 0 and int(excluded.max()) < n):
        raise RequestError(f"excluded pairs name node {int(excluded.max())}; there are {n} nodes (0..{n - 1})")
    if weights is not None and weights.shape != (n,):
        raise RequestError(f"weights have shape {list(weights.shape)}; expected one per node [{n}]")
    i, j = excluded
    if not intra_view:
        out = torch.cat([pairs, torch.stack([torch.cat([i, j]), torch.cat([j, i])])], 1)
        return torch.stack(
            logsumexp_between(a, b, excluded=out, weights_a=weights, weights_b=weights, precision=precision)
        )
    out = torch.stack([torch.cat([pairs[0], i, i + n, i, j]), torch.cat([pairs[1] + n, j, j + n, j + n, i + n])])
    both = None if weights is None else torch.cat([weights, weights])
    return logsumexp_within(torch.cat([a, b]), excluded=out, weights=both, precision=precision).view(2, n)


def _share(excess: Tensor) -> Tensor:
    """Mean cross-entropy from the log ratio of negatives to positive."""
    # torch's default calls the function linear from 20 on, an error of 2e-9: not exact in float64
    return F.softplus(excess, threshold=40).mean()


def info_nce(
    a: Tensor,
    b: Tensor,
    temperature: float | Tensor = 0.5,
    intra_view: bool = True,
    *,
    positives: Tensor | None = None,
    excluded: Tensor | None = None,
    weights: Tensor | None = None,
    similarity: Similarity = "cosine",
    precision: torch.dtype | None = None,
) -> Tensor:
    r"""Cross-entropy of finding a node's other view among all nodes, averaged over both directions.

    .. math::
        \ell(a_i, b_i) = -\log \frac{e^{\cos(a_i, b_i)/\tau}}
        {\sum_j e^{\cos(a_i, b_j)/\tau} + \sum_{j \neq i} e^{\cos(a_i, a_j)/\tau}},
        \qquad L = \frac{1}{2N} \sum_i \ell(a_i, b_i) + \ell(b_i, a_i)

    A node is never its own negative. Random embeddings score about :math:`\log(2N - 1)`, or :math:`\log N` without
    the intra-view sum. The value is exact and no matrix of all pairs is formed: memory grows
    with N, not with its square. With several positives the numerator is their geometric mean and the denominator
    holds all of them (the outer sum of supervised contrastive learning).

    Args:
        a: one view ``[N, D]``.
        b: the other ``[N, D]``.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        intra_view: whether the other nodes of the same view are negatives too (the second sum).
        positives: ``int64 [N]``, the row of ``b`` that is the other view of each row of ``a`` (a permutation), or
            ``int64 [2, P]``, pairs of a row of ``a`` and a row of ``b``, at least one for each row of either. ``None``
            pairs row i with row i.
        excluded: pairs of nodes that are no negatives of each other in any view (known false negatives), ``int64
            [2, P]``, in either order.
        weights: of each node as a negative, ``[N]``, not negative.
        similarity: ``"cosine"``, or ``"dot"`` for plain products.
        precision: ``torch.bfloat16`` multiplies in bfloat16 (sums stay in float32): about half the time, the gradient
            within 1 %. ``None`` keeps the precision of the input.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: shapes, types or devices differ; no nodes; the temperature is not positive; values are not
            finite; a row is zero under the cosine; a pair is out of range; a row has no positive.

    Reference:
        Zhu et al., Deep graph contrastive representation learning (GRACE), 2020, equations 1 and 2; without the
        intra-view sum: van den Oord et al., Contrastive predictive coding, 2018; several positives: Khosla et al.,
        Supervised contrastive learning, NeurIPS 2020, equation 2.

    Example:
        >>> z = torch.eye(3)
        >>> round(info_nce(z, z, temperature=1.0).item(), 4)  # log(e + 4) - 1
        0.9048
    """
    a, b, precision = scaled(a, b, temperature, similarity, precision)
    n = a.size(0)
    if positives is None:
        negative = _negatives(a, b, matching(n, a.device), intra_view, excluded, weights, precision)
        return _share(negative - (a * b).sum(1))
    if positives.dim() == 1:
        check_index(positives, n)
        positives = torch.stack([torch.arange(n, device=a.device), positives])
    pairs = positives.unique(dim=1) if positives.numel() else positives
    score = pair_products(a, b, pairs)
    counts = torch.stack([torch.bincount(rows, minlength=n) for rows in pairs])
    if bool((counts == 0).any()):
        view, row = (counts == 0).nonzero()[0].tolist()
        raise RequestError(f"row {row} of `{'ab'[view]}` has no positive; give every row of both views at least one")
    negative = _negatives(a, b, pairs, intra_view, excluded, weights, precision)
    if pairs.size(1) == n:  # one each
        return _share(
            torch.stack([log_negatives[rows] - score for log_negatives, rows in zip(negative, pairs, strict=True)])
        )
    score = score.to(negative.dtype)
    total = negative.new_zeros(())
    for rows, count, log_negatives in zip(pairs, counts, negative, strict=True):
        top = torch.full_like(log_negatives, -torch.inf).scatter_reduce(0, rows, score.detach(), "amax")
        found = torch.zeros_like(top).index_add(0, rows, (score - top[rows]).exp())
        mean = torch.zeros_like(top).index_add(0, rows, score) / count
        total = total + (torch.logaddexp(log_negatives, top + found.log()) - mean).mean()
    return total / 2


@dataclass(frozen=True)
class InfoNCE(Objective):
    r"""`info_nce` as a part of a method.

    Args:
        temperature: :math:`\tau > 0`.
        intra_view: whether the other nodes of the same view are negatives too.
        precision: ``"input"``, or ``"bfloat16"`` for about half the time and a gradient within 1 %.

    Example:
        >>> InfoNCE(temperature=0.4)
        InfoNCE(temperature=0.4, intra_view=True, precision='input')
    """

    temperature: Positive = 0.5
    intra_view: bool = True
    precision: Literal["input", "bfloat16"] = "input"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` as in `info_nce`, given ``negatives`` are refused (all other nodes are)."""
        if negatives is not None:
            raise RequestError("InfoNCE takes all other nodes as negatives; leave `negatives` out")
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        return info_nce(a, b, self.temperature, self.intra_view, positives=positives, precision=precision)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n = a.size(0)
        if positives is not None and positives.dim() == 1:
            b, positives = b[positives], None
        pairs = {(i, i) for i in range(n)} if positives is None else {(int(i), int(j)) for i, j in positives.T}

        def similarity(u: Tensor, v: Tensor) -> float:
            return float(F.cosine_similarity(u, v, dim=0)) / self.temperature

        total = 0.0
        for first, second, matched in ((a, b, pairs), (b, a, {(j, i) for i, j in pairs})):
            for i in range(n):
                denominator = sum(math.exp(similarity(first[i], second[j])) for j in range(n))
                if self.intra_view:
                    denominator += sum(math.exp(similarity(first[i], first[j])) for j in range(n) if j != i)
                own = [similarity(first[i], second[j]) for j in range(n) if (i, j) in matched]
                total -= sum(own) / len(own) - math.log(denominator)
        return total / (2 * n)


@dataclass(frozen=True)
class NTXent(Objective):
    r"""The normalised temperature-scaled cross-entropy of SimCLR: `info_nce` with the intra-view negatives.

    .. math::
        L = \frac{1}{2N} \sum_{k=1}^{2N} -\log
        \frac{e^{\cos(z_k, z_{k'})/\tau}}{\sum_{l \neq k} e^{\cos(z_k, z_l)/\tau}}

    over the 2N rows of both views in one set, :math:`k'` the other view of :math:`k`. That is `InfoNCE` to the last
    digit, under the name that graph-level papers use. The released code of GraphCL, JOAO, SimGRACE and AD-GCL computes
    something else under this name: see `DecoupledInfoNCE`.

    Args:
        temperature: :math:`\tau > 0`.
        precision: as in `InfoNCE`.

    Reference:
        Chen et al., A simple framework for contrastive learning of visual representations, ICML 2020, equation 1.

    Example:
        >>> z = torch.eye(3)
        >>> NTXent(1.0)(z, z) == InfoNCE(1.0)(z, z)
        tensor(True)
    """

    temperature: Positive = 0.5
    precision: Literal["input", "bfloat16"] = "input"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, given ``negatives`` are refused (all other rows are)."""
        if negatives is not None:
            raise RequestError("NTXent takes all other rows as negatives; leave `negatives` out")
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        return info_nce(a, permuted(b, positives, "NTXent"), self.temperature, precision=precision)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over the 2N rows of one set."""
        n = a.size(0)
        z = [*a, *(b if positives is None else b[positives])]
        total = 0.0
        for k in range(2 * n):
            powers = {
                m: math.exp(float(F.cosine_similarity(z[k], z[m], dim=0)) / self.temperature)
                for m in range(2 * n)
                if m != k
            }
            total -= math.log(powers[(k + n) % (2 * n)] / sum(powers.values()))
        return total / (2 * n)


def decoupled_info_nce(
    a: Tensor,
    b: Tensor,
    temperature: float | Tensor = 0.2,
    symmetric: bool = False,
    *,
    precision: torch.dtype | None = None,
) -> Tensor:
    r"""InfoNCE between the views without the positive in the denominator.

    .. math:: L = \frac1N \sum_i -\log \frac{e^{\cos(a_i, b_i)/\tau}}{\sum_{j \neq i} e^{\cos(a_i, b_j)/\tau}}

    Each anchor's gradient keeps its size when its positive is already close, so that small batches learn as fast as
    large ones. The loss has no lower bound at zero: it falls to :math:`\log(N - 1) - 2/\tau`, where positives are equal
    and all negatives opposite. Random embeddings score about :math:`\log(N - 1)`.

    Args:
        a: one view ``[N, D]``, N ≥ 2.
        b: the other ``[N, D]``.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        symmetric: whether rows of ``b`` are anchors too; the loss is then the mean of both directions.
        precision: as in `info_nce`.

    Returns:
        A scalar.

    Raises:
        RequestError: as `info_nce`; fewer than two rows.

    Reference:
        Yeh et al., Decoupled contrastive learning, ECCV 2022 (there with the intra-view negatives too). This form, at
        temperature 0.2, is what the released code of GraphCL, JOAO and SimGRACE minimises, one direction, and that of
        AD-GCL, both directions; the papers write NT-Xent.

    Example:
        >>> z = torch.eye(3)
        >>> round(decoupled_info_nce(z, z, 1.0).item(), 4)  # log 2 - 1
        -0.3069
    """
    a, b, precision = scaled(a, b, temperature, "cosine", precision)
    n = a.size(0)
    if n < 2:
        raise RequestError("one row has no negatives; decoupled_info_nce needs at least two")
    of_a, of_b = logsumexp_between(a, b, excluded=matching(n, a.device), precision=precision)
    negative = (of_a + of_b) / 2 if symmetric else of_a
    return (negative - (a * b).sum(1)).mean()


@dataclass(frozen=True)
class DecoupledInfoNCE(Objective):
    r"""`decoupled_info_nce` as a part of a method: the loss of GraphCL, JOAO, SimGRACE and (symmetric) AD-GCL.

    Args:
        temperature: :math:`\tau > 0`.
        symmetric: whether rows of ``b`` are anchors too.
        precision: as in `InfoNCE`.

    Example:
        >>> DecoupledInfoNCE(symmetric=True)
        DecoupledInfoNCE(temperature=0.2, symmetric=True, precision='input')
    """

    temperature: Positive = 0.2
    symmetric: bool = False
    precision: Literal["input", "bfloat16"] = "input"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, given ``negatives`` are refused (all other rows are)."""
        if negatives is not None:
            raise RequestError("DecoupledInfoNCE takes all other rows as negatives; leave `negatives` out")
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        b = permuted(b, positives, "DecoupledInfoNCE")
        return decoupled_info_nce(a, b, self.temperature, self.symmetric, precision=precision)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n = a.size(0)
        b = b if positives is None else b[positives]
        directions = [(a, b), (b, a)] if self.symmetric else [(a, b)]
        total = 0.0
        for first, second in directions:
            for i in range(n):
                powers = [
                    math.exp(float(F.cosine_similarity(first[i], second[j], dim=0)) / self.temperature)
                    for j in range(n)
                ]
                total -= math.log(powers[i] / sum(power for j, power in enumerate(powers) if j != i))
        return total / (n * len(directions))


def hard_info_nce(
    a: Tensor,
    b: Tensor,
    temperature: float | Tensor = 0.5,
    intra_view: bool = True,
    *,
    hardness: float = 1.0,
    debias: float = 0.0,
    precision: torch.dtype | None = None,
) -> Tensor:
    r"""InfoNCE whose negatives weigh more the more similar they are, less the share of them expected to be false.

    .. math::
        \ell_i = -\log \frac{e^{s_i^+}}{e^{s_i^+} + m \max(g_i, e^{-1/\tau})}, \qquad
        g_i = \frac{1}{1 - \tau^+}
        \left(\frac{\sum_j e^{\beta s_{ij}}\, e^{s_{ij}}}{\sum_j e^{\beta s_{ij}}} - \tau^+ e^{s_i^+}\right)

    with :math:`s = \cos / \tau` and j over the m negatives of the anchor. Hardness 0 and debias 0 give `info_nce`;
    debias alone is the debiased loss. The weights are differentiated too, as in the released code.

    Args:
        a: one view ``[N, D]``, N ≥ 2.
        b: the other ``[N, D]``.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        intra_view: whether the other nodes of the same view are negatives too.
        hardness: :math:`\beta \ge 0`, the concentration on similar negatives.
        debias: :math:`\tau^+ \in [0, 1)`, the probability that a negative is of the anchor's class.
        precision: as in `info_nce`.

    Returns:
        A scalar.

    Raises:
        RequestError: as `info_nce`; ``hardness`` or ``debias`` out of range; fewer than two nodes.

    Reference:
        Robinson et al., Contrastive learning with hard negative samples, ICLR 2021, equation 4; Chuang et al., Debiased
        contrastive learning, NeurIPS 2020, equations 7 and 8.

    Example:
        >>> z = torch.eye(3)
        >>> round(hard_info_nce(z, z, temperature=1.0, hardness=2.0).item(), 4)  # all negatives alike: info_nce
        0.9048
    """
    if not 0 <= hardness < math.inf:
        raise RequestError(f"hardness = {hardness}: input should be 0 or more")
    if not 0 <= debias < 1:
        raise RequestError(f"debias = {debias}: input should be at least 0 and less than 1")
    a, b, precision = scaled(a, b, temperature, "cosine", precision)
    floor = -1 / temperature
    n = a.size(0)
    if n < 2:
        raise RequestError("one node has no negatives; hard_info_nce needs at least two")
    log_count = math.log(2 * (n - 1) if intra_view else n - 1)
    pairs = matching(n, a.device)

    def log_sum(power: float) -> Tensor:
        return _negatives(a * power**0.5, b * power**0.5, pairs, intra_view, precision=precision)

    # a weighted mean of exponentials is the ratio of two sums of them
    log_mean = log_sum(1 + hardness) - (log_sum(hardness) if hardness else log_count)
    positive = (a * b).sum(1)
    if debias:
        top = torch.maximum(log_mean, positive).detach()
        mean = ((log_mean - top).exp() - debias * (positive - top).exp()) / (1 - debias)
        least = (floor - top).exp().clamp(min=torch.finfo(top.dtype).tiny)
        log_mean = top + torch.maximum(mean, least).log()
    return _share(log_count + log_mean - positive)


@dataclass(frozen=True)
class HardInfoNCE(Objective):
    r"""`hard_info_nce` as a part of a method.

    Args:
        temperature: :math:`\tau > 0`.
        intra_view: whether the other nodes of the same view are negatives too.
        hardness: concentration on similar negatives, :math:`\beta \ge 0`.
        debias: probability that a negative is false, :math:`\tau^+ \in [0, 1)`.
        precision: as in `InfoNCE`.

    Example:
        >>> HardInfoNCE(hardness=2.0)
        HardInfoNCE(temperature=0.5, intra_view=True, hardness=2.0, debias=0.0, precision='input')
    """

    temperature: Positive = 0.5
    intra_view: bool = True
    hardness: NonNegative = 1.0
    debias: BelowOne = 0.0
    precision: Literal["input", "bfloat16"] = "input"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, given ``negatives`` are refused (all other nodes are)."""
        if negatives is not None:
            raise RequestError("HardInfoNCE takes all other nodes as negatives; leave `negatives` out")
        b = permuted(b, positives, "HardInfoNCE")
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        options = {"hardness": self.hardness, "debias": self.debias}
        return hard_info_nce(a, b, self.temperature, self.intra_view, precision=precision, **options)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n = a.size(0)
        b = b if positives is None else b[positives]
        least = math.exp(-1 / self.temperature)
        total = 0.0
        for first, second in ((a, b), (b, a)):
            for i in range(n):
                others = [second[j] for j in range(n) if j != i]
                if self.intra_view:
                    others += [first[j] for j in range(n) if j != i]
                scores = [float(F.cosine_similarity(first[i], row, dim=0)) / self.temperature for row in others]
                positive = math.exp(float(F.cosine_similarity(first[i], second[i], dim=0)) / self.temperature)
                shares = [math.exp(self.hardness * s) for s in scores]
                mean = sum(w * math.exp(s) for w, s in zip(shares, scores, strict=True)) / sum(shares)
                mean = max((mean - self.debias * positive) / (1 - self.debias), least)
                total -= math.log(positive / (positive + len(scores) * mean))
        return total / (2 * n)


@dataclass(frozen=True)
class DebiasedInfoNCE(Objective):
    r"""InfoNCE less the share of negatives that are expected to be false: `hard_info_nce` with hardness 0.

    Args:
        temperature: :math:`\tau > 0`.
        intra_view: whether the other nodes of the same view are negatives too.
        debias: probability that a negative is of the anchor's class, :math:`\tau^+ \in [0, 1)`.
        precision: as in `InfoNCE`.

    Reference:
        Chuang et al., Debiased contrastive learning, NeurIPS 2020, equations 7 and 8 (M = 1 positive).

    Example:
        >>> DebiasedInfoNCE(debias=0.2)
        DebiasedInfoNCE(temperature=0.5, intra_view=True, debias=0.2, precision='input')
    """

    temperature: Positive = 0.5
    intra_view: bool = True
    debias: BelowOne = 0.1
    precision: Literal["input", "bfloat16"] = "input"

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``, given ``negatives`` are refused (all other nodes are)."""
        if negatives is not None:
            raise RequestError("DebiasedInfoNCE takes all other nodes as negatives; leave `negatives` out")
        precision = torch.bfloat16 if self.precision == "bfloat16" else None
        b = permuted(b, positives, "DebiasedInfoNCE")
        options = {"hardness": 0.0, "debias": self.debias}
        return hard_info_nce(a, b, self.temperature, self.intra_view, precision=precision, **options)

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n, views = a.size(0), (a, b if positives is None else b[positives])
        total = 0.0
        for side in (0, 1):
            for i in range(n):
                anchor, found = views[side][i], 0.0
                for other in (1 - side, side) if self.intra_view else (1 - side,):
                    for j in range(n):
                        if j != i:
                            cosine = float(F.cosine_similarity(anchor, views[other][j], dim=0))
                            found += math.exp(cosine / self.temperature)
                count = (n - 1) * (2 if self.intra_view else 1)
                power = math.exp(float(F.cosine_similarity(anchor, views[1 - side][i], dim=0)) / self.temperature)
                true = (found - count * self.debias * power) / (1 - self.debias)
                true = max(true, count * math.exp(-1 / self.temperature))
                total += math.log(1 + true / power)
        return total / (2 * n)


def sampled_info_nce(
    a: Tensor,
    b: Tensor,
    temperature: float | Tensor = 0.5,
    intra_view: bool = True,
    *,
    samples: int,
    generator: torch.Generator,
    precision: torch.dtype | None = None,
) -> Tensor:
    r"""InfoNCE with the negatives of one random set of nodes, shared by all anchors, in place of all nodes.

    .. math::
        \hat n_i = \frac{N - 1}{k_i} \sum_{j \in S \setminus i} y_{ij}, \qquad k_i = |S \setminus i|, \qquad
        \mathbb E\, \hat n_i = n_i, \qquad
        \operatorname{Var} \hat n_i = \frac{(N-1)^2}{k_i} \left(1 - \frac{k_i}{N - 1}\right) \sigma_i^2

    where :math:`y_{ij}` is what node j adds to the denominator of anchor i (in both views, with ``intra_view``) and
    :math:`\sigma_i^2` its variance over the other nodes (divisor N − 2). S is drawn without replacement, so that all
    nodes give the exact loss. The denominator is unbiased, its logarithm is not: the loss is low by about
    :math:`\operatorname{Var} \hat n_i / 2 n_i^2`. Time and memory grow with N × ``samples``.

    Args:
        a: one view ``[N, D]``.
        b: the other ``[N, D]``.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        intra_view: whether the other nodes of the same view are negatives too.
        samples: how many nodes, between 2 and N.
        generator: the source of randomness.
        precision: as in `info_nce`.

    Returns:
        A scalar.

    Raises:
        RequestError: as `info_nce`; ``samples`` out of range.

    Example:
        >>> z = torch.eye(3)
        >>> round(sampled_info_nce(z, z, 1.0, samples=2, generator=torch.Generator().manual_seed(0)).item(), 4)
        0.9048
    """
    a, b, precision = scaled(a, b, temperature, "cosine", precision)
    n = a.size(0)
    if not 2 <= samples <= n:
        raise RequestError(f"samples = {samples}: should be between 2 and the {n} nodes")
    chosen = torch.randperm(n, generator=generator, device=generator.device)[:samples].to(a.device)
    place = torch.arange(samples, device=a.device)
    left = torch.full((n,), samples, dtype=a.dtype, device=a.device)
    left[chosen] -= 1
    if intra_view:
        own = torch.cat([chosen, chosen, chosen + n, chosen + n])
        theirs = torch.cat([place, place + samples, place, place + samples])
        drawn = torch.cat([a[chosen], b[chosen]])
        pairs = torch.stack([own, theirs])
        negative = logsumexp_between(torch.cat([a, b]), drawn, excluded=pairs, precision=precision)[0].view(2, n)
    else:
        pairs = torch.stack([chosen, place])
        negative = torch.stack(
            [
                logsumexp_between(first, second[chosen], excluded=pairs, precision=precision)[0]
                for first, second in ((a, b), (b, a))
            ]
        )
    return _share(negative + ((n - 1) / left).log() - (a * b).sum(1))
