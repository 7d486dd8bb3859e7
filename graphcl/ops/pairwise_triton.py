# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
r"""The engine of `graphcl.ops.pairwise` as fused Triton kernels: no tile of the matrix of pairs leaves the chip.

Two kernels, each with one program per block of rows that walks over the blocks of columns:

* `_sums` multiplies a block of rows with a block of columns, takes powers of two and sums them by row. Where the bound
  of Cauchy and Schwarz keeps all powers in range, the sums are direct: a symmetric matrix is then walked on and above
  its diagonal only, each tile also summed by column, and of two sets both results come from one walk. The column sums
  of a tile are written to a buffer of one line per block of rows (strips of at most 512 MiB) and added up in a fixed
  order. Where powers could leave the range each row carries its maximum, and the other set is walked separately.
* `_gradient` computes the scores anew, forms the coefficients in registers and multiplies them with the columns:
  :math:`\sum_j c_{ij} b_j` for its rows. The coefficients of a set with itself are symmetric, so one walk is the whole
  gradient; for two sets a second walk has the roles exchanged. No atomics: results do not vary from run to run.

**Cost**, in units of :math:`2 M^2 D` operations: within a set 0.5 for direct sums (1 otherwise) and 2 for the gradient;
between two sets 1 (otherwise 2) and 4. Widths beyond one chunk of the gradient (256 in bfloat16, 128 in float32)
compute the scores once more for each further chunk. For M = 338,686 and D = 256 in bfloat16 a unit is 5.9e13 operations
and the floor of 2.5 units 0.19 s at 790 TFLOP/s; one exponential for each of 1.7e11 pairs takes 0.05 s of the special
function units, partly hidden behind the products, and the second-level cache is read for 0.6 TB in all, 0.1 s hidden
likewise. At 50 to 60 % of the rate of multiplication, usual for fused attention of this width, 0.3 to 0.37 s are to be
expected. float32 is multiplied as three products of tf32 parts: at best a sixth of that rate, and at width 256 3.5
units. Beyond the inputs, memory holds their copy in the format of the products, and one strip or the gradient: 0.7 GB
in this example. **None of these figures has been measured on a GPU yet**: the kernels were run by Triton's interpreter,
and compiled for compute capability 9.0, where those of bfloat16 spill no registers (width 256: 158 of them and 194 KiB
of shared memory for the sums, 210 and 128 KiB for the gradient).

**Format.** Products of bfloat16 are summed in float32, and scores stay there. Where float32 vectors are so long that
rounding them to bfloat16 would show in the exponentials, the scores come from their two leading parts (three products
of bfloat16, as one product of three times the width); the products of the gradient stay bfloat16. float64 is refused.

**Left out.** A row's excluded columns are compared with the columns of a tile only where the tile lies in the range of
those of the block of rows: up to four per row, which covers positives like (i, i + N), cost next to nothing. Longer
lists are walked pair by pair, sorted by block of rows and column; the loop over columns is then not pipelined.
"""

from __future__ import annotations  # the annotations of the kernels name triton, which may be absent

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphcl.errors import EmbeddingError, RequestError

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

__all__: list[str] = []  # an engine: found through `graphcl.ops.pairwise`

_LOG2E = math.log2(math.e)
_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_PADDED = 256
"""Rows are filled up with zeros to a multiple of this, the largest block, so that loads need no masks."""
_STRIP = 2**29
"""Bytes of column sums per strip of row blocks."""
_PARTS = 2**29
"""Bytes of partial gradients, where the columns are divided among programs."""
_SLOTS = 4
"""Most excluded columns per row that are compared at once."""
_DIRECT = 64
"""Largest binary logarithm of a direct sum. Half the range, so that upstream gradients may be small."""
_BF16_ERROR = 0.005
"""Largest typical error of a score whose factors are rounded to bfloat16."""


