"""Views of the features: their distribution, their types, and the frequency response of the two that propagate."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch_geometric.data import Batch, Data, HeteroData

from graphcl.augment import (
    AdaptiveFeatureMask,
    AtomMask,
    FeatureDropout,
    FeatureMask,
    FeatureMixup,
    FeatureSharpening,
    FeatureShuffle,
    FeatureSmoothing,
    GaussianNoise,
    HeterophilicEdges,
    HomophilicEdges,
    KNNGraph,
    NodeFeatureMask,
    SignAlignedNoise,
)
from graphcl.errors import DataError, RequestError
from graphcl.ops.propagate import gcn_operator_reference

EMPTY = torch.empty(2, 0, dtype=torch.long)
LINE = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def features(x, index=EMPTY, **attributes):
    return Data(x=x, edge_index=index, **attributes)


# --- GaussianNoise, SignAlignedNoise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("std", [0.05, 2.0])
def test_noise_is_normal_and_independent(std):
    x = torch.randn(200, 60, generator=generator(1), dtype=torch.float64)
    noise = GaussianNoise(std)(features(x), generator(2)).x - x
    assert stats.kstest(noise.flatten().numpy() / std, "norm").pvalue > 1e-3
    for a, b in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1]), (noise, x)):
        a, b = a.flatten().numpy(), b.flatten().numpy()
        assert abs(stats.pearsonr(a, b)[0]) < 4 / len(a) ** 0.5


def test_noise_is_drawn_anew_at_each_call():
    source, data = generator(), features(torch.zeros(50, 50))
    one, two = (GaussianNoise(1.0)(data, source).x.flatten() for _ in range(2))
    assert abs(stats.pearsonr(one.numpy(), two.numpy())[0]) < 4 / 50


@given(st.floats(0.01, 10.0), st.integers(2, 30), st.integers(0, 10**6))
@settings(max_examples=50)
def test_sign_aligned_noise_has_one_length_and_keeps_the_signs(radius, width, seed):
    x = torch.randn(40, width, generator=generator(seed), dtype=torch.float64)
    out = SignAlignedNoise(radius)(features(x), generator(seed)).x
    assert torch.allclose((out - x).norm(dim=1), torch.full((40,), radius, dtype=torch.float64))
    assert torch.equal(out.sign(), x.sign())
    assert bool((out.abs() >= x.abs()).all())


def test_the_direction_of_sign_aligned_noise_is_that_of_uniform_coordinates():
    # in two dimensions: tan of the angle is a ratio of uniform numbers, at most r with probability r / 2 for r < 1
    noise = SignAlignedNoise(1.0)(features(torch.ones(6000, 2, dtype=torch.float64)), generator(3)).x - 1
    ratio = noise[:, 1] / noise[:, 0]
    assert stats.kstest(ratio.numpy(), lambda r: np.where(r < 1, r / 2, 1 - 1 / (2 * r))).pvalue > 1e-3


def test_zeros_stay_zeros_under_sign_aligned_noise():
    x = torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    out = SignAlignedNoise(0.5)(features(x), generator()).x
    assert torch.equal(out == 0, x == 0)
    assert float((out - x).norm(dim=1)[0]) <= 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_sign_aligned_noise_of_one_narrow_column_is_finite(dtype):
    # half precision draws a 0 now and then, and 0 / 0 is none
    out = SignAlignedNoise(0.25)(features(torch.ones(50_000, 1, dtype=dtype)), generator()).x
    assert bool(out.isfinite().all())


# --- FeatureMixup ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_mixed_rows_lie_on_the_way_to_another_row(strength):
    # corners of a simplex: a mixed row shows both of its sources and their shares
    x = torch.eye(60, dtype=torch.float64)
    shares, partners = [], []
    for seed in range(30):
        out = FeatureMixup(strength)(features(x), generator(seed)).x
        assert torch.allclose(out.sum(1), torch.ones(60, dtype=torch.float64))
        assert bool((out >= 0).all())
        assert bool(((out > 0).sum(1) <= 2).all())
        # each row is the partner of one row
        assert torch.allclose((out > 0).sum(0).double(), (out > 0).sum(1).double())
        other = out - torch.diag(out.diagonal())
        moved = other.sum(1) > 0
        shares.append(other.sum(1)[moved])
        partners.append(other.argmax(1)[moved])
    shares = torch.cat(shares)
    assert shares.numel() > 30 * 55
    assert stats.kstest(shares.numpy() / strength, "uniform").pvalue > 1e-3
    assert torch.cat(partners).unique().numel() == 60


def test_rows_of_a_batch_mix_within_their_graph_and_with_each_of_its_rows():
    parts = [features(torch.eye(9)[:4]), features(torch.eye(9)[4:5]), features(torch.eye(9)[5:])]
    batch, source, counts = Batch.from_data_list(parts), generator(1), Counter()
    for _ in range(900):
        out = FeatureMixup(1.0)(batch, source).x
        assert bool((out[:4, 4:] == 0).all())
        assert torch.equal(out[4], torch.eye(9)[4])
        assert bool((out[5:, :5] == 0).all())
        other = out[0].clone()
        other[0] = 0
        counts[int(other.argmax()) if bool(other.sum() > 0) else 0] += 1
    assert stats.chisquare([counts[node] for node in range(4)]).pvalue > 1e-3


@given(st.integers(1, 12), st.integers(0, 10**6), st.floats(0.0, 1.0))
@settings(max_examples=40)
def test_mixing_never_leaves_the_convex_hull(n, seed, strength):
    x = torch.randn(n, 3, generator=generator(seed), dtype=torch.float64)
    out = FeatureMixup(strength)(features(x), generator(seed)).x
    assert bool((out <= x.max(0).values + 1e-12).all())
    assert bool((out >= x.min(0).values - 1e-12).all())
    # nearer to itself than half the diameter times the strength
    assert float((out - x).norm(dim=1).max()) <= strength * float(torch.cdist(x, x).max()) + 1e-12


# --- FeatureMask, FeatureDropout, NodeFeatureMask, AtomMask ------------------------------------------------------------


def test_single_entries_are_cleared_independently():
    x = torch.rand(100, 80, generator=generator()) + 1
    lost = torch.stack([FeatureDropout(0.3)(features(x), generator(seed)).x == 0 for seed in range(30)])
    trials = lost[0].numel()
    totals = lost.flatten(1).sum(1).double()
    assert abs(float(totals.mean()) / trials - 0.3) < 4 * (0.3 * 0.7 / (30 * trials)) ** 0.5
    for sums, size in ((lost.sum(1), 100), (lost.sum(2), 80)):
        # neither whole columns nor whole rows go together
        spread = float(sums.double().var()) / (size * 0.3 * 0.7)
        assert abs(spread - 1) < 4 * (2 / sums.numel()) ** 0.5


@pytest.mark.parametrize("rate", [0.3, 1.0])
@pytest.mark.parametrize("view", [FeatureDropout, FeatureMask, AdaptiveFeatureMask])
def test_sparse_features_lose_what_dense_ones_lose(view, rate):
    x = torch.rand(30, 50, generator=generator()) * (torch.rand(30, 50, generator=generator(1)) < 0.2)
    x[7], x[:, 3] = 0, 0  # an empty row, an empty column
    index = torch.randint(30, (2, 80), generator=generator(2))
    for seed in range(3):
        dense = view(rate)(features(x, index), generator(seed)).x
        sparse = view(rate)(features(x.to_sparse_csr(), index), generator(seed)).x
        assert sparse.layout == torch.sparse_csr
        if view.draws_alike_on_sparse:
            assert torch.equal(sparse.to_dense(), dense)
        else:
            assert bool(((sparse.to_dense() == x) | (sparse.to_dense() == 0)).all())


def test_sparse_entries_are_dropped_at_the_rate_without_a_coin_for_every_zero():
    x = torch.eye(4000).to_sparse_csr()
    kept = torch.stack(
        [(FeatureDropout(0.3)(features(x), generator(seed)).x.values() != 0).double() for seed in range(10)]
    )
    assert abs(float(kept.mean()) - 0.7) < 4 * (0.21 / kept.numel()) ** 0.5


def test_sparse_rows_change_places_with_all_they_hold():
    x = torch.rand(12, 9, generator=generator()) * (torch.rand(12, 9, generator=generator(1)) < 0.3)
    x[0], x[11] = 0, 0
    out = FeatureShuffle()(features(x.to_sparse_csr()), generator(4)).x
    assert torch.equal(out.to_dense(), FeatureShuffle()(features(x), generator(4)).x)
    # a valid matrix, not only one that reads like one
    torch.sparse_csr_tensor(out.crow_indices(), out.col_indices(), out.values(), out.shape, check_invariants=True)


def test_masked_rows_are_the_mean_and_the_others_themselves():
    x = torch.randn(40, 5, generator=generator(), dtype=torch.float64)
    counts = torch.zeros(40)
    for seed in range(200):
        out = NodeFeatureMask(0.3)(features(x), generator(seed)).x
        masked = (out != x).any(1)
        assert torch.allclose(out[masked], x.mean(0).expand(int(masked.sum()), 5))
        counts += masked
    assert abs(float(counts.sum()) / 8000 - 0.3) < 4 * (0.3 * 0.7 / 8000) ** 0.5
    statistic = float(((counts - 60) ** 2 / (200 * 0.3 * 0.7)).sum())
    assert stats.chi2.ppf(1e-4, 40) < statistic < stats.chi2.ppf(1 - 1e-4, 40)


def test_masked_rows_of_a_batch_are_the_mean_of_their_own_graph():
    graphs = [features(torch.randn(n, 3, generator=generator(n)) + n) for n in (4, 1, 7)]
    batch = Batch.from_data_list(graphs)
    out = NodeFeatureMask(1.0)(batch, generator()).x
    for number, graph in enumerate(graphs):
        mine = out[batch.batch == number]
        assert torch.allclose(mine, graph.x.mean(0).expand_as(mine), atol=1e-6)
    large = Batch.from_data_list([features(torch.full((1000, 1), 100.0, dtype=torch.float16))] * 2)
    assert bool((NodeFeatureMask(1.0)(large, generator()).x == 100).all())
    some = NodeFeatureMask(0.5)(batch, generator(3)).x
    changed = (some != batch.x).any(1)
    assert torch.equal(some[changed], out[changed])
    assert 0 < int(changed.sum()) < 12


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_masked_atoms_keep_the_type(dtype):
    x = torch.tensor([[6, 1, 2], [8, 0, 1]], dtype=dtype)
    out = AtomMask(1.0)(features(x), generator()).x
    assert out.dtype == dtype
    assert out.tolist() == [[119, 0, 0]] * 2
    assert AtomMask(1.0, token=7)(features(x[:, :1]), generator()).x.tolist() == [[7], [7]]
    half = AtomMask(0.5)(features(x.repeat(500, 1)), generator()).x
    masked = (half[:, 0] == 119).view(-1, 2)
    assert torch.equal(half[~masked.flatten()], x.repeat(500, 1)[~masked.flatten()])
    assert abs(float(masked.double().mean()) - 0.5) < 4 * (0.25 / 1000) ** 0.5


def test_a_token_that_the_type_cannot_hold_is_refused_by_name():
    with pytest.raises(DataError, match=r"AtomMask"):
        AtomMask(1.0, token=300)(features(torch.ones(2, 2, dtype=torch.uint8)), generator())


@pytest.mark.parametrize("token", [-1, 1.5, True])
def test_impossible_tokens_are_refused_by_name(token):
    with pytest.raises(RequestError, match=r"^AtomMask\.token = "):
        AtomMask(token=token)


# --- FeatureSmoothing, FeatureSharpening -------------------------------------------------------------------------------


def weighted_graph(seed, n=9, *, weights, loops):
    pairs = torch.triu_indices(n - 1, n - 1, 1)  # the last node is isolated
    pairs = pairs[:, torch.rand(pairs.size(1), generator=generator(seed)) < 0.4]
    index = torch.cat([pairs, pairs.flip(0)], 1)
    weight = torch.rand(pairs.size(1), generator=generator(seed + 1), dtype=torch.float64).repeat(2) + 0.1
    if loops:
        index = torch.cat([index, torch.tensor([[0, 3], [0, 3]])], 1)
        weight = torch.cat([weight, torch.tensor([2.5, 0.3], dtype=torch.float64)])
    return index, weight if weights else None


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize(
    ("view", "response"),
    [
        (lambda order: FeatureSmoothing(1.0, order), lambda lam: 1 - lam),
        (lambda order: FeatureSmoothing(0.3, order), lambda lam: 1 - 0.3 * lam),
        (lambda order: FeatureSharpening(1.0, order), lambda lam: 1 + lam),
        (lambda order: FeatureSharpening(0.4, order), lambda lam: 1 + 0.4 * lam),
        (lambda order: FeatureSharpening(3.0, order), lambda lam: 1 + 3 * lam),
    ],
)
def test_the_response_to_each_eigenvalue_is_as_stated(view, response, order, weights, loops):
    index, weight = weighted_graph(3, weights=weights, loops=loops)
    values, vectors = torch.linalg.eigh(torch.eye(9, dtype=torch.float64) - gcn_operator_reference(index, 9, weight))
    x = vectors.clone()  # column i is the eigenvector of the i-th eigenvalue
    data = features(x, index) if weight is None else features(x, index, edge_weight=weight)
    out = view(order)(data).x
    assert out.dtype == torch.float64
    assert torch.allclose(out, vectors * response(values) ** order, atol=1e-10)


def test_a_directed_node_is_moved_by_what_it_hears():
    # 0 -> 1: node 1 gathers from node 0, node 0 from itself alone
    x = torch.tensor([[1.0], [10.0]], dtype=torch.float64)
    out = FeatureSmoothing(1.0)(features(x, torch.tensor([[0], [1]]))).x
    assert torch.allclose(out, torch.tensor([[1.0], [10 / 2 + 1 / math.sqrt(2)]], dtype=torch.float64))


def test_smoothing_a_batch_is_smoothing_its_graphs():
    parts = [
        features(torch.rand(9, 2, generator=generator(seed)), weighted_graph(seed, weights=False, loops=True)[0])
        for seed in range(3)
    ]
    for view in (FeatureSmoothing(0.5, 2), FeatureSharpening(0.5, 2)):
        out = view(Batch.from_data_list(parts))
        for part, alone in zip(out.to_data_list(), parts, strict=True):
            assert torch.allclose(part.x, view(alone).x, atol=1e-6)


def test_weights_of_another_type_than_the_features_are_converted():
    index, weight = weighted_graph(1, weights=True, loops=False)
    x = torch.rand(9, 2, generator=generator())
    for dtype in (torch.float32, torch.float64, torch.float16):
        out = FeatureSmoothing()(features(x, index, edge_weight=weight.to(dtype))).x
        assert out.dtype == torch.float32
        assert torch.allclose(out, (gcn_operator_reference(index, 9, weight) @ x.double()).float(), atol=2e-3)


@pytest.mark.parametrize("view", [FeatureSmoothing(0.7), FeatureSharpening(0.7)], ids=str)
def test_whole_weights_are_weights(view):
    index = weighted_graph(1, weights=False, loops=True)[0]
    weight = torch.arange(index.size(1)) % 3 + 1
    x = torch.rand(9, 2, generator=generator())
    out = view(features(x, index, edge_weight=weight)).x
    assert torch.allclose(out, view(features(x, index, edge_weight=weight.float())).x, atol=1e-6)


@pytest.mark.parametrize("view", [FeatureSmoothing(), FeatureSharpening(), AdaptiveFeatureMask()], ids=str)
def test_weights_in_a_column_are_refused_by_name(view):
    data = features(torch.rand(3, 4), LINE, edge_weight=torch.ones(4, 1))
    with pytest.raises(DataError, match=rf"^{type(view).__name__}: data\.edge_weight has shape \[4, 1\]"):
        view(data, generator())


# --- types, refusals, typed graphs -------------------------------------------------------------------------------------

FLOATS = [
    GaussianNoise(0.5), SignAlignedNoise(0.5), FeatureMixup(), FeatureSmoothing(), FeatureSharpening(), NodeFeatureMask(0.5),
    FeatureDropout(0.5), FeatureMask(0.5), FeatureShuffle(), AdaptiveFeatureMask(0.5), AdaptiveFeatureMask(0.5, "pagerank"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("view", FLOATS, ids=str)
def test_features_keep_their_type_and_are_finite(view, dtype):
    x = (torch.rand(3, 40, generator=generator()) + 0.5).to(dtype)
    out = view(features(x, LINE, edge_weight=torch.tensor([1.0, 1.0, 2.0, 2.0])), generator(1)).x
    assert out.dtype == dtype
    assert bool(out.isfinite().all())
    assert not torch.equal(out, x)


@pytest.mark.parametrize(
    "view",
    [
        GaussianNoise(), SignAlignedNoise(), FeatureMixup(), FeatureSmoothing(), FeatureSharpening(), NodeFeatureMask(),
        HomophilicEdges(), HeterophilicEdges(), KNNGraph(1),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool])
def test_whole_numbers_are_refused_by_the_name_of_the_class(view, dtype):
    name = type(view).__name__
    with pytest.raises(DataError, match=rf"^{name}: data\.x "):
        view(features(torch.ones(3, 4, dtype=dtype), LINE), generator())


def test_floats_are_no_categories():
    with pytest.raises(DataError, match=r"^AtomMask: data\.x is torch\.float32"):
        AtomMask()(features(torch.ones(3, 4), LINE), generator())


@pytest.mark.parametrize("view", [FeatureMask(0.5), FeatureDropout(0.5), AdaptiveFeatureMask()], ids=str)
def test_categories_are_not_cleared_to_another_category(view):
    with pytest.raises(DataError, match=rf"^{type(view).__name__}: data\.x is torch\.int64; make it a float"):
        view(features(torch.full((30, 40), 7), LINE), generator())


@pytest.mark.parametrize("view", FLOATS, ids=str)
def test_no_columns_no_rows_no_edges_no_harm(view):
    for shape in ((3, 0), (0, 4), (0, 0), (1, 1)):
        data = features(torch.ones(shape), LINE if shape[0] == 3 else EMPTY)
        assert view(data, generator()).x.shape == shape


@pytest.mark.parametrize(
    "view",
    [GaussianNoise(), SignAlignedNoise(), FeatureMixup(), FeatureSmoothing(), FeatureSharpening(), NodeFeatureMask()],
    ids=str,
)
def test_sparse_features_are_refused_where_they_would_not_stay_sparse(view):
    with pytest.raises(DataError, match=rf"^{type(view).__name__}: data\.x is sparse"):
        view(features(torch.eye(3).to_sparse_csr(), LINE), generator())


@pytest.mark.parametrize(
    "build",
    [
        lambda: GaussianNoise(-0.1), lambda: GaussianNoise(float("inf")), lambda: SignAlignedNoise(-1.0), lambda: FeatureMixup(1.1),
        lambda: FeatureSmoothing(1.5), lambda: FeatureSmoothing(order=0), lambda: FeatureSharpening(0.0), lambda: FeatureSharpening(order=1.5),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(build):
    with pytest.raises(RequestError, match=r"^(Gaussian|Sign|Feature)\w+\.(std|radius|strength|order) = "):
        build()


@pytest.mark.parametrize(
    "view",
    [
        FeatureMask(0.5),
        FeatureDropout(0.5),
        NodeFeatureMask(0.5),
        GaussianNoise(0.5),
        SignAlignedNoise(0.5),
        FeatureShuffle(),
    ],
    ids=str,
)
def test_each_type_of_nodes_has_draws_of_its_own_and_types_without_features_pass(view):
    data = HeteroData()
    data["a"].x = data["b"].x = torch.rand(20, 20, generator=generator()) + 1
    data["c"].num_nodes = 4
    out = view(data, generator(1))
    assert not torch.equal(out["a"].x, data["a"].x)
    assert not torch.equal(out["a"].x, out["b"].x)
    assert "x" not in out["c"]
    assert out["c"].num_nodes == 4


def test_rows_shuffled_in_a_batch_move_over_all_graphs():
    batch = Batch.from_data_list([features(torch.tensor([[float(n)]])) for n in range(3)])
    counts = Counter(tuple(FeatureShuffle()(batch, generator(seed)).x.flatten().tolist()) for seed in range(600))
    assert stats.chisquare([counts[order] for order in itertools.permutations((0.0, 1.0, 2.0))]).pvalue > 1e-3


@pytest.mark.parametrize(
    "view",
    [
        GaussianNoise(0.1),
        SignAlignedNoise(0.1),
        FeatureMixup(),
        FeatureSmoothing(0.5),
        FeatureSharpening(),
        NodeFeatureMask(0.5),
        FeatureDropout(0.5),
    ],
    ids=str,
)
def test_gradients_of_views_are_those_of_finite_differences(view):
    x = torch.randn(3, 4, generator=generator(), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: view(features(x, LINE), generator(1)).x, (x,))
