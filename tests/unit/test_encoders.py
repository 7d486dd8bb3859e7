"""Encoders against dense algebra: convolutions, normalisation, activations of each layer, moving averages."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn.dense.linear import Linear

from graphcl.encoders.gcn import GCN, normalisation
from graphcl.encoders.mlp import MLP
from graphcl.encoders.moving_average import follow, momentum_at
from graphcl.errors import RequestError

NODES = 12


@pytest.fixture
def graph() -> tuple[Tensor, Tensor, Tensor]:
    """Features, edges of a symmetric graph with an isolated last node, and weights equal in both directions."""
    generator = torch.Generator().manual_seed(3)
    pairs = torch.combinations(torch.arange(NODES - 1))
    pairs = pairs[torch.rand(len(pairs), generator=generator) < 0.3].T
    weight = torch.rand(pairs.size(1), generator=generator, dtype=torch.float64) + 0.5
    x = torch.randn(NODES, 5, generator=generator, dtype=torch.float64)
    return x, torch.cat([pairs, pairs.flip(0)], 1), weight.repeat(2)


def dense(edge_index: Tensor, weight: Tensor | None, loops: bool) -> Tensor:
    matrix = torch.zeros(NODES, NODES, dtype=torch.float64)
    for e in range(edge_index.size(1)):
        matrix[edge_index[1, e], edge_index[0, e]] += 1.0 if weight is None else weight[e]
    if loops:
        matrix += torch.eye(NODES, dtype=torch.float64)
    degree = matrix.sum(1).tolist()
    scale = torch.tensor([d**-0.5 if d else 0.0 for d in degree], dtype=torch.float64)
    return scale[:, None] * matrix * scale


def standardised(h: Tensor, dim: int) -> Tensor:
    mean = h.mean(dim, keepdim=True)
    return (h - mean) / ((h - mean).pow(2).mean(dim, keepdim=True) + 1e-5).sqrt()


def encoder(seed: int = 0, **settings: object) -> GCN:
    torch.manual_seed(seed)
    made = GCN(5, [4, 3], **settings).double()
    for parameter in made.parameters():  # biases and slopes that are not all alike
        parameter.data.add_(torch.linspace(0, 0.3, parameter.numel(), dtype=torch.float64).view_as(parameter))
    return made


def layer(gcn: GCN, number: int, operator: Tensor, x: Tensor) -> Tensor:
    return operator @ (x @ gcn.layers[number].lin.weight.T) + gcn.layers[number].bias


@pytest.fixture(autouse=True)
def _global_state() -> object:
    with torch.random.fork_rng(devices=[]):
        yield


def test_by_default_nothing_is_normalised_and_the_draws_are_those_of_the_layers_alone(
    graph: tuple[Tensor, Tensor, Tensor],
) -> None:
    torch.manual_seed(0)
    made, after = GCN(5, [4, 3], "prelu", act_last=True), torch.rand(1)
    torch.manual_seed(0)
    weights = [Linear(a, b, bias=False, weight_initializer="glorot").weight for a, b in ((5, 4), (4, 3))]
    assert torch.equal(after, torch.rand(1))
    names = ["layers.0.bias", "layers.0.lin.weight", "layers.1.bias", "layers.1.lin.weight", "act.weight"]
    assert list(made.state_dict()) == names
    assert all(torch.equal(made.layers[i].lin.weight, weights[i]) for i in range(2))
    x, edges, weight = graph
    made = encoder(act="prelu", act_last=True)
    operator, slope = dense(edges, weight, loops=True), made.act.weight
    h = nn.functional.prelu(layer(made, 0, operator, x), slope)
    assert torch.allclose(made(x, edges, weight), nn.functional.prelu(layer(made, 1, operator, h), slope))


@pytest.mark.parametrize("act_last", [False, True])
@pytest.mark.parametrize(("norm", "dim"), [("batch", 0), ("layer", 1)])
def test_normalisation_stands_between_convolution_and_activation(
    graph: tuple[Tensor, Tensor, Tensor], norm: str, dim: int, act_last: bool
) -> None:
    x, edges, _ = graph
    made = encoder(act="prelu", norm=norm, act_last=act_last, shared_act=False)
    made.act[0].weight.data.fill_(0.1)
    operator = dense(edges, None, loops=True)
    h = standardised(layer(made, 0, operator, x), dim) * made.norms[0].weight + made.norms[0].bias
    h = layer(made, 1, operator, torch.where(h > 0, h, 0.1 * h))
    if act_last:
        made.act[1].weight.data.fill_(0.7)
        h = standardised(h, dim) * made.norms[1].weight + made.norms[1].bias
        h = torch.where(h > 0, h, 0.7 * h)
    assert len(made.norms) == len(made.act) == 1 + act_last
    assert torch.allclose(made(x, edges), h)


def test_momentum_weighs_the_newest_batch_and_evaluation_reads_the_statistics() -> None:
    norm = normalisation("batch", 1, momentum=0.25)
    norm(torch.tensor([[1.0], [3.0]]))  # mean 2, sample variance 2
    for _ in range(3):
        norm(torch.tensor([[5.0], [5.0]]))  # mean 5, variance 0
    # a plain mean of the first four, then a quarter for the newest
    assert norm.running_mean.item() == pytest.approx(4.25)
    assert norm.running_var.item() == pytest.approx(0.5)
    norm(torch.tensor([[1.0], [1.0]]))
    assert norm.running_mean.item() == pytest.approx(0.75 * 4.25 + 0.25 * 1)
    assert norm.running_var.item() == pytest.approx(0.75 * 0.5)
    norm.eval()
    expected = (7 - norm.running_mean.item()) / math.sqrt(norm.running_var.item() + 1e-5)
    assert norm(torch.tensor([[7.0]])).item() == pytest.approx(expected)


def test_the_momentum_of_an_encoder_reaches_its_statistics(graph: tuple[Tensor, Tensor, Tensor]) -> None:
    x, edges, _ = graph
    made = encoder(norm="batch", momentum=0.01)
    expected = layer(made, 0, dense(edges, None, loops=True), x).mean(0)
    made(x, edges)
    assert torch.allclose(made.norms[0].running_mean, expected)
    for _ in range(99):
        made(x, edges)
    made(2 * x, edges)
    # twice the features, less the bias that is in both
    moved = layer(made, 0, dense(edges, None, loops=True), 2 * x).mean(0)
    assert torch.allclose(made.norms[0].running_mean, 0.99 * expected + 0.01 * moved, atol=1e-6)


def test_layers_share_their_slope_or_have_their_own() -> None:
    shared, own = (encoder(act="prelu", act_last=True, shared_act=shared) for shared in (True, False))
    assert sum(p.numel() for p in own.parameters()) - sum(p.numel() for p in shared.parameters()) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_without_self_loops_nodes_see_only_their_neighbours(
    graph: tuple[Tensor, Tensor, Tensor], weighted: bool
) -> None:
    x, edges, weight = graph
    made = encoder(act="none", self_loops=False)
    operator = dense(edges, weight if weighted else None, loops=False)
    h = layer(made, 1, operator, layer(made, 0, operator, x))
    out = made(x, edges, weight if weighted else None)
    assert torch.allclose(out, h)
    assert torch.allclose(out[-1], made.layers[1].bias)
    weight = weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda w: made(x, edges, w), (weight,))


def test_a_self_loop_that_is_in_the_graph_stays() -> None:
    made = encoder(act="none", self_loops=False)
    x, edges = torch.randn(NODES, 5, dtype=torch.float64), torch.tensor([[0, 0, 1], [0, 1, 0]])
    operator = dense(edges, None, loops=False)
    assert torch.allclose(made(x, edges), layer(made, 1, operator, layer(made, 0, operator, x)))


def test_batch_normalisation_of_a_single_node_is_refused_in_training() -> None:
    lone, no_edges = torch.ones(1, 5).double(), torch.zeros(2, 0, dtype=torch.long)
    made = encoder(norm="batch")
    with pytest.raises(RequestError, match="cannot be trained on one node"):
        made(lone, no_edges)
    assert made.eval()(lone, no_edges).shape == (1, 3)
    with pytest.raises(RequestError, match="cannot be trained on one node"):
        MLP(5, 4, 3, norm="batch")(torch.ones(1, 5))


def test_a_head_normalises_its_hidden_layer() -> None:
    head = MLP(5, 4, 3, "relu", norm="batch").double()
    x = torch.randn(NODES, 5, dtype=torch.float64)
    hidden = standardised(x @ head.first.weight.T + head.first.bias, 0).clamp(min=0)
    assert torch.allclose(head(x), hidden @ head.second.weight.T + head.second.bias)
    assert list(MLP(5, 4, 3).state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]


def test_a_target_follows_parameters_and_not_statistics(graph: tuple[Tensor, Tensor, Tensor]) -> None:
    online, target = encoder(1, norm="batch", act="prelu"), encoder(2, norm="batch", act="prelu")
    x, edges, _ = graph
    online(x, edges)
    for parameter in online.parameters():
        parameter.data.add_(1.0)
    before = copy.deepcopy(target)
    follow(target, online, 0.9)
    for slow, old, new in zip(target.parameters(), before.parameters(), online.parameters(), strict=True):
        assert torch.allclose(slow, 0.9 * old + 0.1 * new)
        assert not torch.equal(slow, old)
    assert torch.equal(target.norms[0].running_mean, before.norms[0].running_mean)
    assert not torch.equal(online.norms[0].running_mean, before.norms[0].running_mean)


def test_momentum_rises_by_half_a_cosine() -> None:
    assert momentum_at(0.9, 0.0) == pytest.approx(0.9)
    assert momentum_at(0.9, 1 / 3) == pytest.approx(1 - 0.1 * 0.75)
    assert momentum_at(0.9, 1.0) == 1.0


def test_the_statistics_of_a_short_training_hold_nothing_of_where_they_began():
    norm = normalisation("batch", 4, 0.01)
    generator = torch.Generator().manual_seed(0)
    batches = [3 + 0.05 * torch.randn(2000, 4, generator=generator) for _ in range(3)]
    for batch in batches:
        norm(batch)
    expected = torch.stack([batch.var(0) for batch in batches]).mean(0)
    assert torch.allclose(norm.running_var, expected, rtol=1e-3)
    out = norm.eval()(batches[0])
    assert torch.allclose(out.std(0), torch.ones(4), atol=0.05)
    assert out.mean().abs() < 0.05
    for _ in range(200):
        norm.train()(batches[0])
    norm(batches[0] + 1)
    # from the hundredth batch on the newest weighs what was asked for
    assert torch.allclose(norm.running_mean, torch.full((4,), 3.01), atol=2e-3)
