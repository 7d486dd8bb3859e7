"""One cell of a benchmark: a `Run` is plain data, its record is one JSON object."""

import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch_geometric.data import Data

from graphcl._version import __version__
from graphcl.catalogue import find
from graphcl.config import decode, digest, encode, parse_setting
from graphcl.data.loading import find_dataset, labels, load, split_names
from graphcl.data.spec import DatasetSpec, Graphs
from graphcl.data.splits import is_random
from graphcl.errors import GraphclError, RequestError, RunFailedError, UnknownNameError
from graphcl.evaluate.probes import Probe
from graphcl.evaluate.scoring import Scores, score
from graphcl.graph import fingerprint
from graphcl.methods.recipe import Recipe
from graphcl.plan import Plan
from graphcl.train import Step, Training, embedding, start

__all__ = ["LEGACY_EVERY", "Record", "Run", "Watch", "execute", "nested"]

Record = dict[str, Any]
Watch = Callable[[Step, Plan], None]
Protocol = Literal["honest", "legacy"]

LEGACY_EVERY = 10
"""How often the legacy protocol looks at the test set, in epochs (as the official GCA and PiNGDA codes do)."""

_RULES = {
    "honest": "trained without labels to the end of the plan; probe normalisation and strength by the validation part "
    "(cross-validation inside train where there is none); test read once, afterwards",
    "legacy": f"FLAGGED: the epoch (every {LEGACY_EVERY}) with the best mean TEST score is reported, as much released "
    "code does; never compare it with honest records",
}


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
    """

    method: str
    dataset: str
    split: str
    seed: int
    settings: Mapping[str, Any] = field(hash=False)
    probe: Mapping[str, Any] = field(hash=False)
    protocol: Protocol = "honest"

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
    ) -> Self:
        """Resolve names and settings; whatever is wrong with the request is refused here, before any work.

        Args:
            method: catalogue name; its official settings for the data set are taken where there are some.
            dataset: catalogue name.
            split: ``None`` takes the data set's default.
            seed: 0 or more.
            changes: nested changes to the settings; those below ``probe`` go to the probe.
            protocol: ``honest`` or ``legacy``.
            probe: catalogue name; ``None`` takes the standard one.
            preset: whose settings to take (``cora-official``); ``None`` takes those for the data set.
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
        if preset is not None and preset not in recipe_class.presets:
            raise UnknownNameError(f"preset of {method}", preset, recipe_class.presets)
        recipe = recipe_class.preset(preset or dataset, changes)
        if spec.level not in recipe.levels:
            raise RequestError(
                f"{method} embeds {' and '.join(recipe.levels)}s and {dataset} is a set at {spec.level} level; "
                "`graphcl ls methods` shows which method works where"
            )
        wanted = split or spec.default_split
        if wanted not in spec.splits and not is_random(wanted):
            raise UnknownNameError(f"split of {dataset}", wanted, split_names(spec))
        recipe.plan.torch_device()
        if probe == "majority" and recipe.probe != "majority":
            raise RequestError(f"--probe majority ignores the embedding of {method}; run the method 'majority' instead")
        # the majority class has no embedding that another probe could read
        name = recipe.probe if probe is None or recipe.probe == "majority" else probe
        made: Probe = find("probes", name).preset(dataset, probe_changes if name != "majority" else None)
        return cls(
            method=method,
            dataset=dataset,
            split=wanted,
            seed=seed,
            settings=encode(recipe),
            probe={"name": name, **encode(made)},
            protocol="legacy" if protocol == "legacy" else "honest",
        )

    @property
    def id(self) -> str:
        """Hash of all of it, 16 hex digits."""
        return digest(asdict(self))

    def recipe(self) -> Recipe:
        """The recipe these settings describe."""
        return decode(find("methods", self.method), self.settings)

    def make_probe(self) -> Probe:
        """The probe these settings describe."""
        cls = find("probes", self.probe["name"])
        return decode(cls, {name: value for name, value in self.probe.items() if name != "name"})


