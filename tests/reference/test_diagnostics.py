"""Diagnostics against double loops, whole matrices and all eigenvectors."""

import itertools
import json
import math

import networkx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx

from graphcl.data.block_model import csbm
from graphcl.data.loading import load
from graphcl.errors import EmbeddingError, RequestError
from graphcl.evaluate import diagnostics
from graphcl.evaluate.diagnostics import (
    alignment_of,
    diagnose,
    effective_rank,
    frequency_profile,
    frequency_profile_reference,
    rayleigh_quotient,
    uniformity_of,
)
from graphcl.methods.grace import Grace
from graphcl.plan import Plan
from graphcl.testing.promises import leaves_global_random_state
from graphcl.train import embedding, start


def rows(n=40, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def unit(row):
    length = math.sqrt(sum(v * v for v in row))
    return [v / length if length else 0.0 for v in row]


def squared(u, v):
    return sum((a - b) ** 2 for a, b in zip(u, v, strict=True))


@pytest.mark.parametrize("zeros", [0, 1, 7, 39, 40])
@pytest.mark.parametrize("t", [0.5, 2.0, 5.0])
def test_uniformity_is_a_double_loop(zeros, t):
    h = rows()
    h[:zeros] = 0
    z = [unit(row) for row in h.tolist()]
    potentials = [math.exp(-t * squared(z[i], z[j])) for i in range(40) for j in range(40) if i != j]
    assert uniformity_of(h, t) == pytest.approx(math.log(sum(potentials) / len(potentials)), abs=1e-5)


def test_uniformity_of_many_rows_far_beyond_one_tile():
    h = rows(3000, 4)
    z = torch.nn.functional.normalize(h.double(), dim=1)
    potential = (-2 * torch.cdist(z, z).square()).exp().fill_diagonal_(0.0).sum() / (3000 * 2999)
    assert uniformity_of(h) == pytest.approx(float(potential.log()), abs=1e-5)


def test_uniformity_and_alignment_see_directions_only():
    h, other = rows(), rows(seed=1)
    tiny = h * torch.logspace(-30, 5, 40)[:, None]
    assert uniformity_of(tiny) == pytest.approx(uniformity_of(h), abs=1e-5)
    assert alignment_of(tiny, other) == pytest.approx(alignment_of(h, 3 * other))


def test_alignment_is_a_loop():
    a, b = rows(), rows(seed=1)
    a[3], b[4], a[5], b[5] = 0, 0, 0, 0
    expected = sum(squared(unit(u), unit(v)) for u, v in zip(a.tolist(), b.tolist(), strict=True)) / 40
    assert alignment_of(a, b) == pytest.approx(expected)
    assert alignment_of(a, a) == 0.0
    assert alignment_of(rows(), -rows()) == pytest.approx(4.0)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (5, 5), (300, 50)])
def test_effective_rank_is_the_entropy_of_numpy_s_singular_values(shape):
    h = rows(*shape)
    values = np.linalg.svd(h.double().numpy(), compute_uv=False)
    p = values / values.sum()
    assert effective_rank(h) == pytest.approx(math.exp(-sum(p * np.log(p))), rel=1e-9)


def test_effective_rank_of_known_spectra():
    assert effective_rank(torch.ones(30, 8)) == pytest.approx(1.0, abs=1e-9)
    assert effective_rank(torch.zeros(30, 8)) == 0.0
    q, _ = torch.linalg.qr(rows(50, 8).double())
    assert effective_rank(q) == pytest.approx(8.0)
    # singular values 2, 1, 1: entropy of (1/2, 1/4, 1/4) is 3/2 log 2
    assert effective_rank(q[:, :3] * torch.tensor([2.0, 1.0, 1.0])) == pytest.approx(2**1.5)
    # a small direction is seen as what it is; its square would be lost in a Gram matrix
    assert effective_rank(q[:, :2] * torch.tensor([1.0, 1e-9])) == pytest.approx(
        1.0 + 1e-9 * (1 - math.log(1e-9)), rel=1e-12
    )


