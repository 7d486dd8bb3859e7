"""Personalised PageRank against the dense system: values, both gradients, entries of 0, and what it costs."""

import pytest
import torch

from graphcl.data import csbm
from graphcl.ops.chebyshev import polynomials
from graphcl.ops.propagate import gcn_operator
from graphcl.ops.resolvent import pagerank_rows_reference
from graphcl.spectral import PPRFilter


def graph(nodes=30, seed=0, dtype=torch.float64):
    made = csbm(nodes=nodes, classes=2, degree=4.0, homophily=0.7, features=5, seed=seed)
    made.x = made.x.to(dtype)
    generator = torch.Generator().manual_seed(seed)
    each = torch.rand(nodes, nodes, generator=generator, dtype=dtype) + 0.2
    made.edge_weight = (each + each.T)[tuple(made.edge_index)]
    return made


def dense(data, weight, loops):
    n = data.num_nodes
    matrix = torch.zeros(n, n, dtype=weight.dtype).index_put(tuple(data.edge_index.flip(0)), weight, accumulate=True)
    if loops:
        matrix = matrix + torch.eye(n, dtype=weight.dtype)
    degree = matrix.sum(1)
    scale = torch.where(degree > 0, degree.clamp(min=1e-30).pow(-0.5), 0.0)
    return scale[:, None] * matrix * scale


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("teleport", [0.05, 0.15, 0.5, 1.0])
def test_values_and_gradients_are_those_of_the_dense_system(teleport, loops):
    data = graph()
    upstream = torch.randn(30, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, expected = [], []
    for out, through in ((found, PPRFilter(teleport, self_loops=loops).double()), (expected, None)):
        x, weight = data.x.clone().requires_grad_(), data.edge_weight.clone().requires_grad_()
        if through is not None:
            y = through(x, data.edge_index, weight)
        else:
            y = pagerank_rows_reference(dense(data, weight, loops), x, teleport)
        out += [y.detach(), *torch.autograd.grad((y * upstream).sum(), (x, weight))]
    # both directions of an edge are one entry there; here each has its part
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_candidates_of_weight_zero_have_a_gradient_and_no_part_in_the_values():
    data = graph()
    absent = torch.tensor([[0, 1, 2, 3], [20, 21, 22, 23]])
    extra = torch.cat([absent, absent.flip(0)], 1)
    wide = torch.cat([data.edge_index, extra], 1)
    weight = torch.cat([data.edge_weight, torch.zeros(8, dtype=torch.float64)])
    ppr = PPRFilter(0.1).double()
    assert torch.equal(ppr(data.x, wide, weight), ppr(data.x, data.edge_index, data.edge_weight))
    assert torch.autograd.gradcheck(
        lambda w: ppr(data.x, wide, torch.cat([data.edge_weight, w, w])),
        (torch.full((4,), 0.1).double().requires_grad_(),),
    )

    def loss(through, w):
        return through(data.x, wide, w).square().sum()

    leaf = weight.clone().requires_grad_()
    (mine,) = torch.autograd.grad(loss(ppr, leaf), leaf)
    again = weight.clone().requires_grad_()
    walked = lambda x, e, w: polynomials(*gcn_operator(e, 30, w, x.dtype), x, ppr.coefficients().to(x)[None])[0]  # noqa: E731
    (theirs,) = torch.autograd.grad(loss(walked, again), again)
    assert torch.allclose(mine, theirs, atol=1e-5)
    assert bool((mine[-8:] != 0).all())


def test_a_series_that_is_cut_short_keeps_its_own_gradient():
    data = graph()
    weight = data.edge_weight.clone().requires_grad_()
    ppr = PPRFilter(0.1, order=3).double()
    y = ppr(data.x, data.edge_index, weight)
    (mine,) = torch.autograd.grad(y.square().sum(), weight)
    step = torch.zeros_like(weight)
    pick = data.edge_index[:, 0]
    both = ((data.edge_index == pick[:, None]).all(0)) | ((data.edge_index == pick.flip(0)[:, None]).all(0))
    step[both] = 1e-6
    with torch.no_grad():
        up = ppr(data.x, data.edge_index, weight + step).square().sum()
        down = ppr(data.x, data.edge_index, weight - step).square().sum()
    assert float((up - down) / 2e-6) == pytest.approx(float(mine[both].sum()), rel=1e-5)


def test_no_terms_are_kept_for_the_gradient():
    data = graph(200, dtype=torch.float32)
    weight = data.edge_weight.clone().requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        PPRFilter(0.1)(data.x, data.edge_index, weight)
    # without the operator's own: entries of the graph, and one matrix of rows
    assert sum(size == data.x.numel() for size in kept) == 1
