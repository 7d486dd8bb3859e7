"""Neighbourhoods of a random node."""

import itertools

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

from graphcl.augment.local import CommunitySubgraph, PPRSubgraph
from graphcl.errors import DataError, RequestError
from graphcl.ops import diffuse as engines
from graphcl.ops.diffuse import diffusion_reference, sweep_cut_reference
from graphcl.ops.kernels import Teleport
from graphcl.testing import check_augmenter

VIEWS = [PPRSubgraph(), CommunitySubgraph()]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def graph(nx_graph, **more):
    n = nx_graph.number_of_nodes()
    edges = torch.tensor(list(nx_graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=to_undirected(edges, num_nodes=n), n_id=torch.arange(n), num_nodes=n, **more)


def seed_of(n, seed):
    """The node that a view of one graph draws first."""
    return int(float(torch.rand(1, generator=generator(seed), dtype=torch.float64)) * n)


def importance(data, source, teleport, *, union=True):
    """p of the plain walk, by a dense inverse."""
    matrix = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.float64)
    weight = data.edge_weight.double() if "edge_weight" in data else torch.ones(data.num_edges).double()
    matrix.index_put_((data.edge_index[1], data.edge_index[0]), weight, accumulate=True)
    matrix = matrix + matrix.t() if union else matrix
    degree = matrix.sum(1)
    walk = torch.where(degree[:, None] > 0, matrix / degree.clamp(min=1e-300)[:, None], torch.eye(len(matrix)).double())
    p = teleport * torch.linalg.inv(torch.eye(len(matrix)).double() - (1 - teleport) * walk)[source]
    return p, torch.where(degree > 0, degree, 1.0), matrix


@pytest.mark.parametrize("view", [*VIEWS, PPRSubgraph(5, 0.5, 1e-3), CommunitySubgraph(10, 0.05)], ids=repr)
def test_the_contract_holds(view):
    assert len(check_augmenter(view)) > 20


@pytest.fixture(params=["expansion", "push"])
def engine(request, monkeypatch):
    monkeypatch.setattr(engines, "_FEW", 2**15 if request.param == "expansion" else 0)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["undirected", "directed", "weighted"])
@pytest.mark.usefixtures("engine")
def test_the_nodes_of_the_largest_importance_are_kept(seed, kind):
    data = graph(nx.gnp_random_graph(60, 0.06, seed=seed))
    g = generator(100 + seed)
    if kind != "undirected":
        data.edge_weight = torch.rand(data.num_edges, generator=g) + 0.1
    if kind == "directed":
        some = torch.rand(data.num_edges, generator=g) < 0.6
        data.edge_index, data.edge_weight = data.edge_index[:, some], data.edge_weight[some]
    out = PPRSubgraph(size=12, tolerance=1e-7)(data, generator(seed))
    source = seed_of(60, seed)
    p, _, _ = importance(data, source, 0.15)
    kept = out.n_id
    assert source in kept
    reached = int((p > 1e-9).sum())
    assert min(12, int((p > 1e-5).sum())) <= kept.numel() <= min(12, reached)
    rest = np.setdiff1d(np.arange(60), kept.numpy())
    others = kept[kept != source]
    if others.numel() and len(rest):
        assert p[others].min() >= p[rest].max() - 1e-5
    assert torch.equal(kept, kept.sort().values)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("engine")
def test_a_community_is_the_best_prefix_of_all(seed):
    data = graph(nx.gnp_random_graph(30, 0.1, seed=seed))
    source = seed_of(30, seed)
    p, degree, matrix = importance(data, source, 0.15)
    score = (p / degree).clone()
    score[source] = torch.inf
    order = [v for v in torch.argsort(-score).tolist() if p[v] > 1e-9]
    ordered = score[order]
    # the order is that of the exact p wherever p tells the nodes apart
    clear = bool((ordered[1:-1] - ordered[2:] > 1e-5).all())
    out = CommunitySubgraph(tolerance=1e-8)(data, generator(seed))
    matrix = matrix + torch.diag((matrix.sum(1) == 0).double())
    expected = sweep_cut_reference(matrix.tolist(), order)
    if clear:
        assert out.n_id.tolist() == sorted(expected)
    # by its conductance it is as good, whatever the order among equals
    inside = set(out.n_id.tolist())

    def conductance(nodes):
        rest = [v for v in range(30) if v not in nodes]
        cut = sum(float(matrix[u, v]) for u in nodes for v in rest)
        return cut / max(min(float(matrix[list(nodes)].sum()), float(matrix[rest].sum())), 1e-9)

    assert source in inside
    assert conductance(inside) <= conductance(set(expected)) + 1e-5


@pytest.mark.parametrize("bridge", [0, 3])
@pytest.mark.parametrize("seed", range(6))
def test_the_community_in_a_barbell_is_its_clique(bridge, seed):
    data = graph(nx.barbell_graph(8, bridge))
    out = CommunitySubgraph(teleport=0.05)(data, generator(seed))
    source = seed_of(16 + bridge, seed)
    clique = set(range(8)) if source < 8 else set(range(8 + bridge, 16 + bridge))
    if source in clique:
        assert set(range(8)) <= set(out.n_id.tolist()) or set(range(8 + bridge, 16 + bridge)) <= set(out.n_id.tolist())
        if bridge == 0:
            assert set(out.n_id.tolist()) == clique
            assert out.num_edges == 56


