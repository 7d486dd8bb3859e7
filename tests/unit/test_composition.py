"""Augmenters made of augmenters, in training, in loaders and between PyG's transforms."""

import copy
import itertools
import json
import math
import pickle
from collections import Counter

import pytest
import torch
import torch_geometric.transforms as T
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader

from graphcl.augment import (
    AdaptiveEdgeDropout,
    AdaptiveFeatureMask,
    AtomMask,
    Augmenter,
    Chain,
    EdgeAddition,
    EdgeDropout,
    EdgeRewiring,
    EgoNet,
    ErrorPassingEdgeAddition,
    ErrorPassingEdgeDropout,
    FeatureDropout,
    FeatureMask,
    FeatureMixup,
    FeatureShuffle,
    FeatureSmoothing,
    GaussianNoise,
    HalfHop,
    KNNGraph,
    MessageDropout,
    NodeDropout,
    NodeFeatureMask,
    OneOf,
    Ramp,
    RandomWalkSubgraph,
    Scheduled,
    SignAlignedNoise,
    Sometimes,
)
from graphcl.config import encode
from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.methods.two_view import TwoView
from graphcl.testing.promises import same_graph, sample_graph


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bare(n=3):
    return Data(x=torch.ones(n, 4), edge_index=torch.empty(2, 0, dtype=torch.long))


class Mark(Augmenter):
    """Leaves a trace, draws nothing."""

    needs = ()

    def __init__(self, name):
        object.__setattr__(self, "name", name)

    def forward(self, data, generator=None):
        data.trace = data.trace + self.name if "trace" in data else self.name
        return data


Mark.__dataclass_fields__ = {}  # no parameters
A, B, C = Mark("a"), Mark("b"), Mark("c")


def trace(view, source):
    return view(bare(), source).to_dict().get("trace", "")


# --- OneOf -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weights",
    [
        None,
        (1.0, 1.0, 1.0),
        (1.0, 2.0, 5.0),
        (0.0, 3.0, 1.0),
        (1.0, 0.0, 1.0),
        (2.0, 1.0, 0.0),
        (0.001, 1000.0, 2000.0),
    ],
)
def test_choices_are_drawn_as_often_as_their_weights_say(weights):
    source, repeats = generator(1), 3000
    counts = Counter(trace(OneOf((A, B, C), weights), source) for _ in range(repeats))
    shares = [w / sum(weights or (1, 1, 1)) for w in weights or (1, 1, 1)]
    for name, share in zip("abc", shares, strict=True):
        if share == 0:
            assert counts[name] == 0
        assert abs(counts[name] - repeats * share) <= 4 * (repeats * share * (1 - share)) ** 0.5 + (
            1 if 0 < share < 1e-5 else 0
        )
    assert sum(counts.values()) == repeats


@pytest.mark.parametrize("drawn", [0.0, 2.0**-53, 0.5 - 2.0**-53, 0.5, 1 - 2.0**-53])
def test_the_ends_of_the_draw_fall_on_no_choice_of_weight_zero(drawn, monkeypatch):
    def fixed(*shape, generator, device, dtype):
        return torch.full(shape, drawn, dtype=dtype, device=device)

    monkeypatch.setattr("graphcl.augment.composition.draw_uniform", fixed)
    for weights in ((0.0, 1.0, 1.0, 0.0), (0.0, 0.1, 0.1, 0.0), (0.0, 1e-300, 1e-300, 0.0), (0.0, 3.3, 3.3, 0.0)):
        assert trace(OneOf((A, B, C, A), weights), None) == ("b" if drawn < 0.5 else "c")


def test_choices_nest():
    view = OneOf((OneOf((A, B), (1, 3)), Chain((C, OneOf((A, B)))), Sometimes(C, 0.5)), (2, 1, 1))
    source, repeats = generator(2), 2400
    counts = Counter(trace(view, source) for _ in range(repeats))
    expected = {"a": 1 / 8, "b": 3 / 8, "ca": 1 / 8, "cb": 1 / 8, "c": 1 / 8, "": 1 / 8}
    assert set(counts) == set(expected)
    assert (
        stats.chisquare([counts[name] for name in expected], [repeats * share for share in expected.values()]).pvalue
        > 1e-3
    )


