"""Views that look at the graph (GCA, EPAGCL, HLCL, kNN) against their formulas, written as plain loops in float64."""

import itertools
import math
from collections import Counter

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch_geometric.data import Batch, Data

from graphcl.augment import (
    AdaptiveEdgeDropout,
    AdaptiveFeatureMask,
    ErrorPassingEdgeAddition,
    ErrorPassingEdgeDropout,
    HeterophilicEdges,
    HomophilicEdges,
    KNNGraph,
    adaptive,
    edge_similarity,
    error_passing,
)
from graphcl.errors import DataError
from graphcl.hashing import is_undirected
from graphcl.remembered import Recalled

EMPTY = torch.empty(2, 0, dtype=torch.long)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def edges(*pairs):
    return torch.tensor(pairs, dtype=torch.long).t().reshape(2, -1).contiguous()


def both(index):
    return torch.cat([index, index.flip(0)], 1)


def random_edges(n, count, seed, *, directed=False):
    """Simple, in random order of columns."""
    pairs = torch.randint(n, (2, count), generator=generator(seed))
    pairs = torch.unique(pairs[:, pairs[0] != pairs[1]], dim=1)
    if not directed:
        pairs = both(pairs[:, pairs[0] < pairs[1]])
    return pairs[:, torch.randperm(pairs.size(1), generator=generator(seed + 1))]


def graph(index, n, x=None, **attributes):
    data = Data(x=torch.rand(n, 6, generator=generator(n)) if x is None else x, edge_index=index, **attributes)
    data.edge_number = torch.arange(index.size(1))
    return data


def removals(view, data, repeats, first=0):
    """How often each edge is missing."""
    counts = torch.zeros(data.num_edges)
    for seed in range(first, first + repeats):
        kept = view(data, generator(seed)).edge_number
        counts += 1
        counts[kept] -= 1
    return counts


def agrees(counts, repeats, probabilities, alpha=1e-4):
    """Each count is binomial with its probability: 4.5 sigma each, and the sum of squares."""
    sure = (probabilities <= 0) | (probabilities >= 1)
    assert torch.equal(counts.double()[sure], repeats * probabilities[sure])
    p = probabilities[~sure]
    z = (counts.double()[~sure] - repeats * p) / (repeats * p * (1 - p)).sqrt()
    assert float(z.abs().max()) < 4.5


