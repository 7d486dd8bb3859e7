"""Hashed randomness: as uniform as drawn numbers, and a function of the thing it is for and nothing else."""

import itertools

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from graphcl import hashing
from graphcl.hashing import edge_coins, edge_uniform, is_undirected

SEEDS = [0, 1, 2**61, 2**62 - 1]


def pairs_of(values):
    return torch.tensor(values, dtype=torch.long).reshape(-1, 2).t().contiguous()


def reference(u, v, seed):
    """The hash in Python's whole numbers, as the module's docstring describes it."""
    size = 1 << 64

    def signed(z):
        z %= size
        return z - size if z >> 63 else z

    def finalise(z):
        # Python's shift of a negative number keeps the sign
        z = signed((signed(z) ^ (signed(z) >> 30)) * 0xBF58476D1CE4E5B9)
        return signed((z ^ (z >> 27)) * 0x94D049BB133111EB) % size

    return finalise(u * 0x9E3779B97F4A7C15 + v * 0xD1342543DE82EF95 + finalise(seed % size))


def node_uniform(nodes, seed):
    """Numbers of loops: those of one id."""
    return edge_uniform(torch.stack([nodes, nodes]), seed, ordered=True)


# --- edge_uniform ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_of_nodes_are_uniform(seed):
    values = node_uniform(torch.arange(20_000), seed)
    assert values.dtype == torch.float64
    assert 0 <= values.min() < values.max() < 1
    assert stats.kstest(values.numpy(), "uniform").pvalue > 1e-3
    assert values.unique().numel() == values.numel()


@pytest.mark.parametrize("step", [1, 2, 64, 1 << 20, 1 << 40])
def test_numbers_of_nodes_a_step_apart_are_independent(step):
    nodes = torch.arange(10_000)
    a, b = node_uniform(nodes, 3), node_uniform(nodes + step, 3)
    cells = ((a * 8).long() * 8 + (b * 8).long()).bincount(minlength=64)
    assert stats.chisquare(cells.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("bit", range(0, 53, 4))
def test_every_bit_of_a_number_is_a_coin(bit):
    values = (node_uniform(torch.arange(40_000), 9) * 2**53).long()
    ones = int((values >> bit & 1).sum())
    assert abs(ones - 20_000) < 4 * 100


def test_numbers_of_one_node_over_many_seeds_are_uniform():
    values = torch.stack([node_uniform(torch.tensor([0, 7]), seed) for seed in range(3000)])
    for column in values.t():
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(*values.t().numpy())[0]) < 4 / 3000**0.5


def test_a_number_belongs_to_its_node_whatever_stands_around_it():
    nodes = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(node_uniform(nodes, 5), node_uniform(torch.arange(500), 5)[nodes])
    assert node_uniform(torch.empty(0, dtype=torch.long), 5).shape == (0,)


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), min_size=1, max_size=9), st.integers(0, 2**62 - 1)
)
@settings(max_examples=60)
def test_the_hash_is_what_the_docstring_says(pairs, seed):
    def top(values):
        # 53 bits of a float64, of which the upper are enough
        return ((values * 2**53).long() >> 22).tolist()

    index = pairs_of(pairs)
    # the sign of a whole number is its highest bit: the order of the numbers starts at the negative ones
    assert top(edge_uniform(index, seed, ordered=True)) == [(reference(u, v, seed) ^ 1 << 63) >> 33 for u, v in pairs]
    low_high = [(reference(min(pair), max(pair), seed) ^ 1 << 63) >> 33 for pair in pairs]
    assert top(edge_uniform(index, seed)) == low_high


def test_numbers_have_53_bits_and_never_reach_one(monkeypatch):
    assert bool((node_uniform(torch.arange(4000), 0) * 2**53 % 2 == 1).any())
    # the largest and the smallest hash there are
    for z, expected in ((2**63 - 1, 1 - 2.0**-53), (-(2**63), 0.0)):
        monkeypatch.setattr(hashing, "_finalise", lambda z_, spare, *rounds, z=z: z_.fill_(z))
        monkeypatch.setattr(hashing, "_scrambled", lambda seed: 0)
        assert edge_uniform(torch.tensor([[0], [1]]), 0).tolist() == [expected]


@pytest.mark.parametrize("ordered", [False, True])
def test_coins_of_many_rates_follow_the_numbers(ordered):
    index = torch.randint(500, (2, 20_000), generator=torch.Generator().manual_seed(0))
    rates = torch.rand(20_000, generator=torch.Generator().manual_seed(1))
    coins, numbers = edge_coins(index, 6, rates.__getitem__, ordered=ordered), edge_uniform(index, 6, ordered=ordered)
    # 24 bits decide: who comes nearer to the rate than that may fall on either side
    clear = (numbers - rates.double()).abs() > 2.0**-23
    assert int(clear.sum()) > 19_990
    assert torch.equal(coins[clear], (numbers >= rates)[clear])
    assert bool(edge_coins(index, 6, torch.zeros(20_000).__getitem__).all())
    assert not bool(edge_coins(index, 6, torch.ones(20_000).__getitem__).any())
    there, back = edge_coins(torch.cat([index, index.flip(0)], 1), 6, rates.repeat(2).__getitem__).chunk(2)
    assert torch.equal(there, back)