def test_drawing_a_choice_takes_one_number_whatever_was_chosen():
    for seed in range(6):
        source, twin = generator(seed), generator(seed)
        OneOf((A, B, C), (1, 0, 4))(bare(), source)
        torch.rand(1, generator=twin, dtype=torch.float64)
        assert torch.equal(source.get_state(), twin.get_state())


@pytest.mark.parametrize(
    ("choices", "weights"),
    [
        ((A, B), (1.0,)), ((A,), (1.0, 2.0)), ((A, B), (0.0, 0.0)), ((A, B), (1.0, -0.5)), ((A, B), (1.0, float("nan"))),
        ((A, B), (1.0, float("inf"))), ((A, B), "ab"), ((A, B), ("1", "2")), ((A, B), 1.0), ((A, B), ()),
    ],
)  # fmt: skip
def test_impossible_weights_are_refused(choices, weights):
    with pytest.raises(RequestError, match=r"^OneOf\.weights"):
        OneOf(choices, weights)


def test_whole_weights_are_numbers_and_equal_choices_are_equal():
    one, two = OneOf([EdgeDropout(0.1), FeatureMask()], [1, 3]), OneOf((EdgeDropout(0.1), FeatureMask()), (1.0, 3.0))
    assert one == two
    assert hash(one) == hash(two)
    assert one != OneOf((EdgeDropout(0.1), FeatureMask()))
    assert one.replace(weights=None) == OneOf((EdgeDropout(0.1), FeatureMask()))
    assert same_graph(OneOf()(bare()), bare())


# --- Sometimes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.7, 1.0])
def test_it_is_applied_at_its_rate(rate):
    source, repeats = generator(4), 2000
    applied = sum(trace(Sometimes(A, rate), source) == "a" for _ in range(repeats))
    assert abs(applied - rate * repeats) <= 4 * (repeats * rate * (1 - rate)) ** 0.5


def test_never_draws_nothing_and_always_is_the_augmenter_itself():
    source = generator(3)
    Sometimes(EdgeDropout(), 0.0)(bare(), source)
    Sometimes()(bare(), source)
    assert torch.equal(source.get_state(), generator(3).get_state())
    data = sample_graph(0)
    always = Sometimes(FeatureShuffle(), 1.0)(data, generator(5))
    source = generator(5)
    torch.rand(1, generator=source)
    assert same_graph(always, FeatureShuffle()(data, source))


# --- Ramp, Scheduled ---------------------------------------------------------------------------------------------------

NUMBERS = st.floats(-1e6, 1e6)
SHARES = st.floats(0.0, 1.0)


@given(NUMBERS, NUMBERS, st.sampled_from(["linear", "cosine"]), SHARES, SHARES, SHARES)
@settings(max_examples=300)
def test_a_ramp_starts_and_ends_at_its_values_and_stays_between(start, end, shape, one, two, progress):
    begin, until = sorted((one, two))
    if begin == until or begin >= 1:
        return
    ramp = Ramp(start, end, shape, begin, until)
    slack = 1e-12 * max(abs(start), abs(end))
    assert ramp(0.0) == ramp(begin) == start
    assert ramp(1.0) == pytest.approx(end, rel=1e-12, abs=1e-9)
    assert min(start, end) - slack <= ramp(progress) <= max(start, end) + slack


@given(st.integers(0, 100), st.integers(0, 100), st.sampled_from(["linear", "cosine"]))
@settings(max_examples=300)
def test_a_ramp_arrives_at_its_end_exactly(percent, other, shape):
    start, end = percent / 100, other / 100
    # 0.3 stays the 0.3 that a configuration says, and 0 the 0 that switches something off
    assert Ramp(start, end, shape, 0.0, 0.5)(0.5) == end
    assert Ramp(start, end, shape)(1.0) == end


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_a_ramp_between_its_ends(shape):
    ramp, steps = Ramp(0.2, 0.6, shape, begin=0.25, until=0.75), [number / 100 for number in range(101)]
    values = [ramp(step) for step in steps]
    assert all(value == 0.2 for value in values[:26])
    assert all(abs(value - 0.6) < 1e-12 for value in values[75:])
    assert all(a < b for a, b in itertools.pairwise(values[25:76]))
    for step, value in zip(steps[25:76], values[25:76], strict=True):
        s = (step - 0.25) / 0.5
        expected = 0.2 + 0.4 * (s if shape == "linear" else 0.5 * (1 - math.cos(math.pi * s)))
        assert abs(value - expected) < 1e-12