def spy(monkeypatch, module, name):
    """The probabilities a view compares its coins with."""
    found, real = [], getattr(module, name)

    def wrapped(*args, **kwargs):
        found.append(real(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(module, name, wrapped)
    return found


# --- GCA ---------------------------------------------------------------------------------------------------------------


def centrality_by_networkx(index, n, weight, kind):
    out = nx.DiGraph()
    out.add_nodes_from(range(n))
    values = [1.0] * index.size(1) if weight is None else weight.tolist()
    out.add_weighted_edges_from((u, v, w) for (u, v), w in zip(index.t().tolist(), values, strict=True))
    if kind == "degree":
        return [float(d) for _, d in out.in_degree(weight="weight")]
    if kind == "pagerank":
        found = nx.pagerank(out, alpha=0.85, tol=1e-14, max_iter=1000)
    else:
        found = nx.eigenvector_centrality_numpy(out, weight="weight")
    return [abs(found[node]) for node in range(n)]


def gca_probabilities(importance, rate, cutoff):
    """The formula of the module's docstring, one by one."""
    scores = [math.log(max(value, 1e-8)) for value in importance]
    most, mean = max(scores), sum(scores) / len(scores)
    if most - mean < 1e-9 * (1 + abs(most)):
        return [min(rate, cutoff)] * len(scores)
    return [min((most - s) / (most - mean) * rate, cutoff) for s in scores]


def edge_importance(index, central, *, directed):
    return [central[v] if directed else (central[u] + central[v]) / 2 for u, v in index.t().tolist()]


@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_edges_are_removed_with_the_probabilities_of_the_formula(kind, directed, weighted, monkeypatch):
    n = 18
    index = random_edges(n, 90, 4, directed=directed)
    weight = None
    if weighted:
        table = torch.rand(n, n, generator=generator(7), dtype=torch.float64) + 0.2
        weight = (table if directed else table + table.t())[index[0], index[1]]
    assert is_undirected(index) is not directed
    data = graph(index, n) if weight is None else graph(index, n, edge_weight=weight)
    central = centrality_by_networkx(index, n, weight, kind)
    expected = gca_probabilities(edge_importance(index, central, directed=directed), 0.4, 0.7)
    found = spy(monkeypatch, adaptive, "_probabilities")
    view = AdaptiveEdgeDropout(0.4, kind)
    repeats = 300
    counts = removals(view, data, repeats)
    assert np.allclose(found[0].numpy(), expected, atol=1e-5)
    agrees(counts, repeats, torch.tensor(expected, dtype=torch.float64))


@given(
    st.integers(3, 12),
    st.integers(2, 40),
    st.integers(0, 10**6),
    st.booleans(),
    st.floats(0.01, 1.0),
    st.floats(0.0, 1.0),
)
@settings(max_examples=60)
def test_the_cut_off_bounds_and_the_rate_is_the_mean_below_it(n, count, seed, directed, rate, cutoff):
    index = random_edges(n, count, seed, directed=directed)
    if index.size(1) == 0:
        return
    central = adaptive._centrality(graph(index, n), "degree")
    importance = central[index[1]]
    out = adaptive._probabilities(adaptive._relative_risk(importance.clone(), None), rate, cutoff)
    assert bool((out <= cutoff).all())
    assert bool((out >= -1e-12).all())  # none at all, but for rounding
    free = adaptive._probabilities(adaptive._relative_risk(importance.clone(), None), rate, 1e9)
    assert float(free.mean()) == pytest.approx(rate)
    assert torch.allclose(out, free.clamp(max=cutoff))
    # the more important, the safer
    order = torch.argsort(importance)
    assert bool((out[order].diff() <= 1e-12).all())
    assert np.allclose(out.numpy(), gca_probabilities(importance.tolist(), rate, cutoff))


REGULAR = {
    "ring": both(torch.stack([torch.arange(12), (torch.arange(12) + 1) % 12])),
    "complete": both(torch.triu_indices(6, 6, 1)),
    "directed ring": torch.stack([torch.arange(12), (torch.arange(12) + 1) % 12]),
    "single edge": edges((0, 1), (1, 0)),
}


@pytest.mark.parametrize("name", REGULAR)
@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
@pytest.mark.parametrize(("rate", "cutoff", "expected"), [(0.4, 0.7, 0.4), (0.9, 0.6, 0.6)])
def test_in_a_regular_graph_all_edges_go_at_the_rate(name, kind, rate, cutoff, expected, monkeypatch):
    index = REGULAR[name]
    found = spy(monkeypatch, adaptive, "_probabilities")
    AdaptiveEdgeDropout(rate, kind, cutoff)(graph(index, int(index.max()) + 1), generator())
    assert torch.allclose(found[0], torch.full_like(found[0], expected))


@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
def test_graphs_of_a_batch_have_the_probabilities_they_have_alone(kind, monkeypatch):
    parts = [graph(random_edges(n, count, n), n) for n, count in ((15, 60), (6, 8), (9, 0), (1, 0), (12, 40))]
    parts.append(graph(REGULAR["ring"], 12))
    found = spy(monkeypatch, adaptive, "_probabilities")
    view = AdaptiveEdgeDropout(0.4, kind)
    view(Batch.from_data_list(parts), generator())
    together = found.pop()
    for part in parts:
        view(part, generator())
    assert len(found) == 4  # graphs without edges ask for nothing
    assert torch.allclose(together, torch.cat(found), atol=1e-5)


@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
@pytest.mark.parametrize(
    ("index", "n"),
    [
        (edges((0, 1), (1, 0), (3, 4), (4, 3), (4, 5), (5, 4), (3, 5), (5, 3)), 8),  # pieces, isolated nodes
        (edges((0, 0), (0, 1), (1, 0), (2, 2)), 3),
        (edges((0, 1), (1, 2), (2, 3)), 5),  # a chain: the first node hears nobody
        (edges((0, 0)), 1),
    ],
)
def test_pieces_isolated_nodes_loops_and_chains_pass(index, n, kind):
    for seed in range(5):
        data = graph(index, n)
        out = AdaptiveEdgeDropout(0.5, kind)(data, generator(seed))
        assert torch.equal(out.edge_index, index[:, out.edge_number])
        assert out.num_nodes == n
        masked = AdaptiveFeatureMask(0.5, kind)(data, generator(seed)).x
        kept = (masked != 0).any(0)
        assert torch.equal(masked[:, kept], data.x[:, kept])


def test_memory_never_answers_for_another_graph(monkeypatch):
    # graphs that differ in one thing only, asked for in turns
    index = random_edges(10, 30, 1)
    other = index.clone()
    other[:, [0]] = (other[:, [0]] + 1) % 10
    weight = torch.ones(index.size(1))
    heavier = weight.clone()
    heavier[0] = 5.0
    datas = [
        graph(index, 10), graph(index, 11), graph(other, 10), graph(index.flip(1), 10), graph(index, 10, edge_weight=weight),
        graph(index, 10, edge_weight=heavier), Batch.from_data_list([graph(index, 10), graph(index, 10)]), graph(torch.cat([index, index + 10], 1), 20),
    ]  # fmt: skip
    alone = {}
    for kind in ("eigenvector", "pagerank"):
        for number, data in enumerate(datas):
            monkeypatch.setattr(adaptive, "_RISKS", Recalled())
            alone[kind, number] = risk(data, kind).clone()
    for _ in range(2):
        for kind, number in itertools.product(("pagerank", "eigenvector"), range(len(datas))):
            assert torch.equal(risk(datas[number], kind), alone[kind, number])


def risk(data, kind):
    """Through the memory, as the view asks for it."""
    found = []
    original = adaptive._probabilities
    adaptive._probabilities = lambda value, *rest: found.append(value) or original(value, *rest)
    try:
        AdaptiveEdgeDropout(0.5, kind)(data, generator())
    finally:
        adaptive._probabilities = original
    return found[0]


def test_memory_sees_edges_and_weights_changed_in_place():
    index = random_edges(10, 30, 1)
    data = graph(index, 10, edge_weight=torch.ones(index.size(1), dtype=torch.float64))
    before = risk(data, "pagerank").clone()
    data.edge_weight[0] = 50.0
    assert not torch.equal(risk(data, "pagerank"), before)
    data.edge_weight[0] = 1.0
    assert torch.equal(risk(data, "pagerank"), before)
    assert not torch.equal(data.edge_index[:, 0], torch.tensor([9, 0]))
    data.edge_index[:, 0] = torch.tensor([9, 0])
    assert not torch.equal(risk(data, "pagerank"), before)


def test_remembered_values_serve_inside_and_outside_of_inference_mode():
    data = graph(random_edges(10, 30, 2), 10)
    first = AdaptiveEdgeDropout(0.5, "pagerank")(data, generator(1)).edge_number
    with torch.inference_mode():
        inside = AdaptiveEdgeDropout(0.5, "pagerank")(data, generator(1)).edge_number
    assert torch.equal(first, inside)


@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
@pytest.mark.parametrize("binary", [False, True])
def test_columns_are_masked_with_the_probabilities_of_the_formula(kind, binary, monkeypatch):
    n, width = 16, 30
    # connected: the eigenvector of a graph in pieces is not unique to networkx
    index = torch.unique(
        torch.cat([random_edges(n, 50, 2), both(torch.stack([torch.arange(15), torch.arange(15) + 1]))], 1), dim=1
    )
    x = torch.randn(n, width, generator=generator(1), dtype=torch.float64)
    x = (x > 0.8).double() if binary else x
    x[:, [3, 17]] = 0  # columns without a value
    central = centrality_by_networkx(index, n, None, kind)
    importance = [sum(abs(x[u, f].item()) * central[u] for u in range(n)) for f in range(width)]
    some = [f for f in range(width) if importance[f] > 0]
    assert len(some) <= width - 2
    expected = gca_probabilities([importance[f] for f in some], 0.4, 0.7)
    found = spy(monkeypatch, adaptive, "_probabilities")
    repeats, counts = 300, torch.zeros(width)
    for seed in range(repeats):
        out = AdaptiveFeatureMask(0.4, kind)(graph(index, n, x), generator(seed)).x
        cleared = (out == 0).all(0)
        assert torch.equal(out[:, ~cleared], x[:, ~cleared])
        counts += cleared
    assert np.allclose(found[0].numpy()[some], expected, atol=1e-5)
    agrees(counts[some], repeats, torch.tensor(expected, dtype=torch.float64))
    AdaptiveFeatureMask(0.4, kind)(graph(index, n, x.to_sparse_csr()), generator())
    assert torch.allclose(found[-1], found[0])


def test_features_that_are_all_zero_stay_so():
    for x in (torch.zeros(3, 4), torch.zeros(3, 4).to_sparse_csr()):
        out = AdaptiveFeatureMask(0.5)(graph(edges((0, 1), (1, 0)), 3, x), generator()).x
        assert torch.equal(out.to_dense(), torch.zeros(3, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["degree", "pagerank"])
def test_narrow_features_have_the_probabilities_of_wide_ones(dtype, kind, monkeypatch):
    # sums over many nodes leave the range of half precision, and the steps of bfloat16 are coarse
    n = 80
    x = (torch.rand(n, 20, generator=generator(1)) * 40 + 10).to(dtype)
    data = graph(both(torch.triu_indices(n, n, 1)), n, x)
    found = spy(monkeypatch, adaptive, "_probabilities")
    AdaptiveFeatureMask(0.3, kind)(data, generator())
    data.x = x.double()
    AdaptiveFeatureMask(0.3, kind)(data, generator())
    assert torch.allclose(found[0], found[1], atol=1e-3)


@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_whole_numbers_have_the_view_of_floats_or_are_refused(kind, dtype):
    x = torch.randint(2, (12, 200), generator=generator()).to(dtype)
    index = random_edges(12, 50, 3)
    expected = AdaptiveFeatureMask(0.5, kind)(graph(index, 12, x.double()), generator(1)).x
    try:
        found = AdaptiveFeatureMask(0.5, kind)(graph(index, 12, x), generator(1)).x.double()
    except DataError as error:
        found = str(error)
    if isinstance(found, str):
        assert found.startswith("AdaptiveFeatureMask: data.x")
    else:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", ["degree", "eigenvector", "pagerank"])
def test_whole_weights_count_like_floats(kind):
    index = random_edges(12, 50, 3)
    weight = torch.maximum(index[0], index[1]) % 4 + 1
    one, two = (
        AdaptiveEdgeDropout(0.5, kind)(graph(index, 12, edge_weight=w), generator(1)) for w in (weight, weight.double())
    )
    assert torch.equal(one.edge_number, two.edge_number)
    assert torch.equal(one.edge_weight, weight[one.edge_number])


# --- EPAGCL: dropping --------------------------------------------------------------------------------------------------


def epagcl_probabilities(index, n, rate):
    pairs = index.t().tolist()
    entering, leaving = Counter(v for _, v in pairs), Counter(u for u, _ in pairs)
    weights = [1 / math.sqrt(leaving[u] * entering[v]) for u, v in pairs]
    least, mean = min(weights), sum(weights) / len(weights)
    if mean - least < 1e-9:
        return [min(rate, 1.0)] * len(weights)
    return [min((w - least) / (mean - least) * rate, 1.0) for w in weights]


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rate", [0.2, 0.8])
def test_edges_go_as_the_error_they_pass_says(directed, rate):
    index = random_edges(20, 80, 6, directed=directed)
    repeats, expected = 400, epagcl_probabilities(index, 20, rate)
    agrees(
        removals(ErrorPassingEdgeDropout(rate), graph(index, 20), repeats),
        repeats,
        torch.tensor(expected, dtype=torch.float64),
    )


@pytest.mark.parametrize("name", REGULAR)
def test_in_a_regular_graph_all_edges_pass_on_alike(name):
    index = REGULAR[name]
    counts = removals(ErrorPassingEdgeDropout(0.3), graph(index, int(index.max()) + 1), 300)
    agrees(counts, 300, torch.full((index.size(1),), 0.3, dtype=torch.float64))


def test_graphs_of_a_batch_drop_by_their_own_mean():
    parts = [graph(random_edges(n, count, n), n) for n, count in ((15, 60), (8, 12), (9, 0), (12, 40))]
    batch, repeats = Batch.from_data_list(parts), 300
    batch.edge_number = torch.arange(batch.num_edges)
    expected = torch.cat([torch.tensor(epagcl_probabilities(part.edge_index, 0, 0.4), dtype=torch.float64) for part in parts if part.num_edges])  # fmt: skip
    agrees(removals(ErrorPassingEdgeDropout(0.4), batch, repeats), repeats, expected)


def test_weights_of_edges_do_not_count_and_degrees_do():
    index = random_edges(12, 40, 1)
    one = ErrorPassingEdgeDropout(0.4)(graph(index, 12, edge_weight=torch.rand(index.size(1))), generator(3))
    assert torch.equal(one.edge_number, ErrorPassingEdgeDropout(0.4)(graph(index, 12), generator(3)).edge_number)


# --- EPAGCL: adding ----------------------------------------------------------------------------------------------------


def free_by_product(index, n):
    """All pairs that no edge joins, by the product of (degree + 1) of their ends, from a list of all pairs."""
    proper = {(u, v) for u, v in index.t().tolist() if u != v}
    joined = {frozenset(pair) for pair in proper}
    columns = [(u, v) for u, v in index.t().tolist() if u != v]
    if is_undirected(index):
        columns = [(u, v) for u, v in columns if u < v]
    degrees = Counter(itertools.chain.from_iterable(columns))
    return {
        (u, v): (degrees[u] + 1) * (degrees[v] + 1)
        for u, v in itertools.combinations(range(n), 2)
        if frozenset((u, v)) not in joined
    }, len(columns)


def candidates(index, n, wanted, seed):
    columns = index[:, index[0] != index[1]]
    if is_undirected(index):
        columns = columns[:, columns[0] < columns[1]]
    degrees = torch.bincount(columns.flatten(), minlength=n)
    out = error_passing._most_central_free(degrees, columns, wanted, generator(seed))
    return [tuple(sorted(pair)) for pair in out.t().tolist()]


def check_candidates(index, n, wanted, seed):
    free, _ = free_by_product(index, n)
    found = candidates(index, n, wanted, seed)
    assert len(set(found)) == len(found)
    assert set(found) <= set(free)
    assert len(found) == min(wanted, len(free))
    if not found:
        return
    ordered = sorted(free.values(), reverse=True)
    # with ties any of them: the products are those of the largest
    assert sorted((free[pair] for pair in found), reverse=True) == ordered[: len(found)]


@given(st.integers(2, 12), st.integers(1, 60), st.integers(0, 10**6), st.booleans(), st.integers(1, 70))
@settings(max_examples=200)
def test_candidates_are_the_pairs_of_the_highest_degrees(n, count, seed, directed, wanted):
    index = random_edges(n, count, seed, directed=directed)
    index = torch.cat([index, torch.arange(n)[: seed % 3].repeat(2, 1)], 1)  # now and then loops
    if (index[0] != index[1]).any():
        check_candidates(index, n, wanted, seed)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20),
    st.integers(1, 20),
    st.booleans(),
)
@settings(max_examples=100)
def test_candidates_of_multigraphs(pairs, wanted, undirected):
    index = both(edges(*pairs)) if undirected else edges(*pairs)
    if (index[0] != index[1]).any():
        check_candidates(index, 8, wanted, len(pairs))


@pytest.mark.parametrize("wanted", [1, 3, 10, 40, 1000])
def test_candidates_of_graphs_full_of_ties(wanted):
    star = both(torch.stack([torch.zeros(30, dtype=torch.long), torch.arange(1, 31)]))
    ring = both(torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40]))
    matching = both(torch.arange(40).view(20, 2).t())
    complete = both(torch.triu_indices(7, 7, 1))
    for index, n in ((star, 31), (ring, 40), (matching, 45), (complete, 7), (complete, 9)):
        for seed in range(3):
            check_candidates(index, n, wanted, seed)


