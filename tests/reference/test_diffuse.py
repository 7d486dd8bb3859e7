"""Diffusions against dense inverses, exponentials and double loops."""

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphcl
from graphcl.ops import diffuse as engines
from graphcl.ops.diffuse import (
    diffusion_edges,
    diffusion_reference,
    expand,
    push,
    sweep_cut,
    sweep_cut_reference,
)
from graphcl.ops.kernels import PRECISION, Heat, Markov, Teleport
from graphcl.ops.walk import walk_operator, walk_operator_reference

KERNELS = [
    Teleport(0.2),
    Teleport(0.01),
    Teleport(1.0),
    Heat(5.0),
    Heat(0.3),
    Heat(60.0),
    Markov(16, 0.05),
    Markov(1, 0.0),
]
# what an expansion may miss, and a few roundings in float32
EXACT = PRECISION + 3e-6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_graph(n, pairs, seed=0, *, directed=False, weighted=False, loops=0):
    """A random graph; the last node has no edge."""
    g = generator(seed)
    edges = torch.randint(n - 1, (2, pairs), generator=g)
    edges = torch.unique(edges[:, edges[0] < edges[1]], dim=1)
    weight = torch.rand(edges.size(1), generator=g) + 0.1 if weighted else None
    if not directed:
        edges = torch.cat([edges, edges.flip(0)], 1)
        weight = None if weight is None else weight.repeat(2)
    own = torch.arange(loops).repeat(2, 1)
    edges = torch.cat([edges, own], 1)
    weight = None if weight is None else torch.cat([weight, 2 + torch.rand(loops, generator=g)])
    return edges, n, weight


def dense(edges, weight, n):
    """S as a matrix: row is the target, column the source."""
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[edges[1], edges[0]] = weight.double()
    return matrix


GRAPHS = {
    "undirected": random_graph(40, 90),
    "weighted": random_graph(40, 90, weighted=True, loops=5),
    "directed": random_graph(40, 150, directed=True, loops=3),
    "directed and weighted": random_graph(40, 150, directed=True, weighted=True),
    "no edges": random_graph(4, 0),
    "one node": (torch.empty(2, 0, dtype=torch.long), 1, None),
    "parallel edges": (torch.tensor([[0, 0, 1, 1, 1, 2, 1], [1, 1, 0, 0, 2, 1, 1]]), 4, None),
    "zero weights": (torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3, torch.tensor([1.0, 1.0, 0.0, 0.0])),
}


# --- the walk ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("self_loops", [True, False])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_walk_equals_its_dense_reference(name, self_loops):
    edges, n, weight = GRAPHS[name]
    walk = walk_operator(edges, n, weight, self_loops=self_loops)
    expected = walk_operator_reference(edges, n, weight, self_loops=self_loops)
    found = torch.zeros(n, n, dtype=torch.float64)
    found[walk.pattern.rows, walk.pattern.columns] = walk.values.double()
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)
    assert walk.symmetric == (not name.startswith("directed"))
    if walk.symmetric:
        # the vector that all diffusions leave as it is
        torch.testing.assert_close(expected @ walk.degree.sqrt(), walk.degree.sqrt())
    else:
        torch.testing.assert_close(expected.sum(1), torch.ones(n, dtype=torch.float64))


def test_edges_with_two_weights_make_a_directed_walk():
    edges = torch.tensor([[0, 1], [1, 0]])
    assert walk_operator(edges, 2, torch.tensor([1.0, 1.0])).symmetric
    assert not walk_operator(edges, 2, torch.tensor([1.0, 1.1])).symmetric


def test_the_union_forgets_directions():
    edges, n, weight = GRAPHS["directed and weighted"]
    both = walk_operator(torch.cat([edges, edges.flip(0)], 1), n, weight.repeat(2), self_loops=False)
    union = walk_operator(edges, n, weight, self_loops=False, union=True)
    assert union.symmetric
    torch.testing.assert_close(union.values, both.values)


# --- coefficients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("symmetric", [True, False])
def test_coefficients_are_a_distribution_and_give_the_function(kernel, symmetric):
    found = kernel.coefficients(symmetric)
    assert min(found) > -1e-15
    assert 1 - PRECISION - 1e-9 < sum(found) < 1 + 1e-9
    points = np.linspace(-1, 1, 101)
    closed = {
        Teleport: lambda x: kernel.teleport / (1 - (1 - kernel.teleport) * x),
        Heat: lambda x: np.exp(kernel.time * (x - 1)),
        Markov: lambda x: (
            kernel.teleport + (1 - kernel.teleport) * sum(x**k for k in range(1, kernel.order + 1)) / kernel.order
        ),
    }[type(kernel)]
    basis = np.polynomial.chebyshev.chebval if symmetric else np.polynomial.polynomial.polyval
    assert np.abs(basis(points, found) - closed(points)).max() <= PRECISION + 1e-9


