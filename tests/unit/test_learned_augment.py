"""Learned augmenters: the same call as all others, gradients where they are promised, and one switch."""

import copy
import math
import pickle

import pytest
import torch
from scipy import stats
from torch_geometric.data import Batch, Data, HeteroData

from graphcl.augment.augmenter import Augmenter
from graphcl.augment.composition import Chain, Ramp, Scheduled
from graphcl.augment.edge_dropper import LearnedEdgeDropout
from graphcl.augment.edges import EdgeDropout, MessageDropout
from graphcl.augment.features import FeatureMask
from graphcl.augment.gates import EdgeView
from graphcl.augment.learned import LearnedAugmenter, LearnedChain, reverse_gradient
from graphcl.augment.policy import AugmentationPolicy
from graphcl.augment.positive_noise import LearnedEdgeNoise, LearnedFeatureNoise
from graphcl.batches import FullGraph
from graphcl.config import decode, encode
from graphcl.encoders.gcn import GCN
from graphcl.encoders.mlp import MLP
from graphcl.errors import DataError, RequestError
from graphcl.graph import GraphShape
from graphcl.methods.two_view import TwoView
from graphcl.objectives.contrast import InfoNCE, info_nce
from graphcl.plan import Plan
from graphcl.train import fit

FEATURES = 6
CHAIN = LearnedChain((LearnedFeatureNoise(), FeatureMask(0.3), LearnedEdgeNoise()))
RECIPES = [LearnedEdgeDropout(), LearnedEdgeNoise(), LearnedFeatureNoise(), AugmentationPolicy(), CHAIN]
GRADIENT = [LearnedEdgeDropout(), LearnedEdgeNoise(penalty=0.5), LearnedFeatureNoise(penalty=0.5), CHAIN]
EDGES = [LearnedEdgeDropout(), LearnedEdgeNoise()]


def name(recipe):
    return type(recipe).__name__


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def graph(seed=0, nodes=20, *, directed=False, weighted=False):
    """With loops, a parallel edge, an isolated last node, and everything that a view must keep aligned."""
    g = generator(seed)
    pairs = torch.randint(nodes - 1, (2, 3 * nodes), generator=g)
    pairs = torch.cat([pairs, pairs[:, :1]], 1)
    # parallel edges weigh the same, and so do both directions
    weight = (torch.rand(nodes, nodes, generator=g) + 0.5)[pairs.min(0).values, pairs.max(0).values]
    if not directed:
        pairs, weight = torch.cat([pairs, pairs.flip(0)], 1), weight.repeat(2)
    data = Data(
        x=torch.randn(nodes, FEATURES, generator=g),
        edge_index=pairs,
        edge_attr=torch.randn(pairs.size(1), 2, generator=g),
        y=torch.arange(nodes),
    )
    if weighted:
        data.edge_weight = weight
    return data


def bare(nodes=3):
    return Data(
        x=torch.randn(nodes, FEATURES, generator=generator()),
        edge_index=torch.empty(2, 0, dtype=torch.long),
        edge_attr=torch.empty(0, 2),
        y=torch.arange(nodes),
    )


GRAPHS = {
    "undirected": graph(),
    "weighted": graph(weighted=True),
    "directed": graph(directed=True),
    "no edges": bare(),
    "one node": bare(1),
    "one loop": Data(x=torch.ones(1, FEATURES), edge_index=torch.tensor([[0], [0]])),
    "batch": Batch.from_data_list([graph(1), bare(2), graph(2, nodes=9), bare(1)]),
    "weighted batch": Batch.from_data_list([graph(1, weighted=True), graph(2, nodes=9, weighted=True)]),
}


def built(recipe, seed=1):
    return recipe.build(GraphShape(FEATURES), generator(seed))


def tensors(data):
    return {key: value for key, value in data.to_dict().items() if isinstance(value, torch.Tensor)}


def same(a, b):
    a, b = tensors(a), tensors(b)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name)
every_graph = pytest.mark.parametrize("data", GRAPHS.values(), ids=GRAPHS.keys())
learning = pytest.mark.parametrize("recipe", GRADIENT, ids=name)


# --- the call ----------------------------------------------------------------------------------------------------------


