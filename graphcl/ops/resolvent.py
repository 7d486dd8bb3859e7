r"""Personalised PageRank of a sparse symmetric operator, with a gradient that costs no more than the walk itself.

.. math:: Y = \alpha\, R X, \qquad R = \big(I - (1 - \alpha) S\big)^{-1}

**Gradient.** The series that computes R need not be walked backwards term by term: from
:math:`dR = (1 - \alpha)\, R\, dS\, R` follow

.. math:: dX = \alpha\, R\, dY, \qquad dS_{uv} = (1 - \alpha)\, (R\, dY)_u \cdot Y_v .

**Cost.** For K terms, E entries and rows of width D: K products with S in each direction, and one dot product of
width D for each entry, where walking backwards through the terms would take K of those and keep all terms in memory.
Entries that are 0, such as the candidates of an attack, take part in the dot products only.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.ops.chebyshev import chebyshev_terms
from graphcl.ops.pairwise import pair_products
from graphcl.ops.propagate import Pattern

__all__ = ["pagerank_rows", "pagerank_rows_reference"]


def _present(pattern: Pattern, values: Tensor) -> tuple[Pattern, Tensor]:
    """Without the entries that are 0."""
    there = values != 0
    if bool(there.all()):
        return pattern, values
    before = torch.cat([there.new_zeros(1, dtype=torch.long), there.cumsum(0)])
    return Pattern(before[pattern.pointer], pattern.columns[there], pattern.width), values[there]


def _walk(pattern: Pattern, values: Tensor, x: Tensor, weights: list[float]) -> Tensor:
    out = torch.zeros_like(x)
    for weight, term in zip(weights, chebyshev_terms(pattern, values, x, len(weights) - 1), strict=True):
        if weight:
            out.add_(term, alpha=weight)
    return out


class _PageRank(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, values: Tensor, x: Tensor, weights: list[float], teleport: float) -> Tensor:
        out = _walk(*_present(pattern, values), x.contiguous(), weights)
        ctx.pattern, ctx.weights, ctx.teleport = pattern, weights, teleport
        ctx.save_for_backward(values, out if ctx.needs_input_grad[1] else None)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor | None, Tensor, None, None]:
        values, out = ctx.saved_tensors
        # S is symmetric, and so is R
        pulled = _walk(*_present(ctx.pattern, values), upstream.contiguous(), ctx.weights)
        of_values = None
        if out is not None:
            pairs = torch.stack([ctx.pattern.rows, ctx.pattern.columns])
            of_values = pair_products(pulled, out, pairs) * ((1 - ctx.teleport) / ctx.teleport)
        return None, of_values, pulled, None, None


def pagerank_rows(pattern: Pattern, values: Tensor, x: Tensor, weights: Tensor, teleport: float) -> Tensor:
    r"""The rows of a matrix after a random walk with teleport α from each.

    Args:
        pattern: where S has entries, ``[N, N]``.
        values: the entries, ``[E]``; S symmetric, eigenvalues in [-1, 1].
        x: ``[N, D]``.
        weights: ``[K + 1]``: the Chebyshev series of :math:`\alpha / (1 - (1 - \alpha) s)`, up to where what is left
            out does not matter: the gradient is that of the whole series.
        teleport: α in (0, 1].

    Returns:
        ``[N, D]``, differentiable once in ``values`` and ``x``.

    Example:
        >>> pattern, order = Pattern.sorted(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> weights = torch.tensor([1.1547, -0.3094, 0.0829, -0.0222, 0.006, -0.0016, 0.0004, -0.0001]).abs() * 0.5
        >>> pagerank_rows(pattern, torch.ones(2), torch.eye(2), weights, 0.5).shape
        torch.Size([2, 2])
    """
    return _PageRank.apply(pattern, values, x, weights.tolist(), teleport)


def pagerank_rows_reference(matrix: Tensor, x: Tensor, teleport: float) -> Tensor:
    """The same by solving the dense system."""
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve(identity - (1 - teleport) * matrix, teleport * x)
