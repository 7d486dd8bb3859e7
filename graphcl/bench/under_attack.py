"""A cell of a bench under attack: poison before training, evasion after it; what serves many methods is made once."""

import hashlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.bench.attack import Attack, Victim, attacked_graph, poisoned
from graphcl.bench.measure import Clock
from graphcl.bench.references import train_supervised
from graphcl.catalogue import find
from graphcl.config import digest, encode
from graphcl.data.splits import Split
from graphcl.evaluate.probes import Metric
from graphcl.evaluate.scoring import Scores, score_outputs
from graphcl.graph import fingerprint
from graphcl.methods.recipe import Recipe, preset_for
from graphcl.seeding import Seeds

__all__ = ["evade", "poison"]

_SURROGATES: dict[str, list[Victim]] = {}
_SURROGATES_AT_MOST = 4
_CARRIED: dict[str, tuple[tuple[Data, dict[str, Any]], float]] = {}
_CARRIED_AT_MOST = 64
"""Graphs that were made without looking at what they are used against, and the seconds that each took."""


def poison(attack: Attack, graph: Data, dataset: str, seed: int, clock: Clock) -> Data:
    """The graph that is trained on.

    Args:
        attack: what is done.
        graph: undirected.
        dataset: its name, whose settings a surrogate takes.
        seed: of the attack.
        clock: counts what an earlier run did for this one.
    """
    if not attack.surrogate:
        return poisoned(attack, graph, None, seed)

    def make() -> tuple[Data, dict[str, Any]]:
        return poisoned(attack, graph, _usual(attack.surrogate, dataset), seed), {}

    asked = {"attack": encode(attack), "graph": _content(graph), "seed": seed}
    return _carried(digest(asked), make, clock)[0]


def evade(
    attack: Attack,
    victims: list[Victim],
    clean: Scores,
    y: Tensor,
    split: Split,
    metric: Metric,
    dataset: str,
    seed: int,
    clock: Clock,
) -> tuple[Scores, dict[str, Any]]:
    """The scores on a graph changed against each triple's encoder and probe.

    Args:
        attack: what is done.
        victims: one for each triple, all of one graph.
        clean: the scores before.
        y: labels ``int64 [N]``.
        split: the triples, whose test nodes are attacked.
        metric: what selection maximised.
        dataset: name of the graph, whose settings a surrogate takes.
        seed: of the attack.
        clock: counts the attack.

    Returns:
        The scores, and what is to be said of the attack.
    """
    graph = victims[0].graph
    asked = {"attack": encode(attack), "graph": _content(graph), "split": split.digest, "seed": seed}
    followed = _surrogates(attack.surrogate, graph, dataset, split, metric, seed) if attack.surrogate else victims
    outputs, told = [], []
    for number, (triple, victim, model) in enumerate(zip(split, victims, followed, strict=True)):
        make = partial(attacked_graph, attack, victim, model, y, triple.test, Seeds(seed).torch(f"attack/{number}"))
        if attack.surrogate or attack.blind:
            after, about = _carried(digest({**asked, "triple": number}), make, clock)
        else:
            after, about = make()
        with torch.no_grad():
            outputs.append(victim.logits(features=attack.on_features)(after).cpu())
        told.append(about)
    clock.lap("attack")
    return score_outputs(outputs, y, split, metric, clean.chosen), {"clean": clean.metrics, "triples": told}


def _content(graph: Data) -> str:
    """Edges, labels and the values of the features, of which a fingerprint knows only where they are not 0."""
    values = graph.x.detach().cpu().contiguous().view(torch.uint8).numpy()
    return f"{fingerprint(graph)}-{hashlib.sha256(values.data).hexdigest()[:16]}"


def _usual(method: str, dataset: str) -> Recipe:
    recipe: type[Recipe] = find("methods", method)
    return recipe.preset(preset_for(recipe, dataset))


def _surrogates(name: str, graph: Data, dataset: str, split: Split, metric: Metric, seed: int) -> list[Victim]:
    """A supervised reference for each triple, trained once for all that it stands in for."""
    key = digest({"surrogate": name, "graph": _content(graph), "split": split.digest, "seed": seed})
    if key not in _SURROGATES:
        recipe = _usual(name, dataset)
        _, methods = train_supervised(recipe, graph, split, metric, seed, None, Clock())
        while len(_SURROGATES) >= _SURROGATES_AT_MOST:
            del _SURROGATES[next(iter(_SURROGATES))]
        _SURROGATES[key] = [Victim(recipe, method, graph) for method in methods]
    return _SURROGATES[key]


def _carried(key: str, make: Callable[[], tuple[Data, dict[str, Any]]], clock: Clock) -> tuple[Data, dict[str, Any]]:
    """A graph that was made without looking at what it is used against, once; its time counts in full each time."""
    known = _CARRIED.get(key)
    if known is not None:
        clock.add({"attack": known[1]})
        return known[0]
    began = time.perf_counter()
    made = make()
    while len(_CARRIED) >= _CARRIED_AT_MOST:
        del _CARRIED[next(iter(_CARRIED))]
    _CARRIED[key] = made, time.perf_counter() - began
    return made
