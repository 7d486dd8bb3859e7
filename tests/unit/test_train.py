"""Training: what the loop does is what a loop written by hand would do, and nothing more."""

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GraphSAGE

from graphcl.augment import Chain, FeatureMask, FeatureShuffle, MessageDropout
from graphcl.batches import FullGraph
from graphcl.data.block_model import csbm
from graphcl.encoders import GCN
from graphcl.errors import DataError, EmbeddingError, RequestError, RunFailedError, UnknownNameError
from graphcl.graph import GraphShape
from graphcl.methods import CcaSsg, Dgi, Grace, RandomInit, Raw
from graphcl.methods.recipe import Method
from graphcl.methods.two_view import TwoView
from graphcl.objectives import InfoNCE, info_nce, node_graph_bce
from graphcl.plan import Plan
from graphcl.seeding import Seeds, Stream
from graphcl.train import Step, _optimiser, embed, embedding, fit, recipe_of, start, train


@pytest.fixture(scope="module")
def graph():
    return csbm(nodes=60, classes=3, degree=6.0, homophily=0.8, features=12, seed=0)


class Bowl(Method):
    """Loss (w - 3)² on one parameter; records what it was asked."""

    def __init__(self, w=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(float(w)))
        self.progress = []
        self.modes = []

    def loss(self, batch, generator, part="model"):
        self.modes.append(self.training)
        return {"square": (self.w - 3) ** 2}

    def embed(self, batch):
        return batch.x * self.w

    def after_step(self, progress):
        self.progress.append(progress)


# --- equality with loops written by hand ------------------------------------------------------------------------------


def by_hand(method, terms, plan, generator, steps):
    """Adam written out: Kingma & Ba, algorithm 1, with L2 in the gradient."""
    stream = Stream(generator)
    state = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in method.named_parameters()}
    losses = []
    for t in range(1, steps + 1):
        with stream:
            loss = terms(method, generator)
            gradients = torch.autograd.grad(loss, list(method.parameters()))
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for (name, p), gradient in zip(method.named_parameters(), gradients, strict=True):
                gradient = gradient + plan.weight_decay * p
                m, v = state[name]
                m.mul_(0.9).add_(gradient, alpha=0.1)
                v.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                p -= plan.lr / (1 - 0.9**t) * m / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return losses


def grace_terms(data, recipe):
    def terms(method, generator):
        rows = []
        for edges, columns in zip(recipe.edge_dropout, recipe.feature_mask, strict=True):
            view = FeatureMask(columns)(MessageDropout(edges)(data, generator), generator)
            rows.append(method.projector(method.encoder(view.x, view.edge_index)))
        return info_nce(*rows, temperature=recipe.temperature)

    return terms


def dgi_terms(data, recipe):
    def terms(method, generator):
        fake = FeatureShuffle()(data, generator)
        real = method.encoder(data.x, data.edge_index)
        summary = method.weight @ torch.sigmoid(real.mean(0))
        return node_graph_bce(real, summary[None], method.encoder(fake.x, fake.edge_index))

    return terms


@pytest.mark.parametrize(
    ("recipe", "make_terms"),
    [
        (Grace(dim=8, projection=6, act="rrelu", plan=Plan(epochs=12, lr=0.01, weight_decay=0.1)), grace_terms),
        (Dgi(dim=8, plan=Plan(epochs=12, lr=0.01, weight_decay=0.1)), dgi_terms),
    ],
    ids=["grace", "dgi"],
)
def test_training_is_the_loop_written_by_hand(graph, recipe, make_terms):
    # rrelu draws on the global generator: the hand-written loop lends it the same private stream
    data = recipe.prepare(graph)
    method, twin = (recipe.build(GraphShape.of(graph), Seeds(0).torch("build")).double() for _ in range(2))
    data.x = data.x.double()
    steps = fit(method, FullGraph(data), recipe.plan, Seeds(0).torch("train"))
    losses = by_hand(twin.train(), make_terms(data, recipe), recipe.plan, Seeds(0).torch("train"), 12)
    assert [step.loss for step in steps] == pytest.approx(losses, rel=1e-10)
    untrained = recipe.build(GraphShape.of(graph), Seeds(0).torch("build")).double()
    named = zip(method.named_parameters(), twin.parameters(), untrained.parameters(), strict=True)
    for (name, mine), theirs, first in named:
        assert not torch.allclose(mine, first, rtol=1e-3), name
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")


