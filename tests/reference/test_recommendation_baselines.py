"""The recommendation baselines against dense arithmetic on small matrices, their optimality conditions, and the odd inputs."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError, RunFailedError
from graphcl.recsys import similarity
from graphcl.recsys.methods import ease as ease_module
from graphcl.recsys.methods import ials as ials_module
from graphcl.recsys.methods.ease import EASE, inverted
from graphcl.recsys.methods.gf_cf import GFCF
from graphcl.recsys.methods.ials import IALS, least_squares
from graphcl.recsys.methods.knn import ItemKNN, UserKNN
from graphcl.recsys.methods.popularity import Popularity
from graphcl.recsys.methods.rp3beta import RP3Beta
from graphcl.recsys.methods.slim import SLIM
from graphcl.recsys.similarity import ItemSimilarity, UserSimilarity, largest_products

ALL = [
    Popularity(),
    ItemKNN(k=3),
    ItemKNN(k=3, centred=True),
    UserKNN(k=3),
    EASE(l2=2.0),
    SLIM(l1=0.1, l2=1.0),
    RP3Beta(k=3),
    GFCF(rank=4),
    IALS(dim=3, epochs=2),
]


def seen_of(dense):
    users, items = np.nonzero(dense)
    return Interactions(users=users, items=items, num_users=dense.shape[0], num_items=dense.shape[1])


def drawn(users=23, items=17, density=0.25, seed=0):
    dense = (np.random.default_rng(seed).random((users, items)) < density).astype(np.float64)
    return dense, seen_of(dense)


def scores_of(recipe, seen, seed=0):
    return recipe.fit(seen, seed).score(torch.arange(seen.num_users)).double().numpy()


def kept(values, own, k):
    """The k largest positive entries beside one's own, the first of equal ones, by a plain sort."""
    order = sorted((j for j in range(len(values)) if j != own and values[j] > 0), key=lambda j: (-values[j], j))
    return order[:k]


# --- the shared parts


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), at_once=st.sampled_from([1, 20, 10**6]))
def test_the_largest_products_are_those_of_a_sort(seed, k, at_once):
    generator = np.random.default_rng(seed)
    n, m = generator.integers(1, 10, 2)
    # few different values: ties are common
    left, right = generator.integers(-1, 3, (n, m)).astype(float), generator.integers(0, 3, (m, n)).astype(float)
    before = similarity._ENTRIES
    similarity._ENTRIES = at_once
    try:
        found = largest_products(sp.csr_matrix(left), sp.csr_matrix(right), k)
    finally:
        similarity._ENTRIES = before
    product, expected = left @ right, np.zeros((n, n))
    for i in range(n):
        for j in kept(product[i], i, k):
            expected[i, j] = product[i, j]
    assert (found.toarray() == expected).all()
    assert found.has_sorted_indices
    assert (found.data > 0).all()


def test_a_similarity_of_the_wrong_size_is_refused():
    seen = sp.csr_matrix((2, 3))
    with pytest.raises(DataError, match=r"\[2, 2\] for 3 items; make it \[3, 3\]"):
        ItemSimilarity(seen, np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"\[3, 3\] for 2 users; make it \[2, 2\]"):
        UserSimilarity(seen, np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"offset of \[2\] for 3 items"):
        ItemSimilarity(seen, np.zeros((3, 3)), torch.zeros(2))


# --- each against dense arithmetic


def test_popularity_counts():
    dense, seen = drawn()
    assert (scores_of(Popularity(), seen) == dense.sum(0)).all()


@pytest.mark.parametrize("likeness", ["cosine", "dot"])
@pytest.mark.parametrize(
    ("shrinkage", "normalise", "centred"), [(0, True, True), (3.5, False, False), (2, True, False)]
)
@pytest.mark.parametrize("k", [1, 4, 100])
def test_item_knn_is_the_double_loop(likeness, shrinkage, normalise, centred, k):
    dense, seen = drawn()
    n, degrees, mean = dense.shape[1], dense.sum(0), dense.mean(0)
    expected = np.zeros(dense.shape)
    for i in range(n):
        common = dense.T @ dense[:, i]
        likenesses = common / (np.sqrt(degrees * degrees[i]) + shrinkage) if likeness == "cosine" else common
        near = kept(likenesses, i, k)
        total = likenesses[near].sum() if normalise else 1.0
        for u in range(dense.shape[0]):
            expected[u, i] = sum(likenesses[j] * (dense[u, j] - centred * mean[j]) for j in near) / total
            expected[u, i] += centred * mean[i]
    recipe = ItemKNN(k=k, similarity=likeness, shrinkage=float(shrinkage), normalise=normalise, centred=centred)
    np.testing.assert_allclose(scores_of(recipe, seen), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("likeness", ["cosine", "dot"])
@pytest.mark.parametrize("shrinkage", [0.0, 3.5])
@pytest.mark.parametrize("k", [1, 5, 100])
def test_user_knn_is_the_double_loop(likeness, shrinkage, k):
    dense, seen = drawn()
    degrees, expected = dense.sum(1), np.zeros(dense.shape)
    for u in range(dense.shape[0]):
        common = dense @ dense[u]
        likenesses = common / (np.sqrt(degrees * degrees[u]) + shrinkage) if likeness == "cosine" else common
        for v in kept(likenesses, u, k):
            expected[u] += likenesses[v] * dense[v]
    recipe = UserKNN(k=k, similarity=likeness, shrinkage=shrinkage)
    np.testing.assert_allclose(scores_of(recipe, seen), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.57, 0.3), (2.0, 1.0)])
