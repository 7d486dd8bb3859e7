"""One cell of a benchmark: a `Run` is plain data, its record is one JSON object."""

import copy
import hashlib
import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.bench.attack import Attack, Victim, difference, undirected
from graphcl.bench.measure import Clock, Watch, environment, peak_memory
from graphcl.bench.references import train_supervised
from graphcl.bench.under_attack import evade, poison
from graphcl.catalogue import find
from graphcl.config import decode, digest, encode, parse_setting
from graphcl.data.loading import find_dataset, labels, load, open_dataset, split_names
from graphcl.data.spec import DatasetSpec, Graphs
from graphcl.data.splits import Split, is_random
from graphcl.errors import GraphclError, RequestError, RunFailedError, UnknownNameError
from graphcl.evaluate.clusters import clustering
from graphcl.evaluate.diagnostics import diagnose
from graphcl.evaluate.probes import Metric, Probe
from graphcl.evaluate.scoring import Scores, fit_probe, score
from graphcl.features.feature_set import FeatureSet
from graphcl.features.source import keep_texts
from graphcl.graph import fingerprint
from graphcl.methods.recipe import Method, Recipe, preset_for
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.train import Training, embedding, start

__all__ = ["HOW_COME_BY", "LEGACY_EVERY", "Record", "Run", "Trained", "execute", "nested"]

Record = dict[str, Any]
Protocol = Literal["honest", "legacy"]

LEGACY_EVERY = 10
"""How often the legacy protocol looks at the test set, in epochs (as the official GCA and PiNGDA codes do)."""

_RULES = {
    "honest": "trained without labels to the end of the plan; probe normalisation and strength by the validation part "
    "(cross-validation inside train where there is none); test read once, afterwards",
    "legacy": f"FLAGGED: the epoch (every {LEGACY_EVERY}) with the best mean TEST score is reported, as much released "
    "code does; never compare it with honest records",
}


_DESCRIBED = 20_000_000
_DESCRIBED_WIDTH = 2048
"""Entries and width of the largest embedding that is clustered and diagnosed."""

_SUPERVISED_RULE = (
    "SUPERVISED: trained on the labels of train; the epoch with the first best validation score (a fifth of train held "
    "out where there is no validation part); test read once, afterwards"
)


