"""Attacks as part of a run: what is attacked and when, what is shared, what is refused, how curves are summed up."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from graphcl.adversary import Budget, EdgeSpace
from graphcl.bench import attack as attack_module
from graphcl.bench.attack import Attack, Victim, attacked_graph
from graphcl.bench.page import Page
from graphcl.bench.report import summarise
from graphcl.bench.robustness import robustness_sections
from graphcl.bench.run import Run, execute
from graphcl.bench.suite import find_suite
from graphcl.data.block_model import csbm
from graphcl.data.loading import all_datasets, load
from graphcl.errors import RequestError, RunFailedError, UnknownNameError
from graphcl.evaluate import area_under_curve, evasion_loss, margins
from graphcl.methods import CcaSsg, Grace, Propagated, Raw
from graphcl.methods.recipe import Method, preset_for
from graphcl.plan import Plan
from graphcl.train import recipe_of

PRBCD = {"name": "prbcd", "settings": {"budget": {"edges": 0.05}, "steps": 8, "block": 2000}}
NOISE = {"name": "random-flips", "when": "poisoning", "settings": {"budget": {"edges": 0.5, "edits": "add"}}}


def run(method="propagated", attack=None, seed=0, dataset="csbm-homophilic", split="random-10-10-80", **changes):
    return Run.of(method, dataset, split, seed, changes or None, attack=attack)


def test_a_run_without_attack_has_the_id_it_always_had():
    plain = run()
    assert plain.attack is None
    assert plain.id == Run(**{**vars(plain), "attack": None}).id
    assert run(attack=PRBCD).id != plain.id


def test_an_evasion_shares_the_training_and_a_poisoning_does_not():
    assert run(attack=PRBCD).training == run().training
    assert run(attack=NOISE).training != run().training
    # every setting is part of a run, whether it was given or not
    assert run(attack=PRBCD).attack["settings"]["samples"] == 20


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ({"name": "prbdc"}, "unknown attack 'prbdc': did you mean 'prbcd'"),
        ({"name": "prbcd", "settings": {"step": 3}}, "step"),
        ({"name": "prbcd", "settings": {"budget": {"edges": 2.0}}}, "edges"),
        ({"name": "prbcd", "when": "poisoning"}, "before training there is none"),
        ({"name": "prbcd", "surrogate": "grace"}, "not trained on labels"),
        ({"name": "clga", "when": "poisoning", "surrogate": "supervised-gcn"}, "no loss without labels"),
        ({"name": "clga", "when": "poisoning", "surrogate": "raw"}, "no loss without labels"),
        ({"name": "prbcd", "when": "poisoning", "surrogate": "grace"}, "take clga"),
        ({"name": "random-flips", "surrogate": "supervised-gcn"}, "follows no loss"),
        ({"name": "node-dropout"}, "which nodes there are"),
        ({"name": "learned-edge-dropout"}, "has to be trained"),
        ({"name": "prbcd", "where": "here"}, "where"),
    ],
)
def test_an_attack_that_cannot_be_is_refused_before_any_work(attack, message):
    with pytest.raises((RequestError, UnknownNameError), match=message):
        run(attack=attack)


def test_graph_level_sets_and_the_legacy_protocol_are_not_attacked():
    with pytest.raises(RequestError, match="set of graphs"):
        Run.of(
            "raw", "python-packages" if all_datasets()["python-packages"].level == "graph" else "mutag", attack=PRBCD
        )
    with pytest.raises(RequestError, match="legacy protocol"):
        Run.of("grace", "karate", protocol="legacy", attack=PRBCD)


def test_an_evasion_scores_the_probe_of_the_clean_graph_on_an_attacked_one():
    kept = []
    clean, hurt = execute(run(), kept=kept), execute(run(attack=PRBCD), kept=kept)
    assert (clean["status"], hurt["status"]) == ("ok", "ok"), hurt.get("error")
    assert hurt["attack"]["clean"] == clean["metrics"]
    (told,) = hurt["attack"]["triples"]
    assert 0 < told["edges"] <= 0.05 * clean["dataset"]["counts"]["edges"] / 2
    assert told["loss"][1] > told["loss"][0]
    assert hurt["metrics"]["acc/test"] < clean["metrics"]["acc/test"]
    assert hurt["seconds"]["attack"] > 0
    assert hurt["trained_with"] == clean["run_id"]
    again = execute(run(attack=PRBCD))
    assert again["metrics"] == hurt["metrics"]


def test_a_supervised_reference_is_attacked_through_itself():
    settings = {"plan": {"epochs": 30}}
    clean, hurt = (execute(run("supervised-gcn", attack, **settings)) for attack in (None, PRBCD))
    assert hurt["status"] == "ok", hurt["error"]
    # the epoch that was chosen is the one that is attacked
    assert hurt["attack"]["clean"] == clean["metrics"]
    assert hurt["metrics"]["acc/test"] < clean["metrics"]["acc/test"]


def test_what_does_not_look_at_edges_does_not_fall():
    hurt = execute(run("raw", PRBCD))
    assert hurt["metrics"] == hurt["attack"]["clean"]
    assert hurt["attack"]["triples"][0]["blind"]


def test_poison_is_trained_on():
    clean, hurt = execute(run()), execute(run(attack=NOISE))
    assert hurt["attack"] == {"edges": clean["dataset"]["counts"]["edges"] // 4, "entries": 0}
    assert hurt["dataset"] == clean["dataset"]
    assert hurt["metrics"]["acc/test"] < clean["metrics"]["acc/test"]


def test_a_surrogate_is_trained_once_and_its_graph_carried_over(monkeypatch):
    monkeypatch.setattr("graphcl.bench.under_attack._CARRIED", {})
    monkeypatch.setattr("graphcl.bench.under_attack._SURROGATES", {})
    made = []
    original = attacked_graph
    monkeypatch.setattr("graphcl.bench.under_attack.attacked_graph", lambda *args: made.append(1) or original(*args))
    carried = {**PRBCD, "surrogate": "supervised-gcn"}
    found = [execute(run(method, carried)) for method in ("propagated", "raw", "random-init")]
    assert len(made) == 1
    assert {record["attack"]["triples"][0]["edges"] for record in found} == {found[0]["attack"]["triples"][0]["edges"]}
    assert found[0]["metrics"]["acc/test"] < found[0]["attack"]["clean"]["acc/test"]
    assert found[1]["metrics"] == found[1]["attack"]["clean"]


def test_poison_by_a_contrastive_loss_needs_no_label_and_is_made_once(monkeypatch):
    monkeypatch.setattr("graphcl.bench.under_attack._CARRIED", {})
    made = []
    original = attack_module.poisoned
    monkeypatch.setattr("graphcl.bench.under_attack.poisoned", lambda *args: made.append(original(*args)) or made[-1])
    clga = {
        "name": "clga", "when": "poisoning", "surrogate": "cca-ssg",
        "settings": {"budget": {"edges": 0.1}, "rounds": 2, "block": 3000},
    }  # fmt: skip
    found = [execute(run(method, clga, dataset="karate", split="few-4")) for method in ("propagated", "raw")]
    assert [record["status"] for record in found] == ["ok", "ok"]
    (graph,) = made
    clean, _ = load("karate")
    assert EdgeSpace.of(clean, Budget(), "test").between(graph).numel() == 7
    assert torch.equal(graph.y, clean.y)
    assert found[1]["metrics"] == execute(run("raw", dataset="karate", split="few-4"))["metrics"]


def test_a_contrastive_loss_trains_on_the_graph_it_is_asked_about(monkeypatch):
    trained = []
    original = attack_module.start
    monkeypatch.setattr(
        attack_module,
        "start",
        lambda recipe, graph, seed: trained.append(graph.num_edges) or original(recipe, graph, seed),
    )
    graph, _ = load("karate")
    loss = attack_module.contrastive_loss(CcaSsg(plan=Plan(epochs=2)), graph, 0)
    space = EdgeSpace.of(graph, Budget(), "test")
    codes = space.drawn(40, torch.Generator().manual_seed(0))
    leaf = torch.zeros(codes.numel()).requires_grad_()
    first = loss(space.relaxed(codes, leaf))
    assert torch.autograd.grad(first, leaf)[0].abs().sum() > 0
    assert float(loss(space.relaxed(codes, leaf)).detach()) == float(first.detach())
    assert trained == [graph.num_edges]
    # other edges are another training
    loss(space.flipped(codes[:3]))
    assert len(trained) == 2


class _Masked(Method):
    """Looks at the edges and cuts the gradient: what a defence must not be credited for."""

    def embed(self, batch):
        n = batch.num_nodes
        dense = torch.zeros(n, n)
        weight = batch.get("edge_weight")
        kept = batch.edge_index if weight is None else batch.edge_index[:, weight.detach() > 0.5]
        dense[kept[0], kept[1]] = 1.0
        return torch.cat([batch.x, dense @ batch.x], 1).detach()


def test_a_masked_gradient_is_no_robustness():
    graph = csbm(nodes=60, classes=2, degree=6.0, homophily=0.9, features=6, seed=0)
    head = nn.Linear(12, 2)
    with torch.no_grad():
        head.weight.copy_(torch.randn(2, 12, generator=torch.Generator().manual_seed(0)))
    victim = Victim(Raw(), _Masked(), graph, head)
    rows = torch.arange(60)
    with pytest.raises(RunFailedError, match=r"changes all the same: name a surrogate"):
        attacked_graph(Attack.of(PRBCD), victim, victim, graph.y, rows, torch.Generator().manual_seed(0))


def test_poisoned_sets_take_the_settings_of_their_kin():
    assert preset_for(Grace, "cora-metattack-10") == "cora"
    assert preset_for(Grace, "texas") == "texas"
    assert recipe_of("grace", "cora-metattack-10") == Grace.preset("cora")
    chosen = Run.of("grace", "cora-metattack-10", "attacked")
    assert chosen.settings == Run.of("grace", "cora").settings
    assert Run.of("supervised-gcn", "cora-metattack-10", "attacked").settings["dim"] == 16


@pytest.mark.parametrize("name", ["robustness-metattack", "robustness-evasion", "robustness-noise", "robustness-clga"])
def test_the_suites_have_a_clean_column_for_every_attack(name):
    runs = find_suite(name).runs(["supervised-gcn"], seeds=1)
    attacked = [one for one in runs if one.method == "supervised-gcn" and one.attack is not None]
    plain = [one for one in runs if one.method == "supervised-gcn" and one.attack is None]
    if name == "robustness-metattack":
        assert {all_datasets()[one.dataset].poison.share for one in plain} == {0.0, 0.05, 0.1, 0.15, 0.2, 0.25}
    else:
        assert len(plain) == 1
        assert len(attacked) >= 3


def test_strengths_of_two_kinds_are_refused(tmp_path):
    file = tmp_path / "both.toml"
    file.write_text(
        'methods = ["raw"]\n[[tasks]]\ndataset = "karate"\n[[attacks]]\nname = "prbcd"\nedges = [0.1]\nlinf = [0.1]\n'
    )
    with pytest.raises(RequestError, match="edges and linf"):
        find_suite(str(file)).runs()
    file.write_text('methods = ["raw"]\n[[tasks]]\ndataset = "karate"\n[[attacks]]\nname = "prbcd"\nedges = 0.1\n')
    with pytest.raises(RequestError, match="give a list of strengths"):
        find_suite(str(file)).runs()


def fake(method, seed, score, attack=None, dataset="karate"):
    made = Run.of(method, dataset, seed=seed, attack=attack)
    return {
        "run_id": made.id, "run": {**vars(made)}, "status": "ok", "metric": "acc",
        "metrics": {"acc/test": score}, "dataset": {"fingerprint": "f"}, "time": "2026-01-01",
    }  # fmt: skip


def attack_of(share, **more):
    return {"name": "prbcd", "settings": {"budget": {"edges": share}}, **more}


def test_curves_have_their_mean_drop_and_area_by_hand():
    records = [
        fake("grace", seed, base - loss, None if share == 0 else attack_of(share))
        for seed, base in ((0, 0.80), (1, 0.84))
        for share, loss in ((0.0, 0.0), (0.1, 0.1), (0.3, 0.4))
    ]
    records.append(fake("dgi", 0, 0.7))  # never attacked: in no curve
    (section,) = robustness_sections(summarise(records))
    assert section.head == ("method", "clean", "0.1", "0.3", "mean under attack", "drop", "area")
    (row,) = section.rows
    assert row[0] == "grace"
    assert [cell.split(" ")[0] for cell in row[1:]] == ["82.0", "72.0", "42.0", "57.0", "+25.0", "63.7"]
    # areas: (0.1 × 0.75 + 0.2 × 0.55) / 0.3, and 0.04 more
    assert math.isclose(area_under_curve({0: 0.8, 0.1: 0.7, 0.3: 0.4}), (0.1 * 0.75 + 0.2 * 0.55) / 0.3)


def test_the_worst_of_several_attacks_is_taken_seed_by_seed():
    records = []
    for seed, (own, carried) in enumerate([(0.5, 0.6), (0.7, 0.4)]):
        records += [
            fake("grace", seed, 0.8),
            fake("grace", seed, own, attack_of(0.1)),
            fake("grace", seed, carried, attack_of(0.1, surrogate="supervised-gcn")),
        ]
    sections = {section.title: section for section in robustness_sections(summarise(records))}
    (row,) = sections["Worst case over attacks"].rows
    assert row[2].startswith("45.0")
    assert row[3] == "prbcd edges from supervised-gcn"
    assert len(sections) == 3
    assert "Under attack" in Page.of(records).markdown()


def test_attacked_columns_are_neither_ranked_nor_held_against_print():
    records = [fake("grace", seed, 0.8, attack_of(0.1), "cora") for seed in range(5)]
    page = Page.of(records, published=True)
    assert page.fidelity.comparisons == ()
    assert not page.plain()["ranks"]


def test_margins_and_the_loss_of_an_evasion_by_hand():
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [1.0, 1.5, 0.0]])
    y = torch.tensor([0, 1, 0])
    assert margins(logits, y).tolist() == [-1.0, -2.0, 0.5]
    graph = csbm(nodes=4, classes=2, degree=1.0, homophily=0.5, features=2, seed=0)
    loss = evasion_loss(lambda data: logits, graph, y, torch.tensor([0, 2]))
    unit = (1.0 + 0.5) / 2
    assert float(loss(graph)) == pytest.approx((math.tanh(-1 / unit) + math.tanh(0.5 / unit)) / 2)
    # the size of the logits has no part in it
    louder = evasion_loss(lambda data: 1000 * logits, graph, y, torch.tensor([0, 2]))
    assert float(louder(graph)) == pytest.approx(float(loss(graph)))


def test_robust_smoothing_is_its_equation():
    from graphcl.methods import robust_smooth
    from graphcl.methods.defences import idf_weighted

    graph = csbm(nodes=40, classes=2, degree=4.0, homophily=0.8, features=8, seed=1)
    x = (graph.x > 0.3).float()
    rare = idf_weighted(x)
    similar = F.normalize(rare, dim=1) @ F.normalize(rare, dim=1).T
    similar.fill_diagonal_(-1)
    near = torch.zeros(40, 40)
    near.scatter_(1, similar.topk(3).indices, 1.0)
    near = ((near + near.T) > 0).float() * (similar > 0)
    near = near + torch.eye(40)
    scale = near.sum(1).rsqrt()
    operator = scale[:, None] * near * scale
    along = F.normalize(operator @ operator @ rare, dim=1)
    dense = torch.zeros(40, 40)
    dense[graph.edge_index[0], graph.edge_index[1]] = 1.0
    both = x @ x.T
    count = x.sum(1)
    jaccard = both / (count[:, None] + count - both).clamp(min=1)
    dense = dense * (jaccard > 0.2) + torch.eye(40)
    scale = dense.sum(1).rsqrt()
    walk = 0.1 * torch.linalg.inv(torch.eye(40) - 0.9 * scale[:, None] * dense * scale)
    expected = 0.3 * along + 0.7 * F.normalize(walk @ x, dim=1)
    found = robust_smooth(x, graph.edge_index, k=3, share=0.3, threshold=0.2)
    assert torch.allclose(found, expected, atol=1e-4)
    # nothing is left of a graph whose neighbours share nothing
    alone = robust_smooth(x, graph.edge_index, share=0.0, threshold=1.0)
    assert torch.allclose(alone, F.normalize(x, dim=1))


def test_propagation_is_attacked_through_its_weights():
    assert Propagated().control
    assert Attack.of(PRBCD).family == "prbcd edges block=2000 steps=8, evasion"
    assert Attack.of(NOISE).family == "random-flips edges add, poisoning"
    assert Attack.of(NOISE).strength == 0.5


def test_attacks_that_differ_in_more_than_their_strength_have_columns_of_their_own():
    def made(name, **settings):
        attack = Attack.of({"name": name, "settings": settings})
        return attack.family, attack.strength, attack.unit

    different = [
        made("prbcd", budget={"edges": 0.05}),
        made("prbcd", budget={"edges": 0.05, "per_node": 1}),
        made("prbcd", budget={"edges": 0.05, "nodes": [1]}),
        made("prbcd", budget={"edges": 1.0}),
        made("prbcd", budget={"flips": 1}),
        made("feature-pgd", budget={"linf": 0.1}),
        made("feature-pgd", budget={"l2": 0.1}),
        made("spectral-energy", budget={"linf": 0.1}),
        made("spectral-energy", budget={"linf": 0.2}),
        made("knn-graph", k=3),
        made("knn-graph", k=30),
    ]
    assert len(set(different)) == len(different)
    assert made("gaussian-noise", std=0.5) == ("gaussian-noise std, evasion", 0.5, "std")
    # of one family, and so points of one curve
    assert made("prbcd", budget={"edges": 0.1})[0] == different[0][0]


def test_a_graph_that_cannot_be_attacked_is_refused_before_training(monkeypatch):
    monkeypatch.setattr("graphcl.bench.run.start", lambda *args: pytest.fail("trained"))
    record = execute(run("grace", {"name": "random-feature-flips", "settings": {"budget": {"l0": 0.1}}}))
    assert record["status"] == "error"
    assert "two values" in record["error"]


def test_a_surrogate_that_ignores_edges_attacks_nothing(monkeypatch):
    monkeypatch.setattr("graphcl.bench.under_attack._SURROGATES", {})
    record = execute(run("raw", {**PRBCD, "surrogate": "supervised-mlp"}))
    assert record["status"] == "error"
    assert record["error"].startswith("surrogate 'supervised-mlp': the loss does not depend on data.edge_weight")


def test_what_is_blind_to_edges_is_attacked_through_its_features():
    both = {"name": "spectral-energy", "settings": {"budget": {"edges": 0.05, "linf": 1.0}, "steps": 5}}
    record = execute(run("raw", both))
    assert record["status"] == "ok", record["error"]
    (told,) = record["attack"]["triples"]
    assert told["edges"] == 0
    assert told["entries"] > 0
    assert record["metrics"]["acc/test"] < record["attack"]["clean"]["acc/test"]
    ones = execute(run("random-init", {"name": "feature-pgd", "settings": {"budget": {"linf": 1.0}}}, features="ones"))
    assert ones["attack"]["triples"][0]["blind"]


def test_an_unknown_attack_leaves_the_report_standing():
    records = [fake("grace", 0, 0.8), fake("grace", 0, 0.5, attack_of(0.1))]
    records[1]["run"]["attack"] = {"name": "of-somebody-else", "when": "evasion", "surrogate": "", "settings": {}}
    report = summarise(records)
    assert len(report.columns) == 2
    assert any("of-somebody-else" in column.title for column in report.columns)


def test_a_failed_attack_costs_no_other_row_its_curve():
    records = [fake("grace", 0, 0.8), fake("grace", 0, 0.5, attack_of(0.1))]
    lost = fake("dgi", 0, 0.0, attack_of(0.2))
    records.append(
        {**{key: lost[key] for key in ("run_id", "run", "time")}, "status": "failed", "error": "no gradient"}
    )
    (section,) = robustness_sections(summarise(records))
    assert [row[0] for row in section.rows] == ["grace"]
