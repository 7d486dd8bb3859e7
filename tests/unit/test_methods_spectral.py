"""Methods on filters: PolyGCL, HLCL, S3GCL, GREET, ASPECT: their losses by hand, their parts, what they refuse."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from graphcl.data.block_model import MixedCSBM, csbm, mixed_csbm
from graphcl.errors import RequestError
from graphcl.graph import is_symmetric, row_normalised, unit_rows
from graphcl.methods import Adjacency, Aspect, Greet, Hlcl, Polygcl, Ppr, S3gcl, Sharpened, Structure
from graphcl.methods.hlcl import split_edges
from graphcl.objectives import MultiPositiveNCE, decoupled_info_nce, multi_positive_nce
from graphcl.plan import Plan
from graphcl.spectral import FilterBank, MonotoneHigh, MonotoneLow
from graphcl.train import embedding, start


@pytest.fixture
def graph():
    return csbm(nodes=60, classes=3, degree=6.0, features=12, seed=0)


def built(recipe, graph, epochs=0):
    """A method after a few epochs, and its graph."""
    training = start(recipe.replace(plan=recipe.plan.replace(epochs=epochs, device="cpu")), graph, 0)
    for _ in training.steps:
        pass
    return training.method, training.data


# ---------------------------------------------------------------------------------------------------------- PolyGCL


def test_polygcl_without_dropout_is_its_equations(graph):
    method, data = built(Polygcl(dim=8, order=4, feature_dropout=0.0, dropout=0.0), graph)
    generator = torch.Generator().manual_seed(1)
    found = method.train().loss(data, generator)["contrast"]
    shuffled = method.corruption(data, torch.Generator().manual_seed(1)).x
    bank = FilterBank([MonotoneLow(4), MonotoneHigh(4)])

    def channels(x):
        return [method.linear(part).relu() for part in bank(x, data.edge_index).unbind(1)]

    real, fake = channels(data.x), channels(shuffled)
    summary = (0.5 * real[0] + 0.5 * real[1]).mean(0).relu().expand(60, -1)
    logits = torch.cat([method.discriminator(z.contiguous(), summary)[:, 0] for z in (*real, *fake)])
    labels = torch.cat([torch.ones(120), torch.zeros(120)])
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(logits, labels), rtol=1e-4, atol=1e-5)


def test_polygcl_readouts_and_rates_of_the_filters(graph):
    recipe = Polygcl(dim=8, plan=Plan(epochs=3, lr=1e-3, part_lr={"channels": 0.05}))
    method, data = built(recipe, graph, epochs=3)
    moved = (method.channels.bank.filters[0].step.detach() - 0.2).abs().max()
    assert moved > 0.05, "three steps of Adam at the filters' own rate"
    with torch.no_grad():
        low, high = method.seen(data)
    alpha = method.channels.weight
    torch.testing.assert_close(embedding(method, data), (alpha[0] * low + alpha[1] * high).detach())
    method.recipe = recipe.replace(readout="low-high")
    torch.testing.assert_close(embedding(method, data), torch.cat([unit_rows(low), unit_rows(high)], 1))


# ------------------------------------------------------------------------------------------------------------- HLCL


def test_edges_are_split_by_the_similarity_of_their_ends():
    # node 0 with neighbours 1 (alike), 2 (half alike), 3 (opposite)
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    star = torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]])
    low, high = split_edges(x, star, similar=1 / 3, dissimilar=1 / 3)
    # each leaf has one edge, which it names as its most similar
    assert low.tolist() == [[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]]
    assert high.tolist() == [[0, 3], [3, 0]]
    low, high = split_edges(x, star[:, :0], 0.5, 0.5)
    assert low.numel() == high.numel() == 0
    everything, nothing = split_edges(x, star, 1.0, 1.0)
    assert everything.size(1) == 6
    assert nothing.size(1) == 0, "what is similar is not dissimilar too"


def test_hlcl_splits_again_by_the_embedding_of_the_last_refresh(graph):
    method, data = built(Hlcl(dim=8, refresh=2), graph, epochs=3)
    assert int(method.epoch) == 3
    by_features = split_edges(data.x, data.edge_index, 0.2, 0.2)
    kept = method.split(data)
    assert not torch.equal(kept[1], by_features[1])
    # a later epoch moves the layers, not the split; a loaded state has it too
    with torch.no_grad():
        for parameter in method.layers.parameters():
            parameter.add_(1.0)
    assert torch.equal(method.split(data)[1], kept[1])
    again, _ = built(Hlcl(dim=8, refresh=2), graph)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.split(data)[1], kept[1])
    # other features, other edges
    data.x = data.x.flip(0)
    assert not torch.equal(method.split(data)[0], kept[0])
    method.epoch.fill_(0)
    data.x = data.x.flip(0)
    assert torch.equal(method.split(data)[1], by_features[1])
    for edges in by_features:
        data.edge_index = edges
        assert is_symmetric(data)
    data.edge_weight = torch.ones(data.num_edges)
    with pytest.raises(RequestError, match="drop the weights"):
        method.split(data)


# ------------------------------------------------------------------------------------------------- several positives


def test_one_positive_each_is_the_decoupled_loss():
    a, b = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for symmetric in (False, True):
        expected = decoupled_info_nce(a, b, 0.3, symmetric)
        torch.testing.assert_close(multi_positive_nce(a, b, 0.3, symmetric), expected)


def test_several_positives_equal_the_loops():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    pairs = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 5, 5], [0, 3, 1, 2, 3, 4, 5, 0, 1]])
    for symmetric in (False, True):
        loss = MultiPositiveNCE(0.4, symmetric)
        found = loss(a.requires_grad_(), b, pairs)
        assert math.isclose(float(found.detach()), loss.reference(a.detach(), b, pairs), rel_tol=1e-9)
        assert torch.autograd.gradcheck(lambda a, loss=loss: loss(a, b, pairs), (a,))


def test_anchors_without_positive_or_negative_are_refused():
    z = torch.eye(3)
    with pytest.raises(RequestError, match="row 2 has no positive"):
        multi_positive_nce(z, z, positives=torch.tensor([[0, 1], [0, 1]]))
    own = torch.arange(3)
    every = torch.stack([own.repeat_interleave(3), own.repeat(3)])
    with pytest.raises(RequestError, match="row 0 has no negative"):
        multi_positive_nce(z, z, positives=every)
    with pytest.raises(RequestError, match="leave `negatives` out"):
        MultiPositiveNCE()(z, z, negatives=z)


# ------------------------------------------------------------------------------------------------------------ S3GCL


def test_s3gcl_embeds_without_the_graph(graph):
    method, data = built(S3gcl(dim=8), graph, epochs=2)
    h = embedding(method, data)
    data.edge_index = data.edge_index[:, :0]
    assert torch.equal(h, embedding(method, data))


@pytest.mark.parametrize(("share", "terms"), [(0.0, ["high"]), (1.0, ["low"]), (0.4, ["high", "low"])])
def test_s3gcl_has_the_branches_that_count(graph, share, terms):
    method, data = built(S3gcl(dim=8, structure=share), graph)
    assert list(method.train().loss(data, torch.Generator().manual_seed(0))) == terms
    assert (method.low is None, method.high is None) == (share == 0, share == 1)


def test_more_neighbours_than_nodes_leave_a_negative_or_say_what_to_do():
    small = csbm(nodes=12, classes=2, degree=3.0, features=5, seed=0)
    h = embedding(*built(S3gcl(dim=8, neighbours=30, structure=0.5), small, epochs=1))
    assert bool(h.isfinite().all())
    # the other way round a node may be everybody's neighbour
    with pytest.raises(RequestError, match="give fewer \\(`neighbours` of a method\\)"):
        built(Greet(dim=8, neighbours=30), small, epochs=1)


# ------------------------------------------------------------------------------------------------------------ GREET


def test_greet_channels_are_their_matrices(graph):
    method, data = built(Greet(dim=6, alpha=0.3), graph)
    gates = method.gates(data, None).detach()
    low, high = method.channels((data.x, data.x), data, gates)
    n = data.num_nodes
    eye = torch.eye(n)

    def normalised(weight):
        matrix = torch.zeros(n, n).index_put((data.edge_index[1], data.edge_index[0]), weight) + eye
        scale = matrix.sum(1).rsqrt()
        return scale[:, None] * matrix * scale

    smooth, rough = normalised(gates), normalised(1 - gates)
    sharp = eye - 0.3 * (rough - torch.diag(rough.diagonal()))
    expected = smooth @ smooth @ method.model["low"](data.x).relu()
    torch.testing.assert_close(low, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(high, sharp @ sharp @ method.model["high"](data.x).relu(), rtol=1e-4, atol=1e-5)


def test_greet_gates_are_alike_in_both_directions_and_learned_by_the_ranking(graph):
    method, data = built(Greet(dim=6), graph)
    for generator in (None, torch.Generator().manual_seed(0)):
        gates = method.gates(data, generator).detach()
        there = {(u, v): w for (u, v), w in zip(data.edge_index.T.tolist(), gates.tolist(), strict=True)}
        assert all(there[v, u] == w for (u, v), w in there.items())
    # a step of the encoders leaves the discriminator alone
    loss = method.train().loss(data, torch.Generator().manual_seed(0), "model")["contrast"]
    assert all(g is None for g in torch.autograd.grad(loss, list(method.discriminator.parameters()), allow_unused=True))
    loss = method.loss(data, torch.Generator().manual_seed(0), "discriminator")["rank"]
    assert all(bool(g.any()) for g in torch.autograd.grad(loss, list(method.discriminator.parameters())))


def test_greet_without_neighbours_has_the_node_itself_as_positive(graph):
    method, data = built(Greet(dim=6, neighbours=0), graph, epochs=2)
    assert embedding(method, data).shape == (60, 12)


# ----------------------------------------------------------------------------------------------------------- ASPECT


@pytest.mark.parametrize("contrast", ["info-nce", "infomax"])
@pytest.mark.parametrize("gate", ["none", "global", "node", "sigmoid", "hard"])
def test_aspect_trains_with_every_gate_and_contrast(graph, contrast, gate):
    recipe = Aspect(
        dim=8,
        rank=4,
        channels=("low", "high", "raw", "structure"),
        gate=gate,
        contrast=contrast,
        stability=0.5,
        evidence=0.0 if gate == "hard" else 0.5,
    )
    method, data = built(recipe, graph, epochs=2)
    weights = method.weights(data).detach()
    assert weights.shape == (60, 4)
    torch.testing.assert_close(weights.sum(1), torch.ones(60))
    terms = method.train().loss(data, torch.Generator().manual_seed(0))
    expected = ["channels", "fused"] + (["evidence"] if gate in ("node", "sigmoid") else [])
    assert list(terms) == expected
    if gate in ("none", "global"):
        assert bool((weights == weights[0]).all())


def test_aspect_channels_are_filters_behind_a_linear_map(graph):
    recipe = Aspect(dim=8, channels=("low", "high", "raw"), order=4)
    method, data = built(recipe, graph)
    (h,) = method.seen(data, [data.x])
    x = row_normalised(data.x)
    both = FilterBank([MonotoneLow(4), MonotoneHigh(4)])(x, data.edge_index)
    for k in range(2):
        torch.testing.assert_close(h[:, k], method.filtered(both[:, k]).relu(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(h[:, 2], method.raw(x).relu(), rtol=1e-4, atol=1e-5)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(method.seen(data, [data.x], rows=order[:9])[0], h[order[:9]])
    (shuffled,) = method.seen(data, [data.x], [order])
    data.x = data.x[order]
    (expected,) = method.seen(data, [data.x])
    torch.testing.assert_close(shuffled, expected, rtol=1e-4, atol=1e-5)
    sparse = copy.copy(data)
    sparse.x = data.x.relu().to_sparse_csr()
    data.x = data.x.relu()
    torch.testing.assert_close(method.seen(sparse, [sparse.x]), method.seen(data, [data.x]), rtol=1e-4, atol=1e-5)


def test_aspect_evidence_draws_the_gate_to_the_easier_channel(graph):
    recipe = Aspect(dim=8, channels=("low", "high"), evidence=1.0)
    method, data = built(recipe, graph)
    losses = {}

    def spied(batch, generator):
        losses["seen"] = original(batch, generator)
        return losses["seen"]

    original, method._info_nce = method._info_nce, spied
    found = float(method.train().loss(data, torch.Generator().manual_seed(0))["evidence"].detach())
    seen = losses["seen"]
    standard = (seen.losses - seen.losses.mean(0)) / seen.losses.std(0, correction=0)
    target = torch.softmax(-standard.detach() / 0.5, 1)
    expected = (target * (target.log() - seen.weights.log())).sum(1).mean()
    assert math.isclose(found, float(expected.detach()), rel_tol=1e-4)


def test_aspect_gate_sees_its_surroundings(graph):
    for reach, width in ((0, 6), (2, 12)):
        method, data = built(Aspect(dim=8, reach=reach), graph)
        assert method._context(data).shape == (60, width)
    assert built(Aspect(dim=8, sees="both", descriptors=()), graph)[0].gate.sees == "channels"


def test_aspect_reads_all_the_channels_there_are(graph):
    for channels in (("low", "raw"), ("high", "structure", "low")):
        short = Aspect(dim=8, rank=5, channels=channels, readout=("channels", "x"))
        long = short.replace(readout=(*channels, "x"))
        torch.testing.assert_close(*(embedding(*built(recipe, graph)) for recipe in (short, long)), rtol=0, atol=0)
        assert embedding(*built(short.replace(readout=Aspect().readout), graph)).size(1) == 8 * len(channels) + 4 * 12


def test_aspect_blocks_stand_side_by_side(graph):
    blocks = ("fused", "high", "x", "smooth", "sharp", "factors", "diffused", "rows")
    method, data = built(Aspect(dim=8, rank=5, readout=blocks), graph)
    h = embedding(method, data)
    assert h.shape == (60, 8 + 8 + 12 + 12 + 12 + 5 + 12 + 60)
    fused, high = h[:, :8], h[:, 8:16]
    with torch.no_grad():
        (seen,) = method.seen(data, [data.x])
        torch.testing.assert_close(high, unit_rows(seen[:, 1]))
        torch.testing.assert_close(fused, unit_rows(method.weighed(seen, data)[0]))
    torch.testing.assert_close(h[:, 16:28], unit_rows(data.x))
    torch.testing.assert_close(h[:, -60:], unit_rows(embedding(*built(Adjacency(), graph))))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"readout": ("structure",)}, "there is no channel 'structure'"),
        ({"channels": ("low", "low")}, "each should be named once"),
        ({"sees": "context", "descriptors": ()}, "the gate would see nothing"),
        ({"gate": "hard"}, "set evidence = 0"),
        ({"order": 0}, "Aspect.order = 0"),
        ({"channels": ()}, "Aspect.channels"),
    ],
)
def test_aspect_refuses_what_makes_no_sense(settings, message):
    with pytest.raises(RequestError, match=message):
        Aspect(**settings)


# --------------------------------------------------------------------------------------------------------- controls


def test_controls_are_their_matrices(graph):
    n, edges = 60, graph.edge_index
    matrix = torch.zeros(n, n).index_put((edges[1], edges[0]), torch.tensor(1.0))
    s = matrix * matrix.sum(1).clamp(min=1).rsqrt()[:, None] * matrix.sum(0).clamp(min=1).rsqrt()
    looped = matrix + torch.eye(n)
    smooth = looped * looped.sum(1).rsqrt()[:, None] * looped.sum(0).rsqrt()
    x = graph.x

    def h(recipe):
        return embedding(*built(recipe, graph))

    torch.testing.assert_close(h(Adjacency()), s)
    torch.testing.assert_close(h(Sharpened()), torch.cat([unit_rows(x), unit_rows(x - s @ x)], 1))
    expected = 0.2 * torch.linalg.inv(torch.eye(n) - 0.8 * smooth) @ x
    torch.testing.assert_close(h(Ppr(teleport=0.2, features="raw")), expected, rtol=1e-4, atol=1e-5)
    made = h(Structure(rank=59))
    torch.testing.assert_close(made[:, :12], unit_rows(s @ x), rtol=1e-4, atol=1e-5)
    # rotated, but with the same products of rows: nothing is lost that a linear probe could see
    torch.testing.assert_close(made[:, 12:] @ made[:, 12:].T, unit_rows(s) @ unit_rows(s).T, rtol=0, atol=1e-2)


def test_the_adjacency_of_a_large_graph_is_refused():
    graph = csbm(nodes=8200, degree=2.0, features=2)
    with pytest.raises(RequestError, match="at most 8192; take the strongest directions .*control 'structure'"):
        embedding(*built(Adjacency(), graph))
    with pytest.raises(RequestError, match="at most 8192"):
        start(Aspect(dim=2, readout=("rows",)), graph, 0)  # before any training


# ------------------------------------------------------------------------------------------------- the graph of regions


def test_regions_have_their_homophily_and_degree():
    graph = mixed_csbm(nodes=4000, homophily=(0.7, 0.1), degree=8.0, cross=0.5, seed=3)
    source, target = graph.edge_index
    inside = graph.region[source] == graph.region[target]
    same = graph.y[source] == graph.y[target]
    for region, homophily in enumerate((0.7, 0.1)):
        mine = inside & (graph.region[source] == region)
        assert abs(float(same[mine].float().mean()) - homophily) < 0.02
        assert abs(float(mine.sum()) / 2000 - 8.0) < 0.3
    assert abs(float((~inside).sum()) / 4000 - 0.5) < 0.1
    assert is_symmetric(graph)
    assert not bool((source == target).any())
    for name, one in mixed_csbm(seed=5).to_dict().items():
        assert torch.equal(one, mixed_csbm(seed=5)[name])


def test_regions_that_cannot_be_are_refused():
    with pytest.raises(RequestError, match="pairs of nodes in different regions"):
        MixedCSBM(nodes=20, degree=1.0, cross=50.0)
    with pytest.raises(RequestError, match="CSBM.degree"):
        MixedCSBM(nodes=40, degree=30.0)
    with pytest.raises(RequestError, match=r"MixedCSBM.homophily\[1\]"):
        MixedCSBM(homophily=(0.5, 1.5))