def test_gradients_of_two_batches_do_not_add_up(graph):
    # one step on batch b after one on batch a, against fresh optimiser arithmetic
    method = Bowl()
    steps = fit(method, [graph, graph], Plan(epochs=1, lr=0.5), Seeds(0).torch("train"))
    # Adam, gradients -6 then 2 (w₁ - 3) with w₁ = 0.5: m₂ = 0.9·0.1·(-6) + 0.1·(-5), v₂ = 0.999·0.001·36 + 0.001·25
    m, v = (0.09 * -6 + 0.1 * -5) / (1 - 0.81), (0.000999 * 36 + 0.001 * 25) / (1 - 0.999**2)
    assert method.w.item() == pytest.approx(0.5 - 0.5 * m / math.sqrt(v), rel=1e-5)
    assert [step.loss for step in steps] == pytest.approx([9.0, 6.25])


# --- what a step tells -------------------------------------------------------------------------------------------------


def test_steps_count_updates_and_epochs(graph):
    method = Bowl()
    seen = [(s.n, s.epoch, s.progress) for s in train(method, [graph] * 2, Plan(epochs=4), Seeds(0).torch("t"))]
    assert seen == [(n + 1, n // 2 + 1, (n // 2 + 1) / 4) for n in range(8)]
    assert method.progress == [progress for _, _, progress in seen]
    assert method.modes == [True] * 8
    assert not method.training


def test_a_step_prints_its_terms():
    step = Step(n=7, epoch=3, progress=0.5, losses={"a": 1.0, "b": 0.25}, seconds=2.04)
    assert step.loss == 1.25
    assert str(step) == "step 7  epoch 3  a 1.0000  b 0.2500  2.0 s"


def test_after_step_runs_after_the_update(graph):
    seen = []

    class Watching(Bowl):
        def after_step(self, progress):
            seen.append(self.w.item())

    fit(Watching(), [graph], Plan(epochs=1, lr=0.5), Seeds(0).torch("t"))
    assert seen == pytest.approx([0.5])


def test_zero_epochs_train_nothing(graph):
    method = Bowl(w=1.0).train()
    assert fit(method, [graph], Plan(epochs=0), Seeds(0).torch("t")) == []
    assert method.w.item() == 1.0
    assert method.modes == []
    assert not method.training


def test_nothing_happens_before_the_first_step_is_asked_for(graph):
    method = Bowl()
    steps = train(method, [graph], Plan(epochs=3, lr=0.5), Seeds(0).torch("t"))
    assert method.w.item() == 0.0
    next(steps)
    assert method.w.item() == pytest.approx(0.5)


# --- several parts -----------------------------------------------------------------------------------------------------


class Rivals(Method):
    """A model that minimises (a - b)² and a rival that maximises it, stepped in turn."""

    parts = ("model", "rival")

    def __init__(self):
        super().__init__()
        self.model = nn.Linear(1, 1, bias=False)
        self.rival = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.model.weight, 1.0)
        nn.init.constant_(self.rival.weight, 2.0)
        self.asked = []

    def loss(self, batch, generator, part="model"):
        self.asked.append((part, round(self.model.weight.item(), 4), round(self.rival.weight.item(), 4)))
        gap = (self.model.weight - self.rival.weight).pow(2).sum()
        return {"gap": gap if part == "model" else -gap, "zero": gap * 0}

    def embed(self, batch):
        return self.model(batch.x)


def test_parts_are_stepped_in_turn_each_with_its_own_rate(graph):
    method = Rivals()
    plan = Plan(epochs=2, lr=0.1, part_lr={"rival": 0.01})
    steps = fit(method, [graph], plan, Seeds(0).torch("t"))
    # the first steps of Adam have the length of the rate; each part sees what the other has just done
    assert [ask[0] for ask in method.asked] == ["model", "rival", "model", "rival"]
    assert method.asked[:3] == [("model", 1.0, 2.0), ("rival", 1.1, 2.0), ("model", 1.1, 2.01)]
    assert list(steps[0].losses) == ["model/gap", "model/zero", "rival/gap", "rival/zero"]
    assert steps[0].losses["model/gap"] == pytest.approx(1.0)
    assert steps[0].losses["rival/gap"] == pytest.approx(-0.81)


def test_a_rate_for_a_part_that_is_not_there_is_refused(graph):
    with pytest.raises(UnknownNameError) as caught:
        fit(Rivals(), [graph], Plan(epochs=1, part_lr={"rivla": 0.1}), Seeds(0).torch("t"))
    expected = "unknown part or module of Rivals in the plan 'rivla': did you mean 'rival'? Known: model, rival"
    assert str(caught.value) == expected


def test_a_module_may_have_a_rate_and_a_penalty_of_its_own(graph):
    class Two(Method):
        def __init__(self):
            super().__init__()
            self.inside = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
            self.rest = nn.Parameter(torch.ones(1))
            for layer in self.inside.values():
                nn.init.constant_(layer.weight, 1.0)

        def loss(self, batch, generator, part="model"):
            return {"sum": self.inside["a"].weight.sum() + self.inside["b"].weight.sum() + self.rest.sum()}

        def embed(self, batch):
            return batch.x

    method = Two()
    # the name that lies deepest counts; the first steps of Adam have the length of the rate
    plan = Plan(epochs=1, lr=0.1, part_lr={"inside": 0.01, "inside.b": 0.001})
    fit(method, [graph], plan, Seeds(0).torch("t"))
    found = [method.inside["a"].weight.item(), method.inside["b"].weight.item(), method.rest.item()]
    assert found == pytest.approx([0.99, 0.999, 0.9])
    # the rate of a module and the penalty of the one it lies in
    plan = Plan(epochs=1, lr=0.1, part_lr={"inside.b": 0.001}, part_weight_decay={"inside": 3.0})
    (groups,) = (optimiser.param_groups for optimiser in [_optimiser(Two(), "model", plan)])
    found = sorted((group["lr"], group["weight_decay"]) for group in groups)
    assert found == [(0.001, 3.0), (0.1, 0.0), (0.1, 3.0)]
    for name in ("", "nothing"):
        with pytest.raises(UnknownNameError, match="in the plan"):
            fit(Two(), [graph], Plan(epochs=1, part_lr={name: 0.1}), Seeds(0).torch("t"))
    # a penalty of -slope / value holds a parameter where it is
    method = Two()
    with torch.no_grad():
        method.rest.fill_(-0.5)
        method.inside["a"].weight.fill_(-0.5)
    fit(method, [graph], Plan(epochs=1, lr=0.1, part_weight_decay={"model": 2.0, "inside": 0.0}), Seeds(0).torch("t"))
    assert method.rest.item() == pytest.approx(-0.5)
    assert method.inside["a"].weight.item() == pytest.approx(-0.6)


# --- patience ----------------------------------------------------------------------------------------------------------


def test_patience_stops_and_restores_the_parameters_of_the_lowest_loss(graph):
    # a rate so large that the minimum at 3 is overshot and the loss rises again
    method = Bowl()
    steps = fit(method, [graph], Plan(epochs=50, lr=1.9, patience=3), Seeds(0).torch("t"))
    losses = [step.loss for step in steps]
    lowest = losses.index(min(losses))
    assert 0 < lowest < len(losses) - 1
    assert len(losses) == lowest + 1 + 3
    # it is the loss these parameters have, not the one that led to them
    assert (method.w.item() - 3) ** 2 == pytest.approx(min(losses), rel=1e-6)


def test_patience_counts_from_each_new_lowest_loss(graph):
    class Scripted(Bowl):
        script = iter([5.0, 4.0, 4.5, 4.25, 3.0, 3.5, 3.125, 3.0, 9.0])

        def loss(self, batch, generator, part="model"):
            return {"scripted": self.w * 0 + next(self.script)}

    steps = fit(Scripted(), [graph], Plan(epochs=9, patience=3), Seeds(0).torch("t"))
    # an equal loss is no new lowest one
    assert [step.loss for step in steps] == [5.0, 4.0, 4.5, 4.25, 3.0, 3.5, 3.125, 3.0]


def test_without_patience_the_last_parameters_stay(graph):
    method = Bowl()
    steps = fit(method, [graph], Plan(epochs=10, lr=1.9), Seeds(0).torch("t"))
    assert len(steps) == 10
    assert (method.w.item() - 3) ** 2 != pytest.approx(min(step.loss for step in steps), rel=1e-3)


# --- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [Grace(dim=8), Dgi(dim=8), CcaSsg(dim=8)], ids=lambda r: type(r).__name__)
def test_a_diverging_rate_is_a_failed_run_that_says_what_to_lower(graph, recipe):
    with pytest.raises(RunFailedError, match=r" at step 2 \(epoch 2\); lower plan\.lr = 1e\+30$"):
        embed(recipe, graph, plan={"epochs": 30, "lr": 1e30})


def test_a_loss_that_is_not_finite_leaves_the_parameters_alone(graph):
    class Bad(Bowl):
        def loss(self, batch, generator, part="model"):
            return {"bad": self.w * math.nan}

    method = Bad(w=1.5)
    with pytest.raises(RunFailedError) as caught:
        fit(method, [graph], Plan(epochs=3, lr=0.25), Seeds(0).torch("t"))
    assert str(caught.value) == "the loss became nan at step 1 (epoch 1); lower plan.lr = 0.25"
    assert method.w.item() == 1.5
    assert method.progress == []


def test_embeddings_without_a_direction_are_a_failed_run_that_blames_no_rate(graph):
    class Bad(Bowl):
        def loss(self, batch, generator, part="model"):
            raise EmbeddingError("1 of 2 rows of `a` are zero", finite=True)

    with pytest.raises(RunFailedError) as caught:
        fit(Bad(w=1.5), [graph], Plan(epochs=3, lr=0.25), Seeds(0).torch("t"))
    assert str(caught.value) == "1 of 2 rows of `a` are zero, at step 1 (epoch 1)"


def test_a_gradient_that_is_not_finite_leaves_the_parameters_alone(graph):
    class Bad(Bowl):
        def loss(self, batch, generator, part="model"):
            return {"bad": (self.w - 1.5).abs().sqrt()}  # 0, with an infinite slope

    method = Bad(w=1.5)
    with pytest.raises(RunFailedError) as caught:
        fit(method, [graph], Plan(epochs=3, lr=0.25), Seeds(0).torch("t"))
    assert str(caught.value) == "a gradient became NaN or infinite at step 1 (epoch 1); lower plan.lr = 0.25"
    assert method.w.item() == 1.5


def test_a_failure_gives_the_global_state_back(graph):
    before = torch.get_rng_state()
    with pytest.raises(RunFailedError):
        embed("grace", graph, plan={"epochs": 5, "lr": 1e30})
    assert torch.equal(before, torch.get_rng_state())


def test_an_embedding_that_is_not_finite_is_a_failed_run(graph):
    method = Bowl(w=math.inf)
    with pytest.raises(RunFailedError, match="^the embedding holds NaN or infinite values; lower plan.lr"):
        embedding(method, graph)


def test_embedding_leaves_the_mode_as_it_was(graph):
    for mode in (True, False):
        method = Bowl(w=2.0).train(mode)
        assert torch.equal(embedding(method, graph), graph.x * 2)
        assert method.training is mode
        method.w.data.fill_(math.nan)
        with pytest.raises(RunFailedError):
            embedding(method, graph)
        assert method.training is mode


# --- randomness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grace", "dgi", "cca-ssg"])
def test_a_caller_who_draws_between_steps_changes_nothing(graph, name):
    recipe = recipe_of(name, changes={"dim": 8, "plan": {"epochs": 6}})
    if name == "grace":
        recipe = recipe.replace(act="rrelu")
    undisturbed = start(recipe, graph, 3)
    fitted = [step.loss for step in undisturbed.steps]
    disturbed = start(recipe, graph, 3)
    losses = []
    for step in disturbed.steps:
        losses.append(step.loss)
        torch.manual_seed(step.n)
        torch.rand(step.n)
        embedding(disturbed.method, disturbed.data)
    assert losses == fitted
    assert torch.equal(embedding(disturbed.method, disturbed.data), embedding(undisturbed.method, undisturbed.data))


def test_between_two_steps_the_callers_random_state_is_in_place(graph):
    torch.manual_seed(5)
    expected = torch.rand(4).tolist()
    torch.manual_seed(5)
    training = start(Grace(dim=8, plan=Plan(epochs=4), act="rrelu"), graph, 0)
    assert [torch.rand(1).item() for _ in training.steps] == expected


def test_two_trainings_side_by_side_do_not_disturb_each_other(graph):
    recipe = Grace(dim=8, act="rrelu", plan=Plan(epochs=5))
    alone = [step.loss for step in start(recipe, graph, 0).steps]
    first, second = start(recipe, graph, 0), start(recipe, graph, 1)
    pairs = [(a.loss, b.loss) for a, b in zip(first.steps, second.steps, strict=True)]
    assert [a for a, _ in pairs] == alone
    assert [b for _, b in pairs] != alone


# --- the one call ------------------------------------------------------------------------------------------------------


def test_embed_is_start_train_embedding(graph):
    h = embed("dgi", graph, seed=2, dim=8, plan={"epochs": 3})
    training = start(Dgi(dim=8, plan=Dgi().plan.replace(epochs=3)), graph, 2)
    assert len(list(training.steps)) == 3
    assert torch.equal(h, embedding(training.method, training.data))
    assert h.shape == (60, 8)
    assert not h.requires_grad


def test_embed_takes_overrides_of_a_recipe_and_of_its_plan(graph):
    assert embed("random-init", graph, dim=16).shape == (60, 16)
    assert embed(RandomInit(dim=16, layers=1), graph, dim=24).shape == (60, 24)
    changed = recipe_of(Grace(temperature=0.9), changes={"plan": {"epochs": 1}})
    assert (changed.temperature, changed.plan) == (0.9, Grace().plan.replace(epochs=1))
    assert Grace().plan.epochs == 200


def test_a_preset_is_taken_and_changes_win_over_it():
    assert recipe_of("grace", "citeseer").temperature == 0.9
    assert recipe_of("grace", "citeseer", {"temperature": 0.1}).temperature == 0.1
    assert recipe_of("grace", "citeseer", {"temperature": 0.1}).act == "prelu"
    assert recipe_of("grace", "karate") == Grace()  # known, without official settings


def test_a_preset_for_no_data_set_at_all_is_refused():
    with pytest.raises(UnknownNameError, match="^unknown data set 'citeser': did you mean 'citeseer'"):
        recipe_of("grace", "citeser")


def test_unknown_names_are_refused(graph):
    with pytest.raises(UnknownNameError, match="unknown method 'grcae': did you mean 'grace'"):
        embed("grcae", graph)
    with pytest.raises(UnknownNameError, match="unknown parameter of Grace 'temprature': did you mean 'temperature'"):
        embed("grace", graph, temprature=0.1)
    with pytest.raises(RequestError, match=r"^Grace\.temperature = 0: input should be greater than 0$"):
        embed("grace", graph, temperature=0)


def changed(graph, **fields):
    out = graph.clone()
    for name, value in fields.items():
        out[name] = value
    return out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: changed(g, x=None), "graph: no node features"),
        (lambda g: changed(g, x=g.x.log()), "graph: data.x holds"),
        (lambda g: changed(g, edge_index=g.edge_index + 1), "graph: edge_index names node 60 but there are only 60"),
        (lambda g: changed(g, edge_index=g.edge_index.int()), "graph: edge_index is torch.int32"),
        (lambda g: changed(g, edge_weight=torch.ones(3)), r"graph: edge_weight has shape \[3\]"),
        (lambda g: changed(g, edge_weight=-torch.ones(g.num_edges)), "graph: edge_weight holds negative"),
        (lambda g: [g, changed(g, x=None)], "graph 1: no node features"),
        (lambda g: [g, changed(g, x=g.x[:, :5])], "graph 1: 5 features where graph 0 has 12"),
        (lambda g: [], "the list of graphs is empty"),
        (lambda g: HeteroData(), "graph: expected a torch_geometric.data.Data, got HeteroData"),
        (lambda g: "cora", "graph: expected a torch_geometric.data.Data, got str"),
    ],
)
def test_embed_refuses_unusable_graphs(graph, make, message):
    with pytest.raises(DataError, match=f"^{message}"):
        embed("raw", make(graph))


