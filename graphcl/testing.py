"""The contracts every part keeps, as functions anybody can run on a part of their own.

Each ``check_*`` raises `ContractError` with one line that says which promise is broken, and returns the list of
promises it found kept. ``graphcl check package.module:Thing`` runs the right one.
"""

import copy
import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import Compose

from graphcl.augment.augmenter import Augmenter
from graphcl.catalogue import KINDS
from graphcl.config import Config, decode, encode
from graphcl.data.block_model import csbm
from graphcl.data.loading import labels, load, open_dataset
from graphcl.data.spec import DatasetSpec
from graphcl.data.splits import Split, draw
from graphcl.errors import GraphclError, RequestError
from graphcl.evaluate.probes import Probe
from graphcl.evaluate.scoring import score
from graphcl.graph import GraphShape, check_graph, fingerprint, is_symmetric
from graphcl.methods.recipe import Recipe
from graphcl.objectives.objective import Objective
from graphcl.seeding import Seeds
from graphcl.train import embedding, start

__all__ = [
    "ContractError",
    "check",
    "check_augmenter",
    "check_config",
    "check_dataset",
    "check_objective",
    "check_probe",
    "check_recipe",
    "sample_graph",
]


class ContractError(GraphclError, AssertionError):
    """A part breaks a promise."""


class _Promises:
    """Collects what was kept, raises at what was not."""

    def __init__(self, part: object) -> None:
        self.part = part
        self.kept: list[str] = []

    def require(self, holds: object, promise: str, found: object = None) -> None:
        if not holds:
            detail = "" if found is None else f" (found {found})"
            raise ContractError(f"{self.part}: broken promise: {promise}{detail}")
        if promise not in self.kept:
            self.kept.append(promise)


def sample_graph(seed: int = 0, nodes: int = 60, *, directed: bool = False) -> Data:
    """A small random graph that carries everything a view must keep aligned; its last node is isolated.

    Args:
        seed: draws it.
        nodes: N.
        directed: keep one direction of each edge.
    """
    generator = Seeds(seed).torch("sample graph")
    pairs = torch.randint(nodes - 1, (2, 4 * nodes), generator=generator)
    pairs = torch.unique(pairs[:, pairs[0] < pairs[1]], dim=1)
    weight = torch.rand(pairs.size(1), generator=generator) + 0.5
    attr = torch.randn(pairs.size(1), 3, generator=generator)
    if not directed:
        pairs, weight, attr = torch.cat([pairs, pairs.flip(0)], 1), weight.repeat(2), attr.repeat(2, 1)
    return Data(
        x=torch.randn(nodes, 40, generator=generator) + 3.0,
        edge_index=pairs,
        edge_weight=weight,
        edge_attr=attr,
        y=torch.randint(3, (nodes,), generator=generator),
        train_mask=torch.rand(nodes, generator=generator) < 0.5,
    )


def _tensors(data: Data) -> dict[str, Tensor]:
    return {name: value for name, value in data.to_dict().items() if isinstance(value, Tensor)}


def _same(a: Data, b: Data) -> bool:
    mine, other = _tensors(a), _tensors(b)
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def _leaves_global_random_state(call: Callable[[], Any]) -> bool:
    with torch.random.fork_rng(devices=[]):
        # a state of its own: a part that always seeds the process alike would leave its own state as it found it
        torch.manual_seed(0x5EED)
        before = torch.get_rng_state()
        call()
        return torch.equal(before, torch.get_rng_state())


def check_config(config: Config) -> list[str]:
    """A part's hyper-parameters: hashable, equal to their copy, carried through JSON, unknown keys refused."""
    promises = _Promises(config)
    cls = type(config)
    promises.require(_leaves_global_random_state(cls), "construction leaves the global random state alone")
    promises.require(copy.copy(config) == config, "equal to its copy")
    try:
        values = json.loads(json.dumps(encode(config)))
    except TypeError:
        return promises.kept  # parts that hold parts (chains) are Python objects, not file formats
    values_held = (getattr(config, field.name) for field in fields(cls))  # type: ignore[arg-type]
    nested = any(isinstance(value, (Config, tuple)) for value in values_held)
    try:
        again = decode(cls, values)
    except GraphclError:
        promises.require(nested, "carried through JSON")
        return promises.kept
    promises.require(again == config, "carried through JSON unchanged", again)
    try:
        decode(cls, {"no_such_parameter": 1})
    except RequestError as error:
        promises.require("no_such_parameter" in str(error), "an unknown parameter is refused by name")
    else:
        promises.require(False, "an unknown parameter is refused by name")
    return promises.kept


