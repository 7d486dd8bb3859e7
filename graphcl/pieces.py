"""Work on long tensors piece by piece: what stays in the cache does not pass through memory at every operation.

Threads of our own, each alone with a run of pieces, meet once at the end. PyTorch's would meet after every operation,
and where another program holds a core each of those meetings waits for a time slice.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["PIECE", "each_worker", "kept_columns", "one_thread", "over_pieces", "places_of", "rows_of_piece"]

PIECE = 1 << 16
"""Elements of a piece: half a megabyte of int64."""

T = TypeVar("T")

_ONE_AT_A_TIME = threading.Lock()
_HERE = threading.local()


def _unlock() -> None:
    # a fork may copy the lock while another thread holds it, and nobody in the child would ever let go
    global _ONE_AT_A_TIME
    _ONE_AT_A_TIME = threading.Lock()


os.register_at_fork(after_in_child=_unlock)


@cache
def _threads(process: int, workers: int) -> ThreadPoolExecutor:
    """Threads that stay, one set per process: those of a parent do not survive a fork."""
    return ThreadPoolExecutor(workers, thread_name_prefix="graphcl")


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on many small tensors: waking torch's threads for each takes longer than the work itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def each_worker(work: Callable[[int], T], workers: int) -> list[T]:
    """``work(0) .. work(workers - 1)``, each in a thread of its own with its share of the cores.

    What runs in such a thread already does it all itself. An error is raised when all are done.
    """
    if workers == 1 or getattr(_HERE, "inside", False):
        return [work(worker) for worker in range(workers)]
    with _ONE_AT_A_TIME:
        return _apart(work, workers)


def _apart(work: Callable[[int], T], workers: int) -> list[T]:
    threads = torch.get_num_threads()
    share = max(1, threads // workers)
    # a mode of the calling thread, without which its tensors could not be written to
    inference = torch.is_inference_mode_enabled()

    def alone(worker: int) -> T:
        _HERE.inside = True
        if torch.get_num_threads() != share:
            torch.set_num_threads(share)
        with torch.inference_mode(inference), torch.no_grad():
            return work(worker)

    try:
        pool = _threads(os.getpid(), workers)
        started = [pool.submit(alone, worker) for worker in range(workers)]
        wait(started)
        return [done.result() for done in started]
    finally:
        # the setting of a thread is also the one that threads started later begin with
        torch.set_num_threads(threads)


def rows_of_piece(x: Tensor) -> int:
    """How many rows of a matrix make a piece; all of them on a device that is not the processor."""
    return max(1, PIECE // max(x.size(1), 1)) if x.device.type == "cpu" else max(x.size(0), 1)


def over_pieces(work: Callable[[int, int], None], count: int, size: int = PIECE) -> None:
    """Call ``work(begin, end)`` for consecutive pieces of ``0 .. count``, on as many threads as PyTorch may use.

    Args:
        work: independent of the other pieces; no gradients are recorded.
        count: number of elements (or rows).
        size: of a piece.
    """
    pieces = -(-count // size)
    if pieces < 2:
        if count:
            with torch.no_grad():
                work(0, count)
        return
    workers = max(1, min(torch.get_num_threads(), 8, pieces // 2))

    def run(worker: int) -> None:
        for piece in range(pieces * worker // workers, pieces * (worker + 1) // workers):
            work(piece * size, min((piece + 1) * size, count))

    with torch.no_grad():
        each_worker(run, workers)


def places_of(mask: Tensor) -> Tensor:
    """Where a mask is true, ascending ``int64``: what ``nonzero`` gives, found faster on a processor.

    Example:
        >>> places_of(torch.tensor([False, True, True])).tolist()
        [1, 2]
    """
    if mask.device.type != "cpu":
        return mask.nonzero().flatten()
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def kept_columns(
    keep: Tensor, matrix: Tensor, vectors: Sequence[Tensor] = (), tables: Sequence[Tensor | None] | None = None
) -> tuple[Tensor, list[Tensor]]:
    """The columns of a matrix of few long rows that a mask keeps, and the elements of vectors as long as its rows.

    Args:
        keep: ``bool [n]``.
        matrix: ``[r, n]``.
        vectors: each ``[n]`` or ``[n, ...]``; no gradients pass.
        tables: for each row of the matrix, of indices, what is looked up with those that are kept.

    Returns:
        ``matrix[:, keep]``, looked up, and each ``vector[keep]``.
    """
    tables = tables or [None] * matrix.size(0)
    if keep.numel() <= PIECE or keep.device.type != "cpu":
        rows = places_of(keep)
        ends = [row.index_select(0, rows) for row in matrix]
        found = [x if table is None else table.index_select(0, x) for x, table in zip(ends, tables, strict=True)]
        return torch.stack(found), [vector.index_select(0, rows) for vector in vectors]
    counts = torch.zeros(-(-keep.numel() // PIECE) + 1, dtype=torch.int64)

    def count(begin: int, end: int) -> None:
        counts[begin // PIECE + 1] = int(keep[begin:end].count_nonzero())

    over_pieces(count, keep.numel())
    places = counts.cumsum(0).tolist()
    columns = matrix.new_empty(matrix.size(0), places[-1])
    outs = [vector.new_empty(places[-1], *vector.shape[1:]) for vector in vectors]

    def fill(begin: int, end: int) -> None:
        place = slice(places[begin // PIECE], places[begin // PIECE + 1])
        rows = places_of(keep[begin:end])
        for row, table, out in zip(matrix, tables, columns, strict=True):
            if table is None:
                torch.index_select(row[begin:end], 0, rows, out=out[place])
            else:
                torch.index_select(table, 0, row[begin:end].index_select(0, rows), out=out[place])
        for vector, out in zip(vectors, outs, strict=True):
            torch.index_select(vector[begin:end], 0, rows, out=out[place])

    over_pieces(fill, keep.numel())
    return columns, outs
