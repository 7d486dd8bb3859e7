"""Methods that embed graphs: their losses by plain loops, what moves in a step, and settings they refuse."""

import copy
import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphcl.augment.composition import Chain
from graphcl.config import decode, encode
from graphcl.data.block_model import csbm
from graphcl.errors import RequestError
from graphcl.graph import GraphShape
from graphcl.methods.ad_gcl import AdGcl
from graphcl.methods.graph_cl import GraphCl
from graphcl.methods.info_graph import InfoGraph
from graphcl.methods.joao import Joao
from graphcl.methods.mvgrl_graph import MvgrlGraph
from graphcl.methods.sim_grace import SimGrace
from graphcl.train import embedding, start

RECIPES = [AdGcl, GraphCl, InfoGraph, Joao, MvgrlGraph, SimGrace]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def graphs(count=6):
    return [csbm(nodes=7 + i, classes=2, degree=3.0, homophily=0.7, features=5, seed=i) for i in range(count)]


def built(recipe, count=6, seed=0):
    """A method in training mode, and a batch."""
    batch = Batch.from_data_list([recipe.prepare(graph) for graph in graphs(count)])
    return recipe.build(GraphShape.of(batch), generator(seed)).train(), batch


def decoupled(a, b, temperature=0.2):
    """The released loss of GraphCL by plain loops: the rows of ``a`` look for theirs among those of ``b``."""
    total = 0.0
    for i in range(len(a)):
        scores = [float(torch.cosine_similarity(a[i], row, dim=0).detach()) / temperature for row in b]
        total -= scores[i] - math.log(sum(math.exp(s) for j, s in enumerate(scores) if j != i))
    return total / len(a)


def jensen_shannon(nodes, summaries, graph):
    """The released loss of InfoGraph by plain loops."""
    positive, negative = 0.0, 0.0
    for v, row in enumerate(nodes):
        for g, summary in enumerate(summaries):
            score = float((row @ summary).detach())
            if g == int(graph[v]):
                positive += math.log(2) - math.log1p(math.exp(-score))
            else:
                negative += math.log1p(math.exp(-score)) + score - math.log(2)
    return negative / (len(nodes) * (len(summaries) - 1)) - positive / len(nodes)


def only(terms):
    (value,) = terms.values()
    return float(value.detach())