@every_recipe
@every_graph
@pytest.mark.parametrize("training", [True, False])
def test_a_view_is_a_function_of_graph_and_generator(recipe, data, training):
    view = built(recipe).train(training)
    before, state = copy.deepcopy(data), torch.get_rng_state()
    out, price = view.penalised(data, generator(4))
    assert torch.equal(state, torch.get_rng_state())
    assert same(before, data)
    assert set(before.keys()) == set(data.keys())
    assert same(out, view(data, generator(4)))
    assert out is not data
    assert price.dim() == 0
    assert float(price.detach()) >= 0
    assert type(out) is type(data)
    for key, value in tensors(out).items():
        assert bool(value.isfinite().all()), key


@every_recipe
@every_graph
def test_a_view_keeps_what_it_does_not_change(recipe, data):
    out = built(recipe)(data, generator(2))
    if isinstance(recipe, AugmentationPolicy):
        assert out.num_nodes == data.num_nodes
        return
    assert torch.equal(out.edge_index, data.edge_index)
    changed = {LearnedEdgeDropout: {"edge_weight"}, LearnedEdgeNoise: {"edge_weight"}, LearnedFeatureNoise: {"x"}}
    for key, value in tensors(data).items():
        if key not in changed.get(type(recipe), {"x", "edge_weight"}):
            assert torch.equal(out[key], value), key
    for key in changed.get(type(recipe), {"x", "edge_weight"}):
        moved = data.num_edges if key == "edge_weight" else data.num_nodes
        old = data.get(key)
        assert moved == 0 or old is None or not torch.equal(out[key], old)


@every_recipe
def test_the_generator_is_the_source_of_randomness(recipe):
    view, data = built(recipe), graph()
    views = [view(data, generator(seed)) for seed in range(6)]
    assert not all(same(views[0], other) for other in views[1:])
    torch.manual_seed(11)
    first = view(data)
    torch.manual_seed(11)
    assert same(first, view(data))


@every_recipe
def test_a_view_remembers_no_other_graph(recipe):
    one, other = graph(0), graph(0)
    other.edge_index = other.num_nodes - 1 - other.edge_index
    other.x = other.x.flip(0) * 2
    view = built(recipe)
    view(one, generator(3))
    assert same(view(other, generator(3)), copy.deepcopy(view)(other, generator(3)))
    fresh = built(recipe)
    assert same(view(other, generator(3)), fresh(other, generator(3)))
    # edges that change in place are other edges
    other.edge_index[:, 5] = 1
    assert same(view(other, generator(3)), built(recipe)(other.clone(), generator(3)))


@every_recipe
@pytest.mark.parametrize("key", ["batch", "weighted batch"])
def test_a_batch_can_be_taken_apart_again(recipe, key):
    view, batch = built(recipe), GRAPHS[key]
    for seed in range(4):
        out = view(batch, generator(seed))
        parts = out.to_data_list()
        assert len(parts) == batch.num_graphs
        for number, part in enumerate(parts):
            whole = batch.get_example(number)
            assert part.x.shape == whole.x.shape
            assert int(part.edge_index.max()) < part.num_nodes if part.num_edges else True
            if out.get("edge_weight") is not None:
                assert part.edge_weight.shape == (part.num_edges,)
        if out.get("edge_weight") is not None:
            assert torch.equal(torch.cat([part.edge_weight for part in parts]), out.edge_weight)
        assert set(batch._slice_dict) == set(GRAPHS[key]._slice_dict)


@pytest.mark.parametrize("recipe", EDGES, ids=name)
def test_the_graphs_of_a_batch_do_not_mix(recipe):
    # scores depend on the graph alone: those of a batch are those of its members
    view = built(recipe).eval()
    members = [graph(1), bare(2), graph(2, nodes=9)]
    out = view(Batch.from_data_list(members))
    alone = torch.cat([view(member).edge_weight for member in members if member.num_edges])
    assert torch.allclose(out.edge_weight, alone, atol=1e-6)


@pytest.mark.parametrize("recipe", [*EDGES, CHAIN], ids=name)
@pytest.mark.parametrize("key", ["undirected", "weighted", "batch", "weighted batch"])
@pytest.mark.parametrize("training", [True, False])
def test_an_undirected_graph_stays_undirected_bit_for_bit(recipe, key, training):
    data = GRAPHS[key]
    out = built(recipe).train(training)(data, generator(3))
    weight = {}
    for pair, value in zip(data.edge_index.T.tolist(), out.edge_weight.tolist(), strict=True):
        assert weight.setdefault(frozenset(pair), value) == value
    assert len(set(weight.values())) > len(weight) / 2


