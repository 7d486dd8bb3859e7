"""Views made by their spectrum: what stays, what belongs together, what is remembered, what is refused."""

import copy

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphcl.augment import (
    HighFrequencyEmphasis,
    LowFrequencyEmphasis,
    LowRankView,
    SpectralPerturbation,
    SpectralShift,
    emphasis,
    low_rank,
    low_rank_factors,
    spectrum,
)
from graphcl.data.block_model import csbm
from graphcl.errors import DataError, RequestError
from graphcl.graph import check_graph
from graphcl.hashing import is_undirected

FLIPPING = [SpectralPerturbation("raise", 0.3), SpectralPerturbation("lower", 0.3), SpectralShift(0.3)]
STILL = [HighFrequencyEmphasis(), LowFrequencyEmphasis(), LowRankView(k=6)]
ALL = FLIPPING + STILL


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def graph(seed=0, n=30, pairs=80, directed=False, weight=True):
    index = torch.randint(n - 1, (2, pairs), generator=generator(seed))
    index = torch.unique(index[:, index[0] < index[1]], dim=1)
    loops = torch.tensor([[0, 3], [0, 3]])
    number = torch.arange(index.size(1) + 2, dtype=torch.float)
    if directed:
        index, number = torch.cat([index, loops], 1), number
    else:
        index, number = torch.cat([index, index.flip(0), loops], 1), torch.cat([number[:-2], number[:-2], number[-2:]])
    data = Data(x=torch.randn(n, 4, generator=generator(seed)), edge_index=index, edge_attr=number[:, None])
    if weight:
        data.edge_weight = (number * 7919 % 13 + 1) / 4
    return data


def tensors(data):
    return {name: value for name, value in data.to_dict().items() if isinstance(value, torch.Tensor)}


def same(a, b):
    mine, other = tensors(a), tensors(b)
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def forget():
    for module in (spectrum, emphasis, low_rank):
        module._SEEN.items = ()


@pytest.mark.parametrize("augmenter", ALL, ids=repr)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weight", [False, True])
def test_a_view_is_a_usable_graph_and_the_input_stays(augmenter, directed, weight):
    data = graph(directed=directed, weight=weight)
    before, state = copy.deepcopy(data), torch.get_rng_state()
    view = augmenter(data, generator())
    assert same(before, data)
    assert torch.equal(state, torch.get_rng_state())
    check_graph(view)
    assert view.num_nodes == data.num_nodes
    assert not same(view, data)
    if view.get("edge_weight") is not None:
        assert view.edge_weight.dtype == data.x.dtype
    if not directed:
        assert is_undirected(view.edge_index)
        if view.get("edge_weight") is not None:
            # to the bit
            held = {tuple(e): float(w) for e, w in zip(view.edge_index.T.tolist(), view.edge_weight, strict=True)}
            assert len(held) == view.num_edges
            assert all(held[v, u] == w for (u, v), w in held.items())


@pytest.mark.parametrize("augmenter", ALL, ids=repr)
def test_what_was_seen_before_changes_nothing(augmenter):
    graphs = [graph(0), graph(1), graph(0, directed=True), Batch.from_data_list([graph(0), graph(1)])]
    # the same edges with other weights, and with nodes in another graph of a batch
    graphs.append(copy.copy(graphs[0]))
    graphs[-1].edge_weight = graphs[0].edge_weight.flip(0) + 0.5
    graphs.append(copy.copy(graphs[0]))
    del graphs[-1].edge_weight
    # what is remembered of large graphs
    graphs += [graph(4, n=300, pairs=500), graph(5, n=300, pairs=500, weight=False)]
    graphs.append(copy.copy(graphs[-2]))
    graphs[-1].edge_weight = graphs[-1].edge_weight.flip(0) + 0.5
    views = []
    for data in graphs:
        forget()
        views.append(augmenter(data, generator(3)))
    forget()
    for _ in range(2):
        for data, view in zip(graphs, views, strict=True):
            assert same(augmenter(data, generator(3)), view)


