"""Responses against closed forms, bases against each other, descriptors against plain loops, gates against arithmetic."""

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_jacobi
from sklearn.metrics import roc_auc_score

from graphcl.data.block_model import csbm, mixed_csbm
from graphcl.errors import DataError, EmbeddingError, RequestError, UnknownNameError
from graphcl.spectral import (
    DESCRIPTORS,
    BernsteinFilter,
    ChebyshevBasis,
    ChebyshevFilter,
    CosineHigh,
    CosineLow,
    FilterBank,
    GlobalGate,
    GPRFilter,
    HardGate,
    HeatFilter,
    HighPass,
    InterpolatedFilter,
    JacobiFilter,
    LowPass,
    MonotoneHigh,
    MonotoneLow,
    NodeGate,
    PPRFilter,
    ReliabilityGate,
    SigmoidGate,
    SpectralFilter,
    TopKGate,
    local_descriptors,
)
from graphcl.spectral.filters import chebyshev_nodes
from graphcl.spectral.operator import spectral_operator

GRID = torch.linspace(0, 2, 41, dtype=torch.float64)
CYCLE = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])


def weighted(filter, values):
    """The filter with other parameters, drawn by value."""
    with torch.no_grad():
        for parameter in filter.parameters():
            parameter.copy_(torch.as_tensor(values, dtype=parameter.dtype).reshape(parameter.shape))
    return filter


def draws(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("filter", "closed"),
    [
        (LowPass(3), lambda v: (1 - v) ** 3),
        (HighPass(2), lambda v: v**2),
        (HeatFilter(2.5), lambda v: torch.exp(-2.5 * v)),
        (HeatFilter(40.0), lambda v: torch.exp(-40.0 * v)),
        (PPRFilter(0.05), lambda v: 0.05 / (1 - 0.95 * (1 - v))),
        (PPRFilter(1.0), torch.ones_like),
        (GPRFilter(4, "sgc"), lambda v: (1 - v) ** 4),
        (
            GPRFilter(3, "ppr", 0.3),
            lambda v: sum(0.3 * 0.7**k * (1 - v) ** k for k in range(3)) + 0.7**3 * (1 - v) ** 3,
        ),
    ],
)
def test_fixed_responses_are_their_closed_forms(filter, closed):
    torch.testing.assert_close(filter.response(GRID), closed(GRID), rtol=0, atol=2e-6)