@pytest.mark.parametrize("normalise", [False, True])
def test_rp3beta_is_the_walk(alpha, beta, normalise):
    dense, seen = drawn()
    of_users, of_items = dense.sum(1), dense.sum(0)
    walk = np.zeros((dense.shape[1], dense.shape[1]))
    for j in range(dense.shape[1]):
        for i in range(dense.shape[1]):
            for v in range(dense.shape[0]):
                if i != j and dense[v, j] and dense[v, i]:
                    walk[j, i] += (1 / of_items[j] / of_users[v]) ** alpha / of_items[i] ** beta
    for k in (3, 100):
        cut = np.zeros_like(walk)
        for j in range(len(walk)):
            # what differs by rounding alone would be a tie for the other sum
            near = kept(np.round(walk[j], 12), j, k)
            cut[j, near] = walk[j, near] / (walk[j, near].sum() if normalise else 1)
        for i in range(len(walk)):
            cut[np.setdiff1d(np.arange(len(walk)), kept(np.round(cut[:, i], 12), i, k)), i] = 0
        recipe = RP3Beta(alpha=alpha, beta=beta, k=k, normalise=normalise)
        np.testing.assert_allclose(scores_of(recipe, seen), dense @ cut, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (20, 20)])
@pytest.mark.parametrize("l2", [0.5, 30.0])
def test_ease_is_the_constrained_ridge_regression(shape, l2, monkeypatch):
    monkeypatch.setattr(ease_module, "_BLOCK", 7)
    dense, seen = drawn(*shape)
    # each column by itself, its own row left out: no formula in common with the closed form
    weights = np.zeros((shape[1], shape[1]))
    for i in range(shape[1]):
        rest = np.delete(np.arange(shape[1]), i)
        x = dense[:, rest]
        weights[rest, i] = np.linalg.inv(x.T @ x + l2 * np.eye(len(rest))) @ x.T @ dense[:, i]
    np.testing.assert_allclose(scores_of(EASE(l2=l2), seen), dense @ weights, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("block", [1, 4, 10, 64])
def test_the_inverse_is_that_of_numpy_and_in_place(block, monkeypatch):
    monkeypatch.setattr(ease_module, "_BLOCK", block)
    x = np.random.default_rng(1).standard_normal((21, 30))
    matrix = x @ x.T
    expected = np.linalg.inv(matrix)
    found = inverted(matrix)
    assert found is matrix
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_ease_says_when_rounding_is_larger_than_the_penalty():
    same = np.ones((50, 40))
    with pytest.raises(RunFailedError, match=r"EASE.l2 = 1e-20: too small to invert in float32"):
        EASE(l2=1e-20).fit(seen_of(same))


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 5.0), (0.7, 2.0), (2.0, 0.1)])
def test_slim_meets_its_optimality_conditions(l1, l2):
    dense, seen = drawn(40, 15, 0.3)
    scorer = SLIM(l1=l1, l2=l2, tolerance=1e-12, sweeps=20_000).fit(seen)
    w = scorer.similarity.toarray().astype(np.float64)
    assert (w >= 0).all()
    assert (np.diag(w) == 0).all()
    assert (w > 0).any()
    gradient = dense.T @ (dense @ w - dense) + l2 * w + l1
    beside = ~np.eye(len(w), dtype=bool)
    assert abs(gradient[(w > 0) & beside]).max() < 1e-4
    assert gradient[(w == 0) & beside].min() > -1e-4


def test_slim_keeps_the_largest_weights():
    _, seen = drawn(40, 15, 0.3)
    full = SLIM(l1=0.1, l2=2.0).fit(seen).similarity.toarray()
    cut = SLIM(l1=0.1, l2=2.0, k=2).fit(seen).similarity.toarray()
    for i in range(15):
        near = kept(full[:, i], i, 2)
        assert (cut[near, i] == full[near, i]).all()
        assert np.count_nonzero(cut[:, i]) == len(near)


