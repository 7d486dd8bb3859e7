"""Methods without negatives and the asymmetric one: losses of one step against plain loops, targets by hand."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor
from torch_geometric.data import Data

from graphcl.data.block_model import csbm
from graphcl.errors import DataError, RequestError
from graphcl.graph import GraphShape
from graphcl.methods.afgrl import Afgrl, AfgrlMethod, _clusters
from graphcl.methods.bgrl import Bgrl, BgrlMethod
from graphcl.methods.graph_acl import GraphAcl, GraphAclMethod
from graphcl.methods.graph_barlow_twins import GraphBarlowTwins
from graphcl.methods.graph_vicreg import GraphVicreg
from graphcl.methods.recipe import Method, Recipe
from graphcl.methods.two_view import TwoView
from graphcl.seeding import Seeds
from graphcl.train import start

RECIPES = [Afgrl, Bgrl, GraphAcl, GraphBarlowTwins, GraphVicreg]


@pytest.fixture
def double() -> Iterator[None]:
    """Parameters and features in float64, so that plain loops agree to many digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def graph() -> Data:
    return csbm(nodes=25, classes=3, degree=4.0, homophily=0.8, features=6, seed=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(recipe: Recipe, data: Data) -> tuple[Any, Data]:
    ready = recipe.prepare(data)
    return recipe.build(GraphShape.of(ready), Seeds(0).torch("build")), ready


def total(method: Method, data: Data, seed: int = 0) -> float:
    return sum(float(term.detach()) for term in method.loss(data, seeded(seed)).values())


def cosine(u: Tensor, v: Tensor) -> float:
    u, v = u.detach(), v.detach()
    lengths = math.sqrt(float(u @ u)) * math.sqrt(float(v @ v))
    return float(u @ v) / lengths if lengths else 0.0


def moved(method: Method) -> None:
    """Let the trained encoder leave its target."""
    with torch.no_grad():
        for number, parameter in enumerate(method.get_submodule("encoder").parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=seeded(number)), alpha=0.3)


# BGRL


@pytest.mark.usefixtures("double")
def test_bgrl_predicts_each_view_from_the_other(graph: Data) -> None:
    method, data = built(Bgrl(dim=4, predictor=5), graph)
    generator = seeded()
    views = [view(data, generator) for view in method.views]
    online = [method.predictor(method.encoder(v.x, v.edge_index)) for v in views]
    target = [method.target(v.x, v.edge_index) for v in views]
    n = data.num_nodes
    expected = 2 - sum(cosine(online[0][i], target[1][i]) + cosine(online[1][i], target[0][i]) for i in range(n)) / n
    assert total(method, data) == pytest.approx(expected)


def test_bgrl_begins_with_a_target_of_its_own_that_no_gradient_reaches(graph: Data) -> None:
    method, data = built(Bgrl(dim=4), graph)
    assert isinstance(method, BgrlMethod)
    assert not torch.equal(method.encoder.layers[0].lin.weight, method.target.layers[0].lin.weight)
    method.loss(data, seeded())["bootstrap"].backward()
    assert not any(parameter.requires_grad for parameter in method.target.parameters())
    assert all(parameter.grad is not None for parameter in method.encoder.parameters())


