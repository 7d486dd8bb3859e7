"""Recommenders in LensKit's pipelines: what is scored, what is not, and what a saved pipeline still knows."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("lenskit")

import pandas as pd
from lenskit import batch, operations
from lenskit.basic import BiasScorer
from lenskit.data import ItemList, ItemListCollection, RecQuery, from_interactions_df
from lenskit.metrics import NDCG, RunAnalysis
from lenskit.pipeline import Pipeline, RecPipelineBuilder, topn_pipeline
from lenskit.training import Trainable, TrainingOptions

from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.errors import RequestError
from graphcl.evaluate import top_k
from graphcl.recsys.adapters import LensKitConfig, LensKitScorer

USERS, ITEMS = 60, 50
SHORT = {"dim": 8, "plan": {"epochs": 3, "batch_size": 128}}


def frame(seen):
    return pd.DataFrame({"user_id": [f"u{u}" for u in seen.users.tolist()], "item_id": seen.items.numpy() + 1000})


def dataset(seen):
    return from_interactions_df(frame(seen), users=[f"u{u}" for u in range(USERS)], items=np.arange(ITEMS) + 1000)


@pytest.fixture(scope="module")
def parts():
    pairs = planted_factors(users=USERS, items=ITEMS, pairs=375)
    held = torch.arange(len(pairs)) % 5 == 0
    # whoever comes last is in the data, and nobody knows a thing about them
    cold = (pairs.users == USERS - 1) | (pairs.items == ITEMS - 1)
    return pairs.part(~held & ~cold), pairs.part(held)


@pytest.fixture(scope="module")
def data(parts):
    return dataset(parts[0])


def pipeline_of(data, **config):
    pipeline = topn_pipeline(LensKitScorer(**{"settings": SHORT, "seed": 1, **config}), n=10)
    pipeline.train(data)
    return pipeline


@pytest.fixture(scope="module")
def trained(data):
    return pipeline_of(data)


def numbers(data, pipeline, seen):
    """The first ten of each user, by graphcl, in LensKit's numbering."""
    users = torch.arange(data.user_count)
    mine = Interactions(
        users=data.users.numbers([f"u{u}" for u in seen.users.tolist()]).tolist(),
        items=data.items.numbers(seen.items.numpy() + 1000).tolist(),
        num_users=data.user_count,
        num_items=data.item_count,
    )
    return top_k(pipeline.component("scorer").scorer, users, 10, mine).items, mine


