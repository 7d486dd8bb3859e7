"""GCA, EPAGCL, GCL-SPAN, ProGCL and MVGRL: their losses from the same views by dense algebra and plain loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch_geometric.data import Data

from graphcl.augment import FeatureShuffle
from graphcl.catalogue import entries
from graphcl.config import decode, encode
from graphcl.data.block_model import csbm
from graphcl.errors import RequestError
from graphcl.graph import GraphShape
from graphcl.methods.epagcl import Epagcl
from graphcl.methods.gca import Gca
from graphcl.methods.gcl_span import GclSpan
from graphcl.methods.mvgrl import Mvgrl
from graphcl.methods.pro_gcl import ProGcl
from graphcl.objectives.contrast import InfoNCE
from graphcl.objectives.mixture import BetaMixture, MixtureInfoNCE
from graphcl.ops.propagate import gcn_operator_reference
from graphcl.train import embedding, start

RECIPES = (Gca, Epagcl, GclSpan, ProGcl, Mvgrl)


@pytest.fixture(scope="module")
def graph():
    return csbm(nodes=60, classes=3, degree=6.0, homophily=0.8, features=12, seed=0)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(recipe, graph):
    return recipe.build(GraphShape.of(graph), generator(1)), recipe.prepare(graph)


def dense_gcn(gcn, operator, x):
    """The encoder with a dense operator; PReLU written out."""
    for layer in gcn.layers:
        x = operator @ x @ layer.lin.weight.T + layer.bias
        x = torch.where(x > 0, x, gcn.act.weight * x)
    return x


def cross_entropy(real, fake, summary):
    """DGI's loss of one pairing, node by node."""
    total = 0.0
    for h in real:
        total -= math.log(1 / (1 + math.exp(-float((h @ summary).detach()))))
    for h in fake:
        total -= math.log(1 - 1 / (1 + math.exp(-float((h @ summary).detach()))))
    return total / (len(real) + len(fake))


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_presets_are_of_known_data_sets_and_travel(recipe):
    for name in recipe.presets:
        assert name in entries("datasets")
        assert decode(recipe, encode(recipe.preset(name))) == recipe.preset(name)


