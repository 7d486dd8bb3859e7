"""Training as a generator: the caller's for-loop is the callback system.

`train` yields a `Step` after each update; `fit` drains it; `embed` is the one call from a graph to its embedding.
"""

import copy
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphcl.batches import FullGraph, GraphBatches
from graphcl.catalogue import find
from graphcl.config import updated
from graphcl.errors import DataError, EmbeddingError, RequestError, RunFailedError, UnknownNameError
from graphcl.graph import GraphShape, check_graph, featureless
from graphcl.methods.recipe import Method, Recipe, preset_for
from graphcl.ops.linear import sparse_features
from graphcl.pieces import one_thread
from graphcl.plan import Plan
from graphcl.seeding import Seeds, Stream

__all__ = ["Step", "Training", "embed", "embedding", "fit", "recipe_of", "start", "train"]


@dataclass(frozen=True)
class Step:
    """What one update did.

    Args:
        n: number of the update, from 1.
        epoch: number of the epoch, from 1.
        progress: share of the epochs done, the current one counted, in (0, 1].
        losses: the terms, by ``part/term`` where a method has several parts, else by term.
        seconds: since training began.
    """

    n: int
    epoch: int
    progress: float
    losses: dict[str, float]
    seconds: float

    @property
    def loss(self) -> float:
        """Sum of the terms."""
        return sum(self.losses.values())

    def __str__(self) -> str:
        terms = "  ".join(f"{name} {value:.4f}" for name, value in self.losses.items())
        return f"step {self.n}  epoch {self.epoch}  {terms}  {self.seconds:.1f} s"


def train(method: Method, batches: Iterable[Data], plan: Plan, generator: torch.Generator) -> Iterator[Step]:
    """Train a method, yielding after each update.

    Whatever draws on torch's global generator inside a step (dropout) draws on a private stream seeded from
    ``generator``; between two steps the caller's random state is in place. With ``plan.patience`` the parameters that
    had the lowest training loss (those the epoch began with, or ended with if it has several batches) are put back when
    the iteration ends by itself.

    Args:
        method: trained in place, moved to the plan's device.
        batches: walked once an epoch.
        plan: epochs and rates.
        generator: the source of all randomness.

    Yields:
        A `Step` after each update.

    Raises:
        RequestError: the plan names a part that the method has not or a device that is not there, or there is nothing
            to train.
        RunFailedError: a loss or a gradient is not finite; that part keeps the parameters it had before the update.
    """
    learning = {
        name for name, module in method.named_modules() if name and any(p.requires_grad for p in module.parameters())
    }
    for name in plan.named() - {*method.parts, *learning}:
        known = {*method.parts, *(inner for inner in learning if "." not in inner)}
        raise UnknownNameError(f"part or module of {type(method).__name__} in the plan", name, known)
    device = plan.torch_device()
    method.to(device)
    method.train()
    if plan.epochs and not all(any(p.requires_grad for p in method.parameters_of(part)) for part in method.parts):
        raise RequestError(f"{type(method).__name__.strip('_')} has nothing to train; leave plan.epochs at 0")
    optimisers = {part: _optimiser(method, part, plan) for part in (method.parts if plan.epochs else ())}
    stream = Stream(generator)
    began = time.perf_counter()
    watch = _Lowest(plan.patience)
    n = 0
    for epoch in range(1, plan.epochs + 1):
        total, first = 0.0, n
        watch.note(method)
        for optimiser in optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group["full_lr"] * plan.rate_at((epoch - 1) / plan.epochs)
        for batch in batches:
            n += 1
            with stream:
                try:
                    losses = _update(method, copy.copy(batch).to(device), optimisers, generator)
                except _DivergedError as error:
                    raise RunFailedError(f"{error} at step {n} (epoch {epoch}); lower plan.lr = {plan.lr}") from None
                except EmbeddingError as error:
                    hint = "" if error.finite else f"; lower plan.lr = {plan.lr}"
                    raise RunFailedError(f"{error}, at step {n} (epoch {epoch}){hint}") from None
                method.after_step(epoch / plan.epochs)
            total += sum(losses.values())
            yield Step(n, epoch, epoch / plan.epochs, losses, time.perf_counter() - began)
        method.after_epoch()
        if n - first > 1:
            watch.note(method)
        if watch.exhausted(total):
            break
    watch.restore(method)
    method.eval()


