"""The product of two dense matrices, by oneDNN where it is the faster library."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["Product", "plain_product", "product_for"]

Product: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@cache
def _onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies this format here, tried once on a small product.

    It runs at the full float32 rate of AMD processors, where the BLAS behind ``torch.mm`` reaches less than half of
    it. Torch has no public call for it on plain tensors; without this one everything works, at the rate of
    ``torch.mm``.
    """
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    sample = torch.arange(12.0).view(3, 4).to(dtype)
    try:
        found = torch.ops.mkldnn._linear_pointwise(sample, sample, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    return bool(torch.equal(found, sample @ sample.T))


def _by_onednn(x: Tensor, w: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")


def plain_product(x: Tensor, w: Tensor) -> Tensor:
    """``x @ w.T`` by ``torch.mm``."""
    return x @ w.T


def product_for(example: Tensor) -> Product:
    """``x, w -> x @ w.T``: by oneDNN for CPU tensors in a format that it multiplies, by ``torch.mm`` otherwise."""
    return _by_onednn if example.device.type == "cpu" and _onednn(example.dtype) else plain_product