def test_the_chebyshev_basis_takes_fewer_terms():
    for kernel in (Teleport(0.05), Heat(20.0)):
        assert len(kernel.coefficients(True)) < 0.7 * len(kernel.coefficients(False))


# --- expansion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("piece", [2**19, 200])
def test_an_expansion_equals_the_dense_solution(name, kernel, piece, monkeypatch):
    monkeypatch.setattr(engines, "_PIECE", piece)
    edges, n, weight = GRAPHS[name]
    walk = walk_operator(edges, n, weight)
    expected = diffusion_reference(edges, n, kernel, weight)
    block = torch.eye(n)
    before = block.clone()
    assert (expand(walk, kernel, block).double() - expected).abs().max() < EXACT
    assert (expand(walk, kernel, block, turned=True).double() - expected.t()).abs().max() < EXACT
    assert torch.equal(block, before)


# --- push --------------------------------------------------------------------------------------------------------------


def pushed(walk, sources, teleport, tolerance):
    rows, nodes, values = push(walk, np.arange(len(sources)), np.array(sources), teleport, tolerance)
    found = torch.zeros(len(sources), walk.pattern.width, dtype=torch.float64)
    found[torch.from_numpy(rows), torch.from_numpy(nodes)] = torch.from_numpy(values)
    assert len(set(zip(rows.tolist(), nodes.tolist(), strict=True))) == rows.size
    return found


@pytest.mark.parametrize("self_loops", [True, False])
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(("teleport", "tolerance"), [(0.2, 1e-2), (0.2, 1e-4), (0.05, 1e-3), (1.0, 1e-3)])
def test_a_push_keeps_its_bound(name, teleport, tolerance, self_loops):
    edges, n, weight = GRAPHS[name]
    walk = walk_operator(edges, n, weight, self_loops=self_loops)
    exact = diffusion_reference(edges, n, Teleport(teleport), weight, self_loops=self_loops)
    missing = exact - pushed(walk, list(range(n)), teleport, tolerance)
    bound = walk.degree.sqrt() if walk.symmetric else exact.sum(0)
    assert missing.min() > -1e-6
    assert (missing <= tolerance * bound * (1 + 1e-5) + 1e-6).all()


def test_a_push_leaves_about_what_it_may():
    # a bound that were met by far would be paid for in time
    edges, n, _ = random_graph(300, 900, seed=3)
    walk = walk_operator(edges, n)
    exact = diffusion_reference(edges, n, Teleport(0.2))
    missing = (exact - pushed(walk, list(range(n)), 0.2, 1e-3)) / walk.degree.sqrt()
    assert 2e-4 < missing.max() <= 1e-3 + 1e-6


def test_starts_in_one_row_add_up():
    edges, n, _ = GRAPHS["undirected"]
    walk = walk_operator(edges, n)
    rows, nodes, values = push(walk, np.zeros(2, dtype=np.int64), np.array([3, 7]), 0.2, 1e-7)
    assert not rows.any()
    exact = diffusion_reference(edges, n, Teleport(0.2))[[3, 7]].sum(0)
    found = torch.zeros(n, dtype=torch.float64)
    found[torch.from_numpy(nodes)] = torch.from_numpy(values)
    assert (found - exact).abs().max() < 1e-5


def test_a_push_that_costs_too_much_is_given_up():
    edges, n, _ = GRAPHS["undirected"]
    walk = walk_operator(edges, n)
    assert push(walk, np.arange(n), np.arange(n), 0.2, 1e-4, most=100) is None


def test_the_cost_of_a_push_does_not_grow_with_the_graph():
    done = []
    for n in (400, 40_000):
        around = torch.arange(n)
        ring = torch.stack([around, (around + 1) % n])
        walk = walk_operator(torch.cat([ring, ring.flip(0)], 1), n)
        done.append(len(push(walk, np.zeros(1, dtype=np.int64), np.array([50]), 0.2, 1e-5)[1]))
    assert done[0] == done[1] < 200


# --- which entries are kept --------------------------------------------------------------------------------------------


