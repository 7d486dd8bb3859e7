"""Centralities, neighbour lists and pair codes against networkx, dense linear algebra and plain loops."""

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.errors import RequestError
from graphcl.ops.adjacency import edges_by_node, listed, ranked
from graphcl.ops.centrality import degree, eigenvector_centrality, pagerank
from graphcl.ops.pairs import contains, first_free, pair_codes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_graph(n, count, seed, *, directed, weighted):
    """Parallel edges and loops are left out: networkx merges the former."""
    pairs = torch.randint(n, (2, count), generator=generator(seed))
    pairs = torch.unique(pairs[:, pairs[0] != pairs[1]], dim=1)
    weight = torch.rand(pairs.size(1), generator=generator(seed + 1), dtype=torch.float64) + 0.1
    if not directed:
        keep = pairs[0] < pairs[1]
        pairs, weight = pairs[:, keep], weight[keep]
        pairs, weight = torch.cat([pairs, pairs.flip(0)], 1), weight.repeat(2)
    order = torch.randperm(pairs.size(1), generator=generator(seed + 2))
    return pairs[:, order], weight[order] if weighted else None


def digraph(index, n, weight):
    out = nx.DiGraph()
    out.add_nodes_from(range(n))
    values = [1.0] * index.size(1) if weight is None else weight.tolist()
    out.add_weighted_edges_from((u, v, w) for (u, v), w in zip(index.t().tolist(), values, strict=True))
    return out


def dense(index, n, weight=None):
    """Row v gathers from the sources of the edges that point at v."""
    out = np.zeros((n, n))
    values = np.ones(index.size(1)) if weight is None else weight.double().numpy()
    np.add.at(out, (index[1].numpy(), index[0].numpy()), values)
    return out


def joined(parts):
    """Several graphs as one batch: edges, weights, N, the graph of each node."""
    edges, weights, graph, n = [], [], [], 0
    for number, (index, size, weight) in enumerate(parts):
        edges.append(index + n)
        weights.append(torch.ones(index.size(1), dtype=torch.float64) if weight is None else weight)
        graph += [number] * size
        n += size
    return torch.cat(edges, 1), torch.cat(weights), n, torch.tensor(graph)


EMPTY = torch.empty(2, 0, dtype=torch.long)


# --- degree ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 10**6), st.booleans())
@settings(max_examples=50)
def test_degrees_sum_what_points_at_a_node(n, count, seed, weighted):
    index = torch.randint(n, (2, count), generator=generator(seed))
    weight = torch.rand(count, generator=generator(seed), dtype=torch.float64) if weighted else None
    out = degree(index, n, weight)
    assert np.allclose(out.numpy(), dense(index, n, weight).sum(1))
    assert out.dtype == (torch.float64 if weighted else torch.float32)


def test_degrees_of_narrow_weights_are_summed_wide():
    # 5000 edges of weight 1 in half precision: 2048 + 1 is 2048 there
    index = torch.stack([torch.arange(5000), torch.zeros(5000, dtype=torch.long)])
    for dtype in (torch.float16, torch.bfloat16):
        out = degree(index, 5000, torch.ones(5000, dtype=dtype))
        assert out.dtype == torch.float32
        assert out[0] == 5000
    weight = torch.ones(5000, requires_grad=True)
    assert not degree(index, 5000, weight).requires_grad


# --- eigenvector -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_eigenvector_is_networkx_s(seed, directed, weighted):
    n = 20
    index, weight = random_graph(n, 120, seed, directed=directed, weighted=weighted)
    expected = nx.eigenvector_centrality_numpy(digraph(index, n, weight), weight="weight" if weighted else None)
    out = eigenvector_centrality(index, n, weight)
    assert out.dtype == torch.float64
    assert np.allclose(out.numpy(), np.abs([expected[node] for node in range(n)]), atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_loops_and_parallel_edges_count(weighted):
    index = torch.tensor([[0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 0, 2, 2, 1, 1, 2]])
    weight = torch.tensor([2.0, 1.0, 1.0, 0.5, 0.7, 0.5, 0.7, 0.1], dtype=torch.float64) if weighted else None
    vector = np.linalg.eigh(dense(index, 3, weight))[1][:, -1]
    assert np.allclose(eigenvector_centrality(index, 3, weight).numpy(), np.abs(vector), atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 7, 20])
