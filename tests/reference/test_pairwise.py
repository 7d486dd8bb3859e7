"""All-pairs reductions against the whole matrix in float64: values, gradients, every option, every size of tile."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from graphcl.errors import RequestError
from graphcl.ops import pairwise, pairwise_tiles
from graphcl.ops.pairwise import (
    knn_graph,
    logsumexp_between,
    logsumexp_between_reference,
    logsumexp_within,
    logsumexp_within_reference,
    nearest,
    pair_products,
)
from graphcl.ops.product import plain_product, product_for
from graphcl.pieces import each_worker

TOLERANCE = {torch.float64: 1e-10, torch.float32: 5e-6, torch.bfloat16: 1e-2}


def draw(seed, n, d, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_pairs(seed, n, m, count):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack(
        [torch.randint(n, (count,), generator=generator), torch.randint(m, (count,), generator=generator)]
    )


def gradients(function, leaves, seed=0):
    """Values and gradients of a random combination of what the function returns, where that is finite."""
    leaves = [x.detach().clone().requires_grad_() for x in leaves]
    out = function(*leaves)
    out = torch.cat([out] if isinstance(out, torch.Tensor) else list(out))
    upstream = draw(seed, len(out), 1)[:, 0].to(out.dtype)
    some = out.isfinite()
    (torch.where(some, out, 0) * upstream).sum().backward()
    return out.detach(), [x.grad for x in leaves]


def error(found, expected):
    scale = expected.detach().double().norm()
    return (
        float((found.detach().double() - expected.detach().double()).norm() / scale)
        if scale > 0
        else float(found.detach().double().norm())
    )


def agree(found, expected, tolerance, terms=0.0):
    (value, slopes), (true_value, true_slopes) = found, expected
    some = true_value.isfinite()
    assert torch.equal(value.isfinite(), some)
    # the logarithm of a sum near one is near zero: its error is that of the sum, or of the scores
    magnitude = true_value[some].abs().clamp(min=1)
    assert ((value[some].double() - true_value[some]).abs() <= tolerance * magnitude).all()
    for slope, true in zip(slopes, true_slopes, strict=True):
        assert slope.isfinite().all()
        # a row's gradient sums terms as large as its neighbours: where they cancel, nothing is known to more digits
        assert float((slope.double() - true).norm()) <= tolerance * max(float(true.norm()), terms)


@st.composite
def problems(draw_from):
    n, m = draw_from(st.integers(1, 40)), draw_from(st.integers(1, 40))
    return {
        "seed": draw_from(st.integers(0, 10**6)),
        "n": n,
        "m": m,
        "d": draw_from(st.integers(1, 20) | st.integers(32, 70)),
        "temperature": draw_from(st.sampled_from([0.05, 0.1, 0.5, 1.0, 5.0])),
        "tile": draw_from(st.sampled_from([1, 3, 8, 64])),
        "pairs": draw_from(st.integers(0, 60)),
        "weighted": draw_from(st.booleans()),
        "include_self": draw_from(st.booleans()),
        "keep": draw_from(st.sampled_from([0, 2**20])),
        "dtype": draw_from(st.sampled_from([torch.float64, torch.float32])),
    }


@pytest.fixture
def tiled(monkeypatch):
    def choose(tile, keep=2**20):
        monkeypatch.setattr(pairwise_tiles, "tile_size", lambda device: tile)
        monkeypatch.setattr(pairwise_tiles, "_KEEP", keep)

    return choose


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


@given(problems())
@settings(deadline=None, max_examples=300)
def test_within_is_that_of_the_whole_matrix(problem):
    p = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairwise_tiles, "tile_size", lambda device: p["tile"])
        patch.setattr(pairwise_tiles, "_KEEP", p["keep"])
        z = (unit(draw(p["seed"], p["n"], p["d"])) / p["temperature"] ** 0.5).to(p["dtype"])
        options = {"include_self": p["include_self"], "excluded": some_pairs(p["seed"], p["n"], p["n"], p["pairs"])}
        leaves = [z]
        if p["weighted"]:
            leaves.append((draw(p["seed"] + 1, p["n"], 1)[:, 0].abs() + 0.01).to(p["dtype"]))

        def call(function):
            return lambda z, w=None: function(z, weights=w, **options)

        expected = gradients(call(logsumexp_within_reference), [x.double() for x in leaves])
        agree(gradients(call(logsumexp_within), leaves), expected, TOLERANCE[p["dtype"]], p["temperature"] ** -0.5)


@given(problems())
@settings(deadline=None, max_examples=300)
def test_between_is_that_of_the_whole_matrix(problem):
    p = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairwise_tiles, "tile_size", lambda device: p["tile"])
        patch.setattr(pairwise_tiles, "_KEEP", p["keep"])
        a = (unit(draw(p["seed"], p["n"], p["d"])) / p["temperature"] ** 0.5).to(p["dtype"])
        b = (unit(draw(p["seed"] + 1, p["m"], p["d"])) / p["temperature"] ** 0.5).to(p["dtype"])
        excluded = some_pairs(p["seed"], p["n"], p["m"], p["pairs"])
        leaves = [a, b]
        if p["weighted"]:
            leaves += [
                (draw(p["seed"] + k, size, 1)[:, 0].abs() + 0.01).to(p["dtype"])
                for k, size in enumerate((p["n"], p["m"]))
            ]

        def call(function):
            return lambda a, b, wa=None, wb=None: function(a, b, excluded=excluded, weights_a=wa, weights_b=wb)

        expected = gradients(call(logsumexp_between_reference), [x.double() for x in leaves])
        agree(gradients(call(logsumexp_between), leaves), expected, TOLERANCE[p["dtype"]], p["temperature"] ** -0.5)


@given(problems())
@settings(deadline=None, max_examples=200)
def test_bfloat16_is_within_one_percent(problem):
    p = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairwise_tiles, "tile_size", lambda device: p["tile"])
        z = (unit(draw(p["seed"], p["n"] + 1, p["d"] + 1)) / p["temperature"] ** 0.5).float()
        excluded = some_pairs(p["seed"], p["n"], p["n"], p["pairs"])
        expected = gradients(lambda z: logsumexp_within_reference(z, excluded=excluded), [z.double()])
        found = gradients(lambda z: logsumexp_within(z, excluded=excluded, precision=torch.bfloat16), [z])
        assert found[0].dtype == torch.float32
        agree(found, expected, TOLERANCE[torch.bfloat16])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 30.0, 1e3])
def test_no_scale_overflows(dtype, scale, tiled):
    tiled(5)
    z = (draw(0, 23, 6) * scale).to(dtype)
    # a score is known to its last bit, and an error in it is a relative error of its exponential: at scale 1e3 nothing is
    # known of a float32 gradient but that it is finite
    tolerance = TOLERANCE[dtype] * max(1.0, float((z.double() @ z.double().T).abs().max()) / 20)
    torch.testing.assert_close(
        logsumexp_within(z).double(),
        logsumexp_within_reference(z.double()),
        rtol=TOLERANCE[dtype],
        atol=TOLERANCE[dtype],
    )
    expected = gradients(logsumexp_within_reference, [z.double()])
    agree(gradients(logsumexp_within, [z]), expected, tolerance)
    pair = [z[:9], z[9:]]
    expected = gradients(logsumexp_between_reference, [x.double() for x in pair])
    agree(gradients(logsumexp_between, pair), expected, tolerance)


def test_exclusions_in_either_order_and_twice_are_the_same(tiled):
    tiled(4)
    z = draw(0, 11, 3)
    pairs = torch.tensor([[0, 9, 3], [9, 5, 3]])
    once = logsumexp_within(z, excluded=pairs)
    assert torch.equal(once, logsumexp_within(z, excluded=pairs.flip(0)))
    assert torch.equal(once, logsumexp_within(z, excluded=torch.cat([pairs, pairs.flip(0)], 1)))
    assert torch.equal(logsumexp_within(z), logsumexp_within(z, excluded=torch.empty(2, 0, dtype=torch.long)))


def test_rows_without_candidates_are_minus_infinity_and_have_no_gradient(tiled):
    for tile in (2, 64):
        tiled(tile)
        for scale in (1.0, 1e3):
            z = (draw(0, 3, 2, torch.float32) * scale).requires_grad_()
            found = logsumexp_within(z, excluded=torch.tensor([[0, 0], [1, 2]]))
            assert found.isfinite().tolist() == [False, True, True]
            assert found[0].item() == -math.inf
            torch.nn.functional.softplus(found).sum().backward()
            assert z.grad.isfinite().all()
            assert (z.grad[0] == 0).all()


def test_kept_tiles_and_recomputed_ones_give_the_same_bits(tiled):
    z = draw(0, 50, 8, torch.float32)
    results = []
    for keep in (0, 2**20):
        tiled(16, keep)
        results.append(gradients(logsumexp_within, [z]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1][0], results[1][1][0])


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_threads_share_the_tiles_and_give_the_same_sums(scale, tiled, monkeypatch):
    tiled(8)
    z, w = draw(0, 70, 8) * scale, draw(1, 70, 1)[:, 0].abs()
    pairs = some_pairs(3, 70, 70, 30)
    results = []
    for workers in (1, 2, 3, 3):
        monkeypatch.setattr(pairwise_tiles, "_workers", lambda *_, workers=workers: workers)
        one = gradients(lambda z, w: logsumexp_within(z, weights=w, excluded=pairs), [z, w])
        two = gradients(lambda z, w: logsumexp_between(z, z[:33], weights_a=w, excluded=pairs % 33), [z, w])
        results.append([one[0], *one[1], two[0], *two[1]])
    for single, double, triple, again in zip(*results, strict=True):
        torch.testing.assert_close(double, single, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(triple, single, rtol=1e-12, atol=1e-12)
        assert torch.equal(triple, again)


def test_threads_leave_the_settings_as_they_were_even_when_one_fails():
    before = torch.get_num_threads()

    def work(worker):
        assert not torch.is_grad_enabled()
        if worker == 2:
            raise ZeroDivisionError
        return torch.get_num_threads()

    assert each_worker(work, 2) == [max(1, before // 2)] * 2
    with pytest.raises(ZeroDivisionError):
        each_worker(work, 3)
    assert torch.get_num_threads() == before
    assert pairwise_tiles._workers("cpu", 100, 0) == min(8, before)
    assert pairwise_tiles._workers("cpu", 100, 2**40) == 1
    assert pairwise_tiles._workers("cuda", 100, 0) == 1


@pytest.mark.parametrize("device_format", [torch.bfloat16, torch.float16])
def test_autocast_does_not_narrow_the_scores(device_format, monkeypatch, tiled):
    # as where oneDNN is absent: torch.mm is what autocast would narrow
    monkeypatch.setattr(pairwise_tiles, "product_for", lambda example: plain_product)
    tiled(16)
    z = unit(draw(0, 60, 40, torch.float32)) / 0.1**0.5
    expected = gradients(logsumexp_within, [z])
    with torch.autocast("cpu", device_format):
        found = gradients(logsumexp_within, [z])
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1][0], expected[1][0])


def test_minute_weights_keep_their_gradient():
    z = torch.tensor([[5.0, 0.0], [-5.0, 0.0], [-5.0, 0.0]])
    weights = torch.tensor([1.0, 1e-30, 1e-30])
    expected = gradients(lambda z, w: logsumexp_within_reference(z, weights=w), [z.double(), weights.double()])
    found = gradients(lambda z, w: logsumexp_within(z, weights=w), [z, weights])
    agree((found[0], found[1][:1]), (expected[0], expected[1][:1]), 1e-5)


def test_a_weight_of_zero_is_no_candidate_even_at_scores_that_need_a_maximum(tiled):
    tiled(4)
    z = (draw(0, 9, 3, torch.float32) * 30).requires_grad_()
    weights = torch.zeros(9)
    weights[3] = 1.0
    found = logsumexp_within(z, weights=weights)
    torch.testing.assert_close(found[[0, 8]], (z @ z[3])[[0, 8]])
    assert found[3].item() == -math.inf
    torch.nn.functional.softplus(found).sum().backward()
    assert z.grad.isfinite().all()


def test_the_gradient_can_be_taken_twice_from_one_graph():
    z = draw(0, 20, 4).requires_grad_()
    out = logsumexp_within(z).sum()
    (first,) = torch.autograd.grad(out, z, retain_graph=True)
    (second,) = torch.autograd.grad(out, z)
    assert torch.equal(first, second)


def test_precision_is_never_lowered_silently():
    z = draw(0, 300, 64, torch.float32)
    exact = logsumexp_within_reference(z.double())
    assert error(logsumexp_within(z), exact) < 1e-6
    assert logsumexp_within(z).dtype == torch.float32
    assert logsumexp_within(z.double()).dtype == torch.float64
    assert error(logsumexp_within(z.half().float()), logsumexp_within_reference(z.half().double())) < 1e-6
    # 16-bit input comes back in float32, its gradient in its own format
    for narrow in (torch.float16, torch.bfloat16):
        leaf = (z / 8).to(narrow).requires_grad_()
        out = logsumexp_within(leaf)
        out.sum().backward()
        assert out.dtype == torch.float32
        assert leaf.grad.dtype == narrow
        assert error(out, logsumexp_within_reference(leaf.detach().double())) < 1e-3


def test_memory_grows_with_the_rows_not_with_their_square(monkeypatch):
    monkeypatch.setattr(pairwise_tiles, "_KEEP", 0)
    largest = 0
    seen = torch.exp2

    def watched(values, **options):
        nonlocal largest
        largest = max(largest, values.numel())
        return seen(values, **options)

    monkeypatch.setattr(torch, "exp2", watched)
    tile = pairwise_tiles.tile_size("cpu")
    z = draw(0, 3 * tile + 1, 4, torch.float32).requires_grad_()
    logsumexp_within(z).sum().backward()
    assert largest == tile * tile


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_products_by_either_library_agree(name):
    dtype = getattr(torch, name)
    x, w = draw(0, 33, 17, dtype), draw(1, 29, 17, dtype)
    fast, plain = product_for(x)(x, w), plain_product(x, w)
    assert error(fast, plain) < (1e-6 if name == "float32" else 1e-2)
    assert error(product_for(x)(x, w.T.contiguous().T), plain) < (1e-6 if name == "float32" else 1e-2)


# --- pairs and neighbours
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [0, 30])
def test_pair_products_are_those_of_the_rows_gathered_or_of_the_whole(monkeypatch, sparse):
    monkeypatch.setattr(pairwise._PairProducts, "CHUNK", 7)
    monkeypatch.setattr(pairwise._PairProducts, "SPARSE", sparse)
    a, b, pairs = draw(0, 9, 5), draw(1, 6, 5), some_pairs(2, 9, 6, 40)
    found = gradients(lambda a, b: pair_products(a, b, pairs), [a, b])
    agree(found, gradients(lambda a, b: (a @ b.T)[pairs[0], pairs[1]], [a, b]), 1e-12)
    assert pair_products(a, b, pairs[:, :0]).shape == (0,)


def test_rows_that_no_pair_lists_reach_nobody():
    a, pairs = draw(0, 4, 3), torch.tensor([[0, 1, 2], [1, 2, 0]])
    a[3] = torch.nan
    found = gradients(lambda a, b: pair_products(a, b, pairs), [a, a.clone()])
    assert all(bool(part[:3].isfinite().all()) for part in (found[0], *found[1]))


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 30), st.integers(1, 5), st.sampled_from([1, 4, 64]))
@settings(deadline=None, max_examples=80)
def test_nearest_are_those_of_the_whole_matrix(seed, n, m, k, tile):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairwise, "tile_size", lambda device: tile)
        a, b = draw(seed, n, 3), draw(seed + 1, m, 3)
        scores, rows = nearest(a, b, k=min(k, m))
        expected = (a @ b.T).topk(min(k, m), 1)
        assert torch.allclose(scores, expected.values)
        assert torch.equal(rows, expected.indices)
        scores, rows = nearest(a, k=min(k, n - 1))
        whole = (a @ a.T).fill_diagonal_(-torch.inf).topk(min(k, n - 1), 1)
        assert torch.allclose(scores, whole.values)
        assert torch.equal(rows, whole.indices)


def test_the_knn_graph_is_that_of_scikit_learn():
    x = draw(0, 40, 6)
    edge_index, similarity = knn_graph(x, 4)
    distance, index = NearestNeighbors(n_neighbors=4, metric="cosine").fit(x.numpy()).kneighbors()
    assert torch.equal(edge_index[0].view(40, 4), torch.from_numpy(index))
    assert torch.equal(edge_index[1].view(40, 4), torch.arange(40)[:, None].expand(40, 4))
    torch.testing.assert_close(similarity.view(40, 4), 1 - torch.from_numpy(distance))


# --- what is refused
# ---------------------------------------------------------------------------------------------------

Z = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logsumexp_within(Z[0]), r"vectors have shapes \[2\] and \[2\]; expected \[N, D\] and \[K, D\]"),
        (lambda: logsumexp_between(Z, Z[:, :1]), r"vectors have shapes \[3, 2\] and \[3, 1\]"),
        (lambda: logsumexp_within(Z[:0]), r"an empty set has no pairs"),
        (lambda: logsumexp_between(Z, Z.double()), r"vectors are torch.float32 and torch.float64; both should be"),
        (lambda: logsumexp_within(Z.long()), r"both should be of one floating-point type"),
        (lambda: logsumexp_between(Z, Z.to("meta")), r"vectors are on cpu and meta; move both to one device"),
        (
            lambda: logsumexp_within(Z / torch.tensor([[1.0], [0.0], [1.0]])),
            r"1 of 3 rows hold NaN or infinity, first row 1",
        ),
        (lambda: logsumexp_within(Z * torch.nan), r"3 of 3 rows hold NaN or infinity, first row 0"),
        (lambda: logsumexp_within(Z, excluded=torch.tensor([[0], [3]])), r"pairs reach from \[0, 3\] to \[0, 3\]"),
        (lambda: logsumexp_within(Z, excluded=torch.tensor([[-1], [0]])), r"pairs reach from \[-1, 0\]"),
        (
            lambda: logsumexp_within(Z, excluded=torch.tensor([0, 1])),
            r"pairs are torch.int64 \[2\]; expected int64 \[2, P\]",
        ),
        (lambda: logsumexp_within(Z, weights=torch.ones(2)), r"weights are torch.float32 \[2\] on cpu"),
        (lambda: logsumexp_within(Z, weights=-torch.ones(3)), r"weights should be finite and not negative"),
        (lambda: logsumexp_within(Z, weights=torch.ones(3) * torch.nan), r"weights should be finite and not negative"),
        (lambda: logsumexp_within(Z, precision=torch.int8), r"precision = torch.int8: should be None or a floating"),
        (lambda: logsumexp_within(Z, backend="cuda"), r"backend = 'cuda': should be 'auto', 'tiles' or 'triton'"),
        (lambda: nearest(Z, k=3), r"k = 3: there are 2 candidates; k should be between 1 and 2"),
        (lambda: nearest(Z, Z, k=0), r"k = 0: there are 3 candidates"),
        (lambda: pair_products(Z, Z, torch.tensor([[0], [5]])), r"pairs reach from \[0, 5\] to \[0, 5\]"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()