def test_learned_responses_are_their_closed_forms():
    w = draws(7) - 0.4
    s = (1 - GRID).numpy()

    def bernstein(k):
        return math.comb(6, k) * (GRID / 2) ** k * (1 - GRID / 2) ** (6 - k)

    expected = {
        ChebyshevFilter(6): np.polynomial.chebyshev.chebval(s, w.double().numpy()),
        GPRFilter(6): np.polynomial.polynomial.polyval(s, w.double().numpy()),
        JacobiFilter(6, a=0.5, b=-0.3): sum(w[k].item() * eval_jacobi(k, 0.5, -0.3, s) for k in range(7)),
        BernsteinFilter(6): sum(max(w[k].item(), 0) * bernstein(k) for k in range(7)).numpy(),
    }
    for filter, values in expected.items():
        found = weighted(filter, w).response(GRID).detach()
        torch.testing.assert_close(found, torch.from_numpy(values), rtol=0, atol=3e-6, msg=str(filter))
    at = torch.from_numpy(1 - chebyshev_nodes(6))
    through = weighted(InterpolatedFilter(6), w).response(at).detach()
    torch.testing.assert_close(through, w.double().relu(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("order", [1, 2, 5, 10, 20])
def test_the_monotone_pair_sums_to_two_and_is_monotone_at_the_nodes(order):
    low, high = MonotoneLow(order), MonotoneHigh(order)
    total = (low.response(GRID) + high.response(GRID)).detach()
    torch.testing.assert_close(total, torch.full_like(GRID, 2.0), rtol=0, atol=1e-5)
    at = torch.from_numpy(1 - chebyshev_nodes(order))
    assert bool((at.diff() > 0).all())
    for pair in (MonotoneLow, MonotoneHigh):
        steps = weighted(pair(order), draws(order) - 0.5).response(at).detach().diff()
        assert bool((steps <= 2e-6).all() if pair is MonotoneLow else (steps >= -2e-6).all())
    if order == 10:
        # the figures of the source's construction at the ends of the spectrum
        ends = high.response(torch.tensor([0.0, 1.0, 2.0])).detach()
        torch.testing.assert_close(ends, torch.tensor([-0.036, 1.0, 2.036]), rtol=0, atol=5e-4)


def test_the_cosine_pair_is_a_mirror_image():
    low, high = CosineLow(8).response(GRID), CosineHigh(8).response(GRID)
    torch.testing.assert_close(low, high.flip(0), rtol=0, atol=1e-5)


def test_beginnings_of_generalised_pagerank():
    assert math.isclose(GPRFilter(5, "ppr", 0.2).weight.sum().item(), 1, rel_tol=1e-6)
    for start in ("negative-ppr", "random"):
        assert math.isclose(GPRFilter(5, start).weight.abs().sum().item(), 1, rel_tol=1e-6)
    sharp = GPRFilter(5, "negative-ppr", 0.5).response(torch.tensor([0.0, 2.0]))
    assert sharp[1] > sharp[0] > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MonotoneLow(0), "MonotoneLow.order = 0: input should be greater than or equal to 1"),
        (lambda: LowPass(0), "LowPass.steps = 0"),
        (lambda: ChebyshevFilter(2.5), "ChebyshevFilter.order = 2.5"),
        (lambda: HeatFilter(-1.0), "HeatFilter.time = -1.0"),
        (lambda: HeatFilter(1.0, order=0), "HeatFilter.order = 0"),
        (lambda: PPRFilter(1.5), r"a probability in \(0, 1\]"),
        (lambda: GPRFilter(3, "pagerank"), "GPRFilter.start = 'pagerank'"),
        (lambda: GPRFilter(3, teleport=1.0), r"a probability in \(0, 1\)"),
        (lambda: JacobiFilter(3, a=-1.0), "JacobiFilter.a = -1.0: input should be more than -1"),
        (lambda: FilterBank([]), "give at least one filter"),
        (lambda: FilterBank([LowPass(), HighPass()]), "give all of them the same self_loops"),
        (lambda: TopKGate(k=0), "TopKGate.k = 0"),
        (lambda: NodeGate(temperature=0.0), "NodeGate.temperature = 0.0"),
        (lambda: NodeGate(sees="context").build(2, 4), "there is none; give it local descriptors"),
        (lambda: GlobalGate().build(0, 4), "channels = 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(RequestError, match=message):
        make()


@pytest.mark.parametrize(
    ("edges", "weight", "message"),
    [
        (torch.empty(2, 0, dtype=torch.long), None, "no edges"),
        (torch.tensor([[0], [1]]), None, "edge 0 -> 1 has no counterpart"),
        (torch.tensor([[0, 1, 2], [1, 0, 1]]), None, "edge 2 -> 1 has no counterpart"),
        # one way twice: as many entries there and back count
        (torch.tensor([[0, 0, 1], [1, 1, 0]]), None, "has no counterpart"),
        (torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 2.0]), "no counterpart of the same weight"),
        (torch.tensor([[0, 1, 1], [1, 0, 2]]), torch.tensor([2e4, 2e4, 1.0]), "1 -> 2 has no counterpart"),
        (torch.tensor([[0, 1, 1], [1, 0, 2]]), torch.full((3,), 1e-7), "1 -> 2 has no counterpart"),
        (torch.tensor([[0, 1], [1, 0]]), torch.tensor([-1.0, -1.0]), "negative or NaN"),
        (torch.tensor([[0, 1], [1, 0]]), torch.tensor([torch.nan, torch.nan]), "negative or NaN"),
    ],
)
def test_graphs_without_a_spectrum_are_refused(edges, weight, message):
    x = torch.ones(3, 2)
    for use in (HighPass(), FilterBank([MonotoneLow(), MonotoneHigh()])):
        with pytest.raises(DataError, match=message):
            use(x, edges, weight)
    with pytest.raises(DataError, match=message):
        local_descriptors(x, edges, weight)
    with pytest.raises(DataError, match=message):
        ChebyshevBasis.of(x, edges, 3, weight)


