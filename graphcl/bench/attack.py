"""Attacks as part of a run: on the graph that is trained on, or on the graph that a trained embedding meets.

| when | the graph is changed | what is scored |
|---|---|---|
| ``poisoning`` | before training | encoder and probe of the changed graph |
| ``evasion`` | after training | encoder and probe of the graph as it was, on a graph changed against them |

A poisoning that follows a gradient follows that of a method trained without labels, its ``surrogate``, which is trained
anew whenever the adversary has flipped something (CLGA). An evasion follows the gradient of
`graphcl.evaluate.evasion_loss` through encoder and probe, down to the test nodes of the triple that is scored. With a
``surrogate`` it follows another model and the graph is carried over: what is left of a defence whose own gradient leads
nowhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.adversary.adversary import Adversary
from graphcl.adversary.budget import Budget
from graphcl.adversary.clga import Clga
from graphcl.adversary.random_edits import RandomFlips
from graphcl.augment.augmenter import Augmenter
from graphcl.catalogue import entries, find
from graphcl.config import Config, decode, encode
from graphcl.data.spec import Graphs
from graphcl.errors import RequestError, RunFailedError, UnfollowedError, UnknownNameError
from graphcl.evaluate.robustness import evasion_loss
from graphcl.graph import symmetrised
from graphcl.hashing import is_undirected
from graphcl.methods.recipe import Method, Recipe
from graphcl.ops.linear import sparse_features
from graphcl.seeding import Seeds, Stream, draw_normal
from graphcl.train import start

__all__ = ["Attack", "Victim", "attacked_graph", "contrastive_loss", "difference", "poisoned", "undirected"]

_STRENGTHS = ("rate", "std", "share")


@dataclass(frozen=True, kw_only=True)
class Attack(Config):
    """What is done to a graph, when, and after whose gradient.

    Args:
        name: catalogue name of an adversary, or of an augmenter.
        when: ``evasion`` or ``poisoning``.
        surrogate: catalogue name of whose loss is followed: of an evasion a supervised reference, ``""`` being the
            method itself; of a poisoning a method that learns without labels.
        settings: of the adversary or augmenter, as changes to its defaults.
    """

    name: str
    when: Literal["evasion", "poisoning"] = "evasion"
    surrogate: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Resolve names and settings; what is wrong with them is refused here.

        Raises:
            RequestError: no such adversary or augmenter, settings out of range, or an attack that cannot be made.
        """
        attack = decode(cls, values)
        part = attack.part()
        if isinstance(part, Augmenter) and not (part.keeps_nodes and attack.surrogate == ""):
            raise RequestError(f"{attack.name} is no attack: it changes which nodes there are, or follows no loss")
        if attack.surrogate:
            attack._check_surrogate(part)
        elif attack.when == "poisoning" and isinstance(part, Adversary) and not part.blind:
            raise RequestError(
                f"{attack.name} follows a loss, and before training there is none; name a method as surrogate, such as "
                "grace, poison by random-flips, or take a data set that is poisoned (cora-metattack-20)"
            )
        return attack.replace(settings=encode(part))

    def _check_surrogate(self, part: Adversary | Augmenter) -> None:
        recipe: type[Recipe] = find("methods", self.surrogate)
        if isinstance(part, Augmenter) or part.blind:
            raise RequestError(f"{self.name} follows no loss; leave the surrogate out")
        if self.when == "evasion" and not recipe.supervised:
            raise RequestError(f"surrogate '{self.surrogate}' is not trained on labels; take supervised-gcn")
        if self.when == "poisoning" and not isinstance(part, Clga):
            raise RequestError(
                f"poisoning by {self.name}: it compares losses, which belong to another training each; take clga"
            )
        if self.when == "poisoning" and recipe.kind() != "method":
            raise RequestError(f"surrogate '{self.surrogate}' has no loss without labels; take a method such as grace")

    def part(self) -> Adversary | Augmenter:
        """The adversary or augmenter these settings describe."""
        known = {**entries("augmenters"), **entries("adversaries")}
        if self.name not in known:
            raise UnknownNameError("attack", self.name, entries("adversaries"), " (or an augmenter)")
        made = decode(known[self.name], self.settings)
        if not isinstance(made, (Adversary, Augmenter)):
            raise RequestError(f"{self.name} has to be trained, which no attack does; take a fixed augmenter")
        return made

    def check(self, graph: Data) -> None:
        """Refuse a graph that cannot be attacked, before anything is trained on it."""
        part = self.part()
        if isinstance(part, Adversary):
            part.check(graph)

    @property
    def blind(self) -> bool:
        """Whether it looks at no model."""
        part = self.part()
        return isinstance(part, Augmenter) or part.blind

    @property
    def on_features(self) -> bool:
        """Whether features change as well."""
        part = self.part()
        return isinstance(part, Augmenter) or part.on_features

    @property
    def strength(self) -> float:
        """How much, in `unit`."""
        part = self.part()
        if isinstance(part, Augmenter):
            return float(getattr(part, self.unit, 1.0))
        return float(getattr(part.budget, self.unit) or 0.0)

    @property
    def unit(self) -> str:
        """What the strength is of: a field of the budget, or of an augmenter."""
        part = self.part()
        if isinstance(part, Augmenter):
            return next((name for name in _STRENGTHS if hasattr(part, name)), "")
        budget = part.budget
        if part.on_edges:
            return "edges" if budget.flips is None else "flips"
        return next((name for name in ("linf", "l2", "l0") if getattr(budget, name)), "l0")

    @property
    def family(self) -> str:
        """What all strengths of this attack have in common, as a column's head says it: every setting but that one."""
        part = self.part()
        settings, usual = encode(part), encode(type(part)())
        words = [self.name, self.unit] if self.unit else [self.name]
        if isinstance(part, Adversary):
            budget, none = settings.pop("budget"), encode(Budget(edges=0.0))
            limits = {key: value for key, value in budget.items() if key != self.unit and value != none[key]}
            # the share of edges that a budget of features holds by default, or beside a number, means nothing
            if not part.on_edges or self.unit == "flips":
                limits.pop("edges", None)
            words += [str(limits.pop("edits"))] if "edits" in limits else []
            words += [f"{key}={value}" for key, value in sorted(limits.items())]
        words += [
            f"{key}={value}" for key, value in sorted(settings.items()) if value != usual[key] and key != self.unit
        ]
        if self.surrogate:
            words.append(f"from {self.surrogate}")
        return f"{' '.join(words)}, {self.when}"