def refusal(example: Tensor, precision: torch.dtype | None = None) -> str | None:
    """Why the kernels cannot take tensors like this one; ``None`` where they can."""
    if torch.float64 in (example.dtype, precision):
        return "the kernels do not compute in float64"
    if triton is None:
        return "triton is not installed"
    if _INTERPRETED:
        return None
    if example.device.type != "cuda":
        return f"the kernels need a CUDA device, the vectors are on {example.device}"
    if torch.version.cuda is None or torch.cuda.get_device_capability(example.device)[0] not in (9, 10):
        return "the kernels need the shared memory of CUDA compute capability 9 or 10"
    return None


def _jit(function: Callable[..., None]) -> Any:
    return function if triton is None else triton.jit(function)


@_jit
def _times(x, y, onto, digits: tl.constexpr):
    """A product, summed in float32 onto another; the interpreter knows none of bfloat16."""
    if digits == "interpreted":
        return tl.dot(x.to(tl.float32), y.to(tl.float32), onto, input_precision="ieee")
    return tl.dot(x, y, onto, input_precision=digits)


@_jit
def _leave_out(
    scores, pair, block, column0, near_from, near_to, partners, near, pair_rows, pair_columns, blocks,
    tile_rows: tl.constexpr, tile_columns: tl.constexpr, own: tl.constexpr, slots: tl.constexpr, listed: tl.constexpr,
):  # fmt: skip
    """Minus infinity for the excluded pairs of a tile; the position in the list of pairs moves on."""
    row0 = block * tile_rows
    rows = row0 + tl.arange(0, tile_rows)
    columns = column0 + tl.arange(0, tile_columns)
    if own:  # noqa: SIM102  (known when the kernel is compiled; the other is not)
        if (column0 < row0 + tile_rows) & (column0 + tile_columns > row0):
            scores = tl.where(rows[:, None] == columns[None, :], float("-inf"), scores)
    for slot in tl.static_range(slots):
        if slot > 0:
            near_from = tl.load(near + (slot * blocks + block) * 2)
            near_to = tl.load(near + (slot * blocks + block) * 2 + 1)
        if (column0 < near_to) & (column0 + tile_columns > near_from):
            partner = tl.load(partners + slot * blocks * tile_rows + rows)
            scores = tl.where(columns[None, :] == partner[:, None], float("-inf"), scores)
    if listed:
        column = tl.load(pair_columns + pair)
        while column < column0 + tile_columns:
            row = tl.load(pair_rows + pair)
            scores = tl.where((rows == row)[:, None] & (columns == column)[None, :], float("-inf"), scores)
            pair += 1
            column = tl.load(pair_columns + pair)
    return scores, pair


