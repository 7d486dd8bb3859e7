"""Run the cells of a suite that have no record yet."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from queue import Empty, Queue

import torch

from graphcl.bench.measure import Watch
from graphcl.bench.run import Record, Run, Trained, execute
from graphcl.bench.store import Store
from graphcl.errors import RequestError, RunFailedError

__all__ = ["pending", "run_all"]


def pending(runs: Sequence[Run], store: Store) -> list[Run]:
    """The runs without a finished record, each once, in order.

    Where the content of a data set depends on the machine (``python-stdlib``), only records of the content found here
    count as finished.
    """
    seen = store.finished() - _of_other_content(runs, store)
    fresh = []
    for run in runs:
        if run.id not in seen:
            seen.add(run.id)
            fresh.append(run)
    return fresh


def _of_other_content(runs: Sequence[Run], store: Store) -> set[str]:
    varying = {run.dataset: run for run in runs if run.spec.counts is None}
    if not varying or not store.folder.is_dir():
        return set()
    here: dict[str, set[str]] = {}
    for record in store.read():
        if record["status"] == "ok" and record["run"]["dataset"] in varying:
            here.setdefault(record["run_id"], set()).add(record["dataset"]["fingerprint"])
    found = {name: run.content() for name, run in varying.items()} if here else {}
    datasets = {run.id: run.dataset for run in runs}
    return {run_id for run_id, seen in here.items() if run_id in datasets and found[datasets[run_id]] not in seen}


def run_all(
    runs: Sequence[Run],
    store: Store,
    jobs: int = 1,
    watch: Watch | None = None,
    began: Callable[[Run], None] | None = None,
) -> Iterator[Record]:
    """Compute what is missing, record it, and yield each record once it is safe on disk.

    Runs that differ in split and probe alone follow each other, and are trained once.

    Args:
        runs: all cells wanted; those already finished are not run again.
        store: where records are and go.
        jobs: processes; with several, each takes its share of the threads.
        watch: called after each training step (one process only).
        began: called before each run (one process only).

    Raises:
        RequestError: the folder cannot be written, or another process holds it.
        RunFailedError: a worker process was killed (out of memory, most likely).
    """
    if jobs < 1:
        raise RequestError(f"jobs = {jobs}: input should be 1 or more")
    with store.writing():
        todo = _by_training(pending(runs, store))
        for record in _serial(todo, watch, began) if jobs == 1 else _parallel(todo, jobs):
            store.append(record)
            yield record


def _by_training(runs: Sequence[Run]) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.training, []).append(run)
    return list(groups.values())


def _serial(
    groups: Sequence[Sequence[Run]], watch: Watch | None, began: Callable[[Run], None] | None
) -> Iterator[Record]:
    for group in groups:
        kept: list[Trained] = []
        for run in group:
            if began is not None:
                began(run)
            yield execute(run, watch, kept)


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    # PyTorch announces on first use that sparse CSR is in beta; the command line hides it in this process alone
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


def _group(runs: Sequence[Run], done: "Queue[Record]") -> None:
    """Each record is handed over at once: the group may be killed before it ends."""
    kept: list[Trained] = []
    for run in runs:
        done.put(execute(run, None, kept))


def _parallel(groups: Sequence[Sequence[Run]], jobs: int) -> Iterator[Record]:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # spawn: a forked torch inherits locks and thread pools that no longer work
    context = get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(jobs, context, _begin, (threads,)) as pool,
    ):
        done: Queue[Record] = manager.Queue()
        futures = [pool.submit(_group, group, done) for group in groups]
        left = sum(map(len, groups))
        try:
            while left:
                lost = _first_error(futures)
                try:
                    # what was handed over before a worker died is still there
                    record = done.get(timeout=0 if lost else 1)
                except Empty:
                    if lost:
                        raise lost from None
                    continue
                left -= 1
                yield record
        except BrokenProcessPool:
            raise RunFailedError(
                "a worker process was killed, most likely for lack of memory; use fewer --jobs and start the same "
                "command again, it resumes"
            ) from None
        finally:
            for future in futures:
                future.cancel()


def _first_error(futures: Sequence["Future[None]"]) -> BaseException | None:
    ended = (future for future in futures if future.done() and not future.cancelled())
    return next((error for future in ended if (error := future.exception()) is not None), None)