def undirected(graphs: Graphs) -> Data:
    """A graph as an adversary takes it.

    Raises:
        RequestError: a set of many graphs.
    """
    if not isinstance(graphs, Data):
        raise RequestError("attacks are made on one graph; choose a data set at node level")
    return graphs if is_undirected(graphs.edge_index) else symmetrised(graphs)


def poisoned(attack: Attack, graph: Data, surrogate: Recipe | None, seed: int) -> Data:
    """The graph that is trained on.

    Args:
        attack: what is done.
        graph: undirected.
        surrogate: the method whose loss is followed, where one is.
        seed: of the attack, and of the surrogate's trainings.
    """
    part, generator = attack.part(), Seeds(seed).torch("attack")
    if surrogate is None or not isinstance(part, Adversary):
        return part(graph, generator=generator)
    adversary: Adversary = part
    # labels are the data set's, and an attack without them is not handed any
    bare = graph.__copy__()
    del bare.y
    found = adversary(bare, contrastive_loss(surrogate, bare, seed), generator)
    out = graph.__copy__()
    out.x, out.edge_index = found.x, found.edge_index
    return out


def contrastive_loss(recipe: Recipe, graph: Data, seed: int) -> Callable[[Data], Tensor]:
    r"""The loss of a method that is trained on whatever graph it is asked about.

    .. math:: \ell(G) = \ell(\theta^*(G), G), \qquad \theta^*(G) = \arg\min_\theta \ell(\theta, G)

    Edges that are there by less than half are no part of the training, and the gradient does not go through it. Views
    are drawn alike each time.

    Args:
        recipe: of the method.
        graph: the graph before the attack.
        seed: of the trainings.

    Returns:
        A loss for an adversary on edges, such as `graphcl.adversary.Clga`.
    """
    known: list[tuple[Tensor, Method]] = []

    def trained(edges: Tensor) -> Method:
        if not known or known[0][0].shape != edges.shape or not torch.equal(known[0][0], edges):
            bare = graph.__copy__()
            bare.edge_index = edges
            training = start(recipe, bare, seed)
            with torch.enable_grad():
                for _ in training.steps:
                    pass
            known[:] = [(edges, training.method.eval())]
        return known[0][1]

    ready = recipe.prepare(graph)

    def loss(data: Data) -> Tensor:
        weight = data.get("edge_weight")
        edges = data.edge_index if weight is None else data.edge_index[:, weight.detach() > 0.5]
        method, seen = trained(edges), ready.__copy__()
        seen.edge_index = data.edge_index
        if weight is not None:
            seen.edge_weight = weight
        seen = seen.to(_device_of(method, data.x.device))
        with Stream(Seeds(seed).torch("dropout")):
            return torch.stack(list(method.loss(seen, Seeds(seed).torch("views")).values())).sum()

    return loss


