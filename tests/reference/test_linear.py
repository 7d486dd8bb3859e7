"""The product with mostly-zero features against the dense one, and that it is really taken."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.ops import linear
from graphcl.ops.linear import feature_linear, feature_linear_reference


def draw(seed, *shape, density=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=dtype)
    return values * (torch.rand(*shape, generator=generator) < density)


@pytest.fixture
def ways(monkeypatch):
    """Counts the products taken each way."""
    taken = {"sparse": 0, "dense": 0}
    sparse, dense = linear._SparseProduct.apply, linear.feature_linear_reference

    def count(name, call):
        def counted(*arguments):
            taken[name] += 1
            return call(*arguments)

        return counted

    monkeypatch.setattr(linear._SparseProduct, "apply", count("sparse", sparse))
    monkeypatch.setattr(linear, "feature_linear_reference", count("dense", dense))
    return taken


def both_ways(x, weight):
    """Values and gradients of both products, for one random direction."""
    out = []
    for product in (lambda w: linear._SparseProduct.apply(x, w), lambda w: F.linear(x, w)):
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
    assert torch.autograd.gradcheck(lambda w: linear._SparseProduct.apply(x, w), (draw(1, 3, 6).requires_grad_(),))


LARGE = (400, 300)  # more than 2¹⁶ entries


def test_mostly_zeros_take_the_sparse_way(ways):
    x, weight = draw(0, *LARGE, density=0.01, dtype=torch.float32), draw(1, 8, 300, dtype=torch.float32)
    weight.requires_grad_()
    value = feature_linear(x, weight)
    assert ways == {"sparse": 1, "dense": 0}
    assert "_SparseProduct" in value.grad_fn.name()
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
    assert torch.equal(feature_linear(x, weight), F.linear(x, weight)), why
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


def test_the_reference_is_the_dense_product():
    x, weight = draw(0, 4, 5), draw(1, 3, 5)
    torch.testing.assert_close(feature_linear_reference(x, weight), torch.einsum("nf,df->nd", x, weight))
