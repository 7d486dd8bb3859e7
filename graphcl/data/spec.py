"""What is known of a data set before a file is opened: where it comes from, what it must contain, its splits.

A `DatasetSpec` is data. The files of a data set may exist in several layouts (an archive, the unpacked
archive, a compact form of the same content); each `Layout` says which files it takes and how they become a
graph.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from torch_geometric.data import Data

from graphcl.data.splits import Triple

__all__ = ["Counts", "DatasetSpec", "Files", "FixedSplit", "Graphs", "Layout", "Poison", "RawFile"]

Graphs: TypeAlias = Data | list[Data]
Files: TypeAlias = Mapping[str, Path]
"""Path of each raw file on this machine, by its name without folders."""


@dataclass(frozen=True)
class RawFile:
    """One file as it lies below a mirror or the cache.

    Args:
        path: relative path, for example ``Planetoid/Cora/raw/ind.cora.x``.
        sha256: accepted checksums; several where a file exists in more than one writing of the same content;
            none where no copy has been seen yet (then the content decides, see `DatasetSpec.content`).
        url: where it can be downloaded.
    """

    path: str
    sha256: tuple[str, ...] = ()
    url: str | None = None

    @property
    def name(self) -> str:
        """The path without its folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Layout:
    """One way in which the files may lie, and how to read them. No files: the data set is made on the spot.

    Args:
        read: paths of the files to the graph or list of graphs (of an `InteractionSpec`: to interactions).
        files: what is needed.
        comparable: whether the outcome has the fingerprint `DatasetSpec.content`; ``False`` for a copy that
            holds the same graphs in another order, where a file without a listed checksum is accepted on the
            counts alone.
    """

    read: Callable[[Files], Any]
    files: tuple[RawFile, ...] = ()
    comparable: bool = True


@dataclass(frozen=True)
class FixedSplit:
    """A published split: the files it needs beyond the graph's own, and how they become index triples.

    Args:
        read: ``(files, graph) -> triples``; ``files`` holds those of the graph's layout and of this split.
        files: the extra files.
    """

    read: Callable[[Files, Graphs], tuple[Triple, ...]]
    files: tuple[RawFile, ...] = ()


@dataclass(frozen=True)
class Counts:
    """What must come out of reading: nodes, stored directed edges, features, classes (and graphs)."""

    nodes: int
    edges: int
    features: int
    classes: int
    graphs: int | None = None


@dataclass(frozen=True)
class Poison:
    """What was done to a graph before anybody trained on it.

    Args:
        clean: catalogue name of the graph before.
        attack: what the attack is called.
        share: of the edges that it flipped; 0 for the clean graph itself.
    """

    clean: str
    attack: str
    share: float


@dataclass(frozen=True, eq=False, kw_only=True)
class DatasetSpec:
    """All the facts about one data set.

    Args:
        name: kebab-case catalogue name.
        title: the name that papers print.
        level: ``node`` or ``graph``: what is classified.
        layouts: the accepted layouts of the raw files, the downloadable one first.
        counts: expected sizes; ``None`` where they depend on the machine (``python-stdlib``).
        content: `graphcl.graph.fingerprint` of the graph; ``None`` where no copy has been read yet.
        licence: the licence of the data, as far as stated.
        citation: the paper to cite.
        source: the page or repository the files come from.
        splits: published splits by name; the random ones (`graphcl.data.splits.RANDOM`) always exist beside
            them.
        default_split: what ``split=None`` means.
        metric: headline score: accuracy, or ROC-AUC of the scores for the unbalanced two-class sets.
        directed: whether edges are stored as directed.
        traps: known flaws that anybody quoting a number must know.
        poison: the attack that made this graph of another one, where one did.
        kin: a data set whose settings serve where a recipe has none for this one.
        text: whether its nodes say something (see `graphcl.features.texts_of`).
        note: what the nodes, edges and labels are.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    counts: Counts | None
    citation: str
    source: str
    note: str
    level: Literal["node", "graph"] = "node"
    content: str | None = None
    licence: str = "none stated"
    splits: Mapping[str, FixedSplit] = field(default_factory=dict)
    default_split: str = "random-10-10-80"
    metric: Literal["acc", "auc"] = "acc"
    directed: bool = False
    traps: tuple[str, ...] = ()
    poison: Poison | None = None
    kin: str = ""
    text: bool = False

    @property
    def embedded(self) -> bool:
        """Whether the data set needs no file from outside."""
        return any(not layout.files for layout in self.layouts)