def check_augmenter(augmenter: Augmenter) -> list[str]:
    """Purity, seeds, alignment, symmetry, rates, batches, two graphs in a row.

    Args:
        augmenter: an instance.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.augment import EdgeDropout
        >>> "an undirected graph stays undirected" in check_augmenter(EdgeDropout(0.3))
        True
    """
    promises = _Promises(augmenter)
    promises.kept += check_config(augmenter)

    def view(data: Data, seed: int = 1) -> Data:
        return augmenter(data, torch.Generator().manual_seed(seed))

    first, second = sample_graph(0), sample_graph(1, nodes=45)
    batch = Batch.from_data_list([first, second])
    bare = Data(x=torch.ones(3, 40), edge_index=torch.empty(2, 0, dtype=torch.long))
    for data in (first, second, sample_graph(2, directed=True), batch, bare):
        before = copy.deepcopy(data)
        out = view(data)
        promises.require(_same(before, data), "the input is never changed")
        promises.require(_same(out, view(data)), "the same seed gives the same view")
        promises.require(_leaves_global_random_state(partial(view, data)), "with a generator the global one stays")
        edges = out.edge_index.size(1)
        for name, value in _tensors(out).items():
            if name in ("edge_weight", "edge_attr"):
                promises.require(value.size(0) == edges, "edge attributes stay aligned with the edges")
            if name in ("y", "train_mask"):
                promises.require(value.size(0) == out.num_nodes, "node attributes stay aligned with the nodes")
        try:
            check_graph(out)
        except GraphclError as error:
            promises.require(False, "a view is a usable graph", error)
    if augmenter.keeps_symmetry:
        promises.require(is_symmetric(view(first)), "an undirected graph stays undirected")
    weights = view(first).edge_weight
    promises.require(weights is not None, "edge weights are carried along")

    # a twin that meets another graph first, and views of graphs that differ: a cache gives itself away in one of them
    third = sample_graph(0)
    third.update({"x": third.x.flip(0) + 1, "edge_index": third.num_nodes - 1 - third.edge_index})
    fresh = augmenter.replace()
    promises.require(_same(fresh(third, torch.Generator().manual_seed(1)), view(third)), "no memory of other graphs")
    promises.require(not _same(view(first), view(third)), "no memory of other graphs")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        one = Compose([augmenter])(first)
        torch.manual_seed(3)
        promises.require(_same(one, augmenter(first)), "works in T.Compose, drawing on torch's own generator")

    if augmenter.takes_sparse_features:
        sparse = copy.copy(first)
        sparse.x = first.x.to_sparse_csr()
        out = view(sparse)
        promises.require(out.x.layout == torch.sparse_csr, "sparse features stay sparse")
        out.x = out.x.to_dense()
        promises.require(_same(out, view(first)), "sparse features give the view of the dense ones")

    if isinstance(getattr(augmenter, "rate", None), float):
        # at a rate of its own and at one that differs from its complement, so that an inverted rate shows
        once = view(third)
        for rate in (augmenter.rate, 0.3):
            holds = not 0.05 < rate < 0.95 or _removes_its_rate(augmenter.replace(rate=rate), rate)
            promises.require(holds, "removes the share that `rate` says")
        promises.require(_same(once, view(third)), "another instance does not change this one")
    return promises.kept


def _removes_its_rate(augmenter: Augmenter, rate: float) -> bool:
    """Whether the share of removed edges, or of zeroed features, is ``rate`` within five standard errors."""
    data = sample_graph(4, nodes=400)
    data.x = torch.ones(400, 400)
    edges, columns, repeats = data.num_edges // 2, 400, 20
    removed_edges = removed_features = 0.0
    for seed in range(repeats):
        out = augmenter(data, torch.Generator().manual_seed(seed))
        removed_edges += 1 - out.num_edges / data.num_edges
        removed_features += float((out.x == 0).double().mean()) if out.x.shape == data.x.shape else 0.0

    def fits(removed: float, trials: int) -> bool:
        return abs(removed / repeats - rate) < 5 * (rate * (1 - rate) / (trials * repeats)) ** 0.5

    return fits(removed_edges, edges) or fits(removed_features, columns)