def test_candidates_are_found_where_nearly_all_ties_are_taken():
    # of 1225 equal pairs 25 are free: draws hardly ever hit them, and still 24 are wanted
    n = 50
    full = torch.triu_indices(n, n, 1)
    index = both(full[:, ~((full[0] % 2 == 0) & (full[1] == full[0] + 1))])
    for seed in range(3):
        check_candidates(index, n, 24, seed)


def test_ties_for_the_last_places_are_drawn_equally_often():
    # of a star of six rays, three of the fifteen pairs of rays
    star, counts = both(torch.stack([torch.zeros(6, dtype=torch.long), torch.arange(1, 7)])), Counter()
    for seed in range(500):
        counts.update(candidates(star, 7, 3, seed))
    assert stats.chisquare([counts[pair] for pair in itertools.combinations(range(1, 7), 2)]).pvalue > 1e-3
    # a large tie class, of which pairs are drawn instead of listed
    ring, first = both(torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])), Counter()
    for seed in range(400):
        first.update(candidates(ring, 30, 5, seed))
    free, _ = free_by_product(ring, 30)
    assert set(first) <= set(free)
    assert stats.chisquare([first[pair] for pair in free]).pvalue > 1e-3


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.sampled_from([0.2, 0.5, 0.8]))
@example([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0], 0.5)  # 18 halves are 10 times 0.9
@settings(max_examples=100, phases=[Phase.explicit, Phase.generate])
def test_probabilities_have_the_mean_and_the_bound(values, mean):
    preference = torch.tensor(values, dtype=torch.float64)
    out = error_passing._with_mean(preference, mean, 0.9)
    assert bool(((out >= 0) & (out <= 0.9)).all())
    assert bool((out[preference == 0] == 0).all())
    positive = int((preference > 0).sum())
    # the mean, or what all that may be added at the bound come to
    assert float(out.sum()) == pytest.approx(min(mean * len(values), 0.9 * positive), abs=1e-6)
    below = (out < 0.9 - 1e-9) & (preference > 0)
    if below.any():
        ratio = out[below] / preference[below]
        assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-6)