def nested(settings: list[str]) -> dict[str, Any]:
    """``["plan.epochs=5", "dim=64"]`` as nested plain values.

    Example:
        >>> nested(["plan.epochs=5", "dim=64"])
        {'plan': {'epochs': 5}, 'dim': 64}
    """
    out: dict[str, Any] = {}
    for text in settings:
        path, value = parse_setting(text)
        level = out
        for part in path[:-1]:
            level = level.setdefault(part, {})
            if not isinstance(level, dict):
                raise RequestError(f"setting '{text}': '{part}' is already a value")
        level[path[-1]] = value
    return out


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is computed, completely: equal runs have equal ids and equal results.

    Args:
        method: catalogue name.
        dataset: catalogue name.
        split: name of the split.
        seed: draws a random split, the initialisation and the training.
        settings: every hyper-parameter of the recipe, resolved.
        probe: name and every setting of the probe.
        protocol: ``honest``, or the flagged ``legacy``.
        attack: what is done to the graph (`graphcl.bench.attack.Attack`), every setting of it; ``None`` is nothing.
        features: what stands in the place of the data set's features (`graphcl.features.FeatureSet`), every setting of
            it; ``None`` leaves them.
    """

    method: str
    dataset: str
    split: str
    seed: int
    settings: Mapping[str, Any] = field(hash=False)
    probe: Mapping[str, Any] = field(hash=False)
    protocol: Protocol = "honest"
    attack: Mapping[str, Any] | None = field(default=None, hash=False)
    features: Mapping[str, Any] | None = field(default=None, hash=False)

    @classmethod
    def of(
        cls,
        method: str,
        dataset: str,
        split: str | None = None,
        seed: int = 0,
        changes: Mapping[str, Any] | None = None,
        protocol: str = "honest",
        probe: str | None = None,
        preset: str | None = None,
        attack: Mapping[str, Any] | None = None,
        features: str | None = None,
    ) -> Self:
        """Resolve names and settings; whatever is wrong with the request is refused here, before any work.

        Args:
            method: catalogue name; its settings made for the data set are taken where there are some.
            dataset: catalogue name.
            split: ``None`` takes the data set's default.
            seed: 0 or more.
            changes: nested changes to the settings; those below ``probe`` go to the probe, those below ``source`` to
                the features.
            protocol: ``honest`` or ``legacy``.
            probe: catalogue name; ``None`` takes the standard one.
            preset: whose settings to take (``cora-wide``); ``None`` takes those for the data set.
            attack: fields of `graphcl.bench.attack.Attack`.
            features: sources of features by name, such as ``lsa+minilm``; ``None`` takes those of the data set.
        """
        if protocol not in _RULES:
            raise UnknownNameError("protocol", protocol, _RULES)
        if seed < 0:
            raise RequestError(f"seed = {seed}: input should be 0 or more")
        recipe_class: type[Recipe] = find("methods", method)
        spec = find_dataset(dataset)
        changes = dict(changes or {})
        probe_changes = changes.pop("probe", {})
        if not isinstance(probe_changes, Mapping):
            raise RequestError(
                f"probe = {probe_changes!r}: choose the probe with --probe, its settings with probe.name=value"
            )
        source_changes = changes.pop("source", {})
        if not isinstance(source_changes, Mapping) or (source_changes and features is None):
            raise RequestError("settings of features need some: name them with --features, such as --features minilm")
        if preset is not None and preset not in recipe_class.presets:
            raise UnknownNameError(f"preset of {method}", preset, recipe_class.presets)
        recipe = recipe_class.preset(preset or preset_for(recipe_class, dataset), changes)
        if spec.level not in recipe.levels:
            raise RequestError(
                f"{method} embeds {' and '.join(recipe.levels)}s and {dataset} is a set at {spec.level} level; "
                "`graphcl ls methods` shows which method works where"
            )
        _check_text(recipe, method, spec, features, attack)
        recipe = recipe.pinned()
        wanted = split or spec.default_split
        if wanted not in spec.splits and not is_random(wanted):
            raise UnknownNameError(f"split of {dataset}", wanted, split_names(spec))
        recipe.plan.torch_device()
        if probe == "majority" and recipe.probe != "majority":
            raise RequestError(f"--probe majority ignores the embedding of {method}; run the method 'majority' instead")
        if recipe.supervised and (probe is not None or probe_changes or protocol == "legacy"):
            raise RequestError(
                f"{method} is trained on the labels, selected on validation and scored without a probe; leave "
                "probe and protocol out"
            )
        # the majority class has no embedding that another probe could read
        name = recipe.probe if probe is None or recipe.probe == "majority" else probe
        probe_class: type[Probe] = find("probes", name)
        of = preset_for(probe_class, dataset)
        made = probe_class.preset(of, probe_changes if name != "majority" else None)
        return cls(
            method=method,
            dataset=dataset,
            split=wanted,
            seed=seed,
            settings=encode(recipe),
            probe={"name": "none"} if recipe.supervised else {"name": name, **encode(made)},
            protocol="legacy" if protocol == "legacy" else "honest",
            attack=None if attack is None else _resolved(attack, spec, protocol),
            features=None if features is None else _features(features, source_changes, spec),
        )

    def at(self, seed: int, attack: Mapping[str, Any] | None = None) -> Self:
        """The same with another seed, and under an attack: what a suite makes thousands of.

        Args:
            seed: 0 or more.
            attack: fields of `graphcl.bench.attack.Attack`.
        """
        if seed < 0:
            raise RequestError(f"seed = {seed}: input should be 0 or more")
        if attack is None:
            return replace(self, seed=seed, attack=None)
        spec = find_dataset(self.dataset)
        _check_text(self.recipe(), self.method, spec, None, attack)
        return replace(self, seed=seed, attack=_resolved(attack, spec, self.protocol))

    @property
    def id(self) -> str:
        """Hash of all of it, 16 hex digits.

        Settings of ``None`` are left out, so that a setting that comes later and does nothing unless it is given
        leaves earlier records valid; of features also how they are come by: a larger budget is no other run.
        """
        return digest(_without_none({**asdict(self), "features": _what(self.features), "settings": self._made_with}))

    @property
    def training(self) -> str:
        """Hash of what the training hangs on: runs that differ in split and probe alone share it.

        Where labels have a part in the training (supervised references, the legacy protocol) it is the run's own.
        """
        if self.protocol == "legacy" or find("methods", self.method).supervised:
            return self.id
        own = asdict(self)
        of_training = {key: own[key] for key in ("method", "dataset", "seed", "settings", "protocol", "features")}
        of_training["features"], of_training["settings"] = _what(self.features), self._made_with
        if self.attack is not None and self.attack["when"] == "poisoning":
            of_training["attack"] = own["attack"]
        return digest(_without_none(of_training))

    @property
    def _made_with(self) -> Mapping[str, Any]:
        """The settings, where text is read without how its features are come by."""
        if not find("methods", self.method).reads_text:
            return self.settings
        return {name: value if name == "plan" else _what(value) for name, value in self.settings.items()}

    @property
    def spec(self) -> DatasetSpec:
        """The facts about the data set."""
        return find_dataset(self.dataset)

    def content(self) -> str:
        """Fingerprint of the data set as it is found here."""
        return fingerprint(open_dataset(self.dataset)[1])

    def device(self) -> torch.device:
        """Where it is trained."""
        return self.recipe().plan.torch_device()

    def compute(self, watch: Watch | None, clock: Clock, kept: "list[Trained]") -> Record:
        """Train and score: what `execute` puts into the record; the clock is told of each part."""
        return _compute(self, watch, clock, kept)

    def recipe(self) -> Recipe:
        """The recipe these settings describe."""
        return decode(find("methods", self.method), self.settings)

    def make_probe(self) -> Probe:
        """The probe these settings describe."""
        cls = find("probes", self.probe["name"])
        return decode(cls, {name: value for name, value in self.probe.items() if name != "name"})


def _check_text(
    recipe: Recipe, method: str, spec: DatasetSpec, features: str | None, attack: Mapping[str, Any] | None
) -> None:
    """Refuse what cannot be asked of a method that makes its own features of text."""
    if recipe.reads_text and features is not None:
        raise RequestError(
            f"{method} makes its own features of the text; leave --features out and change its settings "
            f"(`graphcl show {method}`)"
        )
    if not recipe.takes(spec):
        raise RequestError(
            f"{method} reads text and {spec.name} has none; `graphcl data ls` marks the sets that have some, such as "
            "citeseer-text and python-stdlib"
        )
    if recipe.features_follow_edges and attack is not None and attack.get("when", "evasion") == "evasion":
        raise RequestError(
            f"{method} makes its features along the edges, before an evasion that changes them; poison the graph, or "
            "choose settings whose features do not follow the edges"
        )


def _resolved(attack: Mapping[str, Any], spec: DatasetSpec, protocol: str) -> dict[str, Any]:
    made = Attack.of(attack)
    if spec.level != "node":
        raise RequestError(f"{spec.name} is a set of graphs, and attacks are made on one; choose one at node level")
    if protocol == "legacy":
        raise RequestError("the legacy protocol picks epochs on test, and attacks nothing; leave one of the two out")
    return encode(made)


def _features(names: str, changes: Mapping[str, Any], spec: DatasetSpec) -> dict[str, Any]:
    if spec.level != "node":
        raise RequestError(f"{spec.name} is a set of graphs, and features are made for nodes; choose one at node level")
    return encode(FeatureSet.of(names, changes))


HOW_COME_BY = {
    *("device", "key_variable", "timeout", "tries", "wait", "per_minute", "price", "budget"),
}
"""Settings of features that say how they are come by, and nothing about what they are."""


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def _what(features: Any) -> Any:
    """The features of a run without how they are come by, and without what is ``None``."""
    if isinstance(features, Mapping):
        return {key: _what(value) for key, value in features.items() if key not in HOW_COME_BY and value is not None}
    return [_what(value) for value in features] if isinstance(features, (list, tuple)) else features


@dataclass(frozen=True)
class Trained:
    """An embedding that several runs score: labels have no part in its training, so that one serves every split.

    A training that failed is kept as well: it would fail again.
    """

    key: str
    run_id: str
    embedding: Tensor | None
    about: Record | None = None
    method: Method | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak: Mapping[str, float] = field(default_factory=dict)
    failure: str | None = None


@dataclass
class _Probed:
    """What a probe found, and what it cost."""

    run_id: str
    scores: Scores
    seconds: float
    peak: Mapping[str, float] = field(default_factory=dict)


_PROBED: dict[str, _Probed] = {}
_PROBED_AT_MOST = 1024
"""By everything that scores hang on; of this process, a few hundred numbers each."""


def execute(run: Run, watch: Watch | None = None, kept: list[Trained] | None = None) -> Record:
    """Compute one run.

    Args:
        run: what to compute.
        watch: called after each training step.
        kept: the last embedding, taken if it is of the same training and replaced if not; ``None`` keeps none.

    Returns:
        The record. ``status`` is ``ok``; ``failed`` where the computation itself failed (it diverged: running it again
        would fail again); ``error`` where something around it did (files, memory: worth another try).
    """
    clock = Clock()
    kept = [] if kept is None else kept
    record: Record = {"run_id": run.id, "run": asdict(run), "status": "ok"}
    try:
        with peak_memory() as peak:
            record.update(run.compute(watch, clock, kept))
        record.update(peak)
        _share(run, record, clock, kept)
        _share_probe(record)
        # beside the run: no part of what the method costs
        _describe_embedding(run, record, kept)
        clock.skip()
        json.dumps(record, allow_nan=False)  # what cannot be written is this run's error, not the end of a sweep
    except RunFailedError as error:
        record.update(status="failed", error=str(error))
        if kept and kept[0].key == run.training and kept[0].run_id != run.id:
            record["trained_with"] = kept[0].run_id
    except GraphclError as error:
        record.update(status="error", error=str(error), kind=type(error).__name__)
    except Exception as error:  # one broken cell must not lose the others; the record says what happened
        record = {"run_id": run.id, "run": asdict(run)}
        record.update(
            status="error",
            error=f"{type(error).__name__}: {error}",
            kind=type(error).__name__,
            traceback=traceback.format_exc().splitlines(),
        )
    record["seconds"] = clock.parts()
    record["env"] = environment(run.device())
    record["time"] = datetime.now(UTC).isoformat(timespec="seconds")
    return record


def _share(run: Run, record: Record, clock: Clock, kept: list[Trained]) -> None:
    """Training that was done for an earlier run counts in full in the time and memory of this one."""
    if not kept or kept[0].key != run.training:
        return
    if kept[0].run_id == run.id:
        kept[0] = replace(kept[0], peak={name: record[name] for name in ("peak_mb", "peak_cuda_mb") if name in record})
        return
    clock.add(kept[0].seconds)
    for name, value in kept[0].peak.items():
        record[name] = max(value, record.get(name, 0.0))
    record["trained_with"] = kept[0].run_id


def _describe_embedding(run: Run, record: Record, kept: list[Trained]) -> None:
    """What can be said of an embedding without a split, once for each training; the majority's says nothing."""
    if not kept or kept[0].key != run.training or kept[0].embedding is None or run.probe["name"] == "majority":
        return
    if run.attack is not None and run.attack["when"] == "poisoning":
        return  # the graph that it embeds is not the data set's
    if kept[0].about is None:
        graphs, _ = load(run.dataset, run.split, run.seed)
        kept[0] = replace(kept[0], about=_described(kept[0].embedding, graphs, run.seed))
    if kept[0].about:
        record["embedding"] = kept[0].about


