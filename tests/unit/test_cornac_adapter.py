"""Recommenders in Cornac's experiments: numbering, unknowns, selection, and what a saved model still knows."""

import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("cornac")

import cornac
from cornac.eval_methods import BaseMethod
from cornac.exception import ScoreException
from cornac.metrics import NDCG, Recall
from cornac.models.recommender import MEASURE_DOT, is_ann_supported

from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.errors import RequestError, UnknownNameError
from graphcl.evaluate import top_k
from graphcl.evaluate.ranking import evaluate_ranking
from graphcl.recsys import fit_selected
from graphcl.recsys.adapters import CornacRecommender
from graphcl.recsys.methods import XSimGcl

SHORT = {"dim": 8, "look_every": 1, "plan": {"epochs": 4, "batch_size": 128}}


def rows(seen):
    return [(f"u{u}", f"i{i}", 1.0) for u, i in zip(seen.users.tolist(), seen.items.tolist(), strict=True)]


@pytest.fixture(scope="module")
def method():
    pairs = planted_factors(users=60, items=50, pairs=375)
    kind = torch.arange(len(pairs)) % 5
    # Cornac's ranking stops at an item that the validation part alone has
    known = pairs.part(kind > 1).item_degrees[pairs.items] > 0
    parts = {"train_data": kind > 1, "val_data": (kind == 1) & known, "test_data": (kind == 0) & known}
    given = {name: rows(pairs.part(kept)) for name, kept in parts.items()}
    # a user and an item that come too late to be learnt
    given["test_data"] += [("u1", "new", 1.0), ("late", "i2", 1.0)]
    return BaseMethod.from_splits(**given, exclude_unknowns=False)


@pytest.fixture(scope="module")
def model(method):
    return CornacRecommender("xsimgcl", SHORT, seed=1).fit(method.train_set, method.val_set)


def interactions(given, sizes):
    users, items = (torch.as_tensor(np.asarray(column)) for column in given.uir_tuple[:2])
    known = (users < sizes[0]) & (items < sizes[1])
    return Interactions(users=users[known], items=items[known], num_users=sizes[0], num_items=sizes[1])


def test_an_experiment_measures_what_graphcl_measures(method, tmp_path, monkeypatch):
    # Cornac writes its log where it stands
    monkeypatch.chdir(tmp_path)
    learnt = CornacRecommender("xsimgcl", SHORT, seed=1)
    experiment = cornac.Experiment(method, [learnt, CornacRecommender("ease")], [Recall(k=10), NDCG(k=10)])
    experiment.run()
    assert [result.model_name for result in experiment.result] == ["xsimgcl", "ease"]
    ours = experiment.result[0].metric_user_results["Recall@10"]
    sizes = method.train_set.num_users, method.train_set.num_items
    train, val, test = (interactions(part, sizes) for part in (method.train_set, method.val_set, method.test_set))
    found = evaluate_ranking(learnt.scorer, test, train.joined(val), train, cutoffs=(10,))
    expected = dict(zip(found.users.tolist(), found.per_user["recall@10"].tolist(), strict=True))
    late = method.global_iid_map["new"]
    whole = method.test_set.csr_matrix[:, late].nonzero()[0].tolist()
    compared = [user for user in expected if user not in whole]
    assert len(compared) > 30
    assert all(ours[user] == pytest.approx(expected[user]) for user in compared)


def test_the_epoch_is_chosen_by_the_validation_part(method, model):
    sizes = method.train_set.num_users, method.train_set.num_items
    train, val = interactions(method.train_set, sizes), interactions(method.val_set, sizes)
    expected = fit_selected(XSimGcl().preset("", SHORT), train, val, seed=1)
    assert torch.equal(model.scorer.users, expected.scorer.users)
    alone = CornacRecommender("xsimgcl", SHORT, seed=1).fit(method.train_set)
    assert torch.equal(alone.scorer.users, XSimGcl().preset("", SHORT).fit(train, 1).users)