def expected_number(index, n, rate):
    """Half the candidates, but where more than four in nine share the largest weight, which is never added."""
    free, proper = free_by_product(index, n)
    best = sorted(free.values(), reverse=True)[: math.ceil(2 * rate * proper)]
    if not best or best[0] == best[-1]:
        return len(best) / 2, len(best)
    return min(len(best) / 2, 0.9 * sum(product > best[-1] for product in best)), len(best)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_half_the_candidates_are_added_on_average(rate, directed):
    index = random_edges(60, 200, 3, directed=directed)
    data, added = graph(index, 60), []
    for seed in range(150):
        out = ErrorPassingEdgeAddition(rate)(data, generator(seed))
        new = out.edge_index[:, index.size(1) :]
        assert torch.equal(out.edge_index[:, : index.size(1)], index)
        assert is_undirected(out.edge_index) is not directed
        added.append(new.size(1) if directed else new.size(1) / 2)
    mean, count = expected_number(index, 60, rate)
    assert abs(sum(added) / 150 - mean) < 4 * (count / 4 / 150) ** 0.5


def addition_probabilities(index, n, rate):
    """Of each free pair: all pairs, the loop, and bisection for the factor; ``None`` where ties are to be broken."""
    free, count = free_by_product(index, n)
    best = sorted(free, key=lambda pair: -free[pair])
    wanted = math.ceil(2 * rate * count)
    if len(best) > wanted and free[best[wanted - 1]] == free[best[wanted]]:
        return None
    weights = {pair: 1 / math.sqrt(free[pair]) for pair in best[:wanted]}
    most = max(weights.values())
    low, high = 0.0, 1e6
    for _ in range(200):
        c = (low + high) / 2
        total = sum(min(c * (most - w), 0.9) for w in weights.values())
        low, high = (c, high) if total < 0.5 * len(weights) else (low, c)
    return {pair: min(low * (most - w), 0.9) for pair, w in weights.items()}