@_jit
def _sums(  # noqa: C901  (a kernel is one function)
    left, right, weights_left, weights_right, by_row, by_column,
    partners, near, pair_rows, pair_columns, pair_starts, blocks, first_block, m, padded_n, padded_m, splits,
    width: tl.constexpr, chunk: tl.constexpr, held: tl.constexpr,
    tile_rows: tl.constexpr, tile_columns: tl.constexpr, digits: tl.constexpr,
    direct: tl.constexpr, upper: tl.constexpr, columns_too: tl.constexpr,
    own: tl.constexpr, slots: tl.constexpr, listed: tl.constexpr,
):  # fmt: skip
    """Sums of powers of two, or their logarithms, for one block of rows and a share of the columns.

    Weights are factors where sums are direct, logarithms where not; zero or minus infinity for the padding.
    """
    block = first_block + tl.program_id(0)
    split = tl.program_id(1)
    row0 = block * tile_rows
    rows = row0 + tl.arange(0, tile_rows)
    inner = tl.arange(0, chunk)
    left_rows = left + rows.to(tl.int64)[:, None] * width + inner[None, :]
    if held:
        kept = tl.load(left_rows)
    if direct:
        weight_rows = tl.load(weights_left + rows)
    total = tl.zeros((tile_rows,), tl.float32)
    top = tl.full((tile_rows,), float("-inf"), tl.float32)
    first = 0
    if upper:
        first = row0 // tile_columns
    count = (m + tile_columns - 1) // tile_columns - first
    share = (count + splits - 1) // splits
    begin = first + split * share
    end = first + tl.minimum(count, (split + 1) * share)
    pair = 0
    if listed:
        pair = tl.load(pair_starts + block * splits + split)
    near_from = 0
    near_to = 0
    if slots > 0:
        near_from = tl.load(near + block * 2)
        near_to = tl.load(near + block * 2 + 1)
    for number in range(begin, end):
        column0 = number * tile_columns
        columns = column0 + tl.arange(0, tile_columns)
        right_rows = right + columns.to(tl.int64)[:, None] * width + inner[None, :]
        if held:
            tile = tl.load(right_rows)
            scores = _times(kept, tl.trans(tile), None, digits)
        else:
            scores = tl.zeros((tile_rows, tile_columns), tl.float32)
            for k in range(0, width, chunk):
                part = tl.load(right_rows + k)
                scores = _times(tl.load(left_rows + k), tl.trans(part), scores, digits)
        scores, pair = _leave_out(
            scores * 1.4426950408889634, pair, block, column0, near_from, near_to,
            partners, near, pair_rows, pair_columns, blocks, tile_rows, tile_columns, own, slots, listed,
        )  # fmt: skip
        weight_columns = tl.load(weights_right + columns)
        if direct:
            powers = tl.exp2(scores)
            total += tl.sum(powers * weight_columns[None, :], 1)
            if columns_too:  # noqa: SIM102
                # the square on the diagonal holds both orientations of its pairs
                if (not upper) | (column0 >= row0 + tile_rows):
                    below = tl.sum(powers * weight_rows[:, None], 0)
                    tl.store(by_column + tl.program_id(0).to(tl.int64) * padded_m + columns, below)
        else:
            scores += weight_columns[None, :]
            larger = tl.maximum(top, tl.max(scores, 1))
            base = tl.where(larger == float("-inf"), 0.0, larger)
            total = total * tl.exp2(top - base) + tl.sum(tl.exp2(scores - base[:, None]), 1)
            top = larger
    if not direct:
        total = tl.where(total > 0, top + tl.log2(total), float("-inf"))
    tl.store(by_row + split * padded_n + rows, total)