def test_bipartite_graphs_converge(n):
    star = torch.stack([torch.zeros(n, dtype=torch.long), torch.arange(1, n + 1)])
    star = torch.cat([star, star.flip(0)], 1)
    out = eigenvector_centrality(star, n + 1)
    assert out[0] == pytest.approx(math.sqrt(0.5), abs=1e-6)
    assert torch.allclose(out[1:], torch.full((n,), math.sqrt(0.5 / n), dtype=torch.float64), atol=1e-6)


def path(n):
    line = torch.stack([torch.arange(n - 1), torch.arange(n - 1) + 1])
    return torch.cat([line, line.flip(0)], 1)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_paths_have_sines(n):
    expected = torch.sin(math.pi * torch.arange(1, n + 1, dtype=torch.float64) / (n + 1))
    assert torch.allclose(eigenvector_centrality(path(n), n), expected / expected.norm(), atol=1e-5)


def test_only_the_strongest_piece_keeps_a_part():
    # a clique of four (eigenvalue 3), a triangle (2), an isolated node
    clique = torch.combinations(torch.arange(4)).t()
    triangle = torch.combinations(torch.arange(4, 7)).t()
    index = torch.cat([clique, clique.flip(0), triangle, triangle.flip(0)], 1)
    out = eigenvector_centrality(index, 8)
    assert torch.allclose(out[:4], torch.full((4,), 0.5, dtype=torch.float64), atol=1e-6)
    assert bool((out[4:] < 1e-6).all())
    assert bool((out >= 0).all())


def test_directed_graphs_without_cycles_pass():
    index = torch.tensor([[0, 1, 2], [1, 2, 3]])
    out = eigenvector_centrality(index, 4)
    assert bool(out.isfinite().all())
    assert out.norm() == pytest.approx(1.0)
    assert bool((out[1:] > out[:-1]).all())


def test_graphs_without_edges_or_nodes_pass():
    assert torch.allclose(eigenvector_centrality(EMPTY, 4), torch.full((4,), 0.5, dtype=torch.float64))
    assert eigenvector_centrality(EMPTY, 0).shape == (0,)
    assert torch.equal(pagerank(EMPTY, 4), torch.full((4,), 0.25, dtype=torch.float64))
    assert pagerank(EMPTY, 0).shape == (0,)


# --- PageRank ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("teleport", [0.15, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 8, 60])
def test_pagerank_is_networkx_s(count, teleport, directed, weighted):
    n = 15
    index, weight = random_graph(n, count, 3, directed=directed, weighted=weighted)
    graph = digraph(index, n, weight)
    expected = nx.pagerank(graph, alpha=1 - teleport, tol=1e-14, max_iter=2000, weight="weight" if weighted else None)
    out = pagerank(index, n, weight, teleport=teleport)
    assert np.abs(out.numpy() - [expected[node] for node in range(n)]).sum() < 1e-7
    assert float(out.sum()) == pytest.approx(1.0)


def solved(index, n, weight, teleport):
    a = dense(index, n, weight)
    out = a.sum(0)
    p = np.where(out > 0, a / np.where(out > 0, out, 1), 1 / n)
    return np.linalg.solve(np.eye(n) - (1 - teleport) * p, np.full(n, teleport / n))


@given(st.integers(1, 8), st.integers(0, 20), st.integers(0, 10**6), st.sampled_from([0.05, 0.15, 0.9]))
@settings(max_examples=60)
def test_pagerank_with_loops_parallel_edges_zero_weights_and_dead_ends(n, count, seed, teleport):
    index = torch.randint(n, (2, count), generator=generator(seed))
    weight = torch.rand(count, generator=generator(seed), dtype=torch.float64).round()  # zeros and ones
    for w in (weight, None):
        out = pagerank(index, n, w, teleport=teleport)
        assert np.abs(out.numpy() - solved(index, n, w, teleport)).sum() < 1e-7


@pytest.mark.parametrize("tolerance", [0.1, 1e-3, 1e-10])
def test_the_error_of_pagerank_stays_below_its_tolerance(tolerance):
    index, _ = random_graph(30, 60, 1, directed=True, weighted=False)
    exact = solved(index, 30, None, 0.15)
    assert np.abs(pagerank(index, 30, tolerance=tolerance).numpy() - exact).sum() <= tolerance


