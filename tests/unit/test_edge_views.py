"""Added, rewired and directed-dropped edges: which graphs come out, and how often."""

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch_geometric.data import Batch, Data, HeteroData

from graphcl.augment import EdgeAddition, EdgeDropout, EdgeRewiring, MessageDropout
from graphcl.errors import DataError
from graphcl.graph import is_symmetric
from graphcl.hashing import is_undirected
from graphcl.ops.pairs import contains, first_free, free_pairs, pair_codes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def edges(*pairs):
    return torch.tensor(pairs, dtype=torch.long).t().reshape(2, -1).contiguous()


def both(index):
    return torch.cat([index, index.flip(0)], 1)


def pairs_in(index):
    return list(map(tuple, index.t().tolist()))


def graph(index, n, **attributes):
    return Data(x=torch.arange(float(n)).view(-1, 1), edge_index=index, num_nodes=n, **attributes)


def random_graph(n, share, seed, *, directed):
    codes = torch.triu_indices(n, n, 1)
    if directed:
        codes = both(codes)
    codes = codes[:, torch.rand(codes.size(1), generator=generator(seed)) < share]
    codes = codes[:, torch.randperm(codes.size(1), generator=generator(seed))]
    return codes if directed else both(codes)


# --- EdgeAddition ------------------------------------------------------------------------------------------------------


@given(st.integers(2, 9), st.floats(0.05, 0.95), st.integers(0, 10**6), st.booleans(), st.sampled_from([0.1, 0.5, 1.0]))
@settings(max_examples=150)
def test_added_edges_are_new_different_and_no_loops(n, share, seed, directed, rate):
    index = random_graph(n, share, seed, directed=directed)
    loops = torch.arange(n)[torch.rand(n, generator=generator(seed)) < 0.3].repeat(2, 1)
    index = torch.cat([index, loops], 1)
    out = EdgeAddition(rate)(graph(index, n), generator(seed)).edge_index
    assert torch.equal(out[:, : index.size(1)], index)
    added = pairs_in(out[:, index.size(1) :])
    assert len(set(added)) == len(added)
    assert not set(added) & set(pairs_in(index))
    assert all(u != v for u, v in added)
    assert len(added) <= index.size(1) - loops.size(1)
    if is_undirected(index):
        assert is_undirected(out)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("n", [3, 6])
def test_a_complete_graph_has_no_room(n, directed):
    index = both(torch.triu_indices(n, n, 1))
    if directed:  # a loop's partner is itself: make it directed by doubling one edge
        index = torch.cat([index, index[:, :1]], 1)
    assert is_undirected(index) is not directed
    assert torch.equal(EdgeAddition(1.0)(graph(index, n), generator()).edge_index, index)


@pytest.mark.parametrize("missing", [1, 2, 5])
@pytest.mark.parametrize("directed", [False, True])
def test_a_nearly_complete_graph_is_completed(missing, directed):
    # one pair in 780 is free: draws hardly ever hit it, it has to be looked for
    n = 40
    full = torch.triu_indices(n, n, 1)
    order = torch.randperm(full.size(1), generator=generator(missing))
    gone, left = full[:, order[:missing]], full[:, order[missing:]]
    if directed:
        left = torch.cat([left, full.flip(0)], 1)
        assert not is_undirected(left)
    else:
        left = both(left)
    for seed in range(3):
        out = EdgeAddition(1.0)(graph(left, n), generator(seed)).edge_index
        added = pairs_in(out[:, left.size(1) :])
        expected = pairs_in(gone if directed else both(gone))
        assert sorted(added) == sorted(expected)


def test_rate_one_doubles_a_sparse_graph():
    index = both(torch.stack([torch.arange(50), (torch.arange(50) + 1) % 50]))
    out = EdgeAddition(1.0)(graph(index, 50), generator())
    assert out.num_edges == 200
    assert is_symmetric(out)
    directed = torch.stack([torch.arange(50), (torch.arange(50) + 1) % 50])
    assert EdgeAddition(1.0)(graph(directed, 50), generator()).num_edges == 100


def chi_square(counts, expected_cells):
    values = [counts[cell] for cell in expected_cells]
    assert sum(values) == sum(counts.values()), "something else than the expected was drawn"
    return stats.chisquare(values).pvalue