def check_objective(objective: Objective) -> list[str]:
    """Equality with the plain reference, invariance to the order of nodes, gradients, half the precision.

    Args:
        objective: an instance.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.objectives import InfoNCE
        >>> "equals its plain reference" in check_objective(InfoNCE(0.4))
        True
    """
    promises = _Promises(objective)
    promises.kept += check_config(objective)
    for seed in range(3):
        inputs = objective.sample(torch.Generator().manual_seed(seed), n=5 + seed, d=3 + seed)
        value = objective(**inputs)
        expected = objective.reference(**inputs)
        promises.require(value.dim() == 0, "returns a scalar")
        silent = _leaves_global_random_state(partial(objective, **inputs))
        promises.require(silent and torch.equal(objective(**inputs), value), "draws no random numbers")
        promises.require(abs(float(value) - expected) < 1e-9 * max(1, abs(expected)), "equals its plain reference")

        n = inputs["a"].size(0)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        moved = {name: rows[order] if rows.size(0) == n else rows for name, rows in inputs.items()}
        promises.require(torch.allclose(objective(**moved), value), "does not depend on the order of the nodes")

        leaves = {name: rows for name, rows in inputs.items() if rows.is_floating_point()}
        rest = {name: rows for name, rows in inputs.items() if name not in leaves}

        def call(*rows: Tensor, names: Sequence[str] = tuple(leaves), rest: dict[str, Tensor] = rest) -> Tensor:
            return objective(**dict(zip(names, rows, strict=True)), **rest)

        ready = tuple(rows.clone().requires_grad_() for rows in leaves.values())
        promises.require(torch.autograd.gradcheck(call, ready, raise_exception=False), "has exact gradients")
        single = {name: rows.float() if rows.is_floating_point() else rows for name, rows in inputs.items()}
        promises.require(torch.allclose(objective(**single).double(), value, rtol=1e-4), "holds in float32")
    return promises.kept


def check_recipe(recipe: Recipe) -> list[str]:
    """A paper's recipe: builds, trains, embeds; deterministic, equivariant, differentiable, free of side effects.

    Args:
        recipe: an instance; it is trained for a few epochs on a 60-node block model.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.methods import Raw
        >>> "the same seed gives the same bits" in check_recipe(Raw())
        True
    """
    promises = _Promises(type(recipe).__name__)
    promises.kept += check_config(recipe)
    for dataset in recipe.presets:
        preset = type(recipe).preset(dataset)
        promises.require(decode(type(recipe), encode(preset)) == preset, "official settings are carried through JSON")
    promises.require(recipe.control or recipe.paper is not None, "a method names its paper")
    short = recipe.replace(plan=recipe.plan.replace(epochs=min(recipe.plan.epochs, 15), device="cpu"))
    graph = csbm(nodes=60, classes=3, degree=6.0, homophily=0.8, features=12, seed=0)
    before = copy.deepcopy(graph)

    def trained(seed: int = 0, data: Data = graph) -> tuple[Any, Tensor, list[float]]:
        training = start(short, data, seed)
        losses = [step.loss for step in training.steps]
        return training, embedding(training.method, training.data), losses

    results: list[tuple[Any, Tensor, list[float]]] = []
    silent = _leaves_global_random_state(lambda: results.append(trained()))
    promises.require(silent, "the global random state stays as it was")
    training, h, losses = results[0]
    promises.require(_same(before, graph), "the graph is never changed")
    promises.require(h.size(0) == graph.num_nodes and h.dim() == 2, "embeds every node", list(h.shape))
    promises.require(not h.requires_grad, "an embedding is a plain tensor")
    promises.require(torch.equal(h, trained()[1]), "the same seed gives the same bits")
    if losses:
        promises.require(losses[-1] < losses[0], "the loss falls", losses)
        promises.require(not torch.equal(h, trained(seed=1)[1]), "another seed gives another embedding")

    interrupted = start(short, graph, 0)
    with torch.random.fork_rng(devices=[]):
        for _ in interrupted.steps:
            torch.rand(7)  # a caller who draws between two steps changes nothing
    promises.require(
        torch.equal(h, embedding(interrupted.method, interrupted.data)), "the caller's draws change nothing"
    )

    again = short.build(GraphShape.of(graph), Seeds(9).torch("build"))
    again.load_state_dict(training.method.state_dict())
    promises.require(torch.equal(h, embedding(again, training.data)), "a loaded checkpoint embeds the same")

    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    place = torch.empty_like(order)
    place[order] = torch.arange(60)
    moved = Data(x=graph.x[order], edge_index=place[graph.edge_index], y=graph.y[order])
    close = torch.allclose(embedding(training.method, short.prepare(moved)), h[order], atol=1e-4, rtol=1e-4)
    promises.require(close, "renumbering the nodes renumbers the embedding")

    ready = short.prepare(graph)
    ready.x = ready.x.clone().requires_grad_()
    out = training.method.eval().embed(ready)
    promises.require(out.requires_grad, "the embedding is differentiable in the features")
    if "graph" in recipe.levels:
        pooled = start(short, [graph, graph.clone()], 0)
        promises.require(embedding(pooled.method, pooled.data).size(0) == 2, "embeds every graph of a list")
    return promises.kept