@pytest.mark.parametrize("shape", [(60, 25), (25, 60), (30, 30)])
@pytest.mark.parametrize("rank", [3, 8, 100])  # by Lanczos, by the Gram matrix where it is small, and all directions
def test_gf_cf_is_the_dense_filter(shape, rank):
    dense, seen = drawn(*shape, density=0.2)
    of_users = np.maximum(dense.sum(1), 1) ** -0.5
    of_items, back = np.maximum(dense.sum(0), 1) ** -0.5, dense.sum(0) ** 0.5
    normal = of_users[:, None] * dense * of_items
    values, vectors = np.linalg.eigh(normal.T @ normal)
    v = vectors[:, np.argsort(-values)[:rank]]
    expected = dense @ (normal.T @ normal) + 0.3 * dense @ (of_items[:, None] * v @ v.T * back)
    np.testing.assert_allclose(scores_of(GFCF(rank=rank), seen), expected, rtol=1e-4, atol=1e-5)


def loss_of(recipe, dense, x, y):
    predicted = x @ y.T
    by_user = (dense.sum(1) + recipe.unobserved * dense.shape[1]) ** recipe.frequency
    by_item = (dense.sum(0) + recipe.unobserved * dense.shape[0]) ** recipe.frequency
    squares = (dense * (predicted - 1) ** 2).sum() + recipe.unobserved * (predicted**2).sum()
    return squares + recipe.l2 * ((by_user * (x**2).sum(1)).sum() + (by_item * (y**2).sum(1)).sum())


@pytest.mark.parametrize("numbers", [1, 200, 10**6])
def test_a_half_step_is_the_exact_minimiser(numbers, monkeypatch):
    monkeypatch.setattr(ials_module, "_NUMBERS", numbers)
    dense, _ = drawn()
    dense[3] = 0
    y = np.random.default_rng(2).standard_normal((17, 4))
    ridge = 0.3 * (dense.sum(1) + 1)
    found = least_squares(sp.csr_matrix(dense), torch.from_numpy(y), 0.2, torch.from_numpy(ridge))
    for u in range(dense.shape[0]):
        # weighted ridge regression on all items, seen ones with weight 1.2 and target 1 / 1.2
        weight = 0.2 + dense[u]
        system = (y.T * weight) @ y + ridge[u] * np.eye(4)
        np.testing.assert_allclose(found[u], np.linalg.inv(system) @ y.T @ dense[u], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("frequency", [0.0, 0.5, 1.0])
def test_the_loss_of_ials_falls_with_every_epoch(frequency):
    dense, seen = drawn(40, 30)
    losses = []
    for epochs in range(1, 8):
        recipe = IALS(dim=5, unobserved=0.2, l2=0.05, frequency=frequency, epochs=epochs)
        scorer = recipe.fit(seen)
        losses.append(loss_of(recipe, dense, scorer.users.double().numpy(), scorer.items.double().numpy()))
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(losses))
    assert losses[-1] < losses[0]


def test_sizes_of_a_half_step_that_do_not_fit_are_refused():
    with pytest.raises(RequestError, match="do not fit"):
        least_squares(sp.csr_matrix((2, 3)), torch.zeros(2, 1), 0.1, torch.ones(2))


# --- all of them


@pytest.mark.parametrize("recipe", ALL, ids=repr)
def test_the_same_seed_gives_the_same_bits(recipe):
    _, seen = drawn(60, 40)
    users = torch.tensor([5, 0, 5])
    first, again = recipe.fit(seen, 3), recipe.fit(seen, 3)
    scores = first.score(users)
    assert torch.equal(scores, again.score(users))
    assert torch.equal(scores[0], scores[2])
    assert scores.dtype == torch.float32
    assert scores.shape == (3, 40)
    assert (first.num_users, first.num_items) == (60, 40)
    scores.fill_(-1)  # what is done to the scores is not done to the model
    assert torch.equal(first.score(users), again.score(users))


@pytest.mark.parametrize("recipe", ALL, ids=repr)
@pytest.mark.parametrize(
    "dense",
    [
        np.zeros((3, 4)),
        np.array([[1.0, 0.0, 1.0]]),
        np.array([[1.0], [0.0], [1.0]]),
        np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]),
        np.ones((4, 3)),
    ],
    ids=["nothing seen", "one user", "one item", "a user and an item without any", "everything seen"],
)
def test_odd_inputs_have_finite_scores(recipe, dense):
    scores = scores_of(recipe, seen_of(dense))
    assert scores.shape == dense.shape
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("recipe", [recipe for recipe in ALL if not getattr(recipe, "centred", False)], ids=repr)
def test_a_user_who_has_nothing_is_told_nothing(recipe):
    dense, _ = drawn()
    dense[4] = 0
    scores = scores_of(recipe, seen_of(dense))[4]
    if isinstance(recipe, Popularity):
        assert (scores == dense.sum(0)).all()
    else:
        assert (scores == 0).all()


@pytest.mark.parametrize("cls", [ItemKNN, UserKNN, EASE, SLIM, RP3Beta, GFCF])
def test_every_preset_is_made_of_known_settings(cls):
    assert cls.presets
    for dataset in cls.presets:
        assert cls.preset(dataset) == cls(**cls.presets[dataset])


@pytest.mark.parametrize("recipe", ALL, ids=repr)
def test_all_are_controls(recipe):
    assert type(recipe).control
    assert (type(recipe).paper is None) == isinstance(recipe, Popularity)
