"""Views of fewer or more nodes against loops, networkx and PyG: which nodes, how often, and what they carry."""

import itertools
from collections import Counter

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.transforms import HalfHop as PygHalfHop
from torch_geometric.utils import k_hop_subgraph

from graphcl.augment import EgoNet, HalfHop, NodeDropout, RandomWalkSubgraph
from graphcl.augment.nodes import drawn_roots
from graphcl.errors import DataError, RequestError

EMPTY = torch.empty(2, 0, dtype=torch.long)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def edges(*pairs):
    return torch.tensor(pairs, dtype=torch.long).t().reshape(2, -1).contiguous()


def both(index):
    return torch.cat([index, index.flip(0)], 1)


def graph(index, n, **attributes):
    return Data(x=torch.rand(n, 3, generator=generator(n)), edge_index=index, n_id=torch.arange(n), **attributes)


def random_edges(n, count, seed):
    return torch.randint(n, (2, count), generator=generator(seed))


def path(n):
    return both(torch.stack([torch.arange(n - 1), torch.arange(n - 1) + 1]))


# --- NodeDropout -------------------------------------------------------------------------------------------------------


def test_the_node_that_is_left_is_any_in_each_graph_independently():
    batch = Batch.from_data_list([graph(path(3), 3), graph(EMPTY, 1), graph(path(4), 4)])
    counts, source = Counter(), generator(1)
    for _ in range(1200):
        counts[tuple(NodeDropout(1.0)(batch, source).n_id.tolist())] += 1
    cells = list(itertools.product(range(3), [0], range(4)))
    assert set(counts) <= set(cells)
    assert stats.chisquare([counts[cell] for cell in cells]).pvalue > 1e-3


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_nodes_go_independently_but_for_the_last_of_a_graph(rate):
    data, counts, source, repeats = graph(path(3), 3), Counter(), generator(2), 2000
    for _ in range(repeats):
        counts[tuple(NodeDropout(rate)(data, source).n_id.tolist())] += 1
    assert () not in counts
    expected = {}
    for subset in itertools.chain.from_iterable(itertools.combinations(range(3), size) for size in (1, 2, 3)):
        expected[subset] = (1 - rate) ** len(subset) * rate ** (3 - len(subset)) + (
            rate**3 / 3 if len(subset) == 1 else 0
        )
    assert abs(sum(expected.values()) - 1) < 1e-12
    assert stats.chisquare([counts[s] for s in expected], [repeats * p for p in expected.values()]).pvalue > 1e-3


def test_graphs_of_a_batch_lose_nodes_independently():
    batch, source = Batch.from_data_list([graph(path(30), 30)] * 2), generator(3)
    sizes = torch.stack([NodeDropout(0.5)(batch, source).ptr.diff() for _ in range(400)]).double()
    for column in sizes.t():
        assert abs(float(column.mean()) - 15) < 4 * (7.5 / 400) ** 0.5
    assert abs(stats.pearsonr(sizes[:, 0], sizes[:, 1])[0]) < 4 / 400**0.5


def test_graphs_without_nodes_stay_without():
    empty = Data(x=torch.empty(0, 3), edge_index=EMPTY, n_id=torch.empty(0, dtype=torch.long))
    assert NodeDropout(0.5)(empty, generator()).num_nodes == 0
    batch = Batch.from_data_list([graph(path(4), 4), empty, graph(path(2), 2), empty])
    for view in (NodeDropout(1.0), EgoNet(hops=1), RandomWalkSubgraph(length=1), HalfHop(1.0)):
        out = view(batch, generator())
        assert out.ptr.diff()[[1, 3]].tolist() == [0, 0]
        assert bool((out.ptr.diff()[[0, 2]] > 0).all())
        assert [part.num_nodes for part in out.to_data_list()] == out.ptr.diff().tolist()


def test_every_type_of_nodes_keeps_at_least_one():
    data = HeteroData()
    data["a"].x, data["b"].x = torch.ones(9, 1), torch.ones(1, 1)
    data["a", "to", "b"].edge_index = torch.stack([torch.arange(9), torch.zeros(9, dtype=torch.long)])
    out = NodeDropout(1.0)(data, generator())
    assert (out["a"].num_nodes, out["b"].num_nodes, out["a", "to", "b"].num_edges) == (1, 1, 1)


