"""Runs that rank: what is selected, what is recorded, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from graphcl.bench import CUTOFFS, RankingRun, Run, Store, execute, find_suite, request, run_all, summarise, user_scores
from graphcl.data import load_interactions
from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.evaluate.ranking import evaluate_ranking
from graphcl.plan import Plan
from graphcl.recsys import fit_selected
from graphcl.recsys.methods import LightGcn, MfBpr, Popularity, RlmRec

SHORT = {"plan": {"epochs": 4}, "dim": 8, "look_every": 2}


def test_a_record_says_what_was_ranked_and_how():
    run = request("lightgcn", "planted-factors", seed=1, changes=SHORT)
    record = json.loads(json.dumps(execute(run)))
    assert record["status"] == "ok", record
    split = load_interactions("planted-factors", seed=1)
    assert record["dataset"]["fingerprint"] == split.whole.fingerprint
    assert record["split"]["digest"] == split.digest
    assert record["dataset"]["counts"] == {
        "users": 600, "items": 400, "train": len(split.train), "val": len(split.val), "test": len(split.test),
        "cold test users": 0, "cold test items": int(((split.train.item_degrees == 0) & (split.test.item_degrees > 0)).sum()),
    }  # fmt: skip
    assert record["metric"] == "ndcg@20"
    assert {
        f"{name}@{k}/{part}" for name in ("recall", "ndcg", "coverage") for k in CUTOFFS for part in ("val", "test")
    } <= set(record["metrics"])
    looks = record["selection"]["looks"]
    assert [look["epoch"] for look in looks] == [2, 4]
    best = max(looks, key=lambda look: look["score"])
    assert record["selection"]["epoch"] == best["epoch"]
    assert record["metrics"]["ndcg@20/val"] == pytest.approx(best["score"])
    assert record["seconds"]["total"] >= record["seconds"]["train"] > 0
    assert user_scores(record).mean() == pytest.approx(record["metrics"]["ndcg@20/test"], abs=1e-5)
    assert len(user_scores(record)) == int((split.test.user_degrees > 0).sum())


def test_the_same_run_has_the_same_figures():
    run = request("xsimgcl", "planted-factors", changes=SHORT)
    a, b = execute(run), execute(run)
    assert a["metrics"] == b["metrics"]
    assert a["per_user"] == b["per_user"]
    assert run.id == request("xsimgcl", "planted-factors", changes=SHORT).id != run.at(1).id


def test_what_was_seen_before_is_in_no_list():
    split = load_interactions("planted-factors")
    scorer = Popularity().fit(split.train)
    known = split.train.joined(split.val)
    record = execute(request("popularity", "planted-factors"))
    wanted = evaluate_ranking(scorer, split.test, known, split.train, CUTOFFS).metrics
    assert {
        name.removesuffix("/test"): value for name, value in record["metrics"].items() if name.endswith("/test")
    } == pytest.approx(wanted)


def test_values_of_users_that_are_damaged_are_noticed():
    record = execute(request("popularity", "planted-factors"))
    for broken in ({}, {"per_user": {"ndcg@20": "xxxx", "users": 3}}, {"per_user": {**record["per_user"], "users": 7}}):
        with pytest.raises(DataError, match="no values of users"):
            user_scores({"run_id": "r", **broken})


def test_the_best_epoch_is_taken_and_the_training_ends_without_progress(monkeypatch):
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    seen = []

    def judged(scorer, *args, **kwargs):
        seen.append(scorer.users.clone())
        return type("Found", (), {"metrics": {"ndcg@20": next(scores)}})

    monkeypatch.setattr("graphcl.recsys.recommender.evaluate_ranking", judged)
    split = load_interactions("planted-factors")
    recipe = MfBpr(dim=4, look_every=3, looks=3, plan=Plan(epochs=100, batch_size=4096))
    found = fit_selected(recipe, split.train, split.val)
    assert [(look.epoch, look.score) for look in found.looks] == [(3, 0.1), (6, 0.5), (9, 0.4), (12, 0.5), (15, 0.3)]
    assert found.epoch == 6
    assert torch.equal(found.scorer.users, seen[1])


def test_the_last_epoch_is_looked_at_too():
    split = load_interactions("planted-factors")
    found = fit_selected(MfBpr(dim=4, look_every=3, plan=Plan(epochs=4)), split.train, split.val)
    assert [look.epoch for look in found.looks] == [3, 4]


def test_without_validation_all_epochs_are_trained():
    split = load_interactions("planted-factors")
    recipe = MfBpr(dim=4, plan=Plan(epochs=3))
    nobody = split.val.part(torch.zeros(len(split.val), dtype=torch.bool))
    for validation in (None, nobody):
        found = fit_selected(recipe, split.train, validation)
        assert (found.epoch, found.looks) == (3, ())
        assert torch.equal(found.scorer.items, recipe.fit(split.train).items)


def test_a_diverged_training_is_a_failed_run():
    record = execute(request("mf-bpr", "planted-factors", changes={"plan": {"epochs": 5, "lr": 1e30}}))
    assert record["status"] == "failed"
    assert "lower plan.lr" in record["error"]


@pytest.mark.parametrize(
    ("method", "dataset", "options", "message"),
    [
        ("grace", "planted-factors", {}, "grace embeds nodes or graphs, and planted-factors is a set of interactions"),
        ("lightgcn", "karate", {}, "lightgcn ranks items for users, and karate is none of the sets of interactions"),
        ("lightgcn", "planted-factors", {"probe": "knn"}, "it is ranked, and takes no probe; leave it out"),
        ("lightgcn", "planted-factors", {"features": "lsa"}, "it is ranked, and takes no features; leave it out"),
        (
            "lightgcn",
            "planted-factors",
            {"attack": {"name": "prbcd"}},
            "it is ranked, and takes no attack; leave it out",
        ),
        ("lightgcn", "planted-factors", {"protocol": "legacy"}, "under the honest protocol alone"),
        ("lightgcn", "planted-factors", {"seed": -1}, "seed = -1: input should be 0 or more"),
        ("rlm-rec", "planted-factors", {}, "rlm-rec reads what is said about items, and planted-factors says nothing"),
        ("direct-au", "planted-factors", {"changes": {"negatives": "hard"}}, "DirectAu looks at no negatives"),
        (
            "lightgcn",
            "planted-factors",
            {"changes": {"plan": {"patience": 3}}},
            "recommenders stop by validation: set `looks`",
        ),
        ("xsimgcl", "planted-factors", {"changes": {"contrasted": 9}}, "XSimGcl.contrasted = 9: there are 3 layers"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(method, dataset, options, message):
    with pytest.raises(RequestError, match=message):
        request(method, dataset, **options)


@pytest.mark.parametrize(
    ("method", "dataset", "options"),
    [
        ("lightgnc", "planted-factors", {}),
        ("lightgcn", "planted-factor", {}),
        ("lightgcn", "planted-factors", {"split": "given"}),
        ("lightgcn", "planted-factors", {"preset": "nowhere"}),
        ("lightgcn", "planted-factors", {"changes": {"layer": 3}}),
        ("rlm-rec", "python-imports", {"changes": {"text": "lsaa"}}),
    ],
)
def test_names_that_are_not_known_are_refused(method, dataset, options):
    with pytest.raises(UnknownNameError):
        request(method, dataset, **options)


def test_text_is_asked_for_only_where_it_is_read():
    assert request("rlm-rec", "python-imports").method == "rlm-rec"
    assert RlmRec.reads_text
    assert not LightGcn.reads_text


def test_texts_from_a_file_are_part_of_what_a_run_is(tmp_path):
    ids = [str(name) for name in load_interactions("python-imports").train.item_ids]
    path, made = tmp_path / "said.npz", []
    for seed in (0, 1):
        rows = np.random.default_rng(seed).normal(size=(len(ids), 4)).astype("float32")
        order = np.random.default_rng(2).permutation(len(ids))
        np.savez(path, emb=rows[order], node=np.array(ids)[order])
        changes = {"text": str(path), "source": {"key": "emb", "ids": "node"}, "plan": {"epochs": 1}, "dim": 4}
        made.append(request("rlm-rec", "python-imports", changes=changes))
    assert made[0].id != made[1].id
    record = execute(made[1])
    assert record["status"] == "ok", record


def test_baselines_do_not_claim_to_be_selected():
    assert "validation is not consulted" in execute(request("ease", "planted-factors"))["selection"]["rule"]
    trained = execute(request("mf-bpr", "planted-factors", changes=SHORT))["selection"]["rule"]
    assert "first best ndcg@20 on validation" in trained


def test_a_suite_of_interactions_has_the_baselines_and_resumes(tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text(
        'methods = ["mf-bpr"]\nseeds = 2\n[[tasks]]\ndataset = "planted-factors"\n'
        "[settings.mf-bpr]\nplan.epochs = 2\n[settings.ease]\nl2 = 7.0\n"
    )
    suite = find_suite(str(toml))
    runs = suite.runs()
    assert {run.method for run in runs} == {"mf-bpr", "popularity", "item-knn", "ease"}
    assert all(isinstance(run, RankingRun) for run in runs)
    store = Store(tmp_path / "out")
    records = list(run_all(runs, store))
    assert [record["status"] for record in records] == ["ok"] * 8
    assert list(run_all(runs, store)) == []
    report = summarise(store.read())
    (column,) = report.columns
    assert (column.dataset, column.metric) == ("planted-factors", "ndcg@20")
    assert "probe" not in column.title
    assert report.rows["ease (l2=7.0)"] == "control"
    assert len(report.cells["mf-bpr (plan.epochs=2)", column].values) == 2


def test_graphs_and_interactions_are_two_suites(tmp_path):
    toml = tmp_path / "both.toml"
    toml.write_text('methods = ["all"]\n[[tasks]]\ndataset = "planted-factors"\n[[tasks]]\ndataset = "karate"\n')
    with pytest.raises(RequestError, match="graphs and interactions in one table; make it two suites"):
        find_suite(str(toml)).runs()


@pytest.mark.slow
def test_several_processes_agree_with_one(tmp_path):
    runs = [
        request(name, "planted-factors", changes=SHORT if name == "mf-bpr" else None) for name in ("mf-bpr", "ease")
    ]
    apart = {record["run_id"]: record["metrics"] for record in run_all(runs, Store(tmp_path / "apart"), jobs=2)}
    alone = {record["run_id"]: record["metrics"] for record in run_all(runs, Store(tmp_path / "alone"))}
    assert set(apart) == set(alone)
    for run_id, metrics in alone.items():
        assert apart[run_id] == pytest.approx(metrics, rel=1e-4)


def test_a_set_that_hangs_on_the_machine_is_known_by_its_content(tmp_path):
    run = request("popularity", "python-imports")
    store = Store(tmp_path)
    (record,) = run_all([run], store)
    assert list(run_all([run], store)) == []
    changed = {**record, "dataset": {**record["dataset"], "fingerprint": "0" * 16}}
    other = Store(tmp_path / "other")
    other.append(changed)
    assert [made["run_id"] for made in run_all([run], other)] == [run.id]
    assert run.content() == record["dataset"]["fingerprint"]
    assert isinstance(run, Run)
    assert replace(run, seed=3).seed == 3
    assert isinstance(np.asarray(user_scores(record)), np.ndarray)
    assert isinstance(load_interactions("python-imports").train, Interactions)