def test_parallel_edges_in_another_order_are_no_direction():
    edges = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    pattern, _ = spectral_operator(edges, 2, torch.tensor([1.0, 2.0, 2.0, 1.0]))
    assert pattern.shape == (2, 2)


def test_whole_numbers_are_weights_and_eigenvalues_too():
    x = draws(4, 2)
    whole = MonotoneLow(4)(x, CYCLE, torch.ones(8, dtype=torch.long))
    torch.testing.assert_close(whole, MonotoneLow(4)(x, CYCLE))
    torch.testing.assert_close(
        HeatFilter().response(torch.tensor([0, 2])), HeatFilter().response(torch.tensor([0.0, 2.0]))
    )
    with pytest.raises(RequestError, match="a polynomial needs floating point"):
        HighPass()(torch.ones(4, 2, dtype=torch.long), CYCLE)


def test_the_gradient_reaches_edge_weights_through_the_degrees():
    weight = torch.rand(4, dtype=torch.float64).add(0.5)
    x = draws(4, 2).double()

    def call(half):
        both = torch.cat([half, half])
        edges = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]])
        return MonotoneHigh(4).double()(x, edges, both)

    assert torch.autograd.gradcheck(call, (weight.requires_grad_(),))


# ------------------------------------------------------------------------------------------------------------ banks


def test_a_bank_shares_terms_and_equals_its_filters():
    graph = csbm(nodes=50, seed=1)
    parts = [MonotoneLow(4), HighPass(), ChebyshevFilter(7)]
    bank = FilterBank(parts)
    channels = bank(graph.x, graph.edge_index)
    assert channels.shape == (50, 3, graph.x.size(1))
    for number, part in enumerate(parts):
        torch.testing.assert_close(channels[:, number], part(graph.x, graph.edge_index), rtol=1e-5, atol=1e-5)
    assert bank.response(GRID).shape == (3, 41)
    with pytest.raises(RequestError, match=r"need \[n, 8, F\]"):
        bank.mix(torch.ones(5, 7, 2))