def test_a_score_is_that_of_the_row(method, model):
    scores = model.score(3)
    assert scores.shape == (method.train_set.num_items,)
    assert model.score(3, 7) == scores[7] == model.scorer.score(torch.tensor([3]))[0, 7]


@pytest.mark.parametrize(("user", "item"), [("late", None), ("u1", "new"), ("late", "i1")])
def test_who_and_what_is_unknown_has_no_score(method, model, user, item):
    user, item = method.global_uid_map[user], None if item is None else method.global_iid_map[item]
    with pytest.raises(ScoreException):
        model.score(user, item)


def test_an_unknown_user_is_rated_by_the_mean_and_an_unknown_item_comes_last(method, model):
    late, new = method.global_uid_map["late"], method.global_iid_map["new"]
    assert model.rate(late, 0) == model.global_mean
    ranked, scores = model.rank(3, np.array([new, *range(20)]))
    assert scores[0] == model.score(3).min()
    assert new in ranked.tolist()


def test_what_is_not_fitted_has_no_score():
    with pytest.raises(ScoreException):
        CornacRecommender("xsimgcl").score(0)


def test_a_wrong_setting_is_refused_before_any_training():
    with pytest.raises(UnknownNameError, match="did you mean 'xsimgcl'"):
        CornacRecommender("xsimgl")
    with pytest.raises(UnknownNameError, match="did you mean 'dim'"):
        CornacRecommender("xsimgcl", {"dmi": 3})


def test_a_clone_has_the_same_settings(model):
    clone = model.clone({"seed": 2})
    assert (clone.recipe, clone.seed, clone.name, clone.scorer) == (model.recipe, 2, model.name, None)


def test_vectors_are_given_to_those_who_search_them(method, model):
    assert model.get_vector_measure() == MEASURE_DOT
    assert is_ann_supported(model)
    assert np.allclose(model.get_item_vectors() @ model.get_user_vectors()[3], model.score(3), atol=1e-6)
    without = CornacRecommender("ease").fit(method.train_set)
    assert not is_ann_supported(without)
    with pytest.raises(RequestError, match="ease has no vectors"):
        without.get_item_vectors()


def test_a_saved_model_lists_the_same_in_a_fresh_process(model, tmp_path):
    path = model.save(str(tmp_path))
    code = (
        "import sys\n"
        "from cornac.models import Recommender\n"
        "model = Recommender.load(sys.argv[1])\n"
        "for user in sys.argv[2:]:\n"
        "    print(model.recommend(user, k=10), model.score(model.uid_map[user]).tolist())\n"
    )
    users = [f"u{u}" for u in range(8) if f"u{u}" in model.uid_map]
    done = subprocess.run(
        [sys.executable, "-c", code, path, *users], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = [f"{model.recommend(user, k=10)} {model.score(model.uid_map[user]).tolist()}" for user in users]
    assert done.stdout.splitlines() == expected


def test_a_loaded_model_keeps_what_it_learnt(method, model, tmp_path):
    loaded = CornacRecommender.load(model.save(str(tmp_path)))
    assert loaded.fit(method.train_set).score(3).tolist() == model.score(3).tolist()
    other = cornac.data.Dataset.from_uir([("a", "b", 1.0), ("a", "c", 1.0)])
    with pytest.raises(RequestError, match="set trainable=True"):
        CornacRecommender.load(model.save(str(tmp_path))).fit(other)


def test_the_lists_are_those_of_graphcl(method, model):
    sizes = method.train_set.num_users, method.train_set.num_items
    seen = interactions(method.train_set, sizes)
    expected = top_k(model.scorer, torch.tensor([3]), 5, seen).items[0].tolist()
    user = model.user_ids[3]
    items = model.recommend(user, k=5, remove_seen=True, train_set=method.train_set)
    found = [model.iid_map[item] for item in items]
    # by their scores: the order of equal ones is Cornac's
    assert np.allclose(model.score(3)[found], model.score(3)[expected])
    assert not set(found) & set(seen.items[seen.users == 3].tolist())