@pytest.mark.parametrize("directed", [False, True])
def test_every_pair_that_is_apart_is_as_likely(directed):
    index = edges((0, 1), (1, 2), (2, 3), (3, 4))
    index = index if directed else both(index)
    present = set(pairs_in(index))
    apart = [(u, v) for u, v in itertools.permutations(range(6), 2) if (u, v) not in present and (directed or u < v)]
    counts, source = Counter(), generator(1)
    for _ in range(1500):
        out = EdgeAddition(0.4)(graph(index, 6), source).edge_index[:, index.size(1) :]
        counts.update(pair for pair in pairs_in(out) if directed or pair[0] < pair[1])
    assert chi_square(counts, apart) > 1e-3


def test_every_set_of_pairs_is_as_likely_where_a_graph_is_nearly_full():
    # 10 pairs, 7 joined, 3 free; those who ask for more than one get any two of three, or all
    full = torch.triu_indices(5, 5, 1)
    left = both(full[:, :7])
    free = pairs_in(full[:, 7:])
    counts, source = Counter(), generator(3)
    for _ in range(900):
        out = EdgeAddition(0.3)(graph(left, 5), source).edge_index[:, 14:]
        counts[frozenset(pair for pair in pairs_in(out) if pair[0] < pair[1])] += 1
    for size, sets in ((1, 3), (2, 3)):
        some = {found: count for found, count in counts.items() if len(found) == size}
        assert len(some) == sets
        assert stats.chisquare(list(some.values())).pvalue > 1e-3
    # seven coins at 0.3: three or more of them fill the graph
    all_of_them = 1 - stats.binom.cdf(2, 7, 0.3)
    assert abs(counts[frozenset(free)] - 900 * all_of_them) < 4 * (900 * all_of_them * (1 - all_of_them)) ** 0.5


def test_the_number_of_added_edges_is_binomial_in_each_graph_of_a_batch():
    sizes = [(30, 12), (40, 25), (20, 1), (1, 0), (25, 0)]
    parts = []
    for number, (n, count) in enumerate(sizes):
        path = (
            torch.stack([torch.arange(count), torch.arange(count) + 1])
            if count
            else torch.empty(2, 0, dtype=torch.long)
        )
        parts.append(graph(both(path), n, y=torch.tensor([number])))
    batch, source, repeats = Batch.from_data_list(parts), generator(7), 400
    added = torch.zeros(repeats, len(sizes))
    for row in range(repeats):
        out = EdgeAddition(0.3)(batch, source)
        home = out.batch[out.edge_index]
        assert torch.equal(home[0], home[1])
        added[row] = (torch.bincount(home[0], minlength=5) - torch.tensor([2 * count for _, count in sizes])) / 2
    for column, (_, count) in zip(added.double().t(), sizes, strict=True):
        spread = count * 0.3 * 0.7
        assert abs(float(column.mean()) - 0.3 * count) <= 4 * (spread / repeats) ** 0.5
        if count > 1:
            assert stats.chi2.ppf(1e-4, repeats - 1) < float(column.var()) * (repeats - 1) / spread < stats.chi2.ppf(1 - 1e-4, repeats - 1)  # fmt: skip
    # graphs have coins of their own
    assert abs(stats.pearsonr(added[:, 0], added[:, 1])[0]) < 4 / repeats**0.5


@pytest.mark.parametrize("directed", [False, True])
def test_attributes_of_added_edges_are_distributed_like_those_there_were(directed):
    ring = torch.stack([torch.arange(60), (torch.arange(60) + 1) % 60])
    kind = torch.arange(60) % 3  # three kinds, equally often
    index, kind = (ring, kind) if directed else (both(ring), kind.repeat(2))
    weight = 1.0 + kind
    source, counts = generator(2), torch.zeros(3, dtype=torch.long)
    for _ in range(40):
        out = EdgeAddition(0.5)(graph(index, 60, edge_kind=kind, edge_weight=weight), source)
        assert torch.equal(out.edge_weight, 1.0 + out.edge_kind)
        assert is_symmetric(out) is not directed
        counts += out.edge_kind[index.size(1) :].bincount(minlength=3) // (1 if directed else 2)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_both_directions_of_an_added_edge_carry_the_same():
    ring = both(torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30]))
    weight = torch.rand(30, generator=generator()).repeat(2)
    out = EdgeAddition(1.0)(graph(ring, 30, edge_weight=weight, edge_attr=weight.view(-1, 1)), generator(1))
    lookup = dict(zip(pairs_in(out.edge_index), out.edge_weight.tolist(), strict=True))
    assert all(lookup[v, u] == value for (u, v), value in lookup.items())
    assert torch.equal(out.edge_attr[:, 0], out.edge_weight)