@pytest.mark.parametrize("recipe", EDGES, ids=name)
def test_weights_are_shares_of_those_there_were(recipe):
    data = graph(weighted=True)
    plain = graph()
    view = built(LearnedEdgeNoise()) if isinstance(recipe, LearnedEdgeNoise) else None
    if view is None:  # the encoder of the dropper reads the weights, so the scores differ: only the bounds are known
        share = built(recipe)(data, generator(1)).edge_weight / data.edge_weight
        assert bool(((share > 0) & (share < 1)).all())
        return
    share = view(plain, generator(1)).edge_weight
    assert bool(((share > 0) & (share < 1)).all())
    assert torch.equal(view(data, generator(1)).edge_weight, share * data.edge_weight)


@pytest.mark.parametrize("recipe", EDGES, ids=name)
@pytest.mark.parametrize("key", ["undirected", "weighted", "directed"])
def test_renumbering_the_nodes_renumbers_the_scores(recipe, key):
    data = GRAPHS[key]
    order = torch.randperm(data.num_nodes, generator=generator(8))
    place = torch.empty_like(order)
    place[order] = torch.arange(data.num_nodes)
    moved = data.clone()
    moved.x, moved.edge_index = data.x[order], place[data.edge_index]
    view = built(recipe).eval()
    assert torch.allclose(view(moved).edge_weight, view(data).edge_weight, atol=1e-5)


@pytest.mark.parametrize("recipe", EDGES, ids=name)
def test_sparse_features_give_the_view_of_the_dense_ones(recipe):
    data, sparse = graph(), graph()
    data.x = data.x.relu()
    sparse.x = data.x.to_sparse_csr()
    view = built(recipe)
    assert torch.allclose(view(sparse, generator()).edge_weight, view(data, generator()).edge_weight, atol=1e-6)
    assert view.takes_sparse_features


