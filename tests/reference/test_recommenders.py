"""Recommenders against plain loops and dense matrices: what is propagated, drawn, and minimised."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid, normalize
from torch_geometric.data import Data

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError
from graphcl.recsys import (
    BipartiteOperator,
    NegativeSampler,
    Triples,
    combined,
    contrast_rows,
    mean_of_layers,
    same_orthant_noise,
)
from graphcl.recsys.methods import DirectAu, Hccf, LightGcl, LightGcn, MfBpr, Ncl, RlmRec, Sgl, SimGcl, XSimGcl
from graphcl.recsys.methods.sgl import _without_edges, _without_nodes

U, N = 7, 5


def some(seed=0, pairs=16, text=False):
    rng = np.random.default_rng(seed)
    code = np.sort(rng.choice((U - 1) * N, pairs, replace=False))
    said = ("red apple", "green apple", "red pear", "deep lake", "deep river") if text else None
    return Interactions(users=code // N, items=code % N, num_users=U, num_items=N, item_text=said)


def dense(seen):
    """The normalised adjacency of users and items by its definition."""
    a = np.zeros((U + N, U + N))
    for u, i in zip(seen.users.tolist(), seen.items.tolist(), strict=True):
        a[u, U + i] = a[U + i, u] = 1
    degree = a.sum(1)
    for r, c in itertools.product(range(U + N), repeat=2):
        if a[r, c]:
            a[r, c] /= math.sqrt(degree[r] * degree[c])
    return torch.from_numpy(a)


def batch_of(seen, each=1):
    return next(iter(Triples(seen, 6, torch.Generator().manual_seed(3), "hard" if each > 1 else "uniform", each)))


def model_of(recipe, seen):
    model = recipe.start(seen, 0).model.double()
    for name, part in vars(model).items():
        if isinstance(part, torch.Tensor) and part.is_floating_point():
            setattr(model, name, part.double())
    if hasattr(model, "operator"):
        operator = model.operator
        model.operator = BipartiteOperator(operator.pattern, operator.values.double(), operator.num_users)
    return model.train()


# === propagation ======================================================================================================


def test_the_operator_is_the_normalised_adjacency():
    seen = some()
    assert torch.allclose(BipartiteOperator.of(seen)(torch.eye(U + N)).double(), dense(seen), atol=1e-6)


def test_of_a_graph_and_of_interactions_are_one():
    seen = some()
    shuffled = seen.graph()
    shuffled.edge_index = shuffled.edge_index[:, torch.randperm(2 * len(seen), generator=torch.Generator())]
    a, b = BipartiteOperator.of(seen), BipartiteOperator.of_graph(shuffled, U)
    assert torch.equal(a.pattern.columns, b.pattern.columns)
    assert torch.equal(a.values, b.values)


@pytest.mark.parametrize("thin", [_without_edges, _without_nodes])
def test_augmented_graphs_are_operators(thin):
    view = thin(some().graph(), 0.2, torch.Generator().manual_seed(0))
    assert 0 < view.num_edges < 2 * len(some())
    matrix = BipartiteOperator.of_graph(view, U)(torch.eye(U + N))
    assert torch.equal(matrix, matrix.T)
    kept = {(a, b) for a, b in view.edge_index.T.tolist()}
    assert {tuple(place) for place in matrix.nonzero().tolist()} == kept


def test_nodes_lose_all_their_edges_at_the_rate():
    seen = Interactions(users=range(2000), items=[0] * 2000, num_users=2000, num_items=1)
    left = [_without_nodes(seen.graph(), 0.1, torch.Generator().manual_seed(s)).num_edges / 4000 for s in range(4)]
    # the only item goes with all its edges one time in ten
    assert all(share == pytest.approx(0.9, abs=0.03) for share in left if share)
    assert sum(map(bool, left)) >= 2


@pytest.mark.parametrize("edges", [[[0, 1], [1, 0]], [[0, U], [U, U + 1]], [[0], [U]]])
def test_graphs_that_are_not_bipartite_are_refused(edges):
    with pytest.raises(RequestError, match="edges between two users, two items, or of one direction"):
        BipartiteOperator.of_graph(Data(edge_index=torch.tensor(edges), num_nodes=U + N), U)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_the_mean_of_layers_by_powers(layers):
    seen = some()
    x = torch.randn(U + N, 4, generator=torch.Generator().manual_seed(1))
    powers = [torch.linalg.matrix_power(dense(seen), k) for k in range(layers + 1)]
    wanted = sum(power @ x.double() for power in powers) / (layers + 1)
    assert torch.allclose(mean_of_layers(BipartiteOperator.of(seen), x, layers).double(), wanted, atol=1e-6)


def test_several_sums_with_noise_and_other_operators_and_their_gradient():
    seen, other = some(), some(seed=1)
    operators = [BipartiteOperator.of(part) for part in (seen, other)]
    weights = [[0.3, 0.0, 0.7], [0.0, 1.0, 0.0]]
    x = torch.randn(U + N, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    noise = same_orthant_noise(0.2, torch.Generator().manual_seed(7))
    got = combined(operators, x, weights, noise)
    # by the definition, with the same draws
    again = same_orthant_noise(0.2, torch.Generator().manual_seed(7))
    y = x.detach().double().requires_grad_()
    layers = [y]
    for part in (seen, other):
        passed = dense(part) @ layers[-1]
        layers.append(passed + again(passed.detach().float()).double())
    wanted = [sum(w * layer for w, layer in zip(row, layers, strict=True)) for row in weights]
    for a, b in zip(got, wanted, strict=True):
        assert torch.allclose(a.double(), b, atol=1e-5)
    probe = [torch.randn(U + N, 4, generator=torch.Generator().manual_seed(k)) for k in (2, 3)]
    sum((a * p).sum() for a, p in zip(got, probe, strict=True)).backward()
    sum((a * p.double()).sum() for a, p in zip(wanted, probe, strict=True)).backward()
    assert torch.allclose(x.grad.double(), y.grad, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "operators"), [([[1.0], [0.5, 0.5]], 1), ([[0.0, 0.0]], 1), ([[0.5, 0.5]], 2), ([], 1)]
)
def test_weights_that_do_not_fit_are_refused(weights, operators):
    with pytest.raises(RequestError, match="give one, or one for each|rows of one length"):
        combined([BipartiteOperator.of(some())] * operators, torch.zeros(U + N, 2), weights)


def test_noise_has_its_length_and_keeps_every_sign():
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    added = same_orthant_noise(0.3, torch.Generator().manual_seed(1))(x)
    assert torch.allclose(added.norm(dim=1), torch.full((50,), 0.3))
    assert torch.equal(added.sign(), x.sign())


# === samplers =========================================================================================================


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_negative_was_never_seen(seed, pairs, power):
    seen = some(seed, pairs)
    users = torch.arange(U).repeat(20)
    users = users[NegativeSampler(seen).free[users] > 0]
    drawn = NegativeSampler(seen, power).draw(users, torch.Generator().manual_seed(seed))
    have = set(zip(seen.users.tolist(), seen.items.tolist(), strict=True))
    assert not have & set(zip(users.tolist(), drawn.tolist(), strict=True))
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < N


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_negatives_have_the_odds_they_state(power):
    seen = some(4, 14)
    user = 2
    free = sorted(set(range(N)) - set(seen.items[seen.users == user].tolist()))
    drawn = NegativeSampler(seen, power).draw(torch.full((20_000,), user), torch.Generator().manual_seed(0))
    odds = seen.item_degrees[free].clamp(min=1).double() ** power
    odds /= odds.sum()
    counts = torch.bincount(drawn, minlength=N)[free].double()
    assert int(counts.sum()) == 20_000
    chi = float(((counts - 20_000 * odds) ** 2 / (20_000 * odds)).sum())
    assert chi < 25  # five degrees of freedom at most: one in ten thousand


def test_whoever_has_seen_everything_is_left_out():
    seen = Interactions(users=[0, 0, 1], items=[0, 1, 0], num_users=2, num_items=2)
    (batch,) = Triples(seen, 10, torch.Generator().manual_seed(0))
    assert (batch.user.tolist(), batch.positive.tolist(), batch.negative.tolist()) == ([1], [0], [[1]])
    with pytest.raises(DataError, match="user 0 has seen all 2 items: nothing unseen can be drawn"):
        NegativeSampler(seen).draw(torch.tensor([1, 0]), torch.Generator())


def test_nothing_to_learn_from_is_refused():
    everything = Interactions(users=[0, 0], items=[0, 1], num_users=1, num_items=2)
    with pytest.raises(DataError, match="no user has both an item and one left to tell it from"):
        Triples(everything, 10, torch.Generator())


def test_an_epoch_holds_every_pair_once_and_the_next_another_order():
    seen = some()
    batches = Triples(seen, 5, torch.Generator().manual_seed(0))
    epochs = [
        [pair for batch in batches for pair in zip(batch.user.tolist(), batch.positive.tolist(), strict=True)]
        for _ in range(2)
    ]
    pairs = sorted(zip(seen.users.tolist(), seen.items.tolist(), strict=True))
    assert sorted(epochs[0]) == sorted(epochs[1]) == pairs
    assert epochs[0] != epochs[1]
    assert len(batches) == 4


# === losses ===========================================================================================================


def bpr(x, table, batch, penalty):
    """The first two terms by loops."""
    rank = square = 0.0
    for u, i, j in zip(batch.user.tolist(), batch.positive.tolist(), batch.negative[:, 0].tolist(), strict=True):
        rank -= float(logsigmoid(x[u] @ x[U + i] - x[u] @ x[U + j]))
        square += sum(float(table[row] @ table[row]) for row in (u, U + i, U + j))
    size = batch.user.numel()
    return rank / size, penalty * square / 2 / size


def nce(a, b, rows, tau):
    """Both directions of InfoNCE within some rows."""
    total = 0.0
    for one, two in ((a, b), (b, a)):
        for v in rows:
            scores = [float(normalize(one[v], dim=0) @ normalize(two[w], dim=0)) / tau for w in rows]
            total += math.log(sum(map(math.exp, scores))) - scores[rows.index(v)]
    return total / 2 / len(rows)


def groups(batch):
    return sorted(set(batch.user.tolist())), sorted({U + i for i in batch.positive.tolist()})


def terms(model, batch, seed=0):
    found = model.loss(batch, torch.Generator().manual_seed(seed))
    return {name: float(value.detach()) for name, value in found.items()}


@pytest.mark.parametrize("layers", [0, 3])
def test_bpr_by_loops(layers):
    seen = some()
    batch = batch_of(seen)
    model = model_of(LightGcn(layers=layers, dim=3) if layers else MfBpr(dim=3), seen)
    table = model.table.detach()
    x = sum(torch.linalg.matrix_power(dense(seen), k) @ table for k in range(layers + 1)) / (layers + 1)
    found, (rank, penalty) = terms(model, batch), bpr(x, table, batch, 1e-4)
    assert found["rank"] == pytest.approx(rank, rel=1e-6)
    assert found["penalty"] == pytest.approx(penalty, rel=1e-6)
    assert torch.allclose(model.vectors(), x, atol=1e-6)


def test_the_hardest_of_several_negatives_is_taken():
    seen = some()
    model, batch = model_of(MfBpr(dim=3), seen), batch_of(seen, each=4)
    table = model.table.detach()
    best = []
    for u, candidates in zip(batch.user.tolist(), batch.negative.tolist(), strict=True):
        best.append(max(candidates, key=lambda j: float(table[u] @ table[U + j])))
    plain = Data(user=batch.user, positive=batch.positive, negative=torch.tensor(best)[:, None])
    assert terms(model, batch)["rank"] == pytest.approx(bpr(table, table, plain, 0.0)[0], rel=1e-9)


def test_simgcl_by_loops():
    seen, recipe = some(), SimGcl(dim=3, layers=2)
    model, batch = model_of(recipe, seen), batch_of(seen)
    table, a = model.table.detach(), dense(seen)
    noise = same_orthant_noise(recipe.noise, torch.Generator().manual_seed(0))
    views = []
    for _ in range(2):
        one = a @ table
        one = one + noise(one)
        two = a @ one
        views.append((one + two + noise(two)) / 2)
    wanted = recipe.weight * sum(nce(*views, rows, recipe.temperature) for rows in groups(batch))
    assert terms(model, batch)["contrast"] == pytest.approx(wanted, rel=1e-5)
    assert torch.allclose(model.vectors(), (a @ table + a @ a @ table) / 2, atol=1e-6)


def test_xsimgcl_by_loops():
    seen, recipe = some(), XSimGcl(dim=3, layers=2)
    model, batch = model_of(recipe, seen), batch_of(seen)
    table, a = model.table.detach(), dense(seen)
    noise = same_orthant_noise(recipe.noise, torch.Generator().manual_seed(0))
    one = a @ table
    one = one + noise(one)
    two = a @ one
    x = (one + two + noise(two)) / 2
    found = terms(model, batch)
    contrast = recipe.weight * sum(nce(x, one, rows, recipe.temperature) for rows in groups(batch))
    assert found["contrast"] == pytest.approx(contrast, rel=1e-5)
    assert found["rank"] == pytest.approx(bpr(x, table, batch, 0.0)[0], rel=1e-5)


@pytest.mark.parametrize("view", ["edge", "node", "walk"])
def test_sgl_by_its_views(view):
    seen, recipe = some(), Sgl(dim=3, layers=2, view=view, rate=0.3)
    model, batch = model_of(recipe, seen), batch_of(seen)
    table = model.table.detach().float()
    thin = _without_nodes if view == "node" else _without_edges
    generator = torch.Generator().manual_seed(0)
    means = []
    for _ in range(2):
        layers = [table]
        drawn = [thin(seen.graph(), 0.3, generator) for _ in range(2 if view == "walk" else 1)]
        for graph in drawn if view == "walk" else drawn * 2:
            layers.append(BipartiteOperator.of_graph(graph, U)(layers[-1]))
        means.append(sum(layers) / 3)
    wanted = recipe.weight * sum(nce(*means, rows, recipe.temperature) for rows in groups(batch))
    model = model.float()
    model.operator = BipartiteOperator.of(seen)
    assert terms(model, batch)["contrast"] == pytest.approx(wanted, rel=1e-4)
    kept = model.views
    terms(model, batch, seed=5)
    assert model.views is kept  # of one epoch
    model.after_epoch()
    assert model.views is None


def test_direct_au_by_loops():
    seen, recipe = some(), DirectAu(dim=3, weight=0.7)
    model, batch = model_of(recipe, seen), batch_of(seen)
    unit = normalize(model.table.detach())
    near = [float((unit[u] - unit[U + i]).square().sum()) for u, i in zip(batch.user, batch.positive, strict=True)]
    spread = 0.0
    for rows in (batch.user.tolist(), [U + i for i in batch.positive.tolist()]):
        pairs = [math.exp(-2 * float((unit[a] - unit[b]).square().sum())) for a, b in itertools.combinations(rows, 2)]
        spread += math.log(sum(pairs) / len(pairs)) / 2
    found = terms(model, batch)
    assert found["alignment"] == pytest.approx(sum(near) / len(near), rel=1e-6)
    assert found["uniformity"] == pytest.approx(0.7 * spread, rel=1e-6)


def test_a_batch_of_one_pair_is_no_trouble():
    model = model_of(DirectAu(dim=3), some())
    one = Data(user=torch.tensor([0]), positive=torch.tensor([1]), negative=torch.tensor([[0]]))
    assert terms(model, one)["uniformity"] == 0.0


def test_nodes_without_a_direction_are_left_out():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.5, 1.0], [0.0, 2.0]])
    rows = [torch.tensor([0, 1, 2]), torch.tensor([3]), torch.tensor([1])]
    whole = contrast_rows(x, x, rows, 0.5)
    assert torch.equal(whole, contrast_rows(x, x, [torch.tensor([0, 2]), torch.tensor([3])], 0.5))
    model = model_of(Hccf(dim=3, hyperedges=2, dropout=0.9), some())
    assert all(map(math.isfinite, terms(model, batch_of(some())).values()))


@pytest.mark.parametrize("recipe", [LightGcl(dim=3), RlmRec(dim=3, text="bag-of-words", source={"least": 1})], ids=str)
def test_the_default_precision_is_followed(recipe):
    torch.set_default_dtype(torch.float64)
    try:
        training = recipe.replace(plan=recipe.plan.replace(epochs=1)).start(some(text=True))
        assert training.scorer().users.dtype == torch.float64
        assert next(training.steps).n == 1
    finally:
        torch.set_default_dtype(torch.float32)


def test_light_gcl_by_loops():
    seen, recipe = some(), LightGcl(dim=3, layers=2, rank=2)
    model, batch = model_of(recipe, seen), batch_of(seen)
    table, a = model.table.detach(), dense(seen)
    u, s, vt = torch.linalg.svd(a[:U, U:])
    low = u[:, :2] @ torch.diag(s[:2]) @ vt[:2]
    layers = [table, a @ table, a @ a @ table]
    x = sum(layers)
    view = table.clone()
    for layer in layers[:2]:
        view[:U] += low @ layer[U:]
        view[U:] += low.T @ layer[:U]
    wanted = 0.0
    items = torch.cat([batch.positive, batch.negative[:, 0]]) + U
    for rows, everybody in ((batch.user.tolist(), range(U)), (items.tolist(), range(U, U + N))):
        for v in rows:
            scores = [float(view[v] @ x[w]) / recipe.temperature for w in everybody]
            pulled = min(max(float(view[v] @ x[v]) / recipe.temperature, -5.0), 5.0)
            wanted += (math.log(sum(map(math.exp, scores))) - pulled) / len(rows)
    assert terms(model, batch)["contrast"] == pytest.approx(recipe.weight * wanted, rel=1e-5)
    assert torch.allclose(model.vectors(), x, atol=1e-6)


def test_ncl_by_loops():
    seen, recipe = some(), Ncl(dim=3, layers=2, warm_up=0, clusters=2, prototype=0.3)
    model, batch = model_of(recipe, seen), batch_of(seen)
    table, a = model.table.detach(), dense(seen)
    far = a @ a @ table
    wanted = 0.0
    sides = ((batch.user.tolist(), range(U), 1.0), ((batch.positive + U).tolist(), range(U, U + N), recipe.items))
    for rows, everybody, weight in sides:
        for v in rows:
            scores = {
                w: float(normalize(far[v], dim=0) @ normalize(table[w], dim=0)) / recipe.temperature for w in everybody
            }
            wanted += weight * (math.log(sum(map(math.exp, scores.values()))) - scores[v]) / len(rows)
    found = terms(model, batch)
    assert found["structure"] == pytest.approx(recipe.structure * wanted, rel=1e-5)
    # so few rows make one cluster, and the only centre is right for everybody
    assert found["prototype"] == pytest.approx(0.0, abs=1e-9)


def test_prototypes_by_loops():
    seen, recipe = some(), Ncl(dim=3, layers=2)
    model = model_of(recipe, seen)
    centres = normalize(torch.randn(3, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0)))
    cluster = torch.tensor([0, 2, 1, 1, 0, 2, 0])
    rows = torch.tensor([0, 3, 3, 6])
    own = normalize(model.table.detach()[:U][rows])
    wanted = 0.0
    for row, v in zip(own, rows.tolist(), strict=True):
        scores = [float(row @ centre) / recipe.temperature for centre in centres]
        wanted += (math.log(sum(map(math.exp, scores))) - scores[int(cluster[v])]) / len(rows)
    found = model._prototypes(model.table[:U][rows], centres, cluster, rows)
    assert float(found) == pytest.approx(wanted, rel=1e-9)


def test_hccf_by_its_equations():
    seen, recipe = some(), Hccf(dim=3, layers=2, hyperedges=4, dropout=0.0, slope=0.3)
    model, batch = model_of(recipe, seen), batch_of(seen)
    table, a = model.table.detach(), dense(seen)

    def bent(x):
        return torch.where(x > 0, x, 0.3 * x)

    members = [table[:U] @ model.user_edges.detach(), table[U:] @ model.item_edges.detach()]
    x, total, contrast = table, table, 0.0
    for _ in range(2):
        near = bent(a @ x)
        far = torch.cat([bent(m @ bent(m.T @ part)) for m, part in zip(members, (x[:U], x[U:]), strict=True)])
        contrast += sum(nce(near, far, rows, recipe.temperature) for rows in groups(batch))
        x = near + far
        total = total + x
    assert torch.allclose(model.vectors(), total, atol=1e-6)
    assert terms(model, batch)["contrast"] == pytest.approx(recipe.weight * contrast, rel=1e-5)


def test_rlm_rec_holds_vectors_to_texts():
    seen = some(text=True)
    recipe = RlmRec(dim=3, layers=1, text="bag-of-words", source={"least": 1})
    model, batch = model_of(recipe, seen), batch_of(seen)
    x = model.vectors().detach()
    said = model.project(model.said).detach()
    wanted = recipe.weight * sum(nce(x, said, rows, recipe.temperature) for rows in groups(batch))
    assert terms(model, batch)["text"] == pytest.approx(wanted, rel=1e-5)
    # a user's text is the mean of those of the items
    words = model.said
    mine = normalize(sum(words[U + i] for i in seen.items[seen.users == 0].tolist()), dim=0)
    assert torch.allclose(words[0], mine, atol=1e-6)
    with pytest.raises(DataError, match="reads what is said about items, and these have no item_text"):
        recipe.start(some())
