"""The graph isomorphism network against PyG's, and the readouts against plain loops."""

import copy
import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GINConv

from graphcl.encoders.gin import GIN, glorot_linears
from graphcl.encoders.pooling import readout
from graphcl.encoders.residual import ResidualMLP
from graphcl.errors import RequestError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_graph(seed, n=9, features=4, edges=20):
    g = generator(seed)
    # loops and repeated edges among them
    return torch.rand(n, features, generator=g), torch.randint(n, (2, edges), generator=g)


def shaken(module, seed=0):
    """The module with no parameter or statistic at its initial value."""
    g = generator(seed)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=g) + (0.5 if "running_var" in name else -0.5))
    return module


def pyg_layer(layer):
    conv = GINConv(nn.Sequential(copy.deepcopy(layer.first), nn.ReLU(), copy.deepcopy(layer.second)))
    # it draws the weights anew when it is built
    conv.nn[0].load_state_dict(layer.first.state_dict())
    conv.nn[2].load_state_dict(layer.second.state_dict())
    return conv


def batch_norm(h, norm, training):
    if training:
        mean, var = h.mean(0), h.var(0, correction=0)
    else:
        mean, var = norm.running_mean, norm.running_var
    return (h - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_all_layers_are_those_of_pyg_each_normalised_after_its_activation(seed, training):
    x, edges = random_graph(seed)
    encoder = shaken(GIN(4, [6, 5, 6]).train(training), seed)
    # statistics move in the call
    before = [(layer.after[1].running_mean.clone(), layer.after[1].running_var.clone()) for layer in encoder.layers]
    out = encoder(x, edges)
    for layer, (mean, var) in zip(encoder.layers, before, strict=True):
        layer.after[1].running_mean, layer.after[1].running_var = mean, var
    h, expected = x, []
    for layer in encoder.layers:
        h = batch_norm(torch.relu(pyg_layer(layer)(h, edges)), layer.after[1], training)
        expected.append(h)
    assert out.shape == (9, 17)
    assert encoder.out_channels == 17
    torch.testing.assert_close(out, torch.cat(expected, 1), rtol=1e-4, atol=1e-5)


def test_the_last_layer_is_normalised_before_the_activation_that_it_lacks():
    x, edges = random_graph(1)
    encoder = shaken(GIN(4, [6, 5], outputs="last").eval())
    first, second = encoder.layers
    h = torch.relu(batch_norm(pyg_layer(first)(x, edges), first.after[0], False))
    expected = batch_norm(pyg_layer(second)(h, edges), second.after, False)
    assert encoder.out_channels == 5
    assert bool((expected < 0).any())
    torch.testing.assert_close(encoder(x, edges), expected, rtol=1e-4, atol=1e-5)


def test_weights_weigh_the_messages_and_leave_the_node_itself_alone():
    x, edges = random_graph(2)
    weight = torch.rand(edges.size(1), generator=generator(5))
    encoder = shaken(GIN(4, [3], norm="none").eval())
    heard = x.clone()
    for (u, v), w in zip(edges.T.tolist(), weight.tolist(), strict=True):
        heard[v] += w * x[u]
    layer = encoder.layers[0]
    expected = torch.relu(layer.second(torch.relu(layer.first(heard))))
    torch.testing.assert_close(encoder(x, edges, weight), expected, rtol=1e-4, atol=1e-5)


def test_initial_weights_are_uniform_within_glorots_bound():
    torch.manual_seed(0)
    encoder = GIN(40, [24, 24])
    linears = [part for part in encoder.modules() if isinstance(part, nn.Linear)]
    assert len(linears) == 4
    for linear in linears:
        bound = math.sqrt(6 / sum(linear.weight.shape))
        assert 0.95 * bound < float(linear.weight.detach().abs().max()) <= bound
        assert float(linear.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert not linear.bias.any()
    bare = nn.Linear(2, 2, bias=False)
    before = bare.weight.clone()
    glorot_linears(bare)
    assert not torch.equal(before, bare.weight)


def test_one_node_cannot_be_normalised_in_training():
    encoder = GIN(4, [3])
    with pytest.raises(RequestError, match="norm='none'"):
        encoder(torch.ones(1, 4), torch.empty(2, 0, dtype=torch.long))
    assert encoder.eval()(torch.ones(1, 4), torch.empty(2, 0, dtype=torch.long)).shape == (1, 3)


def test_residual_head_is_three_layers_beside_a_linear_one():
    head = ResidualMLP(3, 2)
    h = torch.randn(5, 3, generator=generator())
    w = [(layer.weight, layer.bias) for layer in head.layers if isinstance(layer, nn.Linear)]
    expected = h
    for weight, bias in w:
        expected = (expected @ weight.T + bias).clamp(min=0)
    assert len(w) == 3
    torch.testing.assert_close(head(h), expected + h @ head.shortcut.weight.T + head.shortcut.bias)
    slopes = [part for part in ResidualMLP(3, 2, "prelu").modules() if isinstance(part, nn.PReLU)]
    assert len({id(part) for part in slopes}) == 3


@pytest.mark.parametrize(("kind", "of"), [("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax)])
def test_readouts_are_those_of_each_graph_alone(kind, of):
    sizes = [3, 1, 4]
    graphs = [
        Data(x=torch.randn(n, 2, generator=generator(n)), edge_index=torch.empty(2, 0, dtype=torch.long)) for n in sizes
    ]
    batch = Batch.from_data_list(graphs)
    expected = torch.stack([of(graph.x, 0) for graph in graphs])
    torch.testing.assert_close(readout(batch.x, batch, kind), expected)
    torch.testing.assert_close(readout(graphs[0].x, graphs[0], kind), expected[:1])


@pytest.mark.parametrize("kind", ["sum", "mean", "max"])
def test_graphs_without_nodes_read_zero(kind):
    batch = Data(ptr=torch.tensor([0, 2, 2, 3]), batch=torch.tensor([0, 0, 2]), num_nodes=3)
    out = readout(torch.full((3, 1), -2.0), batch, kind)
    assert out.shape == (3, 1)
    assert float(out[1]) == 0
    assert float(out[2]) == -2