def test_the_communities_of_a_caveman_graph_are_its_caves():
    data = graph(nx.connected_caveman_graph(6, 7))
    for seed in range(10):
        out = CommunitySubgraph(size=10, teleport=0.1)(data, generator(seed))
        assert out.n_id.tolist() == list(range(out.n_id[0], out.n_id[0] + 7))
        assert seed_of(42, seed) in out.n_id
        assert out.n_id[0] % 7 == 0


def test_a_whole_component_is_the_best_community_there_is():
    data = graph(nx.disjoint_union(nx.complete_graph(5), nx.complete_graph(9)))
    for seed in range(6):
        out = CommunitySubgraph()(data, generator(seed))
        assert out.num_nodes == (5 if seed_of(14, seed) < 5 else 9)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_seeds_are_drawn_uniformly(view):
    # no edge at all: the seed is what is kept
    data = Data(x=torch.arange(8.0)[:, None], edge_index=torch.empty(2, 0, dtype=torch.long))
    source, counts = generator(1), torch.zeros(8)
    for _ in range(800):
        counts[int(view(data, source).x)] += 1
    # 4 standard deviations of a binomial number
    assert (counts - 100).abs().max() < 4 * (800 * (1 / 8) * (7 / 8)) ** 0.5


@pytest.mark.parametrize("view", [PPRSubgraph(4), CommunitySubgraph(4)], ids=repr)
def test_each_graph_of_a_batch_has_a_seed_and_a_neighbourhood(view):
    graphs = [graph(nx.path_graph(n), y=torch.tensor([n]), x=torch.full((n, 1), float(n))) for n in (1, 30, 2, 9, 1)]
    firsts = set()
    for seed in range(20):
        out = view(Batch.from_data_list(graphs), generator(seed))
        for one, member in zip(out.to_data_list(), graphs, strict=True):
            assert 1 <= one.num_nodes <= 4
            assert torch.equal(one.y, member.y)
            assert (one.x == member.x[0]).all()
            # a piece of a path
            assert torch.equal(one.n_id.diff(), torch.ones(one.num_nodes - 1, dtype=torch.long))
            assert one.num_edges == 2 * (one.num_nodes - 1)
        firsts.add(int(out.to_data_list()[1].n_id[0]))
    assert len(firsts) > 5


def test_what_lies_on_edges_goes_with_them():
    data = graph(nx.karate_club_graph())
    data.edge_attr = data.edge_index.t().clone()
    data.edge_weight = data.edge_index.sum(0).float() + 1
    data.train_mask = torch.arange(34) % 3 == 0
    for view, seed in itertools.product((PPRSubgraph(9), CommunitySubgraph(9)), range(5)):
        out = view(data, generator(seed))
        inside = out.n_id[out.edge_index]
        assert torch.equal(out.edge_attr, inside.t())
        assert torch.equal(out.edge_weight, inside.sum(0).float() + 1)
        assert torch.equal(out.train_mask, out.n_id % 3 == 0)
        # every edge between two kept nodes is there
        both = torch.isin(data.edge_index, out.n_id).all(0)
        assert out.num_edges == both.sum()


def test_a_directed_graph_is_walked_both_ways_and_keeps_its_edges():
    chain = torch.arange(20)
    data = Data(edge_index=torch.stack([chain, chain + 1]), n_id=torch.arange(21), num_nodes=21)
    seed = next(seed for seed in range(20) if 2 <= seed_of(21, seed) <= 18)
    out = PPRSubgraph(5)(data, generator(seed))
    source = seed_of(21, seed)
    assert out.n_id.tolist() == [source + step for step in (-2, -1, 0, 1, 2)]
    assert out.edge_index.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]


def test_the_seed_is_kept_where_it_is_not_the_most_important():
    # the hub of a star matters more to a leaf than the leaf itself
    data = graph(nx.star_graph(30))
    seed = next(seed for seed in range(20) if seed_of(31, seed) > 0)
    assert importance(data, seed_of(31, seed), 0.15)[0].argmax() == 0
    assert PPRSubgraph(1)(data, generator(seed)).n_id.tolist() == [seed_of(31, seed)]
    assert PPRSubgraph(2)(data, generator(seed)).n_id.tolist() == [0, seed_of(31, seed)]


def test_the_importance_is_that_of_the_diffusion_of_the_walk():
    data = graph(nx.gnp_random_graph(20, 0.2, seed=4))
    p, degree, _ = importance(data, 3, 0.15)
    exact = diffusion_reference(data.edge_index, 20, Teleport(0.15), self_loops=False)[3]
    torch.testing.assert_close(p, exact * (degree / degree[3]).sqrt())


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_graphs_without_nodes_pass(view):
    empty = torch.empty(2, 0, dtype=torch.long)
    assert view(Data(x=torch.ones(0, 1), edge_index=empty)).num_nodes == 0
    batch = Batch.from_data_list([Data(x=torch.ones(n, 1), edge_index=empty) for n in (0, 2, 0)])
    assert [one.num_nodes for one in view(batch, generator()).to_data_list()] == [0, 1, 0]


@pytest.mark.parametrize("cls", [PPRSubgraph, CommunitySubgraph])
@pytest.mark.parametrize(("name", "value"), [("size", 0), ("teleport", 0.0), ("teleport", 1.5), ("tolerance", 0.0)])
def test_parameters_out_of_range_are_refused(cls, name, value):
    with pytest.raises(RequestError, match=rf"{cls.__name__}\.{name} = {value}"):
        cls(**{name: value})


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_weights_no_walk_can_follow_are_refused(view):
    data = graph(nx.path_graph(4))
    data.edge_weight = -torch.ones(6)
    with pytest.raises(DataError, match=f"{type(view).__name__}: data.edge_weight is negative, first at edge 0"):
        view(data)
