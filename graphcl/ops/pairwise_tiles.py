"""The tile by tile engine of `graphcl.ops.pairwise`, in plain torch operations."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import EmbeddingError
from graphcl.ops.product import Product, product_for
from graphcl.pieces import each_worker

__all__: list[str] = []  # an engine: found through `graphcl.ops.pairwise`

_LOG2E = math.log2(math.e)
_KEEP = 32 * 2**20
"""Bytes of powers that may be kept between forward and backward; never over an eighth of the free memory. Keeping saves
a tenth of the time; were more of them kept, they would be most of what a small graph takes."""
_SHARES = 320 * 2**20
"""Bytes of gradients that the threads may gather apart before they are added."""
_BF16_SCORE = 4.0
"""Largest score that may be rounded to bfloat16: half a unit in its last place is 2^-7, 0.8 % of one term."""
_BF16_WIDTH = 32
"""Shortest rows that are multiplied in bfloat16: below, the exponentials take the time, and rounding shows most."""


T = TypeVar("T")
Call = TypeVar("Call", bound=Callable[..., Any])


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


def _workers(device_type: str, blocks: int, bytes_each: int) -> int:
    """How many threads walk over the tiles, each of them alone on its tile.

    Two threads that share every small operation meet several times a tile, and where another program holds one of the
    cores each meeting waits for its time slice. Threads of their own meet once.
    More than eight would wait for the interpreter.
    """
    if device_type != "cpu" or blocks < 4:
        return 1
    room = max(1, _SHARES // bytes_each) if bytes_each else 8
    return min(torch.get_num_threads(), 8, blocks, room)


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

    @classmethod
    def of(cls, rows: Tensor, dtype: torch.dtype, direct: bool) -> "_Sum":
        """Nothing summed yet, for each of these rows."""
        zero = torch.zeros(len(rows), dtype=dtype, device=rows.device)
        return cls(zero, None if direct else torch.full_like(zero, -torch.inf))

    def add(self, where: slice, tile: Tensor, weights: Tensor | None, axis: int) -> None:
        """Take in a tile: of scores where there is a maximum to keep, of their powers otherwise."""
        if self.top is None:
            self.total[where] += _weighted_sum(tile, weights, axis, self.total.dtype)
            return
        tile = _weighted(tile, weights, axis)
        top = tile.amax(axis)
        base = torch.where(top.isfinite(), top, 0.0)
        self._join(where, torch.exp2(tile - base.unsqueeze(axis)).sum(axis), top)

    def join(self, other: "_Sum") -> None:
        """Take in the sums of another share of the tiles."""
        self._join(slice(None), other.total, other.top)

    def _join(self, where: slice, total: Tensor, top: Tensor | None) -> None:
        if self.top is None or top is None:
            self.total[where] += total
            return
        old = self.top[where]
        new = torch.maximum(old, top)
        base = torch.where(new.isfinite(), new, 0.0)
        self.total[where] = self.total[where] * torch.exp2(old - base) + total * torch.exp2(top - base)
        self.top[where] = new

    def log2(self) -> Tensor:
        """The logarithms of the sums."""
        return self.total.log2() + (0.0 if self.top is None else torch.where(self.total > 0, self.top, 0.0))


def _moderate(weights: Tensor | None) -> bool:
    """Whether weights, where there are any, leave direct sums in range."""
    if weights is None or not bool((weights > 0).any()):
        return True
    positive = weights[weights > 0]
    return float(positive.min()) >= 2**-16 and float(positive.max()) <= 2**16


def _weighted_sum(values: Tensor, weights: Tensor | None, axis: int, dtype: torch.dtype) -> Tensor:
    if weights is None:
        return values.sum(axis, dtype=dtype)
    values = values.to(dtype)
    return values @ weights if axis == 1 else weights @ values


class _Share(NamedTuple):
    """What the gradient needs of the rows, or of the columns, of one tile."""

    factor: Tensor
    """The upstream gradient, over the sum where sums are direct."""
    base: Tensor
    """The logarithm that powers are taken relative to, where sums are not direct."""
    weight: Tensor | None

    def of(self, where: slice) -> "_Share":
        """Those of one tile."""
        return _Share(self.factor[where], self.base[where], None if self.weight is None else self.weight[where])


def _direct_coefficients(powers: Tensor, rows: _Share, columns: _Share) -> Tensor:
    """``power · (rows' factor · columns' weight + rows' weight · columns' factor)``."""
    if rows.weight is None and columns.weight is None:
        # in the format of the tile: a mixed product would first copy the tile, slower than all else done here
        return (rows.factor.to(powers.dtype)[:, None] + columns.factor.to(powers.dtype)).mul_(powers)
    one = rows.factor.new_ones(1)
    weights = one.expand(len(columns.factor)) if columns.weight is None else columns.weight
    found = torch.outer(rows.factor, weights)
    weights = one.expand(len(rows.factor)) if rows.weight is None else rows.weight
    return found.addr_(weights, columns.factor).mul_(powers)


def _shifted_coefficients(scores: Tensor, rows: _Share, columns: _Share) -> Tensor:
    """The same from scores; a weight is part of its exponent, so that a candidate of none cannot overflow."""
    by_row = torch.exp2(_weighted(scores, columns.weight, 1) - rows.base[:, None]).mul_(rows.factor[:, None])
    by_column = torch.exp2(_weighted(scores, rows.weight, 0) - columns.base).mul_(columns.factor)
    return by_row.add_(by_column)


def _weighted(scores: Tensor, weights: Tensor | None, axis: int) -> Tensor:
    """Scores whose powers are weighted, by the columns (axis 1) or by the rows (axis 0)."""
    return scores if weights is None else scores + weights.log2().unsqueeze(1 - axis)


def _kept(blocks: list[_Block], like: Tensor) -> list[Tensor | None]:
    """Room for all tiles in one piece: the system takes it back whole, where pieces leave gaps in the heap."""
    shapes = [(block.rows.stop - block.rows.start, block.columns.stop - block.columns.start) for block in blocks]
    sizes = [rows * columns for rows, columns in shapes]
    pieces = torch.empty(sum(sizes), dtype=like.dtype, device=like.device).split(sizes)
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _without_autocast(function: Call) -> Call:
    """The formats are chosen here: autocast would narrow the scores, and only in some of the threads."""

    @wraps(function)
    def called(ctx: Any, first: Tensor, *rest: Any) -> Any:
        with torch.autocast(first.device.type, enabled=False):
            return function(ctx, first, *rest)

    return cast(Call, called)


class TiledLogSumExp(torch.autograd.Function):
    """Row-wise and column-wise log-sum-exp by tiles; ``b`` is ``None`` for a set with itself."""

    @staticmethod
    @_without_autocast
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
        if not math.isfinite(bound):
            raise EmbeddingError("products of rows reach beyond the range of numbers; scale the rows")
        # bfloat16 scores are right while they are small; the products of the gradient may stay in it
        scores_in = sums if narrow.itemsize == 2 and bound > _BF16_SCORE else narrow
        # powers of two are several times faster than those of e, and the factor is shared by both sides
        root = math.sqrt(_LOG2E)
        left = (a.to(sums) * root).to(scores_in)
        right = left if within else (other.to(sums) * root).to(scores_in)
        n, m = left.size(0), right.size(0)
        weight_a, weight_b = (None if w is None else w.to(sums) for w in (weights_a, weights_b))
        # half of the exponents of the format: sums of powers stay normal numbers, and so do their reciprocals
        direct = bound * _LOG2E + math.log2(max(n, m)) < (500 if sums == torch.float64 else 60)
        direct = direct and _moderate(weight_a) and _moderate(weight_b)

        blocks = list(_blocks(n, m, within, include_self, excluded, tile_size(left.device.type)))
        pairs = n * m // 2 if within else n * m
        keep = any(ctx.needs_input_grad[:4]) and pairs * left.element_size() <= min(_KEEP, _free_bytes() // 8)
        kept = _kept(blocks, left) if keep else [None] * len(blocks)
        product = product_for(left)
        workers = _workers(left.device.type, len(blocks), 0)

        def work(worker: int) -> tuple[_Sum, _Sum]:
            by_row, by_column = _Sum.of(left, sums, direct), _Sum.of(right, sums, direct)
            for number in range(worker, len(blocks), workers):
                block = blocks[number]
                rows, columns = block.rows, block.columns
                tile = block.scores(left, right, product)
                store = kept[number]
                if direct:
                    tile = torch.exp2(tile, out=tile if store is None else store)
                elif store is not None:
                    store.copy_(tile)
                by_row.add(rows, tile, None if weight_b is None else weight_b[columns], 1)
                if block.mirrored:
                    by_row.add(columns, tile, None if weight_b is None else weight_b[rows], 0)
                elif not within:
                    by_column.add(columns, tile, None if weight_a is None else weight_a[rows], 0)
            return by_row, by_column

        by_row, by_column = _Sum.of(left, sums, direct), _Sum.of(right, sums, direct)
        for row_share, column_share in each_worker(work, workers):
            by_row.join(row_share)
            by_column.join(column_share)
        ctx.within, ctx.include_self, ctx.direct, ctx.narrow, ctx.root = within, include_self, direct, narrow, root
        ctx.blocks, ctx.kept = blocks, kept
        row_log, column_log = by_row.log2(), (by_row if within else by_column).log2()
        ctx.save_for_backward(left, right, weight_a, weight_b, row_log, column_log)
        rows_out = row_log / _LOG2E
        return (rows_out, rows_out.new_empty(0)) if within else (rows_out, column_log / _LOG2E)

    @staticmethod
    @once_differentiable
    @_without_autocast
    def backward(ctx: Any, of_rows: Tensor, of_columns: Tensor) -> tuple[Tensor | None, ...]:
        """Each tile's coefficients, times the rows and the columns it stands for."""
        left, right, weight_a, weight_b, row_log, column_log = ctx.saved_tensors
        within, sums = ctx.within, row_log.dtype
        row_share = _share(of_rows.to(sums), row_log, weight_a, ctx.direct)
        column_share = row_share if within else _share(of_columns.to(sums), column_log, weight_b, ctx.direct)
        coefficients_of = _direct_coefficients if ctx.direct else _shifted_coefficients
        factor_left, factor_right = left.to(ctx.narrow), right.to(ctx.narrow)
        turned_left = factor_left.T.contiguous()
        product, multiply = product_for(left), product_for(factor_left)
        shape = (left.size(0), left.size(1)), (right.size(1), right.size(0))
        workers = _workers(left.device.type, len(ctx.blocks), sums.itemsize * (left.numel() + right.numel()))

        def work(worker: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
            # the gradient of the right side is gathered transposed: both products then read the tile in its own order
            of_left, of_right = (torch.zeros(size, dtype=sums, device=left.device) for size in shape)
            of_weight_a = torch.zeros_like(weight_a) if ctx.needs_input_grad[2] else None
            of_weight_b = of_weight_a if within else torch.zeros_like(weight_b) if ctx.needs_input_grad[3] else None
            for number in range(worker, len(ctx.blocks), workers):
                block = ctx.blocks[number]
                rows, columns = block.rows, block.columns
                # given back at once; a second pass over the same graph computes it anew, to the same bits
                values, ctx.kept[number] = ctx.kept[number], None
                if values is None:
                    values = block.scores(left, right, product)
                    if ctx.direct:
                        torch.exp2(values, out=values)
                of_rows, of_columns = row_share.of(rows), column_share.of(columns)
                coefficients = coefficients_of(values, of_rows, of_columns).to(ctx.narrow)
                if within or ctx.needs_input_grad[0]:
                    of_left[rows] += multiply(coefficients, factor_right[columns].T)
                if block.mirrored or not within:
                    of_right[:, columns] += multiply(turned_left[:, rows].contiguous(), coefficients.T)
                    if of_weight_a is not None:
                        powers = values if ctx.direct else torch.exp2(values - of_columns.base)
                        of_weight_a[rows] += powers.to(sums) @ of_columns.factor
                if of_weight_b is not None:
                    powers = values if ctx.direct else torch.exp2(values - of_rows.base[:, None])
                    of_weight_b[columns] += of_rows.factor @ powers.to(sums)
            return of_left, of_right, of_weight_a, of_weight_b

        gradient_left, gradient_right, of_weight_a, of_weight_b = _added(each_worker(work, workers))
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


def _added(shares: list[tuple[Tensor | None, ...]]) -> tuple[Any, ...]:
    """The shares of all workers summed in their order, in place of the first."""
    total = shares[0]
    for share in shares[1:]:
        for number, (mine, other) in enumerate(zip(total, share, strict=True)):
            # the weights of a set with itself are in a share twice, as one tensor
            if mine is not None and other is not None and all(mine is not earlier for earlier in total[:number]):
                mine.add_(other)
    return total


def _share(gradient: Tensor, log: Tensor, weight: Tensor | None, direct: bool) -> _Share:
    """A row without candidates has no gradient; relative to plus infinity its powers are zero, whatever its scores."""
    some = log.isfinite()
    factor = gradient * torch.exp2(-log) if direct else gradient
    return _Share(torch.where(some, factor, 0.0), torch.where(some, log, torch.inf), weight)