class TestBasis:
    graph = csbm(nodes=60, features=7, seed=2)

    def test_blocks_of_columns_are_the_whole(self, tmp_path):
        x, edges = self.graph.x, self.graph.edge_index
        whole = ChebyshevBasis.of(x, edges, 5)
        # room for two columns beside the operator
        memory = 80 * (edges.size(1) + 60) + 2 * 24 * 60
        stored = ChebyshevBasis.write(tmp_path / "basis.npy", x, edges, 5, memory=memory)
        assert isinstance(stored.terms, np.memmap)
        assert np.array_equal(stored.terms, whole.terms)
        assert stored.order == 5
        nodes = torch.tensor([7, 3, 3])
        assert torch.equal(stored.rows(nodes), whole.rows()[nodes])
        with pytest.raises(RequestError, match="give at least"):
            ChebyshevBasis.write(tmp_path / "small.npy", x, edges, 5, memory=memory - 2 * 24 * 60)
        assert not (tmp_path / "small.npy").exists()

    def test_every_node_comes_once_an_epoch_in_an_order_of_its_own(self):
        basis = ChebyshevBasis.of(self.graph.x, self.graph.edge_index, 2)
        seen = [nodes for nodes, _ in basis.batches(16, torch.Generator().manual_seed(0))]
        assert sorted(torch.cat(seen).tolist()) == list(range(60))
        assert not torch.equal(torch.cat(seen), torch.arange(60))
        for nodes, terms in basis.batches(16, torch.Generator().manual_seed(0)):
            assert torch.equal(terms, basis.rows(nodes))

    def test_training_from_a_file_needs_no_graph(self, tmp_path):
        x, edges = self.graph.x, self.graph.edge_index
        stored = ChebyshevBasis.write(tmp_path / "basis.npy", x, edges, 4)
        bank = FilterBank([MonotoneLow(4), MonotoneHigh(4)])
        by_graph = bank(x, edges).square().sum()
        by_rows = bank.mix(stored.rows()).square().sum()
        want, got = (torch.autograd.grad(loss, list(bank.parameters())) for loss in (by_graph, by_rows))
        for a, b in zip(want, got, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)

    def test_broken_files_are_refused(self, tmp_path):
        path, facts = tmp_path / "basis.npy", tmp_path / "basis.npy.json"
        with pytest.raises(DataError, match="no such file"):
            ChebyshevBasis.open(path)

        def fresh():
            ChebyshevBasis.write(path, self.graph.x, self.graph.edge_index, 4)

        fresh()
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DataError, match="not a whole basis"):
            ChebyshevBasis.open(path)
        fresh()
        path.write_bytes(b"")
        with pytest.raises(DataError, match="not a whole basis"):
            ChebyshevBasis.open(path)
        fresh()
        about = json.loads(facts.read_text())
        facts.write_text(json.dumps(about | {"self_loops": True}))
        with pytest.raises(DataError, match="not the basis that"):
            ChebyshevBasis.open(path)
        for text in ("[]", "{}", "no json"):
            facts.write_text(text)
            with pytest.raises(DataError):
                ChebyshevBasis.open(path)
        fresh()
        np.save(path, np.zeros((60, 5, 8), dtype=np.float32))
        with pytest.raises(DataError, match="not the basis that"):
            ChebyshevBasis.open(path)
        np.save(path, np.array([{"a": 1}]), allow_pickle=True)
        with pytest.raises(DataError, match="not a whole basis"):
            ChebyshevBasis.open(path)

    def test_a_killed_computation_leaves_nothing_that_opens(self, tmp_path):
        script = (
            "import os, signal, sys, torch\n"
            "import graphcl.spectral.basis as basis\n"
            "terms = basis.chebyshev_terms\n"
            "def dying(*arguments):\n"
            "    for k, term in enumerate(terms(*arguments)):\n"
            "        if k == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
            "        yield term\n"
            "basis.chebyshev_terms = dying\n"
            "edges = torch.tensor([[0, 1], [1, 0]])\n"
            "basis.ChebyshevBasis.write(sys.argv[1], torch.ones(2, 3), edges, 4)\n"
        )
        path = tmp_path / "basis.npy"
        done = subprocess.run([sys.executable, "-c", script, str(path)], env=os.environ, check=False)
        assert done.returncode == -signal.SIGKILL
        with pytest.raises(DataError, match="no such file"):
            ChebyshevBasis.open(path)
        # the next attempt is not hindered by what was left
        edges = torch.tensor([[0, 1], [1, 0]])
        assert ChebyshevBasis.write(path, torch.ones(2, 3), edges, 4).order == 4
        assert sorted(found.name for found in tmp_path.iterdir()) == ["basis.npy", "basis.npy.json"]

    def test_what_is_no_matrix_of_floats_is_refused(self):
        for x in (torch.ones(4), torch.ones(4, 2, dtype=torch.int64), torch.ones(4, 2).to_sparse_csr()):
            with pytest.raises(RequestError, match="a basis needs a dense float32 or float64"):
                ChebyshevBasis.of(x, CYCLE)
        with pytest.raises(RequestError, match="ChebyshevBasis.order = 0"):
            ChebyshevBasis.of(torch.ones(4, 2), CYCLE, 0)