def _compute(run: Run, watch: Watch | None, clock: Clock, kept: list[Trained]) -> Record:
    clean, split = load(run.dataset, run.split, run.seed)
    spec = find_dataset(run.dataset)
    about_data = _describe_data(spec, clean)
    recipe, y = run.recipe(), labels(clean)
    attack = None if run.attack is None else decode(Attack, run.attack)
    extra = dict[str, Any]()
    if run.features is not None:
        clean, extra["features"] = _with_features(clean, decode(FeatureSet, run.features), run.dataset)
    graphs = clean
    if attack is not None:
        attack.check(undirected(clean))
        if attack.when == "poisoning":
            graphs = poison(attack, undirected(clean), run.dataset, run.seed, clock)
            extra["attack"] = difference(undirected(clean), graphs)
    if recipe.reads_text:
        extra["text"] = recipe.describe(undirected(graphs))
    clock.lap("load")
    evading = attack is not None and attack.when == "evasion"
    epoch: int | str | None = None
    victims: list[Victim] = []
    if recipe.supervised:
        scores, methods = train_supervised(recipe, graphs, split, spec.metric, run.seed, watch, clock)
        victims = [Victim(recipe, method, undirected(clean)) for method in methods] if evading else []
        probe_used: Record = {"probe": "none", "rule": "class scores of the model itself"}
    else:
        probe = run.make_probe()
        probe_used = probe.describe()

        def scored(h: Tensor) -> Scores:
            clock.lap("embed")
            scores = score(h, y, split, probe, spec.metric, run.seed)
            clock.lap("probe")
            return scores

        if run.protocol == "legacy":
            training = start(recipe, graphs, run.seed)
            scores, epoch = _best_on_test(training, recipe.plan, spec.metric, scored, watch, clock)
        else:
            if not kept or kept[0].key != run.training:
                kept[:] = [_train(run, recipe, graphs, watch, clock)]
            if kept[0].embedding is None or kept[0].method is None:
                raise RunFailedError(kept[0].failure or "the training failed")
            scores, shared = _scored_once(run, kept[0].embedding, y, split, spec.metric, scored, clock)
            extra |= shared
            if evading:
                fitted = fit_probe(kept[0].embedding, y, split, probe, spec.metric, run.seed)
                victims = [Victim(recipe, kept[0].method, undirected(clean), one.logits) for one in fitted]
    if attack is not None and evading:
        scores, extra["attack"] = evade(attack, victims, scores, y, split, spec.metric, run.dataset, run.seed, clock)
    return {
        **extra,
        "metrics": scores.metrics,
        "metrics_per_split": scores.per_split,
        "metric": spec.metric,
        "dataset": about_data,
        "split": {
            "name": split.name,
            "digest": split.digest,
            "provenance": split.provenance,
            "triples": len(split),
        },
        "selection": {
            "protocol": run.protocol,
            "rule": _SUPERVISED_RULE if recipe.supervised else _RULES[run.protocol],
            "legacy": run.protocol == "legacy",
            **({"epoch": epoch} if epoch is not None else {}),
            "probe": probe_used,
            "chosen": scores.chosen,
        },
    }