def test_it_is_a_trainable_component_with_a_config_that_goes_to_json_and_back():
    scorer = LensKitScorer(recommender="lightgcn", settings={"dim": 4})
    assert isinstance(scorer, Trainable)
    assert LensKitScorer(LensKitScorer.validate_config(scorer.dump_config())).dump_config() == scorer.dump_config()
    assert LensKitScorer().config == LensKitConfig()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"recommender": "xsimgl"}, "did you mean 'xsimgcl'"),
        ({"settings": {"dmi": 3}}, "did you mean 'dim'"),
        ({"settings": {"dim": 0}}, "greater than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_training(wrong, message):
    with pytest.raises(ValueError, match=message):
        LensKitScorer(**wrong)
    if "epochs" not in wrong:
        with pytest.raises(RequestError, match=message):
            LensKitConfig(**wrong)


def test_the_lists_are_those_of_graphcl(trained, data, parts):
    seen, test = parts
    expected, mine = numbers(data, trained, seen)
    users = [f"u{u}" for u in (seen.user_degrees > 0).nonzero()[:, 0].tolist()]
    lists = batch.recommend(trained, users, n=10, n_jobs=1)
    assert len(lists) == len(users)
    scores = trained.component("scorer").scorer.score(torch.arange(data.user_count))
    for user in users:
        row = data.users.number(user)
        warm = [i for i in expected[row].tolist() if i >= 0 and mine.item_degrees[i]]
        got = lists.lookup(user_id=user)
        items = got.numbers(vocabulary=data.items).tolist()
        # by their scores: two items with the same users are alike, and LensKit orders those by its own rule; one row at a
        # time or all, the last bit of a product may differ
        same = {"rtol": 1e-4, "atol": 1e-7}
        assert np.allclose(got.scores(), scores[row, items], **same)
        assert np.allclose(got.scores()[: len(warm)], scores[row, warm], **same)
        assert not set(items) & set(mine.items[mine.users == row].tolist())
    found = RunAnalysis(NDCG(n=10)).measure(lists, ItemListCollection.from_df(frame(test), ["user_id"]))
    assert 0 < found.list_summary().loc["NDCG@10", "mean"] <= 1


def test_who_and_what_is_unknown_has_no_score(trained):
    asked = ItemList([1000, 7, 1001])
    assert np.isnan(operations.score(trained, "u1", asked).scores()).tolist() == [False, True, False]
    for nobody in ("nobody", RecQuery(), RecQuery(history_items=ItemList([1000]))):
        assert np.isnan(operations.score(trained, nobody, asked).scores()).all()
    assert len(trained.run(query="nobody", n=5)) == 0
    assert len(operations.score(trained, "u1", ItemList([]))) == 0


def test_who_and_what_was_not_learnt_has_no_score_unless_asked_for(trained, data):
    cold, warm = ItemList([1000 + ITEMS - 1]), ItemList([1000])
    assert np.isnan(operations.score(trained, "u1", cold).scores()).all()
    assert np.isnan(operations.score(trained, f"u{USERS - 1}", warm).scores()).all()
    generous = pipeline_of(data, score_unseen=True)
    assert np.isfinite(operations.score(generous, "u1", cold).scores()).all()
    assert np.isfinite(operations.score(generous, f"u{USERS - 1}", warm).scores()).all()


def test_a_fallback_of_the_pipeline_steps_in(parts):
    rated = frame(parts[0]).assign(rating=3.0)
    builder = RecPipelineBuilder()
    builder.scorer(LensKitScorer, LensKitConfig(settings=SHORT))
    builder.predicts_ratings(fallback=BiasScorer())
    pipeline = builder.build()
    pipeline.train(from_interactions_df(rated))
    assert np.allclose(operations.predict(pipeline, "nobody", ItemList([1000])).scores(), 3.0)


def test_the_seed_is_that_of_the_config_or_of_the_options(data):
    def vectors(seed, rng):
        scorer = LensKitScorer(settings=SHORT, seed=seed)
        scorer.train(data, TrainingOptions(rng=rng))
        return scorer.scorer.users

    assert torch.equal(vectors(None, 5), vectors(None, 5))
    assert not torch.equal(vectors(None, 5), vectors(None, 6))
    assert torch.equal(vectors(3, 5), vectors(3, 6))


def test_it_is_trained_again_only_if_asked_to(data):
    scorer = LensKitScorer(settings=SHORT)
    scorer.train(data, TrainingOptions(rng=1))
    first = scorer.scorer
    scorer.train(data, TrainingOptions(rng=2, retrain=False))
    assert scorer.scorer is first
    scorer.train(data, TrainingOptions(rng=2, device="cpu"))
    assert scorer.scorer is not first


def test_what_scores_without_vectors_is_a_scorer_too(data):
    pipeline = pipeline_of(data, recommender="ease", settings={})
    assert len(pipeline.run(query="u1", n=5)) == 5


def test_a_pipeline_is_built_from_its_config(trained, data):
    again = Pipeline.from_config(trained.config)
    again.train(data)
    assert again.run(query="u1").ids().tolist() == trained.run(query="u1").ids().tolist()


def test_a_saved_pipeline_lists_the_same_in_a_fresh_process(trained, tmp_path):
    path = tmp_path / "pipeline.pkl"
    path.write_bytes(pickle.dumps(trained))
    users = [f"u{u}" for u in range(8)]
    code = (
        "import pickle, sys\n"
        "pipeline = pickle.load(open(sys.argv[1], 'rb'))\n"
        "for user in sys.argv[2:]:\n"
        "    found = pipeline.run(query=user)\n"
        "    print(found.ids().tolist(), found.scores().tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), *users], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    here = [trained.run(query=user) for user in users]
    assert done.stdout.splitlines() == [f"{found.ids().tolist()} {found.scores().tolist()}" for found in here]
