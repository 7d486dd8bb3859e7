"""Splits: which nodes (or graphs) may be learnt from, selected on, and scored.

| name | train / validation / test | selection | source |
|---|---|---|---|
| `random-10-10-80` | 10 / 10 / 80 % | validation | the usual GCL protocol (GCA, 2021) |
| `random-60-20-20` | 60 / 20 / 20 % | validation | heterophily literature |
| `random-60-20-20-balanced` | per class round(0.6 n / C), then 20 / 20 % | validation | BernNet, PolyGCL |
| `random-10-90` | 10 / – / 90 % | cross-validation in train | GRACE README |
| `random-20-80-cv` | 20 / – / 80 % | cross-validation in train | BGRL README |
| `few-K` | K per class / up to 30 per class / rest | validation | Shchur et al. (2018) with K = 20 |
| `folds-10` | ten stratified folds: 8 / 1 / 1 | validation | graph classification |
| `folds-10-cv` | ten stratified folds: 9 / – / 1 | cross-validation in train | InfoGraph, GraphCL |

With `xN` behind its name (`random-10-10-80x10`) a split is drawn N times by one seed: the method is trained once, and
probed on each; on small graphs that tells far more than one draw. Published splits (`public`, `geom-gcn`, `official`)
belong to their data set. Percentages are exact counts by rounding; unlabelled nodes (label -1) are in no part.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.seeding import Seeds, imported

__all__ = ["RANDOM", "Split", "Triple", "draw", "is_random"]


@dataclass(frozen=True, eq=False)
class Triple:
    """One (train, validation, test) partition as sorted index vectors; boolean masks ``[N]`` are taken too.

    Raises:
        DataError: an index occurs in two parts or twice, or the training part is empty.
    """

    train: Tensor
    val: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        for part in ("train", "val", "test"):
            index = torch.as_tensor(getattr(self, part)).flatten()
            index = index.nonzero().flatten() if index.dtype == torch.bool else index.long()
            object.__setattr__(self, part, index.sort().values)
        joined = torch.cat([self.train, self.val, self.test])
        if joined.unique().numel() != joined.numel():
            raise DataError("split: an index stands in two parts (or twice in one); train, val and test must not meet")
        if self.train.numel() == 0:
            raise DataError("split: the training part is empty")

    @classmethod
    def of_masks(cls, train: Tensor, val: Tensor, test: Tensor) -> Self:
        """From boolean masks ``[N]``."""
        return cls(*(torch.as_tensor(mask).bool().nonzero().flatten() for mask in (train, val, test)))


@dataclass(frozen=True, eq=False)
class Split:
    """One or more triples, and where they come from.

    Args:
        name: ``public``, ``random-10-10-80`` ...
        triples: the partitions; scores are means over them.
        provenance: how they came about, in words, for the record.
        selection: whether a probe selects on the validation part or by cross-validation inside train.
        published: a split printed by others, which is taken as it is even where a class has no training node.

    Example:
        >>> split = draw("random-10-10-80", torch.tensor([0, 1] * 50), seed=0)
        >>> split
        Split('random-10-10-80', 1 x train / val / test 10 / 10 / 80, drawn with seed 0)
    """

    name: str
    triples: tuple[Triple, ...]
    provenance: str
    selection: Literal["validation", "cross-validation"] = "validation"
    published: bool = False

    def __post_init__(self) -> None:
        if not self.triples:
            raise DataError(f"split {self.name}: holds no partition")

    def __iter__(self) -> Iterator[Triple]:
        return iter(self.triples)

    def __len__(self) -> int:
        return len(self.triples)

    def __repr__(self) -> str:
        first = self.triples[0]
        sizes = " / ".join(str(part.numel()) for part in (first.train, first.val, first.test))
        return f"Split('{self.name}', {len(self)} x train / val / test {sizes}, {self.provenance})"

    @property
    def digest(self) -> str:
        """Content hash of all index vectors, 16 hex digits: the same digest is the same split."""
        sha = hashlib.sha256()
        for triple in self.triples:
            for part in (triple.train, triple.val, triple.test):
                sha.update(np.ascontiguousarray(part.numpy(), dtype="<i8").tobytes() + b"|")
        return sha.hexdigest()[:16]

    def check(self, y: Tensor) -> Self:
        """Refuse a split that cannot be learnt from with these labels.

        Raises:
            DataError: an index beyond the labels, an unlabelled row in a part, or a class without training
                rows.
        """
        n = y.numel()
        classes = torch.unique(y[y >= 0])
        for number, triple in enumerate(self.triples):
            joined = torch.cat([triple.train, triple.val, triple.test])
            if triple.test.numel() == 0:
                raise DataError(f"split {self.name}[{number}]: the test part is empty; nothing could be scored")
            if int(joined.max()) >= n or int(joined.min()) < 0:
                raise DataError(f"split {self.name}[{number}]: names row {int(joined.max())} of {n} labels")
            if (y[joined] < 0).any():
                raise DataError(f"split {self.name}[{number}]: contains unlabelled rows (label -1); leave them out")
            absent = sorted(set(classes.tolist()) - set(y[triple.train].tolist()))
            if absent and not self.published:
                raise DataError(
                    f"split {self.name}[{number}]: no training row of class {', '.join(map(str, absent))}; "
                    "use a split with a larger training part or another seed"
                )
        return self


def _fractions(y: Tensor, rng: np.random.Generator, train: float, val: float) -> list[Triple]:
    rows = rng.permutation(_labelled(y))
    a = round(train * rows.size)
    b = a + round(val * rows.size)
    return [_triple(rows[:a], rows[a:b], rows[b:])]


def _balanced(y: Tensor, rng: np.random.Generator) -> list[Triple]:
    rows = rng.permutation(_labelled(y))
    labels = y.numpy()[rows]
    classes = np.unique(labels)
    quota = round(0.6 * rows.size / classes.size)
    train = np.concatenate([rows[labels == c][:quota] for c in classes])
    rest = rows[~np.isin(rows, train)]
    b = round(0.2 * rows.size)
    return [_triple(train, rest[:b], rest[b:])]


def _few(y: Tensor, rng: np.random.Generator, k: int) -> list[Triple]:
    rows = rng.permutation(_labelled(y))
    labels = y.numpy()[rows]
    train, val = [], []
    for c in np.unique(labels):
        mine = rows[labels == c]
        train.append(mine[:k])
        # never more than half of what is left, so that the test part keeps members where there are any
        val.append(mine[k : k + min(30, (mine.size - k) // 2)])
    used = np.concatenate(train + val)
    return [_triple(np.concatenate(train), np.concatenate(val), rows[~np.isin(rows, used)])]


def _folds(y: Tensor, rng: np.random.Generator, k: int = 10) -> list[Triple]:
    folds = _stratified(y, rng, k)
    triples = []
    for i in range(k):
        held = (i, (i + 1) % k)
        train = np.concatenate([fold for j, fold in enumerate(folds) if j not in held])
        triples.append(_triple(train, folds[held[1]], folds[held[0]]))
    return triples


def _folds_without_validation(y: Tensor, rng: np.random.Generator, k: int = 10) -> list[Triple]:
    folds = _stratified(y, rng, k)
    none = np.empty(0, dtype=np.int64)
    return [_triple(np.concatenate(folds[:i] + folds[i + 1 :]), none, folds[i]) for i in range(k)]


def _stratified(y: Tensor, rng: np.random.Generator, k: int) -> list[np.ndarray]:
    rows = _labelled(y)
    smallest = int(np.unique(y.numpy()[rows], return_counts=True)[1].min())
    if smallest < k:
        raise DataError(f"split folds-{k}: the smallest class has {smallest} members; {k} folds need {k}")
    folds_of = imported("sklearn.model_selection").StratifiedKFold
    maker = folds_of(k, shuffle=True, random_state=int(rng.integers(2**31)))
    return [rows[test] for _, test in maker.split(np.zeros(rows.size), y.numpy()[rows])]


def _labelled(y: Tensor) -> np.ndarray:
    rows = (y >= 0).nonzero().flatten().numpy()
    if rows.size == 0:
        raise DataError("split: the data set has no labels (all -1); a probe needs some")
    return rows


def _triple(*parts: np.ndarray) -> Triple:
    return Triple(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


_Maker = Callable[[Tensor, np.random.Generator], list[Triple]]
RANDOM: dict[str, _Maker] = {
    "random-10-10-80": lambda y, rng: _fractions(y, rng, 0.1, 0.1),
    "random-60-20-20": lambda y, rng: _fractions(y, rng, 0.6, 0.2),
    "random-60-20-20-balanced": _balanced,
    "random-10-90": lambda y, rng: _fractions(y, rng, 0.1, 0.0),
    "random-20-80-cv": lambda y, rng: _fractions(y, rng, 0.2, 0.0),
    "folds-10": _folds,
    "folds-10-cv": _folds_without_validation,
}
_CROSS_VALIDATED = {"random-10-90", "random-20-80-cv", "folds-10-cv"}
_FEW = re.compile(r"few-([1-9]\d*)")
_REPEATED = re.compile(r"(.+)x([1-9]\d?)")


def is_random(name: str) -> bool:
    """Whether a split of that name is drawn by the seed."""
    base, _ = _repeats(name)
    return base in RANDOM or _FEW.fullmatch(base) is not None


def _repeats(name: str) -> tuple[str, int]:
    """``random-10-10-80x10`` as the split that is drawn and how often."""
    repeated = _REPEATED.fullmatch(name)
    return (repeated.group(1), int(repeated.group(2))) if repeated else (name, 1)


def draw(name: str, y: Tensor, seed: int = 0) -> Split:
    """Draw a random split.

    Args:
        name: one of the table above; with ``xN`` behind it (``random-10-10-80x10``, N up to 99) drawn N times, the
            first as without.
        y: labels ``[N]``, -1 for "no label".
        seed: draws the split; the same seed gives the same indices on every machine.

    Raises:
        UnknownNameError: no such split.
        DataError: a class would have no training rows.
    """
    base, times = _repeats(name)
    few = _FEW.fullmatch(base)
    if not is_random(name):
        raise UnknownNameError("split", name, [*RANDOM, "few-K"], " (xN behind it: N draws)")
    if seed < 0:
        raise RequestError(f"seed = {seed}: input should be 0 or more")
    rng = Seeds(seed).numpy(f"split/{base}")
    y = y.flatten().cpu()
    triples: list[Triple] = []
    for _ in range(times):
        triples += _few(y, rng, int(few.group(1))) if few else RANDOM[base](y, rng)
    chosen: Literal["validation", "cross-validation"] = "cross-validation" if base in _CROSS_VALIDATED else "validation"
    often = f" {times} times" if times > 1 else ""
    return Split(name, tuple(triples), f"drawn{often} with seed {seed}", chosen).check(y)