def engine(name, monkeypatch):
    """Each way to find rows, for graphs that are small enough to check."""
    monkeypatch.setattr(engines, "_DIFFUSED", type(engines._DIFFUSED)(2))
    if name != "packed":
        monkeypatch.setattr(engines, "SMALL", 1)
        monkeypatch.setattr(engines, "_WIDEST", 7)
    if name == "push":
        monkeypatch.setattr(engines, "LOCAL", 1)
        monkeypatch.setattr(engines, "_SOURCES", 6)
        monkeypatch.setattr(engines, "_DEARER", 0.01)
    if name == "push, then expansion":
        monkeypatch.setattr(engines, "LOCAL", 1)
        monkeypatch.setattr(engines, "_SOURCES", 6)
        monkeypatch.setattr(engines, "_PRODUCTS", 1200)
        monkeypatch.setattr(engines, "_DEARER", 0.01)


ENGINES = ["packed", "expansion", "push", "push, then expansion"]


@pytest.mark.parametrize("way", ENGINES)
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(("k", "threshold"), [(5, 0.0), (1, 0.0), (None, 0.01), (6, 0.02), (100, 1e-4)])
def test_the_large_entries_are_kept_in_both_directions(name, way, k, threshold, monkeypatch):
    engine(way, monkeypatch)
    edges, n, weight = GRAPHS[name]
    kernel = Teleport(0.2)
    exact = diffusion_reference(edges, n, kernel, weight)
    found, values = diffusion_edges(edges, n, kernel, weight, k=k, threshold=threshold, tolerance=1e-6)
    assert values.dtype == torch.float32
    codes = found[0] * n + found[1]
    assert (codes[1:] > codes[:-1]).all()  # sorted, and each once
    here, slack = dense(found, values, n), 2e-5
    kept = here > 0
    assert kept.sum() == values.numel()
    assert (here - exact)[kept].abs().max() < slack
    # by its row: surely kept if clearly large enough, surely not if clearly too small
    order = exact.sort(1, descending=True).values
    least = order[:, min(k, n) - 1 if k else n - 1].clamp(min=threshold)[:, None]
    beyond = order[:, min(k or n, n - 1)][:, None] if k and k < n else torch.zeros(n, 1)
    surely = (exact > torch.maximum(least, beyond) + slack) & (exact > slack)
    maybe = exact >= least - slack
    if walk_operator(edges, n, weight).symmetric:
        surely, maybe = surely | surely.t(), maybe | maybe.t()
        assert torch.equal(here, here.t())  # bit for bit
    assert (kept | ~surely).all()
    assert (maybe | ~kept).all()


def test_of_two_pushed_entries_the_better_is_kept(monkeypatch):
    engine("push", monkeypatch)
    edges, n, _ = random_graph(40, 60, seed=2)
    walk = walk_operator(edges, n)
    both = pushed(walk, list(range(n)), 0.2, 1e-2)
    found, values = diffusion_edges(edges, n, Teleport(0.2), k=n, tolerance=1e-2)
    larger = torch.maximum(both, both.t())
    assert (both - both.t()).abs().max() > 1e-3
    torch.testing.assert_close(dense(found, values, n), larger, atol=1e-6, rtol=0)


def test_push_and_expansion_really_are_used(monkeypatch):
    edges, n, _ = GRAPHS["undirected"]
    for way, pushes, expansions in (
        ("packed", 0, 1),
        ("expansion", 0, 6),
        ("push", 7, 0),
        ("push, then expansion", 3, 4),
    ):
        with monkeypatch.context() as patch:
            engine(way, patch)
            done = {"push": 0, "expansion": 0}

            def counted(*args, true=engines.push, done=done):
                entries = true(*args)
                done["push"] += entries is not None
                return entries

            def once(self, *args, true=engines._Expansion.__call__, done=done):
                done["expansion"] += 1
                return true(self, *args)

            patch.setattr(engines, "push", counted)
            patch.setattr(engines._Expansion, "__call__", once)
            diffusion_edges(edges, n, Teleport(0.2), tolerance=1e-3)
            if way == "push, then expansion":
                assert 0 < done["push"] < 7
                assert done["expansion"] == math.ceil((n - 6 * done["push"]) / 7)
            else:
                assert (done["push"], done["expansion"]) == (pushes, expansions), way


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("name", ["undirected", "directed and weighted"])
def test_every_kernel_is_right_at_the_entries_it_keeps(name, kernel):
    edges, n, weight = GRAPHS[name]
    for self_loops in (True, False):
        exact = diffusion_reference(edges, n, kernel, weight, self_loops=self_loops)
        found, values = diffusion_edges(edges, n, kernel, weight, k=8, self_loops=self_loops)
        assert (values.double() - exact[found[1], found[0]]).abs().max() < EXACT


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=25),
    st.booleans(),
    st.booleans(),
    st.integers(1, 9),
)
@settings(deadline=None, max_examples=60)
def test_any_small_graph(triples, both, self_loops, k):
    edges = torch.tensor([triple[:2] for triple in triples], dtype=torch.long).reshape(-1, 2).t().contiguous()
    weight = torch.tensor([triple[2] for triple in triples])
    if both:
        edges, weight = torch.cat([edges, edges.flip(0)], 1), weight.repeat(2)
    exact = diffusion_reference(edges, 9, Teleport(0.3), weight, self_loops=self_loops)
    found, values = diffusion_edges(edges, 9, Teleport(0.3), weight, k=k, self_loops=self_loops)
    here = dense(found, values, 9)
    assert (values.double() - exact[found[1], found[0]]).abs().max() < EXACT
    # a row keeps its k largest; where there are fewer above 0, all of them
    largest = exact.topk(k, 1).values
    kept = here.topk(k, 1).values
    assert (kept[largest > 1e-4] - largest[largest > 1e-4]).abs().max() < EXACT
    if both:
        assert torch.equal(here, here.t())