def check_probe(probe: Probe) -> list[str]:
    """Perfect embeddings score 1, shuffled labels chance, and the test labels do not move the fit by one bit.

    Args:
        probe: an instance.

    Raises:
        ContractError: at the first broken promise.
    """
    promises = _Promises(probe)
    promises.kept += check_config(probe)
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(300) % 3
    split = draw("random-10-10-80", y, seed=0)
    promises.require(json.dumps(probe.describe()), "describes its grid as plain values")
    skewed = torch.tensor([2, 2, 2, 0, 1]).repeat(60)
    uneven = draw("random-10-10-80", skewed, seed=0)
    perfect = score(torch.eye(3)[skewed], skewed, uneven, probe).metrics["acc/test"]
    floor = float((skewed[uneven.triples[0].test] == 2).double().mean())
    promises.require(
        perfect in (1.0, floor), "reads off a perfect embedding, or always says the commonest label", perfect
    )
    noise = score(torch.randn(300, 5, generator=generator), y, split, probe).metrics
    promises.require(0.2 < noise["acc/test"] < 0.47, "is at chance on noise", noise)

    h = torch.eye(3)[y] + torch.randn(300, 3, generator=generator)
    spoilt = y.clone()
    spoilt[split.triples[0].test] = (spoilt[split.triples[0].test] + 1) % 3
    honest, blind = (score(h, labels, split, probe) for labels in (y, spoilt))
    silent = _leaves_global_random_state(lambda: score(h, y, split, probe))
    promises.require(silent, "the global random state stays as it was")
    promises.require(honest.chosen == blind.chosen, "selection does not see the test labels")
    promises.require(honest.metrics["acc/val"] == blind.metrics["acc/val"], "the fit does not see the test labels")
    # no row is right under both labellings, unless its prediction followed the label
    both = honest.metrics["acc/test"] + blind.metrics["acc/test"]
    promises.require(both <= 1 + 1e-9, "predictions do not follow the test labels", both)
    return promises.kept


def check_dataset(spec: DatasetSpec) -> list[str]:
    """Counts, fingerprint, published splits, the default split; reads the files, so they must be there.

    Args:
        spec: the facts.

    Raises:
        ContractError: at the first broken promise.
        DataError: the files cannot be had or are not what they should be.
    """
    promises = _Promises(spec.name)
    _, graphs, _ = open_dataset(spec.name)  # checks counts and raw files
    promises.kept.append("holds the counts it states")
    content = fingerprint(graphs)
    promises.require(spec.content in (None, content), "has the fingerprint it states", content)
    _, again, _ = open_dataset(spec.name)
    promises.require(fingerprint(again) == content, "reads the same twice")
    members = [graphs] if isinstance(graphs, Data) else graphs
    if not spec.directed:
        promises.require(all(is_symmetric(graph) for graph in members), "is undirected, as it states")
    y = labels(graphs)
    promises.require(int(y.min()) >= -1, "labels are class numbers, or -1")
    for name in (spec.default_split, *spec.splits):
        split = load(spec.name, name)[1]
        promises.require(isinstance(split.check(y), Split), f"split {name} can be learnt from")
    return promises.kept


_CONTRACTS: dict[str, Callable[[Any], list[str]]] = {
    "methods": check_recipe,
    "augmenters": check_augmenter,
    "objectives": check_objective,
    "probes": check_probe,
    "datasets": check_dataset,
}


def check(thing: str) -> list[str]:
    """Run the contract of a part named ``package.module:Thing``; the class is built without arguments.

    Raises:
        RequestError: no such thing, or no contract for it.
        ContractError: a promise is broken.
    """
    module, _, name = thing.partition(":")
    try:
        part = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RequestError(f"cannot import '{thing}' ({error}); write it as package.module:Thing") from None
    if isinstance(part, type):
        try:
            part = part()
        except TypeError as error:
            raise ContractError(f"{thing}: broken promise: constructible without arguments ({error})") from None
    for kind, spec in KINDS.items():
        if isinstance(part, spec.root_class()):
            return _CONTRACTS[kind](part)
    known = ", ".join(spec.singular for spec in KINDS.values())
    raise RequestError(f"'{thing}' is a {type(part).__name__}; there are contracts for: {known}")