@pytest.mark.parametrize("recipe", [*EDGES, LearnedFeatureNoise(), CHAIN], ids=name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_view_has_the_type_of_the_features(recipe, dtype):
    data = graph(weighted=True)
    data.x = data.x.to(dtype)
    out = built(recipe)(data, generator())
    assert out.x.dtype == dtype
    if not isinstance(recipe, LearnedFeatureNoise):
        assert out.edge_weight.dtype == dtype


@pytest.mark.parametrize("recipe", [LearnedEdgeDropout(), LearnedEdgeNoise(), LearnedFeatureNoise()], ids=name)
def test_evaluation_draws_nothing(recipe):
    view = built(recipe).eval()
    source = generator()
    state = source.get_state()
    assert same(view(graph(), source), view(graph()))
    assert torch.equal(state, source.get_state())


@every_recipe
def test_views_survive_copies_pickles_and_checkpoints(recipe):
    view, data = built(recipe), graph()
    if isinstance(recipe, AugmentationPolicy):
        view.update(torch.tensor([0.1, 0.3, 0.2, 0.1]))
    other = built(recipe, seed=2)
    other.load_state_dict(view.state_dict())
    for again in (copy.deepcopy(view), pickle.loads(pickle.dumps(view)), other):
        for seed in range(5):
            assert same(again(data, generator(seed)), view(data, generator(seed)))
        assert again.recipe == recipe
        state = again.state_dict()
        assert all(torch.equal(state[key], value) for key, value in view.state_dict().items())
        assert bool(state)
    parameters = dict(copy.deepcopy(view).named_parameters())
    assert all(parameters[key] is not value for key, value in view.named_parameters())


@every_recipe
def test_a_build_is_a_function_of_its_generator(recipe):
    state = torch.get_rng_state()
    one, same_seed, other = built(recipe, 1), built(recipe, 1), built(recipe, 2)
    assert torch.equal(state, torch.get_rng_state())
    pairs = list(zip(one.parameters(), same_seed.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    if pairs:
        assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one.training
    assert repr(recipe) in repr(one)


@every_recipe
def test_recipes_are_configs(recipe):
    cls = type(recipe)
    assert cls() == cls()
    assert hash(recipe) == hash(copy.copy(recipe))
    assert recipe.replace(direction="oppose").direction == "oppose"
    with pytest.raises(RequestError, match=f"{cls.__name__}.direction = 'sideways'"):
        recipe.replace(direction="sideways")
    if not isinstance(recipe, (AugmentationPolicy, LearnedChain)):
        assert decode(cls, encode(recipe)) == recipe
    traits = [trait for trait in vars(LearnedAugmenter) if trait in vars(Augmenter) and not trait.startswith("_")]
    assert {"needs", "keeps_symmetry", "keeps_nodes", "takes_hetero", "differentiable"} <= set(traits)
    for flag in traits:
        assert getattr(built(recipe), flag) == getattr(recipe, flag)


def test_the_papers_directions_are_the_defaults():
    assert LearnedEdgeDropout().direction == AugmentationPolicy().direction == "oppose"
    assert LearnedEdgeNoise().direction == LearnedFeatureNoise().direction == "cooperate"


# --- faults ------------------------------------------------------------------------------------------------------------


def spoilt(**changes):
    data = graph()
    for key, value in changes.items():
        data[key] = value
    return data


@pytest.mark.parametrize("recipe", [LearnedEdgeDropout(), LearnedEdgeNoise(), LearnedFeatureNoise()], ids=name)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HeteroData(), "takes one kind of nodes and edges"),
        (spoilt(x=None), "data.x is missing"),
        (spoilt(x=torch.ones(20)), r"data.x is \[20\]"),
        (spoilt(x=torch.ones(20, FEATURES, dtype=torch.long)), "data.x is torch.int64; make it float"),
        (spoilt(x=torch.ones(20, 4)), "data.x has 4 features, the view was built for 6"),
        ({"x": 1}, "takes a torch_geometric.data.Data, got dict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_graphs_that_nothing_can_be_computed_on_are_refused(recipe, data, message):
    with pytest.raises(DataError, match=f"^{type(recipe).__name__}.*{message}") as caught:
        built(recipe)(data, generator())
    assert "\n" not in str(caught.value)


def test_each_view_names_what_it_cannot_take():
    flat = graph()
    flat.edge_weight = torch.ones(flat.num_edges, 1)
    for recipe in EDGES:
        with pytest.raises(DataError, match=r"edge_weight has shape \[\d+, 1\], expected"):
            built(recipe)(flat)
        with pytest.raises(DataError, match=rf"{type(recipe).__name__}: data.edge_index names node 99"):
            built(recipe)(spoilt(edge_index=torch.tensor([[0], [99]]), edge_attr=None))
    lonely = Data(x=torch.ones(3, FEATURES))
    assert built(LearnedFeatureNoise())(lonely).x.shape == (3, FEATURES)  # needs no edges
    with pytest.raises(DataError, match="data.edge_index is missing"):
        built(LearnedEdgeNoise())(lonely)
    sparse = graph()
    sparse.x = sparse.x.to_sparse_csr()
    with pytest.raises(DataError, match="LearnedFeatureNoise: data.x is sparse"):
        built(LearnedFeatureNoise())(sparse)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LearnedEdgeDropout(temperature=0.0),
        lambda: LearnedEdgeDropout(penalty=-1.0),
        lambda: LearnedEdgeDropout(layers=0),
        lambda: LearnedEdgeNoise(prior_rate=0.0),
        lambda: LearnedEdgeNoise(prior_rate=1.0),
        lambda: LearnedFeatureNoise(prior_std=0.0),
        lambda: AugmentationPolicy(()),
        lambda: AugmentationPolicy(("edge-dropout",)),
        lambda: AugmentationPolicy((LearnedEdgeNoise(),)),
        lambda: AugmentationPolicy(lr=0.0),
        lambda: LearnedChain(("edge-dropout",)),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(RequestError) as caught:
        make()
    assert "\n" not in str(caught.value)


# --- gradients ---------------------------------------------------------------------------------------------------------


def frozen_encoder(seed=5):
    torch.manual_seed(seed)
    return GCN(FEATURES, [16, 8])


def contrast(encoder, clean, view):
    h = encoder(clean.x, clean.edge_index, clean.get("edge_weight"))
    return info_nce(h, encoder(view.x, view.edge_index, view.get("edge_weight")), 0.5)


def gradients(recipe, data, *, loss=1.0, price=1.0):
    """Of the augmenter and of the encoder, each by its names."""
    view, encoder = built(recipe), frozen_encoder()
    out, charged = view.penalised(data, generator(6))
    (loss * contrast(encoder, data, out) + price * charged).backward()
    return (
        {key: value.grad for key, value in view.named_parameters() if value.grad is not None},
        {key: value.grad for key, value in encoder.named_parameters()},
    )


def cooperating(recipe):
    return recipe.replace(direction="cooperate"), recipe.replace(direction="oppose")


@learning
@pytest.mark.parametrize("key", ["undirected", "weighted", "directed", "batch"])
def test_opposing_turns_the_gradient_of_the_augmenter_and_of_nothing_else(recipe, key):
    with_it, against = cooperating(recipe)
    (one, encoder), (other, same_encoder) = (gradients(r, GRAPHS[key], price=0.0) for r in (with_it, against))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], -other[key]) for key in one)
    assert all(torch.equal(encoder[key], same_encoder[key]) for key in encoder)
    # every parameter is reached, but for the bias before a normaliser, of which there is none here
    names = {key for key, _ in built(recipe).named_parameters()}
    assert {key for key in one if bool((one[key] != 0).any())} == names