# ------------------------------------------------------------------------------------------------------ descriptors


def loops(x, edges, weight):
    """Descriptors by their definition, node after node."""
    n = x.size(0)
    around = [[] for _ in range(n)]
    for (u, v), w in zip(edges.T.tolist(), weight.tolist(), strict=True):
        around[v].append((u, w))
    degree = [sum(w for _, w in near) for near in around]

    def cosine(a, b):
        size = a.norm() * b.norm()
        return float(a @ b / size) if size > 0 else 0.0

    rows = []
    for v in range(n):
        smooth = sum((w / math.sqrt(degree[u] * degree[v]) * x[u] for u, w in around[v]), torch.zeros_like(x[v]))
        energy = float(x[v] @ x[v])
        mean = sum((w * x[u] for u, w in around[v]), torch.zeros_like(x[v]))
        second = sum((w * w2 * x[t] for u, w in around[v] for t, w2 in around[u] if t != v), torch.zeros_like(x[v]))
        unit = sum((w * x[u] / max(float(x[u].norm()), 1e-300) for u, w in around[v]), torch.zeros_like(x[v]))
        d = degree[v]
        rows.append(
            [
                float(x[v] @ (x[v] - smooth)) / energy if energy else 1.0,
                math.log1p(d),
                cosine(x[v], mean),
                cosine(x[v], second),
                float(unit.norm()) / d if d else 0.0,
                math.log1p(d) - sum(w * math.log1p(degree[u]) for u, w in around[v]) / d if d else 0.0,
            ]
        )
    return torch.tensor(rows, dtype=torch.float64)


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 20), st.booleans())
@settings(deadline=None, max_examples=60)
def test_descriptors_are_their_definitions(seed, n, count, weighted):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(n, (2, count), generator=generator)
    pairs = torch.unique(torch.cat([pairs, pairs.flip(0)], 1)[:, :], dim=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    if pairs.size(1) == 0:
        return
    low, high = pairs.min(0).values, pairs.max(0).values
    weight = 0.5 + torch.rand(n * n, generator=generator, dtype=torch.float64)[low * n + high] if weighted else None
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    x[0] = 0
    found = local_descriptors(x, pairs, weight, standard=False)
    ones = torch.ones(pairs.size(1), dtype=torch.float64)
    expected = loops(x, pairs, ones if weight is None else weight)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_parallel_edges_are_one_for_a_descriptor():
    x = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    twice = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    found = local_descriptors(x, twice, names=["second-similarity", "rayleigh"], standard=False)
    once = local_descriptors(x, twice[:, ::2], names=["second-similarity", "rayleigh"], standard=False)
    assert found[:, 0].tolist() == [0.0, 0.0]
    torch.testing.assert_close(found, once)


def test_descriptors_are_averaged_over_a_node_and_its_neighbours():
    graph = csbm(nodes=40, degree=5.0, seed=3)
    matrix = torch.zeros(40, 40).index_put((graph.edge_index[1], graph.edge_index[0]), torch.tensor(1.0))
    mean = (matrix + torch.eye(40)) / (matrix.sum(1, keepdim=True) + 1)
    own = local_descriptors(graph.x, graph.edge_index, standard=False)
    found = local_descriptors(graph.x, graph.edge_index, steps=2, standard=False)
    torch.testing.assert_close(found, mean @ mean @ own, rtol=1e-4, atol=1e-5)
    with pytest.raises(RequestError, match="steps = -1"):
        local_descriptors(graph.x, graph.edge_index, steps=-1)


def test_descriptors_find_the_regions_of_a_graph_by_themselves():
    # no training: one column, averaged, orders the nodes by the region that they lie in
    graph = mixed_csbm(noise=1.0, seed=7)
    (near,) = local_descriptors(graph.x, graph.edge_index, names=["similarity"], steps=2).T
    assert roc_auc_score(graph.region, -near) > 0.95


def test_descriptors_are_named_ordered_and_standardised():
    graph = csbm(nodes=80, seed=3)
    names = ["log-degree", "rayleigh"]
    some = local_descriptors(graph.x, graph.edge_index, names=names)
    every = local_descriptors(graph.x, graph.edge_index)
    assert torch.equal(some, every[:, [DESCRIPTORS.index(name) for name in names]])
    torch.testing.assert_close(every.mean(0), torch.zeros(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(every.std(0, correction=0), torch.ones(6), rtol=0, atol=1e-4)
    with pytest.raises(UnknownNameError, match="did you mean 'rayleigh'"):
        local_descriptors(graph.x, graph.edge_index, names=["raleigh"])
    with pytest.raises(RequestError, match="no descriptor is named"):
        local_descriptors(graph.x, graph.edge_index, names=[])
    graph.x[4, 2] = torch.nan
    with pytest.raises(EmbeddingError, match="hold NaN or infinity"):
        local_descriptors(graph.x, graph.edge_index)


# ------------------------------------------------------------------------------------------------------------ gates


class Looked(torch.nn.Module):
    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, h, context):
        return context @ self.table


def scored(gating, scores):
    """A gate over 3 channels whose scores are given: the perceptron sees a one-hot context and looks them up."""
    gate = gating.build(3, 4, context=len(scores), generator=torch.Generator().manual_seed(0)).eval()
    table = torch.as_tensor(scores)
    gate.scores = Looked(table)
    return gate, torch.ones(len(scores), 3, 4), torch.eye(len(scores))


SCORES = [[1.0, 2.0, -1.0], [0.0, 0.0, 3.0]]


def test_rules_are_their_arithmetic():
    exp = math.exp
    gate, h, context = scored(NodeGate(sees="context", temperature=2.0), SCORES)
    total = exp(0.5) + exp(1) + exp(-0.5)
    torch.testing.assert_close(
        gate(h, context)[1][0], torch.tensor([exp(0.5) / total, exp(1) / total, exp(-0.5) / total])
    )
    gate, h, context = scored(SigmoidGate(sees="context"), SCORES)
    open_ = [1 / (1 + exp(-s)) for s in SCORES[0]]
    torch.testing.assert_close(gate(h, context)[1][0], torch.tensor(open_) / sum(open_))
    gate, h, context = scored(TopKGate(sees="context", k=2), SCORES)
    weights = gate(h, context)[1]
    torch.testing.assert_close(weights[0], torch.tensor([exp(1), exp(2), 0.0]) / (exp(1) + exp(2)))
    torch.testing.assert_close(weights[1], torch.tensor([1.0, 0.0, exp(3)]) / (1 + exp(3)))  # the first of a tie
    gate, h, context = scored(HardGate(sees="context"), SCORES)
    assert gate(h, context)[1].tolist() == [[0, 1, 0], [0, 0, 1]]
    gate, h, context = scored(ReliabilityGate(sees="context", kappa=2.0), SCORES)
    sensitivity = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    weights = gate(h, context, sensitivity)[1]
    moved = torch.softmax(torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 3.0]]), 1)
    torch.testing.assert_close(weights, moved)


