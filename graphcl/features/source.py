"""What a feature source is: the text of each node (or a file) in, a row of numbers for each node out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Config, encode
from graphcl.errors import DataError, RequestError

__all__ = ["FeatureProgress", "FeatureSource", "FeatureWatch", "texts_of", "with_features"]


@dataclass(frozen=True)
class FeatureProgress:
    """How far a source has come.

    Args:
        rows: what it needs in all: texts, sentences or answers.
        stored: of these, found in the cache.
        made: computed or received just now.
        retries: requests that were sent again.
        tokens: what an endpoint counted, 0 where nothing is counted.
        cost: of these, at the price that was given.
    """

    rows: int
    stored: int
    made: int = 0
    retries: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.rows} rows: {self.stored} from the cache, {self.made} made"]
        parts += [f"{self.retries} retries"] * (self.retries > 0) + [f"{self.tokens} tokens"] * (self.tokens > 0)
        return ", ".join([*parts, *([f"cost {self.cost:.4g}"] * (self.cost > 0))])


FeatureWatch: TypeAlias = Callable[[FeatureProgress], None]


@dataclass(frozen=True, kw_only=True)
class FeatureSource(Config, ABC):
    """Features made of what the nodes of a graph say; labels, masks and splits are never read.

    Subclasses are frozen dataclasses that work without arguments, or say what they lack when they are called.
    """

    def __call__(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """Features ``float32 [N, F]`` of the nodes, row i of node i; the graph stays as it is.

        Args:
            data: a graph with ``text`` (N strings), or with words that its features stand for (see `texts_of`).
            watch: told of the progress of what takes long.

        Raises:
            DataError: the graph has no text, or the rows do not fit it.
            MissingExtraError: an optional library is not installed.
        """
        x = self.rows(data, watch).detach().to(torch.float32)
        if x.dim() != 2 or x.size(0) != data.num_nodes:
            raise DataError(f"{type(self).__name__}: made features of shape {list(x.shape)} for {data.num_nodes} nodes")
        if not bool(torch.isfinite(x).all()):
            row = int((~torch.isfinite(x)).any(1).nonzero()[0])
            raise DataError(f"{type(self).__name__}: the features of node {row} are not finite")
        return x

    @abstractmethod
    def rows(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """The features before they are checked."""

    def pinned(self) -> Self:
        """The same, with what a path or a name stands for now written down, so that a run means one content."""
        return self

    def describe(self) -> dict[str, Any]:
        """All that the features hang on beside the graph: settings, and the revision of a model where there is one."""
        return {"source": type(self).__name__, **encode(self)}


def texts_of(data: Data) -> list[str]:
    """What each node says: its ``text``, or the words of the ``vocabulary`` that its features are not 0 for.

    Args:
        data: a graph.

    Returns:
        N strings; an empty one for a node that says nothing.

    Raises:
        DataError: neither is there, or there is another number of texts than of nodes.

    Example:
        >>> keywords = Data(x=torch.tensor([[1.0, 0.0], [1.0, 1.0]]), vocabulary=["optics", "lasers"], num_nodes=2)
        >>> texts_of(keywords)
        ['optics', 'optics; lasers']
    """
    text, count = data.get("text"), int(data.num_nodes or 0)
    if text is None and data.get("vocabulary") is not None and data.x is not None:
        if len(data.vocabulary) != data.x.size(1):
            raise DataError(
                f"the graph has {len(data.vocabulary)} words in its vocabulary for {data.x.size(1)} features"
            )
        said: list[list[str]] = [[] for _ in range(count)]
        for row, column in data.x.nonzero().tolist():
            said[row].append(data.vocabulary[column])
        return ["; ".join(words) for words in said]
    if text is None:
        raise DataError(
            "the graph has no text; set data.text to a list of N strings, or take a data set that has some, such as "
            "citeseer-text or python-stdlib"
        )
    if len(text) != count or any(not isinstance(one, str) for one in text):
        raise DataError(f"data.text should be {count} strings, one for each node (data.num_nodes); it has {len(text)}")
    return list(text)


def with_features(
    data: Data, source: Callable[[Data, FeatureWatch | None], Tensor], watch: FeatureWatch | None = None
) -> Data:
    """The graph with the features of a source (or of a set of them) in place of its own; the input stays as it is.

    Example:
        >>> from graphcl.features import BagOfWords
        >>> data = Data(text=["red apple", "red pear"], edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=2)
        >>> with_features(data, BagOfWords(least=1)).x.tolist()
        [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    if not isinstance(data, Data):
        raise RequestError(
            f"features of text are made for one graph of nodes that say something, not a {type(data).__name__}"
        )
    out = data.__copy__()
    out.x = source(data, watch)
    keep_texts(data, out)
    return out


def keep_texts(data: Data, out: Data) -> None:
    """Write down what a graph says by its words, whose columns ``out`` has no more."""
    if data.get("text") is None and data.get("vocabulary") is not None:
        out.text = texts_of(data)
        del out.vocabulary