def test_loops_call_for_no_edges():
    loops = torch.arange(6).repeat(2, 1)
    assert EdgeAddition(1.0)(graph(loops, 6), generator()).num_edges == 6
    mixed = torch.cat([loops, edges((0, 1))], 1)  # directed: one proper edge
    assert EdgeAddition(1.0)(graph(mixed, 6), generator()).num_edges == 8


def test_the_opposite_direction_of_a_directed_edge_may_be_added():
    # of (0, 1) on two nodes only (1, 0) is free
    out = EdgeAddition(1.0)(graph(edges((0, 1)), 2), generator())
    assert out.edge_index.tolist() == [[0, 1], [1, 0]]


def test_pairs_as_numbers():
    index = edges((2, 1), (1, 2), (0, 0), (3, 0))
    assert pair_codes(index, 4, True).tolist() == [6, 6, 0, 3]
    assert pair_codes(index, 4, False).tolist() == [9, 6, 0, 12]
    taken = torch.tensor([0, 3, 3, 8])
    assert contains(taken, torch.tensor([0, 1, 3, 8, 9])).tolist() == [True, False, True, True, False]
    assert contains(taken[:0], torch.tensor([0, 1])).tolist() == [False, False]
    assert first_free(torch.tensor([5, 3, 5, 1, 1, 5]), taken).tolist() == [True, False, False, True, False, False]
    assert first_free(taken[:0], taken).shape == (0,)


@pytest.mark.parametrize("undirected", [False, True])
def test_free_pairs_serve_the_graphs_that_asked(undirected):
    batch = Batch.from_data_list(
        [graph(both(edges((0, 1))), 3), graph(torch.empty(2, 0, dtype=torch.long), 1), graph(both(edges((0, 1))), 4)]
    )
    wants = torch.tensor([2, 0, 2, 1, 2, 0, 2, 2, 2, 2, 0, 2, 2, 2, 2])
    pairs, served = free_pairs(batch, batch.edge_index, wants, undirected, generator())
    assert served.unique().numel() == served.numel()
    assert torch.equal(batch.batch[pairs[0]], wants[served])
    assert torch.equal(batch.batch[pairs[1]], wants[served])
    rooms = {0: 2, 1: 0, 2: 5} if undirected else {0: 4, 1: 0, 2: 10}
    asked = wants.bincount(minlength=3).tolist()
    assert wants[served].bincount(minlength=3).tolist() == [min(rooms[g], asked[g]) for g in range(3)]


# --- EdgeRewiring ------------------------------------------------------------------------------------------------------


def degrees(index, n):
    return index[0].bincount(minlength=n).tolist(), index[1].bincount(minlength=n).tolist()


@given(st.integers(2, 12), st.floats(0.05, 1.0), st.integers(0, 10**6), st.booleans(), st.sampled_from([0.3, 1.0]))
@settings(max_examples=150)
def test_all_degrees_stay_and_simple_graphs_stay_simple(n, share, seed, directed, rate):
    index = random_graph(n, share, seed, directed=directed)
    loops = torch.arange(n)[torch.rand(n, generator=generator(seed)) < 0.3].repeat(2, 1)
    index = torch.cat([index, loops], 1)
    out = EdgeRewiring(rate)(graph(index, n), generator(seed)).edge_index
    assert degrees(out, n) == degrees(index, n)
    found = pairs_in(out)
    assert len(set(found)) == len(found)
    # loops stay, in their places, and none comes in addition
    stays = index[0] == index[1]
    assert torch.equal(out[:, stays], index[:, stays])
    assert bool((out[0] != out[1])[~stays].all())
    if is_undirected(index):
        assert is_undirected(out)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=16),
    st.integers(0, 99),
    st.booleans(),
)
@settings(max_examples=150)
def test_parallel_edges_and_loops_pass(pairs, seed, undirected):
    index = both(edges(*pairs)) if undirected else edges(*pairs)
    out = EdgeRewiring(1.0)(graph(index, 5), generator(seed)).edge_index
    assert degrees(out, 5) == degrees(index, 5)
    assert is_undirected(out) is is_undirected(index)
    # no edge becomes more parallel than it was
    before, after = Counter(pairs_in(index)), Counter(pairs_in(out))
    assert all(count <= max(1, before[pair]) for pair, count in after.items())