_OPTIMISERS: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def _optimiser(method: Method, part: str, plan: Plan) -> torch.optim.Optimizer:
    """One optimiser, with a group for each module that has a rate or penalty of its own, and one for the rest."""
    owners: dict[nn.Parameter, tuple[str, ...]] = {}
    # the modules inside come after those they lie in, and have the first word
    for name, module in method.named_modules():
        if name in plan.named() and name not in method.parts:
            owners.update({parameter: (name, *owners.get(parameter, ())) for parameter in module.parameters()})
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for parameter in method.parameters_of(part):
        if parameter.requires_grad:
            names = (*owners.get(parameter, ()), part)
            rates = {"lr": plan.rate_of(*names), "weight_decay": plan.penalty_of(*names)}
            group = groups.setdefault(names, {"params": [], **rates, "full_lr": rates["lr"]})
            group["params"].append(parameter)
    return _OPTIMISERS[plan.optimiser](list(groups.values()))


class _DivergedError(Exception):
    """A loss or a gradient is NaN or infinite."""


def _update(
    method: Method, batch: Data, optimisers: Mapping[str, torch.optim.Optimizer], generator: torch.Generator
) -> dict[str, float]:
    seen = {}
    for part, optimiser in optimisers.items():
        optimiser.zero_grad(set_to_none=True)
        terms = method.loss(batch, generator, part)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise _DivergedError(f"the loss became {float(loss.detach())}")
        loss.backward()
        gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            raise _DivergedError("a gradient became NaN or infinite")
        optimiser.step()
        prefix = f"{part}/" if len(optimisers) > 1 else ""
        seen.update({prefix + name: float(value.detach()) for name, value in terms.items()})
    return seen