# --- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[5, 1, 9], [300, 4, 7, 280, 1], [0, 6, 0, 0, 8, 0], [260]])
def test_graphs_of_a_batch_are_diffused_each_by_itself(sizes):
    edges, weights, begin, alone = [], [], 0, []
    for number, n in enumerate(sizes):
        index, _, weight = random_graph(max(n, 2), 4 * n, seed=number, weighted=True)
        found, values = diffusion_edges(index, n, Teleport(0.2), weight, k=6)
        alone.append((found + begin, values))
        edges.append(index + begin)
        weights.append(weight)
        begin += n
    offsets = torch.tensor([0, *np.cumsum(sizes).tolist()])
    found, values = diffusion_edges(torch.cat(edges, 1), begin, Teleport(0.2), torch.cat(weights), k=6, offsets=offsets)
    assert torch.equal(found, torch.cat([index for index, _ in alone], 1))
    torch.testing.assert_close(values, torch.cat([value for _, value in alone]))


def test_blocks_stay_within_the_budget(monkeypatch):
    monkeypatch.setattr(engines, "BUDGET", 16 * 50 * 10)
    widths = []

    def watched(self, walk, kernel, width, *rest, true=engines._Expansion.__init__, **named):
        widths.append(width * walk.pattern.width)
        true(self, walk, kernel, width, *rest, **named)

    monkeypatch.setattr(engines._Expansion, "__init__", watched)
    monkeypatch.setattr(engines, "SMALL", 20)
    sizes = [10] * 12 + [50] * 2
    edges = [random_graph(n, 3 * n, seed=seed)[0] + sum(sizes[:seed]) for seed, n in enumerate(sizes)]
    offsets = torch.tensor([0, *np.cumsum(sizes).tolist()])
    found, values = diffusion_edges(torch.cat(edges, 1), sum(sizes), Teleport(0.2), k=4, offsets=offsets)
    assert max(widths) <= 500
    assert len(widths) == 3 + 2
    exact = diffusion_reference(torch.cat(edges, 1), sum(sizes), Teleport(0.2))
    assert (values.double() - exact[found[1], found[0]]).abs().max() < EXACT


# --- memory of other graphs --------------------------------------------------------------------------------------------


def test_what_is_remembered_is_the_answer_to_the_same_question():
    edges, n, weight = random_graph(30, 80, seed=5, weighted=True)
    base = {"k": 4, "threshold": 0.0, "tolerance": 1e-4, "self_loops": True}
    first = diffusion_edges(edges, n, Teleport(0.2), weight, **base)
    questions = [
        (edges, n, Teleport(0.3), weight, base),
        (edges, n, Heat(0.2), weight, base),
        (edges, n, Teleport(0.2), weight * torch.linspace(1, 2, weight.numel()), base),
        (edges, n, Teleport(0.2), None, base),
        (edges, n + 1, Teleport(0.2), weight, base),
        (edges.flip(1), n, Teleport(0.2), weight, base),
        (edges, n, Teleport(0.2), weight, base | {"k": 5}),
        (edges, n, Teleport(0.2), weight, base | {"threshold": 0.1}),
        (edges, n, Teleport(0.2), weight, base | {"self_loops": False}),
    ]
    for index, count, kernel, values, options in questions:
        other = diffusion_edges(index, count, kernel, values, **options)
        fresh = diffusion_edges(index.clone(), count, kernel, values, **options)
        assert torch.equal(other[0], fresh[0])
        assert torch.equal(other[1], fresh[1])
        assert other[1].shape != first[1].shape or not torch.equal(other[1], first[1])
        exact = diffusion_reference(index, count, kernel, values, self_loops=options["self_loops"])
        assert (other[1].double() - exact[other[0][1], other[0][0]]).abs().max() < EXACT


