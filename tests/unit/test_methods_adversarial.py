"""Methods that train against an adversary: their losses by hand, what the adversary does, what it leaves alone."""

import copy

import pytest
import torch
import torch.nn.functional as F

from graphcl.adversary import Budget, EdgeSpace
from graphcl.data.block_model import csbm
from graphcl.graph import GraphShape
from graphcl.methods import Ariel


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