def test_nodes_of_another_graph_are_not_remembered_as_those_of_one():
    # one edge set, cut in two ways
    parts = [Data(x=torch.ones(n, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])) for n in (300, 301, 302)]
    first, second = Batch.from_data_list([parts[0], parts[2]]), Batch.from_data_list([parts[1], parts[1]])
    second.edge_index = first.edge_index.clone()
    second.edge_index[:, 4:] += 1
    for augmenter in ALL:
        forget()
        fresh = augmenter(second, generator())
        augmenter(first, generator())
        assert same(augmenter(second, generator()), fresh)


@pytest.mark.parametrize("augmenter", [*FLIPPING, *STILL], ids=repr)
def test_a_graph_changed_in_place_is_another_graph(augmenter):
    data = graph(n=300, pairs=500)
    augmenter(data, generator())
    data.edge_weight.mul_(torch.linspace(0.1, 2, data.num_edges // 2 + 1).repeat(2)[: data.num_edges])
    view = augmenter(data, generator())
    forget()
    assert same(view, augmenter(data, generator()))


@pytest.mark.parametrize("augmenter", STILL, ids=repr)
def test_a_view_changed_in_place_spoils_no_other(augmenter):
    data = graph()
    first = augmenter(data)
    kept = copy.deepcopy(first)
    first.edge_index.zero_()
    first.edge_weight.zero_()
    assert same(augmenter(data), kept)


@pytest.mark.parametrize("augmenter", FLIPPING, ids=repr)
def test_another_generator_gives_another_view(augmenter):
    data = graph()
    views = [augmenter(data, generator(s)) for s in range(6)]
    assert len({view.edge_index.numpy().tobytes() for view in views}) > 1
    assert same(views[2], augmenter(data, generator(2)))


@pytest.mark.parametrize("augmenter", STILL, ids=repr)
def test_nothing_is_random(augmenter):
    assert same(augmenter(graph(), generator(1)), augmenter(graph(), generator(2)))


@pytest.mark.parametrize("augmenter", ALL, ids=repr)
def test_a_batch_can_be_taken_apart(augmenter):
    graphs = [graph(0, weight=False), Data(x=torch.ones(1, 4), edge_index=torch.empty(2, 0, dtype=torch.long))]
    graphs[1].edge_attr = torch.empty(0, 1)
    graphs += [graph(2, n=12, pairs=20, weight=False), graph(3, directed=True, weight=False)]
    view = augmenter(Batch.from_data_list(graphs), generator())
    assert torch.equal(view.batch[view.edge_index[0]], view.batch[view.edge_index[1]])
    parts = view.to_data_list()
    assert sum(part.num_edges for part in parts) == view.num_edges
    for part, data in zip(parts, graphs, strict=True):
        assert part.num_nodes == data.num_nodes
        if part.num_edges:
            assert int(part.edge_index.max()) < data.num_nodes
        for name in ("edge_weight", "edge_attr"):
            assert part.get(name) is None or part[name].size(0) == part.num_edges
        assert part.get("edge_weight") is not None or view.get("edge_weight") is None


@pytest.mark.parametrize("augmenter", STILL, ids=repr)
def test_a_batch_is_its_graphs(augmenter):
    graphs = [graph(seed) for seed in range(3)]
    parts = augmenter.replace(iterations=40)(Batch.from_data_list(graphs)).to_data_list()
    for part, data in zip(parts, graphs, strict=True):
        alone = augmenter.replace(iterations=40)(data)
        dense = [
            torch.zeros(30, 30).index_put(tuple(g.edge_index), g.edge_weight, accumulate=True) for g in (part, alone)
        ]
        torch.testing.assert_close(*dense, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("augmenter", ALL, ids=repr)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_graph_without_edges_stays_as_it_is(augmenter, n):
    data = Data(x=torch.ones(n, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
    out = augmenter(data, generator())
    # those that weigh edges give weights to none, so that lists of views can be put into a batch
    if "edge_weight" in out:
        assert out.edge_weight.shape == (0,)
        del out["edge_weight"]
    assert same(out, data)


@pytest.mark.parametrize("augmenter", ALL, ids=repr)
@pytest.mark.parametrize(
    "edges",
    [[[0], [0]], [[0, 1], [1, 0]], [[0], [1]], [[0, 1, 0, 1], [1, 0, 1, 0]], [[0, 0, 1, 2], [0, 0, 2, 1]]],
    ids=str,
)
@pytest.mark.parametrize("zero", [False, True])
def test_tiny_graphs(augmenter, edges, zero):
    edges = torch.tensor(edges)
    data = Data(x=torch.ones(int(edges.max()) + 1, 2), edge_index=edges)
    if zero:
        data.edge_weight = torch.zeros(edges.size(1))
    view = augmenter(data, generator())
    check_graph(view)
    assert not is_undirected(edges) or is_undirected(view.edge_index)


@pytest.mark.parametrize("augmenter", FLIPPING, ids=repr)
def test_complete_graphs_and_rates_at_the_ends(augmenter):
    index = torch.triu_indices(6, 6, offset=1)
    data = Data(x=torch.ones(6, 1), edge_index=torch.cat([index, index.flip(0)], 1))
    assert same(augmenter.replace(budget=0.0)(data, generator()), data)
    view = augmenter.replace(budget=1.0)(data, generator())
    assert view.num_edges <= data.num_edges
    check_graph(view)


@pytest.mark.parametrize("augmenter", FLIPPING, ids=repr)
@pytest.mark.parametrize("directed", [False, True])
def test_loops_and_lonely_nodes_stay_and_attributes_are_those_of_edges(augmenter, directed):
    data = graph(directed=directed)
    old = {tuple(e): float(a) for e, a in zip(data.edge_index.T.tolist(), data.edge_attr, strict=True)}
    weight_of = dict(zip(data.edge_attr.flatten().tolist(), data.edge_weight.tolist(), strict=True))
    fresh = 0
    for seed in range(10):
        view = augmenter(data, generator(seed))
        new = {tuple(e): float(a) for e, a in zip(view.edge_index.T.tolist(), view.edge_attr, strict=True)}
        assert (0, 0) in new
        assert (3, 3) in new
        assert {u for u, v in new if u == v} == {0, 3}
        assert all(29 not in pair for pair in new)
        for pair, attribute in new.items():
            assert old.get(pair, attribute) == attribute
            assert directed or new[pair[::-1]] == attribute
        assert all(
            weight_of[a] == w for a, w in zip(view.edge_attr.flatten().tolist(), view.edge_weight.tolist(), strict=True)
        )
        fresh += len(new.keys() - old.keys())
    if augmenter != FLIPPING[0]:
        assert fresh > 0


def test_edges_go_as_often_as_they_should():
    data = csbm(nodes=300, degree=4, seed=0)
    augmenter, trials = SpectralPerturbation("lower", 0.3), 400
    flips = augmenter._flips(data, None)  # one for all views of a graph of this size
    n = data.num_nodes
    counts = torch.zeros(n * n, dtype=torch.float64)
    for seed in range(trials):
        view = augmenter(data, generator(seed))
        counts[view.edge_index[0] * n + view.edge_index[1]] += 1
    for pairs, chance in ((data.edge_index, 1 - flips.drop), (flips.absent, flips.add)):
        found = counts[pairs[0] * n + pairs[1]]
        spread = (trials * chance * (1 - chance)).sqrt()
        assert ((found - trials * chance).abs() <= 4.5 * spread + 1e-9).all()
        assert float(((found - trials * chance)[spread > 0] / spread[spread > 0]).square().mean()) == pytest.approx(
            1, abs=0.4
        )


def test_a_renumbered_graph_has_views_of_the_same_kind():
    data = csbm(nodes=80, degree=6, seed=1)
    order = torch.randperm(80, generator=generator(5))
    moved = Data(x=data.x, edge_index=order[data.edge_index])
    for augmenter in FLIPPING:
        sizes = [[augmenter(g, generator(s)).num_edges for s in range(12)] for g in (data, moved)]
        mean = [sum(size) / len(size) / data.num_edges for size in sizes]
        assert abs(mean[0] - mean[1]) < 0.06
    for augmenter in (HighFrequencyEmphasis(), LowFrequencyEmphasis(), LowRankView(k=5, iterations=60)):
        one, other = augmenter(data), augmenter(moved)
        dense = torch.zeros(80, 80).index_put(tuple(order[one.edge_index]), one.edge_weight, accumulate=True)
        found = torch.zeros(80, 80).index_put(tuple(other.edge_index), other.edge_weight, accumulate=True)
        torch.testing.assert_close(found, dense, rtol=0, atol=1e-4)


def test_the_candidates_do_not_depend_on_who_asks_first():
    data = graph(n=300, pairs=500)
    for augmenter in FLIPPING:
        forget()
        augmenter(data, generator(1))
        first = augmenter(data, generator(2))
        forget()
        assert same(augmenter(data, generator(2)), first)


@pytest.mark.parametrize("augmenter", STILL[:2], ids=repr)
def test_weights_of_emphasis_follow_those_of_the_graph(augmenter):
    data = graph()
    data.edge_weight = data.edge_weight.clone().requires_grad_()
    view = augmenter(data)
    view.edge_weight.sum().backward()
    assert data.edge_weight.grad is not None
    # whole numbers are weights too
    whole = graph()
    whole.edge_weight = (whole.edge_weight * 4).long()
    assert augmenter(whole).edge_weight.is_floating_point()
    scaled = augmenter(graph(weight=False))
    assert scaled.edge_weight.unique().numel() > 5
    assert same(augmenter.replace(strength=0.0)(graph()), graph())


def test_low_rank_views_have_no_loops_and_at_most_so_many_edges():
    data = graph(directed=True)
    view = LowRankView(k=3)(data)
    assert (view.edge_index[0] != view.edge_index[1]).all()
    assert torch.bincount(view.edge_index[1], minlength=30).max() <= 3
    assert view.edge_weight.min() > 0
    assert view.get("edge_attr") is None


def test_factors_of_graphs_smaller_than_the_rank():
    left, singular, right = low_rank_factors(torch.tensor([[0, 1], [1, 0]]), 2, 5)
    assert left.shape == right.shape == (2, 5)
    torch.testing.assert_close(singular, torch.tensor([1.0, 1, 0, 0, 0]))
    left, singular, right = low_rank_factors(torch.empty(2, 0, dtype=torch.long), 4, 2)
    assert singular.abs().max() == 0
    again = [low_rank_factors(graph().edge_index, 30, 3, generator=generator(7)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*again, strict=True))


def test_batches_of_very_different_sizes_are_not_padded(monkeypatch):
    graphs = [csbm(nodes=n, degree=2, seed=n) for n in (9, 120, 10)]
    batch = Batch.from_data_list(graphs)
    view = LowRankView(rank=3, k=4, iterations=40)
    padded = view(batch)
    seen = []
    once = low_rank._decomposed
    monkeypatch.setattr(low_rank, "_decomposed", lambda basis, thin: seen.append(basis.shape) or once(basis, thin))
    big = Batch.from_data_list([*graphs, *[csbm(nodes=6, classes=2, degree=1, seed=s) for s in range(700)]])
    alone = view(big)
    assert {shape[0] for shape in seen} == {1}
    first = alone.to_data_list()[:3]
    for one, other in zip(first, padded.to_data_list(), strict=True):
        dense = [torch.zeros(120, 120).index_put(tuple(g.edge_index), g.edge_weight) for g in (one, other)]
        torch.testing.assert_close(*dense, rtol=0, atol=1e-3)


@pytest.mark.parametrize("augmenter", ALL, ids=repr)
def test_negative_weights_are_refused(augmenter):
    data = graph()
    data.edge_weight = data.edge_weight.clone()
    data.edge_weight[3] = -1
    with pytest.raises(DataError, match=rf"{type(augmenter).__name__}: data.edge_weight is negative"):
        augmenter(data)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: SpectralPerturbation("up"), "direction"),
        (lambda: SpectralPerturbation(budget=1.5), "budget"),
        (lambda: SpectralShift(steps=0), "steps"),
        (lambda: SpectralShift(k=0), "k"),
        (lambda: HighFrequencyEmphasis(1.1), "strength"),
        (lambda: LowFrequencyEmphasis(smoothing=0.0), "smoothing"),
        (lambda: LowRankView(rank=0), "rank"),
        (lambda: LowRankView(k=0), "k"),
        (lambda: low_rank_factors(torch.empty(2, 0, dtype=torch.long), 2, 0), "rank"),
        (lambda: low_rank_factors(torch.tensor([[0], [1]]), 2, 1, torch.ones(2)), "edge_weight"),
        (lambda: low_rank_factors(torch.tensor([[0], [1]]), 2, 1, -torch.ones(1)), "edge_weight"),
    ],
)
def test_parameters_out_of_range_are_refused(build, name):
    with pytest.raises(RequestError, match=name):
        build()
