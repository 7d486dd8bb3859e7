"""Held-out edges: nothing of them is left in what the encoder is given, and what it remembers does not help it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch_geometric.data import Batch, Data

from graphcl.data.block_model import csbm
from graphcl.data.loading import load
from graphcl.errors import DataError, RequestError
from graphcl.evaluate import links
from graphcl.evaluate.links import LinkSplit, Pairs, link_prediction, score_links, split_links
from graphcl.graph import is_symmetric
from graphcl.seeding import Seeds
from graphcl.testing.promises import leaves_global_random_state, same_graph
from graphcl.train import embed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def unordered(edges):
    """The pairs of different nodes that edges join."""
    return {frozenset(pair) for pair in edges.T.tolist() if len(set(pair)) == 2}


@st.composite
def graphs(draw):
    """Any graph: directed or not, with loops, parallel edges, weights, attributes, isolated nodes."""
    n = draw(st.integers(4, 12))
    node = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(node, node), min_size=6, max_size=40))
    if draw(st.booleans()):
        pairs = pairs + [(v, u) for u, v in pairs]
    edges = torch.tensor(pairs).T
    count = edges.size(1)
    data = Data(x=torch.arange(3.0 * n).view(n, 3), edge_index=edges, y=torch.arange(n) % 2)
    data.train_mask = torch.arange(n) < 3
    if draw(st.booleans()):
        data.edge_weight = 1.0 + torch.arange(count)
        data.edge_attr = torch.arange(count)[:, None] * torch.ones(2)
    return data


shares = st.sampled_from([0.05, 0.1, 0.2, 0.3])


@given(graphs(), shares, shares, st.integers(0, 5))
def test_nothing_of_a_held_out_pair_is_left_in_the_graph(data, val, test, seed):
    before = data.clone()
    joined = unordered(data.edge_index)
    sizes = [max(1, round(share * len(joined))) for share in (test, val)]
    n = data.num_nodes
    absent = n * (n - 1) // 2 - len(joined)
    if len(joined) <= sum(sizes) or absent < sum(sizes):
        with pytest.raises(DataError):
            split_links(data, generator(seed), val=val, test=test)
        return
    split = split_links(data, generator(seed), val=val, test=test)
    assert same_graph(before, data)

    parts = list(split)
    held = unordered(split.val.positive) | unordered(split.test.positive)
    left = unordered(split.data.edge_index)
    assert not held & left
    assert held | left == joined
    assert left == unordered(split.train.positive)
    assert [part.positive.size(1) for part in (split.test, split.val)] == sizes
    assert sum(part.positive.size(1) for part in parts) == len(joined)

    drawn = [pair for part in parts for pair in part.negative.T.tolist()]
    assert all(u < v for u, v in drawn)
    assert len({tuple(pair) for pair in drawn}) == len(drawn) == min(absent, len(joined))
    assert not {frozenset(pair) for pair in drawn} & joined
    assert [part.negative.size(1) for part in (split.test, split.val)] == sizes
    for part in parts:
        assert (part.positive[0] < part.positive[1]).all()
        assert part.both.size(1) == part.labels.numel()
        assert (part.labels == 1).sum() == part.positive.size(1)

    # the nodes keep everything, and each edge that stays its weight and its attributes, in the order it had
    for name in ("x", "y", "train_mask"):
        assert torch.equal(split.data[name], data[name])
    assert split.data.num_nodes == n
    stay = torch.tensor([frozenset(pair) not in held for pair in data.edge_index.T.tolist()])
    assert torch.equal(split.data.edge_index, data.edge_index[:, stay])
    if "edge_weight" in data:
        assert torch.equal(split.data.edge_weight, data.edge_weight[stay])
        assert torch.equal(split.data.edge_attr, data.edge_attr[stay])


def test_undirected_stays_undirected_and_isolated_nodes_stay():
    data = csbm(nodes=80, classes=2, degree=2.0, homophily=0.8, features=4, seed=0)
    split = split_links(data, generator(), val=0.3, test=0.3)
    assert is_symmetric(split.data)
    assert split.data.num_nodes == 80


def test_the_pairs_are_the_generator_s():
    data, _ = load("karate")
    first, same, other = (split_links(data, generator(seed)) for seed in (0, 0, 1))
    for a, b in zip(first, same, strict=True):
        assert torch.equal(a.positive, b.positive)
        assert torch.equal(a.negative, b.negative)
    assert not torch.equal(first.test.positive, other.test.positive)
    assert leaves_global_random_state(lambda: split_links(data, generator()))


def test_every_pair_is_as_likely_to_be_held_out_and_every_absent_one_to_be_drawn():
    edges = torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 5, 5]])  # 6 pairs joined, 9 absent
    data = Data(x=torch.ones(6, 1), edge_index=edges)
    held, drawn = torch.zeros(6, 6), torch.zeros(6, 6)
    for seed in range(600):
        part = split_links(data, generator(seed), val=0.16, test=0.16).test
        held[part.positive[0], part.positive[1]] += 1
        drawn[part.negative[0], part.negative[1]] += 1
    joined = torch.zeros(6, 6, dtype=torch.bool)
    joined[edges.min(0).values, edges.max(0).values] = True
    absent = torch.ones(6, 6).triu(1).bool() & ~joined
    assert torch.allclose(held[joined], torch.tensor(100.0), atol=46)  # five standard deviations
    assert torch.allclose(drawn[absent], torch.tensor(600 / 9), atol=39)
    assert held[~joined].sum() == drawn[~absent].sum() == 0


def remembered(graph):
    """An encoder that knows the graph by heart: h_u · h_v is the number of edges between u and v, exactly."""
    pairs = torch.tensor(sorted(sorted(pair) for pair in unordered(graph.edge_index)))
    h = torch.zeros(graph.num_nodes, len(pairs))
    h[pairs[:, 0], torch.arange(len(pairs))] = 1.0
    h[pairs[:, 1], torch.arange(len(pairs))] = 1.0
    return h


@pytest.mark.parametrize("scorer", ["dot", "cosine"])
def test_an_encoder_that_knows_its_graph_by_heart_is_at_chance(scorer):
    data = csbm(nodes=150, classes=3, degree=6.0, homophily=0.7, features=4, seed=1)
    for seed in range(3):
        found = link_prediction(remembered, data, seed, scorers=(scorer,))
        assert found.metrics["auc/val"] == found.metrics["auc/test"] == 0.5
        assert found.metrics["ap/test"] == 0.5
    # the same encoder, let see what it must not
    cheating = score_links(remembered(data), split_links(data, Seeds(0).torch("links")), (scorer,))
    assert cheating.metrics["auc/test"] == cheating.metrics["ap/test"] == 1.0


def test_a_regression_on_what_is_known_by_heart_is_at_chance_too():
    data = csbm(nodes=150, classes=3, degree=6.0, homophily=0.7, features=4, seed=1)
    found = [link_prediction(remembered, data, seed, scorers=("hadamard",)).metrics["auc/test"] for seed in range(4)]
    assert 0.4 < sum(found) / 4 < 0.6


def test_noise_is_at_chance_and_positions_on_a_ring_are_not():
    n = 300
    angle = torch.arange(n) * (2 * torch.pi / n)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    near = torch.stack([torch.cat([torch.arange(n)] * 3), torch.cat([(torch.arange(n) + i) % n for i in (1, 2, 3)])])
    data = Data(x=ring, edge_index=torch.cat([near, near.flip(0)], 1))
    found = link_prediction(lambda graph: graph.x, data)
    assert found.metrics["auc/test"] > 0.98
    noise = torch.randn(n, 16, generator=generator())
    assert 0.35 < link_prediction(lambda graph: noise, data).metrics["auc/test"] < 0.65


def test_figures_are_scikit_learn_s_of_scores():
    data = csbm(nodes=120, classes=3, degree=6.0, homophily=0.9, features=8, seed=0)
    split = split_links(data, generator())
    h = torch.randn(120, 8, generator=generator())
    found = score_links(h, split)
    for part, pairs in (("val", split.val), ("test", split.test)):
        z = torch.nn.functional.normalize(h.double(), dim=1)
        for name, rows in (("dot", h.double()), ("cosine", z)):
            scores = [float(rows[u] @ rows[v]) for u, v in pairs.both.T.tolist()]
            labels = [1] * pairs.positive.size(1) + [0] * pairs.negative.size(1)
            assert found.per_scorer[name][f"auc/{part}"] == pytest.approx(roc_auc_score(labels, scores))
            assert found.per_scorer[name][f"ap/{part}"] == pytest.approx(average_precision_score(labels, scores))


def test_the_scorer_is_chosen_on_validation_and_never_on_test():
    data = csbm(nodes=120, classes=3, degree=6.0, homophily=0.9, features=8, seed=0)
    for seed in range(6):
        split = split_links(data, generator(seed), val=0.1, test=0.1)
        h = torch.randn(120, 8, generator=generator(seed))
        found = score_links(h, split)
        best = max(found.per_scorer.values(), key=lambda one: one["auc/val"])
        assert found.metrics == best == found.per_scorer[found.scorer]
        # what is positive in test has no part in choice or fit
        turned = Pairs(split.test.negative, split.test.positive)
        other = score_links(h, LinkSplit(split.data, split.train, split.val, turned))
        assert (other.scorer, other.chosen) == (found.scorer, found.chosen)
        assert other.metrics["auc/val"] == found.metrics["auc/val"]
        assert other.metrics["auc/test"] == pytest.approx(1 - found.metrics["auc/test"])


def test_the_regression_weighs_coordinates_that_products_weigh_wrongly():
    # two coordinates tell friends, one loud one tells nothing
    y = torch.arange(200) % 2
    sign = 2.0 * y - 1
    friends = torch.cartesian_prod(torch.arange(200), torch.arange(200)).T
    friends = friends[:, (friends[0] < friends[1]) & (y[friends[0]] == y[friends[1]])]
    friends = friends[:, torch.randperm(friends.size(1), generator=generator())[:600]]
    data = Data(x=sign[:, None], edge_index=torch.cat([friends, friends.flip(0)], 1))
    h = torch.cat([sign[:, None], 20 * torch.randn(200, 1, generator=generator())], 1)
    found = score_links(h, split_links(data, generator()))
    assert found.scorer == "hadamard"
    assert found.metrics["auc/test"] > found.per_scorer["dot"]["auc/test"] + 0.15
    assert found.chosen["strength"] > 0


def test_the_regression_takes_a_share_of_a_large_training_part(monkeypatch):
    data = csbm(nodes=120, classes=3, degree=8.0, homophily=0.9, features=8, seed=0)
    split = split_links(data, generator())
    whole = score_links(data.x, split, ("hadamard",))
    monkeypatch.setattr(links, "_FITTED", 50)
    part = score_links(data.x, split, ("hadamard",))
    assert part.metrics != whole.metrics
    assert part.metrics["auc/test"] == pytest.approx(whole.metrics["auc/test"], abs=0.2)


def test_the_encoder_gets_the_graph_that_is_left_and_nothing_else():
    data, _ = load("karate")
    handed = []

    def encoder(graph):
        handed.append(graph)
        return embed("grace", graph, plan={"epochs": 2})

    first = link_prediction(encoder, data, seed=3)
    split = split_links(data, Seeds(3).torch("links"))
    assert len(handed) == 1
    assert same_graph(handed[0], split.data)
    assert first == link_prediction(encoder, data, seed=3)
    assert first.metrics == score_links(embed("grace", split.data, plan={"epochs": 2}), split).metrics


def test_zero_rows_are_scored():
    data, _ = load("karate")
    found = link_prediction(lambda graph: torch.zeros(34, 4), data)
    assert found.metrics["auc/test"] == 0.5


def test_refused():
    data, _ = load("karate")
    for changes in ({"val": 0.0}, {"test": -0.1}, {"val": 0.5, "test": 0.5}, {"val": float("nan")}):
        with pytest.raises(RequestError, match="above 0"):
            split_links(data, generator(), **changes)
    with pytest.raises(DataError, match="batch"):
        split_links(Batch.from_data_list([data, data]), generator())
    full = torch.cartesian_prod(torch.arange(6), torch.arange(6)).T
    with pytest.raises(DataError, match="not joined"):
        split_links(Data(x=torch.ones(6, 1), edge_index=full), generator())
    with pytest.raises(DataError, match="would leave none"):
        split_links(Data(x=torch.ones(9, 1), edge_index=torch.tensor([[0, 1, 5], [1, 0, 5]])), generator())
    split = split_links(data, generator())
    for h in (torch.ones(33, 2), torch.ones(34), torch.ones(34, 2).long()):
        with pytest.raises(DataError, match=r"\[34, D\]"):
            score_links(h, split)
    with pytest.raises(DataError, match="NaN"):
        score_links(torch.full((34, 2), torch.nan), split)
    for scorers in ((), ("distance",)):
        with pytest.raises(RequestError, match="scorers"):
            score_links(data.x, split, scorers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adj_t", torch.eye(34).to_sparse()),
        ("propagation", torch.eye(34).to_sparse()),
        ("diffusion", torch.eye(34)),
        ("train_pos_edge_index", torch.tensor([[0], [1]])),
        ("edge_label", torch.ones(156)),
        ("positive", torch.tensor([[0, 1], [1, 2]])),
    ],
)
def test_a_second_form_of_the_edges_is_refused(name, value):
    data, _ = load("karate")
    data[name] = value
    with pytest.raises(DataError, match=f"data.{name} may hold edges"):
        split_links(data, generator())


def test_a_nearly_complete_graph_has_no_absent_pairs_to_fit_on():
    full = torch.cartesian_prod(torch.arange(12), torch.arange(12)).T
    full = full[:, full[0] < full[1]][:, 4:]  # 62 joined pairs, 4 absent
    data = Data(x=torch.rand(12, 3, generator=generator()), edge_index=full)
    split = split_links(data, generator(), val=0.03, test=0.03)
    assert split.train.negative.size(1) == 0
    with pytest.raises(DataError, match="leave it out of scorers"):
        score_links(data.x, split)
    assert set(score_links(data.x, split, ("dot", "cosine")).per_scorer) == {"dot", "cosine"}
