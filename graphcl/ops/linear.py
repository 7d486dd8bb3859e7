r"""Products with node features that are mostly zeros.

Bag-of-words features have about one non-zero in a hundred, and the product with the first layer's weights is most of
the arithmetic of a small GCN. Floor for x ``[N, F]`` with nnz non-zeros and width D: reading x once (4NF bytes, to find
them) and 2·nnz·D operations, against 2NFD for the dense product. On Cora (N = 2,708, F = 1,433, D = 512, density
1.3 %) that is 0.05 instead of 4 GFLOP each way.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

__all__ = ["feature_linear", "feature_linear_reference"]

_DENSITY = 0.025
"""Share of non-zeros up to which the sparse way is faster at widths from 128 (`benchmarks/speed/feature_linear.py`)."""


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor) -> Tensor:
        sparse = x.to_sparse_csr()
        ctx.save_for_backward(sparse)
        return sparse @ weight.T.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[None, Tensor]:
        (sparse,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return None, (sparse.t() @ gradient.contiguous()).T


def feature_linear(x: Tensor, weight: Tensor) -> Tensor:
    r"""Multiply node features with a weight matrix, skipping the zeros of mostly-zero features.

    .. math:: Y = X W^\top

    Takes the sparse way on the CPU when at most one entry of ``x`` in forty is non-zero and nothing asks for the
    gradient of ``x``; the dense way otherwise. Both give the same values up to rounding.

    Args:
        x: ``[N, F]``.
        weight: ``[D, F]``.

    Returns:
        ``[N, D]``, differentiable in ``weight`` (and in ``x``, the dense way).

    Example:
        >>> feature_linear(torch.eye(3), torch.arange(6.0).view(2, 3)).tolist()
        [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    """
    worthwhile = x.device.type == "cpu" and not x.requires_grad and x.numel() > 2**16
    if worthwhile and torch.count_nonzero(x) <= _DENSITY * x.numel():
        return _SparseProduct.apply(x, weight)
    return feature_linear_reference(x, weight)


def feature_linear_reference(x: Tensor, weight: Tensor) -> Tensor:
    """The same product, dense."""
    return F.linear(x, weight)