@_jit
def _gradient(  # noqa: C901
    left, right, base_left, base_right, share_left, share_right, weights_left, weights_right, gradient, of_weights,
    partners, near, pair_rows, pair_columns, pair_starts, blocks, n, m, splits,
    size: tl.constexpr, width: tl.constexpr, chunk: tl.constexpr, held: tl.constexpr, product: tl.constexpr,
    tile_rows: tl.constexpr, tile_columns: tl.constexpr, digits: tl.constexpr,
    direct: tl.constexpr, weighted: tl.constexpr, narrow: tl.constexpr,
    own: tl.constexpr, slots: tl.constexpr, listed: tl.constexpr,
):  # fmt: skip
    """The coefficients of one block of rows times a chunk of the width of the columns, over a share of the columns.

    A row without candidates, or without upstream gradient, has share 0 and base infinity: its powers are 0, also where
    the score of a candidate without weight would make them infinite.
    """
    block = tl.program_id(0)
    split = tl.program_id(2)
    row0 = block * tile_rows
    rows = row0 + tl.arange(0, tile_rows)
    inner = tl.arange(0, chunk)
    outer = tl.program_id(1) * product + tl.arange(0, product)
    left_rows = left + rows.to(tl.int64)[:, None] * width + inner[None, :]
    if held:
        kept = tl.load(left_rows)
    share_rows = tl.load(share_left + rows)
    if not direct:
        base_rows = tl.load(base_left + rows)
    if weighted:
        weight_rows = tl.load(weights_left + rows)
    found = tl.zeros((tile_rows, product), tl.float32)
    of_weight = tl.zeros((tile_rows,), tl.float32)
    count = (m + tile_columns - 1) // tile_columns
    share = (count + splits - 1) // splits
    begin = split * share
    end = tl.minimum(count, (split + 1) * share)
    pair = 0
    if listed:
        pair = tl.load(pair_starts + block * splits + split)
    near_from = 0
    near_to = 0
    if slots > 0:
        near_from = tl.load(near + block * 2)
        near_to = tl.load(near + block * 2 + 1)
    for number in range(begin, end):
        column0 = number * tile_columns
        columns = column0 + tl.arange(0, tile_columns)
        right_rows = right + columns.to(tl.int64)[:, None] * width
        if held:
            tile = tl.load(right_rows + inner[None, :])
            scores = _times(kept, tl.trans(tile), None, digits)
        else:
            scores = tl.zeros((tile_rows, tile_columns), tl.float32)
            for k in range(0, width, chunk):
                part = tl.load(right_rows + inner[None, :] + k)
                scores = _times(tl.load(left_rows + k), tl.trans(part), scores, digits)
            tile = tl.load(right_rows + outer[None, :], mask=(outer < size)[None, :], other=0.0)
        scores, pair = _leave_out(
            scores * 1.4426950408889634, pair, block, column0, near_from, near_to,
            partners, near, pair_rows, pair_columns, blocks, tile_rows, tile_columns, own, slots, listed,
        )  # fmt: skip
        share_columns = tl.load(share_right + columns)
        if weighted:
            weight_columns = tl.load(weights_right + columns)
        if direct:
            # padding needs no mask: its power is 1, its vector 0
            powers = tl.exp2(scores)
            if weighted:
                of_weight += tl.sum(powers * share_columns[None, :], 1)
                powers *= share_rows[:, None] * weight_columns[None, :] + weight_rows[:, None] * share_columns[None, :]
            else:
                powers *= share_rows[:, None] + share_columns[None, :]
        else:
            scores = tl.where((columns < m)[None, :], scores, float("-inf"))
            powers = tl.exp2(scores - base_rows[:, None]) * share_rows[:, None]
            others = tl.exp2(scores - tl.load(base_right + columns)[None, :]) * share_columns[None, :]
            if weighted:
                of_weight += tl.sum(others, 1)
                # the power of a candidate without weight may be infinite
                powers = tl.where((weight_columns > 0)[None, :], powers * weight_columns[None, :], 0.0)
                others = tl.where((weight_rows > 0)[:, None], others * weight_rows[:, None], 0.0)
            powers += others
        found = _times(powers.to(narrow), tile, found, digits)
    lines = split.to(tl.int64) * n + rows
    tl.store(
        gradient + lines[:, None] * size + outer[None, :], found, mask=(rows < n)[:, None] & (outer < size)[None, :]
    )
    if weighted:  # every chunk of the width finds the same
        tl.store(of_weights + lines, of_weight, mask=rows < n)


class _Sizes(NamedTuple):
    """How a kernel is cut into programs."""

    rows: int
    columns: int
    chunk: int
    """Width of the blocks that are multiplied; the whole width where the block of rows is held."""
    held: bool
    product: int
    """Width of the block of the gradient."""
    warps: int
    stages: int


def _sizes(dtype: torch.dtype, width: int, size: int, gradient: bool) -> _Sizes:
    """What fits the registers and the shared memory of a Hopper multiprocessor (256 and 227 KiB).

    A block of rows is held while it leaves room for two blocks of columns: up to width 256, 64 in float32, whose tf32
    parts take room too. The larger the block of rows, the less is read from the second-level cache: 256 where no
    gradient has to stay in registers.
    """
    power = max(16, 2 ** math.ceil(math.log2(size)))
    longest, chunk, widest = _formats(dtype)
    held = width <= longest
    product = width if held else min(power, widest)
    chunk = width if held else chunk
    if _INTERPRETED:
        return _Sizes(32, 16, chunk, held, product, 4, 1)
    if dtype == torch.bfloat16:
        if gradient:
            return _Sizes(128, 64, chunk, held, product, 8, 2)
        return _Sizes(256, 64, chunk, True, product, 8, 2) if held else _Sizes(128, 128, chunk, False, product, 8, 3)
    if gradient or held:
        return _Sizes(64, 64, chunk, held, product, 4, 2)
    return _Sizes(128, 64, chunk, False, product, 8, 3)