GRAPHS = {
    "karate": load("karate")[0],
    "blocks": csbm(nodes=300, classes=3, degree=4.0, homophily=0.8, features=4, seed=0),
    "opposites": csbm(nodes=300, classes=3, degree=2.0, homophily=0.1, features=4, seed=1),  # with isolated nodes
    "square": from_networkx(networkx.cycle_graph(4)),
    "stars": from_networkx(networkx.disjoint_union(networkx.star_graph(5), networkx.star_graph(9))),
    "nothing": Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=7),
    "loops": Data(edge_index=torch.tensor([[0, 1, 1, 2, 2], [1, 0, 2, 1, 2]]), num_nodes=4),
}


def laplacian(data):
    """I - D^-1/2 A D^-1/2 by loops; 0 where a node has no edges."""
    n = data.num_nodes
    weight = data.get("edge_weight")
    a = np.zeros((n, n))
    for e, (u, v) in enumerate(data.edge_index.T.tolist()):
        a[u, v] += 1.0 if weight is None else float(weight[e])
    d = a.sum(1)
    lap = np.zeros((n, n))
    for u in range(n):
        for v in range(n):
            if d[u] > 0 and d[v] > 0:
                lap[u, v] = float(u == v) - a[u, v] / math.sqrt(d[u] * d[v])
    return lap


def exact_profile(h, lap, bins):
    values, vectors = np.linalg.eigh(lap)
    energy = ((vectors.T @ h.double().numpy()) ** 2).sum(1)
    share = np.zeros(bins)
    for value, part in zip(values, energy, strict=True):
        share[min(bins - 1, max(0, math.floor(value * bins / 2 + 1e-9)))] += part
    return share / share.sum()


@pytest.mark.parametrize("name", GRAPHS)
def test_frequencies_are_those_of_the_laplacian(name):
    data = GRAPHS[name]
    h = rows(data.num_nodes)
    lap = laplacian(data)
    x = h.double().numpy()
    assert rayleigh_quotient(h, data) == pytest.approx(np.trace(x.T @ lap @ x) / np.trace(x.T @ x), abs=1e-9)
    for bins in (1, 2, 5, 8):
        expected = exact_profile(h, lap, bins)
        assert frequency_profile(h, data, bins) == pytest.approx(expected, abs=1e-9)
        assert frequency_profile_reference(h, data, bins) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_estimate_is_near_the_exact_profile_and_nearer_with_its_order(name, monkeypatch):
    data = GRAPHS[name]
    h = rows(data.num_nodes)
    exact = np.array(frequency_profile(h, data))
    monkeypatch.setattr(diagnostics, "_DENSE", 0)
    errors = []
    for order in (8, 32, 128, 512):
        estimate = np.array(frequency_profile(h, data, order=order))
        assert estimate.sum() == pytest.approx(1.0)
        assert (estimate >= 0).all()
        errors.append(abs(estimate - exact).max())
    # 0.4, 0.8 … are no eigenvalues of these graphs, so that the estimate converges
    assert errors[2] < 0.02
    assert errors[3] < 0.006
    assert errors[3] <= errors[0] + 1e-9


def test_moments_are_traces_of_chebyshev_polynomials():
    data = GRAPHS["blocks"]
    h = rows(300, 3)
    pattern, entries = diagnostics._smoother(data, h)
    x = h.double()
    values, vectors = np.linalg.eigh(laplacian(data))
    energy = ((vectors.T @ x.numpy()) ** 2).sum(1)
    for order in (2, 4, 6, 20):
        found = diagnostics._moments(x, pattern, entries, order).numpy()
        expected = [(np.cos(k * np.arccos(np.clip(values - 1, -1, 1))) * energy).sum() for k in range(order + 1)]
        np.testing.assert_allclose(found, expected, atol=1e-8 * energy.sum())


