"""Names for parts, found by looking: whatever is defined in the right package is in the catalogue.

There is no registry to edit and no decorator to remember. The classes (or, for data sets, the instances) that a
package's modules define are its entries; an entry point of the group ``graphcl.<kind>`` adds one from another
distribution. Two entries with one name, or a module that fails to import, is an error and never a skip.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from graphcl.errors import RequestError, UnknownNameError

__all__ = ["KINDS", "Kind", "entries", "find", "kebab", "kind_of"]


@dataclass(frozen=True)
class Kind:
    """One catalogue: the package that is scanned and the class its entries descend from (or are instances of)."""

    package: str
    root: str
    singular: str
    instances: bool = False

    def root_class(self) -> type:
        """The class named by ``root``."""
        module, _, name = self.root.partition(":")
        return getattr(importlib.import_module(module), name)


KINDS: dict[str, Kind] = {
    "methods": Kind("graphcl.methods", "graphcl.methods.recipe:Recipe", "method"),
    "recommenders": Kind("graphcl.recsys.methods", "graphcl.recsys.recommender:Recommender", "recommender"),
    "augmenters": Kind("graphcl.augment", "graphcl.augment.augmenter:Augmentation", "augmenter"),
    "adversaries": Kind("graphcl.adversary", "graphcl.adversary.adversary:Adversary", "adversary"),
    "objectives": Kind("graphcl.objectives", "graphcl.objectives.objective:Objective", "objective"),
    "filters": Kind("graphcl.spectral", "graphcl.spectral.filters:SpectralFilter", "filter"),
    "gates": Kind("graphcl.spectral", "graphcl.spectral.gates:Gating", "gate"),
    "features": Kind("graphcl.features", "graphcl.features.source:FeatureSource", "feature source"),
    "decouplers": Kind("graphcl.features", "graphcl.features.decoupling:Decoupler", "decoupler"),
    "probes": Kind("graphcl.evaluate", "graphcl.evaluate.probes:Probe", "probe"),
    "datasets": Kind("graphcl.data", "graphcl.data.spec:DatasetSpec", "data set", instances=True),
    "interactions": Kind(
        "graphcl.data", "graphcl.data.interaction_spec:InteractionSpec", "interaction set", instances=True
    ),
}


def kebab(name: str) -> str:
    """Class name to catalogue name.

    Example:
        >>> kebab("EdgeDropout"), kebab("InfoNCE"), kebab("PPRDiffusion")
        ('edge-dropout', 'info-nce', 'ppr-diffusion')
    """
    spaced = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1-\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", spaced).lower().replace("_", "-")


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield importlib.import_module(info.name)


def _name_of(entry: Any) -> str:
    # an instance (a data set) carries its name; a class may state one, else it is its own
    if not isinstance(entry, type):
        return entry.name
    stated = entry.__dict__.get("name")
    return stated if isinstance(stated, str) else kebab(entry.__name__)


def _defined_in(module: ModuleType, kind: Kind, root: type) -> Iterator[Any]:
    for key, value in vars(module).items():
        if key.startswith("_"):
            continue
        if kind.instances:
            group = value if isinstance(value, tuple) else (value,)
            yield from (item for item in group if isinstance(item, root))
        elif (
            isinstance(value, type)
            and issubclass(value, root)
            and value is not root
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ):
            yield value


@cache
def entries(kind: str) -> dict[str, Any]:
    """All entries of a catalogue by name, sorted.

    Args:
        kind: a key of `KINDS`.

    Raises:
        UnknownNameError: no such catalogue.
        RequestError: two different entries claim one name, or an entry point cannot be loaded.
    """
    spec = kind_of(kind)
    root = spec.root_class()
    found: dict[str, Any] = {}

    def add(entry: Any, origin: str) -> None:
        name = _name_of(entry)
        if found.setdefault(name, entry) is not entry:
            raise RequestError(f"two {kind} are named '{name}': rename the one in {origin}")

    for module in _modules(importlib.import_module(spec.package)):
        for entry in _defined_in(module, spec, root):
            add(entry, module.__name__)
    for point in entry_points(group=f"graphcl.{kind}"):
        try:
            entry = point.load()
        except Exception as error:  # somebody else's module may fail in any way; it is named, never skipped
            raise RequestError(
                f"entry point '{point.value}' of group graphcl.{kind} cannot be loaded "
                f"({type(error).__name__}: {error}); mend or uninstall the distribution that brings it"
            ) from error
        fits = isinstance(entry, root) if spec.instances else isinstance(entry, type) and issubclass(entry, root)
        if not fits:
            raise RequestError(f"entry point '{point.value}' of group graphcl.{kind} is no {root.__name__}")
        add(entry, point.value)
    return dict(sorted(found.items()))


def kind_of(kind: str) -> Kind:
    """The `Kind` of that name, or an `UnknownNameError`."""
    if kind not in KINDS:
        raise UnknownNameError("catalogue", kind, KINDS)
    return KINDS[kind]


def find(kind: str, name: str) -> Any:
    """One entry of a catalogue.

    Raises:
        UnknownNameError: naming the nearest known name.

    Example:
        >>> find("methods", "grace").__name__
        'Grace'
    """
    known = entries(kind)
    if name not in known:
        raise UnknownNameError(kind_of(kind).singular, name, known)
    return known[name]