def _with_features(graphs: Graphs, source: FeatureSet, dataset: str) -> tuple[Graphs, Record]:
    """The graph with other features, and what they are: their source, and a hash of what it made."""
    assert isinstance(graphs, Data)  # refused by `Run.of` where it is none
    # a suite asks for the same features cell after cell
    key = (dataset, json.dumps(encode(source), sort_keys=True), fingerprint(graphs))
    made = graphs.__copy__()
    made.x = _MADE.of(key, lambda: source(graphs))
    keep_texts(graphs, made)
    sha = hashlib.sha256(made.x.contiguous().view(torch.uint8).numpy().data).hexdigest()
    return made, {**source.describe(), "width": made.x.size(1), "sha256": sha}


_MADE: Recalled[Tensor] = Recalled()


def _scored_once(
    run: Run, h: Tensor, y: Tensor, split: Split, metric: Metric, scored: Callable[[Tensor], Scores], clock: Clock
) -> tuple[Scores, Record]:
    """The scores of an embedding; the same question is answered once: a control has the same rows for every seed."""
    sha = hashlib.sha256()
    for tensor in (h, y):
        sha.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    asked: dict[str, Any] = {"rows": sha.hexdigest(), "shape": list(h.shape), "dtype": str(h.dtype), "metric": metric}
    # of one method: another one with the same rows has another memory
    asked |= {"method": run.method, "split": split.digest, "probe": run.probe}
    if split.selection == "cross-validation":
        asked["folds"] = run.seed
    key = digest(asked)
    known = _PROBED.get(key)
    # a run that is made again is made in full
    if known is not None and known.run_id != run.id:
        clock.add({"probe": known.seconds})
        return copy.deepcopy(known.scores), {"probed_with": known.run_id}
    scores = scored(h)
    _PROBED[key] = _Probed(run.id, copy.deepcopy(scores), clock.parts()["probe"])
    while len(_PROBED) > _PROBED_AT_MOST:
        del _PROBED[next(iter(_PROBED))]
    return scores, {}