@pytest.mark.parametrize("k", [0, 40, 150, 233, 300])
def test_a_pure_frequency_is_smeared_by_jackson_s_kernel(k):
    order, theta = 16, math.pi - 2 * math.pi * k / 600  # λ = 1 - cos(2πk/600) = 1 + cos θ
    wave = (2 * math.pi * k * torch.arange(600) / 600).cos()[:, None]
    found = frequency_profile(wave, from_networkx(networkx.cycle_graph(600)), order=order)
    # the kernel is the square of the trigonometric sum that is best concentrated
    a = np.sin(np.pi * np.arange(1, order + 2) / (order + 2))
    factors = [(a[: order + 1 - j] * a[j:]).sum() / (a**2).sum() for j in range(order + 1)]
    grid = (np.arange(200_000) + 0.5) * np.pi / 200_000
    density = 1 + 2 * sum(factors[j] * np.cos(j * theta) * np.cos(j * grid) for j in range(1, order + 1))
    assert density.min() > -1e-9
    band = np.floor((1 + np.cos(grid)) * 2.5).astype(int)
    expected = np.bincount(band, density, minlength=5) / len(grid)
    assert found == pytest.approx(expected, abs=1e-4)


def test_pure_frequencies_fall_into_their_band(monkeypatch):
    ring = from_networkx(networkx.cycle_graph(600))  # eigenvalues 1 - cos(2πk/600)
    for k, band in ((0, 0), (30, 0), (125, 1), (150, 2), (200, 3), (300, 4)):
        wave = (2 * math.pi * k * torch.arange(600) / 600).cos()[:, None]
        assert rayleigh_quotient(wave, ring) == pytest.approx(1 - math.cos(2 * math.pi * k / 600), abs=1e-6)
        assert frequency_profile(wave, ring)[band] > 0.95
        monkeypatch.setattr(diagnostics, "_DENSE", 600)
        assert frequency_profile(wave, ring)[band] == pytest.approx(1.0)
        monkeypatch.undo()


def test_weights_count_and_direction_does_not():
    data = GRAPHS["blocks"]
    h = rows(300)
    one_way = data.edge_index[:, data.edge_index[0] < data.edge_index[1]]
    assert rayleigh_quotient(h, Data(edge_index=one_way, num_nodes=300)) == pytest.approx(rayleigh_quotient(h, data))
    weight = torch.rand(one_way.size(1), generator=torch.Generator().manual_seed(0)) + 0.1
    weighted = Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), edge_weight=weight.repeat(2), num_nodes=300)
    expected = exact_profile(h, laplacian(weighted), 5)
    assert frequency_profile(h, weighted) == pytest.approx(expected, abs=1e-9)
    assert frequency_profile(h, weighted) != pytest.approx(frequency_profile(h, data), abs=1e-3)
    only = Data(edge_index=one_way, edge_weight=weight, num_nodes=300)
    assert frequency_profile(h, only) == pytest.approx(expected, abs=1e-9)
    # two weights for the two directions count as their mean
    uneven = weighted.clone()
    uneven.edge_weight = weighted.edge_weight * torch.cat([torch.full_like(weight, 1.5), torch.full_like(weight, 0.5)])
    assert frequency_profile(h, uneven) == pytest.approx(expected, abs=1e-6)
    assert rayleigh_quotient(h, uneven) == pytest.approx(rayleigh_quotient(h, weighted), abs=1e-6)
    # all weight off a node: it is as good as alone
    weighted.edge_weight = torch.where((weighted.edge_index == 5).any(0), 0.0, weighted.edge_weight)
    assert frequency_profile(h, weighted) == pytest.approx(exact_profile(h, laplacian(weighted), 5), abs=1e-9)


