"""Views: what is removed, how often, and what has to stay aligned."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from graphcl.augment import Chain, EdgeDropout, FeatureMask, FeatureShuffle
from graphcl.errors import DataError, RequestError
from graphcl.graph import is_symmetric, undirected_ids
from graphcl.hashing import edge_coins, edge_uniform


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def edges(*pairs):
    return torch.tensor(pairs, dtype=torch.long).t().reshape(2, -1).contiguous()


def both(index):
    return torch.cat([index, index.flip(0)], 1)


def grid(n):
    """All pairs below n: neighbouring ids, the hardest case for a hash."""
    return torch.triu_indices(n, n, offset=1)


def kept(index, rate, seed, n=None):
    """Which columns survive, told by an attribute that numbers them."""
    data = Data(edge_index=index, edge_number=torch.arange(index.size(1)), num_nodes=n or int(index.max()) + 1)
    out = EdgeDropout(rate)(data, generator(seed))
    mask = torch.zeros(index.size(1), dtype=torch.bool)
    mask[out.edge_number] = True
    assert torch.equal(out.edge_index, index[:, mask])
    return mask


# --- EdgeDropout: statistics -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_edges_are_removed_at_the_rate(rate):
    index = grid(100)
    removed = torch.stack([~kept(index, rate, seed) for seed in range(40)])
    trials = removed.numel()
    assert abs(removed.double().mean() - rate) < 4 * (rate * (1 - rate) / trials) ** 0.5
    # removals per view are binomial, no more regular and no less
    counts = removed.sum(1).double()
    dispersion = float(counts.var() / (index.size(1) * rate * (1 - rate)))
    low, high = (stats.chi2.ppf(q, 39) / 39 for q in (1e-4, 1 - 1e-4))
    assert low < dispersion < high


def test_each_edge_is_removed_as_often_as_any_other():
    index = grid(40)
    removed = torch.stack([~kept(index, 0.3, seed) for seed in range(500)]).sum(0).double()
    statistic = float(((removed - 150) ** 2 / (500 * 0.3 * 0.7)).sum())
    # a sum of 780 squared standard normals: neither favourites nor a too even hand
    assert stats.chi2.ppf(1e-4, 780) < statistic < stats.chi2.ppf(1 - 1e-4, 780)


def pair_statistic(first, second, rate):
    """Chi-square (1 degree of freedom) of the correlation of two rows of coins."""
    n = first.numel()
    correlation = ((first.double() - rate) * (second.double() - rate)).mean() / (rate * (1 - rate))
    return n * float(correlation) ** 2


LIMIT = stats.chi2.ppf(1 - 1e-5, 1)


@pytest.mark.parametrize("step", [1, 2, 3, 1 << 16, 1 << 32, 1 << 61])
def test_coins_of_two_seeds_are_independent(step, monkeypatch):
    index = grid(150)
    drawn = []
    for seed in (12345, 12345 + step):
        monkeypatch.setattr("graphcl.augment.edges.draw_seed", lambda _, seed=seed: seed)
        drawn.append(kept(index, 0.4, 0))
    assert pair_statistic(~drawn[0], ~drawn[1], 0.4) < LIMIT


def test_coins_of_many_pairs_of_seeds_are_independent():
    index = grid(60)
    rows = [~kept(index, 0.5, seed) for seed in range(30)]
    found = [pair_statistic(a, b, 0.5) for a, b in itertools.combinations(rows, 2)]
    assert stats.kstest(found, "chi2", args=(1,)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (lambda u, v: (u, v + 1), "next target"),
        (lambda u, v: (u + 1, v), "next source"),
        (lambda u, v: (u + 1, v + 1), "both next"),
        (lambda u, v: (u + 1, v - 1), "same sum"),
        (lambda u, v: (u, v + 64), "a power of two away"),
        (lambda u, v: (2 * u, 2 * v), "doubled"),
        (lambda u, v: (u ^ v, v), "same bits"),
        (lambda u, v: (u + 10_000_000, v + 10_000_000), "far away"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_coins_of_neighbouring_edges_are_independent(other, name):
    u, v = torch.meshgrid(torch.arange(100), torch.arange(200, 400), indexing="ij")
    u, v = u.flatten(), v.flatten()
    first, second = torch.stack([u, v]), torch.stack(other(u, v))
    for seed in range(3):
        a, b = (~kept(index, 0.5, seed) for index in (first, second))
        assert pair_statistic(a, b, 0.5) < LIMIT, name


def test_coins_of_a_star_are_independent():
    # every edge shares node 0: four of them together in all 16 outcomes equally often
    index = torch.stack([torch.zeros(40_000, dtype=torch.long), torch.arange(1, 40_001)])
    coins = (~kept(index, 0.5, 1)).long().view(-1, 4)
    counts = torch.bincount(coins @ torch.tensor([8, 4, 2, 1]), minlength=16)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_the_numbers_behind_the_coins_are_uniform():
    values = edge_uniform(grid(300), 7)
    assert values.dtype == torch.float64
    assert 0 <= values.min() < 1e-3 < 1 - 1e-3 < values.max() < 1
    assert stats.kstest(values.numpy(), "uniform").pvalue > 1e-3
    assert values.unique().numel() == values.numel()


def test_a_coin_says_whether_its_number_reaches_the_rate():
    index = grid(200)
    for rate in (0.0, 1e-9, 0.25, 0.3, 1 - 1e-9, 1.0):
        assert torch.equal(edge_coins(index, 11, rate), edge_uniform(index, 11) >= rate)


def test_a_higher_rate_removes_more_of_the_same():
    index = grid(50)
    few, many = kept(index, 0.2, 3), kept(index, 0.6, 3)
    assert (few | ~many).all()
    assert many.sum() < few.sum()


# --- EdgeDropout: what belongs together --------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_both_directions_and_parallel_edges_share_their_fate(seed, pairs):
    index = both(edges(*pairs))
    mask = kept(index, 0.5, seed, n=10)
    fate = {}
    for (u, v), alive in zip(index.t().tolist(), mask.tolist(), strict=True):
        assert fate.setdefault(frozenset((u, v)), alive) == alive


def test_an_undirected_graph_stays_undirected():
    index = both(grid(30))
    for seed in range(5):
        out = EdgeDropout(0.5)(Data(edge_index=index, num_nodes=30), generator(seed))
        assert is_symmetric(out)
        assert 0 < out.num_edges < index.size(1)


def test_a_directed_graph_stays_directed():
    index = grid(20)
    out = EdgeDropout(0.3)(Data(edge_index=index, num_nodes=20), generator())
    assert (out.edge_index[0] < out.edge_index[1]).all()


def test_the_fate_of_an_edge_does_not_hang_on_the_others():
    # the coin is a hash of the two ends: a subgraph meets the same fate, in any order
    index = grid(30)
    order = torch.randperm(index.size(1), generator=generator(9))[:200]
    assert torch.equal(kept(index[:, order], 0.5, 4, n=30), kept(index, 0.5, 4)[order])


def carrying():
    """Everything on an edge tells its ends: weight 10u + v and so on. N = 12, an isolated last node."""
    index = both(grid(11))
    low, high = index.min(0).values, index.max(0).values
    return Data(
        x=torch.arange(12.0).view(-1, 1),
        edge_index=index,
        edge_weight=(100 * low + high).float(),
        edge_attr=torch.stack([index[0], index[1]], 1).float(),
        kind=undirected_ids(index, 12),
        y=torch.arange(12),
        train_mask=torch.arange(12) < 5,
        name="carried",
        alpha=0.5,
    )


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_what_lies_on_an_edge_goes_with_it(rate):
    data = carrying()
    out = EdgeDropout(rate)(data, generator(1))
    u, v = out.edge_index
    assert 0 < out.num_edges < data.num_edges
    assert torch.equal(out.edge_attr, torch.stack([u, v], 1).float())
    assert torch.equal(out.edge_weight, (100 * torch.minimum(u, v) + torch.maximum(u, v)).float())
    lookup = {
        frozenset(pair): kind for pair, kind in zip(data.edge_index.t().tolist(), data.kind.tolist(), strict=True)
    }
    assert out.kind.tolist() == [lookup[frozenset(pair)] for pair in out.edge_index.t().tolist()]


def test_what_lies_on_a_node_stays():
    data = carrying()
    out = EdgeDropout(0.5)(data, generator(1))
    for name in ("x", "y", "train_mask"):
        assert torch.equal(out[name], data[name])
    assert (out.name, out.alpha, out.num_nodes) == ("carried", 0.5, 12)


def test_as_many_edges_as_nodes_is_no_trap():
    # a ring: E = N, and node and edge tensors have the same length
    index = torch.stack([torch.arange(8), (torch.arange(8) + 1) % 8])
    data = Data(
        x=torch.eye(8),
        edge_index=index,
        y=torch.arange(8),
        edge_weight=index[0].float(),
        train_mask=torch.ones(8).bool(),
    )
    out = EdgeDropout(0.5)(data, generator(2))
    assert 0 < out.num_edges < 8
    assert torch.equal(out.edge_weight, out.edge_index[0].float())
    assert torch.equal(out.y, data.y)
    assert torch.equal(out.train_mask, data.train_mask)


@pytest.mark.filterwarnings("ignore:Unable to accurately infer 'num_nodes'")
@pytest.mark.parametrize("seed", range(5))
def test_nodes_are_kept_without_features(seed):
    # the last nodes have no edge left, and nothing but num_nodes says that they are there
    out = EdgeDropout(0.95)(Data(edge_index=both(edges((0, 1), (6, 7)))), generator(seed))
    assert out.num_nodes == 8


def test_the_input_is_never_touched():
    data = carrying()
    before = copy.deepcopy(data)
    out = EdgeDropout(0.5)(data, generator())
    out.edge_weight.zero_()
    assert set(data.keys()) == set(before.keys())
    for name, value in before.items():
        assert torch.equal(data[name], value) if isinstance(value, torch.Tensor) else data[name] == value


def test_rate_zero_is_the_graph_itself_and_draws_nothing():
    data, source = carrying(), generator(3)
    out = EdgeDropout(0.0)(data, source)
    assert out.edge_index is data.edge_index
    assert out is not data
    assert torch.equal(source.get_state(), generator(3).get_state())


def test_graphs_without_edges_pass():
    empty = Data(x=torch.ones(3, 2), edge_index=torch.empty(2, 0, dtype=torch.long), edge_attr=torch.empty(0, 4))
    out = EdgeDropout(0.5)(empty, generator())
    assert out.edge_index.shape == (2, 0)
    assert out.edge_attr.shape == (0, 4)
    with pytest.raises(DataError, match=r"EdgeDropout: data.edge_index is missing; set it to int64"):
        EdgeDropout(0.5)(Data(x=torch.ones(3, 2)), generator())


def test_a_batch_is_one_graph_with_its_bookkeeping_kept():
    one, two = carrying(), carrying()
    batch = Batch.from_data_list([one, two])
    out = EdgeDropout(0.5)(batch, generator(1))
    assert torch.equal(out.batch, batch.batch)
    assert torch.equal(out.ptr, batch.ptr)
    u, v = out.edge_index
    assert ((u < 12) == (v < 12)).all()
    assert torch.equal(out.edge_attr, torch.stack([u % 12, v % 12], 1).float())
    # the second graph has coins of its own
    first = {(a, b) for a, b in out.edge_index.t().tolist() if a < 12}
    second = {(a - 12, b - 12) for a, b in out.edge_index.t().tolist() if a >= 12}
    assert first != second


# --- FeatureMask, FeatureShuffle ---------------------------------------------------------------------------------------


def test_feature_mask_clears_whole_columns_and_leaves_the_rest():
    x = torch.rand(50, 400, generator=generator()) + 1
    out = FeatureMask(0.3)(Data(x=x, edge_index=edges((0, 1))), generator(1)).x
    cleared = (out == 0).all(0)
    assert torch.equal(out[:, ~cleared], x[:, ~cleared])  # not rescaled either
    assert (out[:, cleared] == 0).all()
    assert torch.equal(x, torch.rand(50, 400, generator=generator()) + 1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_feature_mask_clears_at_its_rate(rate):
    data = Data(x=torch.ones(2, 1000), edge_index=edges((0, 1)))
    share = torch.stack([(FeatureMask(rate)(data, generator(seed)).x[0] == 0).double() for seed in range(50)]).mean()
    assert abs(share - rate) < 4 * (rate * (1 - rate) / 50_000) ** 0.5


def test_feature_mask_keeps_the_type():
    data = Data(x=torch.ones(2, 9, dtype=torch.float64), edge_index=edges((0, 1)))
    assert FeatureMask(0.5)(data, generator()).x.dtype == torch.float64


def test_feature_mask_is_differentiable():
    x = torch.ones(3, 50, requires_grad=True)
    out = FeatureMask(0.5)(Data(x=x, edge_index=edges((0, 1))), generator(0)).x
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, (out != 0).float())


def test_feature_mask_of_a_batch_clears_one_set_of_columns():
    batch = Batch.from_data_list([Data(x=torch.ones(2, 100), edge_index=edges((0, 1))) for _ in range(3)])
    out = FeatureMask(0.5)(batch, generator())
    assert out.x.unique(dim=0).size(0) == 1
    assert torch.equal(out.batch, batch.batch)


@pytest.mark.parametrize("view", [FeatureMask(0.5), FeatureShuffle()], ids=str)
def test_feature_views_ask_for_features(view):
    with pytest.raises(DataError, match=rf"{type(view).__name__}: data.x is missing; set it to a float tensor"):
        view(Data(edge_index=edges((0, 1)), num_nodes=2), generator())


def test_feature_shuffle_permutes_whole_rows_and_nothing_else():
    data = carrying()
    data.x = torch.rand(12, 5, generator=generator())
    out = FeatureShuffle()(data, generator(1))
    place = [(data.x == row).all(1).nonzero().item() for row in out.x]
    assert sorted(place) == list(range(12))
    assert place != list(range(12))
    assert torch.equal(out.edge_index, data.edge_index)
    assert torch.equal(out.y, data.y)


def test_feature_shuffle_draws_every_order_equally_often():
    data = Data(x=torch.arange(3.0).view(3, 1), edge_index=edges((0, 1)))
    source = generator(5)
    orders = [tuple(FeatureShuffle()(data, source).x.flatten().tolist()) for _ in range(1200)]
    counts = [orders.count(order) for order in itertools.permutations((0.0, 1.0, 2.0))]
    assert sum(counts) == 1200
    assert stats.chisquare(counts).pvalue > 1e-3


# --- generators, Compose, loaders --------------------------------------------------------------------------------------

VIEWS = [EdgeDropout(0.4), FeatureMask(0.4), FeatureShuffle(), Chain((EdgeDropout(0.4), FeatureMask(0.4)))]


def same(a, b):
    return torch.equal(a.edge_index, b.edge_index) and torch.equal(a.x, b.x)


@pytest.fixture
def wide():
    data = carrying()
    data.x = torch.rand(12, 60, generator=generator()) + 1
    return data


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_generator_is_the_only_source(view, wide):
    torch.manual_seed(1)
    first = view(wide, generator(5))
    before = torch.get_rng_state()
    torch.manual_seed(2)
    second = view(wide, generator(5))
    assert same(first, second)
    assert torch.equal(before, torch.manual_seed(1).get_state())
    assert not same(first, view(wide, generator(6)))


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_without_generator_the_global_one_is_drawn_on(view, wide):
    torch.manual_seed(3)
    first, second = view(wide), view(wide)
    torch.manual_seed(3)
    assert same(first, Compose([view])(wide))
    assert not same(first, second)


def test_a_data_loader_with_workers_gives_each_graph_its_own_view():
    # two workers, two equal graphs each: seeded by the loader, all four views differ and the next run repeats them
    data = [carrying() for _ in range(4)]

    class Viewed(torch.utils.data.Dataset):
        def __len__(self):
            return len(data)

        def __getitem__(self, number):
            return EdgeDropout(0.5)(data[number])

    def run():
        loader = DataLoader(Viewed(), batch_size=1, num_workers=2, generator=generator(0))
        return [tuple(map(tuple, batch.edge_index.t().tolist())) for batch in loader]

    first = run()
    assert len(set(first)) == 4
    assert run() == first


# --- Chain, configs ----------------------------------------------------------------------------------------------------


def test_a_chain_applies_first_to_last_on_one_generator(wide):
    steps = (FeatureShuffle(), EdgeDropout(0.3), FeatureMask(0.5))
    out = Chain(steps)(wide, generator(7))
    source, expected = generator(7), wide
    for step in steps:
        expected = step(expected, source)
    assert same(out, expected)
    assert not same(out, Chain(steps[::-1])(wide, generator(7)))


def test_an_empty_chain_is_the_graph_itself(wide):
    out = Chain()(wide, generator())
    assert same(out, wide)
    assert out is not wide


def test_chains_hash_and_compare_by_their_steps():
    a, b = Chain((EdgeDropout(0.1), FeatureMask(0.2))), Chain([EdgeDropout(0.1), FeatureMask(0.2)])
    assert a == b
    assert hash(a) == hash(b)
    assert b.steps == (EdgeDropout(0.1), FeatureMask(0.2))
    assert a != Chain((FeatureMask(0.2), EdgeDropout(0.1)))
    assert len({a, b, Chain(), EdgeDropout(0.1), FeatureMask(0.1), FeatureMask(0.1)}) == 4


@pytest.mark.parametrize("steps", ["edge-dropout", EdgeDropout(0.1), (EdgeDropout,), (EdgeDropout(0.1), None), 3])
def test_a_chain_of_something_else_is_refused(steps):
    with pytest.raises(RequestError, match=r"^Chain\.steps"):
        Chain(steps)


@pytest.mark.parametrize("rate", [1.1, -0.1, 1.5, float("nan"), "0.2", None])
@pytest.mark.parametrize("view", [EdgeDropout, FeatureMask])
def test_a_rate_out_of_range_is_refused(view, rate):
    with pytest.raises(RequestError, match=rf"^{view.__name__}\.rate = "):
        view(rate)


def test_two_views_never_share_state(wide):
    first, second = EdgeDropout(0.2), EdgeDropout(0.6)
    once = first(wide, generator(1))
    second(wide, generator(1))
    assert same(once, first(wide, generator(1)))
    assert (first.rate, second.rate, EdgeDropout().rate) == (0.2, 0.6, 0.2)