# --- EgoNet ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 14), st.integers(0, 40), st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=80)
def test_an_ego_net_is_what_pyg_and_networkx_find(n, count, seed, hops, roots):
    index = random_edges(n, count, seed)
    data = graph(index, n)
    chosen = drawn_roots(data, roots, generator(seed)).unique()
    out = EgoNet(roots=roots, hops=hops)(data, generator(seed))
    nodes, _, _, mask = k_hop_subgraph(chosen, hops, index, num_nodes=n)
    assert torch.equal(out.n_id, nodes)
    assert torch.equal(out.n_id[out.edge_index], index[:, mask])
    assert torch.equal(out.x, data.x[nodes])
    # networkx follows edges forwards: from the root, in the graph turned around
    turned = nx.DiGraph()
    turned.add_nodes_from(range(n))
    turned.add_edges_from(index.flip(0).t().tolist())
    found = set().union(*(nx.ego_graph(turned, root, radius=hops).nodes for root in chosen.tolist()))
    assert set(out.n_id.tolist()) == found


def test_an_ego_net_follows_messages_backwards():
    # 0 -> 1 -> 2 -> 3: node 2 hears 1 and 0, never 3
    sizes = Counter()
    for seed in range(40):
        out = EgoNet(hops=2)(graph(edges((0, 1), (1, 2), (2, 3)), 4), generator(seed))
        sizes[tuple(out.n_id.tolist())] += 1
    assert set(sizes) == {(0,), (0, 1), (0, 1, 2), (1, 2, 3)}


def test_roots_are_uniform_in_each_graph_and_drawn_with_repetition():
    batch = Batch.from_data_list([graph(EMPTY, 3), graph(EMPTY, 1), graph(EMPTY, 5)])
    draws = torch.stack([drawn_roots(batch, 2, generator(seed)) for seed in range(1500)])
    assert draws.shape == (1500, 6)
    first = draws[:, 0] * 3 + draws[:, 1]  # all nine pairs of the first graph, equals too
    assert stats.chisquare(first.bincount(minlength=9).numpy()).pvalue > 1e-3
    assert bool((draws[:, 2:4] == 3).all())
    last = (draws[:, 4] - 4) * 5 + draws[:, 5] - 4
    assert stats.chisquare(last.bincount(minlength=25).numpy()).pvalue > 1e-3


def test_an_ego_net_of_a_batch_is_one_of_each_graph():
    batch = Batch.from_data_list([graph(path(6), 6), graph(EMPTY, 2), graph(path(9), 9)])
    for seed in range(8):
        roots = drawn_roots(batch, 1, generator(seed)) - batch.ptr[:-1]
        parts = EgoNet(hops=2)(batch, generator(seed)).to_data_list()
        for n, root, part in zip((6, 2, 9), roots.tolist(), parts, strict=True):
            near = [root] if n == 2 else [node for node in range(n) if abs(node - root) <= 2]
            assert part.n_id.tolist() == near
            assert part.num_edges == 2 * (len(near) - 1)


# --- RandomWalkSubgraph ------------------------------------------------------------------------------------------------


def visits(index, n, length, teleport):
    """The probability of each set of visited nodes, by following all walks."""
    out = {u: [v for s, v in index.t().tolist() if s == u] for u in range(n)}
    walks = Counter({(root, root, frozenset({root})): 1 / n for root in range(n)})
    for _ in range(length):
        following = Counter()
        for (root, now, seen), share in walks.items():
            moves = Counter({root: teleport}) if out[now] else Counter({root: 1.0})
            for v in out[now]:
                moves[v] += (1 - teleport) / len(out[now])
            for v, step in moves.items():
                following[root, v, seen | {v}] += share * step
        walks = following
    total = Counter()
    for (_, _, seen), share in walks.items():
        total[seen] += share
    return {seen: share for seen, share in total.items() if share > 0}


WALKS = {
    "path": (path(4), 4),
    "directed, dead end, loop, parallel": (edges((0, 1), (0, 2), (0, 2), (1, 2), (2, 2), (1, 3)), 4),
    "unsorted, isolated node": (edges((3, 0), (1, 3), (0, 1), (1, 0), (0, 3)), 5),
}