@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan"), 2])
def test_progress_outside_of_the_training_is_refused(progress):
    with pytest.raises(RequestError, match=r"^progress = "):
        Ramp(0.0, 1.0)(progress)
    with pytest.raises(RequestError, match=r"^progress = "):
        Scheduled(EdgeDropout(), {"rate": Ramp(0.0, 1.0)}).at(progress)


@pytest.mark.parametrize(
    "values",
    [{"begin": 0.5, "until": 0.5}, {"begin": 0.6, "until": 0.5}, {"begin": 1.0}, {"until": 0.0}, {"shape": "cubic"}, {"start": float("nan")}, {"end": "1"}],
)  # fmt: skip
def test_impossible_ramps_are_refused(values):
    with pytest.raises(RequestError, match=r"^Ramp\.(begin|until|shape|start|end)"):
        Ramp(**values)


def test_what_is_scheduled_moves_and_nothing_else():
    view = Scheduled(
        AdaptiveEdgeDropout(0.9, "pagerank", 0.8), {"rate": Ramp(0.0, 0.5), "cutoff": Ramp(1.0, 0.5, "cosine")}
    )
    assert view.at(0.0) == AdaptiveEdgeDropout(0.0, "pagerank", 1.0)
    assert view.at(0.5) == AdaptiveEdgeDropout(0.25, "pagerank", 0.75)
    assert view.at(1.0) == AdaptiveEdgeDropout(0.5, "pagerank", 0.5)
    assert Scheduled(EgoNet(), {"hops": Ramp(1, 4)}).at(0.5) == EgoNet(hops=2)  # 2.5 is rounded to the even one
    assert Scheduled(EgoNet(), {"hops": Ramp(1, 4)}).at(1.0) == EgoNet(hops=4)


def test_schedules_reach_through_all_compositions():
    moving = Scheduled(EdgeDropout(), {"rate": Ramp(0.0, 0.4)})
    view = Chain((OneOf((moving, FeatureMask(0.1)), (1, 2)), Sometimes(moving, 0.3), Scheduled(moving)))
    fixed = EdgeDropout(0.2)
    assert view.at(0.5) == Chain((OneOf((fixed, FeatureMask(0.1)), (1, 2)), Sometimes(fixed, 0.3), fixed))
    assert view.at(0.5).at(0.9) == view.at(0.5)
    # the rate of a composition is a parameter too
    assert Scheduled(Sometimes(moving), {"rate": Ramp(0.2, 1.0)}).at(1.0) == Sometimes(EdgeDropout(0.4), 1.0)
    assert view.at(0.0) != view.at(1.0)


def test_calling_a_schedule_is_calling_its_beginning():
    data = sample_graph(1)
    view = Scheduled(EdgeDropout(0.9), {"rate": Ramp(0.3, 0.8)})
    assert same_graph(view(data, generator(2)), EdgeDropout(0.3)(data, generator(2)))
    assert same_graph(Scheduled(EdgeDropout(0.9))(data, generator(2)), EdgeDropout(0.9)(data, generator(2)))
    assert same_graph(Scheduled()(data, generator(2)), data)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Scheduled(EdgeDropout(), {"rat": Ramp()}), r"parameter of EdgeDropout.*rat"),
        (lambda: Scheduled(EdgeDropout(), {"rate": Ramp(0.0, 1.2)}), r"EdgeDropout\.rate = 1\.2"),
        (lambda: Scheduled(EdgeDropout(), {"rate": Ramp(-0.1, 0.5)}), r"EdgeDropout\.rate = -0\.1"),
        (lambda: Scheduled(EgoNet(), {"hops": Ramp(0, 3)}), r"EgoNet\.hops = 0"),
        (lambda: Scheduled(AdaptiveEdgeDropout(), {"centrality": Ramp()}), r"AdaptiveEdgeDropout\.centrality"),
        (lambda: Scheduled(None, {"rate": Ramp()}), r"Scheduled\.ramps"),
        (lambda: Scheduled(EdgeDropout(), {"rate": 0.5}), r"Scheduled\.ramps"),
        (lambda: Scheduled(EdgeDropout(), [("rate", Ramp())]), r"Scheduled\.ramps"),
        (lambda: Scheduled("EdgeDropout"), r"Scheduled\.augmenter"),
        (lambda: Sometimes(3), r"Sometimes\.augmenter"),
        (lambda: Sometimes(EdgeDropout(), 1.5), r"Sometimes\.rate = 1\.5"),
        (lambda: OneOf((EdgeDropout, FeatureMask())), r"OneOf\.choices"),
        (lambda: OneOf("ab"), r"OneOf\.choices"),
    ],
)
def test_impossible_compositions_are_refused_at_the_line_that_wrote_them(build, message):
    with pytest.raises((RequestError, UnknownNameError), match=message):
        build()


