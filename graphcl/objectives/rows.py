"""What losses ask of the rows they compare: shapes and formats that match, finite values, a length, valid pairs."""

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from graphcl.errors import EmbeddingError, RequestError

__all__: list[str] = []  # shared by the modules of this package

Similarity: TypeAlias = Literal["cosine", "dot"]


def finite(x: Tensor, name: str) -> Tensor:
    """``x`` itself, refused where a value is NaN or infinite."""
    if not bool(x.detach().sum().isfinite()):  # cheap; only a suspicion, as a sum may overflow
        bad = (~x.detach().isfinite().all(1)).nonzero()[:, 0]
        if len(bad):
            raise EmbeddingError(
                f"{len(bad)} of {len(x)} rows of `{name}` hold NaN or infinity, first row {int(bad[0])}"
            )
    return x


def unit(x: Tensor, name: str) -> Tensor:
    """Rows divided by their lengths."""
    length = x.norm(dim=1, keepdim=True)
    low, high = (float(v) for v in length.detach().aminmax())
    if not math.isfinite(low + high):
        bad = (~length.detach().isfinite()).nonzero()[:, 0]
        raise EmbeddingError(f"{len(bad)} of {len(x)} rows of `{name}` hold NaN or infinity, first row {int(bad[0])}")
    if low == 0:
        bad = (length.detach() == 0).nonzero()[:, 0]
        raise EmbeddingError(
            f"{len(bad)} of {len(x)} rows of `{name}` are zero, first row {int(bad[0])}: they have no cosine (a node "
            "without features and neighbours, or a dead activation); put a projector with a bias before the loss, "
            "or take similarity='dot'",
            finite=True,
        )
    return x / length


def alike(a: Tensor, b: Tensor, *, same_rows: bool = True) -> None:
    """Two sets of embeddings of one width, type and device; of one number of rows unless said otherwise."""
    if a.dim() != 2 or b.dim() != 2 or a.size(1) != b.size(1) or (same_rows and a.shape != b.shape):
        expected = "both must be [N, D]" if same_rows else "expected [N, D] and [M, D]"
        raise RequestError(f"embeddings have shapes {list(a.shape)} and {list(b.shape)}; {expected}")
    if a.size(0) == 0 or b.size(0) == 0:
        raise RequestError("embeddings are empty: there is no node to contrast")
    if a.dtype != b.dtype or a.device != b.device:
        raise RequestError(
            f"embeddings are {a.dtype} on {a.device} and {b.dtype} on {b.device}; both should be of one type and device"
        )
    if not a.is_floating_point():
        raise RequestError(f"embeddings are {a.dtype}; they should be floating point")


def positive(value: float | Tensor, name: str) -> None:
    """A number, or a scalar tensor, above zero."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise RequestError(f"{name} has shape {list(value.shape)}; expected a number or a scalar tensor")
    number = float(value.detach()) if isinstance(value, Tensor) else float(value)
    if not 0 < number < math.inf:
        raise RequestError(f"{name} = {number}: input should be greater than 0")


def wide(x: Tensor) -> Tensor:
    """16-bit embeddings in float32, as under autocast; others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def scaled(
    a: Tensor,
    b: Tensor,
    temperature: float | Tensor,
    similarity: Similarity = "cosine",
    precision: torch.dtype | None = None,
    *,
    same_rows: bool = True,
) -> tuple[Tensor, Tensor, torch.dtype | None]:
    """Both views such that products of their rows are similarities over the temperature, and the products' format."""
    alike(a, b, same_rows=same_rows)
    positive(temperature, "temperature")
    if similarity not in ("cosine", "dot"):
        raise RequestError(f"similarity = {similarity!r}: should be 'cosine' or 'dot'")
    if a.dtype in (torch.float16, torch.bfloat16):
        # lengths and the temperature in float32; the products in the format that came in
        precision = precision or a.dtype
        a, b = a.float(), b.float()
    if similarity == "cosine":
        a, b = unit(a, "a"), unit(b, "b")
    root = temperature.rsqrt() if isinstance(temperature, Tensor) else temperature**-0.5
    return a * root, b * root, precision


def matching(n: int, device: torch.device) -> Tensor:
    """The pairs of row i with row i."""
    own = torch.arange(n, device=device)
    return torch.stack([own, own])


def check_index(positives: Tensor, n: int, rows: int | None = None, name: str = "positives") -> None:
    """One row of ``b``, which has ``rows`` (``n`` unless given), for each of the ``n`` rows of ``a``."""
    rows = n if rows is None else rows
    if positives.dtype != torch.int64 or positives.shape != (n,):
        raise RequestError(f"{name} are {positives.dtype} {list(positives.shape)}; expected int64 [{n}]")
    low, high = (int(v) for v in positives.aminmax())
    if low < 0 or high >= rows:
        raise RequestError(f"{name} reach to row {high if high >= rows else low}; `b` has {rows} rows")


def reordered(b: Tensor, positives: Tensor | None, n: int) -> Tensor:
    """The row of ``b`` that belongs to each of the ``n`` rows of ``a``."""
    if positives is None:
        return b
    check_index(positives, n, b.size(0))
    return b[positives]


def permuted(b: Tensor, positives: Tensor | None, objective: str) -> Tensor:
    """The same where each row of ``b`` belongs to one row of ``a``: both directions are contrasted."""
    if positives is None:
        return b
    if positives.dim() != 1:
        raise RequestError(f"{objective} takes one positive for each row: `positives` should be int64 [N]")
    check_index(positives, b.size(0))
    if positives.unique().numel() < positives.numel():
        raise RequestError(f"{objective} takes one positive for each row: `positives` repeats one")
    return b[positives]


def listed(positives: Tensor | None, n: int, rows: int, device: torch.device) -> Tensor:
    """Positives in any of their forms as pairs ``int64 [2, P]`` of a row of ``a`` and a row of ``b``."""
    if positives is None:
        if n != rows:
            raise RequestError(f"`a` has {n} rows and `b` has {rows}: say with `positives` which belong together")
        return matching(n, device)
    if positives.dim() == 1:
        check_index(positives, n, rows)
        return torch.stack([torch.arange(n, device=device), positives])
    if positives.dim() != 2 or positives.size(0) != 2 or positives.dtype != torch.int64 or positives.size(1) == 0:
        raise RequestError(
            f"positive pairs are {positives.dtype} {list(positives.shape)}; expected int64 [2, P], P > 0"
        )
    low, high = positives.amin(1).tolist(), positives.amax(1).tolist()
    if min(low) < 0 or high[0] >= n or high[1] >= rows:
        raise RequestError(f"positive pairs reach from {low} to {high}; `a` has {n} rows and `b` has {rows}")
    return positives