@pytest.mark.parametrize("progress", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("recipe", [Bgrl(dim=4, momentum=0.6), Afgrl(dim=4, momentum=0.6)])
def test_the_momentum_of_the_target_rises_with_the_training(recipe: Recipe, graph: Data, progress: float) -> None:
    method, _ = built(recipe, graph)
    moved(method)
    before = [parameter.clone() for parameter in method.target.parameters()]
    method.after_step(progress)
    weight = 0.4 * (1 + math.cos(math.pi * progress)) / 2
    for slow, old, new in zip(method.target.parameters(), before, method.encoder.parameters(), strict=True):
        assert torch.allclose(slow, (1 - weight) * old + weight * new)


def test_the_target_moves_in_each_step_and_rests_at_the_last(graph: Data) -> None:
    recipe = Bgrl(dim=4).replace(plan=Bgrl().plan.replace(epochs=3, warmup=0.0, lr=0.1, device="cpu"))
    training = start(recipe, graph, 0)
    weight = training.method.get_parameter("target.layers.0.lin.weight")
    states = [weight.clone(), *(weight.clone() for _ in training.steps)]
    assert [torch.equal(a, b) for a, b in pairwise(states)] == [False, False, True]


def test_bgrl_normalises_every_layer_with_slopes_of_its_own(graph: Data) -> None:
    method, _ = built(Bgrl(dim=4, statistics=0.2), graph)
    assert [norm.num_features for norm in method.encoder.norms] == [8, 4]
    assert [norm.momentum for norm in method.encoder.norms] == [0.2, 0.2]
    assert len(method.encoder.act) == 2


# AFGRL


@pytest.mark.usefixtures("double")
def test_afgrl_positives_are_near_and_adjacent_or_in_a_shared_cluster(graph: Data) -> None:
    recipe = Afgrl(dim=5, neighbours=6, centroids=4, runs=2)
    method, data = built(recipe, graph)
    moved(method)
    online, aimed = method.encoder(data.x, data.edge_index), method.target(data.x, data.edge_index)
    generator = seeded()
    spheres = F.normalize(aimed, dim=1)
    labels = [_clusters(spheres, 4, recipe.iterations, generator).tolist() for _ in range(2)]
    edges = set(map(tuple, data.edge_index.T.tolist()))
    expected, by_edge, by_cluster = set(), 0, 0
    for i in range(data.num_nodes):
        others = sorted((j for j in range(data.num_nodes) if j != i), key=lambda j: -cosine(online[i], aimed[j]))
        expected.add((i, i))
        for j in others[:5]:
            adjacent, together = (j, i) in edges, any(label[i] == label[j] for label in labels)
            by_edge, by_cluster = by_edge + (adjacent and not together), by_cluster + (together and not adjacent)
            if adjacent or together:
                expected.add((i, j))
    found = method.positives(online, aimed, data, seeded())
    assert set(map(tuple, found.T.tolist())) == expected
    assert found.size(1) == len(expected), "no pair twice"
    assert min(by_edge, by_cluster, 25 * 6 - len(expected)) > 0, "the case has pairs of either kind and some of neither"


@pytest.mark.usefixtures("double")
def test_afgrl_predicts_both_nodes_of_each_pair(graph: Data) -> None:
    method, data = built(Afgrl(dim=5, centroids=4), graph)
    moved(method)
    online, aimed = method.encoder(data.x, data.edge_index), method.target(data.x, data.edge_index)
    predicted = method.predictor(online)
    pairs = method.positives(online, aimed, data, seeded()).T.tolist()
    each = [4 - 2 * cosine(predicted[i], aimed[j]) - 2 * cosine(predicted[j], aimed[i]) for i, j in pairs]
    assert total(method, data) == pytest.approx(sum(each) / len(each))


def test_afgrl_with_one_candidate_is_its_own_positive(graph: Data) -> None:
    method, data = built(Afgrl(dim=4, neighbours=1), graph)
    h = torch.randn(25, 4, generator=seeded())
    assert method.positives(h, h, data, seeded()).tolist() == [list(range(25))] * 2


def test_afgrl_begins_with_its_target_as_a_copy(graph: Data) -> None:
    method, _ = built(Afgrl(dim=4), graph)
    pairs = zip(method.encoder.parameters(), method.target.parameters(), strict=True)
    assert all(torch.equal(a, b) and not b.requires_grad for a, b in pairs)
    assert isinstance(method, AfgrlMethod)
    assert method.predictor.first.bias.eq(0.01).all()


def test_k_means_is_that_of_scikit_learn_from_the_same_centres() -> None:
    x = torch.randn(200, 3, generator=seeded(5), dtype=torch.float64)
    first = x[torch.randperm(200, generator=seeded(0))[:7]]
    theirs = KMeans(7, init=first.numpy(), n_init=1, max_iter=300, tol=0.0, algorithm="lloyd").fit(x.numpy())
    assert _clusters(x, 7, 300, seeded(0)).tolist() == theirs.labels_.tolist()


def test_k_means_stops_when_told_and_keeps_empty_clusters() -> None:
    x = torch.randn(60, 2, generator=seeded(5))
    first = x[torch.randperm(60, generator=seeded(0))[:9]]
    closest = (x[:, None] - first[None]).pow(2).sum(2).argmin(1)
    centres = torch.stack([x[closest == k].mean(0) for k in range(9)])
    again = (x[:, None] - centres[None]).pow(2).sum(2).argmin(1)
    assert torch.equal(_clusters(x, 9, 1, seeded(0)), again)
    assert not torch.equal(again, _clusters(x, 9, 50, seeded(0)))
    for seed in range(5):  # one of three clusters of two points is empty
        label = _clusters(torch.tensor([[0.0], [0.0], [0.0], [5.0]]), 3, 10, seeded(seed)).tolist()
        assert label[0] == label[1] == label[2] != label[3]


# GraphACL


def neighbours_of(data: Data, loops: bool) -> list[dict[int, float]]:
    weights = data.edge_weight.tolist() if "edge_weight" in data else [1.0] * data.num_edges
    out: list[dict[int, float]] = [{} for _ in range(data.num_nodes)]
    for (u, v), w in zip(data.edge_index.T.tolist(), weights, strict=True):
        out[v][u] = w
    if loops:
        for v, near in enumerate(out):
            near.setdefault(v, 1.0)
    return out


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loops", [False, True])
def test_graph_acl_tells_neighbours_from_all_nodes(graph: Data, loops: bool, weighted: bool) -> None:
    keep = (graph.edge_index != 24).all(0)  # an isolated node
    graph.edge_index = graph.edge_index[:, keep]
    if weighted:
        graph.edge_weight = 0.5 + (graph.edge_index.sum(0) % 7).double()
    method, data = built(GraphAcl(dim=5, temperature=0.4, self_loops=loops), graph)
    moved(method)
    weight = data.get("edge_weight")
    h, aimed = (f(data.x, data.edge_index, weight).detach() for f in (method.encoder, method.target))
    predicted = method.predictor(h)
    losses = []
    for v, near in enumerate(neighbours_of(data, loops)):
        far = sum(math.exp(cosine(h[v], h[w]) / 0.4) for w in range(data.num_nodes))
        each = [(share, math.exp(cosine(predicted[v], aimed[u]) / 0.4)) for u, share in near.items()]
        if each:
            losses.append(-sum(w * math.log(e / (e + far)) for w, e in each) / sum(w for w, _ in each))
    assert len(losses) == 25 - (not loops)
    assert total(method, data) == pytest.approx(sum(losses) / len(losses))


@pytest.mark.usefixtures("double")
def test_graph_acl_with_drawn_negatives(graph: Data) -> None:
    method, data = built(GraphAcl(dim=5, negatives=3, predictor_layers=2), graph)
    moved(method)
    h, aimed = (f(data.x, data.edge_index).detach() for f in (method.encoder, method.target))
    predicted = method.predictor(h)
    drawn = torch.randint(25, (25, 3), generator=seeded(4)).tolist()
    expected = 0.0
    for v, near in enumerate(neighbours_of(data, loops=True)):
        far = sum(math.exp(cosine(h[v], h[w]) / 0.5) for w in drawn[v])
        each = [math.exp(cosine(predicted[v], aimed[u]) / 0.5) for u in near]
        expected -= sum(math.log(e / (e + far)) for e in each) / len(each) / 25
    assert total(method, data, seed=4) == pytest.approx(expected)
    assert total(method, data, seed=5) != pytest.approx(expected), "other negatives in another draw"


def test_graph_acl_has_a_finite_gradient_where_an_embedding_is_zero() -> None:
    data = Data(x=torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
    method, ready = built(GraphAcl(dim=4, features="raw"), data)
    assert method.embed(ready)[2].eq(0).all()
    method.loss(ready, seeded())["contrast"].backward()
    gradients = torch.cat([p.grad.flatten() for p in method.parameters() if p.requires_grad])
    assert 0 < float(gradients.abs().max()) < 10


def test_graph_acl_moves_its_target_by_a_constant_momentum(graph: Data) -> None:
    method, _ = built(GraphAcl(dim=4, momentum=0.75), graph)
    assert isinstance(method, GraphAclMethod)
    moved(method)
    old = method.target.layers[1].lin.weight.clone()
    method.after_step(1.0)
    assert torch.allclose(method.target.layers[1].lin.weight, 0.75 * old + 0.25 * method.encoder.layers[1].lin.weight)


def test_graph_acl_without_self_loops_needs_an_edge() -> None:
    data = Data(x=torch.ones(3, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(DataError, match="the graph has no edges"):
        GraphAcl(self_loops=False).prepare(data)
    assert GraphAcl().prepare(data).num_nodes == 3


# Graph Barlow Twins and VICReg


def two_views(method: TwoView, data: Data) -> list[Tensor]:
    generator = seeded()
    seen = [view(data, generator) for view in method.now]
    return [method.projector(method.encoder(v.x, v.edge_index)).detach() for v in seen]


@pytest.mark.usefixtures("double")
def test_barlow_twins_correlates_the_linear_last_layer(graph: Data) -> None:
    method, data = built(GraphBarlowTwins(dim=4), graph)
    assert len(method.encoder.norms) == 1, "no normalisation after the last layer"
    a, b = ((h - h.mean(0)) / h.std(0) for h in two_views(method, data))
    correlation = a.T @ b / 25
    expected = 0.0
    for k in range(4):
        for m in range(4):
            expected += float((1 - correlation[k, k]) ** 2) if k == m else float(correlation[k, m] ** 2) / 4
    assert total(method, data) == pytest.approx(expected)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("projection", [None, 6])
def test_vicreg_weighs_its_three_terms(graph: Data, projection: int | None) -> None:
    method, data = built(GraphVicreg(dim=4, projection=projection, invariance=2.0, variance=3.0, covariance=5.0), graph)
    a, b = two_views(method, data)
    width = projection or 4
    assert a.shape == (25, width)
    expected = 2.0 * float((a - b).pow(2).mean())
    for h in (a, b):
        covariance = torch.cov(h.T)
        deviation = (covariance.diagonal() + 1e-4).sqrt()
        expected += 3.0 / 2 * float((1 - deviation).clamp(min=0).mean())
        expected += 5.0 * float(covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()) / width
    assert total(method, data) == pytest.approx(expected)


# settings


def test_official_settings_of_bgrl() -> None:
    photo = Bgrl.preset("amazon-photo")
    assert (photo.dim, photo.predictor, photo.momentum) == (128, 512, 0.99)
    assert (photo.edge_dropout, photo.feature_mask) == ((0.4, 0.1), (0.1, 0.2))
    plan = photo.plan
    assert (plan.epochs, plan.lr, plan.weight_decay, plan.optimiser) == (10_000, 1e-4, 1e-5, "adamw")
    assert (plan.rate_at(500 / 10_000), plan.rate_at(1000 / 10_000)) == (0.5, 1.0)
    assert plan.rate_at(5500 / 10_000) == pytest.approx(0.5)
    assert Bgrl.preset("amazon-computers").plan.lr == 5e-4
    assert Bgrl.preset("coauthor-physics").plan.lr == 1e-5


def test_official_settings_of_graph_acl() -> None:
    cora = GraphAcl.preset("cora")
    assert (cora.dim, cora.layers, cora.temperature, cora.momentum, cora.negatives) == (2048, 2, 1.0, 0.97, None)
    assert (cora.plan.epochs, cora.plan.lr, cora.plan.weight_decay) == (50, 5e-4, 1e-6)
    texas, chameleon = GraphAcl.preset("texas"), GraphAcl.preset("chameleon")
    assert (texas.dim, texas.temperature, texas.momentum, texas.features) == (2048, 0.75, 0.95, "row")
    assert (texas.act, texas.self_loops, texas.negatives, texas.plan.weight_decay) == ("none", False, 5, 3e-4)
    assert (chameleon.dim, chameleon.momentum, chameleon.plan.epochs, chameleon.plan.lr) == (4096, 0.999, 30, 1e-4)
    assert GraphAcl.preset("actor").predictor_layers == 2


def test_official_settings_of_the_others() -> None:
    photo, wiki = GraphBarlowTwins.preset("amazon-photo"), Afgrl.preset("wiki-cs")
    assert (photo.dim, photo.edge_dropout, photo.feature_mask, photo.plan.lr) == (256, 0.1, 0.3, 1e-4)
    assert (wiki.dim, wiki.predictor, wiki.neighbours, wiki.features) == (1024, 2048, 8, "raw")
    assert Afgrl.preset("coauthor-physics").plan.lr == 1e-2


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (Bgrl, {"momentum": 1.5}, "Bgrl.momentum = 1.5"),
        (Bgrl, {"edge_dropout": (1.0, 0.1)}, r"Bgrl.edge_dropout\[0\] = "),
        (Afgrl, {"neighbours": 0}, "Afgrl.neighbours = 0"),
        (GraphAcl, {"temperature": 0.0}, "GraphAcl.temperature = 0.0"),
        (GraphAcl, {"predictor_layers": 3}, "GraphAcl.predictor_layers = 3"),
        (GraphBarlowTwins, {"decorrelation": -1.0}, "GraphBarlowTwins.decorrelation = -1.0"),
        (GraphVicreg, {"variance": -1.0}, "GraphVicreg.variance = -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(recipe: type[Recipe], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        recipe(**settings)


@pytest.mark.parametrize("recipe", RECIPES)
def test_lists_of_graphs_are_refused(recipe: type[Recipe]) -> None:
    with pytest.raises(RequestError, match="embeds nodes"):
        recipe().build(GraphShape(3, "graph"), seeded())


def test_encoders_take_mostly_zero_features_in_sparse_form() -> None:
    data = Data(x=torch.eye(300), edge_index=torch.tensor([[0, 1], [1, 0]]))
    for recipe in (Bgrl(dim=4), Afgrl(dim=4), GraphAcl(dim=4)):
        training = start(recipe.replace(plan=recipe.plan.replace(epochs=1, device="cpu")), data, 0)
        assert training.data.x.layout == torch.sparse_csr
        assert math.isfinite(next(iter(training.steps)).loss)
