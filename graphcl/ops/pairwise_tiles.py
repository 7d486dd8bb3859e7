"""The tile by tile engine of `graphcl.ops.pairwise`, in plain torch operations."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.ops.product import Product, product_for

__all__ = ["TiledLogSumExp", "operand_type", "tile_size"]

_LOG2E = math.log2(math.e)
_KEEP = 256 * 2**20
"""Bytes of exponentials that may be kept between forward and backward; at most an eighth of the free memory."""
_BF16_SCORE = 4.0
"""Largest score that may be rounded to bfloat16: half a unit in its last place is 2^-7, 0.8 % of one term."""
_BF16_WIDTH = 32
"""Shortest rows that are multiplied in bfloat16: below, the exponentials take the time, and rounding shows most."""


def operand_type(dtype: torch.dtype, precision: torch.dtype | None, width: int) -> torch.dtype:
    """The format of the factors of the products.

    Rows too short for a bfloat16 product to be faster stay in float32: nothing is gained by rounding them.

    float16 becomes float32, which holds all of it: processors have no fast float16 product, and the coefficients of the
    gradient, about one over the number of pairs, would vanish in it.
    """
    dtype = precision or dtype
    short = dtype == torch.bfloat16 and width < _BF16_WIDTH
    return torch.float32 if dtype == torch.float16 or short else dtype


def _system(name: str, unknown: int) -> int:
    """A figure of this machine, where the system tells it."""
    try:
        return max(0, os.sysconf(name)) or unknown
    except (ValueError, OSError, AttributeError):
        return unknown


def _free_bytes() -> int:
    return _system("SC_AVPHYS_PAGES", 2**19) * _system("SC_PAGE_SIZE", 2**12)


@cache
def tile_size(device_type: str) -> int:
    """Rows and columns of a tile.

    On a processor a float32 tile takes at most a thirty-second of the last-level cache, so that the few passes over
    it stay there, and is no smaller than the product needs for its full rate. It depends on the machine, never on the
    load: the order of a sum decides its last bit.
    """
    if device_type != "cpu":
        return 4096
    elements = _system("SC_LEVEL3_CACHE_SIZE", 2**25) / 32 / 4
    return 2 ** max(8, min(11, int(math.log2(elements) / 2)))


class _Block(NamedTuple):
    """One tile of the matrix of scores."""

    rows: slice
    columns: slice
    mirrored: bool
    """Whether it stands for its transpose too."""
    diagonal: bool
    """Whether the pairs of a row with itself are in it and left out."""
    left_out: Tensor | None
    """Positions in the flattened tile."""

    def scores(self, left: Tensor, right: Tensor, product: Product) -> Tensor:
        """Products of its rows and columns; minus infinity where a pair is left out."""
        found = product(left[self.rows], right[self.columns])
        if self.diagonal:
            found.fill_diagonal_(-torch.inf)
        if self.left_out is not None:
            found.view(-1)[self.left_out] = -torch.inf
        return found


def _blocks(n: int, m: int, within: bool, include_self: bool, excluded: Tensor | None, tile: int) -> Iterator[_Block]:
    """All tiles, or those on and above the diagonal, each with its excluded pairs."""
    across = -(-m // tile)
    positions: dict[int, Tensor] = {}
    if excluded is not None and excluded.size(1):
        i, j = excluded
        if within:
            i, j = torch.minimum(i, j), torch.maximum(i, j)
            same = i // tile == j // tile
            i, j = torch.cat([i, j[same]]), torch.cat([j, i[same]])
        number, order = (i // tile * across + j // tile).sort()
        width = (m - j // tile * tile).clamp(max=tile)
        flat = (i % tile * width + j % tile)[order]
        numbers, counts = number.unique_consecutive(return_counts=True)
        positions = dict(zip(numbers.tolist(), flat.split(counts.tolist()), strict=True))
    for r in range(-(-n // tile)):
        rows = slice(r * tile, min(n, (r + 1) * tile))
        for c in range(r if within else 0, across):
            columns = slice(c * tile, min(m, (c + 1) * tile))
            diagonal = within and c == r and not include_self
            yield _Block(rows, columns, within and c > r, diagonal, positions.get(r * across + c))


@dataclass
class _Sum:
    """Running sums of powers of two, one per row; with a running maximum where the range asks for it."""

    total: Tensor
    top: Tensor | None

    def add(self, where: slice, tile: Tensor, weights: Tensor | None, axis: int) -> None:
        """Take in a tile: of scores where there is a maximum to keep, of their powers otherwise."""
        if self.top is None:
            self.total[where] += _weighted_sum(tile, weights, axis, self.total.dtype)
            return
        old = self.top[where]
        new = torch.maximum(old, tile.amax(axis))
        base = torch.where(new.isfinite(), new, 0.0)
        part = _weighted_sum(torch.exp2(tile - base.unsqueeze(axis)), weights, axis, self.total.dtype)
        self.total[where] = self.total[where] * torch.exp2(old - base) + part
        self.top[where] = new

    def log2(self) -> Tensor:
        """The logarithms of the sums."""
        return self.total.log2() + (0.0 if self.top is None else torch.where(self.total > 0, self.top, 0.0))


def _weighted_sum(values: Tensor, weights: Tensor | None, axis: int, dtype: torch.dtype) -> Tensor:
    if weights is None:
        return values.sum(axis, dtype=dtype)
    values = values.to(dtype)
    return values @ weights if axis == 1 else weights @ values


class _Tile(NamedTuple):
    """What the gradient needs of one tile: the powers as a share of the row's and of the column's sum, times upstream.

    The coefficient of a pair is ``by_row · alpha · (weight of its column) + by_column · beta · (weight of its row)``.
    Where sums are direct the two powers are one and the same tensor, and the sums are in alpha and beta.
    """

    by_row: Tensor
    by_column: Tensor
    alpha: Tensor
    beta: Tensor
    weight_rows: Tensor | None
    weight_columns: Tensor | None

    def coefficients(self) -> Tensor:
        if self.by_row is self.by_column and self.weight_rows is None and self.weight_columns is None:
            # in the format of the tile: a mixed product would first copy the tile, slower than all else done here
            alpha, beta = (x.to(self.by_row.dtype) for x in (self.alpha, self.beta))
            return (alpha[:, None] + beta).mul_(self.by_row)
        one = self.alpha.new_ones(1)
        columns = one.expand(len(self.beta)) if self.weight_columns is None else self.weight_columns
        rows = one.expand(len(self.alpha)) if self.weight_rows is None else self.weight_rows
        found = torch.outer(self.alpha, columns).mul_(self.by_row)
        return found.add_(torch.outer(rows, self.beta).mul_(self.by_column))


class TiledLogSumExp(torch.autograd.Function):
    """Row-wise and column-wise log-sum-exp by tiles; ``b`` is ``None`` for a set with itself."""

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor | None,
        weights_a: Tensor | None,
        weights_b: Tensor | None,
        excluded: Tensor | None,
        include_self: bool,
        precision: torch.dtype | None,
    ) -> tuple[Tensor, Tensor]:
        """Sums over all tiles; their powers are kept for the gradient where there is room."""
        within = b is None
        other = a if b is None else b
        if within:
            weights_b = weights_a
        narrow = operand_type(a.dtype, precision, a.size(1))
        sums = torch.float64 if narrow == torch.float64 else torch.float32
        bound = float(a.norm(dim=1, dtype=sums).max() * other.norm(dim=1, dtype=sums).max())
        # bfloat16 scores are right while they are small; the products of the gradient may stay in it
        scores_in = sums if narrow.itemsize == 2 and bound > _BF16_SCORE else narrow
        # powers of two are several times faster than those of e, and the factor is shared by both sides
        root = math.sqrt(_LOG2E)
        left = (a.to(sums) * root).to(scores_in)
        right = left if within else (other.to(sums) * root).to(scores_in)
        n, m = left.size(0), right.size(0)
        weight_a, weight_b = (None if w is None else w.to(sums) for w in (weights_a, weights_b))
        direct = bound * _LOG2E + math.log2(max(n, m)) < (1000 if sums == torch.float64 else 120)
        direct = direct and all(w is None or 1e-3 < float(w.max()) < 1e3 for w in (weight_a, weight_b))

        def start(count: int) -> _Sum:
            top = None if direct else torch.full((count,), -torch.inf, dtype=sums, device=a.device)
            return _Sum(torch.zeros(count, dtype=sums, device=a.device), top)

        by_row, by_column = start(n), start(m)
        pairs = n * m // 2 if within else n * m
        keep = any(ctx.needs_input_grad[:4]) and pairs * left.element_size() <= min(_KEEP, _free_bytes() // 8)
        kept: list[Tensor | None] = []
        product = product_for(left)
        for block in _blocks(n, m, within, include_self, excluded, tile_size(left.device.type)):
            rows, columns = block.rows, block.columns
            tile = block.scores(left, right, product)
            if direct:
                torch.exp2(tile, out=tile)
            by_row.add(rows, tile, None if weight_b is None else weight_b[columns], 1)
            if block.mirrored:
                by_row.add(columns, tile, None if weight_b is None else weight_b[rows], 0)
            elif not within:
                by_column.add(columns, tile, None if weight_a is None else weight_a[rows], 0)
            if keep:
                kept.append(tile)
        ctx.within, ctx.include_self, ctx.direct, ctx.narrow, ctx.root = within, include_self, direct, narrow, root
        ctx.kept = kept
        row_log, column_log = by_row.log2(), (by_row if within else by_column).log2()
        ctx.save_for_backward(left, right, weight_a, weight_b, excluded, row_log, column_log)
        rows_out = row_log / _LOG2E
        return (rows_out, rows_out.new_empty(0)) if within else (rows_out, column_log / _LOG2E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_rows: Tensor, of_columns: Tensor) -> tuple[Tensor | None, ...]:
        """Each tile's coefficients, times the rows and the columns it stands for."""
        left, right, weight_a, weight_b, excluded, row_log, column_log = ctx.saved_tensors
        within, sums = ctx.within, row_log.dtype
        alpha, row_base = _upstream(of_rows.to(sums), row_log, ctx.direct)
        beta, column_base = (alpha, row_base) if within else _upstream(of_columns.to(sums), column_log, ctx.direct)
        factor_left, factor_right = left.to(ctx.narrow), right.to(ctx.narrow)
        turned_left = factor_left.T.contiguous()
        product, multiply = product_for(left), product_for(factor_left)
        # the gradient of the right side is gathered transposed: both products then read the tile in its own order
        gradient_left = torch.zeros_like(left, dtype=sums)
        gradient_right = torch.zeros_like(right.T, dtype=sums, memory_format=torch.contiguous_format)
        of_weight_a = None if weight_a is None else torch.zeros_like(weight_a)
        of_weight_b = of_weight_a if within else None if weight_b is None else torch.zeros_like(weight_b)
        blocks = _blocks(left.size(0), right.size(0), within, ctx.include_self, excluded, tile_size(left.device.type))
        for number, block in enumerate(blocks):
            rows, columns = block.rows, block.columns
            values = ctx.kept[number] if ctx.kept else None
            if values is None:
                values = block.scores(left, right, product)
                if ctx.direct:
                    torch.exp2(values, out=values)
            else:
                # given back at once; a second pass over the same graph computes it anew, to the same bits
                ctx.kept[number] = None
            tile = _Tile(
                values if ctx.direct else torch.exp2(values - row_base[rows, None]),
                values if ctx.direct else torch.exp2(values - column_base[columns]),
                alpha[rows],
                beta[columns],
                None if weight_a is None else weight_a[rows],
                None if weight_b is None else weight_b[columns],
            )
            coefficients = tile.coefficients().to(ctx.narrow)
            gradient_left[rows] += multiply(coefficients, factor_right[columns].T)
            if block.mirrored or not within:
                gradient_right[:, columns] += multiply(turned_left[:, rows].contiguous(), coefficients.T)
                if of_weight_a is not None:
                    of_weight_a[rows] += tile.by_column.to(sums) @ tile.beta
            if of_weight_b is not None:
                of_weight_b[columns] += tile.alpha @ tile.by_row.to(sums)
        if within:
            return gradient_left.add_(gradient_right.T).div_(ctx.root), None, of_weight_a, None, None, None, None
        return (
            gradient_left.div_(ctx.root),
            gradient_right.T.contiguous().div_(ctx.root),
            of_weight_a,
            of_weight_b,
            None,
            None,
            None,
        )


def _upstream(gradient: Tensor, log: Tensor, direct: bool) -> tuple[Tensor, Tensor]:
    """What each row's powers are multiplied by, and the logarithm they are taken relative to.

    A row without candidates has no gradient, and no infinities either.
    """
    some = log.isfinite()
    share = gradient * torch.exp2(-log) if direct else gradient
    return torch.where(some, share, 0.0), torch.where(some, log, 0.0)
