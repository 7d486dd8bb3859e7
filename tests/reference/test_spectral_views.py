"""Views made by their spectrum, against dense eigendecompositions: objectives, gradients, amplitudes, factors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

import graphcl
from graphcl.augment import (
    HighFrequencyEmphasis,
    LowFrequencyEmphasis,
    LowRankView,
    SpectralPerturbation,
    SpectralShift,
    low_rank_factors,
    spectrum,
)
from graphcl.data.block_model import csbm


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(seed, *shape):
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def karate():
    return graphcl.load("karate")[0]


def random_graph(seed, n, pairs, *, loops=True, directed=False, weighted=True):
    index = torch.randint(n, (2, pairs), generator=generator(seed))
    index = torch.unique(index[:, index[0] <= index[1] if loops else index[0] < index[1]], dim=1)
    weight = draw(seed + 1, index.size(1)) + 0.1
    if directed:
        turned = draw(seed + 2, index.size(1)) < 0.5
        index = torch.where(turned, index.flip(0), index)
    else:
        apart = index[0] != index[1]
        index, weight = torch.cat([index, index[:, apart].flip(0)], 1), torch.cat([weight, weight[apart]])
    data = Data(edge_index=index, num_nodes=n)
    if weighted:
        data.edge_weight = weight
    return data


def adjacency(data):
    """Row v gathers from the sources of the edges that point at v."""
    weight = data.get("edge_weight")
    weight = torch.ones(data.num_edges, dtype=torch.float64) if weight is None else weight.double()
    matrix = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.float64)
    return matrix.index_put((data.edge_index[1], data.edge_index[0]), weight, accumulate=True)


def with_loops(matrix):
    return matrix + torch.diag((matrix.diagonal() == 0).double())


def normalised(matrix):
    def root(degree):
        return torch.where(degree > 0, degree.clamp(min=1e-300).rsqrt(), 0.0)

    return root(matrix.sum(1))[:, None] * matrix * root(matrix.sum(0))


def laplacian(matrix):
    return torch.diag((matrix.sum(1) > 0).double()) - normalised(matrix)


def candidates(data, rate=0.3):
    edges = data.edge_index
    undirected = spectrum.is_undirected(edges)
    return spectrum._candidates(data, edges, data.get("edge_weight"), undirected, rate, generator())


def relaxed(pairs, flips):
    """The matrix of a set of pairs, in plain words."""
    n = pairs.node_graph.numel()
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for (u, v), w, joined, flip in zip(pairs.ends.T.tolist(), pairs.weight, pairs.joined, flips, strict=True):
        held = w * ((1 - spectrum._NEARLY * flip) if joined else flip)
        matrix = matrix.index_put((torch.tensor([u]), torch.tensor([v])), held, accumulate=True)
        if u != v:
            matrix = matrix.index_put((torch.tensor([v]), torch.tensor([u])), held, accumulate=True)
    return matrix


# --- the norm of the spectrum ------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 30))
@settings(deadline=None, max_examples=50)
def test_the_norm_of_the_spectrum_is_a_sum_over_the_edges(seed, n, count):
    data = random_graph(seed, n, count, loops=False)
    matrix = adjacency(data)
    degree = matrix.sum(1)
    total = float((degree > 0).sum())
    for (u, v), w in zip(data.edge_index.T.tolist(), data.edge_weight.tolist(), strict=True):
        total += w**2 / float(degree[u] * degree[v])
    assert torch.linalg.eigvalsh(laplacian(matrix)).norm() ** 2 == pytest.approx(total, rel=1e-10, abs=1e-10)


@given(st.integers(0, 10**6), st.integers(3, 10), st.integers(3, 25), st.booleans())
@settings(deadline=None, max_examples=30)
@example(120, 3, 3, False)
def test_the_slope_of_the_norm_is_that_of_the_dense_spectrum(seed, n, count, directed):
    data = random_graph(seed, n, count, directed=directed)
    pairs, *_ = candidates(data)
    if pairs.free.numel() == 0:
        return
    flips = 0.2 + 0.6 * draw(seed + 5, pairs.weight.numel())
    flips[~torch.isin(torch.arange(flips.numel()), pairs.free)] = 0.0
    leaf = flips.clone().requires_grad_()
    matrix = relaxed(pairs, leaf)
    (expected,) = torch.autograd.grad(laplacian(matrix).square().sum(), leaf)
    found = pairs.norm_slope(flips.clone())
    torch.testing.assert_close(found[pairs.free], expected[pairs.free], rtol=1e-9, atol=1e-9)


@given(st.integers(0, 10**6), st.integers(3, 10), st.integers(3, 25), st.booleans())
@settings(deadline=None, max_examples=20)
def test_the_slope_of_the_shift_is_that_of_the_dense_spectrum(seed, n, count, directed):
    data = random_graph(seed, n, count, directed=directed)
    pairs, *_ = candidates(data)
    if pairs.free.numel() == 0:
        return
    flips = 0.2 + 0.6 * draw(seed + 5, pairs.weight.numel())
    flips[~torch.isin(torch.arange(flips.numel()), pairs.free)] = 0.0
    before = torch.linalg.eigvalsh(laplacian(relaxed(pairs, torch.zeros_like(flips))))

    def distance(flips):
        return float((torch.linalg.eigvalsh(laplacian(relaxed(pairs, flips))) - before).square().sum())

    found = SpectralShift()._slope(pairs)(flips.clone())
    for row in pairs.free[:4].tolist():
        step = torch.zeros_like(flips)
        step[row] = 1e-5
        expected = (distance(flips + step) - distance(flips - step)) / 2e-5
        assert float(found[row]) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_a_directed_graph_is_that_of_its_singular_values():
    data = random_graph(3, 12, 40, directed=True, loops=True)
    pairs, *_ = candidates(data)
    entries, diagonal = pairs.laplacian(pairs.present(torch.zeros_like(pairs.weight)))
    matrix = torch.diag(diagonal).index_put((pairs.ends[0], pairs.ends[1]), entries, accumulate=True)
    values = torch.linalg.eigvalsh(torch.triu(matrix) + torch.triu(matrix, 1).T)
    singular = torch.linalg.svdvals(normalised(adjacency(data)))
    singular = singular[singular > 1e-9]
    expected = torch.cat([1 - singular, 1 + singular])
    off_one = values[((values - 1).abs() > 1e-9) & (values.abs() > 1e-9)]
    expected = expected[expected.abs() > 1e-9]
    torch.testing.assert_close(off_one, expected.sort().values, rtol=1e-9, atol=1e-9)


def flipped_norms(augmenter, data, count=8):
    views = [augmenter(data, generator(seed)) for seed in range(count)]
    return np.mean([float(laplacian(adjacency(view)).square().sum()) for view in views])


def blind(data, rate, seed):
    """As many flips as the budget, of which half add and half remove."""
    step = graphcl.augment.EdgeAddition(rate / 2)(data, generator(seed))
    return graphcl.augment.EdgeDropout(rate / 2)(step, generator(seed + 1))


@pytest.mark.parametrize("name", ["karate", "block model", "directed", "batch"])
def test_the_norm_goes_where_it_should_and_further_than_by_blind_flips(name):
    data = {
        "karate": karate,
        "block model": lambda: csbm(nodes=120, degree=6, seed=1),
        "directed": lambda: random_graph(0, 60, 300, directed=True, weighted=False),
        "batch": lambda: Batch.from_data_list([csbm(nodes=30, degree=5, seed=s) for s in range(4)]),
    }[name]()
    if name == "directed":
        # its Laplacian is that of sources and targets
        def norm(view):
            return float(normalised(adjacency(view)).square().sum())
    else:

        def norm(view):
            return float(laplacian(adjacency(view)).square().sum())

    def mean(views):
        return np.mean([norm(view) for view in views])

    up, down = (
        mean([SpectralPerturbation(direction, 0.2)(data, generator(s)) for s in range(8)])
        for direction in ("raise", "lower")
    )
    flipped = mean([blind(data, 0.2, s) for s in range(8)])
    assert down < min(norm(data), flipped)
    assert up > max(norm(data), flipped)


def test_more_steps_go_further():
    data = csbm(nodes=150, degree=8, seed=2)
    few, many = (flipped_norms(SpectralPerturbation("lower", 0.3, steps), data) for steps in (1, 30))
    assert many < few


# --- the distance of the spectra ---------------------------------------------------------------------------------------


def test_the_spectrum_moves_further_than_by_blind_flips():
    data = karate()
    before = torch.linalg.eigvalsh(laplacian(adjacency(data)))

    def distance(view):
        return float((torch.linalg.eigvalsh(laplacian(adjacency(view))) - before).square().sum())

    found = np.mean([distance(SpectralShift(0.2)(data, generator(s))) for s in range(10)])
    flipped = np.mean([distance(blind(data, 0.2, s)) for s in range(10)])
    assert found > 2 * flipped


def test_lanczos_gives_what_the_dense_decomposition_gives(monkeypatch):
    data, found = karate(), []
    for limit in (512, 0):
        monkeypatch.setattr(spectrum, "_DENSE", limit)
        # 17 at each end are all eigenvalues of 34 nodes
        found.append(SpectralShift(0.2, k=17)._flips(data, generator()))
    torch.testing.assert_close(found[0].drop, found[1].drop, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(found[0].add, found[1].add, rtol=1e-7, atol=1e-7)
    assert found[0].drop.max() > 0.1


def test_lanczos_finds_both_ends_with_their_multiplicities():
    # two copies of a graph have each eigenvalue twice
    part = csbm(nodes=300, degree=8, seed=3)
    edges = torch.cat([part.edge_index, part.edge_index + 300], 1)
    data = Data(edge_index=edges, num_nodes=600)
    pairs, *_ = candidates(data)
    entries, diagonal = pairs.laplacian(pairs.present(torch.zeros_like(pairs.weight)))
    ((rows, nodes),) = pairs.by_graph()
    found, vectors = spectrum._Spectrum.of(pairs, rows, nodes, 4).eigenpairs(entries, diagonal)
    matrix = laplacian(adjacency(data))
    values = torch.linalg.eigvalsh(matrix)
    expected = torch.cat([values[:4], values[-4:]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-10)
    assert (matrix @ vectors - vectors * found).norm(dim=0).max() < 0.1


def test_lanczos_survives_a_graph_with_two_eigenvalues():
    n = 520
    data = Data(edge_index=torch.cartesian_prod(torch.arange(n), torch.arange(n)).T, num_nodes=n)
    data.edge_index = data.edge_index[:, data.edge_index[0] != data.edge_index[1]]
    pairs, *_ = candidates(data, 0.0)
    entries, diagonal = pairs.laplacian(pairs.present(torch.zeros_like(pairs.weight)))
    ((rows, nodes),) = pairs.by_graph()
    found, _ = spectrum._Spectrum.of(pairs, rows, nodes, 3).eigenpairs(entries, diagonal)
    expected = torch.tensor([0.0, *[n / (n - 1)] * 5], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


# --- the budget --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 3), st.floats(0.1, 5.0))
@settings(deadline=None, max_examples=60)
def test_the_projection_is_the_nearest_point_within_the_budget(seed, count, graphs, scale):
    values = (draw(seed, count) - 0.3) * scale
    graph = torch.randint(graphs, (count,), generator=generator(seed + 1))
    budget = draw(seed + 2, graphs) * count / 3
    found = spectrum._within_budget(values, spectrum._Groups(graph, graphs), budget)
    for number in range(graphs):
        mine = values[graph == number]
        least, most = 0.0, max(float(mine.max()), 0.0) if mine.numel() else 0.0
        if mine.clamp(0, 1).sum() > budget[number]:
            for _ in range(200):
                middle = (least + most) / 2
                least, most = (middle, most) if (mine - middle).clamp(0, 1).sum() > budget[number] else (least, middle)
        else:
            most = 0.0
        torch.testing.assert_close(found[graph == number], (mine - most).clamp(0, 1), rtol=1e-4, atol=1e-4)
        assert found[graph == number].sum() <= budget[number] * (1 + 1e-12)


@pytest.mark.parametrize("augmenter", [SpectralPerturbation("raise"), SpectralPerturbation("lower"), SpectralShift()])
@pytest.mark.parametrize("directed", [False, True])
def test_the_expected_number_of_flips_is_within_the_budget(augmenter, directed):
    data = random_graph(1, 40, 200, directed=directed)
    proper = int((data.edge_index[0] != data.edge_index[1]).sum()) // (1 if directed else 2)
    for rate in (0.1, 0.2, 0.6, 1.0):
        flips = augmenter.replace(budget=rate)._flips(data, generator())
        apart = data.edge_index[0] != data.edge_index[1]
        expected = float(flips.drop[apart].sum()) / (1 if directed else 2) + float(flips.add.sum())
        assert expected <= rate * proper + 1e-9
        assert rate > 0.2 or expected > 0.5 * rate * proper
        assert float(flips.drop[~apart].abs().max()) == 0.0
        assert 0 <= float(flips.drop.min()) <= float(flips.drop.max()) <= 1
    # and so is the number of flips itself, but for four standard deviations
    views = [augmenter.replace(budget=0.2)(data, generator(s)) for s in range(40)]
    there = {tuple(pair) for pair in data.edge_index.T.tolist()}
    counts = [len(there ^ {tuple(pair) for pair in view.edge_index.T.tolist()}) for view in views]
    counts = np.array(counts) / (1 if directed else 2)
    assert counts.mean() <= 0.2 * proper + 4 * (0.2 * proper / 40) ** 0.5


def test_each_graph_of_a_batch_has_its_budget():
    graphs = [csbm(nodes=20 + 10 * s, degree=4 + s, seed=s) for s in range(4)]
    batch = Batch.from_data_list(graphs)
    flips = SpectralPerturbation("lower", 0.3)._flips(batch, generator())
    for number, graph in enumerate(graphs):
        mine = batch.batch[batch.edge_index[0]] == number
        total = float(flips.drop[mine].sum()) / 2 + float(flips.add[batch.batch[flips.absent[0]] == number].sum())
        assert 0.2 * graph.num_edges / 2 < total <= 0.3 * graph.num_edges / 2 + 1e-9


# --- emphasis ----------------------------------------------------------------------------------------------------------


def amplitudes(view, data):
    """Frequencies of the graph, and by what their amplitudes differ in the view."""
    before = normalised(with_loops(adjacency(data)))
    values, vectors = torch.linalg.eigh(torch.eye(len(before), dtype=torch.float64) - before)
    change = normalised(adjacency(view)) - before
    return values, (vectors * (change @ vectors)).sum(0)


EMPHASES = [(HighFrequencyEmphasis, 1.0), (LowFrequencyEmphasis, -1.0)]


@pytest.mark.parametrize(("cls", "sign"), EMPHASES)
@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("graph", ["karate", "homophilic", "heterophilic", "weighted"])
def test_amplitudes_change_at_the_high_frequencies(cls, sign, strength, graph):
    data = {
        "karate": karate,
        "homophilic": lambda: csbm(nodes=200, degree=8, seed=0),
        "heterophilic": lambda: csbm(nodes=200, degree=8, homophily=0.1, seed=0),
        "weighted": lambda: random_graph(5, 80, 400),
    }[graph]()
    frequencies, change = amplitudes(cls(strength)(data), data)
    change = sign * change
    third = len(change) // 3
    low, middle, high = change[:third].mean(), change[third:-third].mean(), change[-third:].mean()
    assert low < middle < high
    assert high > 1.5 * low > 0
    assert abs(float(change[0])) < 1e-6  # the lowest frequency is the degrees', which stay
    assert np.corrcoef(frequencies, change)[0, 1] > 0.7


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 40), st.sampled_from(EMPHASES), st.floats(0.05, 3.0))
@settings(deadline=None, max_examples=40)
def test_degrees_edges_and_symmetry_stay(seed, n, count, emphasis, smoothing):
    data = random_graph(seed, n, count)
    if data.num_edges == 0:
        return
    before = with_loops(adjacency(data))
    view = emphasis[0](0.8, smoothing)(data)
    after = adjacency(view)
    assert torch.equal(after, after.T)
    assert after.min() >= 0
    assert torch.equal((before > 0) | torch.eye(n, dtype=torch.bool), (after > 0) | torch.eye(n, dtype=torch.bool))
    torch.testing.assert_close(after.sum(1), before.sum(1), rtol=1e-9, atol=1e-9)


def dense_recipe(matrix, smoothing):
    """SpCo's change of the adjacency: two plans over all pairs, their difference at edges and loops, normalised."""
    n, degree = len(matrix), matrix.sum(1)
    marginal, cost = degree / degree.sum(), laplacian(matrix)
    plans = [torch.full((n, n), 0.5, dtype=torch.float64)] * 2
    for _ in range(3):
        for number, sign in enumerate((1.0, -1.0)):
            kernel = torch.exp(sign * 2 * (cost * plans[number]).sum() * cost / smoothing)
            left = torch.full((n,), 1 / n, dtype=torch.float64)
            for _ in range(2):
                left = marginal / (kernel @ (marginal / (kernel.T @ left)))
            plans[number] = left[:, None] * kernel * (marginal / (kernel.T @ left))
    change = (plans[0] - plans[1]) * ((matrix > 0) | torch.eye(n, dtype=torch.bool))
    root = change.abs().sum(1).clamp(min=1e-300).rsqrt()
    return root[:, None] * change * root


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_the_change_is_much_like_that_of_the_dense_recipe(smoothing):
    data = karate()
    matrix = adjacency(data)
    theirs = dense_recipe(matrix, smoothing)
    ours = normalised(adjacency(HighFrequencyEmphasis(1.0)(data))) - normalised(with_loops(matrix))
    scope = with_loops(matrix) > 0
    assert np.corrcoef(theirs[scope], ours[scope])[0, 1] > 0.95