def test_a_node_method_refuses_a_list_of_graphs(graph):
    with pytest.raises(RequestError, match="^Grace embeds nodes, and the data is at graph level"):
        embed("grace", [graph, graph])
    assert embed("raw", [graph, graph]).shape == (2, 12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_embed_takes_features_of_any_floating_type(graph, dtype):
    precise = changed(graph, x=graph.x.to(dtype), edge_weight=torch.ones(graph.num_edges, dtype=torch.float64))
    h = embed("grace", precise, dim=8, plan={"epochs": 2})
    plain = changed(graph, x=graph.x.to(dtype).float(), edge_weight=torch.ones(graph.num_edges))
    assert h.dtype == torch.float32
    assert torch.equal(h, embed("grace", plain, dim=8, plan={"epochs": 2}))
    assert precise.x.dtype == dtype


def test_embed_never_changes_the_graph(graph):
    directed = changed(graph, edge_index=graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]])
    before = directed.clone()
    embed("grace", directed, dim=8, plan={"epochs": 2})
    assert torch.equal(directed.x, before.x)
    assert torch.equal(directed.edge_index, before.edge_index)


def test_embed_makes_a_directed_graph_undirected(graph):
    half = changed(graph, edge_index=graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]])
    torch.testing.assert_close(embed("propagated", half), embed("propagated", graph))


