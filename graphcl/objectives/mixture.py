r"""InfoNCE whose negatives weigh by how likely they are true: a mixture of two Beta distributions of the similarities.

| class | function | pairs | negatives |
|---|---|---|---|
| `MixtureInfoNCE` | `mixture_info_nce` | node i with node i | all other nodes of both views, weighted |
| `BetaMixture` | `fit_beta_mixture` | the model of the similarities | |
| – | `sampled_similarities` | what it is fitted to | |

Similarities are brought to (0, 1) by :math:`x = (\cos + 1) / 2`. Their density is modelled as
:math:`\pi_0 \mathrm{Beta}(\alpha_0, \beta_0) + \pi_1 \mathrm{Beta}(\alpha_1, \beta_1)`, the first part for the true
negatives, the second for the false ones (nodes of the anchor's class).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.config import Config, Positive, Rate
from graphcl.errors import RequestError
from graphcl.objectives.objective import Objective
from graphcl.objectives.rows import alike, permuted, scaled, unit, wide
from graphcl.seeding import draw_order

__all__ = ["BetaMixture", "MixtureInfoNCE", "fit_beta_mixture", "mixture_info_nce", "sampled_similarities"]

_SCORES = 2**20
"""Scores of a block of rows."""


@dataclass(frozen=True)
class BetaMixture(Config):
    r"""Two Beta distributions on (0, 1): true negatives first, false ones second.

    .. math::
        p(x) = \sum_{c=0}^{1} \pi_c\,
        \frac{\Gamma(\alpha_c + \beta_c)}{\Gamma(\alpha_c)\, \Gamma(\beta_c)} x^{\alpha_c - 1} (1 - x)^{\beta_c - 1}

    The defaults are where the fit of ProGCL starts.

    Args:
        share: :math:`\pi`, the weights of the parts.
        alpha: :math:`\alpha > 0`.
        beta: :math:`\beta > 0`.

    Example:
        >>> round(BetaMixture((0.5, 0.5)).log_posterior(torch.tensor(0.25)).exp().item(), 4)  # 2 (1 - x) to 2 x
        0.75
    """

    share: tuple[Rate, Rate] = (0.95, 0.05)
    alpha: tuple[Positive, Positive] = (1.0, 2.0)
    beta: tuple[Positive, Positive] = (2.0, 1.0)

    def log_posterior(self, x: Tensor) -> Tensor:
        """Log of the probability that a similarity is one of a true negative.

        Args:
            x: similarities in [0, 1], any shape.

        Returns:
            The same shape, differentiable.
        """
        x = _inside(x)
        (a0, a1), (b0, b1) = self.alpha, self.beta
        ratio = self._log_constant(1) - self._log_constant(0) + (a1 - a0) * x.log() + (b1 - b0) * (1 - x).log()
        return -F.softplus(ratio, threshold=40)

    def _log_constant(self, c: int) -> float:
        a, b, share = self.alpha[c], self.beta[c], max(self.share[c], 1e-300)
        return math.log(share) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)


def _inside(x: Tensor) -> Tensor:
    # densities are zero or infinite at the ends
    edge = max(1e-12, torch.finfo(x.dtype).eps)
    return x.clamp(edge, 1 - edge)


@torch.no_grad()
def fit_beta_mixture(
    values: Tensor, iterations: int = 100, start: BetaMixture | None = None, *, floor: float = 0.0
) -> BetaMixture:
    r"""Fit a mixture of two Beta distributions by expectation and matching of moments.

    With the responsibilities of the parts for the values, each step sets :math:`\pi_c` to their mean and, from the
    weighted mean m and variance v of the values,

    .. math:: \alpha_c = m \left(\frac{m (1 - m)}{v} - 1\right), \qquad \beta_c = \alpha_c \frac{1 - m}{m}

    Args:
        values: in [0, 1], any shape, at least two different ones.
        iterations: steps, at least 1.
        start: where to start; ``None`` takes the defaults of `BetaMixture`.
        floor: least :math:`\beta_1`; above 1 the second part has no pole at similarity 1.

    Returns:
        The fitted mixture.

    Raises:
        RequestError: values are out of range, not finite, or all alike; ``iterations`` is less than 1.

    Reference:
        Xia et al., ProGCL: Rethinking hard negative mining in graph contrastive learning, ICML 2022; moments in place
        of the likelihood as in Arazo et al., Unsupervised label noise modeling and loss correction, ICML 2019. The
        released code of ProGCL takes 10 steps with a floor of 1.01, which leaves :math:`\alpha_1` as it was, so that
        the second part no longer has the moments of its values: of a sample of two clear parts, 7 : 3, that finds
        9 : 1, and the fit without a floor the shares and shapes that drew it.

    Example:
        >>> values = torch.cat([torch.linspace(0.1, 0.4, 80), torch.linspace(0.8, 0.9, 20)])
        >>> [round(share, 2) for share in fit_beta_mixture(values).share]
        [0.8, 0.2]
    """
    if iterations < 1:
        raise RequestError(f"iterations = {iterations}: input should be greater than or equal to 1")
    x = values.detach().flatten().double()
    if x.numel() == 0 or not bool(((x >= 0) & (x <= 1)).all()):
        raise RequestError("similarities should be finite and in [0, 1]; (cos + 1) / 2 brings cosines there")
    if float(x.max() - x.min()) < 1e-9:
        raise RequestError("similarities are all alike: there is nothing to tell true negatives from false ones by")
    x = _inside(x)
    mixture = start or BetaMixture()
    for _ in range(iterations):
        true = mixture.log_posterior(x).exp().clamp(1e-12, 1 - 1e-12)
        share = float(true.mean())
        (a0, b0), (a1, b1) = (_moments(x, weight) for weight in (true, 1 - true))
        mixture = BetaMixture((share, 1 - share), (a0, a1), (b0, max(b1, floor)))
    return mixture


def _moments(x: Tensor, weight: Tensor) -> tuple[float, float]:
    total = weight.sum()
    mean = float((weight * x).sum() / total)
    # a part that has shrunk to one value would have infinite parameters
    variance = max(float((weight * (x - mean) ** 2).sum() / total), 1e-9 * mean * (1 - mean))
    alpha = mean * (mean * (1 - mean) / variance - 1)
    alpha = max(alpha, 1e-6)
    return alpha, alpha * (1 - mean) / mean


@torch.no_grad()
def sampled_similarities(a: Tensor, b: Tensor, columns: int = 100, *, generator: torch.Generator) -> Tensor:
    """Similarities of all rows of one view with some rows of the other, in [0, 1], to fit a mixture to.

    Args:
        a: one view ``[N, D]``.
        b: the other ``[N, D]``.
        columns: how many rows of ``b``, at least 1; all of them where there are fewer.
        generator: draws them.

    Returns:
        ``[N, min(columns, N)]``, detached.

    Raises:
        RequestError: shapes, types or devices differ, a row is zero or not finite, ``columns`` is less than 1.

    Reference:
        The released code of ProGCL: 100 columns, the positives among them.

    Example:
        >>> sampled_similarities(torch.eye(2), torch.eye(2), generator=torch.Generator().manual_seed(0)).sum().item()
        3.0
    """
    if columns < 1:
        raise RequestError(f"columns = {columns}: input should be greater than or equal to 1")
    alike(a, b)
    chosen = draw_order(b.size(0), generator=generator, device=b.device)[:columns]
    return _similarity(unit(wide(a.detach()), "a"), unit(wide(b.detach()), "b")[chosen])


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    # rounding may carry a cosine beyond 1
    return ((a @ b.T + 1) / 2).clamp(0, 1)


def mixture_info_nce(
    a: Tensor,
    b: Tensor,
    mixture: BetaMixture,
    temperature: float | Tensor = 0.4,
    *,
    seen: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    r"""InfoNCE whose negatives weigh by the probability that they are true, times their similarity.

    .. math::
        \ell(a_i, b_i) = -\log \frac{e^{\cos(a_i, b_i)/\tau}}{e^{\cos(a_i, b_i)/\tau}
        + \sum_{j \neq i} w_{ij} \left(e^{\cos(a_i, b_j)/\tau} + e^{\cos(a_i, a_j)/\tau}\right)}

    .. math::
        w_{ij} = \frac{p(\text{true} \mid x_{ij})\, x_{ij}}
        {\frac{1}{N - 1} \sum_{k \neq i} p(\text{true} \mid x_{ik})\, x_{ik}}, \qquad
        x_{ij} = \frac{\cos(a_i, b_j) + 1}{2}

    averaged over nodes and both directions. Equal weights give `info_nce`. Rows are taken in blocks, the gradient in
    the same pass: memory grows with N, time is several times that of `info_nce`.

    Args:
        a: one view ``[N, D]``, N ≥ 2.
        b: the other ``[N, D]``.
        mixture: of the similarities; see `fit_beta_mixture`.
        temperature: :math:`\tau > 0`, a number or a learnable scalar.
        seen: the two views that x is computed from, ``[N, E]`` each; gradients flow into them. ``None`` takes ``a`` and
            ``b``, held constant: weights are not learned.

    Returns:
        A scalar; float32 for 16-bit input.

    Raises:
        RequestError: as `info_nce`; fewer than two nodes.

    Reference:
        Xia et al., ProGCL, ICML 2022, the weighting scheme. The released code computes the weights once, when the
        mixture is fitted, and keeps them for the rest of the training (pass the views of that step as ``seen``), and
        takes those of the first direction for the second one too, where this function has x of each direction. It maps
        cosines by (cos + 1) / 2 as here, where the paper normalises by the least and the largest.

    Example:
        >>> z = torch.eye(3)
        >>> round(mixture_info_nce(z, z, BetaMixture(), temperature=1.0).item(), 4)  # all negatives alike: info_nce
        0.9048
    """
    if seen is None:
        seen = (a.detach(), b.detach())
    a, b, _ = scaled(a, b, temperature)
    alike(*seen)
    if seen[0].size(0) != a.size(0):
        raise RequestError(f"weights are from {seen[0].size(0)} nodes, embeddings of {a.size(0)}; should be the same")
    first, second = unit(wide(seen[0]), "seen"), unit(wide(seen[1]), "seen")
    n = a.size(0)
    if n < 2:
        raise RequestError("one node has no negatives; mixture_info_nce needs at least two")
    return _WeightedInfoNCE.apply(mixture, a, b, first, second) / (2 * n)


class _WeightedInfoNCE(torch.autograd.Function):
    """Sum of the losses of both directions, in row blocks.

    What comes from above is one number, so that the gradient of a block is taken while its scores are there.
    """

    @staticmethod
    def forward(ctx: Any, mixture: BetaMixture, *views: Tensor) -> Tensor:
        leaves = [x.detach().requires_grad_(needed) for x, needed in zip(views, ctx.needs_input_grad[1:], strict=True)]
        wanted = [x for x in leaves if x.requires_grad]
        gradients = [torch.zeros_like(x) for x in wanted]
        a, b, first, second = leaves
        total = a.new_zeros(())
        rows = max(1, _SCORES // a.size(0))
        # the products in the format of the rows: under autocast a similarity near 1 would lose its distance from it
        with torch.autocast(a.device.type, enabled=False):
            for own, other, mine, theirs in ((a, b, first, second), (b, a, second, first)):
                for start in range(0, a.size(0), rows):
                    block = slice(start, start + rows)
                    with torch.set_grad_enabled(bool(wanted)):
                        loss = _block_loss(own, other, mine, theirs, block, mixture)
                    total += loss.detach()
                    for gradient, found in zip(gradients, _gradients(loss, wanted), strict=True):
                        if found is not None:
                            gradient += found
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        found = iter(ctx.saved_tensors)
        return (None, *(next(found) * upstream if needed else None for needed in ctx.needs_input_grad[1:]))


def _gradients(loss: Tensor, wanted: list[Tensor]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else ()


def _block_loss(own: Tensor, other: Tensor, mine: Tensor, theirs: Tensor, block: slice, mixture: BetaMixture) -> Tensor:
    """Summed loss of some anchors of ``own``."""
    x = _inside(_similarity(mine[block], theirs))
    itself = torch.zeros_like(x, dtype=torch.bool)
    itself.diagonal(block.start).fill_(True)
    weight = (mixture.log_posterior(x) + x.log()).masked_fill(itself, -torch.inf)
    weight = weight - weight.logsumexp(1, keepdim=True) + math.log(own.size(0) - 1)
    between, within = (own[block] @ rows.T for rows in (other, own))
    negative = torch.logaddexp((between + weight).logsumexp(1), (within + weight).logsumexp(1))
    return F.softplus(negative - (own[block] * other[block]).sum(1), threshold=40).sum()


@dataclass(frozen=True)
class MixtureInfoNCE(Objective):
    r"""`mixture_info_nce` as a part of a method, with a mixture that has been fitted before.

    Args:
        temperature: :math:`\tau > 0`.
        mixture: of the similarities between the views.

    Example:
        >>> MixtureInfoNCE().mixture.share
        (0.95, 0.05)
    """

    temperature: Positive = 0.4
    mixture: BetaMixture = BetaMixture()

    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss; ``positives`` reorders ``b``.

        ``negatives`` are the embeddings that the weights of the negatives are computed from, both views side by side
        ``[N, 2 E]``, with row i for node i of ``a`` and its other view; detach them where weights are not learned.
        ``None`` takes ``a`` and ``b`` as they are, held constant.
        """
        b = permuted(b, positives, "MixtureInfoNCE")
        if negatives is None:
            return mixture_info_nce(a, b, self.mixture, self.temperature)
        if negatives.dim() != 2 or negatives.size(1) % 2:
            raise RequestError(
                f"negatives have shape {list(negatives.shape)}; expected two views side by side [N, 2 E]"
            )
        first, second = negatives.chunk(2, dim=1)
        return mixture_info_nce(a, b, self.mixture, self.temperature, seen=(first, second))

    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops over pairs."""
        n = a.size(0)
        b = b if positives is None else b[positives]
        seen = (a, b) if negatives is None else negatives.chunk(2, dim=1)

        def density(x: float, c: int) -> float:
            p, q = self.mixture.alpha[c], self.mixture.beta[c]
            scale = math.gamma(p + q) / (math.gamma(p) * math.gamma(q))
            return self.mixture.share[c] * scale * x ** (p - 1) * (1 - x) ** (q - 1)

        def cosine(u: Tensor, v: Tensor) -> float:
            return float(F.cosine_similarity(u, v, dim=0))

        total = 0.0
        for first, second, mine, theirs in ((a, b, *seen), (b, a, seen[1], seen[0])):
            for i in range(n):
                weights = {}
                for j in range(n):
                    if j != i:
                        x = (cosine(mine[i], theirs[j]) + 1) / 2
                        weights[j] = x * density(x, 0) / (density(x, 0) + density(x, 1))
                mean = sum(weights.values()) / (n - 1)
                own = math.exp(cosine(first[i], second[i]) / self.temperature)
                apart = 0.0
                for j, weight in weights.items():
                    for row in (second[j], first[j]):
                        apart += weight / mean * math.exp(cosine(first[i], row) / self.temperature)
                total -= math.log(own / (own + apart))
        return total / (2 * n)

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Two views, and two others that the weights are computed from."""
        drawn, seen = super().sample(generator, n, d), super().sample(generator, n, d)
        return {**drawn, "negatives": torch.cat([seen["a"], seen["b"]], 1)}