# all of them


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe is not AdGcl])
def test_nodes_of_one_graph_are_refused(recipe):
    with pytest.raises(RequestError, match="embeds graphs"):
        start(recipe(), graphs(1)[0], 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_official_settings_are_carried_through_json(recipe):
    for name in ("mutag", "proteins", *recipe.presets):
        preset = recipe.preset(name)
        assert decode(recipe, encode(preset)) == preset


@pytest.mark.parametrize("recipe", RECIPES)
def test_mini_batches_are_trained_on_and_all_graphs_embedded_at_once(recipe):
    small = recipe().replace(plan=recipe().plan.replace(epochs=2, batch_size=3), dim=8)
    training = start(small, graphs(7), 0)
    # 3 and 4: a batch of one graph has nothing to be compared with
    assert [step.epoch for step in training.steps] == [1, 1, 2, 2]
    assert embedding(training.method, training.data).size(0) == 7


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_graph_embeds_alike_alone_and_among_others(recipe):
    method, batch = built(recipe().replace(dim=8))
    method.eval()
    alone = torch.cat([method.embed(Batch.from_data_list([graph])) for graph in batch.to_data_list()])
    torch.testing.assert_close(method.embed(batch), alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recipe", [AdGcl, GraphCl, InfoGraph, Joao, SimGrace])
def test_readouts_differ(recipe):
    means, batch = built(recipe(readout="mean"))
    sums, _ = built(recipe())
    sizes = torch.bincount(batch.batch)[:, None]
    torch.testing.assert_close(means.eval().embed(batch) * sizes, sums.eval().embed(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "wrong"),
    [
        (AdGcl, {"penalty": -1.0}),
        (AdGcl, {"gate_temperature": 0.0}),
        (GraphCl, {"augmentations": ()}),
        (GraphCl, {"augmentations": ("rewiring",)}),
        (GraphCl, {"rate": 1.0}),
        (GraphCl, {"readout": "median"}),
        (InfoGraph, {"layers": 0}),
        (Joao, {"pull": -0.1}),
        (Joao, {"policy_lr": 0.0}),
        (MvgrlGraph, {"teleport": 0.0}),
        (MvgrlGraph, {"degrees": -1}),
        (SimGrace, {"noise": -1.0}),
    ],
)
def test_settings_out_of_range_are_refused_by_name(recipe, wrong):
    with pytest.raises(RequestError, match=rf"{recipe.__name__}\.({'|'.join(wrong)})"):
        recipe(**wrong)


def test_a_diffusion_that_keeps_nothing_is_refused_where_it_is_written():
    with pytest.raises(RequestError, match="threshold"):
        MvgrlGraph(k=None)


# InfoGraph


def test_info_graph_tells_nodes_of_a_graph_from_those_of_the_others():
    method, batch = built(InfoGraph(dim=4, layers=2))
    nodes = method.encoder(batch.x, batch.edge_index)
    summaries = torch.stack([nodes[batch.batch == g].sum(0) for g in range(6)])
    expected = jensen_shannon(method.of_nodes(nodes), method.of_graphs(summaries), batch.batch)
    assert only(method.loss(batch, generator())) == pytest.approx(expected, rel=1e-4)


def test_info_graph_needs_a_second_graph():
    with pytest.raises(RequestError, match="one graph"):
        next(start(InfoGraph(), graphs(1), 0).steps)


# GraphCL


def test_graph_cl_compares_the_graph_with_its_view():
    method, batch = built(GraphCl())
    view = method.views[1](batch, generator(3))
    a, b = (method.projector(method.embed(seen)) for seen in (batch, view))
    assert method.views[0] == Chain()
    assert only(method.loss(batch, generator(3))) == pytest.approx(decoupled(a, b), rel=1e-4)


def test_graph_cl_draws_each_of_its_augmentations():
    method, batch = built(GraphCl(rate=0.5))
    seen = set()
    for seed in range(30):
        view = method.views[1](batch, generator(seed))
        fewer = view.num_nodes < batch.num_nodes
        # of the subgraphs every node is the root or its neighbour
        seen.add((fewer, view.num_edges < batch.num_edges, not fewer and not torch.equal(view.x, batch.x)))
    assert seen == {(True, True, False), (False, True, False), (False, False, True)}
    assert [type(choice).__name__ for choice in GraphCl(augmentations=("subgraph",)).view().choices] == ["EgoNet"]


# SimGRACE


def test_noise_is_in_the_unit_of_each_tensor():
    method, _ = built(SimGrace(noise=2.0, dim=64, layers=2))
    drawn = method.perturbed(generator())
    for name, weight in method.encoder.named_parameters():
        change = (drawn[name] - weight).detach()
        if name.endswith("weight") and weight.dim() == 2:
            # bounds of uniform weights are as far from their mean as sqrt(3) of their spread
            spread = float(weight.detach().abs().max()) / math.sqrt(3)
            assert float(change.std()) == pytest.approx(2.0 * spread, rel=0.1)
            assert abs(float(change.mean())) < 0.2 * spread
        else:
            # biases and scales are all alike at first, and have no spread
            assert not change.any()
    assert not torch.equal(drawn["layers.0.first.weight"], method.perturbed(generator(1))["layers.0.first.weight"])


def test_a_lone_weight_has_no_spread():
    method, _ = built(SimGrace(dim=1, layers=1).replace(noise=5.0))
    drawn = method.perturbed(generator())
    assert all(bool(value.isfinite().all()) for value in drawn.values())
    torch.testing.assert_close(drawn["layers.0.second.weight"], method.encoder.layers[0].second.weight.detach())


def test_the_perturbed_encoder_gives_the_anchors_and_gets_no_gradient():
    method, batch = built(SimGrace(dim=4, layers=2))
    twin = copy.deepcopy(method)
    with torch.no_grad():
        for name, weight in twin.encoder.named_parameters():
            weight.copy_(method.perturbed(generator(5))[name])
        anchors = twin.projector(twin.embed(batch))
    plain = copy.deepcopy(method)
    seen = plain.projector(plain.embed(batch))
    loss = method.loss(batch, generator(5))["contrast"]
    assert float(loss.detach()) == pytest.approx(decoupled(anchors, seen), rel=1e-4)
    loss.backward()
    plain.objective(anchors, seen).backward()
    for ours, expected in zip(method.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=1e-4, atol=1e-6)
    # neither the weights nor the statistics of the encoder have seen the noise
    for ours, expected in zip(method.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, expected)


# JOAO


def test_policy_climbs_the_measured_losses_by_one_step_of_the_paper():
    method, batch = built(Joao(pull=0.5, policy_lr=0.02))
    method.policy.probabilities.copy_(torch.tensor([0.4, 0.1, 0.2, 0.2, 0.1]))
    before = method.policy.probabilities.double()
    losses = copy.deepcopy(method).losses(batch, generator(2))
    assert losses.shape == (5,)
    moved = before + 0.02 * (losses - 0.5 * (before - 0.2))
    # such a small step leaves the simplex in the direction of ones alone
    expected = moved - (moved.sum() - 1) / 5
    assert bool((expected > 0).all())
    method.due = True
    method.loss(batch, generator(2))
    torch.testing.assert_close(method.policy.probabilities.double(), expected, rtol=1e-5, atol=1e-6)


def test_measured_losses_are_those_of_each_augmentation():
    method, batch = built(Joao())
    losses = copy.deepcopy(method).losses(batch, generator(4))
    source, plain = generator(4), method.projector(method.embed(batch))
    for choice, loss in zip(method.policy.recipe.choices, losses.tolist(), strict=True):
        view = choice(batch, source)
        assert loss == pytest.approx(decoupled(plain, method.projector(method.embed(view))), rel=1e-3)
    # the graph itself is its easiest view
    assert int(losses.argmin()) == 4


def test_policy_is_updated_once_between_two_epochs():
    recipe = Joao(policy_lr=1e-3)
    training = start(recipe.replace(plan=recipe.plan.replace(epochs=3, batch_size=2)), graphs(6), 0)
    known = training.method.policy.probabilities.clone()
    moved = []
    for step in training.steps:
        now = training.method.policy.probabilities.clone()
        if not torch.equal(now, known):
            moved.append(step.epoch)
        known = now
    assert moved == [2, 3]


def test_policy_is_in_the_checkpoint_and_in_the_view_that_is_drawn_from():
    method, batch = built(Joao())
    method.after_step(0.5)
    method.policy.probabilities.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]))
    assert torch.equal(method.now[1](batch, generator()).x, batch.x)
    assert any(name.endswith("probabilities") for name in method.state_dict())