def test_official_settings():
    computers = Gca.preset("amazon-computers")
    assert (computers.dim, computers.projection, computers.act, computers.temperature) == (128, 128, "rrelu", 0.2)
    assert (computers.edge_dropout, computers.feature_mask) == ((0.6, 0.3), (0.2, 0.3))
    assert (computers.plan.epochs, computers.plan.lr, computers.plan.weight_decay) == (2000, 0.01, 1e-5)
    # ProGCL trains on them with GCA's settings, by eigenvector centrality, and weighs from epoch 400
    weighed = ProGcl.preset("amazon-computers")
    shared = ("dim", "projection", "act", "temperature", "edge_dropout", "feature_mask", "plan", "features", "cutoff")
    assert all(getattr(weighed, name) == getattr(computers, name) for name in shared)
    for name, epoch in (("amazon-computers", 400), ("amazon-photo", 400), ("coauthor-cs", 400), ("wiki-cs", 400)):
        preset = ProGcl.preset(name)
        assert round(preset.begin * preset.plan.epochs) == epoch
    assert Epagcl.preset("cora").features == "raw"
    assert Epagcl.preset("amazon-photo").features == "row"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gca(edge_dropout=(1.0, 0.1)), r"Gca.edge_dropout\[0\] = .*less than 1"),
        (lambda: Gca(feature_mask=(0.1,)), "Gca.feature_mask"),
        (lambda: Gca(centrality="betweenness"), "Gca.centrality"),
        (lambda: Epagcl(edge_addition=(2.0, 0.0)), r"Epagcl.edge_addition\[0\] = .*less than or equal to 1"),
        (lambda: GclSpan(budget=1.5), "GclSpan.budget = 1.5"),
        (lambda: GclSpan(steps=0), "GclSpan.steps = 0"),
        (lambda: ProGcl(prior=0.0), "ProGcl.prior = 0.0.*Gca"),
        (lambda: ProGcl(begin=1.0), "ProGcl.begin = 1.0"),
        (lambda: Mvgrl(teleport=0.0), "Mvgrl.teleport = 0.0"),
        (lambda: Mvgrl(k=None), "k = None with threshold = 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(RequestError, match=message):
        make()


@pytest.mark.parametrize("recipe", RECIPES)
def test_graphs_as_wholes_are_refused(recipe, graph):
    with pytest.raises(RequestError, match="embeds nodes"):
        start(recipe(), [graph, graph], 0)


# --- GCA --------------------------------------------------------------------------------------------------------------


def test_gca_masks_by_the_centrality_of_the_whole_graph(graph):
    recipe = Gca(edge_dropout=(0.6, 0.6), feature_mask=(0.3, 0.3))
    method, data = built(recipe, graph)
    degree = torch.bincount(data.edge_index[1], minlength=60).double()
    score = (data.x.abs().double() * degree[:, None]).sum(0).log()
    expected = ((score.max() - score) / (score.max() - score.mean()) * 0.3).clamp(max=0.7)
    draws, source = 2000, generator()
    gone = torch.zeros(12, dtype=torch.float64)
    for _ in range(draws):
        gone += (method.now[1](data, source).x.abs().sum(0) == 0).double()
    spread = (expected * (1 - expected) / draws).sqrt()
    assert ((gone / draws - expected).abs() <= 4.5 * spread + 1e-12).all()


def test_gca_has_a_view_for_each_pair_of_rates(graph):
    recipe = Gca(edge_dropout=(0.0, 0.5), feature_mask=(0.5, 0.0))
    method, data = built(recipe, graph)
    first, second = (view(data, generator()) for view in method.now)
    assert torch.equal(first.edge_index, data.edge_index)
    assert not torch.equal(first.x, data.x)
    assert second.num_edges < data.num_edges
    assert torch.equal(second.x, data.x)


# --- EPAGCL -----------------------------------------------------------------------------------------------------------


def test_epagcl_adds_to_the_first_view_only_and_as_many_as_released():
    graph = csbm(nodes=300, classes=3, degree=10.0, homophily=0.8, features=12, seed=0)
    method, data = built(Epagcl(edge_dropout=(0.0, 0.3)), graph)
    there = {tuple(edge) for edge in data.edge_index.T.tolist()}
    source, added, kept = generator(), [], []
    for _ in range(40):
        first, second = (view(data, source) for view in method.now)
        seen = {tuple(edge) for edge in first.edge_index.T.tolist()}
        assert there <= seen
        added.append(len(seen - there) / len(there))
        assert {tuple(edge) for edge in second.edge_index.T.tolist()} < there
        kept.append(second.num_edges / len(there))
    # a pool of a tenth of the edges, each taken with probability 1/2
    assert abs(np.mean(added) - 0.05) < 0.004
    assert 0.65 < np.mean(kept) < 0.75


def test_epagcl_hardly_drops_what_it_has_added():
    graph = csbm(nodes=300, classes=3, degree=10.0, homophily=0.8, features=12, seed=0)
    method, data = built(Epagcl(edge_dropout=(0.3, 0.3)), graph)
    there = {tuple(edge) for edge in data.edge_index.T.tolist()}
    source = generator()
    seen = [{tuple(edge) for edge in method.now[0](data, source).edge_index.T.tolist()} for _ in range(40)]
    added = np.mean([len(edges - there) / len(there) for edges in seen])
    assert 0.045 < added < 0.0515
    assert np.mean([len(edges & there) / len(there) for edges in seen]) < 0.75


# --- GCL-SPAN ---------------------------------------------------------------------------------------------------------


def test_gcl_span_loss_by_dense_algebra(graph, double):
    method, data = built(GclSpan(dim=5, budget=0.3, steps=5), graph)
    loss = sum(method.loss(data, generator()).values())

    source, real, fake = generator(), [], []
    for encoder, view in zip(method.encoders, method.views, strict=True):
        seen = view(data, source)
        shuffled = FeatureShuffle()(seen, source)
        operator = gcn_operator_reference(seen.edge_index, 60)
        real.append(dense_gcn(encoder, operator, seen.x))
        fake.append(dense_gcn(encoder, operator, shuffled.x))
    weight, bias = method.project.weight, method.project.bias
    summaries = [weight @ torch.sigmoid(h.mean(0)) + bias for h in real]
    expected = cross_entropy(real[0], fake[0], summaries[1]) + cross_entropy(real[1], fake[1], summaries[0])
    assert float(loss.detach()) == pytest.approx(expected / 2, rel=1e-9)


def test_gcl_span_embeds_the_graph_itself_by_both_encoders(graph, double):
    method, data = built(GclSpan(dim=5), graph)
    operator = gcn_operator_reference(data.edge_index, 60)
    first, second = (dense_gcn(encoder, operator, data.x) for encoder in method.encoders)
    assert torch.allclose(method.embed(data), torch.cat([first, second], 1))
    assert not torch.allclose(first, second)


def test_gcl_span_has_a_view_at_each_end_of_the_spectrum(graph):
    method, data = built(GclSpan(budget=0.3, feature_mask=0.0), graph)
    source = generator()

    def norm(seen):
        # of the Laplacian's spectrum, squared: its Frobenius norm
        adjacency = torch.zeros(60, 60, dtype=torch.float64).index_put((*seen.edge_index,), torch.ones(1).double())
        scale = adjacency.sum(1).clamp(min=1).rsqrt()
        return float((torch.eye(60) - scale[:, None] * adjacency * scale).square().sum())

    raised, lowered = (np.mean([norm(view(data, source)) for _ in range(10)]) for view in method.views)
    assert lowered < norm(data) < raised


# --- MVGRL ------------------------------------------------------------------------------------------------------------


def page_rank(data, teleport):
    """The inverse, by dense algebra."""
    operator = gcn_operator_reference(data.edge_index, data.num_nodes)
    return teleport * torch.linalg.inv(torch.eye(data.num_nodes).double() - (1 - teleport) * operator)


def dense_mvgrl(method, data, spread, x):
    plain = dense_gcn(method.plain, gcn_operator_reference(data.edge_index, data.num_nodes), x)
    h = spread @ x @ method.diffused.lin.weight.T + method.diffused.bias
    return plain, torch.where(h > 0, h, method.diffused.act.weight * h)


def test_mvgrl_loss_by_the_inverse(graph, double):
    method, data = built(Mvgrl(dim=5, teleport=0.3, k=60), graph)
    with torch.no_grad():
        method.diffused.bias.normal_()
        method.plain.layers[0].bias.normal_()
    loss = sum(method.loss(data, generator()).values())
    spread = page_rank(data, 0.3)
    shuffled = FeatureShuffle()(data, generator())
    real, fake = dense_mvgrl(method, data, spread, data.x), dense_mvgrl(method, data, spread, shuffled.x)
    summaries = [method.weight @ torch.sigmoid(h.mean(0)) for h in real]
    expected = cross_entropy(real[0], fake[0], summaries[1]) + cross_entropy(real[1], fake[1], summaries[0])
    assert float(loss.detach()) == pytest.approx(expected / 2, rel=1e-5)
    assert torch.allclose(method.embed(data), real[0] + real[1], atol=1e-5)


def test_mvgrl_keeps_the_large_entries_as_they_are(graph):
    method, data = built(Mvgrl(dim=5, k=4), graph)
    spread = page_rank(data, 0.2)
    kept = torch.zeros(60, 60, dtype=torch.bool)
    for row, values in enumerate(spread):
        kept[row, values.topk(4).indices] = True
    kept |= kept.T.clone()
    h = (spread * kept).float() @ data.x @ method.diffused.lin.weight.T
    assert torch.allclose(method.both(data)[1], torch.where(h > 0, h, 0.25 * h), atol=1e-5)


def test_mvgrl_takes_features_that_are_mostly_zeros(graph):
    method, data = built(Mvgrl(dim=5), graph)
    sparse = Data(x=data.x.to_sparse_csr(), edge_index=data.edge_index)
    assert method.takes_sparse_features
    assert torch.allclose(method.embed(sparse), method.embed(data), atol=1e-6)
    assert torch.allclose(method.loss(sparse, generator())["contrast"], method.loss(data, generator())["contrast"])


# --- ProGCL -----------------------------------------------------------------------------------------------------------


def projected(method, data, source):
    views = [view(data, source) for view in method.views]
    return [method.projector(method.encoder(seen.x, seen.edge_index)).detach() for seen in views]


def test_progcl_fits_once_when_its_time_has_come(graph):
    recipe = ProGcl(dim=8, begin=0.5, act="relu")
    training = start(recipe.replace(plan=recipe.plan.replace(epochs=4)), graph, 0)
    mixtures = [training.method.mixture for _ in training.steps]
    # the loss of an epoch sees the share that was done before it
    assert mixtures[:2] == [None, None]
    assert mixtures[2] is not None
    assert mixtures[3] is mixtures[2]


def test_progcl_keeps_the_weights_of_the_step_of_the_fit(graph):
    method, data = built(ProGcl(dim=8, begin=0.5, act="none", features="raw", temperature=0.3, prior=0.15), graph)
    with torch.no_grad():
        for parameter in method.parameters():  # similarities of all sizes
            parameter.mul_(4)
    first = projected(method, data, generator(1))
    loss = method.loss(data, generator(1))["contrast"]
    assert float(loss.detach()) == pytest.approx(InfoNCE(0.3).reference(*first), rel=1e-4)

    method.after_step(0.5)
    source = generator(2)
    second = projected(method, data, source)
    # by moments, ten rounds, on the similarities of all 60 nodes with each other
    unit = [F.normalize(h.double()) for h in second]
    mixture = fitted_by_loops((unit[0] @ unit[1].T + 1).flatten().numpy() / 2, 0.15)
    expected = MixtureInfoNCE(0.3, mixture).reference(*second)
    assert float(method.loss(data, generator(2))["contrast"].detach()) == pytest.approx(expected, rel=1e-3)

    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(3))
    third = projected(method, data, generator(4))
    expected = MixtureInfoNCE(0.3, mixture).reference(*third, negatives=torch.cat(second, 1))
    other = MixtureInfoNCE(0.3, mixture).reference(*third)
    assert float(method.loss(data, generator(4))["contrast"].detach()) == pytest.approx(expected, rel=1e-3)
    assert abs(other - expected) > 1e-2 * expected


