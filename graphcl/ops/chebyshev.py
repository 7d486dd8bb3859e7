r"""Polynomials of a sparse symmetric operator, in the Chebyshev basis: the one computation behind all spectral filters.

For an operator S with eigenvalues in [-1, 1], such as :math:`D^{-1/2} A D^{-1/2}`, every polynomial of degree K is a
combination of :math:`T_0(S), \dots, T_K(S)`, whatever basis its author wrote it in: numbers of moderate size that
nothing cancels among, where powers of S or of the Laplacian would need coefficients of thousands.

.. math:: T_0 = X, \qquad T_1 = S X, \qquad T_k = 2 S T_{k-1} - T_{k-2}, \qquad
          Y_c = \sum_{k=0}^{K} w_{ck}\, T_k

`polynomials` computes several of them at once: the products with S are made once and shared.

**Cost.** For E entries and N rows of width D: K sparse products (each reads :math:`E D` numbers, writes :math:`N D`)
and :math:`C (K + 1)` additions of N × D, in each direction. All terms are kept for the gradient only where weights or
entries ask for one: :math:`(K + 1) N D` numbers; the gradient of X alone needs three of them at a time.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import RequestError
from graphcl.ops.pairwise import pair_products
from graphcl.ops.propagate import Pattern, multiply

__all__ = ["chebyshev_terms", "polynomials", "polynomials_reference"]


def chebyshev_terms(pattern: Pattern, values: Tensor, x: Tensor, order: int) -> Iterator[Tensor]:
    r"""The terms :math:`T_0(S) X, \dots, T_K(S) X`, one after the other: no more than three of them are alive.

    Args:
        pattern: where S has entries, ``[N, N]``.
        values: the entries, ``[E]``.
        x: ``[N, D]``.
        order: K, 0 or more.

    Yields:
        ``[N, D]``, K + 1 times; the first is ``x`` itself.

    Example:
        >>> pattern, order = Pattern.sorted(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> [term[0].item() for term in chebyshev_terms(pattern, torch.ones(2), torch.tensor([[3.0], [5.0]]), 2)]
        [3.0, 5.0, 3.0]
    """
    before, now = x, x
    yield now
    for k in range(1, order + 1):
        product = multiply(pattern, values, now)
        before, now = now, product if k == 1 else product.mul_(2).sub_(before)
        yield now


class _Polynomials(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, values: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        keep = ctx.needs_input_grad[1] or ctx.needs_input_grad[3]
        out = x.new_zeros(weights.size(0), *x.shape)
        table = weights.tolist()
        terms = []
        for k, term in enumerate(chebyshev_terms(pattern, values, x.contiguous(), weights.size(1) - 1)):
            for channel, row in zip(out, table, strict=True):
                if row[k]:
                    channel.add_(term, alpha=row[k])
            if keep:
                terms.append(term)
        ctx.pattern = pattern
        ctx.save_for_backward(values, weights, *terms)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor | None, Tensor | None, Tensor | None]:
        values, weights, *terms = ctx.saved_tensors
        _, wants_values, wants_x, wants_weights = ctx.needs_input_grad
        upstream = upstream.contiguous()
        of_weights = of_values = of_x = None
        if wants_weights:
            flat = upstream.flatten(1)
            of_weights = torch.stack([flat @ term.flatten() for term in terms], 1)
        if wants_values or wants_x:
            of_x, of_values = _adjoint(ctx.pattern, values, weights, upstream, terms if wants_values else [])
        return None, of_values, of_x if wants_x else None, of_weights


def _adjoint(
    pattern: Pattern, values: Tensor, weights: Tensor, upstream: Tensor, terms: list[Tensor]
) -> tuple[Tensor, Tensor | None]:
    r"""The recurrence walked backwards.

    With :math:`U_k = \sum_c w_{ck}\, dY_c`, the gradients of the terms are :math:`G_k = U_k + 2 S^\top G_{k+1} -
    G_{k+2}` (without the 2 for k = 0), and each product has added :math:`2\,G_k T_{k-1}^\top` to the gradient of S.
    """
    turned, order = pattern.transposed()
    mirrored = values[order]
    table = weights.T.tolist()
    top = len(table) - 1
    pairs = torch.stack([pattern.rows, pattern.columns]) if terms else None
    of_values = torch.zeros_like(values) if terms else None

    def share(k: int) -> Tensor:
        total = upstream[0] * table[k][0]
        for weight, channel in zip(table[k][1:], upstream[1:], strict=True):
            total.add_(channel, alpha=weight)
        return total

    later = torch.zeros_like(upstream[0])
    now = share(top)
    for k in range(top, 0, -1):
        factor = 1.0 if k == 1 else 2.0
        if pairs is not None and of_values is not None:
            of_values.add_(pair_products(now, terms[k - 1], pairs), alpha=factor)
        pulled = multiply(turned, mirrored, now).mul_(factor).add_(share(k - 1)).sub_(later)
        later, now = now, pulled
    return now, of_values


def polynomials(pattern: Pattern, values: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    r"""Several polynomials of S applied to one matrix.

    .. math:: Y_c = \sum_{k=0}^{K} w_{ck}\, T_k(S)\, X

    Args:
        pattern: where S has entries, ``[N, N]``.
        values: the entries, ``[E]``; eigenvalues of S should lie in [-1, 1], outside of which the terms explode.
        x: ``[N, D]``.
        weights: ``[C, K + 1]``.

    Returns:
        ``[C, N, D]``, differentiable once in ``values``, ``x`` and ``weights``.

    Raises:
        RequestError: shapes, types or devices do not fit.

    Example:
        >>> pattern, order = Pattern.sorted(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> x = torch.tensor([[3.0], [5.0]])
        >>> polynomials(pattern, torch.ones(2), x, torch.tensor([[1.0, 1.0], [1.0, -1.0]])).flatten(1).tolist()
        [[8.0, 8.0], [-2.0, 2.0]]
    """
    if weights.dim() != 2 or 0 in weights.shape:
        raise RequestError(f"weights have shape {list(weights.shape)}; expected [channels, order + 1]")
    if not x.is_floating_point():
        raise RequestError(f"x is {x.dtype}; a polynomial needs floating point, such as x.float()")
    if pattern.shape[0] != pattern.shape[1]:
        raise RequestError(f"the operator has shape {list(pattern.shape)}; powers need a square one")
    if weights.dtype != x.dtype or weights.device != x.device:
        raise RequestError(
            f"weights are {weights.dtype} on {weights.device}, x is {x.dtype} on {x.device}; both should be alike"
        )
    return _Polynomials.apply(pattern, values, x, weights)


def polynomials_reference(matrix: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    """The same through the eigenvectors of a dense symmetric S."""
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    angle = torch.arccos(eigenvalues.clamp(-1, 1))
    k = torch.arange(weights.size(1), dtype=matrix.dtype)
    responses = torch.cos(angle[:, None] * k) @ weights.T
    return torch.stack([vectors @ (response[:, None] * (vectors.T @ x)) for response in responses.T])