@learning
def test_the_price_is_never_turned(recipe):
    with_it, against = cooperating(recipe)
    (one, _), (other, _) = (gradients(r, graph(), loss=0.0) for r in (with_it, against))
    assert all(torch.equal(one[key], other[key]) for key in one)
    if recipe is not CHAIN:  # whose steps charge nothing
        assert any(bool((value != 0).any()) for value in one.values())


@learning
@pytest.mark.parametrize("direction", ["cooperate", "oppose"])
def test_what_made_the_graph_gets_the_gradient_of_the_view(recipe, direction):
    # an embedding that the features come from belongs to the encoder: its gradient has one sign, and does not go
    # through the networks of the augmenter
    recipe = recipe.replace(direction=direction)
    data = graph(weighted=True)
    view, encoder = built(recipe), frozen_encoder()
    out = view(data, generator(6))
    noise = (out.x - data.x).detach()
    share = (out.edge_weight / data.edge_weight).detach()
    if isinstance(recipe, LearnedChain):
        noise = None  # its mask is no sum; edges alone are compared

    x, weight = (data[key].clone().requires_grad_() for key in ("x", "edge_weight"))
    expected_view = Data(x=x if noise is None else x + noise, edge_index=data.edge_index, edge_weight=weight * share)
    given = data.clone()
    given.x, given.edge_weight = x, weight
    if noise is None:
        expected_view.x = view(given, generator(6)).x.detach()
        plain = torch.autograd.grad(contrast(encoder, given, expected_view), weight)
        found = torch.autograd.grad(contrast(encoder, given, view(given, generator(6))), weight)
    else:
        plain = torch.autograd.grad(contrast(encoder, given, expected_view), (x, weight))
        found = torch.autograd.grad(contrast(encoder, given, view(given, generator(6))), (x, weight))
    for a, b in zip(plain, found, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
        assert bool((a != 0).any())


def test_views_of_views_keep_the_direction_of_each():
    # two opposing augmenters in a row: a sign turned twice would cooperate
    data, encoder = graph(), frozen_encoder()
    first, second = LearnedFeatureNoise(hidden=8), LearnedEdgeDropout(dim=8, hidden=8)
    found = {}
    for direction in ("cooperate", "oppose"):
        chain = built(LearnedChain((first, second), direction=direction))
        contrast(encoder, data, chain(data, generator(1))).backward()
        found[direction] = [parameter.grad for parameter in chain.parameters()]
    assert all(torch.equal(a, -b) for a, b in zip(found["cooperate"], found["oppose"], strict=True))


def test_reversal_is_linear_and_can_be_differentiated_twice():
    x = torch.tensor([0.3, -2.0], dtype=torch.double, requires_grad=True)
    assert torch.equal(reverse_gradient(x), x)
    (slope,) = torch.autograd.grad((reverse_gradient(x) ** 3).sum(), x, create_graph=True)
    assert torch.equal(slope, -3 * x**2)
    assert torch.autograd.grad(reverse_gradient(reverse_gradient(x)).sum(), x)[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "recipe",
    [
        LearnedEdgeDropout(penalty=0.0),
        LearnedEdgeNoise(),
        LearnedFeatureNoise(hidden=32),
        LearnedChain((LearnedFeatureNoise(hidden=32), LearnedEdgeNoise())),
    ],
    ids=name,
)
def test_against_a_frozen_encoder_opposing_raises_the_loss_and_cooperating_lowers_it(recipe):
    data = graph(3, nodes=40)
    encoder = frozen_encoder().requires_grad_(False)
    reached = {}
    for direction in ("cooperate", "oppose"):
        view = built(recipe.replace(direction=direction))
        optimiser = torch.optim.Adam(view.parameters(), lr=0.01)

        def mean_loss(view=view):
            with torch.no_grad():
                return sum(float(contrast(encoder, data, view(data, generator(seed)))) for seed in range(20)) / 20

        before, source = mean_loss(), generator(9)
        for _ in range(30):
            optimiser.zero_grad()
            contrast(encoder, data, view(data, source)).backward()
            optimiser.step()
        reached[direction] = mean_loss() - before
    assert reached["cooperate"] < -0.01
    assert reached["oppose"] > 0.01


def test_the_price_keeps_an_adversary_from_dropping_everything():
    data, encoder = graph(3, nodes=40), frozen_encoder().requires_grad_(False)
    kept = []
    for penalty in (0.0, 5.0):
        view = built(LearnedEdgeDropout(penalty=penalty))
        optimiser = torch.optim.Adam(view.parameters(), lr=0.01)
        source = generator(9)
        for _ in range(40):
            optimiser.zero_grad()
            out, price = view.penalised(data, source)
            (contrast(encoder, data, out) + price).backward()
            optimiser.step()
        kept.append(float(view.eval()(data).edge_weight.detach().mean()))
    assert kept[0] < 0.45
    assert kept[1] > 0.7


def test_an_adversary_without_a_price_meets_no_overflow():
    # around a node with a loop all weights fall towards 0, and the encoder divides by their sum
    data = Data(x=torch.randn(3, FEATURES, generator=generator()), edge_index=torch.tensor([[0, 1, 0], [1, 0, 0]]))
    for training in (True, False):
        view = built(LearnedEdgeDropout()).train(training)
        torch.nn.init.constant_(view.score.second.bias, -200.0)
        out = view(data, generator())
        out.edge_weight.retain_grad()
        contrast(frozen_encoder(), data, out).backward()
        assert float(out.edge_weight.detach().min()) > 0
        assert bool(out.edge_weight.grad.isfinite().all())
        assert all(bool(parameter.grad.isfinite().all()) for parameter in view.parameters())


def test_one_optimiser_plays_both_sides():
    # min over the encoder, max over the augmenter, in one step: each side alone does what the joint step does
    data = graph()

    def after(train_view, train_encoder):
        view, encoder = built(LearnedEdgeDropout()), frozen_encoder()
        chosen = [*(view.parameters() if train_view else ()), *(encoder.parameters() if train_encoder else ())]
        optimiser = torch.optim.SGD(chosen, lr=0.1)
        out, price = view.penalised(data, generator(1))
        (contrast(encoder, data, out) + price).backward()
        optimiser.step()
        return view.state_dict(), encoder.state_dict()

    joint, views, encoders = after(True, True), after(True, False), after(False, True)
    assert all(torch.equal(joint[0][key], views[0][key]) for key in joint[0])
    assert all(torch.equal(joint[1][key], encoders[1][key]) for key in joint[1])


def test_graphs_without_edges_can_be_trained_on():
    for recipe in (LearnedEdgeDropout(), LearnedEdgeNoise(penalty=1.0)):
        out, price = built(recipe).penalised(bare(), generator())
        assert float(price) == 0.0
        assert out.edge_weight.shape == (0,)  # of the form of other views
        (contrast(frozen_encoder(), bare(), out) + price).backward()


def test_price_of_noise_without_any_scale_is_a_number():
    view = built(LearnedFeatureNoise(penalty=1.0))
    for parameter in view.scale.second.parameters():
        torch.nn.init.zeros_(parameter)
    _, price = view.penalised(graph())
    price.backward()
    assert bool(price.isfinite())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in view.parameters())