def test_unordered_numbers_agree_in_both_directions_and_ordered_ones_do_not():
    index = torch.triu_indices(80, 80, 1)
    there, back = edge_uniform(index, 4), edge_uniform(index.flip(0), 4)
    assert torch.equal(there, back)
    there, back = edge_uniform(index, 4, ordered=True), edge_uniform(index.flip(0), 4, ordered=True)
    assert not bool((there == back).any())
    assert abs(stats.pearsonr(there.numpy(), back.numpy())[0]) < 4 / index.size(1) ** 0.5
    # of ascending pairs both kinds are one number
    assert torch.equal(there, edge_uniform(index, 4))


@pytest.mark.parametrize("rate", [0.0, 2.0**-53, 0.1, 0.5, 1 - 2.0**-53, 1.0])
def test_ordered_coins_follow_the_ordered_numbers(rate):
    index = torch.triu_indices(60, 60, 1).flip(0)
    assert torch.equal(edge_coins(index, 8, rate, ordered=True), edge_uniform(index, 8, ordered=True) >= rate)


def test_pieces_leave_no_trace(monkeypatch):
    index = torch.randint(1000, (2, 1000), generator=torch.Generator().manual_seed(0))
    whole = edge_uniform(index, 3), edge_coins(index, 3, 0.4), is_undirected(torch.cat([index, index.flip(0)], 1))
    for size in (1, 7, 999, 1000, 1001):
        monkeypatch.setattr(hashing, "PIECE", size)
        assert torch.equal(edge_uniform(index, 3), whole[0])
        assert torch.equal(edge_coins(index, 3, 0.4), whole[1])
        assert is_undirected(torch.cat([index, index.flip(0)], 1)) is whole[2] is True
        assert is_undirected(index) is False


def test_more_edges_than_a_piece_holds():
    count = hashing.PIECE * 2 + 17
    index = torch.stack([torch.arange(count), torch.arange(count).flip(0)])
    values = edge_uniform(index, 1, ordered=True)
    for place in (0, hashing.PIECE - 1, hashing.PIECE, 2 * hashing.PIECE, count - 1):
        assert values[place] == edge_uniform(index[:, place : place + 1], 1, ordered=True)[0]
    assert stats.kstest(values[:50_000].numpy(), "uniform").pvalue > 1e-3


def test_views_of_memory_hash_like_their_copies():
    wide = torch.randint(50, (40, 2), generator=torch.Generator().manual_seed(0)).t()  # not contiguous
    assert not wide.is_contiguous()
    assert torch.equal(edge_uniform(wide, 2), edge_uniform(wide.contiguous(), 2))
    assert torch.equal(edge_uniform(wide[:, ::3], 2), edge_uniform(wide.contiguous(), 2)[::3])
    before = wide.clone()
    edge_coins(wide, 2, 0.5)
    is_undirected(wide)
    assert torch.equal(wide, before)


# --- is_undirected -----------------------------------------------------------------------------------------------------


def by_counting(index):
    counts = {}
    for pair in map(tuple, index.t().tolist()):
        counts[pair] = counts.get(pair, 0) + 1
    return all(counts.get((v, u), 0) == count for (u, v), count in counts.items())


SMALL = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8)


@given(SMALL)
@settings(max_examples=300)
@example([])
@example([(0, 0)])
@example([(0, 1), (0, 1), (1, 0)])
@example([(0, 1), (1, 2), (2, 0)])
def test_it_is_what_counting_says(pairs):
    assert is_undirected(pairs_of(pairs)) is by_counting(pairs_of(pairs))


@given(SMALL, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_both_directions_in_any_order_with_any_loops_and_repetitions(pairs, random):
    columns = [*pairs, *[(v, u) for u, v in pairs]]
    loops = [(u, u) for u, _ in pairs]  # a loop stored once is undirected
    columns += loops
    random.shuffle(columns)
    assert is_undirected(pairs_of(columns)) is True


@pytest.mark.parametrize("seed", range(5))
def test_a_single_flipped_edge_is_found_in_a_large_graph(seed):
    g = torch.Generator().manual_seed(seed)
    index = torch.randint(2000, (2, 30_000), generator=g)
    index = torch.cat([index, index.flip(0)], 1)[:, torch.randperm(60_000, generator=g)]
    assert is_undirected(index)
    place = int((index[0] != index[1]).nonzero()[seed])
    flipped = index.clone()
    flipped[:, place] = index[:, place].flip(0)
    assert not is_undirected(flipped)
    # an edge less, an edge more, an end moved by one
    assert not is_undirected(torch.cat([index[:, :place], index[:, place + 1 :]], 1))
    assert not is_undirected(torch.cat([index, index[:, place : place + 1]], 1))
    moved = index.clone()
    moved[0, place] = (moved[0, place] + 1) % 2000
    assert not is_undirected(moved)


def test_two_flips_that_cancel_a_sum_of_ends_are_found():
    # (0, 3) and (2, 1) have the ends, and the sums of ends, of (0, 1) and (2, 3)
    good = pairs_of([(0, 1), (1, 0), (2, 3), (3, 2)])
    assert is_undirected(good)
    assert not is_undirected(pairs_of([(0, 3), (1, 0), (2, 1), (3, 2)]))
    for columns in itertools.permutations(good.t().tolist(), 3):
        assert not is_undirected(pairs_of(columns))


def test_cycles_are_directed_though_all_degrees_are_even():
    for n in (3, 4, 1000):
        ring = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
        assert not is_undirected(ring)
        assert is_undirected(torch.cat([ring, ring.flip(0)], 1))
        assert not is_undirected(torch.cat([ring, ring, ring.flip(0)], 1))
    # a ring of two is one edge in both directions
    assert is_undirected(pairs_of([(0, 1), (1, 0)]))


def test_no_edges_are_undirected():
    assert is_undirected(torch.empty(2, 0, dtype=torch.long)) is True