def kullback(plan, base):
    some = base > 0
    return float((plan[some] * (plan[some].clamp(min=1e-300) / base[some]).log()).sum())


@pytest.mark.parametrize(("cls", "sign"), EMPHASES)
@pytest.mark.parametrize("smoothing", [0.3, 1.0])
def test_the_plan_is_the_best_one(cls, sign, smoothing):
    data = random_graph(2, 12, 40)
    base = with_loops(adjacency(data))
    cost = sign * (torch.eye(len(base), dtype=torch.float64) - normalised(base))
    plan = adjacency(cls(1.0, smoothing, 500)(data))

    def value(matrix):
        return float((cost * matrix).sum()) - smoothing * kullback(matrix, base)

    best = value(plan)
    assert best > value(base) + 1e-3
    assert float((cost * plan).sum()) > float((cost * base).sum())
    # moves around a square of entries keep all sums
    drawn = torch.Generator().manual_seed(0)
    for _ in range(300):
        move = torch.zeros_like(plan)
        u, v = torch.randint(len(plan), (2,), generator=drawn).tolist()
        if u == v or base[u, v] == 0:
            continue
        move[u, v] = move[v, u] = 1.0
        move[u, u] = move[v, v] = -1.0
        for step in (1e-3, -1e-3):
            moved = plan + step * move
            if moved.min() >= 0:
                assert value(moved) < best + 1e-9