def test_a_view_in_inference_mode_does_not_spoil_training():
    data, view = graph(77), built(LearnedEdgeDropout())  # a graph that no other test has left in a memory
    with torch.inference_mode():
        view(data, generator())
    view(data, generator()).edge_weight.sum().backward()


# --- chains ------------------------------------------------------------------------------------------------------------


def test_a_chain_is_its_steps_in_a_row():
    data = graph()
    chain = built(CHAIN)
    features, edges = chain.views
    source = generator(2)
    expected = edges(FeatureMask(0.3)(features(data, source), source), source)
    assert same(expected, chain(data, generator(2)))
    assert same(built(LearnedChain())(data), data)


def test_a_chain_charges_the_sum():
    data = graph()
    chain = built(LearnedChain((LearnedEdgeDropout(penalty=2.0), LearnedEdgeNoise(penalty=1.0))))
    first, second = chain.views
    source = generator(2)
    out, one = first.penalised(data, source)
    _, two = second.penalised(out, source)
    assert torch.equal(chain.penalised(data, generator(2))[1], one + two)


def test_a_chain_hands_its_direction_down():
    steps = (LearnedEdgeNoise(), LearnedChain((LearnedFeatureNoise(),)), EdgeDropout())
    chain = built(LearnedChain(steps, direction="oppose"))
    assert chain.views[0].recipe.direction == "oppose"
    assert chain.views[1].views[0].recipe.direction == "oppose"
    assert built(LearnedChain(steps)).views[1].views[0].recipe.direction == "cooperate"


