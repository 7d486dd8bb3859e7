"""Graphs whose nodes carry their raw text: abstracts of CiteSeer, and pages of three computer science departments.

``text`` of the graph is a list of N strings in the order of the nodes; the features are the TF-IDF weights of its most
widespread words. What language models make of the text is the business of `graphcl.features`.
"""

import csv
import gzip
import io
import zlib
from pathlib import Path

import torch
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, remove_self_loops, to_undirected

from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, Graphs, Layout, RawFile
from graphcl.data.words import tf_idf
from graphcl.errors import DataError

__all__ = ["CITESEER_TEXT", "WEBKB_TEXT"]

_NODES, _EDGES = "nodes.csv.gz", "edges.csv.gz"
_WORDS, _LEAST = 2000, 3
_LONGEST = 1 << 24
"""Characters of the longest field that is read; the longest page has 26,000."""


def _rows(path: Path, columns: set[str]) -> list[dict[str, str]]:
    """The lines of a compressed table with a title line, by column."""
    limit = csv.field_size_limit(_LONGEST)
    try:
        content = gzip.decompress(path.read_bytes()).decode()
        rows = list(csv.DictReader(io.StringIO(content, newline=""), strict=True))
    except (EOFError, OSError, UnicodeError, zlib.error, csv.Error) as error:
        raise DataError(f"{path}: no compressed table ({type(error).__name__}: {error})") from None
    finally:
        csv.field_size_limit(limit)
    if not rows or not columns <= rows[0].keys():
        raise DataError(f"{path}: expected lines below the titles {', '.join(sorted(columns))}")
    if any(None in row.values() or None in row for row in rows):
        raise DataError(f"{path}: lines of different length; it is truncated")
    return rows


def _numbers(rows: list[dict[str, str]], column: str, path: Path) -> torch.Tensor:
    try:
        return torch.tensor([int(row[column]) for row in rows])
    except ValueError as error:
        raise DataError(f"{path}: column {column}: {error}") from None


def _read(files: Files, directed: bool, unlabelled: frozenset[str] = frozenset()) -> Data:
    nodes = _rows(files[_NODES], {"node", "y", "label", "text"})
    edges = _rows(files[_EDGES], {"source", "target"})
    if not torch.equal(_numbers(nodes, "node", files[_NODES]), torch.arange(len(nodes))):
        raise DataError(f"{files[_NODES]}: the nodes are not numbered 0..{len(nodes) - 1} in order")
    ends = torch.stack([_numbers(edges, end, files[_EDGES]) for end in ("source", "target")])
    text = [row["text"] for row in nodes]
    x, vocabulary = tf_idf(text, _WORDS, _LEAST, str(files[_NODES]))
    y = _numbers(nodes, "y", files[_NODES])
    names = dict(sorted({int(row["y"]): row["label"] for row in nodes if row["label"] not in unlabelled}.items()))
    y[torch.tensor([row["label"] in unlabelled for row in nodes])] = -1
    between = remove_self_loops(ends)[0]
    return Data(
        x=x,
        edge_index=coalesce(between, num_nodes=len(nodes))
        if directed
        else to_undirected(between, num_nodes=len(nodes)),
        y=y,
        text=text,
        class_names=list(names.values()),
        vocabulary=vocabulary,
    )


def _read_citeseer(files: Files) -> Graphs:
    return _read(files, directed=False)


def _read_webkb(files: Files) -> Graphs:
    return _read(files, directed=True)


def _read_texas(files: Files) -> Graphs:
    return _read(files, directed=True, unlabelled=frozenset(["staff"]))


def _files(folder: str) -> tuple[RawFile, ...]:
    return tuple(raw_file(f"TextAttributed/{folder}/{name}") for name in (_NODES, _EDGES))


_TABLES = (
    "no address to fetch it from: nodes.csv.gz (columns node, y, label, text) and edges.csv.gz (source, target) are "
    "tables made of the released files"
)

CITESEER_TEXT = DatasetSpec(
    name="citeseer-text",
    title="CiteSeer (text)",
    layouts=(Layout(_read_citeseer, _files("CiteSeer")),),
    kin="citeseer",
    text=True,
    counts=Counts(3186, 8450, 2000, 6),
    content="077c66e12f4b2c4f",
    citation=(
        "Giles, Bollacker & Lawrence, CiteSeer: an automatic citation indexing system, ACM DL 1998; texts as in "
        "He et al., Harnessing explanations: LLM-to-LM interpreter for enhanced text-attributed graph representation "
        "learning, ICLR 2024"
    ),
    licence="MIT (repository of the raw files)",
    source="https://github.com/XiaoxinHe/TAPE",
    note=(
        "nodes are papers with title and abstract, edges citations, features TF-IDF weights of the most widespread "
        "words, labels the field"
    ),
    traps=(
        _TABLES,
        "the 3,186 papers whose text was found: fewer nodes and edges than citeseer, so that no number can be compared",
        "title and abstract stand one after the other without a mark between them",
        "101 papers have the very text of another, and 22 such texts stand in two classes",
    ),
)


def _webkb(name: str, counts: Counts, content: str) -> DatasetSpec:
    trap = (
        "fewer than 300 nodes and one class of ten pages at most: the spread over splits is several points of accuracy"
    )
    single = "the only page of the class 'staff' has label -1: no split could hold it in every part"
    return DatasetSpec(
        name=f"{name}-text",
        title=f"{name.capitalize()} (text)",
        layouts=(Layout(_read_texas if name == "texas" else _read_webkb, _files(f"WebKB_{name.capitalize()}")),),
        counts=counts,
        content=content,
        kin=name,
        text=True,
        citation=(
            "Craven et al., Learning to extract symbolic knowledge from the World Wide Web, AAAI 1998; texts as in Yan "
            "et al., A comprehensive study on text-attributed graphs, NeurIPS 2023"
        ),
        licence="MIT (repository of the raw files)",
        source="https://github.com/sktsherlock/TAG-Benchmark",
        note=(
            "nodes are pages of a university's computer science department with their text, edges links, features "
            "TF-IDF weights of the most widespread words, labels the kind of page"
        ),
        directed=True,
        default_split="random-60-20-20",
        traps=(f"another set of pages than {name}: no row of one can be found in the other",) * (name != "washington")
        + (_TABLES, trap)
        + (single,) * (name == "texas"),
    )


WEBKB_TEXT = (
    _webkb("texas", Counts(187, 310, 1372, 4), "82049eeb3d7542a6"),
    _webkb("washington", Counts(229, 394, 1866, 5), "4f742fd3f9d79099"),
    _webkb("wisconsin", Counts(265, 510, 2000, 5), "6ff530d5540d5f85"),
)
