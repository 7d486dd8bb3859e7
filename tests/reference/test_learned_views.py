"""Learned augmenters against plain loops, dense matrices, torch.distributions and scipy."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.func import functional_call
from torch_geometric.data import Batch, Data

from graphcl.augment.edge_dropper import LearnedEdgeDropout
from graphcl.augment.edges import EdgeDropout
from graphcl.augment.gates import PairScore, mean_by_graph, relaxed_gates, undirected_pairs
from graphcl.augment.policy import AugmentationPolicy, simplex_projection
from graphcl.augment.positive_noise import LearnedEdgeNoise, LearnedFeatureNoise
from graphcl.graph import GraphShape
from graphcl.hashing import edge_uniform
from graphcl.ops.propagate import gcn_operator_reference
from graphcl.seeding import draw_normal, draw_seed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_graph(seed=0, nodes=12, features=5, *, directed=False, weighted=True):
    g = generator(seed)
    pairs = torch.triu_indices(nodes - 1, nodes - 1)  # loops too; the last node is isolated
    pairs = pairs[:, torch.rand(pairs.size(1), generator=g) < 0.4]
    weight = torch.rand(pairs.size(1), generator=g) + 0.5
    if not directed:
        proper = pairs[0] != pairs[1]
        weight = torch.cat([weight, weight[proper]])
        pairs = torch.cat([pairs, pairs[:, proper].flip(0)], 1)
    data = Data(x=torch.randn(nodes, features, generator=g), edge_index=pairs)
    if weighted:
        data.edge_weight = weight
    return data.apply(lambda value: value.double() if value.is_floating_point() else value)


def built(recipe, data, seed=3):
    view = recipe.build(GraphShape.of(data), generator(seed)).double()
    with torch.no_grad():
        for parameter in view.parameters():  # biases too, and scores away from 0
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator(7), dtype=torch.double))
    return view


def perceptron(layers, row):
    first, second = layers
    return second.weight @ torch.relu(first.weight @ row + first.bias) + second.bias


def dropout_embedding(view, data):
    operator = gcn_operator_reference(data.edge_index, data.num_nodes, data.get("edge_weight"))
    h = data.x
    for number, layer in enumerate(view.encoder.layers):
        h = operator @ h @ layer.lin.weight.T + layer.bias
        h = torch.relu(h) if number + 1 < len(view.encoder.layers) else h
    return h


def noise_embedding(view, data):
    return torch.stack([perceptron((view.first, view.second), row) for row in data.x])


EDGE_RECIPES = [
    pytest.param(LearnedEdgeDropout(dim=4, layers=3, hidden=6, temperature=0.7), dropout_embedding, id="dropout"),
    pytest.param(LearnedEdgeNoise(dim=3, hidden=6, temperature=1.5), noise_embedding, id="noise"),
]


def score_by_loops(view, h):
    layers = (view.score.first, view.score.second)

    def score(u, v):
        both = [perceptron(layers, torch.cat(pair)) for pair in ((h[u], h[v]), (h[v], h[u]))]
        return float(sum(both)) / 2

    return score


@pytest.mark.parametrize(("recipe", "embedding"), EDGE_RECIPES)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_edge_weights_are_the_gates_of_the_scores(recipe, embedding, directed, weighted):
    data = random_graph(directed=directed, weighted=weighted)
    view = built(recipe, data)
    score = score_by_loops(view, embedding(view, data))
    seed = draw_seed(generator(5))
    out = view(data, generator(5)).edge_weight
    for e, (u, v) in enumerate(data.edge_index.T.tolist()):
        uniform = float(edge_uniform(torch.tensor([[u], [v]]), seed))
        delta = 1e-4 + (1 - 2e-4) * uniform
        gate = 1 / (1 + math.exp(-(math.log(delta / (1 - delta)) + score(u, v)) / recipe.temperature))
        assert float(out[e]) == pytest.approx(gate * (float(data.edge_weight[e]) if weighted else 1.0), abs=1e-12)
    assert out.std() > 0.05  # there was something to compare


@pytest.mark.parametrize(("recipe", "embedding"), EDGE_RECIPES)
def test_after_eval_the_gate_is_the_probability(recipe, embedding):
    data = random_graph(weighted=False)
    view = built(recipe, data).eval()
    score = score_by_loops(view, embedding(view, data))
    expected = [1 / (1 + math.exp(-score(u, v))) for u, v in data.edge_index.T.tolist()]
    assert torch.allclose(view(data).edge_weight, torch.tensor(expected, dtype=torch.double))


@pytest.mark.parametrize(("recipe", "embedding"), EDGE_RECIPES)
def test_the_probability_is_how_often_a_gate_is_open(recipe, embedding):
    data = random_graph(weighted=False)
    view = built(recipe, data)
    keep = view.eval()(data).edge_weight
    view.train()
    source = generator(1)
    draws = torch.stack([view(data, source).edge_weight > 0.5 for _ in range(3000)]).double().mean(0)
    deviation = (keep * (1 - keep) / 3000).sqrt()
    # the numbers stop short of 0 and 1 by 1e-4, which moves a probability by less
    assert ((draws - keep).abs() < 4.5 * deviation + 1e-4).all()


def test_a_pair_has_one_score_in_both_orders():
    module = PairScore(4, 8).double()
    torch.nn.init.normal_(module.second.bias)
    h = torch.randn(6, 4, dtype=torch.double, generator=generator())
    pairs = torch.tensor(list(itertools.product(range(6), repeat=2))).T
    scores = module(h, pairs)
    assert torch.allclose(scores, module(h, pairs.flip(0)), atol=1e-14)
    loops = [
        (
            perceptron((module.first, module.second), torch.cat([h[u], h[v]]))
            + perceptron((module.first, module.second), torch.cat([h[v], h[u]]))
        )
        / 2
        for u, v in pairs.T.tolist()
    ]
    assert torch.allclose(scores, torch.cat(loops), atol=1e-12)
    assert torch.autograd.gradcheck(lambda h: module(h, pairs), h.requires_grad_())


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
@settings(max_examples=60)
def test_pairs_are_those_that_edges_join(edges):
    index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T.contiguous()
    pairs, place = undirected_pairs(index, 7)
    assert [tuple(pair) for pair in pairs.T.tolist()] == sorted({(min(edge), max(edge)) for edge in edges})
    assert [tuple(pair) for pair in pairs[:, place].T.tolist()] == [(min(edge), max(edge)) for edge in edges]


def test_pairs_follow_edges_changed_in_place():
    index = torch.tensor([[0, 1], [1, 2]])
    undirected_pairs(index, 4)
    index[1, 1] = 3
    assert undirected_pairs(index, 4)[0].tolist() == [[0, 1], [1, 3]]
    assert undirected_pairs(index, 9)[0].tolist() == [[0, 1], [1, 3]]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("logit", [-2.0, 0.0, 3.0])
def test_gates_are_draws_of_the_relaxed_bernoulli(temperature, logit):
    uniform = torch.rand(20_000, dtype=torch.double, generator=generator())
    gates = relaxed_gates(torch.full((20_000,), logit, dtype=torch.double), uniform, temperature)
    # the logistic law of their logits is that of torch's own relaxed Bernoulli
    unit = (torch.logit(gates) * temperature - logit).numpy()
    assert stats.kstest(unit, "logistic").pvalue > 1e-3
    law = LogitRelaxedBernoulli(torch.tensor(temperature).double(), logits=torch.tensor(logit).double())
    grid = torch.linspace(-4, 4, 9).double()
    density = stats.logistic.pdf((grid * temperature - logit).numpy()) * temperature
    assert np.allclose(density, law.log_prob(grid).exp().numpy())


def test_gates_are_finite_at_the_ends():
    gates = relaxed_gates(torch.zeros(2), torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.double), 1.0)
    assert torch.allclose(gates, torch.tensor([1e-4, 1 - 1e-4]))


def test_the_mean_by_graph_leaves_out_graphs_without_edges():
    graphs = [
        random_graph(0),
        random_graph(1, nodes=7),
        Data(x=torch.ones(2, 5).double(), edge_index=torch.empty(2, 0).long()),
    ]
    graphs[2].edge_weight = torch.empty(0, dtype=torch.double)
    batch = Batch.from_data_list([graphs[0], graphs[2], graphs[1], graphs[2]])
    expected = (graphs[0].edge_weight.mean() + graphs[1].edge_weight.mean()) / 2
    assert float(mean_by_graph(batch.edge_weight, batch, batch.edge_index)) == pytest.approx(float(expected))


@pytest.mark.parametrize("batched", [False, True])
def test_prices_are_those_of_the_probabilities(batched):
    graphs = [random_graph(0, weighted=False), random_graph(1, nodes=8, weighted=False)]
    data = Batch.from_data_list(graphs) if batched else graphs[0]
    members = graphs if batched else graphs[:1]

    def by_graph(view, cost):
        # graph by graph: what the probabilities of each alone cost
        view.eval()
        return sum(cost(view(member).edge_weight).mean() for member in members) / len(members)

    dropout = built(LearnedEdgeDropout(dim=4, hidden=5, penalty=2.5), data)
    _, price = dropout.penalised(data, generator())
    assert float(price) == pytest.approx(float(2.5 * by_graph(dropout, lambda keep: 1 - keep)))

    noise = built(LearnedEdgeNoise(dim=4, hidden=5, penalty=0.5, prior_rate=0.3), data)
    _, price = noise.penalised(data, generator())
    prior = Bernoulli(torch.tensor(0.7, dtype=torch.double))
    expected = by_graph(noise, lambda keep: kl_divergence(Bernoulli(keep), prior))
    assert float(price) == pytest.approx(float(0.5 * expected))


def test_feature_noise_is_what_the_two_perceptrons_say():
    data = random_graph()
    recipe = LearnedFeatureNoise(hidden=7, penalty=0.25, prior_std=0.4)
    view = built(recipe, data)
    mean = torch.stack([perceptron((view.mean.first, view.mean.second), row) for row in data.x])
    scale = torch.stack([perceptron((view.scale.first, view.scale.second), row) for row in data.x]).abs()
    out, price = view.penalised(data, generator(4))
    draws = draw_normal(12, 5, generator=generator(4), device=torch.device("cpu"), dtype=torch.double)
    assert torch.allclose(out.x, data.x + mean + scale * draws)
    divergence = kl_divergence(Normal(mean, scale), Normal(torch.zeros(()).double(), torch.tensor(0.4).double()))
    assert float(price) == pytest.approx(0.25 * float(divergence.mean()))
    assert torch.allclose(view.eval()(data).x, data.x + mean)


def test_feature_noise_has_the_moments_it_says():
    data = random_graph()
    view = built(LearnedFeatureNoise(hidden=7), data)
    with torch.no_grad():
        mean, scale = view.mean(data.x), view.scale(data.x).abs()
        source = generator(2)
        draws = torch.stack([view(data, source).x - data.x for _ in range(4000)])
    assert ((draws.mean(0) - mean).abs() < 4.5 * scale / 4000**0.5).all()
    assert (draws.std(0) / scale - 1).abs().max() < 4.5 / 8000**0.5


@pytest.mark.parametrize(
    "recipe",
    [
        LearnedEdgeDropout(dim=3, layers=2, hidden=4, direction="cooperate"),
        LearnedEdgeNoise(dim=3, hidden=4, penalty=0.7),
        LearnedFeatureNoise(hidden=4, penalty=0.7),
    ],
    ids=lambda recipe: type(recipe).__name__,
)
def test_gradients_are_those_of_finite_differences(recipe):
    data = random_graph(nodes=6, features=3)
    view = built(recipe, data)
    names, values = zip(*view.named_parameters(), strict=True)

    class Total(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.view = view

        def forward(self, data, seed):
            out, price = self.view.penalised(data, generator(seed))
            made = out.x if isinstance(recipe, LearnedFeatureNoise) else out.edge_weight
            return (made * torch.linspace(1, 2, made.numel()).view_as(made)).sum() + price

    def total(*parameters):
        state = {f"view.{name}": value for name, value in zip(names, parameters, strict=True)}
        return functional_call(Total(), state, (data, 1))

    assert torch.autograd.gradcheck(total, tuple(value.detach().clone().requires_grad_() for value in values))


# --- the policy --------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12))
@settings(max_examples=150)
def test_the_projection_is_the_nearest_distribution(values):
    b = torch.tensor(values, dtype=torch.double)
    p = simplex_projection(b)
    assert (p >= 0).all()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-12)
    # the shift by a root finder
    shift = optimize.brentq(
        lambda mu: np.maximum(b.numpy() - mu, 0).sum() - 1, min(values) - 2, max(values), xtol=1e-13
    )
    assert np.allclose(p.numpy(), np.maximum(b.numpy() - shift, 0), atol=1e-9)
    # and the condition of the optimum: no vertex lies ahead
    assert float((b - p) @ p) >= float((b - p).max()) - 1e-9


def test_the_projection_against_a_quadratic_program():
    for seed in range(5):
        b = torch.randn(6, generator=generator(seed)).double()
        found = optimize.minimize(
            lambda p, b=b: ((p - b.numpy()) ** 2).sum(),
            np.full(6, 1 / 6),
            bounds=[(0, 1)] * 6,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            tol=1e-14,
        )
        assert np.allclose(simplex_projection(b).numpy(), found.x, atol=1e-6)


def test_the_projection_survives_large_and_equal_losses():
    assert simplex_projection(torch.tensor([1e12, 1e12, 0.0]).double()).tolist() == [0.5, 0.5, 0.0]
    assert simplex_projection(torch.full((4,), -1e9).double()).tolist() == [0.25] * 4
    assert simplex_projection(torch.tensor([3.0])).tolist() == [1.0]


CHOICES = (EdgeDropout(0.1), EdgeDropout(0.2), EdgeDropout(0.3))


def test_one_step_by_hand():
    view = AugmentationPolicy(CHOICES, lr=0.5, strength=0.2).build(GraphShape(4))
    view.probabilities.copy_(torch.tensor([0.5, 0.3, 0.2]))
    # b = p + 0.5 (l - 0.2 (p - 1/3)) = [.55, .37, .34] + [-1/60 .. ]; all stay positive: subtract the excess evenly
    losses = torch.tensor([0.1, 0.14, 0.28])
    b = [0.5 + 0.5 * (0.1 - 0.2 / 6), 0.3 + 0.5 * (0.14 + 0.2 / 30), 0.2 + 0.5 * (0.28 + 0.2 * 2 / 15)]
    excess = (sum(b) - 1) / 3
    assert view.update(losses).tolist() == pytest.approx([value - excess for value in b], abs=1e-6)


@pytest.mark.parametrize(("direction", "sign"), [("oppose", 1), ("cooperate", -1)])
@pytest.mark.parametrize("strength", [0.1, 0.9])
@pytest.mark.parametrize("lr", [0.3, 1.0])
def test_with_constant_losses_the_policy_tends_to_its_fixed_point(direction, sign, strength, lr):
    losses = torch.tensor([0.51, 0.54, 0.60], dtype=torch.double)
    view = AugmentationPolicy(CHOICES, lr=lr, strength=strength, direction=direction).build(GraphShape(4)).double()
    for _ in range(400):
        view.update(losses)
    # maximiser of p·l - strength / 2 |p - 1/K|^2 on the simplex, found without the projection
    best = optimize.minimize(
        lambda p: -sign * p @ losses.numpy() + strength / 2 * ((p - 1 / 3) ** 2).sum(),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        tol=1e-14,
    )
    assert np.allclose(view.probabilities.numpy(), best.x, atol=1e-5)
    closed = simplex_projection(1 / 3 + sign * losses / strength)
    assert torch.allclose(view.probabilities, closed, atol=1e-9)


def test_directions_mirror_each_other():
    steps = []
    for direction, sign in (("oppose", 1), ("cooperate", -1)):
        view = AugmentationPolicy(CHOICES, direction=direction).build(GraphShape(4))
        steps.append(view.update(sign * torch.tensor([0.2, 0.3, 0.25])))
    assert torch.equal(*steps)
    assert steps[0].argmax() == 1
