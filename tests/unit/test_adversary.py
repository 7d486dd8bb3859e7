"""Adversaries: budgets by hand arithmetic, projections against references, what they refuse, and who can be fooled."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch_geometric.data import Data

from graphcl.adversary import (
    Budget,
    Dice,
    EdgeSpace,
    FeatureFlips,
    FeaturePgd,
    Grbcd,
    PgdTopology,
    Prbcd,
    RandomFeatureFlips,
    RandomFlips,
    SpectralEnergy,
    box_simplex,
)
from graphcl.catalogue import entries
from graphcl.errors import DataError, RequestError
from graphcl.spectral import rayleigh_quotient
from graphcl.testing import ContractError, attacked_model, check_adversary

GRADIENT = [PgdTopology, Prbcd, Grbcd]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def path(n=5):
    ends = torch.arange(n - 1)
    return Data(
        x=torch.ones(n, 1), edge_index=torch.cat([torch.stack([ends, ends + 1]), torch.stack([ends + 1, ends])], 1)
    )


def test_a_budget_counts_undirected_edges_and_leaves_loops_out():
    graph = path(5)
    graph.edge_index = torch.cat([graph.edge_index, torch.tensor([[2], [2]])], 1)
    assert [Budget(edges=share).edge_flips(graph) for share in (0.0, 0.24, 0.25, 0.5, 1.0)] == [0, 0, 1, 2, 4]
    # ten times a tenth is one
    assert Budget(edges=0.1).edge_flips(path(11)) == 1
    assert Budget(edges=1.0, flips=0).edge_flips(graph) == 0


def test_a_budget_of_entries_counts_those_that_are_there():
    graph = path(4)
    graph.x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    assert Budget(l0=0.5).entry_flips(graph) == 2


@pytest.mark.parametrize("wrong", [{"edges": 1.5}, {"flips": -1}, {"per_node": 0}, {"linf": -0.1}, {"edits": "swap"}])
def test_a_budget_out_of_range_is_refused(wrong):
    with pytest.raises(RequestError, match=next(iter(wrong))):
        Budget(**wrong)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2, 3, allow_nan=False), min_size=1, max_size=6), st.floats(0, 4))
def test_the_projection_is_the_nearest_point(values, total):
    p = torch.tensor(values, dtype=torch.float64)
    found = box_simplex(p, total)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert float(found.sum()) <= total + 1e-9
    start = [min(1.0, total / len(values))] * len(values)
    best = minimize(
        lambda q: ((q - p.numpy()) ** 2).sum(), start, bounds=[(0, 1)] * len(values),
        constraints=[{"type": "ineq", "fun": lambda q: total - q.sum()}], method="SLSQP",
    )  # fmt: skip
    assert float(((found - p) ** 2).sum()) <= best.fun + 1e-6


def test_a_pair_that_is_flipped_in_part_has_the_rest_of_its_weight():
    space = EdgeSpace.of(path(3), Budget(), "test")
    graph = space.relaxed(torch.tensor([1, 2]), torch.tensor([0.25, 0.4]))
    dense = torch.zeros(3, 3).index_put((graph.edge_index[0], graph.edge_index[1]), graph.edge_weight)
    # pair 1 is (0, 1), which is there; pair 2 is (0, 2), which is not
    assert torch.allclose(dense, torch.tensor([[0.0, 0.75, 0.4], [0.75, 0.0, 1.0], [0.4, 1.0, 0.0]]))


def test_flipping_for_good_is_the_end_of_flipping_in_part():
    graph, model, _ = attacked_model()
    space = EdgeSpace.of(graph, Budget(), "test")
    codes = space.drawn(50, generator())
    whole, part = space.flipped(codes), space.relaxed(codes, torch.ones(codes.numel()))
    assert torch.equal(space.between(whole), codes)
    assert torch.allclose(model(whole.x, whole.edge_index), model(part.x, part.edge_index, part.edge_weight), atol=1e-5)


def test_self_loops_stay_where_they_are():
    graph = path(6)
    graph.edge_index = torch.cat([graph.edge_index, torch.tensor([[3], [3]])], 1)
    out = RandomFlips(Budget(flips=5))(graph, generator=generator())
    loops = out.edge_index[0] == out.edge_index[1]
    assert out.edge_index[:, loops].tolist() == [[3], [3]]


@pytest.mark.parametrize("edits", ["add", "remove"])
@pytest.mark.parametrize("adversary", [RandomFlips, Dice, *GRADIENT])
def test_only_what_is_allowed_is_done(adversary, edits):
    graph, _, loss = attacked_model()
    out = adversary(Budget(flips=6, edits=edits))(graph, loss, generator())
    space = EdgeSpace.of(graph, Budget(), "test")
    there = torch.isin(space.between(out), space.codes)
    assert there.numel() > 0
    assert bool((there if edits == "remove" else ~there).all())


@pytest.mark.parametrize("adversary", [RandomFlips, Dice, *GRADIENT])
def test_no_node_gets_more_than_its_share_and_flips_stay_at_their_nodes(adversary):
    graph, _, loss = attacked_model()
    space = EdgeSpace.of(graph, Budget(), "test")
    out = adversary(Budget(flips=12, per_node=2))(graph, loss, generator())
    ends = space.ends(space.between(out))
    assert 0 < int(torch.bincount(ends.flatten()).max()) <= 2
    out = adversary(Budget(flips=6, nodes=(3, 4)))(graph, loss, generator())
    ends = space.ends(space.between(out))
    assert ends.size(1) > 0
    assert bool(torch.isin(ends, torch.tensor([3, 4])).any(0).all())


def test_dice_parts_friends_and_joins_strangers():
    graph, _, _ = attacked_model()
    space = EdgeSpace.of(graph, Budget(), "test")
    codes = space.between(Dice(Budget(flips=20))(graph, generator=generator()))
    u, v = space.ends(codes)
    there = torch.isin(codes, space.codes)
    assert codes.numel() == 20
    assert int(there.sum()) == 10
    assert torch.equal(graph.y[u] == graph.y[v], there)


def test_random_flips_are_half_and_half_and_take_what_there_is():
    graph, _, _ = attacked_model()
    space = EdgeSpace.of(graph, Budget(), "test")
    codes = space.between(RandomFlips(Budget(flips=20))(graph, generator=generator()))
    assert int(torch.isin(codes, space.codes).sum()) == 10
    # of four nodes and three edges only three pairs are free
    out = RandomFlips(Budget(flips=6, edits="add"))(path(4), generator=generator())
    assert out.num_edges == 12


@pytest.mark.parametrize(
    ("nodes", "flips", "seed", "adversaries"),
    [(9, 1, 0, GRADIENT), (9, 2, 0, GRADIENT), (9, 2, 1, GRADIENT), (12, 2, 0, [Prbcd])],
)
def test_small_graphs_within_a_twentieth_of_brute_force(nodes, flips, seed, adversaries):
    graph, _, loss = attacked_model(seed, nodes)
    space = EdgeSpace.of(graph, Budget(flips=flips), "test")
    subsets = (codes for size in range(flips + 1) for codes in itertools.combinations(space.every().tolist(), size))
    with torch.no_grad():
        best = max(float(loss(space.flipped(torch.tensor(codes, dtype=torch.long)))) for codes in subsets)
    for adversary in adversaries:
        short = {} if adversary is Grbcd else {"steps": 10}
        with torch.no_grad():
            found = float(loss(adversary(Budget(flips=flips), **short)(graph, loss, generator())))
        assert best * 0.95 <= found <= best + 1e-6, adversary


def test_feature_ascent_stays_in_both_balls():
    graph, _, loss = attacked_model()
    out = FeaturePgd(Budget(linf=0.1, l2=0.2))(graph, loss)
    moved = out.x - graph.x
    assert float(moved.abs().max()) <= 0.1 + 1e-6
    assert float(moved.norm(dim=1).max()) <= 0.2 + 1e-6
    rows = FeaturePgd(Budget(l2=0.3))(graph, loss).x - graph.x
    assert 0.29 < float(rows.norm(dim=1).max()) <= 0.3 + 1e-6


def test_feature_flips_take_the_steepest_entries():
    graph = Data(x=torch.tensor([[0.0, 2.0, 0.0], [2.0, 0.0, 2.0]]), edge_index=torch.empty(2, 0, dtype=torch.long))
    slope = torch.tensor([[1.0, -3.0, 5.0], [2.0, -1.0, -4.0]])
    out = FeatureFlips(Budget(l0=0.67), rounds=1)(graph, lambda data: (data.x * slope).sum())
    # gains of a flip: 2, 6, 10, -4, -2, 8; two thirds of three entries are two
    assert out.x.tolist() == [[0.0, 2.0, 2.0], [2.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("adversary", "budget"),
    [(FeaturePgd, {"linf": 0.1}), (FeatureFlips, {"l0": 0.5}), (RandomFeatureFlips, {"l0": 0.5})],
)
def test_features_of_other_nodes_stay(adversary, budget):
    graph, _, loss = attacked_model()
    moved = (adversary(Budget(**budget, nodes=(3, 7)))(graph, loss, generator()).x != graph.x).any(1)
    assert int(moved.sum()) > 0
    assert set(moved.nonzero().flatten().tolist()) <= {3, 7}


def test_there_are_no_more_flips_than_pairs():
    assert Budget(flips=10**9).edge_flips(path(5)) == 10
    assert RandomFlips(Budget(flips=99))(path(5), generator=generator()).num_edges == 12
    with pytest.raises(RequestError, match="nodes"):
        Budget(nodes=())


@pytest.mark.parametrize("adversary", [FeatureFlips, RandomFeatureFlips])
def test_features_of_many_values_are_no_switches(adversary):
    graph = path(3)
    graph.x = torch.tensor([[0.1], [0.2], [0.0]])
    with pytest.raises(DataError, match=r"two values, 0 and another.*FeaturePgd"):
        adversary(Budget(l0=0.5))(graph, lambda data: data.x.sum())


@pytest.mark.parametrize(("band", "sign"), [("high", 1), ("low", -1)])
def test_energy_goes_where_it_is_pushed(band, sign):
    graph, _, _ = attacked_model()
    graph.x = torch.randn(graph.x.shape, generator=generator())
    before = float(rayleigh_quotient(graph.x, graph.edge_index))

    def loss(data):  # rises a little with any change, so that nothing but the band decides which
        weight = data.get("edge_weight")
        moved = (data.x - graph.x).abs().sum()
        if weight is None:
            return 1e-3 * (moved + abs(data.num_edges - graph.num_edges) + 1 - float(data.num_edges == graph.num_edges))
        return 1e-3 * moved + 1e-3 * (weight - 0.5).abs().mean()

    out = SpectralEnergy(Budget(flips=0, linf=0.3), band=band)(graph, loss, generator())
    assert sign * (float(rayleigh_quotient(out.x, out.edge_index)) - before) > 0.05


def test_rayleigh_quotient_is_that_of_the_dense_laplacian():
    graph, _, _ = attacked_model()
    n = graph.num_nodes
    dense = torch.zeros(n, n, dtype=torch.float64)
    dense[graph.edge_index[0], graph.edge_index[1]] = 1
    scale = torch.where(dense.sum(1) > 0, dense.sum(1).clamp(min=1).rsqrt(), 0.0)
    laplacian = torch.eye(n, dtype=torch.float64) - scale[:, None] * dense * scale
    x = torch.randn(n, 3, generator=generator(), dtype=torch.float64)
    expected = torch.trace(x.T @ laplacian @ x) / torch.trace(x.T @ x)
    assert torch.allclose(rayleigh_quotient(x, graph.edge_index, torch.ones(graph.num_edges).double()), expected)


def test_what_cannot_be_attacked_is_said_before_anything_is_computed():
    graph, _, loss = attacked_model()
    asked = []

    def watched(data):
        asked.append(data)
        return loss(data)

    laden = graph.clone()
    laden.edge_attr = torch.ones(graph.num_edges, 2)
    doubled = graph.clone()
    doubled.edge_index = graph.edge_index.repeat(1, 2)
    for wrong, message in ((laden, r"data\.edge_attr; take it off"), (doubled, "stored more than once")):
        with pytest.raises(DataError, match=message):
            Prbcd()(wrong, watched)
    with pytest.raises(RequestError, match=r"budget\.nodes goes beyond the 40 nodes"):
        Prbcd(Budget(nodes=(40,)))(graph, watched)
    unlabelled = graph.clone()
    del unlabelled.y
    with pytest.raises(DataError, match=r"data\.y is missing"):
        Dice()(unlabelled)
    assert asked == []
    with pytest.raises(RequestError, match="make it a scalar tensor"):
        Prbcd()(graph, lambda data: data.get("edge_weight", torch.ones(3)))
    with pytest.raises(RequestError, match="is NaN"):
        FeaturePgd()(graph, lambda data: data.x.sum() * torch.nan)
    with pytest.raises(RequestError, match=r"an encoder that ignores it"):
        Prbcd()(graph, lambda data: (data.x @ torch.ones(8, 1)).requires_grad_().mean())


def test_pairs_of_a_large_graph_are_not_listed():
    with pytest.raises(RequestError, match="Prbcd"):
        PgdTopology(Budget(flips=1))(path(5000), lambda data: data.get("edge_weight", torch.ones(1)).sum())


def test_labels_outside_of_the_known_ones_are_left_alone():
    graph, _, _ = attacked_model()
    hidden = graph.clone()
    hidden.y = torch.where(torch.arange(40) < 20, graph.y, -1)
    space = EdgeSpace.of(graph, Budget(), "test")
    ends = space.ends(space.between(Dice(Budget(flips=10))(hidden, generator=generator())))
    assert int(ends.max()) < 20


class _OneTooMany(RandomFlips):
    def perturb(self, data, loss, generator):
        more = self.budget.replace(flips=self.budget.edge_flips(data) + 1)
        return RandomFlips(more, self.added).perturb(data, loss, generator) if self.budget.edge_flips(data) else data


class _OneWay(RandomFlips):
    def perturb(self, data, loss, generator):
        out = super().perturb(data, loss, generator)
        if self.budget.edge_flips(data):
            out.edge_index = out.edge_index[:, 1:]
        return out


class _Lazy(Prbcd):
    def perturb(self, data, loss, generator):
        return RandomFlips(self.budget).perturb(data, loss, generator)


class _Careless(Prbcd):
    def perturb(self, data, loss, generator):
        if self.budget.edge_flips(data):
            leaf = torch.ones(data.num_edges).requires_grad_()
            seen = data.clone()
            seen.edge_weight = leaf
            loss(seen).backward()
        return super().perturb(data, loss, generator)


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (_OneTooMany(), "the budget is kept to the edge"),
        (_OneWay(), "directed|an undirected, simple graph stays one"),
        (_Lazy(), "a larger budget raises the loss further|does no worse than the best of 20 by chance"),
        (_Careless(steps=5), "the model behind the loss stays as it is"),
    ],
    ids=["one-too-many", "one-way", "lazy", "careless"],
)
def test_the_contract_catches(broken, promise):
    with pytest.raises((ContractError, DataError), match=promise):
        check_adversary(broken)


def test_every_adversary_is_listed():
    assert {"prbcd", "grbcd", "pgd-topology", "dice", "random-flips", "feature-pgd", "spectral-energy"} <= set(
        entries("adversaries")
    )


def test_a_saturated_defence_is_broken_by_a_loss_that_does_not_saturate():
    """Logits times a thousand: cross-entropy has no gradient left in float32, a margin in units of itself has."""
    graph, model, _ = attacked_model()
    y = graph.y

    def logits(data):
        return 1e3 * model(data.x, data.edge_index, data.get("edge_weight"))

    def accuracy(data):
        with torch.no_grad():
            return float((logits(data).argmax(1) == y).float().mean())

    def probability(data):
        return 1 - F.softmax(logits(data), 1).gather(1, y[:, None]).mean()

    from graphcl.evaluate import evasion_loss

    budget = Budget(flips=12)
    naive = Grbcd(budget)(graph, probability, generator())
    adaptive = Grbcd(budget)(graph, evasion_loss(logits, graph, y, torch.arange(40)), generator())
    assert accuracy(adaptive) < accuracy(naive) - 0.1
