"""Supervised references of a bench: trained on every triple of a split, stopped by validation."""

import torch
from torch_geometric.data import Data

from graphcl.bench.measure import Clock, Watch
from graphcl.data.loading import labels
from graphcl.data.spec import Graphs
from graphcl.data.splits import Split
from graphcl.errors import RequestError
from graphcl.evaluate.probes import Metric, selection_score, selections
from graphcl.evaluate.scoring import Scores, count_classes, score_outputs
from graphcl.methods.recipe import Method, Recipe
from graphcl.seeding import Seeds
from graphcl.train import embedding, start

__all__ = ["train_supervised"]


def train_supervised(
    recipe: Recipe, graphs: Graphs, split: Split, metric: Metric, seed: int, watch: Watch | None, clock: Clock
) -> tuple[Scores, list[Method]]:
    """Train a supervised reference on every triple of a split; labels outside train are not in what it is given.

    Args:
        recipe: of the reference.
        graphs: a graph.
        split: the triples.
        metric: what validation maximises.
        seed: of initialisation and training.
        watch: called after each step.
        clock: counts the training.

    Returns:
        The scores, and of each triple the method with the parameters that were scored.

    Raises:
        RequestError: a set of many graphs.
    """
    if not isinstance(graphs, Data):
        name = type(recipe).__name__
        raise RequestError(f"{name} learns from the labels of nodes; choose a data set at node level")
    y = labels(graphs)
    classes = count_classes(y, split)
    outputs, chosen, methods = [], [], list[Method]()
    for selection in selections(y, split, Seeds(seed).torch("folds")):
        fit, judged = selection.pairs[0]
        seen = graphs.__copy__()
        seen.y = torch.full_like(y, -1)
        seen.y[fit] = y[fit]
        seen.train_mask = seen.y >= 0
        seen.val_mask = seen.test_mask = None
        training = start(recipe, seen, seed, classes)
        best = {"score": -1.0, "epoch": 0}
        output, state = None, None
        for step in training.steps:
            if watch is not None:
                watch(step, recipe.plan)
            now = embedding(training.method, training.data)
            value = float(selection_score(now[judged], selection.labels[judged], metric))
            if value > best["score"]:
                best, output = {"score": value, "epoch": step.epoch}, now
                state = {name: tensor.clone() for name, tensor in training.method.state_dict().items()}
        if state is not None:
            training.method.load_state_dict(state)
        methods.append(training.method)
        outputs.append(embedding(training.method, training.data) if output is None else output)
        chosen.append(best)
        clock.lap("train")
    return score_outputs(outputs, y, split, metric, chosen), methods