def test_an_undirected_edge_keeps_its_attributes_in_both_directions():
    index = random_graph(30, 0.2, 1, directed=False)
    half = index.size(1) // 2
    number = torch.arange(half).repeat(2)
    order = torch.randperm(index.size(1), generator=generator(3))
    data = graph(index[:, order], 30, edge_number=number[order], edge_weight=1.0 + number[order])
    out = EdgeRewiring(1.0)(data, generator(1))
    assert torch.equal(out.edge_number, data.edge_number)
    lookup = dict(zip(pairs_in(out.edge_index), out.edge_number.tolist(), strict=True))
    assert all(lookup[v, u] == value for (u, v), value in lookup.items())
    # each takes one of its ends along, unless it has swapped more than once
    old = {e: set(pair) for pair, e in zip(pairs_in(data.edge_index), data.edge_number.tolist(), strict=True)}
    assert sum(bool(old[e] & set(pair)) for pair, e in lookup.items()) == len(lookup)


def test_a_directed_edge_keeps_its_source_or_its_target():
    index = random_graph(40, 0.1, 1, directed=True)
    out = EdgeRewiring(1.0)(graph(index, 40), generator(1)).edge_index
    kept = out == index
    assert bool(kept.any(0).all())
    assert float((~kept).any(0).double().mean()) > 0.9


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rate", [0.2, 0.6, 1.0])
def test_the_share_of_moved_edges_is_the_rate(rate, directed):
    # sparse: hardly any swap is refused
    index = random_graph(300, 0.02, 5, directed=directed)
    proper = index.size(1) if directed else index.size(1) // 2
    moved = []
    for seed in range(20):
        out = EdgeRewiring(rate)(graph(index, 300), generator(seed)).edge_index
        moved.append(float((out != index).any(0).double().mean()))
    # of an odd number of edges one waits for ever
    assert abs(sum(moved) / 20 - rate) < 4 * (rate * (1 - rate) / (20 * proper)) ** 0.5 + 1.5 / proper


def matchings(nodes):
    if not nodes:
        return [frozenset()]
    first, *rest = nodes
    return [one | {(first, other)} for other in rest for one in matchings([node for node in rest if node != other])]


def test_every_graph_with_the_degrees_is_reached_equally_often():
    # swaps of three disjoint edges walk over the 15 perfect matchings of six nodes, with a uniform limit
    data, source, counts = graph(both(edges((0, 1), (2, 3), (4, 5))), 6), generator(2), Counter()
    for _ in range(1500):
        for _ in range(3):
            data = EdgeRewiring(1.0)(data, source)
        counts[frozenset(pair for pair in pairs_in(data.edge_index) if pair[0] < pair[1])] += 1
    assert chi_square(counts, matchings(list(range(6)))) > 1e-4


def test_every_directed_graph_with_the_degrees_is_reached():
    # four sources, four targets: 24 ways to join them one to one
    data, source, counts = graph(edges((0, 4), (1, 5), (2, 6), (3, 7)), 8), generator(2), Counter()
    for _ in range(1200):
        for _ in range(4):
            data = EdgeRewiring(0.7)(data, source)
        order = torch.argsort(data.edge_index[0])
        counts[tuple(data.edge_index[1, order].tolist())] += 1
    assert chi_square(counts, list(itertools.permutations(range(4, 8)))) > 1e-4


def test_a_swap_is_drawn_from_both_ways_of_joining_four_ends():
    counts = Counter()
    for seed in range(600):
        out = EdgeRewiring(1.0)(graph(both(edges((0, 1), (2, 3))), 4), generator(seed)).edge_index
        counts[frozenset(pair for pair in pairs_in(out) if pair[0] < pair[1])] += 1
    assert chi_square(counts, [frozenset({(0, 2), (1, 3)}), frozenset({(0, 3), (1, 2)})]) > 1e-3