def _device_of(method: Method, otherwise: torch.device) -> torch.device:
    return next((parameter.device for parameter in method.parameters()), otherwise)


@dataclass(frozen=True)
class Victim:
    """A trained method with a fitted probe: what an evasion is made against.

    Args:
        recipe: how a graph is prepared.
        method: trained.
        graph: the graph before the attack, undirected, as the data set has it.
        read: from an embedding ``[N, D]`` to class scores ``[N, C]``, differentiable; ``None`` takes it as they are.
    """

    recipe: Recipe
    method: Method
    graph: Data
    read: Callable[[Tensor], Tensor] | None = None

    def logits(self, *, features: bool) -> Callable[[Data], Tensor]:
        """From a graph to class scores.

        Args:
            features: whether they change; if not, they are prepared once.
        """
        device = _device_of(self.method, self.graph.x.device)
        ready = self.recipe.prepare(self.graph).to(device)
        fixed = sparse_features(ready.x) if self.method.takes_sparse_features else ready.x

        def scores(graph: Data) -> Tensor:
            if features:
                seen = self.recipe.prepare(graph)
            else:
                seen = ready.__copy__()
                seen.x, seen.edge_index = fixed, graph.edge_index
                if graph.get("edge_weight") is not None:
                    seen.edge_weight = graph.edge_weight
            mode = self.method.training
            self.method.eval()
            try:
                h = self.method.embed(seen.to(device))
                return h if self.read is None else self.read(h)
            finally:
                self.method.train(mode)

        return scores


def attacked_graph(
    attack: Attack, victim: Victim, followed: Victim, y: Tensor, rows: Tensor, generator: torch.Generator
) -> tuple[Data, dict[str, Any]]:
    """The graph that an adversary has made against a victim, or against a surrogate of it.

    Args:
        attack: what is done.
        victim: what is to be scored.
        followed: whose loss is raised: the victim, or a surrogate.
        y: labels ``int64 [N]``.
        rows: nodes that are attacked.
        generator: the source of randomness.

    Returns:
        The graph, and what is to be said of it.

    Raises:
        RunFailedError: edges matter to the victim, and its gradient does not say how.
    """
    before, about = victim.graph, dict[str, Any]()
    part = attack.part()
    if isinstance(part, Adversary) and not part.blind:
        adversary: Adversary = part
        source = followed.logits(features=part.on_features)
        loss = evasion_loss(source, before, y, rows)
        try:
            after = adversary(before, loss, generator)
            with torch.no_grad():
                about["loss"] = [float(loss(before)), float(loss(after))]
        except UnfollowedError as error:
            if followed is not victim:
                raise RequestError(f"surrogate '{attack.surrogate}': {error}") from None
            if _looks_at(source, before, adversary, generator):
                raise RunFailedError(
                    f"{error}; what it computes changes all the same: name a surrogate, such as supervised-gcn"
                ) from None
            after, about["blind"] = before, "the method does not look at what is attacked"
    else:
        after = part(before, generator=generator)
    return after, {**about, **difference(before, after)}


def _looks_at(scores: Callable[[Data], Tensor], graph: Data, adversary: Adversary, generator: torch.Generator) -> bool:
    """Whether scores change with what an adversary would change, changed by chance."""
    other = graph.__copy__()
    if adversary.on_edges:
        other = RandomFlips(Budget(edges=0.5))(other, generator=generator)
    if adversary.on_features:
        other.x = other.x + draw_normal(*other.x.shape, generator=generator, device=other.x.device, dtype=other.x.dtype)
    with torch.no_grad():
        return not torch.equal(scores(graph), scores(other))


def difference(before: Data, after: Data) -> dict[str, int]:
    """In how many undirected edges, and how many entries of the features, two graphs differ."""
    n = int(before.num_nodes or 0)
    codes = [torch.unique(g.edge_index.min(0).values * n + g.edge_index.max(0).values) for g in (before, after)]
    counts = torch.unique(torch.cat(codes), return_counts=True)[1]
    return {"edges": int((counts == 1).sum()), "entries": int((before.x != after.x).sum())}
