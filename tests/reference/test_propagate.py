"""Sparse propagation against dense matrices and PyG's layers: values, gradients, weights, loops, isolated nodes."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.nn import GCNConv

from graphcl.encoders import GCN
from graphcl.errors import RequestError
from graphcl.ops import propagate
from graphcl.ops.propagate import (
    Pattern,
    gcn_operator,
    gcn_operator_reference,
    gcn_propagate,
    multiply,
    multiply_reference,
)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def edges(seed, n, count):
    return torch.randint(n, (2, count), generator=torch.Generator().manual_seed(seed))


def both(first, second, leaves):
    """Value and gradients of two functions of the same leaves, for one random direction."""
    out = []
    for function in (first, second):
        ready = [leaf.clone().requires_grad_() for leaf in leaves]
        value = function(*ready)
        out.append([value.detach(), *torch.autograd.grad(value, ready, draw(99, *value.shape).to(value.dtype))])
    return out


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 40), st.integers(1, 5))
@settings(deadline=None, max_examples=150)
def test_the_product_is_that_of_the_dense_matrix(seed, rows, columns, count, width):
    # duplicates, empty rows and empty columns included
    generator = torch.Generator().manual_seed(seed)
    r, c = (torch.randint(size, (count,), generator=generator) for size in (rows, columns))
    pattern, order = Pattern.sorted(r, c, (rows, columns))
    assert torch.equal(pattern.rows, r[order])
    found, expected = both(
        lambda v, x: multiply(pattern, v, x),
        lambda v, x: multiply_reference(pattern, v, x),
        [draw(seed, count), draw(seed + 1, columns, width)],
    )
    for mine, true in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 40), st.booleans())
@settings(deadline=None, max_examples=150)
def test_the_operator_is_that_of_the_dense_matrix(seed, n, count, weighted):
    graph = edges(seed, n, count)
    weight = draw(seed + 1, count).abs() + 0.1 if weighted else None
    pattern, values = gcn_operator(graph, n, weight, torch.float64)
    found = multiply(pattern, values, torch.eye(n, dtype=torch.float64))
    torch.testing.assert_close(found, gcn_operator_reference(graph, n, weight), rtol=1e-12, atol=1e-12)


def test_the_gradient_reaches_the_edge_weights_through_the_degrees():
    graph, x = edges(0, 7, 20), draw(1, 7, 3)
    weight = draw(2, 20).abs() + 0.1
    found, expected = both(
        lambda w, x: gcn_propagate(x, graph, w),
        lambda w, x: gcn_operator_reference(graph, 7, w) @ x,
        [weight, x],
    )
    for mine, true in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-11, atol=1e-11)
    assert torch.autograd.gradcheck(lambda w: gcn_propagate(x, graph, w), (weight.requires_grad_(),))


class PlainGCN(nn.Module):
    """The same stack of PyG's own layers."""

    def __init__(self, dims):
        super().__init__()
        self.layers = nn.ModuleList(GCNConv(a, b) for a, b in pairwise(dims))

    def forward(self, x, edge_index, edge_weight=None):
        for layer in self.layers[:-1]:
            x = layer(x, edge_index, edge_weight).relu()
        return self.layers[-1](x, edge_index, edge_weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [0, 30])
def test_the_encoder_is_a_stack_of_pyg_layers(weighted, count):
    # directed, with loops, parallel edges and isolated nodes
    graph, x = edges(3, 12, count), draw(4, 12, 6)
    weight = draw(5, count).abs() + 0.1 if weighted else None
    ours, theirs = GCN(6, [5, 4]).double(), PlainGCN([6, 5, 4]).double()
    theirs.load_state_dict(ours.state_dict())
    leaves = [x] if weight is None else [x, weight]
    found, expected = both(lambda x, w=None: ours(x, graph, w), lambda x, w=None: theirs(x, graph, w), leaves)
    for mine, true in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-10, atol=1e-12)
    for module in (ours, theirs):
        module.zero_grad()
        module(x, graph, weight).square().sum().backward()
    for mine, true in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, true.grad, rtol=1e-10, atol=1e-12)


def test_sparse_features_embed_like_dense_ones():
    x = draw(0, 30, 20) * (draw(1, 30, 20) > 1.2)
    graph = edges(2, 30, 60)
    encoder = GCN(20, [8, 4]).double()
    torch.testing.assert_close(encoder(x.to_sparse_csr(), graph), encoder(x, graph))


def test_a_symmetric_graph_needs_one_pattern_for_both_passes():
    one_way = torch.unique(edges(0, 9, 15), dim=1)
    symmetric = torch.unique(torch.cat([one_way, one_way.flip(0)], 1), dim=1)
    pattern, _ = gcn_operator(symmetric, 9)
    assert pattern.transposed()[0] is pattern
    directed = torch.tensor([[0, 0, 1], [1, 2, 2]])
    pattern, _ = gcn_operator(directed, 3)
    assert pattern.transposed()[0] is not pattern