def test_the_plan_of_a_directed_graph_has_its_marginals():
    data = random_graph(4, 15, 80, directed=True)
    before = with_loops(adjacency(data))
    after = adjacency(HighFrequencyEmphasis(1.0, 0.5, 300)(data))
    torch.testing.assert_close(after.sum(1), before.sum(1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(after.sum(0), before.sum(0), rtol=1e-6, atol=1e-6)


# --- low rank ----------------------------------------------------------------------------------------------------------


def decaying(n=60, directed=False):
    """A graph of groups of different density, whose leading singular values are well apart."""
    centres = torch.tensor([0.0, 1.0, 2.5, 4.5])
    place = torch.repeat_interleave(centres, torch.tensor([24, 18, 12, 6]))[:n].double()
    weight = torch.exp(-((place[:, None] - place[None, :]) ** 2)) + 1e-3 * draw(0, n, n)
    weight = weight if directed else (weight + weight.T) / 2
    index = (weight > 0).nonzero().T
    return Data(edge_index=index.flip(0).contiguous(), edge_weight=weight[index[0], index[1]], num_nodes=n)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 5])
def test_factors_are_those_of_the_dense_decomposition(rank, directed):
    data = decaying(directed=directed)
    matrix = normalised(adjacency(data))
    values = torch.linalg.svdvals(matrix)
    left, singular, right = low_rank_factors(
        data.edge_index, data.num_nodes, rank, data.edge_weight, generator=generator()
    )
    # the leading four are apart, the fifth is of the noise
    torch.testing.assert_close(singular[:4], values[: min(rank, 4)], rtol=1e-4, atol=0)
    best = values[rank:].square().sum().sqrt()
    error = (left * singular @ right.T - matrix).norm()
    assert best <= error * (1 + 1e-9)
    assert error <= 1.03 * best
    for basis in (left, right):
        torch.testing.assert_close(basis.T @ basis, torch.eye(rank, dtype=torch.float64), rtol=0, atol=1e-8)