def hubs(seed, n=16):
    """A few nodes of high degree: many different products of degrees."""
    g = generator(seed)
    pairs = torch.stack([(torch.rand(40, generator=g) ** 3 * n).long(), (torch.rand(40, generator=g) * n).long()])
    return both(torch.unique(pairs[:, pairs[0] < pairs[1]], dim=1))


@pytest.mark.parametrize("seed", [0, 5, 9, 18, 19, 36])
def test_pairs_are_added_with_the_probabilities_of_the_formula(seed):
    # at the first rate that breaks no tie and leaves some pair between the bound and 0
    index, repeats, counts = hubs(seed), 400, Counter()
    for rate in (step / 100 for step in range(5, 100)):
        expected = addition_probabilities(index, 16, rate)
        if expected is not None and len({round(p, 6) for p in expected.values()}) > 3:
            break
    assert len({round(p, 6) for p in expected.values()}) > 3
    for number in range(repeats):
        out = ErrorPassingEdgeAddition(rate)(graph(index, 16), generator(number)).edge_index[:, index.size(1) :]
        counts.update((u, v) for u, v in out.t().tolist() if u < v)
    assert set(counts) <= set(expected)
    found = torch.tensor([counts[pair] for pair in expected])
    agrees(found, repeats, torch.tensor(list(expected.values()), dtype=torch.float64))