# AD-GCL


def test_adversary_climbs_what_the_model_descends():
    method, batch = built(AdGcl(dim=8, layers=2))
    assert method.parts == ("adversary", "model")
    twin = copy.deepcopy(method)
    terms = twin.loss(batch, generator(1), "adversary")
    twin.model.eval()
    view, price = copy.deepcopy(method).adversary.penalised(batch, generator(1))
    a, b = (twin.project(seen) for seen in (batch, view))
    both = (decoupled(a, b) + decoupled(b, a)) / 2
    assert float(terms["contrast"].detach()) == pytest.approx(-both, rel=1e-4)
    torch.testing.assert_close(terms["price"], price)
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None for p in twin.parameters_of("adversary"))

    method.loss(batch, generator(1), "model")["contrast"].backward()
    assert all(p.grad is None for p in method.parameters_of("adversary"))
    assert all(p.grad is not None for p in method.parameters_of("model"))


@pytest.mark.parametrize("part", ["adversary", "model"])
def test_statistics_of_what_does_not_step_rest(part):
    method, batch = built(AdGcl(dim=8, layers=2))
    before = {name: value.clone() for name, value in method.named_buffers()}
    method.loss(batch, generator(), part)
    moved = {name.split(".")[0] for name, value in method.named_buffers() if not torch.equal(value, before[name])}
    assert moved == {part}


def test_gates_are_drawn_in_either_step():
    method, batch = built(AdGcl(dim=8, layers=2))
    for part in method.parts:
        values = {float(copy.deepcopy(method).loss(batch, generator(s), part)["contrast"].detach()) for s in range(3)}
        assert len(values) == 3


def test_official_settings_of_ad_gcl_know_no_features():
    recipe = AdGcl.preset("mutag")
    data = graphs(1)[0]
    assert torch.equal(recipe.prepare(data).x, torch.ones(7, 1))
    assert data.x.size(1) == 5
    other = data.clone()
    other.x = other.x + 1
    method, _ = built(recipe)
    rows = [method.eval().embed(Batch.from_data_list([recipe.prepare(one)])) for one in (data, other)]
    assert torch.equal(*rows)
    assert torch.equal(AdGcl().prepare(data).x, data.x)


def test_price_is_the_expected_share_of_lost_edges():
    method, batch = built(AdGcl(dim=8, layers=2, penalty=3.0))
    adversary = method.adversary
    with torch.no_grad():
        for weight in (adversary.score.second.weight, adversary.score.second.bias):
            weight.zero_()
    # logits of 0: every edge goes with probability one half
    assert float(adversary.penalised(batch, generator())[1].detach()) == pytest.approx(1.5)