def test_smoothing_lowers_the_frequency_and_the_rank():
    data = GRAPHS["karate"]
    h = rows(34, 8)
    smooth = h
    seen = [diagnose(smooth, data)]
    walk = torch.from_numpy((np.eye(34) * 2 - laplacian(data)) / 2).float()
    for _ in range(3):
        for _ in range(5):
            smooth = walk @ smooth
        seen.append(diagnose(smooth, data))
    for before, after in itertools.pairwise(seen):
        assert after.frequency < before.frequency
        assert after.effective_rank < before.effective_rank
        assert after.uniformity > before.uniformity
        assert after.profile[0] > before.profile[0]


def test_diagnose_is_its_parts():
    data = GRAPHS["karate"]
    h, other = rows(34), rows(34, seed=1)
    h[3] = 0
    seen = diagnose(h, data, other)
    assert (seen.rows, seen.width, seen.zero_rows) == (34, 6, 1)
    assert seen.alignment == alignment_of(h, other)
    assert seen.uniformity == uniformity_of(h)
    assert seen.effective_rank == effective_rank(h)
    assert seen.frequency == rayleigh_quotient(h, data)
    assert list(seen.profile) == frequency_profile(h, data)
    plain = seen.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["profile"] == list(seen.profile)
    bare = diagnose(h).to_dict()
    assert bare["profile"] is bare["frequency"] is bare["alignment"] is None


def test_diagnose_goes_through_collapse():
    data = GRAPHS["karate"]
    dead = diagnose(torch.zeros(34, 6), data, torch.zeros(34, 6))
    assert dead.to_dict() == {
        "rows": 34, "width": 6, "zero_rows": 34, "alignment": 0.0, "uniformity": 0.0, "effective_rank": 0.0,
        "frequency": 0.0, "profile": [0.0] * 5,
    }  # fmt: skip
    one = diagnose(torch.ones(34, 6), data, torch.ones(34, 6))
    assert one.uniformity == pytest.approx(0.0, abs=1e-6)
    assert one.effective_rank == pytest.approx(1.0)
    assert diagnose(torch.ones(1, 3)).uniformity is None


def test_a_watched_training_is_the_training_that_is_not():
    recipe = Grace(dim=16, projection=16, plan=Plan(epochs=5))
    watched, left_alone = (start(recipe, GRAPHS["karate"], 0) for _ in range(2))
    for _ in watched.steps:
        diagnose(embedding(watched.method, watched.data), watched.data)
    for _ in left_alone.steps:
        pass
    assert torch.equal(*(embedding(one.method, one.data) for one in (watched, left_alone)))


def test_nothing_is_changed_and_no_random_number_drawn():
    data, h = GRAPHS["blocks"].clone(), rows(300)
    kept = h.clone(), data.edge_index.clone()
    assert leaves_global_random_state(lambda: diagnose(h, data, h))
    assert torch.equal(h, kept[0])
    assert torch.equal(data.edge_index, kept[1])
    assert diagnose(h.requires_grad_(), data) == diagnose(h.detach(), data)


def test_refused():
    data, h = GRAPHS["karate"], rows(34)
    for call in (effective_rank, uniformity_of, diagnose, lambda x: rayleigh_quotient(x, data)):
        with pytest.raises(EmbeddingError, match="NaN"):
            call(torch.full_like(h, torch.inf))
        for wrong in (h[0], h.long(), h[:0]):
            with pytest.raises(RequestError, match="expected floating point"):
                call(wrong)
    with pytest.raises(RequestError, match="33 rows for 34 nodes"):
        diagnose(h[1:], data)
    with pytest.raises(RequestError, match="shapes"):
        alignment_of(h, h[1:])
    with pytest.raises(RequestError, match="two rows"):
        uniformity_of(h[:1])
    with pytest.raises(RequestError, match="above 0"):
        uniformity_of(h, t=0.0)
    for wrong in ({"bins": 0}, {"order": 3}, {"order": 0}):
        with pytest.raises(RequestError, match="bins"):
            frequency_profile(h, data, **wrong)