def test_a_graph_seen_before_costs_no_expansion_and_cannot_be_spoilt(monkeypatch):
    edges, n, _ = random_graph(30, 80, seed=6)
    first = diffusion_edges(edges, n, Teleport(0.2), k=4)
    expected = first[0].clone(), first[1].clone()
    for part in first:
        part.zero_()
    monkeypatch.setattr(engines, "_Expansion", None)
    again = diffusion_edges(edges.clone(), n, Teleport(0.2), k=4)
    assert torch.equal(again[0], expected[0])
    assert torch.equal(again[1], expected[1])
    monkeypatch.undo()
    edges[:, 0] = torch.tensor([0, 29])  # in place: another graph at the same address
    changed = diffusion_edges(edges, n, Teleport(0.2), k=4)
    exact = diffusion_reference(edges, n, Teleport(0.2))
    assert (changed[1].double() - exact[changed[0][1], changed[0][0]]).abs().max() < EXACT


def test_inference_mode_leaves_nothing_behind_that_training_cannot_use():
    edges, n, weight = random_graph(30, 80, seed=7, weighted=True)
    with torch.inference_mode():
        diffusion_edges(edges, n, Teleport(0.2), weight, k=4)
    _, values = diffusion_edges(edges, n, Teleport(0.2), weight, k=4)
    (values * torch.ones(1, requires_grad=True)).sum().backward()


# --- sweeps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_a_sweep_equals_the_double_loop(seed):
    edges, n, weight = random_graph(14, 12 + seed, seed=seed, weighted=seed % 2 == 0, loops=seed % 3)
    walk = walk_operator(edges, n, weight, self_loops=False)
    matrix = np.zeros((n, n))
    matrix[walk.pattern.rows.numpy(), walk.pattern.columns.numpy()] = walk.weights.double().numpy()
    order = torch.randperm(n, generator=generator(seed))[: 3 + seed % 12].numpy()
    expected = sweep_cut_reference(matrix.tolist(), order.tolist())
    assert order[sweep_cut(walk, order, np.array([0, n]))].tolist() == expected


def test_sweeps_of_a_batch_are_sweeps_of_its_graphs():
    sizes, parts, orders, expected = [8, 1, 12, 10], [], [], []
    for number, n in enumerate(sizes):
        index = random_graph(n, 3 * n, seed=number)[0] if n > 1 else torch.empty(2, 0, dtype=torch.long)
        order = torch.randperm(n, generator=generator(number)).numpy()
        walk = walk_operator(index, n, self_loops=False)
        expected += sweep_cut(walk, order, np.array([0, n])).tolist()
        orders.append(order + sum(sizes[:number]))
        parts.append(index + sum(sizes[:number]))
    walk = walk_operator(torch.cat(parts, 1), sum(sizes), self_loops=False)
    found = sweep_cut(walk, np.concatenate(orders), np.array([0, *np.cumsum(sizes)]))
    assert found.tolist() == expected


# --- real graphs -------------------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("GRAPHCL_MIRROR"), reason="GRAPHCL_MIRROR is not set: no raw files")
@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(Teleport(0.2), marks=pytest.mark.slow),
        Heat(5.0),
        pytest.param(Markov(16, 0.05), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_cora_equals_the_dense_matrix_at_the_kept_entries(kernel):
    data, _ = graphcl.load("cora")
    n = data.num_nodes
    found, values = diffusion_edges(data.edge_index, n, kernel)
    # the dense operator by hand: the loops of the reference take their time here
    matrix = torch.zeros(n, n, dtype=torch.float64).index_put(
        (data.edge_index[1], data.edge_index[0]), torch.ones(1).double()
    )
    matrix += torch.eye(n, dtype=torch.float64)
    scale = matrix.sum(1).rsqrt()
    exact = kernel.reference(scale[:, None] * matrix * scale)
    assert (values.double() - exact[found[1], found[0]]).abs().max() < 1e-5
    per_node = torch.bincount(found[1], minlength=n)
    reach = (exact > 1e-5).sum(1).clamp(max=32)
    assert (per_node >= reach).all()