def test_where_nothing_can_be_swapped_nothing_is():
    complete, star, one = both(torch.triu_indices(5, 5, 1)), both(edges((0, 1), (0, 2), (0, 3))), both(edges((0, 1)))
    loops, triangle = torch.arange(4).repeat(2, 1), both(edges((0, 1), (1, 2), (2, 0)))
    for index in (complete, star, one, loops, triangle):
        assert torch.equal(EdgeRewiring(1.0)(graph(index, 5), generator()).edge_index, index)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("order", ["grouped", "first edge last", "shuffled"])
def test_edges_swap_within_their_graph_whatever_the_order_of_columns(directed, order):
    parts = [graph(random_graph(9, 0.3, seed, directed=directed), 9) for seed in range(4)]
    batch = Batch.from_data_list(parts)
    index = batch.edge_index
    if order == "first edge last":
        index = torch.cat([index[:, 1:], index[:, :1]], 1)
    elif order == "shuffled":
        index = index[:, torch.randperm(index.size(1), generator=generator(8))]
    # made by hand: PyG's own cuts would no longer be true
    batch = Batch(x=batch.x, edge_index=index, batch=batch.batch)
    for seed in range(4):
        out = EdgeRewiring(1.0)(batch, generator(seed)).edge_index
        assert torch.equal(batch.batch[out[0]], batch.batch[out[1]])
        assert degrees(out, 36) == degrees(index, 36)
        assert not torch.equal(out, index)


def test_rewiring_a_batch_is_rewiring_its_graphs():
    parts = [
        graph(both(edges((0, 1), (2, 3))), 4),
        graph(torch.empty(2, 0, dtype=torch.long), 2),
        graph(both(edges((0, 1), (2, 3))), 4),
    ]
    batch, counts = Batch.from_data_list(parts), Counter()
    for seed in range(500):
        out = EdgeRewiring(1.0)(batch, generator(seed))
        first, none, last = out.to_data_list()
        assert none.num_edges == 0
        counts[tuple(tuple(sorted(pair for pair in pairs_in(part.edge_index) if pair[0] < pair[1])) for part in (first, last))] += 1  # fmt: skip
    ways = [((0, 2), (1, 3)), ((0, 3), (1, 2))]
    assert chi_square(counts, list(itertools.product(ways, ways))) > 1e-3


# --- MessageDropout ----------------------------------------------------------------------------------------------------


def test_directions_and_parallel_edges_are_lost_independently():
    index = torch.cat([both(edges((0, 1))), edges((0, 1))], 1)
    counts, source = Counter(), generator(4)
    for _ in range(1600):
        out = MessageDropout(0.5)(graph(index, 2, edge_number=torch.arange(3)), source)
        counts[tuple(out.edge_number.tolist())] += 1
    subsets = [subset for size in range(4) for subset in itertools.combinations(range(3), size)]
    assert chi_square(counts, subsets) > 1e-3


@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_messages_are_lost_at_the_rate_and_edges_at_its_square(rate):
    index = both(torch.triu_indices(100, 100, 1))
    half = index.size(1) // 2
    lost, gone = 0, 0
    for seed in range(10):
        out = MessageDropout(rate)(graph(index, 100, edge_number=torch.arange(2 * half)), generator(seed))
        alive = torch.zeros(2 * half, dtype=torch.bool)
        alive[out.edge_number] = True
        lost += int((~alive).sum())
        gone += int((~alive[:half] & ~alive[half:]).sum())
    for count, trials, share in ((lost, 20 * half, rate), (gone, 10 * half, rate**2)):
        assert abs(count / trials - share) < 4 * (share * (1 - share) / trials) ** 0.5


def test_types_of_edges_without_edges_pass():
    data = HeteroData()
    data["a"].x, data["b"].x = torch.ones(3, 1), torch.ones(2, 1)
    data["a", "to", "b"].edge_index = torch.empty(2, 0, dtype=torch.long)
    data["b", "rev_to", "a"].edge_index = torch.empty(2, 0, dtype=torch.long)
    data["a", "by", "a"].edge_index = edges((0, 1), (1, 0), (2, 2))
    for view in (EdgeDropout(0.9), MessageDropout(0.9)):
        out = view(data, generator())
        assert out["a", "to", "b"].edge_index.shape == (2, 0)
        assert out.validate()
    with pytest.raises(DataError, match="EdgeAddition takes one kind of nodes and edges, got a HeteroData"):
        EdgeAddition()(data)