@pytest.mark.parametrize("teleport", [0.0, -0.1, 1.1])
def test_impossible_teleports_are_refused(teleport):
    with pytest.raises(RequestError, match="teleport"):
        pagerank(EMPTY, 2, teleport=teleport)


@pytest.mark.parametrize("settings_", [{"tolerance": 0.0}, {"iterations": 0}])
def test_impossible_iterations_are_refused(settings_):
    with pytest.raises(RequestError, match="should be positive"):
        eigenvector_centrality(EMPTY, 2, **settings_)


# --- several graphs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
def test_graphs_of_a_batch_are_measured_by_themselves(directed):
    sizes = [(12, 60), (5, 9), (1, 0), (8, 30), (3, 0)]
    parts = [(*random_graph(n, count, 10 + n, directed=directed, weighted=True)[:1], n, random_graph(n, count, 10 + n, directed=directed, weighted=True)[1]) for n, count in sizes]  # fmt: skip
    index, weight, n, graph = joined(parts)
    for measure in (eigenvector_centrality, pagerank):
        out = measure(index, n, weight, graph)
        for number, (edges, size, w) in enumerate(parts):
            alone = measure(edges, size, w)
            tolerance = 1e-6 if measure is eigenvector_centrality and not directed else 1e-4
            assert torch.allclose(out[graph == number], alone, atol=tolerance), (measure.__name__, number)
    ranks = pagerank(index, n, weight, graph)
    assert np.allclose([float(ranks[graph == g].sum()) for g in range(5)], 1.0)


def test_edges_of_one_graph_of_a_batch_move_no_other():
    (one, _), (two, _) = (random_graph(8, 30, seed, directed=False, weighted=False) for seed in (1, 2))
    index, _, n, graph = joined([(one, 8, None), (two, 8, None)])
    fewer, _, _, _ = joined([(one, 8, None), (two[:, two.sum(0) % 2 == 0], 8, None)])
    assert torch.equal(pagerank(index, n, None, graph)[:8], pagerank(fewer, n, None, graph)[:8])
    assert torch.allclose(
        eigenvector_centrality(index, n, None, graph)[:8], eigenvector_centrality(fewer, n, None, graph)[:8], atol=1e-6
    )


# --- neighbours, ranked, pairs -----------------------------------------------------------------------------------------


@given(
    st.integers(1, 7),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-2, 2)), max_size=25),
    st.booleans(),
)
@settings(max_examples=100)
def test_neighbours_and_ranks_are_those_of_a_loop(extra, triples, is_sorted):
    triples = sorted(triples) if is_sorted else triples
    n = 6 + extra
    index = torch.tensor([triple[:2] for triple in triples], dtype=torch.long).reshape(-1, 2).t()
    scores = torch.tensor([float(triple[2]) for triple in triples])
    pointer, columns = edges_by_node(index, n)
    backward, incoming = edges_by_node(index, n, end=1)
    best, order = ranked(index[0], scores, n)
    assert torch.equal(pointer, best)
    for u in range(n):
        mine = [e for e, triple in enumerate(triples) if triple[0] == u]
        assert columns[pointer[u] : pointer[u + 1]].tolist() == mine
        assert columns[listed(pointer, torch.tensor([u, u]))].tolist() == mine + mine
        assert incoming[backward[u] : backward[u + 1]].tolist() == [e for e, t in enumerate(triples) if t[1] == u]
        falling = sorted(mine, key=lambda e: -triples[e][2])  # stable: ties in the order of the edges
        assert order[pointer[u] : pointer[u + 1]].tolist() == falling


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=20),
    st.sets(st.integers(0, 80), max_size=20),
    st.booleans(),
)
@settings(max_examples=100)
def test_codes_of_pairs_are_those_of_a_loop(pairs, taken, undirected):
    index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t()
    codes = pair_codes(index, 9, undirected) if pairs else torch.empty(0, dtype=torch.long)
    expected = [min(u, v) * 9 + max(u, v) if undirected else u * 9 + v for u, v in pairs]
    assert codes.tolist() == expected
    ordered = torch.tensor(sorted(taken), dtype=torch.long)
    assert contains(ordered, codes).tolist() == [code in taken for code in expected]
    assert first_free(codes, ordered).tolist() == [
        code not in taken and code not in expected[:place] for place, code in enumerate(expected)
    ]
