"""Polynomials of a sparse operator against eigenvectors of the dense one: values, every gradient, shared terms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.errors import RequestError
from graphcl.ops.chebyshev import chebyshev_terms, polynomials, polynomials_reference
from graphcl.ops.propagate import Pattern, adjacency_operator, multiply_reference


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def undirected(seed, n, count):
    edges = torch.randint(n, (2, count), generator=torch.Generator().manual_seed(seed))
    return torch.cat([edges, edges.flip(0)], 1)


def dense(pattern, values):
    return multiply_reference(pattern, values, torch.eye(pattern.width, dtype=values.dtype))


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 30), st.integers(0, 12), st.integers(1, 3))
@settings(deadline=None, max_examples=100)
def test_values_are_those_of_the_eigenvectors(seed, n, count, order, channels):
    # self-loops, parallel edges and isolated nodes included
    pattern, values = adjacency_operator(undirected(seed, n, count), n, dtype=torch.float64)
    x, weights = draw(seed, n, 3), draw(seed + 1, channels, order + 1)
    found = polynomials(pattern, values, x, weights)
    torch.testing.assert_close(found, polynomials_reference(dense(pattern, values), x, weights), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_every_gradient_is_exact(order):
    # not symmetric on purpose: the adjoint must turn the operator
    pattern, values = adjacency_operator(
        torch.randint(6, (2, 14), generator=torch.Generator().manual_seed(5)), 6, dtype=torch.float64
    )
    leaves = [values.clone(), draw(1, 6, 2), draw(2, 2, order + 1)]
    for wanted in ([0, 1, 2], [1], [2], [0]):
        ready = [leaf.requires_grad_(place in wanted) for place, leaf in enumerate(map(torch.clone, leaves))]
        assert torch.autograd.gradcheck(lambda v, x, w: polynomials(pattern, v, x, w), ready)


def test_terms_are_differentiable_by_themselves():
    pattern, values = adjacency_operator(undirected(3, 5, 7), 5, dtype=torch.float64)
    x = draw(4, 5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sum(chebyshev_terms(pattern, values, x, 4)), (x,))


def test_what_does_not_fit_is_refused():
    pattern, values = adjacency_operator(undirected(0, 4, 5), 4)
    x = torch.ones(4, 2)
    with pytest.raises(RequestError, match=r"expected \[channels, order \+ 1\]"):
        polynomials(pattern, values, x, torch.ones(3))
    with pytest.raises(RequestError, match="both should be alike"):
        polynomials(pattern, values, x, torch.ones(1, 3, dtype=torch.float64))
    with pytest.raises(RequestError, match="do not fit a pattern"):
        polynomials(pattern, values, torch.ones(5, 2), torch.ones(1, 3))
    wide, _ = Pattern.sorted(torch.tensor([0]), torch.tensor([1]), (1, 2))
    with pytest.raises(RequestError, match="need a square one"):
        polynomials(wide, torch.ones(1), torch.ones(2, 1), torch.ones(1, 2))
