"""Work in pieces gives what work in one gives, on any number of threads, in a fork too."""

import multiprocessing
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.pieces import PIECE, kept_columns, over_pieces, places_of, rows_of_piece

SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7]


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", SIZES)
def test_every_element_is_worked_on_once(count, threads):
    seen = torch.zeros(count, dtype=torch.long)

    def work(begin, end):
        seen[begin:end] += 1

    over_pieces(work, count)
    assert bool((seen == 1).all())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.7, 1.0])
def test_kept_columns_are_those_of_the_mask(count, share, threads):
    generator = torch.Generator().manual_seed(count)
    keep = torch.rand(count, generator=generator) < share
    matrix = torch.randint(50, (2, count), generator=generator)
    weight, attr = torch.rand(count, generator=generator), torch.rand(count, 2, 3, generator=generator)
    table = torch.randperm(50, generator=generator)
    columns, vectors = kept_columns(keep, matrix, [weight, attr], [table, None])
    assert torch.equal(columns, torch.stack([table[matrix[0, keep]], matrix[1, keep]]))
    assert torch.equal(vectors[0], weight[keep])
    assert torch.equal(vectors[1], attr[keep])
    assert columns.is_contiguous()


@given(st.lists(st.booleans(), max_size=40))
@settings(deadline=None)
def test_places_are_those_of_nonzero(flags):
    mask = torch.tensor(flags, dtype=torch.bool)
    assert torch.equal(places_of(mask), mask.nonzero().flatten())
    assert torch.equal(places_of(mask[::2]), mask[::2].nonzero().flatten())


def test_an_error_in_a_piece_comes_out(threads):
    def work(begin, end):
        if begin:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_pieces(work, 4 * PIECE)
    assert torch.get_num_threads() == threads


def _in_a_fork(queue):
    total = []
    over_pieces(lambda begin, end: total.append(end - begin), 5 * PIECE)
    queue.put(sum(total))


def test_a_fork_has_threads_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    over_pieces(lambda begin, end: None, 5 * PIECE)  # the parent has its threads now
    torch.set_num_threads(before)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_fork, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == 5 * PIECE
    child.join(timeout=60)


def test_work_inside_of_work_is_done_in_place():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = torch.zeros(4 * PIECE, dtype=torch.long)

    def outer(begin, end):
        def inner(first, last):
            seen[begin + first : begin + last] += 1

        over_pieces(inner, end - begin, 1000)

    over_pieces(outer, seen.numel())
    torch.set_num_threads(before)
    assert bool((seen == 1).all())


def test_tensors_of_inference_mode_can_be_written_to(threads):
    with torch.inference_mode():
        mask = torch.rand(4 * PIECE) < 0.5
        columns, _ = kept_columns(mask, torch.arange(4 * PIECE).repeat(2, 1))
        assert columns.is_inference()
    assert torch.equal(columns[0], mask.nonzero().flatten())


def _alone(queue):
    over_pieces(lambda begin, end: None, 5 * PIECE)
    queue.put("done")


def test_a_fork_made_while_another_thread_works_does_not_wait_for_it():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, go = threading.Event(), threading.Event()

    def slow(begin, end):
        inside.set()
        go.wait(60)

    worker = threading.Thread(target=over_pieces, args=(slow, 5 * PIECE))
    worker.start()
    assert inside.wait(60)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_alone, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == "done"
    finally:
        go.set()
        worker.join(timeout=60)
        child.join(timeout=60)
        torch.set_num_threads(before)


def test_rows_of_a_piece():
    assert rows_of_piece(torch.empty(9, 64)) == PIECE // 64
    assert rows_of_piece(torch.empty(9, 2 * PIECE)) == 1
    assert rows_of_piece(torch.empty(9, 0)) == PIECE