class _Lowest:
    """Early stopping on the training loss: remembers the parameters of the lowest epoch.

    With one batch an epoch its loss is computed before the update, so the parameters after it belong to a loss not yet
    seen: those it began with are kept. With several batches it is those it ended with.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best = math.inf
        self.waited = 0
        self.noted: dict[str, Tensor] = {}
        self.state: dict[str, Tensor] | None = None

    def note(self, method: Method) -> None:
        if self.patience is not None:
            self.noted = {name: value.detach().clone() for name, value in method.state_dict().items()}

    def exhausted(self, loss: float) -> bool:
        if self.patience is None:
            return False
        if loss < self.best:
            self.best, self.waited, self.state = loss, 0, self.noted
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, method: Method) -> None:
        if self.state is not None:
            method.load_state_dict(self.state)


def fit(method: Method, batches: Iterable[Data], plan: Plan, generator: torch.Generator) -> list[Step]:
    """Train to the end of the plan and return all steps."""
    return list(train(method, batches, plan, generator))


@dataclass
class Training:
    """A method, the graph it is trained on as its recipe wants it, and the steps still to come.

    Features that are mostly zeros are in CSR form where the method takes them so. Labels and masks are not in it,
    unless the recipe is a supervised reference.
    """

    method: Method
    data: Data
    steps: Iterator[Step]
    steps_per_epoch: int = 1


def recipe_of(method: str | Recipe, preset: str | None = None, changes: dict[str, Any] | None = None) -> Recipe:
    """The recipe meant by a name (with the settings made for the data set ``preset``) or a recipe itself.

    Raises:
        UnknownNameError: no such method, data set or parameter.
        RequestError: a value of the wrong type or out of range.
    """
    if isinstance(method, Recipe):
        return updated(method, changes or {})
    cls: type[Recipe] = find("methods", method)
    if preset is not None and preset not in cls.presets:
        find("datasets", preset)
    return cls.preset(preset_for(cls, preset) if preset else "", changes)


def start(recipe: Recipe, graphs: Data | Sequence[Data], seed: int, classes: int | None = None) -> Training:
    """Check and prepare the data, build the method, and stand ready to train.

    Args:
        recipe: what to train.
        graphs: a graph (nodes are embedded) or a list of graphs (graphs are).
        seed: of initialisation and training.
        classes: number of classes, for supervised references.

    Raises:
        DataError: a graph is not usable.
        RequestError: the recipe does not work at this level, its plan asks for a device that is not there, or the seed
            is no whole number from 0.
    """
    if not isinstance(seed, int) or seed < 0:
        raise RequestError(f"seed = {seed!r}: input should be a whole number, 0 or more")
    ready = _prepared(recipe, graphs)
    device = recipe.plan.torch_device()
    seeds = Seeds(seed)
    generator = seeds.torch("train")
    batches: FullGraph | GraphBatches
    if not recipe.supervised:
        ready = _unlabelled(ready) if isinstance(ready, Data) else [_unlabelled(graph) for graph in ready]
    if isinstance(ready, Data):
        whole, size = ready.to(device), None
    else:
        whole, size = Batch.from_data_list(ready).to(device), recipe.plan.batch_size
    method = recipe.build(replace(GraphShape.of(whole), classes=classes), seeds.torch("build"))
    if method.takes_sparse_features:
        # converted once for all epochs and views; PyG's Batch cannot be taken apart again with sparse features in it
        whole.x = whole.x if isinstance(whole, Batch) else sparse_features(whole.x)
    if isinstance(ready, Data) or size is None or size >= len(ready):
        batches = FullGraph(whole, device)
    else:
        batches = GraphBatches(ready, size, seeds.torch("batches"), device)
    return Training(method, whole, train(method, batches, recipe.plan, generator), len(batches))


def _unlabelled(graph: Data) -> Data:
    """What learns without labels is not handed any."""
    graph = copy.copy(graph)
    for name in ("y", "train_mask", "val_mask", "test_mask"):
        if name in graph:
            del graph[name]
    return graph


def _prepared(recipe: Recipe, graphs: Data | Sequence[Data]) -> Data | list[Data]:
    """A graph, or the graphs of a list or batch one by one, as the recipe wants them."""
    if isinstance(graphs, Batch):
        graphs = graphs.to_data_list()
    if not isinstance(graphs, (list, tuple)):
        said = recipe.reads_text and isinstance(graphs, Data) and graphs.get("text") is not None
        check_graph(featureless(graphs) if said else graphs)
        return recipe.prepare(graphs)
    if not graphs:
        raise DataError("the list of graphs is empty; give at least one torch_geometric.data.Data")
    with one_thread():
        for number, graph in enumerate(graphs):
            check_graph(graph, f"graph {number}")
            if graph.num_node_features != graphs[0].num_node_features:
                raise DataError(
                    f"graph {number}: {graph.num_node_features} features where graph 0 has "
                    f"{graphs[0].num_node_features}; all graphs of a list need the same"
                )
        return [recipe.prepare(graph) for graph in graphs]


@torch.no_grad()
def embedding(method: Method, data: Data) -> Tensor:
    """The embedding of a prepared graph, on the CPU; the method's train or eval mode is left as it was.

    Raises:
        RunFailedError: it holds NaN or infinite values.
    """
    mode = method.training
    method.eval()
    try:
        place = next((parameter.device for parameter in method.parameters()), data.x.device)
        h = method.embed(copy.copy(data).to(place)).cpu()
    finally:
        method.train(mode)
    if not torch.isfinite(h).all():
        raise RunFailedError("the embedding holds NaN or infinite values; lower plan.lr or train for fewer epochs")
    return h


def embed(
    method: str | Recipe,
    data: Data | Sequence[Data],
    seed: int = 0,
    *,
    preset: str | None = None,
    **changes: Any,
) -> Tensor:
    """From a graph to its embedding in one call: train a method on it without labels and embed it.

    The same seed gives the same bits on one CPU and thread count, and the same embedding that ``graphcl run`` scores.

    Args:
        method: a catalogue name such as ``"grace"``, or a recipe.
        data: any PyG graph (nodes are embedded), or a list of graphs (graphs are).
        seed: of initialisation and training.
        preset: take the settings made for this data set, such as ``"cora"``.
        changes: single hyper-parameters, ``temperature=0.2`` or ``plan={"epochs": 20}``.

    Returns:
        ``[N, D]``; ``[B, D]`` for a list of B graphs.

    Raises:
        UnknownNameError: no such method or parameter.
        DataError: the graph is not usable.
        RunFailedError: training diverged.

    Example:
        >>> import graphcl
        >>> data, _ = graphcl.load("karate")
        >>> graphcl.embed("grace", data, plan={"epochs": 2}).shape
        torch.Size([34, 128])
    """
    training = start(recipe_of(method, preset, changes), data, seed)
    for _ in training.steps:
        pass
    return embedding(training.method, training.data)
