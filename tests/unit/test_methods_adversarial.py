"""Methods that train against an adversary: their losses by hand, what the adversary does, what it leaves alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from graphcl.adversary import Budget, EdgeSpace
from graphcl.data.block_model import csbm
from graphcl.errors import DataError
from graphcl.graph import GraphShape
from graphcl.methods import Ariel, AspectS
from graphcl.methods.defences import rarity


def setup(**changes):
    graph = csbm(nodes=60, classes=3, degree=6.0, homophily=0.8, features=12, seed=0)
    recipe = Ariel(dim=16, projection=16, **changes)
    ready = recipe.prepare(graph)
    return ready, recipe.build(GraphShape.of(ready), torch.Generator().manual_seed(0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_ariels_loss_is_its_terms_by_hand():
    ready, method = setup(regularisation=0.7, adversarial=0.0, sample=100)
    terms = method.loss(ready, generator())
    draws = generator()
    first, second = (method.projector(method.embed(view(ready, draws))) for view in method.views)
    whole = method.projector(method.embed(ready))
    assert torch.allclose(terms["contrast"], method.objective(first, second))
    excess = [
        max(0.0, 2 * cos(first[v], second[v]) - cos(first[v], whole[v]) - cos(second[v], whole[v])) for v in range(60)
    ]
    assert float(terms["information"].detach()) == pytest.approx(0.7 * sum(excess) / 60, rel=1e-2)
    assert set(terms) == {"contrast", "information"}


def cos(a, b):
    return float(F.cosine_similarity(a, b, dim=0).detach())


@pytest.mark.parametrize(("direction", "sign"), [("oppose", 1), ("cooperate", -1)])
def test_the_adversary_raises_the_loss_or_lowers_it(direction, sign):
    ready, method = setup(direction=direction, edges=0.2, radius=0.1)
    anchor = method.projector(method.embed(method.views[0](ready, generator()))).detach()
    view = method._attacked(ready, anchor, generator())
    space = EdgeSpace.of(ready, Budget(), "test")
    flips = space.between(view).numel()
    assert 0 < flips <= 0.2 * space.codes.numel()
    assert 0 < float((view.x - ready.x).abs().max()) <= 0.1 + 1e-6
    with torch.no_grad():
        clean, hurt = (float(method.objective(anchor, method.projector(method.embed(data)))) for data in (ready, view))
    assert sign * (hurt - clean) > 1e-3


def test_the_adversary_leaves_the_model_as_it_is():
    ready, method = setup(act="rrelu")
    method.train()
    before = copy.deepcopy(method.state_dict())
    method._attacked(ready, torch.randn(60, 16, generator=generator()), generator())
    assert method.training
    assert all(parameter.grad is None for parameter in method.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_a_step_sees_a_sample_of_the_nodes_and_drops_weights():
    laden = csbm(nodes=60, classes=3, degree=6.0, homophily=0.8, features=12, seed=0)
    laden.edge_index = laden.edge_index.repeat(1, 2)
    laden.edge_weight, laden.edge_attr = torch.ones(laden.num_edges), torch.ones(laden.num_edges, 2)
    plain, method = setup(sample=20)
    ready = method.recipe.prepare(laden)
    assert ready.num_edges == plain.num_edges
    assert not {"edge_weight", "edge_attr"} & set(ready.keys())
    seen = method._sampled(ready, generator())
    assert seen.num_nodes == 20
    assert ready.num_nodes == 60
    assert int(seen.edge_index.max()) < 20
    terms = method.loss(ready, generator())
    assert set(terms) == {"contrast", "adversarial"}


def aspect_s(graph, epochs=0, **changes):
    recipe = AspectS(dim=16, k=5, **changes)
    ready = recipe.prepare(graph)
    method, draws = recipe.build(GraphShape.of(ready), generator()), generator(1)
    optimiser = torch.optim.Adam(method.parameters(), 5e-3)
    for _ in range(epochs):
        optimiser.zero_grad()
        sum(method.loss(ready, draws).values()).backward()
        optimiser.step()
    return ready, method.eval()


def mixed(nodes=90):
    return csbm(nodes=nodes, classes=3, degree=8.0, homophily=0.9, features=24, signal=2.0, seed=0)


def test_folds_of_edges_hang_on_the_features_of_their_ends():
    ready, method = aspect_s(mixed(nodes=200))
    pairs = torch.cartesian_prod(torch.arange(200), torch.arange(200)).T
    pairs = pairs[:, pairs[0] != pairs[1]]
    folds = method.fold_of(ready.x, pairs)
    assert torch.equal(folds, method.fold_of(ready.x, pairs.flip(0)))
    order = torch.randperm(200, generator=generator())
    assert torch.equal(folds, method.fold_of(ready.x[order], order.argsort()[pairs]))
    words = ready.x.clamp(min=0.5) - 0.5
    assert torch.equal(method.fold_of(words, pairs), method.fold_of(words.to_sparse_csr(), pairs))
    counts = folds.bincount(minlength=4).double() / folds.numel()
    assert float((counts - 0.25).abs().max()) < 0.02


def test_evidence_is_the_product_beside_those_of_all_pairs_in_a_map_that_did_not_see_the_edge():
    ready, method = aspect_s(mixed(nodes=30), full=2.0)
    h = method.mapped(ready.x, rarity(ready.x)).detach()
    found, folds = method.evidence(ready).detach(), method.fold_of(ready.x, ready.edge_index)
    for edge, (u, v) in enumerate(ready.edge_index.T.tolist()):
        rows = h[:, folds[edge]].double()
        every = torch.stack([rows[i] @ rows[j] for i in range(30) for j in range(30) if i != j])
        score = (rows[u] @ rows[v] - every.mean()) / every.std(correction=0) / 2.0
        assert float(found[edge]) == pytest.approx(min(1.0, max(0.0, float(score))), abs=1e-4)


def test_a_map_learns_nothing_from_the_edges_of_its_fold():
    ready, method = aspect_s(mixed())
    loss = method.loss(ready, generator())["contrast"]
    apart = torch.autograd.grad(loss, method.maps.weight)[0].unflatten(0, (4, -1))
    kept = copy.copy(ready)
    kept.edge_index = ready.edge_index[:, method.fold_of(ready.x, ready.edge_index) == 2]
    alone = torch.autograd.grad(method.loss(kept, generator())["contrast"], method.maps.weight)[0].unflatten(0, (4, -1))
    assert bool((apart[2] != 0).any())
    assert not bool(alone[2].any())
    assert bool((alone[0] != 0).any())


def test_false_edges_look_false_and_move_their_nodes_to_the_neighbours_in_the_features():
    clean = mixed(nodes=300)
    victims = torch.arange(0, 300, 6)
    wrong = torch.stack([victims.repeat(6), torch.randint(300, (6 * victims.numel(),), generator=generator(5))])
    wrong = wrong[:, clean.y[wrong[0]] != clean.y[wrong[1]]]
    attacked = copy.copy(clean)
    attacked.edge_index = torch.cat([clean.edge_index, wrong, wrong.flip(0)], 1)
    ready, method = aspect_s(attacked, epochs=60)
    same = ready.y[ready.edge_index[0]] == ready.y[ready.edge_index[1]]
    evidence = method.evidence(ready).detach()
    assert roc_auc_score(same, evidence) > 0.7
    weights = method.weights(ready).detach()
    assert torch.allclose(weights.sum(1), torch.ones(300))
    hurt = torch.zeros(300, dtype=torch.bool).index_fill(0, victims, True)
    assert float(weights[hurt, 1].mean()) > float(weights[~hurt, 1].mean()) + 0.02
    method.recipe = method.recipe.replace(reliability="none")
    constant = method.weights(ready).detach()
    assert torch.allclose(constant, weights.mean(0).expand(300, 3), atol=1e-6)


def test_sensitivity_is_that_of_the_nodes_an_adversary_moves():
    ready, method = aspect_s(mixed(nodes=40), reliability="sensitivity", edges=0.2)
    weights, moved = method.weights(ready).detach(), method._moved(ready)
    assert float(moved.max()) > 0
    assert bool((weights[moved > moved.mean(), 2] < 0.25).all())
    assert bool((weights[moved < moved.mean(), 2] > 0.25).all())
    method.recipe = method.recipe.replace(teleport=0.9)
    assert not torch.equal(method._moved(ready), moved)


def test_an_edge_of_weight_0_is_none_and_the_gradient_reaches_weights():
    ready, method = aspect_s(mixed(nodes=40))
    half = ready.num_edges // 2
    low, high = ready.edge_index.min(0).values, ready.edge_index.max(0).values
    out = (low * 40 + high) % 3 == 0
    assert 0 < int(out.sum()) < half * 2
    weighted, fewer = copy.copy(ready), copy.copy(ready)
    weighted.edge_weight = (~out).float().requires_grad_()
    fewer.edge_index = ready.edge_index[:, ~out]
    embedded = method.embed(weighted)
    assert torch.allclose(embedded, method.embed(fewer), atol=1e-5)
    embedded.square().sum(0).amax().backward()
    assert bool((weighted.edge_weight.grad != 0).any())


def test_what_says_nothing_of_an_edge_is_no_evidence():
    ready, method = aspect_s(mixed(nodes=40))
    clean, reliable = method.evidence(ready).detach(), method.along_edges(ready)[1].detach()
    looped = copy.copy(ready)
    looped.edge_index = torch.cat([ready.edge_index, torch.arange(40).repeat(2, 1)], 1)
    assert torch.allclose(method.along_edges(looped)[1].detach(), reliable, atol=1e-6)
    mute = copy.copy(ready)
    mute.x = ready.x.clone().index_fill_(0, torch.tensor([3]), 0.0)
    at_it = (ready.edge_index == 3).any(0)
    found = method.evidence(mute).detach()
    assert torch.allclose(found[at_it], found[~at_it].mean().expand(int(at_it.sum())))
    assert clean.shape == found.shape
    lonely = copy.copy(ready)
    lonely.edge_index = ready.edge_index[:, :0]
    assert bool(method.embed(lonely).isfinite().all())


def test_edges_of_weight_0_teach_nothing():
    ready, method = aspect_s(mixed(nodes=40))
    ready.edge_weight = torch.zeros(ready.num_edges)
    assert float(method.loss(ready, generator())["contrast"].detach()) == 0.0
    with pytest.raises(DataError, match="learns from edges"):
        method.recipe.prepare(ready)


def test_nodes_that_are_all_alike_cannot_be_parted():
    graph = mixed(nodes=40)
    with pytest.raises(DataError, match="tell them apart"):
        AspectS(features="ones").prepare(graph)


def test_the_adversary_of_the_features_is_part_of_the_loss_where_asked_for():
    ready, method = aspect_s(mixed(nodes=40), adversarial=0.5, radius=0.1)
    terms = method.loss(ready, generator())
    assert set(terms) == {"contrast", "adversarial"}
    assert float(terms["adversarial"].detach()) > 0


def test_a_graph_without_an_edge_has_nothing_to_learn_from():
    graph = mixed(nodes=40)
    graph.edge_index = torch.tensor([[1, 2], [1, 2]])
    with pytest.raises(DataError, match="learns from edges"):
        AspectS().prepare(graph)