def test_added_edges_are_free_and_their_direction_is_drawn():
    index, turned = random_edges(12, 30, 5, directed=True), Counter()
    joined = {frozenset(pair) for pair in index.t().tolist()}
    for seed in range(200):
        new = ErrorPassingEdgeAddition(1.0)(graph(index, 12), generator(seed)).edge_index[:, index.size(1) :]
        pairs = [frozenset(pair) for pair in new.t().tolist()]
        assert len(set(pairs)) == len(pairs)
        assert not joined & set(pairs)
        turned.update((new[0] < new[1]).tolist())
    total = sum(turned.values())
    assert abs(turned[True] - total / 2) < 4 * (total / 4) ** 0.5


def test_complete_graphs_and_single_pairs_get_nothing():
    for index, n in (
        (both(torch.triu_indices(5, 5, 1)), 5),
        (edges((0, 1), (1, 0)), 2),
        (edges((0, 1)), 2),
        (edges((0, 0)), 3),
    ):
        assert torch.equal(ErrorPassingEdgeAddition(1.0)(graph(index, n), generator()).edge_index, index)


def test_graphs_of_a_batch_get_edges_of_their_own():
    parts = [graph(random_edges(n, count, n), n) for n, count in ((20, 60), (5, 0), (1, 0), (12, 20))]
    batch, totals = Batch.from_data_list(parts), torch.zeros(4)
    for seed in range(150):
        out = ErrorPassingEdgeAddition(0.5)(batch, generator(seed))
        home = out.batch[out.edge_index]
        assert torch.equal(home[0], home[1])
        for part, alone in zip(out.to_data_list(), parts, strict=True):
            assert torch.equal(part.edge_index[:, : alone.num_edges], alone.edge_index)
            assert bool((part.edge_number < max(alone.num_edges, 1)).all())
        totals += home[0].bincount(minlength=4) - torch.tensor([part.num_edges for part in parts])
    for total, part in zip((totals / 2).tolist(), parts, strict=True):
        mean, count = expected_number(part.edge_index, part.num_nodes, 0.5)
        assert abs(total / 150 - mean) <= 4 * (count / 4 / 150) ** 0.5