def test_compositions_are_values():
    def build(rate):
        return Chain(
            (
                Scheduled(EdgeDropout(), {"rate": Ramp(0.0, rate)}),
                OneOf((FeatureMask(rate), Sometimes(GaussianNoise(), rate)), (1, 2)),
            )
        )

    one, two, other = build(0.5), build(0.5), build(0.4)
    assert one == two
    assert hash(one) == hash(two)
    assert one != other
    assert {one: 1}[two] == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    json.dumps(encode(one))
    ramps = {"rate": Ramp(0.0, 0.5)}
    view = Scheduled(EdgeDropout(), ramps)
    ramps["rate"] = Ramp(0.9, 0.9)  # the caller's mapping is the caller's
    assert view.at(0.0) == EdgeDropout(0.0)
    assert hash(Scheduled(HalfHop(), {"rate": Ramp(), "strength": Ramp()})) == hash(
        Scheduled(HalfHop(), {"strength": Ramp(), "rate": Ramp()})
    )


# --- traits ------------------------------------------------------------------------------------------------------------

WRAPPERS = [
    lambda *parts: Chain(parts),
    lambda *parts: OneOf(parts),
    lambda *parts: Sometimes(Chain(parts), 0.5),
    lambda *parts: Scheduled(Chain(parts)),
    lambda *parts: OneOf((Chain((EdgeDropout(),)), Sometimes(Chain(parts)))),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize(
    "trait", ["keeps_symmetry", "keeps_nodes", "takes_sparse_features", "takes_hetero", "takes_directed"]
)
def test_a_composition_holds_what_all_its_parts_hold(wrap, trait):
    class Different(Augmenter):
        def forward(self, data, generator=None):
            return data

    setattr(Different, trait, False)
    Different.__dataclass_fields__ = {}
    assert getattr(wrap(EdgeDropout()), trait) is True
    assert getattr(wrap(EdgeDropout(), Different()), trait) is False
    assert getattr(wrap(Different(), EdgeDropout()), trait) is False


@pytest.mark.parametrize("wrap", WRAPPERS[:4])
def test_a_composition_of_views_of_categories_takes_categories(wrap):
    assert wrap(AtomMask()).takes_categories is True
    assert wrap(EdgeDropout(), AtomMask()).takes_categories is True
    assert wrap(FeatureMask()).takes_categories is False


@pytest.mark.parametrize("wrap", WRAPPERS[:4])
def test_a_composition_is_differentiable_where_all_its_parts_are(wrap):
    assert "edge_weight" in wrap(EdgeDropout()).differentiable
    assert "edge_weight" not in wrap(EdgeDropout(), KNNGraph()).differentiable


def test_empty_compositions_hold_everything():
    for view in (Chain(), OneOf(), Sometimes(), Scheduled()):
        assert view.keeps_symmetry
        assert view.keeps_nodes
        assert view.takes_sparse_features
        assert view.takes_hetero


# --- typed graphs ------------------------------------------------------------------------------------------------------


def typed():
    data = HeteroData()
    data["a"].x, data["b"].x = (
        torch.rand(30, 5, generator=generator()) + 1,
        torch.rand(40, 5, generator=generator(1)) + 1,
    )
    index = torch.randint(30, (2, 200), generator=generator(2))
    data["a", "to", "b"].edge_index, data["b", "rev_to", "a"].edge_index = index, index.flip(0)
    return data


def test_typed_graphs_pass_through_what_takes_them():
    view = Chain(
        (
            NodeDropout(0.3),
            OneOf((EdgeDropout(0.3), MessageDropout(0.3))),
            Sometimes(FeatureMask(0.5), 1.0),
            Scheduled(GaussianNoise(0.1)),
        )
    )
    data = typed()
    out = view(data, generator(1))
    assert out.validate()
    assert out["a"].num_nodes < 30
    assert out["a", "to", "b"].num_edges < 200
    assert torch.equal(data["a"].x, typed()["a"].x)
    twin = view(data, generator(1))
    assert torch.equal(out["b"].x, twin["b"].x)


def test_a_part_that_does_not_take_them_says_so_itself():
    for view in (
        Chain((EdgeDropout(), KNNGraph())),
        OneOf((KNNGraph(),)),
        Sometimes(KNNGraph(), 1.0),
        Scheduled(KNNGraph()),
    ):
        assert not view.takes_hetero
        with pytest.raises(DataError, match=r"^(Chain|OneOf|Sometimes|Scheduled|KNNGraph) takes one kind"):
            view(typed(), generator())


def test_a_composition_leaves_its_input_alone_at_every_step():
    data = sample_graph(3)
    before = copy.deepcopy(data)
    view = Chain((NodeDropout(0.2), EdgeAddition(0.5), HalfHop(0.5), FeatureMask(0.5), EdgeRewiring(0.5)))
    out = view(data, generator())
    assert same_graph(data, before)
    assert out.num_nodes != data.num_nodes


# --- training ----------------------------------------------------------------------------------------------------------


def two_view(first, second):
    encoder = nn.Linear(40, 4)
    encoder.supports_edge_weight = True
    encoder.forward = lambda x, edge_index, edge_weight=None: nn.functional.linear(x, encoder.weight)
    return TwoView(encoder, nn.Identity(), (first, second), lambda a, b: (a - b).pow(2).mean())


def test_views_of_a_method_move_with_the_training():
    method = two_view(
        Scheduled(FeatureMask(), {"rate": Ramp(0.0, 1.0)}), Chain((Scheduled(EdgeDropout(), {"rate": Ramp(0.1, 0.3)}),))
    )
    assert method.now == (FeatureMask(0.0), Chain((EdgeDropout(0.1),)))
    method.after_step(0.5)
    assert method.now == (FeatureMask(0.5), Chain((EdgeDropout(0.2),)))
    method.after_step(1.0)
    assert method.now[0] == FeatureMask(1.0)
    # what was given stays what was given: another training starts at the beginning
    assert method.views[0].at(0.0) == FeatureMask(0.0)
    method.after_step(0.0)
    assert method.now[0] == FeatureMask(0.0)


def test_the_loss_sees_the_view_of_the_moment():
    data = sample_graph(0)
    method = two_view(Scheduled(FeatureMask(), {"rate": Ramp(0.0, 1.0)}), Chain())
    assert float(method.loss(data, generator())["contrast"].detach()) == 0.0
    method.after_step(1.0)
    # one view is all zeros now, the other the graph
    expected = method.embed(data).pow(2).mean()
    assert torch.allclose(method.loss(data, generator())["contrast"], expected)


def test_views_without_schedule_stay_the_very_same():
    views = (EdgeDropout(0.2), Chain((FeatureMask(0.3),)))
    method = two_view(*views)
    method.after_step(0.3)
    assert method.now == views
    assert method.now[0] is views[0]


# --- loaders and transforms --------------------------------------------------------------------------------------------

DOZEN = [
    EdgeDropout(0.4), MessageDropout(0.4), EdgeAddition(0.8), EdgeRewiring(0.9), NodeDropout(0.4), RandomWalkSubgraph(length=6),
    HalfHop(0.5), FeatureMask(0.4), FeatureDropout(0.4), NodeFeatureMask(0.5), GaussianNoise(0.3), SignAlignedNoise(0.3),
    FeatureMixup(0.6), FeatureShuffle(), AdaptiveEdgeDropout(0.5, "eigenvector"), AdaptiveFeatureMask(0.5), ErrorPassingEdgeDropout(0.4),
    ErrorPassingEdgeAddition(0.8), EgoNet(hops=1), Chain((EdgeDropout(0.3), FeatureMask(0.3))),
    OneOf((Chain((FeatureDropout(0.3),)), GaussianNoise(0.2))), T.Compose([T.NormalizeFeatures(), EdgeDropout(0.4), T.AddSelfLoops(), FeatureMask(0.4)]),
]  # fmt: skip


class Transformed(torch.utils.data.Dataset):
    """One graph, three times for each augmenter."""

    def __init__(self):
        self.graph = sample_graph(0)

    def __len__(self):
        return 3 * len(DOZEN)

    def __getitem__(self, number):
        return DOZEN[number // 3](self.graph)


def epoch(seed, workers, batch_size=1):
    torch.manual_seed(7)
    loader = DataLoader(
        Transformed(), batch_size=batch_size, num_workers=workers, generator=None if seed is None else generator(seed)
    )
    return [part for batch in loader for part in batch.to_data_list()]


@pytest.fixture(scope="module")
def first_epoch():
    return epoch(0, workers=2)


def test_a_loader_with_workers_repeats_itself(first_epoch):
    for one, two in zip(first_epoch, epoch(0, workers=2), strict=True):
        assert same_graph(one, two)
    # torch's own seed decides where the loader has no generator
    for one, two in zip(epoch(None, workers=2, batch_size=3), epoch(None, workers=2, batch_size=3), strict=True):
        assert same_graph(one, two)


def test_every_graph_of_a_loader_has_its_own_view(first_epoch):
    for number, view in enumerate(DOZEN):
        for one, two in itertools.combinations(first_epoch[3 * number : 3 * number + 3], 2):
            assert not same_graph(one, two), view


def test_another_seed_of_a_loader_gives_other_views(first_epoch):
    # without workers the global generator is drawn on: here too another run is another epoch
    other = epoch(1, workers=2)
    for number, view in enumerate(DOZEN):
        pairs = zip(first_epoch[3 * number : 3 * number + 3], other[3 * number : 3 * number + 3], strict=True)
        assert not all(same_graph(one, two) for one, two in pairs), view


def test_views_stand_between_pyg_transforms():
    data = sample_graph(0)
    view = T.Compose(
        [
            T.NormalizeFeatures(),
            EdgeAddition(0.3),
            T.ToUndirected(),
            NodeDropout(0.2),
            T.AddSelfLoops(),
            FeatureSmoothing(),
            T.Constant(),
        ]
    )
    torch.manual_seed(1)
    one = view(data)
    torch.manual_seed(1)
    two = view(data)
    assert same_graph(one, two)
    assert one.validate()
    assert one.has_self_loops()
    assert one.num_nodes < data.num_nodes
    assert one.edge_weight.numel() == one.num_edges
    assert "Compose" in repr(view)


@pytest.mark.parametrize(
    "transform",
    [
        T.AddSelfLoops(),
        T.ToUndirected(),
        T.RemoveIsolatedNodes(),
        T.LargestConnectedComponents(),
        T.GCNNorm(),
        T.OneHotDegree(60),
    ],
    ids=str,
)
def test_pyg_transforms_take_views(transform):
    for view in DOZEN[:7]:
        assert transform(view(sample_graph(2), generator(1))).validate()


# --- generators --------------------------------------------------------------------------------------------------------

STEADY = [
    view
    for view in DOZEN
    if not isinstance(view, (EdgeAddition, EdgeRewiring, ErrorPassingEdgeAddition, OneOf, T.Compose))
]  # the first three draw again what was refused, the fourth what was chosen


def consumed(source, limit=60_000):
    """How many numbers a fresh generator (seed 0) has given before it stands where this one does."""
    after = torch.randint(2**62, (4,), generator=source)
    stream = torch.randint(2**62, (limit,), generator=generator(0))
    found = (stream.unfold(0, 4, 1) == after).all(1).nonzero()
    return int(found[0]) if found.numel() else None


@pytest.mark.parametrize("view", STEADY, ids=str)
def test_a_generator_moves_on_by_the_same_amount_whatever_it_drew(view):
    # two graphs of one size that differ in everything else, and one generator: it stands at one place after both
    one, two = sample_graph(0), sample_graph(0)
    two.update({"x": two.x.flip(0), "edge_index": two.num_nodes - 1 - two.edge_index})
    states = []
    for data in (one, two):
        source = generator(9)
        view(data, source)
        states.append(source.get_state())
    assert torch.equal(*states)
    # and the next call goes on from there
    source = generator(9)
    first, second = view(one, source), view(one, source)
    assert not same_graph(first, second)


def test_hashed_views_take_one_seed_of_the_generator():
    for view in (EdgeDropout(0.4), AdaptiveEdgeDropout(0.4), ErrorPassingEdgeDropout(0.4)):
        for data in (sample_graph(0), sample_graph(1, nodes=20), Batch.from_data_list([sample_graph(0)] * 3)):
            source = generator(0)
            view(data, source)
            assert consumed(source, 50) == 1