def _formats(dtype: torch.dtype) -> tuple[int, int, int]:
    """Of the factors: the largest width that is held, the chunk of a larger one, the largest chunk of a gradient."""
    if _INTERPRETED:
        return 32, 16, 32
    return (256, 64, 256) if dtype == torch.bfloat16 else (64, 32, 128)


def _format(dtype: torch.dtype, precision: torch.dtype | None) -> torch.dtype:
    """The format of the factors of the products; float32 holds all of float16 and the coefficients besides."""
    dtype = precision or dtype
    return torch.float32 if dtype == torch.float16 else dtype


def _width(dtype: torch.dtype, size: int) -> int:
    """The width that vectors are filled up to: one block, or whole chunks."""
    longest, chunk, _ = _formats(dtype)
    return max(16, 2 ** math.ceil(math.log2(size))) if size <= longest else -(-size // chunk) * chunk


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 8


def _strip(device: torch.device, columns: int) -> int:
    """Row blocks whose column sums are buffered at once; whole waves of programs where there is room for one."""
    most, processors = max(1, _STRIP // (4 * columns)), _processors(device)
    return most if most < processors else most // processors * processors


def _splits(device: torch.device, row_blocks: int, column_blocks: int, most: int) -> int:
    """Among how many programs the columns of a row block are divided, so that few rows fill all multiprocessors.

    The smallest number whose last wave costs at most 5 % more than that of the best one.
    """
    processors = _processors(device)
    choices = range(1, max(1, min(16, column_blocks // 2, most)) + 1)
    time = [-(-row_blocks * k // processors) / k for k in choices]
    return next(k for k, spent in zip(choices, time, strict=True) if spent <= 1.05 * min(time))


@dataclass
class _Excluded:
    """Excluded pairs, each once, sorted by row and column."""

    rows: Tensor
    columns: Tensor

    @staticmethod
    def of(pairs: Tensor | None, columns: int, both: bool) -> _Excluded | None:
        """From listed pairs; in both orientations for a set with itself."""
        if pairs is None or not pairs.size(1):
            return None
        i, j = torch.cat([pairs, pairs.flip(0)], 1) if both else pairs
        key = (i * columns + j).unique()
        return _Excluded(key // columns, key % columns)

    def exchanged(self) -> _Excluded:
        """For the columns as rows."""
        order = self.columns.argsort(stable=True)
        return _Excluded(self.columns[order], self.rows[order])


def _arranged(
    excluded: _Excluded | None, padded_n: int, m: int, tile: int, columns: int, splits: int, upper: bool
) -> tuple[list[Tensor | None], int, bool]:
    """Excluded pairs as the kernels read them, how many slots per row they take and whether they are a list."""
    blocks = padded_n // tile
    if excluded is None:
        return [None] * 5, 0, False
    rows, others = excluded.rows, excluded.columns
    counts = torch.bincount(rows, minlength=padded_n)
    slots = int(counts.max())
    if slots <= _SLOTS:
        slot = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        partners = torch.full((slots, padded_n), -1, dtype=torch.int32, device=rows.device)
        partners[slot, rows] = others.int()
        by_block = partners.view(slots, blocks, tile)
        near = torch.stack([by_block.masked_fill(by_block < 0, 2**31 - 1).amin(2), by_block.amax(2) + 1], 2)
        return [partners, near.contiguous(), None, None, None], slots, False
    # one more entry per block of rows, beyond all columns, ends its list
    all_blocks = torch.arange(blocks, device=rows.device)
    stride = m + _PADDED + 1
    key = torch.cat([rows // tile * stride + others, all_blocks * stride + stride - 1])
    key, order = key.sort()
    pair_rows = torch.cat([rows, all_blocks.new_full((blocks,), -1)])[order]
    first = all_blocks * tile // columns if upper else torch.zeros_like(all_blocks)
    share = (-(-m // columns) - first + splits - 1) // splits
    begin = first[:, None] + torch.arange(splits, device=rows.device) * share[:, None]
    begin = (begin * columns).clamp(max=stride - 1)
    starts = torch.searchsorted(key, all_blocks[:, None] * stride + begin)
    return [None, None, pair_rows.int(), (key % stride).int(), starts.int()], 0, True


@dataclass
class _Side:
    """A set of vectors as the kernels read it."""

    vectors: Tensor
    """``[N, width]``, filled up with zeros to whole blocks."""
    weights: Tensor | None
    """float32 ``[N]``."""
    count: int

    def padded(self, values: Tensor | None, fill: float = 0.0) -> Tensor:
        """Values of the rows, or ones, filled up."""
        if values is None:
            values = torch.ones(self.count, device=self.vectors.device)
        return torch.nn.functional.pad(values, (0, len(self.vectors) - self.count), value=fill).contiguous()


def _padded(x: Tensor) -> Tensor:
    rows, columns = -len(x) % _PADDED, _width(x.dtype, x.size(1)) - x.size(1)
    return torch.nn.functional.pad(x, (0, columns, 0, rows)) if rows or columns else x.contiguous()


def _vectors(a: Tensor, b: Tensor | None, narrow: torch.dtype, parts: bool) -> tuple[Tensor, Tensor]:
    """The factors of the products; with ``parts`` in two leading parts, so that one product holds three."""
    if not parts:
        left = _padded(a.to(narrow))
        return left, left if b is None else _padded(b.to(narrow))
    sides = []
    for x, order in ((a, (0, 0, 1)), (a if b is None else b, (0, 1, 0))):
        high = x.to(narrow)
        part = high, (x - high).to(narrow)
        sides.append(_padded(torch.cat([part[k] for k in order], 1)))
    return sides[0], sides[1]


@dataclass
class _Walk:
    """What both kernels are told."""

    left: _Side
    right: _Side
    size: int
    within: bool
    own: bool
    direct: bool
    excluded: _Excluded | None

    def exchanged(self) -> _Walk:
        """With the roles of the two sets exchanged."""
        excluded = None if self.excluded is None else self.excluded.exchanged()
        return _Walk(self.right, self.left, self.size, self.within, self.own, self.direct, excluded)

    def sizes(self, gradient: bool) -> _Sizes:
        """The cut for its vectors."""
        return _sizes(self.left.vectors.dtype, self.left.vectors.size(1), self.size, gradient)

    def sums(self) -> tuple[Tensor, Tensor | None]:
        """Binary logarithms of the sums by row and, where they come along, by column."""
        left, right, sizes = self.left, self.right, self.sizes(False)
        n, m = left.vectors.size(0), right.vectors.size(0)
        blocks, upper, columns_too = -(-left.count // sizes.rows), self.within and self.direct, self.direct
        splits = _splits(left.vectors.device, blocks, -(-right.count // sizes.columns), 16)
        pairs, slots, listed = _arranged(self.excluded, n, right.count, sizes.rows, sizes.columns, splits, upper)
        weights_left, weights_right = left.padded(left.weights), right.padded(right.weights)
        if not self.direct:
            weights_right = weights_right.log2()
        by_row = torch.zeros(splits, n, device=left.vectors.device)
        by_column = torch.zeros(m, device=left.vectors.device) if columns_too else None
        strip = _strip(left.vectors.device, m) if columns_too else blocks
        lines = torch.empty(min(strip, blocks), m, device=left.vectors.device) if columns_too else None
        for first in range(0, blocks, strip):
            here = min(strip, blocks - first)
            if lines is not None:
                lines.zero_()
            _sums[here, splits](
                left.vectors, right.vectors, weights_left, weights_right, by_row, lines,
                *pairs, n // sizes.rows, first, right.count, n, m, splits,
                width=left.vectors.size(1), chunk=sizes.chunk, held=sizes.held,
                tile_rows=sizes.rows, tile_columns=sizes.columns, digits=_digits(left.vectors.dtype),
                direct=self.direct, upper=upper, columns_too=columns_too, own=self.own, slots=slots, listed=listed,
                num_warps=sizes.warps, num_stages=sizes.stages, enable_fp_fusion=True,
            )  # fmt: skip
            if by_column is not None and lines is not None:
                by_column += lines[:here].sum(0)
        if not self.direct:
            return _log_sum(by_row)[: left.count], None
        rows = by_row.sum(0)
        if self.within and by_column is not None:
            return (rows + by_column).log2()[: left.count], None
        return rows.log2()[: left.count], None if by_column is None else by_column.log2()[: right.count]

    def gradient(self, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Of the rows, and of their weights; for what is known of each sum: (logarithm, upstream gradient)."""
        left, right, sizes = self.left, self.right, self.sizes(True)
        n, device = left.vectors.size(0), left.vectors.device
        base_left, share_left = self._upstream(left, *rows)
        base_right, share_right = self._upstream(right, *columns)
        blocks = -(-left.count // sizes.rows)
        chunks = -(-self.size // sizes.product)
        most = _PARTS // (4 * left.count * self.size)
        splits = _splits(device, blocks * chunks, -(-right.count // sizes.columns), most)
        pairs, slots, listed = _arranged(self.excluded, n, right.count, sizes.rows, sizes.columns, splits, False)
        weighted = left.weights is not None or right.weights is not None
        found = torch.empty(splits, left.count, self.size, device=device)
        of_weights = torch.empty(splits, left.count, device=device) if weighted else None
        _gradient[blocks, chunks, splits](
            left.vectors, right.vectors, base_left, base_right, share_left, share_right,
            left.padded(left.weights), right.padded(right.weights), found, of_weights,
            *pairs, n // sizes.rows, left.count, right.count, splits,
            size=self.size, width=left.vectors.size(1), chunk=sizes.chunk, held=sizes.held, product=sizes.product,
            tile_rows=sizes.rows, tile_columns=sizes.columns, digits=_digits(left.vectors.dtype),
            direct=self.direct, weighted=weighted,
            narrow=tl.bfloat16 if left.vectors.dtype == torch.bfloat16 else tl.float32,
            own=self.own, slots=slots, listed=listed,
            num_warps=sizes.warps, num_stages=sizes.stages, enable_fp_fusion=True,
        )  # fmt: skip
        return _total(found), None if of_weights is None else _total(of_weights)

    def _upstream(self, side: _Side, log: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        share = torch.where(log.isfinite(), gradient * torch.exp2(-log) if self.direct else gradient, 0.0)
        return side.padded(torch.where(share == 0, torch.inf, log), torch.inf), side.padded(share)


def _digits(dtype: torch.dtype) -> str:
    """How float32 factors are multiplied: in three tf32 products, which together have its precision."""
    if _INTERPRETED:
        return "interpreted"
    return "tf32x3" if dtype == torch.float32 else "ieee"


def _total(parts: Tensor) -> Tensor:
    return parts[0] if len(parts) == 1 else parts.sum(0)


def _log_sum(logs: Tensor) -> Tensor:
    """Binary logarithm of sums given by theirs."""
    if len(logs) == 1:
        return logs[0]
    top = logs.amax(0)
    base = torch.where(top.isfinite(), top, 0.0)
    return torch.exp2(logs - base).sum(0).log2() + base


def _moderate(weights: Tensor | None) -> bool:
    """Whether weights, where there are any, keep direct sums in range."""
    if weights is None or not bool((weights > 0).any()):
        return True
    positive = weights[weights > 0]
    return float(positive.min()) >= 2**-16 and float(positive.max()) <= 2**16


class TritonLogSumExp(torch.autograd.Function):
    """Row-wise and column-wise log-sum-exp by fused kernels; the contract of `TiledLogSumExp`."""

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
        """Sums over all columns; nothing of the tiles is kept."""
        narrow = _format(a.dtype, precision)
        if narrow == torch.float64:
            raise RequestError("precision = torch.float64: the kernels do not compute in it; use backend='tiles'")
        within, other = b is None, a if b is None else b
        if within:
            weights_b = weights_a
        lengths = (a, b) if b is not None else (a,)
        norms = [float(x.norm(dim=1, dtype=torch.float32).max()) for x in lengths]
        bound = norms[0] * norms[-1]
        if not math.isfinite(bound):
            raise EmbeddingError("products of rows reach beyond the range of numbers; scale the rows")
        # each factor is off by 2^-9 / sqrt(3) of itself, and the terms of a product by independent amounts
        rounded = bound * 2**-9 * math.sqrt(2 / a.size(1))
        parts = narrow == torch.bfloat16 and a.dtype != torch.bfloat16 and rounded > _BF16_ERROR
        left, right = _vectors(a, b, narrow, parts)
        weight_a, weight_b = (None if w is None else w.float() for w in (weights_a, weights_b))
        direct = bound * _LOG2E + math.log2(max(len(a), len(other))) < _DIRECT
        direct = direct and _moderate(weight_a) and (within or _moderate(weight_b))
        walk = _Walk(
            _Side(left, weight_a, len(a)),
            _Side(right, weight_b, len(other)),
            a.size(1),
            within,
            within and not include_self,
            direct,
            _Excluded.of(excluded, len(other), within),
        )
        with _on(a.device):
            rows, columns = walk.sums()
            if not within and columns is None:
                columns = walk.exchanged().sums()[0]
        # tensors go through the graph's own store, which notices when one is overwritten
        pairs = () if walk.excluded is None else (walk.excluded.rows, walk.excluded.columns)
        ctx.save_for_backward(left, right, weight_a, weight_b, rows, rows if columns is None else columns, *pairs)
        ctx.facts = len(a), len(other), a.size(1), within, walk.own, direct
        return rows / _LOG2E, rows.new_empty(0) if columns is None else columns / _LOG2E

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_rows: Tensor, of_columns: Tensor) -> tuple[Tensor | None, ...]:
        """The scores anew, and the coefficients times the vectors."""
        left, right, weight_a, weight_b, rows, columns, *pairs = ctx.saved_tensors
        n, m, size, within, own, direct = ctx.facts
        excluded = _Excluded(*pairs) if pairs else None
        walk = _Walk(_Side(left, weight_a, n), _Side(right, weight_b, m), size, within, own, direct, excluded)
        known_rows = rows, of_rows.float()
        known_columns = known_rows if within else (columns, of_columns.float())
        of_a, of_b, of_weight_a, of_weight_b = None, None, None, None
        with _on(left.device):
            if ctx.needs_input_grad[0] or ctx.needs_input_grad[2]:
                of_a, of_weight_a = walk.gradient(known_rows, known_columns)
            if not within and (ctx.needs_input_grad[1] or ctx.needs_input_grad[3]):
                of_b, of_weight_b = walk.exchanged().gradient(known_columns, known_rows)
        weights = (
            of_weight if needed else None
            for of_weight, needed in zip((of_weight_a, of_weight_b), ctx.needs_input_grad[2:4], strict=True)
        )
        return of_a, of_b, *weights, None, None, None


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Kernels are started on the current device: that of the tensors, meanwhile."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
