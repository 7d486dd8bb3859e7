"""The contracts of objectives, methods, probes and data sets, and the way from a name to its contract."""

import copy
import importlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphcl.catalogue import KINDS
from graphcl.config import decode, encode
from graphcl.data.block_model import csbm
from graphcl.data.loading import labels, load, open_dataset
from graphcl.data.spec import DatasetSpec, Graphs
from graphcl.data.splits import Split, draw
from graphcl.errors import RequestError
from graphcl.evaluate.probes import Probe
from graphcl.evaluate.scoring import score
from graphcl.graph import GraphShape, fingerprint, is_symmetric
from graphcl.methods.recipe import Recipe
from graphcl.objectives.objective import Objective
from graphcl.seeding import Seeds
from graphcl.testing.attacks import check_adversary
from graphcl.testing.channels import check_filter, check_gate
from graphcl.testing.parting import check_decoupler
from graphcl.testing.promises import ContractError, Promises, check_config, leaves_global_random_state, same_graph
from graphcl.testing.recommending import check_interactions, check_recommender
from graphcl.testing.sources import check_source
from graphcl.testing.views import check_augmenter
from graphcl.train import Training, embedding, start

__all__ = ["CONTRACTS", "check", "check_dataset", "check_objective", "check_probe", "check_recipe"]


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
    promises = Promises(objective)
    promises.kept += check_config(objective)
    for seed in range(3):
        inputs = objective.sample(torch.Generator().manual_seed(seed), n=5 + seed, d=3 + seed)
        value = objective(**inputs)
        expected = objective.reference(**inputs)
        promises.require(value.dim() == 0, "returns a scalar")
        silent = leaves_global_random_state(partial(objective, **inputs))
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
        recipe: an instance; it is trained for a few epochs on a block model of 60 nodes, or on 12 smaller ones.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.methods import Raw
        >>> "the same seed gives the same bits" in check_recipe(Raw())
        True
    """
    promises = Promises(type(recipe).__name__)
    promises.kept += check_config(recipe)
    for dataset in recipe.presets:
        preset = type(recipe).preset(dataset)
        promises.require(decode(type(recipe), encode(preset)) == preset, "official settings are carried through JSON")
    promises.require(recipe.control or recipe.paper is not None, "a method names its paper")
    short = recipe.replace(plan=recipe.plan.replace(epochs=min(recipe.plan.epochs, 15), device="cpu"))
    if "node" in recipe.levels:
        graph = csbm(nodes=60, classes=3, degree=6.0, homophily=0.8, features=12, seed=0)
        if recipe.supervised:
            graph.train_mask = torch.arange(60) % 2 == 0
        if recipe.reads_text:
            graph.text = [_said(number, int(kind)) for number, kind in enumerate(graph.y)]
        order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
        _check_training(promises, short, graph, _renumbered(graph, order), order)
    if "graph" in recipe.levels:
        graphs = [csbm(nodes=9 + i, classes=2, degree=3.0, homophily=0.8, features=12, seed=i) for i in range(12)]
        for number, member in enumerate(graphs):
            member.y = torch.tensor([number % 2])
        orders = [torch.randperm(9 + i, generator=torch.Generator().manual_seed(i)) for i in range(12)]
        moved = [_renumbered(member, order) for member, order in zip(graphs, orders, strict=True)]
        # the numbers of its nodes are not part of what a graph is
        _check_training(promises, short, graphs, moved, torch.arange(12))
    return promises.kept


def _renumbered(graph: Data, order: Tensor) -> Data:
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    moved = graph.__copy__()
    moved.x, moved.edge_index = graph.x[order], place[graph.edge_index]
    if graph.y.numel() == len(order):
        moved.y = graph.y[order]
    if graph.get("text") is not None:
        moved.text = [graph.text[node] for node in order.tolist()]
    return moved


_THINGS = (
    ("apples", "pears", "plums", "cherries", "figs"),
    ("rivers", "lakes", "ponds", "springs", "seas"),
    ("engines", "wheels", "brakes", "gears", "pumps"),
)


def _said(number: int, kind: int) -> str:
    """Two sentences about the kind of a node, no word as frequent as another, and one about nothing."""
    first, second = (_THINGS[kind][math.isqrt(number * factor % 25)] for factor in (7, 11))
    return f"There are {first} like {second}. Number {number} has some more. Nobody counted all {second}."


def _check_training(promises: Promises, recipe: Recipe, data: Graphs, moved: Graphs, order: Tensor) -> None:
    """Promises about a recipe on a graph, or on a list of graphs: ``moved`` is the same with its nodes renumbered."""
    before = copy.deepcopy(data)
    rows = int(data.num_nodes or 0) if isinstance(data, Data) else len(data)
    classes = int(labels(data).max()) + 1 if recipe.supervised else None

    def trained(recipe: Recipe, seed: int = 0) -> tuple[Training, Tensor, list[float]]:
        training = start(recipe, data, seed, classes)
        losses = [step.loss for step in training.steps]
        return training, embedding(training.method, training.data), losses

    results: list[tuple[Training, Tensor, list[float]]] = []
    silent = leaves_global_random_state(lambda: results.append(trained(recipe)))
    promises.require(silent, "the global random state stays as it was")
    training, h, losses = results[0]
    pairs = [(before, data)] if isinstance(data, Data) else list(zip(before, data, strict=True))
    promises.require(all(same_graph(*pair) for pair in pairs), "the graph is never changed")
    what = "embeds every node" if isinstance(data, Data) else "embeds every graph of a list"
    promises.require(h.size(0) == rows and h.dim() == 2, what, list(h.shape))
    promises.require(not h.requires_grad, "an embedding is a plain tensor")
    # a few epochs tell seeds apart; the whole plan is repeated below
    brief = recipe.replace(plan=recipe.plan.replace(epochs=min(recipe.plan.epochs, 4)))
    first = trained(brief)[1]
    promises.require(torch.equal(first, trained(brief)[1]), "the same seed gives the same bits")
    if losses:
        # beside a training that rests: views may grow harder while a method learns
        still = recipe.replace(plan=recipe.plan.replace(lr=1e-12, part_lr=None))
        resting = trained(still)[2]
        promises.require(losses[-1] < resting[-1], "training lowers the loss", (losses, resting))
        promises.require(not torch.equal(first, trained(brief, seed=1)[1]), "another seed gives another embedding")

    interrupted = start(recipe, data, 0, classes)
    with torch.random.fork_rng(devices=[]):
        for _ in interrupted.steps:
            torch.rand(7)  # a caller who draws between two steps changes nothing
    promises.require(
        torch.equal(h, embedding(interrupted.method, interrupted.data)), "the caller's draws change nothing"
    )

    again = recipe.build(replace(GraphShape.of(training.data), classes=classes), Seeds(9).torch("build"))
    again.load_state_dict(training.method.state_dict())
    promises.require(torch.equal(h, embedding(again, training.data)), "a loaded checkpoint embeds the same")

    elsewhere = _whole(recipe, moved)
    found = embedding(training.method, elsewhere)
    # where the columns are nodes as well, they are renumbered too
    forms = [h[order]] + ([h[order][:, order]] if h.size(0) == h.size(1) else [])
    close = any(torch.allclose(found, form, atol=1e-4, rtol=1e-4) for form in forms)
    promises.require(close, "renumbering the nodes renumbers the embedding")

    ready = _whole(recipe, data)
    ready.x = ready.x.clone().requires_grad_()
    out = training.method.eval().embed(ready)
    promises.require(out.requires_grad, "the embedding is differentiable in the features")


def _whole(recipe: Recipe, data: Graphs) -> Data:
    if isinstance(data, Data):
        return recipe.prepare(data)
    return Batch.from_data_list([recipe.prepare(graph) for graph in data])


def check_probe(probe: Probe) -> list[str]:
    """Perfect embeddings score 1, shuffled labels chance, and the test labels do not move the fit by one bit.

    Args:
        probe: an instance.

    Raises:
        ContractError: at the first broken promise.
    """
    promises = Promises(probe)
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
    silent = leaves_global_random_state(lambda: score(h, y, split, probe))
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
    promises = Promises(spec.name)
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


CONTRACTS: dict[str, Callable[[Any], list[str]]] = {
    "methods": check_recipe,
    "recommenders": check_recommender,
    "augmenters": check_augmenter,
    "adversaries": check_adversary,
    "objectives": check_objective,
    "filters": check_filter,
    "gates": check_gate,
    "features": check_source,
    "decouplers": check_decoupler,
    "probes": check_probe,
    "datasets": check_dataset,
    "interactions": check_interactions,
}
"""By catalogue, what is run on each of its members."""


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
            return CONTRACTS[kind](part)
    known = ", ".join(spec.singular for spec in KINDS.values())
    raise RequestError(f"'{thing}' is a {type(part).__name__}; there are contracts for: {known}")