@pytest.mark.parametrize("name", WALKS)
@pytest.mark.parametrize(("length", "teleport"), [(1, 0.0), (2, 0.0), (2, 0.5), (3, 0.3), (2, 1.0)])
def test_walks_visit_what_the_chain_of_their_steps_says(name, length, teleport):
    index, n = WALKS[name]
    expected, repeats = visits(index, n, length, teleport), 1200
    assert abs(sum(expected.values()) - 1) < 1e-12
    # many equal graphs are walked at once, each by itself
    batch = Batch.from_data_list([graph(index, n)] * 100)
    counts, source = Counter(), generator(length + int(10 * teleport))
    for _ in range(repeats // 100):
        out = RandomWalkSubgraph(length=length, teleport=teleport)(batch, source)
        counts.update(frozenset(nodes.tolist()) for nodes in out.n_id.split(out.ptr.diff().tolist()))
    assert set(counts) <= set(expected)
    if len(expected) > 1:
        observed, wanted = [counts[seen] for seen in expected], [repeats * share for share in expected.values()]
        assert stats.chisquare(observed, wanted).pvalue > 1e-4


@given(
    st.integers(1, 12), st.integers(0, 30), st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.0, 0.4, 1.0])
)
@settings(max_examples=60)
def test_what_a_walk_visits_can_be_reached_from_its_root(n, count, seed, length, teleport):
    index = random_edges(n, count, seed)
    data = graph(index, n)
    root = int(drawn_roots(data, 1, generator(seed)))
    out = RandomWalkSubgraph(length=length, teleport=teleport)(data, generator(seed))
    whole = nx.DiGraph(index.t().tolist())
    whole.add_nodes_from(range(n))
    nodes = out.n_id.tolist()
    assert root in nodes
    assert len(nodes) <= length + 1
    reached = nx.descendants(whole.subgraph(nodes), root) | {root}
    assert reached == set(nodes)
    induced = [pair for pair in index.t().tolist() if set(pair) <= set(nodes)]
    assert out.n_id[out.edge_index].t().tolist() == induced


def test_a_walk_that_always_returns_stays_at_its_root():
    for seed in range(10):
        out = RandomWalkSubgraph(roots=1, length=5, teleport=1.0)(graph(path(5), 5), generator(seed))
        assert out.num_nodes == 1


def test_several_walks_visit_more():
    ring = torch.stack([torch.arange(200), (torch.arange(200) + 1) % 200])
    one, many = (
        RandomWalkSubgraph(roots=roots, length=3)(graph(ring, 200), generator()).num_nodes for roots in (1, 20)
    )
    assert one == 4
    assert 40 < many <= 80


# --- HalfHop -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10), st.integers(0, 30), st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
@settings(max_examples=60)
def test_at_rate_one_it_is_pygs(n, count, seed, strength):
    index = random_edges(n, count, seed)
    ours = HalfHop(rate=1.0, strength=strength)(Data(x=torch.rand(n, 2, generator=generator(seed)), edge_index=index))
    theirs = PygHalfHop(alpha=strength, p=1.0)(Data(x=torch.rand(n, 2, generator=generator(seed)), edge_index=index))
    assert torch.equal(ours.edge_index, theirs.edge_index)
    assert torch.allclose(ours.x, theirs.x, atol=1e-6)
    assert torch.equal(ours.slow_node_mask, theirs.slow_node_mask)


def halved(data, drawn, strength):
    """The view by a loop over the edges: features of all nodes, edges as features of their ends, slow ones marked."""
    names = [("node", node) for node in range(data.num_nodes)]
    columns = []
    for e, (u, v) in enumerate(data.edge_index.t().tolist()):
        if v in drawn and u != v:
            names.append(("slow", e))
            columns += [(("node", u), ("slow", e), e), (("slow", e), ("node", v), e), (("node", v), ("slow", e), e)]
        else:
            columns.append((("node", u), ("node", v), e))
    return names, Counter(columns)


