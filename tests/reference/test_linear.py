"""The product with mostly-zero features against the dense one, and that it is really taken."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.errors import RequestError
from graphcl.ops import linear
from graphcl.ops.linear import dense_linear, feature_linear, feature_linear_reference


def draw(seed, *shape, density=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=dtype)
    return values * (torch.rand(*shape, generator=generator) < density)


@pytest.fixture
def ways(monkeypatch):
    """Counts the products taken each way."""
    taken = {"sparse": 0, "dense": 0}

    def count(name, call):
        def counted(*arguments):
            taken[name] += 1
            return call(*arguments)

        return counted

    monkeypatch.setattr(linear, "multiply", count("sparse", linear.multiply))
    monkeypatch.setattr(linear, "dense_linear", count("dense", linear.dense_linear))
    return taken


def both_ways(x, weight):
    """Values and gradients of both products, for one random direction."""
    out = []
    for product in (lambda w: feature_linear(x.to_sparse_csr(), w), lambda w: F.linear(x, w)):
        leaf = weight.clone().requires_grad_()
        value = product(leaf)
        direction = draw(99, *value.shape, dtype=value.dtype)
        out.append((value.detach(), torch.autograd.grad(value, leaf, direction)[0]))
    return out


@given(
    st.integers(0, 10**6),
    st.integers(0, 12),
    st.integers(1, 12),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
@settings(deadline=None, max_examples=150)
def test_the_sparse_product_equals_the_dense_one(seed, n, features, dim, density):
    x = draw(seed, n, features, density=density)
    (value, gradient), (expected, expected_gradient) = both_ways(x, draw(seed + 1, dim, features))
    assert value.shape == expected.shape
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)


def test_rows_and_columns_of_zeros():
    x = torch.zeros(6, 5, dtype=torch.float64)
    x[1, 3], x[4, 0], x[4, 3] = 2.0, -1.0, 0.5
    weight = draw(0, 3, 5)
    (value, gradient), _ = both_ways(x, weight)
    assert value[[0, 2, 3, 5]].abs().max() == 0
    torch.testing.assert_close(value[1], 2 * weight[:, 3])
    torch.testing.assert_close(value[4], -weight[:, 0] + 0.5 * weight[:, 3])
    assert gradient[:, [1, 2, 4]].abs().max() == 0


def test_a_weight_that_is_not_contiguous():
    x, weight = draw(0, 7, 9, density=0.2), draw(1, 9, 4).t()
    (value, gradient), (expected, expected_gradient) = both_ways(x, weight)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_the_gradient_is_exact():
    x = draw(0, 5, 6, density=0.3)
    assert torch.autograd.gradcheck(lambda w: feature_linear(x.to_sparse_csr(), w), (draw(1, 3, 6).requires_grad_(),))


LARGE = (400, 300)  # more than 2¹⁶ entries


def test_mostly_zeros_take_the_sparse_way(ways):
    x, weight = draw(0, *LARGE, density=0.01, dtype=torch.float32), draw(1, 8, 300, dtype=torch.float32)
    weight.requires_grad_()
    value = feature_linear(x, weight)
    assert ways == {"sparse": 1, "dense": 0}
    torch.testing.assert_close(value, F.linear(x, weight), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(value.sum(), weight)
    torch.testing.assert_close(gradient, x.sum(0).expand(8, -1), rtol=1e-4, atol=1e-4)


def test_all_zeros_take_the_sparse_way_too(ways):
    assert feature_linear(torch.zeros(*LARGE), torch.ones(4, 300)).abs().max() == 0
    assert ways == {"sparse": 1, "dense": 0}


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (draw(0, *LARGE, density=0.5, dtype=torch.float32), "half of it is not zero"),
        (draw(0, 100, 300, density=0.01, dtype=torch.float32), "too small to be worth it"),
        (draw(0, *LARGE, density=0.01, dtype=torch.float32).requires_grad_(), "its gradient is asked for"),
    ],
    ids=["dense", "small", "gradient"],
)
def test_the_rest_takes_the_dense_way(x, why, ways):
    weight = draw(1, 8, 300, dtype=torch.float32)
    torch.testing.assert_close(feature_linear(x, weight), F.linear(x, weight), rtol=1e-5, atol=1e-5)
    assert ways == {"sparse": 0, "dense": 1}, why


def test_the_border_lies_where_it_is_stated(ways):
    x = torch.zeros(100_000)
    x[:2500] = 1.0
    feature_linear(x.view(100, 1000), torch.ones(2, 1000))
    assert ways == {"sparse": 1, "dense": 0}
    x[2500] = 1.0
    feature_linear(x.view(100, 1000), torch.ones(2, 1000))
    assert ways == {"sparse": 1, "dense": 1}


def test_gradients_for_features_come_the_dense_way():
    x = draw(0, *LARGE, density=0.01).requires_grad_()
    weight = draw(1, 8, 300)
    (gradient,) = torch.autograd.grad(feature_linear(x, weight).sum(), x)
    torch.testing.assert_close(gradient, weight.sum(0).expand(400, -1))


def test_features_given_sparse_stay_sparse_whatever_their_density(ways):
    x = draw(0, 6, 5, density=0.9)
    feature_linear(x.to_sparse_csr(), draw(1, 3, 5))
    assert ways == {"sparse": 1, "dense": 0}


def test_views_share_the_pattern_and_another_matrix_does_not():
    first = draw(0, 6, 5, density=0.4).to_sparse_csr()
    masked = torch.sparse_csr_tensor(first.crow_indices(), first.col_indices(), first.values() * 2, first.shape)
    other = draw(1, 6, 5, density=0.4).to_sparse_csr()
    assert linear._pattern(first) is linear._pattern(masked)
    assert linear._pattern(first) is not linear._pattern(other)
    weight = draw(2, 3, 5)
    for x in (first, other, masked, first):
        torch.testing.assert_close(feature_linear(x, weight), x.to_dense() @ weight.T)


def test_int32_indices_are_welcome():
    x = draw(0, 6, 5, density=0.4)
    narrow = torch.sparse_csr_tensor(
        x.to_sparse_csr().crow_indices().int(),
        x.to_sparse_csr().col_indices().int(),
        x.to_sparse_csr().values(),
        x.shape,
    )
    weight = draw(1, 3, 5).requires_grad_()
    found = feature_linear(narrow, weight)
    torch.testing.assert_close(found, x @ weight.T)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), weight)[0], x.sum(0).expand(3, -1))


def test_sparse_layouts_without_a_way_are_refused():
    x, weight = draw(0, 4, 5), draw(1, 3, 5)
    with pytest.raises(RequestError, match=r"features are torch.sparse_coo; make them CSR with x.to_sparse_csr\(\)"):
        feature_linear(x.to_sparse_coo(), weight)
    with pytest.raises(RequestError, match="sparse features have no gradient"):
        feature_linear(x.to_sparse_csr().requires_grad_(), weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0, 1, 33])
def test_the_dense_product_is_that_of_torch(dtype, n):
    x, weight = draw(0, n, 17, dtype=dtype), draw(1, 9, 17, dtype=dtype)
    for rows in (x, draw(2, 17, n, dtype=dtype).T):
        leaves = [rows.clone().requires_grad_(), weight.clone().requires_grad_()]
        plain = [leaf.detach().clone().requires_grad_() for leaf in leaves]
        found, expected = dense_linear(*leaves), F.linear(*plain)
        torch.testing.assert_close(found, expected)
        upstream = draw(3, *found.shape, dtype=dtype)
        for slope, true in zip(
            torch.autograd.grad(found, leaves, upstream), torch.autograd.grad(expected, plain, upstream), strict=True
        ):
            torch.testing.assert_close(slope, true, rtol=1e-5, atol=1e-5)


def test_the_reference_is_the_dense_product():
    x, weight = draw(0, 4, 5), draw(1, 3, 5)
    torch.testing.assert_close(feature_linear_reference(x, weight), torch.einsum("nf,df->nd", x, weight))