def fitted_by_loops(s, prior):
    alpha, beta, share = [1.0, 2.0], [2.0, 1.0], [1 - prior, prior]
    for _ in range(10):
        densities = [share[k] * stats.beta.pdf(s, alpha[k], beta[k]) for k in (0, 1)]
        weights = []
        for k in (0, 1):
            r = densities[k] / (densities[0] + densities[1])
            mean = (r * s).sum() / r.sum()
            variance = (r * (s - mean) ** 2).sum() / r.sum()
            alpha[k] = mean * (mean * (1 - mean) / variance - 1)
            beta[k] = alpha[k] * (1 - mean) / mean
            weights.append(r.sum())
        beta[1] = max(beta[1], 1.01)
        share = [weight / sum(weights) for weight in weights]
    return BetaMixture(*(tuple(float(v) for v in part) for part in (share, alpha, beta)))


def test_a_checkpoint_of_progcl_is_that_of_its_encoder(graph):
    recipe = ProGcl(dim=8, begin=0.0)
    training = start(recipe.replace(plan=recipe.plan.replace(epochs=2)), graph, 0)
    for _ in training.steps:
        pass
    assert training.method.mixture is not None
    again, _ = built(recipe, graph)
    again.load_state_dict(training.method.state_dict())
    assert torch.equal(embedding(again, training.data), embedding(training.method, training.data))
