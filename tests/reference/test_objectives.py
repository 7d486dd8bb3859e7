"""Objectives against arithmetic done by hand, their values at the extremes, and what must not change them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.errors import RequestError
from graphcl.objectives import (
    CCA,
    HardInfoNCE,
    InfoNCE,
    NodeGraphBCE,
    cca,
    hard_info_nce,
    info_nce,
    node_graph_bce,
    sampled_info_nce,
)


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def draw(seed, n, d, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- InfoNCE
# -----------------------------------------------------------------------------------------------------------


def test_info_nce_on_two_nodes_by_hand():
    # a = e1, e2; b = e1, (e1 + e2)/√2: cos(a1,b1) = 1, cos(a1,b2) = cos(a2,b2) = s, cos(a2,b1) = 0; cos(b1,b2) = s
    s = math.sqrt(0.5)
    a, b = tensor([[1, 0], [0, 1]]), tensor([[1, 0], [1, 1]])
    t = 0.5
    e = {value: math.exp(value / t) for value in (0.0, s, 1.0)}
    terms = [
        -math.log(e[1.0] / (e[1.0] + e[s] + e[0.0])),  # a1: b1 | b2, a2
        -math.log(e[s] / (e[0.0] + e[s] + e[0.0])),  # a2: b2 | b1, a1
        -math.log(e[1.0] / (e[1.0] + e[0.0] + e[s])),  # b1: a1 | a2, b2
        -math.log(e[s] / (e[s] + e[s] + e[s])),  # b2: a2 | a1, b1
    ]
    assert info_nce(a, b, t).item() == pytest.approx(sum(terms) / 4, rel=1e-14)
    terms = [
        -math.log(e[1.0] / (e[1.0] + e[s])),
        -math.log(e[s] / (e[0.0] + e[s])),
        -math.log(e[1.0] / (e[1.0] + e[0.0])),
        -math.log(e[s] / (e[s] + e[s])),
    ]
    assert info_nce(a, b, t, intra_view=False).item() == pytest.approx(sum(terms) / 4, rel=1e-14)


@pytest.mark.parametrize("n", [1, 2, 7, 50])
@pytest.mark.parametrize("t", [0.1, 0.5, 2.0])
def test_info_nce_of_identical_rows_counts_the_candidates(n, t):
    # all similarities equal: the share of the positive is 1 in 2N - 1, or 1 in N; were a node its own negative, 2N
    same = torch.ones(n, 3, dtype=torch.float64)
    assert info_nce(same, same, t).item() == pytest.approx(math.log(2 * n - 1), abs=1e-12)
    assert info_nce(same, same, t, intra_view=False).item() == pytest.approx(math.log(n), abs=1e-12)


def test_info_nce_of_random_rows_is_about_log_of_the_candidates():
    n, d = 400, 512
    a, b = draw(0, n, d), draw(1, n, d)
    # cosines are N(0, 1/d): the mean of e^(cos/τ) is e^(1/2dτ²), which moves the logarithm by 1/2dτ²
    for t in (0.5, 1.0):
        assert info_nce(a, b, t).item() == pytest.approx(math.log(2 * n - 1) + 1 / (2 * d * t**2), abs=0.01)
        assert info_nce(a, b, t, False).item() == pytest.approx(math.log(n) + 1 / (2 * d * t**2), abs=0.01)


def test_info_nce_of_perfect_views_by_hand():
    # orthogonal nodes, equal views: e^(1/τ) against N - 1 ones, twice
    z = torch.eye(4, dtype=torch.float64)
    assert info_nce(z, z, 0.5).item() == pytest.approx(math.log(math.exp(2) + 6) - 2, rel=1e-14)
    assert info_nce(z, z, 0.5, False).item() == pytest.approx(math.log(math.exp(2) + 3) - 2, rel=1e-14)


@given(st.integers(0, 10**6), st.lists(st.floats(1e-3, 1e3), min_size=12, max_size=12))
@settings(deadline=None, max_examples=50)
def test_info_nce_ignores_the_length_of_rows(seed, factors):
    a, b = draw(seed, 6, 4), draw(seed + 1, 6, 4)
    scale = tensor(factors)[:, None]
    for intra_view in (True, False):
        moved = info_nce(a * scale[:6], b * scale[6:], 0.4, intra_view)
        assert moved.item() == pytest.approx(info_nce(a, b, 0.4, intra_view).item(), rel=1e-10)


def test_info_nce_does_not_ignore_the_sign_of_rows():
    a, b = draw(0, 6, 4), draw(1, 6, 4)
    assert info_nce(-a, b, 0.4).item() != pytest.approx(info_nce(a, b, 0.4).item(), rel=1e-2)


def test_info_nce_is_symmetric_in_the_views():
    a, b = draw(0, 9, 5), draw(1, 9, 5)
    for intra_view in (True, False):
        assert info_nce(a, b, 0.3, intra_view).item() == pytest.approx(
            info_nce(b, a, 0.3, intra_view).item(), rel=1e-13
        )


def test_info_nce_ignores_rotations_of_both_views():
    a, b = draw(0, 9, 5), draw(1, 9, 5)
    q, _ = torch.linalg.qr(draw(2, 5, 5))
    assert info_nce(a @ q, b @ q).item() == pytest.approx(info_nce(a, b).item(), rel=1e-12)


def test_info_nce_holds_at_a_small_temperature():
    # e^(1/0.002) overflows in float32 and float64 alike
    a = draw(0, 8, 4, torch.float32).requires_grad_()
    loss = info_nce(a, a + 0.01 * draw(1, 8, 4, torch.float32), 0.002)
    (gradient,) = torch.autograd.grad(loss, a)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_info_nce_refuses_rows_without_a_direction():
    # a dead ReLU: no cosine, and the slope of its length is undefined
    a, b = tensor([[0, 0], [1, 0]]), tensor([[1, 0], [1, 0]])
    with pytest.raises(RequestError, match=r"1 of 2 rows of `a` are zero, first row 0: they have no cosine"):
        info_nce(a, b, 1.0)
    # plain products: e^0 with everybody
    terms = [-math.log(1 / 3), -math.log(math.e / (2 * math.e + 1)), *[-math.log(1 / (1 + 2 * math.e))]]
    terms.append(-math.log(math.e / (1 + 2 * math.e)))
    assert info_nce(a, b, 1.0, similarity="dot").item() == pytest.approx(sum(terms) / 4, rel=1e-12)


def test_info_nce_positives_reorder_the_second_view():
    a, b = draw(0, 5, 3), draw(1, 5, 3)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert InfoNCE(0.4)(a, b, positives=order).item() == pytest.approx(InfoNCE(0.4)(a, b[order]).item(), rel=1e-13)
    pairs, keep = torch.stack([torch.arange(5), order]), torch.tensor([[0], [2]])
    by_index = info_nce(a, b, 0.4, positives=order, excluded=keep, weights=torch.arange(5.0).double())
    by_pairs = info_nce(a, b, 0.4, positives=pairs, excluded=keep, weights=torch.arange(5.0).double())
    assert by_index.item() == by_pairs.item()
    assert InfoNCE(0.4)(a, b, positives=order).item() == pytest.approx(InfoNCE(0.4).reference(a, b, order), rel=1e-12)
    assert InfoNCE(0.4)(a, b, positives=order).item() != pytest.approx(InfoNCE(0.4)(a, b).item(), rel=1e-3)


def dense_info_nce(a, b, temperature, intra_view=True):
    """The textbook form with both N × N matrices, for autograd."""
    n = len(a)
    z = torch.cat([a, b]) / torch.cat([a, b]).norm(dim=1, keepdim=True)
    scores = z @ z.T / temperature
    other = torch.arange(2 * n).roll(n)
    positive = scores[torch.arange(2 * n), other]
    if intra_view:
        scores = scores.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    else:
        half = torch.arange(2 * n) < n
        scores = scores.masked_fill(half[:, None] == half, -torch.inf)
    return (scores.logsumexp(1) - positive).mean()


@given(
    st.integers(0, 10**6),
    st.integers(2, 40),
    st.integers(2, 80),
    st.sampled_from([0.05, 0.07, 0.2, 0.5, 1.0, 3.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 3.0]),
)
@settings(deadline=None, max_examples=200)
def test_info_nce_is_the_dense_one_to_the_last_digits(seed, n, d, t, intra_view, noise):
    # noise 0: positives dominate, where a dense float32 gradient cancels
    a = draw(seed, n, d)
    b = a + noise * draw(seed + 1, n, d)
    lengths = torch.cat([a, b]).norm(dim=1)
    exact = [x.clone().requires_grad_() for x in (a, b)]
    expected = dense_info_nce(*exact, t, intra_view)
    slopes = torch.cat(torch.autograd.grad(expected, exact))
    for dtype, precision, tolerance in (
        (torch.float64, None, 1e-10),
        (torch.float32, None, 5e-6),
        (torch.float32, torch.bfloat16, 1e-2),
    ):
        views = [x.to(dtype).requires_grad_() for x in (a, b)]
        loss = info_nce(*views, t, intra_view, precision=precision)
        found = torch.cat(torch.autograd.grad(loss, views)).double()
        assert loss.item() == pytest.approx(expected.item(), rel=tolerance, abs=tolerance * 1e-3)
        # where the loss is flat its gradient has no size of its own: compare with that of one similarity
        scale = max(float(slopes.norm()), 1e-2 * float((1 / lengths).norm()) / (n * t))
        assert float((found - slopes).norm()) <= tolerance * scale


@pytest.mark.parametrize("intra_view", [True, False])
def test_several_positives_are_those_of_the_loops(intra_view):
    a, b = draw(0, 6, 4), draw(1, 6, 4)
    pairs = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2, 0], [0, 1, 2, 3, 4, 5, 3, 1, 3]])
    objective = InfoNCE(0.3, intra_view)
    assert objective(a, b, pairs).item() == pytest.approx(objective.reference(a, b, pairs), rel=1e-12)
    own = torch.arange(6)
    same = objective(a, b, torch.stack([own, own])).item()
    assert same == pytest.approx(objective(a, b).item(), rel=1e-12)
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: objective(a, b, pairs), (a,))


def test_an_excluded_pair_is_no_negative_in_any_view():
    # with every pair but one excluded, each of the two nodes has the other alone as negative, in both views
    a, b = draw(0, 3, 4), draw(1, 3, 4)
    loss = info_nce(a, b, 1.0, excluded=torch.tensor([[0, 2], [2, 1]]))
    u, v = (x / x.norm(dim=1, keepdim=True) for x in (a, b))
    total = 0.0
    for first, second in ((u, v), (v, u)):
        for i, others in ((0, [1]), (1, [0]), (2, [])):
            positive = math.exp(first[i] @ second[i])
            rest = sum(math.exp(first[i] @ second[j]) + math.exp(first[i] @ first[j]) for j in others)
            total -= math.log(positive / (positive + rest))
    assert loss.item() == pytest.approx(total / 6, rel=1e-12)


def test_a_weight_of_two_counts_a_negative_twice():
    a, b = draw(0, 3, 4), draw(1, 3, 4)
    weights = tensor([1.0, 2.0, 0.0])
    u, v = (x / x.norm(dim=1, keepdim=True) for x in (a, b))
    total = 0.0
    for first, second in ((u, v), (v, u)):
        for i in range(3):
            positive = math.exp(first[i] @ second[i])
            rest = sum(float(weights[j]) * math.exp(first[i] @ second[j]) for j in range(3) if j != i)
            total -= math.log(positive / (positive + rest))
    assert info_nce(a, b, 1.0, False, weights=weights).item() == pytest.approx(total / 6, rel=1e-12)


@pytest.mark.parametrize("loss", [info_nce, hard_info_nce])
@pytest.mark.parametrize("intra_view", [True, False])
def test_the_temperature_can_be_learnt(loss, intra_view):
    a, b = draw(0, 5, 3), draw(1, 5, 3)
    t = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: loss(a, b, t, intra_view), (t,))
    assert loss(a, b, t, intra_view).item() == pytest.approx(loss(a, b, 0.4, intra_view).item(), rel=1e-12)


def test_hard_info_nce_without_hardness_and_debias_is_info_nce():
    a, b = draw(0, 9, 5), draw(1, 9, 5)
    for intra_view in (True, False):
        plain = info_nce(a, b, 0.3, intra_view).item()
        assert hard_info_nce(a, b, 0.3, intra_view, hardness=0.0).item() == pytest.approx(plain, rel=1e-12)
        # the hard negatives are closer than the mean one
        assert hard_info_nce(a, b, 0.3, intra_view, hardness=2.0).item() > plain


@pytest.mark.parametrize("t", [0.05, 0.5])
def test_debiased_negatives_never_fall_below_their_least(t):
    # equal views and a large share of false negatives: the difference is negative, the floor holds
    z = draw(0, 6, 3)
    objective = HardInfoNCE(t, hardness=0.5, debias=0.9)
    assert objective(z, z).item() == pytest.approx(objective.reference(z, z), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("intra_view", [True, False])
def test_a_sample_of_all_nodes_is_exact(intra_view):
    a, b = draw(0, 12, 5), draw(1, 12, 5)
    sampled = sampled_info_nce(a, b, 0.4, intra_view, samples=12, generator=torch.Generator().manual_seed(0))
    assert sampled.item() == pytest.approx(info_nce(a, b, 0.4, intra_view).item(), rel=1e-12)


@pytest.mark.parametrize("intra_view", [True, False])
def test_the_sampled_denominator_is_unbiased_and_varies_as_stated(intra_view):
    n, samples, t, draws = 14, 5, 0.4, 3000
    a, b = draw(0, n, 4), draw(1, n, 4)
    u, v = (x / x.norm(dim=1, keepdim=True) for x in (a, b))
    # what node j adds for anchor a_0
    added = torch.exp(u[0] @ v.T / t) + (torch.exp(u[0] @ u.T / t) if intra_view else 0)
    added, positive = added[1:], u[0] @ v[0] / t
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(draws):
        losses = anchors(a, b, t, intra_view, samples, generator)
        found.append(float((losses[0] + positive).exp()))
    found = torch.tensor(found, dtype=torch.float64)
    # the anchor itself is in 5 of 14 samples: one negative less there
    variance = sum(
        share * (n - 1) ** 2 / k * (1 - k / (n - 1)) * float(added.var())
        for share, k in ((samples / n, samples - 1), (1 - samples / n, samples))
    )
    assert found.mean().item() == pytest.approx(float(added.sum()), abs=4 * math.sqrt(variance / draws))
    assert found.var().item() == pytest.approx(variance, rel=0.15)


def anchors(a, b, t, intra_view, samples, generator):
    """log(n̂_i) - s⁺_i of the anchors of the first view, from the loss alone: softplus is undone."""
    seen = []
    mean = torch.nn.functional.softplus

    def watched(x, **options):
        seen.append(x)
        return mean(x, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "softplus", watched)
        sampled_info_nce(a, b, t, intra_view, samples=samples, generator=generator)
    return seen[0][0]


# --- node-graph BCE
# ----------------------------------------------------------------------------------------------------


def softplus(value):
    return math.log1p(math.exp(value))


def test_bce_on_three_nodes_by_hand():
    nodes, fake = tensor([[1, 0], [0, 2], [1, 1]]), tensor([[-1, 0], [0, 1], [0, 0]])
    summary = tensor([[0.5, -1]])
    # products: 0.5, -2, -0.5 and -0.5, -1, 0
    expected = softplus(-0.5) + softplus(2) + softplus(0.5) + softplus(-0.5) + softplus(-1) + softplus(0)
    assert node_graph_bce(nodes, summary, fake).item() == pytest.approx(expected / 6, rel=1e-14)


def test_bce_with_a_summary_for_each_graph_by_hand():
    nodes, fake = tensor([[1, 0], [0, 2], [1, 1]]), tensor([[-1, 0], [0, 1], [0, 0]])
    summaries, graph = tensor([[1, 0], [0, -1]]), torch.tensor([1, 0, 1])
    # products: 0, 0, -1 and 0, 0, 0
    expected = 5 * softplus(0) + softplus(1)
    assert node_graph_bce(nodes, summaries, fake, graph).item() == pytest.approx(expected / 6, rel=1e-14)
    assert NodeGraphBCE()(nodes, summaries, graph, fake).item() == pytest.approx(expected / 6, rel=1e-14)


def test_bce_untrained_is_log_two_and_at_best_zero():
    zero, one = torch.zeros(5, 3).double(), torch.ones(5, 3).double()
    assert node_graph_bce(zero, one[:1], zero).item() == pytest.approx(math.log(2), rel=1e-15)
    assert node_graph_bce(one * 100, one[:1], one * -100).item() == pytest.approx(0, abs=1e-15)
    # and grows linearly, without overflow, where it is wrong
    assert node_graph_bce(one * -100, one[:1], one * 100).item() == pytest.approx(300, rel=1e-12)


# --- CCA
# ---------------------------------------------------------------------------------------------------------------


def test_cca_on_three_nodes_by_hand():
    # columns of a: (0, 1, 2) -> (-1, 0, 1); (0, 0, 3) -> mean 1, deviation √3 -> (-1, -1, 2)/√3
    # columns of b: (2, 0, 1) -> (1, -1, 0); (1, 2, 3) -> (-1, 0, 1)
    a, b = tensor([[0, 0], [1, 0], [2, 3]]), tensor([[2, 1], [0, 2], [1, 3]])
    r = math.sqrt(3)
    invariance = -((-1 + 0 + 0) + (1 + 0 + 2) / r) / 3
    # products over N = 3: diagonal 2/3 each; off-diagonal of a (1 + 0 + 2)/√3/3 = 1/√3, of b (-1 + 0 + 0)/3 = -1/3
    within_a = 2 * (2 / 3 - 1) ** 2 + 2 * (1 / r) ** 2
    within_b = 2 * (2 / 3 - 1) ** 2 + 2 * (1 / 3) ** 2
    assert cca(a, b, 0.0).item() == pytest.approx(invariance, rel=1e-14)
    assert cca(a, b, 0.25).item() == pytest.approx(invariance + 0.25 * (within_a + within_b), rel=1e-14)


@pytest.mark.parametrize("n", [2, 3, 100])
def test_cca_of_equal_views_by_hand(n):
    # every dimension correlates with itself to (N - 1)/N
    h = draw(0, n, 4)
    assert cca(h, h, 0.0).item() == pytest.approx(-4 * (n - 1) / n, rel=1e-12)
    assert cca(h, -h, 0.0).item() == pytest.approx(4 * (n - 1) / n, rel=1e-12)


def test_cca_of_independent_views_is_about_zero():
    n, d = 4000, 8
    loss = cca(draw(0, n, d), draw(1, n, d), 0.0).item()
    assert abs(loss) < 5 * math.sqrt(d / n)


@given(
    st.integers(0, 10**6),
    st.lists(st.floats(0.01, 100) | st.floats(-100, -0.01), min_size=3, max_size=3),
    st.lists(st.floats(-100, 100), min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=50)
def test_cca_ignores_affine_maps_of_a_dimension(seed, factors, shifts):
    a, b = draw(seed, 7, 3), draw(seed + 1, 7, 3)
    scale, shift = tensor(factors), tensor(shifts)
    moved = cca(a * scale + shift, b * scale - shift, 0.1).item()
    assert moved == pytest.approx(cca(a, b, 0.1).item(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.0, -3e5, 1e-20])
def test_a_collapsed_dimension_is_zero_and_not_nan(value, dtype):
    a, b = draw(0, 50, 3, dtype), draw(1, 50, 3, dtype)
    without = cca(a[:, :2], b[:, :2], 0.5)
    a[:, 2] = value
    b[:, 2] = value
    a.requires_grad_()
    loss = cca(a, b, 0.5)
    # it correlates with nothing, itself included: each view pays (0 - 1)² for it
    assert loss.item() == pytest.approx(without.item() + 0.5 * 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, a)
    assert gradient.isfinite().all()
    assert (gradient[:, 2] == 0).all()
    assert (gradient[:, :2] != 0).all()


def test_a_small_spread_is_no_collapse():
    a, b = draw(0, 50, 3, torch.float32), draw(1, 50, 3, torch.float32)
    assert cca(a * 1e-6, b * 1e-6).item() == pytest.approx(cca(a, b).item(), rel=1e-5)
    assert cca(a + 100, b + 100).item() == pytest.approx(cca(a, b).item(), abs=1e-4)


def test_cca_has_exact_gradients_beside_a_collapsed_dimension():
    a, b = draw(0, 6, 3), draw(1, 6, 3)
    a[:, 1] = 5.0
    b.requires_grad_()
    assert torch.autograd.gradcheck(lambda b: cca(a, b, 0.3), (b,))


# --- what is refused
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: info_nce(z, z[:2]), "embeddings have shapes [3, 2] and [2, 2]; both must be [N, D]"),
        (lambda z: info_nce(z[0], z[0]), "embeddings have shapes [2] and [2]; both must be [N, D]"),
        (lambda z: info_nce(z, z, 0.0), "temperature = 0.0: input should be greater than 0"),
        (lambda z: info_nce(z, z, math.nan), "temperature = nan: input should be greater than 0"),
        (lambda z: info_nce(z, z, -1.0), "temperature = -1.0: input should be greater than 0"),
        (lambda z: info_nce(z, z, torch.ones(2)), "temperature has shape [2]; expected a number or a scalar tensor"),
        (lambda z: info_nce(z[:0], z[:0]), "embeddings are empty: there is no node to contrast"),
        (lambda z: info_nce(z * math.nan, z), "3 of 3 rows of `a` hold NaN or infinity, first row 0"),
        (lambda z: info_nce(z, z * math.inf), "3 of 3 rows of `b` hold NaN or infinity, first row 0"),
        (
            lambda z: info_nce(z, z.double()),
            "embeddings are torch.float32 on cpu and torch.float64 on cpu; both should be of one type and device",
        ),
        (
            lambda z: info_nce(z, z.to("meta")),
            "embeddings are torch.float32 on cpu and torch.float32 on meta; both should be of one type and device",
        ),
        (lambda z: info_nce(z, z, similarity="l2"), "similarity = 'l2': should be 'cosine' or 'dot'"),
        (lambda z: info_nce(z, z, positives=torch.tensor([0, 1, 3])), "positives reach to row 3; `b` has 3 rows"),
        (
            lambda z: info_nce(z, z, positives=torch.tensor([0, 0, 1])),
            "row 2 of `b` has no positive; give every row of both views at least one",
        ),
        (
            lambda z: HardInfoNCE()(z, z, positives=torch.tensor([0, 0, 1])),
            "HardInfoNCE takes one positive for each row: `positives` repeats one",
        ),
        (lambda z: hard_info_nce(z, z, 0.0), "temperature = 0.0: input should be greater than 0"),
        (
            lambda z: info_nce(z * 1e30, z, similarity="dot"),
            "products of rows reach beyond the range of numbers; scale the rows",
        ),
        (
            lambda z: info_nce(z, z, positives=torch.tensor([[0, 1], [0, 1]])),
            "row 2 of `a` has no positive; give every row of both views at least one",
        ),
        (
            lambda z: info_nce(z, z, excluded=torch.tensor([[0], [4]])),
            "excluded pairs name node 4; there are 3 nodes (0..2)",
        ),
        (lambda z: info_nce(z, z, weights=torch.ones(4)), "weights have shape [4]; expected one per node [3]"),
        (lambda z: hard_info_nce(z, z, hardness=-1), "hardness = -1: input should be 0 or more"),
        (lambda z: hard_info_nce(z, z, debias=1), "debias = 1: input should be at least 0 and less than 1"),
        (lambda z: hard_info_nce(z[:1], z[:1]), "one node has no negatives; hard_info_nce needs at least two"),
        (
            lambda z: sampled_info_nce(z, z, samples=4, generator=torch.Generator()),
            "samples = 4: should be between 2 and the 3 nodes",
        ),
        (lambda z: InfoNCE()(z, z, negatives=z), "InfoNCE takes all other nodes as negatives; leave `negatives` out"),
        (lambda z: cca(z, z[:, :1]), "embeddings have shapes [3, 2] and [3, 1]; both must be [N, D]"),
        (lambda z: cca(z[:1], z[:1]), "one node has no spread: embeddings must be [N, D], N >= 2"),
        (lambda z: CCA()(z, z, negatives=z), "CCA has no negatives; leave `negatives` out"),
        (lambda z: node_graph_bce(z, z[:1], z[:2]), "embeddings have shapes [3, 2] and [2, 2]; both must be [N, D]"),
        (lambda z: node_graph_bce(z, z[:1, :1], z), "summaries have shape [1, 1]; expected [B, 2]"),
        (lambda z: node_graph_bce(z, z, z), "3 summaries: say which belongs to each node with `graph` [N]"),
        (
            lambda z: NodeGraphBCE()(z, z[:1]),
            "NodeGraphBCE needs `negatives`: the embeddings of a corrupted graph [N, D]",
        ),
    ],
)
def test_what_an_objective_does_not_take_is_refused(call, message):
    with pytest.raises(RequestError) as caught:
        call(torch.ones(3, 2))
    assert str(caught.value) == message