# --- HLCL --------------------------------------------------------------------------------------------------------------


def cosine(x, u, v):
    a, b = x[u].double(), x[v].double()
    length = float(a.norm() * b.norm())
    return float(a @ b) / length if length else 0.0


def ranked_choice(x, index, share, sign):
    """Each node sorts the edges that leave it; equals at the boundary all stay."""
    pairs = list(map(tuple, index.t().tolist()))
    scores = [round(sign * cosine(x, u, v), 9) for u, v in pairs]
    chosen = set()
    for node in range(x.size(0)):
        mine = sorted((scores[e] for e, (u, _) in enumerate(pairs) if u == node), reverse=True)
        count = math.ceil(share * len(mine) - 1e-9)
        if count:
            chosen |= {e for e, (u, _) in enumerate(pairs) if u == node and scores[e] >= mine[count - 1]}
    if is_undirected(index):
        picked = {pairs[e] for e in chosen}
        return [e for e, (u, v) in enumerate(pairs) if (u, v) in picked or (v, u) in picked]
    return sorted(chosen)


# few values: many ties, exactly equal in any precision
GRID = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)


@given(
    st.integers(2, 10),
    st.integers(1, 40),
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 1.0]),
    st.booleans(),
)
@settings(max_examples=150)
def test_edges_are_those_that_a_node_ranks_highest(n, count, seed, directed, share, ties):
    index = random_edges(n, count, seed, directed=directed)
    index = torch.cat([index, torch.arange(n)[: seed % 2].repeat(2, 1)], 1)
    if ties:
        x = GRID[torch.randint(5, (n,), generator=generator(seed))]
    else:
        x = torch.randn(n, 4, generator=generator(seed), dtype=torch.float64)
    for view, sign in ((HomophilicEdges(share), 1), (HeterophilicEdges(share), -1)):
        out = view(graph(index, n, x), generator())
        assert out.edge_number.tolist() == ranked_choice(x, index, share, sign), view
        assert torch.equal(out.edge_index, index[:, out.edge_number])
        if is_undirected(index):
            assert is_undirected(out.edge_index)


def test_like_and_unlike_edges_make_up_the_graph():
    index, x = random_edges(30, 150, 2, directed=True), torch.randn(30, 5, generator=generator(), dtype=torch.float64)
    for share in (0.2, 0.5, 0.7):
        like, unlike = HomophilicEdges(share)(graph(index, 30, x)), HeterophilicEdges(1 - share)(graph(index, 30, x))
        assert set(like.edge_number.tolist()) | set(unlike.edge_number.tolist()) == set(range(index.size(1)))
        worst, best = edge_similarity(x, like.edge_index).mean(), edge_similarity(x, unlike.edge_index).mean()
        assert worst > best


def test_parallel_edges_stay_or_go_together():
    index = torch.cat([both(edges((0, 1), (0, 2), (0, 3))), both(edges((0, 1)))], 1)
    x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    out = HomophilicEdges(0.25)(graph(index, 4, x))
    # each other node's only neighbour is node 0: it chooses that edge itself
    assert out.num_edges == 8
    directed = HomophilicEdges(0.25)(graph(edges((0, 1), (0, 2), (0, 3), (0, 1)), 4, x))
    assert directed.edge_index.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("n", "width", "seed"), [(2, 1, 0), (9, 3, 1), (30, 40, 2)])