def test_one_sort_serves_all_passes_and_no_graph_gets_the_answer_of_another(monkeypatch):
    sorts = []
    order = propagate._order

    def counted(*arguments):
        sorts.append(1)
        return order(*arguments)

    monkeypatch.setattr(propagate, "_order", counted)
    propagate._SEEN.items = ()
    graph, x = edges(7, 10, 30), draw(8, 10, 2)
    for _ in range(3):
        gcn_propagate(x.clone().requires_grad_(), graph.clone()).sum().backward()
    assert len(sorts) == 2  # by row and, for the gradient, by column
    # the same tensor, changed in place: compared edge by edge, and found to be another graph
    graph[0, 0] = (graph[0, 0] + 1) % 10
    found = gcn_propagate(x, graph)
    torch.testing.assert_close(found, gcn_operator_reference(graph, 10) @ x)
    assert len(sorts) == 3
    # more graphs than are remembered, walked twice
    for seed in [*range(9), *range(9)]:
        other = edges(seed, 10, 30)
        torch.testing.assert_close(gcn_propagate(x, other), gcn_operator_reference(other, 10) @ x)
    # the same edges among more nodes are another graph
    torch.testing.assert_close(gcn_propagate(draw(1, 12, 2), graph), gcn_operator_reference(graph, 12) @ draw(1, 12, 2))


def test_a_graph_seen_in_inference_mode_can_be_trained_on():
    propagate._SEEN.items = ()
    graph, x = edges(11, 10, 30), draw(8, 10, 4) * (draw(9, 10, 4) > 0)
    encoder = GCN(4, [3]).double()
    with torch.inference_mode():
        seen = encoder(x.to_sparse_csr(), graph)
    encoder(x.to_sparse_csr(), graph).sum().backward()
    gcn_propagate(x, graph, torch.ones(30, dtype=torch.float64, requires_grad=True)).sum().backward()
    torch.testing.assert_close(encoder(x, graph).detach(), seen)


def test_the_encoder_works_under_autocast():
    graph, x = edges(11, 10, 30), draw(8, 10, 4).float()
    encoder = GCN(4, [3, 2])
    with torch.autocast("cpu", torch.bfloat16):
        narrow = encoder(x, graph)
    torch.testing.assert_close(narrow.float(), encoder(x, graph), rtol=0.05, atol=0.05)


def test_values_handed_out_are_the_callers_own():
    graph = edges(12, 6, 10)
    _, values = gcn_operator(graph, 6)
    before = values.clone()
    values.mul_(7)
    assert torch.equal(gcn_operator(graph, 6)[1], before)


def test_degrees_of_hubs_are_counted_in_full():
    leaves = torch.arange(1, 1001)
    star = torch.stack([leaves, torch.zeros_like(leaves)])
    _, narrow = gcn_operator(star, 1001, dtype=torch.bfloat16)
    _, exact = gcn_operator(star, 1001, dtype=torch.float64)
    torch.testing.assert_close(narrow.double(), exact, rtol=1e-2, atol=0)


def test_what_is_large_is_not_remembered_and_the_unused_goes_first():
    memo = propagate.Remembered(count=2, largest=10)
    assert memo.add("large", 11) == "large"
    assert memo.items == ()
    for name in "abc":
        memo.add(name, 1)
        memo.find(lambda item: item == "a")
    assert memo.items == ("a", "c")
    assert memo.find(lambda item: item == "b") is None


X = draw(0, 3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gcn_propagate(X, torch.tensor([[0], [3]])), "edge_index names node 3 but there are only 3"),
        (lambda: gcn_propagate(X, torch.tensor([[-1], [0]])), "edge_index names node -1 but there are only 3"),
        (lambda: gcn_propagate(X, torch.tensor([0, 1])), r"edge_index is torch.int64 \[2\]; expected int64"),
        (
            lambda: gcn_propagate(draw(0, 3, 2), torch.tensor([[0], [1]]), torch.ones(2)),
            r"edge_weight has shape \[2\], expected \[1\]",
        ),
        (
            lambda: Pattern.sorted(torch.tensor([0, 2]), torch.tensor([0, 0]), (2, 1)),
            r"row 2 is outside of the shape \[2, 1\]",
        ),
        (lambda: Pattern.sorted(torch.tensor([0]), torch.tensor([-1]), (2, 1)), "column -1 is outside of the shape"),
        (lambda: Pattern.sorted(torch.tensor([0]), torch.tensor([0.0]), (2, 1)), r"both should be int64 \[E\]"),
        (
            lambda: multiply(*gcn_operator(torch.tensor([[0], [1]]), 2), torch.ones(3, 1)),
            r"do not fit a pattern of 3 entries and shape \[2, 2\]",
        ),
        (
            lambda: multiply(*gcn_operator(torch.tensor([[0], [1]]), 2), torch.ones(2, 1).double()),
            "values are torch.float32 on cpu, the matrix torch.float64 on cpu",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()