def test_a_chain_promises_what_all_steps_do():
    assert not LearnedChain((LearnedEdgeNoise(), MessageDropout())).keeps_symmetry
    assert LearnedChain((LearnedEdgeNoise(), EdgeDropout())).keeps_symmetry
    assert not CHAIN.takes_sparse_features
    assert LearnedChain((LearnedEdgeNoise(),)).takes_sparse_features
    assert LearnedChain([EdgeDropout()]).steps == (EdgeDropout(),)


def test_schedules_in_a_chain_and_a_policy_move():
    moving = Scheduled(EdgeDropout(), {"rate": Ramp(0.0, 1.0)})
    data = graph()
    chain = built(LearnedChain((moving, LearnedEdgeNoise(), AugmentationPolicy((moving,)))))
    assert chain(data, generator()).num_edges == data.num_edges
    late = chain.at(1.0)
    assert late(data, generator()).num_edges == 0
    assert chain(data, generator()).num_edges == data.num_edges
    # what has been learnt is shared, not copied
    assert [id(p) for p in late.parameters()] == [id(p) for p in chain.parameters()]
    assert list(late.state_dict()) == list(chain.state_dict())
    half = chain.at(0.5)(data, generator())
    assert 0 < half.num_edges < data.num_edges
    within = built(LearnedChain((AugmentationPolicy((moving,)),)))
    assert within(data, generator()).num_edges == data.num_edges
    assert within.at(1.0)(data, generator()).num_edges == 0
    within.at(0.5).views[0].probabilities.zero_()
    assert float(within.views[0].probabilities) == 0.0
    assert isinstance(late.views[0], EdgeView)


# --- the policy --------------------------------------------------------------------------------------------------------


MARKED = (Chain(), EdgeDropout(1.0), FeatureMask(1.0))
"""Choices that can be told apart, by `which`."""


def which(out):
    if out.num_edges == 0:
        return 1
    return 2 if bool((out.x == 0).all()) else 0


def test_choices_are_drawn_with_their_probabilities():
    view, data, source = built(AugmentationPolicy(MARKED)), graph(), generator(1)
    view.probabilities.copy_(torch.tensor([0.2, 0.5, 0.3]))
    counts = torch.bincount(torch.tensor([which(view(data, source)) for _ in range(2000)]), minlength=3)
    assert stats.chisquare(counts.numpy(), [400, 1000, 600]).pvalue > 1e-4


def test_a_choice_without_probability_is_never_drawn():
    view, data, source = built(AugmentationPolicy(MARKED)), graph(), generator(1)
    view.probabilities.copy_(torch.tensor([0.0, 1.0, 0.0]))
    assert {which(view(data, source)) for _ in range(200)} == {1}


def test_a_policy_starts_even_and_learns_what_is_hard():
    choices = (Chain(), EdgeDropout(1.0), FeatureMask(0.3))
    view, data, encoder = built(AugmentationPolicy(choices)), graph(), frozen_encoder()
    assert torch.allclose(view.probabilities, torch.full((3,), 1 / 3))
    assert not list(view.parameters())
    encoder.eval()
    losses = view.measure(lambda out: contrast(encoder, data, out), data, generator())
    assert losses.shape == (3,)
    assert not losses.requires_grad
    assert losses[0] == losses.min()  # the clean graph is the easiest
    after = view.update(losses)
    assert after.argmax() == losses.argmax()
    assert float(after.sum()) == pytest.approx(1.0)
    friend = built(AugmentationPolicy(choices, direction="cooperate"))
    assert friend.update(losses).argmax() == 0
    assert not encoder.training