@pytest.mark.parametrize("as_batch", [False, True])
@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_only_edges_into_drawn_nodes_are_halved_and_carry_on(rate, as_batch):
    index = torch.cat([random_edges(8, 20, 3), edges((2, 2), (7, 7))], 1)
    one = graph(index, 8, edge_attr=torch.arange(22).view(-1, 1), edge_weight=torch.arange(22.0))
    one.y, one.train_mask, one.position = (
        torch.arange(8),
        torch.ones(8, dtype=torch.bool),
        torch.arange(8.0).view(-1, 1),
    )
    view = HalfHop(rate, strength=0.25)
    whole = view(Batch.from_data_list([one, one]) if as_batch else one, generator(5))
    parts = whole.to_data_list() if as_batch else [whole]
    seen = set()
    for part in parts:
        slow = torch.arange(part.num_nodes) >= 8
        target = part.n_id[slow]
        drawn = set(target.tolist())
        seen.add(frozenset(drawn))
        _, expected = halved(one, drawn, 0.25)
        # a slow node is known by the edge whose attributes lie around it
        edge_of = {}
        for (u, v), e in zip(part.edge_index.t().tolist(), part.edge_attr.flatten().tolist(), strict=True):
            for node in (u, v):
                if node >= 8:
                    assert edge_of.setdefault(node, e) == e
        named = [("node", node) if node < 8 else ("slow", edge_of[node]) for node in range(part.num_nodes)]
        found = Counter(
            (named[u], named[v], e)
            for (u, v), e in zip(part.edge_index.t().tolist(), part.edge_attr.flatten().tolist(), strict=True)
        )
        assert found == expected
        assert torch.equal(part.edge_weight, part.edge_attr.flatten().float())
        assert torch.equal(part.x[:8], one.x)
        sources = index[0, torch.tensor([edge_of[node] for node in range(8, part.num_nodes)])]
        assert torch.allclose(part.x[slow], 0.25 * one.x[sources] + 0.75 * one.x[target], atol=1e-6)
        assert part.y.tolist() == [*range(8), *[-1] * int(slow.sum())]
        assert part.train_mask.tolist() == (~slow).tolist()
        assert torch.equal(part.position[slow], one.position[target])
    if rate < 1:
        assert all(0 < len(drawn) < len(index[1].unique()) for drawn in seen)
    if as_batch:
        assert int(whole.slow_node_mask.sum()) == whole.num_nodes - 16
        assert torch.equal(whole.batch[whole.edge_index[0]], whole.batch[whole.edge_index[1]])
        assert len(seen) == (2 if rate < 1 else 1)


def test_nodes_are_drawn_at_the_rate():
    data = graph(path(400), 400)
    halves = [HalfHop(0.3)(data, generator(seed)).n_id[400:].unique().numel() / 400 for seed in range(20)]
    assert abs(sum(halves) / 20 - 0.3) < 4 * (0.3 * 0.7 / 8000) ** 0.5


def test_float_labels_and_labels_of_graphs_are_left_alone():
    data = graph(path(3), 3, y=torch.rand(3))
    assert torch.equal(HalfHop(1.0)(data, generator()).y[:3], data.y)
    batch = Batch.from_data_list([graph(path(3), 3, y=torch.tensor([5])), graph(path(4), 4, y=torch.tensor([6]))])
    assert HalfHop(1.0)(batch, generator()).y.tolist() == [5, 6]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_slow_nodes_have_the_type_of_the_others(dtype):
    data = Data(x=torch.tensor([[0.0], [2.0]], dtype=dtype), edge_index=edges((0, 1)))
    out = HalfHop(1.0)(data, generator())
    assert out.x.dtype == dtype
    assert out.x.flatten().tolist() == [0.0, 2.0, 1.0]


def test_gradients_reach_both_ends_of_a_halved_edge():
    x = torch.rand(2, 1, requires_grad=True)
    out = HalfHop(1.0, strength=0.25)(Data(x=x, edge_index=edges((0, 1))), generator())
    assert torch.autograd.grad(out.x[2].sum(), x)[0].flatten().tolist() == [0.25, 0.75]


def test_whole_numbers_are_refused_by_name():
    data = Data(x=torch.ones(2, 1, dtype=torch.long), edge_index=edges((0, 1)))
    with pytest.raises(DataError, match=r"^HalfHop: data\.x is torch\.int64"):
        HalfHop()(data)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: EgoNet(roots=0), "EgoNet.roots"), (lambda: EgoNet(hops=0), "EgoNet.hops"),
        (lambda: EgoNet(hops=2.0), "EgoNet.hops"), (lambda: RandomWalkSubgraph(length=0), "RandomWalkSubgraph.length"),
        (lambda: RandomWalkSubgraph(teleport=1.1), "RandomWalkSubgraph.teleport"), (lambda: HalfHop(strength=-0.1), "HalfHop.strength"),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused_by_name(build, field):
    with pytest.raises(RequestError, match=rf"^{field} = "):
        build()