def test_a_node_gate_sees_directions_and_context():
    gate = NodeGate(hidden=8).build(2, 4, context=3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gate.scores.last.weight.copy_(torch.randn(2, 8, generator=torch.Generator().manual_seed(1)))
    h, context = draws(5, 2, 4) - 0.5, draws(5, 3, seed=1)
    h[2, 1] = 0.0
    first, last = gate.scores.first, gate.scores.last
    seen = torch.cat([torch.nn.functional.normalize(h, dim=2).flatten(1), context], 1)
    expected = torch.softmax(last(first(seen).relu()), 1)
    torch.testing.assert_close(gate(h, context)[1], expected)
    torch.testing.assert_close(gate(7 * h, context)[1], expected)


def test_a_hard_gate_draws_channels_as_often_as_the_softmax_says():
    gate, h, context = scored(HardGate(sees="context"), SCORES)
    gate.train()
    generator = torch.Generator().manual_seed(0)
    share = sum(gate(h, context, generator=generator)[1] for _ in range(4000)) / 4000
    torch.testing.assert_close(share, torch.softmax(torch.tensor(SCORES), 1), rtol=0, atol=0.03)


def test_sensitivity_of_another_shape_or_with_nan_is_refused():
    gate, h, context = scored(ReliabilityGate(sees="context"), SCORES)
    with pytest.raises(RequestError, match="expected"):
        gate(h, context, torch.ones(2, 2))
    with pytest.raises(EmbeddingError, match="sensitivity of the gate"):
        gate(h, context, torch.full((2, 3), torch.nan))
    with pytest.raises(RequestError, match=r"built for \[N, 2\]"):
        gate(h)
    with pytest.raises(RequestError, match=r"built for \[N, 2\]"):
        gate(h, context[:1])
    with pytest.raises(RequestError, match=r"built for \[N, 2, 8\]"):
        NodeGate(sees="channels").build(2, 8)(torch.ones(5, 2, 4))


@pytest.mark.parametrize(("share", "first", "second"), [(0.5, 0.1, 0.9), (0.3, 0.2, 0.8), (0.8, 0.35, 0.75)])
def test_one_weight_for_all_nodes_costs_what_the_theorem_says(share, first, second):
    r"""Two kinds of nodes want :math:`a_1` and :math:`a_2` of the second channel, at a risk of μ/2 (a - a*)²: the best
    weight for all costs :math:`\tfrac{\mu}{2}\, \pi (1 - \pi) (a_1 - a_2)^2` more than one weight for each node."""
    nodes, mu = 200, 3.0
    kind = torch.arange(nodes) < share * nodes
    wanted = torch.where(kind, first, second)
    h, context = torch.zeros(nodes, 2, 1), kind.float()[:, None]
    h[:, 1] = 1.0  # the fused row is the weight of the second channel
    risks = []
    for gating in (GlobalGate(), NodeGate(sees="context")):
        gate = gating.build(2, 1, context=1, generator=torch.Generator().manual_seed(0))
        optimiser = torch.optim.Adam(gate.parameters(), lr=0.05)
        for _ in range(600):
            risk = (mu / 2 * (gate(h, context)[0][:, 0] - wanted) ** 2).mean()
            optimiser.zero_grad()
            risk.backward()
            optimiser.step()
        risks.append(float(risk.detach()))
    expected = mu / 2 * share * (1 - share) * (first - second) ** 2
    assert abs(risks[0] - risks[1] - expected) <= 0.02 * expected


def test_a_gate_in_front_of_filters_is_differentiable_to_the_features():
    graph = csbm(nodes=30, features=5, seed=4)
    bank = FilterBank([MonotoneLow(3), MonotoneHigh(3)])
    gate = NodeGate().build(2, 5, generator=torch.Generator().manual_seed(0))
    x = graph.x.clone().requires_grad_()
    fused, _ = gate(bank(x, graph.edge_index))
    (gradient,) = torch.autograd.grad(fused.square().sum(), x)
    assert bool(torch.isfinite(gradient).all())
    assert gradient.any()


def test_filters_are_modules_like_any_other():
    everything = [
        entry()
        for entry in vars(sys.modules["graphcl.spectral.filters"]).values()
        if isinstance(entry, type)
        and issubclass(entry, SpectralFilter)
        and not entry.__name__.startswith("_")
        and entry is not SpectralFilter
    ]
    assert len(everything) == 13
    for filter in everything:
        state = filter.state_dict()
        again = type(filter)()
        again.load_state_dict(state)
        assert torch.equal(again.coefficients(), filter.coefficients())
        assert "basis" not in state, "what the order determines is not stored"
        assert filter.double().coefficients().dtype == torch.float64