def test_measuring_calls_each_choice_once():
    view, data, seen = built(AugmentationPolicy(MARKED)), graph(), []

    def loss(out):
        assert not torch.is_grad_enabled()
        seen.append(which(out))
        return torch.tensor(float(len(seen)))

    assert view.measure(loss, data, generator()).tolist() == [1.0, 2.0, 3.0]
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("losses", [torch.ones(2), torch.tensor([1.0, float("nan"), 0.0]), torch.tensor(1.0)])
def test_losses_that_fit_no_choice_are_refused(losses):
    view = built(AugmentationPolicy(MARKED))
    with pytest.raises(RequestError, match="give a finite number to each of 3 choices"):
        view.update(losses)
    assert torch.allclose(view.probabilities, torch.full((3,), 1 / 3))


def test_a_policy_promises_what_all_choices_do():
    assert not AugmentationPolicy((EdgeDropout(), MessageDropout())).keeps_symmetry
    assert AugmentationPolicy().keeps_symmetry
    assert AugmentationPolicy().keeps_nodes
    assert AugmentationPolicy((EdgeDropout(),)).takes_sparse_features
    hetero = HeteroData()
    hetero["a"].x, hetero["a", "to", "a"].edge_index = torch.ones(3, 2), torch.tensor([[0, 1], [1, 2]])
    assert AugmentationPolicy((EdgeDropout(1.0),)).takes_hetero
    out = AugmentationPolicy((EdgeDropout(1.0),)).build(GraphShape(2))(hetero, generator())
    assert out["a", "to", "a"].edge_index.size(1) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_recipe
def test_on_a_gpu(recipe):
    view = built(recipe)
    data = graph(weighted=True)
    cpu = view(data, generator(1))
    view = view.cuda()
    out, price = view.penalised(data.to("cuda"), generator(1))
    assert price.device.type == "cuda"
    for key, value in tensors(cpu).items():
        assert out[key].device.type == "cuda"
        assert torch.allclose(value, out[key].cpu(), atol=1e-4)
    if list(view.parameters()):
        (out.x.sum() + out.edge_weight.sum() + price).backward()


def test_schedules_inside_of_learned_views_move_with_the_training():
    data = graph()
    recipe = LearnedChain((Scheduled(EdgeDropout(), {"rate": Ramp(0.0, 1.0)}), LearnedEdgeNoise()))
    view = recipe.build(GraphShape.of(data), generator())
    method = TwoView(GCN(data.num_features, [8]), MLP(8, 8, 8), (EdgeDropout(0.2), view), InfoNCE(0.5))
    assert method.now[1](data, generator()).num_edges == data.num_edges
    method.after_step(1.0)
    assert method.now[1](data, generator()).num_edges == 0


def test_a_recipe_that_is_called_says_that_it_is_built_first():
    with pytest.raises(RequestError, match=r"LearnedEdgeDropout has weights, which are built first: view = Learned"):
        LearnedEdgeDropout()(graph())


@pytest.mark.parametrize("direction", ["cooperate", "oppose"])
def test_a_method_of_two_views_trains_its_learned_one(direction):
    # one optimiser descends for both; the view moves with the loss or against it, and pays its price
    data = graph()
    shape = GraphShape.of(data)
    learned = LearnedEdgeDropout(direction=direction, penalty=0.5).build(shape, generator())
    method = TwoView(GCN(shape.num_features, [8]), MLP(8, 8, 8), (EdgeDropout(0.2), learned), InfoNCE(0.5))
    assert {id(p) for p in learned.parameters()} <= {id(p) for p in method.parameters()}
    before = {key: value.clone() for key, value in method.state_dict().items()}
    terms = method.loss(data, generator())
    assert set(terms) == {"contrast", "price"}
    steps = fit(method, FullGraph(data), Plan(epochs=3, lr=0.05, device="cpu"), generator())
    assert all(math.isfinite(step.loss) for step in steps)
    moved = {key for key, value in method.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("learned.") for key in moved)
    assert any(key.startswith("encoder.") for key in moved)
    assert method.embed(data).shape == (data.num_nodes, 8)