def test_similarities_are_cosines_and_equal_in_both_directions(n, width, seed, dtype):
    x = torch.randn(n, width, generator=generator(seed)).to(dtype)
    x[0] = 0
    index = torch.randint(n, (2, 50), generator=generator(seed))
    out = edge_similarity(x, index)
    assert torch.equal(out, edge_similarity(x, index.flip(0)))  # NaN equals nothing: none came of the row of zeros
    expected = torch.tensor([cosine(x, u, v) for u, v in index.t().tolist()])
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-6}.get(dtype, 3e-2)
    assert torch.allclose(out.float(), expected.float(), atol=tolerance)


def test_views_by_similarity_of_a_batch_are_those_of_its_graphs():
    parts = [
        graph(random_edges(n, count, n), n, torch.randn(n, 4, generator=generator(n)))
        for n, count in ((12, 50), (1, 0), (7, 0), (9, 20))
    ]
    batch = Batch.from_data_list(parts)
    for view in (HomophilicEdges(0.4), HeterophilicEdges(0.4), KNNGraph(3)):
        for part, alone in zip(view(batch).to_data_list(), parts, strict=True):
            expected = view(alone)
            assert torch.equal(part.edge_index, expected.edge_index)
            if isinstance(view, KNNGraph):
                assert torch.allclose(part.edge_weight, expected.edge_weight, atol=1e-6)


# --- kNN ---------------------------------------------------------------------------------------------------------------


def knn_by_hand(x, k):
    chosen = {}
    for v in range(x.size(0)):
        others = sorted((u for u in range(x.size(0)) if u != v), key=lambda u: -cosine(x, u, v))
        for u in others[:k]:
            if cosine(x, u, v) > 1e-9:
                chosen[u, v] = chosen[v, u] = cosine(x, u, v)
    return chosen


@given(st.integers(1, 15), st.integers(2, 8), st.integers(1, 20), st.integers(0, 10**6), st.booleans())
@settings(max_examples=80)
def test_neighbours_are_those_of_the_full_matrix(n, width, k, seed, zero_rows):
    x = torch.randn(n, width, generator=generator(seed), dtype=torch.float64)
    if zero_rows:
        x[::3] = 0
    out = KNNGraph(k)(Data(x=x))
    expected = knn_by_hand(x, k)
    found = dict(zip(map(tuple, out.edge_index.t().tolist()), out.edge_weight.tolist(), strict=True))
    assert len(found) == out.num_edges, "no edge twice"
    assert found.keys() == expected.keys()
    assert all(found[pair] == pytest.approx(expected[pair], abs=1e-9) for pair in found)
    assert all(found[u, v] == found[v, u] for u, v in found)
    assert out.edge_weight.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_row_of_zeros_has_no_neighbours(dtype):
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], dtype=dtype)
    out = KNNGraph(3)(Data(x=x, edge_index=edges((0, 1))))
    assert out.edge_index.tolist() == [[0, 2], [2, 0]]
    assert KNNGraph(3)(Data(x=torch.zeros(4, 2))).num_edges == 0
    assert KNNGraph(3)(Data(x=-torch.eye(2) * torch.tensor([[1.0], [-1.0]]))).num_edges == 0


def test_equal_rows_are_neighbours_of_weight_one():
    out = KNNGraph(2)(Data(x=torch.ones(5, 3)))
    assert bool((out.edge_weight - 1).abs().max() < 1e-6)
    assert bool((out.edge_index[1].bincount(minlength=5) >= 2).all())


def test_graphs_of_a_batch_are_never_joined_though_they_are_alike():
    x = torch.rand(6, 3, generator=generator(), dtype=torch.float64)
    parts = [Data(x=x[:n], edge_index=EMPTY) for n in (6, 1, 4, 2)]
    out = KNNGraph(10)(Batch.from_data_list(parts))
    assert torch.equal(out.batch[out.edge_index[0]], out.batch[out.edge_index[1]])
    # k is larger than the graphs: all pairs, 30 + 0 + 12 + 2
    assert out.num_edges == 44


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused_by_name(bad):
    x = torch.rand(4, 3)
    x[2, 1] = bad
    with pytest.raises(DataError, match=r"^KNNGraph: data\.x"):
        KNNGraph(2)(Data(x=x))