def execute(run: Run, watch: Watch | None = None) -> Record:
    """Compute one run.

    Args:
        run: what to compute.
        watch: called after each training step.

    Returns:
        The record. ``status`` is ``ok``; ``failed`` where the computation itself failed (it diverged: running it again
        would fail again); ``error`` where something around it did (files, memory: worth another try).
    """
    clock = _Clock()
    record: Record = {"run_id": run.id, "run": asdict(run), "status": "ok"}
    try:
        with _peak_memory() as peak:
            record.update(_compute(run, watch, clock))
        record["peak_mb"] = peak[0]
    except RunFailedError as error:
        record.update(status="failed", error=str(error))
    except GraphclError as error:
        record.update(status="error", error=str(error), kind=type(error).__name__)
    except Exception as error:  # one broken cell must not lose the others; the record says what happened
        record.update(
            status="error",
            error=f"{type(error).__name__}: {error}",
            kind=type(error).__name__,
            traceback=traceback.format_exc().splitlines(),
        )
    record["seconds"] = clock.parts()
    record["env"] = environment()
    record["time"] = datetime.now(UTC).isoformat(timespec="seconds")
    return record


def _compute(run: Run, watch: Watch | None, clock: "_Clock") -> Record:
    graphs, split = load(run.dataset, run.split, run.seed)
    spec = find_dataset(run.dataset)
    recipe, probe, y = run.recipe(), run.make_probe(), labels(graphs)
    clock.lap("load")
    training = start(recipe, graphs, run.seed)

    def measured() -> Scores:
        h = embedding(training.method, training.data)
        clock.lap("embed")
        scores = score(h, y, split, probe, spec.metric, run.seed)
        clock.lap("probe")
        return scores

    if run.protocol == "legacy":
        scores, epoch = _best_on_test(training, recipe.plan, spec.metric, measured, watch, clock)
    else:
        epoch = None
        for step in training.steps:
            if watch is not None:
                watch(step, recipe.plan)
        clock.lap("train")
        scores = measured()
    return {
        "metrics": scores.metrics,
        "metrics_per_split": scores.per_split,
        "metric": spec.metric,
        "dataset": _describe_data(spec, graphs),
        "split": {
            "name": split.name,
            "digest": split.digest,
            "provenance": split.provenance,
            "triples": len(split),
        },
        "selection": {
            "protocol": run.protocol,
            "rule": _RULES[run.protocol],
            "legacy": run.protocol == "legacy",
            **({"epoch": epoch} if epoch is not None else {}),
            "probe": probe.describe(),
            "chosen": scores.chosen,
        },
    }


def _best_on_test(
    training: Training,
    plan: Plan,
    metric: str,
    measured: Callable[[], Scores],
    watch: Watch | None,
    clock: "_Clock",
) -> tuple[Scores, int]:
    best, best_epoch = measured(), 0
    for step in training.steps:
        if watch is not None:
            watch(step, plan)
        if step.epoch % LEGACY_EVERY == 0 or step.epoch == plan.epochs:
            clock.lap("train")
            now = measured()
            if now.metrics[f"{metric}/test"] > best.metrics[f"{metric}/test"]:
                best, best_epoch = now, step.epoch
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


class _Clock:
    """Wall seconds per named part."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._parts: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._parts[name] = self._parts.get(name, 0.0) + now - self._last
        self._last = now

    def parts(self) -> dict[str, float]:
        total = time.perf_counter() - self._began
        return {name: round(value, 3) for name, value in {**self._parts, "total": total}.items()}


@contextmanager
def _peak_memory() -> Iterator[list[float]]:
    """Peak memory of the block in MB: of the device where one is used, else resident memory of the process.

    Linux resets its high-water mark on request; elsewhere the figure is the peak of the process so far.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    peak = [0.0]
    yield peak
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        peak[0] = int(line.split()[1]) / 1024
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak[0] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        peak[0] = torch.cuda.max_memory_allocated() / 2**20
    peak[0] = round(peak[0], 1)


@cache
def _versions() -> dict[str, str]:
    found = {"graphcl": __version__, "python": platform.python_version()}
    for name in ("torch", "torch_geometric", "numpy", "scipy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "?"
    return found


def environment() -> Record:
    """Versions, platform, threads and device: what else a number depends on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "versions": _versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "device": device,
    }