def test_a_graph_without_edges_is_embedded(graph):
    lonely = changed(graph, edge_index=torch.empty(2, 0, dtype=torch.long))
    for name in ("grace", "dgi", "cca-ssg"):
        assert embed(name, lonely, plan={"epochs": 2}).isfinite().all()
    x = nn.functional.normalize(graph.x, dim=1)  # smoothed, too, with nothing but its own loop; L = I
    torch.testing.assert_close(embed("propagated-high", lonely), torch.cat([x, x, x], 1))


@pytest.mark.parametrize("name", ["raw", "propagated", "majority", "random-init"])
def test_a_control_with_epochs_is_refused(graph, name):
    with pytest.raises(RequestError, match=r"has nothing to train; leave plan\.epochs at 0$"):
        embed(name, graph, plan={"epochs": 1})


# --- weights -----------------------------------------------------------------------------------------------------------


def two_view(encoder):
    return TwoView(encoder, nn.Identity(), (Chain(), Chain()), InfoNCE())


def test_an_encoder_that_ignores_edge_weight_is_refused(graph):
    weighted = changed(graph, edge_weight=torch.ones(graph.num_edges))
    method = two_view(GraphSAGE(12, 4, num_layers=1))
    for call in (lambda: method.embed(weighted), lambda: method.loss(weighted, torch.Generator())):
        with pytest.raises(RequestError) as caught:
            call()
        expected = "GraphSAGE ignores edge_weight; use an encoder that supports it (GCN) or drop the weights"
        assert str(caught.value) == expected
    assert method.embed(graph).shape == (60, 4)


def test_an_encoder_that_knows_weights_gets_them(graph):
    method = two_view(GCN(12, [4]))
    weights = torch.rand(graph.num_edges, requires_grad=True)
    h = method.embed(changed(graph, edge_weight=weights))
    assert not torch.allclose(h, method.embed(graph))
    (gradient,) = torch.autograd.grad(h.sum(), weights)
    assert (gradient != 0).float().mean() > 0.9


def test_weights_of_one_are_no_weights(graph):
    weighted = changed(graph, edge_weight=torch.ones(graph.num_edges))
    torch.testing.assert_close(embed("dgi", weighted, plan={"epochs": 3}), embed("dgi", graph, plan={"epochs": 3}))


def test_raw_is_the_features(graph):
    assert torch.equal(embed(Raw(), graph), graph.x)
    torch.testing.assert_close(embed(Raw(features="row"), graph), graph.x / graph.x.abs().sum(1, keepdim=True))


def test_full_graph_yields_the_graph_once_an_epoch(graph):
    batches = FullGraph(graph)
    assert len(batches) == 1
    assert [torch.equal(batch.x, graph.x) for _ in range(2) for batch in batches] == [True, True]
    assert isinstance(next(iter(batches)), Data)