def test_the_reconstruction_of_a_graph_is_nearly_the_best_of_its_rank():
    for data in (karate(), csbm(nodes=150, degree=10, seed=0)):
        matrix = normalised(adjacency(data)).float()
        left, singular, right = low_rank_factors(data.edge_index, data.num_nodes, 8, generator=generator())
        best = torch.linalg.svdvals(matrix)[8:].square().sum().sqrt()
        assert (left * singular @ right.T - matrix).norm() < 1.02 * best


def test_users_and_items_are_one_directed_graph():
    ratings = (draw(1, 9, 6) < 0.5).double()
    user, item = ratings.nonzero().T
    left, singular, right = low_rank_factors(torch.stack([item + 9, user]), 15, 6, generator=generator())
    root = [degree.clamp(min=1).rsqrt() for degree in (ratings.sum(1), ratings.sum(0))]
    expected = root[0][:, None] * ratings * root[1]
    found = left * singular @ right.T
    torch.testing.assert_close(found[:9, 9:].double(), expected, rtol=0, atol=1e-5)
    found[:9, 9:] = 0
    assert found.abs().max() < 1e-5


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("k", [1, 4, 40])
def test_the_view_has_the_largest_entries(directed, k):
    data = random_graph(7, 30, 160, directed=directed, loops=False)
    values = torch.linalg.svd(normalised(adjacency(data)))
    dense = (values.U[:, :3] * values.S[:3]) @ values.Vh[:3]
    expected = torch.zeros_like(dense)
    masked = dense.clone().fill_diagonal_(-torch.inf)
    for v in range(30):
        chosen = masked[v].topk(min(k, 29)).indices
        expected[v, chosen] = dense[v, chosen]
    if not directed:
        expected = torch.maximum(expected, expected.T)
    expected = expected.clamp(min=0)
    view = LowRankView(rank=3, k=k, iterations=60)(data)
    torch.testing.assert_close(adjacency(view).double(), expected, rtol=0, atol=1e-5)


def test_each_graph_of_a_batch_has_its_own_factors():
    graphs = [csbm(nodes=n, degree=2, seed=n) for n in (9, 25, 12)]
    graphs.insert(1, Data(x=torch.ones(3, 64), edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.zeros(3)))
    view = LowRankView(rank=4, k=5, iterations=40)
    for one, other in itertools.zip_longest(view(Batch.from_data_list(graphs)).to_data_list(), graphs):
        alone = view(other)
        if other.num_edges == 0:
            assert one.num_edges == 0
            continue
        torch.testing.assert_close(adjacency(one), adjacency(alone), rtol=0, atol=1e-4)