def _share_probe(record: Record) -> None:
    """A probe that was made for an earlier run counts in full in the memory of this one."""
    for known in _PROBED.values():
        if known.run_id == record["run_id"]:
            known.peak = {name: record[name] for name in ("peak_mb", "peak_cuda_mb") if name in record}
        elif known.run_id == record.get("probed_with"):
            for name, value in known.peak.items():
                record[name] = max(value, record.get(name, 0.0))


def _train(run: Run, recipe: Recipe, graphs: Graphs, watch: Watch | None, clock: Clock) -> Trained:
    """The embedding at the end of the plan."""
    try:
        training = start(recipe, graphs, run.seed)
        for step in training.steps:
            if watch is not None:
                watch(step, recipe.plan)
        clock.lap("train")
        h = embedding(training.method, training.data)
    except RunFailedError as error:
        return Trained(run.training, run.id, None, failure=str(error))
    clock.lap("embed")
    spent = {name: value for name, value in clock.parts().items() if name in ("train", "embed")}
    return Trained(run.training, run.id, h, method=training.method, seconds=spent)


def _described(h: Tensor, graphs: Graphs, seed: int) -> Record:
    """What an embedding looks like; it costs no score where it cannot be said."""
    if h.numel() > _DESCRIBED or h.size(1) > _DESCRIBED_WIDTH:
        return {}  # k-means and singular values would take longer than many trainings
    try:
        return {
            "diagnostics": diagnose(h, graphs if isinstance(graphs, Data) else None).to_dict(),
            "clustering": clustering(h, labels(graphs), runs=1, seed=seed),
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _best_on_test(
    training: Training,
    plan: Plan,
    metric: str,
    scored: Callable[[Tensor], Scores],
    watch: Watch | None,
    clock: Clock,
) -> tuple[Scores, int | str]:
    best = scored(embedding(training.method, training.data))
    best_epoch: int | str = 0
    for step in training.steps:
        if watch is not None:
            watch(step, plan)
        ended = step.n % training.steps_per_epoch == 0
        if ended and (step.epoch % LEGACY_EVERY == 0 or step.epoch == plan.epochs):
            clock.lap("train")
            now = scored(embedding(training.method, training.data))
            if now.metrics[f"{metric}/test"] > best.metrics[f"{metric}/test"]:
                best, best_epoch = now, step.epoch
    if plan.patience is not None:
        # the parameters that the honest protocol scores have been put back; its score is in the choice as well
        clock.lap("train")
        now = scored(embedding(training.method, training.data))
        if now.metrics[f"{metric}/test"] > best.metrics[f"{metric}/test"]:
            best, best_epoch = now, "of the lowest loss"
    return best, best_epoch


def _describe_data(spec: DatasetSpec, graphs: Graphs) -> Record:
    members = [graphs] if isinstance(graphs, Data) else graphs
    y = labels(graphs)
    return {
        "name": spec.name,
        "fingerprint": fingerprint(graphs),
        "counts": {
            "nodes": sum(int(graph.num_nodes or 0) for graph in members),
            "edges": sum(int(graph.num_edges) for graph in members),
            "features": members[0].num_node_features,
            "classes": int(y[y >= 0].unique().numel()),
            "graphs": len(members),
        },
    }