def test_graphs_without_edges_are_no_obstacle_to_the_adversary():
    recipe = AdGcl(dim=8, layers=2)
    bare = [Data(x=torch.randn(4, 5, generator=generator(i)), edge_index=torch.empty(2, 0).long()) for i in range(3)]
    training = start(recipe.replace(plan=recipe.plan.replace(epochs=2, batch_size=None)), bare, 0)
    assert all(math.isfinite(step.loss) for step in training.steps)


# MVGRL


def dense_views(data, teleport):
    n = data.num_nodes
    a = torch.zeros(n, n)
    a[data.edge_index[0], data.edge_index[1]] = 1
    a += torch.eye(n)
    scale = a.sum(1).rsqrt()
    a = scale[:, None] * a * scale
    return a, teleport * torch.linalg.inv(torch.eye(n) - (1 - teleport) * a)


def convolved(encoder, operator, x):
    outputs = []
    for layer, bias, act in zip(encoder.layers, encoder.biases, encoder.acts, strict=True):
        h = operator @ x @ layer.weight.T + bias
        x = torch.where(h > 0, h, act.weight * h)
        outputs.append(x)
    return outputs


def test_mvgrl_compares_nodes_of_a_view_with_summaries_of_the_other():
    recipe = MvgrlGraph(dim=6, layers=3, teleport=0.3)
    method, batch = built(recipe)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.rand(parameter.shape, generator=generator(7)))
    nodes, summaries = ([], []), ([], [])
    for data in graphs():
        for place, operator in enumerate(dense_views(data, 0.3)):
            outputs = convolved((method.plain, method.diffused)[place], operator, data.x)
            nodes[place].append(method.of_nodes(outputs[-1]))
            summaries[place].append(method.of_graphs(torch.cat([h.sum(0) for h in outputs])[None]))
    (plain, diffused), (of_plain, of_diffused) = ([torch.cat(parts) for parts in pair] for pair in (nodes, summaries))
    torch.testing.assert_close(method.eval().embed(batch), of_plain + of_diffused, rtol=1e-3, atol=1e-4)
    terms = method.loss(batch, generator())
    assert float(terms["graph"].detach()) == pytest.approx(jensen_shannon(plain, of_diffused, batch.batch), rel=1e-3)
    assert float(terms["diffusion"].detach()) == pytest.approx(
        jensen_shannon(diffused, of_plain, batch.batch), rel=1e-3
    )


def test_degrees_are_put_beside_the_features():
    star = Data(x=torch.zeros(5, 2), edge_index=torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]]))
    seen = MvgrlGraph(degrees=3).prepare(star).x[:, 2:]
    # the root has degree 3, which is in the column of degree 2 and more
    assert seen.tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert star.x.size(1) == 2
    assert MvgrlGraph(degrees=0).prepare(star).x.size(1) == 2


def test_diffusion_of_a_batch_is_that_of_its_graphs():
    recipe = MvgrlGraph()
    ready = [recipe.prepare(graph) for graph in graphs(3)]
    batch = Batch.from_data_list(ready)
    assert batch.diffusion_index.size(1) == batch.diffusion_weight.numel()
    for g, graph in enumerate(ready):
        own = batch.batch[batch.diffusion_index[0]] == g
        assert torch.equal(batch.diffusion_index[:, own] - batch.ptr[g], graph.diffusion_index)
        assert torch.equal(batch.diffusion_weight[own], graph.diffusion_weight)


def test_sets_without_node_labels_are_seen_by_their_structure_alone():
    graph = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
    for recipe in (GraphCl, InfoGraph, Joao, SimGrace):
        seen = recipe.preset("imdb-binary").prepare(graph)
        assert torch.equal(seen.x, torch.ones(5, 1))
        assert torch.equal(recipe.preset("mutag").prepare(graph).x, graph.x)


# AD-GCL on nodes


def test_ad_gcl_embeds_nodes_as_well_and_its_adversary_opposes_there_too():
    data = graphs(1)[0]
    data.y = torch.zeros(data.num_nodes, dtype=torch.long)
    recipe = AdGcl(dim=8, layers=2)
    training = start(recipe.replace(plan=recipe.plan.replace(epochs=2)), data, 0)
    assert {name for step in training.steps for name in step.losses} == {
        "adversary/contrast", "adversary/price", "model/contrast"
    }  # fmt: skip
    method = training.method
    assert method.embed(training.data).shape == (data.num_nodes, 8)
    terms = method.loss(training.data, generator(1), "adversary")
    again = method.loss(training.data, generator(1), "model")
    assert float(terms["contrast"].detach()) == pytest.approx(-float(again["contrast"].detach()), rel=1e-5)
    method.zero_grad()
    again["contrast"].backward()
    assert all(p.grad is None for p in method.parameters_of("adversary"))
