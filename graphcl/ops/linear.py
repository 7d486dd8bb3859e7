r"""Products with node features that are mostly zeros.

Bag-of-words features have about one non-zero in a hundred, and the product with the first layer's weights is most of
the arithmetic of a small GCN. Floor for x ``[N, F]`` with nnz non-zeros and width D: 2·nnz·D operations, against 2NFD
for the dense product. On Cora (N = 2,708, F = 1,433, D = 512, density 1.3 %) that is 0.05 instead of 4 GFLOP each
way; on Coauthor-Physics (8,415 words) it is also 14 MB instead of 1.2 GB for every view.
"""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import RequestError
from graphcl.ops.product import plain_product, product_for
from graphcl.ops.propagate import Pattern, multiply
from graphcl.remembered import Remembered

__all__ = ["dense_linear", "feature_linear", "feature_linear_reference", "sparse_features"]

_ONCE, _EACH = 0.125, 0.025
"""Shares of non-zeros up to which the sparse way is faster at widths from 128: features converted once for many
products, or at each (`benchmarks/speed/feature_linear.py`)."""

_SEEN: Remembered[Pattern] = Remembered()
"""The patterns met last: the views of one graph mask values, they do not move them."""


def sparse_features(x: Tensor, density: float = _ONCE) -> Tensor:
    """Features in the layout that is faster for a first layer.

    Args:
        x: ``[N, F]``, dense or CSR.
        density: share of non-zeros up to which features are converted.

    Returns:
        ``torch.sparse_csr`` where ``x`` is on the CPU, large enough to matter and sparse enough; ``x`` itself
        otherwise.

    Example:
        >>> sparse_features(torch.eye(300)).layout, sparse_features(torch.ones(300, 300)).layout
        (torch.sparse_csr, torch.strided)
    """
    stays = x.layout != torch.strided or x.device.type != "cpu" or x.numel() <= 2**16 or x.requires_grad
    if stays or torch.count_nonzero(x) > density * x.numel():
        return x
    with warnings.catch_warnings():
        # torch calls the layout beta; its storage is used here, not its arithmetic
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return x.to_sparse_csr()


def feature_linear(x: Tensor, weight: Tensor) -> Tensor:
    r"""Multiply node features with a weight matrix, skipping the zeros of sparse features.

    .. math:: Y = X W^\top

    Args:
        x: ``[N, F]``, dense, or CSR as `sparse_features` returns them.
        weight: ``[D, F]``.

    Returns:
        ``[N, D]``, differentiable in ``weight``, and in ``x`` where it is dense.

    Raises:
        RequestError: ``x`` is sparse in another layout than CSR, or asks for a gradient that the sparse way has not.

    Example:
        >>> feature_linear(torch.eye(3), torch.arange(6.0).view(2, 3)).tolist()
        [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    """
    x = sparse_features(x, _EACH)
    if x.layout == torch.strided:
        return dense_linear(x, weight)
    if x.layout != torch.sparse_csr:
        raise RequestError(f"features are {x.layout}; make them CSR with x.to_sparse_csr() or dense with x.to_dense()")
    if x.requires_grad:
        raise RequestError("sparse features have no gradient; make them dense with x.to_dense()")
    return multiply(_pattern(x), x.values(), weight.T)


class _DenseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product_for(x)(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        upstream = upstream.contiguous()
        product = product_for(upstream)
        of_x = product(upstream, weight.T) if ctx.needs_input_grad[0] else None
        of_weight = product(upstream.T.contiguous(), x.T) if ctx.needs_input_grad[1] else None
        return of_x, of_weight


def dense_linear(x: Tensor, weight: Tensor) -> Tensor:
    r"""Multiply rows with a weight matrix, by oneDNN where it is (`graphcl.ops.product`).

    .. math:: Y = X W^\top

    Args:
        x: ``[N, F]``.
        weight: ``[D, F]``.

    Returns:
        ``[N, D]``, differentiable in both.

    Example:
        >>> dense_linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0]])).tolist()
        [[3.0]]
    """
    if x.dim() != 2 or x.numel() == 0 or product_for(x) is plain_product or x.dtype != weight.dtype:
        return F.linear(x, weight)
    return _DenseProduct.apply(x.contiguous(), weight)


def _pattern(x: Tensor) -> Pattern:
    pointer, columns = x.crow_indices().long(), x.col_indices().long()

    def fits(known: Pattern) -> bool:
        same = known.shape == tuple(x.shape) and known.columns.device == x.device
        return same and torch.equal(known.pointer, pointer) and torch.equal(known.columns, columns)

    known = _SEEN.find(fits)
    if known is not None:
        return known
    # outside of inference mode, whose tensors could never be part of a training step
    with torch.inference_mode(False):
        return _SEEN.add(Pattern(pointer.clone(), columns.clone(), x.size(1)), columns.numel())


def feature_linear_reference(x: Tensor, weight: Tensor) -> Tensor:
    """The same product, dense."""
    return F.linear(x.to_dense(), weight)
