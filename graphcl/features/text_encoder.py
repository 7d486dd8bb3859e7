"""From texts to vectors through the cache: each text once, in batches that are the same whoever computes them."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NoReturn, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Size
from graphcl.errors import DataError
from graphcl.features.row_cache import RowCache, row_key
from graphcl.features.sentences import split_sentences
from graphcl.features.source import FeatureProgress, FeatureSource, FeatureWatch, texts_of
from graphcl.graph import unit_rows
from graphcl.seeding import python_state_kept

__all__ = ["Encoded", "TextEncoder", "Unit", "sentences_of"]

Unit: TypeAlias = Literal["text", "sentences"]
"""What is put through the model: the text as it is, or its sentences one by one, of which the mean is taken."""


def sentences_of(data: Data, most: int = 64) -> list[list[str]]:
    """The first so many sentences of each node."""
    return [split_sentences(text)[:most] for text in texts_of(data)]


@dataclass(frozen=True)
class Encoded:
    """What came of one batch.

    Args:
        vectors: ``[B, F]``, row i of text i.
        retries: requests that were sent again for it.
        tokens: that an endpoint counted for it.
        cost: of these, at the price that was given.
    """

    vectors: np.ndarray
    retries: int = 0
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TextEncoder(FeatureSource):
    """A model that makes a vector of a text.

    Args:
        unit: whether the model reads the ``text`` at once, up to its greatest length, or its ``sentences``, of whose
            vectors (each of length 1) the mean is taken.
        most: sentences of a text that are read.
        batch_size: texts that go through the model together.
    """

    unit: Unit = "text"
    most: Size = 64
    batch_size: Size = 32

    by_batch: ClassVar[bool] = True
    """Whether the last bits of a vector hang on what else is in its batch, as with local models."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """All that a vector hangs on: the model and its revision, and the settings that reach it."""

    @abstractmethod
    def start(self, cache: RowCache) -> Callable[[Sequence[str]], "Encoded"]:
        """What encodes a batch of this run; called when something is missing in the cache."""

    def rows(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """The vector of each text, or the mean of those of its sentences, of length 1; zeros for an empty text."""
        if self.unit == "text":
            return self.vectors(texts_of(data), watch)
        said = sentences_of(data, self.most)
        vectors = unit_rows(self.vectors([one for some in said for one in some], watch))
        owner = torch.repeat_interleave(torch.arange(len(said)), torch.tensor([len(some) for some in said]))
        return unit_rows(vectors.new_zeros(len(said), vectors.size(1)).index_add(0, owner, vectors))

    def vectors(self, texts: Sequence[str], watch: FeatureWatch | None = None) -> Tensor:
        """Vectors ``float32 [T, F]`` of any texts, from the cache or made and put there; zeros for an empty text.

        Equal texts are encoded once. The batches are cut from all texts in the order of their length, not from those
        that are missing: whoever resumes encodes the same batches, and gets the same bits.

        Args:
            texts: T of them.
            watch: told after each batch.

        Raises:
            DataError: no text says anything, or the model's answer is no finite vector for each.
        """
        distinct = sorted({text for text in texts if text.strip()}, key=lambda text: (-len(text), text))
        if not distinct:
            raise DataError(f"{type(self).__name__}: none of the {len(texts)} texts says anything")
        cache = RowCache(self.identity())
        corpus = row_key(*distinct).hex() if self.by_batch else ""
        keys = {text: row_key(corpus, text) for text in distinct}
        found = cache.read(list(keys.values()))
        before = len(found)
        if before < len(keys):
            with cache.making(), python_state_kept():
                # somebody else may have made them meanwhile
                found = cache.read(list(keys.values()))
                before = len(found)
                self._make(distinct, keys, found, cache, watch)
        elif watch is not None:
            watch(FeatureProgress(len(keys), before))
        cache.note(len(keys), before)
        place = {text: number for number, text in enumerate(distinct)}
        table = torch.from_numpy(np.stack(self._of_one_width([found[keys[text]] for text in distinct])))
        rows = torch.tensor([place.get(text, -1) for text in texts])
        return torch.where((rows >= 0)[:, None], table[rows.clamp(min=0)], 0.0)

    def _of_one_width(self, rows: Sequence[bytes]) -> list[np.ndarray]:
        vectors = [np.frombuffer(row, "<f4") for row in rows]
        widths = sorted({len(vector) for vector in vectors})
        if len(widths) > 1:
            self._refuse_widths(widths)
        return vectors

    def _refuse_widths(self, widths: Sequence[int]) -> NoReturn:
        raise DataError(
            f"{type(self).__name__}: vectors of {' and '.join(map(str, sorted(widths)))} numbers, as the model has "
            "changed behind its name; delete its cache (`graphcl features ls`, `graphcl features prune`)"
        )

    def _make(
        self,
        distinct: Sequence[str],
        keys: dict[str, bytes],
        found: dict[bytes, bytes],
        cache: RowCache,
        watch: FeatureWatch | None,
    ) -> None:
        before, made, retries, tokens, cost = len(found), 0, 0, 0, 0.0
        width = {len(row) for row in found.values()}
        encode = self.start(cache)
        waiting = distinct if self.by_batch else [text for text in distinct if keys[text] not in found]
        for start in range(0, len(waiting), self.batch_size):
            batch = waiting[start : start + self.batch_size]
            missing = [text for text in batch if keys[text] not in found]
            if not missing:
                continue
            answer = encode(batch)
            vectors = self._checked(answer.vectors, batch)
            retries, tokens, made = retries + answer.retries, tokens + answer.tokens, made + len(missing)
            cost += answer.cost
            width.add(vectors.shape[1] * 4)
            if len(width) > 1:
                self._refuse_widths([size // 4 for size in width])
            rows = {keys[text]: vector.tobytes() for text, vector in zip(batch, vectors, strict=True)}
            new = {keys[text]: rows[keys[text]] for text in missing}
            cache.write(new)
            found.update(new)
            if watch is not None:
                watch(FeatureProgress(len(keys), before, made, retries, tokens, cost))

    def _checked(self, vectors: np.ndarray, batch: Sequence[str]) -> np.ndarray:
        vectors = np.ascontiguousarray(vectors, dtype="<f4")
        if vectors.ndim != 2 or len(vectors) != len(batch):
            raise DataError(f"{type(self).__name__}: {list(vectors.shape)} numbers came back for {len(batch)} texts")
        broken = ~np.isfinite(vectors).all(1)
        if broken.any():
            text = batch[int(broken.argmax())]
            raise DataError(f"{type(self).__name__}: the vector of the text {text[:60]!r} is not finite")
        return vectors
