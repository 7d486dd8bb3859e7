"""Wiki-CS (Mernyei & Cangea, 2020): computer-science articles of Wikipedia, with twenty published splits.

One JSON file: ``features`` and ``labels`` by node, ``links`` (lists of neighbours), ``train_masks``,
``val_masks`` and ``stopping_masks`` (twenty each) and one ``test_mask``. The stopping masks, meant for early
stopping of supervised training, are not used: no probe of this project stops early on them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, FixedSplit, Graphs, Layout
from graphcl.data.splits import Triple
from graphcl.errors import DataError

__all__ = ["WIKI_CS"]

_URL = "https://github.com/pmernyei/wiki-cs-dataset/raw/master/dataset/data.json"


def _parse(path: Path, keys: tuple[str, ...]) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [content[key] for key in keys]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the expected JSON ({type(error).__name__}: {error})") from None


def _read(files: Files) -> Data:
    (path,) = files.values()
    features, labels, links = _parse(path, ("features", "labels", "links"))
    source = np.repeat(np.arange(len(links)), [len(to) for to in links])
    target = np.fromiter((node for to in links for node in to), np.int64, source.size)
    x = np.array(features, dtype=np.float32)
    return Data(
        x=torch.from_numpy(x),
        edge_index=to_undirected(torch.from_numpy(np.stack([source, target])), num_nodes=len(x)),
        y=torch.tensor(labels, dtype=torch.long),
    )


def _official(files: Files, graph: Graphs) -> tuple[Triple, ...]:
    (path,) = files.values()
    train, val, test = _parse(path, ("train_masks", "val_masks", "test_mask"))
    return tuple(Triple.of_masks(a, b, test) for a, b in zip(train, val, strict=True))


WIKI_CS = DatasetSpec(
    name="wiki-cs",
    title="Wiki-CS",
    layouts=(Layout(_read, (raw_file("WikiCS/raw/data.json", _URL),)),),
    # 216,123 links of the paper, symmetrised, with the 520 articles that link to themselves counted once
    counts=Counts(11701, 431726, 300, 10),
    licence="MIT (repository of the raw file); text of Wikipedia under CC BY-SA",
    citation="Mernyei & Cangea, Wiki-CS: a Wikipedia-based benchmark for graph neural networks, 2020 (arXiv "
    "2007.02901)",
    source="https://github.com/pmernyei/wiki-cs-dataset",
    note=(
        "nodes are articles, edges links made undirected, features the mean word vector of the text, labels "
        "the branch of computer science"
    ),
    splits={"official": FixedSplit(_official)},
    default_split="official",
    traps=("numbers on the directed graph (older loaders) and on the undirected one, as here, are not comparable",),
)
